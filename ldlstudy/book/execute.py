"""Running one notebook: papermill in a process of its own, with time limits and a plain failure.

A process of its own, because a hanging or dying kernel then takes nothing with it, several
notebooks can run at once, and an interruption ends them all. papermill writes the notebook after
each cell to a temporary name; only a finished one is renamed to where the book reads it.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ldlstudy import checks
from ldlstudy.book import BookError
from ldlstudy.book import notebook as nb
from ldlstudy.experiment.plan import PROFILES

CELL_SECONDS = {"smoke": 300, "quick": 900, "paper": 4 * 3600}  # the longest a cell may take
START_SECONDS = 120  # for the kernel to answer
STOP_SECONDS = 10  # for an interrupted papermill to end its kernel
LINE_BYTES = 2**24  # papermill logs the outputs, a table may be one long line
CHILD = f"""
import os, signal, threading, time

def end_with_parent():
    os.read(0, 1)  # nothing comes before the parent's end, however it ends
    os.kill(os.getpid(), signal.SIGTERM)  # papermill ends its kernel
    time.sleep({STOP_SECONDS})
    os._exit(1)

threading.Thread(target=end_with_parent, daemon=True).start()
"""
PAPERMILL = CHILD + "from papermill.cli import papermill; papermill()"


def parameters_for(profile: str) -> dict[str, str]:
    """Return what a chapter is run with under ``profile``; raise ValueError if it is unknown."""
    return {"profile": checks.one_of("profile", profile, PROFILES)}


async def execute(
    source: Path,
    output: Path,
    parameters: dict[str, str],
    cell_seconds: float,
    on_cell: Callable[[], object] = lambda: None,
) -> float:
    """Run ``source`` in the folder of ``output``, write ``output``, return the seconds it took.

    ``on_cell`` is called after each cell. Raises BookError naming the cell and its error.
    """
    partial = output.with_name(f".{output.stem}.partial.ipynb")
    start = time.monotonic()
    with lifeline() as stdin:
        process = await asyncio.create_subprocess_exec(
            *_command(source, partial, parameters, output.parent, cell_seconds),
            env=_environment(),
            stdin=stdin,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end it in order
            close_fds=False,  # the build's lock is its, too
        )
        try:
            log = await _follow(process, on_cell)
            if await process.wait():
                raise BookError(f"{source.name}: {_failure(partial, log, cell_seconds)}")
            partial.replace(output)
        finally:
            await _end(process)
            partial.unlink(missing_ok=True)
    return time.monotonic() - start


@contextlib.contextmanager
def lifeline() -> Iterator[int]:
    """Give the end to read of a pipe of which nothing comes, but its end with this process.

    It is the standard input of a `CHILD`.
    """
    read, write = os.pipe()
    try:
        yield read
    finally:
        os.close(read)
        os.close(write)


def _command(
    source: Path, partial: Path, parameters: dict[str, str], folder: Path, cell_seconds: float
) -> list[str]:
    return [
        *(sys.executable, "-c", PAPERMILL, str(source), str(partial)),
        *("--kernel", "python3", "--language", "python", "--cwd", str(folder)),
        *("--parameters_yaml", json.dumps(parameters)),
        *("--start-timeout", str(START_SECONDS)),
        *("--execution-timeout", str(max(1, round(cell_seconds)))),
        *("--log-output", "--no-progress-bar"),
    ]


def _environment() -> dict[str, str]:
    """Return an environment in which a notebook gives the same outputs on every machine."""
    return {
        **os.environ,
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one from the home folder
        "LDLSTUDY_PROGRESS": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or the kernel warns about frozen modules
        "PYTHONHASHSEED": "0",
    }


async def _follow(process: asyncio.subprocess.Process, on_cell: Callable[[], object]) -> str:
    """Read papermill's log to its end, report each finished cell, return the last lines."""
    assert process.stderr is not None
    tail: list[str] = []
    async for line in process.stderr:
        decoded = line.decode(errors="replace").rstrip()
        if decoded.startswith("Ending Cell"):
            on_cell()
        tail = [*tail[-99:], decoded]
    return "\n".join(tail)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop the process if it still runs: first asked, so that it ends its kernel, then killed."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _failure(partial: Path, log: str, cell_seconds: float) -> str:
    """Say in which cell the notebook stopped and why, from what papermill left behind."""
    last = log.strip().rpartition("\n")[2] or "no message"
    try:
        cells = nb.code_cells(nb.read(partial))
    except (OSError, BookError):  # it never got as far as the first cell
        return last
    begun = [(name, c) for name, c in cells if c.metadata.get("papermill", {}).get("start_time")]
    if not begun:
        return last
    name, cell = begun[-1]
    if "CellTimeoutError" in log:
        return f"{name}: took longer than the limit of {cell_seconds:g} s"
    errors = [f"{o.ename}: {o.evalue}" for o in cell.outputs if o.output_type == "error"]
    return f"{name}: {errors[0] if errors else last}"
