"""The figures of the ILS chapter; each function takes data and returns a matplotlib figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ldlstudy import stats
from ldlstudy.experiment import point_figures
from ldlstudy.mixture import GaussianMixture
from ldlstudy.report.figures import (
    BLUE,
    CLASS_COLOURS,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    WIDTH,
    critical_differences,
    label_outer,
    nothing,
    of_there,
    panels,
)
from ldlstudy.studies.ils import ranks


def density(mixture: GaussianMixture, inputs: Tensor, labels: Tensor, sparse: Tensor) -> Figure:
    """ILS Figures 1 and 5: the density of the inputs, and a training set (N, 2) drawn from it."""
    low, high = (mixture.centres.numpy().min(0) - 3.5, mixture.centres.numpy().max(0) + 3.5)
    x, y = (np.linspace(*ends, 81) for ends in zip(low, high, strict=True))
    points = np.stack([each.ravel() for each in np.meshgrid(x, y)], 1)
    height = mixture.log_density(torch.from_numpy(points)).exp().reshape(len(y), len(x))
    fig, (left, right) = plt.subplots(1, 2, sharey=True)
    shown = left.contourf(x, y, height, 12, cmap="Blues")
    fig.colorbar(shown, ax=left, ticks=[0, 0.02, 0.04, 0.06], pad=0.02)
    left.set(title="density p(x)", xlabel="first feature", ylabel="second feature")
    for k, colour in enumerate(CLASS_COLOURS):
        for part, marker in ((~sparse, "o"), (sparse, "^")):
            at = inputs[(labels == k) & part]
            name = f"class {k + 1}" if marker == "o" else None
            right.plot(at[:, 0], at[:, 1], marker, color=colour, ms=3.5, alpha=0.8, label=name)
    right.plot([], [], "^", color=GREY, ms=3.5, label="sparse part")
    right.set(title="a training set", xlabel="first feature", xlim=(x[0], x[-1]))
    right.legend(ncols=2, loc="lower right", fontsize=7.5, handletextpad=0.1, columnspacing=0.8)
    return fig


@of_there
def histograms(models: Mapping[str, np.ndarray], truth: np.ndarray | None) -> Figure:
    """ILS Figure 2: shares of predictions by probability, top and other classes, log axis.

    ``models`` holds the title and the histograms (3, 50) of each panel, ``truth`` Bayes's.
    """
    fig, axes = panels(len(models), 2, 2.3, sharex=True, sharey=True)
    edges = np.linspace(0, 1, point_figures.BINS + 1)
    for ax, (title, (top, others, _)) in zip(axes, models.items(), strict=True):
        for shares, colour, name in ((others, BLUE, "other classes"), (top, ORANGE, "top class")):
            ax.stairs(_positive(shares), edges, color=colour, fill=True, alpha=0.55, label=name)
        for shares, dash in () if truth is None else ((truth[1], "-"), (truth[0], "--")):
            name = "Bayes, other" if dash == "-" else "Bayes, top"
            ax.stairs(_positive(shares), edges, color="black", ls=dash, lw=0.9, label=name)
        ax.set(title=title, yscale="log", ylim=(3e-4, 1))
    label_outer(axes, "predicted probability", "share of predictions")
    fig.legend(*axes[0].get_legend_handles_labels(), ncols=4, loc="outside lower center")
    return fig


@of_there
def true_class_histogram(models: Mapping[str, np.ndarray]) -> Figure:
    """ILS Figure 8: shares of samples by the probability of their true class, a panel a model."""
    fig, axes = panels(len(models), 2, 2.6, sharey=True)
    edges = np.linspace(0, 1, point_figures.BINS + 1)
    for ax, (title, shares) in zip(axes, models.items(), strict=True):
        ax.stairs(shares[2], edges, fill=True, color=BLUE, alpha=0.7)
        ax.set(title=title, xlabel="probability of the true class")
    axes[0].set_ylabel("share of samples")
    return fig


@of_there
def factor_curves(
    curves: Mapping[str, Mapping[str, Any]], quadratics: Mapping[str, tuple[float, float]],
    sinusoid: tuple[float, float] | None = None,
) -> Figure:  # fmt: skip
    """ILS Figures 4, 6 and 7: the best smoothing factor against the true class's probability.

    Parameters
    ----------
    curves : Mapping
        Title of each panel to its curve (:func:`ldlstudy.experiment.point_figures.factor_curve`).
    quadratics : Mapping
        Title to ILS1's (P1, P2), drawn over the curve.
    sinusoid : tuple of float, optional
        (p1, p2) of the sinusoidal family, drawn in the first panel.
    """
    fig, axes = panels(len(curves), 2, 2.5, 0.5, sharex=True, sharey=True)
    p = np.linspace(0.2, 1, 200)
    for ax, (title, curve) in zip(axes, curves.items(), strict=True):
        filled = [p is not None for p in curve["p"]]
        at, best, low, high = (
            np.array(curve[k], dtype=float)[filled] for k in ("p", "best", "low", "high")
        )
        ax.vlines(at, low, high, color=RED, lw=1.2, alpha=0.4)
        ax.plot(at, best, "o", color=RED, ms=3, label="best factor, 95 % interval")
        if title in quadratics:
            p1, p2 = quadratics[title]
            ax.plot(p, np.minimum(0.2, p2 * (p - p1) ** 2), "k-", lw=1.4, label="ILS1's quadratic")
        if sinusoid is not None and ax is axes[0]:
            wave = 0.1 * (np.sin(sinusoid[1] * (p - sinusoid[0])) + 1)
            ax.plot(p, wave, "--", color=BLUE, lw=1.4, label="sinusoidal family")
        ax.set(title=title, ylim=(-0.01, 0.21))
    label_outer(axes, "probability of the true class, by the reference", "smoothing factor ε")
    fig.legend(*axes[0].get_legend_handles_labels(), ncols=3, loc="outside lower center")
    return fig


def grid(values: Sequence[Mapping[str, float]], losses: np.ndarray) -> Figure:
    """ILS Figure 11: mean test cross entropy of ILS1 over P1 x P2, from losses (R, C)."""
    if not values:
        return nothing()
    p1, p2 = (sorted({v[name] for v in values}) for name in ("p1", "p2"))
    mean = np.full((len(p1), len(p2)), np.nan)
    for v, loss in zip(values, losses.mean(0), strict=True):
        mean[p1.index(v["p1"]), p2.index(v["p2"])] = loss
    fig, ax = plt.subplots(figsize=(WIDTH, 3.6))
    ax.pcolormesh(range(len(p2)), range(len(p1)), mean, cmap="Blues")  # takes the theme
    best = np.unravel_index(np.argmin(mean), mean.shape)
    middle = (mean.min() + mean.max()) / 2
    for (i, j), loss in np.ndenumerate(mean):
        colour = "black" if loss < middle else "white"
        weight = "bold" if (i, j) == best else "normal"
        ax.text(j, i, f"{loss:.3f}", ha="center", va="center", color=colour, weight=weight, size=8)
    ax.set_xticks(range(len(p2)), [f"{v:g}" for v in p2])
    ax.set_yticks(range(len(p1)), [f"{v:g}" for v in p1])
    ax.set(xlabel="P2", ylabel="P1")
    return fig


@of_there
def error_maps(maps: Mapping[str, np.ndarray], mixture: GaussianMixture) -> Figure:
    """Total variation to the truth over the plane, mean of all replicates, a panel a model.

    Contours of the inputs' density, a factor of ten apart, show where samples lie.
    """
    height = (
        mixture.log_density(point_figures.plane()).exp().reshape(len(point_figures.PLANE_Y), -1)
    )
    fig, axes = panels(len(maps), 2, 2, 0.4, sharex=True, sharey=True)
    top = max(np.max(m) for m in maps.values())
    for ax, (title, values) in zip(axes, maps.items(), strict=True):
        extent = (
            point_figures.PLANE_X[0], point_figures.PLANE_X[-1],
            point_figures.PLANE_Y[0], point_figures.PLANE_Y[-1],
        )  # fmt: skip
        shown = ax.imshow(values, extent=extent, origin="lower", cmap="magma_r", vmin=0, vmax=top)
        ax.contour(
            point_figures.PLANE_X, point_figures.PLANE_Y, height, (1e-4, 1e-3, 1e-2),
            colors=BLUE, linewidths=0.8,
        )  # fmt: skip
        ax.set(title=title, xticks=(-6, 0, 6), yticks=(-4, 0, 4))
    fig.colorbar(shown, ax=axes, label="total variation to the truth", shrink=0.8)
    return fig


def budgets(
    curves: Mapping[str, Mapping[int, Sequence[float]]], points: Mapping[str, tuple[int, Any]]
) -> Figure:
    """Test cross entropy against how many networks the choice was among, 95 % intervals.

    ``curves`` holds lines (budget to values by replicate), ``points`` single methods.
    """
    curves = {name: curve for name, curve in curves.items() if curve}
    if not (curves or points):
        return nothing()
    fig, ax = plt.subplots(figsize=(WIDTH, 3.4))
    looks = ((GREY, "-", "o"), (BLUE, "--", "s"))
    for (name, curve), (colour, dash, marker) in zip(curves.items(), looks, strict=False):
        e = [stats.estimate(v) for v in curve.values()]
        mean, low, high = np.array(e).T
        ax.errorbar(
            list(curve), mean, [mean - low, high - mean], color=colour, ls=dash, marker=marker,
            ms=4, capsize=2, label=name,
        )  # fmt: skip
    markers = zip("^vDP*X", (ORANGE, RED, GREEN, PURPLE, "black", BLUE), strict=True)
    for (name, (budget, values)), (marker, colour) in zip(points.items(), markers, strict=False):
        mean, low, high = stats.estimate(values)
        ax.errorbar(
            budget, mean, [[mean - low], [high - mean]], color=colour, ls="", marker=marker, ms=6,
            capsize=2, label=name,
        )  # fmt: skip
    ax.set(xscale="log", xlabel="networks trained for each replicate", ylabel="test cross entropy")
    ax.set_xticks([1, 12, 30, 48, 120], ["1", "12", "30", "48", "120"])
    ax.minorticks_off()
    ax.legend(loc="upper right", ncols=2, fontsize=8)
    return fig


def rankings(scores: Mapping[str, pd.DataFrame]) -> Figure:
    """ILS Figures 12 to 15: a critical-difference diagram for each title, methods by pairs."""
    there = {title: table for title, table in scores.items() if table.shape[1] > 1}
    if not there:
        return nothing()
    fig, axes = plt.subplots(len(there), figsize=(WIDTH, 1.9 * len(there)), squeeze=False)
    own = {label: ORANGE for label, (row, _) in ranks.METHODS.values() if row.startswith("ils")}
    for ax, (title, table) in zip(axes.flat, there.items(), strict=True):
        labels = {name: label for name, (label, _) in ranks.METHODS.items()}
        critical_differences(ax, table.rename(index=labels), own)
        ax.set_title(title, loc="left")
    return fig


def _positive(shares: np.ndarray) -> np.ndarray:
    """Empty bins left out of a log axis."""
    return np.where(np.asarray(shares) > 0, shares, np.nan)
