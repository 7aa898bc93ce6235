"""The numbers and the sentences of the page on which label to use, from the records."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from ldlstudy import stats, studies
from ldlstudy.report.numbers import Numbers, known
from ldlstudy.report.results import Results
from ldlstudy.report.sentences import in_words
from ldlstudy.studies.choice import picks, tables
from ldlstudy.studies.choice.picks import DIGITS, HARD, PEOPLE, Pick, Want, gains, loses
from ldlstudy.studies.fast.runs import CIFAR10, FEW_BENCH
from ldlstudy.studies.people import annotators
from ldlstudy.studies.people import runs as people
from ldlstudy.studies.strategies import in_prose
from ldlstudy.studies.truth import comparisons

FAST, FEW = f"{CIFAR10} {HARD}", f"{FEW_BENCH} {HARD}"
CROSS_ENTROPY = Want("cross_entropy", "plain", "")
OF_PEOPLE = Want("votes_cross_entropy", "plain", "")
AT_PEOPLE = OF_PEOPLE._replace(stage="people")


@dataclass(frozen=True)
class Facts:
    """All that the page is made of.

    Attributes
    ----------
    digits, fashion : Mapping
        The picks of each bench by what one has and what one wants.
    hard : Mapping
        What hard labels have, by bench (``digits``, ``people``) and want.
    spent : DataFrame
        What strategies cost, as :func:`ldlstudy.studies.choice.picks.costs` gives it.
    """

    digits: Mapping[tuple[str, str], Pick]
    fashion: Mapping[tuple[str, str], Pick]
    hard: Mapping[str, Mapping[str, float]]
    spent: pd.DataFrame

    @property
    def benches(self) -> dict[str, tuple[Mapping[tuple[str, str], Pick], Mapping[str, Want]]]:
        """The picks and the scores of each bench, by its name in `hard`."""
        return {"digits": (self.digits, DIGITS), "people": (self.fashion, PEOPLE)}


def facts() -> Facts:
    """Return what the committed records say."""
    quick, grid = (studies.recorded("truth", profile) for profile in ("quick", "paper"))
    fashion = studies.recorded("people")
    spent = picks.costs(quick)
    hard = {"digits": _hard_on_digits(grid), "people": _hard_with_people(fashion)}
    return Facts(picks.of_digits(grid, spent), picks.of_people(fashion, spent), hard, spent)


def _hard_on_digits(grid: Results) -> dict[str, float]:
    """What hard labels score on noisy digits by want, the mean over cells."""
    found = {}
    for want, score in DIGITS.items():
        blocks = comparisons.scores(grid, score.metric, score.stage)
        if HARD in blocks.index:
            found[want] = float(comparisons.by_cell(blocks).loc[HARD].mean())
    return found


def _hard_with_people(results: Results) -> dict[str, float]:
    """What hard labels score on Fashion-MNIST by want."""
    own = people.row(HARD)
    found = {want: results.mean(own, w.metric, w.stage) for want, w in PEOPLE.items()}
    return {want: value for want, value in found.items() if not math.isnan(value)}


def quoted(own: Facts) -> Numbers:
    """Return every number and name that the page quotes.

    ``<bench>.<have>.<want>`` says who is best and by how much, or that none is beyond its interval;
    ``<bench>.hard.<want>`` is what hard labels have, ``cost.<strategy>`` operations in all.
    ``five.<strategy>`` is its distance to the truth less hard labels' over all seeds,
    ``student.<teacher>`` a student's cross entropy less that of the student of hard labels,
    ``three`` what the shares of three people are nearer than one person's labels, and ``most``
    the label that most of them gave, each as trained and ``scaled`` to people.
    """
    values: Numbers = {}
    for bench, (found, wants) in own.benches.items():
        values |= {f"{bench}.hard.{want}": value for want, value in own.hard[bench].items()}
        for (have, want), pick in found.items():
            values[f"{bench}.{have}.{want}"] = said(pick, wants[want], have)
        gained = [k for k, pick in found.items() if gains(pick.difference, wants[k[1]].more)]
        values[f"{bench}.gained"] = in_words(len(gained))
        values[f"{bench}.picks"] = in_words(len(found))
    picked = {pick.strategy for pick in own.digits.values()}
    values |= {f"cost.{s}": float(own.spent.loc[s, "all"]) for s in sorted(picked)}
    return values | _others()


def _others() -> Numbers:
    """What benches say that the tables do not hold."""
    tables_of = ("fast", "few", "ils", "annotators", "truth")
    fast, few, ils, annotated, grid = map(studies.recorded, tables_of)
    pairs = {
        "student.ls": (ils, ("distil_ls", "distil_none"), CROSS_ENTROPY),
        "student.ils": (ils, ("distil_ils", "distil_none"), CROSS_ENTROPY),
    }
    for target in ("three", "most"):
        both = (people.row(target, annotators.NAME), people.row(HARD, annotators.NAME))
        pairs |= {target: (annotated, both, OF_PEOPLE)}
        pairs |= {f"{target}.scaled": (annotated, both, AT_PEOPLE)}
    values: Numbers = {}
    for key, (results, (left, right), score) in pairs.items():
        found = results.difference((left, score.stage), (right, score.stage), score.metric)
        if not math.isnan(found.mean):
            values[key] = tables.difference(score, found)
    near = DIGITS["truth"]
    cells = comparisons.by_cell(comparisons.scores(grid, near.metric, near.stage))
    for name in ("cutmix", "on_ldl-cutmix"):
        if {name, HARD} <= set(cells.index):
            found = stats.difference(cells.loc[name].tolist(), cells.loc[HARD].tolist())
            values[f"five.{name}"] = tables.difference(near, found)
    for bench, (results, row) in {"fast": (fast, FAST), "few": (few, FEW)}.items():
        scores: Numbers = {
            f"{bench}.ece": results.mean(row, "ece_15_left"),
            f"{bench}.scaled": results.mean(row, "ece_15_left", "fitted"),
            f"{bench}.temperature": results.mean(row, "temperature", "fitted"),
        }
        values |= known(scores)
    return values


def said(pick: Pick, score: Want, have: str) -> str:
    """Return who is best, by how much, and whether that is more than labels alone allow."""
    name, ends = in_prose([pick.strategy]), tables.difference(score, pick.difference)
    unit = " points" if score.metric == "accuracy" else ""
    if not gains(pick.difference, score.more):
        lost = loses(pick.difference, score.more)
        verdict = "even the best loses" if lost else "no clear difference"
        return f"{verdict} ({name}, {ends}{unit})"
    more = have == "labels" or gains(pick.beyond, score.more)
    beside = "" if more else "; not clearly better than the best of labels alone"
    return f"{name} ({ends}{unit}{beside})"


def _of(own: Facts, want: str) -> list[tuple[Pick, bool]]:
    """The picks of all benches for what one wants, and whether they gain."""
    return [
        (pick, gains(pick.difference, wants[want].more))
        for found, wants in own.benches.values()
        for (_, wanted), pick in found.items()
        if wanted == want
    ]


SENTENCES: dict[str, Callable[[Facts], bool]] = {
    "On noisy digits one temperature lowers the ECE of hard labels by more than any label does": (
        lambda own: (
            own.hard["digits"]["scaled"] - own.hard["digits"]["ece"]
            < min(p.difference.mean for (_, want), p in own.digits.items() if want == "ece")
        )
    ),
    "A temperature makes more of the same images": lambda own: all(
        own.hard[bench]["scaled"] - own.hard[bench]["ece"] < found["held", "ece"].difference.mean
        and not gains(found["held", "truth"].difference, more=False)
        for bench, (found, _) in own.benches.items()
    ),
    "On these two benches label smoothing is never clearly the best": lambda own: (
        not any(
            pick.strategy in ("ls", "ls_chosen") and gains(pick.difference, wants[want].more)
            for found, wants in own.benches.values()
            for (_, want), pick in found.items()
        )
    ),
    "Once scaled, the ECE hardly tells labels apart": lambda own: (
        sum(gained for _, gained in _of(own, "scaled")) <= 2
    ),
    "no strategy of the second table has clearly more than hard labels": lambda own: (
        not any(
            gains(pick.difference, more=True)
            for (_, want), pick in own.fashion.items()
            if want == "accuracy"
        )
    ),
}
