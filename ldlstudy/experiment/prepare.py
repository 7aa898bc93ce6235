"""What a run of images names, ready for use: its data, its network, its teachers, its folder.

The weights of a network, its checkpoint and its predictions go to ``runs/<id>/``, which git
ignores; a student finds its teacher there.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ldlstudy import data, files, methods, mixing, models, scaling
from ldlstudy.batch import Teacher
from ldlstudy.data import own
from ldlstudy.data.images import Dataset
from ldlstudy.device import Execution
from ldlstudy.experiment.records import Run
from ldlstudy.methods import Method
from ldlstudy.models import Classifier, dropout
from ldlstudy.seeds import seed_of
from ldlstudy.training import Augmentation, Predictor, Recipe, ask, checkpoints
from ldlstudy.training.loop import adapt

NETWORK, PREDICTIONS = "network.pt", "predictions.pt"
Teachers = dict[tuple[str, ...], tuple[Teacher, Sequence[Predictor]]]  # by the teachers' ids


@dataclass(frozen=True)
class Setting:
    """What a run's data, augmentation, recipe and method name, ready for use."""

    run: Run
    dataset: Dataset
    augmentation: Augmentation
    recipe: Recipe
    execution: Execution

    @property
    def method(self) -> Method:
        """The run's row of the table of methods."""
        return methods.named(self.run.method)

    @property
    def passes(self) -> int | None:
        """Passes of Monte-Carlo dropout in every prediction; None without."""
        passes: int | None = self.run.network.get("passes")
        return passes

    def new_network(self) -> Classifier:
        """Return the run's network with its first weights, on the device."""
        with Execution().seeded(seed_of(self.run.seed, "weights")):
            network, width = self._untrained(self.run), 0
            if self.method.beside is not None and self.run.teachers:
                width = self._untrained(self.run.teachers[0]).head.in_features
            self.method.fit(network, self.dataset.shape, self.dataset.train.labels, width)
        self.execution.place(network)
        adapt(network, self.dataset.train, self.augmentation)
        return network

    def _untrained(self, run: Run) -> Classifier:
        shape = self.augmentation.shape(self.dataset.shape)
        fitting = {"channels": shape[0], "size": shape[1], "shape": shape}
        taken = models.options_of(run.model)
        options: dict[str, Any] = {k: v for k, v in fitting.items() if k in taken}
        options |= {k: v for k, v in run.network.items() if k != "passes"}
        dropped = None if "dropout" in taken else options.pop("dropout", None)
        network = models.build(run.model, len(self.dataset.classes), **options)
        return network if dropped is None else dropout.with_dropout(network, dropped)

    def predictor(self, network: nn.Module) -> Predictor:
        """Return the network with what it takes to predict; a bad number of passes is refused."""
        found = Predictor(network, self.augmentation, self.execution, self.passes)
        assert found.answer is not None  # refuses to sample what has no dropout
        return found

    def trained(self, work: Path | None = None) -> Classifier:
        """Return the network of a run that has been carried out in ``work``.

        Weights that are not there, damaged, of another run, or of a network with other sizes are
        a ValueError.
        """
        run, file = self.run, workplace(self.run, work) / NETWORK
        if not file.exists():
            raise ValueError(
                f"the weights of {run.model} {run.method} {run.id} on {run.dataset} are not in "
                f"{file}: run it first, or sweep, which runs teachers before their students"
            )
        network, content = self.new_network(), checkpoints.load(file)
        if content.get("run") != run.id:
            raise ValueError(
                f"{file} holds the weights of run {content.get('run')}, not of {run.id}: delete it "
                "and run again"
            )
        try:
            network.load_state_dict(content["network"])
        except (KeyError, RuntimeError) as error:
            raise ValueError(
                f"{file} holds another network than {run.model} with the sizes that {run.id} "
                "names: delete it and run again"
            ) from error
        return network


def prepare(run: Run, execution: Execution) -> Setting:
    """Load the run's data and read its settings.

    An unknown name (the known ones are listed), a value out of range, or data that are missing are
    a ValueError.
    """
    models.options_of(run.model)  # which refuses an unknown one
    if run.replicates != 1:
        raise ValueError(
            f"a run on images has one replicate, got {run.replicates}: name other seeds"
        )
    method = methods.named(run.method)
    if method.teacher != bool(run.teachers):
        needs = "needs a teacher" if method.teacher else "takes no teacher"
        raise ValueError(f"method {run.method!r} {needs}, the run names {len(run.teachers)}")
    methods.check_settings(method.settings, run.settings)
    mixing.named(run.mixing or None)
    augmentation = Augmentation.of(run.augmentation)
    recipe = Recipe.of(run.recipe)
    dataset = _dataset(run.dataset, json.dumps(dict(run.data), sort_keys=True), execution.device)
    if len(methods.candidates(run.settings)) > 1 and dataset.held is None:
        raise ValueError(
            f"method {run.method!r} has settings to choose from on held-out images, got "
            f"{dict(run.settings)}: hold images out"
        )
    if len(dataset.shape) != 3:
        raise ValueError(
            f"{run.dataset} has features (N, F), which networks by name do not take: train one of "
            "your own with ldlstudy.train"
        )
    return Setting(run, dataset, augmentation.fitted(dataset.train), recipe, execution)


@functools.lru_cache(maxsize=2)
def _dataset(name: str, options: str, device: str) -> Dataset:
    return data.load(name, **json.loads(options)).to(device)


def workplace(run: Run, work: Path | None = None) -> Path:
    """Return the folder of the run's weights, checkpoint and predictions."""
    return (work or files.root() / "runs") / run.id


def checkpoint_of(folder: Path, candidate: int = 0) -> Path:
    """Return the file of a run's checkpoint, or of one of the candidates that it chooses from."""
    return folder / (f"checkpoint-{candidate}.pt" if candidate else "checkpoint.pt")


def clear(folder: Path) -> None:
    """Delete the checkpoints of a run that is done."""
    for file in folder.glob("checkpoint*.pt"):
        file.unlink(missing_ok=True)


def teacher_of(
    setting: Setting, work: Path | None, known: Teachers
) -> tuple[Teacher | None, Sequence[Predictor]]:
    """Ask a run's teachers for what they say of its training images.

    Parameters
    ----------
    setting : Setting
        Of the student.
    work : Path, optional
        Folder of the teachers' weights.
    known : dict
        Teachers that runs with the same data have asked already; this run adds its own.

    Raises
    ------
    ValueError
        If a teacher's data are another set, its weights are missing or of another network, or the
        views it would label are not prepared as its own training images were.
    """
    run, dataset = setting.run, setting.dataset
    if not run.teachers:
        return None, ()
    predictors = [_predictor(setting, teacher, work) for teacher in run.teachers]
    key = tuple(teacher.id for teacher in run.teachers)
    if key not in known:
        with scaling.unwarned():
            known[key] = ask(predictors, dataset.train, dataset.held), predictors
    return known[key]


def _predictor(setting: Setting, teacher: Run, work: Path | None) -> Predictor:
    """A teacher's network and how it predicts, in evaluation mode."""
    run, dataset = setting.run, setting.dataset
    if teacher.dataset != run.dataset:
        raise ValueError(
            f"the teacher {teacher.id} was trained on {teacher.dataset}, its student's data are "
            f"{run.dataset}"
        )
    if teacher.data.get("files") != run.data.get("files"):
        raise ValueError(f"the files in {run.data['path']} are others than those of its teacher")
    shares = [each.data.get("test") or own.TEST for each in (teacher, run)]
    if "path" in run.data and shares[0] != shares[1]:
        raise ValueError(
            f"the teacher {teacher.id} is tested on {shares[0]:g} of each class, its student on "
            f"{shares[1]:g}: what is tested on must be new to both"
        )
    known, held_out = ([each.data.get(name, 0) for name in ("held", "seed")]
                       for each in (teacher, run))  # fmt: skip
    if known != held_out:
        raise ValueError(
            f"the teacher {teacher.id} held out {known[0]:g} of the images by seed {known[1]}, its "
            f"student {held_out[0]:g} by seed {held_out[1]}: what is held out must be new to both"
        )
    theirs = replace(
        setting,
        run=teacher,
        recipe=Recipe.of(teacher.recipe),
        augmentation=Augmentation.of(teacher.augmentation).fitted(dataset.train),
    )
    seen, shown = ((a.augmentation.crop, a.augmentation.normalise) for a in (theirs, setting))
    sees_views = run.settings.get("relabel") or "relabel" not in setting.method.settings
    if sees_views and not setting.method.only_labels and seen != shown:
        raise ValueError(
            f"the teacher {teacher.id} was trained with crop and normalisation {seen}, the views "
            f"of its student have {shown}"
        )
    return theirs.predictor(theirs.trained(work).eval())
