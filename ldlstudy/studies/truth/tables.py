"""The tables of the chapter on one truth: a line a strategy."""

import math

import pandas as pd

from ldlstudy.report import tables
from ldlstudy.report.results import Results
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import ACCURACY, BRIER, CLASSWISE, CONDITIONAL, NLL, Column
from ldlstudy.studies.strategies import named
from ldlstudy.studies.truth import comparisons
from ldlstudy.studies.truth.runs import STRATEGIES, row

ECE = Column("ece_15_left", "ECE", digits=3)
KL = Column("kl_to_truth", "KL", digits=3)
VARIATION = Column("total_variation", "TV", digits=3)
TEMPERATURE = Column("temperature", "T", digits=2)
OF_CLASSES = (
    CLASSWISE._replace(heading="class-wise ECE", digits=3),
    CONDITIONAL._replace(digits=3),
)
SCORES = (ACCURACY, ECE, *OF_CLASSES, NLL, BRIER._replace(digits=3), KL, VARIATION)


def as_trained(results: Results) -> Shown:
    """Return every strategy's scores in the cell of the quick profile."""
    return tables.of_rows(results, _rows(), SCORES).saying(
        "One cell as trained: three seeds of every strategy. Do accuracy, ECE and KL name the same "
        "winners?",
        _labels(),
    )


def scaled(results: Results) -> Shown:
    """Return the same after one temperature, fitted on half of the test images for the other."""
    columns = {c.heading: ("fitted", c) for c in (*SCORES[1:], TEMPERATURE)}
    return tables.of_rows(results, _rows(), columns).saying(
        "The same once each has its temperature T, where 1 means that none was needed. Which "
        "strategies have changed places with hard labels?",
        _labels(),
    )


FIRST = ("none", "ls", "ils", "cs_kd", "mixup", "cutmix", "on_mt_ldl-mixup", "truth")


def _labels() -> list[str]:
    """What the strategies are called that stay in sight where the others are folded."""
    return [named(name).label for name in FIRST]


def _rows() -> dict[str, str]:
    return {row(name): named(name).label for name in STRATEGIES}


def ranks(results: Results) -> Shown:
    """Return mean ranks over the cells by metric, the nearest to the truth first; 1 is the best."""
    columns = [(c, "plain") for c in SCORES] + [(c, "fitted") for c in (ECE, NLL, KL, VARIATION)]
    found = {}
    for column, stage in columns:
        heading = column.heading.removesuffix(", %") + (", scaled" if stage == "fitted" else "")
        metric = "error" if column is ACCURACY else column.metric
        blocks = comparisons.scores(results, metric, stage)
        found[heading] = comparisons.mean_ranks(comparisons.by_cell(blocks))
    table = pd.DataFrame(found).sort_values(KL.heading)
    table.index = [named(name).label for name in table.index]
    return tables.style(table.map("{:.1f}".format)).saying(
        "Mean ranks over nine cells, 1 is the best. Read along a line: where does the ECE "
        "rank a strategy as the KL does?",
        _labels(),
    )


def costs(results: Results) -> Shown:
    """Return what strategies cost, in networks with hard labels, and what they gain in one cell."""
    spent = costs_of(results)
    cells = {}
    for name in spent.index:
        step, teachers, total = spent.loc[name]
        cells[named(name).label] = {
            "paper": named(name).paper,
            "a step": _written(step),
            "teachers": f"{teachers:.0f}",
            "in all": _written(total),
            ACCURACY.heading: _mean(results, name, ACCURACY),
            KL.heading: _mean(results, name, KL),
            f"{KL.heading}, scaled": _mean(results, name, KL, "fitted"),
        }
    return tables.style(pd.DataFrame.from_dict(cells, orient="index"), ("paper",)).saying(
        "What strategies cost, in networks with hard labels, the cheapest first, and what they "
        "gain in one cell. What is the nearest to the truth at a price of 1, of 2, of 6?",
        [
            named(name).label
            for name in (
                "none", "ls", "cutmix", "ricap", "cs_kd", "ddgsd", "on_en_ldl-mixup",
                "on_mt_ldl-mixup",
            )
        ],
    )  # fmt: skip


def _written(multiple: float) -> str:
    return "" if math.isnan(multiple) else f"{multiple:.2f}"


def _mean(results: Results, strategy: str, column: Column, stage: str = "plain") -> str:
    return column.write(results.mean(row(strategy), column.metric, stage))


def costs_of(results: Results) -> pd.DataFrame:
    """Return what strategies cost, in networks with hard labels, the cheapest first.

    By strategy ``step``, the operations of a step; ``teachers``, the networks that are trained
    before; and ``all``, both together. Without hard labels, that is NaN but for the second.
    """
    operations = {
        name: results.records(row(name))[0].values["step"]["operations"]
        for name in STRATEGIES
        if row(name) in results
    }
    spent = pd.DataFrame({"step": pd.Series(operations, dtype=float)})
    spent /= spent.reindex(["none"]).iloc[0]
    spent["teachers"] = [named(name).teachers for name in spent.index]
    spent["all"] = spent["step"] + spent["teachers"]
    return spent.sort_values("all", kind="stable")


def misleading(results: Results, stage: str, metric: Column = ECE) -> Shown:
    """Return strategies that a metric and the truth compare with hard labels in opposite ways.

    Those of which that holds in a third of the cells or more, either way.
    """
    found = comparisons.misled(
        *(comparisons.scores(results, column.metric, stage) for column in (metric, KL))
    )
    some = found[found[["flattered", "slandered"]].max(axis=1) >= found.attrs["cells"] / 3]
    some = some.sort_values(["flattered", "slandered"], ascending=[False, True])
    written = {
        f"{metric.heading} lower, farther from the truth": ("flattered", "{:.0f}"),
        f"{metric.heading} higher, nearer to the truth": ("slandered", "{:.0f}"),
        f"mean change of {metric.heading}": ("score", "{:+.3f}"),
        "mean change of KL": ("truth", "{:+.3f}"),
    }
    shown = pd.DataFrame(
        {
            heading: [tables.short(form.format(value)) for value in some[column]]
            for heading, (column, form) in written.items()
        },
        index=[named(name).label for name in some.index],
    )
    return tables.style(shown).saying(
        f"Strategies that {metric.heading} and KL compare with hard labels in opposite ways, in "
        "how many of the cells: those at the top look better than they are."
    )
