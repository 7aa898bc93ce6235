"""Papers' claims as comparisons of measured rows, each with a verdict.

The rules are those of the book's definitions page: a claim that A beats B is *reproduced* when the
paired difference has the claimed sign and its 95 % interval excludes zero.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from ldlstudy import checks, measured, stats
from ldlstudy.measured import ERRORS, Measured
from ldlstudy.tables import Column, behind, linked, short, style

NUMBERS = ("left_mean", "right_mean", "difference", "low", "high", "p")
ARROW = " → "
VERDICTS = ("reproduced", "direction only", "not reproduced", "not reproduced (reversed)")


def verdict(left: Sequence[float], right: Sequence[float], expects: str) -> str:
    """One of :data:`VERDICTS` on the claim that ``left`` is lower, or higher, than ``right``.

    Both are values by replicate, paired.
    """
    return verdict_on(stats.difference(left, right), expects)


def verdict_on(difference: stats.Estimate, expects: str) -> str:
    """One of :data:`VERDICTS` on the claim that a difference is lower, or higher, than zero."""
    checks.one_of("expectation", expects, ["lower", "higher"])
    right_way = difference.mean < 0 if expects == "lower" else difference.mean > 0
    if right_way:
        return "reproduced" if difference.excludes_zero else "direction only"
    return "not reproduced (reversed)" if difference.excludes_zero else "not reproduced"


def optimum(losses: np.ndarray, claimed: int) -> tuple[stats.Estimate, str]:
    """Judge the claim that one candidate of a grid has the lowest mean loss.

    Parameters
    ----------
    losses : ndarray, shape (R, C)
        Loss of each of C candidates in each of R replicates.
    claimed : int
        The candidate that is claimed to be best.

    Returns
    -------
    Estimate
        How much its loss is above that of our best (:func:`best_elsewhere`), within replicates.
    str
        "reproduced" if it is our best, "not reproduced" if that interval lies above zero, else
        "direction only".
    """
    behind = stats.difference(losses[:, claimed].tolist(), best_elsewhere(losses).tolist())
    if claimed == int(losses.mean(0).argmin()):
        return behind, "reproduced"
    return behind, "not reproduced" if behind.low > 0 else "direction only"


def best_elsewhere(losses: np.ndarray) -> np.ndarray:
    """In each replicate (R,), the loss of the candidate that is best in the other half of them.

    The lowest of many noisy means is too low by chance; chosen on the even replicates and measured
    on the odd ones, and the other way round, it is not.
    """
    if losses.ndim != 2 or len(losses) < 2:
        raise ValueError(f"need losses (R, C) of two replicates or more, got shape {losses.shape}")
    even = np.arange(len(losses)) % 2 == 0
    best = np.where(even, losses[~even].mean(0).argmin(), losses[even].mean(0).argmin())
    return np.take_along_axis(losses, best[:, None], 1)[:, 0]


def judge_optimum(losses: np.ndarray, claimed: int) -> dict[str, Any]:
    """What :func:`judge` says of a claim, of one that :func:`optimum` judges.

    The right side is our best candidate, measured as :func:`best_elsewhere` says.
    """
    elsewhere = best_elsewhere(losses)
    behind, said = optimum(losses, claimed)
    means = (float(losses[:, claimed].mean()), float(elsewhere.mean()))
    p = stats.paired_p(losses[:, claimed].tolist(), elsewhere.tolist())
    return {**dict(zip(NUMBERS, (*means, *behind, p), strict=True)), "verdict": said}


def judge(
    rows: Mapping[str, Mapping[str, Sequence[float] | Measured]], listed: pd.DataFrame
) -> pd.DataFrame:
    """Each claim with both measured means, their paired difference and the verdict.

    Parameters
    ----------
    rows : Mapping
        Measured values by row and metric.
    listed : DataFrame
        Indexed by id, with ``claim``, ``published``, ``left``, ``right``, ``metric``, ``expects``.

    Returns
    -------
    DataFrame
        As ``listed``, with ``left_mean``, ``right_mean``, ``difference``, ``low``, ``high``, the
        ``p`` of the paired t test and ``verdict``; "not yet run" where a row is missing.
    """
    out = []
    for key, claim in listed.iterrows():
        left, right = (rows.get(claim[side], {}).get(claim["metric"]) for side in ("left", "right"))
        result: dict[str, Any] = {"id": key, **claim, "verdict": "not yet run"}
        if left is None or right is None:
            result |= dict.fromkeys(NUMBERS, math.nan)
        else:
            compared = _compare(left, right)
            result |= dict(zip(NUMBERS, compared, strict=True))
            result["verdict"] = verdict_on(stats.Estimate(*compared[2:5]), claim["expects"])
        out.append(result)
    return pd.DataFrame(out).set_index("id")


def _compare(
    left: Sequence[float] | Measured, right: Sequence[float] | Measured
) -> tuple[float, ...]:
    """Both means, the difference with its interval, and the p of the paired t test (or NaN)."""
    a, b = (
        each if isinstance(each, Measured) else Measured(list(each), stats.estimate(each))
        for each in (left, right)
    )
    paired = len(a.values) == len(b.values) > 1
    p = stats.paired_p(a.values, b.values) if paired else math.nan
    return (a.estimate.mean, b.estimate.mean, *measured.difference(a, b), p)


def show(judged: pd.DataFrame, rows: Mapping[str, object]) -> Styler:
    """The claims as the book shows them; pairs read from the compared row to the claimed one.

    A mean leads to its record where one of the ``rows`` that were compared knows it.
    """
    lines = []
    for _, claim in judged.iterrows():
        line = written(claim)
        pair = zip(line["ours"].split(ARROW), ("right", "left"), strict=False)
        line["ours"] = ARROW.join(linked(mean, behind(rows.get(claim[of]))) for mean, of in pair)
        lines.append(line)
    shown = pd.DataFrame(lines, index=list(judged.index))
    return style(shown, ("claim", "verdict"), "study claims")


def written(claim: pd.Series) -> dict[str, str]:
    """A line of :func:`judge` as the book writes it, by column, in HTML."""
    column = Column(claim["metric"], "", percent=_in_percent(str(claim["metric"])))
    left, right, d, low, high, p = (float(claim[number]) for number in NUMBERS)
    interval = (
        "" if math.isnan(low) else f" <small>[{column.write(low)}, {column.write(high)}]</small>"
    )
    said = "" if pd.isna(claim["published"]) else claim["published"].replace("->", "→")
    return {
        "claim": html.escape(claim["claim"]),
        "published": html.escape(said.replace(" % →", " →")),
        "ours": "" if math.isnan(d) else column.write(right) + ARROW + column.write(left),
        "difference": "" if math.isnan(d) else column.write(d) + interval,
        "p": write_p(p),
        "verdict": claim["verdict"],
    }


def _in_percent(metric: str) -> bool:
    return "accuracy" in metric or metric in ERRORS.values()


def write_p(p: float) -> str:
    """A p value as the book writes it; nothing for NaN."""
    if math.isnan(p):
        return ""
    return short(f"{p:.3f}") if p >= 0.001 else "< .001"
