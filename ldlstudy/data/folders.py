"""Image sets that their authors hand out as folders of image files, in the published layouts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ldlstudy import checks
from ldlstudy.data.decode import Stream
from ldlstudy.data.images import Dataset, Images

Pairs = list[tuple[Path, str]]  # a file and the name of its class


class Listing(NamedTuple):
    """Training and test files, each with the name of its class."""

    train: Pairs
    test: Pairs


@dataclass(frozen=True)
class Folder:
    """A published folder; the images are decoded at ``size`` and, unless streamed, kept."""

    classes: int
    size: int
    train: int
    test: int
    path: str
    listing: Callable[[Path], Listing]
    streamed: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W at the default size."""
        return 3, self.size, self.size


def read(name: str, root: Path, *, size: int | None = None) -> Dataset:
    """The set in its published folder under ``root``.

    Parameters
    ----------
    name : str
        A key of ``FOLDERS``.
    root : Path
        Folder of the data.
    size : int, optional
        Side of the decoded images; by default 64 for Tiny ImageNet, and 256, of which the papers
        cut 224, for the others.

    Returns
    -------
    Dataset
        Classes in the order of their names, pixels (N, 3, size, size) uint8, nothing held out.

    Raises
    ------
    ValueError
        If the folder or a file in it is missing or damaged.
    """
    found = listed(name, root, size)
    if FOLDERS[name].streamed:
        return found
    parts = [
        Images(part.pixels.tensor(f"{name} {side}"), part.labels)  # type: ignore[union-attr]
        for side, part in (("train", found.train), ("test", found.test))
    ]
    return Dataset(name, found.classes, *parts)


def listed(name: str, root: Path, size: int | None = None) -> Dataset:
    """The same, with images that are not decoded yet."""
    folder = FOLDERS[name]
    size = folder.size if size is None else checks.whole("size", size, 1)
    top = root / folder.path
    get = f"get {name} from its authors and unpack it there in its published layout"
    if not top.is_dir():
        raise ValueError(f"no data set {name}: the folder {top} is missing; {get}")
    try:
        train, test = folder.listing(top)
        classes, labels = numbered(train, test)
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename or error} is missing; {get}") from error
    except (ValueError, LookupError, TypeError) as error:
        reason = f"no entry {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{top} is not in its published layout ({reason}); {get}") from error
    streams = [Stream([file for file, _ in part], size) for part in (train, test)]
    return Dataset(name, classes, *map(Images, streams, labels))


def numbered(*parts: Pairs) -> tuple[tuple[str, ...], list[torch.Tensor]]:
    """Return the names of the classes in their order, and the labels of each part.

    A part without images, or classes of tests that have no training images, are a ValueError.
    """
    names = [{label for _, label in part} for part in parts]
    if not all(names) or not names[-1] <= names[0]:
        raise ValueError(
            f"its lists name {len(parts[0])} training and {len(parts[-1])} test images, "
            f"for tests alone those of class {sorted(names[-1] - names[0])[:5]}"
        )
    classes = tuple(sorted(names[0]))
    number = {label: i for i, label in enumerate(classes)}
    return classes, [torch.tensor([number[label] for _, label in part]) for part in parts]


def _rows(file: Path) -> list[list[str]]:
    """The fields of each line that is not empty."""
    return [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _tiny_imagenet(top: Path) -> Listing:
    train = [(file, file.parts[-3]) for file in sorted((top / "train").glob("*/images/*"))]
    rows = _rows(top / "val" / "val_annotations.txt")  # file, class, box
    return Listing(train, [(top / "val" / "images" / row[0], row[1]) for row in rows])


def _cub200(top: Path) -> Listing:
    files, sides = (dict(_rows(top / f"{n}.txt")) for n in ("images", "train_test_split"))
    numbers = dict(_rows(top / "image_class_labels.txt"))
    names = dict(_rows(top / "classes.txt"))
    pairs = {
        side: [(top / "images" / files[i], names[numbers[i]]) for i in files if sides[i] == side]
        for side in ("1", "0")
    }
    return Listing(pairs["1"], pairs["0"])


def _stanford_dogs(top: Path) -> Listing:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    def listed(part: str) -> Pairs:
        try:
            with open(top / "lists" / f"{part}_list.mat", "rb") as stream:
                cells = loadmat(stream)["file_list"].ravel()
        except MatReadError as error:
            raise ValueError(error) from error
        files = [str(np.asarray(cell).item()) for cell in cells]
        return [(top / "Images" / file, file.split("/")[0]) for file in files]

    return Listing(listed("train"), listed("test"))


def _mit67(top: Path) -> Listing:
    def listed(part: str) -> Pairs:
        lines = (top / f"{part}Images.txt").read_text(encoding="utf-8").splitlines()
        files = [line.strip() for line in lines if line.strip()]
        return [(top / "Images" / file, file.split("/")[0]) for file in files]

    return Listing(listed("Train"), listed("Test"))


def _imagenet(top: Path) -> Listing:
    from torchvision.datasets import ImageFolder

    parts = [ImageFolder(top / part) for part in ("train", "val")]
    return Listing(*([(Path(f), part.classes[y]) for f, y in part.samples] for part in parts))


FOLDERS = {
    "tiny_imagenet": Folder(200, 64, 100_000, 10_000, "tiny-imagenet-200", _tiny_imagenet),
    "cub200": Folder(200, 256, 5_994, 5_794, "CUB_200_2011", _cub200),
    "stanford_dogs": Folder(120, 256, 12_000, 8_580, "stanford_dogs", _stanford_dogs),
    "mit67": Folder(67, 256, 5_360, 1_340, "mit67", _mit67),
    "imagenet": Folder(1000, 256, 1_281_167, 50_000, "imagenet", _imagenet, streamed=True),
}
