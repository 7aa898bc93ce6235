"""The data that a figure draws, as one table: a row for each point, whatever drew it.

Figures are made of artists: lines, bars, images, ... Each knows its coordinates, so what a reader
sees can be read back without the code that drew it.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.category import StrCategoryFormatter
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.container import BarContainer, Container, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle, StepPatch
from matplotlib.ticker import FuncFormatter

NAN = float("nan")
SCHEME = "scheme"  # the label of panels that explain and draw no data
NAMING = FuncFormatter, StrCategoryFormatter  # of ticks that were named


class Point(NamedTuple):
    """Something at x, y; what extends (a bar, an interval) begins at the coordinates ``from``."""

    kind: str
    x: float
    y: float
    x_from: float = NAN
    y_from: float = NAN
    value: float = NAN


def series(fig: Figure) -> list[pd.DataFrame]:
    """The data of a figure, a table for each series of each panel.

    Parameters
    ----------
    fig : Figure
        Its lines, markers, bars, steps, intervals and heat maps are read. Texts, shapes, contours,
        colour bars and panels without axes (pictures, schemes) draw no data.

    Returns
    -------
    list of DataFrame
        With columns ``panel`` (its title, or its number), ``series`` (its label, or a number),
        ``x axis`` and ``y axis`` (their labels), ``x name`` and ``y name`` (of categories), and
        those of :class:`Point`.
    """
    return [
        frame
        for number, ax in enumerate(fig.axes, start=1)
        if ax.get_visible()
        and ax.axison
        and ax.get_label() != SCHEME
        and not hasattr(ax, "_colorbar")
        for frame in _panel(ax, " ".join(ax.get_title().split()) or f"panel {number}")
    ]


def _panel(ax: Axes, title: str) -> Iterator[pd.DataFrame]:
    whole = [c for c in ax.containers if isinstance(c, BarContainer | ErrorbarContainer)]
    parts = {part for container in whole for part in container.get_children()}
    artists = (*ax.lines, *ax.collections, *ax.patches, *ax.images)
    alone = [artist for artist in artists if artist.get_visible() and artist not in parts]
    for drawing, name in _named([*alone, *whole]).items():
        found = _in_data(drawing, ax) if isinstance(drawing, Artist) else points(drawing)
        frame = pd.DataFrame(found, columns=Point._fields).dropna(subset=["x", "y"], how="all")
        if frame.empty:
            continue
        frame.insert(0, "panel", title)
        frame.insert(1, "series", name)
        for axis in "xy":
            frame[f"{axis} axis"] = _label(ax, axis)
            frame[f"{axis} name"] = _categories(ax, axis, frame[axis])
        yield frame


def _named(drawings: Sequence[Artist | Container]) -> dict[Artist | Container, str]:
    """Drawings by what they are called; what has no label may share its colour with one that has.

    An interval then has the name of its line, unless two are of that colour.
    """
    labels = {drawing: str(drawing.get_label() or "_") for drawing in drawings}
    names: dict[str, set[str]] = {}
    for drawing, label in labels.items():
        if not label.startswith("_"):  # as matplotlib calls what has none
            names.setdefault(_colour(drawing), set()).add(label)
    for number, (drawing, label) in enumerate(labels.items(), start=1):
        if label.startswith("_"):
            alike = names.get(_colour(drawing) or "none", set())
            labels[drawing] = next(iter(alike)) if len(alike) == 1 else f"series {number}"
    return labels


def _colour(drawing: Artist | Container) -> str:
    """The one colour of lines and steps; nothing for what has another or several."""
    if isinstance(drawing, StepPatch):
        colours = to_rgba_array(drawing.get_edgecolor())
    elif isinstance(drawing, Line2D | LineCollection):
        colours = to_rgba_array(drawing.get_color())
    else:
        return ""
    return to_hex(colours[0]) if len(colours) == 1 else ""


def _in_data(artist: Artist, ax: Axes) -> list[Point]:
    """Points without those coordinates that are parts of the panel and not data."""
    transform = (
        artist.get_offset_transform()
        if isinstance(artist, PathCollection)
        else artist.get_transform()
    )
    x, y = transform.contains_branch_seperately(ax.transData)
    if x and y:
        return points(artist)
    found = points(artist)
    if not x:
        found = [point._replace(x=NAN, x_from=NAN) for point in found]
    if not y:
        found = [point._replace(y=NAN, y_from=NAN) for point in found]
    return list(dict.fromkeys(found))


def _label(ax: Axes, axis: str) -> str:
    """The label of an axis; of axes that are shared only the outer ones may show it."""
    shared = getattr(ax, f"get_shared_{axis}_axes")().get_siblings(ax)
    labels = (getattr(each, f"get_{axis}label")() for each in (ax, *shared))
    return next(filter(None, labels), "")


def _categories(ax: Axes, axis: str, values: Sequence[float]) -> list[str]:
    """The category next to each value, where named ticks stand at 0, 1, 2, ..."""
    ticks = getattr(ax, f"{axis}axis")
    formatter, at = ticks.get_major_formatter(), ticks.get_majorticklocs()
    if not isinstance(formatter, NAMING) or not np.array_equal(at, np.arange(len(at))):
        return [""] * len(values)
    names = dict(enumerate(formatter.format_ticks(at)))
    return ["" if np.isnan(v) else names.get(round(v), "") for v in values]


@functools.singledispatch
def points(drawing: Artist | Container) -> list[Point]:
    """The points of an artist, in its own coordinates; none of a kind that draws no data."""
    return []


@points.register
def _(line: Line2D) -> list[Point]:
    kind = "point" if line.get_linestyle() == "None" else "line"
    return [Point(kind, *xy) for xy in np.asarray(line.get_xydata(), float).tolist()]


@points.register
def _(scatter: PathCollection) -> list[Point]:
    return [Point("point", *xy) for xy in np.ma.filled(scatter.get_offsets(), NAN).tolist()]


@points.register
def _(lines: LineCollection) -> list[Point]:
    ends: list[Any] = [np.asarray(each)[[0, -1]].tolist() for each in lines.get_segments()]
    return [Point("segment", *last, *first) for first, last in ends]


@points.register
def _(steps: StepPatch) -> list[Point]:
    values, edges, _ = steps.get_data()
    return [
        Point("step", float(high), float(value), x_from=float(low))
        for low, high, value in zip(edges[:-1], edges[1:], values, strict=True)
    ]


@points.register
def _(box: Rectangle) -> list[Point]:
    (x, y), width, height = box.get_xy(), box.get_width(), box.get_height()
    return [Point("rectangle", x + width, y + height, x, y)]


@points.register
def _(cloud: PathPatch) -> list[Point]:
    """Round dots as :func:`ldlstudy.report.figures.dots` draws them: lines without a length."""
    vertices = np.asarray(cloud.get_path().vertices, float)
    dots = np.array_equal(vertices[::2], vertices[1::2])
    return [Point("point", *xy) for xy in vertices[::2].tolist()] if dots else []


@points.register
def _(image: AxesImage) -> list[Point]:
    values: np.ndarray = np.ma.filled(np.ma.asarray(image.get_array(), float), NAN)
    if values.ndim != 2:  # a photograph
        return []
    left, right, bottom, top = image.get_extent()
    first, last = (bottom, top) if image.origin == "lower" else (top, bottom)
    x, y = (
        low + (np.arange(n) + 0.5) * (high - low) / n
        for n, (low, high) in zip(values.shape[::-1], ((left, right), (first, last)), strict=True)
    )
    return [
        Point("cell", float(x[j]), float(y[i]), value=float(value))
        for (i, j), value in np.ndenumerate(values)
    ]


@points.register
def _(mesh: QuadMesh) -> list[Point]:
    values: np.ndarray = np.ma.filled(np.ma.asarray(mesh.get_array(), float), NAN)
    corners = np.asarray(mesh.get_coordinates(), float)
    middle = (corners[:-1, :-1] + corners[1:, 1:]) / 2
    return [
        Point("cell", float(middle[i, j, 0]), float(middle[i, j, 1]), value=float(value))
        for (i, j), value in np.ndenumerate(values)
    ]


@points.register
def _(bars: BarContainer) -> list[Point]:
    boxes = [(*bar.get_xy(), bar.get_width(), bar.get_height()) for bar in bars.patches]
    if bars.orientation == "horizontal":
        return [Point("bar", x + w, y + h / 2, x_from=x) for x, y, w, h in boxes]
    return [Point("bar", x + w / 2, y + h, y_from=y) for x, y, w, h in boxes]


@points.register
def _(errors: ErrorbarContainer) -> list[Point]:
    line, _, bars = errors.lines
    ends = [point._replace(kind="interval") for each in bars for point in points(each)]
    return (points(line) if line is not None else []) + ends
