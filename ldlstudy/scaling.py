"""Temperature scaling: divide the logits by one number, fitted on held-out data.

A network that is too sure of itself can be corrected without retraining: softmax(logits / T) with
T > 1 spreads the probabilities, T < 1 sharpens them, and the ranking of the classes stays. T
minimises the negative log-likelihood of a validation set (Guo et al., 2017). That is convex in
beta = 1 / T, so its derivative has one root, and SciPy's bracketing solver finds the roots of
thousands of models at once.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks

LOWEST, HIGHEST = 0.05, 20.0  # the range of temperatures searched
BLOCK_ELEMENTS = 2**22  # logits of the models solved together: 32 MiB of float64


def scale(logits: Tensor, temperature: float | Tensor) -> Tensor:
    """Return the probabilities softmax(logits / T).

    Parameters
    ----------
    logits : Tensor
        Shape (..., K), floating point.
    temperature : float or Tensor
        T > 0; a tensor holds one for each entry of the leading dimensions, such as (M,) for logits
        of shape (M, N, K).

    Returns
    -------
    Tensor
        The shape and dtype of ``logits``.

    Raises
    ------
    ValueError
        If a temperature is not above 0 and finite.
    """
    t = torch.as_tensor(temperature, dtype=logits.dtype, device=logits.device)
    if not bool(((t > 0) & torch.isfinite(t)).all()):
        raise ValueError(f"temperature must be above 0 and finite, got {temperature!r}")
    return (logits / t.reshape(t.shape + (1,) * (logits.ndim - t.ndim))).softmax(-1)


def mean_logits(logits: Tensor) -> Tensor:
    """Return logits (N, K) of the mean probability of several predictions (T, N, K).

    One prediction's are returned as they are. The result is finite where a mean of probabilities
    would round to 0.
    """
    if len(logits) == 1:
        return logits[0]
    return logits.float().log_softmax(2).logsumexp(0) - math.log(len(logits))


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that minimises the NLL of softmax(logits / T).

    Parameters
    ----------
    logits : Tensor
        Shape (N, K), floating point and finite, of held-out samples.
    labels : Tensor
        Shape (N,), whole numbers in [0, K).

    Returns
    -------
    float
        In [0.05, 20]; see `fit_temperatures` for data without a minimum inside.

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    return float(fit_temperatures(torch.as_tensor(logits)[None], torch.as_tensor(labels)[None])[0])


def fit_temperatures(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the NLL-minimising temperature of each of M models.

    Where the NLL still falls at a bound (0.05: every sample is classified correctly; 20: the logits
    tell nothing about the labels) that bound is returned, and 1 where no temperature changes it.

    Parameters
    ----------
    logits : Tensor
        Shape (M, N, K), floating point and finite.
    labels : Tensor
        Shape (M, N), whole numbers in [0, K): each model's held-out labels.
    weights : Tensor, optional
        Shape (M, N), rows sum to 1: what each held-out sample counts; 1 / N by default.

    Returns
    -------
    Tensor
        Shape (M,), float64.

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    logits, y, weights = _checked(logits, labels, weights)
    models, samples, classes = logits.shape
    result = torch.empty(models, dtype=torch.float64, device=logits.device)
    step = max(1, BLOCK_ELEMENTS // (samples * classes))
    for start in range(0, models, step):
        block = slice(start, start + step)
        # softmax ignores a shift, so the true class's logit serves as origin: z - z_t, (m, N, K)
        margins = logits[block].double() - logits[block].double().gather(2, y[block, :, None])
        result[block] = torch.from_numpy(_solve(margins, weights[block])).to(result)
    return result


def _solve(margins: Tensor, weights: Tensor) -> np.ndarray:
    """Return the best temperatures (m,) for z - z_t of shape (m, N, K)."""
    # needed here alone, so that the package imports without SciPy
    from scipy.optimize.elementwise import find_root

    def slope(log_beta: np.ndarray, model: np.ndarray) -> np.ndarray:
        """Return the NLL's derivative in beta = 1 / T, mean E_p[z] - z_t; it rises with beta."""
        beta = torch.from_numpy(np.exp(log_beta)).to(margins.device)
        chosen = torch.from_numpy(model).to(margins.device)  # the solver drops finished models
        z = margins[chosen]
        expected = ((beta[:, None, None] * z).softmax(2) * z).sum(2)
        return (expected * weights[chosen]).sum(1).cpu().numpy()

    model = np.arange(len(margins))
    low, high = (np.full(len(model), -math.log(t)) for t in (HIGHEST, LOWEST))
    at_low, at_high = slope(low, model), slope(high, model)
    temperature = np.ones(len(model))
    temperature[(at_low < 0) & (at_high <= 0)] = LOWEST
    temperature[(at_low >= 0) & (at_high > 0)] = HIGHEST
    inside = (at_low < 0) & (at_high > 0)
    if inside.any():
        bracket = low[inside], high[inside]
        root = find_root(slope, bracket, args=(model[inside],), tolerances={"xatol": 1e-10})
        temperature[inside] = np.exp(-root.x)
    return temperature


def _checked(
    logits: Tensor, labels: Tensor, weights: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    z, y = torch.as_tensor(logits).detach(), torch.as_tensor(labels)
    if z.ndim != 3 or z.shape[2] < 2 or z.shape[1] < 1 or z.shape[:2] != y.shape:
        raise ValueError(
            "need logits of shape (N, K), or (M, N, K), with K >= 2 and one label for each row, "
            f"got logits of shape {tuple(z.shape)} and labels of shape {tuple(y.shape)}"
        )
    if not z.is_floating_point() or not torch.isfinite(z).all():
        raise ValueError(f"logits must be floating point and finite, got {z.dtype}")
    y = checks.labels(y.reshape(-1), z.shape[-1]).view(y.shape).to(z.device)
    if weights is None:
        return z, y, torch.full(y.shape, 1 / y.shape[1], dtype=torch.float64, device=z.device)
    if weights.shape != y.shape:
        raise ValueError(
            f"weights must have the shape of labels, {tuple(y.shape)}, got {tuple(weights.shape)}"
        )
    return z, y, checks.distributions(weights, "weights").double().to(z.device)
