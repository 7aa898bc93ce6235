"""Whole builds of small books, with real kernels and Sphinx."""

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from ldlstudy.book import BookError, cache, execute, site
from ldlstudy.book import build as book_build
from ldlstudy.book.build import Options, build, publish, run_notebooks, sphinx
from ldlstudy.book.exported import export
from ldlstudy.book.stage import alone, prepare
from ldlstudy.experiment.records import Record
from ldlstudy.report import tables
from tests.book.recorded import saved
from tests.browser import browser, chromium, page, served
from tests.conftest import CODE, ROOT, SHOWN, notebook
from tests.experiment.runs import until

SMOKE = Options(profile="smoke")


@pytest.fixture
def said():
    return []


def test_a_book_is_built_with_all_that_it_links_to_and_kept_when_the_next_one_fails(toy_book, said):
    table = "display({'text/html': HTML, 'text/csv': 'row,a\\nr,1\\n'}, raw=True)"
    chapter = notebook(CODE, table)
    chapter.cells[-2].metadata.mystnb = SHOWN
    project = toy_book(**{"01_toy": chapter})
    _, record = saved(project.root / "book" / "results")
    html = f"<table><tr><th>r</th><td>{tables.linked('1', [record])}</td></tr></table>"
    chapter.cells[-1].source = f"HTML = {html!r}\n{table}"
    nbformat.write(chapter, project.notebooks["01_toy"])
    (project.root / "book" / "records.md").write_text("# Records\n\nBy data set.\n")
    toc = project.root / "_toc.yml"
    listed = "  - file: book/records\n    sections:\n      - glob: book/records/*\n"
    toc.write_text(toc.read_text() + listed)

    build(project, SMOKE, said.append)
    pages = {path.stem: path.read_text() for path in project.html.rglob("*.html")}
    assert "Accuracy 0.820, see" in pages["index"]
    assert 'id="ldlstudy.seeds.seed_of"' in pages["api"]
    assert f'id="{record.anchor}"' in pages["digits"]
    for part in (
        'alt="a triangle"',
        "profile smoke",
        '<a href="../_static/data/01_toy/toy.csv" download',  # in the caption
        '<a href="../_static/data/01_toy/c1.csv" download',
        f'<a href="../book/records/digits.html#{record.anchor}"',
    ):
        assert part in pages["01_toy"]
    assert "injected" not in pages["01_toy"]
    if chromium():
        _find_records(project.html, record)
    assert (project.html / ".nojekyll").exists()
    data = project.html / "_static" / "data" / "01_toy"
    assert (data / "toy.csv").read_text() == "x\n1\n"
    assert export(project, project.root / "exported") == 3
    exported = project.root / "exported"
    assert (exported / "01_toy" / "c1.csv").read_text() == "row,a\nr,1\n"
    assert "bayes.accuracy,0.8203\n" in (exported / "numbers" / "01_toy.csv").read_text()

    made = {path: path.stat().st_mtime_ns for path in project.html.rglob("*")}
    report = said[-2]
    said.clear()
    build(project, SMOKE, said.append)
    assert said[:2] == ["01_toy: unchanged, skipped", "pages: unchanged, kept"]
    assert said[2].split("; ")[0] == report.split("; ")[0]
    assert {path: path.stat().st_mtime_ns for path in project.html.rglob("*")} == made
    key = cache.site_key(project)
    assert cache.site_report(project, key) == report.split("; ")[0]
    assert cache.site_report(project, key[::-1]) is None
    page = project.html / "index.html"
    page.write_text(pages["index"] + "x")  # by hand
    assert cache.site_report(project, key) is None
    page.write_text(pages["index"])
    (project.build / "cache" / "site.json").write_text("{")
    assert cache.site_report(project, key) is None

    said.clear()
    index = project.root / "book" / "index.md"
    index.write_text(index.read_text() + "\nWrong {num}`01_toy:bayes.acuracy`.\n")
    with pytest.raises(BookError, match="did you mean bayes.accuracy"):
        build(project, SMOKE, said.append)
    assert said == ["01_toy: unchanged, skipped"]
    assert {path.stem: path.read_text() for path in project.html.rglob("*.html")} == pages
    (data / "c1.csv").unlink()
    with pytest.raises(BookError, match="broken link to ../_static/data/01_toy/c1.csv"):
        site.check(project.html, project.pages)


def _find_records(site: Path, record: Record) -> None:
    """Look for records on their page, and one that is there, as a reader does."""
    with (
        browser() as opened,
        served(site) as url,
        page(opened, f"{url}/book/records/digits.html", offline=False) as shown,
    ):
        field = shown.get_by_label("Find records:")
        row = shown.locator(f'[id="{record.anchor}"]')
        field.fill("no such record")
        assert shown.locator("output.found").inner_text() == "0 found"
        assert not row.is_visible()
        field.fill(record.id)
        assert shown.locator("output.found").inner_text() == "1 found"
        assert row.is_visible()


def test_each_failing_notebook_is_named_and_the_others_are_kept(toy_book, said):
    project = toy_book(
        good=notebook("print(1)"),
        fails=notebook("x = 1", "# why\n1 / 0"),
        hangs=notebook("import time\ntime.sleep(600)"),
        warns=notebook("import warnings\nwarnings.warn('careful')"),
        dies=notebook("import os\nos._exit(3)"),
    )
    prepare(project)
    options = Options(profile="smoke", jobs=5, stall_seconds=8)
    with pytest.raises(BookError) as caught:
        run_notebooks(project, list(project.notebooks), options, said.append)
    faults = str(caught.value).splitlines()
    assert len(faults) == 4
    assert faults[0].startswith("dies.ipynb: cell 3 (import os): ")
    assert "died" in faults[0].lower()
    assert faults[1] == "fails.ipynb: cell 4 (# why): ZeroDivisionError: division by zero"
    assert faults[2] == "hangs.ipynb: cell 3 (import time): stopped, nothing had moved for 8 s"
    assert faults[3].startswith("warns.ipynb: cell 3 (import warnings) wrote to stderr: ")
    assert said[-1] == "done and kept: good; the next call goes on with dies, fails, hangs, warns"
    said.clear()
    run_notebooks(project, ["good"], options, said.append)
    assert said == ["good: unchanged, skipped"]
    assert [path.stem for path in (project.build / "cache" / "smoke").iterdir()] == ["good"]
    assert not list((project.stage / "notebooks").glob(".*"))


TALKS = """
import os, pathlib, time
pulse, end = pathlib.Path(os.environ["LDLSTUDY_PULSE"]), time.monotonic() + 60
os.utime(pulse, (0, 0))
print("still here", flush=True)
while pulse.stat().st_mtime == 0:
    assert time.monotonic() < end
    time.sleep(0.1)
"""


def test_what_a_stopped_chapter_trained_is_kept_for_the_same_code_until_it_is_done(toy_book, said):
    trains = "import os, pathlib\nfolder = pathlib.Path(os.environ['LDLSTUDY_LIVE'])\n"
    trains += "folder.mkdir(parents=True, exist_ok=True)\nbefore = len(list(folder.iterdir()))\n"
    trains += "(folder / f'network{before}').touch()\n"
    chapter = notebook(f"{trains}assert before >= 2, f'{{before}} were there'")
    project = toy_book(toy=chapter)
    kept = project.build / "trained"

    def run():
        prepare(project)
        run_notebooks(project, ["toy"], SMOKE, said.append)

    for there in range(2):
        with pytest.raises(BookError, match=f"{there} were there"):
            run()
    run()
    assert list(kept.iterdir()) == []
    for word in ("one", "other"):  # of other code there is nothing
        chapter.cells[-1].source = f"{trains}assert not before\nassert before, 'stopped {word}'"
        nbformat.write(chapter, project.notebooks["toy"])
        with pytest.raises(BookError, match=f"stopped {word}"):
            run()
    assert len(list(kept.iterdir())) == 1


def test_what_a_cell_writes_is_a_sign_of_progress(toy_book, said):
    project = toy_book(talks=notebook(TALKS))
    prepare(project)
    run_notebooks(project, ["talks"], SMOKE, said.append)
    assert said[1].startswith("talks: ")


def test_a_build_says_what_is_at_work_and_how_long_is_left(toy_book, said, monkeypatch):
    monkeypatch.setattr(book_build, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(book_build, "LOOKS", 2)
    trains = "import os, time\nfrom ldlstudy.device import progress\n"
    trains += "with progress(3, 'training', 'run') as bar:\n    bar.update(2)\n    bar.refresh()\n"
    project = toy_book(toy=notebook(f"{trains}    time.sleep(3)"))
    prepare(project)
    run_notebooks(project, ["toy"], SMOKE, said.append)
    lines = [line for line in said if line.startswith("at work: toy (training: 2 of 3 runs, ")]
    assert lines
    assert all(line.endswith(" left)") for line in lines)


@pytest.mark.parametrize("signs", [0, 1, 7])
def test_a_cell_may_take_as_long_as_it_gives_signs(signs, tmp_path, monkeypatch):
    """The kernel starts in 100 s, then gives a sign in every 9 s, where 10 are allowed."""
    clock, pulse, wait = 0.0, tmp_path / "pulse", asyncio.sleep

    async def sleep(seconds):
        nonlocal clock
        clock += seconds
        if clock >= 100 and (clock - 100) % 9 == 0 and (clock - 100) // 9 <= signs:
            pulse.touch()
            os.utime(pulse, (clock, clock))
        await wait(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    asyncio.run(execute._stalled(pulse, 10))
    assert clock == 100 + 9 * signs + 10


def test_a_paper_run_is_kept_with_its_records_and_two_runs_give_the_same_file(toy_book, said):
    records = "open(f'../book/results/{profile}.jsonl', 'w').close();"
    chapter = notebook(records, CODE)
    chapter.cells[-1].metadata.mystnb = SHOWN
    project = toy_book(trains=chapter)
    files = []
    expectations = {"not run before, running (paper)": False, "unchanged, skipped": False}
    for expected, force in {**expectations, "forced, running (paper)": True}.items():
        said.clear()
        prepare(project)
        options = Options(profile="paper", jobs=1, force=force)
        run_notebooks(project, ["trains"], options, said.append)
        assert said[0] == f"trains: {expected}"
        files.append(project.staged("trains").read_bytes())
    assert files[0] == files[1] == files[2]
    nbformat.validate(nbformat.reads(files[0].decode(), as_version=4))
    assert (project.root / "book" / "results" / "paper.jsonl").exists()


def begun(project):
    """Start a build in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ldlstudy.cli", "book", "--profile", "smoke"],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def hanging(toy_book):
    """Start a build whose notebook hangs; return its project, its process and the kernel's id."""
    begin = (
        "import os\nopen('started', 'w').write(str(os.getpid()))\nos.rename('started', 'running')"
    )
    project = toy_book(hangs=notebook(begin, "import time\ntime.sleep(600)"))
    process = begun(project)
    running = project.stage / "notebooks" / "running"
    until(running.exists, process)
    return project, process, int(running.read_text())


def gone(process):
    """Return whether no process has this id, or only its parent has not asked for its end yet."""
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True)
    return status.stdout.strip()[:1] in (b"", b"Z")


def free(project):
    """Return whether a build could start."""
    try:
        with alone(project):
            return True
    except BookError:
        return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_behind(how, toy_book):
    project, process, kernel = hanging(toy_book)
    assert not free(project)
    process.send_signal(how)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "ldlstudy: interrupted; finished notebooks are kept"
    assert "Traceback" not in stderr
    assert free(project)
    assert not (project.build / "cache").exists()
    assert not project.html.exists()
    assert not list((project.stage / "notebooks").glob("*partial*"))
    until(lambda: gone(kernel))


def test_what_a_killed_build_started_ends_with_it_and_holds_its_folder_until_then(toy_book):
    project, process, kernel = hanging(toy_book)
    started = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    )
    (papermill,) = map(int, started.stdout.split())
    os.kill(papermill, signal.SIGSTOP)
    process.kill()
    process.wait()
    process.stderr.close()
    assert not free(project)
    os.kill(papermill, signal.SIGCONT)
    until(lambda: gone(papermill) and gone(kernel))
    assert free(project)


TRAINS = """
from ldlstudy.experiment import sweep
from tests.experiment.runs import plans, tiny
(record,) = sweep.live(plans([tiny(recipe={"epochs": 120})])).values()
print(record.values, [record.figure("history")[name][-1] for name in ("loss", "rate")])
"""


def below(process):
    """Return the ids of all that a process has started, and what that has."""
    listed = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True).stdout
    started = [int(line) for line in listed.split()]
    return [*started, *(each for child in started for each in below(child))]


def test_a_build_that_is_killed_while_networks_train_ends_as_one_that_was_not(
    toy_book, said, monkeypatch, capsys
):
    """It is killed with all that it started; its page then has the numbers of this process."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    chapter = notebook(CODE, TRAINS)
    chapter.cells[-2].metadata.mystnb = SHOWN
    project = toy_book(**{"01_toy": chapter})
    trained = project.build / "trained"

    process = begun(project)
    until(lambda: list(trained.glob("*/runs/*/checkpoint.pt")), process)
    started = below(process.pid)
    for each in (process.pid, *started):
        os.kill(each, signal.SIGKILL)
    process.communicate()
    until(lambda: all(map(gone, started)))
    assert list(trained.glob("*/runs/*/checkpoint.pt"))  # it was still training
    assert not project.html.exists()
    build(project, SMOKE, said.append)
    assert not list(trained.iterdir())
    exec(TRAINS, {})
    expected = capsys.readouterr().out
    page = BeautifulSoup((project.html / "notebooks" / "01_toy.html").read_text(), "html.parser")
    assert expected in [output.get_text() for output in page.select(".cell_output pre")]


def test_a_kernel_ends_with_the_papermill_that_started_it(toy_book):
    _, process, kernel = hanging(toy_book)
    started = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    )
    os.kill(int(started.stdout), signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ldlstudy: hangs.ipynb: " in stderr
    until(lambda: gone(kernel))


def test_two_builds_at_once(toy_book, said):
    project = toy_book()
    with (
        alone(project),
        pytest.raises(BookError, match="another build or export is at work in .*_build"),
    ):
        build(project, SMOKE, said.append)
    assert not project.stage.exists()
    with alone(project):
        left = subprocess.Popen(["sleep", "600"], close_fds=False)
    assert not free(project)
    left.kill()
    left.wait()
    assert free(project)


def test_publishing_replaces_the_site_whole(tmp_path):
    html, fresh = tmp_path / "html", tmp_path / "fresh"
    for number in (1, 2):
        fresh.mkdir()
        (fresh / f"{number}.html").touch()
        publish(fresh, html)
        assert [path.name for path in html.iterdir()] == [f"{number}.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["html"]


@pytest.mark.parametrize("standing", [True, False])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_site_that_cannot_be_published_leaves_the_old_one(standing, error, tmp_path, monkeypatch):
    html, fresh, rename = tmp_path / "html", tmp_path / "fresh", Path.rename
    for folder in (html, fresh)[not standing :]:
        folder.mkdir()
        (folder / f"{folder.name}.html").touch()

    def fail(path, to):
        if path == fresh:
            raise error
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(type(error)):
        publish(fresh, html)
    assert sorted(tmp_path.iterdir()) == [fresh, html][: 1 + standing]
    assert not standing or (html / "html.html").exists()


def test_a_build_first_puts_back_the_site_that_a_killed_one_had_taken_away(toy_book, said):
    project = toy_book(fails=notebook("1 / 0"))
    old = project.build / "html.old"
    old.mkdir(parents=True)
    (old / "index.html").touch()
    with pytest.raises(BookError, match="ZeroDivisionError"):
        build(project, SMOKE, said.append)
    assert (project.html / "index.html").exists()
    assert not old.exists()


def test_a_full_disk_is_one_line_in_every_phase(toy_book, said, monkeypatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*_, **__):
        raise full

    project = toy_book()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", fail)
        with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device[^\n]*$"):
            prepare(project)
    writes = f"import sys\nprint('WARNING: cannot copy a file: {full}\\n' * 99, file=sys.stderr)\n"
    monkeypatch.setattr(book_build, "CHILD", f"{writes}sys.exit(1)\n")
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '.*/work'$"):
        sphinx(project)


def test_an_unknown_profile_or_notebook_lists_the_known_ones(toy_book, said):
    project = toy_book()
    with pytest.raises(
        ValueError, match="unknown profile 'fast'; known: full, paper, quick, smoke"
    ):
        build(project, Options(profile="fast"), said.append)
    with pytest.raises(ValueError, match="unknown notebook '02_x'; known: 01_toy"):
        build(project, Options(profile="smoke", only="02_x"), said.append)
    assert not project.build.exists()
