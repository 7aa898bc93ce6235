"""A scene: what an explorer shows at some values of its controls, and the drawing of it.

Panels with marks and numbers, and an answer. Here matplotlib draws it, for JupyterLab;
``explorer.js`` draws the same on a page.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ldlstudy.report import figures

COLOURS = {
    "blue": figures.BLUE,
    "orange": figures.ORANGE,
    "green": figures.GREEN,
    "red": figures.RED,
    "purple": figures.PURPLE,
    "grey": figures.GREY,
}
CLASS_COLOURS = ("blue", "red", "green")
SHAPES = {"circle": "o", "square": "s", "triangle": "^", "star": "*"}  # as matplotlib calls them
TINT = 0.5  # of the colours of areas, so that dots on them are seen


Answer = list[str | float]
NEAR = 5e-4  # what is as near as this to the nearest is shown as equally near


@dataclass(frozen=True)
class Panel:
    """One coordinate system; ``x`` and ``y`` are the ends of its axes.

    ``marks`` are dictionaries with a ``kind``:

    - ``bars``: ``at``, ``height``, ``width``, ``colour`` (of `COLOURS`, as everywhere);
    - ``line``: ``points``, ``colour``;
    - ``dots``: ``points``, ``colour``, ``shape`` (of `SHAPES`);
    - ``areas``: ``rows`` of cells that fill the panel, the lowest first, each a position in
      ``colours``;
    - ``shades``: ``rows`` of cells from 0, white, to 1, ``colour``;
    - ``words``: ``points`` and what is written there, ``words``;
    - ``image``: ``pixels`` from 0 to 1, alone in its panel.

    A mark with a ``label`` is in the panel's legend. ``numbers`` stand under the panel; one that is
    ``best`` is marked in words and with a frame.
    """

    title: str
    x: tuple[float, float]
    y: tuple[float, float]
    marks: list[dict[str, Any]]
    x_label: str = ""
    y_label: str = ""
    names: list[str] = field(default_factory=list)  # of places 0, 1, ... on the x axis
    numbers: dict[str, float] = field(default_factory=dict)
    best: str = ""  # what it is best at, if it is


@dataclass(frozen=True)
class Scene:
    """What an explorer shows: panels, and the answer to its question, words and numbers in turn."""

    panels: list[Panel]
    answer: Answer


def image(title: str, pixels: list[list[float]]) -> Panel:
    """A panel with an image alone."""
    height, width = len(pixels), len(pixels[0])
    return Panel(title, (0, width), (height, 0), [{"kind": "image", "pixels": pixels}])


def distribution(
    title: str,
    probabilities: list[float],
    colour: str,
    numbers: Mapping[str, float] = MappingProxyType({}),
    best: str = "",
) -> Panel:
    """A panel with a bar for each class."""
    k = len(probabilities)
    names = [str(i) for i in range(k)]
    mark = {"kind": "bars", "at": list(range(k)), "height": probabilities, "width": 0.8}
    ends, marks = (-0.6, k - 0.4), [{**mark, "colour": colour}]
    return Panel(title, ends, (0, 1), marks, names=names, numbers=dict(numbers), best=best)


def nearest(far: Mapping[str, float]) -> list[str]:
    """Which of some distances are the least, in the digits that are shown."""
    return [name for name, value in far.items() if value < min(far.values()) + NEAR]


def in_words(parts: Iterable[str | float]) -> str:
    """An answer as a line of text."""
    return "".join(part if isinstance(part, str) else _rounded(part) for part in parts)


def caption(panel: Panel) -> list[str]:
    """What stands under a panel: its numbers, and what it is best at."""
    numbers = [f"{name} {_rounded(value)}" for name, value in panel.numbers.items()]
    return [*numbers, panel.best] if panel.best else numbers


def _rounded(value: float) -> str:
    return f"{value + 1e-9:.3f}"  # a half goes up, as in the script


def figure(scene: Scene) -> Figure:
    """Draw a scene with matplotlib."""
    columns = min(4, len(scene.panels))
    rows = -(-len(scene.panels) // columns)
    fig, axes = plt.subplots(
        rows, columns, squeeze=False, figsize=(figures.WIDTH, 2.3 * rows), layout="constrained"
    )
    for ax in axes.flat[len(scene.panels) :]:
        ax.set_axis_off()
    for ax, panel in zip(axes.flat, scene.panels, strict=False):
        for mark in panel.marks:
            _draw(ax, panel, mark)
        ax.set_title(panel.title, weight="bold" if panel.best else None)
        if not ax.axison:
            continue
        below = "\n".join([*filter(None, [panel.x_label]), *caption(panel)])
        ax.set(xlim=panel.x, ylim=panel.y, xlabel=below, ylabel=panel.y_label)
        if ax.get_legend_handles_labels()[1]:
            ax.legend(loc="upper left")
        if panel.names:
            ax.set_xticks(range(len(panel.names)), panel.names)
    return fig


def _draw(ax: Axes, panel: Panel, mark: Mapping[str, Any]) -> None:
    """One mark."""
    kind, colour = mark["kind"], COLOURS.get(mark.get("colour", ""))
    if kind == "image":
        ax.imshow(mark["pixels"], cmap="gray_r", vmin=0, vmax=1)
        ax.set_axis_off()
    elif kind in ("areas", "shades"):
        if kind == "areas":
            cmap: Colormap = ListedColormap([COLOURS[name] for name in mark["colours"]])
            low, high, alpha = -0.5, cmap.N - 0.5, TINT
        else:
            cmap = LinearSegmentedColormap.from_list("", ["white", str(colour)])
            low, high, alpha = 0, 1, 1
        ax.imshow(
            mark["rows"], cmap, alpha=alpha, vmin=low, vmax=high, extent=(*panel.x, *panel.y),
            origin="lower", aspect="auto", interpolation="nearest",
        )  # fmt: skip
    elif kind == "bars":
        ax.bar(mark["at"], mark["height"], mark["width"], color=colour, label=mark.get("label"))
    elif kind == "words":
        halo = [withStroke(linewidth=3, foreground="white")]
        for (x, y), word in zip(mark["points"], mark["words"], strict=True):
            ax.text(x, y, word, ha="center", va="center", weight="bold", path_effects=halo)
    else:
        x, y = np.array(mark["points"]).reshape(-1, 2).T
        if kind == "line":
            ax.plot(x, y, color=colour, label=mark.get("label"))
        else:
            marker = SHAPES[mark["shape"]]
            size = 9 if mark["shape"] == "star" else 4
            style: dict[str, Any] = {"mec": "white", "mew": 0.4, "label": mark.get("label")}
            ax.plot(x, y, marker, color=colour, ms=size, **style)


def svg(fig: Figure) -> str:
    """The figure as an element of a page; it is closed."""
    file = io.StringIO()
    fig.savefig(file, format="svg")
    plt.close(fig)
    return file.getvalue().partition("<!DOCTYPE")[2].partition(">")[2]
