"""The figures of the chapter on one truth; a strategy has the colour of its paper."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ldlstudy.report.figures import BLUE, GREEN, GREY, ORANGE, WIDTH, nothing, of_there
from ldlstudy.report.results import Results
from ldlstudy.report.tables import short
from ldlstudy.stats import Estimate, critical_difference
from ldlstudy.studies.strategies import PAPERS, named
from ldlstudy.studies.truth import comparisons
from ldlstudy.studies.truth.runs import places

MEASURES = {  # what is held against the KL to the truth, by heading
    "ECE": "ece_15_left",
    "class-wise ECE": "classwise_ece",
    "class-conditional ECE": "class_conditional_ece",
    "error": "error",
    "Brier score": "brier",
    "NLL": "cross_entropy",
    "TV to the truth": "total_variation",
}


def _look(strategy: str) -> dict[str, Any]:
    return PAPERS[named(strategy).paper]


def _label(strategy: object) -> str:
    return named(str(strategy)).label


def legend_of_papers(fig: Figure, without: Sequence[str] = ()) -> None:
    """Draw a legend of the papers' dots below the panels, but for some papers."""
    names = {"": _label("none"), "ours": _label("truth")}
    dots = [
        Line2D([], [], ls="", label=names.get(paper, paper), **look)
        for paper, look in PAPERS.items()
        if paper not in without
    ]
    fig.legend(handles=dots, loc="outside lower center", ncols=6, handletextpad=0.1)


OPENING = ("wsl", "none", "cs_kd", "ls", "cutmix", "on_mt_ldl-mixup", "truth")


def sides(trained: pd.DataFrame, scaled: pd.DataFrame, shown: Sequence[str] = OPENING) -> Figure:
    """Mean multiple of hard labels' KL to the truth, as trained and scaled, a line a strategy.

    Both as :func:`ldlstudy.studies.truth.comparisons.by_cell` gives them.
    """
    ends = [comparisons.against_hard(table).mean(axis=1) for table in (trained, scaled)]
    there = [name for name in shown if all(name in end for end in ends)]
    if not there:
        return nothing()
    fig, ax = plt.subplots(figsize=(WIDTH, 3.8))
    for name in there:
        look = _look(name)
        line = {"color": look["color"], "lw": 1.5, "alpha": 0.6, "label": "_guide"}
        ys = [float(end[name]) for end in ends]
        ax.plot([0, 1], ys, **line)
        ax.plot([0, 1], ys, ls="", ms=6, label=_label(name), **look)
    _beside(ax, {name: float(ends[1][name]) for name in there})
    ax.set_xticks([0, 1], ["as trained", "scaled"])
    ax.set(xlim=(-0.1, 1.75), ylabel="KL to the truth, times hard labels'")
    ax.spines["bottom"].set_bounds(0, 1)
    return fig


def _beside(ax: Axes, points: Mapping[str, float]) -> None:
    """Write names to the right of points, apart by the height of a line."""
    low, high = ax.get_ylim()
    last = -math.inf
    for name, y in sorted(points.items(), key=lambda point: point[1]):
        last = max(y, last + (high - low) / 17)
        ax.annotate(
            _label(name), (1, y), (1.08, last), va="center", fontsize=8, annotation_clip=False
        )


def changes(trained: pd.DataFrame, scaled: pd.DataFrame) -> Figure:
    """KL to the truth over that of hard labels, by strategy and cell, before and after scaling.

    Both as :func:`ldlstudy.studies.truth.comparisons.by_cell` gives them; strategies are in the
    order of their scaled means.
    """
    cells = {name: f"{size}, σ = {short(f'{sigma:g}')}" for name, (size, sigma) in places().items()}
    order = comparisons.against_hard(scaled).mean(axis=1).sort_values().index
    if order.empty:
        return nothing()
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 6.6), sharey=True)
    for ax, table, title in zip(axes, (trained, scaled), ("as trained", "scaled"), strict=True):
        ratio = np.log2(comparisons.against_hard(table).loc[order].to_numpy())
        places_of = (range(length) for length in ratio.shape[::-1])
        shown = ax.pcolormesh(*places_of, ratio, cmap="RdBu_r", vmin=-1, vmax=1)  # takes the theme
        ax.set_title(title)
        ax.set_xticks(range(ratio.shape[1]), [cells[name] for name in table.columns], rotation=90)
        ax.set_yticks(range(len(order)), [_label(name) for name in order])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    axes[0].invert_yaxis()  # which the other shares
    bar = fig.colorbar(shown, ax=axes, shrink=0.5, extend="both", ticks=[-1, 0, 1])
    if bar.solids is not None:  # pixels would not take the theme
        bar.solids.set_rasterized(False)
    bar.ax.set_yticklabels(["half", "hard labels'", "twice"])
    return fig


def ranking(by_place: pd.DataFrame) -> Figure:
    """Mean ranks over cells, a line a strategy, the best above, and what may rank alike.

    By Nemenyi's critical difference at the 5 % level: with the best, within the shaded ranks; with
    hard labels, within the bar through their dot.
    """
    if len(by_place) < 3:
        return nothing()
    ranks = comparisons.mean_ranks(by_place).sort_values()
    apart = critical_difference(*by_place.shape)
    fig, ax = plt.subplots(figsize=(WIDTH, 0.17 * len(ranks) + 0.9))
    best = next(name for name in ranks.index if name != "truth")
    told = f"not told from {_label(best)}"
    reach = ranks[best] + apart
    spans: list[Artist] = [
        ax.axvspan(ranks[best], reach, color=GREEN, alpha=0.12, lw=0, label=told)
    ]
    for at, (name, rank) in enumerate(ranks.items()):
        ax.plot([0, rank], [at, at], color=GREY, lw=0.4, label="_guide")
        if name == "none":
            ends, told = [rank - apart, rank + apart], "not told from hard labels"
            spans += ax.plot(ends, [at, at], color=GREY, lw=3, alpha=0.5, label=told)
        ax.plot(rank, at, ls="", ms=5, label=_label(name), **_look(str(name)))
    ax.set_yticks(range(len(ranks)), [_label(name) for name in ranks.index], fontsize=7.5)
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, None), ylim=(len(ranks) - 0.4, -0.6), xlabel="mean rank, 1 is the nearest")
    fig.legend(handles=spans, loc="outside lower center", ncols=2)
    return fig


def frontiers(
    error: pd.Series, distances: Mapping[str, pd.Series], marked: Sequence[str] = ("none", "ls")
) -> Figure:
    """Accuracy against KL to the truth, a panel for each of ``distances``; the frontier joined."""
    if error.empty:
        return nothing()
    fig, axes = plt.subplots(1, len(distances), figsize=(WIDTH, 4.6))
    for ax, (title, distance) in zip(np.atleast_1d(axes), distances.items(), strict=True):
        best = comparisons.frontier(error, distance)
        look = {"color": GREY, "lw": 0.8, "ls": "--", "label": "the frontier"}
        ax.step(distance[best], 100 * (1 - error[best]), where="post", **look)
        named_here = list(dict.fromkeys((*best, *marked, "truth")))
        for name in error.index:
            at = distance[name], 100 * (1 - error[name])
            pale = 1.0 if name in named_here else 0.45
            ax.plot(*at, ls="", ms=5, label=_label(name), alpha=pale, **_look(name))
        shown = [n for n in named_here if n in distance.index]
        write_names(ax, {name: (distance[name], 100 * (1 - error[name])) for name in shown})
        ax.set(title=title, xlabel="KL to the truth, nats")
    np.atleast_1d(axes)[0].set_ylabel("accuracy, %")
    legend_of_papers(fig)
    return fig


def write_names(ax: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write the names of some points to their right, near the right end to their left."""
    low, high = ax.get_xlim()
    close = (ax.get_ylim()[1] - ax.get_ylim()[0]) / 25  # the height of a line
    last = math.inf
    for name, (x, y) in sorted(points.items(), key=lambda point: -point[1][1]):
        left = x > low + 0.85 * (high - low)
        below = last - y < close
        last = y - close if below else y
        ax.annotate(
            _label(name),
            (x, y),
            (-5 if left else 5, -9 if below else 3),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=7.5,
        )


@of_there
def labels_and_students(found: Mapping[str, pd.DataFrame], marked: Sequence[str]) -> Figure:
    """How near the labels are, and how near their student; a panel for each of ``found``.

    Each as :func:`ldlstudy.studies.truth.comparisons.by_strategy` gives it; hollow where images are
    changed.
    """
    fig, axes = plt.subplots(1, len(found), figsize=(WIDTH, 4.2))
    for ax, (title, table) in zip(np.atleast_1d(axes), found.items(), strict=True):
        for name, line in table.iterrows():
            filled = "none" if line["changed"] else "full"
            look = {"ls": "", "ms": 5, "fillstyle": filled, **_look(str(name))}
            ax.plot(line["label"], line["student"], label=_label(name), **look)
        write_names(
            ax,
            {
                n: (table.loc[n, "label"], table.loc[n, "student"])
                for n in marked
                if n in table.index
            },
        )
        ax.set(title=title, xlabel="labels: total variation to the truth")
    np.atleast_1d(axes)[0].set_ylabel("student: KL to the truth, nats")
    legend_of_papers(fig)
    return fig


def shares(results: Results) -> dict[str, dict[str, Estimate]]:
    """Return what share of pairs each metric orders as the KL does, by heading and stage."""
    stages = {"as trained": "plain", "scaled": "fitted"}
    kl = {stage: comparisons.scores(results, "kl_to_truth", stage) for stage in stages.values()}
    return {
        heading: {
            title: comparisons.agreement(comparisons.scores(results, metric, stage), kl[stage])
            for title, stage in stages.items()
            if len(kl[stage]) > 1
        }
        for heading, metric in MEASURES.items()
    }


@of_there
def agreements(found: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """The share of pairs that each metric orders as the KL to the truth does.

    ``found`` holds estimates by heading of the metric and by title of a series.
    """
    headings = list(found)
    series = list(next(iter(found.values())))
    fig, ax = plt.subplots(figsize=(WIDTH, 0.42 * len(headings) + 1))
    looks = zip(series, (BLUE, ORANGE), ("o", "s"), (-0.12, 0.12), strict=False)
    for name, colour, marker, shift in looks:
        for at, heading in enumerate(headings):
            mean, low, high = found[heading][name]
            ax.plot([low, high], [at + shift] * 2, color=colour, lw=1.2)
            first = name if at == 0 else None
            ax.plot(mean, at + shift, marker, color=colour, ms=5, label=first)
    ax.axvline(0.5, color=GREY, lw=0.8, ls="--")
    ax.set_yticks(range(len(headings)), headings)
    ax.invert_yaxis()
    ax.set(xlim=(None, 1), xlabel="share of pairs in the order of the KL")
    fig.legend(loc="outside lower center", ncols=2)
    return fig
