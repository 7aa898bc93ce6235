"""Image sets that are one file each, ``<root>/<name>.npz``: read with care, fetched by torchvision.

The file holds ``train_images``, ``test_images`` (uint8, N x H x W x C), ``train_labels``,
``test_labels`` and ``classes``. One put there by hand serves as well, and is checked the same.
"""

import contextlib
import io
import socket
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tokenize import TokenError
from typing import Any
from urllib.error import URLError

import numpy as np
import torch

from ldlstudy import checks, files
from ldlstudy.data.images import Dataset, Images

KEYS = ("train_images", "train_labels", "test_images", "test_labels", "classes")
# what NumPy, zipfile and zlib were seen to raise at single changed bytes, and at sizes made up
DAMAGE = (
    ValueError, EOFError, OSError, RuntimeError, TokenError, zipfile.BadZipFile, zlib.error,
    MemoryError,
)  # fmt: skip
PATIENCE = 60.0  # seconds without an answer after which a download is given up


@dataclass(frozen=True)
class Archive:
    """What the file of a set holds, and torchvision's class that downloads it, where there is one.

    ``train`` and ``test`` count the published images; a file with fewer is a part of the set and is
    read all the same.
    """

    classes: int
    shape: tuple[int, int, int]  # C, H, W
    train: int
    test: int
    torchvision: str
    parts: tuple[Mapping[str, Any], Mapping[str, Any]] = ({"train": True}, {"train": False})


_SPLITS = ({"split": "train"}, {"split": "test"})
_BALANCED = ({"split": "balanced", "train": True}, {"split": "balanced", "train": False})
ARCHIVES = {
    "cifar10": Archive(10, (3, 32, 32), 50_000, 10_000, "CIFAR10"),
    "cifar100": Archive(100, (3, 32, 32), 50_000, 10_000, "CIFAR100"),
    "svhn": Archive(10, (3, 32, 32), 73_257, 26_032, "SVHN", _SPLITS),
    "stl10": Archive(10, (3, 96, 96), 5_000, 8_000, "STL10", _SPLITS),
    "mnist": Archive(10, (1, 28, 28), 60_000, 10_000, "MNIST"),
    "emnist": Archive(47, (1, 28, 28), 112_800, 18_800, "EMNIST", _BALANCED),
    "emnist47": Archive(47, (1, 28, 28), 36_660, 6_110, ""),  # a third of it, which lay at hand
    "fashion_mnist": Archive(10, (1, 28, 28), 60_000, 10_000, "FashionMNIST"),
}


def read(name: str, root: Path) -> Dataset:
    """The set in ``<root>/<name>.npz``.

    Parameters
    ----------
    name : str
        A key of ``ARCHIVES``.
    root : Path
        Folder of the data.

    Returns
    -------
    Dataset
        Pixels (N, C, H, W) uint8, nothing held out.

    Raises
    ------
    ValueError
        If the file is missing, damaged, or not of this set; it says how to get it.
    """
    archive, file = ARCHIVES[name], path(name, root)
    if not file.is_file():
        raise ValueError(f"no data set {name}: {file} is missing; {_ways(name)}")
    try:
        arrays = read_arrays(file, KEYS)
        classes = _classes(arrays["classes"], archive)
        parts = [_images(arrays, part, archive) for part in ("train", "test")]
    except DAMAGE as error:
        raise ValueError(f"{file} is damaged or unreadable ({error}); {_ways(name)}") from error
    return Dataset(name, classes, *parts)


def path(name: str, root: Path) -> Path:
    """Where the file of the set lies or would lie."""
    return root / f"{name}.npz"


def _ways(name: str) -> str:
    fetched = f"`ldlstudy data fetch {name}` downloads it where there is a network, or "
    return (
        f"{fetched if ARCHIVES[name].torchvision else ''}put a file there with the arrays "
        f"{', '.join(KEYS)} (uint8 images N x H x W x C)"
    )


def read_arrays(file: Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Return some arrays of an .npz file, whose checksums are compared; nothing is unpickled.

    A file that is none, or that lacks one, is a ValueError; damage raises what is in `DAMAGE`.
    """
    with open(file, "rb") as stream:  # np.load leaves a damaged file open that it opens itself
        content = np.load(stream, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise ValueError("it is one array, not an .npz file")
        if missing := sorted(set(keys) - set(content.files)):
            raise ValueError(f"it lacks {', '.join(missing)}")
        # NumPy compares no checksum where a damaged header names fewer values than there are
        assert content.zip is not None  # it is open
        if (damaged := content.zip.testzip()) is not None:
            raise ValueError(f"{damaged} has another checksum")
        return {key: content[key] for key in keys}


def read_put(
    name: str,
    file: Path,
    keys: Sequence[str],
    origin: str,
    checked: Callable[..., tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what ``checked`` makes of the arrays of a set that is put into its place by hand.

    A file that is missing, damaged or refused by ``checked`` is a ValueError; its message says what
    arrays to put there, and of which ``origin``.
    """
    way = f"put a file there with the arrays {', '.join(keys)}, {origin}"
    if not file.is_file():
        raise ValueError(f"no set {name}: {file} is missing; {way}")
    try:
        return checked(*read_arrays(file, keys).values())
    except DAMAGE as error:
        raise ValueError(f"{file} is damaged or unreadable ({error}); {way}") from error


def _classes(names: np.ndarray, archive: Archive) -> tuple[str, ...]:
    if names.dtype.kind != "U" or names.shape != (archive.classes,):
        raise ValueError(
            f"classes must be {archive.classes} texts, got {names.dtype} of shape {names.shape}"
        )
    return tuple(names.tolist())


def _images(arrays: Mapping[str, np.ndarray], part: str, archive: Archive) -> Images:
    pixels, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    channels, height, width = archive.shape
    if channels == 1 and pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (height, width, channels):
        raise ValueError(
            f"{part}_images must be uint8 of shape (N, {height}, {width}, {channels}), "
            f"got {pixels.dtype} {pixels.shape}"
        )
    y = checks.labels(checks.long(labels, f"{part}_labels"), archive.classes)
    if not len(pixels) == len(y) >= 1:
        raise ValueError(f"{len(pixels)} {part}_images and {len(y)} {part}_labels")
    return Images(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), y)


def fetch(name: str, root: Path) -> Path:
    """Download a set through torchvision, which checks its sums, and write its file.

    A sound file that is there already is kept, and published files that lie under the folder as
    torchvision lays them out (``EMNIST/raw/emnist-balanced-train-images-idx3-ubyte``) are read.

    Parameters
    ----------
    name, root
        As in `read`.

    Returns
    -------
    Path
        The file, ``<root>/<name>.npz``, written whole or not at all.

    Raises
    ------
    ValueError
        If the download fails, or nobody offers one; it names the file and the ways to get it.
    """
    file, archive = path(name, root), ARCHIVES[name]
    with contextlib.suppress(ValueError):
        read(name, root)
        return file
    if not archive.torchvision:
        raise ValueError(f"{name} cannot be downloaded, and {file} is not there: {_ways(name)}")
    root.mkdir(parents=True, exist_ok=True)
    try:
        arrays = _published(archive, root)
    except DAMAGE:  # not there, or not whole
        arrays = _downloaded(name, root)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    files.write(file, buffer.getvalue())
    read(name, root)
    return file


def _downloaded(name: str, root: Path) -> dict[str, Any]:
    """The arrays of a set from the network; a failure is a ValueError."""
    try:
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as folder, _patience():
            return _published(ARCHIVES[name], Path(folder), download=True)
    except (URLError, RuntimeError, ConnectionError, TimeoutError, HTTPException) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{name} could not be downloaded to {path(name, root)} ({reason[-1].strip()}); "
            f"{_ways(name)}"
        ) from error


def _published(archive: Archive, folder: Path, download: bool = False) -> dict[str, Any]:
    """The arrays of the files that torchvision finds in a folder, or downloads to it."""
    from torchvision import datasets

    made = [
        getattr(datasets, archive.torchvision)(str(folder), download=download, **part)
        for part in archive.parts
    ]
    names = getattr(made[0], "classes", None) or map(str, range(archive.classes))
    arrays: dict[str, Any] = {"classes": np.array(list(names))}
    for part, source in zip(("train", "test"), made, strict=True):
        arrays[f"{part}_images"] = _channels_last(np.asarray(source.data), archive)
        labels = source.targets if hasattr(source, "targets") else source.labels
        arrays[f"{part}_labels"] = np.asarray(labels).astype(np.int64)
    return arrays


def _channels_last(pixels: np.ndarray, archive: Archive) -> np.ndarray:
    """(N, H, W, C) from the orders that torchvision's classes hold."""
    if archive.torchvision == "EMNIST":
        pixels = pixels.swapaxes(1, 2)  # published lying on their side
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    return pixels.transpose(0, 2, 3, 1) if pixels.shape[1:] == archive.shape else pixels


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Let a silent server end in an error; torchvision sets no time limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
