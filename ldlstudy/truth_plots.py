"""The figures of the chapter on one truth; a strategy has the colour of its paper."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ldlstudy import truth_findings
from ldlstudy.plots import BLUE, GREEN, GREY, ORANGE, RED, WIDTH
from ldlstudy.stats import Estimate
from ldlstudy.truth import STRATEGIES
from ldlstudy.truth_tables import LABELS

PAPERS: dict[str, dict[str, Any]] = {  # colour and marker, so that neither is needed alone
    "": {"color": GREY, "marker": "o"},
    "LS": {"color": GREY, "marker": "s"},
    "ILS": {"color": ORANGE, "marker": "^"},
    "CS-KD": {"color": RED, "marker": "D"},
    "LDL": {"color": BLUE, "marker": "o"},
}
TAUGHT_TRUTH = {"color": GREEN, "marker": "*"}


def _look(strategy: str) -> dict[str, Any]:
    return TAUGHT_TRUTH if strategy == "truth" else PAPERS[STRATEGIES[strategy].paper]


def _legend(fig: Figure) -> None:
    looks = {"hard labels": PAPERS[""], **{k: v for k, v in PAPERS.items() if k}}
    looks["the true posterior"] = TAUGHT_TRUTH
    dots = [Line2D([], [], ls="", label=name, **look) for name, look in looks.items()]
    fig.legend(handles=dots, loc="outside lower center", ncols=6, handletextpad=0.1)


def changes(trained: pd.DataFrame, scaled: pd.DataFrame) -> Figure:
    """KL to the truth over that of hard labels, by strategy and cell, before and after scaling.

    Both as :func:`ldlstudy.truth_findings.by_cell` gives them; strategies are in the order of their
    scaled means.
    """
    order = (scaled / scaled.loc["none"]).mean(axis=1).sort_values().index
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 6.6), sharey=True)
    for ax, table, title in zip(axes, (trained, scaled), ("as trained", "scaled"), strict=True):
        ratio = np.log2((table / table.loc["none"]).loc[order].to_numpy())
        shown = ax.imshow(ratio, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        ax.set_title(title)
        ax.set_xticks(range(ratio.shape[1]), [_cell(name) for name in table.columns], rotation=90)
        ax.set_yticks(range(len(order)), [LABELS[name] for name in order])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    fig.colorbar(shown, ax=axes, shrink=0.5, extend="both", ticks=[-1, 0, 1]).ax.set_yticklabels(
        ["half", "hard labels'", "twice"]
    )
    return fig


def _cell(name: str) -> str:
    """``...-n100-s0.5`` as the axis has it."""
    *_, size, sigma = name.split("-")
    return f"{size[1:]}, σ = {sigma[2:]}"


def ranking(places: pd.DataFrame) -> Figure:
    """Demsar's critical-difference diagram: mean ranks over cells; bars join what may be alike.

    Bars are Nemenyi's test at the 5 % level (scikit-posthocs).
    """
    import scikit_posthocs

    ranked = places.rename(index=LABELS)
    names = {label: name for name, label in LABELS.items()}
    alike = scikit_posthocs.posthoc_nemenyi_friedman(ranked.T.reset_index(drop=True))
    fig, ax = plt.subplots(figsize=(WIDTH, 5.2))
    scikit_posthocs.critical_difference_diagram(
        truth_findings.mean_ranks(ranked),
        alike,
        ax=ax,
        label_fmt_left="{label}  {rank:.1f} ",
        label_fmt_right=" {rank:.1f}  {label}",
        label_props={"fontsize": 8},
        crossbar_props={"linewidth": 1.6, "color": "black"},
        marker_props={"s": 14},
        elbow_props={"linewidth": 0.8},
        text_h_margin=0.4,
        color_palette={label: _look(name)["color"] for label, name in names.items()},
    )
    return fig


def frontiers(
    error: pd.Series, distances: Mapping[str, pd.Series], named: Sequence[str] = ("none", "ls")
) -> Figure:
    """Accuracy against KL to the truth, a panel for each of ``distances``; the frontier joined."""
    fig, axes = plt.subplots(1, len(distances), figsize=(WIDTH, 4.6), sharey=True)
    for ax, (title, distance) in zip(np.atleast_1d(axes), distances.items(), strict=True):
        best = truth_findings.frontier(error, distance)
        ax.step(distance[best], 100 * (1 - error[best]), where="post", color=GREY, lw=0.8, ls="--")
        for name in error.index:
            ax.plot(distance[name], 100 * (1 - error[name]), ls="", ms=5, **_look(name))
        shown = dict.fromkeys((*best, *named, "truth"))
        _name(ax, {name: (distance[name], 100 * (1 - error[name])) for name in shown})
        ax.set(title=title, xlabel="KL to the truth, nats")
    np.atleast_1d(axes)[0].set_ylabel("accuracy, %")
    _legend(fig)
    return fig


def _name(ax: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write the names of some points to their right, near the right end to their left."""
    low, high = ax.get_xlim()
    close = (ax.get_ylim()[1] - ax.get_ylim()[0]) / 25  # the height of a line
    last = math.inf
    for name, (x, y) in sorted(points.items(), key=lambda point: -point[1][1]):
        left = x > low + 0.85 * (high - low)
        below = last - y < close
        last = y - close if below else y
        ax.annotate(
            LABELS[name],
            (x, y),
            (-5 if left else 5, -9 if below else 3),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=7.5,
        )


def labels_and_students(found: Mapping[str, pd.DataFrame], named: Sequence[str]) -> Figure:
    """How near the labels are, and how near their student; a panel for each of ``found``.

    Each as :func:`ldlstudy.truth_findings.by_strategy` gives it; hollow where images are changed.
    """
    fig, axes = plt.subplots(1, len(found), figsize=(WIDTH, 4.2))
    for ax, (title, table) in zip(np.atleast_1d(axes), found.items(), strict=True):
        for name, line in table.iterrows():
            filled = "none" if line["changed"] else "full"
            look = {"ls": "", "ms": 5, "fillstyle": filled, **_look(str(name))}
            ax.plot(line["label"], line["student"], **look)
        _name(ax, {n: (table.loc[n, "label"], table.loc[n, "student"]) for n in named})
        ax.set(title=title, xlabel="labels: total variation to the truth")
    np.atleast_1d(axes)[0].set_ylabel("student: KL to the truth, nats")
    _legend(fig)
    return fig


def agreements(shares: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """The share of pairs that each metric orders as the KL to the truth does.

    ``shares`` holds estimates by heading of the metric and by title of a series.
    """
    headings = list(shares)
    series = list(next(iter(shares.values())))
    fig, ax = plt.subplots(figsize=(WIDTH, 0.42 * len(headings) + 1))
    looks = zip(series, (BLUE, ORANGE), ("o", "s"), (-0.12, 0.12), strict=False)
    for name, colour, marker, shift in looks:
        for at, heading in enumerate(headings):
            mean, low, high = shares[heading][name]
            ax.plot([low, high], [at + shift] * 2, color=colour, lw=1.2)
            first = name if at == 0 else None
            ax.plot(mean, at + shift, marker, color=colour, ms=5, label=first)
    ax.axvline(0.5, color=GREY, lw=0.8, ls="--")
    ax.set_yticks(range(len(headings)), headings)
    ax.invert_yaxis()
    ax.set(xlim=(None, 1), xlabel="share of pairs in the order of their KL to the truth")
    fig.legend(loc="outside lower center", ncols=2)
    return fig
