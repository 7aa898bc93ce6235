"""Run methods on one image set: data, teachers, training, measurement, record."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ldlstudy import checkpoints, mixture, objectives, train
from ldlstudy.batches import batches
from ldlstudy.checkpoints import History
from ldlstudy.dataset import Dataset
from ldlstudy.evaluation import Watched
from ldlstudy.execution import Execution
from ldlstudy.image_measures import certain, measure
from ldlstudy.learner import Student
from ldlstudy.methods import Lesson
from ldlstudy.mixers import mixer
from ldlstudy.models import Classifier
from ldlstudy.nearness import of_labels
from ldlstudy.operations import of_step
from ldlstudy.records import Record, Run, rounded
from ldlstudy.setting import CHECKPOINT, NETWORK, Setting, prepare, workplace
from ldlstudy.supervision import supervision
from ldlstudy.teachers import Panels, learn


def execute(
    run: Run,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    work: Path | None = None,
    title: str | None = None,
) -> Record:
    """Train the run's network, or go on where a killed process left it; measure it.

    Parameters
    ----------
    run : Run
        ``dataset`` a name of :func:`ldlstudy.data.available`, ``model`` one of
        :func:`ldlstudy.models.available`, ``method`` one of
        :data:`ldlstudy.objectives.OBJECTIVES`; its teachers have been run in the same ``work``.
    execution : Execution
        Where and how.
    work : Path, optional
        Folder for weights and checkpoints, ``runs`` in the study's top folder by default.
    title : str, optional
        Of the progress bar; none without it.

    Raises
    ------
    ValueError
        An unknown name, a value out of range, data or a teacher that is missing, or a loss that is
        no longer finite.
    """
    return execute_together([run], execution, work, title)[0]


def execute_together(
    runs: Sequence[Run],
    execution: Execution = Execution(),  # noqa: B008 - frozen
    work: Path | None = None,
    title: str | None = None,
) -> list[Record]:
    """Carry out several runs at once that see the same batches; each gives what it would alone.

    What is done once for a batch is shared by all: its augmentation and mixing, and the passes of
    teachers that they have in common.

    Parameters
    ----------
    runs : sequence of Run
        At least one; with the same `stream`, where there are several.
    execution, work, title
        As in `execute`.

    Raises
    ------
    ValueError
        As `execute`; or if the runs do not see the same batches.
    """
    streams = {stream(run) for run in runs}
    if len(runs) != 1 and (len(streams) != 1 or None in streams):
        raise ValueError(f"{len(runs)} runs cannot be trained together: their batches differ")
    start = time.perf_counter()
    panels: Panels = {}
    made = [_Candidate(run, prepare(run, execution), work, panels) for run in runs]
    one = made[0]
    histories = train.train_together(
        [candidate.student for candidate in made],
        one.setting.dataset.train,
        one.setting.augmentation,
        execution,
        others=objectives.OTHERS.get(one.run.method, ()),
        mixer=mixer(one.run.parameters.get("mixing")),
        title=title,
    )
    trained = (time.perf_counter() - start) / len(made)
    return [c.record(h, trained) for c, h in zip(made, histories, strict=True)]


def stream(run: Run) -> str | None:
    """What decides the batches of a run, or None where they may not be shared with another run.

    A teacher that answers by chance (Monte-Carlo dropout) would answer another student otherwise.
    """
    if any("passes" in teacher.training for teacher in run.teachers):
        return None
    training = {name: run.training.get(name) for name in ("batch", "epochs", "order")}
    if training["order"] is None:
        training["order"] = run.seed
    others = objectives.OTHERS.get(run.method, ())
    mixing = run.parameters.get("mixing")
    return json.dumps([run.dataset, run.data, training, others, mixing], sort_keys=True)


class _Candidate:
    """A run with its network, before and after training."""

    def __init__(self, run: Run, setting: Setting, work: Path | None, panels: Panels) -> None:
        self.run, self.setting = run, setting
        self.folder = workplace(run, work)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lesson, self.taught = learn(run, setting, work, panels)
        self.network: Classifier = setting.network(run)
        setting.answers(self.network)  # refuses before training to sample what has no dropout
        self.student = Student(
            self.network,
            objectives.make(run.method, self.lesson, run.parameters),
            setting.protocol,
            run.seed,
            _watched(run, setting.dataset),
            self.folder / CHECKPOINT,
        )

    def record(self, history: History, seconds: float) -> Record:
        """Keep the weights and measure the trained network; ``seconds`` it took before."""
        start = time.perf_counter()
        checkpoints.save(self.folder / NETWORK, network=self.network)
        rows, estimates, figures = measure(self.run, self.setting, self.network, history)
        also = dict(self.taught)
        if "supervision" in self.run.keep:
            figures["supervision"] = _supervision(self.run, self.setting, self.lesson)
        if "label" in self.run.keep:
            posterior = mixture.noisy_digits(self.run.data["sigma"]).posterior
            also["label"] = of_labels(self.run, self.setting, self.student.objective, posterior)
        if "operations" in self.run.keep:
            also["step"] = of_step(self.run, self.setting, self.student.objective, self.network)
        figures["history"] = {name: [epoch[name] for epoch in history] for name in history[0]}
        rows, estimates = rows | also, estimates | certain(also)
        made = _made(self.setting, history, seconds + time.perf_counter() - start)
        return Record(self.run.specification, *(map(rounded, (rows, estimates, figures, made))))


def _made(setting: Setting, history: History, seconds: float) -> dict[str, Any]:
    """How the run was carried out; ``seconds`` are of the process that ended it."""
    training = sum(epoch["seconds"] for epoch in history)
    return setting.execution.circumstances(seconds) | {
        "networks": 1,
        "epochs": len(history),
        "training_seconds": training,
        "images_per_second": len(history) * len(setting.dataset.train.labels) / training,
        "data": setting.dataset.digest,
    }


def _supervision(run: Run, setting: Setting, lesson: Lesson) -> dict[str, Any]:
    """How a mixed image of each of a few classes is labelled; with the truth on noisy digits."""
    train_set = setting.dataset.train
    labels = train_set.labels
    firsts = torch.stack([(labels == label).nonzero()[0, 0] for label in labels.unique()])
    draws = torch.Generator(labels.device).manual_seed(0)
    batch = next(batches(train_set.take(firsts), len(firsts), setting.augmentation, draws))
    posterior = None
    if train_set.truth is not None:
        posterior = mixture.noisy_digits(run.data["sigma"]).posterior
    mix, teach = mixer(run.parameters["mixing"]), lesson.teach
    assert mix is not None
    assert teach is not None
    return supervision(batch.images, batch.labels, lesson.classes, mix, teach, posterior)


def _watched(run: Run, dataset: Dataset) -> dict[str, Watched]:
    """What is evaluated after every epoch; the training set only where its losses are needed."""
    seen = "class_loss" in run.keep or run.method in objectives.HEEDFUL
    by_class = seen or "test_class_loss" in run.keep
    parts = {
        "test": dataset.test,
        "held": dataset.held,
        "train": dataset.train if seen else None,
    }
    return {k: Watched(v, by_class) for k, v in parts.items() if v is not None}
