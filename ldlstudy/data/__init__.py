"""Image sets by name: as tensors that can live on the training device, ready for `batches`.

There are four kinds: one file each, which torchvision downloads (`ldlstudy.data.archives`);
folders that their authors hand out (`ldlstudy.data.folders`); some that are made here
(`ldlstudy.data.made`) or mixed of others (`ldlstudy.data.mixed`); and a user's own, by their path
(`ldlstudy.data.own`). The others lie under one folder: ``LDLSTUDY_DATA``, else ``data`` in the
study; so do the votes of people on some of them (`ldlstudy.data.people`), samples of other kinds
with their label distributions (`ldlstudy.data.distributions`) or classes
(`ldlstudy.data.tabular`), and sentences with their translations (`ldlstudy.data.translation`).
"""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from ldlstudy import checks, files
from ldlstudy.data import (
    archives,
    cifar100,
    distributions,
    folders,
    mixed,
    own,
    people,
    tabular,
    translation,
)
from ldlstudy.data.decode import Stream
from ldlstudy.data.images import Dataset, Images, partners, split
from ldlstudy.data.made import MADE, SIZES, digits, noisy_digits

__all__ = [
    "Dataset",
    "Images",
    "Stream",
    "available",
    "called",
    "check",
    "default_root",
    "describe",
    "digits",
    "fetch",
    "groups",
    "load",
    "location",
    "noisy_digits",
    "options_of",
    "partners",
    "split",
]


# what is no set of images and lies beside them, by the module that reads it
BESIDE = {
    name: module
    for module in (people, distributions, tabular, translation)
    for name in module.NAMES
}
# what else names files of records, or is trained by name
TAKEN = ("circumstances", "six_gaussians", distributions.MADE, translation.MADE)
COMMON = ("per_class", "held", "seed", "votes", "annotator")  # options of every set


def default_root() -> Path:
    """Where data lie: ``LDLSTUDY_DATA``, else ``data`` in the study, else ``data`` right here."""
    if given := os.environ.get("LDLSTUDY_DATA"):
        return Path(given)
    try:
        return files.root() / "data"
    except ValueError:  # installed and used outside a checkout
        return Path("data")


def available() -> tuple[str, ...]:
    """The names that `load` knows."""
    return (*MADE, *archives.ARCHIVES, *folders.FOLDERS, *mixed.MIXED)


def load(
    name: str | Path,
    root: Path | None = None,
    *,
    per_class: int | None = None,
    held: float = 0.0,
    seed: int = 0,
    votes: str | None = None,
    annotator: str | None = None,
    **options: Any,
) -> Dataset:
    """Load an image set into memory (ImageNet: its list of files).

    Parameters
    ----------
    name : str or Path
        One of `available`; or the path of a folder with a folder of image files for each class, or
        of an ``.npz`` file with ``images`` and ``labels``.
    root : Path, optional
        Folder of the sets with a name; `default_root` by default.
    per_class : int, optional
        How many training images of each class to keep, drawn at random; all by default.
    held : float
        Share of the training set to keep out of it, stratified, in [0, 1).
    seed : int
        Of what is drawn, and of the split into training and held-out images, where there is one.
    votes : str, optional
        Votes of people to join, a key of ``PEOPLE`` in `ldlstudy.data.people`: the shares of those
        on an image are its ``truth``.
    annotator : str, optional
        Of these people, the one whose labels of the training images replace the official ones.
    **options
        ``size`` of folders, what `digits`, `noisy_digits` and mixed sets take, and of one's own
        images what :func:`ldlstudy.data.own.read` takes: ``size``, ``test``, ``broken``,
        ``streamed``.

    Returns
    -------
    Dataset
        On the CPU.

    Raises
    ------
    ValueError
        An unknown name or option (the known ones are listed), a value out of range, or data that
        are missing or damaged (with the way to get them).
    """
    name = str(name) if isinstance(name, Path) else name
    if not isinstance(name, str):
        raise ValueError(f"a data set is named by a text or a path, got {name!r}")
    checks.in_range("held", held, 0, 1)
    if checks.whole("seed", seed, 0) and not held and per_class is None:
        raise ValueError(f"seed {seed} is of the images to hold out, got held={held:g}")
    path = options.pop("path", name if own.is_path(name, available()) else None)
    known = options_of(name if path is None else path)
    for option in options:
        if option not in known:
            allowed = ", ".join(sorted({*known} - {*COMMON})) or "none"
            raise ValueError(f"unknown option {option!r} of data set {name}; known: {allowed}")
    if path is not None and root is not None:
        raise ValueError(f"root is the folder of sets with a name, {path} is a path: got {root}")
    root = root or default_root()
    if path is not None:
        dataset = own.read(path, called(path), **options)
    else:
        dataset = _reader(name)(*(() if name in MADE else (name, root)), **options)
    if votes is not None:
        dataset = people.join(dataset, votes, root, annotator)
    elif annotator is not None:
        raise ValueError(f"whose annotator {annotator!r} is has to be said with votes")
    if per_class is not None:
        dataset = dataset.few(per_class, seed)
    return dataset.hold(held, seed) if held else dataset


def options_of(name: str) -> dict[str, Any]:
    """Return the options that `load` takes for an image set, each with its type."""
    _check_name(name)
    taken = [*inspect.signature(load).parameters.values()]
    taken += inspect.signature(_reader(name)).parameters.values()
    return {p.name: p.annotation for p in taken if p.kind is p.KEYWORD_ONLY}


def called(path: str) -> str:
    """Return what the set at a path is called in records, as no other one is."""
    return own.name_of(path, (*available(), *BESIDE, *TAKEN))


def _check_name(name: str) -> None:
    """Refuse what is neither known nor a path."""
    if own.is_path(name, available()):
        return
    try:
        checks.one_of("data set", name, available())
    except ValueError as error:
        raise ValueError(f"{error}; images of your own are named by their path") from None


def _reader(name: str) -> Callable[..., Dataset]:
    if own.is_path(name, available()):
        return own.read
    for module, names in ((folders, folders.FOLDERS), (mixed, mixed.MIXED)):
        if name in names:
            return module.read
    return MADE.get(name, archives.read)


def groups(dataset: Dataset) -> Tensor | None:
    """Return the group of each class (K,): superclasses of CIFAR-100, domains of mixed sets."""
    if dataset.name in mixed.MIXED:
        return mixed.groups(dataset.classes)
    return cifar100.groups(dataset.classes) if dataset.name == "cifar100" else None


def fetch(name: str, root: Path | None = None) -> Path:
    """Download an image set, or votes on one, and return its file; one that is there is kept.

    Raises
    ------
    ValueError
        If the download fails, or the set is made here or comes from its authors alone.
    """
    if name in people.PEOPLE:
        return people.fetch(name, root or default_root())
    if name in BESIDE:
        raise ValueError(f"{name} comes from its authors alone: put it into {location(name, root)}")
    place = location(name, root)
    if place is None:
        raise ValueError(f"{name} is made here from scikit-learn's digits: there is no file of it")
    if name in folders.FOLDERS:
        raise ValueError(f"{name} comes from its authors alone: unpack it to {place}")
    if name in mixed.MIXED:
        raise ValueError(f"{name} is made of {', '.join(mixed.MIXED[name].domains)}: get these")
    return archives.fetch(name, place.parent)


def check(name: str, root: Path | None = None) -> str:
    """Read and check an image set, or votes; return its counts and the digest of its data.

    Raises
    ------
    ValueError
        As `load`.
    """
    if name in BESIDE:
        return BESIDE[name].check(name, root or default_root())
    dataset = load(name, root)
    return f"{dataset}, sha256 {dataset.digest}"


def describe(name: str, root: Path | None = None) -> str:
    """One line on an image set: its published sizes, where it is from, whether it is here."""
    if name in BESIDE:
        return BESIDE[name].describe(name, root or default_root())
    place = location(name, root)
    if name in MADE:
        classes, shape, (train, test), origin = 10, (1, 8, 8), SIZES[name], "made here"
    elif name in mixed.MIXED:
        return _mixed(name, place)
    else:
        facts = folders.FOLDERS.get(name) or archives.ARCHIVES[name]
        classes, shape, train, test = facts.classes, facts.shape, facts.train, facts.test
        fetched = "from torchvision" if getattr(facts, "torchvision", "") else "put there by hand"
        origin = "from its authors" if name in folders.FOLDERS else fetched
    state = "" if place is None else f", {'in' if place.exists() else 'not in'} {place}"
    size = "x".join(map(str, shape))
    return (
        f"{name:14} {classes:4} classes {size:>9} {train:>9,} + {test:>6,} images {origin}{state}"
    )


def _mixed(name: str, place: Path | None) -> str:
    """The line of a mixed set: what it is made of, and what of that is missing."""
    shape = "x".join(map(str, mixed.MIXED[name].shape))
    there = place is not None and place.exists()
    state = "all of them here" if there else f"not in {place}"
    return f"{name:14} {shape:>23} made of {', '.join(mixed.MIXED[name].domains)}, {state}"


def location(name: str, root: Path | None = None) -> Path | None:
    """The file or folder of an image set, there or not; None for what is made here.

    Of a mixed set, that of the first source that is missing, or of the last one.
    """
    root = root or default_root()
    if name in BESIDE:
        return BESIDE[name].path(name, root)
    checks.one_of("data set", name, (*available(), *BESIDE))
    if name in MADE:
        return None
    if name in folders.FOLDERS:
        return root / folders.FOLDERS[name].path
    return mixed.path(name, root) if name in mixed.MIXED else archives.path(name, root)
