"""Run one method on one image set: data, teachers, training, measurement, record.

The weights of a network and its checkpoint go to ``runs/<id>/``, which git ignores; a student finds
its teacher there.
"""

import functools
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ldlstudy import checks, data, metrics, models, objectives, scaling, train
from ldlstudy.augment import Augmentation
from ldlstudy.dataset import Dataset, Images
from ldlstudy.draws import seed_of
from ldlstudy.execution import Execution
from ldlstudy.image_figures import plane, reliability
from ldlstudy.methods import Lesson
from ldlstudy.models import Classifier
from ldlstudy.protocol import Protocol
from ldlstudy.records import Record, Run, root, rounded
from ldlstudy.scores import Outcome, Rows, predictions, score

KEPT = ("class_loss", "plane", "reliability")  # what a run may ask to keep for figures
NETWORK, CHECKPOINT = "network.pt", "checkpoint.pt"


class Setting(NamedTuple):
    """What a run's data, model and training name, ready for use."""

    dataset: Dataset
    augmentation: Augmentation
    protocol: Protocol
    execution: Execution

    def network(self, run: Run) -> Classifier:
        """The run's network with its first weights, on the device."""
        with torch.random.fork_rng([]):
            torch.manual_seed(seed_of(run.seed, "weights"))
            fitting = {"channels": self.dataset.shape[0], "shape": self.dataset.shape}
            taken = models.options_of(run.model)
            options = {k: v for k, v in fitting.items() if k in taken} | dict(self.protocol.network)
            network = models.build(run.model, len(self.dataset.classes), **options)
        self.execution.place(network)
        return network

    def predict(self, network: Classifier, images: Images) -> Tensor:
        """Logits (N, K) of ``images``."""
        return train.predict(network, images, self.augmentation, self.execution)


def prepare(run: Run, execution: Execution) -> Setting:
    """Load the run's data and read its settings.

    Raises
    ------
    ValueError
        An unknown name (the known ones are listed), a value out of range, or data that is missing.
    """
    checks.one_of("model", run.model, models.available())
    checks.one_of("method", run.method, objectives.OBJECTIVES)
    for name in run.keep:
        checks.one_of("data to keep", name, KEPT)
    if (run.method in objectives.TAUGHT) != bool(run.teachers):
        needs = "needs a teacher" if not run.teachers else "takes no teacher"
        raise ValueError(f"method {run.method!r} {needs}, the run names {len(run.teachers)}")
    options = dict(run.data)
    augmentation = Augmentation.of(options.pop("augment", {}))
    dataset = _dataset(run.dataset, json.dumps(options, sort_keys=True), execution.device)
    return Setting(dataset, augmentation, Protocol.of(run.training), execution)


@functools.lru_cache(maxsize=2)
def _dataset(name: str, options: str, device: str) -> Dataset:
    return data.load(name, **json.loads(options)).to(device)


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
        watch=_watched(run, setting.dataset),
        checkpoint=folder / CHECKPOINT,
        title=title,
    )
    train.save(folder / NETWORK, network=network)
    rows, estimates, figures = _measure(run, setting, network)
    rows, estimates = rows | taught, estimates | _certain(taught)
    figures["history"] = {name: [epoch[name] for epoch in history] for name in history[0]}
    seconds = sum(epoch["seconds"] for epoch in history)
    made = execution.circumstances(time.perf_counter() - start) | {
        "networks": 1,
        "epochs": len(history),
        "training_seconds": seconds,
        "images_per_second": len(history) * len(setting.dataset.train.labels) / seconds,
        "data": setting.dataset.digest,
    }
    results = (rounded(each) for each in (rows, estimates, figures, made))
    return Record(run.specification, *results)


def workplace(run: Run, work: Path | None = None) -> Path:
    """Folder of the run's weights and checkpoint."""
    return (work or root() / "runs") / run.id


def trained(run: Run, setting: Setting, work: Path | None = None) -> Classifier:
    """The network of a run that has been executed in ``work``.

    Raises
    ------
    ValueError
        If its weights are not there, damaged, or of a network with other sizes.
    """
    file = workplace(run, work) / NETWORK
    if not file.exists():
        raise ValueError(
            f"the weights of {run.model} {run.method} {run.id} on {run.dataset} are not in {file}: "
            "run it first, or sweep, which runs teachers before their students"
        )
    network = setting.network(run)
    try:
        network.load_state_dict(train.load(file)["network"])
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{file} holds another network than {run.model}: {error}") from error
    return network


def learn(run: Run, setting: Setting, work: Path | None = None) -> tuple[Lesson, Rows]:
    """The training set as the run's method sees it, and a row about the teacher, if it has one.

    A teacher labels the training images as they are, without augmentation; several teachers' mean
    probability is one teacher's.
    """
    train_set, held = setting.dataset.train, setting.dataset.held
    unseen = torch.empty(len(train_set.labels), 0)  # no image method's label looks at the pixels
    lesson = Lesson(
        unseen, train_set.labels, len(setting.dataset.classes), seed_of(run.seed, "label")
    )
    if not run.teachers:
        return lesson, {}
    networks = []
    for teacher in run.teachers:
        if teacher.dataset != run.dataset:
            raise ValueError(
                f"the teacher {teacher.id} was trained on {teacher.dataset}, its student's data "
                f"are {run.dataset}"
            )
        with_options = setting._replace(protocol=Protocol.of(teacher.training))
        networks.append(trained(teacher, with_options, work))

    def predict(images: Images) -> Tensor:
        return _mean([setting.predict(network.eval(), images) for network in networks])

    logits, test = predict(train_set), predict(setting.dataset.test)
    temperature = 1.0
    if held is not None:
        temperature = scaling.fit_temperature(predict(held), held.labels)
    scale = run.parameters.get("temperature", 1.0)
    row = {
        "smoothness": [metrics.smoothness(scaling.scale(logits, scale), train_set.labels)],
        "accuracy": [metrics.accuracy(test.softmax(1), setting.dataset.test.labels)],
    }

    @torch.no_grad()
    def teach(views: Tensor) -> Tensor:
        return _mean([network(views) for network in networks])

    return lesson._replace(logits=logits, temperature=temperature, teach=teach), {"teacher": row}


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


def _measure(run: Run, setting: Setting, network: Classifier) -> tuple[Rows, Rows, dict[str, Any]]:
    """Rows, estimates and the data for figures that the run asks to keep."""
    dataset = setting.dataset
    test, held = (
        None
        if images is None
        else Outcome(
            setting.predict(network, images).cpu(),
            images.labels.cpu(),
            None if images.truth is None else images.truth.cpu(),
        )
        for images in (dataset.test, dataset.held)
    )
    assert test is not None
    rows, estimates = score(test, held)
    figures: dict[str, Any] = {}
    if "reliability" in run.keep:
        figures["reliability"] = {
            name: reliability(p, test.labels) for name, (p, _) in predictions(test, held).items()
        }
    if "plane" in run.keep:
        parts = {"train": dataset.train, "test": dataset.test}
        figures["plane"], row = plane(network, parts, setting.augmentation, setting.execution)
        rows["plane"], estimates["plane"] = row, _certain({"plane": row})["plane"]
    return rows, estimates, figures


def _certain(rows: Rows) -> Rows:
    """Estimates of numbers without an interval."""
    return {
        name: {metric: values * 3 for metric, values in row.items()} for name, row in rows.items()
    }
