"""Carry out runs on image sets: data, teachers, training, measurement, record."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ldlstudy import data, methods, metrics, scaling
from ldlstudy.batch import Teacher
from ldlstudy.device import Execution
from ldlstudy.experiment import keep, measure, points, translation
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import (
    NETWORK,
    PREDICTIONS,
    Setting,
    Teachers,
    checkpoint_of,
    prepare,
    teacher_of,
    workplace,
)
from ldlstudy.experiment.records import Record, Run, Values
from ldlstudy.heads import Cosine
from ldlstudy.models import Classifier
from ldlstudy.training import (
    History,
    Predictor,
    Student,
    checkpoints,
    logits_of,
    train_together,
)


def execute(
    planned: Sequence[Planned],
    execution: Execution = Execution(),  # noqa: B008 - frozen
    work: Path | None = None,
    title: str | None = None,
) -> list[Record]:
    """Carry out a run, or several that see the same batches; each gives what it would alone.

    What is done once for a batch is shared by all: its augmentation and mixing, and the passes of
    teachers that they have in common. A run that a killed process left goes on from its last epoch.
    Where a setting is a list of values, a network is trained for each combination, from the same
    first weights, and the one with the least negative log-likelihood of held-out images is chosen.

    Parameters
    ----------
    planned : sequence of Planned
        At least one; with the same `stream`, where there are several. Their teachers have been run
        in the same ``work``.
    execution : Execution
        Where and how.
    work : Path, optional
        Folder for weights and checkpoints, ``runs`` in the study's top folder by default.
    title : str, optional
        Of the progress bar; none without it.

    Raises
    ------
    ValueError
        An unknown name, a value out of range, data or a teacher that is missing, a loss that is no
        longer finite, or runs that do not see the same batches.
    """
    with execution.limited():
        return _execute(planned, execution, work, title)


def _execute(
    planned: Sequence[Planned], execution: Execution, work: Path | None, title: str | None
) -> list[Record]:
    streams = {stream(each.run) for each in planned}
    if len(planned) != 1 and (len(streams) != 1 or None in streams):
        raise ValueError(f"{len(planned)} runs cannot be trained together: their batches differ")
    start = time.perf_counter()
    known: Teachers = {}
    works = [_Work.of(each, prepare(each.run, execution), work, known) for each in planned]
    one = works[0].setting
    students = [student for each in works for student in each.students]
    histories = iter(
        train_together(
            students,
            one.dataset.train,
            one.augmentation,
            execution,
            one.run.mixing or None,
            one.dataset.held,
            title=title,
        )
    )
    seconds = (time.perf_counter() - start) / len(students)  # of one network
    return [each.record([next(histories) for _ in each.students], seconds) for each in works]


def takes(dataset: str) -> bool:
    """Return whether runs on a data set are of images, and so of this engine."""
    return dataset not in (*points.DATASETS, *translation.DATASETS)


def stream(run: Run) -> str | None:
    """Return what decides the batches of a run, or None where another run may not share them.

    A teacher that answers by chance (Monte-Carlo dropout) would answer another student otherwise.
    """
    if any("passes" in teacher.network for teacher in run.teachers):
        return None
    order = run.recipe.get("order")
    batches = {
        "data": [run.dataset, dict(run.data), dict(run.augmentation)],
        "recipe": [run.recipe.get("batch"), run.recipe.get("epochs")],
        "order": run.seed if order is None else order,
        "sees": methods.named(run.method).sees,
        "mixing": dict(run.mixing),
    }
    return json.dumps(batches, sort_keys=True)


@dataclass(frozen=True)
class _Work:
    """A run with its networks, before and after training: one for each candidate."""

    planned: Planned
    setting: Setting
    folder: Path
    students: list[Student]
    predictors: Sequence[Predictor]  # of its teachers

    @classmethod
    def of(cls, planned: Planned, setting: Setting, work: Path | None, known: Teachers) -> "_Work":
        run, dataset = planned.run, setting.dataset
        keep.check(planned.keep, setting)
        folder = workplace(run, work)
        folder.mkdir(parents=True, exist_ok=True)
        teacher, predictors = teacher_of(setting, work, known)
        candidates = methods.candidates(run.settings)
        # test images are looked at once the choice is made
        watched = {"held": dataset.held} | ({} if len(candidates) > 1 else {"test": dataset.test})
        rows = [keep.KEEP[name] for name in planned.keep]
        if any(row.watch_train for row in rows):
            watched["train"] = dataset.train
        students = []
        for number, settings in enumerate(candidates):
            network = setting.new_network()
            setting.predictor(network)  # refuses before training to sample what has no dropout
            student = Student(
                network,
                setting.recipe,
                run.method,
                settings,
                teacher,
                run.seed,
                {name: images for name, images in watched.items() if images is not None},
                any(row.class_losses for row in rows),
                checkpoint_of(folder, number),
                run.id,
            )
            students.append(student)
        return cls(planned, setting, folder, students, predictors)

    def record(self, histories: Sequence[History], seconds: float) -> Record:
        """Keep the best candidate's weights and measure it; each took ``seconds`` before."""
        start = time.perf_counter()
        losses = self._held_out_losses()
        number = int(np.argmin(losses))
        student = self.students[number]
        checkpoints.save(self.folder / NETWORK, network=student.network, run=self.planned.run.id)
        record = measured(self.planned, self.setting, student, histories[number], self.folder)
        if len(losses) > 1:
            values = [dict(each.settings) for each in self.students]
            candidates = {"values": values, "held_out_loss": losses}
            record = replace(record, figures={**record.all_figures, "candidates": candidates})
            numbers = {k: v for k, v in best(candidates).items() if isinstance(v, int | float)}
            record.values["chosen"] = numbers | {"held_out_loss": losses[number]}
        if student.teacher is not None:
            record.values["teacher"] = self._of_teacher(student.teacher, student.settings)
        training = sum(epoch["seconds"] for history in histories for epoch in history)
        epochs = sum(len(history) for history in histories)
        made = self.setting.execution.circumstances() | {
            "seconds": seconds * len(self.students) + time.perf_counter() - start,
            "networks": len(self.students),
            "epochs": epochs,
            "training_seconds": training,
            "images_per_second": epochs * len(self.setting.dataset.train.labels) / training,
            "data": self.setting.dataset.digest,
        }
        return replace(record, made=made)

    def _held_out_losses(self) -> list[float]:
        """Each candidate's negative log-likelihood of the held-out images; 0 of an only one."""
        if len(self.students) == 1:
            return [0.0]
        held = self.setting.dataset.held
        assert held is not None  # `prepare` refuses to choose without
        outcomes = (
            measure.Outcome.of(self.setting.predictor(each.network), held) for each in self.students
        )
        return [metrics.nll(seen.logits.softmax(1), seen.labels) for seen in outcomes]

    def _of_teacher(self, teacher: Teacher, settings: Mapping[str, Any]) -> dict[str, float]:
        """What is said of the teachers: smoothness and accuracy of their mean, its temperature."""
        dataset = self.setting.dataset
        temperature = float(settings.get("temperature", 1.0))
        softened = scaling.scale(scaling.mean_logits(teacher.logits), temperature)
        test = scaling.mean_logits(logits_of(self.predictors, dataset.test))
        found = {
            "smoothness": metrics.smoothness(softened, dataset.train.labels),
            "accuracy": metrics.accuracy(test.softmax(1), dataset.test.labels),
        }
        fitted = teacher.temperature
        return found if fitted is None else {**found, "fitted_temperature": fitted}


def best(candidates: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were chosen, from the figure ``candidates`` of a record."""
    values: list[dict[str, Any]] = candidates["values"]
    return values[int(np.argmin(candidates["held_out_loss"]))]


def measured(
    planned: Planned,
    setting: Setting,
    student: Student,
    history: History,
    folder: Path | None = None,
) -> Record:
    """Measure a trained network: values, intervals and figures of its record.

    The stage ``plain`` also has ``best_test_accuracy``, the highest after any epoch, which CS-KD's
    code reports; it is chosen by the test images. AdaCos has a stage ``unscaled``, of its bare
    cosines. The logits are written to ``folder``.
    """
    dataset, network = setting.dataset, student.network
    assert isinstance(network, Classifier)
    predictor = setting.predictor(network)
    test = measure.Outcome.of(predictor, dataset.test)
    held = None if dataset.held is None else measure.Outcome.of(predictor, dataset.held)
    if folder is not None:
        logits = {"test": test.logits} | ({} if held is None else {"held": held.logits})
        checkpoints.save(folder / PREDICTIONS, **logits)
    # Test images that are drawn anew for each seed need no interval: other seeds tell more.
    resamples = measure.RESAMPLES if planned.intervals and "draw" not in setting.run.data else 0
    stages = measure.stages(test, held)
    if isinstance(network.head, Cosine):
        scale = float(network.head.scale)
        stages["unscaled"] = (scaling.scale(test.logits, scale), scale)
    values, intervals = measure.score(stages, test, resamples, data.groups(dataset))
    figures: dict[str, Any] = {}
    trained = keep.Finished(setting, student, predictor, stages, test, resamples)
    for name in planned.keep:
        kept = keep.KEEP[name].make(trained)
        if kept.figure is not None:
            figures[name] = kept.figure
        for found, more in ((values, kept.values), (intervals, kept.intervals)):
            _add(found, more)
    if "test_accuracy" in history[0]:
        values["plain"]["best_test_accuracy"] = max(epoch["test_accuracy"] for epoch in history)
    figures["history"] = {name: [epoch[name] for epoch in history] for name in history[0]}
    kept_names = tuple(sorted(planned.keep))
    return Record(setting.run.specification, values, intervals, {}, kept_names, figures)


def _add(found: Values, more: Values) -> None:
    for stage, row in more.items():
        found[stage] = {**found.get(stage, {}), **row}
