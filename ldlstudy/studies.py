"""The papers' tables by name, each as the runs that fill it: what ``ldlstudy sweep`` takes."""

import functools
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from ldlstudy import (
    checks,
    class_wise,
    data,
    distillation,
    ils,
    ldl,
    machine,
    records,
    smoothing,
    truth,
)
from ldlstudy.execution import Execution
from ldlstudy.records import Record, Run
from ldlstudy.sweep import sweep

TABLES: dict[str, Callable[[str], dict[str, Run]]] = {
    "ils": ils.runs,
    "re-table2": smoothing.runs,  # Table 3 and Figures 2, 3 and 9 are of the same networks
    "re-table4": distillation.table4,
    "re-figure7": distillation.runs,
    "re-figure8": functools.partial(distillation.runs, figure=8),
    **{f"cskd-table{n}": functools.partial(class_wise.runs, n) for n in range(1, 6)},
    "cskd-grid": class_wise.grid,
    **{f"ldl-table{n}": functools.partial(ldl.runs, n) for n in range(1, 8)},
    "ldl-methods": functools.partial(ldl.runs, "methods"),
    "ldl-truth": functools.partial(ldl.runs, "truth"),
    "truth": truth.runs,
    "explore": smoothing.explored,
}


def runs(table: str, profile: str) -> dict[str, Run]:
    """Runs of a table by name; an unknown table or profile is a ValueError that lists them."""
    return TABLES[checks.one_of("table", table, TABLES)](profile)


def recorded(tables: Iterable[str], profile: str = "paper") -> dict[str, Record]:
    """The records there are of the runs of some tables, by name."""
    found = {name: records.load(run) for name, run in _all(tables, profile).items()}
    return {name: record for name, record in found.items() if record is not None}


def completed(tables: Iterable[str], execution: Execution | None = None) -> dict[str, Record]:
    """The records of some tables at the paper profile; on a CUDA machine, what is missing is run.

    What needs data that are not there stays out. A build that is stopped goes on where it was.

    Parameters
    ----------
    tables : iterable of str
        Keys of `TABLES`.
    execution : Execution, optional
        Where and how to run what is missing; bfloat16 on the GPU by default, nothing without one.
    """
    wanted = _all(tables, "paper")
    if execution is None and torch.cuda.is_available():
        execution = Execution("cuda", precision="bf16")
    if execution is not None:
        places = {run: data.location(run.dataset) for run in wanted.values()}
        sweep([r for r, place in places.items() if place is None or place.exists()], execution)
    return recorded(tables, "paper")


def measure(
    tables: Iterable[str],
    profile: str,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    title: str | None = "training",
) -> dict[str, Record]:
    """Carry out every run of some tables here and now; records by name, none is kept."""
    wanted = _all(tables, profile)
    carried = {each for run in wanted.values() for each in (run, *run.teachers)}
    with (
        tempfile.TemporaryDirectory() as folder,
        machine.progress(len(carried), title, "run") as bar,
    ):
        results, work = Path(folder, "results"), Path(folder, "runs")

        def say(text: str) -> None:
            bar.update("runs to do" not in text)  # said first; then a line for each that is done

        sweep(wanted.values(), execution, results=results, work=work, say=say)
        loaded = {name: records.load(run, results) for name, run in wanted.items()}
    return {name: record for name, record in loaded.items() if record is not None}


def _all(tables: Iterable[str], profile: str) -> dict[str, Run]:
    return {name: run for table in tables for name, run in runs(table, profile).items()}
