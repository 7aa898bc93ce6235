"""What the records of all strategies on noisy digits say together.

A *block* is a cell (images of a class, noise) with a seed: all strategies of a block learned the
same images from the same first weights, so they are compared within blocks. Seeds of a cell are
averaged where strategies are ranked over data sets: nine cells, as nine data sets.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats as tests

from ldlstudy import metrics, mixture, scaling, stats
from ldlstudy.experiment.records import Record
from ldlstudy.report.results import Results, pivot
from ldlstudy.stats import Estimate
from ldlstudy.studies import digits
from ldlstudy.studies.strategies import named
from ldlstudy.studies.truth.runs import STRATEGIES, cells, places

COMPARED = (  # with the KL to the truth
    "ece_15_left",
    "classwise_ece",
    "class_conditional_ece",
    "cross_entropy",
    "brier",
    "total_variation",
    "error",
)


def scores(results: Results, metric: str, stage: str = "plain") -> pd.DataFrame:
    """Return a metric of strategies in every block that hard labels have.

    A strategy that some of these blocks lack is left out until it has been run there. Without any
    record of hard labels the blocks are those of the strategy that has the most.

    Parameters
    ----------
    results : Results
        Of :func:`ldlstudy.studies.truth.runs.runs`.
    metric, stage : str
        Of a record: ``plain`` as trained, ``fitted`` after one fitted temperature.

    Returns
    -------
    DataFrame
        A line for each strategy, a column for each block (cell, seed).
    """
    table = pivot(results, metric, stage)
    if table.empty:
        return table
    order = list(places())
    most = "none" if "none" in table.index else table.notna().sum(axis=1).idxmax()
    blocks = table.columns[table.loc[most].notna()]
    columns = sorted(blocks, key=lambda block: (order.index(block[0]), block[1]))
    table = table[columns].dropna()
    return table.loc[[name for name in STRATEGIES if name in table.index]]


def against_hard(by_place: pd.DataFrame) -> pd.DataFrame:
    """Return multiples of hard labels' numbers; nothing where these were not run."""
    return (by_place / by_place.reindex(["none"]).iloc[0]).dropna()


def by_cell(blocks: pd.DataFrame) -> pd.DataFrame:
    """Return means over the seeds of each cell: strategies by cells."""
    return blocks.T.groupby(level=0, sort=False).mean().T


def mean_ranks(by_place: pd.DataFrame) -> pd.Series:
    """Return each strategy's mean rank over columns; 1 has the lowest score, ties share."""
    return by_place.rank().mean(axis=1)


class Friedman(NamedTuple):
    """Friedman's test that all strategies rank alike: its statistic, its p, Nemenyi's distance."""

    statistic: float
    p: float
    critical_difference: float


def friedman(by_place: pd.DataFrame) -> Friedman:
    """Test whether all rank alike over the columns of ``by_place``, as data sets (Demsar 2006).

    NaN where fewer than three strategies were run.
    """
    if len(by_place) < 3:
        return Friedman(math.nan, math.nan, math.nan)
    statistic, p = tests.friedmanchisquare(*by_place.to_numpy())
    distance = stats.critical_difference(len(by_place), by_place.shape[1])
    return Friedman(float(statistic), float(p), distance)


def agreement(one: pd.DataFrame, other: pd.DataFrame) -> Estimate:
    """Return the share of pairs of strategies that two metrics order alike within a block.

    One half is chance, 1 the same order; a tie in one of them counts one half. It is
    (1 + Kendall's tau) / 2 where nothing is tied. Mean over blocks with its interval.
    """
    a, b = one.to_numpy(), other[one.columns].to_numpy()
    left, right = np.triu_indices(len(a), 1)
    alike = np.sign(a[left] - a[right]) * np.sign(b[left] - b[right])
    return stats.estimate(((1 + alike.mean(axis=0)) / 2).tolist())


def misled(one: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return where a metric and the truth disagree on whether hard labels are the better ones.

    Returns
    -------
    DataFrame
        For every other strategy, if hard labels were run, the number of cells, over means of seeds,
        in which it has the lower score and is farther from the truth (``flattered``), in which it
        is the other way round (``slandered``), and both changes against hard labels, means over
        cells (``score``, ``truth``).
    """
    a, b = (each - each.reindex(["none"]).iloc[0] for each in map(by_cell, (one, truth)))
    found = pd.DataFrame(
        {
            "flattered": ((a < 0) & (b > 0)).sum(axis=1),
            "slandered": ((a > 0) & (b < 0)).sum(axis=1),
            "score": a.mean(axis=1),
            "truth": b.mean(axis=1),
        }
    )
    found = found.drop(index="none", errors="ignore").dropna()
    found.attrs["cells"] = a.shape[1]
    return found


def frontier(error: pd.Series, distance: pd.Series, apart: Sequence[str] = ("truth",)) -> list[str]:
    """Return what no strategy beats in both numbers, by error; those ``apart`` do not compete."""
    found: list[str] = []
    for name in error.drop(list(apart), errors="ignore").sort_values(kind="stable").index:
        if all(distance[name] < distance[better] for better in found):
            found.append(name)
    return found


def label_distances(
    results: Results, stage: str = "plain", metric: str = "kl_to_truth"
) -> pd.DataFrame:
    """Return how far the labels of strategies are from the truth, and how far their students.

    Parameters
    ----------
    results : Results
        Of one cell; records that kept ``label`` count.
    stage, metric : str
        Of the student.

    Returns
    -------
    DataFrame
        A line for each strategy and seed: ``strategy``, ``seed``, whether its images are
        ``changed`` (mixed, or with a part cut out), ``label``, the mean total variation of the
        labels to the truth, ``entropy``, that of the labels less that of the truth, and
        ``student``.
    """
    columns = ["strategy", "seed", "changed", "label", "entropy", "student"]
    lines = []
    for each in results.planned:
        values = results.recorded[each.run].values
        if "label" not in values:
            continue
        label = values["label"]
        lines.append(
            {
                "strategy": each.strategy,
                "seed": each.run.seed,
                "changed": bool(named(each.strategy).mixing),
                "label": label["total_variation"],
                "entropy": label["entropy"] - label["true_entropy"],
                "student": values[stage][metric],
            }
        )
    return pd.DataFrame(lines, columns=columns)


def labels_apart(distances: pd.DataFrame) -> pd.DataFrame:
    """Return `by_strategy` without the truth; of strategies that teach the same labels, the first.

    The sum of several teachers' losses (MT) teaches what their mean (En) does.
    """
    own = by_strategy(distances).drop(index="truth", errors="ignore")
    return own.drop_duplicates(["changed", "label"])


def correlations(distances: pd.DataFrame) -> dict[str, Estimate]:
    """Return Spearman's correlation of ``label`` and ``student`` over strategies.

    Each is the mean over seeds. Of ``all`` strategies but that taught the truth, and apart of those
    whose images are ``plain`` and those whose images are ``changed``, where there are three or
    more. The interval is over strategies.
    """
    own = labels_apart(distances)
    changed = own["changed"].astype(bool)
    parts = {"all": own, "plain": own[~changed], "changed": own[changed]}
    return {
        name: stats.rank_correlation(part["label"].tolist(), part["student"].tolist())
        for name, part in parts.items()
        if len(part) > 2
    }


def by_strategy(distances: pd.DataFrame) -> pd.DataFrame:
    """Return means of `label_distances` over seeds, a line for each strategy."""
    return distances.drop(columns="seed").groupby("strategy", sort=False).mean()


def bayes(seeds: int = 2) -> dict[str, float]:
    """Return the accuracy of the exact posterior by noise, with test sets of the study's size."""
    found = {}
    for sigma in dict.fromkeys(sigma for _, sigma in cells("paper")):
        truth = mixture.noisy_digits(sigma)
        right = []
        for seed in range(seeds):
            x, labels, _ = truth.sample(digits.TEST, seed)
            right.append(metrics.accuracy(truth.posterior(x), labels))
        found[f"{sigma:g}"] = float(np.mean(right))
    return found


def ece_by_chance(record: Record, images: int = 10 * digits.TEST) -> float:
    """Return the ECE to expect of a network that is calibrated and as sure as a recorded one.

    Parameters
    ----------
    record : Record
        With ``sampled`` predictions, which are scaled and repeated to so many ``images``.
    images : int
        Size of a test set.
    """
    logits = torch.tensor(record.figure("sampled")["log_probabilities"], dtype=torch.float64)
    p = scaling.scale(logits, record.values["fitted"]["temperature"])
    return metrics.ece_by_chance(p[torch.arange(images) % len(p)], bins=15, edges="left")
