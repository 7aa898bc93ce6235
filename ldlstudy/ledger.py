"""The ledger: what the papers claim, and which of it holds by the records there are.

``book/published/ledger.csv`` lists 15 claims a paper. A claim has one comparison or several, which
the chapters judge; here each chapter's comparisons are gathered from its records and made one
verdict a claim, by the rules of the book's definitions page.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ldlstudy import checks, claims, ils, ldl_findings, measured, stats, studies, tables
from ldlstudy.records import Record

NOT_RUN = "not yet run"
CONTRADICTED = "contradicted by the paper's own tables"
CATEGORIES = (*claims.VERDICTS, CONTRADICTED, NOT_RUN)  # the verdicts, the weakest last
LEVELS = {"paper": "paper", "reduced": "paper, reduced", "quick": "quick"}  # the best first
NO_DIFFERENCE = ("LD-2", "RE-5")  # claims that two are level: a sign is nothing against them
STATEMENTS = {  # claims on amounts, and what their statements are of (`ldl_findings.recomputed`)
    "LD-7": ("mixing alone, ResNet-50", "the same, On-LDL trained long"),
    "LD-10": ("CIFAR-10, ResNet-56",),
    "LD-11": ("STL10, ResNet-20",),
    "LD-13": ("against CRD + KD, ResNet-200",),
    "LD-15": ("other architectures",),
}


@dataclass(frozen=True)
class Paper:
    """A paper: its chapter, its comparisons in ``book/published``, the tables of its runs."""

    name: str
    chapter: str
    comparisons: str
    paper: tuple[str, ...]
    quick: tuple[str, ...] = ()


_RE, _CS = ("re-table2", "re-table4", "re-figure7"), tuple(f"cskd-table{n}" for n in range(1, 5))
PAPERS = {
    "ILS": Paper("ILS", "01_ils_synthetic", "claims", ("ils",)),
    "RE": Paper("[Re]", "02_label_smoothing", "re_claims", (*_RE, "re-figure8"), _RE),
    "CS": Paper("CS-KD", "03_cs_kd", "cskd_claims", (*_CS, "cskd-table5"), _CS),
    "LD": Paper(
        "LDL", "04_ldl", "ldl_claims", tuple(f"ldl-table{n}" for n in range(1, 8)), ("ldl-methods",)
    ),
}


@dataclass(frozen=True)
class Evidence:
    """Comparisons as :func:`ldlstudy.claims.judge` gives them, and the rows that they compare."""

    judged: pd.DataFrame
    rows: Mapping[str, object]

    def of(self, comparison: str) -> list[Record]:
        """The records that a comparison rests on."""
        sides = dict.fromkeys(self.judged.loc[comparison, ["left", "right"]])
        return [record for side in sides for record in tables.behind(self.rows.get(side))]


def evidence(prefix: str) -> Evidence:
    """Judge a paper's comparisons by the committed records, as its chapter does.

    Raises
    ------
    ValueError
        If no paper has this prefix; the known ones are listed.
    """
    paper = PAPERS[checks.one_of("paper", prefix, PAPERS)]
    listed = tables.published(paper.comparisons)
    if prefix == "ILS":
        made = ils.recorded("paper")
        judged = claims.judge(rows := ils.rows(made), listed)
        judged.loc["ILS-10"] = _parabola(made["grid"])
        return Evidence(judged, rows)
    quick = studies.recorded(paper.quick, "quick")
    named = studies.recorded(paper.paper) | {f"quick {name}": r for name, r in quick.items()}
    cells = measured.gather(named)
    return Evidence(claims.judge(cells, listed), cells)


def _parabola(grid: Record) -> dict[str, Any]:
    """ILS-10: that one parabola of a grid is the best of them."""
    candidates = grid.figures["candidates"]
    at = [(v["p1"], v["p2"]) for v in candidates["values"]]
    return {
        "claim": "The parabola P1 = .8, P2 = 2 has the lowest cross entropy",
        "published": ".8, 2",
        "left": "grid",
        "right": "grid",
        "metric": "cross_entropy",
        **claims.judge_optimum(np.array(candidates["test_cross_entropy"]), at.index((0.8, 2.0))),
    }


def number(comparison: str) -> str:
    """The claim that a comparison belongs to: "CS-3" of "CS-3a"; none of a further comparison."""
    found = re.fullmatch(r"([A-Z]+-(?:[1-9]|1[0-5]))[a-z]?", comparison)
    return found[1] if found else ""


def level(comparison: pd.Series) -> str:
    """Which of :data:`LEVELS` the rows of a comparison are of."""
    row = str(comparison["left"])
    return "quick" if row.startswith("quick ") else "reduced" if "-reduced" in row else "paper"


def one_verdict(comparisons: pd.DataFrame) -> dict[str, Any]:
    """Make one verdict of a claim's comparisons: the weakest at the best level at hand.

    Parameters
    ----------
    comparisons : DataFrame
        As :func:`ldlstudy.claims.judge` gives them.

    Returns
    -------
    dict
        ``verdict``; ``level``, how many comparisons there were ``compared`` at it and how many of
        them are ``reproduced``; ``deciding``, the first with the weakest verdict.
    """
    run = {key: line for key, line in comparisons.iterrows() if line["verdict"] != NOT_RUN}
    levels = {key: level(line) for key, line in run.items()}
    best = next((known for known in LEVELS if known in levels.values()), "")
    at = {key: run[key]["verdict"] for key in run if levels[key] == best}
    deciding = max(at, key=lambda key: claims.VERDICTS.index(at[key]), default="")
    return {
        "verdict": at.get(deciding, NOT_RUN),
        "level": best,
        "compared": len(at),
        "reproduced": list(at.values()).count("reproduced"),
        "deciding": deciding,
    }


def against() -> dict[str, list[str]]:
    """What the papers' own printed numbers say against their claims, by claim."""
    found: dict[str, list[str]] = {}
    for paper in PAPERS.values():
        for key, claim in tables.published(paper.comparisons).iterrows():
            if number(str(key)) not in NO_DIFFERENCE and _other_sign(claim):
                said = f"not so: {claim['claim']} ({claim['published'].replace('->', '→')})"
                found.setdefault(number(str(key)), []).append(said)
    for key, subjects in STATEMENTS.items():
        for name, statement in ldl_findings.recomputed().items():
            if any(subject in name for subject in subjects) and not statement.borne_out:
                found.setdefault(key, []).append(_amount(name, statement))
    found.pop("", None)  # of further comparisons
    return found | {"ILS-12": _not_significant()}


def _other_sign(claim: pd.Series) -> bool:
    """Whether the two printed numbers differ in the direction that is not claimed."""
    pair = re.fullmatch(r"([\d.]+)(?: %)? -> ([\d.]+)(?: %)?", str(claim["published"]))
    change = float(pair[2]) - float(pair[1]) if pair else 0.0
    return change > 0 if claim["expects"] == "lower" else change < 0


def _amount(name: str, statement: ldl_findings.Recomputed) -> str:
    ends = dict.fromkeys(f"{v:+.2f}" for v in (statement.low, statement.high))
    given = f"{' to '.join(ends)} {statement.unit}"
    return f"{name}: the text says {statement.said}, its tables give {given}"


def _not_significant() -> list[str]:
    """Existing methods from which ILS + TempS is not told apart in cross entropy (Table III)."""
    table = tables.published("ils_table3").drop(columns="label").astype(float)
    ranks = table.loc["cross_entropy rank"]
    sets = sum(row.startswith("cross_entropy ") for row in table.index) - 1
    critical = stats.critical_difference(len(ranks), sets)
    behind = ranks.loc[:"ls scaled"] - ranks["ils scaled"]  # the existing methods
    near = [f"{row} ({gap:.2f})" for row, gap in behind.items() if gap < critical]
    names = ", ".join(near).replace("none scaled", "No LS + TempS")
    names = names.replace("ls scaled", "LS + TempS")
    return [f"by Nemenyi's test ranks must differ by {critical:.2f}; nearer are {names}"]


def of_paper(prefix: str, found: Evidence) -> pd.DataFrame:
    """A paper's claims in order, each with its one verdict and what its own tables say.

    Returns
    -------
    DataFrame
        By id the columns of ``ledger.csv`` (``claim``, ``published``, ``section``, ``note``),
        what :func:`one_verdict` says, ``against`` (of :func:`against`), and ``category``, one of
        :data:`CATEGORIES`.
    """
    contradictions, lines = against(), []
    listed = tables.published("ledger")
    belongs = pd.Series([number(str(key)) for key in found.judged.index], found.judged.index)
    for key, claim in listed[listed.index.str.startswith(f"{prefix}-")].iterrows():
        said = one_verdict(found.judged[belongs == key])
        notes = contradictions.get(str(key), [])
        category = CONTRADICTED if notes and said["verdict"] == NOT_RUN else said["verdict"]
        lines.append({"id": key, **claim, **said, "against": notes, "category": category})
    return pd.DataFrame(lines).set_index("id")


def counts(ledger: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How many claims of each paper (rows) are of each of :data:`CATEGORIES` (columns)."""
    found = {prefix: table["category"].value_counts() for prefix, table in ledger.items()}
    return pd.DataFrame(found).T.reindex(columns=list(CATEGORIES)).fillna(0).astype(int)


def numbers(ledger: Mapping[str, pd.DataFrame]) -> dict[str, float | str]:
    """What prose quotes: claims by category, by paper and category, by level, and contradicted."""
    by, every = counts(ledger), pd.concat(list(ledger.values()))
    contradicted = every["against"].str.len() > 0
    values: dict[str, float | str] = {"claims": len(every), "contradicted": int(contradicted.sum())}
    values["contradicted.judged"] = int((contradicted & (every["verdict"] != NOT_RUN)).sum())
    for category in CATEGORIES:
        values[category] = int(by[category].sum())
        values |= {f"{prefix}.{category}": int(by.loc[prefix, category]) for prefix in by.index}
    return values | {f"level.{known}": int((every["level"] == known).sum()) for known in LEVELS}


def comparisons(found: Mapping[str, Evidence]) -> dict[str, float | str]:
    """How many comparisons the chapters judge, and how many belong to none of these claims."""
    names = [str(name) for each in found.values() for name in each.judged.index]
    return {"comparisons": len(names), "further": [number(name) for name in names].count("")}
