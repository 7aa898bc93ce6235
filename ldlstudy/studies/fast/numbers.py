"""What the book says of the fast network on photographs, written from its records."""

import math
from typing import Any

import numpy as np

from ldlstudy.report import numbers
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.report.sentences import listed
from ldlstudy.studies.bench import DATASETS
from ldlstudy.studies.fast import runs
from ldlstudy.studies.fast.tables import ECE, IMAGES, NLL, operations
from ldlstudy.studies.strategies import in_prose, named

STAGES = {"as trained": "plain", "scaled": "fitted"}
PICTURED = ("none", "ls", "cs_kd", "off_ldl")  # planes of the first seed
CLASSES = ("airplane", "automobile", "bird")  # the first three of CIFAR-10
REGIMES = {
    f"all {runs.ALL_IMAGES} images of a class": runs.CIFAR100,
    f"{runs.FEW_IMAGES} images of a class": runs.FEW_BENCH,
}
WITH_TEACHER = ("none-held", "ils_fixed")  # on nine tenths of the images
SURE = ("none", "ls", "cs_kd", "on_ldl-cutmix")  # reliability diagrams of the first seed


def pictured(results: Results) -> dict[str, Any]:
    """Return the penultimate planes of four kinds of labels on CIFAR-10, by title."""
    return {
        named(name).label: results.figure(f"{runs.CIFAR10} {name}", "plane") for name in PICTURED
    }


def diagrams(results: Results) -> dict[str, dict[str, Any]]:
    """Return reliability diagrams on CIFAR-100 by how many images are shown, and by label."""
    found = {
        title: results.figures({named(s).label: f"{bench} {s}" for s in SURE}, "reliability")
        for title, bench in REGIMES.items()
    }
    return {
        title: {label: bins["plain"] for label, bins in lines.items()}
        for title, lines in found.items()
    }


def quoted(results: Results) -> Numbers:
    """Return what prose quotes, each with ``photographs.`` before it.

    How many ``networks`` there are of those ``planned``; the median ``minutes`` of one, its
    ``epochs`` and its ``operations`` in 10¹²; by data set the ``accuracy`` of hard labels, what
    is ``said`` of it, and the ``ece`` by label. Of hard labels on CIFAR-10, trained as the others
    or ``long``, the last training ``loss``, and of the longer ones the ``epochs`` and the ``ece``.
    """
    bench = runs.benches("paper")[runs.CIFAR10]
    epochs = bench.recipe["epochs"]
    taken = [numbers.seconds(record.made) for record in results.recorded.values()]
    values: Numbers = {
        "networks": len(taken),
        "planned": len(runs.runs("paper")),
        "minutes": float(np.median(taken)) / 60 if taken else math.nan,
        "epochs": epochs,
        "operations": operations(bench) * epochs * IMAGES / 1e12,
    }
    longer = f"{runs.long(runs.CIFAR10)} none"
    values |= {
        "cifar10.loss": _last_loss(results, f"{runs.CIFAR10} none"),
        "long.epochs": runs.LONG["epochs"],
        "long.loss": _last_loss(results, longer),
        "long.ece": results.mean(longer, ECE.metric),
    }
    for dataset, name in runs.NAMES.items():
        values[f"{dataset}.said"] = said(results, name, f"on {DATASETS[dataset]}")
        values[f"{dataset}.accuracy"] = results.mean(f"{name} none", "accuracy")
        values |= {f"{dataset}.{key}": value for key, value in _eces(results, name).items()}
    return {f"photographs.{key}": value for key, value in numbers.known(values).items()}


def of_few(results: Results) -> Numbers:
    """Return what prose quotes of few images, each with ``few.`` before it.

    How many ``networks`` there are, their ``seeds`` and the mean ``minutes`` of one; the last
    training ``loss`` of hard labels; what is ``said`` of strategies, and the ``ece`` by label; the
    ``accuracy`` and the scaled ``nll`` of hard labels, and of those on twice the images.
    """
    hard = results.records(f"{runs.FEW_BENCH} none")
    taken = [numbers.seconds(record.made) for record in results.recorded.values()]
    values: Numbers = {
        "images": runs.FEW_IMAGES,
        "networks": len(taken),
        "seeds": len(hard),
        "minutes": float(np.mean(taken)) / 60 if taken else math.nan,
        "epochs": runs.few_bench().recipe["epochs"],
        "loss": _last_loss(results, f"{runs.FEW_BENCH} none"),
        "said": said(results, runs.FEW_BENCH, f"with {runs.FEW_IMAGES} images of a class"),
        **_eces(results, runs.FEW_BENCH),
        "decayed.ece": results.mean(f"{runs.DECAYED_BENCH} none", ECE.metric),
        "accuracy": results.mean(f"{runs.FEW_BENCH} none", "accuracy"),
        "scaled.nll": results.mean(f"{runs.FEW_BENCH} none", NLL.metric, "fitted"),
        **_doubled(results),
    }
    return {f"few.{key}": value for key, value in numbers.known(values).items()}


def _last_loss(results: Results, row: str) -> float:
    """The training loss of the last epoch of a row's first seed; NaN if it was not run."""
    records = results.records(row)
    return float(records[0].figure("history")["loss"][-1]) if records else math.nan


def _doubled(results: Results) -> Numbers:
    """What hard labels come to that are taught the images that are held out elsewhere as well."""
    row = f"{runs.DOUBLED_BENCH} none"
    return {
        "doubled.accuracy": results.mean(row, "accuracy"),
        "doubled.ece": results.mean(row, ECE.metric),
        "doubled.scaled.nll": results.mean(row, NLL.metric, "fitted"),
    }


def _eces(results: Results, bench: str) -> Numbers:
    """The ECE of the strategies whose reliability is drawn, and of ILS and its hard labels."""
    return {f"{s}.ece": results.mean(f"{bench} {s}", ECE.metric) for s in (*SURE, *WITH_TEACHER)}


def said(results: Results, bench: str, where: str) -> str:
    """Return which strategies are told apart from hard labels, as trained and scaled.

    These have seen the same images. ``where`` says what the bench is, in words: "on CIFAR-10".
    """
    begin = f"{bench} "
    hard = f"{begin}none"
    there = [row for row in results.rows if row.startswith(begin) and row in results]
    others = [row.removeprefix(begin) for row in there]
    others = [name for name in others if name not in ("none", "none-held")]
    if hard not in there or not others:
        return f"{where[0].upper()}{where[1:]} nothing stands beside hard labels yet."
    found = []
    for words, stage in STAGES.items():
        clear: dict[tuple[str, str], list[str]] = {}  # scores by who is on which side
        for column in (ECE, NLL):
            changes = {
                name: results.difference(
                    (begin + name, stage), (begin + named(name).hard_labels, stage), column.metric
                )
                for name in others
            }
            sides = {
                "above": [s for s, change in changes.items() if change.low > 0],
                "below": [s for s, change in changes.items() if change.high < 0],
            }
            for word, side in sides.items():
                if side:
                    clear.setdefault((word, in_prose(side)), []).append(column.heading)
        nothing = "neither ECE nor NLL tells a strategy from them"
        told = [
            f"the {listed(of)} of {side} {'are' if len(of) > 1 else 'is'} clearly {word}"
            for (word, side), of in clear.items()
        ]
        found.append(f"{words}, {f'{listed(told)} theirs' if told else nothing}")
    return f"Against hard labels {where}: {'; '.join(found)}."
