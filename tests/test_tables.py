"""Published beside measured, and the verdicts."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import claims, tables
from ldlstudy.measured import Measured
from ldlstudy.stats import Estimate
from tests.conftest import ROOT

PUBLISHED = ROOT / "book" / "published"
CE = tables.CROSS_ENTROPY


def around(mean: float, spread: float, n: int = 40) -> list[float]:
    """Values with exactly this mean and standard deviation (ddof 1)."""
    x = np.random.default_rng(0).normal(size=n)
    x = (x - x.mean()) / x.std(ddof=1)
    return list(mean + spread * x)


@pytest.mark.parametrize(
    ("left", "expects", "verdict"),
    [
        (around(-1, 0.1), "lower", "reproduced"),
        (around(-0.01, 1), "lower", "direction only"),
        (around(0.01, 1), "lower", "not reproduced"),
        (around(1, 0.1), "lower", "not reproduced (reversed)"),
        (around(1, 0.1), "higher", "reproduced"),
        (around(0.01, 1), "higher", "direction only"),
        (around(-0.01, 1), "higher", "not reproduced"),
        (around(-1, 0.1), "higher", "not reproduced (reversed)"),
    ],
)
def test_verdict(left: list[float], expects: str, verdict: str):
    assert claims.verdict(left, [0.0] * len(left), expects) == verdict


@given(st.floats(-2, 2).filter(lambda m: abs(m) > 1e-6), st.floats(0.01, 2))
def test_claim_and_its_opposite_are_never_both_reproduced(mean: float, spread: float):
    left, right = around(mean, spread), [0.0] * 40
    verdicts = {claims.verdict(left, right, e) for e in ("lower", "higher")}
    assert verdicts in (
        {"reproduced", "not reproduced (reversed)"},
        {"direction only", "not reproduced"},
    )


def test_verdict_names_what_it_takes():
    with pytest.raises(ValueError, match=r"unknown expectation 'smaller'; known: higher, lower"):
        claims.verdict([1.0], [2.0], "smaller")


def test_agreement_is_1_96_standard_errors_of_a_difference():
    values = around(0.5, 0.1, n=100)  # standard error .01, of a difference .01414
    assert tables.agrees(0.5 + 0.99 * 1.96 * math.sqrt(2) * 0.01, values)
    assert not tables.agrees(0.5 + 1.01 * 1.96 * math.sqrt(2) * 0.01, values)


def test_agreement_allows_for_fewer_replicates_of_ours():
    values = around(0.5, 0.1, n=25)  # ours .02, the paper's over 100 replicates .01
    together = math.hypot(0.02, 0.01)
    assert tables.agrees(0.5 + 0.99 * 1.96 * together, values)
    assert not tables.agrees(0.5 + 1.01 * 1.96 * together, values)


def test_columns_write_numbers():
    assert tables.ACCURACY.write(0.8203) == "82.03"
    assert CE.write(0.44341) == ".4434"
    assert CE.write(1.2) == "1.2000"
    assert CE.write(-1e-9) == ".0000"


def test_comparison_holds_both_numbers_and_their_agreement():
    rows = {"ls": {"cross_entropy": around(0.53, 0.05, 100)}}
    paper = pd.DataFrame({"cross_entropy": [0.5318, 0.9]}, index=["ls", "ils"])
    labels = {"ls": "Standard LS", "ils": "ILS", "none": "No LS"}
    page = tables.comparison(rows, paper, labels, [CE]).to_html()
    assert re.search(r"\.5300 <small>±\.0\d+</small><br><span[^>]*>≈ \.5318</span>", page)
    assert '<span class="paper">.9000</span>' in page  # published, not measured: no verdict
    assert page == tables.comparison(rows, paper, labels, [CE]).to_html()


def test_comparison_marks_a_disagreement():
    rows = {"ls": {"cross_entropy": around(0.53, 0.05, 100)}}
    paper = pd.DataFrame({"cross_entropy": [0.6]}, index=["ls"])
    assert "≠ .6000" in tables.comparison(rows, paper, {"ls": "LS"}, [CE]).to_html()


def test_claims_are_judged_by_pairs_and_missing_rows_are_said():
    listed = pd.DataFrame(
        {
            "claim": ["A < B", "A < C"],
            "published": ["2 -> 1", None],
            "left": ["a", "a"],
            "right": ["b", "c"],
            "metric": ["cross_entropy"] * 2,
            "expects": ["lower"] * 2,
        },
        index=pd.Index(["X-1", "X-2"], name="id"),
    )
    noise = np.random.default_rng(1).normal(size=40)
    rows = {
        "a": {"cross_entropy": list(1 + noise)},
        "b": {"cross_entropy": list(2 + noise + 0.01 * noise**2)},
    }
    judged = claims.judge(rows, listed)
    assert list(judged["verdict"]) == ["reproduced", "not yet run"]
    assert judged.loc["X-1", "difference"] == pytest.approx(-1 - 0.01 * (noise**2).mean())
    assert math.isnan(judged.loc["X-2", "difference"])
    page = claims.show(judged, rows).to_html()
    assert "2 → 1" in page
    assert "A &lt; B" in page
    assert "nan" not in page.lower()


def test_every_listed_claim_can_be_judged():
    """The rows and metrics that the claims name exist in the study."""
    from ldlstudy import ils
    from ldlstudy.synthetic import METRICS

    names = {
        "ls dense",
        "ls sparse",
        *(f"{n}{s}" for n in ils.runs("paper") for s in ("", " scaled")),
    }
    listed = tables.published("claims", PUBLISHED)
    assert set(listed["left"]) | set(listed["right"]) <= names
    assert set(listed["metric"]) <= {*METRICS, "epsilon"}
    assert set(listed["expects"]) <= {"lower", "higher"}
    assert listed.index.is_unique


def test_published_tables_are_found_and_unknown_ones_listed():
    table = tables.published("ils_table1", PUBLISHED)
    assert table.loc["bayes", "cross_entropy"] == 0.4444
    with pytest.raises(
        ValueError, match=r"unknown published table 'ils_table9'; known: .*ils_table1"
    ):
        tables.published("ils_table9", PUBLISHED)


def test_damaged_published_table(tmp_path):
    (tmp_path / "broken.csv").write_text('row,a\n"x,1\n')
    with pytest.raises(ValueError, match=r"broken\.csv is damaged"):
        tables.published("broken", tmp_path)


def test_check_compares_the_replicates_that_both_have():
    live = {"ls": {"cross_entropy": [1.0, 2.0]}, "new": {"cross_entropy": [1.0]}}
    recorded = {"ls": {"cross_entropy": [1.0, 3.0, 100.0]}}
    shown = tables.check(live, recorded, {"ls": "LS", "new": "New", "old": "Old"}, [CE]).data
    assert list(shown.index) == ["LS"]
    assert shown.loc["LS", CE.heading] == "1.5000 / 2.0000"


def test_optimum_of_a_grid():
    rng = np.random.default_rng(0)
    losses = np.array([0.5, 0.6, 0.7]) + rng.normal(0, 0.01, (40, 3))
    assert claims.optimum(losses, 0)[1] == "reproduced"
    behind, verdict = claims.optimum(losses, 1)
    assert verdict == "not reproduced"
    assert behind.mean == pytest.approx(losses[:, 1].mean() - losses[:, 0].mean())  # clear enough
    close = np.array([0.5, 0.5001, 0.7]) + rng.normal(0, 0.1, (40, 3))
    other = 1 - int(close.mean(0)[:2].argmin())
    assert claims.optimum(close, other)[1] == "direction only"


def test_an_optimum_is_judged_as_a_line_of_claims():
    losses = np.random.default_rng(0).normal([0.5, 0.4, 0.6], 0.01, (50, 3))
    line = claims.judge_optimum(losses, 2)
    behind, verdict = claims.optimum(losses, 2)
    assert line["verdict"] == verdict == "not reproduced"
    assert (line["difference"], line["low"], line["high"]) == tuple(behind)
    assert line["left_mean"] - line["right_mean"] == pytest.approx(line["difference"])
    assert line["left_mean"] == pytest.approx(losses[:, 2].mean())
    assert line["p"] < 0.001


def test_best_elsewhere_is_not_flattered_by_chance():
    """Forty candidates that are all alike: the lowest mean is too low, the cross-fitted one not."""
    losses = np.random.default_rng(0).normal(0.5, 0.1, (100, 40))
    assert losses.mean(0).min() < 0.48
    assert claims.best_elsewhere(losses).mean() == pytest.approx(0.5, abs=0.015)
    worst = int(losses.mean(0).argmax())
    naive = tables.stats.difference(
        losses[:, worst].tolist(), losses[:, losses.mean(0).argmin()].tolist()
    )
    assert naive.low > 0
    with pytest.raises(ValueError, match="two replicates or more"):
        claims.best_elsewhere(losses[:1])


def test_differences_are_paired():
    rows = {"a": {"cross_entropy": [1.0, 2.0]}, "b": {"cross_entropy": [0.5, 1.4]}}
    shown = tables.differences(rows, {"a − b": ("a", "b")}, [CE]).data
    assert shown.loc["a − b", CE.heading] == "+.5500 <small>[+.5000, +.6000]</small>"


@pytest.mark.parametrize(
    ("column", "ours", "number", "agreed", "cell"),
    [
        (CE, None, math.nan, None, ""),
        (CE, None, 0.5, None, '<span class="paper">.5000</span>'),
        (CE, (0.4, 0.3, 0.5), math.nan, None, ".4000 <small>±.1000</small>"),
        (CE, (0.4, 0.4, 0.4), math.nan, None, ".4000"),
        (CE, (0.4, 0.39999, 0.40001), math.nan, None, ".4000"),  # narrower than the digits
        (CE, (0.4, 0.4, 0.4), 0.5, None, '.4000<br><span class="paper">.5000</span>'),
        (CE, (0.4, 0.4, 0.4), 0.4, True, '.4000<br><span class="paper">≈ .4000</span>'),
        (CE, (0.4, 0.4, 0.4), 0.5, False, '.4000<br><span class="paper">≠ .5000</span>'),
        (
            tables.ACCURACY, (0.99, 0.9, 1.0), 0.9906, True,
            '99.00 <small>±5.00</small><br><span class="paper">≈ 99.06</span>',
        ),
    ],
)  # fmt: skip
def test_a_cell(column, ours, number, agreed, cell):
    estimate = None if ours is None else Estimate(*ours)
    assert tables.write_cell(column, estimate, number, agreed) == cell


def single(mean: float, half: float) -> Measured:
    """One network with the interval over its test images."""
    return Measured([mean], Estimate(mean, mean - half, mean + half))


def test_a_grid_names_each_of_its_cells():
    none = math.nan
    measurements = {
        "net 0": {"ece": single(0.2, 0.01), "accuracy": single(0.9, 0.01)},
        "net 0 plane": {"ece": single(0.3, 0)},
    }
    far = 0.2 + 1.01 * math.sqrt(2) * 0.01  # beyond the error of a difference of two such networks
    near = 0.2 + 0.99 * math.sqrt(2) * 0.01
    shown = tables.grid(
        measurements,
        {
            "first": {
                "near": ("net 0", tables.ECE, near),
                "far": ("net 0", tables.ECE, far),
                "accuracy": ("net 0", tables.ACCURACY, none),
            },
            "second": {
                "near": ("net 9", tables.ECE, 0.5),
                "far": ("net 0 plane", tables.ECE, 0.5),
                "accuracy": ("net 0", tables.KL, none),
            },
            "third": {"far": ("net 9", tables.ECE, none)},
        },
    ).data
    ours = ".2000 <small>±.0100</small><br>"
    assert shown.to_dict("index") == {
        "first": {
            "near": f'{ours}<span class="paper">≈ .2140</span>',
            "far": f'{ours}<span class="paper">≠ .2143</span>',
            "accuracy": "90.00 <small>±1.00</small>",
        },
        "second": {
            "near": '<span class="paper">.5000</span>',
            "far": '.3000<br><span class="paper">.5000</span>',  # no interval, so no verdict
            "accuracy": "",
        },
        "third": {"near": "", "far": "", "accuracy": ""},
    }


def listed(*metrics: str) -> pd.DataFrame:
    """A claim about each metric: it is lower in row a than in row b."""
    claim = {"claim": "A < B", "published": None, "left": "a", "right": "b", "expects": "lower"}
    index = pd.Index([f"X-{i}" for i in range(len(metrics))], name="id")
    return pd.DataFrame([{**claim, "metric": metric} for metric in metrics], index=index)


def test_claims_of_single_networks_are_judged_by_their_intervals():
    rows = {
        "a": {"ece": single(0.1, 0.03), "accuracy": single(0.1, 0.03), "spread": single(1, 0)},
        "b": {"ece": single(0.16, 0.04), "accuracy": single(0.14, 0.04), "spread": single(2, 0)},
    }
    judged = claims.judge(rows, listed("ece", "accuracy", "spread", "kl_to_truth"))
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
    page = claims.show(judged, rows)
    assert "nan" not in page.to_html().lower()
    assert page.data.loc["X-2", "difference"] == "-1.0000"
    assert page.data.loc["X-2", "ours"] == "2.0000 → 1.0000"
    assert page.data.loc["X-0", "difference"] == "-.0600 <small>[-.1100, -.0100]</small>"


@pytest.mark.parametrize(
    ("metric", "ours", "difference"),
    [
        ("error", "24.71 → 21.99", "-2.72 <small>[-3.22, -2.22]</small>"),
        ("top5_error", "24.71 → 21.99", "-2.72 <small>[-3.22, -2.22]</small>"),
        ("accuracy", "24.71 → 21.99", "-2.72 <small>[-3.22, -2.22]</small>"),
        ("superclass_accuracy", "24.71 → 21.99", "-2.72 <small>[-3.22, -2.22]</small>"),
        ("ece_20", ".2471 → .2199", "-.0272 <small>[-.0322, -.0222]</small>"),
        ("kl_to_truth_on_errors", ".2471 → .2199", "-.0272 <small>[-.0322, -.0222]</small>"),
    ],
)
def test_claims_about_accuracies_and_errors_are_shown_in_percent(metric, ours, difference):
    rows = {"a": {metric: single(0.2199, 0.003)}, "b": {metric: single(0.2471, 0.004)}}
    shown = claims.show(claims.judge(rows, listed(metric)), rows).data.loc["X-0"]
    assert (shown["ours"], shown["difference"]) == (ours, difference)
    assert shown["verdict"] == "reproduced"


def test_claims_of_repeated_networks_are_those_of_their_values():
    """Gathered rows and plain lists of values give the same verdict, interval and p."""
    a, b = around(1, 0.1, 3), around(1.05, 0.3, 3)
    plain = {"a": {"ece": a}, "b": {"ece": b}}
    gathered = {
        row: {"ece": Measured(v["ece"], tables.stats.estimate(v["ece"]))}
        for row, v in plain.items()
    }
    judged = claims.judge(gathered, listed("ece"))
    pd.testing.assert_frame_equal(judged, claims.judge(plain, listed("ece")))
    assert judged.loc["X-0", "p"] == tables.stats.paired_p(a, b)
    low, high = tables.stats.difference(a, b)[1:]
    assert (judged.loc["X-0", "low"], judged.loc["X-0", "high"]) == (low, high)


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
def test_verdict_on_a_difference(mean, low, high, lower, higher):
    difference = Estimate(mean, low, high)
    assert claims.verdict_on(difference, "lower") == lower
    assert claims.verdict_on(difference, "higher") == higher
