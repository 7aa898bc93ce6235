"""A bench: a data set and a network with the recipe that trains it, on which strategies compare."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Run
from ldlstudy.studies.strategies import Strategy, named

DATASETS = {  # what the book calls data sets and networks
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "cub200": "CUB-200",
    "digits": "digits",
    "emnist": "EMNIST",
    "emnist47": "a third of EMNIST",
    "fashion_mnist": "Fashion-MNIST",
    "imagenet": "ImageNet",
    "mit67": "MIT67",
    "mnist": "MNIST",
    "multi30k": "Multi30k",
    "noisy_digits": "noisy digits",
    "six_gaussians": "six Gaussians",
    "stanford_dogs": "Stanford Dogs",
    "stl10": "STL10",
    "svhn": "SVHN",
    "synonyms": "invented language",
    "three_domains": "birds, dogs and rooms",
    "three_small_domains": "objects, garments and characters",
    "tiny_imagenet": "Tiny ImageNet",
}
DRAWN = ("noisy_digits", "synonyms")  # sets that are drawn anew for each seed
VALIDATION = {"validation": 50}  # images of a class, beside the others, to choose settings on
NETWORKS = {
    "alexnet24": "AlexNet",
    "alexnet32": "AlexNet",
    "densenet_bc_40_12": "DenseNet-BC-40-12",
    "densenet121": "DenseNet-121",
    "dla": "DLA",
    "fast_cnn": "fast CNN",
    "fcn800": "FCN",
    "fcn1200": "FCN",
    "inception_v4": "Inception-v4",
    "lenet": "LeNet",
    "preact_resnet10": "ResNet-10",
    "preact_resnet18": "ResNet-18",
    "preact_resnet56": "ResNet-56",
    "resnet10": "ResNet-10",
    "resnet18": "ResNet-18",
    "resnet20": "ResNet-20",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "resnet56": "ResNet-56",
    "resnet101": "ResNet-101",
    "resnet110": "ResNet-110",
    "resnet110_sd": "ResNet-110, stochastic depth",
    "resnet152": "ResNet-152",
    "resnet152_sd": "ResNet-152, stochastic depth",
    "resnet200": "ResNet-200",
    "resnext29_4x64d": "ResNeXt-29-4x64d",
    "resnext101_32x4d": "ResNeXt-101-32x4d",
    "small_cnn": "small CNN",
    "small_fcn": "small FCN",
    "wrn_34_10": "WRN-34-10",
    "transformer": "Transformer",
}


@dataclass(frozen=True)
class Bench:
    """A data set and a network with the recipe that trains it.

    Attributes
    ----------
    name : str
        What it is called in rows.
    dataset, data, augmentation, model, network, recipe
        As in :class:`ldlstudy.experiment.records.Run`. Drawn data are drawn anew by seed.
    seeds : int
        How often each strategy is repeated.
    level : str
        A key of :data:`ldlstudy.experiment.plan.LEVELS`.
    facts : Mapping
        What else tells it from other benches of its study.
    smaller : str
        In what its network is smaller than the paper's, in words.
    """

    name: str
    dataset: str
    model: str
    recipe: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    level: str = "paper"
    facts: Mapping[str, Any] = field(default_factory=dict)
    smaller: str = ""

    @property
    def label(self) -> str:
        """What the book calls it: its data set and its network."""
        trained = ", ".join(filter(None, (f"{self.recipe['epochs']} epochs", self.smaller)))
        told = {"reduced": f" (reduced: {trained})", "fast": f" ({trained})"}
        return f"{DATASETS[self.dataset]}, {NETWORKS[self.model]}{told.get(self.level, '')}"

    def run(
        self,
        method: str,
        settings: Mapping[str, Any],
        seed: int = 0,
        teachers: tuple[Run, ...] = (),
        mixing: Mapping[str, Any] | None = None,
    ) -> Run:
        """Return the run of any method."""
        drawn = {"draw": seed} if self.dataset in DRAWN else {}
        return Run(
            self.dataset,
            self.model,
            method,
            data={**self.data, **drawn},
            network=self.network,
            settings=settings,
            augmentation=self.augmentation,
            mixing=mixing or {},
            recipe=self.recipe,
            teachers=teachers,
            seed=seed,
        )

    def plan(
        self,
        name: str,
        run: Run,
        keep: Iterable[str] = (),
        **facts: Any,
    ) -> Planned:
        """Return a planned run of this bench, called ``name`` in the rows of tables."""
        return Planned(
            run,
            tuple(sorted(keep)),
            self.name,
            name,
            self.level,
            intervals=self.level != "quick",
            facts={**self.facts, **facts},
        )

    def plan_strategy(
        self,
        name: str,
        seed: int = 0,
        keep: Iterable[str] = (),
        teachers: tuple[Run, ...] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> Planned:
        """Return the planned run of a strategy by its name, with changed ``settings`` if given."""
        own = named(name)
        changed = {**own.settings, **(settings or {})}
        run = self.fitting(own).run(
            own.method, changed, seed, teachers, own.mixing_on(self.dataset)
        )
        return self.plan(name, run, keep)

    def fitting(self, strategy: Strategy) -> "Bench":
        """Return the bench with what a strategy asks of the network and of the data.

        Images that the bench holds out by itself serve every strategy.
        """
        held: dict[str, Any] = {}
        if strategy.chooses:
            held = dict(VALIDATION) if self.dataset == "noisy_digits" else {"held": 0.1}
        elif strategy.held:
            held = {"held": strategy.held}
        return replace(
            self, network={**self.network, **strategy.network}, data={**held, **self.data}
        )
