"""The ledger as its page shows it: a line a claim that opens, and the summary by paper.

What is shown is HTML that follows the theme and fits a phone; beside it goes the same as CSV.
"""

import html
import math
import re
from collections import Counter
from collections.abc import Mapping

import pandas as pd

from ldlstudy.experiment.plan import LEVELS
from ldlstudy.experiment.records import Record
from ldlstudy.report import claims
from ldlstudy.report.claims import NOT_RUN
from ldlstudy.report.export import Block
from ldlstudy.report.tables import Pair, Text, linked, render
from ldlstudy.studies.bench import DATASETS, NETWORKS
from ldlstudy.studies.ledger import verdicts
from ldlstudy.studies.ledger.verdicts import CATEGORIES, CONTRADICTED, PAPERS, Evidence

METRICS = {  # as the page calls them, where it is not by their own name
    "ece_15_left": "ECE (15 bins)",
    "ece_15_right": "ECE (15 bins)",
    "ece_10_right": "ECE (10 bins)",
    "ece_20_right": "ECE (20 bins)",
    "classwise_ece": "class-wise ECE",
    "class_conditional_ece": "class-conditional ECE",
    "recall_at_1": "R@1",
    "epsilon": "ϵ",
}
COLUMNS = ("claim", "the paper", "ours", "verdict")


def table(prefix: str, claimed: pd.DataFrame, found: Evidence) -> Block:
    """A paper's claims, each a line with its comparisons and records folded below it.

    Parameters
    ----------
    prefix : str
        Of the paper, a key of :data:`ldlstudy.studies.ledger.verdicts.PAPERS`.
    claimed : DataFrame
        As :func:`ldlstudy.studies.ledger.verdicts.of_paper` gives it.
    found : Evidence
        As :func:`ldlstudy.studies.ledger.verdicts.evidence` gives it.
    """
    chapter = f"../notebooks/{PAPERS[prefix].chapter}.html"
    heads = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in COLUMNS)
    lines = [_line(str(key), claim, found, chapter) for key, claim in claimed.iterrows()]
    body = "".join(f'<tbody role="rowgroup">{line}</tbody>' for line in lines)
    page = (
        f'<table class="ledger" role="table" aria-label="Claims of {PAPERS[prefix].paper}">'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>{body}</table>'
    )
    return Block(page, _csv(claimed, found))


def _line(key: str, claim: pd.Series, found: Evidence, chapter: str) -> str:
    link = f'<a href="{chapter}#{claim["section"]}">{key}</a>'
    deciding = found.judged.loc[claim["deciding"]] if claim["deciding"] else None
    ours = "" if deciding is None else _ours(deciding, found.of(claim["deciding"]))
    note = "" if pd.isna(claim["note"]) else f"<small>{html.escape(claim['note'])}</small>"
    evidence = f"<small>{html.escape(LEVELS[claim['level']])}</small>" if claim["level"] else ""
    if claim["compared"] > 1:
        held = "reproduced" if claim["level"] == claims.OWN else "carry over"
        evidence += f"<small>{claim['held']} of {claim['compared']} {held}</small>"
    own = "".join(f"<small>{html.escape(said)}</small>" for said in claim["against"])
    if own and claim["verdict"] != NOT_RUN:
        own = f"{badge(CONTRADICTED)}{own}"
    said = html.escape(claim["published"].replace("->", "→")) + _beside(claim, deciding)
    cells = (said, ours + note, badge(claim["category"]) + evidence + own)
    columns = "".join(
        f'<td role="cell" data-label="{name}">{cell}</td>'
        for name, cell in zip(COLUMNS[1:], cells, strict=True)
    )
    head = f'<th role="rowheader" scope="row">{link} {html.escape(claim["claim"])}</th>'
    return f'<tr role="row" id="{key.lower()}">{head}{columns}</tr>{_folded(key, found)}'


def _beside(claim: pd.Series, deciding: pd.Series | None) -> str:
    """The printed pair that our numbers are to be compared with, where the claim quotes another.

    A claim may be printed for one smoothing factor and have been run with the next.
    """
    if deciding is None or claim["level"] != claims.OWN or pd.isna(deciding["published"]):
        return ""
    pair = str(deciding["published"])
    if all(number in claim["published"] for number in re.findall(r"\d*\.\d+", pair)):
        return ""
    return f"<small>beside ours: {html.escape(pair.replace('->', '→'))}</small>"


def badge(category: str) -> str:
    """A verdict in words, on the colour of its category."""
    return f'<span class="badge v{CATEGORIES.index(category)}">{html.escape(category)}</span>'


def _ours(comparison: pd.Series, made: list[Record]) -> str:
    """The deciding comparison's numbers, and where they are from."""
    ours, difference = _numbers(comparison)
    difference = f"<small>difference {difference}</small>"
    rests = f"<small>{html.escape(place(made))}; {source(made)}</small>"
    return f"{metric(comparison)} {ours}{difference}{rests}"


def _numbers(comparison: pd.Series) -> tuple[str, str]:
    """Both means of a comparison, and their difference."""
    written = claims.in_words(comparison)
    ours = Pair(Text(written["right"]), Text(written["left"]))
    return ours.html(), render(written["difference"])


def metric(comparison: pd.Series) -> str:
    """What a comparison compares, in words."""
    name = str(comparison["metric"])
    return METRICS.get(name, name.replace("_", " "))


def place(made: list[Record]) -> str:
    """Return on which data sets a comparison rests, and of images on which networks."""
    runs = [record.specification for record in made]
    sets = dict.fromkeys(DATASETS[r["dataset"]] for r in runs)
    networks = dict.fromkeys(NETWORKS[r["model"]] for r in runs if r["model"] in NETWORKS)
    return ", ".join([*sets, *networks])


def source(made: list[Record]) -> str:
    """Return what a comparison rests on: how many networks, on which device.

    Seeds are those that both sides have.
    """
    runs = [record.specification for record in made]
    replicates = max(run["replicates"] for run in runs)
    times = Counter(run["seed"] for run in runs)
    seeds = sum(count == max(times.values()) for count in times.values())
    many = f"{replicates} replicates" if replicates > 1 else f"{seeds} seeds"
    if replicates == seeds == 1:
        many = "one network a side"
    devices = ", ".join(sorted({record.made["device"] for record in made}))
    return html.escape(f"{many}; {devices}")


def _folded(key: str, found: Evidence) -> str:
    """The comparisons of a claim and their records, folded."""
    named = [name for name in found.judged.index if verdicts.number(str(name)) == key]
    if not named:
        return ""
    items = "".join(_comparison(name, found) for name in named)
    many = f"{len(named)} comparisons" if len(named) > 1 else "the comparison"
    return (
        f'<tr role="row" class="more"><td role="cell" colspan="{len(COLUMNS)}"><details>'
        f"<summary>{key}: {many} and records</summary><ul>{items}</ul></details></td></tr>"
    )


def _comparison(name: str, found: Evidence) -> str:
    comparison = found.judged.loc[name]
    written = claims.in_words(comparison)
    parts = [f"<b>{name}</b> {written['claim']}"]
    if written["published"]:
        parts.append(f"the paper {written['published']}")
    if not math.isnan(comparison["difference"]):
        ours, difference = _numbers(comparison)
        parts.append(f"ours {ours}, difference {difference}")
        parts.append(source(found.of(name)))
    on = f" ({written['evidence']})" if written["evidence"] else ""
    parts.append(f"<b>{written['verdict']}</b>{on}")
    if comparison["verdict"] != NOT_RUN:
        parts.append(" ".join(_link(made) for made in found.of(name)))
    return f"<li>{'; '.join(parts)}</li>"


def _link(made: Record) -> str:
    return linked(made.name, [made])


def _csv(claimed: pd.DataFrame, found: Evidence) -> str:
    """A line for each claim, with the numbers of its deciding comparison."""
    numbers = found.judged[["metric", *claims.NUMBERS]].reindex(claimed["deciding"])
    made = [
        " ".join(record.anchor for record in found.of(key)) if key else ""
        for key in claimed["deciding"]
    ]
    lines = claimed.drop(columns="section").assign(against=claimed["against"].str.join("; "))
    whole = pd.concat([lines, numbers.set_axis(claimed.index)], axis=1).assign(records=made)
    return str(whole.to_csv(float_format="%.6g", lineterminator="\n"))


def summary(ledgers: Mapping[str, pd.DataFrame]) -> Block:
    """The counts by paper as bars that read without colours, with caption and legends.

    Below each part of a bar, strips of other patterns show the level of evidence of its claims.

    Parameters
    ----------
    ledgers : Mapping
        What :func:`ldlstudy.studies.ledger.verdicts.of_paper` gives, by the paper's prefix.
    """
    by_level, counts = verdicts.by_level(ledgers), verdicts.counts(ledgers)
    used = [category for category in CATEGORIES if counts[category].any()]
    rows = []
    for prefix, line in counts.iterrows():
        parts = "".join(
            f'<span class="share" style="flex-grow: {line[c]}">'
            f'<span class="v{CATEGORIES.index(c)}">{line[c]}</span>'
            f"{_strips(by_level.loc[prefix, c])}</span>"
            for c in used
            if line[c]
        )
        name = PAPERS[str(prefix)].paper
        rows.append(f'<span class="paper">{name}</span><span class="bar">{parts}</span>')
    legend = "".join(
        f'<li><span class="v{CATEGORIES.index(c)}">{counts[c].sum()}</span> {html.escape(c)}</li>'
        for c in used
    )
    levels = by_level.sum(axis=1).groupby(level="level").sum()
    strips = "".join(
        f'<li><span class="strip {level}"></span> {html.escape(words)}</li>'
        for level, words in LEVELS.items()
        if levels[level]
    )
    page = (
        '<figure class="ledger-summary">'
        f'<div class="bars" role="img" aria-label="{_told(by_level)}">'
        f"{''.join(rows)}</div><ul>{legend}</ul><p>Strips: the evidence of our verdicts</p>"
        f"<ul>{strips}</ul>"
        f"<figcaption>{_caption(ledgers)}</figcaption></figure>"
    )
    named = by_level[by_level.any(axis=1)].rename(
        index={prefix: study.paper for prefix, study in PAPERS.items()}, level="paper"
    )
    return Block(page, str(named.to_csv(lineterminator="\n")))


def _strips(levels: pd.Series) -> str:
    """A strip for each level, as long as there are claims; blank where there is no verdict."""
    return "".join(
        f'<span class="strip {level or "none"}" style="flex-grow: {n}"></span>'
        for level, n in levels.items()
        if n
    )


def _told(by_level: pd.DataFrame) -> str:
    """The bars in words, each verdict with the levels of its evidence."""
    papers = []
    for prefix, of in by_level.groupby(level="paper", sort=False):
        parts = []
        for category, levels in of.droplevel("paper").items():
            on = [f"{n} on {LEVELS[str(level)]}" for level, n in levels.items() if n and level]
            if levels.any():
                parts.append(f"{levels.sum()} {category}" + (f" ({', '.join(on)})" if on else ""))
        papers.append(f"{PAPERS[str(prefix)].paper}: {', '.join(parts)}")
    told = "Stacked bars of the claims by verdict, with strips for the level of evidence."
    return html.escape(f"{told} {'; '.join(papers)}.")


def _caption(ledgers: Mapping[str, pd.DataFrame]) -> str:
    values = verdicts.numbers(ledgers)
    own = html.escape(LEVELS[claims.OWN])
    levels = [
        f"{values[f'level.{level}']} on {html.escape(words)}"
        for level, words in LEVELS.items()
        if values[f"level.{level}"]
    ]
    return (
        f"What became of {values['claims']} claims of four papers. Our verdicts rest on evidence "
        f"of {len(levels)} levels: {'; '.join(levels)}. A verdict on {own} speaks of the paper's "
        "number, any other of whether a claim carries over. A paper's own tables contradict "
        f"{values['contradicted']} claims; {values['contradicted.judged']} of these have a verdict "
        "of ours and are counted by it."
    )
