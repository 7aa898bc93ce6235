"""What a training step of each image method minimises.

An objective is a function of a network and a batch; :func:`make` builds it once for a training set.
Methods that only change the label are those of :mod:`ldlstudy.methods`: their label distributions
are computed once, for every image, and looked up by the image's index. Methods in which the network
is its own teacher, or its head is another, are those of :mod:`ldlstudy.regularisers`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, losses, methods, regularisers, scaling
from ldlstudy.batches import Batch
from ldlstudy.methods import Lesson
from ldlstudy.regularisers import Objective


def _labelled(method: str) -> Callable[..., Objective]:
    """Cross entropy towards the label distributions of ``method``."""

    def make(lesson: Lesson, **parameters: Any) -> Objective:
        table = methods.label(method, lesson, parameters)  # (N, K)
        return lambda network, batch: losses.soft_cross_entropy(
            network(batch.images), table[batch.index]
        )

    return make


def _distil(lesson: Lesson, temperature: float = 1.0, relabel: bool = False) -> Objective:
    """Cross entropy towards the teacher's probabilities alone (LDL's Off-LDL, [Re] Figure 8)."""
    return _taught(
        lesson,
        relabel,
        lambda s, t, _: losses.soft_cross_entropy(s, scaling.scale(t.float(), temperature)),
    )


def _kd(
    lesson: Lesson, weight: float, temperature: float, square: bool = True, relabel: bool = False
) -> Objective:
    """Knowledge distillation as LDL and Hinton et al. have it."""
    return _taught(lesson, relabel, lambda s, t, y: losses.kd(s, t, y, weight, temperature, square))


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


def _teacher(lesson: Lesson, relabel: bool) -> Callable[[Batch], Tensor]:
    """The teacher's logits of a batch: fixed once, or with ``relabel`` of each augmented view."""
    table, teach = lesson.logits, lesson.teach
    if table is None or teach is None:
        raise ValueError("this method needs a teacher, the run names none")
    if relabel:
        return lambda batch: teach(batch.images)
    return lambda batch: table[batch.index]


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    **{name: _labelled(name) for name in ("none", "ls", "ils1", "ils2", "ils", "beta")},
    "distil": _distil,
    "kd": _kd,
    "kd_printed": _kd_printed,
    "kd_coded": _kd_coded,
    "kd_cs_kd": _kd_cs_kd,
}
TAUGHT = frozenset(OBJECTIVES) - {"none", "ls"}  # methods that need a teacher
OBJECTIVES |= regularisers.OBJECTIVES
OTHERS = {**regularisers.OTHERS, "kd_cs_kd": ("partner",)}  # images that a batch brings along


def make(method: str, lesson: Lesson, parameters: Mapping[str, Any]) -> Objective:
    """The objective of ``method`` on one training set.

    Raises
    ------
    ValueError
        An unknown method (the known ones are listed), a parameter it does not take or out of
        range, or a teacher it lacks.
    """
    checks.one_of("method", method, OBJECTIVES)
    try:
        return OBJECTIVES[method](lesson, **parameters)
    except TypeError as error:
        raise ValueError(f"method {method!r} with {dict(parameters)}: {error}") from error
