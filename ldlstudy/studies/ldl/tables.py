"""The tables of the LDL chapter."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from ldlstudy.report import tables
from ldlstudy.report.numbers import seconds
from ldlstudy.report.results import Results
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import (
    ACCURACY,
    NLL,
    TEMPERATURE,
    Asked,
    Column,
    Number,
    Text,
)
from ldlstudy.stats import Estimate
from ldlstudy.studies.bench import DATASETS, NETWORKS
from ldlstudy.studies.fast.runs import CIFAR100
from ldlstudy.studies.ldl import numbers, runs
from ldlstudy.studies.ldl.numbers import DIGITS
from ldlstudy.studies.ldl.runs import REDUCED, SHIFTED, UNSURE, VIEWED
from ldlstudy.studies.strategies import named, unmixed

TOP5 = Column("top5_accuracy", "top-5, %", percent=True)
ECE = Column("ece_10_right", "ECE", digits=3)
UCE = Column("uce", "UCE", digits=3)
KL = Column("kl_to_truth", "KL to the truth", digits=3)
BRIER = Column("top_label_brier", "Brier", digits=3)
PRINTED = {  # by column of the published tables
    "accuracy": ACCURACY,
    "top5_accuracy": TOP5,
    "ece": ECE,
    "uce": UCE,
    "nll": NLL,
    "brier": BRIER,
}
IMAGES = {"train": "training images", "test": "test images"}
STACKED = 7  # the table that prints its students one below the other
ABOUT = {  # the paper's tables
    table: f"The paper’s Table {table}: {about}."
    for table, about in {
        1: "CIFAR-100, by mixing",
        2: "CIFAR-10 and STL10",
        3: "CIFAR-100, against other ways of distillation",
        4: "ImageNet",
        5: "other architectures",
        6: "labels from uncertainty",
        7: "other metrics",
    }.items()
}


def label(strategy: str, stage: str = "plain") -> str:
    """Return what the chapter calls a strategy; held-out images are there to fit a temperature."""
    if (strategy, stage) == ("none-held", "fitted"):
        return "temperature scaling"
    return named(strategy).name_in("LDL")


def rows(bench: str, strategies: Sequence[str]) -> dict[str, str]:
    """Return the rows of strategies on a bench, by what the chapter calls them."""
    return {label(strategy): f"{bench} {strategy}" for strategy in strategies}


def trained(strategies: Sequence[str]) -> dict[str, str]:
    """Return what stands for strategies on CIFAR-100 with the fast network."""
    return rows(CIFAR100, [runs.with_fast(strategy) for strategy in strategies])


def diagrams(
    results: Results, strategies: Sequence[str]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return reliability diagrams as trained, by title of each panel and by strategy."""
    benches = {
        "noisy digits, 10 bins": (rows(DIGITS, strategies), "quick"),
        "CIFAR-100, reduced, 15 bins": (rows(REDUCED, strategies), "reduced"),
        "CIFAR-100, fast network, 10 bins": (trained(strategies), "fast"),
    }
    return {
        title: {
            name: found["plain"]
            for name, found in results.figures(lines, runs.diagram(level)).items()
        }
        for title, (lines, level) in benches.items()
    }


def likeness(results: Results, strategies: Sequence[str]) -> Shown:
    """Return how near like classes of CIFAR-100 lie, for their distance to a third one."""
    lines = {
        f"{title}: {name}": row
        for title, of in (
            ("fast network", trained(strategies)),
            ("reduced", rows(REDUCED, strategies)),
        )
        for name, row in of.items()
    }
    body = {
        Text(line, results.records(lines[line])): {
            f"{' and '.join(classes.split(', ')[:2])}, {IMAGES[part]}": Number(
                Column("", "", digits=2), Estimate(found, found, found)
            )
            for (classes, part), found in numbers.likenesses(kept).items()
        }
        for line, kept in results.figures(lines, "similar").items()
    }
    return tables.style(pd.DataFrame.from_dict(body, orient="index")).saying(
        "How far the centres of two like classes are apart, as a share of their distance to the "
        "third. Which label draws them together?"
    )


Key = tuple[str, str, str]  # bench, strategy and stage of a published number


def printed(table: int) -> dict[str, dict[str, Key]]:
    """Return the rows of a published table by label and, within it, by bench.

    The mixing is named where a bench has the strategy with several or with none besides; elsewhere
    (Tables 2 to 5) the paper prints "On-LDL" for the one it took, which differs by student.

    Raises
    ------
    ValueError
        A table other than 1 to 7, with a list of those that there are.
    """
    keys = list(tables.published(f"ldl_table{table}").index)
    kinds = Counter((bench, unmixed(strategy)) for bench, strategy, _ in keys)
    found: dict[str, dict[str, Key]] = {}
    for bench, strategy, stage in keys:
        one = kinds[bench, unmixed(strategy)] == 1
        shown = label(unmixed(strategy) if one else strategy, stage)
        found.setdefault(shown, {})[bench] = bench, strategy, stage
    return found


def against_paper(results: Results, table: int) -> Shown:
    """Return accuracy and ECE of a table of LDL, ours above the paper's; strategies by student.

    Table 4 has the top-5 accuracy, too. Table 7, of three students and five metrics, has a row for
    each student and strategy, as printed.

    Parameters
    ----------
    results : Results
        What they lack leaves the printed number alone in its cell.
    table : int
        1 to 7; another one is a ValueError.
    """
    paper = tables.published(f"ldl_table{table}")
    columns = {name: column for name, column in PRINTED.items() if name in paper.columns}
    lines = printed(table)
    names = _students([bench for of_label in lines.values() for bench in of_label])

    def asked(key: Key) -> dict[str, Asked]:
        bench, strategy, stage = key
        row = f"{bench} {strategy}"
        return {
            column.heading: Asked(row, column, stage, tables.printed(paper, key, name))
            for name, column in columns.items()
        }

    cells: dict[Any, dict[Any, Asked]] = {}
    if table == STACKED:
        for bench, student in names.items():
            for shown, keys in lines.items():
                cells[f"{student}: {shown}"] = asked(keys[bench])
        return tables.grid(results, cells).saying(ABOUT[table])
    for shown, keys in lines.items():
        cells[shown] = {
            (student, heading): cell
            for bench, student in names.items()
            if bench in keys
            for heading, cell in asked(keys[bench]).items()
        }
    return tables.grid(results, cells).saying(ABOUT[table])


def _students(benches: Sequence[str]) -> dict[str, str]:
    """What a table calls its benches: the data set is named where there are several."""
    known = runs.benches("paper")
    found = {name: known[name] for name in benches}
    several = len({bench.dataset for bench in found.values()}) > 1
    return {
        name: bench.label if several else NETWORKS[bench.model] for name, bench in found.items()
    }


def of_strategies(
    results: Results,
    bench: str,
    strategies: Sequence[str],
    columns: Mapping[str, tuple[str, Column]] | Sequence[Column],
) -> Shown:
    """Return measured numbers of strategies on a bench (:func:`ldlstudy.report.tables.of_rows`)."""
    return tables.of_rows(results, {f"{bench} {name}": label(name) for name in strategies}, columns)


def true_distribution(results: Results) -> Shown:
    """Which strategy learns the true label distribution of noisy digits: the nearest first."""
    found = _beside_truth(results, numbers.nearest(results, DIGITS)).fold(())
    return found.saying(
        "Which strategy learns the true label distribution of noisy digits, the nearest first. "
        "Compare the last two columns: how much of a distance is confidence that one temperature "
        "puts right?"
    )


def _beside_truth(results: Results, strategies: Sequence[str], bench: str = DIGITS) -> Shown:
    """Every score of strategies on noisy digits, and their distance to the truth."""
    columns = {column.heading: ("plain", column) for column in (ACCURACY, NLL, ECE, UCE, KL)}
    return of_strategies(results, bench, strategies, {**columns, "KL, scaled": ("fitted", KL)})


def views(results: Results) -> Shown:
    """What labels fixed once and labels of each view teach, where two views of an image differ."""
    return _beside_truth(results, VIEWED, f"quick {SHIFTED}").saying(
        "Noisy digits moved by up to a pixel in training. Which of the two readings of Off-LDL is "
        "the better calibrated, and which the nearer to the truth once scaled?",
    )


def longer(results: Results) -> Shown:
    """What training longer changes."""
    names = [f"{base}{long}" for base in ("none", "on_ldl-mixup", "on_ldl-cutmix")
             for long in ("", "-long")]  # fmt: skip
    return _beside_truth(results, names).saying(
        "Noisy digits, 20 and 29 epochs (long). Whom do more epochs help, and in which column?",
    )


def uncertain(results: Results) -> Shown:
    """What labels from uncertainty teach."""
    held, *others = UNSURE
    return _beside_truth(results, ("none", held, "on_ldl-cutmix", *others)).saying(
        "Noisy digits, labels from uncertainty. Which lower the ECE, and which are nearer to the "
        "truth once one temperature has put the confidence right?",
    )


def grid(results: Results) -> Shown:
    """KL to the truth by noise and training-set size (rows) and strategy (columns)."""
    benches = numbers.sizes(results)
    strategies = {s: None for bench in benches.values() for s in numbers.measured(results, bench)}
    return tables.grid(
        results,
        {
            f"σ = {sigma:g}, {train:,} a class": {
                label(name): Asked(f"{bench} {name}", KL) for name in strategies
            }
            for (sigma, train), bench in benches.items()
        },
    ).saying(
        "KL to the truth by noise and images of a class. Follow a column down one σ: do more "
        "images bring a strategy nearer?",
        [f"σ = {sigma:g}, {train:,} a class" for sigma, train in benches],
    )


def reduced(results: Results) -> Shown:
    """What the reduced protocol gives on CIFAR-100."""
    columns = {
        "accuracy, %": ("plain", ACCURACY),
        "ECE": ("plain", ECE),
        "UCE": ("plain", UCE),
        "NLL": ("plain", NLL),
        "Brier": ("plain", BRIER),
        "T fitted": ("fitted", TEMPERATURE),
        "NLL, scaled": ("fitted", NLL),
    }
    return of_strategies(results, REDUCED, numbers.measured(results, REDUCED), columns).saying(
        "What 20 epochs of a ResNet-20 give on CIFAR-100. Does the strategy with the best ECE have "
        "the best likelihood, too?"
    )


def what_was_run(results: Results) -> Shown:
    """What was run: a line for all seeds of a strategy on a bench.

    Seconds are a network's, the mean over seeds, without those of its teachers.
    """
    body = {}
    for row in results.rows:
        first, made = results.of(row)[0], [record.made for record in results.records(row)]
        body[row] = {
            "method": label(first.strategy),
            "data set": DATASETS[first.run.dataset],
            "network": NETWORKS[first.run.model],
            "epochs": str(first.run.recipe["epochs"]),
            "seeds": str(len(made)),
            "device": html.escape(", ".join(dict.fromkeys(m["device"] for m in made))),
            "seconds": f"{fmean(seconds(m) for m in made):,.0f}",
        }
    table = pd.DataFrame.from_dict(body, orient="index")
    return tables.style(table, ("method", "device")).saying(
        "What has been run of the paper’s own image sets, with the seconds of one network."
    )


def recomputed() -> Shown:
    """What LDL says of its results, and what its tables give."""
    body = {}
    for statement, found in numbers.recomputed().items():
        digits = 2 if found.unit == "points" else 0
        ends = dict.fromkeys(f"{v:+.{digits}f}" if v else "0" for v in (found.low, found.high))
        body[statement] = {
            "the text": f"{found.said} {found.unit}".replace("-", "−"),
            "its tables": f"{' to '.join(ends)} {found.unit}".replace("-", "−"),
        }
    return tables.style(pd.DataFrame.from_dict(body, orient="index")).saying(
        "What the paper’s text says of its results, and what its own tables give."
    )
