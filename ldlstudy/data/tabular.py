"""Tabular sets with a class for each sample, of the kind on which ILS draws its Figures 9 and 10.

Four come with scikit-learn. The two that the paper names are OpenML's (https://www.openml.org) and
come from a local folder, one file each, ``<root>/<name>.npz`` with ``features`` (N, D) and
``labels`` (N,).
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.data.archives import read_put

BUNDLED = {  # what scikit-learn calls them; optdigits is OpenML's name
    "breast_cancer": "breast_cancer",
    "iris": "iris",
    "optdigits": "digits",
    "wine": "wine",
}
NAMES = ("auml_url", "volcanoes")  # files
KEYS = ("features", "labels")


def read(name: str, root: Path | None) -> tuple[Tensor, Tensor]:
    """Return the features (N, D), float32, and the one-hot labels (N, K), float64, of a set.

    Raises
    ------
    ValueError
        If the file is missing or damaged, features are no finite numbers, or labels no classes.
    """
    if checks.one_of("tabular set", name, (*BUNDLED, *NAMES)) in BUNDLED:
        from sklearn import datasets

        given = getattr(datasets, f"load_{BUNDLED[name]}")(return_X_y=True)
        return _checked(*given)
    assert root is not None  # of a set that is a file
    return read_put(name, path(name, root), KEYS, "made of OpenML's", _checked)


def _checked(features: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    if features.ndim != 2 or features.dtype.kind not in "fiu" or not np.isfinite(features).all():
        raise ValueError(
            "features must be finite numbers of shape (N, D), "
            f"got {features.dtype} {features.shape}"
        )
    fits = labels.dtype.kind in "iu" and labels.shape == (len(features),) and len(labels)
    if not fits or labels.min() < 0 or not np.bincount(labels).all():
        raise ValueError(
            f"labels must be {len(features)} whole numbers from 0 with no class left out, "
            f"got {labels.dtype} {labels.shape}"
        )
    y = torch.from_numpy(labels.astype(np.int64))
    return torch.from_numpy(features).float(), torch.nn.functional.one_hot(y).double()


def path(name: str, root: Path) -> Path:
    """Where the file of a set lies or would lie."""
    return root / f"{name}.npz"


def describe(name: str, root: Path) -> str:
    """One line on a set: whether it is here."""
    file = path(name, root)
    state = "in" if file.exists() else "not in"
    return f"{name:15} a tabular set of OpenML's, put there by hand, {state} {file}"


def check(name: str, root: Path) -> str:
    """Read a set whole and check it; return its sizes."""
    features, labels = read(name, root)
    samples, width = features.shape
    return f"{name}: {samples} samples, {width} features, {labels.shape[1]} classes"
