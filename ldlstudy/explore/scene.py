"""A scene: what an explorer shows at some values of its controls, and the drawing of it.

Panels with marks, and some numbers. Here matplotlib draws it, for JupyterLab; ``explorer.js`` draws
the same on a page.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """

    title: str
    x: tuple[float, float]
    y: tuple[float, float]
    marks: list[dict[str, Any]]
    x_label: str = ""
    y_label: str = ""
    names: list[str] = field(default_factory=list)  # of places 0, 1, ... on the x axis


@dataclass(frozen=True)
class Scene:
    """What an explorer shows: panels, and numbers by what they are called."""

    panels: list[Panel]
    numbers: dict[str, float]


def image(title: str, pixels: list[list[float]]) -> Panel:
    """A panel with an image alone."""
    height, width = len(pixels), len(pixels[0])
    return Panel(title, (0, width), (height, 0), [{"kind": "image", "pixels": pixels}])


def distribution(title: str, probabilities: list[float], colour: str) -> Panel:
    """A panel with a bar for each class."""
    k = len(probabilities)
    names = [str(i) for i in range(k)]
    mark = {"kind": "bars", "at": list(range(k)), "height": probabilities, "width": 0.8}
    return Panel(title, (-0.6, k - 0.4), (0, 1), [{**mark, "colour": colour}], names=names)


def in_words(scene: Scene) -> str:
    """The numbers of a scene as a line of text."""
    return ", ".join(f"{name} {value:.3f}" for name, value in scene.numbers.items())


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
        ax.set_title(panel.title)
        if not ax.axison:
            continue
        ax.set(xlim=panel.x, ylim=panel.y, xlabel=panel.x_label, ylabel=panel.y_label)
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
        ax.bar(mark["at"], mark["height"], mark["width"], color=colour)
    elif kind == "words":
        halo = [withStroke(linewidth=3, foreground="white")]
        for (x, y), word in zip(mark["points"], mark["words"], strict=True):
            ax.text(x, y, word, ha="center", va="center", weight="bold", path_effects=halo)
    else:
        x, y = np.array(mark["points"]).reshape(-1, 2).T
        if kind == "line":
            ax.plot(x, y, color=colour)
        else:
            marker = SHAPES[mark["shape"]]
            size = 9 if mark["shape"] == "star" else 4
            ax.plot(x, y, marker, color=colour, ms=size, mec="white", mew=0.4)


def svg(fig: Figure) -> str:
    """The figure as an element of a page; it is closed."""
    file = io.StringIO()
    fig.savefig(file, format="svg")
    plt.close(fig)
    return file.getvalue().partition("<!DOCTYPE")[2].partition(">")[2]
