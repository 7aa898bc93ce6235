"""Who is best at what, for somebody who has labels, time, held-out images or teachers.

On each bench every strategy is held against hard labels. The best of many strategies is flattered
by chance, so where there are several seeds it is chosen on the first two, and its difference is
that of the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from ldlstudy import stats
from ldlstudy.report.results import MISSING, Results
from ldlstudy.stats import Estimate
from ldlstudy.studies.people import runs as people
from ldlstudy.studies.strategies import named
from ldlstudy.studies.truth import comparisons, tables
from ldlstudy.studies.truth import runs as truth

CHOSEN_ON = 2  # seeds
ONE_PASS = 1.3  # operations of a step, in steps with hard labels: more is a longer step
HARD = "none"
HAVES = {  # what a strategy asks for beside images and labels
    "labels": "labels alone",
    "time": "labels, and time for a longer step",
    "held": "held-out images, for settings or a teacher's temperature",
    "teacher": "a teacher",
    "teachers": "five teachers",
}


class Want(NamedTuple):
    """A score of a bench: its metric and stage, what it is called, and whether more is better."""

    metric: str
    stage: str
    heading: str
    more: bool = False


DIGITS = {
    "accuracy": Want("accuracy", "plain", "right answers", True),
    "ece": Want("ece_15_left", "plain", "ECE as trained"),
    "scaled": Want("ece_15_left", "fitted", "ECE, scaled"),
    "truth": Want("kl_to_truth", "fitted", "KL to the truth, scaled"),
}
PEOPLE = {
    "accuracy": Want("accuracy", "plain", "right answers", True),
    "ece": Want("ece_15_left", "plain", "ECE as trained"),
    "scaled": Want("ece_15_left", "fitted", "ECE, scaled"),
    "truth": Want("votes_cross_entropy", "people", "cross entropy to people, scaled to them"),
    "doubt": Want("votes_entropy_order", "plain", "doubts what people doubt", True),
}


@dataclass(frozen=True)
class Pick:
    """The best strategy of some: its difference from hard labels, and from another pick.

    ``beyond`` is what it gains over the best that labels alone allow; a gain is positive where
    more is better, and where less is, negative.
    """

    strategy: str
    difference: Estimate
    beyond: Estimate = MISSING


def asks_for(strategy: str, step: float) -> str:
    """Return what a strategy asks for, a key of `HAVES`.

    Parameters
    ----------
    strategy : str
        Of :mod:`ldlstudy.studies.strategies`.
    step : float
        The operations of its step, in steps with hard labels.
    """
    own = named(strategy)
    if own.chooses or own.held:
        return "held"
    if own.teachers:
        return "teacher" if own.teachers == 1 else "teachers"
    return "time" if step >= ONE_PASS else "labels"


def costs(quick: Results) -> pd.DataFrame:
    """Return by strategy ``step`` and ``all`` in operations, and ``seconds`` of a step.

    All in those of hard labels, the seconds as the median over seeds of a ratio on one machine;
    ``quick`` are the results of the cell of the quick profile.
    """
    found = tables.costs_of(quick)
    hard = quick.records(truth.row(HARD))
    found["seconds"] = [
        float(
            pd.Series(
                [
                    own.values["step"]["seconds"] / other.values["step"]["seconds"]
                    for own, other in zip(quick.records(truth.row(str(name))), hard, strict=False)
                ],
                dtype=float,
            ).median()
        )
        for name in found.index
    ]
    return found


def of_digits(grid: Results, spent: pd.DataFrame) -> dict[tuple[str, str], Pick]:
    """Return the picks on noisy digits by what one has and what one wants.

    Parameters
    ----------
    grid : Results
        Of all nine cells; the unit of the interval is the cell.
    spent : DataFrame
        As :func:`costs` gives it.
    """
    found = {}
    for want, score in DIGITS.items():
        blocks = comparisons.scores(grid, score.metric, score.stage)
        if HARD not in blocks.index:
            continue
        seeds = blocks.columns.get_level_values(1)
        first, rest = (
            comparisons.by_cell(blocks.loc[:, part])
            for part in (seeds < CHOSEN_ON, seeds >= CHOSEN_ON)
        )
        names = {
            name: asks_for(name, spent["step"].get(name, 1.0)) for name in map(str, rest.index)
        }
        best = {have: _best(first.mean(axis=1), names, have, score.more) for have in HAVES}
        for have, name in best.items():
            if name:
                found[have, want] = Pick(
                    name,
                    stats.difference(rest.loc[name].tolist(), rest.loc[HARD].tolist()),
                    stats.difference(
                        rest.loc[name].tolist(), rest.loc[best["labels"] or name].tolist()
                    ),
                )
    return found


def of_people(results: Results, spent: pd.DataFrame) -> dict[tuple[str, str], Pick]:
    """Return the picks on Fashion-MNIST, chosen and measured on the same networks.

    Of one network each the interval is over test images, of several over seeds.
    """
    found = {}
    for want, score in PEOPLE.items():
        means = {
            name: results.mean(people.row(name), score.metric, score.stage)
            for name in people.STRATEGIES
            if people.row(name) in results and name != "none-held"
        }
        if HARD not in means:
            continue
        names = {name: asks_for(name, spent["step"].get(free(name), 1.0)) for name in means}
        best = {have: _best(pd.Series(means), names, have, score.more) for have in HAVES}
        for have, name in best.items():
            if name:
                ends = [
                    results.difference(
                        (people.row(name), score.stage),
                        (people.row(other), score.stage),
                        score.metric,
                    )
                    for other in (HARD, best["labels"] or name)
                ]
                found[have, want] = Pick(name, *ends)
    return found


def free(strategy: str) -> str:
    """Return the strategy of the same step whose settings are chosen and not fixed."""
    return strategy.removesuffix("_fixed")


def _best(scores: pd.Series, names: Mapping[str, str], have: str, more: bool) -> str:
    """The best that asks for what one has, if any does; the truth, which nobody has, is none."""
    there = [n for n, asked in names.items() if asked == have and n not in ("truth", HARD)]
    own = scores.reindex(there).dropna()
    return "" if own.empty else str(own.idxmax() if more else own.idxmin())


def gains(difference: Estimate, more: bool) -> bool:
    """Return whether a difference is a gain and its interval leaves no doubt of that."""
    return difference.low > 0 if more else difference.high < 0


def loses(difference: Estimate, more: bool) -> bool:
    """Return whether a difference is a loss and its interval leaves no doubt of that."""
    return gains(difference, not more)
