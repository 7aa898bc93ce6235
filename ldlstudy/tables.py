"""Published numbers beside measured ones, and the verdict that follows from both.

Papers' numbers lie in ``book/published/*.csv``; ours come as rows of records, a value for each
replicate. The rules are those of the book's definitions page: a number *agrees* when it lies within
1.96 standard errors of a difference of two such means; a claim that A beats B is *reproduced* when
the paired difference has the claimed sign and its 95 % interval excludes zero.
"""

import html
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from ldlstudy import checks, records, stats

Row = Mapping[str, Sequence[float]]
ROUNDING = 1e-9  # so that a constant agrees with itself
VERDICTS = ("reproduced", "direction only", "not reproduced", "not reproduced (reversed)")


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


def agrees(number: float, values: Sequence[float]) -> bool:
    """Whether a published mean differs from ours by no more than two such means would.

    The published mean is taken to have as large a standard error as ours.
    """
    error = stats.standard_error(values)
    return abs(number - stats.estimate(values).mean) <= 1.96 * math.sqrt(2) * error + ROUNDING


def verdict(left: Sequence[float], right: Sequence[float], expects: str) -> str:
    """One of :data:`VERDICTS` on the claim that ``left`` is lower, or higher, than ``right``.

    Both are values by replicate, paired.
    """
    checks.one_of("expectation", expects, ["lower", "higher"])
    difference = stats.difference(left, right)
    right_way = difference.mean < 0 if expects == "lower" else difference.mean > 0
    if right_way:
        return "reproduced" if difference.excludes_zero else "direction only"
    return "not reproduced (reversed)" if difference.excludes_zero else "not reproduced"


def optimum(losses: np.ndarray, claimed: int) -> tuple[stats.Estimate, str]:
    """Judge the claim that one candidate of a grid has the lowest mean loss.

    Parameters
    ----------
    losses : ndarray, shape (R, C)
        Loss of each of C candidates in each replicate.
    claimed : int
        The candidate that is claimed to be best.

    Returns
    -------
    Estimate
        How much its loss is above that of our best, within replicates.
    str
        "reproduced" if it is our best, "direction only" if the interval of that difference
        includes zero, else "not reproduced".
    """
    best = int(losses.mean(0).argmin())
    behind = stats.difference(losses[:, claimed].tolist(), losses[:, best].tolist())
    if best == claimed:
        return behind, "reproduced"
    return behind, "not reproduced" if behind.excludes_zero else "direction only"


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
        Renders as HTML; the paper's number carries ≈ where it agrees with ours and ≠ where not.
    """
    body = {
        column.heading: [_cell(rows.get(key, {}), paper, key, column) for key in labels]
        for column in columns
    }
    return style(pd.DataFrame(body, index=list(labels.values())))


def _cell(row: Row, paper: pd.DataFrame | None, key: str, column: Column) -> str:
    """Ours above, the paper's below."""
    number = math.nan
    if paper is not None and key in paper.index and column.metric in paper.columns:
        number = float(paper.loc[key, column.metric])
    values = row.get(column.metric)
    lines = []
    if values is not None:
        mean, low, high = stats.estimate(values)
        half = column.write((high - low) / 2)
        spread = f" <small>±{half}</small>" if half.strip(".0") else ""
        lines.append(f"{column.write(mean)}{spread}")
    if not math.isnan(number):
        sign = "" if values is None else "≈ " if agrees(number, values) else "≠ "
        lines.append(f'<span class="paper">{sign}{column.write(number)}</span>')
    return "<br>".join(lines)


def style(table: pd.DataFrame, text: Sequence[str] = (), name: str = "study") -> Styler:
    """``table`` as the book shows tables: no random ids, HTML in cells; ``text`` columns wrap.

    ``name`` is the class by which the book's style sheet knows it.
    """
    marks = pd.DataFrame("", index=table.index, columns=table.columns)
    marks[list(text)] = "text"
    styler = table.style.set_uuid("t").set_td_classes(marks)
    return styler.set_table_attributes(f'class="dataframe {name}"')


def claims(rows: Mapping[str, Row], listed: pd.DataFrame) -> pd.DataFrame:
    """Each claim with both measured means, their paired difference and the verdict.

    Parameters
    ----------
    rows : Mapping
        Measured values by row and metric.
    listed : DataFrame
        Indexed by id, with ``claim``, ``published``, ``left``, ``right``, ``metric``, ``expects``.

    Returns
    -------
    DataFrame
        As ``listed``, with ``left_mean``, ``right_mean``, ``difference``, ``low``, ``high``, the
        ``p`` of the paired t test and ``verdict``; "not yet run" where a row is missing.
    """
    out = []
    for key, claim in listed.iterrows():
        left, right = (rows.get(claim[side], {}).get(claim["metric"]) for side in ("left", "right"))
        names = ("left_mean", "right_mean", "difference", "low", "high", "p")
        result: dict[str, Any] = {"id": key, **claim, "verdict": "not yet run"}
        if left is None or right is None:
            result |= dict.fromkeys(names, math.nan)
        else:
            means = stats.estimate(left).mean, stats.estimate(right).mean
            numbers = (*means, *stats.difference(left, right), stats.paired_p(left, right))
            result |= dict(zip(names, numbers, strict=True))
            result["verdict"] = verdict(left, right, claim["expects"])
        out.append(result)
    return pd.DataFrame(out).set_index("id")


def claims_table(judged: pd.DataFrame) -> Styler:
    """The claims as the book shows them; pairs read from the compared row to the claimed one."""
    shown = []
    for claim in judged.itertuples():
        measured = not math.isnan(claim.difference)
        digits = 4 if not measured or abs(claim.difference) < 1 else 3
        right, left, d, low, high = (
            short(f"{v:.{digits}f}")
            for v in (claim.right_mean, claim.left_mean, claim.difference, claim.low, claim.high)
        )
        said = "" if pd.isna(claim.published) else claim.published.replace("->", "→")
        said = said.replace(" % →", " →")
        shown.append(
            {
                "claim": html.escape(claim.claim),
                "published": html.escape(said),
                "ours": f"{right} → {left}" if measured else "",
                "difference": f"{d} <small>[{low}, {high}]</small>" if measured else "",
                "p": (short(f"{claim.p:.3f}") if claim.p >= 0.001 else "< .001")
                if measured
                else "",
                "verdict": claim.verdict,
            }
        )
    return style(
        pd.DataFrame(shown, index=list(judged.index)), ("claim", "verdict"), "study claims"
    )


def check(
    live: Mapping[str, Row], recorded: Mapping[str, Row], columns: Sequence[Column]
) -> Styler:
    """What this machine just measured beside the record, over the replicates that both have."""
    body: dict[str, list[str]] = {column.heading: [] for column in columns}
    names = [name for name in live if name in recorded]
    for name in names:
        for column in columns:
            now, then = live[name][column.metric], recorded[name][column.metric]
            n = min(len(now), len(then))
            means = (sum(values[:n]) / n for values in (now, then))
            body[column.heading].append(" / ".join(column.write(m) for m in means))
    return style(pd.DataFrame(body, index=names))
