"""The numbers that the prose of the label-smoothing chapter quotes."""

import math
from typing import Any

import pandas as pd
import torch

from ldlstudy.report import numbers
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results, row_of
from ldlstudy.report.tables import NLL, TEMPERATURE, Column
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.smoothing import distillation, information, interpolation, translation
from ldlstudy.studies.smoothing.runs import smoothed
from ldlstudy.studies.smoothing.tables import ECE, GREEDY, HARD_SOFT, SMALL, labels, row

SMOOTHED = (0.05, 0.1)  # in Figures 3 and 9, and what stands there until it has been run


def quoted(results: Results, paper: Results, judged: pd.DataFrame, profile: str) -> Numbers:
    """Return every number that the chapter quotes.

    ``results`` are of all networks, ``paper`` of those of the paper profile; ``judged`` are the
    claims with their verdicts.
    """
    values = numbers.of_results(results) | numbers.verdicts(judged)
    soft, hard = ((row("mnist-fcn1200", a), "plain") for a in (0.1, 0.0))
    values["mnist-fcn1200_gain_points"] = 100 * results.difference(soft, hard, "accuracy").mean
    # the largest probability of logits of 1 and nine zeros
    values["cap"] = float(torch.tensor([1.0] + [0.0] * 9).softmax(0)[0])
    values |= of_series(results)
    values["translator.multi30k"] = of_translator(results)
    values["information.mnist"] = of_mnist(results)
    values |= numbers.circumstances(paper, "paper.") | {"profile": profile}
    return numbers.known(values)


def by_temperature(results: Results, bench: Bench) -> dict[str, Any]:
    """Return what Figure 5 shows of hard and smoothed labels on a bench of translators, by name."""
    return {
        f"α = {a:g}": results.figure(row_of(smoothed(bench, a)), "temperatures") for a in HARD_SOFT
    }


def pictured_bench(results: Results) -> Bench:
    """Return the translators that Figure 5 is of: the best there are."""
    benches = (translation.FULL, translation.REDUCED)
    there = [b for b in benches if row_of(smoothed(b, 0.1)) in results]
    return there[0] if there else translation.INVENTED


def of_translator(results: Results) -> str:
    """Return what is said of the translators of Multi30k, which may not have been run."""
    bench = pictured_bench(results)
    hard, soft = (row_of(smoothed(bench, a)) for a in HARD_SOFT)
    if bench is translation.INVENTED or hard not in results:
        return (
            "On Multi30k no translator has been run yet; two cores have not got so far. Its lines "
            "show the paper's numbers, and those that it does not print are left out."
        )
    size = f" {bench.smaller} as the paper's" if bench.smaller else ""

    def of(row: str, stage: str, column: Column = ECE) -> str:
        return column.write(results.mean(row, column.metric, stage))

    def calibrated_by(column: Column) -> str:
        own, scaled = (
            results.mean(row, column.metric, stage)
            for row, stage in ((soft, "plain"), (hard, "fitted"))
        )
        apart = results.difference((soft, "plain"), (hard, "fitted"), column.metric)
        better = "smoothing is better" if own < scaled else "the temperature is better"
        sure = "" if apart.excludes_zero else ", within the interval of the difference"
        both = f"{of(soft, 'plain', column)} against {of(hard, 'fitted', column)}"
        return f"{better} ({both}{sure})"

    more = 100 * (results.mean(soft, GREEDY.metric) - results.mean(hard, GREEDY.metric))
    return (
        f"On Multi30k, after {bench.recipe['epochs']} epochs of a network{size}, padding is "
        f"{results.mean(hard, 'padding', 'coded'):.0%} of the places that are counted. With it the "
        f"ECE is {of(hard, 'coded')} with hard labels and {of(soft, 'coded')} with α = .1; of "
        f"words alone it is {of(hard, 'plain')} and {of(soft, 'plain')}. The temperature fitted on "
        f"the validation sentences is {of(hard, 'fitted', TEMPERATURE)} for hard labels and "
        f"{of(soft, 'fitted', TEMPERATURE)} for smoothed ones. On the test sentences it takes the "
        f"ECE of the first from {of(hard, 'plain')} to {of(hard, 'fitted')}, that of the second "
        f"from {of(soft, 'plain')} to {of(soft, 'fitted')}. Which makes the better calibrated "
        "translator, smoothing without a temperature or hard labels with theirs? By the ECE "
        f"{calibrated_by(ECE)}, by the NLL {calibrated_by(NLL)}. The BLEU of greedy search is "
        f"{of(hard, 'plain', GREEDY)} % with hard labels and {of(soft, 'plain', GREEDY)} % with "
        f"α = .1. That is a difference of {more:+.2f} points between two networks, and has no "
        "interval: it is a direction and no more."
    )


def of_mnist(results: Results) -> str:
    """Return what is said of the mutual information on MNIST, which may not have been run."""
    hard, soft = (f"{information.MNIST} {a:g}" for a in HARD_SOFT)
    if hard not in results:
        return "On MNIST no network has been measured yet."

    def of(row: str, metric: str) -> float:
        return results.mean(row, metric, "information")

    printed = of(hard, "as_printed")
    text = (
        f"On MNIST two logits say {printed:.3f} nats with hard labels. To tell two classes apart "
        f"takes {math.log(2):.3f} of them; the other {printed - math.log(2):.3f} are of the image. "
        f"The bound is {of(hard, 'difference'):.3f}, of which {of(hard, 'within_difference'):.3f} "
        "are left within a class. "
    )
    if soft not in results:
        return text + "The smoothed network has not been run there, so this says nothing of it."
    return text + f"With α = .1 two logits say {of(soft, 'as_printed'):.3f} nats."


def pictured(results: Results, bench: str) -> dict[str, Any]:
    """Return the penultimate planes of hard and smoothed labels on a bench, by title."""
    return {
        f"α = {a:g}": results.figure(row(bench, a), "plane")
        for a in HARD_SOFT
        if row(bench, a) in results
    }


def diagrams(results: Results) -> dict[str, dict[str, Any]]:
    """Return the reliability diagrams of hard and smoothed labels, by title of the bench.

    The smoothing is that of the paper's Figures 3 and 9, or the other that has been run.
    """
    panels = {}
    for bench, label in (SMALL | labels()).items():
        hard = row(bench, 0.0)
        soft = [a for a in SMOOTHED if row(bench, a) in results]
        if hard in results and soft:
            bins = results.figure(hard, "reliability")
            panels[label] = {
                "α = 0": bins["plain"],
                "α = 0, T fitted": bins["fitted"],
                f"α = {soft[0]:g}": results.figure(row(bench, soft[0]), "reliability")["plain"],
            }
    return panels


def of_series(results: Results) -> Numbers:
    """Return what is read between the points of M3, at the γ of an M4, and how many have been run.

    Keys are ``<row of M4>.at_same_smoothness.<metric>`` and ``figure7.run``, ``figure7.planned``.
    """
    values: Numbers = {}
    for figure in (7, 8):
        wanted = {each.run for each in distillation.runs("paper", figure)}
        values[f"figure{figure}.planned"] = len(wanted)
        values[f"figure{figure}.run"] = len(wanted & results.recorded.keys())
    for own in results.rows:
        facts = results.of(own)[0].facts
        if not str(facts.get("series", "")).startswith("M4"):
            continue
        series = own.rpartition(" ")[0].replace("M4", "M3")
        gammas = interpolation.smoothness(results, own)
        for metric in ("accuracy", "kl_to_truth"):
            found = interpolation.at_smoothness(results, series, gammas, metric)
            if found is not None:
                key = f"{own.replace(' ', '_')}.at_same_smoothness"
                values[f"{key}.{metric}"] = found.estimate.mean
                values[f"{key}.smoothness"] = sum(gammas) / len(gammas)
    return values
