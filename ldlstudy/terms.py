"""Scores as functions of sums over samples, so that a bootstrap needs each sample's term only once.

A score of N samples is made of terms, one or a few a sample: `Mean` is their mean, `Correlation`
that of two, `Gaps` and `ClasswiseGaps` are calibration errors. ``value`` is the score of the
samples as they are. ``resampled`` is the score of each of R resamples, from ``counts``, float64
(N, R): how often each sample was drawn. Terms are float64.

What happens in a bin differs by chance from what was predicted, so a calibration error of a finite
sample is too high even if each of its bins is estimated without bias: ``raised`` bounds by how
much. With the true gap d of a bin and its chance part e, ``E|d + e|`` is at most ``|d| + E|e|``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks

NORMS = ("l1", "l2", "max")
CHUNK = 2**23  # counts that are held at a time: 64 MiB of float64
BLOCK = 2**17  # probabilities that are handled at a time: 1 MiB of float64 stays in a core's cache


class Terms(Protocol):
    """The terms of a score."""

    def value(self) -> float:
        """Return the score; NaN if no sample counts."""

    def resampled(self, counts: Tensor) -> Tensor:
        """Return the score of each resample (R,)."""

    def raised(self) -> float | None:
        """Return by how much chance may have raised the score; None if it has no such bias."""


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of ``values`` (N,) over the samples ``among`` (N,) bool, or over all.

    ``empty`` is the score where there are none among them.
    """

    values: Tensor
    among: Tensor | None = None
    empty: float = math.nan

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

    def raised(self) -> None:
        """Return None: a mean has no bias."""


@dataclass(frozen=True, eq=False)
class Correlation:
    """The correlation of ``x`` and ``y`` (N,); 0 where one of them is the same for all samples."""

    x: Tensor
    y: Tensor

    def value(self) -> float:
        """Return the correlation."""
        return float(self.resampled(torch.ones(len(self.x), 1, dtype=torch.float64))[0])

    def resampled(self, counts: Tensor) -> Tensor:
        """Return the correlation of each resample."""
        x, y = self.x - self.x.mean(), self.y - self.y.mean()
        sums = torch.stack([x, y, x * x, y * y, x * y]) @ counts / counts.sum(0)
        mean_x, mean_y, xx, yy, xy = sums
        scale = ((xx - mean_x**2) * (yy - mean_y**2)).clamp_min(0).sqrt()
        return torch.where(scale > 0, (xy - mean_x * mean_y) / scale, 0.0)

    def raised(self) -> None:
        """Return None: chance raises it no more than it lowers it."""


@dataclass(frozen=True, eq=False)
class Gaps:
    """A calibration error of one prediction a sample.

    The mean over groups of samples, of those that have any, of `calibration_error`: by default
    sum_b abs(sum of gaps in bin b) / n, where n is the number of samples of the group.

    Attributes
    ----------
    cell
        Shape (N,), long: ``bins`` times the group of the sample, and its bin.
    gap
        Shape (N,): what happened minus what was predicted.
    variance
        Shape (N,): of what happened, if the prediction is right.
    bins, groups
        How many there are.
    """

    cell: Tensor
    gap: Tensor
    variance: Tensor
    bins: int
    groups: int = 1

    def value(self, norm: str = "l1") -> float:
        """Return the error by a norm; resamples and what chance adds are of "l1" alone."""
        gaps, counts = self.sums()
        each = calibration_error(gaps, counts, norm)
        return float(each[counts.sum(1) > 0].mean())

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return the sum of gaps in each bin and how many samples it holds, (groups, bins)."""
        shape = self.groups, self.bins
        counts = self._cells(torch.ones_like(self.gap))
        return self._cells(self.gap).view(shape), counts.view(shape)

    def resampled(self, counts: Tensor) -> Tensor:
        """Return the error of each resample."""
        gaps = _sums(counts, self.cell, self.gap, self.bins * self.groups).abs_()
        if self.groups == 1:
            return gaps.sum(0) / len(self.gap)
        group = self.cell // self.bins
        return self._mean(gaps, _sums(counts, group, torch.ones_like(self.gap), self.groups))

    def raised(self) -> float:
        """Return by how much chance may have raised the error."""
        return self._of_all(_raised(self._cells(self.gap), self._cells(self.variance)))

    def _cells(self, terms: Tensor) -> Tensor:
        return torch.bincount(self.cell, terms, minlength=self.bins * self.groups)

    def _of_all(self, cells: Tensor) -> float:
        count = torch.bincount(self.cell // self.bins, minlength=self.groups)
        return float(self._mean(cells[:, None], count[:, None]))

    def _mean(self, cells: Tensor, count: Tensor) -> Tensor:
        """Return what cells (groups * bins, R) of groups with ``count`` (groups, R) make."""
        each = cells.view(self.groups, self.bins, -1).sum(1) / count.clamp_min(1)
        return each.sum(0) / (count > 0).sum(0)


@dataclass(frozen=True, eq=False)
class ClasswiseGaps:
    """A calibration error of the probabilities of all classes, each binned by itself.

    The mean over classes of sum_b abs(sum of gaps in bin b) / N. Nearly all probabilities of many
    classes lie in the first bin: its sum is what the sum over all bins leaves.

    Attributes
    ----------
    p, labels
        Shape (N, K) and (N,).
    sample, cell, gap, variance
        Shape (M,), of each probability above the first bin: its sample, ``bins - 1`` times its
        class and its bin above the first, and as in `Gaps`.
    bins
        How many there are.
    """

    p: Tensor
    labels: Tensor
    sample: Tensor
    cell: Tensor
    gap: Tensor
    variance: Tensor
    bins: int

    def value(self) -> float:
        """Return the error."""
        return float(self._mean(self._gaps(self._once)))

    def resampled(self, counts: Tensor) -> Tensor:
        """Return the error of each resample."""
        return self._mean(self._gaps(counts))

    def raised(self) -> float:
        """Return by how much chance may have raised the error."""
        total = torch.zeros(self.p.shape[1], dtype=torch.float64, device=self.p.device)
        for part in blocks(self.p):
            q = self.p[part].double()
            total += (q * (1 - q)).sum(0)
        upper = torch.bincount(self.cell, self.variance, minlength=len(total) * (self.bins - 1))
        variance = self._cells(total[:, None], upper[:, None]).clamp_min(0)
        return float(self._mean(_raised(self._gaps(self._once), variance)))

    @property
    def _once(self) -> Tensor:
        return torch.ones(len(self.p), 1, dtype=torch.float64, device=self.p.device)

    def _gaps(self, counts: Tensor) -> Tensor:
        """Return the sum of gaps in each cell, (K, bins, R)."""
        classes = self.p.shape[1]
        total = _sums(counts, self.labels, counts.new_ones(len(counts)), classes)
        for part in blocks(self.p):
            total.addmm_(self.p[part].double().T, counts[part], alpha=-1)
        upper = _sums(counts, self.cell, self.gap, classes * (self.bins - 1), self.sample)
        return self._cells(total, upper)

    def _cells(self, total: Tensor, upper: Tensor) -> Tensor:
        """Return sums in all cells, from those over all bins and those above the first."""
        above = upper.view(len(total), self.bins - 1, total.shape[1])
        return torch.cat([(total - above.sum(1))[:, None], above], 1)

    def _mean(self, cells: Tensor) -> Tensor:
        return cells.abs().sum((0, 1)) / self.p.numel()


def calibration_error(gaps: Tensor, counts: Tensor, norm: str = "l1") -> Tensor:
    """Return a norm of the gaps between what happened and what was predicted in bins.

    Parameters
    ----------
    gaps, counts : Tensor
        Shape (..., bins): the sum of what happened minus what was predicted in a bin, and how many
        samples it holds.
    norm : str
        Of the bins' mean gaps: "l1" their mean over samples, "l2" the root of the mean over samples
        of their squares, "max" the largest.

    Returns
    -------
    Tensor
        Shape (...); 0 without samples.
    """
    checks.one_of("norm", norm, NORMS)
    size, samples = gaps.abs(), counts.sum(-1).clamp_min(1)
    if norm == "l1":
        return size.sum(-1) / samples
    mean = size / counts.clamp_min(1)
    return mean.amax(-1) if norm == "max" else ((mean * size).sum(-1) / samples).sqrt()


def by_chance(variance: Tensor) -> Tensor:
    """Return the mean of abs(hits - expected hits) where the hits have a ``variance``.

    That of a normal variable, and where there are few hits, with a variance below 1, an upper
    bound: the standard deviation, or twice the variance if that is less.
    """
    few = torch.minimum(variance.sqrt(), 2 * variance)
    return torch.where(variance < 1, few, (2 / math.pi * variance).sqrt())


def _raised(gaps: Tensor, variance: Tensor) -> Tensor:
    """Return what chance adds to absolute gaps; one of 3 standard deviations is none of it."""
    clear = (variance >= 1) & (gaps.abs() > 3 * variance.sqrt())
    return torch.where(clear, 0, by_chance(variance))


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


def _sums(
    counts: Tensor, cell: Tensor, terms: Tensor, cells: int, sample: Tensor | None = None
) -> Tensor:
    """Return the sum of terms in each cell (cells, R), each times the counts of its sample."""
    sums = counts.new_zeros(cells, counts.shape[1])
    size = max(1, BLOCK // counts.shape[1])
    for start in range(0, len(cell), size):
        part = slice(start, start + size)
        times = counts[part] if sample is None else counts[sample[part]]
        sums.index_add_(0, cell[part], terms[part, None] * times)
    return sums
