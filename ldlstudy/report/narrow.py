"""A figure once more, for a phone: its panels below one another, its type as large as before."""

import copy
import io
import textwrap
from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, GridSpecBase, SubplotSpec

MIME = "application/vnd.ldlstudy.narrow+xml"  # of the picture, beside that of the wide one
WIDTH = 3.9  # inches: a phone's text column
FEW, TALL = 3, 9.0  # more panels that would be so many inches high stand two by two
LEAST = 0.7  # of its height a panel keeps
LETTERS = 20, 48  # of a line of a title or a label: of one of two panels, of one alone
NAMES = 8  # letters; a panel whose ticks have longer names stands alone
LEGEND, MARK = 58, 8  # letters in a line of the legend, and what one mark takes of them


def picture(figure: Figure) -> str:
    """Return the figure in the width of a phone, as SVG; nothing if it cannot be laid out anew.

    That is where panels are of unlike sizes, as a picture beside its bars. The figure itself is
    left as it is.
    """
    copied = copy.deepcopy(figure)
    try:
        if not _laid_out(copied):
            return ""
        text = io.StringIO()
        copied.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()
    finally:
        plt.close(copied)


def _laid_out(fig: Figure) -> bool:
    """Put the panels into fewer columns; return whether that is possible."""
    placed = [(ax, spec) for ax in fig.axes if (spec := ax.get_subplotspec()) is not None]
    grids = {spec.get_gridspec() for _, spec in placed}
    if len(grids) != 1 or not _even(next(iter(grids))):
        return False
    rows, old = next(iter(grids)).get_geometry()
    panels = dict.fromkeys(
        spec
        for ax, spec in placed
        if ax.get_visible() and (ax.axison or ax.images or ax.collections)
    )
    drawn = list(panels) or [spec for _, spec in placed]
    height = fig.get_figheight() / rows
    alone = len(drawn) <= FEW or height * len(drawn) <= TALL or _named(ax for ax, _ in placed)
    columns = 1 if alone else min(old, 2)
    _name_axes([ax for ax, _ in placed])
    grid = GridSpec(-(-len(drawn) // columns), columns, figure=fig)
    for ax, spec in placed:
        if spec in drawn:
            place = drawn.index(spec)
            ax.set_subplotspec(grid[place // columns, place % columns])
            letters = LETTERS[columns == 1]
            ax.set_title(textwrap.fill(ax.get_title(), letters))
            ax.set_xlabel(textwrap.fill(ax.get_xlabel(), letters))
        else:
            ax.remove()
    _with_ticks(ax for ax, spec in placed if spec in drawn)
    shape = WIDTH / columns / (fig.get_figwidth() / old)  # that of the panels is kept, about
    kept = 1.0 if old == 1 else min(1.0, max(shape, LEAST))
    fig.set_size_inches(WIDTH, height * kept * grid.nrows + 0.4)
    _legends(fig)
    return True


def _named(axes: Iterable[Axes]) -> bool:
    """Whether the lines of some panel have names that need room at its side."""
    names = (text.get_text() for ax in axes for text in ax.get_yticklabels())
    return max(map(len, names), default=0) > NAMES


def _even(grid: GridSpecBase) -> bool:
    ratios = grid.get_width_ratios(), grid.get_height_ratios()
    return all(np.ptp(np.asarray(each, dtype=float)) == 0 for each in ratios)


def _name_axes(axes: list[Axes]) -> None:
    """Give each panel the labels and the title that only the outer ones had."""
    named = [(ax, spec) for ax in axes if (spec := ax.get_subplotspec()) is not None]
    for ax, spec in named:
        if not ax.get_xlabel():
            ax.set_xlabel(_first(a.get_xlabel() for a, s in named if _overlap(s, spec, "col")))
        if not ax.get_ylabel():
            ax.set_ylabel(_first(a.get_ylabel() for a, s in named if _overlap(s, spec, "row")))
        if not ax.get_title():
            ax.set_title(_first(a.get_title() for a, s in named if _overlap(s, spec, "col")))


def _overlap(one: SubplotSpec, other: SubplotSpec, side: str) -> bool:
    return bool(getattr(one, f"{side}span").start == getattr(other, f"{side}span").start)


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")


def _with_ticks(axes: Iterable[Axes]) -> None:
    """Let every panel show the numbers of its axes."""
    for ax in axes:
        ax.tick_params(labelbottom=True, labelleft=True)


def _legends(fig: Figure) -> None:
    """Draw the figure's legends in as many columns as fit."""
    for legend in list(fig.legends):
        handles = [handle for handle in legend.legend_handles if handle is not None]
        labels = [text.get_text() for text in legend.get_texts()]
        fig.legends.remove(legend)  # its own method would look into the other figure
        longest = max(map(len, labels), default=1)
        columns = max(1, min(len(labels), LEGEND // (longest + MARK)))
        fig.legend(handles, labels, ncols=columns, loc="outside lower center", fontsize=8)
