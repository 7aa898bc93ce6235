"""The ILS study on the six Gaussians: the runs it is made of."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ldlstudy import checks
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.points import DATA, DATASET, RECIPE
from ldlstudy.experiment.records import Run

# ILS appendix A-C; the text of the paper gives the ranges of P1 and P2 the wrong way round
EPSILONS = (0.001, 0.005, *(round(0.01 + 0.02 * i, 2) for i in range(10)))
P1 = (0.75, 0.775, 0.8, 0.825, 0.85)
P2 = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
TEMPERATURES = (1.0, 2.0, 4.0, 6.0)
SETUPS: dict[str, tuple[str, dict[str, Any], str]] = {  # ILS Figure 6: model, data, title
    "normal": ("mlp64x5", {}, "normal set-up"),
    "shallow": ("mlp64x1", {}, "one hidden layer"),
    "bigger": ("mlp64x5", {"train": 200}, "200 training samples a class"),
    "apart": ("mlp64x5", {"separation": 1.5}, "means 1.5 times as far apart"),
}
GRID = {"p1": [0.7, 0.75, 0.8, 0.85, 0.9, 0.95], "p2": [1.0, 2.0, 3.0, 4.0, 6.0, 10.0]}
SINUSOIDS = {"p1": [0.8, 0.85, 0.9, 0.95, 1.0], "p2": [4.0, 6.0, 8.0, 10.0, 12.0, 14.0]}
BATCHES, RATES, INITS = (16, 64, None), (0.01, 0.003, 0.001), ("torch", "glorot")
RESTARTS = 120  # as many networks as ILS chooses from
PICTURED = ("histograms", "map")


@dataclass(frozen=True)
class Size:
    """What a profile changes."""

    replicates: int
    sensitivity: int  # replicates of runs that ask what another reading of the paper changes
    data: Mapping[str, int]
    recipe: Mapping[str, int]
    values: int | None  # of each grid; None is all

    def first(self, grid: Sequence[float]) -> list[float]:
        """Return the values of a grid that the profile tries."""
        return list(grid)[: self.values]

    def run(
        self,
        method: str,
        settings: Mapping[str, Any] | None = None,
        *teachers: Run,
        setup: str = "normal",
        model: str | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> Run:
        """Return the run of a method in one of :data:`SETUPS`."""
        own, data, _ = SETUPS[setup]
        return Run(
            DATASET,
            model or own,
            method,
            data={**DATA, **data, **self.data},
            settings=settings or {},
            recipe={**RECIPE, **(recipe or {}), **self.recipe},
            teachers=teachers,
            replicates=self.replicates,
        )


SIZES = {
    "smoke": Size(2, 2, {"train": 20, "held": 20, "test": 60}, {"epochs": 12}, 2),
    "quick": Size(20, 8, {}, {}, None),
    "paper": Size(100, 40, {}, {}, None),
}


def runs(profile: str) -> list[Planned]:
    """Return every run of the chapter, teachers before their students.

    An unknown profile is a ValueError that lists the known ones.
    """
    size = SIZES[checks.one_of("profile", profile, SIZES)]
    level = "paper" if profile == "paper" else "quick"
    planned = [*_methods(size)]
    for setup in list(SETUPS)[1:]:
        planned += [
            replace(each, strategy=row_in(setup, each.strategy), facts={"setup": setup})
            for each in _curves(size, setup).values()
        ]
    planned += _sensitivity(replace(size, replicates=size.sensitivity))
    return [replace(each, level=level) for each in planned]


def row_in(setup: str, strategy: str) -> str:
    """Return the row of a method in a set-up."""
    return strategy if setup == "normal" else f"{setup} {strategy}"


def _curves(size: Size, setup: str) -> dict[str, Planned]:
    """What the factor curves of one set-up need (ILS Figures 4, 6 and 7)."""
    bayes = size.run("bayes", setup=setup, model="bayes")
    none = size.run("none", setup=setup)
    epsilon, p1, p2 = (size.first(values) for values in (EPSILONS, P1, P2))
    ls = size.run("ls", {"epsilon": epsilon}, bayes, none, setup=setup)
    ils1 = size.run("ils1", {"p1": p1, "p2": p2}, none, setup=setup)
    return {
        "bayes": Planned(bayes, strategy="bayes"),
        "none": Planned(none, strategy="none"),
        "ls": Planned(ls, ("curves",), strategy="ls"),
        "ils1": Planned(ils1, strategy="ils1"),
    }


def _methods(size: Size) -> list[Planned]:
    """The normal set-up: every method of Tables I, II, V and VI and the baselines."""
    own = _curves(size, "normal")
    bayes, none, ls, ils1 = (each.run for each in own.values())
    epsilon, t = size.first(EPSILONS), size.first(TEMPERATURES)
    curves = {**ils1.settings, "teacher_temperature": t}
    ils2 = size.run("ils2", {"epsilon": epsilon, "teacher_temperature": t}, none)
    ils = size.run("ils", curves, none)
    grid_reading = replace(
        size.run("ils", {**curves, "magnitude": "grid"}, none), replicates=size.sensitivity
    )
    sinusoids = {name: size.first(values) for name, values in SINUSOIDS.items()}
    grid = {name: size.first(values) for name, values in GRID.items()}
    restarts = {"restart": list(range(RESTARTS))[: size.values]}
    planned = [
        *(replace(each, keep=tuple(sorted((*each.keep, *PICTURED)))) for each in own.values()),
        Planned(size.run("ls", {"epsilon": 0.2}), strategy="ls_0.2"),
        *(
            Planned(
                size.run("ls", {"epsilon": epsilon}, recipe={"held": part}),
                strategy=f"ls_{part}_stop",
            )
            for part in ("dense", "sparse")
        ),
        Planned(ils2, PICTURED, strategy="ils2"),
        Planned(ils, PICTURED, strategy="ils"),
        Planned(grid_reading, strategy="ils_grid"),
        Planned(size.run("sinusoidal", sinusoids, none), strategy="sinusoidal"),
        Planned(size.run("similarity", {"epsilon": epsilon}, none), strategy="similarity"),
        Planned(size.run("bootstrap", {"beta": 0.95}), strategy="bootstrap"),
        Planned(size.run("beta", {}, none, ls), strategy="beta"),
        Planned(size.run("distil", {}, bayes), ("map",), strategy="distil_bayes"),
        Planned(size.run("distil", {}, none), strategy="distil_none"),
        Planned(size.run("distil", {}, ls), strategy="distil_ls"),
        Planned(size.run("distil", {}, ils), strategy="distil_ils"),
        Planned(size.run("none", recipe=restarts), strategy="restarts"),
        Planned(size.run("ils1", grid, none), ("candidates",), strategy="grid"),
    ]
    return [replace(each, facts={"setup": "normal"}) for each in planned]


def _sensitivity(fewer: Size) -> list[Planned]:
    """What the paper leaves out: batch size, with the learning rate and the initial weights.

    Label smoothing is trained too, with torch's initial weights, to see what its gain hangs on.
    """
    factors = {"epsilon": fewer.first(EPSILONS)}
    planned = []
    for batch, rate, init in itertools.product(BATCHES, RATES, INITS):
        name = f"batch {batch or 'full'}, rate {rate:g}, {init}"
        facts = {"way": f"batch {batch or 'full'}, rate {rate:g}", "init": init}
        recipe = {"batch": batch, "rate": rate, "init": init}
        hard = fewer.run("none", recipe=recipe)
        planned.append(Planned(hard, strategy=name, facts={**facts, "smoothed": False}))
        if init == "torch":
            soft = fewer.run("ls", factors, recipe=recipe)
            planned.append(Planned(soft, strategy=f"{name}, LS", facts={**facts, "smoothed": True}))
    return planned
