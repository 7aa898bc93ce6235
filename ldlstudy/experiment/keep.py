"""What a run may keep besides the usual metrics, a row each: data for figures, and costly numbers.

All are small enough to lie in a record, so a page shows them without the data or the weights.
"""

import copy
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ldlstudy import checks, data, errors, metrics, mixing, scaling, votes
from ldlstudy.data import mixed, people
from ldlstudy.experiment import instances, labels, measure, planes
from ldlstudy.experiment.measure import ECES, Outcome, Stages, intervals_of, share
from ldlstudy.experiment.prepare import Setting
from ldlstudy.experiment.records import Values
from ldlstudy.files import FIGURE_DIGITS, rounded
from ldlstudy.training import Predictor, Student, batches
from ldlstudy.training.loop import objective

SAMPLED = 500  # test images whose whole predictions, or best answers, are kept
ANSWERS = 5
SHOWN = 10  # classes of LDL Figure 5
EMBEDDED = (10, 50)  # classes, and images of each, for t-SNE
COMPONENTS = 50  # principal components that t-SNE starts from, as van der Maaten's do
DRAWN = 50  # votes on an image, where they are drawn from a known truth
FREE = ("fashion_mnist", "noisy_digits")  # MIT licence, and our own: a few may be shown
OF_VOTERS = ("total_variation", "entropy_order")  # scores that a share of 0 does not spoil
QUANTILES = (0.1, 0.5, 0.9)  # of the entropy of the votes: which images of a class are shown
REPEATS = 10  # of a step whose seconds are taken


@dataclass(frozen=True)
class Finished:
    """A trained network with all that may be kept of it.

    ``stages`` and ``test`` are as in :mod:`ldlstudy.experiment.measure`; ``resamples`` is how often
    test images are drawn anew for an interval.
    """

    setting: Setting
    student: Student
    predictor: Predictor
    stages: Stages
    test: Outcome
    resamples: int = 0

    @property
    def p(self) -> Tensor:
        """Probabilities (N, K) of the test images, as trained."""
        return self.stages["plain"][0]

    @functools.cached_property
    def features(self) -> Tensor:
        """Penultimate features (N, D) of the test images."""
        return self.predictor.features(self.setting.dataset.test)

    @property
    def mixing(self) -> mixing.Mixing | None:
        """What mixes the images of a batch."""
        return mixing.named(self.setting.run.mixing or None)


@dataclass(frozen=True)
class Kept:
    """What is kept: data of a figure, and numbers by stage with their intervals."""

    figure: Any = None
    values: Values = field(default_factory=dict)
    intervals: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Keep:
    """A row of :data:`KEEP`: what makes it, what it needs, and what must be watched in training."""

    make: Callable[[Finished], Kept]
    needs: Callable[[Setting], None] = field(default=lambda setting: None)
    class_losses: bool = False  # of what is watched after every epoch
    watch_train: bool = False


def check(keep: tuple[str, ...], setting: Setting) -> None:
    """Raise a ValueError if what is to be kept is unknown, or not to be had of a run."""
    for name in keep:
        KEEP[checks.one_of("data to keep", name, KEEP)].needs(setting)


def answers(p: Tensor, y: Tensor) -> dict[str, list[Any]]:
    """The five best answers to test images spread evenly over the set (CS-KD Figure 1b)."""
    index = positions(len(p))
    best = p[index].topk(min(ANSWERS, p.shape[1]), dim=1)
    return {
        "index": index.tolist(),
        "labels": y[index].tolist(),
        "classes": best.indices.tolist(),
        "scores": rounded(best.values.tolist(), FIGURE_DIGITS),
    }


def positions(count: int) -> Tensor:
    """Which of ``count`` test images are kept whole: at most 500, evenly spread."""
    return torch.arange(0, count, -(-count // SAMPLED))


def by_class(p: Tensor, y: Tensor) -> dict[str, Any]:
    """F1 and mean confidence of each class, and what is said of the best one (LDL Figures 4, 5).

    ``confidence`` is None for a class without a sample. ``best`` is the class with the highest F1
    score (the first of equal ones) with the ``classes`` of its ten highest mean ``probabilities``.
    """
    f1, means = errors.f1(p, y), errors.mean_predictions(p, y)
    confidence = means.diagonal()
    there = ~confidence.isnan()
    best = int(f1.masked_fill(~there, -1).argmax())
    highest = means[best].topk(min(SHOWN, len(f1)))
    content = {
        "f1": f1.tolist(),
        "confidence": [c if t else None for c, t in zip(confidence.tolist(), there, strict=True)],
        "best": {
            "class": best,
            "f1": float(f1[best]),
            "classes": highest.indices.tolist(),
            "probabilities": highest.values.tolist(),
        },
    }
    figure: dict[str, Any] = rounded(content, FIGURE_DIGITS)
    return figure


def of_errors(p: Tensor, y: Tensor) -> dict[str, list[Any]]:
    """The position of each error, and the scores of its predicted and true class (Figure 2)."""
    predicted, true = errors.log_probabilities(p, y)
    return {
        "index": errors.wrong(p, y).tolist(),
        "log_predicted": rounded(predicted.tolist(), FIGURE_DIGITS),
        "log_true": rounded(true.tolist(), FIGURE_DIGITS),
    }


def sampled(p: Tensor, y: Tensor) -> dict[str, list[Any]]:
    """Whole predictions of test images spread evenly over the set, to scale and bin on a page.

    The log-probabilities are logits but for a constant of each image.
    """
    index = positions(len(y))
    logits = p[index].clamp_min(torch.finfo(p.dtype).tiny).log()
    return {
        "labels": y[index].tolist(),
        "log_probabilities": rounded(logits.tolist(), FIGURE_DIGITS),
    }


def reliability(p: Tensor, y: Tensor, ece: str) -> dict[str, list[float | None]]:
    """Count, accuracy and confidence in the bins of an ECE of `ECES`; None in an empty bin."""
    bins = metrics.reliability(p, y, *ECES[ece])

    def full(values: Any) -> list[float | None]:
        return [None if n == 0 else v for n, v in zip(bins.count, values, strict=True)]

    return {
        "count": bins.count.tolist(),
        "accuracy": full(bins.accuracy),
        "confidence": full(bins.confidence),
    }


def embedding(features: Tensor, y: Tensor) -> dict[str, Any]:
    """Penultimate features of a few test images, for t-SNE (CS-KD Figure 3).

    ``index`` and ``labels`` (n,) of the first 50 images of each of the first ten classes, and
    ``points`` (n, d), their first d = min(50, D, n) principal components, to 4 digits.
    """
    classes, images = EMBEDDED
    index = torch.cat([(y == k).nonzero()[:images, 0] for k in range(classes)])
    chosen = features[index].double()
    centred = chosen - chosen.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    points = centred @ directions[:COMPONENTS].T
    return {
        "index": index.tolist(),
        "labels": y[index].tolist(),
        "points": rounded(points.tolist(), FIGURE_DIGITS),
    }


def neighbours(t: Finished) -> Kept:
    """R@1 among the test images and in the training set, and how classes vary.

    ``intra_class_variation`` is the spread of the classes in units of the distance of their means.
    """
    train, y = t.setting.dataset.train, t.setting.dataset.test.labels
    gallery = t.predictor.features(train)
    own, own_ends = share(metrics.nearest_is_alike(t.features, y), t.resamples)
    found, ends = share(metrics.nearest_is_alike(t.features, y, gallery, train.labels), t.resamples)
    values = {
        "recall_at_1": own,
        "recall_at_1_train": found,
        "intra_class_variation": planes.variation(t.features, y),
    }
    intervals = {"recall_at_1": own_ends, "recall_at_1_train": ends} if t.resamples else {}
    return Kept(None, {"plain": values}, {"plain": intervals} if intervals else {})


def information(t: Finished) -> Kept:
    """How much the logits say of single training images under augmentation ([Re] section 6.3)."""
    return Kept(None, {"information": instances.values(t.predictor, t.setting.dataset.train)})


def plane(t: Finished) -> Kept:
    """The plane of the first three classes ([Re] Figure 2), with its numbers."""
    dataset = t.setting.dataset
    figure, values = planes.plane(t.predictor, {"train": dataset.train, "test": dataset.test})
    return Kept(figure, {"plane": values})


def supervision(t: Finished) -> Kept:
    """What mixing, teacher and truth say of mixed images (LDL Figure 6)."""
    setting, teacher, mixer = t.setting, t.student.teacher, t.mixing
    assert teacher is not None
    assert teacher.answer is not None
    assert mixer is not None
    answer = teacher.answer
    train, classes = setting.dataset.train, len(setting.dataset.classes)
    figure = labels.supervision(
        train,
        setting.augmentation,
        classes,
        mixer,
        lambda views: scaling.mean_logits(answer(views)),
        setting.dataset.posterior,
    )
    return Kept(figure)


def of_label(t: Finished) -> Kept:
    """How near the labels that are taught are to the truth."""
    setting = t.setting
    assert setting.dataset.posterior is not None
    found = labels.distance_to_truth(
        objective(t.student, setting.dataset.train, t.predictor),
        setting.dataset.train,
        setting.augmentation,
        len(setting.dataset.classes),
        setting.recipe.batch,
        setting.run.seed,
        setting.dataset.posterior,
        t.mixing,
    )
    return Kept(None, {"label": found})


def operations(t: Finished) -> Kept:
    """What a training step costs, in floating-point operations and in seconds.

    Seconds depend on the machine and on what else it does; operations do not. Products and
    convolutions are counted as they are made, backwards too, by PyTorch's counter: passes of
    teachers, partners, second views and heads included, additions and activations not. The seconds
    are the least of ten, of making the batch and of the step, with the threads that training has.
    """
    setting = t.setting
    network = copy.deepcopy(t.student.network)  # whose batch statistics these steps change
    loss = objective(t.student, setting.dataset.train, t.predictor)
    generator = torch.Generator(setting.dataset.train.labels.device).manual_seed(0)
    sees, size = setting.method.sees, setting.recipe.batch

    def step() -> None:
        made = batches(setting.dataset.train, size, setting.augmentation, generator, sees, t.mixing)
        loss(network, next(iter(made))).backward()

    network.train()
    with FlopCounterMode(display=False) as counter:
        step()
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    return Kept(None, {"step": {"operations": counter.get_total_flops(), "seconds": min(taken)}})


def of_people(t: Finished) -> Kept:
    """What people say of the test images held against each stage, and the answers to a few of them.

    The scores are those of `ldlstudy.votes`, here called ``votes_<score>``. There is a stage more,
    ``people``: scaled by the temperature that the votes on one half of the images ask for, and
    scored on the other. And ``voters`` are no network, but one half of the people of each image,
    held against the other half.
    """
    given = votes_on(t.setting.dataset)
    with scaling.unwarned():
        asked = measure.halved(
            t.test, lambda part: votes.fit_temperature(t.test.logits[part], given[part])
        )
    found: Values = {}
    intervals: Values = {}
    for stage, (p, temperature) in {**t.stages, "people": asked}.items():
        terms = {f"votes_{n}": make(p, given) for n, make in votes.SCORES.items()}
        found[stage] = {name: each.value() for name, each in terms.items()}
        if stage not in t.stages:
            found[stage]["temperature"] = temperature
        if t.resamples:
            intervals[stage] = intervals_of(terms, len(p), t.resamples)
    one, other = votes.halves(given)
    found["voters"] = {
        f"votes_{name}": votes.SCORES[name](votes.shares(one), other).value() for name in OF_VOTERS
    }
    index = shown_of(given, t.test.labels)
    logits = t.p[index].clamp_min(torch.finfo(t.p.dtype).tiny).log()
    figure = {
        "index": index.tolist(),
        "labels": t.test.labels[index].tolist(),
        "votes": given[index].tolist(),
        "log_probabilities": rounded(logits.tolist(), FIGURE_DIGITS),
    }
    return Kept(figure, found, intervals)


def votes_on(dataset: data.Dataset) -> Tensor:
    """Return the votes (N, K) on the test images of a set.

    Where the truth is known, people are drawn from it: `DRAWN` votes on each image, always the
    same. Of a set on which nobody has voted, that is a ValueError, as are votes that are not there.
    """
    if dataset.test.votes is not None:
        return dataset.test.votes.cpu()
    if dataset.test.truth is None:
        return _votes_of_people(dataset.name)
    generator = torch.Generator().manual_seed(0)
    truth = dataset.test.truth.double().cpu()
    drawn = truth.multinomial(DRAWN, replacement=True, generator=generator)
    return torch.nn.functional.one_hot(drawn, truth.shape[1]).sum(1)


def pictures(t: Finished) -> Kept:
    """The images that `of_people` shows, as grey values from 0 to 255."""
    test = t.setting.dataset.test
    assert isinstance(test.pixels, Tensor)
    index = shown_of(votes_on(t.setting.dataset), t.test.labels)
    return Kept({"index": index.tolist(), "pixels": test.pixels[index, 0].tolist()})


def _needs_free_pictures(setting: Setting) -> None:
    checks.one_of("data set whose licence lets pictures be shown", setting.run.dataset, FREE)


@functools.lru_cache(maxsize=2)
def _votes_of_people(dataset: str) -> Tensor:
    votes = data.load(dataset, votes=people.on_test(dataset)).test.votes
    assert votes is not None
    return votes


def shown_of(given: Tensor, labels: Tensor) -> Tensor:
    """Return which images are shown: of each class one at some quantiles of the votes' entropy."""
    entropy = torch.special.entr(votes.shares(given)).sum(1)
    index = []
    for label in labels.unique():
        own = (labels == label).nonzero()[:, 0]
        order = own[entropy[own].argsort(stable=True)]
        index += [int(order[int(q * (len(order) - 1))]) for q in QUANTILES]
    return torch.tensor(index)


def domains(t: Finished) -> Kept:
    """Which domains of a mixed set are taken for which (CS-KD Figure 4): test images, and names."""
    classes = t.setting.dataset.classes
    count = errors.group_confusion(t.p, t.test.labels, mixed.groups(classes))
    return Kept({"names": mixed.domains(classes), "count": count.tolist()})


def _needs_domains(setting: Setting) -> None:
    checks.one_of("data set with domains", setting.run.dataset, mixed.MIXED)


def _nothing(t: Finished) -> Kept:
    return Kept()


def _needs_groups(setting: Setting) -> None:
    checks.one_of("data set with similar classes", setting.dataset.name, planes.SIMILAR)


def _needs_chance(setting: Setting) -> None:
    if not instances.is_random(setting.augmentation):
        raise ValueError(
            "`information` is kept of runs whose augmentation is random, "
            f"got {dict(setting.run.augmentation)}"
        )
    if not isinstance(setting.dataset.train.pixels, Tensor):
        raise ValueError("`information` is kept of images that lie in memory")


def _needs_votes(setting: Setting) -> None:
    votes_on(setting.dataset)


def _needs_mixing_teacher(setting: Setting) -> None:
    if not setting.run.mixing or not setting.run.teachers:
        raise ValueError("`supervision` is kept of a run with a teacher and a mixing alone")


def _needs_label(setting: Setting) -> None:
    if not setting.method.has_label:
        raise ValueError(
            f"`label` is kept of methods with a label of their own, {setting.run.method} has none"
        )
    if setting.dataset.posterior is None:
        raise ValueError(
            f"`label` is kept where the truth is known, {setting.run.dataset} has none"
        )


def _diagrams(ece: str) -> Keep:
    return Keep(
        lambda t: Kept({s: reliability(p, t.test.labels, ece) for s, (p, _) in t.stages.items()})
    )


KEEP: dict[str, Keep] = {
    "answers": Keep(lambda t: Kept(answers(t.p, t.test.labels))),
    "by_class": Keep(lambda t: Kept(by_class(t.p, t.test.labels))),
    "class_loss": Keep(_nothing, class_losses=True, watch_train=True),
    "domains": Keep(domains, _needs_domains),
    "embedding": Keep(lambda t: Kept(embedding(t.features.cpu(), t.test.labels))),
    "errors": Keep(lambda t: Kept(of_errors(t.p, t.test.labels))),
    "information": Keep(information, _needs_chance),
    "label": Keep(of_label, _needs_label),
    "neighbours": Keep(neighbours),
    "operations": Keep(operations),
    "people": Keep(of_people, _needs_votes),
    "pictures": Keep(pictures, _needs_free_pictures),
    "plane": Keep(plane),
    "planes": Keep(lambda t: Kept(planes.planes(t.predictor, t.setting.dataset))),
    "reliability": _diagrams("ece_15_left"),  # [Re]
    "reliability_10": _diagrams("ece_10_right"),  # LDL
    "reliability_20": _diagrams("ece_20_right"),  # CS-KD
    "sampled": Keep(lambda t: Kept(sampled(t.p, t.test.labels))),
    "similar": Keep(lambda t: Kept(planes.similar(t.predictor, t.setting.dataset)), _needs_groups),
    "supervision": Keep(supervision, _needs_mixing_teacher),
    "test_class_loss": Keep(_nothing, class_losses=True),
}
