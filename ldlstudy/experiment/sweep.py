"""Many runs: which have no record yet, in which order, and which of them together.

A sweep runs what has no record, teachers before their students, each record saved as soon as it is
there. Its :mod:`ldlstudy.experiment.workers` may die: a run loses at most the epoch it was in and
goes on from its checkpoint.
"""

import contextlib
import functools
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import filelock

from ldlstudy import checks, device, files
from ldlstudy.device import Execution
from ldlstudy.experiment import images, points, records, translation
from ldlstudy.experiment.plan import Planned, merged
from ldlstudy.experiment.prepare import NETWORK, clear, workplace
from ldlstudy.experiment.records import Record, Run
from ldlstudy.experiment.workers import killed, pool

TOGETHER = 4
LIVE = "LDLSTUDY_LIVE"  # the variable that names the folder of what a build trains
ONE_AT_A_TIME = threading.Lock()  # torch's global generator, from which dropout draws, is shared


def execute(
    planned: Sequence[Planned],
    execution: Execution,
    work: Path | None = None,
    title: str | None = None,
) -> list[Record]:
    """Carry out one run, or several that see the same batches, by the engine of their data."""
    if planned[0].run.dataset in points.DATASETS:
        return [points.execute(each, execution.device) for each in planned]
    if planned[0].run.dataset in translation.DATASETS:
        return [translation.execute(each, execution, work, title) for each in planned]
    return images.execute(planned, execution, work, title)


def perform(
    planned: Sequence[Planned],
    execution: Execution,
    results: Path,
    work: Path,
    teaches: Collection[Run] = (),
    title: str | None = None,
) -> dict[Run, str]:
    """Carry out those of the ``planned`` that are not :func:`done`, and save their records.

    Two workers never do the same run at once: the second waits, then finds the record. Where one of
    several runs fails, each goes on alone from its last epoch; those that fail again are returned
    with their errors. A single run's error is raised.
    """
    with ONE_AT_A_TIME, contextlib.ExitStack() as locks:
        for run in sorted((each.run for each in planned), key=lambda run: run.id):
            place = workplace(run, work)
            place.mkdir(parents=True, exist_ok=True)
            locks.enter_context(filelock.FileLock(place / "run.lock"))
        todo = [each for each in planned if not done(each, results, work, each.run in teaches)]
        if not todo:
            return {}
        todo = [_with_what_was_kept(each, results) for each in todo]
        try:
            made = execute(todo, execution, work, title)
        except Exception:  # of any kind: together they may not fit into a GPU's memory
            if len(todo) == 1:
                raise
        else:
            return _saved(todo, made, results, work)
    failed = {}
    for each in todo:
        try:
            perform([each], execution, results, work, teaches, title)
        except Exception as error:
            failed[each.run] = _in_words(error)
    return failed


def _with_what_was_kept(planned: Planned, results: Path) -> Planned:
    """Plan to keep what the record of a run has, too, whose place the new one may take."""
    record = records.load(planned.run, results)
    kept = record.kept if record is not None else ()
    return replace(planned, keep=tuple(dict.fromkeys((*planned.keep, *kept))))


def _saved(
    todo: Sequence[Planned], made: Sequence[Record], results: Path, work: Path
) -> dict[Run, str]:
    """Save records; return the runs whose record could not be written, or raise an only one's."""
    failed = {}
    for each, record in zip(todo, made, strict=True):
        try:
            records.save(record, results)
        except OSError as error:  # a full disk: what was written stays
            if len(todo) == 1:
                raise
            failed[each.run] = _in_words(error)
        else:
            clear(workplace(each.run, work))
    return failed


def done(planned: Planned, results: Path, work: Path, teaches: bool = False) -> bool:
    """Return whether a run has its record with all it keeps, and its weights if it ``teaches``."""
    if teaches and not (workplace(planned.run, work) / NETWORK).exists():
        return False
    record = records.load(planned.run, results)
    return record is not None and set(planned.keep) <= set(record.kept)


def missing(planned: Iterable[Planned], results: Path, work: Path) -> dict[Planned, bool]:
    """Return what is to be carried out, teachers first, and whether each is a teacher.

    A teacher whose record is there but whose weights are not (they are not kept under version
    control) is trained again when a student needs it; its record stays.
    """
    wanted = merged(planned)
    order: dict[Run, bool] = {}

    def visit(run: Run, teaches: bool) -> None:
        if done(wanted.get(run, Planned(run)), results, work, teaches):
            return
        if run.dataset not in points.DATASETS:  # its engine trains teachers by itself
            for teacher in run.teachers:
                visit(teacher, True)
        order[run] = teaches or order.get(run, False)

    for run in wanted:
        visit(run, False)
    return {wanted.get(run, Planned(run)): teaches for run, teaches in order.items()}


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
    planned: Iterable[Planned],
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
    planned : iterable of Planned
        Those that are wanted; their teachers are added.
    execution : Execution
        Where and how each run is carried out.
    workers : int, optional
        Processes to use: by default one for each core, or four on a GPU; one for runs on points,
        each of which keeps all cores busy.
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
    work = (work or files.root() / "runs").resolve()
    planned = list(planned)
    if workers is None:
        on_points = all(each.run.dataset in points.DATASETS for each in planned)
        workers = 1 if on_points else 4 if execution.is_cuda else device.cores()
    checks.whole("workers", workers, 1)
    checks.whole("together", together, 1)
    with alone(work):
        todo = missing(planned, results, work)
        say(f"runs to do: {len(todo)}")
        teaches = frozenset(each.run for each, teaching in todo.items() if teaching)
        task = functools.partial(
            perform, execution=execution, results=results, work=work, teaches=teaches
        )
        group = functools.partial(_grouped, together=together, workers=workers)
        with pool(min(workers, max(1, len(todo))), cluster) as executor:
            at_once = workers if cluster is None else None
            failed = _carry_out(todo, group, task, executor, say, at_once)
    if failed:
        listed = "".join(f"\n  {_name(run)}: {error}" for run, error in failed.items())
        raise ValueError(f"{len(failed)} of {len(todo)} runs failed:{listed}")
    return len(todo)


def _grouped(ready: Sequence[Planned], together: int, workers: int) -> Iterator[list[Planned]]:
    """The runs that can start, those that see the same batches side by side."""
    most = max(1, min(together, len(ready) // workers))
    streams: dict[str, list[Planned]] = {}
    for each in ready:
        stream = images.stream(each.run) if images.takes(each.run.dataset) else None
        streams.setdefault(stream or each.run.id, []).append(each)
    for alike in streams.values():
        for start in range(0, len(alike), most):
            yield alike[start : start + most]


def _carry_out(
    todo: Collection[Planned],
    group: Callable[[Sequence[Planned]], Iterable[list[Planned]]],
    task: Callable[[Sequence[Planned]], dict[Run, str]],
    executor: Executor,
    say: Callable[[str], object],
    at_once: int | None = None,
) -> dict[Run, str]:
    """Submit runs once their teachers are done; return the failed ones with their errors.

    No more groups are submitted ``at_once`` than there are workers: where one of these is killed,
    the runs that were at work are known.
    """
    waiting, failed = {each.run: each for each in todo}, dict[Run, str]()
    queue: deque[list[Planned]] = deque()
    running: dict[Future[dict[Run, str]], list[Planned]] = {}
    finished = 0
    try:
        while waiting or queue or running:
            busy = {each.run for own in (*queue, *running.values()) for each in own}
            queue.extend(group(_ready(waiting, busy, failed)))
            while queue and (at_once is None or len(running) < at_once):
                chosen = queue.popleft()
                running[executor.submit(task, chosen)] = chosen
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                ended = [each.run for each in running[future]]
                try:
                    failed |= future.result()
                except BrokenProcessPool:
                    raise
                except Exception as error:  # of any kind: the other runs go on
                    failed |= dict.fromkeys(ended, _in_words(error))
                del running[future]
                for run in ended:
                    finished += run not in failed
                    done_or_not = "failed:" if run in failed else f"{finished}/{len(todo)}"
                    say(f"{done_or_not} {_name(run)}")
    except BrokenProcessPool:
        cut_off = [
            own for future, own in running.items() if not future.done() or future.exception()
        ]
        raise killed([_name(each.run) for own in cut_off for each in own]) from None
    return failed


def _ready(
    waiting: dict[Run, Planned], busy: Collection[Run], failed: dict[Run, str]
) -> list[Planned]:
    """Take from the ``waiting`` those whose teachers are done; those of a failed one fail."""
    ready, undone = [], {*waiting, *busy}
    for run, each in list(waiting.items()):
        lost = [_name(teacher) for teacher in run.teachers if teacher in failed]
        if lost:
            failed[run] = f"its teacher failed ({lost[0]})"
        elif undone.isdisjoint(run.teachers):
            ready.append(each)
        else:
            continue
        del waiting[run]
    return ready


def live(
    planned: Sequence[Planned],
    execution: Execution = Execution(),  # noqa: B008 - frozen
    title: str | None = "training",
) -> dict[Run, Record]:
    """Carry out runs here and now, whatever records there are; return theirs, none is kept.

    Where a build names a folder for them by ``LDLSTUDY_LIVE``, what a stopped one had trained of
    the same code is not trained again.
    """
    with _folder_of_live() as folder, contextlib.ExitStack() as shown:
        results, work = folder / "results", folder / "runs"
        todo = missing(planned, results, work)
        bar = shown.enter_context(device.progress(len(todo), title, "run"))

        def say(text: str) -> None:
            bar.update("runs to do" not in text)  # said first; then a line for each that is done

        sweep(planned, execution, results=results, work=work, say=say)
        found = {each.run: records.load(each.run, results) for each in planned}
        # the files of figures go with the folder
        return {
            run: replace(record, figures=record.all_figures)
            for run, record in found.items()
            if record is not None
        }


@contextlib.contextmanager
def _folder_of_live() -> Iterator[Path]:
    if named := os.environ.get(LIVE):
        yield Path(named)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _name(run: Run) -> str:
    values = ", ".join(f"{k} {v}" for k, v in run.settings.items())
    about = f"{run.dataset} {run.model} {run.method}" + (f" ({values})" if values else "")
    return f"{about}, seed {run.seed}: {run.id}"
