"""How well each class is recognised, and how surely (LDL Figures 4 and 5).

One accuracy and one calibration error hide the classes behind them. Here every class has its F1
score, which falls with images of it that are missed and with others taken for it, and the mean
probability that its images give it. Of the class recognised best, the mean of all predictions for
its images shows which other classes a method leaves room for.
"""

from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.checks import ArrayLike
from ldlstudy.records import PICTURED_DIGITS, rounded

SHOWN = 10  # classes of Figure 5


def f1(probabilities: ArrayLike, labels: ArrayLike) -> Tensor:
    """Return the F1 score of each class, of the most probable class as the prediction.

    Parameters
    ----------
    probabilities : Tensor or ndarray
        Shape (N, K), rows sum to 1, N at least 1.
    labels : Tensor or ndarray
        Shape (N,), whole numbers in [0, K).

    Returns
    -------
    Tensor
        Shape (K,), float64, in [0, 1]: the harmonic mean of precision and recall, 0 for a class
        that is neither predicted nor there.

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    p, y = checks.paired(probabilities, labels)
    predicted, classes = p.argmax(1), p.shape[1]
    right = torch.bincount(y[predicted == y], minlength=classes)
    either = torch.bincount(predicted, minlength=classes) + torch.bincount(y, minlength=classes)
    return 2 * right.double() / either.clamp_min(1)


def mean_predictions(probabilities: ArrayLike, labels: ArrayLike) -> Tensor:
    """Return the mean prediction for the samples of each true class.

    Parameters
    ----------
    probabilities, labels
        As in `f1`.

    Returns
    -------
    Tensor
        Shape (K, K), float64: row k is a distribution, its entry k the mean confidence in the true
        class (LDL Figure 4). A class without a sample has a row of NaN.

    Raises
    ------
    ValueError
        As `f1`.
    """
    p, y = checks.paired(probabilities, labels)
    classes = p.shape[1]
    total = torch.zeros(classes, classes, dtype=torch.float64, device=p.device)
    total.index_add_(0, y, p.double())
    return total / torch.bincount(y, minlength=classes)[:, None]


def kept(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, Any]:
    """Return what a record keeps for Figures 4 and 5.

    Parameters
    ----------
    probabilities, labels
        As in `f1`.

    Returns
    -------
    dict
        ``f1`` and ``confidence``, lists of K, the latter None for a class without a sample; and
        ``best``, of the class with the highest F1 score (the first of equal ones): ``class``,
        ``f1``, and the ``classes`` of its ten highest mean ``probabilities``, all classes where
        there are fewer.
    """
    scores, means = f1(probabilities, labels), mean_predictions(probabilities, labels)
    confidence = means.diagonal()
    there = ~confidence.isnan()
    best = int(scores.masked_fill(~there, -1).argmax())
    highest = means[best].topk(min(SHOWN, len(scores)))
    content = {
        "f1": scores.tolist(),
        "confidence": [c if t else None for c, t in zip(confidence.tolist(), there, strict=True)],
        "best": {
            "class": best,
            "f1": float(scores[best]),
            "classes": highest.indices.tolist(),
            "probabilities": highest.values.tolist(),
        },
    }
    figure: dict[str, Any] = rounded(content, PICTURED_DIGITS)
    return figure
