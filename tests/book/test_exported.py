"""What a build shows, as CSV files, and what differs between two such folders."""

import errno
import json

import nbformat
import pytest
from nbformat import v4

from ldlstudy import files
from ldlstudy.book import BookError
from ldlstudy.book.exported import compare, export
from ldlstudy.book.stage import Project, alone
from ldlstudy.experiment import records
from ldlstudy.experiment.records import Record, Run
from tests.conftest import notebook
from tests.report.made import MADE

TABLE = "row,a,b\nLS,1,x\nKD,2,y\n"


def written(folder, **tables):
    """Return a folder with tables of a chapter."""
    (folder / "01_toy").mkdir(parents=True)
    for name, text in tables.items():
        (folder / "01_toy" / f"{name}.csv").write_text(text)
    return folder


def built(project):
    """Write what a build leaves to be exported: a table and two numbers."""
    data, numbers = (project.stage / "book" / each for each in ("_static/data/01_toy", "numbers"))
    data.mkdir(parents=True)
    numbers.mkdir()
    (data / "a.csv").write_text(TABLE)
    (numbers / "01_toy.json").write_text(json.dumps({"bayes.ece": 0.25, "device": "CPU, 2 cores"}))


def test_a_build_is_exported_with_its_tables_and_its_numbers(tmp_path):
    project = Project(tmp_path)
    with pytest.raises(BookError, match="there is no build below .*: run `ldlstudy book` first"):
        export(project, tmp_path / "out")
    assert not project.build.exists()
    built(project)
    assert export(project, tmp_path / "out") == 2
    files = {f.relative_to(tmp_path / "out").as_posix(): f for f in tmp_path.glob("out/*/*")}
    assert {name: file.read_text() for name, file in files.items()} == {
        "01_toy/a.csv": TABLE,
        "numbers/01_toy.csv": 'key,value\nbayes.ece,0.25\ndevice,"CPU, 2 cores"\n',
    }
    assert list(compare(tmp_path / "out", tmp_path / "out")) == []


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_an_export_that_is_cut_off_leaves_nothing(existing, error, tmp_path, monkeypatch):
    built(Project(tmp_path))
    write, out = files.write, tmp_path / "exports" / "out"

    def fail(file, content):
        if file.parent.name == "numbers":
            raise error
        return write(file, content)

    if existing:
        out.mkdir(parents=True)
    with monkeypatch.context() as patched:
        patched.setattr(files, "write", fail)
        with pytest.raises(type(error)):
            export(Project(tmp_path), out)
    assert list(out.parent.rglob("*")) == [out] * existing
    assert export(Project(tmp_path), out) == 2
    with pytest.raises(BookError, match="out is not empty: name a new folder"):
        export(Project(tmp_path), out)


def test_an_export_waits_for_no_build_and_no_other_export(tmp_path):
    project = Project(tmp_path)
    built(project)
    with alone(project), pytest.raises(BookError, match="another build or export is at work in"):
        export(project, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_build_of_some_notebooks_alone_is_not_exported(tmp_path):
    project = Project(tmp_path)
    for at in (tmp_path, project.stage):
        (at / "notebooks").mkdir(parents=True)
        for name in ("01_toy", "02_toy"):
            chapter = notebook("print(1)")
            if at != tmp_path and name == "01_toy":
                chapter.cells[-1].outputs = [v4.new_output("stream", text="1")]
            nbformat.write(chapter, at / "notebooks" / f"{name}.ipynb")
    (project.stage / "book" / "_static" / "data").mkdir(parents=True)
    with pytest.raises(BookError, match="the last build lacks 02_toy: run `ldlstudy book` for all"):
        export(project, tmp_path / "out")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (TABLE, []),
        ("row,b,a\nKD,y,2\nLS,x,1\n", []),  # lines and columns in another order
        ("row,a,b\nLS,1,x\nKD,3,y\n", ["KD, a: '2' is '3'"]),
        ("row,a,b\nLS,1,x\n", ["line KD is gone"]),
        (TABLE + "ILS,3,z\n", ["line ILS is new"]),
        (TABLE + "KD,2,y\n", ["line KD (2) is new"]),  # lines that begin alike are numbered
        ("row,a\nLS,1\nKD,2\n", ["column 'b' is gone"]),
        ("row,a,b,c\nLS,1,x,\nKD,2,y,\n", ["column 'c' is new"]),
        ("", [*(f"column {c!r} is gone" for c in ("row", "a", "b")),
              "line LS is gone", "line KD is gone"]),
    ],
)  # fmt: skip
def test_what_differs_between_two_tables_is_named(tmp_path, new, expected):
    found = compare(written(tmp_path / "old", a=TABLE), written(tmp_path / "new", a=new))
    assert list(found) == [f"01_toy/a.csv: {each}" for each in expected]


def test_files_that_only_one_export_has_are_named(tmp_path):
    old, new = (written(tmp_path / name, a=TABLE, **{name: ""}) for name in ("old", "new"))
    only = [f"01_toy/{folder.name}.csv: only in {folder}" for folder in (old, new)]
    assert list(compare(old, new)) == only
    with pytest.raises(ValueError, match=f"{tmp_path / 'gone'} is not a folder"):
        list(compare(old, tmp_path / "gone"))


def test_a_record_is_the_same_under_an_id_that_it_had_before(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").touch()
    monkeypatch.chdir(tmp_path)
    run, former, unknown = Run("digits", "small_cnn", "ls"), "0123456789ab", "ba9876543210"
    values = {"plain": {"accuracy": 0.9}}
    records.save(Record(run.specification, values, {}, dict(MADE), formerly=(former,)))
    now, before, other = (
        written(tmp_path / id, a=f"row,records\nLS,ls-{id}\n") for id in (run.id, former, unknown)
    )
    assert list(compare(before, now)) == []
    difference = f"01_toy/a.csv: LS, records: 'ls-{run.id}' is 'ls-{unknown}'"
    assert list(compare(now, other)) == [difference]
