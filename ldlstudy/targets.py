"""Label strategies: from labels, and perhaps a teacher's probabilities, to label distributions.

A classifier is usually trained towards the one-hot vector of the true class. Each function here
returns a softer distribution to train towards instead. All are pure functions from labels of shape
(N,) to probabilities of shape (N, K) whose rows sum to 1; N may be 0. Without a teacher the result
has torch's default dtype, with one it has the teacher's. Out-of-range arguments raise ValueError.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy import checks
from ldlstudy.instance_smoothing import (
    ils,
    ils1,
    ils2,
    quadratic_factor,
    sinusoidal,
    sinusoidal_factor,
    true_class,
    with_teacher,
)

__all__ = [
    "beta",
    "bootstrap",
    "class_similarity",
    "ils",
    "ils1",
    "ils2",
    "one_hot",
    "quadratic_factor",
    "sinusoidal",
    "sinusoidal_factor",
    "smooth",
    "smooth_wrong",
]


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return the hard targets: 1 for the true class.

    Parameters
    ----------
    labels : Tensor
        Shape (N,), whole numbers in [0, classes).
    classes : int
        Number of classes K, at least 2.

    Returns
    -------
    Tensor
        Shape (N, K).
    """
    y = checks.labels(labels, checks.whole("classes", classes, 2))
    return F.one_hot(y, classes).to(torch.get_default_dtype())


def smooth(labels: Tensor, classes: int, epsilon: float) -> Tensor:
    """Return standard label smoothing, y (1 - epsilon) + epsilon / K (ILS section II-A).

    The true class gets its share of epsilon too, as in torch's ``label_smoothing``.

    Parameters
    ----------
    labels, classes
        As in `one_hot`.
    epsilon : float
        Smoothing factor in [0, 1].

    Returns
    -------
    Tensor
        Shape (N, K).
    """
    checks.in_range("epsilon", epsilon, 0, 1)
    return one_hot(labels, classes) * (1 - epsilon) + epsilon / classes


def smooth_wrong(labels: Tensor, classes: int, alpha: float) -> Tensor:
    """Return label smoothing over the wrong classes alone, alpha / (K - 1) each (LDL eq. 2).

    Equals `smooth` with epsilon = alpha K / (K - 1) where that is at most 1.

    Parameters
    ----------
    labels, classes
        As in `one_hot`.
    alpha : float
        Probability moved off the true class, in [0, 1].

    Returns
    -------
    Tensor
        Shape (N, K).
    """
    checks.in_range("alpha", alpha, 0, 1)
    hard = one_hot(labels, classes)
    return hard * (1 - alpha) + (1 - hard) * alpha / (classes - 1)


def class_similarity(features: Tensor, labels: Tensor, classes: int, epsilon: float) -> Tensor:
    """Return class-based smoothing: classes nearer to the true one get more of epsilon.

    After Liu & JaJa, "Class-similarity based label smoothing for confidence calibration", with
    ILS section VI's Euclidean distance. Neither text at hand prints the step from distances to
    weights; here a wrong class j weighs exp(-d_j) / sum exp(-d), the softmax of the negative
    distances between class means. Its sharpness follows the scale of the features. (The ILS
    authors' code gives *more* to dissimilar classes; that is not copied.)

    Parameters
    ----------
    features : Tensor
        Shape (N, D), floating point and finite: raw inputs or an encoding of the training set.
    labels : Tensor
        Shape (N,), whole numbers in [0, classes); each class must occur, or it has no mean.
    classes : int
        Number of classes K, at least 2.
    epsilon : float
        Smoothing factor in [0, 1]: the true class keeps 1 - epsilon.

    Returns
    -------
    Tensor
        Shape (N, K), the dtype of ``features``; rows of one class are equal.
    """
    checks.in_range("epsilon", epsilon, 0, 1)
    hard = one_hot(labels, classes).double().to(features.device)
    if features.ndim != 2 or len(features) != len(hard) or not features.is_floating_point():
        raise ValueError(
            f"features must be floating point, of shape ({len(hard)}, D), "
            f"got {features.dtype} of shape {tuple(features.shape)}"
        )
    if not torch.isfinite(features).all():
        raise ValueError("features must be finite, got NaN or infinity")
    counts = hard.sum(0)
    if not counts.all():
        absent = (counts == 0).nonzero()[:, 0].tolist()
        raise ValueError(f"each of the {classes} classes needs a sample, none of class {absent}")
    means = hard.T @ features.double() / counts[:, None]  # (K, D)
    away = -torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
    share = away.fill_diagonal_(-torch.inf).softmax(1)  # (K, K), 0 on the diagonal
    table = epsilon * share + (1 - epsilon) * torch.eye(classes).to(share)
    return (hard @ table).to(features.dtype)


def bootstrap(labels: Tensor, probabilities: Tensor, beta: float = 0.95) -> Tensor:
    """Return soft bootstrapping, BS_Soft: beta y + (1 - beta) p (Reed et al., ILS section VI).

    Parameters
    ----------
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    probabilities : Tensor
        Shape (N, K), the network's current predictions. Gradients flow through them, which is what
        makes soft bootstrapping an entropy regulariser; detach them for a fixed target.
    beta : float
        Weight of the hard label, in [0, 1]; .95 is Reed et al.'s recommendation.

    Returns
    -------
    Tensor
        Shape (N, K).
    """
    y, probabilities = with_teacher(labels, probabilities, "probabilities")
    checks.in_range("beta", beta, 0, 1)
    hard = F.one_hot(y, probabilities.shape[1]).to(probabilities.dtype)
    return beta * hard + (1 - beta) * probabilities


def beta(
    labels: Tensor,
    classes: int,
    epsilon: float,
    alpha: float = 0.4,
    *,
    teacher: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return Beta smoothing: a random smoothing factor for each sample (Zhang & Sabuncu).

    The true class of sample i gets alpha + (1 - alpha) b_i with b_i drawn from Beta(a, 1), and the
    wrong classes share the rest evenly. ILS section VI sets a so that "E[alpha + (1 - alpha) b_i] =
    epsilon_LS"; that mean is at least alpha = .4 while epsilon is at most .2, so it can only be
    meant as 1 - epsilon, the true class's mean target. Hence a = (1 - epsilon - alpha) / epsilon.

    Parameters
    ----------
    labels, classes
        As in `one_hot`.
    epsilon : float
        Mean smoothing, in [0, 1 - alpha).
    alpha : float
        Smallest target of a true class, in [0, 1).
    teacher : Tensor, optional
        Shape (N, K). Samples whose true class it finds more probable get larger targets, as in
        Zhang & Sabuncu; without it the draws fall on the samples as they come.
    generator : torch.Generator, optional
        Source of the draws; torch's global one by default.

    Returns
    -------
    Tensor
        Shape (N, K), torch's default dtype.
    """
    checks.in_range("alpha", alpha, 0, 1)
    checks.in_range("epsilon", epsilon, 0, 1)
    if not epsilon < 1 - alpha:
        raise ValueError(f"epsilon must lie in [0, {1 - alpha:g}) for alpha {alpha:g}: {epsilon!r}")
    hard = one_hot(labels, classes)
    device = generator.device if generator is not None else hard.device
    uniform = torch.rand(len(hard), generator=generator, device=device, dtype=torch.float64)
    draws = (uniform ** (epsilon / (1 - epsilon - alpha))).to(hard)  # Beta(a, 1) = U^(1/a)
    if teacher is not None:
        y, teacher = with_teacher(labels, teacher)
        if teacher.shape[1] != classes:
            raise ValueError(f"teacher must have {classes} classes, got {teacher.shape[1]}")
        order = true_class(teacher, y).argsort(stable=True).to(draws.device)
        draws = torch.empty_like(draws).index_copy(0, order, draws.sort().values)
    target = (alpha + (1 - alpha) * draws)[:, None]
    return hard * target + (1 - hard) * (1 - target) / (classes - 1)
