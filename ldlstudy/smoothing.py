"""The replication's networks with and without label smoothing ([Re] sections 3 to 5), as runs.

The paper profile has the paper's data sets and networks. The quick one has noisy digits, whose true
posterior is known, and scikit-learn's digits, with networks that train in seconds.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ldlstudy import checks
from ldlstudy.records import PROFILES, Run

ALPHAS = (0.0, 0.05, 0.1, 0.15, 0.3)  # Tables 2 and 3
KEEP = ("plane", "reliability")  # for the figures, of the first seed
SHIFTED = {"augment": {"shift": 2}}
FCN = {
    "epochs": 100,
    "batch": 512,
    "rate": [1.0, 1.0, 0.1],
    "momentum": 0.9,
    "dampening": 0.9,
    "schedule": "linear",
    "network": {"dropout": 0.0},  # as in the authors' code; the text says .5
}


class Bench(NamedTuple):
    """A data set and a network with the protocol that trains it."""

    dataset: str
    model: str
    label: str
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    seeds: int = 1

    def run(
        self,
        alpha: float,
        seed: int = 0,
        profile: str = "paper",
        keep: tuple[str, ...] = KEEP,
    ) -> Run:
        """Label smoothing with ``alpha``; 0 is hard labels."""
        method, parameters = ("ls", {"epsilon": alpha}) if alpha else ("none", {})
        return self.learn(method, parameters, seed, profile, keep)

    def learn(
        self,
        method: str,
        parameters: Mapping[str, Any],
        seed: int = 0,
        profile: str = "paper",
        keep: tuple[str, ...] = KEEP,
        teachers: tuple[Run, ...] = (),
    ) -> Run:
        """Any method by its name. Drawn data are drawn anew by seed."""
        draw = {"draw": seed} if self.dataset == "noisy_digits" else {}
        return Run(
            self.dataset,
            self.model,
            method,
            {**self.data, **draw},
            parameters,
            self.training,
            teachers,
            seed=seed,
            profile=profile,
            keep=keep,
        )


def _cifar(normalise: str, **crop: int) -> dict[str, Any]:
    return {"augment": {**crop, "flip": True, "normalise": normalise}}


ALEXNET = {
    "epochs": 1246,
    "batch": 128,
    "rate": 0.1,
    "momentum": 0.0,
    "drops": [415, 830],
    "loss_scale": 3.0,
}
RESNET56 = {
    "epochs": 205,
    "batch": 128,
    "rate": 0.1,
    "nesterov": True,
    "weight_decay": 1e-4,
    "drops": [102, 153],
    "loss_scale": 3.0,
    "clip": 1.0,
}
RESNET20 = {"epochs": 20, "rate": 0.1, "nesterov": True, "weight_decay": 5e-4, "drops": [10, 15]}
CUB = {
    "epochs": 250,
    "batch": 256,
    "rate": 0.3,
    "momentum": 0.0,
    "weight_decay": 1e-5,
    "drops": list(range(10, 250, 10)),
    "factor": 0.9,
    "network": {"stem": "7x7", "weights": "imagenet"},
}
TINY = {
    "epochs": 100,
    "batch": 128,
    "rate": 0.004,
    "weight_decay": 1e-5,
    "drops": list(range(7, 100, 7)),
    "factor": 0.5,
    "network": {"stem": "7x7", "weights": "imagenet"},
}
SEVEN = {**RESNET56, "network": {"stem": "7x7"}}
C10, C100 = "cifar10", "cifar100"
BIRDS = {"flip": True, "affine": [45, 0.35, 0.65, 1.35], "normalise": "imagenet"}
TINIES = {"flip": True, "affine": [7.5, 0.1, 0.925, 1.075], "normalise": "imagenet"}
BENCHES = {
    "mnist-fcn1200": Bench("mnist", "fcn1200", "MNIST, FCN", SHIFTED, FCN),
    "emnist-fcn1200": Bench("emnist", "fcn1200", "EMNIST, FCN", SHIFTED, FCN),
    "fashion_mnist-fcn1200": Bench("fashion_mnist", "fcn1200", "Fashion-MNIST, FCN", SHIFTED, FCN),
    "cifar10-alexnet24": Bench(
        C10, "alexnet24", "CIFAR-10, AlexNet", _cifar(C10, crop=24), ALEXNET
    ),
    "cifar10-preact_resnet56": Bench(
        C10, "preact_resnet56", "CIFAR-10, ResNet-56", _cifar(C10, crop=24), RESNET56
    ),
    "cifar100-preact_resnet56": Bench(
        C100, "preact_resnet56", "CIFAR-100, ResNet-56", _cifar(C100, crop=32, pad=4), SEVEN
    ),
    "cub200-resnet34": Bench("cub200", "resnet34", "CUB-200, ResNet-34", {"augment": BIRDS}, CUB),
    "tiny_imagenet-resnet50": Bench(
        "tiny_imagenet", "resnet50", "Tiny ImageNet, ResNet-50", {"augment": TINIES}, TINY
    ),
}
REDUCED = {
    "cifar10-resnet20-reduced": Bench(
        C10,
        "resnet20",
        "CIFAR-10, ResNet-20 (reduced: 20 epochs)",
        _cifar(C10, crop=32, pad=4),
        RESNET20,
    ),
}
REDUCED_ALPHAS = (0.0, 0.1)
CNN = {"epochs": 30, "batch": 128, "rate": 0.05, "schedule": "linear"}
QUICK = {
    "noisy_digits-small_cnn": Bench(
        "noisy_digits",
        "small_cnn",
        "noisy digits, CNN",
        {"sigma": 0.4, "train": 400, "test": 300},
        CNN,
        3,
    ),
    "digits-small_cnn": Bench("digits", "small_cnn", "digits, CNN", {}, CNN, 3),
}


def benches(profile: str) -> dict[str, Bench]:
    """The rows of Tables 2 and 3 of a profile."""
    checks.one_of("profile", profile, PROFILES)
    if profile == "paper":
        return BENCHES | REDUCED
    if profile == "quick":
        return QUICK
    return {name: _small(bench) for name, bench in QUICK.items()}


def _small(bench: Bench) -> Bench:
    """A bench of the smoke profile: two epochs on few images."""
    data = (
        {"sigma": 0.4, "train": 20, "test": 20} if bench.dataset == "noisy_digits" else bench.data
    )
    return bench._replace(data=data, training={**bench.training, "epochs": 2}, seeds=2)


def runs(profile: str) -> dict[str, Run]:
    """Every run of Tables 2 and 3 by ``<row> <alpha>``, with `` #1``, ... for further seeds."""
    return {
        name(row, alpha, seed): bench.run(alpha, seed, profile, ("plane",) if seed else KEEP)
        for row, bench in benches(profile).items()
        for alpha in (REDUCED_ALPHAS if row in REDUCED else ALPHAS)
        for seed in range(bench.seeds)
    }


def explored(profile: str) -> dict[str, Run]:
    """Networks on noisy digits by alpha, for the explorer of penultimate planes; one seed.

    There are those of the quick and the smoke profile; another profile is a ValueError.
    """
    checks.one_of("profile of the networks to explore", profile, ("quick", "smoke"))
    row = "noisy_digits-small_cnn"
    bench = benches(profile)[row]
    return {
        f"planes {name(row, alpha)}": bench.run(alpha, 0, profile, ("planes",)) for alpha in ALPHAS
    }


def name(row: str, alpha: float, seed: int = 0) -> str:
    """How this module calls a run."""
    return f"{row} {alpha:g}" + (f" #{seed}" if seed else "")
