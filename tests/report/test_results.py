"""Records of single networks as rows: seeds together, intervals, agreement, differences."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import stats
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Run
from ldlstudy.report import results as measured
from ldlstudy.report.results import COLUMNS, Measured, Results, row_of
from ldlstudy.stats import Estimate
from tests.report.made import record, results

means = st.floats(-1, 1)
halves = st.floats(0.001, 1)


def single(mean: float, half: float) -> Measured:
    return Measured([mean], Estimate(mean, mean - half, mean + half))


def test_seeds_become_one_row_with_the_interval_of_their_mean():
    values = [(0.1, 0.01), (0.4, 0.01), (0.2, 0.01)]
    found = results({"net ls": {"ece": values}})
    assert found.rows == ["net ls"]
    measured_ = found.measured("net ls", "ece")
    assert measured_ == Measured.of([0.1, 0.4, 0.2], found.records("net ls"))
    assert measured_.estimate == stats.estimate([0.1, 0.4, 0.2])  # not that of a record
    assert [r.specification["seed"] for r in measured_.records] == [0, 1, 2]


def test_one_network_keeps_the_interval_of_its_record():
    found = results({"net ls": {"ece": (0.2, 0.05)}}).measured("net ls", "ece")
    assert (found.values, found.estimate) == ([0.2], pytest.approx((0.2, 0.15, 0.25)))


def test_two_networks_have_the_interval_of_their_images_and_three_that_of_seeds():
    """The range of two would hold the mean over seeds but half of the time."""
    two = {"net ls": {"ece": [(0.2, 0.05), (0.4, 0.15)]}, "net kd": {"ece": [(0.1, 0.3), 0.2]}}
    found = results(two).measured("net ls", "ece")
    assert found.values == [0.2, 0.4]
    assert found.estimate == pytest.approx((0.3, 0.2, 0.4))
    apart = results(two).difference(("net ls", "plain"), ("net kd", "plain"), "ece")
    half = math.hypot(0.1, 0.15)  # the second one's is of its first network alone
    assert apart == pytest.approx((0.15, 0.15 - half, 0.15 + half))
    three = {"net ls": {"ece": [(0.2, 0.05), (0.4, 0.15), 0.3]}}
    assert results(three).measured("net ls", "ece").estimate == stats.estimate([0.2, 0.4, 0.3])


def test_replicates_of_a_run_count_as_seeds():
    run = Run("six_gaussians", "mlp64x5", "ls", replicates=3)
    found = Results([Planned(run, strategy="ls")], {run: record(run, {"ece": [0.1, 0.4, 0.2]})})
    assert found.measured("ls", "ece") == Measured.of([0.1, 0.4, 0.2], found.records("ls"))
    assert found.frame["seed"].tolist() == [0, 1, 2]
    assert found.frame[["low", "high"]].isna().all(axis=None)


def test_stages_and_what_only_some_seeds_have():
    found = results({"net ls": {"ece": [0.2, 0.4], "fitted ece": [0.1], "plane spread": [1.0]}})
    assert found.stages("net ls") == ["plain", "fitted", "plane"]
    assert [len(found.measured("net ls", "ece", s).values) for s in ("plain", "fitted")] == [2, 1]
    assert found.measured("net ls", "ece", "searched") is None


def test_what_has_not_been_measured_is_nothing():
    found = results({"net ls": {"ece": 0.2}})
    for row, metric, stage in (("net kd", "ece", "plain"), ("net ls", "uce", "plain")):
        assert found.measured(row, metric, stage) is None
    assert "net kd" not in found
    assert (found.of("net kd"), found.records("net kd"), found.stages("net kd")) == ([], (), [])
    assert Results([], {}).frame.columns.tolist() == list(COLUMNS)


def test_planes_have_their_spread_in_units_of_the_distance_of_clusters():
    plane = {"train_spread": [1.0, 3.0], "train_distance": [4.0, 4.0]}
    found = results({"net ls": {f"plane {name}": v for name, v in plane.items()}})
    assert found.measured("net ls", "train_ratio", "plane").values == [0.25, 0.75]
    assert set(found.metrics("net ls", "plane")) == {*plane, "train_ratio"}


def test_an_accuracy_is_an_error_too():
    """The papers print either; an interval of accuracy turns round."""
    found = results({"net ls": {"accuracy": (0.75, 0.125), "fitted top5_accuracy": (0.75, 0.25)}})
    assert found.measured("net ls", "error").estimate == (0.25, 0.125, 0.375)
    assert found.measured("net ls", "top5_error", "fitted").estimate == (0.25, 0, 0.5)
    assert found.metrics("net ls", "plain") == ["accuracy", "error"]


def test_rows_that_both_have_are_the_second_ones():
    old = results({"a ls": {"ece": [0.1, 0.2]}, "b ls": {"ece": 0.3}})
    new = results({"a ls": {"ece": 0.5}, "c ls": {"ece": 0.6}})
    both = old | new
    assert both.rows == ["b ls", "a ls", "c ls"]
    assert both.measured("a ls", "ece").values == [0.5]
    assert both.measured("b ls", "ece").values == [0.3]


def test_a_run_that_two_tables_plan_in_a_row_counts_once():
    run = Run("digits", "small_cnn", "ls")
    planned = Planned(run, ("errors",), "net", "ls")
    other = replace(planned, keep=("plane",), strategy="teacher")
    found = Results([planned, replace(planned, keep=()), other], {run: record(run, {"ece": 0.2})})
    assert {row: len(found.of(row)) for row in found.rows} == {"net ls": 1, "net teacher": 1}
    assert len(Results([planned], {}).planned) == 0
    assert row_of(replace(planned, level="quick")) == "quick net ls"  # beside the papers' own


def test_the_frame_has_a_line_for_each_number():
    found = results(
        {"a ls": {"accuracy": [(0.75, 0.25), 0.5], "fitted ece": [0.1, 0.2]}, "b kd": {"ece": 0.3}}
    )
    frame = found.frame
    assert len(frame) == 2 * (2 + 1) + 1
    line = frame[(frame["row"] == "a ls") & (frame["metric"] == "error")].iloc[0]
    assert line[["value", "low", "high"]].tolist() == [0.25, 0, 0.5]
    assert line["record"] == found.records("a ls")[0].id
    table = measured.pivot(found, "ece", "fitted")
    assert table.loc["ls", "a"].tolist() == [0.1, 0.2]
    both = measured.pivot(found | results({"b ls": {"ece": 0.4}}), "ece")
    assert both["b"][0].to_dict() == {"kd": 0.3, "ls": 0.4}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), halves, st.booleans())
def test_agreement_by_its_closed_form(values, half, inside):
    """The published network scatters by sqrt(n) times the error of our mean over n."""
    mean = float(np.mean(values))
    ours = Measured(values, Estimate(mean, mean - half, mean + half))
    assert ours.error == pytest.approx(half / 1.96)
    among = math.hypot(half / 1.96, half / 1.96 * math.sqrt(len(values)))
    off = 1.96 * among * (0.99 if inside else 1.01)
    assert ours.agrees(mean + off) is inside
    assert ours.agrees(mean - off) is inside


def test_without_an_interval_a_number_agrees_with_itself_alone():
    assert single(0.5, 0).agrees(0.5)
    assert not single(0.5, 0).agrees(0.5001)


def test_difference_within_seeds():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 10, 5)  # of the data a seed draws; the difference does not feel it
    left, right = (list(common + rng.normal(m, 0.1, 5)) for m in (1, 0))
    found = measured.difference(Measured.of(left), Measured.of(right))
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
    many = Measured.of([0.1, 0.3])
    found = measured.difference(many, single(0.5, 0.1))
    assert found.mean == pytest.approx(-0.3)
    assert found.high - found.mean == pytest.approx(math.hypot(1.96 * many.error, 0.1))


def test_rows_are_compared_on_the_seeds_that_both_have():
    """A third seed of one alone, however odd, changes nothing of the difference."""
    one = [(0.3, 0.05), (0.5, 0.05), (9.0, 0.05)]
    known = results({"net ls": {"ece": one}, "net none": {"ece": [(0.2, 0.12), (0.3, 0.12)]}})
    lines = (("net ls", "plain"), ("net none", "plain"))
    left, right = known.pair(*lines, "ece")
    assert (left.values, right.values) == ([0.3, 0.5], [0.2, 0.3])
    assert left.estimate == pytest.approx((0.4, 0.35, 0.45))
    assert known.difference(*lines, "ece") == pytest.approx((0.15, 0.02, 0.28))
    assert known.difference(*lines[::-1], "ece") == pytest.approx((-0.15, -0.28, -0.02))
    assert known.pair(*lines, "uce") is None
    assert not measured.repeated(left, right)  # two seeds have no interval, and no p


def test_rows_without_a_seed_in_common_are_compared_whole():
    known = results({"net ls": {"ece": [(0.3, 0.05)]}, "net none": {"ece": [(0.2, 0.12)] * 2}})
    planned = [each for each in known.planned if (each.strategy, each.run.seed) != ("none", 0)]
    apart = Results(planned, known.recorded)
    found = apart.difference(("net ls", "plain"), ("net none", "plain"), "ece")
    assert found == pytest.approx((0.1, -0.03, 0.23))


@pytest.mark.parametrize(("half", "ends"), [(0.0, (math.nan, math.nan)), (0.2, (0.8, 1.2))])
def test_one_interval_is_enough_for_a_difference(half, ends):
    found = measured.difference(single(1.0, 0), single(0.0, half))
    assert found == pytest.approx((1.0, *ends), nan_ok=True)
