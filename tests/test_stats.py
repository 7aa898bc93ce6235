import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from ldlstudy import stats

FINITE = st.floats(-1e6, 1e6)


def test_by_hand():
    assert stats.estimate([2.0]) == (2.0, 2.0, 2.0)
    assert stats.estimate([0.5] * 7) == (0.5, 0.5, 0.5)
    mean, low, high = stats.estimate([0.0, 1.0])  # resampled means are 0, .5 and 1
    assert (mean, low, high) == (0.5, 0.0, 1.0)
    assert stats.standard_error([1.0, 2.0, 3.0]) == pytest.approx(1 / np.sqrt(3))
    assert stats.standard_error([1.0]) == 0


def test_difference_is_paired():
    rng = np.random.default_rng(0)
    shared = rng.normal(scale=100, size=30)  # the same data makes both methods good or bad
    a, b = shared + rng.normal(1, 0.1, 30), shared
    d = stats.difference(a.tolist(), b.tolist())
    assert d.mean == pytest.approx(float((a - b).mean()))
    assert 0.9 < d.low < d.mean < d.high < 1.1
    assert d.excludes_zero
    assert stats.difference(b.tolist(), a.tolist()).excludes_zero
    assert not stats.estimate(a.tolist()).excludes_zero
    assert not stats.difference(a.tolist(), a.tolist()).excludes_zero


def test_the_interval_covers_the_mean_95_times_in_100():
    rng = np.random.default_rng(1)
    intervals = [stats.estimate(x) for x in rng.normal(3.0, 2.0, (300, 40))]
    covered = np.mean([e.low <= 3.0 <= e.high for e in intervals])
    assert 0.91 <= covered <= 0.98  # .94 is expected of 40 values; one standard error is .014
    width = np.mean([e.high - e.low for e in intervals])
    assert width == pytest.approx(2 * 1.96 * 2.0 / np.sqrt(40), rel=0.06)


@given(st.lists(FINITE, min_size=1, max_size=12))
@settings(max_examples=30)
def test_an_interval_lies_among_its_values_and_is_reproducible(values):
    e = stats.estimate(values)
    slack = 1e-9 * max(1.0, *(abs(v) for v in values))
    assert min(values) - slack <= e.low <= e.mean + slack
    assert e.mean - slack <= e.high <= max(values) + slack
    assert stats.estimate(values) == e


def test_paired_p_against_a_formula():
    a, b = [1.0, 2.0, 4.0, 4.5], [0.5, 2.5, 3.0, 3.0]
    d = np.subtract(a, b)
    t = d.mean() / (d.std(ddof=1) / 2)
    assert stats.paired_p(a, b) == pytest.approx(2 * scipy_stats.t.sf(abs(t), 3))
    assert stats.paired_p(a, b) == stats.paired_p(b, a)
    assert stats.paired_p(a, a) == 1.0


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")], [[1.0], [2.0]]])
def test_what_has_no_mean(values):
    with pytest.raises(ValueError, match="need a list of finite values, at least one"):
        stats.estimate(values)


@pytest.mark.parametrize("compare", [stats.difference, stats.paired_p])
def test_unpaired(compare):
    for a, b in (([1.0, 2.0], [1.0]), ([1.0], [1.0, 2.0, 3.0])):
        with pytest.raises(ValueError, match=f"equal lengths: got {len(a)} and {len(b)}"):
            compare(a, b)


def test_a_test_of_one_replicate():
    with pytest.raises(ValueError, match="at least two replicates: got 1"):
        stats.paired_p([1.0], [2.0])


@pytest.mark.parametrize(("methods", "q"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_critical_difference_is_demsars(methods: int, q: float):
    """q is of Demšar 2006, Table 5a."""
    expected = q * (methods * (methods + 1) / 60) ** 0.5
    assert stats.critical_difference(methods, 10) == pytest.approx(expected, abs=2e-3)


def test_critical_difference_takes_two_methods_and_a_set():
    with pytest.raises(ValueError, match="methods must be a whole number of at least 2, got 1"):
        stats.critical_difference(1, 10)
    with pytest.raises(ValueError, match="sets must be a whole number of at least 1, got 0"):
        stats.critical_difference(3, 0)
