"""Images with their labels, and what is done to them as a whole: moved, split, paired by class."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.data.decode import Stream
from ldlstudy.seeds import seed_of

LARGEST = 50.0  # of a floating-point pixel: above any normalised one, below the 255 of bytes


class Images(NamedTuple):
    """Images and their labels.

    ``pixels`` (N, C, H, W) are uint8, or floating point and then taken as they are; those of a
    `Stream` are read from files; or they are features (N, F), floating point of any size.
    ``labels`` (N,) are int64. ``truth`` (N, K) is the exact p(y|x), where it is known; where people
    were asked, the shares of their ``votes`` (N, K), int64.
    """

    pixels: Tensor | Stream
    labels: Tensor
    truth: Tensor | None = None
    votes: Tensor | None = None

    @classmethod
    def of(cls, images: "Images | tuple[Any, Any]", name: str = "training images") -> "Images":
        """Return images as they are, or made of pixels (N, C, H, W) and labels (N,).

        Pixels are uint8, or floating point from 0 to 1 or normalised; features (N, F) are floating
        point and finite; labels are of any integer type. A ValueError says of the images by their
        ``name`` what does not fit.
        """
        if not isinstance(images, Images) and (
            not isinstance(images, tuple | list) or len(images) != 2
        ):
            raise ValueError(
                f"{name} are given with their labels, as (images, labels), "
                f"got {type(images).__name__}"
            )
        pixels, given, truth, votes = (*images, None, None)[:4]
        if isinstance(pixels, tuple | list) and len({np.shape(each) for each in pixels}) > 1:
            sizes = sorted({tuple(np.shape(each)) for each in pixels})
            raise ValueError(f"{name} must be of one size, got {', '.join(map(str, sizes[:5]))}")
        if not isinstance(pixels, Stream):
            pixels = checks.tensor(pixels, name)
        labels = checks.long(given, f"the labels of {name}")
        if len(pixels.shape) not in (2, 4) or 0 in pixels.shape:
            raise ValueError(
                f"{name} must have shape (N, C, H, W), none of them 0, got {tuple(pixels.shape)}; "
                "features have shape (N, F)"
            )
        rows = [len(part) for part in (pixels, labels, truth, votes) if part is not None]
        if len(set(rows)) != 1:
            raise ValueError(f"{name} and their labels must be as many, got {rows}")
        if int(labels.min()) < 0:
            raise ValueError(f"the labels of {name} count from 0, got {int(labels.min())}")
        if isinstance(pixels, Tensor):
            _check_values(pixels, name)
        if isinstance(images, Images) and labels is given:
            return images
        return cls(pixels, labels, truth, votes)

    def __repr__(self) -> str:
        """Say how many images there are and of which shape, not each pixel."""
        return f"{len(self.labels)} images {tuple(self.shape)}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W of each image; F alone of features."""
        return tuple(self.pixels.shape[1:])  # type: ignore[return-value]

    def take(self, index: Tensor) -> "Images":
        """The images at ``index``, positions or a mask."""
        truth, votes = (None if part is None else part[index] for part in self[2:])
        return Images(self.pixels[index], self.labels[index], truth, votes)

    def content(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes by which images and labels are known.

        Of streamed images the files' names and sizes in bytes stand in place of the pixels.
        """
        tensors = [self.labels]
        if isinstance(self.pixels, Stream):
            for file in self.pixels.files:
                yield f"{file.parent.name}/{file.name} {file.stat().st_size}".encode()
        else:
            tensors = [self.pixels, self.labels]
        for tensor in tensors:
            yield f"{tensor.dtype} {tuple(tensor.shape)}".encode()
            yield tensor.cpu().contiguous().view(torch.uint8).numpy().data

    @property
    def digest(self) -> str:
        """SHA-256 of `content`, in hexadecimal."""
        return _sha256(self.content())

    def to(self, device: str | torch.device) -> "Images":
        """The same on ``device``; a stream's files stay where they are."""
        pixels = self.pixels if isinstance(self.pixels, Stream) else self.pixels.to(device)
        truth, votes = (None if part is None else part.to(device) for part in self[2:])
        return Images(pixels, self.labels.to(device), truth, votes)


def _sha256(content: Iterable[bytes | memoryview]) -> str:
    found = hashlib.sha256()
    for each in content:
        found.update(each)
    return found.hexdigest()


def _check_values(pixels: Tensor, name: str) -> None:
    """Refuse pixels on another scale: uint8 becomes 0 to 1, floating-point values are kept."""
    if pixels.ndim == 2:
        if not pixels.is_floating_point() or not bool(pixels.isfinite().all()):
            raise ValueError(
                f"features (N, F) of {name} must be finite and floating point, got {pixels.dtype}"
            )
        return
    if pixels.shape[3] in (3, 4) and min(pixels.shape[1:3]) > 4:  # of 5 channels, 3 pixels wide?
        raise ValueError(
            f"{name} must have their channels first, (N, C, H, W), got {tuple(pixels.shape)}: "
            "permute(0, 3, 1, 2) puts those of a tensor there, transpose(0, 3, 1, 2) of an array"
        )
    if pixels.dtype == torch.uint8:
        return
    got = str(pixels.dtype)
    if pixels.is_floating_point():
        low, high = (float(end) for end in pixels.detach().aminmax())
        if -LARGEST <= low <= high <= LARGEST:
            return
        got = f"{got} in [{low:g}, {high:g}]"
    raise ValueError(
        f"{name} must be uint8 from 0 to 255, or floating point from 0 to 1 or normalised, none "
        f"beyond {LARGEST:g}, got {got}"
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A named image set.

    Attributes
    ----------
    name : str
        As :func:`ldlstudy.data.load` knows it.
    classes : tuple of str
        Names of the K classes.
    train, test : Images
        What is trained on, and what is reported on.
    held : Images or None
        Part of the training set kept out of ``train``, for choices and temperatures.
    posterior : callable, optional
        From points (M, C * H * W) on the CPU to the exact p(y|x), (M, K), where it is known.
    """

    name: str
    classes: tuple[str, ...]
    train: Images
    test: Images
    held: Images | None = None
    posterior: Callable[[Tensor], Tensor] | None = dataclasses.field(default=None, kw_only=True)

    def __repr__(self) -> str:
        """Say how many classes, channels, pixels and images it has."""
        shape = "x".join(map(str, self.shape))
        sizes = f"train {len(self.train.labels)} test {len(self.test.labels)}"
        return f"{self.name}: {len(self.classes)} classes, {shape}, {sizes}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W of each image."""
        return self.train.shape

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the `Images.content` of ``train`` and ``test``, in hexadecimal."""
        return _sha256(itertools.chain(self.train.content(), self.test.content()))

    def to(self, device: str | torch.device) -> "Dataset":
        """The same data set with all images on ``device``."""
        held = None if self.held is None else self.held.to(device)
        return dataclasses.replace(
            self, train=self.train.to(device), test=self.test.to(device), held=held
        )

    def few(self, per_class: int, seed: int) -> "Dataset":
        """The same data set with ``per_class`` training images of each class, drawn at random.

        A class that has fewer is a ValueError.
        """
        checks.whole("per_class", per_class, 1)
        y = self.train.labels.cpu().numpy()
        rng = np.random.default_rng(seed_of(checks.whole("seed", seed, 0), "few"))
        kept = []
        for label, name in enumerate(self.classes):
            members = np.flatnonzero(y == label)
            if len(members) < per_class:
                raise ValueError(
                    f"per_class={per_class}: {self.name} has {len(members)} training images of "
                    f"class {name}"
                )
            kept.append(rng.permutation(members)[:per_class])
        index = torch.from_numpy(np.sort(np.concatenate(kept)))
        return dataclasses.replace(self, train=self.train.take(index.to(self.train.labels.device)))

    def hold(self, fraction: float, seed: int) -> "Dataset":
        """The same data set with a part of ``train`` in ``held``, see `split`.

        A set that has held-out images already is a ValueError.
        """
        if self.held is not None:
            raise ValueError(
                f"{self.name} has {len(self.held.labels)} held-out images already, "
                f"{fraction:g} of its training images cannot be held out as well"
            )
        train, held = split(self.train.labels, fraction, seed)
        return dataclasses.replace(self, train=self.train.take(train), held=self.train.take(held))


def split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split a training set at random, the same fraction of each class.

    Parameters
    ----------
    labels : Tensor
        Shape (N,), whole numbers of at least 0.
    fraction : float
        Share to hold out, in (0, 1); each class gives the nearest whole number of images.
    seed : int
        At least 0; one seed gives one split.

    Returns
    -------
    train, held : Tensor
        Positions in ascending order, together 0 to N - 1, on the labels' device.

    Raises
    ------
    ValueError
        If an argument is out of range, nothing is held out, or a class has nothing left.
    """
    y = checks.labels(labels, torch.iinfo(torch.int64).max).cpu().numpy()
    checks.in_range("fraction", fraction, 0, 1, open_low=True)
    rng = np.random.default_rng(seed_of(checks.whole("seed", seed, 0), "held"))
    out = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        count = int(len(members) * fraction + 0.5)
        if count == len(members):
            raise ValueError(
                f"holding out {fraction:g} leaves none of the {count} images of class {label}"
            )
        out[rng.permutation(members)[:count]] = True
    if not out.any():
        raise ValueError(f"holding out {fraction:g} of {len(y)} images by class takes none")
    train, held = (torch.from_numpy(np.flatnonzero(part)) for part in (~out, out))
    return train.to(labels.device), held.to(labels.device)


def partners(
    labels: Tensor, generator: torch.Generator | None = None, *, allow_self: bool = True
) -> Tensor:
    """Pair each image with another of its class at random (CS-KD section 2.1).

    Parameters
    ----------
    labels : Tensor
        Shape (N,), whole numbers of at least 0.
    generator : torch.Generator, optional
        Source of the draws, on the labels' device; torch's global one by default.
    allow_self : bool
        Whether an image may be its own partner, as in the CS-KD authors' code.

    Returns
    -------
    Tensor
        Shape (N,), positions, each uniform over the images of the class.

    Raises
    ------
    ValueError
        If a class has one image and ``allow_self`` is False.
    """
    y = checks.labels(labels, torch.iinfo(torch.int64).max)
    order = y.argsort(stable=True)  # the images of a class stand side by side
    _, place, counts = y.unique(return_inverse=True, return_counts=True)
    first = (counts.cumsum(0) - counts)[place]
    choices = counts[place] - int(not allow_self)
    if len(y) and int(choices.min()) < 1:
        raise ValueError(
            f"class {int(y[choices.argmin()])} has one image, so no partner but itself"
        )
    u = torch.rand(len(y), generator=generator, device=y.device, dtype=torch.float64)
    drawn = (u * choices).long()
    if not allow_self:
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(y), device=y.device)
        drawn += drawn >= rank - first  # step over the image itself
    return order[first + drawn]
