"""The numbers that the prose of the label-smoothing chapter quotes."""

from typing import Any

import pandas as pd
import torch

from ldlstudy.report import numbers
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results, difference
from ldlstudy.studies.smoothing.tables import HARD_SOFT, SMALL, labels, row


def quoted(results: Results, paper: Results, judged: pd.DataFrame, profile: str) -> Numbers:
    """Return every number that the chapter quotes.

    ``results`` are of all networks, ``paper`` of those of the paper profile; ``judged`` are the
    claims with their verdicts.
    """
    values = numbers.of_results(results) | numbers.verdicts(judged)
    soft, hard = (results.measured(row("mnist-fcn1200", a), "accuracy") for a in (0.1, 0.0))
    if soft is not None and hard is not None:
        values["mnist-fcn1200_gain_points"] = 100 * difference(soft, hard).mean
    # the largest probability of logits of 1 and nine zeros
    values["cap"] = float(torch.tensor([1.0] + [0.0] * 9).softmax(0)[0])
    values |= numbers.circumstances(paper, "paper.") | {"profile": profile}
    return numbers.known(values)


def pictured(results: Results, bench: str) -> dict[str, Any]:
    """Return the penultimate planes of hard and smoothed labels on a bench, by title."""
    return {
        f"α = {a:g}": results.figure(row(bench, a), "plane")
        for a in HARD_SOFT
        if row(bench, a) in results
    }


def diagrams(results: Results) -> dict[str, dict[str, Any]]:
    """Return the reliability diagrams of hard and smoothed labels, by title of the bench."""
    panels = {}
    for bench, label in (SMALL | labels()).items():
        rows = [row(bench, a) for a in HARD_SOFT]
        if all(each in results for each in rows):
            hard, soft = (results.figure(each, "reliability") for each in rows)
            panels[label] = {
                "α = 0": hard["plain"],
                "α = 0, T fitted": hard["fitted"],
                "α = .1": soft["plain"],
            }
    return panels
