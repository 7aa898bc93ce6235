"""What the ILS chapter says of its records, and when it is true."""

from collections.abc import Callable

import numpy as np

from ldlstudy import stats, studies
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.report.sentences import NoRecordError, Reading
from ldlstudy.report.tables import agrees, published
from ldlstudy.studies.ils import image_numbers, numbers, tabular
from ldlstudy.studies.ils.tables import BUDGETS, planned_ways

CE, ECE, EQ2, CONDITIONAL = (
    "cross_entropy", "ece_15_right", "classwise_ece", "class_conditional_ece",
)  # fmt: skip


def _as_printed(results: Results, row: str, key: str = "") -> bool:
    """Whether every printed number of a row of Table I agrees with ours."""
    paper = published("ils_table1").loc[(key or row, "plain")].dropna()
    metrics = [m for m in paper.index if m in results.metrics(row, "plain")]
    return len(metrics) > 2 and all(
        agrees(float(paper[m]), results.measured(row, m).values)  # type: ignore[union-attr]
        for m in metrics
    )


def _ends(r: Reading) -> bool:
    """Whether both ends of the histograms are lower than those of the Bayes-optimal model."""
    top, rest, _ = r.results.figure("bayes", "plain histograms")
    others = [
        r.results.figure(row, f"{stage} histograms")
        for row in ("none", "ls") for stage in ("plain", "scaled")
    ]  # fmt: skip
    return all(a[-1] < top[-1] and b[0] < rest[0] for a, b, _ in others)


def _sure(results: Results) -> list[float]:
    """Shares of top classes above .9, from that of scaled hard labels to that of the truth."""
    found = numbers.sure(results)
    keys = ("none_scaled", "ls", "none", "ls_scaled", "bayes")
    return [float(found[f"sure.{key}"]) for key in keys]


def _number(r: Reading, of: Callable[[Results], Numbers], key: str) -> float:
    """A number that the page quotes."""
    return float(of(r.results)[key])


def _curve(results: Results, reference: str, low: float, high: float) -> list[list[float]]:
    """The best factors of each set-up where the true class has a probability in a range."""
    return [
        [
            best
            for p, best in zip(curve[reference]["p"], curve[reference]["best"], strict=True)
            if p is not None and best is not None and low <= p <= high
        ]
        for curve in numbers.curves(results).values()
    ]


def _gains(results: Results, metric: str) -> dict[str, stats.Estimate]:
    """What label smoothing changes, by way of training."""
    hard = {e.facts["way"]: e.row for e in planned_ways(results, False, init="torch")}
    soft = {e.facts["way"]: e.row for e in planned_ways(results, True, init="torch")}
    return {
        way: results.difference((soft[way], "plain"), (hard[way], "plain"), metric)
        for way in hard.keys() & soft.keys()
    }


def _level(r: Reading, name: str) -> bool:
    """Whether the interval of a difference that the page quotes includes zero."""
    left, right = numbers.PAIRS[name]
    return not r.results.difference(left, right, CE).excludes_zero


def _lower(r: Reading, name: str) -> bool:
    """Whether the whole interval of a difference that the page quotes lies below zero."""
    left, right = numbers.PAIRS[name]
    return bool(r.results.difference(left, right, CE).high < 0)


def _map(r: Reading, row: str) -> np.ndarray:
    return np.array(r.results.figure(row, "plain map"))


def _on_the_right(r: Reading) -> bool:
    """Whether soft labels take more from the error in the right half of the plane."""
    gain = _map(r, "none") - _map(r, "ls")
    half = gain.shape[1] // 2
    return bool(gain[:, half:].mean() > gain[:, :half].mean())


def _equal_budgets(r: Reading, metric: str, label: str) -> stats.Estimate:
    left, right = BUDGETS[label]
    return r.results.difference(left, right, metric)


MAPS = ("ls", "ils1", "ils2", "ils", "distil_bayes")
SMALLEST = ("iris", "wine", "breast_cancer")
OF_DISTRIBUTIONS = ("Yeast_cold", "SBU_3DFE")


def _sure_tables(r: Reading) -> dict[str, float]:
    """Shares of samples whose true class gets more than .9, by tabular set."""
    shares = image_numbers.sure(r.results)
    found = {name: shares[title] for name, title in tabular.SETS.items() if title in shares}
    if not {*SMALLEST, *OF_DISTRIBUTIONS} <= found.keys():
        raise NoRecordError("not all tabular sets have been run")
    return found


def _worse_scaled(r: Reading, name: str) -> bool:
    """Whether a fitted temperature makes the cross entropy of hard labels higher on a set."""
    row = tabular.row(name, "none")
    return r(row, CE, "scaled") > r(row, CE)


SENTENCES: dict[str, Callable[[Reading], bool]] = {
    "those of scikit-learn are. Where the label is the best class of a distribution that is nearly "
    "even, few samples are": lambda r: all(
        share < 0.1 if name in OF_DISTRIBUTIONS else share > 0.5
        for name, share in _sure_tables(r).items()
    ),
    "These sets, the smallest, are too small for it": lambda r: all(
        _worse_scaled(r, name) == (name in SMALLEST) for name in _sure_tables(r)
    ),
    "Softer labels help here, as the paper says": lambda r: r("ls", CE) < r("none", CE),
    "The Bayes row, where nothing is trained, agrees with the paper in every column": (
        lambda r: _as_printed(r.results, "bayes")
    ),
    "a network with hard labels comes out worse here": lambda r: r("none", CE) > 0.559,
    "label smoothing beats hard labels in accuracy, cross entropy and ECE": lambda r: (
        r.sorted("ls", "none", metric=CE)
        and r.sorted("ls", "none", metric=ECE)
        and r.sorted("none", "ls", metric="accuracy")
    ),
    "temperature scaling does not help it further": (
        lambda r: r("ls", CE, "scaled") >= r("ls", CE)
    ),
    "Smoothing helps where data are sparse": (
        lambda r: r.sorted("none", "ls", metric="accuracy_sparse")
    ),
    "the dense part is smaller": (
        lambda r: r("ls", "epsilon", "dense") < r("ls", "epsilon", "sparse")
    ),
    "the ends are lower than the Bayes-optimal model's in all four": _ends,
    "The truth is sure of itself more often than any of the networks": (
        lambda r: _sure(r.results)[-1] == max(_sure(r.results))
    ),
    "moves the two apart": lambda r: sorted(_sure(r.results)) == _sure(r.results),
    "Here it is the other way round, by both measures": lambda r: (
        r.sorted("ls", "none", metric=CONDITIONAL) and r.sorted("ls", "none", metric=EQ2)
    ),
    "and finds no harm in any": lambda r: all(
        change.low <= 0 for m in (EQ2, CONDITIONAL) for change in _gains(r.results, m).values()
    ),
    "Here a smoothed teacher teaches *better*": (
        lambda r: r.sorted("distil_ls", "distil_none", metric=CE)
    ),
    "Each student is somewhat worse than its teacher": lambda r: all(
        r(f"distil_{teacher}", CE) > r(teacher, CE) for teacher in ("none", "ls")
    ),
    "above .45 the curve stays below .05 in every set-up": (
        lambda r: all(max(part) < 0.05 for part in _curve(r.results, "bayes", 0.46, 1))
    ),
    "the curve is low below a third, jumps towards the cap near .4, and falls as the network grows "
    "more sure": lambda r: all(
        np.median(low) < 0.02 and max(middle) > 0.15 and max(high) < 0.03
        for low, middle, high in zip(
            *(_curve(r.results, "none", *ends) for ends in ((0.2, 0.31), (0.32, 0.46), (0.96, 1))),
            strict=True,
        )
    ),
    "Here the two are level": lambda r: _level(r, "ils1_over_ls"),
    "Where classes lie further apart, ILS1 has the lower cross entropy, with a temperature each as "
    "well": lambda r: _lower(r, "ils1_over_ls.apart") and _lower(r, "ils1_over_ls.apart.scaled"),
    "with one hidden layer it has so as trained, and scaled the two are level": lambda r: (
        _lower(r, "ils1_over_ls.shallow") and _level(r, "ils1_over_ls.shallow.scaled")
    ),
    "with 200 samples of a class they are level": lambda r: _level(r, "ils1_over_ls.bigger"),
    "level with one factor for all in the paper's set-up, and better where classes lie further "
    "apart": lambda r: _level(r, "ils1_over_ls") and _lower(r, "ils1_over_ls.apart"),
    "The best of them is the sinusoidal family": (
        lambda r: min(numbers.TUNED, key=lambda row: r(row, CE)) == "sinusoidal"
    ),
    "does not gain at all": lambda r: r("bootstrap", CE) >= r("none", CE),
    "although its held-out loss is lower": (
        lambda r: r("ls", "held_out_loss", "scaled") < r("ls", "held_out_loss")
    ),
    "does not help either": lambda r: r("ls", CE, "scaled") >= r("ls", CE),
    "Nor can it be told which temperature should set the factor of ILS": (
        lambda r: (
            _number(r, numbers.other_reading, "grid_reading.low")
            <= 0
            <= _number(r, numbers.other_reading, "grid_reading.high")
        )
    ),
    "it is the *sure* samples that want smoothing": (
        lambda r: (
            _number(r, numbers.of_grid, "grid.sure")
            < min(0, _number(r, numbers.of_grid, "grid.unsure"))
        )
    ),
    "Cross entropy of hard labels falls as the choice is among more starts; label smoothing and "
    "the ILS methods lie below that line at their own budgets": lambda r: (
        r("restarts", CE, "best of 120") < r("restarts", CE, "best of 12") < r("none", CE)
        and all(_equal_budgets(r, CE, label).mean < 0 for label in BUDGETS if "+ T" not in label)
    ),
    "At equal budgets label smoothing still gains": (
        lambda r: _equal_budgets(r, CE, "Standard LS − best of 12").high < 0
    ),
    "Label smoothing still improves both class-wise errors of hard labels": lambda r: all(
        _equal_budgets(r, m, "Standard LS − best of 12").high < 0 for m in (EQ2, CONDITIONAL)
    ),
    "is no longer clear of zero": (
        lambda r: not _equal_budgets(r, ECE, "Standard LS − best of 12 + T").excludes_zero
    ),
    "Soft labels reduce the error most there": _on_the_right,
    "largest for hard labels": (
        lambda r: all(_map(r, row).mean() < _map(r, "none").mean() for row in MAPS)
    ),
    "both have most samples near 1": lambda r: all(
        sum(true[35:]) > 0.5 * sum(true)
        for row, stage in (("bayes", "plain"), ("none", "scaled"))
        for true in [r.results.figure(row, f"{stage} histograms")[2]]
    ),
    "At $3 \\cdot 10^{-3}$ and torch's initial weights every batch size gives the paper's row in "
    "all of its columns": lambda r: all(
        _as_printed(r.results, f"batch {size}, rate 0.003, torch", "none")
        for size in ("16", "64", "full")
    ),
    "Lower rates help hard labels a good deal": lambda r: all(
        r(f"batch {size}, rate 0.001, torch", CE) < r(f"batch {size}, rate 0.01, torch", CE)
        for size in ("16", "64", "full")
    ),
    "lowers the cross entropy in every one of them, and on average both class-wise errors": (
        lambda r: all(
            change.mean < 0
            for m in (CE, EQ2, CONDITIONAL)
            for change in _gains(r.results, m).values()
        )
    ),
    "What does harm, by equation 2, is a factor that is too large": (
        lambda r: r.sorted("none", "ls_0.2", metric=EQ2)
    ),
    "By the paper's measure the two are level": lambda r: (
        not r.results.difference(("ls_0.2", "plain"), ("none", "plain"), CONDITIONAL).excludes_zero
    ),
}


def facts() -> Reading:
    """Return the committed records, as the conditions read them."""
    return Reading(studies.recorded(("ils", "ils-tabular")))
