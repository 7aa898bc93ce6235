"""Retrieval: whether the image that a network finds most alike is one of the same class.

A network's penultimate features place every image at a point. Each image is a query that looks up
the nearest point of a gallery; recall@1, CS-KD's R@1, is the fraction of queries whose nearest
point has their label. It scores the features alone: no classifier is asked. The gallery is either
the other queries or a set of its own, such as the training images. Distances are Euclidean, taken
in float64, a block of queries at a time. Read the score as ``ldlstudy.metrics.recall_at_1``.
"""

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.checks import ArrayLike


def _points(features: ArrayLike, labels: ArrayLike, name: str, rows: int) -> tuple[Tensor, Tensor]:
    """Return features (N, D), finite and without gradient, and labels (N,), N at least ``rows``."""
    x = torch.as_tensor(features).detach()
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


def hits(
    features: ArrayLike,
    labels: ArrayLike,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    block: int = 1024,
) -> Tensor:
    """Return for each query whether its nearest point has the same label (CS-KD).

    Of equally near points the first counts, up to rounding.

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

    Returns
    -------
    Tensor
        Shape (N,), bool, on the device of ``features``.

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range, or only one of ``gallery`` and
        ``gallery_labels`` is given.
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


def recall_at_1(
    features: ArrayLike,
    labels: ArrayLike,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    block: int = 1024,
) -> float:
    """Return recall@1: how often the nearest point has the same label (R@1 of CS-KD).

    Parameters
    ----------
    features, labels, gallery, gallery_labels, block
        As in `ldlstudy.retrieval.hits`, whose mean this is.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        As in `ldlstudy.retrieval.hits`.
    """
    return float(hits(features, labels, gallery, gallery_labels, block).double().mean())
