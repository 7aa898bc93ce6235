"""Papers' claims as comparisons of measured rows, each with a verdict.

The rules are those of the book's definitions page: a claim that A beats B is *reproduced* when the
paired difference has the claimed sign and its 95 % interval excludes zero.
"""

import html
import math
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from ldlstudy import checks, stats
from ldlstudy.report import results as measured
from ldlstudy.report.results import ERRORS, Measured, Results
from ldlstudy.report.tables import Column, Number, Pair, Text, short, style

NUMBERS = ("left_mean", "right_mean", "difference", "low", "high", "p")
VERDICTS = ("reproduced", "direction only", "not reproduced", "not reproduced (reversed)")
NOT_RUN = "not yet run"
UNJUDGED = {**dict.fromkeys(NUMBERS, math.nan), "verdict": NOT_RUN, "level": ""}
SIDES = ("right", "left")  # read from what is compared with to what the claim is about


def verdict_on(difference: stats.Estimate, expects: str) -> str:
    """Return one of :data:`VERDICTS` on the claim that a difference is lower, or higher, than 0."""
    checks.one_of("expectation", expects, ["lower", "higher"])
    right_way = difference.mean < 0 if expects == "lower" else difference.mean > 0
    if right_way:
        return "reproduced" if difference.excludes_zero else "direction only"
    return "not reproduced (reversed)" if difference.excludes_zero else "not reproduced"


def best_elsewhere(losses: np.ndarray) -> np.ndarray:
    """Return by replicate (R,) the loss of the candidate that is best in the other half of them.

    The lowest of many noisy means is too low by chance; chosen on the even replicates and measured
    on the odd ones, and the other way round, it is not.
    """
    if losses.ndim != 2 or len(losses) < 2:
        raise ValueError(f"need losses (R, C) of two replicates or more, got shape {losses.shape}")
    even = np.arange(len(losses)) % 2 == 0
    best = np.where(even, losses[~even].mean(0).argmin(), losses[even].mean(0).argmin())
    return np.take_along_axis(losses, best[:, None], 1)[:, 0]


def judge_optimum(losses: np.ndarray, claimed: int) -> dict[str, Any]:
    """Judge the claim that one candidate of a grid has the lowest mean loss.

    Parameters
    ----------
    losses : ndarray, shape (R, C)
        Loss of each of C candidates in each of R replicates.
    claimed : int
        The candidate that is claimed to be best.

    Returns
    -------
    dict
        What :func:`judge` says of a claim: its loss against that of our best, measured as
        :func:`best_elsewhere` says, within replicates. The verdict is "reproduced" if it is our
        best, "not reproduced" if the interval lies above zero, else "direction only".
    """
    own, elsewhere = losses[:, claimed], best_elsewhere(losses)
    means = (float(own.mean()), float(elsewhere.mean()))
    above = stats.difference(own.tolist(), elsewhere.tolist())
    p = stats.paired_p(own.tolist(), elsewhere.tolist())
    found = "not reproduced" if above.low > 0 else "direction only"
    if claimed == int(losses.mean(0).argmin()):
        found = "reproduced"
    return {**dict(zip(NUMBERS, (*means, *above, p), strict=True)), "verdict": found}


def judge(results: Results, listed: pd.DataFrame) -> pd.DataFrame:
    """Return each claim with both measured means, their paired difference and the verdict.

    Parameters
    ----------
    results : Results
        Of all rows that are compared.
    listed : DataFrame
        Indexed by id, with ``claim``, ``published``, ``left`` and ``right`` with their stages,
        ``metric``, ``expects``.

    Returns
    -------
    DataFrame
        As ``listed``, with ``left_mean``, ``right_mean``, ``difference``, ``low``, ``high``, the
        ``p`` of the paired t test, ``verdict``, "not yet run" where a row is missing, and the
        ``level`` of the evidence.
    """
    out = []
    for key, claim in listed.iterrows():
        left, right = (
            results.measured(claim[side], claim["metric"], claim[f"{side}_stage"])
            for side in ("left", "right")
        )
        result: dict[str, Any] = {"id": key, **claim, **UNJUDGED}
        if left is not None and right is not None:
            compared = _compare(left, right)
            result |= dict(zip(NUMBERS, compared, strict=True))
            result["verdict"] = verdict_on(stats.Estimate(*compared[2:5]), claim["expects"])
            result["level"] = results.of(claim["left"])[0].level
        out.append(result)
    return pd.DataFrame(out).set_index("id")


def _compare(left: Measured, right: Measured) -> tuple[float, ...]:
    """Both means, the difference with its interval, and the p of the paired t test (or NaN)."""
    paired = len(left.values) == len(right.values) > 1
    p = stats.paired_p(left.values, right.values) if paired else math.nan
    return left.estimate.mean, right.estimate.mean, *measured.difference(left, right), p


def show(judged: pd.DataFrame, results: Results) -> Styler:
    """Return the claims as the book shows them; pairs read from the compared row to the claimed.

    A mean leads to its record.
    """
    lines = []
    for _, claim in judged.iterrows():
        written = in_words(claim)
        right, left = (Text(written.pop(side), results.records(claim[side])) for side in SIDES)
        ours = Pair(right, left) if right.text else ""
        lines.append({"claim": written.pop("claim"), "published": written.pop("published"),
                      "ours": ours, **written})  # fmt: skip
    shown = pd.DataFrame(lines, index=list(judged.index))
    return style(shown, ("claim", "verdict"), "study claims")


def in_words(claim: pd.Series) -> dict[str, Any]:
    """Return a line of :func:`judge` as the book writes it, by column; the texts are HTML."""
    column = Column(claim["metric"], "", percent=_in_percent(str(claim["metric"])))
    left, right, d, low, high, p = (float(claim[number]) for number in NUMBERS)
    printed = "" if pd.isna(claim["published"]) else claim["published"].replace("->", "→")
    return {
        "claim": html.escape(claim["claim"]),
        "published": html.escape(printed.replace(" % →", " →")),
        "right": column.write(right),
        "left": column.write(left),
        "difference": Number(column, stats.Estimate(d, low, high), ends=True),
        "p": write_p(p),
        "verdict": claim["verdict"],
    }


def _in_percent(metric: str) -> bool:
    return "accuracy" in metric or metric in ERRORS.values()


def write_p(p: float) -> str:
    """Return a p value as the book writes it; nothing for NaN."""
    if math.isnan(p):
        return ""
    return short(f"{p:.3f}") if p >= 0.001 else "< .001"
