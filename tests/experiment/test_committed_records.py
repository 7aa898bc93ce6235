"""The records of the book: all readable, none twice, each planned, and every old id still known."""

import collections
import json

import pytest

from ldlstudy import data, methods, models, studies
from ldlstudy.experiment import points, records, translation
from tests.conftest import ROOT

RESULTS = ROOT / "book" / "results"
WHOLE = ("ils", "truth", "re-table4")  # tables of which every record is there at the paper profile


@pytest.fixture(scope="module")
def committed():
    return list(records.every(RESULTS))


def planned(tables, profile):
    """Return what tables plan at a profile; some have no other than one of the paper's."""
    found = []
    for name in tables:
        try:
            found += studies.planned(name, profile)
        except ValueError as error:
            if "unknown profile" not in str(error):
                raise
    return found


def test_every_line_is_a_record_that_can_be_read(committed):
    assert len(committed) > 2000
    for record in committed:
        run = record.specification
        assert run["method"] in (*methods.METHODS, "bayes")
        assert run["model"] in (*models.available(), *points.MODELS, translation.MODEL, "bayes")
        assert run["dataset"] in (*data.available(), *points.DATASETS, *translation.DATASETS)
        assert "plain" in record.values
        assert record.intervals.keys() <= record.values.keys()
        assert all(record.intervals[s].keys() <= record.values[s].keys() for s in record.intervals)
        assert len(record.made["data"]) == 64
        assert {"device", "source", "versions", "seconds"} <= record.made.keys()
        assert record.all_figures is not None


def test_no_run_is_stored_twice_and_no_old_id_is_of_two_records(committed):
    by_run = collections.Counter(json.dumps(r.specification, sort_keys=True) for r in committed)
    assert max(by_run.values()) == 1
    known = collections.Counter(id for r in committed for id in (r.id, *r.formerly))
    assert max(known.values()) == 1


def test_every_record_is_found_by_all_its_ids_and_gives_its_run_back(committed):
    for record in committed:
        for id in (record.id, *record.formerly):
            assert records.find(id, RESULTS).id == record.id
        run = records.run_of(record, RESULTS)
        assert run.id == record.id
        assert records.load(run, RESULTS).values == record.values


def test_numbers_and_figures_of_a_record_are_of_one_training(committed):
    """The bins of a diagram are right as often, taken together, as the accuracy says."""
    checked = 0
    for record in committed:
        for name in (n for n in record.all_figures if n.startswith("reliability")):
            for stage, bins in record.figure(name).items():
                right = sum(
                    n * a for n, a in zip(bins["count"], bins["accuracy"], strict=True) if n
                )
                accuracy = record.values["plain"]["accuracy"]  # that no temperature changes
                found = right / sum(bins["count"])
                assert found == pytest.approx(accuracy, abs=1e-4), (record.id, name, stage)
                checked += 1
    assert checked > 500


def test_files_are_sorted_and_of_one_data_set(committed):
    for file in RESULTS.glob("*.jsonl"):
        ids = [line[7:19] for line in file.read_text(encoding="utf-8").splitlines()]
        assert ids == sorted(set(ids))
    for name in {record.specification["dataset"] for record in committed}:
        own = {record.id for record in committed if record.specification["dataset"] == name}
        assert own == records.ids(name, RESULTS)


def test_what_the_book_plans_and_can_be_run_anywhere_is_recorded_with_all_it_keeps():
    there = planned((name for name in studies.TABLES if name != "ils"), "quick")
    there += planned(WHOLE, "paper")
    assert len({each.run for each in there}) > 1800
    for each in there:
        record = records.load(each.run, RESULTS)
        assert record is not None, each.name
        assert set(each.keep) <= set(record.kept), each.name


def test_no_record_is_of_a_run_that_nothing_plans(committed):
    every = [*planned(studies.TABLES, "quick"), *planned(studies.TABLES, "paper")]
    wanted = {run.id for each in every for run in (each.run, *each.run.teachers)}
    assert {record.id for record in committed} <= wanted
