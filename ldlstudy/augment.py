"""Random changes to a batch of images, each image with a draw of its own, on the images' device.

Cropping, flipping and shifting move uint8 pixels and so cost a quarter of what they would on
floats; conversion to [0, 1] and normalisation come last. Nothing here reads a value back from the
device, so a GPU is never waited for. :class:`Augmentation` is what a run names.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy import checks

NORMALISATIONS: dict[str, tuple[Sequence[float], Sequence[float]]] = {  # mean, deviation by channel
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "cskd": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),  # the authors', for both CIFARs
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def random_crop(
    images: Tensor, size: int | tuple[int, int], padding: int, generator: torch.Generator
) -> Tensor:
    """Pad with zeros and cut a window from each image, all positions equally probable.

    Parameters
    ----------
    images : Tensor
        Shape (B, C, H, W), any dtype.
    size : int or tuple of int
        Height and width of the window, at most the padded image's; an int is both.
    padding : int
        Zeros on each side, at least 0.
    generator : torch.Generator
        Source of the draws, on the images' device.

    Returns
    -------
    Tensor
        Shape (B, C, h, w), in the dtype of ``images``.

    Raises
    ------
    ValueError
        If ``images`` has another shape or ``size`` or ``padding`` is out of range.
    """
    _check(images)
    checks.whole("padding", padding, 0)
    sides = (size, size) if isinstance(size, int) else size
    h, w = (checks.whole("size", side, 1) for side in sides)
    down, right = images.shape[2] + 2 * padding - h, images.shape[3] + 2 * padding - w
    if min(down, right) < 0:
        raise ValueError(
            f"a window of {h} x {w} does not fit in {images.shape[2]} x {images.shape[3]} images "
            f"with {padding} pixels around them"
        )
    windows = F.pad(images, (padding,) * 4).unfold(2, h, 1).unfold(3, w, 1)  # a view of all windows
    y, x = (_whole(len(images), n + 1, generator) for n in (down, right))
    return windows[torch.arange(len(images), device=images.device), :, y, x]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability 1/2.

    Parameters
    ----------
    images, generator
        As in `random_crop`.

    Returns
    -------
    Tensor
        Shape and dtype of ``images``.
    """
    _check(images)
    flipped = _whole(len(images), 2, generator).bool()[:, None, None, None]
    return torch.where(flipped, images.flip(3), images)


def random_shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Move each image by whole numbers of pixels in [-pixels, pixels], independently in x and y.

    Zeros come in at the edges.

    Parameters
    ----------
    images, generator
        As in `random_crop`.
    pixels : int
        Largest shift, at least 0.

    Returns
    -------
    Tensor
        Shape and dtype of ``images``.
    """
    _check(images)
    size = (images.shape[2], images.shape[3])
    return random_crop(images, size, checks.whole("pixels", pixels, 0), generator)


def random_affine(
    images: Tensor,
    degrees: float,
    translate: float,
    scale: tuple[float, float],
    generator: torch.Generator,
) -> Tensor:
    """Rotate, move and scale each image about its centre, each amount uniform in its range.

    Parameters
    ----------
    images : Tensor
        Shape (B, C, H, W), floating point.
    degrees : float
        Largest angle either way, in [0, 180].
    translate : float
        Largest shift either way as a fraction of the height and of the width, in [0, 1].
    scale : tuple of float
        Smallest and largest factor, above 0.
    generator : torch.Generator
        Source of the draws, on the images' device.

    Returns
    -------
    Tensor
        Shape and dtype of ``images``; bilinear, zeros from outside.
    """
    _check(images)
    checks.in_range("degrees", degrees, 0, 180)
    checks.in_range("translate", translate, 0, 1)
    low, high = (checks.in_range("scale", value, 0, open_low=True) for value in scale)
    if low > high:
        raise ValueError(f"scale must be (smallest, largest), got {tuple(scale)!r}")
    u = torch.rand(4, len(images), generator=generator, device=images.device)
    turn, right, down = (2 * u[:3] - 1).unbind()
    height, width = images.shape[2:]
    shift = torch.stack([right * translate * width, down * translate * height], 1)
    return affine(images, degrees * turn, shift, low + (high - low) * u[3])


def affine(images: Tensor, degrees: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Rotate clockwise, scale and move each image about its centre.

    Parameters
    ----------
    images : Tensor
        Shape (B, C, H, W), floating point.
    degrees, scale : Tensor
        Shape (B,): angles, and factors above 0.
    shift : Tensor
        Shape (B, 2): pixels to the right and down.

    Returns
    -------
    Tensor
        Shape and dtype of ``images``; bilinear, zeros from outside.
    """
    _check(images)
    if not images.is_floating_point():
        raise ValueError(f"images must be floating point to be interpolated, got {images.dtype}")
    height, width = images.shape[2:]
    cos, sin = degrees.deg2rad().cos() / scale, degrees.deg2rad().sin() / scale
    dx, dy = shift.unbind(1)
    # grid_sample asks where each output pixel comes from, in units of half the width and height
    rows = [
        torch.stack([cos, sin * height / width, -(cos * dx + sin * dy) * 2 / width], 1),
        torch.stack([-sin * width / height, cos, (sin * dx - cos * dy) * 2 / height], 1),
    ]
    theta = torch.stack(rows, 1).to(images.dtype)  # (B, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


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
    _check(images)
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
    """

    crop: int | None = None
    pad: int = 0
    flip: bool = False
    shift: int = 0
    affine: Sequence[float] | None = None
    normalise: str = "none"

    def __post_init__(self) -> None:
        """Check every field."""
        checks.whole("pad", self.pad, 0)
        checks.whole("shift", self.shift, 0)
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
        return normalise(images, self.normalise)

    def test(self, pixels: Tensor) -> Tensor:
        """Test images, (B, C, h, w) float32: the central window, normalised."""
        _check(pixels)
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


def _check(images: Tensor) -> None:
    if images.ndim != 4:
        raise ValueError(f"images must have shape (B, C, H, W), got {tuple(images.shape)}")


def _whole(count: int, end: int, generator: torch.Generator) -> Tensor:
    """``count`` whole numbers in [0, end), on the generator's device."""
    return torch.randint(end, (count,), generator=generator, device=generator.device)
