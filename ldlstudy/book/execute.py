"""Running one notebook: papermill in a process of its own, watched, with a plain failure.

A process of its own, because a hanging or dying kernel then takes nothing with it, several
notebooks can run at once, and an interruption ends them all. papermill writes the notebook after
each cell to a temporary name; only a finished one is renamed to where the book reads it. A cell may
take as long as it moves: it is stopped when for long it has neither trained a step, moved a
progress bar, evaluated a batch of images nor written a line (:func:`ldlstudy.device.alive`).
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ldlstudy import checks, device
from ldlstudy.book import STALL_SECONDS, BookError
from ldlstudy.book import notebook as nb
from ldlstudy.experiment import sweep
from ldlstudy.experiment.plan import BUILDS

LOOK_SECONDS = 0.5  # between two looks for such a sign
START_SECONDS = 120  # for the kernel to answer
STOP_SECONDS = 10  # for an interrupted papermill to end its kernel
LINE_BYTES = 2**24  # papermill logs the outputs, a table may be one long line
CHILD = f"""
import os, signal, sys, threading, time

# nbformat loads it to check addresses, which no notebook of a book has: it takes a second
sys.modules["rfc3987_syntax"] = None

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
    return {"profile": checks.one_of("profile", profile, BUILDS)}


async def execute(
    source: Path,
    output: Path,
    parameters: dict[str, str],
    stall_seconds: float = STALL_SECONDS,
    on_cell: Callable[[], object] = lambda: None,
    trained: Path | None = None,
) -> float:
    """Run ``source`` in the folder of ``output``, write ``output``, return the seconds it took.

    ``on_cell`` is called after each cell. What the notebook trains stays in the folder ``trained``:
    the next call goes on from there. Raises BookError naming the cell and its error, or that
    nothing moved in it for ``stall_seconds``.
    """
    partial = output.with_name(f".{output.stem}.partial.ipynb")
    pulse = pulse_of(output)
    kept = {} if trained is None else {sweep.LIVE: str(trained)}
    start = time.monotonic()
    with lifeline() as stdin:
        process = await asyncio.create_subprocess_exec(
            *_command(source, partial, parameters, output.parent),
            env=_environment() | {device.PULSE: str(pulse)} | kept,
            stdin=stdin,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end it in order
            close_fds=False,  # the build's lock is its, too
        )
        try:
            log = await _follow(process, on_cell, pulse, stall_seconds)
            if log is None:
                stalled = f"stopped, nothing had moved for {stall_seconds:g} s"
                raise BookError(f"{source.name}: {_failure(partial, stalled)}")
            if await process.wait():
                raise BookError(f"{source.name}: {_failure(partial, log)}")
            partial.replace(output)
        finally:
            await _end(process)
            partial.unlink(missing_ok=True)
            pulse.unlink(missing_ok=True)
    return time.monotonic() - start


def pulse_of(output: Path) -> Path:
    """Return the file that signs of progress touch, of a notebook that is executed to ``output``.

    It says what the progress bar at work would say.
    """
    return output.with_name(f".{output.stem}.pulse")


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


def _command(source: Path, partial: Path, parameters: dict[str, str], folder: Path) -> list[str]:
    return [
        *(sys.executable, "-c", PAPERMILL, str(source), str(partial)),
        *("--kernel", "python3", "--language", "python", "--cwd", str(folder)),
        *("--parameters_yaml", json.dumps(parameters)),
        *("--start-timeout", str(START_SECONDS)),
        *("--log-output", "--no-progress-bar"),
    ]


def _environment() -> dict[str, str]:
    """Return an environment in which a notebook gives the same outputs on every machine."""
    return {
        **os.environ,
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one from the home folder
        "LDLSTUDY_PROGRESS": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "OMP_WAIT_POLICY": "PASSIVE",  # a waiting thread leaves its core to another chapter
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or the kernel warns about frozen modules
        "PYTHONHASHSEED": "0",
    }


async def _follow(
    process: asyncio.subprocess.Process,
    on_cell: Callable[[], object],
    pulse: Path,
    stall_seconds: float,
) -> str | None:
    """Return the last lines of papermill's log once it ends; None if before it nothing moves."""
    reading = asyncio.create_task(_read(process, on_cell, pulse))
    watching = asyncio.create_task(_stalled(pulse, stall_seconds))
    try:
        await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading.done() else None
    finally:
        reading.cancel()
        watching.cancel()


async def _read(
    process: asyncio.subprocess.Process, on_cell: Callable[[], object], pulse: Path
) -> str:
    """Read papermill's log to its end, report each finished cell, return the last lines."""
    assert process.stderr is not None
    tail: list[str] = []
    async for line in process.stderr:
        decoded = line.decode(errors="replace").rstrip()
        if pulse.exists() or decoded.startswith("Executing Cell"):  # the kernel has answered
            pulse.touch()
        if decoded.startswith("Ending Cell"):
            on_cell()
        tail = [*tail[-99:], decoded]
    return "\n".join(tail)


async def _stalled(pulse: Path, seconds: float) -> None:
    """Return when nothing has touched ``pulse`` for so long; not before it is there.

    Looks are counted by a clock that stands still while the machine sleeps.
    """
    seen, since = 0, time.monotonic()
    while not seen or time.monotonic() - since < seconds:
        await asyncio.sleep(min(LOOK_SECONDS, seconds))
        touched = pulse.stat().st_mtime_ns if pulse.exists() else 0
        if touched != seen:
            seen, since = touched, time.monotonic()


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


def _failure(partial: Path, log: str) -> str:
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
    errors = [f"{o.ename}: {o.evalue}" for o in cell.outputs if o.output_type == "error"]
    return f"{name}: {errors[0] if errors else last}"
