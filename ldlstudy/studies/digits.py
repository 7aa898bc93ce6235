"""Noisy digits as a bench that studies share: one network and one recipe, by size and noise."""

from dataclasses import replace
from typing import Any

from ldlstudy.experiment.records import Run
from ldlstudy.studies.bench import Bench

NAME = "noisy_digits-small_cnn"
SIGMAS, SIZES = (0.4, 0.5, 0.6), (50, 100, 200)  # noises, and training images of a class
SIGMA, TRAIN, TEST = 0.5, 200, 300
RECIPE = {"epochs": 20, "batch": 64, "rate": 0.05, "schedule": "linear"}


def cell_name(size: float, sigma: float) -> str:
    """Return how the bench with ``size`` images a class and noise ``sigma`` is called."""
    return f"{NAME}-n{size:g}-s{sigma:g}"


def cell(size: int, sigma: float, seeds: int, *, small: bool, level: str = "quick") -> Bench:
    """Return the bench of a size and a noise; a ``small`` one is of the smoke profile."""
    data: dict[str, Any] = {"sigma": sigma, "train": size, "test": TEST}
    recipe = RECIPE
    if small:
        data, recipe = {"sigma": sigma, "train": size // 10, "test": 20}, {**RECIPE, "epochs": 2}
    return Bench(
        cell_name(size, sigma),
        "noisy_digits",
        "small_cnn",
        recipe,
        data,
        network={"norm": True},
        seeds=seeds,
        level=level,
        facts={"sigma": sigma, "size": size},
    )


def negatives(bench: Bench) -> dict[str, Any]:
    """Return CRD's setting on a bench: half of the images of digits, for which there is none."""
    if bench.dataset != "noisy_digits":
        return {}
    return {"negatives": 5 * bench.data["train"]}  # of ten times as many images


def alike(first: Run, count: int) -> tuple[Run, ...]:
    """Return a run and others that differ by their seed alone; they share its data."""
    return (first, *(replace(first, seed=first.seed + 100 * i) for i in range(1, count)))
