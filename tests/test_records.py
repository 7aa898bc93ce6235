import dataclasses
import errno
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import records
from ldlstudy.records import Record, Run

TEACHER = Run("six_gaussians", "mlp64x5", "none")
RUN = Run(
    "six_gaussians",
    "mlp64x5",
    "ils1",
    data={"train": 50, "separation": 1.0},
    parameters={"p1": [0.75, 0.8], "p2": 2.0},
    training={"rate": 0.01, "batch": None},
    teachers=(TEACHER,),
    replicates=3,
    seed=7,
    profile="quick",
    keep=("map",),
)


def record_of(run=RUN, **parts):
    whole = {
        "specification": run.specification,
        "rows": {"plain": {"accuracy": [0.8, 0.81, 0.79]}},
        "estimates": {"plain": {"accuracy": [0.8, 0.79, 0.81]}},
        "figures": {"plain map": [[0.1, 0.2], [0.3, 0.4]], "note": {"é": None, "deep": {"a": [1]}}},
        "made": {"seconds": 1.5, "versions": {"torch": "2"}},
    }
    return Record(**(whole | parts))


def test_round_trip(tmp_path):
    assert records.load(RUN, tmp_path) is None
    file = records.save(RUN, record_of(), tmp_path)
    assert file == tmp_path / "six_gaussians" / f"ils1-{RUN.id}.json" == records.path(RUN, tmp_path)
    assert file == tmp_path / f"{record_of().name}.json"
    assert records.load(RUN, tmp_path) == record_of() == records.read(file)
    assert [f.name for f in file.parent.iterdir()] == [file.name]
    records.save(RUN, record_of(rows={"plain": {"accuracy": [0.5]}}), tmp_path)
    assert records.read(file).rows == {"plain": {"accuracy": [0.5]}}


def test_a_file_is_json_with_a_line_for_each_list(tmp_path):
    text = records.save(RUN, record_of(), tmp_path).read_text(encoding="utf-8")
    assert json.loads(text)["format"] == records.FORMAT
    assert '"accuracy": [0.8, 0.81, 0.79]' in text.split("\n", 1)[1]
    assert text.endswith("}\n")


def test_the_id_does_not_depend_on_the_order_of_keys():
    assert len(RUN.id) == 12
    same = dataclasses.replace(RUN, data={"separation": 1.0, "train": 50})
    assert same.id == RUN.id
    assert same == RUN
    assert len({same, RUN}) == 1
    as_tuple = dataclasses.replace(RUN, parameters={"p2": 2.0, "p1": (0.75, 0.8)})
    assert as_tuple == RUN
    assert RUN != TEACHER


def test_the_id_is_the_same_in_every_process_and_version():
    assert TEACHER.id == "3a29d12ab640"


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "noisy_digits"},
        {"model": "mlp64x1"},
        {"method": "ils2"},
        {"data": {"train": 51, "separation": 1.0}},
        {"parameters": {"p1": [0.75], "p2": 2.0}},
        {"parameters": {"p1": [0.8, 0.75], "p2": 2.0}},
        {"training": {"rate": 0.01, "batch": 16}},
        {"teachers": ()},
        {"teachers": (dataclasses.replace(TEACHER, seed=1),)},
        {"teachers": (TEACHER, TEACHER)},
        {"replicates": 4},
        {"seed": 8},
        {"profile": "paper"},
        {"keep": ()},
    ],
)
def test_the_id_changes_with_every_field(change, tmp_path):
    other = dataclasses.replace(RUN, **change)
    assert other.id != RUN.id
    assert other != RUN
    records.save(RUN, record_of(), tmp_path)
    assert records.load(other, tmp_path) is None


def test_no_field_is_left_out_of_the_test_above():
    fields = {field.name for field in dataclasses.fields(Run)}
    assert fields == set(RUN.specification) == set(TEACHER.specification)
    assert len(fields) == 11


def test_the_record_of_another_run(tmp_path):
    records.save(RUN, record_of(TEACHER), tmp_path)
    with pytest.raises(ValueError, match=f"is not the record of ils1 {RUN.id}: delete it and run"):
        records.load(RUN, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"\xff\xfe{}",
        b'{"format": 1}',
        b'{"format": 1, "specification": {}, "rows": {}, "other": {}}',
    ],
)
def test_a_damaged_file(content, tmp_path):
    file = records.path(RUN, tmp_path)
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"\.json is damaged \(.+\): delete it and run again"):
        records.load(RUN, tmp_path)


def test_a_truncated_file(tmp_path):
    file = records.save(RUN, record_of(), tmp_path)
    whole = file.read_bytes()
    for length in range(0, len(whole) - 3, 17):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is damaged"):
            records.load(RUN, tmp_path)


@pytest.mark.parametrize("content", [{"format": 0, "metrics": {}}, {"format": 99, "rows": {}}])
def test_another_format(content, tmp_path):
    file = tmp_path / "old.json"
    file.write_text(json.dumps(content))
    expected = f"has format {content['format']}, this version reads format {records.FORMAT}"
    with pytest.raises(ValueError, match=expected):
        records.read(file)


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullDisk:
    """A stream that takes half of what it is given, as a disk that fills up does."""

    def __init__(self, handle, *_, **__):
        self.handle = handle

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.handle)

    def write(self, content):
        os.write(self.handle, content[: len(content) // 2])
        no_space()


@pytest.mark.parametrize(
    ("name", "failure", "error"),
    [("fdopen", FullDisk, OSError), ("replace", no_space, OSError), ("chmod", no_space, OSError)],
)
@pytest.mark.parametrize("existing", [True, False])
def test_a_failing_write_leaves_what_was_there(
    name, failure, error, existing, tmp_path, monkeypatch
):
    if existing:
        records.save(RUN, record_of(), tmp_path)
    monkeypatch.setattr(os, name, failure)
    with pytest.raises(error, match="No space left"):
        records.save(RUN, record_of(rows={}), tmp_path)
    monkeypatch.undo()
    assert records.load(RUN, tmp_path) == (record_of() if existing else None)
    assert len(list(records.path(RUN, tmp_path).parent.iterdir())) == int(existing)


def test_an_interrupted_write_leaves_what_was_there(tmp_path, monkeypatch):
    records.save(RUN, record_of(), tmp_path)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        records.save(RUN, record_of(rows={}), tmp_path)
    monkeypatch.undo()
    assert records.load(RUN, tmp_path) == record_of()
    assert len(list(records.path(RUN, tmp_path).parent.iterdir())) == 1


def test_not_a_number_is_not_recorded(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.save(RUN, record_of(rows={"plain": {"ece": [float("nan")]}}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_everyone_may_read_a_record(tmp_path):
    assert records.save(RUN, record_of(), tmp_path).stat().st_mode & 0o777 == 0o644


def test_every_record_in_order(tmp_path):
    assert list(records.every(tmp_path / "nothing")) == []
    runs = [dataclasses.replace(RUN, seed=seed) for seed in range(4)] + [TEACHER]
    files = [records.save(run, record_of(run), tmp_path) for run in runs]
    (files[0].parent / f".{files[0].name}-abc.part").write_text("half of a rec")
    found = list(records.every(tmp_path))
    assert [file for file, _ in found] == sorted(files)
    by_file = dict(zip(files, runs, strict=True))
    assert all(record == record_of(by_file[file]) for file, record in found)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_six_digits_are_kept(value):
    (kept,) = records.rounded([value])
    assert kept == pytest.approx(value, rel=5.1e-6, abs=1e-300)
    assert records.rounded(kept) == kept
    assert len(f"{kept!r}".split("e")[0].strip("-0").replace(".", "").strip("0")) <= 6


def test_rounding_keeps_four_digits_at_any_depth():
    values = [[[1 / 3, 12345.6]], [[0.0, -2e-7 / 3]]]
    assert records.rounded(values, 4) == [[[0.3333, 12350.0]], [[0.0, -6.667e-08]]]


def test_rounding_keeps_everything_else():
    value = {"a": [1, 2.0000001, (True, None, "x")], "b": {"c": 1234567, "d": 0.1 + 0.2}}
    rounded = records.rounded(value)
    assert rounded == {"a": [1, 2.0, [True, None, "x"]], "b": {"c": 1234567, "d": 0.3}}
    assert rounded["a"][2][0] is True


def test_the_root_of_a_study(tmp_path, monkeypatch):
    (tmp_path / "study" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"no _config.yml in {tmp_path.resolve()} or above it"):
        records.root()
    (tmp_path / "study" / "_config.yml").write_text("")
    monkeypatch.chdir(tmp_path / "study" / "notebooks")
    assert records.root() == (tmp_path / "study").resolve()
    assert records.folder() == (tmp_path / "study").resolve() / "book" / "results"
    assert records.load(RUN) is None
    records.save(RUN, record_of())
    assert records.load(RUN) == record_of()
    assert len(list(records.every())) == 1


def test_a_specification_gives_its_run_back():
    grandchild = dataclasses.replace(RUN, teachers=(RUN, TEACHER))
    for run in (TEACHER, RUN, grandchild):
        again = records.from_specification(json.loads(json.dumps(run.specification)))
        assert again == run
        assert again.specification == run.specification
        assert again.keep == run.keep
        assert [teacher.id for teacher in again.teachers] == [t.id for t in run.teachers]
    assert records.from_specification(grandchild.specification).teachers[0].teachers == (TEACHER,)


def test_a_run_is_found_by_the_id_of_its_record(tmp_path):
    for run in (TEACHER, RUN):
        records.save(run, record_of(run), tmp_path)
    assert records.find(RUN.id, tmp_path) == RUN
    assert records.find(TEACHER.id, tmp_path) == TEACHER
    for wrong in ("", RUN.id[1:], f"ils1-{RUN.id}", "0" * 12):
        with pytest.raises(ValueError, match=f"no record has the id '{wrong}': `ldlstudy records`"):
            records.find(wrong, tmp_path)
