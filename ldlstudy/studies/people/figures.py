"""The figures of the chapter on people; a strategy has the colour of its paper."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from scipy.special import softmax

from ldlstudy.report.figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    WIDTH,
    legend,
    nothing,
    of_there,
)
from ldlstudy.report.results import Results
from ldlstudy.studies.people.comparisons import by_strategy
from ldlstudy.studies.people.runs import row
from ldlstudy.studies.strategies import PAPERS, named
from ldlstudy.studies.truth.figures import legend_of_papers, write_names

MARKS = (("o", BLUE), ("s", ORANGE), ("^", RED), ("D", PURPLE), ("X", "black"))
SEEN = 0.03  # a network's answer of less has no mark


def answers(
    results: Results, strategies: Sequence[str], images: Sequence[int], classes: Sequence[str]
) -> Figure:
    """What people and networks say of some images, a panel an image.

    Parameters
    ----------
    results : Results
        Of LeNet, whose first seeds have kept their answers.
    strategies : sequence of str
        Whose networks answer, at most five.
    images : sequence of int
        Positions among the images that were kept, three of each class.
    classes : sequence of str
        Names of the classes.
    """
    kept = {name: results.figure(row(name), "people") for name in strategies}
    kept = {name: figure for name, figure in kept.items() if figure is not None}
    if not kept:
        return nothing()
    pictures = results.figure(row("none"), "pictures")
    first = next(iter(kept.values()))
    fig, axes = plt.subplots(1, len(images), figsize=(WIDTH, 3.6), sharey=True, squeeze=False)
    for ax, image in zip(axes[0], images, strict=True):
        count, label = np.array(first["votes"][image]), first["labels"][image]
        look = {"color": GREY, "alpha": 0.25, "lw": 0, "label": "the official label"}
        ax.axhspan(label - 0.5, label + 0.5, **look)
        ax.barh(range(len(count)), count / count.sum(), 0.6, color=GREEN, label="people")
        for (name, figure), (marker, colour) in zip(kept.items(), MARKS, strict=False):
            p = softmax(figure["log_probabilities"][image])
            seen = np.flatnonzero(p >= SEEN)
            look = {"color": colour, "ls": "", "ms": 5, "clip_on": False}
            ax.plot(p[seen], seen, marker, label=named(name).label, **look)
        ax.set(title=f"labelled {classes[label]}", xlabel="probability, or share of the votes")
        ax.set(xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(len(count) - 0.5, -0.5))
        ax.set_yticks(range(len(classes)), classes)
        if pictures is not None:
            inset = ax.inset_axes((0.62, 0.02, 0.36, 0.28))
            _garment(inset, np.array(pictures["pixels"][image]))
            inset.set_axis_off()
    handles, names = axes[0, 0].get_legend_handles_labels()
    legend(fig, dict(zip(names, handles, strict=True)), columns=4)
    return fig


def _garment(ax: Axes, pixels: np.ndarray) -> None:
    """Draw the pixels that are not white as squares, which take the theme as a picture does not."""
    side = 1.5  # they overlap, or seams would be seen between them
    squares = [
        [(x, y), (x + side, y), (x + side, y + side), (x, y + side)] for y, x in np.argwhere(pixels)
    ]
    shades = pixels[pixels > 0]
    seen = PolyCollection(squares, array=shades, cmap="gray_r", clim=(0, 255), clip_on=False)
    ax.add_collection(seen)
    ax.set(xlim=(0, pixels.shape[1]), ylim=(pixels.shape[0], 0), aspect="equal")


@of_there
def doubts(found: Mapping[str, pd.DataFrame], marked: Sequence[str]) -> Figure:
    """Two scores of every strategy against each other, a panel for each of ``found``.

    Each has a line for each strategy, and two columns: the names of the axes.
    """
    fig, axes = plt.subplots(1, len(found), figsize=(WIDTH, 4.2), squeeze=False)
    for ax, (title, table) in zip(axes[0], found.items(), strict=True):
        x, y = table.columns
        for name, line in table.iterrows():
            ax.plot(line[x], line[y], ls="", ms=5, label=named(str(name)).label,
                    **PAPERS[named(str(name)).paper])  # fmt: skip
        points: dict[str, tuple[Any, Any]] = {
            n: (table.loc[n, x], table.loc[n, y]) for n in marked if n in table.index
        }
        write_names(ax, points)
        ax.set(title=title, xlabel=x, ylabel=y)
    legend_of_papers(fig, ("ours",))
    return fig


def scores(results: Results, pairs: Mapping[str, tuple[tuple[str, str, str], ...]]) -> Any:
    """Return for `doubts` the means over seeds of two scores of each strategy.

    ``pairs`` holds by title twice the name of an axis, a metric and a stage.
    """
    return {
        title: pd.DataFrame(
            {name: by_strategy(results, metric, stage) for name, metric, stage in axes}
        ).dropna()
        for title, axes in pairs.items()
    }
