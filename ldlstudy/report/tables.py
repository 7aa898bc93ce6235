"""Tables whose cells are values: ours with an interval, the published number, the records.

Papers' numbers lie in ``book/published/*.csv``; ours are selected from results. By the rule of the
book's definitions page a published number *agrees* with ours when it lies within 1.96 standard
errors of a difference of two such means. HTML and CSV are two renderings of the same cells.
"""

import html
import math
import re
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ldlstudy import checks, files, stats
from ldlstudy.experiment.measure import BY_CHANCE
from ldlstudy.experiment.records import Record
from ldlstudy.report import shown as page
from ldlstudy.report.results import Line, Results
from ldlstudy.report.shown import Shown
from ldlstudy.stats import Estimate

ROUNDING = 1e-9  # so that a constant agrees with itself
KEYS = ("bench", "network", "strategy", "stage", "source", "metric", "dataset")  # of printed rows
ARROW = " → "
LONG, SIGHT = 10, 8  # a table of more lines is folded; how many stay in sight
HIGHER = re.compile(r"accuracy|recall|entropy_order|cosine|intersection|within_superclass")
LOWER = re.compile(
    r"error|ece|uce|entropy|brier|kl|variation|held_out_loss|chebyshev|clark|canberra"
)
KNOWING = ("bayes", "truth", "distil_bayes")  # are told the truth, so nothing competes with them
FEW = 10  # replicates, of which an interval is the range


class Column(NamedTuple):
    """A metric of a table: its heading, and how its numbers are written."""

    metric: str
    heading: str
    percent: bool = False
    digits: int = 4

    def write(self, value: float) -> str:
        """Return ``value`` with this column's digits, without a zero before the point; no NaN."""
        if math.isnan(value):
            return ""
        if self.percent:
            return f"{100 * value:.{self.digits - 2}f}"
        return short(f"{round(value, self.digits) + 0:.{self.digits}f}")  # + 0: no minus zero


ACCURACY = Column("accuracy", "accuracy, %", percent=True)
SHARE = Column("accuracy", "accuracy", digits=3)  # a difference of per cents is none
ERROR = Column("error", "error, %", percent=True)
TOP5_ERROR = Column("top5_error", "top-5 error, %", percent=True)
CROSS_ENTROPY = Column("cross_entropy", "cross entropy")
NLL = Column("cross_entropy", "NLL", digits=3)
CONDITIONAL = Column("class_conditional_ece", "class-conditional ECE")
CLASSWISE = Column("classwise_ece", "class-wise ECE (eq. 2)")
BRIER = Column("brier", "Brier")
KL = Column("kl_to_truth", "KL to the truth")
VARIATION = Column("total_variation", "total variation")
TEMPERATURE = Column("temperature", "T", digits=3)
RECALL = Column("recall_at_1", "R@1, %", percent=True)


def short(number: str) -> str:
    """Return ``number`` without a zero before its point, as the papers print them."""
    return re.sub(r"^([+-]?)0\.", r"\1.", number)


@dataclass(frozen=True)
class Text:
    """Words in a cell or at the beginning of a line, with the records that they lead to."""

    text: str
    records: tuple[Record, ...] = ()

    def html(self) -> str:
        """Return it as HTML; the words may have marks of their own."""
        return linked(self.text, self.records)

    def parts(self) -> dict[str, str]:
        """Return it as the parts of a CSV file, by what they are."""
        return {"": _plain(self.text)} | _named(self.records)


@dataclass(frozen=True)
class Number:
    """A number of ours, and the paper's below it.

    Attributes
    ----------
    column : Column
        How it is written.
    ours : Estimate, optional
        Our mean with the ends of its interval; NaN is no number.
    published : float
        The paper's number; NaN without one.
    agrees : bool, optional
        Whether they agree; not said where it is None.
    records : tuple of Record
        Where ours is from.
    ends : bool
        Whether it shows the ends of its interval and not half of it, as a very uneven one does.
    signed : bool
        Whether a positive number has its sign.
    best : bool
        Whether it is among the best of those that it is compared with (:func:`best`).
    """

    column: Column
    ours: Estimate | None = None
    published: float = math.nan
    agrees: bool | None = None
    records: tuple[Record, ...] = ()
    ends: bool = False
    signed: bool = False
    best: bool = False

    @property
    def written(self) -> tuple[str, str, str, str]:
        """Ours, half its interval or its ends, the paper's, and the sign of agreement."""
        own, spread = "", ""
        if self.ours is not None and not math.isnan(self.ours.mean):
            mean, low, high = self.ours
            own = self._write(mean)
            uneven = abs((low + high) / 2 - mean) > (high - low) / 4  # ± would mislead
            if not self.ends and not uneven:
                half = self.column.write((high - low) / 2)
                spread = f"±{half}" if half.strip(".0") else ""
            elif not math.isnan(low):
                spread = f"[{self._write(low)}, {self._write(high)}]"
        paper = self.column.write(self.published)
        sign = "" if self.agrees is None or not paper else "≈" if self.agrees else "≠"
        return own, spread, paper, sign

    def _write(self, value: float) -> str:
        if self.signed:
            return short(f"{value:+.{self.column.digits}f}")
        return self.column.write(value)

    def html(self) -> str:
        """Return it as HTML: ours above, the paper's below."""
        own, spread, paper, sign = self.written
        lines = []
        if own:
            mean = f"<strong>{own}</strong>" if self.best else own
            lines.append(
                linked(mean + (f" <small>{spread}</small>" if spread else ""), self.records)
            )
        if paper:
            lines.append(f'<span class="paper">{f"{sign} " if sign else ""}{paper}</span>')
        return "<br>".join(lines)

    def parts(self) -> dict[str, str]:
        """Return it as the parts of a CSV file, by what they are."""
        own, spread, paper, sign = self.written
        found = {"": own} | (_named(self.records) if own else {})
        if spread.startswith("["):
            found["low"], found["high"] = spread.strip("[]").split(", ")
        elif spread:
            found["±"] = spread.removeprefix("±")
        if paper:
            found["paper"] = paper
        if sign:
            found["agrees"] = sign
        return found


@dataclass(frozen=True)
class Pair:
    """Two numbers, from the one compared with to the one a claim is about."""

    right: Text
    left: Text

    def html(self) -> str:
        """Return it as HTML."""
        return f"{self.right.html()}{ARROW}{self.left.html()}"

    def parts(self) -> dict[str, str]:
        """Return it as the parts of a CSV file, by what they are."""
        text = f"{_plain(self.right.text)}{ARROW}{_plain(self.left.text)}"
        return {"": text} | _named((*self.right.records, *self.left.records))


Cell = Text | Number | Pair


def linked(text: str, records: Sequence[Record]) -> str:
    """Return ``text`` as a link to the first of some records; its title has all of several."""
    if not (text and records):
        return text
    anchors = [html.escape(record.anchor) for record in records]
    title = f' title="{" ".join(anchors)}"' if len(anchors) > 1 else ""
    dataset = html.escape(records[0].specification["dataset"])
    return f'<a href="../book/results/{dataset}.jsonl#{anchors[0]}"{title}>{text}</a>'


def _named(records: Sequence[Record]) -> dict[str, str]:
    return {"records": " ".join(record.anchor for record in records)} if records else {}


def _plain(text: str) -> str:
    """Text of a cell without its marks."""
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def render(value: object) -> str:
    """Return a cell, or a plain value, as HTML."""
    return value.html() if isinstance(value, Text | Number | Pair) else str(value)


def style(table: pd.DataFrame, text: Sequence[str] = (), name: str = "study") -> Shown:
    """Return ``table`` as the book shows tables: no random ids; ``text`` columns wrap.

    Of more than :data:`LONG` lines those are in sight that have a number among the best, and the
    first. Marks are explained below. ``name`` is the class by which the style sheet knows it.
    """
    shown = Shown(table, uuid="t").wrap(text).format(render).format_index(render)
    shown.set_table_attributes(f'class="dataframe {name}"')
    numbers = {h: [c for c in table[h] if isinstance(c, Number)] for h in table.columns}
    every = [number for column in numbers.values() for number in column]
    if of_paper := {h: any(n.written[2] for n in column) for h, column in numbers.items()}:
        shown.head({h: _beside(column) for h, column in numbers.items()})
    marks = {
        page.BEST: any(n.best for n in every),
        page.PRINTED: any(of_paper.values()),
        page.AGREEMENT: any(n.written[3] for n in every),
    }
    shown.notes = tuple(note for note, there in marks.items() if there)
    shown.closed = bool(every) and not any(n.written[0] for n in every)
    if len(table) > LONG:
        best = [any(getattr(c, "best", False) for c in line) for line in table.to_numpy()]
        kept = [0, *(i for i, found in enumerate(best) if found and i)][:SIGHT]
        shown.fold(set(range(len(table))) - set(kept if any(best) else range(SIGHT)))
    return shown


def _beside(column: Sequence[Number]) -> bool:
    """Whether numbers of the paper stand below ours in a column, or stand in it alone."""
    printed = [n for n in column if n.written[2]]
    ours = [n for n in column if n.written[0]]
    return bool(printed) and (not ours or any(n.written[0] for n in printed))


def published(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Return a paper's table, indexed by the first of its columns that name a row.

    Two or more such columns (bench, network, strategy, stage, ...) make an index of several levels.
    An unknown table (the known ones are listed) or a damaged file is a ValueError.
    """
    folder = folder or files.root() / "book" / "published"
    checks.one_of("published table", name, [file.stem for file in folder.glob("*.csv")])
    file = folder / f"{name}.csv"
    try:
        table = pd.read_csv(file)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    keys = [column for column in table.columns[:3] if column in KEYS]
    keys = keys if table.columns[0] in KEYS else [str(table.columns[0])]
    for key in keys:
        table[key] = table[key].fillna("plain" if key == "stage" else "")
    table.attrs["file"] = file.name
    return table.set_index(keys)


def printed(table: pd.DataFrame | None, key: Any, column: str) -> float:
    """Return a number of a published table; NaN without a table, or where its cell is empty.

    A row that it lacks is a ValueError; a column that it lacks has no numbers.
    """
    if table is None or column not in table.columns:
        return math.nan
    if key not in table.index:
        raise ValueError(f"{table.attrs.get('file', 'the published table')} has no row {key!r}")
    return float(table.loc[key, column])


def agrees(number: float, values: Sequence[float], replicates: int = 100) -> bool:
    """Return whether a published mean differs from ours by no more than two such means would.

    The published mean is taken over so many ``replicates`` (100 in ILS), which scatter as ours do.
    """
    ours = stats.standard_error(values)
    error = ours * math.sqrt(1 + len(values) / replicates)
    return abs(number - statistics.fmean(values)) <= 1.96 * error + ROUNDING


def comparison(
    results: Results,
    paper: pd.DataFrame | None,
    lines: Mapping[str, Line],
    columns: Sequence[Column],
    keys: Mapping[str, Any] | None = None,
    own: Collection[Line] = (),
) -> Shown:
    """Return a table of our means with half their 95 % interval, the paper's numbers under them.

    Parameters
    ----------
    results : Results
        Of replicates; a row that is not there stays empty.
    paper : DataFrame or None
        As :func:`published` gives it, indexed by row and stage.
    lines : Mapping
        What each line is called, and the row and the stage that it shows.
    columns : sequence of Column
        The metrics to show.
    keys : Mapping, optional
        The paper's row of a line, where it is not the line's own.
    own : collection
        Rows and stages that are ours alone. Another that the paper's table lacks is a ValueError.

    Returns
    -------
    Shown
        Renders as HTML; the paper's number carries ≈ where it agrees with ours and ≠ where not, and
        a row's label leads to its record.
    """
    body: dict[str, list[Number]] = {column.heading: [] for column in columns}
    top = {
        (row, column.metric, stage)
        for column in columns
        for row, stage in best(results, list(lines.values()), column.metric)
    }
    for label, (row, stage) in lines.items():
        for column in columns:
            key = (keys or {}).get(label, (row, stage))
            number = printed(None if key in own else paper, key, column.metric)
            found = results.measured(row, column.metric, stage)
            agreed = None if found is None else agrees(number, found.values)
            ours = None if found is None else found.estimate
            among = (row, column.metric, stage) in top
            body[column.heading].append(Number(column, ours, number, agreed, best=among))
    index = [Text(label, results.records(row)) for label, (row, _) in lines.items()]
    return style(pd.DataFrame(body, index=index))


@dataclass(frozen=True)
class Asked:
    """A cell that is asked for: a metric of a row at a stage, and the published number."""

    row: str
    column: Column
    stage: str = "plain"
    published: float = math.nan


def grid(results: Results, cells: Mapping[Any, Mapping[Any, Asked]]) -> Shown:
    """Return a table whose cells are asked for one by one.

    Parameters
    ----------
    results : Results
        Of networks.
    cells : Mapping
        Label of each line to heading of each column to what is asked. What has not been measured
        stays empty; a line or a column of which nothing has is left out and named below. A label
        leads to the records of its line, or each number to its own where they have several. Below
        stands what the ECEs would be by chance, where that was measured.
    """
    body = {}
    top = _best_asked(results, [asked for line in cells.values() for asked in line.values()])
    for label, line in cells.items():
        written = {heading: _number(results, asked, top) for heading, asked in line.items()}
        sources = {tuple(r.name for r in n.records) for n in written.values() if n.records}
        if len(sources) == 1:
            records = next(number.records for number in written.values() if number.records)
            written = {h: _without_records(number) for h, number in written.items()}
            body[Text(label, records)] = written
        else:
            body[Text(label)] = written
    table = pd.DataFrame.from_dict(body, orient="index")
    table, left_out = _filled(table.where(table.notna(), ""))
    note = chance(results, [asked for line in cells.values() for asked in line.values()])
    shown = style(table)
    shown.notes += tuple(filter(None, (note, left_out)))
    return shown


def _filled(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Leave out lines and columns without a number; return the rest, and what names them.

    A table that has none at all stays as it is.
    """
    there = table.map(lambda cell: isinstance(cell, Number) and any(cell.written))
    lines, columns = there.any(axis=1), there.any()
    empty = [*table.index[~lines], *table.columns[~columns]]
    if not empty or not lines.any():
        return table, ""
    names = "; ".join(_plain(getattr(name, "text", str(name))) for name in empty)
    note = f"Without numbers yet, and left out: {html.escape(names)}."
    return table.loc[lines.to_numpy(), columns.to_numpy()], note


def chance(results: Results, cells: Iterable[Asked]) -> str:
    """Return which ECEs networks that are as sure as those asked for have if they are calibrated.

    From the lowest to the highest; nothing where none was measured.
    """
    found = [
        (measured.estimate.mean, asked.column)
        for asked in cells
        if (measured := results.measured(asked.row, asked.column.metric + BY_CHANCE, asked.stage))
    ]
    if not found:
        return ""
    ends = [column.write(value) for value, column in (min(found), max(found))]
    unit = " %" if found[0][1].percent else ""
    said = " to ".join(dict.fromkeys(ends))
    return f"Chance alone gives a calibrated network as sure as these an ECE of {said}{unit}."


def best(results: Results, lines: Sequence[Line], metric: str) -> set[Line]:
    """Return the lines that have the best mean of their bench, and those that may be as good.

    That is where the interval of the paired difference from the best does not exclude zero. Lines
    that are told the truth do not compete; where all are alike, or the metric has no better side,
    none is named.
    """
    better = bool(HIGHER.search(metric)) - bool(LOWER.search(metric) and not HIGHER.search(metric))
    benches: dict[tuple[str, str], list[Line]] = {}
    for row, stage in dict.fromkeys(lines):
        if better and not math.isnan(results.mean(row, metric, stage)):
            first = results.of(row)[0]
            if first.strategy not in KNOWING:
                benches.setdefault((first.level, first.bench), []).append((row, stage))
    found: set[Line] = set()
    for rivals in benches.values():
        top = max(rivals, key=lambda line: better * results.mean(line[0], metric, line[1]))
        level = {line for line in rivals if line == top or _level(results, line, top, metric)}
        found |= level if len(level) < len(rivals) else set()
    return found


def _level(results: Results, line: Line, top: Line, metric: str) -> bool:
    """Whether a line may be as good as the best: zero lies in the interval of their difference."""
    pair = results.pair(line, top, metric)
    if pair and len(pair[0].values) == len(pair[1].values) > FEW:  # faster than a bootstrap
        apart = [a - b for a, b in zip(*(side.values for side in pair), strict=True)]
        return abs(statistics.fmean(apart)) <= 1.96 * stats.standard_error(apart)
    difference = results.difference(line, top, metric)
    return difference.low <= 0 <= difference.high


def _best_asked(results: Results, cells: Iterable[Asked]) -> set[tuple[str, str, str]]:
    """Row, metric and stage of the best of what is asked for, each metric and stage for itself."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for asked in cells:
        groups.setdefault((asked.column.metric, asked.stage), []).append((asked.row, asked.stage))
    return {
        (row, metric, stage)
        for (metric, _), lines in groups.items()
        for row, stage in best(results, lines, metric)
    }


def _number(results: Results, asked: Asked, top: Collection[tuple[str, str, str]]) -> Number:
    found = results.measured(asked.row, asked.column.metric, asked.stage)
    if found is None:
        return Number(asked.column, published=asked.published)
    # without an error there is nothing to go by
    agreed = found.agrees(asked.published) if found.error else None
    among = (asked.row, asked.column.metric, asked.stage) in top
    return Number(asked.column, found.estimate, asked.published, agreed, found.records, best=among)


def _without_records(number: Number) -> Number:
    return replace(number, records=())


def of_rows(
    results: Results,
    labels: Mapping[str, str],
    columns: Mapping[str, tuple[str, Column]] | Sequence[Column],
) -> Shown:
    """Return measured numbers, a line for each row; what has not been run stays away.

    Parameters
    ----------
    results : Results
        Of networks.
    labels : Mapping
        What each line is called, by row of the results.
    columns : Mapping or sequence of Column
        Heading to stage and column; a column alone is of the predictions as they are, under its own
        heading.
    """
    return grid(
        results,
        {label: line(row, columns) for row, label in labels.items() if row in results},
    )


def line(
    row: str, columns: Mapping[str, tuple[str, Column]] | Sequence[Column]
) -> dict[str, Asked]:
    """Return the cells of a row, which no published number stands below."""
    if not isinstance(columns, Mapping):
        columns = {column.heading: ("plain", column) for column in columns}
    return {heading: Asked(row, column, stage) for heading, (stage, column) in columns.items()}


def differences(
    results: Results, pairs: Mapping[str, tuple[Line, Line]], columns: Sequence[Column]
) -> Shown:
    """Return paired differences, first row minus second, with their 95 % interval.

    ``pairs`` holds two rows with their stages by the label of their difference; what was not run
    leaves its line empty.
    """
    body: dict[str, list[Number]] = {column.heading: [] for column in columns}
    index = []
    for label, (left, right) in pairs.items():
        for column in columns:
            change = results.difference(left, right, column.metric)
            body[column.heading].append(Number(column, change, ends=True, signed=True))
        index.append(Text(label, results.records(left[0]) + results.records(right[0])))
    return style(pd.DataFrame(body, index=index))
