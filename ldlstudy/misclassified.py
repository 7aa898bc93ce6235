"""What a network says of the images it gets wrong (CS-KD Figures 1b and 2).

A regulariser may leave the errors as they are and still make them better ones: less confident, with
more probability left for the true class, nearer to the true distribution where that is known.
"""

from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, metrics
from ldlstudy.checks import ArrayLike
from ldlstudy.records import PICTURED_DIGITS, rounded

SAMPLED = 500  # test images whose best answers a record keeps
ANSWERS = 5


def wrong(probabilities: ArrayLike, labels: ArrayLike) -> Tensor:
    """Return the positions of the samples whose most probable class is not the true one.

    Parameters
    ----------
    probabilities : Tensor or ndarray
        Shape (N, K), rows sum to 1, N at least 1.
    labels : Tensor or ndarray
        Shape (N,), whole numbers in [0, K).

    Returns
    -------
    Tensor
        Ascending positions, int64.
    """
    return _wrong(*checks.paired(probabilities, labels))


def _wrong(p: Tensor, y: Tensor) -> Tensor:
    return (p.argmax(1) != y).nonzero()[:, 0]


def scores(
    probabilities: ArrayLike, labels: ArrayLike, truth: ArrayLike | None = None
) -> dict[str, float]:
    """Return means over the misclassified samples; nothing where all are right.

    Parameters
    ----------
    probabilities, labels
        As in `wrong`.
    truth : Tensor or ndarray, optional
        Shape (N, K), the exact p(y|x).

    Returns
    -------
    dict
        ``confidence_on_errors``, the mean largest probability; ``predicted_score_on_errors`` and
        ``true_score_on_errors``, the mean log-probability of the predicted and of the true class,
        in nats; with the truth ``kl_to_truth_on_errors``.
    """
    p, y = checks.paired(probabilities, labels)
    known = None if truth is None else checks.distributions(truth, "truth")
    if known is not None and known.shape != p.shape:
        raise ValueError(f"truth must have shape {tuple(p.shape)}, got {tuple(known.shape)}")
    errors = _wrong(p, y)
    if len(errors) == 0:
        return {}
    predicted, true = _log(p[errors], y[errors])
    found = {
        "confidence_on_errors": float(p[errors].amax(1).double().mean()),
        "predicted_score_on_errors": float(predicted.mean()),
        "true_score_on_errors": float(true.mean()),
    }
    if known is not None:
        found["kl_to_truth_on_errors"] = metrics.kl_to_truth(known[errors], p[errors])
    return found


def log_probabilities(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return log p of the predicted and of the true class of each misclassified sample (Figure 2).

    Parameters
    ----------
    probabilities, labels
        As in `wrong`.

    Returns
    -------
    predicted, true : Tensor
        Shape (E,), float64, in nats, in the order of `wrong`. A probability of 0 counts as the
        smallest normal number of the dtype.
    """
    p, y = checks.paired(probabilities, labels)
    errors = _wrong(p, y)
    return _log(p[errors], y[errors])


def _log(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability of the predicted and of the true class of each of some errors."""
    least = torch.finfo(p.dtype).tiny
    predicted, true = p.amax(1), p.gather(1, y[:, None])[:, 0]
    return predicted.double().clamp_min(least).log(), true.double().clamp_min(least).log()


def kept(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, list[Any]]:
    """Return what a record keeps for Figure 2: the position and scores of each error.

    Parameters
    ----------
    probabilities, labels
        As in `wrong`.

    Returns
    -------
    dict
        ``index``, ``log_predicted`` and ``log_true``, lists of E.
    """
    p, y = checks.paired(probabilities, labels)
    errors = _wrong(p, y)
    predicted, true = _log(p[errors], y[errors])
    return {
        "index": errors.tolist(),
        "log_predicted": rounded(predicted.tolist(), PICTURED_DIGITS),
        "log_true": rounded(true.tolist(), PICTURED_DIGITS),
    }


def answers(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, list[Any]]:
    """Return the five best answers to samples spread evenly over a test set, for Figure 1b.

    Parameters
    ----------
    probabilities, labels
        As in `wrong`.

    Returns
    -------
    dict
        ``index`` (S,) positions, ``labels`` (S,), ``classes`` (S, 5) and ``scores`` (S, 5), S at
        most 500; with fewer than five classes all of them.
    """
    p, y = checks.paired(probabilities, labels)
    index = torch.arange(0, len(p), -(-len(p) // SAMPLED), device=p.device)
    best = p[index].topk(min(ANSWERS, p.shape[1]), dim=1)
    return {
        "index": index.tolist(),
        "labels": y[index].tolist(),
        "classes": best.indices.tolist(),
        "scores": rounded(best.values.tolist(), PICTURED_DIGITS),
    }
