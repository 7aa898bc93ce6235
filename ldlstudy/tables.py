"""Published numbers beside measured ones.

Papers' numbers lie in ``book/published/*.csv``; ours come as rows of records, a value for each
replicate. By the rule of the book's definitions page a published number *agrees* with ours when it
lies within 1.96 standard errors of a difference of two such means.
"""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pandas.io.formats.style import Styler

from ldlstudy import checks, records, stats
from ldlstudy.measured import Measurements, Sourced
from ldlstudy.records import Record

Row = Mapping[str, Sequence[float]]
ROUNDING = 1e-9  # so that a constant agrees with itself


class Column(NamedTuple):
    """A metric of a table: its heading, and how its numbers are written."""

    metric: str
    heading: str
    percent: bool = False
    digits: int = 4

    def write(self, value: float) -> str:
        """``value`` with this column's digits, without a zero before the point."""
        if self.percent:
            return f"{100 * value:.{self.digits - 2}f}"
        return short(f"{round(value, self.digits) + 0:.{self.digits}f}")  # + 0: no minus zero


ACCURACY = Column("accuracy", "accuracy, %", percent=True)
DENSE = Column("accuracy_dense", "dense, %", percent=True)
SPARSE = Column("accuracy_sparse", "sparse, %", percent=True)
CROSS_ENTROPY = Column("cross_entropy", "cross entropy")
ECE = Column("ece", "ECE")
CONDITIONAL = Column("class_conditional_ece", "class-conditional ECE")
CLASSWISE = Column("classwise_ece", "class-wise ECE (eq. 2)")
BRIER = Column("brier", "Brier")
KL = Column("kl_to_truth", "KL to the truth")
VARIATION = Column("total_variation", "total variation")
HELD_OUT = Column("held_out_loss", "held-out loss")
TEMPERATURE = Column("temperature", "T", digits=3)
EPSILON = Column("epsilon", "ε", digits=3)


def short(number: str) -> str:
    """``number`` without a zero before its point, as the papers print them."""
    return re.sub(r"^([+-]?)0\.", r"\1.", number)


def published(name: str, folder: Path | None = None) -> pd.DataFrame:
    """A paper's table, indexed by our name of each row.

    Raises
    ------
    ValueError
        An unknown table (the known ones are listed) or a damaged file.
    """
    folder = folder or records.root() / "book" / "published"
    checks.one_of("published table", name, [file.stem for file in folder.glob("*.csv")])
    file = folder / f"{name}.csv"
    try:
        table = pd.read_csv(file)
        return table.set_index(table.columns[0])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def agrees(number: float, values: Sequence[float], replicates: int = 100) -> bool:
    """Whether a published mean differs from ours by no more than two such means would.

    The published mean is taken over so many ``replicates`` (100 in ILS), which scatter as ours do.
    """
    ours = stats.standard_error(values)
    error = ours * math.sqrt(1 + len(values) / replicates)
    return abs(number - statistics.fmean(values)) <= 1.96 * error + ROUNDING


def comparison(
    rows: Mapping[str, Row], paper: pd.DataFrame | None, labels: Mapping[str, str],
    columns: Sequence[Column],
) -> Styler:  # fmt: skip
    """A table of our means with half their 95 % interval, the paper's numbers under them.

    Parameters
    ----------
    rows : Mapping
        Measured values by row and metric; a row that is not there stays empty.
    paper : DataFrame or None
        As :func:`published` gives it.
    labels : Mapping
        The rows to show, in order, and what each is called.
    columns : sequence of Column
        The metrics to show.

    Returns
    -------
    Styler
        Renders as HTML; the paper's number carries ≈ where it agrees with ours and ≠ where not, and
        a row's label leads to its record.
    """
    body = {
        column.heading: [_cell(rows.get(key, {}), paper, key, column) for key in labels]
        for column in columns
    }
    index = [linked(label, behind(rows.get(key))) for key, label in labels.items()]
    return style(pd.DataFrame(body, index=index))


def behind(row: object) -> tuple[Record, ...]:
    """The records that a row was measured in; none of one that does not know them."""
    return row.records if isinstance(row, Sourced) else ()


def linked(text: str, made: Sequence[Record]) -> str:
    """``text`` as a link to the first of some records; where there are more, its title has all."""
    if not (text and made):
        return text
    ids = " ".join(record.stem for record in made)
    title = f' title="{ids}"' if len(made) > 1 else ""
    return f'<a href="../book/results/{made[0].name}.json"{title}>{text}</a>'


def _cell(row: Row, paper: pd.DataFrame | None, key: str, column: Column) -> str:
    """Ours above, the paper's below."""
    number = math.nan
    if paper is not None and key in paper.index and column.metric in paper.columns:
        number = float(paper.loc[key, column.metric])
    values = row.get(column.metric)
    if values is None:
        return write_cell(column, None, number)
    return write_cell(column, stats.estimate(values), number, agrees(number, values))


def write_cell(
    column: Column, ours: stats.Estimate | None, number: float, agreed: bool | None = None
) -> str:
    """Our mean with half its interval; below it the paper's ``number`` unless that is NaN.

    Whether they ``agreed`` is not said where it is None.
    """
    lines = []
    if ours is not None:
        half = column.write((ours.high - ours.low) / 2)
        spread = f" <small>±{half}</small>" if half.strip(".0") else ""
        lines.append(f"{column.write(ours.mean)}{spread}")
    if not math.isnan(number):
        sign = "" if agreed is None else "≈ " if agreed else "≠ "
        lines.append(f'<span class="paper">{sign}{column.write(number)}</span>')
    return "<br>".join(lines)


def grid(
    measurements: Measurements,
    cells: Mapping[str, Mapping[str, tuple[str, Column, float]]],
) -> Styler:
    """A table whose cells are named one by one.

    Parameters
    ----------
    measurements : Mapping
        As :func:`ldlstudy.measured.gather` gives them.
    cells : Mapping
        Label of each row to heading of each column to the row of ``measurements``, the metric, and
        the published number (NaN without one). What has not been measured stays empty. A label
        leads to the record of its row, or each number to its own where they have several.
    """
    body = {}
    for label, row in cells.items():
        written = {heading: _written(measurements, *cell) for heading, cell in row.items()}
        made = {
            heading: behind(found) if column.metric in (found := measurements.get(name, {})) else ()
            for heading, (name, column, _) in row.items()
        }
        sources = {tuple(record.name for record in each) for each in made.values() if each}
        if len(sources) == 1:
            label = linked(label, next(filter(None, made.values())))
        else:
            cells_of = {h: text.partition("<br>") for h, text in written.items()}  # ours, paper's
            written = {h: linked(t[0], made[h]) + t[1] + t[2] for h, t in cells_of.items()}
        body[label] = written
    return style(pd.DataFrame.from_dict(body, orient="index").fillna(""))


def _written(measurements: Measurements, row: str, column: Column, number: float) -> str:
    found = measurements.get(row, {}).get(column.metric)
    if found is None:
        return write_cell(column, None, number)
    agreed = found.agrees(number) if found.error else None  # no error is known: nothing to go by
    return write_cell(column, found.estimate, number, agreed)


def style(table: pd.DataFrame, text: Sequence[str] = (), name: str = "study") -> Styler:
    """``table`` as the book shows tables: no random ids, HTML in cells; ``text`` columns wrap.

    ``name`` is the class by which the book's style sheet knows it.
    """
    marks = pd.DataFrame("", index=table.index, columns=table.columns)
    marks[list(text)] = "text"
    styler = table.style.set_uuid("t").set_td_classes(marks)
    return styler.set_table_attributes(f'class="dataframe {name}"')


def check(
    live: Mapping[str, Row],
    recorded: Mapping[str, Row],
    labels: Mapping[str, str],
    columns: Sequence[Column],
) -> Styler:
    """What this machine just measured / the record, over the replicates that both have."""
    body: dict[str, list[str]] = {column.heading: [] for column in columns}
    names = {name: label for name, label in labels.items() if name in live and name in recorded}
    for name in names:
        for column in columns:
            now, then = live[name][column.metric], recorded[name][column.metric]
            n = min(len(now), len(then))
            means = (statistics.fmean(values[:n]) for values in (now, then))
            body[column.heading].append(" / ".join(column.write(m) for m in means))
    return style(pd.DataFrame(body, index=list(names.values())))


def differences(
    rows: Mapping[str, Row], pairs: Mapping[str, tuple[str, str]], columns: Sequence[Column]
) -> Styler:
    """Paired differences, first row minus second, with their 95 % interval.

    ``pairs`` holds two names of rows by the label of their difference.
    """
    body: dict[str, list[str]] = {column.heading: [] for column in columns}
    for left, right in pairs.values():
        for column in columns:
            d = stats.difference(rows[left][column.metric], rows[right][column.metric])
            mean, low, high = (short(f"{v:+.{column.digits}f}") for v in d)
            body[column.heading].append(f"{mean} <small>[{low}, {high}]</small>")
    made = [behind(rows[left]) + behind(rows[right]) for left, right in pairs.values()]
    return style(pd.DataFrame(body, index=list(map(linked, pairs, made))))
