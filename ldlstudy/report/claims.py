"""Papers' claims as comparisons of measured rows, each with a verdict.

The rules are those of the book's definitions page: a claim that A beats B is *reproduced* when the
paired difference has the claimed sign and its 95 % interval excludes zero. Where networks or data
stand in for the paper's, it *carries over* or does not, which says nothing of the paper's number.
"""

import html
import math
from typing import Any

import numpy as np
import pandas as pd

from ldlstudy import checks, stats
from ldlstudy.experiment.plan import LEVELS
from ldlstudy.report import results as measured
from ldlstudy.report.results import ERRORS, Measured, Results
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import SIGHT, Column, Number, Pair, Text, short, style

NUMBERS = ("left_mean", "right_mean", "difference", "low", "high", "p")
OWN = "paper"  # the level of evidence of a paper's own networks and protocol
WORDS = {  # verdicts at that level and at others, the weakest last
    "reproduced": "carries over",
    "direction only": "carries over (direction only)",
    "undecided": "undecided",
    "not reproduced": "does not carry over",
    "not reproduced (reversed)": "does not carry over",
}
VERDICTS = tuple(dict.fromkeys(word for pair in WORDS.items() for word in pair))
HELD = ("reproduced", "carries over")  # the verdicts that bear a claim out
EXPECTED = ("lower", "higher", "can be lower", "can be higher", "level")
NOT_RUN = "not yet run"
UNJUDGED = {**dict.fromkeys(NUMBERS, math.nan), "verdict": NOT_RUN, "level": ""}
SIDES = ("right", "left")  # read from what is compared with to what the claim is about


def verdict_on(
    difference: stats.Estimate, expects: str, level: str = OWN, margin: float = math.nan
) -> str:
    """Return the verdict on a claim about a difference, by the rules of the definitions page.

    Parameters
    ----------
    difference : Estimate
        Of what the claim is about, less what it is compared with.
    expects : str
        One of :data:`EXPECTED`: the difference is below or above 0, or can be, or is about 0.
    level : str
        Of the evidence, a key of :data:`ldlstudy.experiment.plan.LEVELS`.
    margin : float
        How large a difference still counts as level; only where ``expects`` is "level".

    Returns
    -------
    str
        One of :data:`VERDICTS`.

    Raises
    ------
    ValueError
        If ``expects`` or ``level`` is unknown, or the margin of a claim of "level" is not positive.
    """
    checks.one_of("expectation", expects, EXPECTED)
    checks.one_of("level of evidence", level, LEVELS)
    found = _alike(difference, margin) if expects == "level" else _signed(difference, expects)
    return found if level == OWN else WORDS[found]


def _alike(difference: stats.Estimate, margin: float) -> str:
    """Whether the interval lies within the margin, beyond it, or neither."""
    checks.in_range("the margin of a claim of level", margin, 0, open_low=True)
    if -margin <= difference.low and difference.high <= margin:
        return "reproduced"
    beyond = difference.low > margin or difference.high < -margin
    return "not reproduced" if beyond else "undecided"


def _signed(difference: stats.Estimate, expects: str) -> str:
    """Whether the difference has the claimed sign; a case without it reverses no "can"."""
    right_way = difference.mean < 0 if expects.endswith("lower") else difference.mean > 0
    if right_way:
        return "reproduced" if difference.excludes_zero else "direction only"
    against = difference.excludes_zero and not can_be(expects)
    return "not reproduced (reversed)" if against else "not reproduced"


def can_be(expects: object) -> bool:
    """Return whether a claim is that something can happen, which one case shows."""
    return str(expects).startswith("can ")


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


def judge_optimum(losses: np.ndarray, claimed: int, level: str = OWN) -> dict[str, Any]:
    """Judge the claim that one candidate of a grid has the lowest mean loss.

    Parameters
    ----------
    losses : ndarray, shape (R, C)
        Loss of each of C candidates in each of R replicates.
    claimed : int
        The candidate that is claimed to be best.
    level : str
        Of the evidence, a key of :data:`ldlstudy.experiment.plan.LEVELS`.

    Returns
    -------
    dict
        What :func:`judge` says of a claim: its loss against that of our best, measured as
        :func:`best_elsewhere` says, within replicates. The verdict is "reproduced" if it is our
        best, "not reproduced" if the interval lies above zero, else "direction only", or what
        these are called at another level.
    """
    own, elsewhere = losses[:, claimed], best_elsewhere(losses)
    means = (float(own.mean()), float(elsewhere.mean()))
    above = stats.difference(own.tolist(), elsewhere.tolist())
    p = stats.paired_p(own.tolist(), elsewhere.tolist())
    found = "not reproduced" if above.low > 0 else "direction only"
    if claimed == int(losses.mean(0).argmin()):
        found = "reproduced"
    verdict = found if level == OWN else WORDS[found]
    numbers = dict(zip(NUMBERS, (*means, *above, p), strict=True))
    return {**numbers, "verdict": verdict, "level": level}


def judge(results: Results, listed: pd.DataFrame) -> pd.DataFrame:
    """Return each claim with both measured means, their paired difference and the verdict.

    All are of the seeds that both sides have.

    Parameters
    ----------
    results : Results
        Of all rows that are compared.
    listed : DataFrame
        Indexed by id, with ``claim``, ``published``, ``left`` and ``right`` with their stages,
        ``metric``, ``expects``, and the ``margin`` of those that expect "level".

    Returns
    -------
    DataFrame
        As ``listed``, with ``left_mean``, ``right_mean``, ``difference``, ``low``, ``high``, the
        ``p`` of the paired t test, ``verdict``, "not yet run" where a row is missing, and the
        ``level`` of the evidence.
    """
    out = []
    for key, claim in listed.iterrows():
        left, right = ((claim[side], claim[f"{side}_stage"]) for side in ("left", "right"))
        pair = results.pair(left, right, claim["metric"])
        result: dict[str, Any] = {"id": key, **claim, **UNJUDGED}
        if pair is not None:
            result |= compare(claim, *pair, results.of(claim["left"])[0].level)
        out.append(result)
    return pd.DataFrame(out).set_index("id")


def compare(claim: pd.Series, left: Measured, right: Measured, level: str) -> dict[str, Any]:
    """Return what :func:`judge` adds to a claim on two sides that were measured at a level."""
    paired = measured.repeated(left, right)
    p = stats.paired_p(left.values, right.values) if paired else math.nan
    change = measured.difference(left, right)
    numbers = (left.estimate.mean, right.estimate.mean, *change, p)
    verdict = verdict_on(change, claim["expects"], level, claim.get("margin", math.nan))
    return {**dict(zip(NUMBERS, numbers, strict=True)), "verdict": verdict, "level": level}


def show(judged: pd.DataFrame, results: Results) -> Shown:
    """Return the claims as the book shows them; pairs read from the compared row to the claimed.

    A mean leads to its record. Where no claim has a number of its paper, there is no column for it.
    """
    lines = []
    for _, claim in judged.iterrows():
        written = in_words(claim)
        right, left = (Text(written.pop(side), results.records(claim[side])) for side in SIDES)
        ours = Pair(right, left) if right.text else ""
        paper = written.pop("published")
        paper = Text(f'<span class="paper">{paper}</span>') if paper else ""
        lines.append({"claim": written.pop("claim"), "published": paper, "ours": ours, **written})
    shown = pd.DataFrame(lines, index=list(judged.index))
    if shown["published"].eq("").all():  # of no comparison; its room goes to the others
        shown = shown.drop(columns="published")
    found = style(shown, ("claim", "verdict", "evidence"), "study claims")
    return found.saying(summary(judged), strongest(judged) if len(judged) > SIGHT else None)


FOLLOWS = "The same"  # how a claim begins that speaks of the one above it


def summary(judged: pd.DataFrame) -> str:
    """Return how many comparisons have each verdict, in words."""
    counts = judged["verdict"].value_counts()
    said = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    comparisons = "comparison" if len(judged) == 1 else "comparisons"
    chosen = " In sight are one of each verdict and some more." if len(judged) > SIGHT else ""
    return (
        f"{len(judged)} {comparisons}: {said}. An arrow leads to what the claim is about.{chosen}"
    )


def strongest(judged: pd.DataFrame) -> list[str]:
    """Return the comparisons to read first: one of each verdict, then others.

    Of the best evidence come first, and among them those with the smallest p. What speaks of the
    comparison above it is not among them.
    """
    order = {level: i for i, level in enumerate(LEVELS)}
    ranked = judged[~judged["claim"].str.startswith(FOLLOWS)]
    ranked = ranked.assign(rank=ranked["level"].map(order).fillna(len(order)))
    ranked = ranked.sort_values(["rank", "p"], kind="stable", na_position="last")
    of_each = ranked[ranked["verdict"] != NOT_RUN].drop_duplicates("verdict")
    return [str(name) for name in dict.fromkeys((*of_each.index, *ranked.index))][:SIGHT]


def in_words(claim: pd.Series) -> dict[str, Any]:
    """Return a line of :func:`judge` as the book writes it, by column; the texts are HTML."""
    column = Column(claim["metric"], "", percent=_in_percent(str(claim["metric"])))
    left, right, d, low, high, p = (float(claim[number]) for number in NUMBERS)
    printed = "" if pd.isna(claim["published"]) else claim["published"].replace("->", "→")
    within = f" (within {column.write(claim['margin'])})" if claim["expects"] == "level" else ""
    return {
        "claim": html.escape(claim["claim"] + within),
        "published": html.escape(printed.replace(" % →", " →")),
        "right": column.write(right),
        "left": column.write(left),
        "difference": Number(column, stats.Estimate(d, low, high), ends=True),
        "p": write_p(p),
        "verdict": claim["verdict"],
        "evidence": html.escape(LEVELS.get(claim["level"], "")),
    }


def _in_percent(metric: str) -> bool:
    return "accuracy" in metric or metric in ERRORS.values()


def write_p(p: float) -> str:
    """Return a p value as the book writes it; nothing for NaN."""
    if math.isnan(p):
        return ""
    return short(f"{p:.3f}") if p >= 0.001 else "< .001"
