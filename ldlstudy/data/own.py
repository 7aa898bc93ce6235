"""Images of a user's own, by their path: folders of image files, and ``.npz`` files of arrays.

A folder has a folder for each class, or ``train`` and ``test`` (or ``val``) with one for each. A
file has ``images`` and ``labels``, and perhaps ``test_images``, ``test_labels`` and ``classes``.
Where no test images come along, a share of each class is kept out for them.
"""

import hashlib
import os
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.data import archives
from ldlstudy.data.decode import Stream
from ldlstudy.data.folders import Pairs, numbered
from ldlstudy.data.images import Dataset, Images, split

TEST = 0.2  # of each class, where nothing else says what is tested on
LISTED = 3  # broken files that a message names
NO_IMAGES = ("Thumbs.db",)  # beside hidden files


def is_path(name: str, known: Collection[str]) -> bool:
    """Return whether ``name``, which is not among the ``known`` ones, is a path."""
    if name in known:
        return False
    return os.sep in name or name.endswith(".npz") or Path(name).is_dir()


def name_of(path: str, known: Collection[str] = ()) -> str:
    """Return what a set is called: by its folder or file, in letters, digits and underscores.

    None is called as a ``known`` one is.
    """
    place = Path(path).expanduser().resolve()
    name = re.sub(r"\W+", "_", place.stem if path.endswith(".npz") else place.name)
    return f"own_{name}" if name in ("", *known) else name


def fingerprint(path: str) -> str:
    """Return 12 hexadecimal digits of the SHA-256 of the file, or of all files in the folder."""
    top, content = _there(path), hashlib.sha256()
    for file in [top] if top.is_file() else sorted(f for f in top.rglob("*") if f.is_file()):
        inside = "" if file == top else file.relative_to(top).as_posix()
        content.update(f"{inside} {file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            content.update(hashlib.file_digest(stream, "sha256").digest())
    return content.hexdigest()[:12]


def read(
    path: str,
    name: str = "",
    *,
    files: str | None = None,
    size: int | None = None,
    test: float | None = None,
    broken: str = "refuse",
    streamed: bool = False,
) -> Dataset:
    """Read the set at a path.

    Parameters
    ----------
    path : str
        A folder, or a file that ends in ``.npz``.
    name : str
        What it is called; by default as `name_of` has it.
    files : str, optional
        The `fingerprint` that it must have.
    size : int, optional
        Side to which the images of a folder are brought: the shorter side is resized and the
        central square kept. Not needed where all are squares of one size.
    test : float, optional
        Share of each class to test on, where no test images come along; by default a fifth.
    broken : {"refuse", "skip"}
        What to do where a folder has files that cannot be read as images: both name and count them.
    streamed : bool
        Whether a folder's images are decoded anew for each batch, for sets larger than the memory.
        A damaged file is then found when its batch is made.

    Raises
    ------
    ValueError
        Something that is not there, damaged, in another layout, or out of range.
    """
    top = _there(path)
    checks.boolean("streamed", streamed)
    if files is not None and files != (now := fingerprint(path)):
        raise ValueError(
            f"the files in {path} are others than those of this run: {now}, not {files}"
        )
    if top.is_file():
        options = {"size": size is None, "streamed": not streamed, "broken": broken == "refuse"}
        for option, unset in options.items():
            if not unset:
                raise ValueError(f"{option} is an option of folders of images, not of {path}")
        classes, parts = _of_arrays(top)
    else:
        classes, parts = _of_files(top, size, broken, streamed)
    if len(parts) == 1:
        parts = _parted(path, classes, parts[0], TEST if test is None else test)
    elif test is not None:
        raise ValueError(f"{path} has test images of its own, got test={test:g} of the others")
    return Dataset(name or name_of(path), classes, *parts)


def _parted(path: str, classes: Sequence[str], images: Images, test: float) -> list[Images]:
    """Training and test images; a warning tells of classes too small to be tested on."""
    checks.in_range("test", test, 0, 1, open_low=True)
    try:
        kept, tested = split(images.labels, test, seed=0)
    except ValueError as error:
        raise ValueError(
            f"{path} has no test images of its own, got test={test:g}: {error}"
        ) from None
    untested = set(images.labels.tolist()) - set(images.labels[tested].tolist())
    lacking = [classes[label] for label in sorted(untested)]
    if lacking:
        warnings.warn(
            f"{path} has too few images of {', '.join(lacking[:LISTED])}"
            f"{' and other classes' * (len(lacking) > LISTED)} to keep {test:g} of them: no test "
            "image is of these",
            stacklevel=4,
        )
    return [images.take(kept), images.take(tested)]


def _there(path: str) -> Path:
    top = Path(path).expanduser()
    if not top.exists():
        raise ValueError(f"there is no folder or file {path}")
    return top


def _of_arrays(file: Path) -> tuple[tuple[str, ...], list[Images]]:
    """The classes and the parts of an .npz file."""
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{file} is no folder and no .npz file: numpy.savez writes one")
    try:
        with np.load(file, allow_pickle=False) as content:
            there = set(getattr(content, "files", ()))
        tested = bool(there & {"test_images", "test_labels"})
        more = ("test_images", "test_labels") if tested else ()
        named = ("classes",) if "classes" in there else ()
        arrays = archives.read_arrays(file, ("images", "labels", *more, *named))
    except archives.DAMAGE as error:
        raise ValueError(
            f"{file} is no sound .npz file of images ({error}): it has the arrays images and "
            "labels, and perhaps test_images, test_labels and classes"
        ) from error
    parts = [
        Images.of(
            (_channels_first(arrays[f"{p}images"]), arrays[f"{p}labels"]), f"{p}images in {file}"
        )
        for p in (("", "test_") if tested else ("",))
    ]
    if "classes" in arrays:
        classes = tuple(map(str, arrays["classes"].tolist()))
    else:
        classes = tuple(map(str, range(int(parts[0].labels.max()) + 1)))
    _check_labels(file, [part.labels for part in parts], len(classes), "classes" in arrays)
    if len({part.shape for part in parts}) > 1:
        shapes = " and ".join(str(part.shape) for part in parts)
        raise ValueError(f"{file} has training and test images of different shapes, {shapes}")
    return classes, parts


def _channels_first(images: np.ndarray) -> np.ndarray:
    """(N, C, H, W) from that, N x H x W x C, or N x H x W of grey images; features stay."""
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        return images.transpose(0, 3, 1, 2)
    return images


def _check_labels(file: Path, labels: Sequence[Tensor], classes: int, named: bool) -> None:
    if classes < 2:
        raise ValueError(f"{file} has {classes} class: at least 2 are needed")
    for part in labels:
        checks.labels(part, classes)
    lacking = sorted(set(range(classes)) - set(labels[0].tolist()))
    if lacking and not named:
        raise ValueError(
            f"{file} has no image with label {lacking[0]}, but some with label {classes - 1}: "
            "labels count from 0 without a gap, or `classes` names them all"
        )


def _of_files(
    top: Path, size: int | None, broken: str, streamed: bool
) -> tuple[tuple[str, ...], list[Images]]:
    """The classes and the parts of a folder."""
    checks.one_of("way with broken files", broken, ("refuse", "skip"))
    folders = _folders(top)
    tests = [folders[name] for name in ("test", "val") if name in folders]
    if "train" in folders and tests:
        if len(folders) != 2:
            raise ValueError(f"{top} has more folders than train and one of test and val")
        listed = [_listed(each) for each in (folders["train"], tests[0])]
    else:
        listed = [_listed(top)]
    faults: dict[Path, str] = {}
    size = _side(top, [_shape(file, faults) for part in listed for file, _ in part], size)
    streams = [Stream([file for file, _ in part], size) for part in listed]
    shown: list[Any] = list(streams)
    if not streamed:
        shown = [each.tensor(f"reading {top.name}", faults) for each in streams]
    _tell(top, faults, sum(map(len, listed)), broken)
    sound = [torch.tensor([file not in faults for file in each.files]) for each in streams]
    listed = [[pair for pair in part if pair[0] not in faults] for part in listed]
    try:
        classes, labels = numbered(*listed)
    except ValueError as error:
        raise ValueError(f"{top}: {error}") from None
    if len(classes) < 2:
        raise ValueError(
            f"{top} has images of {len(classes)} class: give a folder with a folder for each class"
        )
    return classes, [Images(p[s], y) for p, s, y in zip(shown, sound, labels, strict=True)]


def _folders(top: Path) -> dict[str, Path]:
    return {f.name: f for f in sorted(top.iterdir()) if f.is_dir() and not f.name.startswith(".")}


def _listed(top: Path) -> Pairs:
    """The files of each class's folder, at any depth, but hidden ones."""
    pairs = []
    for label, folder in _folders(top).items():
        found = [
            file
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name[0] != "." and file.name not in NO_IMAGES
        ]
        if not found:
            raise ValueError(f"the folder of class {label!r}, {folder}, has no image")
        pairs += [(file, label) for file in found]
    if not pairs:
        raise ValueError(f"{top} has no folder: images lie in a folder for each class")
    return pairs


def _shape(file: Path, faults: dict[Path, str]) -> tuple[int, int] | None:
    """Width and height of a file's image; what is none is added to the ``faults``."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        faults[file] = f"{file} cannot be read as an image ({error})"
        return None


def _side(top: Path, shapes: Sequence[tuple[int, int] | None], size: int | None) -> int:
    """The side of all images, as asked for or as they have it."""
    if size is not None:
        return checks.whole("size", size, 1)
    counts = Counter(shape for shape in shapes if shape is not None)
    if len(counts) == 1:
        ((width, height),) = counts
        if width == height:
            return width
    found = [f"{w} x {h}" for (w, h), _ in counts.most_common(LISTED)]
    raise ValueError(
        f"{top} has images of {', '.join(found)}{' and other sizes' * (len(counts) > LISTED)}: say "
        "to which square they are brought, such as size=64"
    )


def _tell(top: Path, faults: dict[Path, str], count: int, broken: str) -> None:
    """Refuse the broken files of a folder, or warn of them."""
    if not faults:
        return
    names = [file.relative_to(top).as_posix() for file in sorted(faults)]
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    first = faults[min(faults)]
    said = f"{len(names)} of {count} files in {top} cannot be read as images: "
    said += f"{', '.join(names[:LISTED])}{rest}"
    if broken == "skip" and len(faults) < count:
        warnings.warn(f"{said}; they are left out", stacklevel=2)
        return
    raise ValueError(f'{said}; mend or delete them, or give broken="skip"; the first: {first}')
