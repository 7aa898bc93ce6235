"""Scores: from predicted probabilities (or features) and true labels to one Python float.

Accuracy asks whether the best guess is right; NLL and Brier score the whole distribution; the
calibration errors ask whether what is predicted with probability p happens p of the time; KL
divergence, total variation and the other distances of label distribution learning (Chebyshev,
Clark, Canberra, cosine, intersection) compare with the truth where it is known; recall@1 scores
features.

``probabilities`` has shape (N, K), rows that sum to 1, N at least 1; ``labels`` shape (N,), whole
numbers in [0, K); both are torch tensors, numpy arrays, lists or pandas' columns, and sums are
taken in float64. Rows of half-precision probabilities are divided by their sum. An argument of
another shape or out of range raises ValueError.

Calibration errors sort samples into equal-width ``bins`` of a predicted value in [0, 1]; within
each bin the mean prediction is compared with what happened. The papers differ in what they bin and
in which bin a value on an edge falls (``edges``): "right" means bins (lo, hi] with the first
closed, as in LDL and ILS; "left" means [lo, hi) with 1.0 in the last, as in [Re]. The default of 15
bins is that of ILS and [Re]; LDL uses 10 and CS-KD 20. Edges are rounded to the dtype of the
probabilities, so that a float32 0.2 lies on the edge 3/15. With "quantile" bins are adaptive: they
are (lo, hi] between the quantiles of the predicted values and hold as many samples each, but for
equal values, which stay together (the adaptive ECE; scikit-learn's ``strategy="quantile"``).

The bins' gaps make one number by a ``norm``: "l1" is their mean over samples, as in the papers,
"l2" the root of the mean of their squares, "max" the largest (the maximum calibration error).

A score is the value of its terms, which a bootstrap takes from the function ``<score>_terms``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.checks import ArrayLike
from ldlstudy.terms import ClasswiseGaps, Gaps, Mean, blocks, by_chance

FLOOR = torch.finfo(torch.float32).tiny  # what a probability of 0 counts as in a logarithm
EDGES = ("left", "quantile", "right")
SIDES = ("left", "right")  # of bins of equal width


def accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the fraction of samples whose most probable class is the true one, in [0, 1].

    Of equally probable classes the first counts as the prediction.

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> metrics.accuracy([[0.9, 0.1], [0.6, 0.4]], [0, 1])
    0.5
    """
    return accuracy_terms(probabilities, labels).value()


def accuracy_terms(probabilities: ArrayLike, labels: ArrayLike) -> Mean:
    """Return the terms of `accuracy`."""
    return Mean(_confidence(*checks.paired(probabilities, labels))[1])


def topk_accuracy(probabilities: ArrayLike, labels: ArrayLike, k: int = 5) -> float:
    """Return the fraction of samples whose true class is among the k most probable.

    k lies between 1 and K; equally probable classes are ranked by their index, as in `accuracy`.
    """
    return topk_accuracy_terms(probabilities, labels, k).value()


def topk_accuracy_terms(probabilities: ArrayLike, labels: ArrayLike, k: int = 5) -> Mean:
    """Return the terms of `topk_accuracy`."""
    p, y = checks.paired(probabilities, labels)
    checks.in_range("k", checks.whole("k", k, 1), 1, p.shape[1])
    column = torch.arange(p.shape[1], device=p.device)

    def rank(p: Tensor, y: Tensor) -> Tensor:
        true = p.gather(1, y[:, None])
        return ((p > true) | ((p == true) & (column < y[:, None]))).sum(1)

    return Mean((_by_rows(rank, p, y) < k).double())


def nll(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the negative log-likelihood (cross entropy) in nats, the mean over samples.

    A true class whose probability is below the smallest normal number of float32 counts as that
    (87.3 nats), whatever the dtype, so the score stays finite.

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> round(metrics.nll([[0.9, 0.1], [0.6, 0.4]], [0, 1]), 4)
    0.5108
    """
    return nll_terms(probabilities, labels).value()


def nll_terms(probabilities: ArrayLike, labels: ArrayLike) -> Mean:
    """Return the terms of `nll`."""
    p, y = checks.paired(probabilities, labels)
    return Mean(-log(p.gather(1, y[:, None])[:, 0]))


def log(p: Tensor) -> Tensor:
    """Return log p in float64, with `FLOOR` for what is smaller."""
    return p.double().clamp_min(FLOOR).log()


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the Brier score summed over classes, mean of sum_k (p_k - y_k)^2, in [0, 2].

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> round(metrics.brier([[0.9, 0.1], [0.6, 0.4]], [0, 1]), 4)
    0.37
    """
    return brier_terms(probabilities, labels).value()


def brier_terms(probabilities: ArrayLike, labels: ArrayLike) -> Mean:
    """Return the terms of `brier`."""
    p, y = checks.paired(probabilities, labels)

    def distance(p: Tensor, y: Tensor) -> Tensor:
        off = p.to(torch.float64, copy=True)
        off[torch.arange(len(y), device=y.device), y] -= 1
        return off.square_().sum(1)

    return Mean(_by_rows(distance, p, y))


def top_label_brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the Brier score of the confidence, mean of (max p - correct)^2 (LDL Table 7)."""
    return top_label_brier_terms(probabilities, labels).value()


def top_label_brier_terms(probabilities: ArrayLike, labels: ArrayLike) -> Mean:
    """Return the terms of `top_label_brier`."""
    confidence, correct = _confidence(*checks.paired(probabilities, labels))
    return Mean((confidence.double() - correct).square())


def smoothness(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return a teacher's smoothness index, gamma = E[sum_k (1 - y_k) p_k K / (K - 1)] ([Re] eq. 3).

    0 for a one-hot teacher, 1 for a uniform one, epsilon for targets smoothed by epsilon / K. In
    the paper it is taken over the training set.
    """
    p, y = checks.paired(probabilities, labels)
    wrong = _by_rows(lambda p, y: p.double().scatter(1, y[:, None], 0.0).sum(1), p, y).mean()
    return float(wrong * p.shape[1] / (p.shape[1] - 1))


def kl_to_truth(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the Kullback-Leibler divergence KL(truth || probabilities) in nats, mean over samples.

    ``truth`` is shaped as ``probabilities``. A predicted 0 where the truth is above 0 counts as in
    `nll`, so the result stays finite.

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> round(metrics.kl_to_truth([[0.7, 0.3]], [[0.9, 0.1]]), 4)
    0.1537
    """
    return kl_to_truth_terms(truth, probabilities).value()


def kl_to_truth_terms(truth: ArrayLike, probabilities: ArrayLike) -> Mean:
    """Return the terms of `kl_to_truth`."""
    t, p = _with_truth(truth, probabilities)
    return Mean(_by_rows(lambda t, p: (t.double() * (log(t) - log(p))).sum(1), t, p))


def total_variation(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the total variation distance: half the sum of ``|t - p|``, mean over samples.

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> round(metrics.total_variation([[0.7, 0.3]], [[0.9, 0.1]]), 4)
    0.2
    """
    return total_variation_terms(truth, probabilities).value()


def total_variation_terms(truth: ArrayLike, probabilities: ArrayLike) -> Mean:
    """Return the terms of `total_variation`."""
    t, p = _with_truth(truth, probabilities)
    return Mean(_by_rows(lambda t, p: (t.double() - p.double()).abs_().sum(1) / 2, t, p))


def cross_entropy_to_truth(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the cross entropy of the truth, -sum_k t_k log p_k in nats, mean over samples.

    The `nll` to expect of labels that are drawn from the truth. Predicted zeros count as there.
    """
    return cross_entropy_to_truth_terms(truth, probabilities).value()


def cross_entropy_to_truth_terms(truth: ArrayLike, probabilities: ArrayLike) -> Mean:
    """Return the terms of `cross_entropy_to_truth`."""
    t, p = _with_truth(truth, probabilities)
    return Mean(_by_rows(lambda t, p: -(t.double() * log(p)).sum(1), t, p))


def chebyshev(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the Chebyshev distance: the largest ``|t - p|`` over classes, mean over samples."""
    return chebyshev_terms(truth, probabilities).value()


def chebyshev_terms(truth: ArrayLike, probabilities: ArrayLike) -> Mean:
    """Return the terms of `chebyshev`."""
    t, p = _with_truth(truth, probabilities)
    return Mean(_by_rows(lambda t, p: (t.double() - p.double()).abs().amax(1), t, p))


def clark(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the Clark distance, sqrt(sum_k (t_k - p_k)^2 / (t_k + p_k)^2), mean over samples.

    It lies in [0, sqrt(K)]. A class that is 0 in one of both alone adds 1, however little the
    other gives it; one that is 0 in both adds nothing.
    """
    return clark_terms(truth, probabilities).value()


def clark_terms(truth: ArrayLike, probabilities: ArrayLike) -> Mean:
    """Return the terms of `clark`."""
    t, p = _with_truth(truth, probabilities)
    return Mean(_by_rows(lambda t, p: _relative(t, p).square().sum(1).sqrt(), t, p))


def canberra(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the Canberra distance: ``sum_k |t_k - p_k| / (t_k + p_k)``, mean over samples.

    It lies in [0, K]; classes of probability 0 count as in `clark`.
    """
    return canberra_terms(truth, probabilities).value()


def canberra_terms(truth: ArrayLike, probabilities: ArrayLike) -> Mean:
    """Return the terms of `canberra`."""
    t, p = _with_truth(truth, probabilities)
    return Mean(_by_rows(lambda t, p: _relative(t, p).sum(1), t, p))


def cosine(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the cosine of the angle between truth and prediction, mean over samples."""
    return cosine_terms(truth, probabilities).value()


def cosine_terms(truth: ArrayLike, probabilities: ArrayLike) -> Mean:
    """Return the terms of `cosine`."""
    t, p = _with_truth(truth, probabilities)
    return Mean(_by_rows(lambda t, p: torch.cosine_similarity(t.double(), p.double()), t, p))


def intersection(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the intersection, sum_k min(t_k, p_k), mean over samples: 1 - `total_variation`."""
    return intersection_terms(truth, probabilities).value()


def intersection_terms(truth: ArrayLike, probabilities: ArrayLike) -> Mean:
    """Return the terms of `intersection`."""
    t, p = _with_truth(truth, probabilities)
    return Mean(_by_rows(lambda t, p: torch.minimum(t.double(), p.double()).sum(1), t, p))


def _relative(t: Tensor, p: Tensor) -> Tensor:
    """Return each class's ``|t - p| / (t + p)``, 0 where both are 0."""
    total = t.double() + p.double()
    return (t.double() - p.double()).abs() / torch.where(total > 0, total, 1)


def _with_truth(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Tensor, Tensor]:
    t, p = (
        checks.distributions(values, name).detach()
        for values, name in ((truth, "truth"), (probabilities, "probabilities"))
    )
    if t.shape != p.shape or len(p) == 0:
        raise ValueError(
            "truth and probabilities must have the same shape with at least one row, "
            f"got {tuple(t.shape)} and {tuple(p.shape)}"
        )
    return t.to(p.device), p


@dataclass(frozen=True, eq=False)
class Reliability:
    """The bins behind an ECE in ascending order; each field an array of shape (bins,)."""

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

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> metrics.reliability([[0.9, 0.1], [0.6, 0.4]], [0, 1], bins=2).count.tolist()
    [0, 2]
    """
    p, y = checks.paired(probabilities, labels)
    confidence, correct = _confidence(p, y)
    cell = _bin(confidence, bins, edges)
    count = torch.bincount(cell, minlength=bins)
    hits = torch.bincount(cell, correct, minlength=bins)
    total = torch.bincount(cell, confidence.double(), minlength=bins)
    return Reliability(
        lower=np.concatenate([[0.0], _inner(confidence, bins, edges).cpu().numpy()]),
        count=count.cpu().numpy(),
        accuracy=(hits / count).cpu().numpy(),
        confidence=(total / count).cpu().numpy(),
    )


def ece(
    probabilities: ArrayLike,
    labels: ArrayLike,
    bins: int = 15,
    edges: str = "right",
    norm: str = "l1",
) -> float:
    """Return the expected calibration error of the confidence (ILS eq. 1), in [0, 1].

    The mean over samples of ``|accuracy - mean confidence|`` of their bin, or another ``norm`` of
    it, the bins being bins of the largest probability. Empty bins count nothing.

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> probabilities, labels = [[0.9, 0.1], [0.6, 0.4]], [0, 1]
    >>> round(metrics.ece(probabilities, labels, bins=10), 4)
    0.35
    >>> round(metrics.ece(probabilities, labels, bins=10, norm="max"), 4)
    0.6
    """
    return ece_terms(probabilities, labels, bins, edges).value(norm)


def ece_terms(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> Gaps:
    """Return the terms of `ece`."""
    return gaps(*_confidence(*checks.paired(probabilities, labels)), bins, edges)


def binary_ece(
    probabilities: ArrayLike,
    labels: ArrayLike,
    bins: int = 15,
    edges: str = "right",
    norm: str = "l1",
) -> float:
    """Return the calibration error of the probability of class 1 of two classes, in [0, 1].

    What is binned is P(y = 1), of shape (N,), and not the confidence, as `ece` bins it; so do
    scikit-learn's ``calibration_curve`` and torchmetrics' ``BinaryCalibrationError``.

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> round(metrics.binary_ece([0.1, 0.4], [0, 1], bins=10), 4)
    0.35
    """
    return binary_ece_terms(probabilities, labels, bins, edges).value(norm)


def binary_ece_terms(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> Gaps:
    """Return the terms of `binary_ece`."""
    p, y = checks.paired(checks.binary(probabilities), labels)
    return gaps(p[:, 1], y, bins, edges)


def gaps(predicted: Tensor, happened: Tensor, bins: int = 15, edges: str = "right") -> Gaps:
    """Return the terms of the calibration error of any prediction of what happened, both (N,)."""
    cell, q = _bin(predicted, bins, edges), predicted.double()
    return Gaps(cell, happened.double() - q, q * (1 - q), bins)


def ece_by_chance(probabilities: ArrayLike, bins: int = 15, edges: str = "right") -> float:
    """Return the `ece` to expect of labels that are drawn from the very probabilities.

    A finite sample of a perfectly calibrated model has an ECE above zero, which this is, with the
    number of hits in each bin taken as normal: sum_b sqrt(2 / pi sum_(i in b) c_i (1 - c_i)) / N,
    where c is the confidence (`ldlstudy.terms.by_chance`). It falls as 1 / sqrt(N).
    """
    confidence = checks.distributions(probabilities).detach().amax(1)
    each = gaps(confidence, torch.zeros_like(confidence), bins, edges)
    variance = torch.bincount(each.cell, each.variance, minlength=bins)
    return float(by_chance(variance).sum() / len(confidence))


def classwise_ece(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> float:
    """Return the class-wise ECE as ILS defines it (ILS eq. 2), in [0, 1].

    For each class j, all N samples are binned by their probability of j and the fraction of class j
    is compared with the mean probability of j; then the K errors are averaged. The numbers that ILS
    prints under this name are those of `class_conditional_ece`.

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> round(metrics.classwise_ece([[0.9, 0.1], [0.6, 0.4]], [0, 1], bins=10), 4)
    0.35
    """
    return classwise_ece_terms(probabilities, labels, bins, edges).value()


def classwise_ece_terms(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> ClasswiseGaps:
    """Return the terms of `classwise_ece`."""
    p, y = checks.paired(probabilities, labels)
    checks.one_of("edges", edges, SIDES)  # quantiles would differ from class to class
    first = _inner(p, bins, edges)[:1].to(p.dtype)  # nothing lies above the one bin of `bins=1`
    above = torch.ge if edges == "left" else torch.gt
    parts = []
    for part in blocks(p) if bins > 1 else ():
        row, column = above(p[part], first).nonzero(as_tuple=True)
        parts.append((row + part.start, column))
    sample, column = map(torch.cat, zip(*parts, strict=True)) if parts else (y[:0], y[:0])
    each = gaps(p[sample, column], y[sample] == column, bins, edges)
    cell = each.cell - 1 + (bins - 1) * column
    return ClasswiseGaps(p, y, sample, cell, each.gap, each.variance, bins)


def class_conditional_ece(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> float:
    """Return the ECE of the samples of each true class, averaged over classes, in [0, 1].

    What the ILS authors' code computes (``eval_cal_cw``) and their tables print as cwECE. Unlike
    eq. 2 it is not zero for the true probabilities: knowing the true class changes the accuracy.
    Classes without a sample are left out of the average.
    """
    return class_conditional_ece_terms(probabilities, labels, bins, edges).value()


def class_conditional_ece_terms(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> Gaps:
    """Return the terms of `class_conditional_ece`."""
    p, y = checks.paired(probabilities, labels)
    each = gaps(*_confidence(p, y), bins, edges)
    return replace(each, cell=each.cell + bins * y, groups=p.shape[1])


def uce(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right") -> float:
    """Return the uncertainty calibration error (LDL Table 7, after Laves et al.), in [0, 1].

    Samples are binned by their entropy divided by log K, and the mean over samples of ``|error
    rate - mean normalised entropy|`` of their bin is taken. The entropy comes in float64.

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> metrics.uce([[1.0, 0.0], [0.5, 0.5]], [0, 0], bins=10)
    0.5
    """
    return uce_terms(probabilities, labels, bins, edges).value()


def uce_terms(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, edges: str = "right"
) -> Gaps:
    """Return the terms of `uce`."""
    p, y = checks.paired(probabilities, labels)
    entropy = _by_rows(lambda p: torch.special.entr(p.double()).sum(1), p) / math.log(p.shape[1])
    _, correct = _confidence(p, y)
    return gaps(entropy, 1 - correct, bins, edges)


def _bin(values: Tensor, bins: int, edges: str) -> Tensor:
    """Return the bin of each value in [0, 1], a long tensor in [0, bins)."""
    inner = _inner(values, bins, edges).to(values.dtype).double()
    # torch names the side that is open
    return torch.bucketize(values.double().contiguous(), inner, right=edges == "left")


def _inner(values: Tensor, bins: int, edges: str) -> Tensor:
    """Return the edges between bins (bins - 1,), float64, before they are rounded."""
    checks.whole("bins", bins, 1)
    checks.one_of("edges", edges, EDGES)
    inner = torch.arange(1, bins, device=values.device)
    if edges == "quantile":
        return values.sort().values[inner * (len(values) - 1) // bins].double()
    return inner.double() / bins


def _confidence(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest probability of each row and whether its (first) class is the true one."""
    confidence, top = p.max(1)
    return confidence, (top == y).double()


def _by_rows(function: Callable[..., Tensor], *arrays: Tensor) -> Tensor:
    """Return what a function gives of each row (N,), few of which are held in float64 at a time."""
    found = torch.empty(len(arrays[0]), dtype=torch.float64, device=arrays[0].device)
    for part in blocks(arrays[0]):
        found[part] = function(*(each[part] for each in arrays))
    return found


def recall_at_1(
    features: ArrayLike,
    labels: ArrayLike,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    block: int = 1024,
) -> float:
    """Return recall@1: how often the nearest point has the same label (R@1 of CS-KD).

    The arguments are those of `nearest_is_alike`, whose mean this is.

    Examples
    --------
    >>> from ldlstudy import metrics
    >>> metrics.recall_at_1([[0.0], [0.1], [1.0], [1.1]], [0, 0, 1, 0])
    0.5
    """
    alike = nearest_is_alike(features, labels, gallery, gallery_labels, block)
    return float(alike.double().mean())


def nearest_is_alike(
    features: ArrayLike,
    labels: ArrayLike,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    block: int = 1024,
) -> Tensor:
    """Return for each query, bool (N,), whether its nearest point has the same label.

    Distances are Euclidean, in float64. Of equally near points the first counts, up to rounding.

    Parameters
    ----------
    features : Tensor or ndarray
        Shape (N, D), the queries, floating point and finite.
    labels : Tensor or ndarray
        Shape (N,), whole numbers of at least 0.
    gallery : Tensor or ndarray, optional
        Shape (M, D), the points to search, floating point and finite. Without it each query
        searches the other queries, of which there must then be at least one.
    gallery_labels : Tensor or ndarray, optional
        Shape (M,), given with ``gallery``.
    block : int
        Queries compared at a time. Their distances take block * M * 8 bytes, by default 0.41 GB
        against 50,000 points, beside a float64 copy of the gallery; the result does not depend on
        it.
    """
    checks.whole("block", block, 1)
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("give both gallery and gallery_labels, or neither: got one of them")
    if gallery is None or gallery_labels is None:
        x, y = _points(features, labels, "features", rows=2)
        points, found = x, y
    else:
        x, y = _points(features, labels, "features", rows=1)
        points, found = (t.to(x.device) for t in _points(gallery, gallery_labels, "gallery", 1))
        if points.shape[1] != x.shape[1]:
            raise ValueError(
                "features and gallery must have the same number of columns, "
                f"got {x.shape[1]} and {points.shape[1]}"
            )
    points = points.double()
    centre = points.mean(0)
    points = points - centre  # keeps the expansion of |a - b|^2 from cancelling
    square = points.square().sum(1)
    nearest = [
        _nearest(part.double() - centre, points, square, i * block if gallery is None else None)
        for i, part in enumerate(x.split(block))
    ]
    return found[torch.cat(nearest)] == y


def _points(features: ArrayLike, labels: ArrayLike, name: str, rows: int) -> tuple[Tensor, Tensor]:
    """Return features (N, D), finite and without gradient, and labels (N,), N at least ``rows``."""
    x = checks.tensor(features, name).detach()
    y = checks.labels(labels, torch.iinfo(torch.int64).max).to(x.device)
    if x.ndim != 2 or x.shape[1] == 0 or not len(x) == len(y) >= rows:
        raise ValueError(
            f"need {name} of shape (N, D) and N >= {rows} labels, got {tuple(x.shape)} and {len(y)}"
        )
    if not x.is_floating_point() or not torch.isfinite(x).all():
        raise ValueError(f"{name} must be floating point and finite, got {x.dtype}")
    return x, y


def _nearest(queries: Tensor, gallery: Tensor, square: Tensor, own: int | None) -> Tensor:
    """Return the row of the gallery nearest to each query; query i is not matched to row own + i.

    Of |a - b|^2 = |a|^2 - 2ab + |b|^2 the query's own |a|^2 is left out: it changes no order.
    ``square`` is |b|^2, shape (M,). The (n, M) distances are the one large array, and they are
    released on return, before the next block's are made.
    """
    distance = torch.addmm(square, queries, gallery.T, alpha=-2)  # (n, M)
    if own is not None:
        distance.diagonal(own).fill_(torch.inf)
    return distance.argmin(1)
