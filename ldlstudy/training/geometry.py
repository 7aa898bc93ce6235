"""Random crops, flips, shifts and affine maps of a batch, each image with a draw of its own.

All run on the images' device and never read a value back from it, so a GPU is not waited for.
Crops, flips and shifts take any dtype; on uint8 they cost a quarter of what they would on floats.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy import checks


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
    check_images(images)
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
    check_images(images)
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
    check_images(images)
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
    check_images(images)
    check_affine(degrees, translate, scale)
    low, high = scale
    u = torch.rand(4, len(images), generator=generator, device=images.device)
    turn, right, down = (2 * u[:3] - 1).unbind()
    height, width = images.shape[2:]
    shift = torch.stack([right * translate * width, down * translate * height], 1)
    return affine(images, degrees * turn, shift, low + (high - low) * u[3])


def check_affine(degrees: float, translate: float, scale: tuple[float, float]) -> None:
    """Refuse ranges that `random_affine` does not take."""
    checks.in_range("degrees", degrees, 0, 180)
    checks.in_range("translate", translate, 0, 1)
    for value in scale:
        checks.in_range("scale", value, 0, open_low=True)
    if scale[0] > scale[1]:
        raise ValueError(f"scale must be (smallest, largest), got {tuple(scale)!r}")


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
    check_images(images)
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


def check_images(images: Tensor) -> None:
    """Raise ValueError unless ``images`` has shape (B, C, H, W)."""
    if images.ndim != 4:
        raise ValueError(f"images must have shape (B, C, H, W), got {tuple(images.shape)}")


def _whole(count: int, end: int, generator: torch.Generator) -> Tensor:
    """``count`` whole numbers in [0, end), on the generator's device."""
    return torch.randint(end, (count,), generator=generator, device=generator.device)
