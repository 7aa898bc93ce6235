"""Temperature scaling: divide the logits by one number, fitted on held-out data.

A network that is too sure of itself can be corrected without retraining: softmax(logits / T) with
T > 1 spreads the probabilities, T < 1 sharpens them, and the ranking of the classes stays. T
minimises the negative log-likelihood of a validation set (Guo et al., 2017). That is convex in
beta = 1 / T, so its derivative has one root at most, and SciPy's bracketing solver finds the roots
of thousands of models at once.

There is no such T where the validation set is perfectly separated (the surer the better, T to 0)
or the logits tell nothing about the labels (T to infinity).
"""

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.checks import ArrayLike
from ldlstudy.terms import blocks

# in units of a model's spread, the largest difference of a logit from the true class's:
SEARCHED = 1e-9, 1e6  # temperatures among which a best one is sought; outliers widen the spread
SURE, UNSURE = 1e-3, 1e3  # what stands for 0 and for infinity
BLOCK_ELEMENTS = 2**22  # logits of the models solved together: 32 MiB of float64


class NoTemperatureWarning(UserWarning):
    """No finite temperature above 0 is the best one."""


def unwarned() -> warnings.catch_warnings:
    """Return a context without `NoTemperatureWarning`, for many fits whose records are read."""
    return warnings.catch_warnings(action="ignore", category=NoTemperatureWarning)


def scale(logits: ArrayLike, temperature: float | Tensor) -> Tensor:
    """Return the probabilities softmax(logits / T), computed in float32 at least.

    Parameters
    ----------
    logits : Tensor
        Shape (..., K); -inf masks a class.
    temperature : float or Tensor
        T > 0; a tensor holds one for each entry of the leading dimensions, such as (M,) for logits
        of shape (M, N, K).

    Returns
    -------
    Tensor
        The shape and dtype of ``logits``; torch's default dtype where these are whole numbers.

    Raises
    ------
    ValueError
        If a temperature is not above 0 and finite in the precision of the computation.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import scaling
    >>> scaling.scale(torch.tensor([[2.0, 0.0]]), temperature=2.0)
    tensor([[0.7311, 0.2689]])
    """
    z = checks.tensor(logits, "logits")
    plain = temperature if isinstance(temperature, Tensor) else np.asarray(temperature)
    given = checks.tensor(plain, "temperature")
    if z.ndim == 0 or z.is_complex() or z.dtype == torch.bool:
        raise ValueError(
            f"logits must be real numbers of shape (..., K), got {z.dtype} of {tuple(z.shape)}"
        )
    if given.shape != z.shape[: given.ndim] or given.ndim == z.ndim:
        raise ValueError(
            "temperature must be one number, or one for each entry of the first dimensions of "
            f"logits {tuple(z.shape)}, got shape {tuple(given.shape)}"
        )
    dtype = z.dtype if z.is_floating_point() else torch.get_default_dtype()
    wide = torch.promote_types(dtype, torch.float32)
    t = given.to(wide)
    if not bool(((t > 0) & torch.isfinite(t)).all()):
        raise ValueError(f"temperature must be above 0 and finite, got {temperature!r} in {wide}")
    t = t.to(z.device).reshape(t.shape + (1,) * (z.ndim - t.ndim))
    return (z.to(wide) / t).softmax(-1).to(dtype)


def mean_logits(logits: Tensor) -> Tensor:
    """Return logits (N, K) of the mean probability of several predictions (T, N, K).

    One prediction's are returned as they are. The result is finite where a mean of probabilities
    would round to 0. Another shape raises ValueError.
    """
    if logits.ndim != 3 or len(logits) == 0:
        raise ValueError(f"logits must have shape (T, N, K) with T >= 1, got {tuple(logits.shape)}")
    if len(logits) == 1:
        return logits[0]
    return logits.float().log_softmax(2).logsumexp(0) - math.log(len(logits))


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the temperature that minimises the NLL of softmax(logits / T).

    Parameters
    ----------
    logits : Tensor
        Shape (N, K), of held-out samples.
    labels : Tensor
        Shape (N,), whole numbers in [0, K).

    Returns
    -------
    float
        Above 0 and finite; see `fit_temperatures` for data without a best one.

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range, or a logit is NaN or infinite.

    Warns
    -----
    NoTemperatureWarning
        If there is no best temperature.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import scaling
    >>> logits = torch.tensor([[2.0, 0.0]] * 3)  # sure, and wrong once
    >>> round(scaling.fit_temperature(logits, torch.tensor([0, 0, 1])), 3)
    2.885
    """
    z, y = checks.tensor(logits, "logits"), checks.tensor(labels, "labels")
    return float(_fit(z[None], y[None], None)[0])


def fit_temperatures(
    logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> Tensor:
    """Return the NLL-minimising temperature of each of M models.

    It is in the units of the logits: c times the logits have c times the temperature. So have the
    numbers that stand for a missing minimum. Let s be the largest difference of a logit from that
    of the sample's true class. Where every sample is classified correctly, and T should be 0,
    s / 1000 is returned; where the logits tell nothing about the labels, and T should be infinite,
    1000 s; and 1 where the logits of each sample are all alike and no temperature changes the NLL.

    Parameters
    ----------
    logits : Tensor
        Shape (M, N, K). A class that is masked by -inf cannot be fitted: leave its column out.
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
        If an argument has another shape or is out of range, or a logit is NaN or infinite.

    Warns
    -----
    NoTemperatureWarning
        If some model has no best temperature.
    """
    return _fit(logits, labels, weights)


def _fit(logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> Tensor:
    """Fit, and warn at the line that called the function that calls this."""
    logits, y, weights = _checked(logits, labels, weights)
    models, samples, classes = logits.shape
    result = torch.empty(models, dtype=torch.float64, device=logits.device)
    missing, step = 0, max(1, BLOCK_ELEMENTS // (samples * classes))
    for start in range(0, models, step):
        block = slice(start, start + step)
        found, exists = _solve(logits[block].double(), y[block], weights[block])
        result[block] = torch.from_numpy(found).to(result)
        missing += int((~exists).sum())
    if missing:
        warnings.warn(
            f"{missing} of {models} models have no best temperature: their samples are perfectly "
            "separated, or their logits tell nothing about the labels",
            NoTemperatureWarning,
            stacklevel=3,
        )
    return result


def _solve(z: Tensor, y: Tensor, weights: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return for logits (m, N, K) the temperatures (m,), and whether each is the best one."""
    # needed here alone, so that the package imports without SciPy
    from scipy.optimize.elementwise import find_root

    # softmax ignores a shift, so the largest logit serves as origin, and no exponential overflows
    z = z - z.amax(2, keepdim=True)
    true = z.gather(2, y[..., None])[..., 0]
    parts = list(blocks(z[0])) if len(z) == 1 else [slice(None)]

    def slope(log_beta: np.ndarray, model: np.ndarray) -> np.ndarray:
        """Return the NLL's derivative in beta = 1 / T, mean E_p[z] - z_t; it rises with beta."""
        beta = torch.from_numpy(np.exp(log_beta)).to(z.device)[:, None, None]
        chosen = torch.from_numpy(model).to(z.device)  # the solver drops finished models
        found = torch.zeros(len(model), dtype=z.dtype, device=z.device)
        for part in parts:
            own = z[chosen, part] if len(model) < len(z) else z[:, part]
            likely = (beta * own).exp_()
            expected = (likely * own).sum(2) / likely.sum(2)
            found += ((expected - true[chosen, part]) * weights[chosen, part]).sum(1)
        return found.cpu().numpy()

    model = np.arange(len(z))
    counted = (z - true[..., None]).abs().amax(2) * (weights > 0)
    spread = counted.amax(1).cpu().numpy()
    spread[spread == 0] = 1.0
    low, high = (-np.log(spread * bound) for bound in reversed(SEARCHED))  # of log beta
    at_low, at_high = slope(low, model), slope(high, model)
    exists = (at_low < 0) & (at_high > 0)
    falls, rises = (at_low < 0) & (at_high <= 0), (at_low >= 0) & (at_high > 0)  # everywhere
    temperature = np.select([falls, rises], [SURE * spread, UNSURE * spread], 1.0)
    if exists.any():
        bracket = low[exists], high[exists]
        root = find_root(slope, bracket, args=(model[exists],), tolerances={"xatol": 1e-10})
        temperature[exists] = np.exp(-root.x)
    return temperature, exists


def _checked(
    logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None
) -> tuple[Tensor, Tensor, Tensor]:
    z, y = checks.tensor(logits, "logits").detach(), checks.tensor(labels, "labels")
    if z.ndim != 3 or z.shape[2] < 2 or z.shape[1] < 1 or z.shape[:2] != y.shape:
        raise ValueError(
            "need logits of shape (N, K), or (M, N, K), with K >= 2 and one label for each row, "
            f"got logits of shape {tuple(z.shape)} and labels of shape {tuple(y.shape)}"
        )
    if z.is_complex() or z.dtype == torch.bool:
        raise ValueError(f"logits must be real numbers, got {z.dtype}")
    if not torch.isfinite(z).all():
        raise ValueError("logits must be finite, got NaN or infinity")
    y = checks.labels(y.reshape(-1), z.shape[-1]).view(y.shape).to(z.device)
    if weights is None:
        return z, y, torch.full(y.shape, 1 / y.shape[1], dtype=torch.float64, device=z.device)
    w = checks.tensor(weights, "weights").detach()
    if w.shape != y.shape:
        raise ValueError(
            f"weights must have the shape of labels, {tuple(y.shape)}, got {tuple(w.shape)}"
        )
    return z, y, checks.distributions(w, "weights").double().to(z.device)
