"""The tables of the page on which label to use."""

from collections.abc import Mapping

import pandas as pd

from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import Column, Text, short, style
from ldlstudy.stats import Estimate
from ldlstudy.studies.choice.picks import HARD, HAVES, Pick, Want, free, gains, loses
from ldlstudy.studies.strategies import named

DECIMALS = 3  # of every score but shares of right answers
STEPS = {
    "step": "operations of a step",
    "seconds": "seconds of a step",
    "teachers": "teachers",
    "all": "operations in all",
}


def picks(
    found: Mapping[tuple[str, str], Pick],
    wants: Mapping[str, Want],
    hard: Mapping[str, float],
    where: str,
) -> Shown:
    """Return who is best at what: what one has by what one wants, the difference from hard labels.

    Parameters
    ----------
    found : Mapping
        As :func:`ldlstudy.studies.choice.picks.of_digits` gives it.
    wants : Mapping
        The scores of the bench.
    hard : Mapping
        What hard labels have, by want.
    where : str
        What the bench is called.
    """
    lines = {
        "hard labels have": {
            score.heading: Text(value(score, hard[want]) if want in hard else "")
            for want, score in wants.items()
        }
    }
    for have, title in HAVES.items():
        lines[title] = {
            score.heading: Text(_cell(found.get((have, want)), score, have))
            for want, score in wants.items()
        }
    headings = [score.heading for score in wants.values()]
    table = pd.DataFrame.from_dict(lines, orient="index")
    return style(table, headings, "study choice").saying(
        f"{where}: the best by what you have (lines) and what you want (columns), and how far it "
        "is from hard labels. Where does having more bring more?"
    )


def _cell(pick: Pick | None, score: Want, have: str) -> str:
    if pick is None:
        return ""
    name, ends = named(pick.strategy).label, difference(score, pick.difference)
    if not gains(pick.difference, score.more):
        verdict = "a loss" if loses(pick.difference, score.more) else "no clear difference"
        return f"{verdict} <br><small>{name} {ends}</small>"
    more = have == "labels" or gains(pick.beyond, score.more)
    marked = f"<strong>{name}</strong>" if more else name
    return f"{marked} <br><small>{ends}</small>"


def value(score: Want, number: float) -> str:
    """Return a score as the page writes it; a share of right answers in per cent."""
    if score.metric == "accuracy":
        return f"{100 * number:.1f} %"
    return Column(score.metric, "", digits=DECIMALS).write(number)


def difference(score: Want, found: Estimate) -> str:
    """Return a difference with its interval, of a share of right answers in points."""
    scale, digits = (100, 2) if score.metric == "accuracy" else (1, DECIMALS)
    rounded = (round(scale * each, digits) + 0 for each in found)  # + 0: no minus zero
    mean, low, high = (short(f"{each:+.{digits}f}").replace("-", "−") for each in rounded)
    return f"{mean} [{low}, {high}]"


def costs(spent: pd.DataFrame, *chosen: Mapping[tuple[str, str], Pick]) -> Shown:
    """Return what the picks of some benches cost, in hard labels', the cheapest first.

    ``spent`` is as :func:`ldlstudy.studies.choice.picks.costs` gives it; a strategy whose settings
    are fixed costs what it does with chosen ones.
    """
    picked = {free(pick.strategy) for of_bench in chosen for pick in of_bench.values()}
    names = {HARD, "ls", *picked}
    own = spent[[name in names for name in spent.index]]
    lines = {
        named(str(name)).label: {
            heading: f"{row[column]:.0f}" if column == "teachers" else f"× {row[column]:.2f}"
            for column, heading in STEPS.items()
        }
        for name, row in own.iterrows()
    }
    nearest = [p.strategy for of in chosen for (_, want), p in of.items() if want == "truth"]
    return style(pd.DataFrame.from_dict(lines, orient="index")).saying(
        "What training costs, where hard labels are 1. What is free, and what do teachers cost?",
        [named(name).label for name in (HARD, "ls", *map(free, nearest))],
    )
