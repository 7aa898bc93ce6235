"""Mixing by name: what a run's ``mixing`` says, as a function of a batch of images."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, mixing
from ldlstudy.mixing import Mixed


@dataclasses.dataclass(frozen=True)
class Mixer:
    """A mixing with its settings; ``least`` images must be in a batch."""

    mix: Callable[..., Mixed]
    options: Mapping[str, Any]
    least: int

    def __call__(self, images: Tensor, generator: torch.Generator) -> Mixed:
        """Mix the images (N, C, H, W) of a batch."""
        return self.mix(images, generator, **self.options)

    def check(self, size: int) -> None:
        """Raise a ValueError if a batch of ``size`` images has too few."""
        if size < self.least:
            raise ValueError(f"the mixing takes {self.least} images, a batch has {size}")


MIXINGS: dict[str, tuple[Callable[..., Mixed], int]] = {
    "cutout": (mixing.cutout, 1),
    "mixup": (mixing.mixup, 2),
    "cutmix": (mixing.cutmix, 2),
    "ricap": (mixing.ricap, 4),
}


def mixer(settings: Mapping[str, Any] | None) -> Mixer | None:
    """The mixing that a run's parameters name, as ``{"name": "cutmix", "alpha": 1.0}``.

    Parameters
    ----------
    settings : Mapping, optional
        ``name`` and the options of the function of :mod:`ldlstudy.mixing` with this name; None
        stands for no mixing.

    Raises
    ------
    ValueError
        An unknown name (the known ones are listed), an option that the mixing does not take, or one
        out of range.
    """
    if settings is None:
        return None
    if not isinstance(settings, Mapping):
        raise ValueError(f"a mixing is written as {{'name': 'cutmix'}}, got {settings!r}")
    options = dict(settings)
    name = checks.one_of("mixing", options.pop("name", None), MIXINGS)
    mix, least = MIXINGS[name]
    try:
        mix(torch.zeros(least, 1, 2, 2), torch.Generator(), **options)
    except TypeError as error:
        raise ValueError(f"mixing {name!r} with {options}: {error}") from error
    return Mixer(mix, options, least)
