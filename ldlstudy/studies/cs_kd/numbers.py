"""The numbers that the CS-KD chapter computes beyond the scores of its networks, and quotes.

Whether two methods differ on their errors, how confident a maximum-entropy network can be, and what
the paper's own tables say of its claims.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from ldlstudy import checks, metrics, scaling, stats
from ldlstudy.data.images import Images
from ldlstudy.report import numbers, tables
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.studies.bench import DATASETS
from ldlstudy.studies.cs_kd import runs
from ldlstudy.studies.cs_kd.runs import DIGITS, PROTOCOLS, REDUCED
from ldlstudy.studies.strategies import named

RIVALS = (*runs.OUTPUT[:-1], "cs_kd_e")  # of CS-KD's calibration
SCORES = {"log_predicted": "predicted class", "log_true": "true class"}


class Compared(NamedTuple):
    """One score on the errors of two methods; see :func:`errors_compared`."""

    means: tuple[float, float]
    common: int
    difference: float
    p: float


def errors_compared(
    left: Sequence[Mapping[str, Any]], right: Sequence[Mapping[str, Any]], score: str
) -> Compared:
    """Whether two methods give another log-probability to their errors (CS-KD Figure 2).

    Parameters
    ----------
    left, right : sequence of Mapping
        Of each seed what :func:`ldlstudy.experiment.keep.of_errors` gives; the seeds share test
        images.
    score : {"log_predicted", "log_true"}
        Of the predicted or of the true class.

    Returns
    -------
    Compared
        The means over all errors of each; on the ``common`` images that both get wrong the mean
        ``difference``, left minus right, and the ``p`` of the paired t test. With several seeds the
        test is over their differences, for the images of one network are not independent of one
        another; with one it is over its images and says nothing about another seed.

    Raises
    ------
    ValueError
        An unknown score, other numbers of seeds, or a seed in which fewer than two images are wrong
        in both.
    """
    checks.one_of("score", score, SCORES)
    if len(left) != len(right):
        raise ValueError(f"need as many seeds of both, got {len(left)} and {len(right)}")
    pairs = [_common(a, b, score) for a, b in zip(left, right, strict=True)]
    fewest = min(map(len, pairs), default=0)
    if fewest < 2:
        raise ValueError(f"need two images or more that both get wrong, got {fewest}")
    sides = [[statistics.fmean(p[i] for p in seed) for seed in pairs] for i in (0, 1)]
    one, two = sides if len(pairs) > 1 else ([p[i] for p in pairs[0]] for i in (0, 1))
    return Compared(
        (mean_score(left, score), mean_score(right, score)),
        sum(map(len, pairs)),
        statistics.fmean(sides[0]) - statistics.fmean(sides[1]),
        stats.paired_p(one, two),
    )


def mean_score(seeds: Sequence[Mapping[str, Any]], score: str) -> float:
    """Return the mean of a score over the errors of all seeds."""
    return statistics.fmean(value for seed in seeds for value in seed[score])


def _common(
    left: Mapping[str, Any], right: Mapping[str, Any], score: str
) -> list[tuple[float, float]]:
    """The scores of both on the images that both get wrong."""
    other = dict(zip(right["index"], right[score], strict=True))
    each = zip(left["index"], left[score], strict=True)
    return [(value, other[i]) for i, value in each if i in other]


SURE = 0.9  # of a wrong answer


class Mistake(NamedTuple):
    """An image whose truth is divided, and what networks say of it; see :func:`mistake`."""

    place: int
    label: int
    answer: int
    panels: dict[str, Tensor]


def mistake(
    networks: Mapping[str, Mapping[str, Any]], truth: Tensor, temperature: float
) -> Mistake:
    """Return the mistake that two networks share on the image with the most divided truth.

    Parameters
    ----------
    networks : Mapping
        Of cross entropy and of CS-KD, as :func:`ldlstudy.explore.recorded.predictions` gives them.
    truth : Tensor
        Shape (N, K), of the same images.
    temperature : float
        Of cross entropy.

    Returns
    -------
    Mistake
        Of the images to which both give the same wrong answer, cross entropy with more than `SURE`,
        the one where the truth gives the most to the less probable of answer and label. Its panels
        are what cross entropy says, CS-KD, cross entropy at the temperature, and the truth.
    """
    labels = torch.tensor(next(iter(networks.values()))["labels"])
    logits = [torch.tensor(each["log_probabilities"]).double() for each in networks.values()]
    hard, own = (each.softmax(1) for each in logits)
    answer = hard.argmax(1)
    shared = (answer != labels) & (own.argmax(1) == answer) & (hard.amax(1) > SURE)
    either = truth.gather(1, torch.stack([labels, answer], 1)).amin(1)
    i = int(either.where(shared, -1.0).argmax())
    panels = {
        "cross entropy": hard[i],
        "CS-KD": own[i],
        f"cross entropy, T = {temperature:.2f}": scaling.scale(logits[0], temperature)[i],
        "the truth": truth[i],
    }
    return Mistake(i, int(labels[i]), int(answer[i]), panels)


def of_mistake(found: Mistake) -> Numbers:
    """Return what the beginning of the chapter says of a :func:`mistake`."""
    values: Numbers = {"mistake.label": found.label, "mistake.answer": found.answer}
    two = [found.label, found.answer]
    names = ("none", "cs_kd", "scaled", "truth")
    for name, p in zip(names, found.panels.values(), strict=True):
        values[f"mistake.{name}.answer"] = float(p[found.answer])
        values[f"mistake.{name}.label"] = float(p[found.label])
        values[f"mistake.{name}.elsewhere"] = float(1 - p[two].sum())
    return values


def least_confident(weight: float, classes: int) -> float:
    """Probability of the true class where the maximum-entropy loss of one image is least.

    It minimises -log p - w H, the other classes alike: w log(p (K - 1) / (1 - p)) = 1 / p.

    Parameters
    ----------
    weight : float
        w of the entropy, above 0.
    classes : int
        K, at least 2.
    """
    from scipy.optimize import brentq

    checks.in_range("weight", weight, 0, open_low=True)
    k = checks.whole("classes", classes, 2)

    def slope(u: float) -> float:  # of the loss, in u = log(p / (1 - p))
        return weight * (u + math.log(k - 1)) - (1 + math.exp(-u))

    u = brentq(slope, -math.log(k - 1), 2 / weight)
    return 1 / (1 + math.exp(-u))


Holds = Callable[[pd.DataFrame, str], bool]


def _best(of: str, strategies: Sequence[str], own: str = "cs_kd", highest: bool = False) -> Holds:
    """Whether of some rows of a printed table a strategy's is the lowest, or the highest."""

    def holds(table: pd.DataFrame, dataset: str) -> bool:
        values = table.loc[[(of, strategy) for strategy in strategies], dataset]
        return bool((values.idxmax() if highest else values.idxmin()) == (of, own))

    return holds


OUTPUT = runs.OUTPUT
CLAIMED: dict[
    str, tuple[str, Holds]
] = {  # what the paper claims: the table, and whether it holds on a set
    "lowest error of the output regularisers, ResNet-18": (
        "cskd_table1",
        _best("resnet18", OUTPUT),
    ),
    "the same, DenseNet-121": ("cskd_table1", _best("densenet121", OUTPUT)),
    "lowest error of the self-distillers": ("cskd_table2", _best("resnet18", runs.SELF)),
    "lowest top-5 error": ("cskd_measures", _best("top5_error", OUTPUT)),
    "lower ECE than cross entropy": ("cskd_measures", _best("ece", ["none", "cs_kd"])),
    "lower ECE than label smoothing": ("cskd_measures", _best("ece", ["ls", "cs_kd"])),
    "lowest ECE of the output regularisers": ("cskd_measures", _best("ece", OUTPUT)),
    "CS-KD-E: lower ECE than CS-KD": (
        "cskd_measures",
        _best("ece", ["cs_kd", "cs_kd_e"], "cs_kd_e"),
    ),
    "highest R@1": ("cskd_measures", _best("recall_at_1", OUTPUT, highest=True)),
    "lowers the error of mixup": (
        "cskd_table3",
        _best("resnet18", ["mixup", "mixup_cs_kd"], "mixup_cs_kd"),
    ),
    "lowers the error of distillation": (
        "cskd_table4",
        _best("resnet10", ["kd", "kd_cs_kd"], "kd_cs_kd"),
    ),
}


def not_borne_out() -> dict[str, list[str]]:
    """What is said of CS-KD, and the data sets whose printed means do not bear it out."""
    return {
        claim: [
            DATASETS[dataset]
            for dataset in PROTOCOLS
            if not holds(tables.published(source), dataset)
        ]
        for claim, (source, holds) in CLAIMED.items()
    }


def quoted(
    results: Results, paper: Results, judged: pd.DataFrame, test: Images, profile: str
) -> Numbers:
    """Return every number that the chapter quotes.

    ``results`` are of all networks, ``paper`` of those of the paper profile; ``judged`` are the
    claims with their verdicts, ``test`` the test images of noisy digits with their truth.
    """
    values = numbers.of_results(results) | numbers.verdicts(judged)
    digits, reduced = f"quick {DIGITS}", REDUCED
    for name, row, loss in (
        ("train", digits, "loss"), ("cifar", reduced, "loss"), ("test", digits, "test_loss"),
    ):  # fmt: skip
        history = results.figure(f"{row} none", "history")
        if history is not None:
            values[f"loss.{name}"] = history[loss][-1]
    assert test.truth is not None
    values["bayes.accuracy"] = metrics.accuracy(test.truth, test.labels)
    values["bayes.ece_20_right"] = metrics.ece(test.truth, test.labels, bins=20)
    best, last = "best_test_accuracy", "accuracy"
    for name, left, right in (
        ("gain.error_points", (f"{digits} cs_kd", last), (f"{digits} none", last)),
        ("gain.best_points", (f"{digits} cs_kd", best), (f"{digits} cs_kd", last)),
        ("gain.best_difference", (f"{digits} cs_kd", best), (f"{digits} none", best)),
        ("cifar.error_points", (f"{reduced} none", last), (f"{reduced} cs_kd", last)),
    ):
        values[name] = 100 * (results.mean(*left) - results.mean(*right))
    right_, ece = (
        results.mean(f"{reduced} max_entropy", metric) for metric in ("accuracy", "ece_20_right")
    )
    values["implied.max_entropy"] = right_ - ece
    values |= numbers.circumstances(paper, "paper.") | {"profile": profile}
    return numbers.known(values)


def pair(bench: str) -> dict[str, str]:
    """Return the rows of cross entropy and of CS-KD on a bench, by what they are called."""
    return {"cross entropy": f"{bench} none", "CS-KD": f"{bench} cs_kd"}


def of_errors(results: Results, titles: Mapping[str, str]) -> dict[str, dict[str, list[Any]]]:
    """Return what both say of their errors, by title of each bench and by method, seed by seed."""
    return {
        title: {
            label: [record.figure("errors") for record in results.records(row)]
            for label, row in pair(bench).items()
        }
        for bench, title in titles.items()
    }


def diagrams(results: Results) -> dict[str, dict[str, Any]]:
    """Return the reliability diagrams of CS-KD and each rival, by the rival's name (Figure 4)."""
    own, *others = (
        results.figure(f"quick {DIGITS} {strategy}", "reliability_20")
        for strategy in ("cs_kd", *RIVALS)
    )
    panels = {}
    for strategy, of in zip(RIVALS, others, strict=True):
        if of is not None:
            pair = {"CS-KD": own, "rival": of}
            label = named(strategy).name_in("CS-KD")
            panels[label] = {name: each["plain"] for name, each in pair.items() if each is not None}
    return panels
