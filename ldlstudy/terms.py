"""Scores as functions of sums over samples, so that a bootstrap needs each sample's term only once.

A score of N samples is made of terms, one or a few a sample: `Mean` is their mean, `Gaps` and
`ClasswiseGaps` are calibration errors. ``value`` is the score of the samples as they are.
``resampled`` is the score of each of R resamples, from ``counts``, float64 (N, R): how often each
sample was drawn. Terms are float64.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

CHUNK = 2**23  # counts that are held at a time: 64 MiB of float64
BLOCK = 2**17  # probabilities that are handled at a time: 1 MiB of float64 stays in a core's cache


class Terms(Protocol):
    """The terms of a score."""

    @property
    def biased(self) -> bool:
        """Whether chance alone raises the score, as it does a mean of absolute values."""

    def value(self) -> float:
        """Return the score; NaN if no sample counts."""

    def resampled(self, counts: Tensor) -> Tensor:
        """Return the score of each resample (R,)."""


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of ``values`` (N,) over the samples ``among`` (N,) bool, or over all.

    ``empty`` is the score where there are none among them.
    """

    values: Tensor
    among: Tensor | None = None
    empty: float = math.nan
    biased = False

    def value(self) -> float:
        """Return the mean."""
        values = self.values if self.among is None else self.values[self.among]
        return float(values.mean()) if len(values) else self.empty

    def resampled(self, counts: Tensor) -> Tensor:
        """Return the mean of each resample."""
        if self.among is None:
            return self.values @ counts / len(self.values)
        among = self.among.double()
        there = among @ counts
        return torch.where(there > 0, (self.values * among) @ counts / there, self.empty)


@dataclass(frozen=True, eq=False)
class Gaps:
    """A calibration error of one prediction a sample.

    The mean over groups of samples, of those that have any, of sum_b |sum of gaps in bin b| / n,
    where n is the number of samples of the group.

    Attributes
    ----------
    cell
        Shape (N,), long: ``bins`` times the group of the sample, and its bin.
    gap
        Shape (N,): what happened minus what was predicted.
    bins, groups
        How many there are.
    """

    cell: Tensor
    gap: Tensor
    bins: int
    groups: int = 1
    biased = True

    def value(self) -> float:
        """Return the error."""
        sums = torch.bincount(self.cell, self.gap, minlength=self.bins * self.groups)
        count = torch.bincount(self.cell // self.bins, minlength=self.groups)
        return float(self._mean(sums[:, None], count[:, None]))

    def resampled(self, counts: Tensor) -> Tensor:
        """Return the error of each resample."""
        sums = _sums(self.cell, self.gap[:, None] * counts, self.bins * self.groups)
        if self.groups == 1:
            return self._mean(sums, counts.new_tensor([[len(self.gap)]]))
        return self._mean(sums, _sums(self.cell // self.bins, counts, self.groups))

    def _mean(self, sums: Tensor, count: Tensor) -> Tensor:
        gaps = sums.abs().view(self.groups, self.bins, -1).sum(1)
        return (gaps / count.clamp_min(1)).sum(0) / (count > 0).sum(0)


@dataclass(frozen=True, eq=False)
class ClasswiseGaps:
    """A calibration error of the probabilities of all classes, each binned by itself.

    The mean over classes of sum_b |sum of gaps in bin b| / N. Nearly all probabilities of many
    classes lie in the first bin: its sum is what the sum over all bins leaves.

    Attributes
    ----------
    p, labels
        Shape (N, K) and (N,).
    sample, cell, gap
        Shape (M,), of each probability above the first bin: its sample, ``bins - 1`` times its
        class and its bin above the first, and what happened minus the probability.
    bins
        How many there are.
    """

    p: Tensor
    labels: Tensor
    sample: Tensor
    cell: Tensor
    gap: Tensor
    bins: int
    biased = True

    def value(self) -> float:
        """Return the error."""
        every = torch.ones(len(self.p), 1, dtype=torch.float64, device=self.p.device)
        return float(self.resampled(every))

    def resampled(self, counts: Tensor) -> Tensor:
        """Return the error of each resample."""
        samples, classes = self.p.shape
        total = _sums(self.labels, counts, classes)
        for part in blocks(self.p):
            total.addmm_(self.p[part].double().T, counts[part], alpha=-1)
        size = max(1, CHUNK // counts.shape[1])
        upper = total.new_zeros(classes * (self.bins - 1), counts.shape[1])
        for part in torch.arange(len(self.gap), device=self.p.device).split(size):
            upper.index_add_(0, self.cell[part], self.gap[part, None] * counts[self.sample[part]])
        upper = upper.view(classes, self.bins - 1, counts.shape[1])
        gaps = (total - upper.sum(1)).abs_() + upper.abs_().sum(1)
        return gaps.sum(0) / (samples * classes)


def blocks(p: Tensor) -> Iterator[slice]:
    """Yield the rows of ``p`` (N, K) in blocks that are small enough to stay in a cache."""
    rows = max(1, BLOCK // p.shape[1])
    for start in range(0, len(p), rows):
        yield slice(start, start + rows)


def drawn(samples: int, resamples: int) -> Iterator[Tensor]:
    """Yield how often each sample was drawn, float64 (N, R) for some resamples at a time.

    All that are drawn for the same numbers of samples and resamples are the same.
    """
    rng = np.random.default_rng(0)
    size = max(1, CHUNK // samples)
    for start in range(0, resamples, size):
        counts = np.empty((min(size, resamples - start), samples))
        for row in counts:
            row[:] = np.bincount(rng.integers(0, samples, samples), minlength=samples)
        yield torch.from_numpy(counts).T.contiguous()


def _sums(cell: Tensor, terms: Tensor, cells: int) -> Tensor:
    """Return the sum of terms (N, R) in each cell, (cells, R)."""
    return terms.new_zeros(cells, terms.shape[1]).index_add_(0, cell, terms)
