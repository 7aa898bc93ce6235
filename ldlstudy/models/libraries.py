"""Networks of torchvision and of timm by their names there, without pretrained weights."""

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from ldlstudy.extras import needs
from ldlstudy.models.classifier import Classifier, wrap

Maker = Callable[..., Classifier]
AUXILIARY = {"googlenet", "inception_v3"}  # their training has three outputs


def torchvision(name: str) -> Maker:
    """Return what builds a network of torchvision, whose images have three channels.

    An unknown name is a ValueError that names the nearest ones.
    """
    from torchvision import models

    known = set(models.list_models(module=models)) - AUXILIARY
    _check_name("torchvision", name, sorted(known))
    return functools.partial(_build, lambda **given: models.get_model(name, **given), name, {})


def timm(name: str) -> Maker:
    """Return what builds a network of timm, for any number of channels.

    An unknown name, and timm where it is not installed, is a ValueError.
    """
    with needs("timm"):
        import timm as library

    _check_name("timm", name, library.list_models())
    make = functools.partial(library.create_model, name)
    return functools.partial(_build, make, name, {"in_chans": 0})


def _build(
    make: Callable[..., nn.Module],
    name: str,
    channels: dict[str, Any],
    classes: int,
    *,
    shape: tuple[int, int, int] = (3, 224, 224),
) -> Classifier:
    """Return a library's network for images of ``shape`` (C, H, W) as a :class:`Classifier`."""
    if not channels and shape[0] != 3:
        raise ValueError(f"{name} takes images of 3 channels, these have {shape[0]}")
    return wrap(make(num_classes=classes, **dict.fromkeys(channels, shape[0])), shape)


def _check_name(library: str, name: str, known: list[str]) -> None:
    if name in known:
        return
    from difflib import get_close_matches

    near = ", ".join(get_close_matches(name, known, 5)) or "none is alike"
    raise ValueError(
        f"unknown network {name!r} of {library}, which has {len(known)}; the nearest: {near}"
    )
