"""Sets of samples with a known label distribution, from the field of label distribution learning.

Each is one file, ``<root>/<name>.npz``, with ``features`` (N, D) and ``distributions`` (N, K), as
Geng and others have published them (http://palm.seu.edu.cn/xgeng/LDL); they come from a local
folder. One that is made here needs no file: points of six Gaussians with their exact posterior.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.data import tabular
from ldlstudy.data.archives import read_put
from ldlstudy.data.replicates import Sample
from ldlstudy.mixture import six_gaussians
from ldlstudy.seeds import seed_of

SETS = {  # samples, features, classes
    "M2B": (1240, 250, 5),
    "Movie": (7755, 1869, 5),
    "Music": (360, 128, 9),
    "Painting": (280, 142, 8),
    "SBU_3DFE": (2500, 243, 6),
    "SCUT_FBP": (1500, 300, 5),
    "SJAFFE": (213, 243, 6),
    "Yeast_cold": (2465, 24, 4),
    "Yeast_spo5": (2465, 24, 3),
    "Yeast_spoem": (2465, 24, 2),
}
MADE = "posteriors"
PER_CLASS = 50  # points of the set that is made
KEYS = ("features", "distributions")
NAMES = tuple(SETS)
FOLDS = 10


def read(name: str, root: Path | None) -> tuple[Tensor, Tensor]:
    """Return the features (N, D), float32, and the label distributions (N, K), float64, of a set.

    Raises
    ------
    ValueError
        If the file is missing, damaged or not of this set.
    """
    if checks.one_of("set of label distributions", name, (*NAMES, MADE)) == MADE:
        mixture = six_gaussians()
        x, _, _ = mixture.sample(PER_CLASS, 0)
        return x.float(), mixture.posterior(x).double()
    assert root is not None  # of a set that is a file
    origin = "from where its authors publish it"
    return read_put(name, path(name, root), KEYS, origin, functools.partial(_checked, name))


def _checked(name: str, features: np.ndarray, given: np.ndarray) -> tuple[Tensor, Tensor]:
    samples, width, classes = SETS[name]
    for key, array, expected in zip(
        KEYS, (features, given), ((samples, width), (samples, classes)), strict=True
    ):
        if array.shape != expected or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(
                f"{key} must be finite floating-point numbers of shape {expected}, "
                f"got {array.dtype} {array.shape}"
            )
    d = torch.from_numpy(given).double()
    if float(d.min()) < 0 or not torch.allclose(d.sum(1), torch.ones(len(d)).double(), atol=1e-4):
        raise ValueError("distributions must be at least 0, and each sum to 1")
    return torch.from_numpy(features).float(), d / d.sum(1, keepdim=True)


def path(name: str, root: Path) -> Path:
    """Where the file of a set lies or would lie."""
    return root / f"{name}.npz"


def describe(name: str, root: Path) -> str:
    """One line on a set: its sizes, and whether it is here."""
    file = path(name, root)
    samples, width, classes = SETS[name]
    state = "in" if file.exists() else "not in"
    return (
        f"{name:15} {classes:4} classes {width:9,} features {samples:9,} samples with their label "
        f"distributions, from their authors, {state} {file}"
    )


def check(name: str, root: Path) -> str:
    """Read a set whole and check it; return its sizes and the mean entropy of its distributions."""
    features, given = read(name, root)
    entropy = float(torch.special.entr(given).sum(1).mean())
    return f"{name}: {len(features)} samples, {given.shape[1]} classes, mean entropy {entropy:.3f}"


@dataclass(frozen=True)
class Folds:
    """Repeated ten-fold cross-validation of a set, in the form of replicates.

    Replicate r is fold r mod 10 of repetition r div 10. Of the other nine folds, one tenth of all
    is held out at random. Only the most probable class of each sample is its label (a tabular set's
    truth is that label alone, one-hot); features are
    standardised by the training part. All replicates are of the same sizes: of samples that ten
    does not divide, the last ones of a repetition are in no test part.
    """

    name: str
    root: Path | None
    count: int
    seed: int

    @functools.cached_property
    def training(self) -> Sample:
        """Training parts of all replicates, with a first dimension (R, ...)."""
        return self._parts["train"]

    @functools.cached_property
    def holding(self) -> Sample:
        """Held-out parts of all replicates, (R, ...)."""
        return self._parts["held"]

    @functools.cached_property
    def testing(self) -> Sample:
        """Test parts of all replicates, (R, ...)."""
        return self._parts["test"]

    @functools.cached_property
    def _parts(self) -> dict[str, Sample]:
        of_classes = self.name in (*tabular.BUNDLED, *tabular.NAMES)
        features, truth = (tabular.read if of_classes else read)(self.name, self.root)
        parts = [self._replicate(r, features, truth) for r in range(self.count)]
        return {
            name: Sample(*map(torch.stack, zip(*(each[name] for each in parts), strict=True)))
            for name in parts[0]
        }

    def _replicate(self, r: int, features: Tensor, truth: Tensor) -> dict[str, Sample]:
        size = len(features) // FOLDS
        order = torch.from_numpy(self._draws("order", r // FOLDS).permutation(len(features)))
        start = r % FOLDS * size
        rest = torch.cat([order[:start], order[start + size :]])
        rest = rest[torch.from_numpy(self._draws("held", r).permutation(len(rest)))]
        at = {"train": rest[size:], "held": rest[:size], "test": order[start : start + size]}
        own = features[at["train"]]
        deviation = own.std(0)
        scaled = (features - own.mean(0)) / torch.where(deviation > 0, deviation, 1)
        return {
            name: Sample(
                scaled[i], truth[i].argmax(1), torch.zeros(len(i), dtype=torch.bool), truth[i]
            )
            for name, i in at.items()
        }

    def _draws(self, what: str, number: int) -> np.random.Generator:
        return np.random.default_rng(seed_of(self.seed, what, number))
