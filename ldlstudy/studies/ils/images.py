"""ILS on image sets as runs: the networks and methods of Table III.

The paper profile has the paper's own protocol, which needs a GPU, and a reduced one, which two
cores train: LeNet for 9 epochs, whose settings are chosen on the first seed, among fewer, after 3.
What was chosen is read from the record of that search; until it is there, the networks that hang
on it are not planned.
"""

import math
from dataclasses import replace
from typing import Any

from ldlstudy import checks, methods
from ldlstudy.experiment import images, records
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Run
from ldlstudy.studies import digits
from ldlstudy.studies.bench import Bench

SEEDS = 2
PAIRS = (  # data set and network, in the order of Table III
    *((d, n) for d in ("cifar10", "cifar100") for n in
      ("lenet", "resnet110", "resnet110_sd", "densenet_bc_40_12", "wrn_34_10")),
    ("svhn", "resnet152_sd"),
)  # fmt: skip
SGD = {"batch": 128, "rate": 0.1, "nesterov": True, "weight_decay": 1e-4, "keep": "best"}
DEEP = {"epochs": 500, "drops": [250, 325]}  # with stochastic depth
RECIPES: dict[str, dict[str, Any]] = {  # ILS appendix C-A
    "resnet18": {**SGD, "epochs": 200, "drops": [80, 150]},  # with the next two, of Table IV
    "resnet50": {**SGD, "epochs": 200, "drops": [80, 150]},
    "inception_v4": {**SGD, "epochs": 200, "drops": [30, 60, 90], "batch": 256},
    "lenet": {**SGD, "epochs": 300, "drops": [60, 120, 160]},
    "densenet_bc_40_12": {**SGD, "epochs": 300, "drops": [150, 225], "batch": 64},
    "resnet110": {**SGD, "epochs": 200, "drops": [80, 150]},
    "resnet110_sd": {**SGD, **DEEP},
    "resnet152_sd": {**SGD, **DEEP},
    "wrn_34_10": {
        **SGD, "epochs": 200, "drops": [60, 120, 160], "factor": 0.2, "weight_decay": 5e-4,
    },
}  # fmt: skip
SHORT = {**SGD, "epochs": 9, "rate": 0.05, "schedule": "linear"}
SEARCH = 3  # at the reduced level, a search takes so many times fewer epochs
NORMALISED = {"fashion_mnist": "image"}  # by its own mean and deviation
HELD = 0.1  # of the training images
GRIDS: dict[str, list[float]] = {  # ILS section VI
    "epsilon": [0.01, 0.05, 0.1, 0.15, 0.2],
    "p1": [0.975, 0.95, 0.925, 0.9, 0.85],
    "p2": [0.75, 1.0, 1.25, 1.5, 2.0],
    "teacher_temperature": [1.0, 2.0, 4.0, 8.0, 16.0],
}
FEWER: dict[str, list[float]] = {  # of these, what the reduced level tries
    "epsilon": [0.01, 0.1, 0.2],
    "p1": [0.975, 0.85],
    "p2": [0.75, 2.0],
    "teacher_temperature": [1.0, 4.0, 16.0],
}
TUNED: dict[str, tuple[str, ...]] = {  # methods of Table III, and which settings each chooses
    "none": (),
    "distil": (),
    "similarity": ("epsilon",),
    "bootstrap": (),
    "beta": ("epsilon",),
    "ls": ("epsilon",),
    "ils1": ("p1", "p2"),
    "ils2": ("epsilon", "teacher_temperature"),
    "ils": ("p1", "p2", "teacher_temperature"),
}


def benches(profile: str) -> dict[str, Bench]:
    """Return the benches by name: reduced ones and the paper's pairs.

    The smoke profile has noisy digits in their place, the quick profile none: a ValueError.
    """
    checks.one_of("profile of ILS on images", profile, ["paper", "smoke"])
    if profile == "smoke":
        own = digits.cell(digits.TRAIN, digits.SIGMA, SEEDS, small=True)
        data, recipe = {**own.data, "validation": 10}, {**own.recipe, "keep": "best"}
        made = [replace(own, data=data, recipe=recipe, level="reduced")]
    else:
        made = [_reduced(dataset) for dataset in ("cifar10", "cifar100")]
        made += [bench(dataset, network) for dataset, network in PAIRS]
    return {bench.name: bench for bench in made}


def bench(dataset: str, network: str) -> Bench:
    """Return the paper's bench of a data set and a network."""
    side = 28 if dataset == "fashion_mnist" else 32
    cropped: dict[str, Any] = {} if dataset == "svhn" else {"crop": side, "pad": 4, "flip": True}
    return Bench(
        f"{dataset}-{network}", dataset, network, RECIPES[network], {"held": HELD}, seeds=SEEDS,
        augmentation={**cropped, "normalise": NORMALISED.get(dataset, dataset)},
    )  # fmt: skip


def _reduced(dataset: str) -> Bench:
    own = bench(dataset, "lenet")
    return replace(own, name=f"{own.name}-reduced", recipe=SHORT, level="reduced")


def runs(profile: str) -> list[Planned]:
    """Return every run: hard labels of a seed first, which teach the others of that seed."""
    return [
        each
        for own in benches(profile).values()
        for seed in range(own.seeds)
        for method in TUNED
        for each in plans(own, method, seed)
    ]


def plans(on: Bench, method: str, seed: int) -> list[Planned]:
    """Return the network of a method, after the search for its settings where that is apart.

    What has not been searched for yet is not planned.
    """
    grid: dict[str, Any] = {name: GRIDS[name] for name in TUNED[method]}
    found = []
    if on.level == "reduced" and grid:
        search = _search(on, method)
        found = [search] if seed == 0 else []
        record = records.load(search.run)
        if record is None:
            return found
        grid = images.best(record.figure("candidates"))
    own = of_seed(on, seed)
    settings = {**grid, **({"beta": 0.95} if method == "bootstrap" else {})}
    run = own.run(method, settings, seed, _teachers(on, method, seed))
    return [*found, replace(own.plan(method, run), intervals=False)]


def searched(method: str) -> int:
    """Return among how many settings a method's are chosen at the reduced level."""
    return math.prod(len(FEWER[name]) for name in TUNED[method])


def _search(on: Bench, method: str) -> Planned:
    """The search of the reduced level for the settings of a method, of the first seed."""
    short = replace(on, recipe={**on.recipe, "epochs": max(1, on.recipe["epochs"] // SEARCH)})
    grid = {name: FEWER[name] for name in TUNED[method]}
    run = short.run(method, grid, 0, _teachers(on, method, 0))
    return replace(short.plan(f"search {method}", run), intervals=False)


def of_seed(on: Bench, seed: int) -> Bench:
    """Return a bench with a split of its own for each seed, as in the paper."""
    split = {"seed": seed} if seed and "held" in on.data else {}
    return replace(on, data={**on.data, **split})


def _teachers(on: Bench, method: str, seed: int) -> tuple[Run, ...]:
    """Hard labels' network of the seed, where a method needs it."""
    taught = methods.named(method).teacher
    return (of_seed(on, seed).run("none", {}, seed),) if taught else ()
