"""The numbers that the prose of the chapters quotes, computed from their results.

Keys read ``row.metric`` for a mean over seeds, with ``.low`` and ``.high`` for its interval; the
stage of predictions that are not as trained follows the row, and spaces become underscores.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ldlstudy import stats
from ldlstudy.report import claims
from ldlstudy.report.results import MISSING, Line, Results

Numbers = dict[str, float | str]


def of_results(results: Results) -> Numbers:
    """Return the mean and the ends of the interval of every metric of every row and stage."""
    values: Numbers = {}
    for row in results.rows:
        for stage in results.stages(row):
            name = row if stage == "plain" else f"{row} {stage}"
            for metric in results.metrics(row, stage):
                key = f"{name.replace(' ', '_')}.{metric}"
                values |= with_interval(key, _estimate(results, row, metric, stage))
    return values


def _estimate(results: Results, row: str, metric: str, stage: str) -> stats.Estimate:
    """A mean over seeds; that of replicates has its interval in the record."""
    records = results.records(row)
    if len(records) == 1 and metric in records[0].values[stage]:
        return records[0].estimate(stage, metric)
    found = results.measured(row, metric, stage)
    assert found is not None
    return found.estimate


def with_interval(key: str, estimate: stats.Estimate) -> Numbers:
    """Return a number and the ends of its interval."""
    return {key: estimate.mean, f"{key}.low": estimate.low, f"{key}.high": estimate.high}


def known(values: Numbers) -> Numbers:
    """Return the numbers that there are; those of what was not run are NaN."""
    return {key: value for key, value in values.items() if value == value}


def verdicts(judged: pd.DataFrame) -> Numbers:
    """Return every verdict, and how often each kind was given."""
    values: Numbers = {f"verdict.{k}": v for k, v in judged["verdict"].items()}
    for text in (*claims.VERDICTS, claims.NOT_RUN):
        values[f"claims.{text}"] = int((judged["verdict"] == text).sum())
    return values | {"claims": len(judged)}


def circumstances(results: Results, prefix: str = "") -> Numbers:
    """Return on what, by which version and for how long records were made.

    A run that two tables share counts once. Of one that was resumed, the record's ``seconds`` are
    of the last process, its training's of all.
    """
    made = [record.made for record in results.recorded.values()]
    found: Numbers = {
        "networks": sum(m["networks"] for m in made),
        "minutes": sum(seconds(m) for m in made) / 60,
        "device": ", ".join(sorted({m["device"] for m in made})),
        "torch": ", ".join(sorted({m["versions"]["torch"] for m in made})),
    }
    return {f"{prefix}{name}": value for name, value in found.items()}


def seconds(made: Mapping[str, float]) -> float:
    """Return the seconds that a record took."""
    return max(made["seconds"], made.get("training_seconds", 0))


def differences(results: Results, pairs: Mapping[str, tuple[Line, Line, str]]) -> Numbers:
    """Return paired differences by name: two rows with their stages, and a metric."""
    values: Numbers = {}
    for name, (left, right, metric) in pairs.items():
        values |= with_interval(name, results.difference(left, right, metric))
    return values


def share(results: Results, metric: str, start: Line, middle: Line, end: Line) -> stats.Estimate:
    """Return how much of the way from row ``start`` to row ``end`` row ``middle`` has come.

    A ratio of differences of means, with its interval from replicates drawn anew.
    """
    found = [results.measured(row, metric, stage) for row, stage in (start, middle, end)]
    if None in found:
        return MISSING
    a, b, c = (np.array(each.values) for each in found if each is not None)
    resampled = np.random.default_rng(0).integers(0, len(a), (stats.RESAMPLES, len(a)))
    ratios = [(a[d] - b[d]).mean() / (a[d] - c[d]).mean() for d in resampled]
    low, high = np.percentile(ratios, [2.5, 97.5])
    return stats.Estimate(float((a - b).mean() / (a - c).mean()), float(low), float(high))
