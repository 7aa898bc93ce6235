"""Binned calibration errors: what is predicted with probability p should happen p of the time.

Samples are sorted into equal-width bins of a predicted value in [0, 1]; within each bin the mean
prediction is compared with what happened. The papers differ in what they bin and in which bin a
value on an edge falls (``edges``): "right" means bins (lo, hi] with the first closed, as in LDL and
ILS; "left" means [lo, hi) with 1.0 in the last, as in [Re]. The default of 15 bins is that of ILS
and [Re]; LDL uses 10 and CS-KD 20. Edges are rounded to the dtype of the probabilities, so that a
float32 0.2 lies on the edge 3/15. Read these as ``ldlstudy.metrics.ece`` and so on.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.checks import ArrayLike

EDGES = {"right": False, "left": True}  # torch.bucketize's `right`, which names the other side


def _bin(values: Tensor, bins: int, edges: str) -> Tensor:
    """Return the bin of each value in [0, 1], a long tensor in [0, bins)."""
    checks.whole("bins", bins, 1)
    checks.one_of("edges", edges, EDGES)
    inner = torch.arange(1, bins, device=values.device, dtype=torch.float64) / bins
    inner = inner.to(values.dtype).double()
    return torch.bucketize(values.double().contiguous(), inner, right=EDGES[edges])


def _gaps(cell: Tensor, cells: int, predicted: Tensor, happened: Tensor) -> Tensor:
    """Return |sum of happened - sum of predicted| by cell: count times the cell's error."""
    return torch.bincount(cell, happened - predicted.double(), minlength=cells).abs()


def _confidence(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest probability of each row and whether its (first) class is the true one."""
    top = p.argmax(1)
    return p.gather(1, top[:, None])[:, 0], (top == y).double()


@dataclass(frozen=True, eq=False)
class Reliability:
    """The bins behind an ECE; each field a float64 or integer array of shape (bins,)."""

    lower: np.ndarray
    """Lower edge of the bin."""
    count: np.ndarray
    """Number of samples in the bin."""
    accuracy: np.ndarray
    """Fraction of them predicted correctly; NaN in an empty bin."""
    confidence: np.ndarray
    """Their mean largest probability; NaN in an empty bin."""


def reliability(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> Reliability:
    """Return the reliability diagram: accuracy and confidence in bins of the confidence.

    Parameters
    ----------
    probabilities : Tensor or ndarray
        Shape (N, K), rows sum to 1, N at least 1.
    labels : Tensor or ndarray
        Shape (N,), whole numbers in [0, K).
    bins : int
        Number of bins, at least 1.
    edges : {"right", "left"}
        Which edge belongs to a bin, see the module's head.

    Returns
    -------
    Reliability
        The bins in ascending order.

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    p, y = checks.paired(probabilities, labels)
    confidence, correct = _confidence(p, y)
    cell = _bin(confidence, bins, edges)
    count = torch.bincount(cell, minlength=bins)
    hits = torch.bincount(cell, correct, minlength=bins)
    total = torch.bincount(cell, confidence.double(), minlength=bins)
    return Reliability(
        lower=np.arange(bins) / bins,
        count=count.cpu().numpy(),
        accuracy=(hits / count).cpu().numpy(),
        confidence=(total / count).cpu().numpy(),
    )


def ece(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right") -> float:
    """Return the expected calibration error of the confidence (ILS eq. 1).

    The mean over samples of ``|accuracy - mean confidence|`` of their bin, the bins being bins of
    the largest probability. Empty bins count nothing.

    Parameters
    ----------
    probabilities, labels, bins, edges
        As in `reliability`.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    p, y = checks.paired(probabilities, labels)
    confidence, correct = _confidence(p, y)
    gaps = _gaps(_bin(confidence, bins, edges), bins, confidence, correct)
    return float(gaps.sum() / len(p))


def classwise_ece(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> float:
    """Return the class-wise ECE as ILS defines it (ILS eq. 2).

    For each class j, all N samples are binned by their probability of j and the fraction of class j
    is compared with the mean probability of j; then the K errors are averaged. The numbers that ILS
    prints under this name are those of `class_conditional_ece`.

    Parameters
    ----------
    probabilities, labels, bins, edges
        As in `reliability`.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    p, y = checks.paired(probabilities, labels)
    samples, classes = p.shape
    happened = torch.nn.functional.one_hot(y, classes).double()
    cell = _bin(p, bins, edges) + bins * torch.arange(classes, device=p.device)
    gaps = _gaps(cell.flatten(), bins * classes, p.flatten(), happened.flatten())
    return float(gaps.sum() / (samples * classes))


def class_conditional_ece(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> float:
    """Return the ECE of the samples of each true class, averaged over classes.

    What the ILS authors' code computes (``eval_cal_cw``) and their tables print as cwECE. Unlike
    eq. 2 it is not zero for the true probabilities: knowing the true class changes the accuracy.
    Classes without a sample are left out of the average.

    Parameters
    ----------
    probabilities, labels, bins, edges
        As in `reliability`.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    p, y = checks.paired(probabilities, labels)
    classes = p.shape[1]
    confidence, correct = _confidence(p, y)
    cell = _bin(confidence, bins, edges) + bins * y
    gaps = _gaps(cell, bins * classes, confidence, correct).view(classes, bins).sum(1)
    count = torch.bincount(y, minlength=classes)
    return float((gaps / count)[count > 0].mean())


def uce(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right") -> float:
    """Return the uncertainty calibration error (LDL Table 7, after Laves et al.).

    Samples are binned by their entropy divided by log K, and the mean over samples of ``|error
    rate - mean normalised entropy|`` of their bin is taken. The entropy comes in float64.

    Parameters
    ----------
    probabilities, labels, bins, edges
        As in `reliability`, with bins of the normalised entropy.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    p, y = checks.paired(probabilities, labels)
    entropy = torch.special.entr(p.double()).sum(1) / math.log(p.shape[1])
    _, correct = _confidence(p, y)
    gaps = _gaps(_bin(entropy, bins, edges), bins, entropy, 1 - correct)
    return float(gaps.sum() / len(p))
