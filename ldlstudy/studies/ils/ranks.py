"""Mean ranks of methods over pairs of data set and network (ILS Table III, Figures 12 to 15)."""

from dataclasses import replace

import pandas as pd

from ldlstudy.report.results import Line, Results
from ldlstudy.report.tables import published
from ldlstudy.studies.ils import images, students

METHODS: dict[str, tuple[str, Line]] = {  # column of Table III: label, method and stage
    "none": ("No LS", ("none", "plain")),
    "none scaled": ("No LS + T", ("none", "fitted")),
    "distil": ("self-distillation", ("distil", "plain")),
    "similarity": ("class-based LS", ("similarity", "plain")),
    "bootstrap": ("BS_Soft", ("bootstrap", "plain")),
    "beta": ("Beta", ("beta", "plain")),
    "ls": ("LS", ("ls", "plain")),
    "ls scaled": ("LS + T", ("ls", "fitted")),
    "ils1": ("ILS1", ("ils1", "plain")),
    "ils2": ("ILS2", ("ils2", "plain")),
    "ils": ("ILS", ("ils", "plain")),
    "ils scaled": ("ILS + T", ("ils", "fitted")),
}
EXISTING = list(METHODS)[:8]
METRICS = {  # score of Table III: ours, and the number of its critical-difference diagram
    "cross_entropy": ("cross_entropy", 13),
    "accuracy": ("accuracy", 12),
    "ece": ("ece_15_left", 14),
    "class_conditional_ece": ("class_conditional_ece", 15),
}


def row(bench: str, column: str) -> Line:
    """Return the row and the stage of a method of Table III on a bench."""
    method, stage = METHODS[column][1]
    return f"{bench} {method}", stage


def printed(metric: str) -> pd.DataFrame:
    """Return a score of Table III, methods by pairs, the lower the better."""
    table = published("ils_table3").loc[metric].drop(index="rank")[list(METHODS)].T
    return -table if metric == "accuracy" else table


def printed_ranks(metric: str) -> pd.Series:
    """Return the mean ranks that Table III prints for a score."""
    return published("ils_table3").loc[(metric, "rank"), list(METHODS)].astype(float)


def complete(results: Results) -> list[str]:
    """Return the benches of the best level that have every method; none without any."""
    known = images.benches("paper").values()
    for level in ("paper", "reduced"):
        own = [bench.name for bench in known if bench.level == level]
        there = [name for name in own if all(row(name, m)[0] in results for m in METHODS)]
        if there:
            return there
    return []


def measured(results: Results, metric: str) -> pd.DataFrame:
    """Return a score of our records, methods by complete benches, the lower the better."""
    own, sign = METRICS[metric][0], -1 if metric == "accuracy" else 1
    found = {
        bench: {m: sign * results.mean(row(bench, m)[0], own, row(bench, m)[1]) for m in METHODS}
        for bench in complete(results)
    }
    return pd.DataFrame(found, index=list(METHODS))


def mean_ranks(scores: pd.DataFrame) -> pd.Series:
    """Return each method's mean rank over the pairs; ties share theirs."""
    return scores.rank().mean(axis=1)


def pooled(results: Results) -> Results:
    """Return the complete benches as one, rows ``images <method>``, their seeds one by one.

    Students of all lessons are the rows ``students <method>``, by how their teacher was trained.
    """
    benches, planned = complete(results), []
    for each in results.planned:
        taught = each.strategy.removeprefix("taught by ")
        if each.bench in benches and each.strategy in images.TUNED:
            planned.append(replace(each, bench="images"))
        elif taught in students.TEACHERS and taught != each.strategy:
            planned.append(replace(each, bench="students", strategy=taught))
    return Results(planned, results.recorded)
