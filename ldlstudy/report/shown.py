"""A table as a page shows it: caption, lines in sight and folded ones, what its marks mean.

The cells are :mod:`ldlstudy.report.tables`'; here is only what surrounds them. Without the book's
style sheet, in a notebook, every line is in sight.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

import pandas as pd
from pandas.io.formats.style import Styler

PAPER = '<span class="paper">the paper</span>'
BEST = (
    "<b>Bold</b>: the best on its data and network, and those that intervals do not tell from it."
)
PRINTED = f"Slanted: {PAPER}."
AGREEMENT = "≈ agrees with ours, ≠ does not."
CAPTION = '<span class="caption">'  # the book puts a number behind it


class Shown(Styler):
    """A table that says what to notice.

    Attributes
    ----------
    folded : frozenset of int
        Positions of the lines that a page shows on request.
    notes : tuple of str
        What stands below, as HTML.
    closed : bool
        Whether a page folds it whole, as one that holds no number of ours.
    """

    folded: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    closed: bool = False
    _text: tuple[str, ...] = ()

    def saying(self, caption: str, first: Collection[str] | None = None) -> "Shown":
        """Give it a caption; ``first`` names the lines in sight, else those that it has chosen.

        A name of ``first`` that no line has is passed over: what was not run leaves no line. A
        table without a line says that nothing of it has been run.
        """
        caption = f"Not yet run. {caption}" if self.data.empty else caption
        self.set_caption(f"{CAPTION}{caption}</span>")
        if first is not None:
            names = [getattr(label, "text", label) for label in self.data.index]
            self.fold(i for i, name in enumerate(names) if name not in first)
        return self

    def fold(self, lines: Iterable[int]) -> "Shown":
        """Fold lines by position, unless those are all or a single one."""
        chosen = frozenset(lines)
        self.folded = chosen if 1 < len(chosen) < len(self.data) else frozenset()
        return self._marked()

    def wrap(self, columns: Sequence[str]) -> "Shown":
        """Let the words of some columns wrap."""
        self._text = tuple(columns)
        return self._marked()

    def _marked(self) -> "Shown":
        of_text = ["text" * (heading in self._text) for heading in self.data.columns]
        marks = pd.DataFrame(
            [
                [f"{mark} more" if line in self.folded else mark for mark in of_text]
                for line in range(len(self.data))
            ],
            index=self.data.index,
            columns=self.data.columns,
        )
        self.cell_context.clear()  # pandas adds marks to those of before
        self.set_td_classes(marks)
        return self

    def head(self, marked: Mapping[Hashable, bool]) -> "Shown":
        """Name the paper in the headings of columns that hold its numbers."""
        names = {h[-1] if isinstance(h, tuple) else h for h, printed in marked.items() if printed}
        last = self.data.columns.nlevels - 1
        self.format_index(
            lambda name: f"{name}<br>{PAPER}" if name in names else str(name), axis=1, level=last
        )
        return self

    def _repr_html_(self) -> str:
        """Return it as the book shows it."""
        page = f'<div class="wide" tabindex="0">{self.to_html()}</div>'
        if self.folded:
            lines = f"<details><summary>All {len(self.data)} lines</summary></details>"
            page = f'<div class="folding">{page}{lines}</div>'
        if self.notes:
            page += f'<p class="key">{" ".join(self.notes)}</p>'
        if self.closed:
            page = f'<details class="printed"><summary>{self.caption}</summary>{page}</details>'
        return page
