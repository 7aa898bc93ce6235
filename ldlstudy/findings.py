"""The numbers that the prose of the chapters quotes, computed from their records.

Keys read ``row.metric`` for a mean over replicates, with ``.low`` and ``.high`` for its interval;
spaces in a row's name become underscores.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ldlstudy import claims, records, stats
from ldlstudy.ils import RESTARTS, Rows
from ldlstudy.measured import Measurements
from ldlstudy.records import Record


def numbers(recorded: Mapping[str, Record], judged: pd.DataFrame) -> dict[str, float | str]:
    """Every mean of every row, every verdict, and how the records were made.

    Parameters
    ----------
    recorded : Mapping
        Records by the name of their run.
    judged : DataFrame
        As :func:`ldlstudy.claims.judge` gives it.
    """
    values: dict[str, float | str] = {}
    for name, record in recorded.items():
        for row, estimates in record.estimates.items():
            values |= _of_row(name if row == "plain" else f"{name} {row}", estimates)
    eq2 = judged["claim"].str.contains("eq. 2")
    values |= {"claims.eq2": int(eq2.sum()), "claims.published": int((~eq2).sum())}
    return values | verdicts(judged) | circumstances(recorded) | {"restarts": RESTARTS}


def of_networks(
    measurements: Measurements, recorded: Mapping[str, Record], judged: pd.DataFrame
) -> dict[str, float | str]:
    """The same of a chapter whose records are single networks, by row of ``measurements``."""
    values: dict[str, float | str] = {}
    for row, metrics in measurements.items():
        values |= _of_row(row, {metric: found.estimate for metric, found in metrics.items()})
    return values | verdicts(judged) | circumstances(recorded)


def _of_row(row: str, estimates: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Mean and ends of the interval of every metric of a row."""
    values: dict[str, float] = {}
    for metric, (mean, low, high) in estimates.items():
        key = f"{row.replace(' ', '_')}.{metric}"
        values |= {key: mean, f"{key}.low": low, f"{key}.high": high}
    return values


def verdicts(judged: pd.DataFrame) -> dict[str, float | str]:
    """Every verdict, and how often each kind was given."""
    values: dict[str, float | str] = {f"verdict.{k}": v for k, v in judged["verdict"].items()}
    for text in (*claims.VERDICTS, "not yet run"):
        values[f"claims.{text}"] = int((judged["verdict"] == text).sum())
    return values | {"claims": len(judged)}


def circumstances(recorded: Mapping[str, Record]) -> dict[str, float | str]:
    """On what, by which version and for how long a chapter's records were made.

    A run that two tables share has two names and counts once. Of one that was resumed, the record's
    ``seconds`` are of the last process, its training's of all.
    """
    runs = {records.from_specification(r.specification): r for r in recorded.values()}
    made = [record.made for record in runs.values()]
    return {
        "networks": sum(m["networks"] for m in made),
        "minutes": sum(max(m["seconds"], m.get("training_seconds", 0)) for m in made) / 60,
        "device": ", ".join(sorted({m["device"] for m in made})),
        "torch": ", ".join(sorted({m["versions"]["torch"] for m in made})),
    }


def differences(rows: Rows, pairs: Mapping[str, tuple[str, str, str]]) -> dict[str, float]:
    """Paired differences by name: ``pairs`` holds two rows and a metric, ``left - right``."""
    values: dict[str, float] = {}
    for name, (left, right, metric) in pairs.items():
        d = stats.difference(rows[left][metric], rows[right][metric])
        values |= {name: d.mean, f"{name}.low": d.low, f"{name}.high": d.high}
    return values


def share(rows: Rows, metric: str, start: str, middle: str, end: str) -> stats.Estimate:
    """How much of the way from row ``start`` to row ``end`` row ``middle`` has come.

    A ratio of differences of means, with its interval from replicates drawn anew.
    """
    a, b, c = (np.array(rows[name][metric]) for name in (start, middle, end))
    drawn = np.random.default_rng(0).integers(0, len(a), (stats.RESAMPLES, len(a)))
    ratios = [(a[d] - b[d]).mean() / (a[d] - c[d]).mean() for d in drawn]
    low, high = np.percentile(ratios, [2.5, 97.5])
    return stats.Estimate(float((a - b).mean() / (a - c).mean()), float(low), float(high))
