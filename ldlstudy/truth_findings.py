"""What the records of all strategies on noisy digits say together.

A *block* is a cell (images of a class, noise) with a seed: all strategies of a block learned the
same images from the same first weights, so they are compared within blocks. Seeds of a cell are
averaged where methods are ranked over data sets: nine cells, as nine data sets.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats as tests

from ldlstudy import checks, metrics, mixture, scaling, stats
from ldlstudy.ldl_benches import DIGITS, cell
from ldlstudy.records import Record
from ldlstudy.stats import Estimate
from ldlstudy.truth import STRATEGIES, cells, parts

HIGHER = ("accuracy",)  # metrics of which more is better; of all others, less
COMPARED = (  # with the KL to the truth
    "ece",
    "classwise_ece",
    "class_conditional_ece",
    "cross_entropy",
    "brier",
    "total_variation",
)


def scores(records: Mapping[str, Record], metric: str, row: str = "plain") -> pd.DataFrame:
    """A metric of every strategy in every block that all strategies have.

    Parameters
    ----------
    records : Mapping
        By name, as :func:`ldlstudy.truth.runs` names their runs.
    metric, row : str
        Of a record's ``rows``: ``plain`` as trained, ``fitted`` after one fitted temperature.

    Returns
    -------
    DataFrame
        A line for each strategy, a column for each block (cell, seed); accuracy as an error, so
        that less is better throughout.

    Raises
    ------
    ValueError
        If no block is complete.
    """
    found: dict[tuple[str, int], dict[str, float]] = {}
    for name, record in records.items():
        place, strategy, seed = parts(name)
        found.setdefault((place, seed), {})[strategy] = record.rows[row][metric][0]
    whole = {block: values for block, values in found.items() if set(values) == set(STRATEGIES)}
    if not whole:
        raise ValueError(
            f"no block has a record of every strategy, {len(found)} have some: run "
            "`ldlstudy sweep truth` first"
        )
    order = places()
    columns = sorted(whole, key=lambda block: (order.index(block[0]), block[1]))
    table = pd.DataFrame(whole).loc[list(STRATEGIES), columns]
    return 1 - table if metric in HIGHER else table


def by_cell(blocks: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds of each cell: strategies by cells."""
    return blocks.T.groupby(level=0, sort=False).mean().T


def mean_ranks(places: pd.DataFrame) -> pd.Series:
    """Each strategy's rank among all (1 has the lowest score; ties share), mean over columns."""
    return places.rank().mean(axis=1)


class Friedman(NamedTuple):
    """Friedman's test that all strategies rank alike: its statistic, its p, Nemenyi's distance."""

    statistic: float
    p: float
    critical_difference: float


def friedman(places: pd.DataFrame) -> Friedman:
    """Friedman's test over the columns of ``places``, as data sets (scipy; Demsar 2006)."""
    statistic, p = tests.friedmanchisquare(*places.to_numpy())
    distance = stats.critical_difference(len(places), places.shape[1])
    return Friedman(float(statistic), float(p), distance)


def agreement(one: pd.DataFrame, other: pd.DataFrame) -> Estimate:
    """The share of pairs of strategies that two metrics order alike within a block.

    One half is chance, 1 the same order; a tie in one of them counts one half. It is
    (1 + Kendall's tau) / 2 where nothing is tied. Mean over blocks with its interval.
    """
    a, b = one.to_numpy(), other[one.columns].to_numpy()
    left, right = np.triu_indices(len(a), 1)
    alike = np.sign(a[left] - a[right]) * np.sign(b[left] - b[right])
    return stats.estimate(((1 + alike.mean(axis=0)) / 2).tolist())


def misled(one: pd.DataFrame, truth: pd.DataFrame, base: str = "none") -> pd.DataFrame:
    """Where a metric and the truth disagree on whether a strategy is better than ``base``.

    Returns
    -------
    DataFrame
        For every other strategy the number of cells, over means of seeds, in which it has the lower
        score and is farther from the truth (``flattered``), in which it is the other way round
        (``slandered``), and both changes against the base, means over cells (``score``, ``truth``).
    """
    checks.one_of("strategy", base, one.index)
    a, b = (by_cell(each) - by_cell(each).loc[base] for each in (one, truth))
    found = pd.DataFrame(
        {
            "flattered": ((a < 0) & (b > 0)).sum(axis=1),
            "slandered": ((a > 0) & (b < 0)).sum(axis=1),
            "score": a.mean(axis=1),
            "truth": b.mean(axis=1),
        }
    )
    found = found.drop(index=base)
    found.attrs["cells"] = a.shape[1]
    return found


def frontier(error: pd.Series, distance: pd.Series, apart: Sequence[str] = ("truth",)) -> list[str]:
    """The strategies that none beats in both numbers, by error; those ``apart`` do not compete."""
    found: list[str] = []
    for name in error.drop(list(apart)).sort_values(kind="stable").index:
        if all(distance[name] < distance[better] for better in found):
            found.append(name)
    return found


def label_distances(
    records: Mapping[str, Record], row: str = "plain", metric: str = "kl_to_truth"
) -> pd.DataFrame:
    """How far the labels of strategies are from the truth, and how far their students.

    Parameters
    ----------
    records : Mapping
        Of one cell; those that kept ``label`` count.
    row, metric : str
        Of the student.

    Returns
    -------
    DataFrame
        A line for each strategy and seed: ``strategy``, ``seed``, whether its images are
        ``changed`` (mixed, or with a part cut out), ``label``, the mean total variation of the
        labels to the truth, ``entropy``, that of the labels less that of the truth, and
        ``student``.
    """
    lines = []
    for name, record in records.items():
        if "label" not in record.rows:
            continue
        _, strategy, seed = parts(name)
        label = record.rows["label"]
        lines.append(
            {
                "strategy": strategy,
                "seed": seed,
                "changed": "mixing" in STRATEGIES[strategy].parameters,
                "label": label["total_variation"][0],
                "entropy": label["entropy"][0] - label["true_entropy"][0],
                "student": record.rows[row][metric][0],
            }
        )
    return pd.DataFrame(lines)


def correlations(distances: pd.DataFrame) -> dict[str, Estimate]:
    """Spearman's rank correlation of ``label`` and ``student`` over strategies, within seeds.

    Of ``all`` strategies but that taught the truth, and apart of those whose images are ``plain``
    and those whose images are ``changed``. Mean over seeds with its interval.
    """
    own = distances[distances["strategy"] != "truth"]
    parts = {"all": own, "plain": own[~own["changed"]], "changed": own[own["changed"]]}
    return {
        name: stats.estimate(
            [
                float(tests.spearmanr(of_seed["label"], of_seed["student"]).statistic)
                for _, of_seed in part.groupby("seed")
            ]
        )
        for name, part in parts.items()
    }


def by_strategy(distances: pd.DataFrame) -> pd.DataFrame:
    """Means of `label_distances` over seeds, a line for each strategy."""
    return distances.drop(columns="seed").groupby("strategy", sort=False).mean()


def bayes(seeds: int = 2) -> dict[str, float]:
    """Accuracy of the exact posterior by noise, with test sets of the study's size."""
    found = {}
    for sigma in dict.fromkeys(sigma for _, sigma in cells("paper")):
        digits = mixture.noisy_digits(sigma)
        right = []
        for seed in range(seeds):
            x, labels, _ = digits.sample(int(DIGITS["test"]), seed)
            right.append(metrics.accuracy(digits.posterior(x), labels))
        found[f"{sigma:g}"] = float(np.mean(right))
    return found


def ece_by_chance(record: Record, images: int = 10 * int(DIGITS["test"]), draws: int = 20) -> float:
    """The mean ECE of a network that is calibrated and as sure as a recorded one, once scaled.

    Parameters
    ----------
    record : Record
        With ``sampled`` predictions, which are repeated to so many ``images``; the labels are drawn
        from them, so that nothing but chance is between confidence and accuracy.
    images, draws : int
        Size of a test set, and how many are drawn.
    """
    logits = torch.tensor(record.figures["sampled"]["log_probabilities"], dtype=torch.float64)
    p = scaling.scale(logits, record.rows["fitted"]["temperature"][0])
    p = p[torch.arange(images) % len(p)]
    draw = torch.Generator().manual_seed(0)
    labels = torch.multinomial(p, draws, replacement=True, generator=draw)
    return float(np.mean([metrics.ece(p, of_draw) for of_draw in labels.T]))


def places(profile: str = "paper") -> list[str]:
    """The names of a profile's cells, from the fewest images and the least noise on."""
    return [cell(size, sigma) for size, sigma in cells(profile)]
