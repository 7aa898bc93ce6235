"""ILS on image sets as runs: the networks and methods of Table III.

The paper profile has the paper's own protocol, which needs a GPU, and a reduced one, which two
cores train: LeNet for 9 epochs, whose settings are chosen on the first seed, among fewer, after 3.
What was chosen is read from the record of that search; until it is there, the networks that hang
on it are not planned.
"""

from collections.abc import Iterator
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
        made += [_bench(dataset, network) for dataset, network in PAIRS]
    return {bench.name: bench for bench in made}


def _bench(dataset: str, network: str) -> Bench:
    cropped = {} if dataset == "svhn" else {"crop": 32, "pad": 4, "flip": True}
    return Bench(
        f"{dataset}-{network}", dataset, network, RECIPES[network], {"held": HELD}, seeds=SEEDS,
        augmentation={**cropped, "normalise": dataset},
    )  # fmt: skip


def _reduced(dataset: str) -> Bench:
    own = _bench(dataset, "lenet")
    return replace(own, name=f"{own.name}-reduced", recipe=SHORT, level="reduced")


def runs(profile: str) -> list[Planned]:
    """Return every run: hard labels of a seed first, which teach the others of that seed."""
    return [
        each
        for bench in benches(profile).values()
        for seed in range(bench.seeds)
        for method in TUNED
        for each in _plans(bench, method, seed)
    ]


def _plans(bench: Bench, method: str, seed: int) -> Iterator[Planned]:
    """The network of a method, after the search for its settings where that is apart."""
    own = _of_seed(bench, seed)
    teachers = ()
    if methods.named(method).teacher:
        teachers = (_network(own, "none", {}, seed),)
    settings: dict[str, Any] = {"beta": 0.95} if method == "bootstrap" else {}
    grid = {name: GRIDS[name] for name in TUNED[method]}
    if bench.level == "reduced" and grid:
        search = searched(bench, method)
        if seed == 0:
            yield search
        found = records.load(search.run)
        if found is None:
            return
        grid = images.best(found.figure("candidates"))
    run = _network(own, method, {**settings, **grid}, seed, teachers)
    yield replace(own.plan(method, run), intervals=False)


def searched(bench: Bench, method: str) -> Planned:
    """Return the search of the reduced level for the settings of a method."""
    own = _of_seed(bench, 0)
    teachers = (_network(own, "none", {}, 0),) if methods.named(method).teacher else ()
    short = replace(own, recipe={**own.recipe, "epochs": max(1, own.recipe["epochs"] // SEARCH)})
    grid = {name: FEWER[name] for name in TUNED[method]}
    planned = short.plan(f"search {method}", _network(short, method, grid, 0, teachers))
    return replace(planned, intervals=False)


def _of_seed(bench: Bench, seed: int) -> Bench:
    """The bench with a split of its own for each seed, as in the paper."""
    split = {"seed": seed} if seed and "held" in bench.data else {}
    return replace(bench, data={**bench.data, **split})


def _network(
    bench: Bench, method: str, settings: dict[str, Any], seed: int, teachers: tuple[Run, ...] = ()
) -> Run:
    return bench.run(method, settings, seed, teachers)
