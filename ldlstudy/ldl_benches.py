"""The networks of the LDL paper: on which data each is trained, and how.

The paper profile has its CIFAR, STL10 and ImageNet networks, and a CIFAR-100 of 20 epochs; the
others have noisy digits, whose true label distribution is known, by size and noise.
"""

import itertools
from typing import Any

from ldlstudy import checks
from ldlstudy.records import PROFILES
from ldlstudy.smoothing import Bench

PROTOCOL = {
    "epochs": 240,
    "batch": 64,
    "rate": 0.05,
    "weight_decay": 5e-4,
    "drops": [150, 180, 210],
    "order": 0,
}
LONG = {"epochs": 350, "drops": [150, 200, 250, 300]}
LARGE = {**PROTOCOL, "epochs": 90, "batch": 256, "rate": 0.1, "weight_decay": 1e-4}
IMAGENET = {**LARGE, "drops": [30, 60], "network": {"stem": "7x7"}}
IMAGENET_LONG = {"epochs": 120, "drops": [30, 60, 90]}
SHORT = {**PROTOCOL, "epochs": 20, "drops": [12, 15, 17]}  # a twelfth of the epochs
SEEDS = 3


def _cropped(side: int, pad: int, normalise: str) -> dict[str, Any]:
    return {"augment": {"crop": side, "pad": pad, "flip": True, "normalise": normalise}}


SETS = {  # data set: its name in the book, data
    "cifar10": ("CIFAR-10", _cropped(32, 4, "cifar10")),
    "cifar100": ("CIFAR-100", _cropped(32, 4, "cifar100")),
    "stl10": ("STL10", _cropped(96, 12, "imagenet")),
    "imagenet": (
        "ImageNet",
        {"augment": {"crop": 224, "flip": True, "normalise": "imagenet"}},
    ),
}
SMALL = ("resnet20", "resnet56", "resnet110")
WIDE = ("resnet18", "resnet50", "resnet200")
OTHERS = ("resnext29_4x64d", "densenet121", "dla")
FIVE = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110")  # teachers of En and MT
DEEP = ("resnet18", "resnet50", "resnet101", "resnet152")
REDUCED = "cifar100-resnet20-reduced"
QUICK = "noisy_digits-small_cnn"
DIGITS = {"sigma": 0.5, "train": 200, "test": 300}
CNN = {
    "epochs": 20,
    "batch": 64,
    "rate": 0.05,
    "schedule": "linear",
    "network": {"norm": True},
}
SIGMAS, SIZES = (0.4, 0.5, 0.6), (50, 100, 200)


def benches(profile: str) -> dict[str, Bench]:
    """The networks of a profile by ``<data set>-<model>``; an unknown profile is a ValueError."""
    checks.one_of("profile", profile, PROFILES)
    if profile == "paper":
        return _paper()
    seeds = SEEDS if profile == "quick" else 2
    made = {}
    for sigma, size in itertools.product(SIGMAS, SIZES):
        data = {**DIGITS, "sigma": sigma, "train": size}
        training = CNN
        if profile == "smoke":
            data, training = {"sigma": sigma, "train": size // 10, "test": 20}, {**CNN, "epochs": 2}
        bench = Bench("noisy_digits", "small_cnn", "noisy digits, CNN", data, training, seeds)
        made[cell(size, sigma)] = bench
    return {QUICK: made[cell(DIGITS["train"], DIGITS["sigma"])], **made}


def cell(size: float, sigma: float) -> str:
    """How the bench with ``size`` images a class and noise ``sigma`` is called."""
    return f"{QUICK}-n{size:g}-s{sigma:g}"


def _paper() -> dict[str, Bench]:
    networks = {
        "cifar100": (*FIVE, *WIDE, *OTHERS),
        "cifar10": FIVE,
        "stl10": FIVE,
        "imagenet": DEEP,
    }
    made = {}
    for dataset, names in networks.items():
        label, data = SETS[dataset]
        training = IMAGENET if dataset == "imagenet" else PROTOCOL
        for name in names:
            made[f"{dataset}-{name}"] = Bench(
                dataset, name, f"{label}, {name}", data, training, SEEDS
            )
    label, data = SETS["cifar100"]
    made[REDUCED] = Bench("cifar100", "resnet20", f"{label}, ResNet-20, 20 epochs", data, SHORT)
    return made
