"""The figures of the LDL chapter that picture single networks, from what their records keep.

Scores by class, the best class, what supervises a mixed image, and losses of the best and the worst
classes over training.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from ldlstudy.report.figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    WIDTH,
    dots,
    legend,
    nothing,
    of_there,
    panels,
)
from ldlstudy.report.tables import short


@of_there
def class_scores(kept: Mapping[str, Mapping[str, Any]]) -> Figure:
    """LDL Figure 4: F1 score of each class against the mean confidence in it, a panel a method.

    Parameters
    ----------
    kept : Mapping
        Title of each panel to ``f1`` and ``confidence`` (K,), as a record's ``by_class`` has them;
        a class without an image, whose confidence is None, is left out.
    """
    fig, axes = panels(len(kept), 3, 2.4)
    points = {
        title: [(c, f1) for c, f1 in zip(of["confidence"], of["f1"], strict=True) if c is not None]
        for title, of in kept.items()
    }
    low = np.concatenate(list(points.values())).min() - 0.03
    for ax, (title, pairs) in zip(axes, points.items(), strict=True):
        ax.plot([low, 1], [low, 1], color="black", lw=0.8, label="equal")
        ax.add_patch(dots(np.array(pairs), BLUE, "classes"))
        ax.set(title=title, xlim=(low, 1.03), ylim=(low, 1.03), aspect="equal")
        ax.set(xlabel="mean probability of the class", ylabel="F1 score")
    return fig


@of_there
def best_class(kept: Mapping[str, Mapping[str, Any]], classes: Sequence[str]) -> Figure:
    """LDL Figure 5: mean probabilities on the images of each method's best class, the ten highest.

    Parameters
    ----------
    kept : Mapping
        Name of each method to a record's ``by_class``; its ``best`` has ``class``, ``f1``, and the
        ``classes`` and ``probabilities`` to draw.
    classes : sequence of str
        Names of the classes.
    """
    fig, axes = panels(len(kept), 3, 2.3)
    for ax, (title, of) in zip(axes, kept.items(), strict=True):
        best = of["best"]
        name = classes[best["class"]].replace("_", " ")
        _bars(ax, best, title, classes, [best["class"]])
        score = short(f"{best['f1']:.2f}")
        ax.set_title(f"{title}\n{name}, F1 {score}")
        ax.set_xlabel("mean probability")
    return fig


def _bars(
    ax: Axes, of: Mapping[str, Any], name: str, classes: Sequence[str], green: Sequence[int]
) -> None:
    """Horizontal bars of some ``classes`` and their ``probabilities``, the highest on top."""
    indices = of["classes"]
    colours = [GREEN if k in green else GREY for k in indices]
    ax.barh(range(len(indices)), of["probabilities"], color=colours, label=name)
    ax.set_yticks(range(len(indices)), [classes[k].replace("_", " ") for k in indices], fontsize=7)
    ax.set_xlim(0, 1)
    ax.invert_yaxis()


SAYS = {"mixing": "the mixing", "teacher": "the teacher", "truth": "the truth"}


def supervision(kept: Mapping[str, Any] | None, classes: Sequence[str]) -> Figure:
    """LDL Figure 6: what mixing, teacher and truth say of mixed images, a row an image.

    Classes of the images that were mixed are green.

    Parameters
    ----------
    kept : Mapping or None
        As :func:`ldlstudy.experiment.labels.supervision` gives it; without ``truth`` and ``pixels``
        their columns are missing. None of a network that was not run.
    classes : sequence of str
        Names of the classes.
    """
    if kept is None:
        return nothing()
    pictured, says = "pixels" in kept, [key for key in SAYS if key in kept]
    count, most = len(kept["mixing"]), max(len(of["classes"]) for key in says for of in kept[key])
    fig, axes = plt.subplots(
        count, pictured + len(says), squeeze=False, sharex="col",
        figsize=(WIDTH, 1.25 * count + 0.3),
    )  # fmt: skip
    for n, row in enumerate(axes):
        if pictured:
            pixels = np.array(kept["pixels"][n])[0, ::-1]  # the first line is the uppermost
            row[0].pcolormesh(pixels, cmap="gray_r")  # takes the theme
            row[0].set_aspect("equal")
            row[0].set_axis_off()
        for ax, key in zip(row[pictured:], says, strict=True):
            name = f"{SAYS[key]}, image {n + 1}"
            _bars(ax, kept[key][n], name, classes, kept["mixing"][n]["classes"])
            ax.set_ylim(most - 0.5, -0.5)  # bars as thick in every panel
    for ax, key in zip(axes[0, pictured:], says, strict=True):
        ax.set_title(SAYS[key])
    for ax in axes[-1, pictured:]:
        ax.set_xlabel("probability")
    return fig


LINES = ((RED, "-"), (ORANGE, "--"), (GREEN, "-."), (BLUE, "-"), (PURPLE, ":"), (GREY, "--"))


@of_there
def losses_by_class(
    histories: Mapping[str, Mapping[str, Sequence[Any]]], counts: Sequence[int] = (5, 20)
) -> Figure:
    """LDL Figure 8: test loss by epoch of the classes that end best and worst.

    Parameters
    ----------
    histories : Mapping
        Name of each method, at most six, to a history with ``test_class_loss``, a list of one loss
        a class for each epoch. Each method's classes are ranked by their loss after the last.
    counts : sequence of int
        How many classes are the best and the worst ones, a panel each.

    Raises
    ------
    ValueError
        A count of more than half the classes or below one.
    """
    fig, axes = plt.subplots(1, len(counts), squeeze=False, sharey=True, figsize=(WIDTH, 3.6))
    for ax, count in zip(axes[0], counts, strict=True):
        for (name, history), (colour, dash) in zip(histories.items(), LINES, strict=False):
            losses = np.array(history["test_class_loss"])  # (epochs, K)
            if not 1 <= count <= losses.shape[1] // 2:
                raise ValueError(
                    f"count must lie in [1, {losses.shape[1] // 2}], half the classes, got {count}"
                )
            order = losses[-1].argsort(kind="stable")
            epochs = range(1, len(losses) + 1)
            for part, width in ((order[-count:], 1.8), (order[:count], 0.9)):
                label = name if width > 1 else None
                ax.plot(epochs, losses[:, part].mean(1), dash, color=colour, lw=width, label=label)
        ax.set(title=f"best and worst {count} classes", xlabel="epoch", yscale="log")
    axes[0, 0].set_ylabel("test loss, nats")
    axes[0, 0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[0, 0].yaxis.set_major_formatter("{x:g}")
    axes[0, 0].yaxis.set_minor_formatter("")
    handles, names = axes[0, 0].get_legend_handles_labels()
    widths = {
        f"{which} classes": Line2D([], [], color="black", lw=lw)
        for which, lw in (("worst", 1.8), ("best", 0.9))
    }
    legend(fig, dict(zip(names, handles, strict=True)) | widths, columns=4)
    return fig
