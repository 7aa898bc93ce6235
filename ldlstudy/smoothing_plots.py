"""The figures of the label-smoothing chapter; each function returns a matplotlib figure."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from ldlstudy import targets
from ldlstudy.measured import Measurements
from ldlstudy.plots import BLUE, CLASS_COLOURS, GREEN, GREY, ORANGE, PURPLE, RED, WIDTH, dots

LINES = ((BLUE, "-", "o"), (GREEN, "--", "s"), (RED, "-.", "^"), (PURPLE, ":", "D"))
FEWEST = 10  # images in a bin that is drawn


def labels(alphas: tuple[float, ...], classes: int = 10) -> Figure:
    """[Re] Figure 1: the label of class 1 by smoothing constant, a panel each."""
    fig, axes = plt.subplots(1, len(alphas), sharey=True, figsize=(WIDTH, 1.9))
    for ax, alpha in zip(axes, alphas, strict=True):
        label = targets.smooth(torch.tensor([1]), classes, alpha)[0].numpy()
        ax.bar(range(classes), label, color=BLUE)
        ax.set(title=f"α = {alpha:g}", xticks=[0, 5], xlabel="class", ylim=(0, 1.02))
    axes[0].set_ylabel("probability")
    return fig


def planes(figures: Mapping[str, Mapping[str, Any]], classes: tuple[str, ...]) -> Figure:
    """[Re] Figure 2: activations of three classes on the plane of their templates.

    Parameters
    ----------
    figures : Mapping
        Title of each network to its ``plane`` (:func:`ldlstudy.image_figures.plane`).
    classes : tuple of str
        Names of the three classes.
    """
    fig, axes = plt.subplots(
        2, len(figures), sharex=True, sharey=True, squeeze=False, figsize=(WIDTH, 6.4)
    )
    xlim, ylim = _square([p for f in figures.values() for points in f.values() for p in points])
    for column, (title, figure) in zip(axes.T, figures.items(), strict=True):
        for ax, part in zip(column, ("train", "test"), strict=True):
            for name, colour, points in zip(classes, CLASS_COLOURS, figure[part], strict=True):
                ax.add_patch(dots(np.array(points), colour, name))
            x, y = np.array(figure["templates"]).T
            look = {"marker": "*", "s": 90, "edgecolors": "black", "zorder": 3}
            ax.scatter(x, y, c=CLASS_COLOURS, label="templates", **look)
            ax.set_title(f"{title}, {'training' if part == 'train' else 'test'} images")
            ax.set(xlim=xlim, ylim=ylim, aspect="equal")
    for ax in axes[-1]:
        ax.set_xlabel("λ, towards template 2")
    for ax in axes[:, 0]:
        ax.set_ylabel("μ")
    points = [plt.Line2D([], [], color=c, marker="o", ls="", ms=2.5) for c in CLASS_COLOURS]
    star = plt.Line2D([], [], color=GREY, marker="*", ls="", ms=9)
    fig.legend([*points, star], [*classes, "templates"], ncols=4, loc="outside lower center")
    return fig


def _square(clusters: list[Any]) -> np.ndarray:
    """Limits (2, 2) of x and y, equally far apart, around every point of ``clusters``."""
    points = np.concatenate([np.reshape(cluster, (-1, 2)) for cluster in clusters])
    low, high = points.min(0), points.max(0)
    return np.add.outer((low + high) / 2, np.array([-0.55, 0.55]) * (high - low).max())


def reliability(panels: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """[Re] Figures 3 and 9: accuracy against confidence, a panel a network, a line a method.

    Parameters
    ----------
    panels : Mapping
        Title of each panel to name of each line to its bins
        (:func:`ldlstudy.image_figures.reliability`); those of fewer than 10 images are left out.
        At most four names of lines; a name looks the same in every panel.
    """
    names = dict.fromkeys(name for lines in panels.values() for name in lines)
    looks = dict(zip(names, LINES, strict=False))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    fig, axes = plt.subplots(
        rows, columns, sharex=True, sharey=True, squeeze=False, figsize=(WIDTH, 3.1 * rows)
    )
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax in axes.flat[len(panels) - columns : len(panels)]:
        ax.tick_params(labelbottom=True)  # the lowest of its column, perhaps above a spare panel
    for ax, (title, lines) in zip(axes.flat, panels.items(), strict=False):
        ax.plot([0, 1], [0, 1], color="black", lw=0.8, label="perfect")
        for name, bins in lines.items():
            colour, dash, marker = looks[name]
            each = zip(bins["count"], bins["confidence"], bins["accuracy"], strict=True)
            full = [(c, a) for n, c, a in each if n >= FEWEST]
            x, y = zip(*full, strict=True)
            ax.plot(
                x, y, dash, marker=marker, color=colour, ms=3.5, label=name, clip_on=False
            )  # markers at 1 are drawn whole
        ax.set(title=title, xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="confidence")
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy")
    drawn = {line.get_label(): line for ax in axes.flat for line in ax.lines}
    fig.legend(drawn.values(), drawn.keys(), ncols=4, loc="outside lower center")
    return fig


SERIES = {
    "M1": ("M1: teacher, by its α", BLUE, "-", "o"),
    "M2": ("M2: student alone, by its α", GREY, ":", "D"),
    "M3": ("M3: student, by the teacher's T", GREEN, "--", "s"),
    "M4": ("M4: student, by the teacher's α", ORANGE, "-.", "^"),
}


def series(
    measurements: Measurements, metric: tuple[str, str], losses: Mapping[str, str]
) -> Figure:
    """[Re] Figures 7 and 8: M1 to M4 against the smoothness of labels, a panel a loss.

    Parameters
    ----------
    measurements : Mapping
        As :func:`ldlstudy.measured.gather` gives them.
    metric : tuple of str
        Its name and its heading.
    losses : Mapping
        Title of each panel to what marks its M3 and M4: nothing, or ``p`` for the loss as printed.
        M1 and M2, which have no teacher, are in every panel. Bars are 95 % intervals.
    """
    fig, axes = plt.subplots(1, len(losses), squeeze=False, sharey=True, figsize=(WIDTH, 3.8))
    for ax, (title, mark) in zip(axes[0], losses.items(), strict=True):
        for prefix, (label, colour, dash, marker) in SERIES.items():
            taught = mark if prefix in ("M3", "M4") else ""
            points = points_of(measurements, prefix + taught, metric[0])
            if points:
                x, y, low, high = np.array(points).T
                ax.plot(x, y, color=colour, ls=dash, marker=marker, ms=4, label=label)
                ax.vlines(x, low, high, color=colour)  # a small ECE may lie below its interval
        ax.set(title=title, xlabel="smoothness of the labels, γ")
    axes[0, 0].set_ylabel(metric[1])
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=2, loc="outside lower center")
    return fig


def points_of(
    measurements: Measurements, prefix: str, metric: str
) -> list[tuple[float, float, float, float]]:
    """Smoothness, mean and interval of a series, by smoothness: of the teacher, or α itself."""
    points = []
    for row, metrics in measurements.items():
        parts = row.split(" ")
        if parts[0] == prefix and len(parts) == 2 and metric in metrics:
            taught = measurements.get(f"{row} teacher")
            gamma = taught["smoothness"].estimate.mean if taught else float(parts[1])
            points.append((gamma, *metrics[metric].estimate))
    return sorted(points)
