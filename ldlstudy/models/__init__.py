"""The networks of the four papers, with exactly their numbers of parameters, one family a file.

``build("resnet20", 10)`` gives a :class:`Classifier`: it maps images (N, C, H, W) to logits (N, K)
and hands out its penultimate features. Each family's module says where its layout and its
initialisation come from.
"""

import inspect
from collections.abc import Callable
from typing import Any

from ldlstudy import checks
from ldlstudy.models import (
    cifar_resnet,
    densenet,
    dla,
    fast,
    fcn,
    plain,
    preact_resnet,
    resnet,
    resnext,
    wide_resnet,
)
from ldlstudy.models.classifier import Classifier

__all__ = ["Classifier", "available", "build", "options_of"]

_FAMILIES = (
    cifar_resnet,
    densenet,
    dla,
    fast,
    fcn,
    plain,
    preact_resnet,
    resnet,
    resnext,
    wide_resnet,
)
_MODELS: dict[str, Callable[..., Classifier]] = {
    name: make for family in _FAMILIES for name, make in family.MODELS.items()
}


def available() -> tuple[str, ...]:
    """Return the names that `build` knows, sorted."""
    return tuple(sorted(_MODELS))


def build(name: str, classes: int, **options: Any) -> Classifier:
    """Return a new network, initialised from torch's global generator.

    Parameters
    ----------
    name : str
        One of `available`.
    classes : int
        Number of classes K, at least 2.
    **options
        What the network's family takes: ``channels`` of an image for all but the fully-connected
        ones (which take ``shape`` and ``dropout``, `small_fcn` also ``hidden``), ``stem`` ("3x3" or
        "7x7") for several, ``size`` for LeNet, ``widths`` for the fast network, ``weights`` for
        ResNet-34 and ResNet-50.

    Returns
    -------
    Classifier
        In training mode, on torch's default device.

    Raises
    ------
    ValueError
        An unknown name or option (the known ones are listed), or a value out of its range.
    """
    known = options_of(name)
    for option in options:
        checks.one_of(f"option of {name}", option, known)
    return _MODELS[name](checks.whole("classes", classes, 2), **options)


def options_of(name: str) -> dict[str, Any]:
    """Return the options that `build` takes for a network, each with its type."""
    make = _MODELS[checks.one_of("model", name, _MODELS)]
    parameters = inspect.signature(make).parameters.values()
    return {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY}
