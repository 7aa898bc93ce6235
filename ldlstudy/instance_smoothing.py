"""Instance-based label smoothing: how much to smooth each sample, and towards which classes.

Standard label smoothing treats every sample and every wrong class alike. ILS asks a teacher, a
network of the same architecture trained on hard labels: its probability of the true class sets how
much to smooth (ILS1), its probabilities of the wrong classes how to share that out (ILS2), and ILS
does both. `ldlstudy.targets` offers these functions beside the other label strategies.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy import checks

FINITE = torch.finfo(torch.float64).max


def with_teacher(labels: Tensor, teacher: Tensor, name: str = "teacher") -> tuple[Tensor, Tensor]:
    """Return checked labels (N,) and teacher probabilities (N, K), N of both equal."""
    checks.distributions(teacher.detach(), name)
    y = checks.labels(labels, teacher.shape[1]).to(teacher.device)
    if len(y) != len(teacher):
        raise ValueError(
            f"labels and {name} must have as many rows, got {len(y)} and {len(teacher)}"
        )
    return y, teacher


def true_class(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return each row's probability of its true class, shape (N,)."""
    return probabilities.gather(1, labels[:, None])[:, 0]


def _uniform(labels: Tensor, classes: int, epsilon: Tensor) -> Tensor:
    """Label smoothing with a factor for each row: y (1 - e) + e / K."""
    hard = F.one_hot(labels, classes).to(epsilon.dtype)
    return hard * (1 - epsilon)[:, None] + epsilon[:, None] / classes


def _by_teacher(labels: Tensor, teacher: Tensor, epsilon: Tensor) -> Tensor:
    """ILS eq. 4 with a factor for each row."""
    wrong = teacher.scatter(1, labels[:, None], 0.0)
    total = wrong.sum(1, keepdim=True)  # 1 - p_t without its cancellation near p_t = 1
    even = torch.full_like(wrong, 1 / (teacher.shape[1] - 1))
    share = torch.where(total > 0, wrong / total, even)
    return (epsilon[:, None] * share).scatter(1, labels[:, None], (1 - epsilon)[:, None])


def quadratic_factor(p_true: Tensor, p1: float, p2: float, cap: float = 0.2) -> Tensor:
    """Return the smoothing factor min(cap, p2 (p_true - p1)^2) of ILS1 (ILS eq. 3).

    Parameters
    ----------
    p_true : Tensor
        The teacher's probability of the true class, any shape.
    p1 : float
        Where the parabola touches zero, in [0, 1]. (The paper's text gives the ranges of P1 and P2
        the wrong way round.)
    p2 : float
        Steepness, at least 0.
    cap : float
        Largest factor, in [0, 1].

    Returns
    -------
    Tensor
        The shape of ``p_true``.
    """
    checks.in_range("p1", p1, 0, 1)
    checks.in_range("p2", p2, 0, FINITE)
    return (p2 * (p_true - p1).square()).clamp(max=checks.in_range("cap", cap, 0, 1))


def sinusoidal_factor(p_true: Tensor, p1: float, p2: float) -> Tensor:
    """Return the smoothing factor 0.1 (sin(p2 (p_true - p1)) + 1), in [0, 0.2] (ILS section IV-A).

    Parameters
    ----------
    p_true : Tensor
        The teacher's probability of the true class, any shape.
    p1, p2 : float
        Shift and angular frequency (radians), finite.

    Returns
    -------
    Tensor
        The shape of ``p_true``.
    """
    checks.in_range("p1", p1, -FINITE, FINITE)
    checks.in_range("p2", p2, -FINITE, FINITE)
    return 0.1 * (torch.sin(p2 * (p_true - p1)) + 1)


def ils1(labels: Tensor, teacher: Tensor, p1: float, p2: float, cap: float = 0.2) -> Tensor:
    """Return ILS1: label smoothing whose factor depends on the teacher's true-class probability.

    Parameters
    ----------
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    teacher : Tensor
        Shape (N, K), probabilities of a teacher trained without smoothing, at its fitted
        temperature.
    p1, p2, cap : float
        As in `quadratic_factor` (ILS eq. 3).

    Returns
    -------
    Tensor
        Shape (N, K).
    """
    y, teacher = with_teacher(labels, teacher)
    factor = quadratic_factor(true_class(teacher, y), p1, p2, cap)
    return _uniform(y, teacher.shape[1], factor)


def sinusoidal(labels: Tensor, teacher: Tensor, p1: float, p2: float) -> Tensor:
    """Return ILS1 with the factor of `sinusoidal_factor` in place of the parabola.

    Parameters
    ----------
    labels, teacher
        As in `ils1`.
    p1, p2 : float
        As in `sinusoidal_factor`.

    Returns
    -------
    Tensor
        Shape (N, K).
    """
    y, teacher = with_teacher(labels, teacher)
    factor = sinusoidal_factor(true_class(teacher, y), p1, p2)
    return _uniform(y, teacher.shape[1], factor)


def ils2(labels: Tensor, teacher: Tensor, epsilon: float) -> Tensor:
    """Return ILS2: 1 - epsilon for the true class, epsilon shared as the teacher sees the others.

    A wrong class j gets epsilon p_j / (1 - p_t) (ILS eq. 4). Where the teacher is certain of the
    true class (0 / 0) the wrong classes share epsilon evenly.

    Parameters
    ----------
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    teacher : Tensor
        Shape (N, K), the teacher's probabilities at the temperature of the grid.
    epsilon : float
        Smoothing factor in [0, 1].

    Returns
    -------
    Tensor
        Shape (N, K).
    """
    y, teacher = with_teacher(labels, teacher)
    checks.in_range("epsilon", epsilon, 0, 1)
    return _by_teacher(y, teacher, teacher.new_full((len(y),), epsilon))


def ils(
    labels: Tensor,
    teacher: Tensor,
    p1: float,
    p2: float,
    cap: float = 0.2,
    *,
    magnitude: Tensor | None = None,
) -> Tensor:
    """Return ILS: the distribution of ILS2 with the smoothing factor of ILS1 (ILS section IV-C).

    Parameters
    ----------
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    teacher : Tensor
        Shape (N, K), the teacher's probabilities at the temperature of the grid, whose ratios
        among the wrong classes are kept.
    p1, p2, cap : float
        As in `quadratic_factor` (ILS eq. 3).
    magnitude : Tensor, optional
        Shape (N, K), the teacher's probabilities at its fitted temperature, from which the
        true-class probability in the factor is taken; ``teacher`` itself by default. The paper
        leaves open which of the two it uses.

    Returns
    -------
    Tensor
        Shape (N, K).
    """
    y, teacher = with_teacher(labels, teacher)
    if magnitude is None:
        magnitude = teacher
    elif magnitude.shape != teacher.shape:
        raise ValueError(
            "magnitude and teacher must have the same shape, "
            f"got {tuple(magnitude.shape)} and {tuple(teacher.shape)}"
        )
    _, magnitude = with_teacher(labels, magnitude, "magnitude")
    factor = quadratic_factor(true_class(magnitude, y), p1, p2, cap).to(teacher)
    return _by_teacher(y, teacher, factor)
