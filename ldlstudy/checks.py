"""What every public function asks of its arguments, in one place.

Each check returns the value in the form the caller computes with, or raises one ``ValueError``
that says what was given and what is allowed.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

ArrayLike = Tensor | np.ndarray | Sequence[Any]

SUM_TOLERANCE = 1e-3  # how far from 1 a row of probabilities may sum; `_tolerance` loosens it
HALVES = (torch.float16, torch.bfloat16)


def in_range(
    name: str, value: float, low: float, high: float = float("inf"), *, open_low: bool = False
) -> float:
    """Return a finite ``value`` if ``low <= value <= high`` (``low < value`` with ``open_low``)."""
    if isinstance(value, np.integer | np.floating):
        value = value.item()  # a NumPy number may not be compared with the largest of Python's
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, got {value!r}")
    inside = (low < value if open_low else low <= value) and value <= high
    if not inside or math.isinf(value):
        left, right = "(" if open_low or low == -math.inf else "[", ")" if high == math.inf else "]"
        raise ValueError(f"{name} must lie in {left}{low:g}, {high:g}{right}, got {value!r}")
    return value


def whole(name: str, value: int, low: int) -> int:
    """Return ``value`` if it is a whole number of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ValueError(f"{name} must be a whole number of at least {low}, got {value!r}")
    return int(value)


def boolean(name: str, value: bool) -> bool:
    """Return ``value`` if it is true or false, and no text or number that would count as such."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return bool(value)


def instance(name: str, value: Any, kind: type) -> None:
    """Refuse what is no ``kind``."""
    if not isinstance(value, kind):
        wanted = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
        raise ValueError(f"{name} must be of type {wanted}, got {type(value).__name__}")


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return ``value`` if it is among ``known``; otherwise list the known ones."""
    names = sorted(known)
    if value not in names:
        raise ValueError(f"unknown {name} {value!r}; known: {', '.join(names)}")
    return value


def tensor(values: ArrayLike, name: str) -> Tensor:
    """Return a tensor as it is, and arrays, lists and pandas' columns (by position) as one."""
    if isinstance(values, Tensor):
        return values
    try:
        array = np.asarray(values)
        if array.dtype == object:  # a column of Python objects may still hold numbers alone
            array = np.array(array.tolist())
        # torch takes no foreign byte order and no negative strides, and warns of read-only memory
        native = array.dtype.newbyteorder("=")
        return torch.from_numpy(np.require(array, native, ["C", "W"]))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} must be numbers in a tensor, an array or a list, got {_shown(values)}"
        ) from error


def _shown(values: Any) -> str:
    """Return the type and the beginning of something that is no tensor."""
    text = " ".join(repr(values).split())
    return f"{type(values).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def labels(values: ArrayLike, classes: int) -> Tensor:
    """Return ``values`` as a long tensor of shape (N,) with entries in [0, classes)."""
    y = long(values)
    if y.numel() and not 0 <= int(y.min()) <= int(y.max()) < classes:
        low, high = int(y.min()), int(y.max())
        note = "; the first class is 0" if low > 0 and high == classes else ""
        raise ValueError(f"labels must lie in [0, {classes}), got values in [{low}, {high}]{note}")
    return y


def long(values: ArrayLike, name: str = "labels") -> Tensor:
    """Return whole numbers of any integer type and shape (N,) as a long tensor, values unread."""
    try:
        whole = tensor(values, name)
    except ValueError as error:
        raise ValueError(
            f"{error}; numpy.unique(names, return_inverse=True)[1] numbers names"
        ) from error
    if whole.ndim != 1:
        raise ValueError(f"{name} must have shape (N,), got {tuple(whole.shape)}")
    if whole.is_floating_point() or whole.is_complex() or whole.dtype == torch.bool:
        raise ValueError(f"{name} must be whole numbers, got {whole.dtype}")
    return whole.long()


def distributions(values: ArrayLike, name: str = "probabilities") -> Tensor:
    """Return ``values`` as floats of shape (N, K), each row a distribution over classes.

    Rows may sum to 1 as closely as their precision has it. Those of half precision come back in
    float32 and divided by their sum; gradients flow.
    """
    given = tensor(values, name)
    if given.ndim != 2 or given.shape[1] < 2:
        raise ValueError(f"{name} must have shape (N, K) with K >= 2, got {tuple(given.shape)}")
    if not given.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {given.dtype}")
    if len(given) == 0:
        return normalised(given)
    p = given.detach()
    low, high = (float(end) for end in p.aminmax())  # both NaN where any entry is
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    if low < 0:
        raise ValueError(f"{name} must not be negative, got {low:g}")
    sums = p.sum(1, dtype=torch.promote_types(p.dtype, torch.float32))  # float64 would copy it all
    allowed = _tolerance(p.dtype)
    row = int((sums - 1).abs().argmax())
    if abs(float(sums[row]) - 1) > allowed:
        raise ValueError(
            f"each row of {name} must sum to 1 within {allowed:.2g}, "
            f"row {row} sums to {float(sums[row]):.4g}"
        )
    return normalised(given)


def binary(values: ArrayLike, name: str = "probabilities") -> Tensor:
    """Return the probabilities (N,) of class 1 of two classes as distributions (N, 2)."""
    p = tensor(values, name)
    if p.ndim != 1 or not p.is_floating_point():
        raise ValueError(
            f"{name} of class 1 must be floating point of shape (N,), "
            f"got {p.dtype} of shape {tuple(p.shape)}"
        )
    p = p.to(torch.promote_types(p.dtype, torch.float32))
    return distributions(torch.stack([1 - p, p], 1), name)


def _tolerance(dtype: torch.dtype) -> float:
    """Return how far from 1 a row may sum: a few roundings of every entry, all to one side."""
    return max(SUM_TOLERANCE, 4 * torch.finfo(dtype).eps)


def normalised(p: Tensor) -> Tensor:
    """Return distributions (N, K) of half precision in float32, of sum 1; others as they are."""
    if p.dtype not in HALVES:
        return p
    wide = p.float()
    return wide / wide.sum(1, keepdim=True)


def paired(probabilities: ArrayLike, truth: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return probabilities (N, K) and labels (N,) of one non-empty sample, on one device.

    No gradient comes with them.
    """
    p = distributions(probabilities).detach()
    y = labels(truth, p.shape[1]).to(p.device)
    if len(p) != len(y) or len(p) == 0:
        raise ValueError(f"need as many labels as rows, at least one: got {len(y)} and {len(p)}")
    return p, y
