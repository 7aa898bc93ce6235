"""Scores: from predicted probabilities (or features) and true labels to one Python float.

Every function takes torch tensors or numpy arrays and adds up in float64. Accuracy asks whether the
best guess is right, NLL and Brier score the whole distribution, the errors of
`ldlstudy.calibration` ask whether probabilities mean what they say, `ldlstudy.retrieval` scores
features, and KL divergence and total variation compare with the truth where it is known. Bad
arguments raise ValueError.
"""

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.calibration import (
    Reliability,
    class_conditional_ece,
    classwise_ece,
    ece,
    reliability,
    uce,
)
from ldlstudy.checks import ArrayLike
from ldlstudy.retrieval import recall_at_1

__all__ = [
    "Reliability",
    "accuracy",
    "brier",
    "class_conditional_ece",
    "classwise_ece",
    "ece",
    "kl_to_truth",
    "nll",
    "recall_at_1",
    "reliability",
    "smoothness",
    "top_label_brier",
    "topk_accuracy",
    "total_variation",
    "uce",
]


def _log(p: Tensor) -> Tensor:
    """Return log p in float64, a zero counted as the smallest normal number of p's dtype."""
    return p.double().clamp_min(torch.finfo(p.dtype).tiny).log()


def accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the fraction of samples whose most probable class is the true one.

    Of equally probable classes the first counts as the prediction.

    Parameters
    ----------
    probabilities : Tensor or ndarray
        Shape (N, K), rows sum to 1, N at least 1.
    labels : Tensor or ndarray
        Shape (N,), whole numbers in [0, K).

    Returns
    -------
    float
        In [0, 1].
    """
    p, y = checks.paired(probabilities, labels)
    return float((p.argmax(1) == y).double().mean())


def topk_accuracy(probabilities: ArrayLike, labels: ArrayLike, k: int = 5) -> float:
    """Return the fraction of samples whose true class is among the k most probable.

    Equally probable classes are ranked by their index, as in `accuracy`.

    Parameters
    ----------
    probabilities, labels
        As in `accuracy`.
    k : int
        From 1 to the number of classes.

    Returns
    -------
    float
        In [0, 1].
    """
    p, y = checks.paired(probabilities, labels)
    checks.in_range("k", checks.whole("k", k, 1), 1, p.shape[1])
    true = p.gather(1, y[:, None])
    earlier = torch.arange(p.shape[1], device=p.device) < y[:, None]
    rank = ((p > true) | ((p == true) & earlier)).sum(1)
    return float((rank < k).double().mean())


def nll(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the negative log-likelihood (cross entropy) in nats, the mean over samples.

    A true class of probability 0 counts as the smallest normal number of the dtype (87.3 nats in
    float32), so the score stays finite.

    Parameters
    ----------
    probabilities, labels
        As in `accuracy`.

    Returns
    -------
    float
        At least 0 up to rounding.
    """
    p, y = checks.paired(probabilities, labels)
    return float(-_log(p.gather(1, y[:, None])).mean())


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the Brier score summed over classes, mean of sum_k (p_k - y_k)^2.

    Parameters
    ----------
    probabilities, labels
        As in `accuracy`.

    Returns
    -------
    float
        In [0, 2].
    """
    p, y = checks.paired(probabilities, labels)
    hard = torch.nn.functional.one_hot(y, p.shape[1])
    return float((p.double() - hard).square().sum(1).mean())


def top_label_brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the Brier score of the confidence, mean of (max p - correct)^2, as LDL Table 7 prints.

    Parameters
    ----------
    probabilities, labels
        As in `accuracy`.

    Returns
    -------
    float
        In [0, 1].
    """
    p, y = checks.paired(probabilities, labels)
    correct = (p.argmax(1) == y).double()
    return float((p.amax(1).double() - correct).square().mean())


def smoothness(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return a teacher's smoothness index, gamma = E[sum_k (1 - y_k) p_k K / (K - 1)] ([Re] eq. 3).

    0 for a one-hot teacher, 1 for a uniform one, epsilon for targets smoothed by epsilon / K.

    Parameters
    ----------
    probabilities, labels
        As in `accuracy`, over the training set in the paper.

    Returns
    -------
    float
        In [0, K / (K - 1)].
    """
    p, y = checks.paired(probabilities, labels)
    wrong = p.double().scatter(1, y[:, None], 0.0).sum(1).mean()
    return float(wrong * p.shape[1] / (p.shape[1] - 1))


def _with_truth(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Tensor, Tensor]:
    t, p = checks.distributions(truth, "truth"), checks.distributions(probabilities)
    if t.shape != p.shape or len(p) == 0:
        raise ValueError(
            "truth and probabilities must have the same shape with at least one row, "
            f"got {tuple(t.shape)} and {tuple(p.shape)}"
        )
    return t.to(p.device), p


def kl_to_truth(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the Kullback-Leibler divergence KL(truth || probabilities) in nats, mean over samples.

    A predicted 0 where the truth is above 0 counts as in `nll`, so the result stays finite.

    Parameters
    ----------
    truth, probabilities : Tensor or ndarray
        Shape (N, K), rows sum to 1, N at least 1.

    Returns
    -------
    float
        At least 0 up to rounding.
    """
    t, p = _with_truth(truth, probabilities)
    return float((t.double() * (_log(t) - _log(p))).sum(1).mean())


def total_variation(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the total variation distance: half the sum of ``|t - p|``, mean over samples.

    Parameters
    ----------
    truth, probabilities
        As in `kl_to_truth`.

    Returns
    -------
    float
        In [0, 1].
    """
    t, p = _with_truth(truth, probabilities)
    return float((t.double() - p.double()).abs().sum(1).mean() / 2)
