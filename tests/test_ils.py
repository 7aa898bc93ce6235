"""The runs of the ILS study, their records, and the numbers that the prose quotes."""

import pytest

from ldlstudy import claims, findings, ils, methods, records, stats, tables
from tests.conftest import ROOT


def grid_size(run: records.Run) -> int:
    return len(methods.candidates(run.parameters))


def test_paper_profile_has_the_papers_counts():
    runs = ils.runs("paper")
    sizes = {name: grid_size(runs[name]) for name in ("none", "ls", "ils1", "ils2", "ils")}
    assert sizes == {"none": 1, "ls": 12, "ils1": 30, "ils2": 48, "ils": 120}
    assert grid_size(runs["restarts"]) == 120
    other_readings = {name for name, run in runs.items() if run.replicates != 100}
    assert other_readings == {"ils_grid", *(name for name in runs if name.startswith("batch"))}
    assert all(run.replicates >= 40 for run in runs.values())
    assert runs["none"].data == {"separation": 1.0, "train": 50, "held": 50, "test": 5000}
    assert runs["bigger none"].data["train"] == 200
    assert runs["shallow none"].model == "mlp64x1"
    assert runs["apart none"].data["separation"] == 1.5


def test_profiles_change_sizes_and_nothing_else():
    names = [list(ils.runs(profile)) for profile in records.PROFILES]
    assert names[0] == names[1] == names[2]
    for name, quick in ils.runs("quick").items():
        paper = ils.runs("paper")[name]
        assert (quick.method, quick.parameters, quick.training, quick.data) == (
            paper.method, paper.parameters, paper.training, paper.data,
        )  # fmt: skip


def test_ids_are_distinct():
    ids = [run.id for profile in ("quick", "paper") for run in ils.runs(profile).values()]
    assert len(set(ids)) == len(ids)


def test_teachers_are_runs_of_the_study():
    for profile in records.PROFILES:
        runs = ils.runs(profile)
        known = {run.id for run in runs.values()}
        assert {t.id for run in runs.values() for t in run.teachers} <= known


def test_unknown_profile():
    with pytest.raises(ValueError, match="unknown profile 'fast'; known: paper, quick, smoke"):
        ils.runs("fast")


def test_measuring_saves_once_and_then_reads(tmp_path, monkeypatch):
    few = {k: v for k, v in ils.runs("smoke").items() if k in ("bayes", "none", "ls_0.2")}
    monkeypatch.setattr(ils, "runs", lambda profile: few)
    monkeypatch.setenv("LDLSTUDY_PROGRESS", "0")
    made = ils.measure("smoke", save=True, results=tmp_path)
    assert len(list(tmp_path.rglob("*.json"))) == 3
    monkeypatch.setattr(ils, "execute", lambda run, device: pytest.fail("ran again"))
    again = ils.measure("smoke", save=True, results=tmp_path)
    assert again["none"].rows == made["none"].rows
    records.path(few["none"], tmp_path).unlink()
    with pytest.raises(ValueError, match="no record of the run 'none'"):
        ils.recorded("smoke", tmp_path)["none"]


def test_rows_are_named_after_runs():
    record = records.Record({}, {"plain": {"ece": [0.1]}, "scaled": {"ece": [0.2]}}, {}, {}, {})
    assert ils.rows({"ls": record}) == {"ls": {"ece": [0.1]}, "ls scaled": {"ece": [0.2]}}


def test_every_committed_record_belongs_to_a_run():
    """No stale file lies among the records, and none of the paper profile's is missing."""
    results = ROOT / "book" / "results"
    expected = {records.path(run, results) for run in ils.runs("paper").values()}
    assert set((results / "six_gaussians").glob("*.json")) == expected


def test_bayes_row_agrees_with_the_paper():
    """Issue 2's yardstick: no training is involved, so the paper's number must come out."""
    row = ils.rows(ils.recorded("paper", ROOT / "book" / "results"))["bayes"]
    paper = tables.published("ils_table1", ROOT / "book" / "published").loc["bayes"]
    for metric in ("accuracy", "cross_entropy", "ece", "class_conditional_ece"):
        mean = stats.estimate(row[metric]).mean
        assert mean == pytest.approx(paper[metric], rel=0.06), metric
    assert stats.estimate(row["classwise_ece"]).mean == pytest.approx(0.0072, abs=5e-4)


def test_numbers_of_the_prose_come_from_the_records():
    recorded = ils.recorded("paper", ROOT / "book" / "results")
    rows = ils.rows(recorded)
    judged = claims.judge(rows, tables.published("claims", ROOT / "book" / "published"))
    numbers = findings.numbers(recorded, judged)
    mean, low, high = stats.estimate(rows["ls scaled"]["ece"])
    assert numbers["ls_scaled.ece"] == pytest.approx(mean, rel=1e-5)
    assert numbers["ls_scaled.ece.low"] == pytest.approx(low, rel=1e-5)
    assert numbers["ls_scaled.ece.high"] == pytest.approx(high, rel=1e-5)
    assert numbers["claims"] == len(judged)
    assert sum(int(numbers[f"claims.{v}"]) for v in claims.VERDICTS) == len(judged)


def test_differences_and_share():
    rows = {"a": {"m": [1.0, 3.0]}, "b": {"m": [0.0, 1.0]}, "c": {"m": [0.0, 0.0]}}  # paired
    values = findings.differences(rows, {"gain": ("a", "b", "m")})
    assert values["gain"] == 1.5
    assert (values["gain.low"], values["gain.high"]) == (1.0, 2.0)
    mean, low, high = findings.share(rows, "m", "a", "b", "c")
    assert (mean, low, high) == (0.75, pytest.approx(2 / 3), 1.0)
