"""Whole builds of small books, with real kernels and Sphinx."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from ldlstudy.book import BookError
from ldlstudy.book.build import Options, build, run_notebooks
from ldlstudy.book.stage import prepare
from tests.conftest import ROOT, notebook

SMOKE = Options(profile="smoke")


@pytest.fixture
def said():
    return []


def test_a_book_is_built_once_and_kept_when_the_next_one_fails(toy_book, said):
    project = toy_book()
    build(project, SMOKE, said.append)
    page = (project.html / "book" / "index.html").read_text()
    assert "Accuracy 0.820, see" in page
    chapter = (project.html / "notebooks" / "01_toy.html").read_text()
    assert 'alt="a triangle"' in chapter
    assert "profile smoke" in chapter
    assert "injected" not in chapter
    assert (project.html / ".nojekyll").exists()
    before = {path: path.read_bytes() for path in project.html.rglob("*.html")}

    said.clear()
    index = project.root / "book" / "index.md"
    index.write_text(index.read_text() + "\nWrong {num}`01_toy:bayes.acuracy`.\n")
    with pytest.raises(BookError, match="did you mean bayes.accuracy"):
        build(project, SMOKE, said.append)
    assert said == ["01_toy: unchanged, skipped"]
    assert {path: path.read_bytes() for path in project.html.rglob("*.html")} == before


def test_each_failing_notebook_is_named_and_the_others_are_kept(toy_book, said):
    project = toy_book(
        good=notebook("print(1)"),
        fails=notebook("x = 1", "# why\n1 / 0"),
        hangs=notebook("import time\ntime.sleep(600)"),
        warns=notebook("import warnings\nwarnings.warn('careful')"),
        dies=notebook("import os\nos._exit(3)"),
    )
    prepare(project)
    options = Options(profile="smoke", jobs=5, cell_seconds=4)
    with pytest.raises(BookError) as caught:
        run_notebooks(project, list(project.notebooks), options, said.append)
    faults = str(caught.value).splitlines()
    assert len(faults) == 4
    assert faults[0].startswith("dies.ipynb: cell 3 (import os): ")
    assert "died" in faults[0].lower()
    assert faults[1] == "fails.ipynb: cell 4 (# why): ZeroDivisionError: division by zero"
    assert faults[2] == "hangs.ipynb: cell 3 (import time): took longer than the limit of 4 s"
    assert faults[3].startswith("warns.ipynb: cell 3 (import warnings) wrote to stderr: ")
    said.clear()
    run_notebooks(project, ["good"], options, said.append)
    assert said == ["good: unchanged, skipped"]
    assert [path.stem for path in (project.build / "cache" / "smoke").iterdir()] == ["good"]
    assert not list((project.stage / "notebooks").glob(".*"))


def test_two_runs_give_the_same_file(toy_book, said):
    project = toy_book()
    files = []
    for _ in range(2):
        prepare(project)
        run_notebooks(project, ["01_toy"], Options(profile="smoke", force=True), said.append)
        files.append((project.stage / "notebooks" / "01_toy.ipynb").read_bytes())
    assert files[0] == files[1]
    nbformat.validate(nbformat.reads(files[0].decode(), as_version=4))


def test_a_paper_run_is_kept_with_the_records_it_made(toy_book, said):
    trains = notebook("open(f'../book/results/{profile}.json', 'w').write('{}');")
    project = toy_book(trains=trains)
    for expected in ("trains: not run before, running (paper)", "trains: unchanged, skipped"):
        said.clear()
        prepare(project)
        run_notebooks(project, ["trains"], Options(profile="paper", jobs=1), said.append)
        assert said[0] == expected
    assert (project.root / "book" / "results" / "paper.json").exists()


def test_an_interrupted_build_leaves_nothing_behind(toy_book):
    project = toy_book(
        hangs=notebook("open('running', 'w').close()", "import time\ntime.sleep(600)")
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "ldlstudy.cli", "book", "--profile", "smoke"],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    running = project.stage / "notebooks" / "running"
    for _ in range(300):
        if running.exists():
            break
        time.sleep(0.1)
    assert running.exists()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "ldlstudy: interrupted; finished notebooks are kept"
    assert "Traceback" not in stderr
    assert not (project.build / "cache").exists()
    assert not project.html.exists()
    assert not [path for path in running.parent.iterdir() if "partial" in path.name]


def test_an_unknown_profile_or_notebook_lists_the_known_ones(toy_book, said):
    project = toy_book()
    with pytest.raises(ValueError, match="unknown profile 'fast'; known: paper, quick, smoke"):
        build(project, Options(profile="fast"), said.append)
    with pytest.raises(ValueError, match="unknown notebook '02_x'; known: 01_toy"):
        build(project, Options(profile="smoke", only="02_x"), said.append)
    assert not project.build.exists()
