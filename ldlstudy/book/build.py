"""The whole way from notebooks to site, in order, with the old site kept until the new one is good.

Interrupt it anywhere: the stage is made afresh each time, results enter the cache under a temporary
name, and ``_build/html`` changes only by renaming a site that has passed every check.
"""

import asyncio
import errno
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from tqdm import tqdm

from ldlstudy import checks, device, files
from ldlstudy.book import (
    STALL_SECONDS,
    BookError,
    api_pages,
    cache,
    data_links,
    gates,
    handout,
    record_pages,
    site,
)
from ldlstudy.book import notebook as nb
from ldlstudy.book.execute import CHILD, execute, lifeline, parameters_for, pulse_of
from ldlstudy.book.stage import Project, alone, prepare

LOOK_SECONDS, LOOKS = 1.0, 60  # between two looks at what is at work, and looks to a line about it


@dataclass(frozen=True)
class Options:
    """What a reader may choose on the command line."""

    profile: str = "quick"
    jobs: int | None = None  # notebooks at once; only their training uses two cores
    force: bool = False  # run notebooks and make pages that have not changed, too
    only: str | None = None  # run this notebook alone and leave the site as it is
    stall_seconds: float = STALL_SECONDS


def build(project: Project, options: Options, say: Callable[[str], None] = print) -> None:
    """Execute, check, build, check again, publish below ``_build/html``.

    Raises ValueError for an unknown profile or notebook and BookError for all that is wrong with
    the book, and where another build is at work; the site that stood before is then as it was.
    """
    start = time.monotonic()
    parameters = parameters_for(options.profile)
    names = _chosen(project, options.only)
    gates.check_sources(project, parameters)
    with alone(project):
        settle(project.html)
        prepare(project)
        run_notebooks(project, names, options, say)
        if options.only:
            return
        api_pages.write(project.root / "ldlstudy", project.stage / "book")
        record_pages.write(project.root / "book" / "results", project.stage / "book" / "records")
        key = cache.site_key(project)
        report = None if options.force else cache.site_report(project, key)
        if report:
            say("pages: unchanged, kept")
        else:
            fresh = sphinx(project)
            handout.write(project, fresh / "_static" / handout.NAME)
            report = site.check(fresh, project.pages)
            publish(fresh, project.html)
            cache.store_site(project, key, report)
    say(f"{report}; {time.monotonic() - start:.0f} s in all")
    say(str(project.html / "index.html"))


def _chosen(project: Project, only: str | None) -> list[str]:
    if not project.notebooks and only:
        raise ValueError(f"unknown notebook {only!r}; there are none")
    if only is None:
        return list(project.notebooks)
    return [checks.one_of("notebook", only.removesuffix(".ipynb"), project.notebooks)]


def run_notebooks(
    project: Project, names: list[str], options: Options, say: Callable[[str], None]
) -> None:
    """Put every notebook's outputs and numbers into the stage, from the cache where possible."""
    parameters = parameters_for(options.profile)
    pending = []
    for name in names:
        code = cache.code_key(project, project.notebooks[name], parameters)
        wanted = code + cache.records_key(project)
        found, reason = cache.load(project, name, options.profile, wanted)
        if found and not options.force:
            say(f"{name}: unchanged, skipped")
            _place(project, name, found)
        else:
            say(f"{name}: {'forced' if found else reason}, running ({options.profile})")
            pending.append(name)
    left = list(pending)
    try:
        if pending:
            asyncio.run(_run_pending(project, pending, options, say, left.remove))
    finally:
        if left:
            kept = ", ".join(name for name in names if name not in left) or "none"
            say(f"done and kept: {kept}; the next call goes on with {', '.join(left)}")


async def _run_pending(
    project: Project,
    names: list[str],
    options: Options,
    say: Callable[[str], None],
    on_done: Callable[[str], object],
) -> None:
    """Run the notebooks side by side; all finish, then all failures are reported together."""
    jobs = options.jobs or max(min(2, device.cores()), device.cores() // 2)
    free = asyncio.Semaphore(jobs)
    cells = sum(len(nb.read(project.notebooks[name]).cells) + 1 for name in names)
    working: list[str] = []
    with tqdm(total=cells, unit="cell", desc="notebooks", disable=None) as bar:

        async def run(name: str) -> None:
            async with free:
                working.append(name)
                seconds = await _run(project, name, options, jobs == 1, bar.update)
                working.remove(name)
            on_done(name)
            with tqdm.external_write_mode():
                say(f"{name}: {seconds:.1f} s")

        telling = asyncio.create_task(_tell(project, working, bar, say))
        outcomes = await asyncio.gather(*map(run, names), return_exceptions=True)
        telling.cancel()
    faults = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for fault in faults:
        if not isinstance(fault, BookError):
            raise fault
    gates.require(str(fault) for fault in faults)


async def _tell(
    project: Project, working: list[str], bar: tqdm, say: Callable[[str], None]
) -> None:
    """Show on the bar what is at work; where there is no terminal, say it once a minute."""
    for looks in itertools.count(1):
        await asyncio.sleep(LOOK_SECONDS)
        found = ", ".join(_at_work(project, name) for name in working)
        if not bar.disable:
            bar.set_postfix_str(found)
        elif looks % LOOKS == 0:
            say(f"at work: {found}")


def _at_work(project: Project, name: str) -> str:
    """Return the name of a notebook with what its pulse says."""
    try:
        said = pulse_of(project.staged(name)).read_text(encoding="utf-8")
    except OSError:  # it has not begun, or is done
        said = ""
    return f"{name} ({said})" if said else name


async def _run(
    project: Project, name: str, options: Options, alone: bool, on_cell: Callable[[], object]
) -> float:
    """Execute one notebook, check it, keep it; return its seconds."""
    source, output = project.notebooks[name], project.staged(name)
    parameters = parameters_for(options.profile)
    code, known = cache.code_key(project, source, parameters), cache.records_key(project)
    trained = _trained(project, name, code)
    seconds = await execute(source, output, parameters, options.stall_seconds, on_cell, trained)
    executed = nb.read(output)
    gates.check_executed(source.name, executed, project.root)
    numbers = project.stage / "book" / "numbers" / f"{name}.json"
    result = cache.Executed(
        nb.text(nb.clean(executed)), numbers.read_text("utf-8") if numbers.exists() else None
    )
    _place(project, name, result)
    # A notebook trains what has no record yet, so its own run changes what it depends on. With
    # others beside it the new records may be theirs: then the earlier key stands, and it reruns.
    if alone:
        known = cache.records_key(project)
    cache.store(project, name, options.profile, code + known, result)
    shutil.rmtree(trained, ignore_errors=True)
    return seconds


def _trained(project: Project, name: str, code: str) -> Path:
    """Return where a notebook keeps what it trains until it is done; of other code it goes."""
    folder = project.build / "trained"
    own = folder / f"{name}-{code[:12]}"
    for other in folder.glob(f"{name}-*"):
        if other != own:
            shutil.rmtree(other, ignore_errors=True)
    return own


def _place(project: Project, name: str, result: cache.Executed) -> None:
    executed = nbformat.reads(result.notebook, as_version=4)
    for file, text in data_links.place(executed, name, project.root / "book" / "results").items():
        files.write(project.stage / "book" / "_static" / file, text)
    files.write(project.staged(name), nb.text(executed))
    if result.numbers is not None:
        files.write(project.stage / "book" / "numbers" / f"{name}.json", result.numbers)


def sphinx(project: Project) -> Path:
    """Build the staged book with warnings as errors; return the folder of pages.

    A full disk is an OSError, all else that is wrong a BookError.
    """
    work = project.build / "work"
    shutil.rmtree(work, ignore_errors=True)
    # Jupyter Book has no ``python -m``, and its script may not be on the PATH.
    jupyter_book = CHILD + "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", jupyter_book, "build", str(project.stage)]
    command += ["--path-output", str(work), "--all", "-q", "-W", "-n", "--keep-going"]
    with lifeline() as stdin:
        done = subprocess.run(command, capture_output=True, text=True, stdin=stdin, close_fds=False)
    if done.returncode:
        said = done.stdout + done.stderr
        for number in (errno.ENOSPC, errno.EDQUOT):  # then every file that it writes is a fault
            if (full := os.strerror(number)) in said:
                raise OSError(number, full, str(work))
        lines = said.splitlines()
        faults = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        raise BookError("Sphinx:\n" + "\n".join(faults).replace(f"{project.stage}/", ""))
    return work / "_build" / "html"


def publish(fresh: Path, html: Path) -> None:
    """Put the checked site where the old one stood; where that fails, the old one stands again."""
    settle(html)
    try:
        if html.exists():
            html.rename(_old(html))
        fresh.rename(html)
    finally:
        settle(html)


def settle(html: Path) -> None:
    """Put the old site back where :func:`publish` was stopped before the new one stood there."""
    if html.exists():
        shutil.rmtree(_old(html), ignore_errors=True)
    elif _old(html).exists():
        _old(html).rename(html)


def _old(html: Path) -> Path:
    return html.with_name("html.old")
