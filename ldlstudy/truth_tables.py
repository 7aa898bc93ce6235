"""The tables of the chapter on one truth: a line a strategy."""

import statistics
from collections.abc import Mapping

import pandas as pd
from pandas.io.formats.style import Styler

from ldlstudy import method_tables, tables, truth_findings
from ldlstudy.measured import Measurements
from ldlstudy.records import Record
from ldlstudy.tables import ACCURACY, BRIER, CLASSWISE, CONDITIONAL, Column
from ldlstudy.truth import STRATEGIES, parts

LABELS = {name: strategy.label for name, strategy in STRATEGIES.items()}
ECE = Column("ece", "ECE", digits=3)
KL = Column("kl_to_truth", "KL", digits=3)
VARIATION = Column("total_variation", "TV", digits=3)
NLL = Column("cross_entropy", "NLL", digits=3)
TEMPERATURE = Column("temperature", "T", digits=2)
OF_CLASSES = (
    CLASSWISE._replace(heading="class-wise ECE", digits=3),
    CONDITIONAL._replace(digits=3),
)
SCORES = (ACCURACY, ECE, *OF_CLASSES, NLL, BRIER._replace(digits=3), KL, VARIATION)


def as_trained(measurements: Measurements, place: str) -> Styler:
    """Every strategy's scores in one cell."""
    return method_tables.of_methods(measurements, {place: ""}, LABELS, SCORES)


def scaled(measurements: Measurements, place: str) -> Styler:
    """The same after one temperature, fitted on one half of the test images for the other."""
    columns = {c.heading: ("fitted", c) for c in (*SCORES[1:], TEMPERATURE)}
    return method_tables.of_methods(measurements, {place: ""}, LABELS, columns)


def ranks(records: Mapping[str, Record]) -> Styler:
    """Mean rank over the cells by metric, the nearest to the truth first; 1 is the best."""
    columns = [(c, "plain") for c in SCORES] + [(c, "fitted") for c in (ECE, NLL, KL, VARIATION)]
    found = {}
    for column, row in columns:
        heading = column.heading.removesuffix(", %") + (", scaled" if row == "fitted" else "")
        blocks = truth_findings.scores(records, column.metric, row)
        found[heading] = truth_findings.mean_ranks(truth_findings.by_cell(blocks))
    table = pd.DataFrame(found).sort_values(KL.heading)
    table.index = [LABELS[name] for name in table.index]
    return tables.style(table.map("{:.1f}".format))


def costs(records: Mapping[str, Record], measurements: Measurements, place: str) -> Styler:
    """What each strategy costs, in networks with hard labels, and what it gains in one cell."""
    spent = costs_of(records)
    cells = {}
    for name in spent.index:
        step, seconds, teachers, total = spent.loc[name]
        row = measurements[f"{place} {name}"]
        fitted = measurements[f"{place} {name} fitted"]
        cells[LABELS[name]] = {
            "paper": STRATEGIES[name].paper,
            "a step": f"{step:.2f}",
            "its seconds": f"{seconds:.2f}",
            "teachers": f"{teachers:.0f}",
            "in all": f"{total:.2f}",
            ACCURACY.heading: ACCURACY.write(row["accuracy"].estimate.mean),
            KL.heading: KL.write(row["kl_to_truth"].estimate.mean),
            f"{KL.heading}, scaled": KL.write(fitted["kl_to_truth"].estimate.mean),
        }
    return tables.style(pd.DataFrame.from_dict(cells, orient="index"), ("paper",))


def costs_of(records: Mapping[str, Record]) -> pd.DataFrame:
    """What strategies cost, in networks with hard labels, the cheapest first.

    By strategy ``step``, the operations of a step; ``seconds``, its time; ``teachers``, the
    networks that are trained before; and ``all``, the first and the third together.
    """
    steps: dict[str, list[Mapping[str, list[float]]]] = {}
    for name, record in records.items():
        steps.setdefault(parts(name)[1], []).append(record.rows["step"])
    spent = pd.DataFrame(
        {
            name: {
                "step": of[0]["operations"][0],
                "seconds": statistics.median(each["seconds"][0] for each in of),
            }
            for name, of in steps.items()
        }
    ).T
    spent /= spent.loc["none"]
    spent["teachers"] = [STRATEGIES[name].teachers for name in spent.index]
    spent["all"] = spent["step"] + spent["teachers"]
    return spent.sort_values("all", kind="stable")


def misleading(records: Mapping[str, Record], row: str, metric: Column = ECE) -> Styler:
    """Strategies that a metric and the truth compare with hard labels in opposite ways.

    Those of which that holds in a third of the cells or more, either way.
    """
    found = truth_findings.misled(
        *(truth_findings.scores(records, column.metric, row) for column in (metric, KL))
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
        index=[LABELS[name] for name in some.index],
    )
    return tables.style(shown)
