"""The figures of the label-smoothing chapter; each function returns a matplotlib figure."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from ldlstudy import targets
from ldlstudy.report.figures import BLUE, GREEN, GREY, LINES, ORANGE, WIDTH, of_there
from ldlstudy.report.results import Results
from ldlstudy.studies.smoothing import channels as known
from ldlstudy.studies.smoothing import information
from ldlstudy.studies.smoothing.interpolation import points_of


def labels(alphas: tuple[float, ...], classes: int = 10) -> Figure:
    """[Re] Figure 1: the label of class 1 by smoothing constant, a panel each."""
    fig, axes = plt.subplots(1, len(alphas), sharey=True, figsize=(WIDTH, 1.9))
    for ax, alpha in zip(axes, alphas, strict=True):
        label = targets.smooth(torch.tensor([1]), classes, alpha)[0].numpy()
        ax.bar(range(classes), label, color=BLUE)
        ax.set(title=f"α = {alpha:g}", xticks=[0, 5], xlabel="class", ylim=(0, 1.02))
    axes[0].set_ylabel("probability")
    return fig


def channels() -> Figure:
    """Estimates on channels with a known truth, by draws, by unequal noise, and by dimension."""
    panels = {
        "draws behind a mean": (known.DRAWS, known.by_draws()),
        "noise of one half / the other": (known.RATIOS, known.by_ratio()),
        "numbers in an answer": (known.WIDTHS, known.by_width()),
    }
    fig, axes = plt.subplots(1, len(panels), sharey=True, figsize=(WIDTH, 3.3))
    for ax, (label, (x, lines)) in zip(axes, panels.items(), strict=True):
        for (name, y), (colour, dash, marker) in zip(lines.items(), LINES, strict=False):
            ax.plot(x, y, dash, color=colour, marker=marker, ms=4, label=name)
        ax.set(xlabel=label, xscale="log", xticks=x, xticklabels=x)
        ax.minorticks_off()
        ax.legend(fontsize=7, loc="lower left")
    axes[0].set(ylabel="mutual information, nats", ylim=(0, None))
    return fig


def followed(results: Results) -> Figure:
    """Müller et al.'s Figure 6: information by epochs, with hard and with smoothed labels."""
    panels = {
        "difference of two logits, as printed": "as_printed",
        "the same, bound": "difference",
        "all logits, bound": "logits",
    }
    epochs = [*information.EPOCHS, information.LAST]
    fig, axes = plt.subplots(1, len(panels), sharey=True, figsize=(WIDTH, 3.0))
    for ax, (title, metric) in zip(axes, panels.items(), strict=True):
        for alpha, (colour, dash, marker) in zip(information.FOLLOWED, LINES, strict=False):
            points = information.looks(results, alpha, metric)
            if points:
                x, y, low, high = np.array(points).T
                ax.plot(x, y, dash, color=colour, marker=marker, ms=4, label=f"α = {alpha:g}")
                ax.vlines(x, low, high, color=colour)
        ax.axhline(np.log(2), color=GREY, lw=0.8, ls=":", label="log 2: one bit")
        ax.set(title=title, xscale="log", xlabel="epochs")
        ax.set_xticks(epochs, [str(each) for each in epochs])
        ax.minorticks_off()
    axes[0].set(ylabel="nats", ylim=(0, None))
    fig.legend(*axes[0].get_legend_handles_labels(), ncols=3, loc="outside lower center")
    return fig


SERIES = {
    "M1": ("M1: teacher, by its α", BLUE, "-", "o"),
    "M2": ("M2: student alone, by its α", GREY, ":", "D"),
    "M3": ("M3: student, by the teacher's T", GREEN, "--", "s"),
    "M4": ("M4: student, by the teacher's α", ORANGE, "-.", "^"),
}


def series(
    results: Results, metric: tuple[str, str], losses: Mapping[str, str], level: str = "quick "
) -> Figure:
    """[Re] Figures 7 and 8: M1 to M4 against the smoothness of labels, a panel a loss.

    Parameters
    ----------
    results : Results
        Of :func:`ldlstudy.studies.smoothing.distillation.runs`.
    metric : tuple of str
        Its name and its heading.
    losses : Mapping
        Title of each panel to what marks its M3 and M4: nothing, or ``p`` for the loss as printed.
        M1 and M2, which have no teacher, are in every panel. Bars are 95 % intervals.
    level : str
        How the names of the series begin.
    """
    fig, axes = plt.subplots(1, len(losses), squeeze=False, sharey=True, figsize=(WIDTH, 3.8))
    for ax, (title, mark) in zip(axes[0], losses.items(), strict=True):
        for name, (label, colour, dash, marker) in SERIES.items():
            marked = f"{level}{name}{mark if name in ('M3', 'M4') else ''}"
            points = points_of(results, marked, metric[0])
            if points:
                x, y, low, high = np.array(points).T
                ax.plot(x, y, color=colour, ls=dash, marker=marker, ms=4, label=label)
                ax.vlines(x, low, high, color=colour)  # a small ECE may lie below its interval
        ax.set(title=title, xlabel="smoothness of the labels, γ")
    axes[0, 0].set_ylabel(metric[1])
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=2, loc="outside lower center")
    return fig


@of_there
def temperatures(networks: Mapping[str, Mapping[str, Any]]) -> Figure:
    """[Re] Figure 5: ECE, BLEU and NLL of translators against the temperature, a line a network.

    Parameters
    ----------
    networks : Mapping
        Name of each line to the figure ``temperatures`` of its record
        (:func:`ldlstudy.experiment.translation.measured`), two at most. Thin lines are of the ECE
        as the authors' code counts it.
    """
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.9))
    for (name, found), (colour, dash) in zip(
        networks.items(), ((BLUE, "-"), (ORANGE, "--")), strict=False
    ):
        for ax, x, y, more in (
            (axes[0], "temperature", "ece", {"label": name}),
            (axes[0], "temperature", "coded_ece", {"lw": 0.8, "label": f"{name}, padding counted"}),
            (axes[1], "beam_temperature", "bleu_beam", {"marker": "o", "ms": 3}),
            (axes[2], "temperature", "cross_entropy", {}),
        ):
            scale = 100 if y == "bleu_beam" else 1
            ax.plot(found[x], [scale * v for v in found[y]], dash, color=colour, **more)
    for ax, title in zip(axes, ("ECE", "BLEU, beam search", "NLL"), strict=True):
        ax.set(title=title, xlabel="temperature")
    fig.legend(*axes[0].get_legend_handles_labels(), ncols=2, loc="outside lower center")
    return fig
