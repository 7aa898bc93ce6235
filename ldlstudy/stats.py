"""Means over replicates, with the interval and the test that go with them.

Replicates are independent; two methods on the same replicates share their data, so they are
compared by the differences within replicates.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # which loads its `stats` when they are first used

from ldlstudy import checks

LEVEL = 0.95
RESAMPLES = 2000
NUMBERS = 2_000_000  # that are drawn at once


class Estimate(NamedTuple):
    """A mean over replicates with the ends of its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def estimate(values: Sequence[float]) -> Estimate:
    """Mean of ``values`` (n,) and its percentile bootstrap interval (scipy, seeded).

    One value, or values all alike, have an interval of no width.
    """
    return estimates([values])[0]


def estimates(lists: Iterable[Sequence[float]]) -> list[Estimate]:
    """Return the :func:`estimate` of each list; lists of one length are resampled at once."""
    arrays = [np.asarray(values, dtype=float) for values in lists]
    for x in arrays:
        if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
            raise ValueError(f"need a list of finite values, at least one: got shape {x.shape}")
    found: dict[int, Estimate] = {}
    for length in {len(x) for x in arrays}:
        places = [i for i, x in enumerate(arrays) if len(x) == length]
        x = np.stack([arrays[i] for i in places])
        mean = x.mean(axis=1)
        low, high = mean.copy(), mean.copy()
        varied = np.ptp(x, axis=1) > 0
        if varied.any():
            interval = scipy.stats.bootstrap(
                (x[varied],),
                np.mean,
                axis=1,
                n_resamples=RESAMPLES,
                batch=max(1, NUMBERS // x[varied].size),
                confidence_level=LEVEL,
                method="percentile",
                rng=np.random.default_rng(0),
            ).confidence_interval
            low[varied], high[varied] = interval.low, interval.high
        found |= zip(places, map(Estimate, mean.tolist(), low.tolist(), high.tolist()), strict=True)
    return [found[i] for i in range(len(arrays))]


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> Estimate:
    """Return Spearman's correlation of two lists (n,), its interval over pairs drawn anew.

    Of fewer than three pairs there is none, and all is NaN.
    """
    pairs = np.array([one, other], dtype=float)
    count = pairs.shape[1]
    if count < 3:
        return Estimate(math.nan, math.nan, math.nan)
    tests = scipy.stats
    drawn = pairs[:, np.random.default_rng(0).integers(0, count, (RESAMPLES, count))]
    several = (np.diff(np.sort(drawn[0]), axis=1) > 0).sum(1) > 1  # three values at least
    first, second = tests.zscore(tests.rankdata(drawn[:, several], axis=2), axis=2)
    low, high = middle((first * second).mean(1))
    return Estimate(float(tests.spearmanr(*pairs).statistic), low, high)


def middle(draws: np.ndarray) -> list[float]:
    """Return the ends of the middle 95 % of a score of resamples; NaN, of none, are left out."""
    tail = 100 * (1 - LEVEL) / 2
    return [float(end) for end in np.percentile(draws[~np.isnan(draws)], [tail, 100 - tail])]


def around(value: float, draws: np.ndarray, raised: float) -> list[float]:
    """Return a 95 % interval of a score of at least 0 that chance raises: a calibration error.

    Resamples have more of chance than the sample, so the middle of their scores lies too high, at
    times above the score itself. From the score the interval reaches up as far as the draws reach
    below their mean, and down as far as they reach above it and by what chance may have added.

    Parameters
    ----------
    value : float
        The score.
    draws : ndarray, shape (R,)
        The score of each resample.
    raised : float
        By how much chance may have raised ``value``, at most.
    """
    (low, high), mean = middle(draws), float(draws.mean())
    return [max(0.0, value - raised - (high - mean)), value + (mean - low)]


def difference(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Mean of ``a - b`` within replicates, with its interval.

    Raises
    ------
    ValueError
        If the two have not the same number of replicates.
    """
    return estimate(_differences(a, b).tolist())


def paired_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p value of the paired t test (scipy); 1 when no replicate differs.

    Raises
    ------
    ValueError
        If the two have not the same number of replicates, or fewer than two.
    """
    d = _differences(a, b)
    if len(d) < 2:
        raise ValueError(f"a paired test needs at least two replicates: got {len(d)}")
    return float(scipy.stats.ttest_rel(a, b).pvalue) if d.any() else 1.0


def critical_difference(methods: int, sets: int) -> float:
    """How far apart two mean ranks must be to differ at the 5 % level by Nemenyi's test.

    q sqrt(k (k + 1) / 6 N) for k methods ranked on each of N sets, with q the studentised range
    over the square root of two (Demšar 2006, section 3.2.2).
    """
    k, n = checks.whole("methods", methods, 2), checks.whole("sets", sets, 1)
    q = scipy.stats.studentized_range.ppf(LEVEL, k, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(k * (k + 1) / (6 * n)))


def _differences(a: Sequence[float], b: Sequence[float]) -> np.ndarray:
    if len(a) != len(b):
        raise ValueError(f"paired samples need equal lengths: got {len(a)} and {len(b)}")
    return np.subtract(a, b)


def standard_error(values: Sequence[float]) -> float:
    """Of the mean; 0 for one value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
