"""What tables and figures show, as CSV: for readers who want to compute with it.

:func:`register` tells IPython to put it beside the HTML of every table and the picture of every
figure that a notebook shows, with a second picture for narrow screens. The book's pipeline makes
files of both, with a link to the data below each.
"""

import re
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from ldlstudy.report import figure_data, narrow
from ldlstudy.report.tables import Number, Pair, Text

MIME = "text/csv"
BYTES = 1_000_000  # of a figure's file


@dataclass(frozen=True)
class Block:
    """A block of a page: HTML, and the same content as CSV."""

    html: str = field(repr=False)
    csv: str = field(repr=False)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, MIME: self.csv}


def kernel() -> Any:
    """Return IPython's shell where this runs in one, else None, without loading IPython."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def register() -> None:
    """Add CSV to what this kernel shows of tables and figures; without a kernel do nothing."""
    shell = kernel()
    if shell is not None and shell.display_formatter is not None:
        formatter = shell.display_formatter.mimebundle_formatter
        formatter.for_type(Styler, lambda shown, **_: _bundle({MIME: table(shown)}))
        formatter.for_type(
            Figure,
            lambda shown, **_: _bundle({MIME: figure(shown), narrow.MIME: narrow.picture(shown)}),
        )


def _bundle(texts: dict[str, str]) -> dict[str, str]:
    return {kind: text for kind, text in texts.items() if text}


def table(shown: Styler) -> str:
    """Return a table of the book as CSV, a line for each of its rows.

    Half an interval (±) or its ends, the paper's number, whether it agrees with ours (≈ or ≠), and
    the records that a row or a number comes from have columns of their own.
    """
    data = shown.data
    headings = ["row", *(h if isinstance(h, str) else ", ".join(h) for h in data.columns)]
    lines = [
        [_parts(heading, cell) for heading, cell in zip(headings, (label, *row), strict=True)]
        for label, row in zip(data.index, data.to_numpy(), strict=True)
    ]
    columns = [  # what only some rows have stands beside its number
        column
        for cells in zip(*lines, strict=True)
        for column in dict.fromkeys(column for cell in cells for column in cell)
    ]
    body = [{c: text for cell in line for c, text in cell.items()} for line in lines]
    return str(pd.DataFrame(body, columns=columns).to_csv(index=False, lineterminator="\n"))


def _parts(heading: str, cell: object) -> dict[str, str]:
    """What a cell says, by column; numbers as programs read them."""
    shown = cell if isinstance(cell, Text | Number | Pair) else Text(str(cell))
    return {
        f"{heading}, {part}" if part else heading: re.sub(r"−(?=[.\d])", "-", text).strip()
        for part, text in shown.parts().items()
    }


def figure(shown: Figure) -> str:
    """Return the data of a figure as CSV (:func:`.figure_data.series`); nothing if it draws none.

    Numbers have six digits; columns that the figure has no use for are left out, and the label of
    an axis that all panels share stands in its column's name. Series are kept whole: where they do
    not fit into ``BYTES``, the largest are left out, and the last line, a comment, says which.
    """
    series, left_out = figure_data.series(shown), []
    while sum(sizes := [len(_write(each).encode()) for each in series]) > BYTES:
        large = series.pop(int(np.argmax(sizes)))
        left_out.append(f"{large['panel'][0]}: {large['series'][0]} ({len(large)} points)")
    if not series and not left_out:
        return ""
    note = f"# left out for its size: {'; '.join(left_out)}\n" if left_out else ""
    return (_write(pd.concat(series, ignore_index=True)) if series else "") + note


def _write(points: pd.DataFrame) -> str:
    used = points.loc[:, points.notna().any() & (points != "").any()]
    for axis in "xy":
        label = f"{axis} axis"
        if label in used and used[label].nunique() == 1:
            used = used.rename(columns={axis: f"{axis}: {used[label].iloc[0]}"}).drop(columns=label)
    return str(used.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
