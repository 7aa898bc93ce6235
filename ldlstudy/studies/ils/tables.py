"""The tables of the ILS chapter."""

import pandas as pd
from pandas.io.formats.style import Styler

from ldlstudy.report import tables
from ldlstudy.report.results import Results
from ldlstudy.report.tables import (
    ACCURACY,
    BRIER,
    CLASSWISE,
    CONDITIONAL,
    CROSS_ENTROPY,
    KL,
    TEMPERATURE,
    VARIATION,
    Column,
    Line,
)
from ldlstudy.studies.strategies import STRATEGIES

ECE = Column("ece_15_right", "ECE")
DENSE = Column("accuracy_dense", "dense, %", percent=True)
SPARSE = Column("accuracy_sparse", "sparse, %", percent=True)
HELD_OUT = Column("held_out_loss", "held-out loss")
EPSILON = Column("epsilon", "ε", digits=3)


def label(row: str) -> str:
    """Return what the chapter calls a row: a strategy's label, or how it is set up."""
    return STRATEGIES[row].name_in("ILS") if row in STRATEGIES else row.replace("_", " ")


def _both(strategy: str, label: str) -> dict[str, Line]:
    """A method as trained and with temperature scaling."""
    return {label: (strategy, "plain"), f"{label} + T": (strategy, "scaled")}


SMOOTHED: dict[str, Line] = {  # label: row of the results, stage
    "Bayes-optimal": ("bayes", "plain"),
    **_both("none", "No LS"),
    **_both("ls", "Standard LS"),
    "LS, ε = .2": ("ls_0.2", "plain"),
    "LS, ε = .2, + T": ("ls_0.2", "scaled"),
}
ONE_PART: dict[str, Line] = {
    "LS, ε chosen on dense": ("ls", "dense"),
    "LS, ε chosen on sparse": ("ls", "sparse"),
    "LS, ε and stop by dense": ("ls_dense_stop", "plain"),
    "LS, ε and stop by sparse": ("ls_sparse_stop", "plain"),
}
EVERY: dict[str, Line] = {
    **SMOOTHED,
    **_both("ils1", "ILS1"),
    **_both("ils2", "ILS2"),
    **_both("ils", "ILS"),
    "ILS1, sinusoidal": ("sinusoidal", "plain"),
    "ILS, p_t at the grid's T (40 replicates)": ("ils_grid", "plain"),
    "class-based LS": ("similarity", "plain"),
    "BS_Soft, β = .95": ("bootstrap", "plain"),
    "Beta, α = .4": ("beta", "plain"),
}
STUDENTS: dict[str, Line] = {
    "taught by Bayes": ("distil_bayes", "plain"),
    "taught by No LS": ("distil_none", "plain"),
    "taught by Standard LS": ("distil_ls", "plain"),
    "taught by ILS": ("distil_ils", "plain"),
}
OURS: tuple[Line, ...] = (  # of which the paper prints no row
    *((name, "plain") for name in ("sinusoidal", "ils_grid", "similarity", "bootstrap", "beta")),
    *((f"ls_{part}_stop", "plain") for part in ("dense", "sparse")),
)
UNTUNED = ("bayes", "bootstrap", "beta")  # without parameters to choose
BUDGETS: dict[str, tuple[Line, Line]] = {  # methods less hard labels at as many candidates
    "Standard LS − best of 12": (("ls", "plain"), ("restarts", "best of 12")),
    "Standard LS − best of 12 + T": (("ls", "plain"), ("restarts", "best of 12, scaled")),
    "Standard LS + T − best of 12 + T": (("ls", "scaled"), ("restarts", "best of 12, scaled")),
    "ILS1 − best of 30": (("ils1", "plain"), ("restarts", "best of 30")),
    "ILS2 − best of 48": (("ils2", "plain"), ("restarts", "best of 48")),
    "ILS − best of 120": (("ils", "plain"), ("restarts", "best of 120")),
}
ERRORS = (CROSS_ENTROPY, ECE, CONDITIONAL, CLASSWISE)


def table1(results: Results) -> Styler:
    """Table I: label smoothing, and the factor that suits one part of the plane."""
    columns = (
        ACCURACY, DENSE, SPARSE, CROSS_ENTROPY, ECE, CONDITIONAL, TEMPERATURE, EPSILON,
    )  # fmt: skip
    paper = tables.published("ils_table1")
    return tables.comparison(results, paper, SMOOTHED | ONE_PART, columns, own=OURS)


def both_errors(results: Results) -> Styler:
    """Every line by both things that are called class-wise calibration."""
    parts = [("ls", "dense"), ("ls", "sparse")]
    paper = pd.concat(
        [
            tables.published("ils_table5"),
            tables.published("ils_table1").loc[parts],
            tables.published("ils_table6"),
        ]
    )
    columns = (ECE, CONDITIONAL, CLASSWISE)
    return tables.comparison(results, paper, EVERY | ONE_PART | STUDENTS, columns, own=OURS)


def students(results: Results) -> Styler:
    """Tables II and VI: students of the same architecture, by their teacher."""
    columns = (ACCURACY, *ERRORS, KL)
    return tables.comparison(results, tables.published("ils_table6"), STUDENTS, columns)


def table5(results: Results) -> Styler:
    """Table V: every method."""
    columns = (HELD_OUT, ACCURACY, DENSE, SPARSE, CROSS_ENTROPY, ECE, CONDITIONAL)
    return tables.comparison(results, _table5(), EVERY, columns, own=OURS)


def chosen(results: Results) -> Styler:
    """The parameters of Table V that were chosen, on average."""
    columns = (
        TEMPERATURE,
        EPSILON,
        Column("p1", "P1", digits=3),
        Column("p2", "P2", digits=2),
        Column("teacher_temperature", "teacher T", digits=2),
    )
    tuned = {label: line for label, line in EVERY.items() if line[0] not in UNTUNED}
    return tables.comparison(results, _table5(), tuned, columns, own=OURS)


def _table5() -> pd.DataFrame:
    """The printed Table V, whose P1 and P2 of ILS are swapped, with these put right."""
    paper = tables.published("ils_table5").copy()
    swapped = [("ils", "plain"), ("ils", "scaled")]
    paper.loc[swapped, ["p1", "p2"]] = paper.loc[swapped, ["p2", "p1"]].to_numpy()
    return paper


def budgets(results: Results) -> Styler:
    """Methods less hard labels that choose among as many networks."""
    return tables.differences(results, BUDGETS, ERRORS)


def truth(results: Results) -> Styler:
    """Every line against the true posterior."""
    columns = (KL, VARIATION, CROSS_ENTROPY, BRIER, ECE, CLASSWISE)
    return tables.comparison(results, None, EVERY | ONE_PART | STUDENTS, columns)


def by_recipe(results: Results) -> Styler:
    """Hard labels by batch size, rate and initial weights, beside the paper's one row."""
    ways = _ways(results, smoothed=False)
    columns = (ACCURACY, SPARSE, *ERRORS)
    paper = tables.published("ils_table1")
    return tables.comparison(results, paper, ways, columns, dict.fromkeys(ways, ("none", "plain")))


def gain_by_recipe(results: Results) -> Styler:
    """What label smoothing changes under each of these settings, with torch's initial weights."""
    hard = {each.facts["way"]: each.row for each in planned_ways(results, False, init="torch")}
    soft = {each.facts["way"]: each.row for each in planned_ways(results, True, init="torch")}
    pairs = {
        way: ((soft[way], "plain"), (row, "plain")) for way, row in hard.items() if way in soft
    }
    return tables.differences(results, pairs, ERRORS)


def planned_ways(results: Results, smoothed: bool, init: str | None = None) -> list:
    """Return what trains hard labels, or smoothed ones, in several ways."""
    return [
        each
        for each in results.planned
        if each.facts.get("smoothed") is smoothed and init in (None, each.facts.get("init"))
    ]


def _ways(results: Results, smoothed: bool) -> dict[str, Line]:
    return {each.row: (each.row, "plain") for each in planned_ways(results, smoothed)}
