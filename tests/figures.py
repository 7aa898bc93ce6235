"""What a reader sees of a figure: nothing cut off, no text on another text."""

import io
import itertools
import re

import numpy as np
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text


def check_whole(figure: Figure) -> None:
    """Draw the figure: no data, marker, title or legend is cut off."""
    figure.canvas.draw()
    for ax in figure.axes:
        frame = ax.get_window_extent()
        for line in ax.lines:
            room = line.get_markersize() / 2 / 72 * figure.dpi if line.get_marker() != "None" else 0
            room = room if line.get_clip_on() else 0
            pixels = line.get_transform().transform(line.get_xydata())
            assert (pixels >= [frame.x0 + room - 0.1, frame.y0 + room - 0.1]).all()
            assert (pixels <= [frame.x1 - room + 0.1, frame.y1 - room + 0.1]).all()
        for stars in (c for c in ax.collections if isinstance(c, PathCollection)):
            room = np.sqrt(stars.get_sizes().max()) / 2 / 72 * figure.dpi
            pixels = ax.transData.transform(stars.get_offsets())
            assert (pixels >= [frame.x0 + room, frame.y0 + room]).all()
            assert (pixels <= [frame.x1 - room, frame.y1 - room]).all()
        for bars in (c for c in ax.collections if isinstance(c, LineCollection)):
            if not bars.get_segments():  # of a colour bar
                continue
            pixels = ax.transData.transform(np.concatenate(bars.get_segments()))
            assert (pixels >= [frame.x0 - 0.1, frame.y0 - 0.1]).all()
            assert (pixels <= [frame.x1 + 0.1, frame.y1 + 0.1]).all()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def check_apart(figure: Figure) -> None:
    """Draw the figure: no two texts touch, be they titles, labels of ticks or of the legend."""
    if figure.stale:
        figure.canvas.draw()
    written = [text for text in _texts(figure) if text.get_visible() and text.get_text()]
    assert len(written) > 1
    boxes = [(text.get_text(), text.get_window_extent()) for text in written]
    for (one, left), (other, right) in itertools.combinations(boxes, 2):
        assert not left.overlaps(right), f"{one!r} lies on {other!r}"


def _texts(figure: Figure) -> list[Text]:
    found = [text for legend in figure.legends for text in legend.get_texts()]
    for ax in figure.axes:
        if (legend := ax.get_legend()) is not None:
            found += legend.get_texts()
        found += [ax.title, *ax.texts]
        if not ax.axison:
            continue
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            found += [axis.label, *(tick.label1 for tick in ticks)]
    return found


def svg(figure: Figure) -> bytes:
    """Return the figure as the book stores it, but for the names of its clip paths.

    They are hashes of the panels' edges in full precision, whose last bit changes from one layout
    to the next: the solver orders its variables by their addresses.
    """
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return re.sub(rb"(url\(#|id=\")p[0-9a-f]{10}", rb"\1clip", file.getvalue())
