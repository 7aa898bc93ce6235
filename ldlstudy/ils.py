"""The ILS study on the six Gaussians: the runs it is made of, and their records.

:func:`runs` names every run of the chapter at a profile, :func:`recorded` reads the records there
are of them, :func:`measure` trains now, and :func:`rows` makes one table of it all.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ldlstudy import checks, machine, methods, records
from ldlstudy.measured import Sourced
from ldlstudy.records import Record, Run
from ldlstudy.selection import DATA, TRAINING
from ldlstudy.synthetic import execute

Rows = dict[str, dict[str, list[float]]]  # name of a row -> metric -> a value for each replicate

SETUPS: dict[
    str, tuple[str, dict[str, Any]]
] = {  # ILS Figure 6: model, and what varies in the data
    "normal": ("mlp64x5", {}),
    "shallow": ("mlp64x1", {}),
    "bigger": ("mlp64x5", {"train": 200}),
    "apart": ("mlp64x5", {"separation": 1.5}),
}
GRID = {"p1": [0.7, 0.75, 0.8, 0.85, 0.9, 0.95], "p2": [1.0, 2.0, 3.0, 4.0, 6.0, 10.0]}
SINUSOIDS = {"p1": [0.8, 0.85, 0.9, 0.95, 1.0], "p2": [4.0, 6.0, 8.0, 10.0, 12.0, 14.0]}
BATCHES, RATES, INITS = (16, 64, None), (0.01, 0.003, 0.001), ("torch", "glorot")
RESTARTS = 120  # as many networks as ILS chooses from


@dataclass(frozen=True)
class Size:
    """What a profile changes."""

    replicates: int
    sensitivity: int  # replicates of runs that ask what another reading of the paper changes
    data: Mapping[str, int]
    training: Mapping[str, int]
    values: int | None  # of each parameter's grid; None is all


SIZES = {
    "smoke": Size(2, 2, {"train": 20, "held": 20, "test": 60}, {"epochs": 12}, 2),
    "quick": Size(20, 8, {}, {}, None),
    "paper": Size(100, 40, {}, {}, None),
}


def runs(profile: str) -> dict[str, Run]:
    """Every run of the chapter by name, teachers before their students.

    Raises
    ------
    ValueError
        An unknown profile; the known ones are listed.
    """
    size = SIZES[checks.one_of("profile", profile, SIZES)]
    named = _main(size, profile)
    for setup in list(SETUPS)[1:]:
        named |= {f"{setup} {name}": run for name, run in _setup(setup, size, profile).items()}
    return named | _sensitivity(size, profile)


def _setup(setup: str, size: Size, profile: str) -> dict[str, Run]:
    """What the factor curves of one set-up need (ILS Figures 4, 6 and 7)."""
    model, data = SETUPS[setup]
    bayes = _run(size, profile, "bayes", model="bayes", data=data)
    none = _run(size, profile, "none", model=model, data=data)
    epsilon, p1, p2 = (_values(size, v) for v in (methods.EPSILONS, methods.P1, methods.P2))
    ls = _run(
        size, profile, "ls", {"epsilon": epsilon}, (bayes, none), model, data, keep=("curves",)
    )
    ils1 = _run(size, profile, "ils1", {"p1": p1, "p2": p2}, (none,), model, data)
    return {"bayes": bayes, "none": none, "ls": ls, "ils1": ils1}


def _main(size: Size, profile: str) -> dict[str, Run]:
    """The normal set-up: every method of Tables I, II, V and VI and the baselines."""
    pictured = ("histograms", "map")
    named = _setup("normal", size, profile)
    bayes, none, ls, ils1 = (replace(run, keep=(*run.keep, *pictured)) for run in named.values())
    ls = replace(ls, teachers=(bayes, none))
    ils1 = replace(ils1, teachers=(none,))
    epsilon, t = (_values(size, v) for v in (methods.EPSILONS, methods.TEMPERATURES))
    curves = dict(ils1.parameters)

    def run(method: str, parameters: Mapping[str, Any], *teachers: Run, keep: Any = ()) -> Run:
        return _run(size, profile, method, parameters, teachers or (none,), keep=keep)

    ils2 = run("ils2", {"epsilon": epsilon, "teacher_temperature": t}, keep=pictured)
    ils = run("ils", {**curves, "teacher_temperature": t}, keep=pictured)
    plain = replace(none, keep=())
    restarts = {"restart": list(range(RESTARTS))[: size.values]}
    return {
        "bayes": bayes,
        "none": none,
        "ls": ls,
        "ls_0.2": replace(plain, method="ls", parameters={"epsilon": 0.2}),
        **{
            f"ls_{part}_stop": replace(
                plain, method="ls", parameters={"epsilon": epsilon, "held": part}
            )
            for part in ("dense", "sparse")
        },
        "ils1": ils1,
        "ils2": ils2,
        "ils": ils,
        "ils_grid": replace(
            run("ils", {**curves, "teacher_temperature": t, "magnitude": "grid"}),
            replicates=size.sensitivity,
        ),
        "sinusoidal": run("sinusoidal", {k: _values(size, v) for k, v in SINUSOIDS.items()}),
        "similarity": run("similarity", {"epsilon": epsilon}),
        "bootstrap": replace(plain, method="bootstrap", parameters={"beta": 0.95}),
        "beta": run("beta", {}, none, ls),
        "distil_bayes": run("distil", {}, bayes, keep=("map",)),
        "distil_none": run("distil", {}, none),
        "distil_ls": run("distil", {}, ls),
        "distil_ils": run("distil", {}, ils),
        "restarts": replace(plain, parameters=restarts),
        "grid": run("ils1", {k: _values(size, v) for k, v in GRID.items()}, keep=("candidates",)),
    }


def _sensitivity(size: Size, profile: str) -> dict[str, Run]:
    """What the paper leaves out: batch size, with the learning rate and the initial weights.

    Label smoothing is trained too, with torch's initial weights, to see what its gain hangs on.
    """
    fewer = replace(size, replicates=size.sensitivity)
    factors = {"epsilon": _values(size, methods.EPSILONS)}
    named = {}
    for batch, rate, init in itertools.product(BATCHES, RATES, INITS):
        name = f"batch {batch or 'full'}, rate {rate:g}, {init}"
        training = {"batch": batch, "rate": rate, "init": init}
        named[name] = _run(fewer, profile, "none", training=training)
        if init == "torch":
            named[f"{name}, LS"] = _run(fewer, profile, "ls", factors, training=training)
    return named


def _run(
    size: Size,
    profile: str,
    method: str,
    parameters: Mapping[str, Any] | None = None,
    teachers: tuple[Run, ...] = (),
    model: str = "mlp64x5",
    data: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    keep: tuple[str, ...] = (),
) -> Run:
    return Run(
        "six_gaussians",
        model,
        method,
        {**DATA, **(data or {}), **size.data},
        parameters or {},
        {**TRAINING, **(training or {}), **size.training},
        teachers,
        size.replicates,
        profile=profile,
        keep=keep,
    )


def _values(size: Size, grid: Any) -> list[float]:
    """The first values of a grid that a profile tries; all in the quick and paper profiles."""
    return list(grid)[: size.values]


class Recorded(dict[str, Record]):
    """Records by the name of their run; a missing one says how to get it."""

    def __missing__(self, name: str) -> Record:
        raise ValueError(f"no record of the run {name!r}: `make book PROFILE=paper` makes it")


def recorded(profile: str = "paper", results: Path | None = None) -> Recorded:
    """The records there are of a profile's runs, by name."""
    found = {name: records.load(run, results) for name, run in runs(profile).items()}
    return Recorded({name: record for name, record in found.items() if record is not None})


def measure(
    profile: str, device: str = "cpu", save: bool = False, results: Path | None = None
) -> Recorded:
    """Run every run of a profile; with ``save`` only those without a record, each saved at once."""
    made = recorded(profile, results) if save else Recorded()
    todo = {name: run for name, run in runs(profile).items() if name not in made}
    with machine.progress(len(todo), f"ILS study, {profile}", "run") as bar:
        for name, run in todo.items():
            bar.set_postfix_str(name)
            made[name] = execute(run, device)
            if save:
                records.save(run, made[name], results)
            bar.update()
    return Recorded({name: made[name] for name in runs(profile)})


def rows(made: Mapping[str, Record]) -> Rows:
    """Rows of all records: ``ls`` is the plain row of ls; others are ``ls scaled`` and so on."""
    return {
        name if row == "plain" else f"{name} {row}": Sourced(values, [record])
        for name, record in made.items()
        for row, values in record.rows.items()
    }
