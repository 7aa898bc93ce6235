"""Mixing: a batch of images blended or patched with other images of the same batch.

Mixup overlays two images, CutMix pastes a box of one into another, RICAP tiles four, and CutOut
blanks a square of one. The label of a mixed image is no longer one class: `Mixed` says where every
image comes from and with which weight, and `mixed_target` turns that into a distribution; or a
teacher labels the mixed image itself.

A mixing is drawn, then applied: what was drawn (`Blend`, `Paste`, `Tile`, `Blank`) can be applied
to other images as well, such as the partners of the images in a batch. Draws are made on the device
of the images and nothing waits for them. Mixup, CutMix and RICAP draw one ratio a batch, as their
authors' code does. Bad arguments raise ValueError.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ldlstudy import checks

LARGEST = 1e6  # Beta(alpha, alpha) is a half to three digits there


class Mixed(NamedTuple):
    """Mixed images and what they are made of.

    ``images`` (N, C, H, W); ``sources`` (P, N), indices into the batch of the P parts of each
    image; ``weights`` (P, N), float32, the share of each part, of sum 1 over P.
    """

    images: Tensor
    sources: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Blend:
    """Mixup's draw: x = l x_i + (1 - l) x_j, with ``ratio`` l (1,) and ``partner`` j (N,)."""

    partner: Tensor
    ratio: Tensor

    def __call__(self, images: Tensor) -> Mixed:
        """Apply it to images (N, C, H, W)."""
        _checked(images, len(self.partner))
        weights = torch.stack([self.ratio, 1 - self.ratio]).float().expand(-1, len(images))
        mixed = torch.lerp(images[self.partner], images, self.ratio.to(images.dtype))
        return Mixed(mixed, torch.stack([_itself(images), self.partner]), weights)


@dataclass(frozen=True)
class Paste:
    """CutMix's draw: the pixels of ``partner`` (N,) in a ``box``, bool (1, 1, H, W)."""

    partner: Tensor
    box: Tensor

    def __call__(self, images: Tensor) -> Mixed:
        """Apply it to images (N, C, H, W); the weights are the shares of their pixels."""
        _checked(images, len(self.partner), self.box)
        pasted, total = self.box.sum(), self.box.numel()
        weights = _shares(torch.stack([total - pasted, pasted]), total, len(images))
        mixed = torch.where(self.box, images[self.partner], images)
        return Mixed(mixed, torch.stack([_itself(images), self.partner]), weights)


@dataclass(frozen=True)
class Tile:
    """RICAP's draw: four tiles, from the upper left in reading order.

    Attributes
    ----------
    sources : Tensor
        Shape (4, N), the images that the tiles show.
    tiles : Tensor
        Shape (4, H, W), bool, which pixels each tile covers.
    shown : Tensor
        Shape (H, W), which pixel of its source, counted row by row, each pixel shows.
    """

    sources: Tensor
    tiles: Tensor
    shown: Tensor

    def __call__(self, images: Tensor) -> Mixed:
        """Apply it to images (N, C, H, W); the weights are the shares of their pixels."""
        _checked(images, self.sources.shape[1], self.shown)
        moved = images.flatten(2).index_select(2, self.shown.flatten()).view(images.shape)
        mixed = moved
        for tile, source in zip(self.tiles, self.sources, strict=True):
            mixed = torch.where(tile, moved[source], mixed)
        pixels = self.tiles.flatten(1).sum(1)
        return Mixed(mixed, self.sources, _shares(pixels, self.shown.numel(), len(images)))


@dataclass(frozen=True)
class Blank:
    """CutOut's draw: a box of each image set to zero, bool (N, 1, H, W)."""

    boxes: Tensor

    def __call__(self, images: Tensor) -> Mixed:
        """Apply it to images (N, C, H, W)."""
        _checked(images, len(self.boxes), self.boxes)
        own = _itself(images)[None]
        weights = torch.ones(own.shape, dtype=torch.float32, device=images.device)
        return Mixed(images.masked_fill(self.boxes, 0), own, weights)


Drawn = Blend | Paste | Tile | Blank


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

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import mixing
    >>> mixed = mixing.mixup(torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(0))
    >>> mixed.images.shape, mixed.weights.sum(0)[0]
    (torch.Size([8, 3, 32, 32]), tensor(1.))
    """
    return draw_mixup(images, generator, alpha)(images)


def draw_mixup(
    images: Tensor, generator: torch.Generator | None = None, alpha: float = 1.0
) -> Blend:
    """Draw what `mixup` applies."""
    draws = _Draws(images, generator)
    ratio, partner = draws.beta(alpha), draws.permutation()
    return Blend(partner, ratio)


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

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import mixing
    >>> mixed = mixing.cutmix(torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(0))
    >>> mixed.images.shape, mixed.sources.shape
    (torch.Size([8, 3, 32, 32]), torch.Size([2, 8]))
    """
    return draw_cutmix(images, generator, alpha, probability)(images)


def draw_cutmix(
    images: Tensor,
    generator: torch.Generator | None = None,
    alpha: float = 1.0,
    probability: float = 1.0,
) -> Paste:
    """Draw what `cutmix` applies."""
    draws = _Draws(images, generator)
    checks.in_range("probability", probability, 0, 1)
    ratio, mixed = draws.beta(alpha), draws.uniform(1) < probability
    partner = draws.permutation()
    centre = draws.uniform(1, 1), draws.uniform(1, 1)
    return Paste(partner, box(images.shape[-2:], torch.where(mixed, ratio, 1), *centre))


def box(size: tuple[int, ...], ratio: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return CutMix's box, bool (1, 1, H, W): 1 - ``ratio`` of an image of ``size`` (H, W).

    ``row`` and ``column``, in [0, 1], place its centre. It is clipped at the border.
    """
    halves = [((1 - ratio).sqrt() * side / 2).floor() for side in size]
    return _boxes(size, halves, (row, column))


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

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import mixing
    >>> mixed = mixing.ricap(torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(0))
    >>> mixed.images.shape, mixed.sources.shape
    (torch.Size([8, 3, 32, 32]), torch.Size([4, 8]))
    """
    return draw_ricap(images, generator, alpha)(images)


def draw_ricap(
    images: Tensor, generator: torch.Generator | None = None, alpha: float = 0.3
) -> Tile:
    """Draw what `ricap` applies."""
    draws = _Draws(images, generator)
    height, width = images.shape[-2:]
    h, w = (draws.beta(alpha) * height).round(), (draws.beta(alpha) * width).round()
    crops, sources = [], []
    for _ in range(4):
        crops.append((draws.uniform(1), draws.uniform(1)))
        sources.append(draws.permutation())
    return Tile(torch.stack(sources), *tiles((height, width), h, w, crops))


def tiles(
    size: tuple[int, int], h: Tensor, w: Tensor, crops: list[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Return RICAP's tiles and the pixels they show, as `Tile` has them.

    Parameters
    ----------
    size : tuple of int
        (H, W).
    h, w : Tensor
        Shape (1,), whole numbers: the height of the upper and the width of the left tiles.
    crops : list of tuple
        For each tile, where its crop starts, down and right, as shares in [0, 1] of the places
        where it fits.
    """
    rows, columns = (torch.arange(side, device=h.device) for side in size)
    shown = rows[:, None] * size[1] + columns
    covered = []
    corners = ((True, True), (True, False), (False, True), (False, False))
    for (top, left), (down, right) in zip(corners, crops, strict=True):
        in_rows, crop_rows = _along(rows, h, top, down)
        in_columns, crop_columns = _along(columns, w, left, right)
        covered.append(in_rows[:, None] & in_columns)
        shown = torch.where(covered[-1], crop_rows[:, None] * size[1] + crop_columns, shown)
    return torch.stack(covered), shown


def _along(places: Tensor, border: Tensor, first: bool, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return along one axis which pixels a tile covers, and which pixel each of them shows.

    The tile lies before or after ``border``; its crop starts at ``share`` of the places it fits.
    """
    inside = places < border if first else places >= border
    length = border if first else len(places) - border
    room = len(places) - length
    start = torch.minimum((share * (room + 1)).floor(), room)  # a share may be 1
    offset = start if first else start - border
    return inside, (places + offset).clamp(0, len(places) - 1).long()


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

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import mixing
    >>> blanked = mixing.cutout(torch.ones(2, 1, 8, 8), size=4).images
    >>> (blanked == 0).any(dim=3).any(dim=2)[:, 0]
    tensor([True, True])
    """
    return draw_cutout(images, generator, size)(images)


def draw_cutout(images: Tensor, generator: torch.Generator | None = None, size: int = 16) -> Blank:
    """Draw what `cutout` applies."""
    draws, n = _Draws(images, generator), len(images)
    half = checks.whole("size", size, 2) // 2
    centre = draws.uniform(n, 1), draws.uniform(n, 1)
    return Blank(_boxes(images.shape[-2:], (half, half), centre))


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
        Shape (N, K), the dtype of ``targets`` but float32 at least.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import mixing
    >>> hard = torch.eye(3)
    >>> images = torch.rand(3, 1, 2, 2)
    >>> parts = torch.tensor([[0, 1, 2], [1, 2, 0]])
    >>> weights = torch.tensor([[0.7] * 3, [0.3] * 3])
    >>> mixing.mixed_target(hard, mixing.Mixed(images, parts, weights))
    tensor([[0.7000, 0.3000, 0.0000],
            [0.0000, 0.7000, 0.3000],
            [0.3000, 0.0000, 0.7000]])
    """
    checks.instance("mixed", mixed, Mixed)
    given, count = checks.tensor(targets, "targets"), mixed.sources.shape[1]
    if given.ndim != 2 or len(given) != count or not given.is_floating_point():
        raise ValueError(
            f"targets must be floating point of shape ({count}, K), "
            f"got {given.dtype} of shape {tuple(given.shape)}"
        )
    wide = checks.normalised(given)
    return (mixed.weights[:, :, None].to(wide) * wide[mixed.sources]).sum(0)


@dataclass(frozen=True)
class Mixing:
    """A mixing with its settings: what draws it, and how many images a batch must have."""

    draw: Callable[..., Drawn]
    least: int
    settings: Mapping[str, Any]

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Drawn:
        """Draw a mixing of images (N, C, H, W)."""
        return self.draw(images, generator, **self.settings)

    def check(self, size: int) -> None:
        """Raise a ValueError if a batch of ``size`` images has too few."""
        if size < self.least:
            raise ValueError(f"the mixing takes {self.least} images, a batch has {size}")


MIXINGS: dict[str, tuple[Callable[..., Drawn], int]] = {  # name: what draws it, fewest images
    "cutout": (draw_cutout, 1),
    "mixup": (draw_mixup, 2),
    "cutmix": (draw_cutmix, 2),
    "ricap": (draw_ricap, 4),
}


def named(settings: Mapping[str, Any] | str | None) -> Mixing | None:
    """Return the mixing that settings name, as ``"mixup"`` or ``{"name": "cutmix", "alpha": 1.0}``.

    None stands for no mixing. An unknown name or option, or one out of range, is a ValueError that
    lists the known ones.
    """
    if settings is None:
        return None
    if isinstance(settings, str):
        settings = {"name": settings}
    if not isinstance(settings, Mapping):
        raise ValueError(f"a mixing is written as {{'name': 'cutmix'}}, got {settings!r}")
    options = dict(settings)
    draw, least = MIXINGS[checks.one_of("mixing", options.pop("name", None), MIXINGS)]
    known = [*inspect.signature(draw).parameters][2:]
    for option in options:
        checks.one_of(f"setting of {settings['name']}", option, known)
    draw(torch.zeros(least, 1, 2, 2), torch.Generator(), **options)
    return Mixing(draw, least, options)


class _Draws:
    """Random numbers on the device of the images."""

    def __init__(self, images: Tensor, generator: torch.Generator | None) -> None:
        _checked(images)
        if generator is not None:
            checks.instance("generator", generator, torch.Generator)
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
        checks.in_range("alpha", alpha, 0, LARGEST, open_low=True)
        power = self.uniform(1) ** (1 / alpha)
        cosine = (2 * math.pi * self.uniform(1)).cos()
        return (1 + cosine / (cosine.square() + power / (1 - power)).sqrt()) / 2

    def permutation(self) -> Tensor:
        """Return a permutation of the batch."""
        return torch.randperm(self.count, generator=self.generator, device=self.device)


def _boxes(
    size: tuple[int, ...],
    halves: Sequence[Tensor | int],
    centres: tuple[Tensor, Tensor],
) -> Tensor:
    """Return which pixels lie in boxes of half ``halves`` around ``centres`` (n, 1), in shares.

    The result is bool (n, 1, H, W).
    """
    inside = []
    for half, full, share in zip(halves, size, centres, strict=True):
        centre = (share * full).floor()
        pixel = torch.arange(full, device=share.device)
        inside.append((pixel >= centre - half) & (pixel < centre + half))  # (n, full)
    return (inside[0][:, :, None] & inside[1][:, None, :])[:, None]


def _checked(images: Tensor, count: int | None = None, places: Tensor | None = None) -> None:
    """Refuse what is no batch of images, or not as many or as large as a mixing was drawn for."""
    if not isinstance(images, Tensor):
        raise ValueError(f"images must be a torch tensor, got {type(images).__name__}")
    if images.ndim != 4 or len(images) == 0 or not images.is_floating_point():
        raise ValueError(
            "images must be floating point of shape (N, C, H, W) with N >= 1, "
            f"got {images.dtype} of shape {tuple(images.shape)}"
        )
    if count is not None and len(images) != count:
        raise ValueError(f"the mixing was drawn for {count} images, got {len(images)}")
    if places is not None and images.shape[2:] != places.shape[-2:]:
        raise ValueError(
            f"the mixing was drawn for images of {tuple(places.shape[-2:])} pixels, "
            f"got {tuple(images.shape[2:])}"
        )


def _itself(images: Tensor) -> Tensor:
    return torch.arange(len(images), device=images.device)


def _shares(pixels: Tensor, total: int, count: int) -> Tensor:
    """Weights (P, N) from the pixels (P,) of each part."""
    return (pixels.double() / total).float()[:, None].expand(-1, count)
