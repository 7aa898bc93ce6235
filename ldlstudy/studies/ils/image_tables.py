"""The tables of ILS on image sets and on tabular sets (Tables III and IV, Figure 9)."""

import pandas as pd

from ldlstudy.report import tables
from ldlstudy.report.results import Results
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import ACCURACY, CLASSWISE, CONDITIONAL, Asked, Column, Number
from ldlstudy.stats import Estimate
from ldlstudy.studies.bench import DATASETS
from ldlstudy.studies.ils import images, ranks, students, tabular

SCORES = {  # of Table III, and how its numbers are written
    "cross_entropy": Column("cross_entropy", "cross entropy", digits=3),
    "accuracy": ACCURACY,
    "ece": Column("ece_15_left", "ECE", digits=3),
    "class_conditional_ece": CONDITIONAL._replace(digits=3),
}
RANK = Column("", "", digits=2)
LEVEL = 0.25  # printed ranks are of numbers that were not rounded yet


def table3(results: Results, metric: str) -> Shown:
    """Table III, one of its scores: methods by data set and network, reduced ones first."""
    paper, column = tables.published("ils_table3"), SCORES[metric]
    cells = {}
    for name, bench in images.benches("paper").items():
        table = paper if bench.level == "paper" else None
        cells[bench.label] = {
            label: Asked(
                *(ranks.row(name, key)[0], column, ranks.row(name, key)[1]),
                published=tables.printed(table, (metric, name), key),
            )
            for key, (label, _) in ranks.METHODS.items()
        }
    return tables.grid(results, cells).saying(
        f"The paper’s Table III, {column.heading.removesuffix(', %')}: methods by data set and "
        "network, reduced ones of ours first. Along a line, do the last columns win?"
    )


def lenet(results: Results, dataset: str) -> Shown:
    """Every score of the reduced LeNet on a data set, beside what the paper prints of its own."""
    paper = tables.published("ils_table3")
    name = f"{dataset}-lenet"
    cells: dict[str, dict[str, Asked]] = {}
    for key, (label, _) in ranks.METHODS.items():
        cells[label] = {}
        row, stage = ranks.row(f"{name}-reduced", key)
        for metric, column in SCORES.items():
            printed = tables.printed(paper, (metric, name), key)
            whole, at = ranks.row(name, key)
            cells[label][f"{column.heading}: the paper's"] = Asked(whole, column, at, printed)
            cells[label]["reduced: " + column.heading] = Asked(row, column, stage)
        cells[label]["reduced: " + CLASSWISE.heading] = Asked(
            row, CLASSWISE._replace(digits=3), stage
        )
    return tables.grid(results, cells).saying(
        f"LeNet on {DATASETS[dataset]}: the paper’s training, and the reduced one of ours. Compare "
        "LS and ILS with No LS, with and without a temperature."
    )


def chosen_on_images(results: Results) -> Shown:
    """What the reduced networks chose on held-out images."""
    columns = {
        "ε": Column("epsilon", "", digits=2),
        "P1": Column("p1", "", digits=3),
        "P2": Column("p2", "", digits=2),
        "teacher T": Column("teacher_temperature", "", digits=0),
    }
    cells = {
        f"{bench.label}: {ranks.METHODS[method][0]}": {
            heading: Asked(f"{name} search {method}", column, "chosen")
            for heading, column in columns.items()
        }
        for name, bench in images.benches("paper").items()
        for method in images.TUNED
        if f"{name} search {method}" in results
    }
    shown = tables.grid(results, cells).saying(
        "What the reduced networks chose on held-out images of the first seed. A cell is empty "
        "where a method has no such setting."
    )
    shown.closed = True  # a page folds it, as what few readers ask for
    return shown


def mean_ranks(results: Results) -> Shown:
    """Mean ranks of Table III: recomputed from its numbers, printed below; and by our records."""
    there = ranks.complete(results)
    body = {}
    for metric, column in SCORES.items():
        recomputed = ranks.mean_ranks(ranks.printed(metric))
        body[column.heading.removesuffix(", %")] = [
            Number(RANK, Estimate(own, own, own), said, abs(own - said) < LEVEL)
            for own, said in zip(recomputed, ranks.printed_ranks(metric), strict=True)
        ]
    for metric, column in SCORES.items() if there else ():
        own_ranks = ranks.mean_ranks(ranks.measured(results, metric))
        body[f"ours, {column.heading.removesuffix(', %')}"] = [
            Number(RANK, Estimate(own, own, own)) for own in own_ranks
        ]
    index = [label for label, _ in ranks.METHODS.values()]
    return tables.style(pd.DataFrame(body, index=index)).saying(
        "Mean ranks by Table III’s numbers, 1 is the best, above the printed ones; and those of "
        "our records, where there are any.",
        index,
    )


def table4(results: Results) -> Shown:
    """Table IV: AlexNets by how their teacher was trained."""
    paper = tables.published("ils_table4")
    cells: dict[str, dict[str, Asked]] = {}
    for (network, dataset), line in paper.iterrows():
        cells[line["label"]] = {
            f"{column.heading}, {label}": Asked(
                f"{dataset}-{network} taught by {method}",
                column,
                published=float(line[f"{column.metric}_{method}"]),
            )
            for column in (SCORES["cross_entropy"], ACCURACY)
            for method, label in students.LABELS.items()
        }
    return tables.grid(results, cells).saying(
        "AlexNets taught by larger networks (the paper’s Table IV), by the labels of their teacher."
    )


def of_tabular(results: Results) -> Shown:
    """Test cross entropy on the tabular sets."""
    column = Column("cross_entropy", "", digits=3)
    lines = {"No LS": ("none", "plain"), "No LS + T": ("none", "scaled"), "LS": ("ls", "plain"),
             "ILS1": ("ils1", "plain")}  # fmt: skip
    cells = {
        title: {
            heading: Asked(tabular.row(name, method), column, stage)
            for heading, (method, stage) in lines.items()
        }
        for name, title in tabular.SETS.items()
        if any(tabular.row(name, method) in results for method, _ in lines.values())
    }
    return tables.grid(results, cells).saying(
        "Test cross entropy on tabular sets. Does a soft label help where a temperature does?"
    )
