"""Run one method on one image set: data, teachers, training, measurement, record."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ldlstudy import metrics, objectives, scaling, train
from ldlstudy.augment import Augmentation
from ldlstudy.dataset import Dataset, Images
from ldlstudy.draws import seed_of
from ldlstudy.execution import Execution
from ldlstudy.image_measures import certain, measure
from ldlstudy.methods import Lesson
from ldlstudy.models import Classifier
from ldlstudy.protocol import Protocol
from ldlstudy.records import Record, Run, rounded
from ldlstudy.scores import Rows
from ldlstudy.setting import CHECKPOINT, NETWORK, Setting, prepare, trained, workplace


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
    start = time.perf_counter()
    setting = prepare(run, execution)
    folder = workplace(run, work)
    folder.mkdir(parents=True, exist_ok=True)
    lesson, taught = learn(run, setting, work)
    network = setting.network(run)
    history = train.train(
        network,
        setting.dataset.train,
        objectives.make(run.method, lesson, run.parameters),
        setting.protocol,
        setting.augmentation,
        execution,
        seed=run.seed,
        others=objectives.OTHERS.get(run.method, ()),
        watch=_watched(run, setting.dataset),
        checkpoint=folder / CHECKPOINT,
        title=title,
    )
    train.save(folder / NETWORK, network=network)
    rows, estimates, figures = measure(run, setting, network, history)
    rows, estimates = rows | taught, estimates | certain(taught)
    figures["history"] = {name: [epoch[name] for epoch in history] for name in history[0]}
    made = _made(setting, history, time.perf_counter() - start)
    return Record(run.specification, *(map(rounded, (rows, estimates, figures, made))))


def _made(setting: Setting, history: train.History, seconds: float) -> dict[str, Any]:
    """How the run was carried out; ``seconds`` are of the process that ended it."""
    training = sum(epoch["seconds"] for epoch in history)
    return setting.execution.circumstances(seconds) | {
        "networks": 1,
        "epochs": len(history),
        "training_seconds": training,
        "images_per_second": len(history) * len(setting.dataset.train.labels) / training,
        "data": setting.dataset.digest,
    }


def learn(run: Run, setting: Setting, work: Path | None = None) -> tuple[Lesson, Rows]:
    """The training set as the run's method sees it, and a row about the teacher, if it has one.

    A teacher labels the training images as they are, without augmentation, or with ``relabel`` the
    student's augmented views; several teachers' mean probability is one teacher's.

    Raises
    ------
    ValueError
        If a teacher's data are another set, its weights are missing or of another network, or the
        views it would label are not prepared as its own training images were.
    """
    train_set, test, held = setting.dataset.train, setting.dataset.test, setting.dataset.held
    unseen = torch.empty(len(train_set.labels), 0)  # no image method's label looks at the pixels
    classes = len(setting.dataset.classes)
    lesson = Lesson(unseen, train_set.labels, classes, seed_of(run.seed, "label"))
    if not run.teachers:
        return lesson, {}
    teachers = [_teacher(run, teacher, setting, work) for teacher in run.teachers]

    def predict(images: Images) -> Tensor:
        return _mean([own.predict(network, images) for own, network in teachers])

    @torch.no_grad()
    def teach(views: Tensor) -> Tensor:
        return _mean([network(views) for _, network in teachers])

    logits, temperature = predict(train_set), 1.0
    if held is not None:
        temperature = scaling.fit_temperature(predict(held), held.labels)
    softened = scaling.scale(logits, run.parameters.get("temperature", 1.0))
    row = {
        "smoothness": [metrics.smoothness(softened, train_set.labels)],
        "accuracy": [metrics.accuracy(predict(test).softmax(1), test.labels)],
    }
    return lesson._replace(logits=logits, temperature=temperature, teach=teach), {"teacher": row}


def _teacher(
    run: Run, teacher: Run, setting: Setting, work: Path | None
) -> tuple[Setting, Classifier]:
    """A teacher's settings and its network, in evaluation mode."""
    if teacher.dataset != run.dataset:
        raise ValueError(
            f"the teacher {teacher.id} was trained on {teacher.dataset}, its student's data are "
            f"{run.dataset}"
        )
    own = setting._replace(
        protocol=Protocol.of(teacher.training),
        augmentation=Augmentation.of(teacher.data.get("augment", {})),
    )
    seen, shown = ((a.augmentation.crop, a.augmentation.normalise) for a in (own, setting))
    if run.parameters.get("relabel") and seen != shown:
        raise ValueError(
            f"the teacher {teacher.id} was trained with crop and normalisation {seen}, the views "
            f"of its student have {shown}"
        )
    return own, trained(teacher, own, work).eval()


def _mean(logits: list[Tensor]) -> Tensor:
    """Logits of the mean probability of several networks; one network's stay as they are."""
    if len(logits) == 1:
        return logits[0]
    return torch.stack([z.log_softmax(1) for z in logits]).logsumexp(0) - math.log(len(logits))


def _watched(run: Run, dataset: Dataset) -> dict[str, train.Watched]:
    """What is evaluated after every epoch; the training set only where its losses are kept."""
    by_class = "class_loss" in run.keep
    parts = {
        "test": dataset.test,
        "held": dataset.held,
        "train": dataset.train if by_class else None,
    }
    return {k: train.Watched(v, by_class) for k, v in parts.items() if v is not None}
