"""The numbers that the prose of the chapter on one truth quotes."""

from collections.abc import Mapping
from typing import NamedTuple

from ldlstudy import findings
from ldlstudy.records import Record
from ldlstudy.truth import STRATEGIES
from ldlstudy.truth_findings import (
    COMPARED,
    agreement,
    by_cell,
    friedman,
    mean_ranks,
    nearer_labels,
    places,
    scores,
)

KEYS = {"error": "accuracy"}  # an error is what `scores` gives for an accuracy


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

    ``quick.<strategy>[.fitted].<metric>`` are of the quick cell, ``grid.<strategy>...`` means over
    all blocks, ``rank...`` mean ranks over cells, ``agree.<metric>[.fitted]`` shares of pairs.
    """
    values: dict[str, float | str] = {}
    for row in ("", ".fitted"):
        wanted = row.removeprefix(".") or "plain"
        kl = scores(grid, "kl_to_truth", wanted)
        test = friedman(by_cell(kl))
        values |= {f"friedman{row}.{k}": v for k, v in test._asdict().items()}
        values |= {f"rank.{s}{row}": float(v) for s, v in mean_ranks(by_cell(kl)).items()}
        for metric in ("error", "ece", "kl_to_truth", "total_variation"):
            for part, found in (("quick", live), ("grid", grid)):
                means = scores(found, KEYS.get(metric, metric), wanted).mean(axis=1)
                values |= {f"{part}.{s}{row}.{metric}": float(v) for s, v in means.items()}
        for metric in (*COMPARED, "error"):
            shares = agreement(scores(grid, KEYS.get(metric, metric), wanted), kl)
            values |= {f"agree.{metric}{row}": shares.mean}
        _, correlation = nearer_labels(live, wanted)
        values |= {
            f"labels{row}.correlation": correlation.mean,
            f"labels{row}.lowest": min(correlation.seeds),
            f"labels{row}.highest": max(correlation.seeds),
        }
    for part, found in (("live", live), ("grid", grid)):
        values |= {f"{part}.{k}": v for k, v in findings.circumstances(found).items()}
    blocks = scores(grid, "kl_to_truth").shape[1]
    return values | {
        "blocks": blocks,
        "seeds": blocks / len(places()),
        "strategies": len(STRATEGIES),
    }
