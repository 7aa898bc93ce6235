"""Many runs: which have no record yet, in which order, and which of them together.

A sweep runs what has no record, teachers before their students, each record saved as soon as it is
there. Its :mod:`ldlstudy.workers` may die: a run loses at most the epoch it was in and goes on from
its checkpoint.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import filelock
import torch

from ldlstudy import checks, images, machine, records, synthetic
from ldlstudy.execution import Execution
from ldlstudy.records import Record, Run
from ldlstudy.setting import CHECKPOINT, NETWORK, workplace
from ldlstudy.workers import pool

SYNTHETIC = "six_gaussians"
TOGETHER = 4
ONE_AT_A_TIME = threading.Lock()  # torch's global generator, from which dropout draws, is shared


def execute(
    runs: Sequence[Run], execution: Execution, work: Path | None = None, title: str | None = None
) -> list[Record]:
    """Carry out one run, or several that see the same batches, by the engine of their data."""
    if runs[0].dataset == SYNTHETIC:
        return [synthetic.execute(run, execution.device) for run in runs]
    return images.execute_together(runs, execution, work, title)


def perform(
    runs: Sequence[Run],
    execution: Execution,
    results: Path,
    work: Path,
    teaches: Collection[Run] = (),
    threads: int | None = None,
    title: str | None = None,
) -> dict[Run, str]:
    """Carry out those ``runs`` that are not :func:`done`, together, and save their records.

    Two workers never do the same run at once: the second waits, then finds the record. Where one of
    several runs fails, each goes on alone from its last epoch; those that fail again are returned
    with their errors. A single run's error is raised.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    with ONE_AT_A_TIME, contextlib.ExitStack() as locks:
        for run in sorted(runs, key=lambda run: run.id):
            place = workplace(run, work)
            place.mkdir(parents=True, exist_ok=True)
            locks.enter_context(filelock.FileLock(place / "run.lock"))
        todo = [run for run in runs if not done(run, results, work, run in teaches)]
        if not todo:
            return {}
        try:
            made = execute(todo, execution, work, title)
        except Exception:  # of any kind: together they may not fit into a GPU's memory
            if len(todo) == 1:
                raise
        else:
            for run, record in zip(todo, made, strict=True):
                if records.load(run, results) is None:
                    records.save(run, record, results)
                (workplace(run, work) / CHECKPOINT).unlink(missing_ok=True)
            return {}
    failed = {}
    for run in todo:
        try:
            perform([run], execution, results, work, teaches, threads, title)
        except Exception as error:
            failed[run] = _said(error)
    return failed


def done(run: Run, results: Path, work: Path, teaches: bool = False) -> bool:
    """Whether ``run`` has its record and, where it ``teaches``, its weights."""
    trained = not teaches or (workplace(run, work) / NETWORK).exists()
    return trained and records.load(run, results) is not None


def missing(runs: Iterable[Run], results: Path, work: Path) -> dict[Run, bool]:
    """The runs to carry out, teachers before their students, and whether each is a teacher.

    A teacher whose record is there but whose weights are not (they are not kept under version
    control) is trained again when a student needs it; its record stays.
    """
    order: dict[Run, bool] = {}

    def visit(run: Run, teaches: bool) -> None:
        if done(run, results, work, teaches):
            return
        if run.dataset != SYNTHETIC:  # its engine trains teachers by itself
            for teacher in run.teachers:
                visit(teacher, True)
        order[run] = teaches or order.get(run, False)

    for run in runs:
        visit(run, False)
    return order


@contextlib.contextmanager
def alone(work: Path) -> Iterator[None]:
    """Hold the folder for one sweep; the lock goes with the process that holds it."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(work / "sweep.lock", timeout=0):
            yield
    except filelock.Timeout:
        raise ValueError(f"another sweep is at work in {work}: wait for it, or stop it") from None


def sweep(
    runs: Iterable[Run],
    execution: Execution = Execution(),  # noqa: B008 - frozen
    *,
    workers: int | None = None,
    together: int = TOGETHER,
    cluster: str | None = None,
    results: Path | None = None,
    work: Path | None = None,
    say: Callable[[str], object] = print,
) -> int:
    """Carry out the runs that have no record, and return how many that were.

    Parameters
    ----------
    runs : iterable of Run
        Those that are wanted; their teachers are added.
    execution : Execution
        Where and how each run is carried out.
    workers : int, optional
        Processes to use: by default one for each core, or four on a GPU.
    together : int
        Runs that see the same batches are trained together in one process, up to this many, where
        no worker would stand idle for it.
    cluster : str, optional
        Address of a Dask scheduler whose workers see the same ``results`` and ``work``.
    results, work : Path, optional
        Where records, and weights and checkpoints, lie: ``book/results`` and ``runs``.
    say : callable
        Told what has been done.

    Raises
    ------
    ValueError
        If another sweep is at work in ``work``, a worker was killed, or a run failed; what could be
        finished is.
    """
    results = (results or records.folder()).resolve()
    work = (work or records.root() / "runs").resolve()
    on_cpu = torch.device(execution.device).type == "cpu"
    workers = checks.whole("workers", workers or (machine.cores() if on_cpu else 4), 1)
    checks.whole("together", together, 1)
    threads = max(1, machine.cores() // workers) if on_cpu and cluster is None else None
    with alone(work):
        todo = missing(runs, results, work)
        say(f"{len(todo)} runs to do")
        teaches = frozenset(run for run, teaching in todo.items() if teaching)
        task = functools.partial(
            perform,
            execution=execution,
            results=results,
            work=work,
            teaches=teaches,
            threads=threads,
        )
        group = functools.partial(_grouped, together=together, workers=workers)
        with pool(min(workers, max(1, len(todo))), cluster) as executor:
            failed = _carry_out(todo, group, task, executor, say)
    if failed:
        listed = "".join(f"\n  {_name(run)}: {error}" for run, error in failed.items())
        raise ValueError(f"{len(failed)} of {len(todo)} runs failed:{listed}")
    return len(todo)


def _grouped(ready: Sequence[Run], together: int, workers: int) -> Iterator[list[Run]]:
    """The runs that can start, those that see the same batches side by side."""
    most = max(1, min(together, len(ready) // workers))
    streams: dict[str, list[Run]] = {}
    for run in ready:
        stream = None if run.dataset == SYNTHETIC else images.stream(run)
        streams.setdefault(stream or run.id, []).append(run)
    for alike in streams.values():
        for start in range(0, len(alike), most):
            yield alike[start : start + most]


def _carry_out(
    todo: Collection[Run],
    group: Callable[[Sequence[Run]], Iterable[list[Run]]],
    task: Callable[[Sequence[Run]], dict[Run, str]],
    executor: Executor,
    say: Callable[[str], object],
) -> dict[Run, str]:
    """Submit runs once their teachers are done; return the failed ones with their errors."""
    waiting, failed = dict.fromkeys(todo), dict[Run, str]()
    running: dict[Future[dict[Run, str]], list[Run]] = {}
    finished = 0
    while waiting or running:
        busy = set(waiting).union(*running.values())
        ready = []
        for run in list(waiting):
            lost = [_name(teacher) for teacher in run.teachers if teacher in failed]
            if lost:
                failed[run] = f"its teacher failed ({lost[0]})"
            elif busy.isdisjoint(run.teachers):
                ready.append(run)
            else:
                continue
            del waiting[run]
        running |= {executor.submit(task, runs): runs for runs in group(ready)}
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            runs = running.pop(future)
            try:
                failed |= future.result()
            except BrokenProcessPool:
                raise
            except Exception as error:  # of any kind: the other runs go on
                failed |= dict.fromkeys(runs, _said(error))
            for run in runs:
                finished += run not in failed
                done_or_not = "failed:" if run in failed else f"{finished}/{len(todo)}"
                say(f"{done_or_not} {_name(run)}")
    return failed


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _name(run: Run) -> str:
    values = ", ".join(f"{k} {v}" for k, v in run.parameters.items())
    about = f"{run.dataset} {run.model} {run.method}" + (f" ({values})" if values else "")
    return f"{about}, seed {run.seed}, {run.profile}: {run.id}"
