"""What figures of runs on points need beyond metrics: histograms, maps and factor curves.

Everything is small enough to lie in a record: counts, grids of about 60 x 40 and curves of 50 bins.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ldlstudy.data.distributions import Folds
from ldlstudy.data.replicates import Replicates, Sample
from ldlstudy.device import parallel
from ldlstudy.mixture import GaussianMixture
from ldlstudy.training.ensemble import Trained

BINS = 50
PLANE_X, PLANE_Y = np.linspace(-7.5, 8.5, 65), np.linspace(-4.5, 4.5, 37)
CURVE_EDGES = np.linspace(0.2, 1.0, BINS + 1)  # ILS section IV-A: 50 groups from 0.2 to 1
RESAMPLES = 200


def histograms(probabilities: Tensor, labels: Tensor) -> np.ndarray:
    """Shares (3, 50) of predictions in 50 bins of [0, 1] (ILS Figures 2 and 8).

    Of the predicted class's probability, of the other classes', and of the true class's.
    """
    p = probabilities.double().numpy()
    ordered = np.sort(p, 1)
    true = p[np.arange(len(p)), labels.numpy()]
    groups = (ordered[:, -1], ordered[:, :-1].ravel(), true)
    return np.stack([np.histogram(g, BINS, (0, 1))[0] / len(g) for g in groups])


def plane() -> Tensor:
    """Points (37 * 65, 2) of the grid on which models are held against the truth."""
    x, y = np.meshgrid(PLANE_X, PLANE_Y)
    return torch.from_numpy(np.stack([x.ravel(), y.ravel()], 1)).float()


def error_map(mixture: GaussianMixture, predict: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Total variation (37, 65) between the truth and a model's prediction on the plane."""
    points = plane()
    away = (mixture.posterior(points) - predict(points)).abs().sum(1) / 2
    return away.numpy().reshape(len(PLANE_Y), len(PLANE_X))


def candidate_losses(trained: Trained, replicates: Replicates | Folds) -> np.ndarray:
    """Test cross entropy (R, C) of every candidate of every replicate (ILS Figure 11)."""
    count = len(trained.loss) // replicates.count

    def one(network: int) -> float:
        x, y, _, _ = (field[network // count] for field in replicates.testing)
        logits = trained.logits(trained.parameters[network][None], x[None])[0]
        return float(torch.nn.functional.cross_entropy(logits, y))

    losses = parallel(one, range(len(trained.loss)))
    return np.array(losses).reshape(replicates.count, count)


def curves(
    trained: Trained,
    factors: list[float],
    testing: Sample,
    references: Mapping[str, Callable[[int, Tensor], Tensor]],
) -> dict[str, dict[str, Any]]:
    """A :func:`factor_curve` for each reference.

    Parameters
    ----------
    trained : Trained
        Label-smoothing students, one for each factor in each replicate.
    factors : list of float
        Their smoothing factors.
    testing : Sample
        Test samples of all replicates.
    references : Mapping
        Name to a function of replicate and inputs (N, F) that gives probabilities (N, K).
    """
    rows = trained.parameters.split(len(factors))

    def one(r: int) -> list[tuple[np.ndarray, np.ndarray]]:
        x, y = testing.inputs[r], testing.labels[r]
        at = torch.arange(len(y))
        students = trained.logits(rows[r], x.expand(len(factors), -1, -1)).softmax(2)
        taught = students[:, at, y].double().numpy()
        sums = []
        for reference in references.values():
            p = reference(r, x)[at, y].double().numpy()
            sums.append((_binned(np.stack([np.ones_like(p), p]), p), _binned(taught, p)))
        return sums

    found = parallel(one, range(len(testing.labels)))
    return {
        name: factor_curve(
            np.stack([sums[i][0] for sums in found]),
            np.stack([sums[i][1] for sums in found]),
            factors,
        )
        for i, name in enumerate(references)
    }


def factor_curve(
    reference: np.ndarray, students: np.ndarray, factors: list[float]
) -> dict[str, Any]:
    """The best smoothing factor for each group of equally confident samples (ILS section IV-A).

    A group holds the samples to whose true class the reference gives a probability in one of 50
    bins; its best factor is that of the label-smoothing student whose mean probability of the
    true class there is nearest to the reference's.

    Parameters
    ----------
    reference : ndarray, shape (R, 2, 50)
        Count of samples and sum of the reference's probability, for each replicate and bin.
    students : ndarray, shape (R, C, 50)
        Sum of each student's probability over the same samples.
    factors : list of float
        Smoothing factor of each of the C students.

    Returns
    -------
    dict
        ``p``, ``samples``, ``best`` and the ends ``low``, ``high`` of its 95 % bootstrap interval
        over replicates, each of 50 values; None where no replicate has a sample.
    """
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(reference), (RESAMPLES, len(reference)))
    best = _nearest(reference.sum(0), students.sum(0), factors)
    spread = [_nearest(reference[d].sum(0), students[d].sum(0), factors) for d in draws]
    filled = reference[:, 0].sum(0) > 0

    def listed(values: np.ndarray) -> list[float | None]:
        return [
            float(v) if f and np.isfinite(v) else None for v, f in zip(values, filled, strict=True)
        ]

    with np.errstate(invalid="ignore"):
        p = reference[:, 1].sum(0) / reference[:, 0].sum(0)
    low, high = np.full((2, BINS), np.nan)
    if filled.any():
        low[filled], high[filled] = np.nanpercentile(np.stack(spread)[:, filled], [2.5, 97.5], 0)
    return {
        "p": listed(p),
        "samples": reference[:, 0].sum(0).astype(int).tolist(),
        "best": listed(best),
        "low": listed(low),
        "high": listed(high),
    }


def _nearest(reference: np.ndarray, students: np.ndarray, factors: list[float]) -> np.ndarray:
    """Factor (50,) of the student nearest to the reference in each bin; NaN where it is empty."""
    distance = np.abs(students - reference[1])  # the shared count cancels
    best = np.array(factors)[distance.argmin(0)]
    return np.where(reference[0] > 0, best, np.nan)


def _binned(true_class: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Sums (..., 50) of true-class probabilities (..., N) in the reference's (N,) bins."""
    inside = reference >= CURVE_EDGES[0]
    cell = np.clip(np.digitize(reference[inside], CURVE_EDGES) - 1, 0, BINS - 1)
    rows = np.atleast_2d(true_class)[:, inside]
    return np.stack([np.bincount(cell, row, BINS) for row in rows])
