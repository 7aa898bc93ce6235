"""Results as one tidy frame: a line for every number of every record that a study planned.

A run of images is one network. Where a study repeats it with other seeds, the interval of a mean is
over these repetitions. Where there is one, it is over test images drawn anew: it then says nothing
about what another seed would give, and the book says so. The replicates of a run on points count as
seeds.
"""

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ldlstudy import stats
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Record, Run
from ldlstudy.stats import Estimate

COLUMNS = (
    "level", "dataset", "data", "model", "bench", "strategy", "row",
    "seed", "stage", "metric", "value", "low", "high", "record",
)  # fmt: skip
ERRORS = {"accuracy": "error", "top5_accuracy": "top5_error"}
SIDES = 3.92  # width of a 95 % interval in standard errors
PAIR = 2  # networks, whose range would hold the mean over seeds but half of the time
MISSING = Estimate(math.nan, math.nan, math.nan)  # of what was not run

Line = tuple[str, str]  # a row of results, and a stage
Values = tuple[list[float], float, float]  # of a record's metric, with the ends of its interval


@dataclass(frozen=True)
class Measured:
    """``values`` by seed, their mean with its 95 % interval, and the records they are from."""

    values: list[float]
    estimate: Estimate
    records: tuple[Record, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float], records: Iterable[Record] = ()) -> "Measured":
        """Return values of several seeds."""
        return cls(list(values), stats.estimate(values), tuple(records))

    @property
    def seeds(self) -> frozenset[int]:
        """The seeds of the records."""
        return frozenset(record.specification["seed"] for record in self.records)

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return (self.estimate.high - self.estimate.low) / SIDES

    def agrees(self, number: float) -> bool:
        """Return whether a published number of one network lies where such a network's may.

        That is within 1.96 standard errors of the difference between it and our mean.
        """
        n = len(self.values)
        return abs(number - self.estimate.mean) <= 1.96 * self.error * math.sqrt(1 + n)


class Results:
    """The numbers of planned runs that have a record, to be selected from.

    A *row* is what tables show in a line: all seeds of a strategy on a bench. The name of one on
    noisy digits, which stands beside those of a paper's own networks, begins with "quick".

    Parameters
    ----------
    planned : iterable of Planned
        Those without a record are left out.
    recorded : Mapping
        Records by run.
    """

    def __init__(self, planned: Iterable[Planned], recorded: Mapping[Run, Record]) -> None:
        there = [each for each in planned if each.run in recorded]
        # tables that share a run plan it in the same row
        self.planned = list({(row_of(each), each.run): each for each in there}.values())
        self.recorded = {each.run: recorded[each.run] for each in self.planned}
        self._rows: dict[str, list[Planned]] = {}
        for each in self.planned:
            self._rows.setdefault(row_of(each), []).append(each)

    def __or__(self, other: "Results") -> "Results":
        """Return both results; rows that both have are the other's."""
        own = [each for each in self.planned if row_of(each) not in other._rows]
        return Results([*own, *other.planned], self.recorded | other.recorded)

    @property
    def rows(self) -> list[str]:
        """The names of all rows, in the order of planning."""
        return list(self._rows)

    def __contains__(self, row: object) -> bool:
        return row in self._rows

    def of(self, row: str) -> list[Planned]:
        """Return what was planned of a row, seed by seed; nothing of an unknown row."""
        return self._rows.get(row, [])

    def records(self, row: str) -> tuple[Record, ...]:
        """Return the records of a row, seed by seed."""
        return tuple(self.recorded[each.run] for each in self.of(row))

    def figure(self, row: str, name: str, seed: int = 0) -> Any:
        """Return the data of a figure of one of a row's records; None where there is no record."""
        records = self.records(row)
        return records[seed].figure(name) if seed < len(records) else None

    def figures(self, rows: Mapping[str, str], name: str) -> dict[str, Any]:
        """Return the data of a figure of several rows, by what each is called; of those there."""
        found = {label: self.figure(row, name) for label, row in rows.items()}
        return {label: data for label, data in found.items() if data is not None}

    def stages(self, row: str) -> list[str]:
        """Return the stages that the records of a row have."""
        records = self.records(row)
        return list(records[0].values) if records else []

    def metrics(self, row: str, stage: str) -> list[str]:
        """Return the metrics that a row has at a stage, derived ones among them."""
        records = self.records(row)
        return list(_derived(records[0], stage)) if records else []

    def measured(self, row: str, metric: str, stage: str = "plain") -> Measured | None:
        """Return a metric of a row at a stage, or None if it has not been measured."""
        return self._measured(row, stage).get(metric)

    @functools.cache  # noqa: B019 - results live as long as the page
    def _measured(
        self, row: str, stage: str, seeds: frozenset[int] | None = None
    ) -> dict[str, Measured]:
        """Every metric of a row at a stage; the intervals of all are estimated at once.

        Of all seeds that there are, or of some alone.
        """
        found: dict[str, list[tuple[Record, Values]]] = {}
        for record in self.records(row):
            if seeds is not None and record.specification["seed"] not in seeds:
                continue
            for metric, of in _derived(record, stage).items():
                found.setdefault(metric, []).append((record, of))
        values = {m: [v for _, (each, *_) in of for v in each] for m, of in found.items()}
        alone = {m: _over_images(of) for m, of in found.items()}
        repeated = [m for m, each in values.items() if len(each) > 1 and not _pair(each, found[m])]
        intervals = zip(repeated, stats.estimates(values[m] for m in repeated), strict=True)
        return {
            metric: Measured(values[metric], own, tuple(record for record, _ in found[metric]))
            for metric, own in (alone | dict(intervals)).items()
        }

    def mean(self, row: str, metric: str, stage: str = "plain") -> float:
        """Return the mean of a metric of a row at a stage; NaN if it has not been measured."""
        found = self.measured(row, metric, stage)
        return math.nan if found is None else found.estimate.mean

    def pair(self, left: Line, right: Line, metric: str) -> tuple[Measured, Measured] | None:
        """Return a metric of two lines, of the seeds that both have; None where one has none.

        Lines that share no seed are returned with all of theirs.
        """
        one, other = (self.measured(row, metric, stage) for row, stage in (left, right))
        if one is None or other is None:
            return None
        shared = one.seeds & other.seeds
        if shared and one.seeds != other.seeds:
            one, other = (self._measured(*line, shared)[metric] for line in (left, right))
        return one, other

    def difference(self, left: Line, right: Line, metric: str) -> Estimate:
        """Return a metric of ``left`` less that of ``right``, on the seeds that both have.

        As :func:`difference` says; NaN where one of them was not measured.
        """
        pair = self.pair(left, right, metric)
        return MISSING if pair is None else difference(*pair)

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """Every number, a line each, with the columns :data:`COLUMNS`."""
        lines = [
            line
            for each in self.planned
            for stage in self.recorded[each.run].values
            for metric in _derived(self.recorded[each.run], stage)
            for line in self._lines(each, metric, stage)
        ]
        return pd.DataFrame(lines, columns=list(COLUMNS))

    def numbers(self, metric: str, stage: str = "plain") -> pd.DataFrame:
        """Return the lines of :attr:`frame` with a metric at a stage; none if there are none."""
        lines = [line for each in self.planned for line in self._lines(each, metric, stage)]
        return pd.DataFrame(lines, columns=list(COLUMNS))

    def _lines(self, planned: Planned, metric: str, stage: str) -> list[tuple[Any, ...]]:
        """The lines of one run with a metric at a stage, one for each replicate."""
        run, record = planned.run, self.recorded[planned.run]
        values, low, high = _derived(record, stage).get(metric, ([], math.nan, math.nan))
        ends, first = (low, high), run.seed
        if len(values) > 1:
            ends, first = (math.nan, math.nan), 0
        return [
            (*_about(planned), first + i, stage, metric, value, *ends, record.id)
            for i, value in enumerate(values)
        ]


@functools.cache
def _about(planned: Planned) -> tuple[str, ...]:
    """The columns of a line that are the same for every number of a run."""
    run = planned.run
    options = json.dumps(dict(run.data), sort_keys=True)
    names = (planned.bench, planned.strategy, row_of(planned))
    return planned.level, run.dataset, options, run.model, *names


def row_of(planned: Planned) -> str:
    """Return the name of a planned run's row among those of all levels."""
    return f"quick {planned.row}" if planned.level == "quick" else planned.row


@functools.cache
def _derived(record: Record, stage: str) -> dict[str, Values]:
    """The metrics of a record at a stage, and those that follow from them.

    One with an accuracy has the error, ``top5_error`` likewise; a penultimate plane has the ratio
    of its spread to the distance of its clusters, too.
    """
    if stage not in record.values:
        return {}
    found: dict[str, Values] = {}
    for metric in record.values[stage]:
        _, low, high = record.estimate(stage, metric)
        found[metric] = record.replicates(stage, metric), low, high
    for accuracy, error in ERRORS.items():
        if accuracy in found:
            values, low, high = found[accuracy]
            found[error] = [1 - v for v in values], 1 - high, 1 - low
    for part in ("train", "test"):
        if f"{part}_spread" in found:
            spreads, apart = found[f"{part}_spread"][0], found[f"{part}_distance"][0]
            ratio = spreads[0] / apart[0]
            found[f"{part}_ratio"] = [ratio], ratio, ratio
    return found


def _pair(values: Sequence[float], records: Sequence[object]) -> bool:
    """Whether these are two networks, and not the replicates of one record."""
    return len(values) == len(records) == PAIR


def _over_images(found: Sequence[tuple[Record, Values]]) -> Estimate:
    """The mean of a metric of one or two networks, with the interval over test images."""
    parts = [(values[0], low, high) for _, (values, low, high) in found]
    return Estimate(*(sum(part) / len(parts) for part in zip(*parts, strict=True)))


def difference(left: Measured, right: Measured) -> Estimate:
    """Return ``left - right`` with its interval: within seeds where both were repeated alike.

    One or two networks are compared as if their test images were different ones, which is wide of
    the truth, for they share them; without an interval of their own the difference has none (NaN).
    """
    if repeated(left, right):
        return stats.difference(left.values, right.values)
    mean = left.estimate.mean - right.estimate.mean
    half = 1.96 * math.hypot(left.error, right.error) or math.nan
    return Estimate(mean, mean - half, mean + half)


def repeated(left: Measured, right: Measured) -> bool:
    """Return whether both were repeated alike, so often that seeds have an interval."""
    return len(left.values) == len(right.values) > 1 and not _pair(left.values, left.records)


def pivot(results: Results, metric: str, stage: str = "plain") -> pd.DataFrame:
    """Return a metric at a stage, strategies (lines) by bench and seed (columns)."""
    chosen = results.numbers(metric, stage)
    table = chosen.pivot(index="strategy", columns=["bench", "seed"], values="value")
    return table.astype(np.float64)
