"""What is done to the images of a run: :class:`Augmentation`, on the images' device.

The geometry (:mod:`.geometry`) moves uint8 pixels where it can; conversion to [0, 1] and
normalisation come last.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.training.geometry import (
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


def normalise(images: Tensor, name: str) -> Tensor:
    """Shift and scale the values of images in [0, 1].

    Parameters
    ----------
    images : Tensor
        Shape (B, C, H, W), float32.
    name : str
        ``none``; ``image``, each image to mean 0 and deviation 1 over its n values, the deviation
        counted as at least 1/sqrt(n), as TensorFlow's ``per_image_standardization`` has it; or the
        mean and deviation by channel in ``NORMALISATIONS``.

    Returns
    -------
    Tensor
        Shape (B, C, H, W), float32.

    Raises
    ------
    ValueError
        If the name is unknown or its number of channels is another.
    """
    check_images(images)
    checks.one_of("normalisation", name, ("none", "image", *NORMALISATIONS))
    if name == "none":
        return images
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
    normalise : str
        As in `normalise`; done in tests as well.
    noise : float
        Standard deviation of Gaussian noise on each value, in the units of normalised images.
    """

    crop: int | None = None
    pad: int = 0
    flip: bool = False
    shift: int = 0
    affine: Sequence[float] | None = None
    normalise: str = "none"
    noise: float = 0.0

    def __post_init__(self) -> None:
        """Check every field."""
        checks.whole("pad", self.pad, 0)
        checks.whole("shift", self.shift, 0)
        checks.in_range("noise", self.noise, 0)
        checks.one_of("normalisation", self.normalise, ("none", "image", *NORMALISATIONS))
        if self.crop is not None:
            checks.whole("crop", self.crop, 1)
        elif self.pad:
            raise ValueError(f"pad {self.pad} needs the side of a crop, got no crop")
        if self.affine is not None and len(self.affine) != 4:
            raise ValueError(
                "affine must be degrees, translate, smallest and largest scale, "
                f"got {self.affine!r}"
            )

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

    def shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """C, h, w of the images it makes of those of ``shape`` (C, H, W)."""
        return shape if self.crop is None else (shape[0], self.crop, self.crop)

    def train(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Training images, (B, C, h, w) float32, from uint8 or float pixels (B, C, H, W)."""
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
        check_images(pixels)
        if self.crop is not None:
            height, width = pixels.shape[2:]
            if self.crop > min(height, width):
                raise ValueError(f"crop {self.crop} is larger than images of {height} x {width}")
            top, left = (height - self.crop) // 2, (width - self.crop) // 2
            pixels = pixels[:, :, top : top + self.crop, left : left + self.crop]
        return normalise(unit(pixels), self.normalise)


def unit(pixels: Tensor) -> Tensor:
    """uint8 pixels as float32 in [0, 1]; floating-point pixels as float32, their values kept."""
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
