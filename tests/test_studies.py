"""The papers' tables as runs: what is carried out here, what is found among the records."""

import io
import itertools
import re
import tempfile

import pandas as pd
import pytest
import torch
from tqdm import tqdm

from ldlstudy import (
    data,
    machine,
    measured,
    models,
    objectives,
    records,
    scores,
    setting,
    studies,
    tables,
)
from ldlstudy.augment import Augmentation
from ldlstudy.execution import Execution
from ldlstudy.methods import Lesson
from ldlstudy.protocol import Protocol
from ldlstudy.records import PROFILES, Record
from tests.conftest import ROOT

PUBLISHED = ROOT / "book" / "published"
ALONE = {
    "re-figure8": ["paper"],
    "cskd-table5": ["paper"],
    "cskd-grid": ["quick", "smoke"],
    **{f"ldl-table{n}": ["paper"] for n in range(1, 8)},
    "ldl-truth": ["quick", "smoke"],
    "explore": ["quick", "smoke"],
}
OFFERED = [(t, p) for t in studies.TABLES for p in PROFILES if p in ALONE.get(t, PROFILES)]
REFUSED = [(t, p) for t in studies.TABLES for p in PROFILES if (t, p) not in OFFERED]
IMAGES = [(table, profile) for table, profile in OFFERED if table != "ils"]
PAPERS = ("re", "cskd", "ldl", "truth", "explore")


def runs_of(paper, profile):
    """Return all runs of a paper's tables by name: a chapter asks for them together."""
    offered = [(t, p) for t, p in IMAGES if p == profile and t.split("-")[0] == paper]
    return {name: run for each in offered for name, run in studies.runs(*each).items()}


RUNS = {paper: {profile: runs_of(paper, profile) for profile in PROFILES} for paper in PAPERS}
EVERY = {p: [run for paper in PAPERS for run in RUNS[paper][p].values()] for p in PROFILES}
PLANE = {f"{part}_{what}" for part in ("train", "test") for what in ("spread", "distance", "ratio")}
ON_ERRORS = {"confidence_on_errors", "predicted_score_on_errors", "true_score_on_errors"}
NEIGHBOURS = {"recall_at_1", "recall_at_1_train", "intra_class_variation"}
SMALL = ["re-table4", "cskd-table4"]
IMAGES_OF_LESSON = 20_000  # CRD draws 16,384 others
LESSON = Lesson(
    torch.empty(IMAGES_OF_LESSON, 0),
    torch.arange(IMAGES_OF_LESSON) % 3,
    3,
    0,
    logits=torch.zeros(IMAGES_OF_LESSON, 3),
    teach=lambda views: torch.eye(3),
    features=lambda views: (torch.eye(3), torch.eye(3)),
    truth=torch.full((IMAGES_OF_LESSON, 3), 1 / 3),
)


def rows_of(name, run):
    """Return the metrics of each row that the record of a run gives."""
    own = {*scores.METRICS, *measured.ERRORS.values(), "temperature"}
    if run.dataset == "noisy_digits":
        own.add("kl_to_truth")
    if "errors" in run.keep:
        own |= ON_ERRORS
        if run.dataset == "noisy_digits":
            own.add("kl_to_truth_on_errors")
        if run.dataset == "cifar100":
            own |= {"superclass_accuracy", "error_within_superclass"}
    base = name.split(" #")[0]
    rows = dict.fromkeys((f"{base} fitted", f"{base} searched"), own)
    rows[base] = own | {"best_test_accuracy"} | (NEIGHBOURS if "neighbours" in run.keep else set())
    if run.method == "adacos":
        rows[f"{base} unscaled"] = own
    if "plane" in run.keep:
        rows[f"{base} plane"] = {"template_distance", *PLANE}
    if run.teachers:
        rows[f"{base} teacher"] = {"smoothness", "accuracy", "error"}
    return rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return two small tables carried out, the progress bar, and what is left on the disk."""
    folder = tmp_path_factory.mktemp("temporary")
    bars = []

    def progress(total, title, unit):
        bars.append(tqdm(total=total, disable=title is None, file=io.StringIO()))
        return bars[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setattr(machine, "progress", progress)
        patch.chdir(folder)
        found = studies.measure(SMALL, "smoke", title="training")
    return found, bars[0], [*folder.iterdir()]


def smoke():
    """Return the runs of the small tables."""
    return {n: run for table in SMALL for n, run in studies.runs(table, "smoke").items()}


def test_measuring_gives_a_record_for_each_run_and_leaves_no_file(made):
    found, bar, left = made
    runs = smoke()
    assert {name: record.specification for name, record in found.items()} == {
        name: run.specification for name, run in runs.items()
    }
    assert left == []
    assert bar.n == len({each for run in runs.values() for each in (run, *run.teachers)})


def test_records_have_the_rows_that_the_claims_may_name(made):
    found, _, _ = made
    expected = dict[str, set[str]]()
    for name, run in smoke().items():
        for row, metrics in rows_of(name, run).items():
            expected[row] = expected.get(row, set()) | metrics
    gathered = measured.gather(found)
    assert {row: set(metrics) for row, metrics in gathered.items()} == expected
    assert len(gathered["student ls"]["accuracy"].values) == 2
    assert len(gathered["teacher plane"]["train_spread"].values) == 1


def test_recorded_finds_what_is_committed_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").write_text("")
    monkeypatch.chdir(tmp_path)
    runs = studies.runs("re-table4", "paper")
    assert studies.recorded(["re-table4"]) == {}

    def record(run):
        return Record(run.specification, {}, {}, {}, {})

    teacher, student = runs["teacher"], runs["student ls"]
    records.save(teacher, record(teacher))
    records.save(student, record(student), tmp_path / "runs")
    smoke = studies.runs("re-table4", "smoke")["teacher"]
    records.save(smoke, record(smoke))
    assert studies.recorded(["re-table4"]) == {"teacher": record(teacher)}
    assert studies.recorded(["re-table2", "re-table4"]) == {"teacher": record(teacher)}
    assert studies.recorded(["re-table4"], "smoke") == {"teacher": record(smoke)}


def test_what_is_missing_is_run_where_its_data_are(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LDLSTUDY_DATA", str(tmp_path))
    asked = []
    monkeypatch.setattr(studies, "sweep", lambda runs, execution: asked.append((runs, execution)))
    assert studies.completed(["ldl-table2"]) == {}  # no GPU here: nothing is run
    assert asked == []
    data.location("stl10", tmp_path).mkdir(parents=True)
    assert studies.completed(["ldl-table2"], Execution()) == {}
    ((runs, execution),) = asked
    assert execution == Execution()
    assert {run.dataset for run in runs} == {"stl10"}
    assert len(runs) == 2 * 12 * 3


def test_a_run_of_two_tables_has_one_record(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").write_text("")
    monkeypatch.chdir(tmp_path)
    run = studies.runs("re-table4", "paper")["teacher ls"]
    records.save(run, Record(run.specification, {}, {}, {}, {}))
    found = studies.recorded(["re-table2", "re-table4"])
    assert set(found) == {"mnist-fcn1200 0.1", "teacher ls"}


@pytest.mark.parametrize("profile", PROFILES)
def test_no_name_stands_for_two_runs(profile):
    """A paper's tables are asked for together: a name that two of them used would hide a run."""
    named = {table: studies.runs(table, p) for table, p in OFFERED if p == profile}
    for (table, one), (beside, other) in itertools.combinations(named.items(), 2):
        if table.split("-")[0] != beside.split("-")[0]:
            continue
        assert {n for n in one.keys() & other.keys() if one[n] != other[n]} == set()


@pytest.mark.parametrize(("table", "profile"), IMAGES)
def test_every_run_can_be_carried_out(table, profile):
    """All that a run names is known, and its method takes its parameters."""
    runs = studies.runs(table, profile)
    assert runs
    for run in runs.values():
        assert run.dataset in data.available()
        assert (run.method in objectives.TAUGHT) == bool(run.teachers)
        objectives.make(run.method, LESSON, run.parameters)
        options = set(Protocol.of(run.training).network) - {"dropout"}  # for every network
        assert options <= set(models.options_of(run.model))
        Augmentation.of(run.data.get("augment", {}))
        assert set(run.keep) <= set(setting.KEPT)
        assert all(teacher.dataset == run.dataset for teacher in run.teachers)
    assert {run.profile for run in runs.values()} == {profile}


def test_the_smoke_profile_is_small():
    assert {run.training["epochs"] for run in EVERY["smoke"]} <= {1, 2}


def test_every_committed_record_of_images_belongs_to_a_run():
    results = ROOT / "book" / "results"
    found = {file for file, _ in records.every(results) if file.parent.name != "six_gaussians"}
    expected = {
        records.path(each, results)
        for profile in ("quick", "paper")
        for run in EVERY[profile]
        for each in (run, *run.teachers)
    }
    assert found <= expected


@pytest.mark.parametrize(("table", "profile"), REFUSED)
def test_a_table_that_a_profile_lacks(table, profile):
    known = ", ".join(sorted(ALONE[table]))
    with pytest.raises(ValueError, match=f"unknown profile of .* '{profile}'; known: {known}$"):
        studies.runs(table, profile)


def test_an_unknown_table_or_profile():
    known = ", ".join(sorted(studies.TABLES))
    with pytest.raises(ValueError, match=f"unknown table 're-table9'; known: {known}$"):
        studies.runs("re-table9", "paper")
    for table in studies.TABLES:
        with pytest.raises(ValueError, match="unknown profile.* 'fast'; known: .*"):
            studies.runs(table, "fast")


@pytest.mark.parametrize("paper", PAPERS[:3])
def test_every_claim_on_images_names_a_row_and_metric_that_runs_give(paper):
    quick = {f"quick {name}": run for name, run in RUNS[paper]["quick"].items()}
    rows = dict[str, set[str]]()
    for name, run in (RUNS[paper]["paper"] | quick).items():
        for row, metrics in rows_of(name, run).items():
            rows.setdefault(row, set()).update(metrics)
    listed = tables.published(f"{paper}_claims", PUBLISHED)
    assert listed.index.is_unique
    for claim in listed.itertuples():
        for side in (claim.left, claim.right):
            assert claim.metric in rows[side], f"{claim.Index}: {side} has no {claim.metric}"
        assert claim.left != claim.right
        assert claim.expects in ("lower", "higher")


def printed(row, metric):
    """Return what the paper's tables print for a row, or None."""
    if metric == "accuracy":
        table4 = tables.published("re_table4", PUBLISHED)
        if row in table4.index:
            return 1 - table4.loc[row, "replication"]
    table = tables.published({"accuracy": "re_table2", "ece": "re_table3"}[metric], PUBLISHED)
    key, alpha, *suffix = row.split(" ")
    column = {(): f"{metric}_{alpha}", ("searched",): f"{metric}_scaled"}.get(tuple(suffix))
    return None if key not in table.index or column not in table else float(table.loc[key, column])


def test_the_numbers_in_the_claims_are_those_of_the_tables():
    """``right -> left``, in percent or as they are; the claimed sign is that of the numbers."""
    for claim in tables.published("re_claims", PUBLISHED).itertuples():
        known = claim.metric in ("accuracy", "ece")
        both = [printed(row, claim.metric) if known else None for row in (claim.right, claim.left)]
        if None in both:
            assert pd.isna(claim.published), claim.Index
            continue
        scale, unit = (100, " %") if claim.metric == "accuracy" else (1, "")
        match = re.fullmatch(rf"(\d*\.\d+){unit} -> (\d*\.\d+){unit}", claim.published)
        assert match, claim.Index
        assert [float(n) / scale for n in match.groups()] == pytest.approx(both), claim.Index
        assert (both[1] < both[0]) == (claim.expects == "lower"), claim.Index


def test_published_tables_of_the_replication():
    """Rows are ours where a run gives them, accuracies fractions, and the tables fit each other."""
    table2, table3, table4 = (tables.published(f"re_table{n}", PUBLISHED) for n in (2, 3, 4))
    ours = {name.rsplit(" ", 1)[0] for name in studies.runs("re-table2", "paper")}
    for table in (table2, table3):
        assert table.index.is_unique
        known = {row for row in table.index if "(ours)" in table.loc[row, "label"]}
        assert known - {"multi30k-transformer"} == ours - {"cifar10-resnet20-reduced"}
        assert all(row.endswith(" muller") for row in set(table.index) - known)
        numbers = table.drop(columns=["label", "temperature"], errors="ignore")
        assert ((numbers > 0) & (numbers < 1) | numbers.isna()).all(axis=None)
    assert (table3["ece_scaled"] <= table3["ece_0"]).all()  # searched among temperatures with 1
    named = set(studies.runs("re-table4", "paper"))
    assert set(table4.index) <= named
    table_alphas = {column.split("_")[1] for column in table2.columns if "_" in column}
    assert table_alphas == {name.rsplit(" ", 1)[1] for name in studies.runs("re-table2", "paper")}
