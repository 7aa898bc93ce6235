"""Replicates of a data set with a known truth: each has training, held-out and test samples."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.mixture import GaussianMixture
from ldlstudy.seeds import seed_of


class Sample(NamedTuple):
    """``inputs`` (N, F), ``labels`` (N,), ``sparse`` (N,) bool, ``truth`` (N, K) = p(y|x)."""

    inputs: Tensor
    labels: Tensor
    sparse: Tensor
    truth: Tensor

    def at(self, replicate: int) -> "Sample":
        """Return one replicate's part of samples with a first dimension (R, ...)."""
        return Sample(*(field[replicate] for field in self))


@dataclass(frozen=True)
class Replicates:
    """Independent replicates drawn from a mixture.

    ``train``, ``held`` and ``test`` are numbers of samples of each class, ``count`` that of the
    replicates; replicate r is the same however many there are.
    """

    mixture: GaussianMixture
    train: int
    held: int
    test: int
    count: int
    seed: int

    def sample(self, part: str, replicate: int) -> Sample:
        """Draw the ``part`` (train, held or test) of one replicate."""
        sizes = {"train": self.train, "held": self.held, "test": self.test}
        per_class = sizes[checks.one_of("part", part, sizes)]
        x, y, component = self.mixture.sample(per_class, seed_of(self.seed, part, replicate))
        return Sample(x, y, self.mixture.sparse[component], self.mixture.posterior(x))

    @functools.cached_property
    def training(self) -> Sample:
        """Training parts of all replicates, with a first dimension (R, ...)."""
        return self._all("train")

    @functools.cached_property
    def holding(self) -> Sample:
        """Held-out parts of all replicates, (R, ...)."""
        return self._all("held")

    @functools.cached_property
    def testing(self) -> Sample:
        """Test parts of all replicates, (R, ...)."""
        return self._all("test")

    def _all(self, part: str) -> Sample:
        samples = [self.sample(part, r) for r in range(self.count)]
        return Sample(*(torch.stack(field) for field in zip(*samples, strict=True)))
