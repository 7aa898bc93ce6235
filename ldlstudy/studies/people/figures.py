"""The figures of the chapter on people; a strategy has the colour of its paper."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import softmax

from ldlstudy.report.figures import BLUE, GREEN, GREY, WIDTH, nothing, of_there
from ldlstudy.report.results import Results
from ldlstudy.studies.people.comparisons import by_strategy
from ldlstudy.studies.people.runs import row
from ldlstudy.studies.strategies import PAPERS, named
from ldlstudy.studies.truth.figures import legend_of_papers, write_names


def answers(
    results: Results, strategies: Sequence[str], images: Sequence[int], classes: Sequence[str]
) -> Figure:
    """What people and networks say of some images, a line an image, a panel an answer.

    Parameters
    ----------
    results : Results
        Of LeNet, whose first seeds have kept their answers.
    strategies : sequence of str
        Whose networks answer.
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
    columns = 2 + len(kept)
    fig, axes = plt.subplots(
        len(images), columns, figsize=(WIDTH, 1.35 * len(images) + 0.9), squeeze=False
    )
    for at, (line, image) in enumerate(zip(axes, images, strict=True)):
        line[0].set_axis_off()
        if pictures is not None:
            line[0].imshow(pictures["pixels"][image], cmap="gray_r", vmin=0, vmax=255)
        count = np.array(first["votes"][image])
        shown = {"people": count / count.sum()}
        shown |= {
            named(name).label: softmax(figure["log_probabilities"][image])
            for name, figure in kept.items()
        }
        label = first["labels"][image]
        for ax, (title, p) in zip(line[1:], shown.items(), strict=True):
            colours = [GREEN if title == "people" else BLUE] * len(p)
            ax.barh(range(len(p)), p, color=colours, label=title)
            ax.barh([label], [p[label]], color=GREY, label=f"{title}: the label")
            ax.set(xlim=(0, 1), xticks=[0, 1], yticks=[], ylim=(len(p) - 0.5, -0.5))
            if at == 0:
                ax.set_title(title, fontsize=8)
            if at < len(images) - 1:
                ax.set_xticklabels([])
        line[1].set_yticks(range(len(classes)), classes, fontsize=5.5)
    return fig


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
