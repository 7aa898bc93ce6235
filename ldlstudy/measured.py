"""What records of single networks say together: values over seeds, or one value and its interval.

A run of images is one network. Where a chapter repeats it with other seeds, the interval of a mean
is over these repetitions. Where there is one, it is over test images drawn anew: it then says
nothing about what another seed would give, and the book says so.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from ldlstudy import stats
from ldlstudy.records import Record
from ldlstudy.stats import Estimate

ERRORS = {"accuracy": "error", "top5_accuracy": "top5_error"}
SIDES = 3.92  # width of a 95 % interval in standard errors


class Measured(NamedTuple):
    """``values`` by seed, and their mean with its 95 % interval."""

    values: list[float]
    estimate: Estimate

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return (self.estimate.high - self.estimate.low) / SIDES

    def agrees(self, number: float) -> bool:
        """Whether a published number of one network lies where such a network's may.

        That is within 1.96 standard errors of the difference between it and our mean.
        """
        n = len(self.values)
        return abs(number - self.estimate.mean) <= 1.96 * self.error * math.sqrt(1 + n)


Measurements = dict[str, dict[str, Measured]]
T = TypeVar("T")


class Sourced(dict[str, T]):
    """Metrics by name, with the ``records`` that they were measured in."""

    def __init__(self, metrics: Mapping[str, T], records: Iterable[Record]) -> None:
        super().__init__(metrics)
        self.records = tuple(records)


def gather(records: Mapping[str, Record]) -> Measurements:
    """Metrics by row, from records by the name of their run.

    Runs that differ in their seed are named ``name``, ``name #1``, ``name #2``, ... and become one
    row; ``name`` is the row of their predictions as they are, ``name fitted`` and so on the others.
    A row of a penultimate plane has the ratio of its spread to the distance of its clusters, too,
    and one with an accuracy the error, ``top5_error`` likewise. Each row is :class:`Sourced`.
    """
    values: dict[str, dict[str, list[tuple[float, list[float]]]]] = {}
    behind: dict[str, list[Record]] = {}
    for name, record in records.items():
        base = name.split(" #")[0]
        for row, metrics in record.rows.items():
            key = base if row == "plain" else f"{base} {row}"
            into = values.setdefault(key, {})
            behind.setdefault(key, []).append(record)
            for metric, (value, *_) in metrics.items():
                into.setdefault(metric, []).append((value, record.estimates[row][metric]))
            for accuracy, error in ERRORS.items():
                if accuracy in metrics:
                    value, low, high = record.estimates[row][accuracy]
                    into.setdefault(error, []).append((1 - value, [1 - value, 1 - high, 1 - low]))
            for part in ("train", "test"):
                if f"{part}_spread" in metrics:
                    ratio = metrics[f"{part}_spread"][0] / metrics[f"{part}_distance"][0]
                    into.setdefault(f"{part}_ratio", []).append((ratio, [ratio] * 3))
    return {
        row: Sourced({m: _measured(found) for m, found in metrics.items()}, behind[row])
        for row, metrics in values.items()
    }


def _measured(found: list[tuple[float, list[float]]]) -> Measured:
    values = [value for value, _ in found]
    return Measured(values, stats.estimate(values) if len(values) > 1 else Estimate(*found[0][1]))


def difference(left: Measured, right: Measured) -> Estimate:
    """``left - right`` with its interval: within seeds where both were repeated with the same ones.

    Single networks are compared as if their test images were different ones, which is wide of the
    truth, for they share them; without an interval of their own the difference has none (NaN).
    """
    if len(left.values) == len(right.values) > 1:
        return stats.difference(left.values, right.values)
    mean = left.estimate.mean - right.estimate.mean
    half = 1.96 * math.hypot(left.error, right.error) or math.nan
    return Estimate(mean, mean - half, mean + half)
