"""The replication's networks with and without label smoothing ([Re] sections 3 to 5), as runs.

The paper profile has the paper's data sets and networks. The quick one has noisy digits, whose true
posterior is known, and scikit-learn's digits, with networks that train in seconds.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ldlstudy import checks
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.studies import digits
from ldlstudy.studies.bench import Bench

ALPHAS = (0.0, 0.05, 0.1, 0.15, 0.3)  # Tables 2 and 3
OWN_ALPHAS = (0.0, 0.1)  # of rows that the paper does not have
KEEP = ("plane", "reliability")  # for the figures, of the first seed
SHIFTED = {"shift": 2}
FCN = {
    "epochs": 100,
    "batch": 512,
    "rate": [1.0, 1.0, 0.1],
    "momentum": 0.9,
    "dampening": 0.9,
    "schedule": "linear",
}
NO_DROPOUT = {"dropout": 0.0}  # as in the authors' code; the text says .5
ALEXNET = {
    "epochs": 1246,
    "batch": 128,
    "rate": 0.1,
    "momentum": 0.0,
    "drops": [415, 830],
    "norm_penalty": [0.0, 0.0, 0.04, 0.04, 0.0],  # as in the code, of the first two dense layers
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
}
TINY = {
    "epochs": 100,
    "batch": 128,
    "rate": 0.004,
    "weight_decay": 1e-5,
    "drops": list(range(7, 100, 7)),
    "factor": 0.5,
}
FROM_IMAGENET = {"stem": "7x7", "weights": "imagenet"}
BIRDS = {"flip": True, "affine": [45, 0.35, 0.65, 1.35], "normalise": "imagenet"}
TINIES = {"flip": True, "affine": [7.5, 0.1, 0.925, 1.075], "normalise": "imagenet"}
CNN = {"epochs": 30, "batch": 128, "rate": 0.05, "schedule": "linear"}


def cropped(normalise: str, **crop: int) -> dict[str, Any]:
    """Return the augmentation of CIFAR: a random crop and a flip."""
    return {**crop, "flip": True, "normalise": normalise}


def _fcn(dataset: str, level: str = "paper") -> Bench:
    return Bench(
        f"{dataset}-fcn1200",
        dataset,
        "fcn1200",
        FCN,
        augmentation=SHIFTED,
        network=NO_DROPOUT,
        level=level,
    )


_PAPER = (
    _fcn("mnist"),
    _fcn("emnist"),
    _fcn("emnist47", "part"),
    _fcn("fashion_mnist"),
    Bench(
        "cifar10-alexnet24", "cifar10", "alexnet24", ALEXNET,
        augmentation=cropped("cifar10", crop=24),
    ),
    Bench(
        "cifar10-preact_resnet56", "cifar10", "preact_resnet56", RESNET56,
        augmentation=cropped("cifar10", crop=24),
    ),
    Bench(
        "cifar100-preact_resnet56", "cifar100", "preact_resnet56",
        RESNET56, augmentation=cropped("cifar100", crop=32, pad=4), network={"stem": "7x7"},
    ),
    Bench(
        "cub200-resnet34", "cub200", "resnet34", CUB, augmentation=BIRDS,
        network=FROM_IMAGENET,
    ),
    Bench(
        "tiny_imagenet-resnet50", "tiny_imagenet", "resnet50", TINY,
        augmentation=TINIES, network=FROM_IMAGENET,
    ),
    Bench(
        "cifar10-resnet20-reduced", "cifar10",
        "resnet20", RESNET20, augmentation=cropped("cifar10", crop=32, pad=4), level="reduced",
    ),
)  # fmt: skip
DIGITS, CLEAN = digits.NAME, "digits-small_cnn"
_QUICK = (
    Bench(
        DIGITS, "noisy_digits", "small_cnn", CNN,
        {"sigma": 0.4, "train": 400, "test": 300}, seeds=3, level="quick",
    ),
    Bench(CLEAN, "digits", "small_cnn", CNN, seeds=3, level="quick"),
)  # fmt: skip
REDUCED, THIRD = "cifar10-resnet20-reduced", "emnist47-fcn1200"


def benches(profile: str) -> dict[str, Bench]:
    """Return the rows of Tables 2 and 3 of a profile; an unknown one is a ValueError."""
    checks.one_of("profile", profile, PROFILES)
    if profile == "paper":
        return {bench.name: bench for bench in _PAPER}
    return {bench.name: bench if profile == "quick" else small(bench) for bench in _QUICK}


def small(bench: Bench) -> Bench:
    """Return a bench of the smoke profile: two epochs on few images."""
    drawn = bench.dataset == "noisy_digits"
    data = {**bench.data, "train": 20, "test": 20} if drawn else bench.data
    return replace(bench, data=data, recipe={**bench.recipe, "epochs": 2}, seeds=2)


def smoothed(bench: Bench, alpha: float, seed: int = 0, keep: Iterable[str] = KEEP) -> Planned:
    """Return the planned run with a smoothing factor; 0 is hard labels."""
    method, settings = ("ls", {"epsilon": alpha}) if alpha else ("none", {})
    return bench.plan(f"{alpha:g}", bench.run(method, settings, seed), keep, alpha=alpha)


def runs(profile: str) -> list[Planned]:
    """Return every run of Tables 2 and 3; Figures 2, 3 and 9 are of the same networks."""
    return [
        smoothed(bench, alpha, seed, ("plane",) if seed else KEEP)
        for bench in benches(profile).values()
        for alpha in (ALPHAS if bench.level in ("paper", "quick") else OWN_ALPHAS)
        for seed in range(bench.seeds)
    ]


def explored(profile: str) -> list[Planned]:
    """Return networks on noisy digits by alpha, for the explorer of penultimate planes; one seed.

    There are those of the quick and the smoke profile; another profile is a ValueError.
    """
    checks.one_of("profile of the networks to explore", profile, ("quick", "smoke"))
    bench = benches(profile)[DIGITS]
    return [
        replace(smoothed(bench, alpha, keep=("planes",)), strategy=f"{alpha:g} planes")
        for alpha in ALPHAS
    ]
