"""The plane through three templates: how a network arranges its classes before the last layer.

The last layer scores a class by the product of the penultimate activations with that class's row of
weights, its template. Three templates span a plane; activations of the three classes projected onto
it show whether clusters are tight and how far apart they lie, and label smoothing changes both
(Müller et al., 2019; [Re] section 4). Two numbers say what the pictures show: `cluster_spread` and
`template_distance`. Arguments are torch tensors or numpy arrays; the plane and the two numbers are
computed in float64.
"""

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.checks import ArrayLike

COLLINEAR = 1e-6  # sine of the angle below which float32 templates span no plane


def _rows(values: ArrayLike, name: str, rows: int = 1) -> Tensor:
    """Return ``values`` as a finite tensor (N, D) with at least ``rows`` rows, without gradient."""
    tensor = checks.tensor(values, name).detach()
    if tensor.ndim != 2 or len(tensor) < rows or tensor.shape[1] == 0:
        raise ValueError(
            f"{name} must have shape (N, D) with N >= {rows}, got {tuple(tensor.shape)}"
        )
    if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
        raise ValueError(f"{name} must be floating point and finite, got {tensor.dtype}")
    return tensor


def plane(templates: ArrayLike) -> Tensor:
    """Return an orthonormal basis of the plane through three templates, by QR ([Re] section 4).

    Q of the QR decomposition of [w_2 - w_1, w_3 - w_1], with the signs that make the diagonal of R
    positive: the first axis points from template 1 to template 2, and template 3 lies on the
    positive side of the second. The paper's text subtracts the third template and its printed code
    the first; the plane is the same, the axes turn within it.

    Parameters
    ----------
    templates : Tensor or ndarray
        Shape (3, features): three rows of the last layer's weights.

    Returns
    -------
    Tensor
        Shape (features, 2), the dtype of ``templates``.

    Raises
    ------
    ValueError
        If there are not three templates, or they lie on one line.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import projection
    >>> templates = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    >>> projection.plane(templates).round().abs()
    tensor([[1., 0.],
            [0., 1.],
            [0., 0.]])
    """
    w = _rows(templates, "templates")
    if len(w) != 3 or w.shape[1] < 2:
        raise ValueError(
            f"templates must have shape (3, features), features >= 2, got {tuple(w.shape)}"
        )
    differences = (w[1:] - w[0]).double().T  # (features, 2)
    q, r = torch.linalg.qr(differences)
    diagonal = r.diagonal()
    if bool((diagonal.abs() <= COLLINEAR * differences.norm(dim=0).max()).any()):
        raise ValueError("the three templates lie on one line and span no plane")
    return (q * diagonal.sign()).to(w.dtype)


def project(activations: ArrayLike, basis: ArrayLike) -> Tensor:
    """Return the coordinates of activations in a plane, without centring ([Re] section 4).

    Parameters
    ----------
    activations : Tensor or ndarray
        Shape (N, features): raw penultimate activations, or templates.
    basis : Tensor or ndarray
        Shape (features, 2), as `plane` gives it.

    Returns
    -------
    Tensor
        Shape (N, 2).

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import projection
    >>> basis = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> projection.project(torch.tensor([[1.0, 2.0, 3.0]]), basis)
    tensor([[1., 2.]])
    """
    a, b = _rows(activations, "activations"), _rows(basis, "basis", 2)
    if b.shape != (a.shape[1], 2):
        raise ValueError(f"basis must have shape ({a.shape[1]}, 2), got {tuple(b.shape)}")
    return a @ b.to(a)


def cluster_spread(points: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean over clusters of the root mean squared distance to the cluster's mean.

    Parameters
    ----------
    points : Tensor or ndarray
        Shape (N, D): activations, or their projections.
    labels : Tensor or ndarray
        Shape (N,), whole numbers of at least 0: the cluster of each point.

    Returns
    -------
    float
        At least 0, in the units of the points.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import projection
    >>> points = torch.tensor([[-1.0], [1.0], [5.0], [5.0]])
    >>> projection.cluster_spread(points, torch.tensor([0, 0, 1, 1]))
    0.5
    """
    x = _rows(points, "points").double()
    y = checks.labels(labels, torch.iinfo(torch.int64).max).to(x.device)
    if len(x) != len(y):
        raise ValueError(f"need as many labels as points, got {len(y)} and {len(x)}")
    clusters = [x[y == label] for label in y.unique()]
    spreads = [(c - c.mean(0)).square().sum(1).mean().sqrt() for c in clusters]
    return float(torch.stack(spreads).mean())


def template_distance(templates: ArrayLike) -> float:
    """Return the mean Euclidean distance between pairs of templates.

    Parameters
    ----------
    templates : Tensor or ndarray
        Shape (K, D), K at least 2.

    Returns
    -------
    float
        At least 0, in the units of the templates.
    """
    return float(torch.pdist(_rows(templates, "templates", 2).double()).mean())


def relative_spread(points: ArrayLike, labels: ArrayLike, templates: ArrayLike) -> float:
    """Return the spread of clusters in units of the distance between templates.

    A network may shrink clusters and templates alike; only this ratio says that its clusters are
    tighter.

    Parameters
    ----------
    points, labels
        As in `cluster_spread`.
    templates
        As in `template_distance`, in the same space as the points.

    Returns
    -------
    float
        `cluster_spread` / `template_distance`.
    """
    distance = template_distance(templates)
    if distance == 0:
        raise ValueError("the templates are all alike, no spread is relative to them")
    return cluster_spread(points, labels) / distance
