"""The numbers that the prose of the ILS chapter quotes."""

from typing import Any

import numpy as np
import pandas as pd

from ldlstudy import stats
from ldlstudy.report import claims, numbers
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.report.tables import Line, published
from ldlstudy.studies.ils import image_numbers
from ldlstudy.studies.ils.runs import RESTARTS, SETUPS, row_in
from ldlstudy.studies.ils.tables import EVERY, ONE_PART, STUDENTS

PRINTED = (0.8, 2.0)  # the P1 and P2 that the paper finds best
TUNED = ("ls", "ils1", "ils2", "ils", "sinusoidal", "similarity")
PAIRS: dict[str, tuple[Line, Line]] = {  # differences in cross entropy, left less right
    "ls_gain": (("ls", "plain"), ("none", "plain")),
    "ils_over_ls": (("ils", "plain"), ("ls", "plain")),
    "ils1_over_ls": (("ils1", "plain"), ("ls", "plain")),
    "ils1_over_ls.apart": (("apart ils1", "plain"), ("apart ls", "plain")),
    "ils1_over_ls.apart.scaled": (("apart ils1", "scaled"), ("apart ls", "scaled")),
    "ils1_over_ls.shallow": (("shallow ils1", "plain"), ("shallow ls", "plain")),
    "ils1_over_ls.shallow.scaled": (("shallow ils1", "scaled"), ("shallow ls", "scaled")),
    "ils1_over_ls.bigger": (("bigger ils1", "plain"), ("bigger ls", "plain")),
    "scaled_over_plain": (("ls", "scaled"), ("ls", "plain")),
    "student_none": (("distil_none", "plain"), ("none", "plain")),
    "student_ls": (("distil_ls", "plain"), ("ls", "plain")),
    "ils_over_restarts": (("restarts", "best of 120"), ("ils", "plain")),
    "ls_over_restarts": (("restarts", "best of 12"), ("ls", "plain")),
}


def judged(results: Results) -> pd.DataFrame:
    """Return the paper's claims on this set with their verdicts, that on the grid among them."""
    every = published("claims")
    found = claims.judge(results, every[~every["left"].str.startswith(image_numbers.POOLED)])
    found.loc["ILS-10"] = claims.UNJUDGED | {
        "claim": "The parabola P1 = .8, P2 = 2 has the lowest cross entropy",
        "published": ".8, 2",
        "left": "grid",
        "left_stage": "plain",
        "right": "grid",
        "right_stage": "plain",
        "metric": "cross_entropy",
        "expects": np.nan,
    }
    for planned in results.of("grid"):
        judgement = claims.judge_optimum(*_grid(results), planned.level)
        found.loc["ILS-10", list(judgement)] = list(judgement.values())
    return found


def _grid(results: Results) -> tuple[np.ndarray, int]:
    """Losses (R, C) of the parabolas of the grid, and the position of the paper's."""
    parabolas, losses = grid_of_losses(results)
    return losses, [(v["p1"], v["p2"]) for v in parabolas].index(PRINTED)


def curves(results: Results) -> dict[str, dict[str, Any]]:
    """Return the factor curves of label smoothing by title of the set-up."""
    return {
        title: results.figure(row_in(setup, "ls"), "curves")
        for setup, (_, _, title) in SETUPS.items()
        if row_in(setup, "ls") in results
    }


def parabolas(results: Results) -> dict[str, tuple[float, float]]:
    """Return the mean P1 and P2 that ILS1 chose, by title of the set-up."""
    rows = {title: row_in(setup, "ils1") for setup, (_, _, title) in SETUPS.items()}
    return {
        title: (results.mean(row, "p1"), results.mean(row, "p2"))
        for title, row in rows.items()
        if row in results
    }


def wave(results: Results) -> tuple[float, float] | None:
    """Return the mean p1 and p2 that the sinusoidal family chose."""
    if "sinusoidal" not in results:
        return None
    return results.mean("sinusoidal", "p1"), results.mean("sinusoidal", "p2")


def quoted(results: Results, verdicts: pd.DataFrame, profile: str) -> Numbers:
    """Return every number that the chapter quotes, with verdicts as :func:`judged` gives them."""
    by_equation = verdicts["claim"].str.contains("eq. 2")
    values = numbers.of_results(results)
    values |= {"claims.eq2": int(by_equation.sum()), "claims.published": int((~by_equation).sum())}
    values |= numbers.verdicts(verdicts) | numbers.circumstances(results)
    values |= {"restarts": RESTARTS, "profile": profile}
    pairs = {name: (*pair, "cross_entropy") for name, pair in PAIRS.items()}
    values |= numbers.differences(results, pairs)
    values |= _softened(results) | sure(results) | _gaps(results) | _ranks(results)
    part = numbers.share(
        results, "cross_entropy", ("none", "plain"), ("restarts", "best of 120"), ("ils", "plain")
    )
    values |= numbers.with_interval("restarts.share", part)
    values |= other_reading(results)
    if "grid" in results:
        values |= of_grid(results)
    picked = results.measured("ils1", "p2")
    if picked is not None:
        counts = pd.Series(picked.values).value_counts()
        values |= {"p2.least": int(counts.min()), "p2.most": int(counts.max())}
    return numbers.known(values)


def _softened(results: Results) -> Numbers:
    """How far apart the tuned methods are, and how far the best is from Bayes."""
    means = pd.Series([results.mean(row, "cross_entropy") for row in TUNED])
    bayes = results.mean("bayes", "cross_entropy")
    return {
        "soft.spread": float(means.max() - means.min()),
        "soft.distance": float(means.min()) - bayes,
    }


def sure(results: Results) -> Numbers:
    """Share of test samples whose top class gets more than .9."""
    found: Numbers = {}
    for row in ("bayes", "none", "ls"):
        for stage in ("plain", "scaled") if row != "bayes" else ("plain",):
            shares = results.figure(row, f"{stage} histograms")
            if shares is not None:
                key = f"sure.{row}" + ("_scaled" if stage == "scaled" else "")
                found[key] = sum(shares[0][45:])
    return found


def _gaps(results: Results) -> Numbers:
    """Sample-weighted distance of the factor curve from the parabola and the best constant."""
    (title,) = (title for setup, (_, _, title) in SETUPS.items() if setup == "normal")
    p1, p2 = parabolas(results).get(title, (np.nan, np.nan))
    found: Numbers = {}
    for reference, curve in curves(results).get(title, {}).items():
        p, best, n = (
            np.array([np.nan if v is None else v for v in curve[k]])
            for k in ("p", "best", "samples")
        )

        def average(distance: np.ndarray, n: np.ndarray = n) -> float:
            weights = n[~np.isnan(distance)]
            return float(np.nansum(n * distance) / weights.sum()) if len(weights) else np.nan

        found[f"gap.{reference}"] = average(np.abs(best - np.minimum(0.2, p2 * (p - p1) ** 2)))
        constants = {e for e in best if e == e}
        found[f"gap.{reference}.constant"] = min(average(np.abs(best - e)) for e in constants)
    return found


def _ranks(results: Results) -> Numbers:
    """Rank correlation of the calibration errors with the KL to the truth over the methods."""
    rows = [ln for ln in (EVERY | ONE_PART | STUDENTS).values() if ln[0] != "bayes"]
    kl, found = pd.Series([results.mean(row, "kl_to_truth", s) for row, s in rows]), Numbers()
    names = {"ece": "ece_15_right", "classwise_ece": "", "class_conditional_ece": ""}
    for name, metric in names.items():
        own = pd.Series([results.mean(row, metric or name, stage) for row, stage in rows])
        found[f"rank.{name}"] = float(own.corr(kl, method="spearman"))
    return found


def other_reading(results: Results) -> Numbers:
    """ILS with the factor at the grid's temperature less ILS, over as many replicates."""
    grid, own = (results.measured(row, "cross_entropy") for row in ("ils_grid", "ils"))
    if grid is None or own is None:
        return {}
    change = stats.difference(grid.values, own.values[: len(grid.values)])
    return numbers.with_interval("grid_reading", change)


def of_grid(results: Results) -> Numbers:
    """What the grid of parabolas says."""
    losses, claimed = _grid(results)
    parabolas = [(v["p1"], v["p2"]) for v in grid_of_losses(results)[0]]
    means, best = losses.mean(0), int(losses.mean(0).argmin())
    elsewhere = claims.best_elsewhere(losses)
    judged = claims.judge_optimum(losses, claimed)
    level = sum(stats.difference(loss.tolist(), elsewhere.tolist()).low <= 0 for loss in losses.T)
    found: Numbers = {
        "grid.behind": judged["difference"],
        "grid.behind.low": judged["low"],
        "grid.behind.high": judged["high"],
        "grid.best": float(means[best]),
        "grid.best.p1": parabolas[best][0],
        "grid.best.p2": parabolas[best][1],
        "grid.printed": judged["left_mean"],
        "grid.elsewhere": judged["right_mean"],
        "grid.level": level,
        "grid.size": len(parabolas),
    }
    for name, p_true in (("sure", 1.0), ("unsure", 0.5)):
        factors = pd.Series([min(0.2, p2 * (p_true - p1) ** 2) for p1, p2 in parabolas])
        found[f"grid.{name}"] = float(factors.corr(pd.Series(means), method="spearman"))
    return found


def grid_of_losses(results: Results) -> tuple[list[dict[str, float]], np.ndarray]:
    """Return the parabolas of the grid and their test losses (R, C), for Figure 11."""
    kept = results.figure("grid", "candidates")
    if kept is None:
        return [], np.empty((0, 0))
    return kept["values"], np.array(kept["test_cross_entropy"])


def by_budget(results: Results) -> tuple[dict[str, dict[int, list[float]]], dict[str, Any]]:
    """Return cross entropies by how many networks were chosen among: hard labels, and methods."""
    hard: dict[str, dict[int, list[float]]] = {"hard labels": {}, "hard labels + T": {}}
    for n in (1, 12, 30, 48, 120):
        for label, stage in zip(hard, (f"best of {n}", f"best of {n}, scaled"), strict=True):
            found = results.measured("restarts", "cross_entropy", stage)
            if found is not None:
                hard[label][n] = found.values
    points = {}
    for label, row, n in (
        ("Standard LS", "ls", 12), ("ILS1", "ils1", 30), ("ILS2", "ils2", 48), ("ILS", "ils", 120),
    ):  # fmt: skip
        found = results.measured(row, "cross_entropy")
        if found is not None:
            points[label] = (n, found.values)
    return hard, points
