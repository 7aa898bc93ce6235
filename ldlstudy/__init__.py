"""Soft labels and calibration: the strategies, models and metrics of four papers.

``from ldlstudy import targets, metrics`` gives the pure functions, :func:`preview` shows
what a method teaches, :func:`train` trains a network by any, and :func:`measure` says how well it
is calibrated. Data flows one way:
labels, mixing and losses -> methods -> training -> experiment -> report -> studies -> the book.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {  # names of the face that live in a module of their own
    "Augmentation": "ldlstudy.training",
    "Recipe": "ldlstudy.training",
    "measure": "ldlstudy.experiment.measure",
    "preview": "ldlstudy.experiment.preview",
    "train": "ldlstudy.training",
}
_MODULES = (
    "data", "information", "interop", "losses", "methods", "metrics", "mixing", "mixture", "models",
    "projection", "scaling", "targets",
)  # fmt: skip
__all__ = [*_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    """Load a part of the face when it is first asked for, so that the command answers at once."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"ldlstudy.{name}")
    raise AttributeError(f"module 'ldlstudy' has no attribute {name!r}")
