"""What a run of images names, ready for use: its data, its network, its folder.

The weights of a network and its checkpoint go to ``runs/<id>/``, which git ignores; a student finds
its teacher there.
"""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ldlstudy import (
    checkpoints,
    checks,
    contrast,
    data,
    evaluation,
    heads,
    image_figures,
    models,
    objectives,
    uncertainty,
)
from ldlstudy.augment import Augmentation
from ldlstudy.dataset import Dataset, Images
from ldlstudy.draws import seed_of
from ldlstudy.execution import Execution
from ldlstudy.mixers import mixer
from ldlstudy.models import Classifier
from ldlstudy.protocol import Protocol
from ldlstudy.records import PROFILES, Run, root

# what a run may ask to keep for figures, and to be measured for them
KEPT = (
    "answers",
    "by_class",
    "class_loss",
    "embedding",
    "errors",
    "label",
    "neighbours",
    "operations",
    "plane",
    "planes",
    "reliability",
    "sampled",
    "similar",
    "supervision",
    "test_class_loss",
    "total_variation",
)
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
            network = heads.fit(run.method, self._untrained(run), self.dataset.shape)
            if run.method in contrast.BESIDE:
                width = self._untrained(run.teachers[0]).head.in_features
                contrast.fit(run.method, network, len(self.dataset.train.labels), width)
        self.execution.place(network)
        return network

    def _untrained(self, run: Run) -> Classifier:
        fitting = {"channels": self.dataset.shape[0], "shape": self.dataset.shape}
        taken = models.options_of(run.model)
        options: dict[str, Any] = {k: v for k, v in fitting.items() if k in taken}
        options |= Protocol.of(run.training).network
        dropout = None if "dropout" in taken else options.pop("dropout", None)
        network = models.build(run.model, len(self.dataset.classes), **options)
        return network if dropout is None else uncertainty.with_dropout(network, dropout)

    def answers(self, network: Classifier) -> Callable[[Tensor], Tensor]:
        """How the network, in evaluation mode, answers images: as it is, or sampled."""
        passes = self.protocol.passes
        return network if passes is None else uncertainty.sampled(network, passes)

    def predict(self, network: Classifier, images: Images) -> Tensor:
        """Logits (N, K) of ``images``."""
        with torch.random.fork_rng([]):
            torch.manual_seed(seed_of(0, "passes"))
            answers = self.answers(network)
            return evaluation.predict(network, images, self.augmentation, self.execution, answers)


def prepare(run: Run, execution: Execution) -> Setting:
    """Load the run's data and read its settings.

    Raises
    ------
    ValueError
        An unknown name (the known ones are listed), a value out of range, or data that is missing.
    """
    checks.one_of("profile", run.profile, PROFILES)
    checks.one_of("model", run.model, models.available())
    checks.one_of("method", run.method, objectives.OBJECTIVES)
    for name in run.keep:
        checks.one_of("data to keep", name, KEPT)
    if (run.method in objectives.TAUGHT) != bool(run.teachers):
        needs = "needs a teacher" if not run.teachers else "takes no teacher"
        raise ValueError(f"method {run.method!r} {needs}, the run names {len(run.teachers)}")
    mix = mixer(run.parameters.get("mixing"))
    if "supervision" in run.keep and ("mixing" not in run.parameters or not run.teachers):
        raise ValueError("`supervision` is kept of a run with a teacher and a mixing alone")
    if "label" in run.keep:
        checks.one_of("method with a label of its own", run.method, objectives.LABELLED)
    if "similar" in run.keep:
        checks.one_of("data set with similar classes", run.dataset, image_figures.SIMILAR)
    options = dict(run.data)
    augmentation = Augmentation.of(options.pop("augment", {}))
    dataset = _dataset(run.dataset, json.dumps(options, sort_keys=True), execution.device)
    protocol = Protocol.of(run.training)
    if mix is not None:
        mix.check(min(protocol.batch, len(dataset.train.labels)))
    if run.method in objectives.HEEDFUL:
        gap = run.parameters.get("gap", uncertainty.GAP)
        if dataset.held is None or protocol.epochs <= gap:
            raise ValueError(
                f"method {run.method!r} compares the losses of training and held-out images "
                f"{gap} epochs apart: it needs `held` in the run's data and more than {gap} "
                f"epochs, got held {options.get('held', 0)} and {protocol.epochs} epochs"
            )
    if "label" in run.keep and dataset.train.truth is None:
        raise ValueError(f"`label` is kept where the truth is known, {run.dataset} has none")
    return Setting(dataset, augmentation, protocol, execution)


@functools.lru_cache(maxsize=2)
def _dataset(name: str, options: str, device: str) -> Dataset:
    return data.load(name, **json.loads(options)).to(device)


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
        network.load_state_dict(checkpoints.load(file)["network"])
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"{file} holds another network than {run.model} with the sizes that {run.id} names: "
            "delete it and run again"
        ) from error
    return network
