"""Records of single networks as rows: seeds together, intervals, agreement, differences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import claims, measured, stats
from ldlstudy.measured import Measured
from ldlstudy.records import Record
from ldlstudy.stats import Estimate

means = st.floats(-1, 1)
halves = st.floats(0.001, 1)


def record(plain, **others):
    """Return a record of one network; a metric is (value, low, high)."""
    estimates = {row: {m: list(e) for m, e in v.items()} for row, v in (others | plain).items()}
    rows = {row: {m: e[:1] for m, e in v.items()} for row, v in estimates.items()}
    return Record({}, rows, estimates, {}, {})


def of_ece(value, half=0.01):
    return record({"plain": {"ece": (value, value - half, value + half)}})


def single(mean, half):
    return Measured([mean], Estimate(mean, mean - half, mean + half))


def test_seeds_become_one_row_with_the_interval_of_their_mean():
    values = [0.1, 0.4, 0.2]
    names = ("net 0.1", "net 0.1 #1", "net 0.1 #2")
    rows = measured.gather(dict(zip(names, map(of_ece, values), strict=True)))
    assert rows == {"net 0.1": {"ece": Measured(values, stats.estimate(values))}}
    assert rows["net 0.1"]["ece"].estimate.low > min(values)  # not that of a record


def test_one_network_keeps_the_interval_of_its_record():
    found = measured.gather({"net 0.1": record({"plain": {"ece": (0.2, 0.11, 0.25)}})})
    assert found == {"net 0.1": {"ece": Measured([0.2], Estimate(0.2, 0.11, 0.25))}}


def test_rows_other_than_plain_are_marked():
    scaled = {"ece": (0.1, 0.1, 0.1), "temperature": (2.0, 2.0, 2.0)}
    both = record({"plain": {"ece": (0.2, 0.2, 0.2)}}, fitted=scaled, teacher={"g": (1, 1, 1)})
    found = measured.gather({"net 0": both, "net 0 #1": both, "net 0.1": of_ece(0.3)})
    assert set(found) == {"net 0", "net 0 fitted", "net 0 teacher", "net 0.1"}
    assert found["net 0 fitted"]["temperature"].values == [2.0, 2.0]
    assert found["net 0"]["ece"].estimate == (0.2, 0.2, 0.2)


def test_what_only_some_seeds_have_is_a_row_of_those():
    first = record({"plain": {"ece": (0.2, 0.1, 0.3)}}, plane={"spread": (1.0, 1.0, 1.0)})
    found = measured.gather({"net 0": first, "net 0 #1": of_ece(0.4)})
    assert found["net 0"]["ece"].values == [0.2, 0.4]
    assert found["net 0 plane"]["spread"] == ([1.0], (1.0, 1.0, 1.0))


def test_planes_have_their_spread_in_units_of_the_distance_of_clusters():
    sizes = [(1.0, 4.0, 3.0, 2.0), (3.0, 4.0, 1.0, 2.0)]
    names = ("train_spread", "train_distance", "test_spread", "test_distance")
    planes = [{name: (v, v, v) for name, v in zip(names, each, strict=True)} for each in sizes]
    one, two = (record({"plane": plane}) for plane in planes)
    found = measured.gather({"net 0": one, "net 0 #1": two})["net 0 plane"]
    assert found["train_ratio"] == ([0.25, 0.75], stats.estimate([0.25, 0.75]))
    assert found["test_ratio"].values == [1.5, 0.5]
    assert set(found) == {*names, "train_ratio", "test_ratio"}
    alone = measured.gather({"net 0": one})["net 0 plane"]
    assert alone["test_ratio"] == ([1.5], (1.5, 1.5, 1.5))


def test_an_accuracy_is_an_error_too():
    """The papers print either; an interval of accuracy turns round."""
    plain = {"accuracy": (0.75, 0.5, 0.875), "top5_accuracy": (1.0, 0.9375, 1.0)}
    taught = {"accuracy": (0.5, 0.5, 0.5), "smoothness": (0.25, 0.25, 0.25)}
    first = record({"plain": plain}, teacher=taught)
    alone = measured.gather({"net": first})
    assert alone["net"]["error"] == ([0.25], (0.25, 0.125, 0.5))
    assert alone["net"]["top5_error"] == ([0.0], (0.0, 0.0, 0.0625))
    assert set(alone["net"]) == {"accuracy", "error", "top5_accuracy", "top5_error"}
    assert set(alone["net teacher"]) == {"accuracy", "error", "smoothness"}
    other = record({"plain": {"accuracy": (0.25, 0.125, 0.375)}})
    both = measured.gather({"net": first, "net #1": other})["net"]
    assert both["error"] == ([0.25, 0.75], stats.estimate([0.25, 0.75]))
    assert both["top5_error"].values == [0.0]


@given(means, halves)
def test_error_of_a_single_network_is_that_of_a_normal_interval(mean, half):
    assert single(mean, half).error == pytest.approx(half / 1.96)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), halves, st.booleans())
def test_agreement_by_its_closed_form(values, half, inside):
    """The published network scatters by sqrt(n) times the error of our mean over n."""
    mean = float(np.mean(values))
    ours = Measured(values, Estimate(mean, mean - half, mean + half))
    among = math.hypot(half / 1.96, half / 1.96 * math.sqrt(len(values)))
    off = 1.96 * among * (0.99 if inside else 1.01)
    assert ours.agrees(mean + off) is inside
    assert ours.agrees(mean - off) is inside


def test_without_an_interval_a_number_agrees_with_itself_alone():
    ours = Measured([0.5], Estimate(0.5, 0.5, 0.5))
    assert ours.agrees(0.5)
    assert not ours.agrees(0.5001)


def test_difference_within_seeds():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 10, 5)  # of the data a seed draws; the difference does not feel it
    left, right = (list(common + rng.normal(m, 0.1, 5)) for m in (1, 0))
    found = measured.difference(*(Measured(v, stats.estimate(v)) for v in (left, right)))
    assert found == stats.difference(left, right)
    assert found.excludes_zero


@given(means, means, halves, halves)
def test_difference_of_single_networks(left, right, a, b):
    found = measured.difference(single(left, a), single(right, b))
    assert found.mean == left - right
    assert (found.low + found.high) / 2 == pytest.approx(left - right, abs=1e-9)
    assert (found.high - found.low) / 2 == pytest.approx(math.sqrt(a * a + b * b))
    back = measured.difference(single(right, b), single(left, a))
    assert back == pytest.approx((-found.mean, -found.high, -found.low))


def test_difference_of_unequal_numbers_of_seeds_is_not_paired():
    many = Measured([0.1, 0.3], stats.estimate([0.1, 0.3]))
    found = measured.difference(many, single(0.5, 0.1))
    assert found.mean == pytest.approx(-0.3)
    assert found.high - found.mean == pytest.approx(math.hypot(1.96 * many.error, 0.1))


@pytest.mark.parametrize(
    ("left", "right", "verdict"), [(1, 2, "direction only"), (2, 1, "not reproduced")]
)
def test_without_intervals_only_the_direction_is_known(left, right, verdict):
    found = measured.difference(
        *(Measured([v], Estimate(v, v, v)) for v in (float(left), float(right)))
    )
    assert found.mean == left - right
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert claims.verdict_on(found, "lower") == verdict


def test_one_interval_is_enough_for_a_difference():
    sure = Measured([1.0], Estimate(1.0, 1.0, 1.0))
    assert measured.difference(sure, single(0.0, 0.2)) == pytest.approx((1.0, 0.8, 1.2))


def test_a_row_knows_the_records_that_it_was_measured_in():
    first, second = of_ece(0.1), of_ece(0.2)
    fitted = record({"plain": {"ece": (0.2, 0.2, 0.2)}}, fitted={"ece": (0.1, 0.1, 0.1)})
    rows = measured.gather({"net": first, "net #1": second, "other": fitted})
    assert rows["net"].records == (first, second)
    assert rows["other"].records == rows["other fitted"].records == (fitted,)
