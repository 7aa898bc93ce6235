"""Records: a line each, whole or not at all, and never lost to who else writes."""

import dataclasses
import errno
import hashlib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy.experiment import records
from ldlstudy.experiment.records import Record, Run
from ldlstudy.files import rounded
from tests.conftest import ROOT

TEACHER = Run("six_gaussians", "mlp64x5", "none")
RUN = Run(
    "six_gaussians", "mlp64x5", "ils1", {"train": 50, "separation": 1.0}, {},
    {"p1": [0.75, 0.8], "p2": 2.0}, recipe={"rate": 0.01, "batch": None}, teachers=(TEACHER,),
    replicates=3, seed=7,
)  # fmt: skip
MACHINE = {"device": "CPU", "python": "3.11", "versions": {"torch": "2"}, "source": "0be8e9"}
SECONDS = {"seconds": 1.5, "networks": 3}


def record_of(run=RUN, **parts):
    whole = {
        "values": {"plain": {"accuracy": [0.8, 0.81, 0.79][: run.replicates]}},
        "intervals": {"plain": {"accuracy": [0.79, 0.81]}},
        "kept": ("map",),
        "figures": {"plain map": [[0.1, 0.2], [0.3, 0.4]], "note": {"é": None, "deep": {"a": [1]}}},
        "made": {**MACHINE, **SECONDS},
    }
    return Record(run.specification, **(whole | parts))


def content(record):
    """Return all of a record, its figures read."""
    fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return fields | {"figures": record.all_figures}


def read(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]


def seeded(count):
    return [dataclasses.replace(RUN, seed=seed) for seed in range(count)]


# What a run is


def test_the_id_is_the_hash_of_what_is_not_empty():
    text = '{"dataset":"six_gaussians","method":"none","model":"mlp64x5","replicates":1,"seed":0}'
    assert TEACHER.id == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert RUN.specification["teachers"] == [TEACHER.id]


def test_the_id_does_not_depend_on_the_order_of_keys():
    same = dataclasses.replace(
        RUN, data={"separation": 1.0, "train": 50}, settings={"p2": 2.0, "p1": (0.75, 0.8)}
    )
    assert len({same, RUN, TEACHER}) == 2
    assert RUN.id != RUN


OTHERS = {  # other values of each field of RUN
    "dataset": ["noisy_digits"],
    "model": ["mlp64x1"],
    "method": ["ils2"],
    "data": [{"train": 51, "separation": 1.0}, {}],
    "network": [{"norm": True}],
    "settings": [{"p1": [0.75], "p2": 2.0}, {"p1": [0.8, 0.75], "p2": 2.0}],
    "augmentation": [{"flip": True}],
    "mixing": [{"name": "cutmix"}],
    "recipe": [{"rate": 0.01, "batch": 16}],
    "teachers": [(), (dataclasses.replace(TEACHER, seed=1),), (TEACHER, TEACHER)],
    "replicates": [4],
    "seed": [8],
}


def test_the_id_changes_with_every_field_of_a_run_which_names_no_profile_or_what_is_kept(tmp_path):
    records.save(record_of(), tmp_path)
    for name, values in OTHERS.items():
        for value in values:
            other = dataclasses.replace(RUN, **{name: value})
            assert other != RUN
            assert records.load(other, tmp_path) is None
    assert OTHERS.keys() == {field.name for field in dataclasses.fields(Run)}
    assert not OTHERS.keys() & {"keep", "profile"}


# What a file holds


def test_round_trip(tmp_path):
    assert records.load(RUN, tmp_path / "nothing") is None
    assert list(records.every(tmp_path / "nothing")) == []
    records.save(record_of(), tmp_path)
    found = records.load(RUN, tmp_path)
    assert content(found) == content(record_of())
    assert [content(each) for each in records.every(tmp_path)] == [content(found)]
    assert found.name == f"six_gaussians/ils1-{RUN.id}"
    assert records.ids("six_gaussians", tmp_path) == {RUN.id}
    assert records.ids("mnist", tmp_path) == set()


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85\u2028\u2029"))
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
dictionaries = st.dictionaries(texts, json_values, max_size=2)
rows = st.dictionaries(texts, numbers | st.lists(numbers, min_size=1, max_size=1))
values_of = st.dictionaries(texts, rows, min_size=1, max_size=2)


def told_apart(each):
    return json.dumps(each[:2], sort_keys=True)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["mnist", "digits"]), dictionaries, values_of, dictionaries),
        max_size=4,
        unique_by=told_apart,
    )
)
def test_whatever_json_can_say_is_loaded_as_it_was_saved(several):
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for dataset, chosen, values, figures in several:
            run = Run(dataset, "model", "none", settings=chosen)
            record = record_of(run, values=values, intervals={}, figures=figures)
            made.append((run, record))
            records.save(made[-1][1], Path(folder))
        for run, record in made:
            told = {"values": rounded(record.values), "figures": rounded(record.figures)}
            assert content(records.load(run, Path(folder))) == content(record) | told


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"])
def test_a_line_end_of_unicode_ends_no_line_of_a_file(end, tmp_path):
    records.save(record_of(figures={"note": f"a{end}b"}), tmp_path)
    assert records.load(RUN, tmp_path).figure("note") == f"a{end}b"


def test_a_line_for_each_record_sorted_by_id_and_figures_beside_them(tmp_path):
    others = [dataclasses.replace(run, dataset="digits") for run in seeded(2)]
    runs = [*seeded(9), *others]
    for run in runs:
        records.save(record_of(run), tmp_path)
    (tmp_path / ".digits.jsonl-abc.part").write_text("half of a rec")
    for name, own in (("six_gaussians", runs[:9]), ("digits", others)):
        expected = sorted(run.id for run in own)
        for file in (f"{name}.jsonl", f"{name}.figures.jsonl"):
            assert [line["id"] for line in read(tmp_path / file)] == expected
    text = (tmp_path / "digits.jsonl").read_text(encoding="utf-8")
    assert text.count('"values":{"plain":{"accuracy":[0.8,0.81,0.79]}}') == 2
    assert "figures" not in text
    found = [(r.specification["dataset"], r.id) for r in records.every(tmp_path)]
    assert found == sorted((run.dataset, run.id) for run in runs)


def test_circumstances_are_written_once_and_referred_to(tmp_path):
    runs = seeded(3)
    others = {**MACHINE, "device": "GPU", "threads": 4}
    for run, machine in zip(runs, (MACHINE, MACHINE, others), strict=True):
        records.save(record_of(run, made={**machine, **SECONDS}), tmp_path)
    listed = read(tmp_path / "circumstances.jsonl")
    assert sorted(line["device"] for line in listed) == ["CPU", "GPU"]
    by_id = {line["id"]: line["made"] for line in read(tmp_path / "six_gaussians.jsonl")}
    assert by_id[runs[0].id] == by_id[runs[1].id] != by_id[runs[2].id]
    assert set(by_id[runs[0].id]) == {*SECONDS, "circumstances"}
    assert records.load(runs[1], tmp_path).made == {**MACHINE, **SECONDS}
    assert records.load(runs[2], tmp_path).made == {**others, **SECONDS}


def test_figures_are_read_when_they_are_asked_for(tmp_path):
    records.save(record_of(), tmp_path)
    record, other = (records.load(RUN, tmp_path) for _ in range(2))
    assert record.figure("note") == {"é": None, "deep": {"a": [1]}}
    with pytest.raises(ValueError, match=f"{RUN.id} has no figure 'maps'; it has plain map, note"):
        record.figure("maps")
    file = tmp_path / "six_gaussians.figures.jsonl"
    file.write_text(file.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    assert records.load(RUN, tmp_path).values == record.values
    with pytest.raises(ValueError, match="figures.jsonl, line 1, is damaged"):
        other.figure("note")
    file.unlink()
    with pytest.raises(ValueError, match="no figure 'note'; it has none"):
        records.load(RUN, tmp_path).figure("note")


def test_an_estimate_is_the_mean_with_its_interval_where_there_is_one():
    values = {"plain": {"accuracy": [0.8, 0.81, 0.79], "ece_15_left": 0.05}}
    record = record_of(values=values)
    assert record.estimate("plain", "accuracy") == pytest.approx((0.8, 0.79, 0.81))
    assert record.estimate("plain", "ece_15_left") == (0.05, 0.05, 0.05)
    assert record.replicates("plain", "ece_15_left") == [0.05]


def test_not_a_number_is_not_recorded(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.save(record_of(values={"plain": {"ece_15_left": float("nan")}}), tmp_path)
    assert records.load(RUN, tmp_path) is None


def test_a_record_that_is_there_gets_what_it_lacks_and_keeps_what_it_has(tmp_path):
    old = record_of(intervals={}, formerly=("0" * 12,), figures={"note": 1})
    records.save(old, tmp_path)
    new = record_of(
        values={"plain": {"brier": 0.3}, "scaled": {"accuracy": 0.2}},
        intervals={"plain": {"brier": [0.2, 0.4]}},
        kept=("curves",),
        figures={"note": 2, "curves": [3]},
        made={**MACHINE, **SECONDS, "seconds": 9.0},
        formerly=("1" * 12,),
    )
    for _ in range(2):
        records.save(new, tmp_path)
        record = records.load(RUN, tmp_path)
        assert record.values == {
            "plain": {"accuracy": [0.8, 0.81, 0.79], "brier": 0.3},
            "scaled": {"accuracy": 0.2},
        }
        assert record.intervals == new.intervals
        assert record.kept == ("curves", "map")
        assert record.all_figures == {"note": 1, "curves": [3]}
        assert record.made == old.made
        assert record.formerly == ("0" * 12, "1" * 12)
        assert records.ids("six_gaussians", tmp_path) == {RUN.id}


def test_a_record_has_no_numbers_of_two_trainings(tmp_path):
    """One of another training takes the place of the first if it has all of that and more."""
    first = record_of(formerly=("0" * 12,), figures={"map": 1})
    records.save(first, tmp_path)
    other = {"values": {"plain": {"accuracy": [0.8, 0.81, 0.7], "brier": 0.3}}, "intervals": {}}
    records.save(record_of(**other, figures={"map": 2}), tmp_path)  # of a teacher trained again
    assert records.load(RUN, tmp_path).values == first.values
    with pytest.raises(ValueError, match="another training than this one, which lacks map: keep"):
        records.save(record_of(**other, kept=("curves",), figures={"curves": 3}), tmp_path)
    assert records.load(RUN, tmp_path).values == first.values
    more = {"kept": ("curves", "map"), "figures": {"map": 2, "curves": 3}}
    records.save(record_of(**other, **more, formerly=("1" * 12,)), tmp_path)
    found = records.load(RUN, tmp_path)
    assert (found.values, found.all_figures) == (other["values"], more["figures"])
    assert found.formerly == ("0" * 12, "1" * 12)


def test_a_completed_record_is_still_of_the_machine_that_made_it(tmp_path):
    records.save(record_of(), tmp_path)
    records.save(record_of(made={**MACHINE, **SECONDS, "device": "GPU"}), tmp_path)
    assert records.load(RUN, tmp_path).made == {**MACHINE, **SECONDS}


# What is refused


def compact(line, **changed):
    """Return a line with the checksum that fits it, in Python's own words."""
    line = {name: value for name, value in (line | changed).items() if name != "crc32"}
    text = json.dumps(line, separators=(",", ":"), ensure_ascii=False)[:-1]
    return f'{text},"crc32":"{zlib.crc32(text.encode()):08x}"}}'


def with_number(line, number):
    return compact(line, values={"plain": {"accuracy": number}}, intervals={})


def of_run(line, **changed):
    """Return a line whose run is another one, with the id of that."""
    run = {k: v for k, v in (line["run"] | changed).items() if v is not None}
    return compact(line, id=records.identity(run), run=run)


DAMAGES = {  # what becomes of a line, and what is said of it
    "empty line": (lambda line: "", "line 2, is damaged: it does not begin with an id"),
    "half of another": (lambda line: compact(line)[9:], "line 2, is damaged: it does not begin"),
    "cut off": (lambda line: compact(line)[:-9], "line 2, is damaged: Unterminated"),
    "two in one": (lambda line: compact(line) * 2, "line 2, is damaged: it has another checksum"),
    "another digit": (
        lambda line: compact(line).replace(".8", ".9"),
        "line 2, is damaged: it has another checksum",
    ),
    "no run": (lambda line: compact({k: v for k, v in line.items() if k != "run"}), "run .Field"),
    "no circumstances": (lambda line: compact(line, made={}), "line 2, is damaged: made seconds"),
    "values of no kind": (lambda line: compact(line, values=3), "line 2, is damaged: values"),
    "no value": (lambda line: compact(line, values={}), "line 2, is damaged: values"),
    "unknown circumstances": (
        lambda line: compact(line, made=SECONDS | {"circumstances": "0" * 12}),
        "line 2, is damaged: circumstances '000000000000' are not listed",
    ),
    "of another run": (
        lambda line: compact(
            line, run=TEACHER.specification, values={"plain": {"a": 1.0}}, intervals={}
        ),
        "line 2, is not the record of the run that it names",
    ),
    "twice, not alike": (
        lambda line: compact(line) + "\n" + compact(line, kept=[]),
        "line 3, is a second record '.*': delete one of the lines",
    ),
    "no text": (lambda line: "\udcff", "is damaged: .*decode"),
    "not a number": (lambda line: with_number(line, math.nan), "line 2, is damaged: NaN is no num"),
    "infinite": (lambda line: with_number(line, -math.inf), "line 2, is damaged: -Infinity is no"),
    "a string for a number": (lambda line: with_number(line, "0.8"), "values plain accuracy"),
    "true for a number": (lambda line: with_number(line, True), "values plain accuracy"),
    "no number for a replicate": (
        lambda line: with_number(line, [0.1, 0.2]),
        "line 2, is damaged: .*plain accuracy has 2 values of 3 replicates",
    ),
    "no number": (lambda line: with_number(line, []), "values plain accuracy"),
    "an interval of nothing": (
        lambda line: compact(line, intervals={"plain": {"brier": [0, 1]}}),
        "line 2, is damaged: .*plain brier has no value for its interval",
    ),
    "an interval that ends before it starts": (
        lambda line: compact(line, intervals={"plain": {"accuracy": [1, 0]}}),
        "line 2, is damaged: .*plain accuracy has no value for its interval, or no order",
    ),
    "a key twice": (
        lambda line: (
            compact(line).replace('"kept"', '"kept":["a"],"kept"').split(',"crc32"')[0] + "}"
        ),
        "line 2, is damaged: 'kept' is there twice",
    ),
    "another key": (lambda line: compact(line, format=True), "line 2, is damaged: format"),
    "nested deeply": (
        lambda line: (
            compact(line, kept=["deep"]).replace('"deep"', "[" * 10**5 + "]" * 10**5, 1)[:-20] + "}"
        ),
        "line 2, is damaged: maximum recursion depth",
    ),
    "a list for a run": (lambda line: compact(line, run=[line["run"]]), "line 2, is damaged: run"),
    "a seed that is none": (lambda line: of_run(line, seed="7"), "line 2, is damaged: run seed"),
    "a negative seed": (lambda line: of_run(line, seed=-1), "line 2, is damaged: run seed"),
    "no seed": (lambda line: of_run(line, seed=None), "line 2, is damaged: run seed"),
    "what is empty": (lambda line: of_run(line, network={}), "line 2, is damaged: run network"),
    "of another data set": (
        lambda line: of_run(line, dataset="digits"),
        "line 2, is a record of digits: delete the stray copy",
    ),
    "a path for a data set": (lambda line: of_run(line, dataset="../x"), "damaged: run dataset"),
    "an id that is none": (lambda line: compact(line, formerly=["x"]), "damaged: formerly"),
    "a time that is none": (
        lambda line: compact(line, made=line["made"] | {"seconds": "1"}),
        "line 2, is damaged: made seconds",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_line_is_named_and_never_written_over(name, tmp_path):
    for run in seeded(3):
        records.save(record_of(run), tmp_path)
    change, message = DAMAGES[name]
    file = tmp_path / "six_gaussians.jsonl"
    texts = file.read_text(encoding="utf-8").split("\n")
    before = json.loads(texts[1])
    texts[1] = change(before)
    damaged = "\n".join(texts).encode(errors="surrogateescape")
    file.write_bytes(damaged)
    found = texts[1][7:19] if texts[1][:7] == '{"id":"' else before["id"]
    run = next(run for run in seeded(3) if run.id == before["id"])
    for action in (
        lambda: records.find(found, tmp_path),
        lambda: list(records.every(tmp_path)),
        *((lambda: records.save(record_of(run), tmp_path),) if found == run.id else ()),
    ):
        with pytest.raises(ValueError, match=f"six_gaussians.jsonl.*{message}"):
            action()
    assert file.read_bytes() == damaged


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"device": None}, "line 1, is damaged: device"),
        ({"versions": ["2"]}, "line 1, is damaged: versions"),
        ({"threads": True}, "line 1, is damaged: threads"),
        ({"format": 2}, "line 1, is damaged: format"),
        ({"device": "GPU"}, "line 1, is not of the circumstances that it names"),
    ],
)
def test_damaged_circumstances(changed, message, tmp_path):
    records.save(record_of(), tmp_path)
    file = tmp_path / "circumstances.jsonl"
    file.write_text(compact(json.loads(file.read_text()), **changed) + "\n")
    with pytest.raises(ValueError, match=f"circumstances.jsonl, {message}"):
        records.load(RUN, tmp_path)


def test_a_copy_of_a_file_is_not_read_beside_it(tmp_path):
    records.save(record_of(), tmp_path)
    shutil.copy(tmp_path / "six_gaussians.jsonl", tmp_path / "six_gaussians (1).jsonl")
    with pytest.raises(
        ValueError, match="[(]1[)].jsonl, line 1, is a record of six_gaussians: del"
    ):
        records.find(RUN.id, tmp_path)


def test_a_flipped_bit_is_refused_and_never_another_number(tmp_path):
    records.save(record_of(figures={"history": {"loss": [0.5, 0.25]}}), tmp_path)
    expected = content(records.load(RUN, tmp_path))
    rng, refused = random.Random(0), 0
    for name in ("six_gaussians", "six_gaussians.figures", "circumstances") * 100:
        file = tmp_path / f"{name}.jsonl"
        whole = file.read_bytes()
        bits = bytearray(whole)
        bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
        file.write_bytes(bits)
        os.utime(file, ns=(refused, refused))  # else one may be as old as the one before it
        try:
            assert [content(found) for found in records.every(tmp_path)] == [expected]
        except ValueError:
            refused += 1
        file.write_bytes(whole)
    assert refused == 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": {}}, "values"),
        ({"values": {"plain": {"accuracy": []}}, "intervals": {}}, "values plain accuracy"),
        ({"values": {"plain": {"accuracy": "0.8"}}, "intervals": {}}, "values plain accuracy"),
        ({"made": {}}, "device"),
        ({"made": MACHINE}, "made seconds"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(change, message, tmp_path):
    with pytest.raises(ValueError, match=f"what is to be written to .* is damaged: {message}"):
        records.save(record_of(**change), tmp_path)
    assert records.load(RUN, tmp_path) is None


@pytest.mark.parametrize(("name", "value"), [("seed", -1), ("seed", "7"), ("replicates", 0)])
def test_a_run_that_no_record_could_be_of_is_refused_before_it_is_carried_out(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least"):
        dataclasses.replace(RUN, **{name: value})


def test_a_line_that_is_there_twice_alike_is_read_once(tmp_path):
    records.save(record_of(), tmp_path)
    for name in ("six_gaussians", "six_gaussians.figures", "circumstances"):
        file = tmp_path / f"{name}.jsonl"
        file.write_text(file.read_text(encoding="utf-8") * 2, encoding="utf-8")
    (found,) = records.every(tmp_path)
    assert content(found) == content(record_of())
    records.save(record_of(TEACHER), tmp_path)
    assert len(read(tmp_path / "six_gaussians.jsonl")) == 2


@pytest.mark.parametrize(
    ("file", "existing"),
    [("circumstances", False), *((f, e) for f in ("six_gaussians.figures", "six_gaussians")
                                 for e in (True, False))],
)  # fmt: skip
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_what_was_there(error, file, existing, tmp_path, monkeypatch):
    before = record_of()
    if existing:
        records.save(before, tmp_path)
    rename = os.replace

    def replace(source, target):
        if target.name == f"{file}.jsonl":
            raise error
        rename(source, target)

    more = record_of(values={"plain": {"brier": 0.1}}, intervals={}, figures={"more": 1})
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(type(error)):
        records.save(more, tmp_path)
    monkeypatch.undo()
    found = records.load(RUN, tmp_path)
    assert found is None if not existing else found.values == before.values
    assert not list(tmp_path.glob(".*.part"))
    records.save(more, tmp_path)
    assert records.load(RUN, tmp_path).values["plain"]["brier"] == 0.1


# Who else writes

WRITERS = """
import json, os, pathlib, signal, sys, time
from ldlstudy.experiment import records
from ldlstudy.experiment.records import Record, Run

rename = os.replace

def write(folder, first, count, stop):
    calls = []

    def replace(source, target):
        if len(calls) == stop:
            pathlib.Path(folder, "marker").touch()
            time.sleep(600)
        calls.append(target)
        rename(source, target)

    os.replace = replace
    for seed in range(first, first + count):
        run = Run("six_gaussians", "mlp64x5", "none", seed=seed)
        made = {"device": f"CPU {first}", "python": "3", "versions": {}, "source": "",
                "seconds": 1.0, "networks": 1}
        values = {"plain": {"accuracy": seed / 100, f"by {first}": 1.0}}
        record = Record(run.specification, values, {}, made, figures={"note": seed})
        records.save(record, pathlib.Path(folder))

children = {}
for job in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        write(*job)
        os._exit(0)
    children[child] = job
for child, (folder, _, _, stop) in children.items():
    while stop is not None and not pathlib.Path(folder, "marker").exists():
        time.sleep(0.01)
    if stop is not None:
        os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == (0 if stop is None else signal.SIGKILL)
"""


def write_at_once(*jobs):
    """Let a process for each job (folder, first seed, count, write to be killed in) save."""
    command = [sys.executable, "-c", WRITERS, json.dumps(jobs, default=str)]
    subprocess.run(command, check=True, timeout=120)


def test_processes_that_save_at_once_lose_nothing(tmp_path):
    """Each adds twenty records, half of which another adds as well."""
    firsts = (0, 10, 20)
    write_at_once(*((tmp_path, first, 20, None) for first in firsts))
    found = {record.specification["seed"]: record for record in records.every(tmp_path)}
    assert sorted(found) == list(range(40))
    for seed, record in found.items():
        authors = {f"by {first}" for first in firsts if first <= seed < first + 20}
        assert set(record.values["plain"]) == {"accuracy", *authors}
        assert record.figure("note") == seed
    machines = [line["device"] for line in read(tmp_path / "circumstances.jsonl")]
    assert sorted(machines) == sorted({record.made["device"] for record in found.values()})


def test_a_killed_writer_holds_no_lock_and_leaves_no_half_record(tmp_path):
    """It is killed in its first write, of circumstances, in that of figures, in the record's."""
    folders = [tmp_path / name for name in ("circumstances", "figures", "record")]
    for folder in folders:
        records.save(record_of(), folder)
    write_at_once(*((folder, 0, 1, stop) for stop, folder in enumerate(folders)))
    for folder in folders:
        assert list(folder.glob(".*.part"))
        assert [record.id for record in records.every(folder)] == [RUN.id]
        records.save(record_of(TEACHER), folder)
        assert content(records.load(TEACHER, folder)) == content(record_of(TEACHER))


# Branches of git


@pytest.fixture
def repository(tmp_path):
    """Return a function that calls git in a folder with the attributes of the study's results."""
    if shutil.which("git") is None:
        pytest.skip("no git")

    def git(*arguments, check=True):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=check, capture_output=True, text=True)

    git("init", "-q")
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    results = tmp_path / "book" / "results"
    for run in seeded(4):
        records.save(record_of(run), results)

    def commit(record):
        records.save(record, results)
        git("add", "-A")
        git("commit", "-q", "-m", record.name)

    commit(record_of(TEACHER))
    return git, commit, results


def test_branches_that_add_records_merge_and_stay_readable(repository):
    git, commit, results = repository
    for branch, seeds in (("one", range(10, 20)), ("two", range(15, 25))):
        git("checkout", "-q", "-b", branch, "main")
        for seed in seeds:
            device = "CPU" if seed in range(15, 20) else branch
            made = {**MACHINE, **SECONDS, "device": device}
            commit(record_of(dataclasses.replace(TEACHER, seed=seed), made=made))
    git("merge", "-q", "--no-edit", "one")
    found = {record.id: record for record in records.every(results)}
    runs = [dataclasses.replace(TEACHER, seed=seed) for seed in range(10, 25)]
    assert {run.id for run in (*runs, TEACHER, *seeded(4))} == set(found)
    assert found[runs[0].id].made == {**MACHINE, **SECONDS, "device": "one"}
    assert found[runs[-1].id].made == {**MACHINE, **SECONDS, "device": "two"}
    assert all(record.figure("note") for record in found.values())


def test_branches_that_complete_a_record_each_in_its_way_are_told_so(repository):
    git, commit, results = repository
    for branch in ("one", "two"):
        git("checkout", "-q", "-b", branch, "main")
        commit(record_of(TEACHER, values={"plain": {branch: 1.0}}, intervals={}))
    git("merge", "-q", "--no-edit", "one")
    with pytest.raises(ValueError, match=f"is a second record '{TEACHER.id}': delete one of"):
        records.load(TEACHER, results)


# Finding


def test_a_record_is_found_by_its_id_and_by_those_it_had(tmp_path):
    old, older = "a" * 12, "b" * 12
    records.save(record_of(formerly=(old, older)), tmp_path)
    records.save(record_of(TEACHER, formerly=(RUN.id,)), tmp_path)
    for id in (RUN.id, old, older):
        assert records.find(id, tmp_path).id == RUN.id
    assert records.find(TEACHER.id, tmp_path).id == TEACHER.id
    for wrong in ("", RUN.id[1:], f"ils1-{RUN.id}", "0" * 12):
        with pytest.raises(ValueError, match=f"no record has the id '{wrong}': `ldlstudy records`"):
            records.find(wrong, tmp_path)
    added = dataclasses.replace(RUN, seed=99)
    records.save(record_of(added), tmp_path)
    assert records.find(added.id, tmp_path).specification["seed"] == 99


def test_a_record_gives_its_run_back_with_all_its_teachers(tmp_path):
    grandchild = dataclasses.replace(RUN, teachers=(RUN, TEACHER))
    for run in (TEACHER, RUN, grandchild):
        records.save(record_of(run), tmp_path)
    again = records.run_of(records.load(grandchild, tmp_path), tmp_path)
    assert again == grandchild
    assert again.specification == grandchild.specification
    assert again.teachers == (RUN, TEACHER)
    assert again.teachers[0].teachers == (TEACHER,)
    orphan = record_of(dataclasses.replace(RUN, teachers=(dataclasses.replace(TEACHER, seed=3),)))
    with pytest.raises(ValueError, match="no record has the id"):
        records.run_of(orphan, tmp_path)


def test_records_lie_in_the_study_that_the_process_works_in(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert records.folder() == tmp_path.resolve() / "book" / "results"
    assert records.load(RUN) is None
    records.save(record_of())
    assert content(records.load(RUN)) == content(record_of())
    assert records.find(RUN.id).id == RUN.id
    assert records.ids("six_gaussians") == {RUN.id}
