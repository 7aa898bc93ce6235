"""Mixing: a batch of images blended or patched with other images of the same batch.

Mixup overlays two images, CutMix pastes a box of one into another, RICAP tiles four, and Cutout
blanks a square of one. The label of a mixed image is no longer one class: each function says where
every image comes from and with which weight, and `mixed_target` turns that into a distribution; or
a teacher labels the mixed image itself, and nothing of this is needed.

Draws are made on the device of the images and nothing waits for them. Mixup, CutMix and RICAP draw
one ratio a batch, as their authors' code does. Bad arguments raise ValueError.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ldlstudy import checks

LARGEST = 1e6  # Beta(alpha, alpha) is a half to three digits there


def check_alpha(alpha: float) -> float:
    """Return ``alpha`` if Beta(alpha, alpha) can be drawn from: in (0, 1e6]."""
    return checks.in_range("alpha", alpha, 0, LARGEST, open_low=True)


class Mixed(NamedTuple):
    """Mixed images and what they are made of.

    ``images`` (N, C, H, W); ``sources`` (P, N), indices into the batch of the P parts of each
    image; ``weights`` (P, N), float32, the share of each part, of sum 1 over P.
    """

    images: Tensor
    sources: Tensor
    weights: Tensor


class _Draws:
    """Random numbers on the device of the images."""

    def __init__(self, images: Tensor, generator: torch.Generator | None) -> None:
        if images.ndim != 4 or len(images) == 0 or not images.is_floating_point():
            raise ValueError(
                "images must be floating point of shape (N, C, H, W) with N >= 1, "
                f"got {images.dtype} of shape {tuple(images.shape)}"
            )
        if generator is not None and generator.device.type != images.device.type:
            raise ValueError(
                f"the generator must be on the device of the images, {images.device}, "
                f"got one on {generator.device}"
            )
        self.count, self.device, self.generator = len(images), images.device, generator

    def uniform(self, *shape: int) -> Tensor:
        """Floats in [0, 1), float64."""
        return torch.rand(shape, generator=self.generator, device=self.device, dtype=torch.float64)

    def beta(self, alpha: float) -> Tensor:
        """Return a draw from Beta(alpha, alpha), float64 of shape (1,).

        (1 + s) / 2 with s = t / sqrt(2 alpha + t^2) and t from Bailey's polar method for Student's
        t with 2 alpha degrees of freedom: exact, and without the rejections of gamma draws.
        """
        check_alpha(alpha)
        power = self.uniform(1) ** (1 / alpha)
        cosine = (2 * math.pi * self.uniform(1)).cos()
        return (1 + cosine / (cosine.square() + power / (1 - power)).sqrt()) / 2

    def partners(self) -> Tensor:
        """Return a permutation of the batch."""
        return torch.randperm(self.count, generator=self.generator, device=self.device)

    def boxes(
        self, half_height: Tensor | float, half_width: Tensor | float, shape: torch.Size, size: int
    ) -> Tensor:
        """Return which pixels lie in boxes around uniform centres, clipped: (size, 1, H, W)."""
        inside = []
        for half, full in ((half_height, shape[-2]), (half_width, shape[-1])):
            centre = (self.uniform(size, 1) * full).floor()
            pixel = torch.arange(full, device=self.device)
            inside.append((pixel >= centre - half) & (pixel < centre + half))  # (size, full)
        return (inside[0][:, :, None] & inside[1][:, None, :])[:, None]


def _shares(pixels: Tensor, total: int, count: int) -> Tensor:
    """Weights (P, N) from the pixels (P,) of each part."""
    return (pixels.double() / total).float()[:, None].expand(-1, count)


def mixup(images: Tensor, generator: torch.Generator | None = None, alpha: float = 1.0) -> Mixed:
    """Blend every image with a partner, x = l x_i + (1 - l) x_j (Zhang et al., 2018).

    Parameters
    ----------
    images : Tensor
        Shape (N, C, H, W), floating point.
    generator : torch.Generator, optional
        On the device of the images; torch's global one by default.
    alpha : float
        l is drawn from Beta(alpha, alpha), once a batch.

    Returns
    -------
    Mixed
        Two parts: the image itself with weight l and its partner with 1 - l.
    """
    draws = _Draws(images, generator)
    ratio, partner = draws.beta(alpha), draws.partners()
    own = torch.arange(len(images), device=images.device)
    weights = torch.stack([ratio, 1 - ratio]).float().expand(-1, len(images))
    mixed = torch.lerp(images[partner], images, ratio.to(images.dtype))
    return Mixed(mixed, torch.stack([own, partner]), weights)


def blend(images: Tensor, mixed: Mixed) -> Tensor:
    """Return other images blended as those of `mixup` were, with the same partners and weights.

    Parameters
    ----------
    images : Tensor
        Shape (N, C, H, W), floating point, N that of ``mixed``.
    mixed : Mixed
        As `mixup` gives it.

    Returns
    -------
    Tensor
        Shape (N, C, H, W).
    """
    count = mixed.sources.shape[1]
    if images.ndim != 4 or len(images) != count or not images.is_floating_point():
        raise ValueError(
            f"images must be floating point of shape ({count}, C, H, W), "
            f"got {images.dtype} of shape {tuple(images.shape)}"
        )
    weights = mixed.weights[:, :, None, None, None].to(images)
    return (weights * images[mixed.sources]).sum(0)


def cutmix(
    images: Tensor,
    generator: torch.Generator | None = None,
    alpha: float = 1.0,
    probability: float = 1.0,
) -> Mixed:
    """Paste a box of a partner into every image (Yun et al., 2019).

    The box covers 1 - l of the image, l from Beta(alpha, alpha), around a uniform centre, and is
    clipped at the border; one box a batch. The weights are those of the clipped box.

    Parameters
    ----------
    images, generator, alpha
        As in `mixup`.
    probability : float
        How often a batch is mixed at all: always in LDL's pseudo-code, 0.5 on CIFAR in CutMix.

    Returns
    -------
    Mixed
        Two parts: the image itself and its partner, with the shares of their pixels.
    """
    draws = _Draws(images, generator)
    checks.in_range("probability", probability, 0, 1)
    height, width = images.shape[-2:]
    side = (1 - draws.beta(alpha)).sqrt() * (draws.uniform(1) < probability)
    partner = draws.partners()
    half_height, half_width = (side * height / 2).floor(), (side * width / 2).floor()
    box = draws.boxes(half_height, half_width, images.shape, 1)
    own = torch.arange(len(images), device=images.device)
    pasted = box.sum()
    pixels = torch.stack([height * width - pasted, pasted])
    weights = _shares(pixels, height * width, len(images))
    return Mixed(torch.where(box, images[partner], images), torch.stack([own, partner]), weights)


def ricap(images: Tensor, generator: torch.Generator | None = None, alpha: float = 0.3) -> Mixed:
    """Tile every image from random crops of four images (Takahashi et al., 2018).

    Two draws from Beta(alpha, alpha) place the point (w, h) where the tiles meet. Their widths are
    [w, W - w, w, W - w], their heights [h, h, H - h, H - h] (LDL's pseudo-code orders the heights
    so that the halves do not join).

    Parameters
    ----------
    images, generator
        As in `mixup`.
    alpha : float
        Small values make one tile dominate.

    Returns
    -------
    Mixed
        Four parts, from the upper left in reading order, with the shares of their pixels.
    """
    draws = _Draws(images, generator)
    height, width = images.shape[-2:]
    h, w = (draws.beta(alpha) * height).round(), (draws.beta(alpha) * width).round()
    row = torch.arange(height, device=images.device)
    column = torch.arange(width, device=images.device)
    shown = row[:, None] * width + column  # which pixel of its source each pixel shows
    tiles, sources = [], []
    for top, left in ((True, True), (True, False), (False, True), (False, False)):
        rows, crop_rows = _tile(row, h, top, draws.uniform(1))
        columns, crop_columns = _tile(column, w, left, draws.uniform(1))
        tiles.append(rows[:, None] & columns)
        shown = torch.where(tiles[-1], crop_rows[:, None] * width + crop_columns, shown)
        sources.append(draws.partners())
    moved = images.flatten(2).index_select(2, shown.flatten()).view(images.shape)
    mixed = moved
    for tile, source in zip(tiles, sources, strict=True):
        mixed = torch.where(tile, moved[source], mixed)
    pixels = torch.stack([tile.sum() for tile in tiles])
    return Mixed(mixed, torch.stack(sources), _shares(pixels, height * width, len(images)))


def _tile(index: Tensor, border: Tensor, first: bool, draw: Tensor) -> tuple[Tensor, Tensor]:
    """Return along one axis which pixels a tile covers, and which pixel each of them shows.

    The tile lies before or after ``border`` and shows a crop whose start is uniform over the
    places where it fits.
    """
    inside = index < border if first else index >= border
    length = border if first else len(index) - border
    start = (draw * (len(index) - length + 1)).floor()
    offset = start if first else start - border
    return inside, (index + offset).clamp(0, len(index) - 1).long()


def cutout(images: Tensor, generator: torch.Generator | None = None, size: int = 16) -> Mixed:
    """Set a square of every image to zero (DeVries & Taylor, 2017).

    Centres are uniform over the image, one for each image, and squares are clipped at the border.
    On normalised images zero is the mean colour.

    Parameters
    ----------
    images, generator
        As in `mixup`.
    size : int
        Side of the square in pixels, at least 2; an odd one loses a pixel, as in the authors' code.
        They take 16 on CIFAR-10 and 8 on CIFAR-100.

    Returns
    -------
    Mixed
        One part, the image itself, with weight 1.
    """
    draws = _Draws(images, generator)
    half = checks.whole("size", size, 2) // 2
    box = draws.boxes(half, half, images.shape, len(images))
    own = torch.arange(len(images), device=images.device)[None]
    weights = torch.ones(own.shape, device=images.device)
    return Mixed(images.masked_fill(box, 0), own, weights)


def mixed_target(targets: Tensor, mixed: Mixed) -> Tensor:
    """Return the label distributions of mixed images, the weighted sum of those of their parts.

    Parameters
    ----------
    targets : Tensor
        Shape (N, K), floating point, of the images before mixing.
    mixed : Mixed
        As `mixup`, `cutmix`, `ricap` or `cutout` give it.

    Returns
    -------
    Tensor
        Shape (N, K), the dtype of ``targets``.
    """
    count = mixed.sources.shape[1]
    if targets.ndim != 2 or len(targets) != count or not targets.is_floating_point():
        raise ValueError(
            f"targets must be floating point of shape ({count}, K), "
            f"got {targets.dtype} of shape {tuple(targets.shape)}"
        )
    return (mixed.weights[:, :, None].to(targets) * targets[mixed.sources]).sum(0)
