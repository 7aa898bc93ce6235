"""The papers' tables as runs: what is carried out here, what is found among the records."""

import io
import itertools
import re
import tempfile

import pandas as pd
import pytest
from tqdm import tqdm

from ldlstudy import machine, measured, records, scores, studies, tables
from ldlstudy.records import Record
from tests.conftest import ROOT

PUBLISHED = ROOT / "book" / "published"
IMAGES = [table for table in studies.TABLES if table != "ils"]
PAPER = {n: run for table in IMAGES for n, run in studies.runs(table, "paper").items()}
QUICK = {
    f"quick {n}": run
    for table in IMAGES
    if table != "re-figure8"  # has the paper profile alone
    for n, run in studies.runs(table, "quick").items()
}
PLANE = {f"{part}_{what}" for part in ("train", "test") for what in ("spread", "distance", "ratio")}


def rows_of(name, run):
    """Return the metrics of each row that the record of a run gives."""
    own = {*scores.METRICS, "temperature"}
    if run.dataset == "noisy_digits":
        own.add("kl_to_truth")
    base = name.split(" #")[0]
    rows = dict.fromkeys((base, f"{base} fitted", f"{base} searched"), own)
    if "plane" in run.keep:
        rows[f"{base} plane"] = {"template_distance", *PLANE}
    if run.teachers:
        rows[f"{base} teacher"] = {"smoothness", "accuracy"}
    return rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the smallest table carried out, the progress bar, and what is left on the disk."""
    folder = tmp_path_factory.mktemp("temporary")
    bars = []

    def progress(total, title, unit):
        bars.append(tqdm(total=total, disable=title is None, file=io.StringIO()))
        return bars[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setattr(machine, "progress", progress)
        patch.chdir(folder)
        found = studies.measure(["re-table4"], "smoke", title="training")
    return found, bars[0], [*folder.iterdir()]


def test_measuring_gives_a_record_for_each_run_and_leaves_no_file(made):
    found, bar, left = made
    runs = studies.runs("re-table4", "smoke")
    assert {name: record.specification for name, record in found.items()} == {
        name: run.specification for name, run in runs.items()
    }
    assert left == []
    assert bar.n == bar.total == len(set(runs.values()))


def test_records_have_the_rows_that_the_claims_may_name(made):
    found, _, _ = made
    runs = studies.runs("re-table4", "smoke")
    expected = dict[str, set[str]]()
    for name, run in runs.items():
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


def test_a_run_of_two_tables_has_one_record(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").write_text("")
    monkeypatch.chdir(tmp_path)
    run = studies.runs("re-table4", "paper")["teacher ls"]
    records.save(run, Record(run.specification, {}, {}, {}, {}))
    found = studies.recorded(["re-table2", "re-table4"])
    assert set(found) == {"mnist-fcn1200 0.1", "teacher ls"}


def test_no_name_stands_for_two_runs():
    """Tables are asked for together: a name that two of them used would hide a run."""
    for profile in ("paper", "quick", "smoke"):
        wanted = [t for t in studies.TABLES if t != "re-figure8" or profile == "paper"]
        named = {table: studies.runs(table, profile) for table in wanted}
        for one, other in itertools.combinations(named.values(), 2):
            assert {n for n in one.keys() & other.keys() if one[n] != other[n]} == set()


def test_every_claim_of_the_replication_names_a_row_and_metric_that_runs_give():
    rows = dict[str, set[str]]()
    for name, run in (PAPER | QUICK).items():
        for row, metrics in rows_of(name, run).items():
            rows.setdefault(row, set()).update(metrics)
    listed = tables.published("re_claims", PUBLISHED)
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
