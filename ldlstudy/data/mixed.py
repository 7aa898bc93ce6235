"""Sets that are mixed of others: their classes side by side, a few images of each (CS-KD Figure 4).

What an image shows, its *domain*, is then a coarse label above its class. The sources lie where
they lie anyway; nothing is copied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy import checks
from ldlstudy.data import archives, folders
from ldlstudy.data.decode import Stream
from ldlstudy.data.images import Dataset, Images
from ldlstudy.seeds import seed_of


@dataclass(frozen=True)
class Mixture:
    """The sources of a set with what each shows, and C, H, W of its images."""

    domains: Mapping[str, str]
    shape: tuple[int, int, int]


MIXED = {
    "three_domains": Mixture(  # CS-KD's
        {"cub200": "bird", "stanford_dogs": "dog", "mit67": "room"}, (3, 256, 256)
    ),
    "three_small_domains": Mixture(  # ours; in grey, so that colour does not give the domain away
        {"cifar100": "object", "fashion_mnist": "garment", "emnist47": "character"}, (1, 32, 32)
    ),
}


def read(name: str, root: Path, *, train: int = 30, test: int = 0, draw: int = 0) -> Dataset:
    """The mixed set, from its sources under ``root``.

    Parameters
    ----------
    name : str
        A key of ``MIXED``.
    root : Path
        Folder of the data.
    train : int
        Training images of each class, 30 in CS-KD; 0 takes all.
    test : int
        Test images of each class; 0 takes all, as CS-KD does.
    draw : int
        Seed by which they are drawn, without replacement.

    Returns
    -------
    Dataset
        Pixels (N, C, H, W) uint8, smaller images in a frame of zeros; classes are named
        ``<domain>/<class>``, one source after the other.

    Raises
    ------
    ValueError
        If a source is missing or damaged, or a class has fewer images than are asked for.
    """
    counts = {"train": checks.whole("train", train, 0), "test": checks.whole("test", test, 0)}
    checks.whole("draw", draw, 0)
    found: dict[str, list[Images]] = {part: [] for part in counts}
    classes: list[str] = []
    for source, domain in MIXED[name].domains.items():
        own = (folders.listed if source in folders.FOLDERS else archives.read)(source, root)
        for part, count in counts.items():
            images: Images = getattr(own, part)
            index = _drawn(images.labels, count, seed_of(draw, source, part), f"{source} {part}")
            pixels = _fitted(images.take(index).pixels, MIXED[name].shape)
            found[part].append(Images(pixels, images.labels[index] + len(classes)))
        classes += [f"{domain}/{each}" for each in own.classes]
    parts = [
        Images(torch.cat([each.pixels for each in several]),  # type: ignore[misc]
               torch.cat([each.labels for each in several]))
        for several in found.values()
    ]  # fmt: skip
    return Dataset(name, tuple(classes), *parts)


def groups(classes: Sequence[str]) -> Tensor:
    """Return the domain of each class (K,), int64, as its position in :func:`domains`."""
    names = domains(classes)
    return torch.tensor([names.index(name.split("/")[0]) for name in classes])


def domains(classes: Sequence[str]) -> list[str]:
    """Return the names of the domains, in the order of the classes of a mixed set."""
    return list(dict.fromkeys(name.split("/")[0] for name in classes))


def path(name: str, root: Path) -> Path:
    """Return where the first source lies that is missing, or where the last one lies."""
    places = [
        root / folders.FOLDERS[each].path if each in folders.FOLDERS else archives.path(each, root)
        for each in MIXED[name].domains
    ]
    return next((place for place in places if not place.exists()), places[-1])


def _drawn(labels: Tensor, count: int, seed: int, name: str) -> Tensor:
    """Positions of ``count`` images of each class, in ascending order."""
    there = labels.bincount()
    if count == 0:
        return torch.arange(len(labels))
    if int(there.min()) < count:
        raise ValueError(
            f"{name} images: class {int(there.argmin())} has {int(there.min())}, {count} are needed"
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[labels[order].argsort(stable=True)]  # the images of a class, in random order
    rank = torch.arange(len(labels)) - (there.cumsum(0) - there)[labels[order]]
    return order[rank < count].sort().values


def _fitted(pixels: Tensor | Stream, shape: tuple[int, int, int]) -> Tensor:
    """The images in grey where one channel is asked for, with zeros around them."""
    from torchvision.transforms.functional import rgb_to_grayscale

    images = pixels.tensor() if isinstance(pixels, Stream) else pixels
    if shape[0] < images.shape[1]:
        images = rgb_to_grayscale(images)
    rows, columns = ((new - old) // 2 for new, old in zip(shape[1:], images.shape[2:], strict=True))
    return F.pad(images, (columns, columns, rows, rows))
