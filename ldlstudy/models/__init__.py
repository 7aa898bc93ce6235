"""The networks of the four papers, with exactly their numbers of parameters, one family a file.

``build("resnet20", 10)`` gives a :class:`Classifier`: it maps images (N, C, H, W) to logits (N, K)
and hands out its penultimate features. Each family's module says where its layout and its
initialisation come from. :func:`~ldlstudy.models.classifier.wrap` makes one of a network that
others wrote, and the names ``torchvision:resnet18`` and ``timm:resnet18`` build those of two
libraries.
"""

import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier, wrap

__all__ = ["Classifier", "available", "build", "options_of", "wrap"]

_FAMILIES = (  # the others take blocks of torchvision, which is slow to load
    "fcn", "plain", "fast", "wide_resnet", "inception",
    "cifar_resnet", "densenet", "dla", "preact_resnet", "resnet", "resnext",
)  # fmt: skip
_LIBRARIES = ("timm", "torchvision")  # whose names stand after theirs and a colon


def _families() -> Iterator[dict[str, Callable[..., Classifier]]]:
    """Each family's networks: functions by name. A family is loaded when it is asked for."""
    for family in _FAMILIES:
        yield importlib.import_module(f"ldlstudy.models.{family}").MODELS


def available() -> tuple[str, ...]:
    """Return the names that `build` knows by itself, sorted."""
    return tuple(sorted(itertools.chain.from_iterable(_families())))


def build(name: str, classes: int, **options: Any) -> Classifier:
    """Return a new network, initialised from torch's global generator.

    Parameters
    ----------
    name : str
        One of `available`, or ``torchvision:`` or ``timm:`` and a name of that library.
    classes : int
        Number of classes K, at least 2.
    **options
        What the network's family takes: ``channels`` of an image for all but the fully-connected
        ones (which take ``shape`` and ``dropout``, `small_fcn` also ``hidden``), ``stem`` ("3x3" or
        "7x7") for several, ``size`` for LeNet, ``widths`` for the fast network, ``weights`` for
        ResNet-34 and ResNet-50, ``shape`` for those of a library.

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
    return _maker(name)(checks.whole("classes", classes, 2), **options)


def options_of(name: str) -> dict[str, Any]:
    """Return the options that `build` takes for a network, each with its type."""
    parameters = inspect.signature(_maker(name)).parameters.values()
    return {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY}


def _maker(name: str) -> Callable[..., Classifier]:
    library, colon, own = str(name).partition(":")
    if not colon:
        family = next((each for each in _families() if library in each), {})
        return family[checks.one_of("model", name, family or available())]
    checks.one_of("library of networks", library, _LIBRARIES)
    from ldlstudy.models import libraries

    found: Callable[..., Classifier] = getattr(libraries, library)(own)
    return found
