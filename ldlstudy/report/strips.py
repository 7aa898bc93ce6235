"""Images and label distributions beside them, drawn as part of the page and in its colours.

One is below another on a phone.
"""

import html
from collections.abc import Mapping, Sequence

import pandas as pd
from torch import Tensor

from ldlstudy.report.export import Block
from ldlstudy.report.tables import short

HEIGHT, STEP = 84, 17  # of the tallest bar, and from one bar to the next, in pixels
WRITTEN = 0.045  # a smaller probability is not written above its bar
TRUTHS = ("the truth", "fifty votes", "truth of the mixture")  # drawn in another colour


def strip(image: Tensor, panels: Mapping[str, Tensor], label: int, caption: str) -> Block:
    """Return an image and distributions beside it.

    Parameters
    ----------
    image : Tensor
        Shape (H, W), from 0 to 1; what noise carried beyond is clipped.
    panels : Mapping
        Title to probabilities (K,); those of `TRUTHS` look otherwise.
    label : int
        The class that is marked.
    caption : str
        Text below, as HTML.
    """
    return strips([(image, panels, label)], caption)


def strips(lines: Sequence[tuple[Tensor, Mapping[str, Tensor], int]], caption: str) -> Block:
    """Return several images below one another, with what `strip` takes of each."""
    drawn, tables = "", {}
    for number, (image, panels, label) in enumerate(lines, 1):
        row = [_image(image), *(_bars(title, p, label) for title, p in panels.items())]
        drawn += f'<div class="panels">{"".join(row)}</div>'
        tables[number] = pd.DataFrame({title: p.tolist() for title, p in panels.items()})
    table = pd.concat(tables, names=["image", "class"])
    if len(lines) == 1:
        table = table.droplevel("image")
    page = f'<figure class="drawing strip">{drawn}<figcaption>{caption}</figcaption></figure>'
    return Block(page, str(table.to_csv(float_format="%.4g")))


def _image(pixels: Tensor) -> str:
    shades = (255 * (1 - pixels.double().clamp(0, 1))).round().int().tolist()
    squares = "".join(
        f'<rect x="{x}" y="{y}" width="1.02" height="1.02" fill="rgb({v},{v},{v})"/>'
        for y, row in enumerate(shades)
        for x, v in enumerate(row)
    )
    size = len(shades)
    return _panel("the image", f"0 0 {size} {size}", "a noisy digit", squares, "image")


def _bars(title: str, probabilities: Tensor, label: int) -> str:
    p = probabilities.tolist()
    told = ", ".join(f"{k}: {v:.2f}" for k, v in enumerate(p) if v >= WRITTEN)
    marks = []
    for k, v in enumerate(p):
        x, height = STEP * k, HEIGHT * v
        marks.append(
            f'<rect x="{x + 1}" y="{96 - height:.1f}" width="{STEP - 3}" height="{height:.1f}"/>'
        )
        if v >= WRITTEN:
            value = short(f"{v:.2f}")
            marks.append(f'<text x="{x + 7.5}" y="{92 - height:.1f}">{value}</text>')
        mark = ' class="label"' if k == label else ""
        marks.append(f'<text{mark} x="{x + 7.5}" y="110">{k}</text>')
    kind = "true" if title in TRUTHS else "said"
    width = STEP * len(p)
    line = f'<path d="M0 96.5H{width}"/>'
    return _panel(title, f"-6 0 {width + 12} 114", told, "".join(marks) + line, kind)


def _panel(title: str, box: str, told: str, marks: str, kind: str) -> str:
    label = html.escape(f"{title}: {told}")
    return (
        f'<div class="{kind}"><div class="title">{html.escape(title)}</div>'
        f'<svg viewBox="{box}" role="img" aria-label="{label}">{marks}</svg></div>'
    )
