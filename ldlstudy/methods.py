"""Named methods: which label distribution each sample of a training set is taught.

A method looks at one replicate's training set, what its teacher says of it, and the values of its
parameters, and returns the targets to train on. Values to choose from on held-out data are lists;
:func:`candidates` makes every combination.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ldlstudy import checks, scaling, targets

EPSILONS = (0.001, 0.005, *(round(0.01 + 0.02 * i, 2) for i in range(10)))  # ILS appendix A-C
P1 = (0.75, 0.775, 0.8, 0.825, 0.85)
P2 = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
TEMPERATURES = (1.0, 2.0, 4.0, 6.0)


class Lesson(NamedTuple):
    """One replicate's training set, as a method sees it.

    ``inputs`` (N, F), ``labels`` (N,); ``logits`` (N, K) of the teacher and the ``temperature``
    fitted to them on held-out data; ``epsilon``, the factor that label smoothing chose;
    ``seed`` for methods that draw; ``teach``, from augmented images to the teacher's logits, and
    ``features``, to its logits and features. Where there are several teachers, there are no
    features, ``logits`` and ``teach`` are of their mean probability, and ``each`` (T, N, K) and
    ``teach_each`` of every one. ``truth`` (N, K) is p(y|x) where it is known.
    """

    inputs: Tensor
    labels: Tensor
    classes: int
    seed: int
    logits: Tensor | None = None
    temperature: float = 1.0
    epsilon: float = 0.0
    teach: Callable[[Tensor], Tensor] | None = None
    features: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    each: Tensor | None = None
    teach_each: Callable[[Tensor], Tensor] | None = None
    truth: Tensor | None = None

    def teacher(self, temperature: float | None = None) -> Tensor:
        """The teacher's probabilities, at its fitted temperature unless another is given."""
        if self.logits is None:
            raise ValueError("this method needs a teacher, the run names none")
        return scaling.scale(self.logits, self.temperature if temperature is None else temperature)


def _none(s: Lesson) -> Tensor:
    return targets.one_hot(s.labels, s.classes)


def _ls(s: Lesson, epsilon: float) -> Tensor:
    return targets.smooth(s.labels, s.classes, epsilon)


def _ls_wrong(s: Lesson, alpha: float) -> Tensor:
    return targets.smooth_wrong(s.labels, s.classes, alpha)


def _truth(s: Lesson) -> Tensor:
    if s.truth is None:
        raise ValueError("the true label distribution of this data set is not known")
    return s.truth


def _ils1(s: Lesson, p1: float, p2: float) -> Tensor:
    return targets.ils1(s.labels, s.teacher(), p1, p2)


def _ils2(s: Lesson, epsilon: float, teacher_temperature: float) -> Tensor:
    return targets.ils2(s.labels, s.teacher(teacher_temperature), epsilon)


def _ils(
    s: Lesson, p1: float, p2: float, teacher_temperature: float, magnitude: str = "fitted"
) -> Tensor:
    """``magnitude``: at which temperature the teacher sets the factor, fitted or the grid's."""
    checks.one_of("magnitude", magnitude, ["fitted", "grid"])
    by_grid = s.teacher(teacher_temperature)
    strength = s.teacher() if magnitude == "fitted" else by_grid
    return targets.ils(s.labels, by_grid, p1, p2, magnitude=strength)


def _sinusoidal(s: Lesson, p1: float, p2: float) -> Tensor:
    return targets.sinusoidal(s.labels, s.teacher(), p1, p2)


def _similarity(s: Lesson, epsilon: float) -> Tensor:
    return targets.class_similarity(s.inputs, s.labels, s.classes, epsilon)


def _beta(s: Lesson) -> Tensor:
    generator = torch.Generator().manual_seed(s.seed)
    return targets.beta(s.labels, s.classes, s.epsilon, teacher=s.teacher(), generator=generator)


def _distil(s: Lesson) -> Tensor:
    return s.teacher(1.0)


METHODS: dict[str, Callable[..., Tensor]] = {
    "none": _none,
    "ls": _ls,
    "ls_wrong": _ls_wrong,
    "truth": _truth,
    "ils1": _ils1,
    "ils2": _ils2,
    "ils": _ils,
    "sinusoidal": _sinusoidal,
    "similarity": _similarity,
    "bootstrap": _none,  # its target follows the network: ldlstudy.mlp.backward
    "beta": _beta,
    "distil": _distil,
}


def label(method: str, lesson: Lesson, parameters: Mapping[str, Any]) -> Tensor:
    """Targets (N, K) of ``method`` for one training set.

    Raises
    ------
    ValueError
        An unknown method (the known ones are listed), a parameter it does not take or out of
        range, or a teacher it lacks.
    """
    checks.one_of("method", method, METHODS)
    try:
        return METHODS[method](lesson, **parameters)
    except TypeError as error:
        raise ValueError(f"method {method!r} with {dict(parameters)}: {error}") from error


def candidates(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the values of list-valued parameters; single values stay as they are.

    Raises
    ------
    ValueError
        A list without values.
    """
    names = list(parameters)
    for name, values in parameters.items():
        if isinstance(values, list | tuple) and not values:
            raise ValueError(f"parameter {name!r} is a list without values to choose from")
    grid = [v if isinstance(v, list | tuple) else [v] for v in parameters.values()]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*grid)]
