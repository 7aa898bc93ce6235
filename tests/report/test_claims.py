"""Claims get the verdict that the definitions page gives them."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import stats
from ldlstudy.report import claims
from ldlstudy.report.tables import render
from ldlstudy.stats import Estimate
from tests.report.made import results
from tests.report.test_tables import around


@pytest.mark.parametrize(
    ("mean", "low", "high", "lower", "higher"),
    [
        (-1.0, -2.0, -0.1, "reproduced", "not reproduced (reversed)"),
        (-1.0, -2.0, 0.0, "direction only", "not reproduced"),
        (-1.0, math.nan, math.nan, "direction only", "not reproduced"),
        (0.0, math.nan, math.nan, "not reproduced", "not reproduced"),
        (0.0, 0.0, 0.0, "not reproduced", "not reproduced"),
    ],
)
def test_the_verdict_on_a_difference(mean, low, high, lower, higher):
    difference = Estimate(mean, low, high)
    assert claims.verdict_on(difference, "lower") == lower
    assert claims.verdict_on(difference, "higher") == higher


@given(st.floats(-2, 2).filter(lambda m: abs(m) > 1e-6), st.floats(0.01, 2))
def test_a_claim_and_its_opposite_are_never_both_reproduced(mean, spread):
    difference = stats.difference(around(mean, spread), [0.0] * 40)
    right_way, other = ("lower", "higher") if mean < 0 else ("higher", "lower")
    pair = claims.verdict_on(difference, right_way), claims.verdict_on(difference, other)
    assert pair in (
        ("reproduced", "not reproduced (reversed)"), ("direction only", "not reproduced")
    )  # fmt: skip


@pytest.mark.parametrize("level", ["reduced", "quick"])
@pytest.mark.parametrize(
    ("mean", "low", "high", "lower", "higher"),
    [
        (-1.0, -2.0, -0.1, "carries over", "does not carry over"),
        (-1.0, -2.0, 0.0, "carries over (direction only)", "does not carry over"),
        (-1.0, math.nan, math.nan, "carries over (direction only)", "does not carry over"),
        (0.0, 0.0, 0.0, "does not carry over", "does not carry over"),
    ],
)
def test_where_something_stands_in_for_the_papers_own_a_claim_carries_over_or_does_not(
    mean, low, high, lower, higher, level
):
    difference = Estimate(mean, low, high)
    assert claims.verdict_on(difference, "lower", level) == lower
    assert claims.verdict_on(difference, "higher", level) == higher


@pytest.mark.parametrize(
    ("low", "high", "own", "elsewhere"),
    [
        (-0.3, 0.3, "reproduced", "carries over"),
        (0.1, 0.5, "reproduced", "carries over"),  # not zero, but no more than the margin
        (-0.3, 0.6, "undecided", "undecided"),
        (0.1, 0.6, "undecided", "undecided"),
        (-2.0, 2.0, "undecided", "undecided"),
        (0.6, 0.7, "not reproduced", "does not carry over"),
        (-0.7, -0.6, "not reproduced", "does not carry over"),
        (math.nan, math.nan, "undecided", "undecided"),
    ],
)
def test_a_claim_that_two_are_level_is_judged_by_its_margin(low, high, own, elsewhere):
    difference = Estimate((low + high) / 2, low, high)
    assert claims.verdict_on(difference, "level", margin=0.5) == own
    assert claims.verdict_on(difference, "level", "quick", 0.5) == elsewhere


def test_a_case_without_it_does_not_reverse_a_claim_that_something_can_happen():
    for expects, sign in (("can be lower", -1), ("can be higher", 1)):
        clear, unclear = Estimate(sign, sign - 0.5, sign + 0.5), Estimate(sign, -2.0, 2.0)
        assert claims.verdict_on(clear, expects) == "reproduced"
        assert claims.verdict_on(unclear, expects) == "direction only"
        other = Estimate(-sign, -sign - 0.5, -sign + 0.5)
        assert claims.verdict_on(other, expects) == "not reproduced"
        assert claims.verdict_on(other, expects, "quick") == "does not carry over"


def test_what_a_claim_cannot_be_judged_by_is_named():
    above = Estimate(1.0, 0.5, 2.0)
    known = "can be higher, can be lower, higher, level, lower"
    with pytest.raises(ValueError, match=f"unknown expectation 'smaller'; known: {known}"):
        claims.verdict_on(above, "smaller")
    with pytest.raises(ValueError, match="unknown level of evidence 'own'; known: fast, pa"):
        claims.verdict_on(above, "lower", "own")
    for margin in (math.nan, 0.0, -1.0):
        with pytest.raises(ValueError, match="margin of a claim of level must lie in"):
            claims.verdict_on(above, "level", margin=margin)


def listed(*metrics: str, stage: str = "plain", **more: Any) -> pd.DataFrame:
    """A claim about each metric: it is lower in row a than in row b."""
    claim = {
        "claim": "A < B", "published": None, "left": "a", "left_stage": stage, "right": "b",
        "right_stage": "plain", "expects": "lower", **more,
    }  # fmt: skip
    index = pd.Index([f"X-{i}" for i in range(len(metrics))], name="id")
    return pd.DataFrame([{**claim, "metric": metric} for metric in metrics], index=index)


def test_claims_of_repeated_networks_are_judged_within_seeds():
    noise = np.random.default_rng(1).normal(size=40)
    a, b = list(1 + noise), list(2 + noise + 0.01 * noise**2)
    known = results(
        {"a": {"cross_entropy": b, "fitted cross_entropy": a}, "b": {"cross_entropy": b}}
    )
    judged = claims.judge(known, listed("cross_entropy", stage="fitted", published="2 -> 1"))
    line = judged.loc["X-0"]
    assert (line["verdict"], line["level"]) == ("reproduced", "paper")
    assert tuple(line[["difference", "low", "high"]]) == stats.difference(a, b)
    assert line["p"] == stats.paired_p(a, b)
    assert line["difference"] == pytest.approx(-1 - 0.01 * (noise**2).mean())
    page = claims.show(judged, known).to_html()
    assert "2 → 1" in page
    assert "A &lt; B" in page


def test_a_claim_is_shown_with_its_level_of_evidence_and_its_margin():
    right = {"a": 0.9, "b": 0.9005, "quick a": 0.9, "quick b": 0.8}
    known = results({row: {"accuracy": (mean, 0.001)} for row, mean in right.items()})
    own = listed("accuracy", expects="level", margin=0.0026)
    there = listed("accuracy", left="quick a", right="quick b").rename({"X-0": "X-1"})
    judged = claims.judge(known, pd.concat([own, there]))
    assert list(judged["verdict"]) == ["reproduced", "does not carry over"]
    assert list(judged["level"]) == ["paper", "quick"]
    shown = claims.show(judged, known).data
    assert list(shown["claim"]) == ["A &lt; B (within 0.26)", "A &lt; B"]
    assert list(shown["evidence"]) == ["the paper&#x27;s own network and protocol", "noisy digits"]


def test_claims_of_single_networks_are_judged_by_their_intervals():
    known = results(
        {
            "a": {"ece": (0.1, 0.03), "accuracy": (0.1, 0.03), "spread": 1.0},
            "b": {"ece": (0.16, 0.04), "accuracy": (0.14, 0.04), "spread": 2.0},
        }
    )
    judged = claims.judge(known, listed("ece", "accuracy", "spread", "kl_to_truth"))
    assert list(judged["verdict"]) == [
        "reproduced",  # .06 is more than hypot(.03, .04)
        "direction only",
        "direction only",  # without an interval
        "not yet run",
    ]
    assert list(judged["difference"][:3]) == pytest.approx([-0.06, -0.04, -1])
    assert (judged.loc["X-0", "low"], judged.loc["X-0", "high"]) == pytest.approx((-0.11, -0.01))
    assert judged.loc["X-2", ["low", "high"]].isna().all()
    assert judged["p"].isna().all()
    page = claims.show(judged, known)
    assert "nan" not in page.to_html().lower()
    cells = page.data.map(render)
    assert list(cells["difference"])[:2] == [
        "-.0600 <small>[-.1100, -.0100]</small>", "-4.00 <small>[-9.00, 1.00]</small>"
    ]  # fmt: skip
    assert list(cells["difference"])[2:] == ["-1.0000", ""]
    (a,), (b,) = known.records("a"), known.records("b")
    for made, number in ((a, "1.0000"), (b, "2.0000")):
        assert f'digits.jsonl#{made.anchor}">{number}</a>' in cells["ours"]["X-2"]
    assert cells["ours"]["X-2"].index("2.0000") < cells["ours"]["X-2"].index("1.0000")
    assert cells["ours"]["X-3"] == ""


@pytest.mark.parametrize(
    ("metric", "ours", "difference"),
    [
        (metric, ("24.71", "21.99"), "-2.72 <small>[-3.22, -2.22]</small>")
        for metric in ("error", "top5_error", "accuracy", "superclass_accuracy")
    ]
    + [
        (metric, (".2471", ".2199"), "-.0272 <small>[-.0322, -.0222]</small>")
        for metric in ("ece_20_right", "kl_to_truth_on_errors")
    ],
)
def test_claims_about_accuracies_and_errors_are_shown_in_percent(metric, ours, difference):
    known = results({"a": {metric: (0.2199, 0.003)}, "b": {metric: (0.2471, 0.004)}})
    written = claims.in_words(claims.judge(known, listed(metric)).loc["X-0"])
    assert (written["right"], written["left"]) == ours
    assert render(written["difference"]) == difference
    assert written["verdict"] == "reproduced"
    assert [claims.write_p(p) for p in (math.nan, 1e-9, 0.0312, 1)] == [
        "",
        "< .001",
        ".031",
        "1.000",
    ]


def test_the_optimum_of_a_grid():
    rng = np.random.default_rng(0)
    losses = np.array([0.5, 0.6, 0.7]) + rng.normal(0, 0.01, (40, 3))
    assert claims.judge_optimum(losses, 0)["verdict"] == "reproduced"
    line = claims.judge_optimum(losses, 1)
    assert line["verdict"] == "not reproduced"
    assert claims.judge_optimum(losses, 0, "quick")["verdict"] == "carries over"
    assert claims.judge_optimum(losses, 1, "quick")["verdict"] == "does not carry over"
    behind = stats.difference(losses[:, 1].tolist(), losses[:, 0].tolist())  # clear enough
    assert (line["difference"], line["low"], line["high"]) == pytest.approx(tuple(behind))
    assert line["left_mean"] - line["right_mean"] == pytest.approx(line["difference"])
    assert line["left_mean"] == pytest.approx(losses[:, 1].mean())
    assert line["p"] < 0.001
    close = np.array([0.5, 0.5001, 0.7]) + rng.normal(0, 0.1, (40, 3))
    other = 1 - int(close.mean(0)[:2].argmin())
    assert claims.judge_optimum(close, other)["verdict"] == "direction only"


def test_the_best_elsewhere_is_not_flattered_by_chance():
    """Forty candidates that are all alike: the lowest mean is too low, the cross-fitted one not."""
    losses = np.random.default_rng(0).normal(0.5, 0.1, (100, 40))
    assert losses.mean(0).min() < 0.48
    assert claims.best_elsewhere(losses).mean() == pytest.approx(0.5, abs=0.015)
    worst, best = (
        losses[:, int(at)].tolist() for at in (losses.mean(0).argmax(), losses.mean(0).argmin())
    )
    assert stats.difference(worst, best).low > 0
    with pytest.raises(ValueError, match="two replicates or more, got shape \\(1, 40\\)"):
        claims.best_elsewhere(losses[:1])
