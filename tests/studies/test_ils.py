"""The ILS study: its runs, its yardstick, and the numbers that the prose quotes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ldlstudy import stats, studies
from ldlstudy.experiment.plan import PROFILES
from ldlstudy.methods import candidates
from ldlstudy.report import claims
from ldlstudy.report.tables import published
from ldlstudy.studies.ils import numbers, tables
from ldlstudy.studies.ils.runs import runs

PLANNED = {profile: {each.strategy: each for each in runs(profile)} for profile in PROFILES}
PAPER = {name: each.run for name, each in PLANNED["paper"].items()}


@pytest.fixture(scope="module")
def results():
    return studies.recorded("ils")


@pytest.fixture(scope="module")
def judged(results):
    return numbers.judged(results)


def test_the_paper_s_counts():
    grids = {"none": 1, "ls": 12, "ils1": 30, "ils2": 48, "ils": 120}  # appendix A-C
    assert {name: len(candidates(PAPER[name].settings)) for name in grids} == grids
    assert len(PAPER["restarts"].recipe["restart"]) == 120
    fewer = {name for name, run in PAPER.items() if run.replicates != 100}
    assert fewer == {"ils_grid", *(name for name in PAPER if name.startswith("batch"))}
    assert all(run.replicates >= 40 for run in PAPER.values())
    assert PAPER["none"].data == {"separation": 1.0, "train": 50, "held": 50, "test": 5000}
    assert PAPER["bigger none"].data["train"] == 200
    assert PAPER["shallow none"].model == "mlp64x1"
    assert PAPER["apart none"].data["separation"] == 1.5


def test_profiles_change_sizes_and_nothing_else():
    for profile in ("smoke", "quick"):
        assert list(PLANNED[profile]) == list(PLANNED["paper"])
        assert [e.keep for e in PLANNED[profile].values()] == [
            e.keep for e in PLANNED["paper"].values()
        ]
    for name, quick in PLANNED["quick"].items():
        own = quick.run
        same = replace(PAPER[name], replicates=own.replicates, teachers=own.teachers)
        assert own == same
        assert [t.method for t in own.teachers] == [t.method for t in PAPER[name].teachers]


@pytest.mark.parametrize("profile", PROFILES)
def test_teachers_come_before_their_students(profile):
    seen = set()
    for each in PLANNED[profile].values():
        assert set(each.run.teachers) <= seen
        seen.add(each.run)
    assert len(PLANNED[profile]) == len(runs(profile))


def test_an_unknown_profile():
    with pytest.raises(ValueError, match="unknown profile 'fast'; known: paper, quick, smoke"):
        runs("fast")


def test_bayes_agrees_with_the_paper(results):
    """The yardstick: no training is involved, so the paper's number must come out."""
    paper = published("ils_table1").loc[("bayes", "plain")]
    for metric in ("accuracy", "cross_entropy", "ece_15_right", "class_conditional_ece"):
        mean = results.measured("bayes", metric).estimate.mean
        assert mean == pytest.approx(paper[metric], rel=0.06), metric
    assert results.measured("bayes", "classwise_ece").estimate.mean == pytest.approx(
        0.0072, abs=5e-4
    )


def test_the_swapped_parameters_of_ils_are_put_right(results):
    shown = tables.chosen(results).data
    ils = shown.loc[[label.text == "ILS" for label in shown.index]].iloc[0]
    assert (ils["P1"].published, ils["P2"].published) == (0.8, 1.63)


def test_the_claim_on_a_grid_is_judged_with_the_others(results, judged):
    on_six_gaussians = ~published("claims")["left"].str.startswith(("images", "students"))
    assert len(judged) == on_six_gaussians.sum() + 1
    losses = np.array(results.figure("grid", "candidates")["test_cross_entropy"])
    values = results.figure("grid", "candidates")["values"]
    claimed = values.index({"p1": 0.8, "p2": 2.0})
    assert losses.shape == (100, 36)
    assert judged.loc["ILS-10", "verdict"] == claims.judge_optimum(losses, claimed)["verdict"]
    assert judged.loc["ILS-10", "left_mean"] == pytest.approx(losses[:, claimed].mean())


def test_numbers_of_the_prose_come_from_the_records(results, judged):
    found = numbers.quoted(results, judged, "quick")
    scaled = results.records("ls")[0]
    key = "ls_scaled.ece_15_right"
    given = tuple(found[f"{key}{end}"] for end in ("", ".low", ".high"))
    assert given == pytest.approx(scaled.estimate("scaled", "ece_15_right"), rel=1e-5)
    assert found["claims"] == len(judged)
    assert sum(int(found[f"claims.{v}"]) for v in claims.VERDICTS) == len(judged)
    losses = {row: results.measured(row, "cross_entropy").values for row in ("ls", "none", "ils")}
    assert found["ls_gain"] == stats.difference(losses["ls"], losses["none"]).mean
    best = np.array(results.measured("restarts", "cross_entropy", "best of 120").values)
    none, ils = np.array(losses["none"]), np.array(losses["ils"])
    assert found["restarts.share"] == pytest.approx((none - best).mean() / (none - ils).mean())
    kl = pd.Series(
        {row: results.measured(row, "kl_to_truth").estimate.mean for row in ("ls", "ils")}
    )
    assert found["ls.kl_to_truth"] == pytest.approx(kl["ls"], rel=1e-5)
    assert found["p2.least"] + found["p2.most"] <= 100
    curve = numbers.curves(results)["normal set-up"]["bayes"]
    p1, p2 = numbers.parabolas(results)["normal set-up"]
    apart = [  # the distance of ILS1's parabola from the best factors, weighed by samples
        (n, n * abs(best - min(0.2, p2 * (p - p1) ** 2)))
        for p, best, n in zip(curve["p"], curve["best"], curve["samples"], strict=True)
        if best is not None
    ]
    assert found["gap.bayes"] == pytest.approx(sum(d for _, d in apart) / sum(n for n, _ in apart))
