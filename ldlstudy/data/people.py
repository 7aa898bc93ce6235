"""What people said of images: votes on test images, and annotators' labels of training images.

Each is one file beside the images, ``<root>/<name>.npz``, and joins them by their published order:
its row i is of image i. That is checked, for a set in another order gives no error by itself: the
class with the most votes has to be the label as often as it is in the published set.
"""

import hashlib
import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks, files
from ldlstudy.data.archives import DAMAGE, PATIENCE, read_arrays
from ldlstudy.data.images import Dataset

LARGEST = 2**26  # bytes of a download
CLASSES = 10  # of each set that people have labelled
DEVIATIONS = 4  # of the binomial, below the published agreement, that a part of a set may lie


@dataclass(frozen=True)
class People:
    """What people said of the images of one part of a set.

    Attributes
    ----------
    of, part
        The image set, and its part: ``train`` or ``test``.
    arrays : tuple of str
        What the file holds: ``counts`` (N, K), or labels (N,) by annotator.
    voters : tuple of str
        The annotators whose labels are votes; none where the votes are counted already.
    best : str
        The array whose (most probable) class is held against the labels.
    images, agreement
        Number of published images, and the share of them whose label that class is.
    origin, licence
        Where the authors publish it, and what they allow.
    published : callable
        From the content of their file to the arrays.
    sha256 : str
        Of the published arrays as bytes, in the order of their names.
    """

    of: str
    part: str
    arrays: tuple[str, ...]
    voters: tuple[str, ...]
    best: str
    images: int
    agreement: float
    origin: str
    licence: str
    published: Callable[[bytes], Mapping[str, Any]]
    sha256: str


def _numpy(content: bytes) -> dict[str, Any]:
    return {"counts": np.load(io.BytesIO(content), allow_pickle=False)}


def _csv(content: bytes) -> dict[str, Any]:
    return {"counts": np.loadtxt(io.BytesIO(content), delimiter=",", dtype=np.int64)}


def _torch(content: bytes) -> dict[str, Any]:
    """Read arrays that torch has pickled, and build nothing else than arrays of whole numbers."""
    array = torch.zeros(1).numpy()
    rebuild = array.__reduce__()[0]
    allowed: list[Any] = [np.ndarray, np.dtype, (rebuild, "numpy.core.multiarray._reconstruct")]
    allowed += [rebuild, *(type(np.dtype(f"{kind}{n}")) for kind in "iu" for n in (1, 2, 4, 8))]
    with torch.serialization.safe_globals(allowed):
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise ValueError(f"it holds {type(found).__name__}, not labels by annotator")
    return found


THREE = ("random_label1", "random_label2", "random_label3")
PEOPLE = {
    "cifar10h": People(
        "cifar10", "test", ("counts",), (), "counts", 10_000, 0.9921,
        "https://github.com/jcpeterson/cifar-10h/raw/master/data/cifar10h-counts.npy",
        "CC BY-NC-SA 4.0", _numpy,
        "6291dd382f84434ac7233c1d3c1bba7010b614ca8391b848fff4b036b9794f8a",
    ),
    "cifar10n": People(
        "cifar10", "train", (*THREE, "aggre_label", "worse_label"), THREE, "aggre_label", 50_000,
        0.9099, "https://github.com/UCSC-REAL/cifar-10-100n/raw/main/data/CIFAR-10_human.pt",
        "CC BY-NC 4.0", _torch,
        "982b28640d7a5381a29f233bc7e8d13f373fe01aef1bb68064b4ba72fd56d9f5",
    ),
    "fashion_mnist_h": People(
        "fashion_mnist", "test", ("counts",), (), "counts", 10_000, 0.8202,
        "https://github.com/takashiishida/irreducible/raw/main/data/fmh_counts.csv",
        "no licence is stated", _csv,
        "96d863249e2b1f8a849735a0edc7de28bd2548f0a3f72de6499419ff0825cfc0",
    ),
}  # fmt: skip
NAMES = tuple(PEOPLE)


def named(name: str, dataset: str) -> People:
    """Return what is known of some votes; other sets of images than theirs are a ValueError."""
    known = [each for each, people in PEOPLE.items() if people.of == dataset]
    if not known:
        raise ValueError(f"no votes of people are known for {dataset}, got people {name!r}")
    return PEOPLE[checks.one_of(f"people who labelled {dataset}", name, known)]


def on_test(dataset: str) -> str:
    """Return the name of the votes on the test images of a set; without any, a ValueError."""
    for name, people in PEOPLE.items():
        if (people.of, people.part) == (dataset, "test"):
            return name
    of = ", ".join(people.of for people in PEOPLE.values() if people.part == "test")
    raise ValueError(f"people have voted on test images of {of}, not of {dataset}")


def join(dataset: Dataset, name: str, root: Path, annotator: str | None = None) -> Dataset:
    """Return a set of images with what people said of them.

    Parameters
    ----------
    dataset : Dataset
        Whole, in its published order, on the CPU.
    name : str
        A key of ``PEOPLE``.
    root : Path
        Folder of the data.
    annotator : str, optional
        Whose labels of the training images replace the official ones.

    Returns
    -------
    Dataset
        Its part that was voted on has ``votes`` (N, K), and their shares as ``truth``.

    Raises
    ------
    ValueError
        If the votes are missing, damaged, of other images or in another order.
    """
    people, file = named(name, dataset.name), path(name, root)
    images = dataset.train if people.part == "train" else dataset.test
    arrays = _arrays(name, file)
    if len(arrays[people.best]) != len(images.labels):
        raise ValueError(
            f"{file} has {len(arrays[people.best]):,} rows, for {len(images.labels):,} images of "
            f"{dataset.name} ({people.part})"
        )
    _check_order(name, file, arrays, images.labels)
    votes = _votes(people, arrays)
    if annotator is not None:
        known = [each for each in people.arrays if each != "counts"]
        if not known:
            raise ValueError(f"{name} names no annotator, it counts votes; got {annotator!r}")
        given = arrays[checks.one_of(f"annotator of {name}", annotator, known)]
        images = images._replace(labels=torch.from_numpy(given).long())
    truth = votes.double() / votes.sum(1, keepdim=True)
    images = images._replace(truth=truth, votes=votes)
    if people.part == "train":
        return replace(dataset, train=images)
    return replace(dataset, test=images)


def _votes(people: People, arrays: Mapping[str, np.ndarray]) -> Tensor:
    if not people.voters:
        return torch.from_numpy(arrays["counts"]).long()
    given = torch.stack([torch.from_numpy(arrays[name]).long() for name in people.voters], 1)
    return torch.nn.functional.one_hot(given, CLASSES).sum(1)


def _check_order(name: str, file: Path, arrays: Mapping[str, np.ndarray], labels: Tensor) -> None:
    people = PEOPLE[name]
    best = arrays[people.best]
    said = best.argmax(1) if best.ndim == 2 else best
    agreed, expected = float((said == labels.numpy()).mean()), people.agreement
    deviation = (expected * (1 - expected) / len(said)) ** 0.5
    if agreed < expected - DEVIATIONS * deviation:
        raise ValueError(
            f"{file} does not fit the images of {people.of}: what most people said is the label of "
            f"{agreed:.1%} of them, expected {expected:.1%}; both have to be in their published "
            "order"
        )


def path(name: str, root: Path) -> Path:
    """Where the file of the votes lies or would lie."""
    return root / f"{name}.npz"


def _ways(name: str) -> str:
    people = PEOPLE[name]
    return (
        f"`ldlstudy data fetch {name}` downloads it where there is a network, or put a file there "
        f"with the arrays {', '.join(people.arrays)} of {people.origin}"
    )


def _arrays(name: str, file: Path) -> dict[str, np.ndarray]:
    if not file.is_file():
        raise ValueError(f"no votes {name}: {file} is missing; {_ways(name)}")
    try:
        return _checked(name, read_arrays(file, PEOPLE[name].arrays))
    except DAMAGE as error:
        raise ValueError(f"{file} is damaged or unreadable ({error}); {_ways(name)}") from error


def _checked(name: str, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return arrays as uint8 after a look at their types, shapes and values, and at their sum."""
    people, found = PEOPLE[name], {}
    for key in people.arrays:
        given = np.asarray(arrays[key])
        shape, highest = ((-1, CLASSES), 255) if key == "counts" else ((-1,), CLASSES - 1)
        if given.dtype.kind not in "iu" or given.shape[1:] != shape[1:] or given.ndim < 1:
            rows = ", ".join(["N", *map(str, shape[1:])])
            raise ValueError(
                f"{key} must be whole numbers of shape ({rows}), got {given.dtype} {given.shape}"
            )
        if given.size == 0 or given.min() < 0 or given.max() > highest:
            ends = [] if given.size == 0 else [int(given.min()), int(given.max())]
            raise ValueError(f"{key} must lie in [0, {highest}], got {ends}")
        if key == "counts" and not given.any(1).all():
            raise ValueError("counts must have a vote in each row")
        found[key] = np.ascontiguousarray(given, dtype=np.uint8)
    sizes = {len(each) for each in found.values()}
    if len(sizes) != 1:
        raise ValueError(f"annotators labelled different numbers of images: {sorted(sizes)}")
    if sizes == {people.images} and _sum(found) != people.sha256:
        raise ValueError(f"its votes have another SHA-256 than the published ones: {_sum(found)}")
    return found


def _sum(arrays: Mapping[str, np.ndarray]) -> str:
    content = hashlib.sha256()
    for key in sorted(arrays):
        content.update(arrays[key].data)
    return content.hexdigest()


def fetch(name: str, root: Path) -> Path:
    """Download votes from where their authors publish them; a sound file that is there is kept.

    Parameters
    ----------
    name : str
        A key of ``PEOPLE``.
    root : Path
        Folder of the data.

    Returns
    -------
    Path
        The file, written whole or not at all.

    Raises
    ------
    ValueError
        If the download fails, or is not what was published.
    """
    people, file = PEOPLE[checks.one_of("votes", name, PEOPLE)], path(name, root)
    if file.is_file():
        _arrays(name, file)
        return file
    try:
        with urlopen(people.origin, timeout=PATIENCE) as answer:
            content = answer.read(LARGEST + 1)
        if not 0 < len(content) <= LARGEST:
            raise ValueError(f"it has {len(content):,} bytes of at most {LARGEST:,}")
        arrays = _checked(name, people.published(content))
        if len(arrays[people.best]) != people.images:
            raise ValueError(f"it has {len(arrays[people.best]):,} rows of {people.images:,}")
    except (URLError, *DAMAGE, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{name} could not be downloaded to {file} ({reason[0]}); {_ways(name)}"
        ) from error
    root.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy's own stub
    return files.write(file, buffer.getvalue())


def describe(name: str, root: Path) -> str:
    """One line on some votes: of which images, their licence, whether they are here."""
    people, file = PEOPLE[name], path(name, root)
    state = "in" if file.exists() else "not in"
    part = {"train": "training", "test": "test"}[people.part]
    return (
        f"{name:15} people's labels of {people.images:,} {part} images of {people.of}, from their "
        f"authors ({people.licence}), {state} {file}"
    )


def check(name: str, root: Path) -> str:
    """Read votes whole, check them, and say what they hold; a ValueError as `join` raises it."""
    arrays, people = _arrays(name, path(name, root)), PEOPLE[name]
    votes = _votes(people, arrays)
    return (
        f"{name}: {int(votes.sum()):,} votes on {len(votes):,} images of {people.of}, "
        f"sha256 {_sum(arrays)}"
    )
