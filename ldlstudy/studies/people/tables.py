"""The tables of the chapter on people: a line a strategy."""

import pandas as pd

from ldlstudy.report import tables
from ldlstudy.report.results import Results
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import ACCURACY, NLL, SHARE, Column
from ldlstudy.studies.people import annotators, comparisons
from ldlstudy.studies.people.runs import LENET, STRATEGIES, known_row, row
from ldlstudy.studies.strategies import named

ECE = Column("ece_15_left", "ECE", digits=3)
TEMPERATURE = Column("temperature", "T", digits=2)
CROSS_ENTROPY = Column("votes_cross_entropy", "cross entropy", digits=3)
KL = Column("votes_kl", "KL", digits=3)
VARIATION = Column("votes_total_variation", "TV", digits=3)
ECE_OF_VOTES = Column("votes_ece", "ECE, by votes", digits=3)
ORDER = Column("votes_entropy_order", "order of doubt", digits=2)
OF_VOTES = (CROSS_ENTROPY, VARIATION, ECE_OF_VOTES, ORDER)
AS_TRAINED = (ACCURACY, NLL, ECE, CROSS_ENTROPY, KL, VARIATION, ECE_OF_VOTES, ORDER)
SCALED = {  # headings of what one temperature for the labels, and one for people, leave
    "T": ("fitted", TEMPERATURE),
    "ECE, of the labels, at T": ("fitted", ECE),
    "cross entropy, at T": ("fitted", CROSS_ENTROPY),
    "ECE, by votes, at T": ("fitted", ECE_OF_VOTES),
    "T for people": ("people", TEMPERATURE),
    "cross entropy, at T for people": ("people", CROSS_ENTROPY),
    "TV, at T for people": ("people", VARIATION),
    "ECE, by votes, at T for people": ("people", ECE_OF_VOTES),
}
DISTANCE = Column("kl_to_truth", "KL", digits=3)
TRUTHS = {  # the same score by an exact truth, and by fifty votes that are drawn from it
    "KL, exact": ("plain", Column("kl_to_truth", "", digits=3)),
    "KL, by votes": ("plain", KL),
    "TV, exact": ("plain", Column("total_variation", "", digits=3)),
    "TV, by votes": ("plain", VARIATION),
    "NLL, one label": ("plain", NLL),
    "cross entropy, by votes": ("plain", CROSS_ENTROPY),
}


def as_trained(results: Results, bench: str = LENET) -> Shown:
    """Return every strategy's scores against the labels and against the votes."""
    found = tables.of_rows(results, _rows(results, bench), AS_TRAINED).fold(())
    return found.saying(
        "Networks against the labels (the first three columns) and against people. Is it the "
        "same strategy that is right most often and that answers most as people do?"
    )


def scaled(results: Results, bench: str = LENET) -> Shown:
    """Return what is left after one temperature: fitted to labels, and fitted to people."""
    found = tables.of_rows(results, _rows(results, bench), SCALED).fold(())
    return found.saying(
        "One temperature for the labels, and one for people. Compare the two: "
        "who asks for softer answers?"
    )


def measures(results: Results, bench: str = LENET) -> Shown:
    """Return the six measures of label distribution learning at the temperature for people."""
    columns = {}
    for name, (label, more) in comparisons.MEASURES.items():
        metric = KL.metric if name == DISTANCE.metric else f"votes_{name}"
        column = Column(metric, label, digits=2 if name == "canberra" else 3)
        columns[f"{label} {'↑' if more else '↓'}"] = ("people", column)
    return tables.of_rows(results, _rows(results, bench), columns).saying(
        "The six measures at the temperature for people; arrows say which way is better. Do "
        "they agree on the best?",
        _labels(),
    )


def against_hard(results: Results, bench: str = LENET) -> Shown:
    """Return the paired differences of each strategy from hard labels, with 95 % intervals.

    These have seen the same images.
    """
    hard = {own: comparisons.hard_labels(results, own, bench) for own in _rows(results, bench)}
    pairs = {
        label: ((own, "plain"), (hard[own], "plain"))
        for own, label in _rows(results, bench).items()
        if own != hard[own]
    }
    found = tables.differences(results, pairs, (SHARE, ECE, CROSS_ENTROPY, VARIATION, ORDER))
    return found.saying(
        "Each strategy less hard labels on the same images, with the 95 % interval. Above zero is "
        "better for accuracy and the order of doubt, below zero for the others.",
        _labels(),
    )


def of_known(known: Results) -> Shown:
    """Return scores by an exact truth, and by votes that were drawn from it."""
    strategies = dict.fromkeys(each.strategy for each in known.planned)
    labels = {known_row(name): named(name).label for name in strategies}
    return tables.of_rows(known, labels, TRUTHS).saying(
        "The same score by an exact truth, and by fifty votes drawn from it. How near do votes "
        "come?"
    )


FIRST = ("none", "ls", "ils", "cs_kd", "mixup", "adacos", "on_ldl-mixup", "max_entropy_light")


def _labels() -> list[str]:
    """What the strategies are called that stay in sight where the others are folded."""
    return [named(name).label for name in FIRST]


def _rows(results: Results, bench: str) -> dict[str, str]:
    """Rows of a bench in the order of strategies, with their labels."""
    there = dict.fromkeys(each.strategy for each in results.planned if each.bench == bench)
    order = sorted(there, key=lambda s: STRATEGIES.index(s) if s in STRATEGIES else len(STRATEGIES))
    return {row(name, bench): named(name).label for name in order}


def of_annotators(results: Results) -> Shown:
    """Return what networks that learned annotators' labels score: a line a target."""
    there = dict.fromkeys(each.strategy for each in results.planned)
    labels = {row(name, annotators.NAME): annotators.label(name) for name in there}
    columns = {
        **{c.heading: ("plain", c) for c in (ACCURACY, NLL, ECE, *OF_VOTES)},
        "T for people": ("people", TEMPERATURE),
        "cross entropy, at T for people": ("people", CROSS_ENTROPY),
    }
    return tables.of_rows(results, labels, columns).saying(
        "Networks that learned what annotators said. Is the target that makes the most accurate "
        "network also the one that makes it most alike to people?"
    )


def enhancement(results: Results) -> Shown:
    """Return mean ranks over the sets by measure, the nearest first; and the means of two scores.

    The last columns are total variations: of the labels that were taught to the truth about the
    training samples, and of the network's predictions on new ones.
    """
    ranks = comparisons.enhancement_ranks(results)
    if ranks.empty:
        return tables.style(pd.DataFrame()).saying("Label enhancement.")
    shown = pd.DataFrame(
        {
            comparisons.MEASURES[str(name)][0]: column.map("{:.1f}".format)
            for name, column in ranks.items()
        }
    )
    for heading, stage in (("TV of the labels", "label"), ("TV of predictions", "plain")):
        means = comparisons.enhancement(results, "total_variation", stage).mean(axis=1)
        shown[heading] = means.reindex(shown.index).map(VARIATION.write)
    shown = shown.loc[ranks.mean(axis=1).sort_values(kind="stable").index]
    shown.index = [named(str(name)).label for name in shown.index]
    found = tables.style(shown).fold(())
    return found.saying(
        "Label enhancement: mean ranks over the sets by measure, the nearest first, and two mean "
        "distances. Is it the labels that are nearer, or what the network makes of them?"
    )


def sets(results: Results) -> Shown:
    """Return the KL to the truth of predictions on new samples, by set of label distributions."""
    benches, strategies = (
        dict.fromkeys(getattr(each, name) for each in results.planned)
        for name in ("bench", "strategy")
    )
    cells = {
        named(name).label: {
            bench: tables.Asked(row(name, bench), DISTANCE)
            for bench in benches
            if row(name, bench) in results
        }
        for name in strategies
    }
    found = tables.grid(results, cells).fold(())
    return found.saying(
        "The KL to the truth of predictions on new samples, by set. Does one strategy lead on "
        "every set?"
    )
