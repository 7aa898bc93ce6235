"""The numbers that the prose of the chapter on one truth quotes."""

import pandas as pd

from ldlstudy.report import numbers
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.studies.truth.comparisons import (
    COMPARED,
    against_hard,
    agreement,
    bayes,
    by_cell,
    by_strategy,
    correlations,
    ece_by_chance,
    friedman,
    label_distances,
    mean_ranks,
    misled,
    scores,
)
from ldlstudy.studies.truth.runs import places, row
from ldlstudy.studies.truth.sentences import written
from ldlstudy.studies.truth.tables import costs_of

STAGES = ("plain", "fitted")


def quoted(quick: Results, grid: Results, profile: str) -> Numbers:
    """Return every number that the chapter quotes.

    Keys end in what they are: ``<strategy>.rank``, ``.ratio`` (mean multiple of hard labels' KL to
    the truth), ``.variation_ratio`` (of their total variation), ``.nearer`` and ``.farther`` (cells
    where the first is below and above 1), ``.flattered`` and ``.slandered`` (as `misled` has them),
    ``.label`` (distance of its labels); ``<metric>.agrees`` (share of pairs);
    ``quick.<strategy>.<metric>`` of the quick profile's cell, ``grid.<strategy>.<metric>`` of all.
    Before the last part stands ``fitted`` where predictions are scaled. Lists of strategies are
    those of :func:`ldlstudy.studies.truth.sentences.written`. ``quick`` are the results of the cell
    of the quick profile, ``grid`` those of all cells.
    """
    values: Numbers = {"profile": profile}
    for stage in STAGES:
        kl = scores(grid, "kl_to_truth", stage)
        parts = (_of_places(by_cell(kl)), _of_measures(grid, kl, stage), _of_labels(quick, stage))
        values |= {_key(k, stage): v for part in parts for k, v in part.items()}
        for name, found in (("quick", quick), ("grid", grid)):
            values |= {f"{name}.{_key(k, stage)}": v for k, v in _of_scores(found, stage).items()}
    for name, found in (("quick", quick), ("grid", grid)):
        values |= numbers.circumstances(found, f"{name}.")
    values |= {f"cost.{s}": float(v) for s, v in costs_of(quick)["all"].items()}
    values |= {f"bayes.{sigma}": accuracy for sigma, accuracy in bayes().items()}
    if row("none") in quick:
        values["chance.ece"] = ece_by_chance(quick.records(row("none"))[0])
    strategies, blocks = kl.shape
    counts = {"blocks": blocks, "seeds": blocks / len(places()), "strategies": strategies}
    counts |= {"strategies.papers": strategies - 2, "freedom": strategies - 1}
    return numbers.known(values | counts) | written(quick, grid)


def _key(key: str, stage: str) -> str:
    """``<what>.<of what>`` with the stage between them, unless it is the plain one."""
    first, _, last = key.rpartition(".")
    return key if stage == "plain" else f"{first}.fitted.{last}" if first else f"{key}.fitted"


def _of_places(kl: pd.DataFrame) -> dict[str, float]:
    """What cells say of each strategy."""
    ratio = against_hard(kl)
    columns = {
        "rank": mean_ranks(kl),
        "ratio": ratio.mean(axis=1),
        "nearer": (ratio < 1).sum(axis=1),
        "farther": (ratio > 1).sum(axis=1),
    }
    found = {f"{s}.{name}": float(v) for name, column in columns.items() for s, v in column.items()}
    return found | {f"friedman.{k}": v for k, v in friedman(kl)._asdict().items()}


def _of_scores(results: Results, stage: str) -> dict[str, float]:
    """Means over blocks of some metrics of each strategy."""
    found: dict[str, float] = {}
    for metric in ("accuracy", "ece_15_left", "kl_to_truth", "total_variation", "temperature"):
        means = scores(results, metric, stage).mean(axis=1)
        found |= {f"{s}.{metric}": float(v) for s, v in means.items()}
    return found


def _of_measures(grid: Results, kl: pd.DataFrame, stage: str) -> dict[str, float]:
    """How far other measures agree with the KL to the truth."""
    measures = {metric: scores(grid, metric, stage) for metric in COMPARED}
    found = {
        f"{metric}.agrees": agreement(own, kl).mean
        for metric, own in measures.items()
        if len(kl) > 1
    }
    variation = by_cell(measures["total_variation"])
    ratio = against_hard(variation).mean(axis=1)
    found |= {f"{s}.variation_ratio": float(v) for s, v in ratio.items()}
    wrong = misled(measures["ece_15_left"], kl)
    for way in ("flattered", "slandered"):
        found |= {f"{s}.{way}": float(v) for s, v in wrong[way].items()}
    return found


def _of_labels(quick: Results, stage: str) -> dict[str, float]:
    """How near labels are, and how that goes with their students."""
    distances = label_distances(quick, stage)
    means = by_strategy(distances)
    found = {f"{s}.label": float(v) for s, v in means["label"].items()}
    for name, (mean, low, high) in correlations(distances).items():
        found |= {f"{name}.correlation": mean, f"{name}.low": low, f"{name}.high": high}
    return found | {"labelled": len(means) - 1}  # but for the truth
