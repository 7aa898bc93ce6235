"""The pictures of the first chapter: bins, and a sum by hand."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ldlstudy import metrics
from ldlstudy.report.figures import BLUE, GREY, ORANGE, WIDTH
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import short, style


def reliability(predictions: Mapping[str, Tensor], labels: Tensor, bins: int = 10) -> Figure:
    """Draw accuracy (bars) and mean confidence (dots) in bins of confidence, a panel each.

    ``predictions`` are probabilities (N, K) by title, ``labels`` (N,) their classes.
    """
    fig, axes = plt.subplots(
        1, len(predictions), sharex=True, sharey=True, squeeze=False, figsize=(WIDTH, 3.1)
    )
    for ax, (title, p) in zip(axes[0], predictions.items(), strict=True):
        found = metrics.reliability(p, labels, bins=bins)
        full = found.count > 0
        middle = (found.lower + 0.5 / bins)[full]
        ax.bar(middle, found.accuracy[full], 0.9 / bins, color=BLUE, label="accuracy")
        ax.plot(middle, found.confidence[full], "o", color=ORANGE, label="mean confidence")
        ax.plot([0, 1], [0, 1], color=GREY, lw=0.8)
        ece = short(f"{metrics.ece(p, labels, bins=bins):.3f}")
        ax.set(title=f"{title}: ECE {ece}", xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence")
    axes[0, 0].set_ylabel("accuracy, confidence")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=2, loc="outside lower center")
    return fig


def by_hand(confidence: Tensor, right: Tensor, bins: int) -> Shown:
    """Return the sum that is the ECE, a line a bin.

    ``confidence`` (N,) above 0 and ``right`` (N,), whether a prediction is right. Edges belong to
    the bin below.
    """
    cell = np.ceil(confidence.double().numpy() * bins).astype(int) - 1
    lines = {}
    for n in range(bins):
        inside = torch.from_numpy(cell == n)
        share, mean = inside.double().mean(), confidence[inside].double().mean()
        accuracy = right[inside].double().mean()
        lines[f"from {n}/{bins} to {n + 1}/{bins}"] = {
            "predictions": f"{int(inside.sum())}",
            "accuracy": short(f"{accuracy:.3f}"),
            "mean confidence": short(f"{mean:.3f}"),
            "gap": short(f"{(accuracy - mean).abs():.3f}"),
            "share × gap": short(f"{share * (accuracy - mean).abs():.4f}"),
        }
    table = pd.DataFrame.from_dict(lines, orient="index")
    parts = f"{bins} bin{'s' * (bins > 1)}"
    return style(table).saying(f"The ECE by hand, with {parts}: the last column adds up to it.")


def scores(found: Mapping[str, pd.DataFrame], titles: Mapping[str, str]) -> Shown:
    """Return a line a network of what it scores, as trained and scaled.

    ``found`` is what :func:`ldlstudy.experiment.measure.measure` says of each.
    """
    wanted = {
        "accuracy": ("plain", "accuracy"),
        "NLL": ("plain", "cross_entropy"),
        "ECE": ("plain", "ece_15_left"),
        "KL to the truth": ("plain", "kl_to_truth"),
        "T": ("fitted", "temperature"),
        "NLL, scaled": ("fitted", "cross_entropy"),
        "ECE, scaled": ("fitted", "ece_15_left"),
        "KL to the truth, scaled": ("fitted", "kl_to_truth"),
    }
    lines = {
        titles[name]: {
            heading: short(f"{table.loc[stage, metric]:.3f}")
            for heading, (stage, metric) in wanted.items()
        }
        for name, table in found.items()
    }
    table = pd.DataFrame.from_dict(lines, orient="index")
    return style(table).saying(
        "The networks of this page on all test images. What changes between them once each has its "
        "temperature T?"
    )
