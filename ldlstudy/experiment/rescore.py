"""Measure again what has its weights: a new metric or figure needs no new training."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from ldlstudy import files
from ldlstudy.device import Execution
from ldlstudy.experiment import images, keep, records
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import NETWORK, prepare, teacher_of, workplace
from ldlstudy.experiment.records import Record
from ldlstudy.training import Student


def rescore(
    planned: Iterable[Planned],
    execution: Execution = Execution(),  # noqa: B008 - frozen
    results: Path | None = None,
    work: Path | None = None,
    say: Callable[[str], object] = print,
) -> int:
    """Measure again the networks of recorded runs whose weights are there; return how many.

    A record gets the metrics and figures that it lacks; those that it has stay.

    Parameters
    ----------
    planned : iterable of Planned
        Runs of images; those without a record or without weights are left out, and, with a line
        that says so, those whose weights are of another training than the record.
    execution, results, work, say
        As in :func:`ldlstudy.experiment.sweep.sweep`.
    """
    results = results or records.folder()
    work = work or files.root() / "runs"
    count = 0
    for each in planned:
        known = records.load(each.run, results)
        there = (workplace(each.run, work) / NETWORK).exists()
        if known is None or not there or not images.takes(each.run.dataset):
            continue
        with execution.limited():
            found = _measured(each, known, execution, work)
        if not records.alike(known, found):
            say(f"left out {each.name}: {each.run.id}, whose weights are of another training")
            continue
        records.save(found, results)
        count += 1
        say(f"{count} {each.name}: {each.run.id}")
    return count


def _measured(planned: Planned, known: Record, execution: Execution, work: Path) -> Record:
    """The record of a run, from its weights and its recorded history."""
    setting = prepare(planned.run, execution)
    # the losses of classes are watched in training and cannot be measured afterwards
    possible = [n for n in planned.keep if n in known.kept or not keep.KEEP[n].class_losses]
    planned = replace(planned, keep=tuple(possible))
    network = setting.trained(work).eval()
    teacher, _ = teacher_of(setting, work, {})
    run = planned.run
    settings = images.best(known.figure("candidates")) if "chosen" in known.values else run.settings
    student = Student(network, setting.recipe, run.method, settings, teacher, run.seed)
    columns = known.figure("history")
    epochs = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    found = images.measured(planned, setting, student, epochs)
    return replace(found, made=known.made)
