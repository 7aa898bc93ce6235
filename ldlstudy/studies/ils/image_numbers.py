"""What the ILS chapter says of image sets and tabular sets: verdicts, numbers, a reading."""

from typing import Any

import numpy as np
import pandas as pd

from ldlstudy import stats
from ldlstudy.experiment.point_figures import BINS
from ldlstudy.report import claims, numbers
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.report.sentences import in_words, listed
from ldlstudy.report.tables import published
from ldlstudy.studies.ils import images, ranks, tabular

POOLED = ("images ", "students ")  # what rows of claims on image sets begin with
SURE = 0.9


def judged(results: Results) -> pd.DataFrame:
    """Return the paper's claims on image sets with their verdicts, over all complete benches."""
    listed_claims = published("claims")
    own = listed_claims[listed_claims["left"].str.startswith(POOLED)]
    return claims.judge(ranks.pooled(results), own)


def curves(results: Results) -> dict[str, dict[str, Any]]:
    """Return the factor curves of tabular sets by title, by the scaled network of hard labels."""
    found = {t: results.figure(tabular.row(n, "ls"), "curves") for n, t in tabular.SETS.items()}
    return {title: curve["none"] for title, curve in found.items() if curve is not None}


def parabolas(results: Results) -> dict[str, tuple[float, float]]:
    """Return the mean P1 and P2 that ILS1 chose, by title of the tabular set."""
    return {
        title: (results.mean(row, "p1"), results.mean(row, "p2"))
        for name, title in tabular.SETS.items()
        if (row := tabular.row(name, "ils1")) in results
    }


def true_class(results: Results) -> dict[str, np.ndarray]:
    """Return the histograms (3, 50) of scaled networks of hard labels by title of the set."""
    return {
        title: np.array(results.figure(row, "scaled histograms"))
        for name, title in tabular.SETS.items()
        if (row := tabular.row(name, "none")) in results
    }


def sure(results: Results) -> dict[str, float]:
    """Return by title of the set the share of samples whose true class gets more than .9."""
    first = round(SURE * BINS)
    return {title: float(of[2][first:].sum()) for title, of in true_class(results).items()}


def quoted(results: Results, on_tables: Results) -> Numbers:
    """Return every number that these sections quote, the reading of our records among them."""
    conditional = ranks.mean_ranks(ranks.printed("class_conditional_ece"))
    found: Numbers = {
        "printed.critical": stats.critical_difference(len(ranks.METHODS), len(images.PAIRS)),
        "printed.beta": float(ranks.printed_ranks("class_conditional_ece")["beta"]),
        "recomputed.beta": float(conditional["beta"]),
        "images.read": read(results),
    }
    found |= numbers.verdicts(judged(results)) if results.planned else {}
    if shares := sure(on_tables):
        for name, of in (("least", min), ("most", max)):
            title = of(shares, key=shares.__getitem__)
            found |= {f"tabular.{name}": title, f"tabular.{name}.share": shares[title]}
    for key, method, stage, higher in (
        ("scaled.higher", "none", "scaled", True),
        ("ls.lower", "ls", "plain", False),
    ):
        found |= {f"tabular.{key}": listed(_differ(on_tables, method, stage, higher)) or "none"}
    return {f"real.{key}": value for key, value in found.items()}


def _differ(results: Results, method: str, stage: str, higher: bool) -> list[str]:
    """Sets on which a method's mean cross entropy is higher, or lower, than that of hard labels."""
    found = []
    for name, title in tabular.SETS.items():
        rows = tabular.row(name, method), tabular.row(name, "none")
        if all(row in results for row in rows):
            own = results.mean(rows[0], "cross_entropy", stage)
            hard = results.mean(rows[1], "cross_entropy", "plain")
            if own != hard and (own > hard) == higher:
                found.append(title.partition(",")[0])
    return found


def read(results: Results) -> str:
    """Return what our records of image sets say, in sentences."""
    there = ranks.complete(results)
    if not there:
        return "No pair of data set and network has been run with all methods yet."
    known = images.benches("paper")
    order = ranks.mean_ranks(ranks.measured(results, "cross_entropy")).sort_values(kind="stable")
    named = listed(f"{ranks.METHODS[str(name)][0]} ({rank:g})" for name, rank in order.items())
    apart = stats.critical_difference(len(order), len(there))
    farthest = float(order.iloc[-1] - order.iloc[0])
    worth = (
        "no two methods are that far apart, so this is an order, not a finding"
        if farthest < apart
        else f"the first and the last are {farthest:.1f} apart"
    )
    return (
        f"Ours are of {listed(known[name].label for name in there)}. Mean ranks in cross entropy: "
        f"{named}. Over {in_words(len(there))} of such pairs two ranks must be {apart:.1f} apart "
        f"by Nemenyi's test; {worth}. In the claims below a number of ours is the mean of all "
        "networks of these pairs, and a difference is taken within pair and seed. So few of them "
        "make an interval that is too narrow; p, of the paired t test, is stricter. Nor are the "
        f"budgets equal: where a pair is reduced, ILS is the best of {images.searched('ils')} "
        f"settings, label smoothing of {images.searched('ls')}, and hard labels are one network."
    )
