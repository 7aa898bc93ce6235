"""What is done to the images of a run: :class:`Augmentation`, on the images' device.

The geometry (:mod:`.geometry`) moves uint8 pixels where it can; conversion to [0, 1] and
normalisation come last.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.data.decode import Stream
from ldlstudy.data.images import Images
from ldlstudy.training.geometry import (
    check_affine,
    check_images,
    random_affine,
    random_crop,
    random_flip,
    random_shift,
)

NORMALISATIONS: dict[str, tuple[Sequence[float], Sequence[float]]] = {  # mean, deviation by channel
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "cskd": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),  # the authors', for both CIFARs
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
}
MEASURED = "training"  # stands for the mean and deviation of the training images
SAMPLE, CHUNK = 2000, 500  # streamed images that are enough for those; images to decode at once
Normalisation = str | Sequence[Sequence[float]]


def normalise(images: Tensor, name: Normalisation) -> Tensor:
    """Shift and scale the values of images in [0, 1], or of features.

    Parameters
    ----------
    images : Tensor
        Shape (B, C, H, W), or (B, F) of features, float32.
    name : str or sequence
        The means and the deviations of the C channels or F features; or a name: ``none``;
        ``image``, each image to mean 0 and deviation 1 over its n values, the deviation counted as
        at least 1/sqrt(n), as TensorFlow's ``per_image_standardization`` has it; or one in
        ``NORMALISATIONS``, which has the mean and deviation by channel.

    Returns
    -------
    Tensor
        Of the same shape, float32.

    Raises
    ------
    ValueError
        If the name is unknown or its number of channels is another.
    """
    if name == "none":
        return images
    if name == MEASURED:
        raise ValueError(
            f"normalisation {MEASURED!r} is measured on the training images: give "
            "Augmentation(...).fitted(training)"
        )
    if not images.is_floating_point():
        raise ValueError(f"images to normalise must be floating point, got {images.dtype}")
    if not isinstance(name, str):
        mean, deviation = (_by_channel(each, images) for each in name)
        return (images - mean) / deviation
    check_images(images)
    checks.one_of("normalisation", name, ("image", *NORMALISATIONS))
    if name == "image":
        deviation, mean = torch.std_mean(images, (1, 2, 3), correction=0, keepdim=True)
        return (images - mean) / deviation.clamp_min(images[0].numel() ** -0.5)
    means, deviations = NORMALISATIONS[name]
    if images.shape[1] != len(means):
        raise ValueError(
            f"normalisation {name!r} is of {len(means)} channels, the images have {images.shape[1]}"
        )
    channels = zip(images.unbind(1), means, deviations, strict=True)
    return torch.stack([(channel - mean) / deviation for channel, mean, deviation in channels], 1)


def _by_channel(values: Sequence[float], images: Tensor) -> Tensor:
    if len(values) != images.shape[1]:
        raise ValueError(
            f"the normalisation is of {len(values)} channels, the images have {images.shape[1]}"
        )
    by_channel = torch.tensor(values, dtype=images.dtype, device=images.device)
    return by_channel.view(1, -1, *[1] * (images.ndim - 2))


def mean_and_deviation(images: Images) -> tuple[list[float], list[float]]:
    """Return the mean and the deviation of each channel of images in [0, 1], or of each feature.

    A channel that is the same everywhere has deviation 1. Of streamed images 2000 are looked at.
    """
    pixels, total, squares = images.pixels, torch.zeros(()), torch.zeros(())
    if isinstance(pixels, Stream):
        pixels = pixels[torch.linspace(0, len(pixels) - 1, min(len(pixels), SAMPLE)).long()]
    for part in torch.arange(len(pixels)).split(CHUNK):
        chosen = pixels[part]
        seen = unit(chosen.tensor() if isinstance(chosen, Stream) else chosen).double()
        seen = seen.transpose(0, 1).flatten(1)
        total, squares = total + seen.sum(1), squares + seen.square().sum(1)
    count = len(pixels) * math.prod(pixels.shape[2:])
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    deviation = torch.where(deviation < 1e-6, torch.ones_like(deviation), deviation)
    return mean.tolist(), deviation.tolist()


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to the images of a run, in the order of the fields.

    Attributes
    ----------
    crop : int, optional
        Side of a random window, from images with ``pad`` zeros around them; in tests the window is
        central.
    pad : int
        See ``crop``.
    flip : bool
        Whether images are mirrored left to right with probability 1/2.
    shift : int
        Largest move in pixels, independent in x and y.
    affine : tuple of float, optional
        Largest angle in degrees, largest move as a fraction of the side, smallest and largest
        scale, as in `random_affine`.
    normalise : str or sequence
        As in `normalise`, or ``training``: the mean and deviation of the training images, which
        `train` measures and `fitted` puts in its place; done in tests as well.
    noise : float
        Standard deviation of Gaussian noise on each value, in the units of normalised images.
    """

    crop: int | None = None
    pad: int = 0
    flip: bool = False
    shift: int = 0
    affine: Sequence[float] | None = None
    normalise: Normalisation = "none"
    noise: float = 0.0

    def __post_init__(self) -> None:
        """Check every field."""
        checks.whole("pad", self.pad, 0)
        checks.whole("shift", self.shift, 0)
        checks.in_range("noise", self.noise, 0)
        checks.boolean("flip", self.flip)
        _check_normalisation(self.normalise)
        if self.crop is not None:
            checks.whole("crop", self.crop, 1)
        elif self.pad:
            raise ValueError(f"pad {self.pad} needs the side of a crop, got no crop")
        if self.affine is not None:
            if np.shape(self.affine) != (4,):
                raise ValueError(
                    "affine must be degrees, translate, smallest and largest scale, "
                    f"got {self.affine!r}"
                )
            degrees, translate, low, high = self.affine
            check_affine(degrees, translate, (low, high))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Augmentation":
        """The augmentation that a run's ``data["augment"]`` describes.

        Raises
        ------
        ValueError
            An unknown setting (the known ones are listed) or a value out of range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in settings:
            checks.one_of("augmentation setting", name, known)
        return cls(**settings)

    def fitted(self, training: Images | tuple[Any, Any]) -> "Augmentation":
        """Return it with the mean and deviation of ``training`` in the place of the word."""
        if self.normalise != MEASURED:
            return self
        return dataclasses.replace(self, normalise=mean_and_deviation(Images.of(training)))

    def shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """C, h, w of the images it makes of those of ``shape`` (C, H, W)."""
        return shape if self.crop is None else (shape[0], self.crop, self.crop)

    def train(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Training images, (B, C, h, w) float32, from uint8 or float pixels (B, C, H, W).

        Features (B, F) are normalised and made noisy alone.
        """
        self._check_flat(pixels)
        if self.crop is not None:
            pixels = random_crop(pixels, self.crop, self.pad, generator)
        if self.flip:
            pixels = random_flip(pixels, generator)
        if self.shift:
            pixels = random_shift(pixels, self.shift, generator)
        images = unit(pixels)
        if self.affine is not None:
            degrees, translate, low, high = self.affine
            images = random_affine(images, degrees, translate, (low, high), generator)
        images = normalise(images, self.normalise)
        if self.noise:
            images = images + self.noise * torch.empty_like(images).normal_(generator=generator)
        return images

    def test(self, pixels: Tensor) -> Tensor:
        """Test images, (B, C, h, w) float32: the central window, normalised."""
        self._check_flat(pixels)
        if self.crop is not None:
            height, width = pixels.shape[2:]
            if self.crop > min(height, width):
                raise ValueError(f"crop {self.crop} is larger than images of {height} x {width}")
            top, left = (height - self.crop) // 2, (width - self.crop) // 2
            pixels = pixels[:, :, top : top + self.crop, left : left + self.crop]
        return normalise(unit(pixels), self.normalise)

    def _check_flat(self, pixels: Tensor) -> None:
        if pixels.ndim != 2:
            check_images(pixels)
        elif self.crop or self.flip or self.shift or self.affine:
            raise ValueError("features (N, F) are not cropped, mirrored, shifted or turned")


def _check_normalisation(given: Normalisation) -> None:
    if isinstance(given, str):
        checks.one_of("normalisation", given, ("none", "image", MEASURED, *NORMALISATIONS))
        return
    lengths = [np.size(each) for each in given] if isinstance(given, Sequence) else []
    if len(lengths) != 2 or lengths[0] != lengths[1] or np.ndim(given) != 2:
        raise ValueError(
            f"normalise must be a name, or means and deviations by channel, got {given!r}"
        )
    for mean, deviation in zip(*given, strict=True):
        checks.in_range("a mean", mean, float("-inf"))
        checks.in_range("a deviation", deviation, 0, open_low=True)


def unit(pixels: Tensor) -> Tensor:
    """uint8 pixels as float32 in [0, 1]; floating-point pixels as float32, their values kept."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
