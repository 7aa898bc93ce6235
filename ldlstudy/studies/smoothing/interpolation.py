"""M1 to M4 as lines over the smoothness of the labels, and read between their points.

A teacher that is softened by its labels (M4) and one softened by temperature (M3) are equally
smooth by accident only. So that their students can be compared, a series is interpolated, linearly
and within each seed, at the smoothness that the network it is compared with has there.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ldlstudy.report import claims
from ldlstudy.report.results import Measured, Results
from ldlstudy.report.tables import published
from ldlstudy.stats import Estimate


def members(results: Results, series: str) -> list[str]:
    """Return the rows of a series that have been run: of "quick M3" those by temperature."""
    return [
        row
        for row in results.rows
        if row == f"{series} {results.of(row)[0].facts.get('value', np.nan):g}"
    ]


def smoothness(results: Results, row: str) -> list[float]:
    """Return γ of the labels by seed ([Re] eq. 3): the teacher's, or α of a network without one."""
    taught = results.measured(row, "smoothness", "teacher")
    planned = results.of(row)
    return [each.facts["value"] for each in planned] if taught is None else taught.values


def points_of(
    results: Results, series: str, metric: str
) -> list[tuple[float, float, float, float]]:
    """Return mean smoothness, mean and interval of a series, by smoothness."""
    points = []
    for row in members(results, series):
        found = results.measured(row, metric)
        if found is not None:
            gamma = float(np.mean(smoothness(results, row)))
            points.append((gamma, *found.estimate))
    return sorted(points)


def at_smoothness(
    results: Results, series: str, gammas: list[float], metric: str
) -> Measured | None:
    """Interpolate a metric of a series at a smoothness.

    Parameters
    ----------
    results : Results
        Of :func:`ldlstudy.studies.smoothing.distillation.runs`.
    series : str
        Such as "quick M3p".
    gammas : list of float
        The smoothness in each seed.
    metric : str
        Of the networks as trained.

    Returns
    -------
    Measured or None
        A value for each seed; of one network the ends of its interval are interpolated as well.
        None where the series has not been run with these seeds on both sides of a smoothness.
    """
    rows = members(results, series)
    found = {row: results.measured(row, metric) for row in rows}
    there = {row: each for row, each in found.items() if each is not None}
    if not there or any(len(each.values) != len(gammas) for each in there.values()):
        return None
    x = np.array([smoothness(results, row) for row in there])  # rows by seeds
    y = np.array([each.values for each in there.values()])
    if any(not x[:, s].min() <= gamma <= x[:, s].max() for s, gamma in enumerate(gammas)):
        return None
    records = tuple(record for each in there.values() for record in each.records)
    values = [_between(x[:, s], y[:, s], gamma) for s, gamma in enumerate(gammas)]
    if len(values) > 1:
        return Measured.of(values, records)
    ends = np.array([each.estimate for each in there.values()])
    low, high = (_between(x[:, 0], ends[:, i], gammas[0]) for i in (1, 2))
    return Measured(values, Estimate(values[0], low, high), records)


def _between(x: np.ndarray, y: np.ndarray, at: float) -> float:
    order = x.argsort()
    return float(np.interp(at, x[order], y[order]))


def judged(results: Results) -> pd.DataFrame:
    """Return the paper's claims with their verdicts.

    Where a claim names a series in place of a row ("quick M3"), the series is interpolated at the
    smoothness of the other side (RE-14, RE-16, RE-22).
    """
    found = claims.judge(results, published("re_claims"))
    for key, claim in found.iterrows():
        found.loc[key] = {**claim, **_at_the_other(results, claim)}
    return found


def _at_the_other(results: Results, claim: pd.Series) -> Mapping[str, Any]:
    """What changes in the line of a claim that compares a row with a series; nothing in others."""
    for side, other in (("left", "right"), ("right", "left")):
        fixed = results.measured(claim[other], claim["metric"])
        if fixed is None or not members(results, claim[side]):
            continue
        gammas = smoothness(results, claim[other])
        read = at_smoothness(results, claim[side], gammas, claim["metric"])
        if read is None:
            continue
        left, right = (read, fixed) if side == "left" else (fixed, read)
        return claims.compare(claim, left, right, results.of(claim[other])[0].level)
    return {}


def with_series(results: Results) -> Results:
    """Return results in which each series is a row as well: what an interpolated mean rests on."""
    whole = [
        replace(each, bench="", strategy=each.facts["series"])
        for each in results.planned
        if "series" in each.facts
    ]
    return results | Results(whole, results.recorded)
