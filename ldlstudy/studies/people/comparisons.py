"""What the records say together: strategies in the order that people give them."""

import pandas as pd

from ldlstudy.report.results import Results
from ldlstudy.studies.people.runs import FCN, LENET, row
from ldlstudy.studies.strategies import STRATEGIES
from ldlstudy.studies.truth import comparisons as truth

MEASURES = {  # the six of label distribution learning: their names, and whether more is better
    "chebyshev": ("Chebyshev", False),
    "clark": ("Clark", False),
    "canberra": ("Canberra", False),
    "kl_to_truth": ("KL", False),
    "cosine": ("cosine", True),
    "intersection": ("intersection", True),
}


def hard_labels(results: Results, own: str, bench: str = LENET) -> str:
    """Return the row of the hard labels that have seen the training images of a row."""
    strategy = STRATEGIES.get(results.of(own)[0].strategy)
    return row("none" if strategy is None else strategy.hard_labels, bench)


def by_strategy(
    results: Results, metric: str, stage: str = "plain", bench: str = LENET
) -> pd.Series:
    """Return the mean over seeds of a metric of each strategy of a bench."""
    chosen = results.numbers(metric, stage)
    chosen = chosen[chosen["bench"] == bench]
    found: pd.Series = chosen.groupby("strategy", sort=False)["value"].mean()
    return found


def of_networks(results: Results, metric: str, stage: str = "plain") -> pd.DataFrame:
    """Return `by_strategy` of LeNet and of [Re]'s network, of the strategies that both have."""
    benches = {bench: by_strategy(results, metric, stage, bench) for bench in (LENET, FCN)}
    return pd.DataFrame(benches).dropna()


def orders(results: Results, digits: Results, bench: str = LENET) -> dict[str, pd.DataFrame]:
    """Return how far strategies are from the truth of noisy digits, and from people.

    Parameters
    ----------
    results, digits : Results
        Of this chapter, and of the chapter on one truth.
    bench : str
        Of this chapter.

    Returns
    -------
    dict
        ``as trained`` and ``scaled`` to tables of the strategies that both have: ``digits``, the
        mean KL to the truth over cells, and ``people``, the cross entropy to the votes. Scaled is
        each to its own labels.
    """
    found = {}
    for title, stage in (("as trained", "plain"), ("scaled", "fitted")):
        blocks = truth.scores(digits, "kl_to_truth", stage)
        table = pd.DataFrame(
            {
                "digits": truth.by_cell(blocks).mean(axis=1),
                "people": by_strategy(results, "votes_cross_entropy", stage, bench),
            }
        )
        found[title] = table.dropna()
    return found


def enhancement(results: Results, metric: str, stage: str = "plain") -> pd.DataFrame:
    """Return the mean over folds of a measure: strategies by sets of label distributions.

    A set that lacks a strategy is left out until it has been run there.
    """
    chosen = results.numbers(metric, stage)
    found: pd.DataFrame = (
        chosen.groupby(["strategy", "bench"], sort=False)["value"].mean().unstack()
    )
    order = dict.fromkeys(chosen["strategy"])
    return found.reindex(list(order)).dropna(axis=1)


def enhancement_ranks(results: Results) -> pd.DataFrame:
    """Return the mean rank of each strategy by measure, over the sets; 1 is the nearest."""
    if not results.planned:
        return pd.DataFrame()
    found = {}
    for name, (_, more) in MEASURES.items():
        table = enhancement(results, name)
        found[name] = (-table if more else table).rank().mean(axis=1)
    return pd.DataFrame(found)
