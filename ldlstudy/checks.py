"""What every public function asks of its arguments, in one place.

Each check returns the value in the form the caller computes with, or raises one ``ValueError``
that says what was given and what is allowed.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

ArrayLike = Tensor | np.ndarray

SUM_TOLERANCE = 1e-3  # rows of float16 or bf16 probabilities sum to 1 only this closely


def in_range(
    name: str, value: float, low: float, high: float = float("inf"), *, open_low: bool = False
) -> float:
    """Return ``value`` if ``low <= value <= high`` (``low < value`` with ``open_low``)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError(f"{name} must be a number, got {value!r}")
    if not (low < value if open_low else low <= value) or not value <= high or value != value:
        bracket = "(" if open_low else "["
        raise ValueError(f"{name} must lie in {bracket}{low:g}, {high:g}], got {value!r}")
    return value


def whole(name: str, value: int, low: int) -> int:
    """Return ``value`` if it is a whole number of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ValueError(f"{name} must be a whole number of at least {low}, got {value!r}")
    return int(value)


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return ``value`` if it is among ``known``; otherwise list the known ones."""
    names = sorted(known)
    if value not in names:
        raise ValueError(f"unknown {name} {value!r}; known: {', '.join(names)}")
    return value


def labels(values: ArrayLike, classes: int) -> Tensor:
    """Return ``values`` as a long tensor of shape (N,) with entries in [0, classes)."""
    tensor = torch.as_tensor(values)
    if tensor.ndim != 1:
        raise ValueError(f"labels must have shape (N,), got {tuple(tensor.shape)}")
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"labels must be whole numbers, got {tensor.dtype}")
    if tensor.numel() and not 0 <= int(tensor.min()) <= int(tensor.max()) < classes:
        low, high = int(tensor.min()), int(tensor.max())
        raise ValueError(f"labels must lie in [0, {classes}), got values in [{low}, {high}]")
    return tensor.long()


def distributions(values: ArrayLike, name: str = "probabilities") -> Tensor:
    """Return ``values`` as a float tensor of shape (N, K), each row a distribution over classes."""
    tensor = torch.as_tensor(values)
    if tensor.ndim != 2 or tensor.shape[1] < 2:
        raise ValueError(f"{name} must have shape (N, K) with K >= 2, got {tuple(tensor.shape)}")
    if not tensor.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {tensor.dtype}")
    sums = tensor.sum(1, dtype=torch.promote_types(tensor.dtype, torch.float32))
    if not torch.isfinite(sums).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    if tensor.numel() and float(tensor.min()) < 0:
        raise ValueError(f"{name} must not be negative, got {float(tensor.min()):g}")
    if tensor.numel() and float((sums - 1).abs().max()) > SUM_TOLERANCE:
        row = int((sums - 1).abs().argmax())
        raise ValueError(
            f"each row of {name} must sum to 1, row {row} sums to {float(sums[row]):.4g}"
        )
    return tensor


def paired(probabilities: ArrayLike, truth: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return probabilities (N, K) and labels (N,) of one non-empty sample, on one device."""
    p = distributions(probabilities)
    y = labels(truth, p.shape[1]).to(p.device)
    if len(p) != len(y) or len(p) == 0:
        raise ValueError(f"need as many labels as rows, at least one: got {len(y)} and {len(p)}")
    return p, y
