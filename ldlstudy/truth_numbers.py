"""The numbers that the prose of the chapter on one truth quotes."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from ldlstudy import findings
from ldlstudy.records import Record
from ldlstudy.truth import STRATEGIES
from ldlstudy.truth_findings import (
    COMPARED,
    HIGHER,
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
    places,
    scores,
)
from ldlstudy.truth_tables import costs_of


class Repeated(NamedTuple):
    """How many of ``compared`` numbers are ``equal``, and the largest difference of accuracies."""

    equal: int
    compared: int
    accuracy: float


def repeated(live: Mapping[str, Record], recorded: Mapping[str, Record]) -> Repeated:
    """Hold networks trained here against the records of the same runs, number by number."""
    pairs, right = [], [0.0]
    for name in live.keys() & recorded.keys():
        for row in ("plain", "fitted"):
            ours, theirs = live[name].rows[row], recorded[name].rows[row]
            pairs += [(ours[metric], theirs[metric]) for metric in ours.keys() & theirs.keys()]
            right.append(abs(ours["accuracy"][0] - theirs["accuracy"][0]))
    return Repeated(sum(a == b for a, b in pairs), len(pairs), max(right))


def numbers(live: Mapping[str, Record], grid: Mapping[str, Record]) -> dict[str, float | str]:
    """The numbers that the chapter's prose quotes.

    Keys end in what they are: ``<strategy>.rank``, ``.ratio`` (mean multiple of hard labels' KL to
    the truth), ``.variation_ratio`` (of their total variation), ``.nearer`` and ``.farther`` (cells
    where the first is below and above 1), ``.flattered`` and ``.slandered`` (as `misled` has them),
    ``.label`` (distance of its labels); ``<metric>.agrees`` (share of pairs);
    ``quick.<strategy>.<metric>`` of the live cell and ``grid.<strategy>.<metric>`` over all blocks.
    Before the last part stands ``fitted`` where predictions are scaled.
    """
    values: dict[str, float | str] = {}
    for row in ("plain", "fitted"):
        kl = scores(grid, "kl_to_truth", row)
        parts = (_of_places(by_cell(kl)), _of_measures(grid, kl, row), _of_labels(live, row))
        values |= {_key(k, row): v for part in parts for k, v in part.items()}
        for name, found in (("quick", live), ("grid", grid)):
            values |= {f"{name}.{_key(k, row)}": v for k, v in _of_scores(found, row).items()}
    for name, found in (("live", live), ("grid", grid)):
        values |= {f"{name}.{k}": v for k, v in findings.circumstances(found).items()}
    values |= {f"cost.{s}": float(v) for s, v in costs_of(live)["all"].items()}
    values |= {f"bayes.{sigma}": accuracy for sigma, accuracy in bayes().items()}
    (place,) = places("quick")
    values["chance.ece"] = ece_by_chance(live[f"{place} none"])
    blocks = kl.shape[1]
    counts = {"blocks": blocks, "seeds": blocks / len(places()), "strategies": len(STRATEGIES)}
    return values | counts


def _key(key: str, row: str) -> str:
    """``<what>.<of what>`` with the row between them, unless it is the plain one."""
    first, _, last = key.rpartition(".")
    return key if row == "plain" else f"{first}.fitted.{last}" if first else f"{key}.fitted"


def _of_places(kl: pd.DataFrame) -> dict[str, float]:
    """What cells say of each strategy."""
    ratio = kl / kl.loc["none"]
    columns = {
        "rank": mean_ranks(kl),
        "ratio": ratio.mean(axis=1),
        "nearer": (ratio < 1).sum(axis=1),
        "farther": (ratio > 1).sum(axis=1),
    }
    found = {f"{s}.{name}": float(v) for name, column in columns.items() for s, v in column.items()}
    return found | {f"friedman.{k}": v for k, v in friedman(kl)._asdict().items()}


def _of_scores(records: Mapping[str, Record], row: str) -> dict[str, float]:
    """Means over blocks of some metrics of each strategy."""
    found: dict[str, float] = {}
    for metric in ("accuracy", "ece", "kl_to_truth", "total_variation", "temperature"):
        means = scores(records, metric, row).mean(axis=1)
        given = 1 - means if metric in HIGHER else means
        found |= {f"{s}.{metric}": float(v) for s, v in given.items()}
    return found


def _of_measures(grid: Mapping[str, Record], kl: pd.DataFrame, row: str) -> dict[str, float]:
    """How far other measures agree with the KL to the truth."""
    measures = {metric: scores(grid, metric, row) for metric in (*COMPARED, *HIGHER)}
    found = {f"{metric}.agrees": agreement(own, kl).mean for metric, own in measures.items()}
    variation = by_cell(measures["total_variation"])
    ratio = (variation / variation.loc["none"]).mean(axis=1)
    found |= {f"{s}.variation_ratio": float(v) for s, v in ratio.items()}
    wrong = misled(measures["ece"], kl)
    for way in ("flattered", "slandered"):
        found |= {f"{s}.{way}": float(v) for s, v in wrong[way].items()}
    return found


def _of_labels(live: Mapping[str, Record], row: str) -> dict[str, float]:
    """How near labels are, and how that goes with their students."""
    distances = label_distances(live, row)
    means = by_strategy(distances)
    found = {f"{s}.label": float(v) for s, v in means["label"].items()}
    for name, (mean, low, high) in correlations(distances).items():
        found |= {f"{name}.correlation": mean, f"{name}.low": low, f"{name}.high": high}
    return found | {"labelled": len(means) - 1}  # but for the truth
