"""The studies' tables as runs: what is carried out, what is found among the records, what shows."""

import itertools
from collections import Counter

import pytest
import torch

from ldlstudy import data, methods, mixing, models, studies
from ldlstudy.batch import Task, Teacher
from ldlstudy.data.replicates import Replicates
from ldlstudy.device import Execution
from ldlstudy.experiment import keep, points, records, translation
from ldlstudy.experiment.images import takes
from ldlstudy.experiment.plan import PROFILES
from ldlstudy.mixture import six_gaussians
from ldlstudy.models.transformer import Transformer
from ldlstudy.report import claims
from ldlstudy.report.results import Results, row_of
from ldlstudy.report.tables import published
from ldlstudy.studies import STUDIES, TABLES
from ldlstudy.studies.ils import images as ils_images
from ldlstudy.studies.ils import students
from ldlstudy.training import Augmentation, Recipe
from tests.report.made import record

ALONE = {  # tables that some profiles lack, and those that have them
    **{f"ldl-table{n}": ["paper"] for n in range(1, 8)},
    **{
        name: ["paper"]
        for name in ("re-figure8", "cskd-table5", "cskd-figure4", "annotators", "few")
    },
    **{name: ["paper", "smoke"] for name in ("fast", "ils-images", "ils-students")},
    **{name: ["quick", "smoke"] for name in ("cskd-grid", "ldl-truth", "explore")},
}
EVERY = list(itertools.product(TABLES, PROFILES))
OFFERED = [(table, profile) for table, profile in EVERY if profile in ALONE.get(table, PROFILES)]
K = torch.eye(3)
LABELS = torch.arange(6) % 3
TAUGHT = Teacher(torch.zeros(1, 6, 3), 1.5, answer=lambda x: K[None], look=lambda x: (K, K))


@pytest.fixture
def study(tmp_path, monkeypatch):
    """An empty study to work in."""
    (tmp_path / "_config.yml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("table", "profile"), EVERY)
def test_every_run_can_be_carried_out(table, profile):
    """All that a run names is known, and its method takes its settings; or there is no such run."""
    if (table, profile) not in OFFERED:
        known = ", ".join(ALONE[table])
        with pytest.raises(ValueError, match=f"unknown profile of .* '{profile}'; known: {known}$"):
            studies.planned(table, profile)
        return
    planned = studies.planned(table, profile)
    assert planned
    for each in planned:
        run = each.run
        assert {teacher.dataset for teacher in run.teachers} <= {run.dataset}
        if run.dataset == points.DATASET:
            assert {run.model, run.method} <= {*points.MODELS, *methods.METHODS, "bayes"}
            assert set(each.keep) <= set(points.KEPT)
            sizes = {name: value for name, value in run.data.items() if name != "separation"}
            Replicates(six_gaussians(), count=run.replicates, seed=0, **sizes)
            continue
        if run.dataset in points.DATASETS:
            assert {run.model, run.method} <= {*points.MODELS, *methods.METHODS}
            assert run.replicates % 10 == 0  # whole repetitions of ten folds
            assert dict(run.data) == {}
            assert each.keep == () or run.dataset in points.OF_CLASSES or table == "ils-tabular"
            assert set(each.keep) <= set(points.KEPT)
            continue
        if run.dataset in translation.DATASETS:
            assert (run.model, each.keep, run.teachers) == (translation.MODEL, (), ())
            assert set(run.data) <= set(translation.options_of(run.dataset))
            Transformer(6, 6, **{**run.network, "layers": 1})
            assert set(run.recipe) <= set(translation.RECIPE)
            translation.labels_of(run, 6)
            continue
        assert run.dataset in data.available()
        assert methods.named(run.method).teacher == bool(run.teachers)
        assert methods.named(run.method).mixes or not run.mixing
        assert set(run.network) <= {*models.options_of(run.model), "dropout", "passes"}
        assert set(each.keep) <= set(keep.KEEP)
        mixing.named(run.mixing or None)
        Augmentation.of(run.augmentation)
        assert Recipe.of(run.recipe).epochs <= (3 if profile == "smoke" else 2000)
    for run in {(e.run.method, str(e.run.settings)): e.run for e in planned}.values():
        if takes(run.dataset):
            taught = TAUGHT if run.teachers else None
            task = Task(LABELS, 3, torch.zeros(6, 2), torch.full((6, 3), 1 / 3), taught)
            for settings in methods.candidates(run.settings):
                methods.named(run.method).objective(task, settings)


@pytest.mark.parametrize("profile", PROFILES)
def test_no_row_of_a_study_stands_for_two_runs(profile):
    """A chapter asks for its tables together: a row that two of them used would hide a run."""
    for name, own in STUDIES.items():
        rows = {}
        for table in own.tables:
            if (table, profile) in OFFERED:
                for each in studies.planned(table, profile):
                    key = row_of(each), each.run.seed
                    assert rows.setdefault(key, each.run) == each.run, (name, *key)


def test_an_unknown_table_or_profile_is_named():
    known = ", ".join(sorted(TABLES))
    with pytest.raises(ValueError, match=f"unknown table 're-table9'; known: {known}$"):
        studies.planned("re-table9", "paper")
    for table in TABLES:
        with pytest.raises(ValueError, match="unknown profile.* 'fast'; known: .*"):
            studies.planned(table, "fast")


@pytest.mark.parametrize(("profile", "seeds"), [("quick", 1), ("paper", 1), ("full", 3)])
def test_what_is_carried_out_again_here(profile, seeds, monkeypatch):
    planned = studies.planned("cskd-table4", "quick")
    made = {each.run: record(each.run, {"accuracy": 0.75}) for each in planned}
    asked = []
    monkeypatch.setattr(studies, "carry_out", lambda *of: asked.append(of) or made)
    found = studies.again("cskd-table4", profile, ("kd",))
    ((wanted, *how),) = asked
    assert how == [Execution(), "training"]
    assert {each.strategy for each in wanted} == ({"kd"} if seeds == 1 else
                                                  {each.strategy for each in planned})  # fmt: skip
    assert not any(each.keep for each in wanted)
    assert found.measured("quick noisy_digits-small_fcn kd", "error").values == [0.25] * seeds
    with pytest.raises(ValueError, match="unknown profile 'fast'; known: full, paper, quick"):
        studies.again("cskd-table4", "fast", ("kd",))


def save(planned, results=None):
    records.save(record(planned.run, {"accuracy": 0.5}), results)


def rows(results):
    return set(results.rows)


def test_recorded_finds_what_is_committed_and_nothing_else(study):
    planned = {each.row: each for each in studies.planned("re-table4", "paper")}
    assert rows(studies.recorded("re-table4")) == set()
    save(planned["teacher ls"])
    save(planned["student ls"], study / "runs")
    save(studies.planned("re-table4", "smoke")[0])
    assert rows(studies.recorded("re-table4")) == {"teacher ls"}
    both = studies.recorded(["re-table2", "re-table4"])  # one record, in the rows of two tables
    assert rows(both) == {"mnist-fcn1200 0.1", "teacher ls"}
    assert len(both.recorded) == 1
    assert rows(studies.recorded("re-table4", "smoke")) == {"quick teacher"}


def test_what_is_missing_is_run_where_its_data_are(study, monkeypatch):
    monkeypatch.setenv("LDLSTUDY_DATA", str(study))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = []
    monkeypatch.setattr(studies, "sweep", lambda *of: asked.append(of))
    assert rows(studies.completed("ldl-table2")) == set()
    assert asked == []  # no GPU: nothing is run
    data.location("stl10", study).mkdir(parents=True)
    assert rows(studies.completed(["ldl-table2", "truth"], Execution())) == set()
    ((planned, execution),) = asked
    assert execution == Execution()
    counts = Counter(each.run.dataset for each in planned)
    assert counts == {"stl10": 2 * 12 * 3, "noisy_digits": 35 * 9 * 5}


@pytest.mark.parametrize("study", [s for s in STUDIES.values() if s.claims], ids=lambda s: s.paper)
def test_claims_name_rows_of_the_plan_and_metrics_of_the_records(study):
    tables = [(t, "paper") for t in study.evidence] + [(t, "quick") for t in study.quick]
    known = [each for of in tables for each in studies.planned(*of)]
    planned = {row_of(each) for each in known}
    series = {row_of(each).rpartition(" ")[0] for each in known if "series" in each.facts}
    listed = published(study.claims)
    assert listed.index.is_unique
    pooled = {f"images {name}" for name in ils_images.TUNED}
    pooled |= {f"students {name}" for name in students.TEACHERS}
    assert set(listed["left"]) | set(listed["right"]) <= planned | series | pooled
    results = studies.recorded(study.evidence) | studies.recorded(study.quick, "quick")
    judged = claims.judge(results, listed)
    there = listed["left"].isin(results.rows) & listed["right"].isin(results.rows)
    assert ((judged["verdict"] != claims.NOT_RUN) == there).all()
    assert there.sum() > 8
    empty = claims.judge(Results([], {}), listed)
    assert set(empty["verdict"]) == {claims.NOT_RUN}
    assert "nan" not in claims.show(empty, Results([], {})).to_html().lower()
