"""Replicates of a data set with a known truth: each has training, held-out and test samples."""

import functools
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.mixture import GaussianMixture


def seed_of(*parts: int | str) -> int:
    """A seed that depends on all ``parts``; texts count through their CRC-32."""
    entropy = [p if isinstance(p, int) else zlib.crc32(p.encode()) for p in parts]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


class Sample(NamedTuple):
    """``inputs`` (N, F), ``labels`` (N,), ``sparse`` (N,) bool, ``truth`` (N, K) = p(y|x)."""

    inputs: Tensor
    labels: Tensor
    sparse: Tensor
    truth: Tensor


@dataclass(frozen=True)
class Draws:
    """Independent replicates drawn from a mixture.

    ``train``, ``held`` and ``test`` count the samples of each class; replicate r is the same
    however many replicates there are.
    """

    mixture: GaussianMixture
    train: int
    held: int
    test: int
    replicates: int
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
        samples = [self.sample(part, r) for r in range(self.replicates)]
        return Sample(*(torch.stack(field) for field in zip(*samples, strict=True)))
