"""What a training step of each image method minimises.

An objective is a function of a network and a batch; :func:`make` builds it once for a training set.
Methods that only change the label are those of :mod:`ldlstudy.methods`: their label distributions
are computed once, for every image, looked up by the image's index, and blended as the images were
where these are mixed. Methods in which the network is its own teacher, or its head is another, are
those of :mod:`ldlstudy.regularisers`; those that LDL is compared with, of :mod:`ldlstudy.rivals`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, losses, methods, regularisers, rivals, scaling, targets, uncertainty
from ldlstudy.batches import Batch
from ldlstudy.methods import Lesson
from ldlstudy.regularisers import Objective


def _labelled(method: str) -> Callable[..., Objective]:
    """Cross entropy towards the label distributions of ``method``."""

    def make(lesson: Lesson, **parameters: Any) -> Objective:
        table = methods.label(method, lesson, parameters)  # (N, K)
        return lambda network, batch: losses.soft_cross_entropy(
            network(batch.images), batch.blend(table[batch.index])
        )

    return make


def _distil(
    lesson: Lesson, temperature: float = 1.0, relabel: bool = False, combine: str = "ensemble"
) -> Objective:
    """Cross entropy towards the teachers' probabilities alone ([Re] Figure 8, LDL eqs. 6 and 8).

    LDL's offline label distributions are those of the images as they are, fixed once (and blended
    like the images, where these are mixed); with ``relabel`` teachers label what the student sees,
    which is LDL's online learning where that is mixed. Several teachers are one ``ensemble``, their
    mean probability (LDL's En), or each has a cross entropy of its own (LDL's MT), of which the
    ``sum`` or the ``mean`` counts. The latter is the ensemble's loss, the former T times that.
    """
    checks.one_of("combination of teachers", combine, COMBINATIONS)
    scaling.scale(torch.zeros(1, lesson.classes), temperature)  # checks it
    each = _teachers(lesson, relabel)

    def loss(network: Any, batch: Batch) -> Tensor:
        student = network(batch.images)
        labels = torch.stack([scaling.scale(z.float(), temperature) for z in each(batch)])
        if combine == "ensemble":
            labels = labels.mean(0, keepdim=True)
        terms = [
            losses.soft_cross_entropy(student, label if relabel else batch.blend(label))
            for label in labels
        ]
        total = torch.stack(terms).sum()
        return total / len(terms) if combine == "mean" else total

    return loss


def _kd(
    lesson: Lesson, weight: float, temperature: float, square: bool = True, relabel: bool = False
) -> Objective:
    """Knowledge distillation as LDL and Hinton et al. have it; on mixed images with ``relabel``."""
    plain = _taught(
        lesson, relabel, lambda s, t, y: losses.kd(s, t, y, weight, temperature, square)
    )
    teacher, hard = _teacher(lesson, relabel), targets.one_hot(lesson.labels, lesson.classes)

    def loss(network: Any, batch: Batch) -> Tensor:
        if batch.mixed is None:
            return plain(network, batch)
        student = network(batch.images)
        mixed = losses.soft_cross_entropy(student, batch.blend(hard[batch.index]))
        soft = losses.kd(student, teacher(batch), batch.labels, 1.0, temperature, square)
        return (1 - weight) * mixed + weight * soft

    return loss


def _kd_printed(
    lesson: Lesson, weight: float, temperature: float = 1.0, relabel: bool = False
) -> Objective:
    """Distillation by [Re] eq. 2."""
    return _taught(
        lesson, relabel, lambda s, t, y: losses.kd_replication(s, t, y, weight, temperature)
    )


def _kd_coded(
    lesson: Lesson,
    weight: float,
    temperature: float = 1.0,
    compare: str = "logits",
    relabel: bool = False,
) -> Objective:
    """Distillation by half the mean squared error, as [Re] section 6.1 and its code have it."""
    return _taught(
        lesson, relabel, lambda s, t, y: losses.kd_mse(s, t, y, weight, temperature, compare)
    )


def _kd_cs_kd(
    lesson: Lesson,
    weight: float,
    temperature: float,
    class_weight: float,
    class_temperature: float,
    partner: str = "train",
    relabel: bool = False,
) -> Objective:
    """Distillation, and CS-KD's term on top (CS-KD Table 4)."""
    checks.in_range("class_weight", class_weight, 0)
    checks.in_range("class_temperature", class_temperature, 0, losses.HOTTEST, open_low=True)
    teaching = _kd(lesson, weight, temperature, relabel=relabel)
    term = regularisers.class_wise(class_temperature, class_weight, partner)

    def loss(network: Any, batch: Batch) -> Tensor:
        logits = network(batch.images)
        return teaching(lambda _: logits, batch) + term(network, logits, batch.others[0])

    return loss


def _taught(lesson: Lesson, relabel: bool, loss: Callable[..., Tensor]) -> Objective:
    """``loss`` of the student's logits, the teacher's and the labels."""
    teacher = _teacher(lesson, relabel)
    nothing = torch.zeros(1, lesson.classes)
    loss(nothing, nothing, torch.zeros(1, dtype=torch.int64))  # checks its settings before training
    return lambda network, batch: loss(network(batch.images), teacher(batch), batch.labels)


def _teachers(lesson: Lesson, relabel: bool) -> Callable[[Batch], Tensor]:
    """The logits (T, B, K) of every teacher, as `_teacher` has those of their mean probability."""
    each, teach = lesson.each, lesson.teach_each
    if each is None or teach is None:
        one = _teacher(lesson, relabel)
        return lambda batch: one(batch)[None]
    if relabel:
        return lambda batch: teach(batch.images)
    return lambda batch: each[:, batch.index]


class _Overfitting:
    """Cross entropy with the overfitting-to-generalisation ratio of the classes (LDL section 6)."""

    def __init__(
        self, lesson: Lesson, gap: int = uncertainty.GAP, form: str = "loss", alpha: float = 0.1
    ) -> None:
        self.gap, self.form = checks.whole("gap", gap, 1), checks.one_of("form", form, FORMS)
        self.alpha = checks.in_range("alpha", alpha, 0, 1)
        self.hard = targets.one_hot(lesson.labels, lesson.classes)
        self.ratio: Tensor | None = None

    def heed(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Take the ratio from the history; before epoch ``gap`` + 1 there is none."""
        if len(history) > self.gap:
            parts = ("train_class_loss", "held_class_loss")
            seen, held = ([epoch[part] for epoch in history] for part in parts)
            self.ratio = uncertainty.overfitting(seen, held, self.gap).to(self.hard)

    def __call__(self, network: Any, batch: Batch) -> Tensor:
        logits, hard = network(batch.images), self.hard[batch.index]
        if self.ratio is None:
            return losses.cross_entropy(logits, batch.labels)
        if self.form == "loss":
            weights = self.ratio / self.ratio.mean().clamp_min(1e-12)
            return losses.soft_cross_entropy(logits, hard, weights[batch.labels])
        moved = self.alpha * (self.ratio / self.ratio.max().clamp_min(1e-12))[batch.labels, None]
        label = hard * (1 - moved) + (1 - hard) * moved / (hard.shape[1] - 1)
        return losses.soft_cross_entropy(logits, label)


def _teacher(lesson: Lesson, relabel: bool) -> Callable[[Batch], Tensor]:
    """The teacher's logits of a batch: fixed once, or with ``relabel`` of each augmented view."""
    table, teach = lesson.logits, lesson.teach
    if table is None or teach is None:
        raise ValueError("this method needs a teacher, the run names none")
    if relabel:
        return lambda batch: teach(batch.images)
    return lambda batch: table[batch.index]


PLAIN = ("none", "ls", "ls_wrong", "similarity", "truth")  # label distributions without a teacher
COMBINATIONS = ("ensemble", "mean", "sum")  # of several teachers
FORMS = ("label", "loss")  # of the overfitting-to-generalisation ratio

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    **{name: _labelled(name) for name in (*PLAIN, "ils1", "ils2", "ils", "beta")},
    "distil": _distil,
    "kd": _kd,
    "kd_printed": _kd_printed,
    "kd_coded": _kd_coded,
    "kd_cs_kd": _kd_cs_kd,
}
TAUGHT = frozenset(OBJECTIVES | rivals.OBJECTIVES) - set(PLAIN)  # methods that need a teacher
OBJECTIVES |= regularisers.OBJECTIVES | rivals.OBJECTIVES | {"ogr": _Overfitting}
LABELLED = frozenset({*PLAIN, "ils1", "ils2", "ils", "beta", "distil"})  # cross entropies, no more
HEEDFUL = frozenset({"ogr"})  # methods that look at the losses of the classes while they train
MIXED = frozenset({*PLAIN, "distil", "kd"})  # methods that take a `mixing`
# images that a batch brings along
OTHERS = {**regularisers.OTHERS, **rivals.OTHERS, "kd_cs_kd": ("partner",)}


def make(method: str, lesson: Lesson, parameters: Mapping[str, Any]) -> Objective:
    """The objective of ``method`` on one training set.

    Raises
    ------
    ValueError
        An unknown method (the known ones are listed), a parameter or a mixing that it does not
        take, a parameter out of range, or a teacher it lacks.
    """
    checks.one_of("method", method, OBJECTIVES)
    if "mixing" in parameters:
        checks.one_of("method that takes a mixing", method, MIXED)
        if method == "kd" and not parameters.get("relabel"):
            raise ValueError("kd on mixed images needs `relabel`: a teacher that sees them")
    own = {name: value for name, value in parameters.items() if name != "mixing"}
    try:
        return OBJECTIVES[method](lesson, **own)
    except TypeError as error:
        raise ValueError(f"method {method!r} with {dict(parameters)}: {error}") from error
