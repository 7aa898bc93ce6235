"""The tables of the ILS chapter."""

import pandas as pd

from ldlstudy.report import tables
from ldlstudy.report.results import Results
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import (
    ACCURACY,
    BRIER,
    CLASSWISE,
    CONDITIONAL,
    CROSS_ENTROPY,
    KL,
    SHARE,
    TEMPERATURE,
    VARIATION,
    Column,
    Line,
)
from ldlstudy.studies.ils.runs import SETUPS, row_in
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
TOO_MUCH = ("LS, ε = .2", "LS, ε = .2, + T")  # lines that stay folded
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


def table1(results: Results) -> Shown:
    """Table I: label smoothing, and the factor that suits one part of the plane."""
    columns = (
        ACCURACY, DENSE, SPARSE, CROSS_ENTROPY, ECE, CONDITIONAL, TEMPERATURE, EPSILON,
    )  # fmt: skip
    paper = tables.published("ils_table1")
    return tables.comparison(results, paper, SMOOTHED | ONE_PART, columns, own=OURS).saying(
        "What label smoothing changes (the paper’s Table I). Compare No LS with Standard LS, first "
        "in the dense and then in the sparse part of the plane.",
        {*SMOOTHED, *ONE_PART} - set(TOO_MUCH),
    )


def both_errors(results: Results) -> Shown:
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
    return tables.comparison(results, paper, EVERY | ONE_PART | STUDENTS, columns, own=OURS).saying(
        "Two things called class-wise calibration. In the first line the model is perfect: by one "
        "of them it is nearly without an error, by the other it is not.",
        ("Bayes-optimal", "No LS", "No LS + T", "Standard LS", "Standard LS + T", "ILS"),
    )


def students(results: Results) -> Shown:
    """Tables II and VI: students of the same architecture, by their teacher."""
    columns = (ACCURACY, *ERRORS, KL)
    return tables.comparison(results, tables.published("ils_table6"), STUDENTS, columns).saying(
        "Students by their teacher (the paper’s Tables II and VI). Does the student of a smoothed "
        "teacher come out worse than that of hard labels?"
    )


def table5(results: Results) -> Shown:
    """Table V: every method."""
    columns = (HELD_OUT, ACCURACY, DENSE, SPARSE, CROSS_ENTROPY, ECE, CONDITIONAL)
    return tables.comparison(results, _table5(), EVERY, columns, own=OURS).saying(
        "Every method (the paper’s Table V). How far apart are the methods that soften labels, "
        "and how far is each from the Bayes-optimal model?",
        [
            label
            for label, (_, stage) in EVERY.items()
            if stage == "plain" and label not in TOO_MUCH
        ],
    )


def chosen(results: Results) -> Shown:
    """The parameters of Table V that were chosen, on average."""
    columns = (
        TEMPERATURE,
        EPSILON,
        Column("p1", "P1", digits=3),
        Column("p2", "P2", digits=2),
        Column("teacher_temperature", "teacher T", digits=2),
    )
    tuned = {label: line for label, line in EVERY.items() if line[0] not in UNTUNED}
    return tables.comparison(results, _table5(), tuned, columns, own=OURS).saying(
        "What held-out points chose, on average. A wide interval says that they hardly care.",
        ("No LS + T", "Standard LS", "Standard LS + T", "ILS1", "ILS2", "ILS"),
    )


def _table5() -> pd.DataFrame:
    """The printed Table V, whose P1 and P2 of ILS are swapped, with these put right."""
    paper = tables.published("ils_table5").copy()
    swapped = [("ils", "plain"), ("ils", "scaled")]
    paper.loc[swapped, ["p1", "p2"]] = paper.loc[swapped, ["p2", "p1"]].to_numpy()
    return paper


def budgets(results: Results) -> Shown:
    """Methods less hard labels that choose among as many networks."""
    return tables.differences(results, BUDGETS, ERRORS).saying(
        "Methods less hard labels that choose among as many networks. Below zero the method is "
        "better; an interval on both sides of zero decides nothing."
    )


def truth(results: Results) -> Shown:
    """Every line against the true posterior."""
    columns = (KL, VARIATION, CROSS_ENTROPY, BRIER, ECE, CLASSWISE)
    return tables.comparison(results, None, EVERY | ONE_PART | STUDENTS, columns).saying(
        "Every line against the true posterior. Do the calibration errors at the right order the "
        "methods as the two distances at the left do?",
        (
            "Bayes-optimal", "No LS", "No LS + T", "Standard LS", "ILS1", "ILS2", "ILS",
            "taught by Bayes",
        ),
    )  # fmt: skip


def by_recipe(results: Results) -> Shown:
    """Hard labels by batch size, rate and initial weights, beside the paper's one row."""
    ways = _ways(results, smoothed=False)
    columns = (ACCURACY, SPARSE, *ERRORS)
    paper = tables.published("ils_table1")
    keys = dict.fromkeys(ways, ("none", "plain"))
    return tables.comparison(results, paper, ways, columns, keys).saying(
        "Hard labels by batch size, rate and initial weights, beside the paper’s one row. Look for "
        "lines that agree with it in every column.",
        [each.row for each in planned_ways(results, False, init="torch")],
    )


def gain_by_recipe(results: Results) -> Shown:
    """What label smoothing changes under each of these settings, with torch's initial weights."""
    hard = {each.facts["way"]: each.row for each in planned_ways(results, False, init="torch")}
    soft = {each.facts["way"]: each.row for each in planned_ways(results, True, init="torch")}
    pairs = {
        way: ((soft[way], "plain"), (row, "plain")) for way, row in hard.items() if way in soft
    }
    return tables.differences(results, pairs, ERRORS).saying(
        "What label smoothing changes under each of these settings. Below zero it helps."
    )


def parabola_by_setup(results: Results) -> Shown:
    """What ILS1 changes over label smoothing in each set-up of the factor curves."""
    stages = {"": "plain", " + T": "scaled"}
    pairs = {
        title + more: ((row_in(setup, "ils1"), stage), (row_in(setup, "ls"), stage))
        for setup, (_, _, title) in SETUPS.items()
        for more, stage in stages.items()
        if row_in(setup, "ils1") in results
    }
    columns = (SHARE._replace(digits=4), CROSS_ENTROPY, ECE, CLASSWISE)
    return tables.differences(results, pairs, columns).saying(
        "ILS1 less label smoothing, in each set-up of the factor curves. Below zero is better, but "
        "for accuracy. Where does a factor for each sample help?"
    )


def planned_ways(results: Results, smoothed: bool, init: str | None = None) -> list:
    """Return what trains hard labels, or smoothed ones, in several ways."""
    return [
        each
        for each in results.planned
        if each.facts.get("smoothed") is smoothed and init in (None, each.facts.get("init"))
    ]


def _ways(results: Results, smoothed: bool) -> dict[str, Line]:
    return {each.row: (each.row, "plain") for each in planned_ways(results, smoothed)}
