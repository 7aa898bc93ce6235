"""What the figures of all chapters share: size, type, colours, dots, legends."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any, Concatenate, ParamSpec, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from ldlstudy.extras import needs
from ldlstudy.report import export

# Okabe and Ito's colours, which colour-blind readers tell apart; lines differ in style as well.
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#666666",
)  # fmt: skip
CLASS_COLOURS = (BLUE, RED, GREEN)
WIDTH = 7.2  # inches; the book's text column


def setup() -> None:
    """Draw figures as SVG, the same file each time, in the book's size and type; data as CSV."""
    export.register()
    if export.kernel() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})
        plt.uninstall_repl_displayhook()  # which draws each figure once more, for no one to see
    plt.rcParams.update(
        {
            "svg.hashsalt": "ldlstudy",
            "figure.figsize": (WIDTH, 3.2),
            "figure.constrained_layout.use": True,
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 9,
            "legend.frameon": False,
        }
    )


def dots(points: np.ndarray, colour: str, name: str = "") -> PathPatch:
    """Return points (N, 2) as one path of round dots: an SVG a quarter as large as N markers."""
    path = Path(np.repeat(points, 2, axis=0), [Path.MOVETO, Path.LINETO] * len(points))
    path.should_simplify = False  # which would leave out lines without a length
    return PathPatch(
        path, edgecolor=colour, fill=False, lw=3, capstyle="round", alpha=0.6, label=name
    )


def panels(
    count: int,
    columns: int,
    height: float,
    room: float = 0.0,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, in rows of at most ``columns``.

    ``height`` is a row's; ``room`` is added to the sum.
    """
    columns = 2 if count == 4 else min(columns, count)  # none stands alone in its row
    rows = -(-count // columns)
    fig, axes = plt.subplots(
        rows, columns, sharex=sharex, sharey=sharey, squeeze=False,
        figsize=(WIDTH, height * rows + room),
    )  # fmt: skip
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    return fig, list(axes.flat[:count])


def label_outer(axes: Iterable[Axes], x: str, y: str) -> None:
    """Label the axes of panels at the left, and of the last row."""
    for ax in axes:
        place = ax.get_subplotspec()
        assert place is not None
        if place.is_last_row():
            ax.set_xlabel(x)
        if place.is_first_col():
            ax.set_ylabel(y)


def nothing() -> Figure:
    """Return a figure that says that nothing it would show has been run."""
    fig, ax = plt.subplots(figsize=(WIDTH, 1))
    ax.set_axis_off()
    ax.text(0.5, 0.5, "not yet run", ha="center", va="center", color=GREY)
    return fig


def critical_differences(ax: Axes, scores: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Draw Demsar's critical-difference diagram of scores, methods by data sets, into a panel.

    Methods stand at their mean ranks, of which 1 is the lowest score's; bars join those that
    Nemenyi's test does not tell apart at the 5 % level (scikit-posthocs). ``colours`` are by
    method; others are grey.
    """
    with needs("study"):
        import scikit_posthocs

    alike = scikit_posthocs.posthoc_nemenyi_friedman(scores.T.reset_index(drop=True))
    scikit_posthocs.critical_difference_diagram(
        scores.rank().mean(axis=1),
        alike,
        ax=ax,
        label_fmt_left="{label}  {rank:.1f} ",
        label_fmt_right=" {rank:.1f}  {label}",
        label_props={"fontsize": 8},
        crossbar_props={"linewidth": 1.6, "color": "black"},
        marker_props={"s": 14},
        elbow_props={"linewidth": 0.8},
        text_h_margin=0.4,
        color_palette={name: colours.get(name, GREY) for name in scores.index},
    )


S = TypeVar("S", bound=Sized)
More = ParamSpec("More")


def of_there(
    draw: Callable[Concatenate[Mapping[str, S], More], Figure],
) -> Callable[Concatenate[Mapping[str, S | None], More], Figure]:
    """Let a function draw what there is: what was not run, None or empty, is left out before."""

    @functools.wraps(draw)
    def drawn(shown: Mapping[str, S | None], *more: More.args, **named: More.kwargs) -> Figure:
        there = {name: of for name, of in shown.items() if of is not None and len(of)}
        return draw(there, *more, **named) if there else nothing()

    return drawn


def legend(fig: Figure, handles: Mapping[str, Any], columns: int) -> None:
    """Draw a legend below the panels, from handles by name."""
    fig.legend(handles.values(), handles.keys(), ncols=columns, loc="outside lower center")


def drawn_lines(fig: Figure) -> dict[str, Any]:
    """Return a line for each label that some panel has."""
    return {str(line.get_label()): line for ax in fig.axes for line in ax.lines}


@of_there
def confidence(diagrams: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Guo et al. (2017) Figure 1: a histogram of confidence over the reliability diagram, as bars.

    LDL's Figure 1 has such diagrams, too, and so do the slides on CS-KD.

    Parameters
    ----------
    diagrams : Mapping
        Title of each column to a network's bins (:func:`ldlstudy.experiment.keep.reliability`).
    """
    fig, axes = plt.subplots(
        2, len(diagrams), sharex=True, sharey="row", squeeze=False, figsize=(WIDTH, 4.9)
    )
    for (top, bottom), (title, bins) in zip(axes.T, diagrams.items(), strict=True):
        share = np.array(bins["count"]) / sum(bins["count"])
        right, sure = (np.array(bins[part], dtype=float) for part in ("accuracy", "confidence"))
        edges = np.linspace(0, 1, len(share) + 1)
        width, middle = edges[1], (edges[:-1] + edges[1:]) / 2
        top.bar(middle, share, width, color=BLUE, ec="white", label="images")
        for of, dash, name in ((right, "-", "accuracy"), (sure, "--", "mean confidence")):
            top.axvline(np.nansum(share * of), ls=dash, color="black", lw=1.2, label=name)
        bottom.bar(middle, right, width, color=BLUE, ec="white", label="accuracy in a bin")
        gap = {"color": RED, "alpha": 0.35, "hatch": "//", "label": "its gap to the confidence"}
        bottom.bar(middle, sure - right, width, bottom=right, **gap)
        bottom.plot([0, 1], [0, 1], color="black", lw=0.8, label="perfect")
        ece = f"{np.nansum(share * abs(right - sure)):.3f}".removeprefix("0")
        top.set_title(title)
        bottom.set_title(f"accuracy {np.nansum(share * right):.1%}, ECE {ece}")
        bottom.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence")
    axes[0, 0].set_ylabel("share")
    axes[1, 0].set_ylabel("accuracy")
    legend(fig, _labelled(axes[0, 0]) | _labelled(axes[1, 0]), columns=3)
    return fig


def _labelled(ax: Axes) -> dict[str, Any]:
    """What a panel draws, by its label."""
    handles, names = ax.get_legend_handles_labels()
    return dict(zip(names, handles, strict=True))


LINES = ((BLUE, "-", "o"), (GREEN, "--", "s"), (RED, "-.", "^"), (PURPLE, ":", "D"))
FEWEST = 10  # images in a bin that is drawn


@of_there
def planes(figures: Mapping[str, Mapping[str, Any]], classes: tuple[str, ...]) -> Figure:
    """[Re] Figure 2: activations of three classes on the plane of their templates.

    Parameters
    ----------
    figures : Mapping
        Title of each network to its ``plane`` (:func:`ldlstudy.experiment.planes.plane`).
    classes : tuple of str
        Names of the three classes.
    """
    height = min(6.4, 2 * WIDTH / len(figures) + 1.2)  # squares, in rows of one or many
    fig, axes = plt.subplots(
        2, len(figures), sharex=True, sharey=True, squeeze=False, figsize=(WIDTH, height)
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


@of_there
def reliability(diagrams: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """[Re] Figure 3, CS-KD 4, LDL 11: accuracy against confidence, a panel a network, a line each.

    Parameters
    ----------
    diagrams : Mapping
        Title of each panel to name of each line to its bins
        (:func:`ldlstudy.experiment.keep.reliability`); those of fewer than 10 images are left out.
        At most four names of lines; a name looks the same in every panel.
    """
    names = dict.fromkeys(name for lines in diagrams.values() for name in lines)
    looks = dict(zip(names, LINES, strict=False))
    fig, axes = panels(len(diagrams), 2, 3.1, sharex=True, sharey=True)
    for ax in axes[-2:]:
        ax.tick_params(labelbottom=True)  # the lowest of its column, perhaps above a spare panel
    for ax, (title, lines) in zip(axes, diagrams.items(), strict=True):
        ax.plot([0, 1], [0, 1], color="black", lw=0.8, label="perfect")
        for name, bins in lines.items():
            colour, dash, marker = looks[name]
            each = zip(bins["count"], bins["confidence"], bins["accuracy"], strict=True)
            full = [(c, a) for n, c, a in each if n >= FEWEST]
            x, y = np.reshape(full, (-1, 2)).T
            ax.plot(
                x, y, dash, marker=marker, color=colour, ms=3.5, label=name, clip_on=False
            )  # markers at 1 are drawn whole
        ax.set(title=title, xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="confidence")
    for ax in axes[::2]:
        ax.set_ylabel("accuracy")
    legend(fig, drawn_lines(fig), columns=4)
    return fig
