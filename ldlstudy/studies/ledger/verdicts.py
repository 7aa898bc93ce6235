"""The ledger: what the papers claim, and which of it holds by the records there are.

``book/published/ledger.csv`` lists 15 claims a paper. A claim has one comparison or several, which
the chapters judge; here each chapter's comparisons are gathered from its records and made one
verdict a claim, by the rules of the book's definitions page.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd

from ldlstudy import checks, stats
from ldlstudy.experiment.plan import LEVELS
from ldlstudy.experiment.records import Record
from ldlstudy.report import claims
from ldlstudy.report.claims import NOT_RUN
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.report.sentences import listed
from ldlstudy.report.tables import published
from ldlstudy.studies import STUDIES, Study, recorded
from ldlstudy.studies.ils import image_numbers, ranks
from ldlstudy.studies.ils import numbers as ils
from ldlstudy.studies.ldl.numbers import Recomputed, recomputed
from ldlstudy.studies.smoothing import interpolation

CONTRADICTED = "contradicted by the paper's own tables"
CATEGORIES = (*claims.VERDICTS, CONTRADICTED, NOT_RUN)  # the verdicts, the weakest last
STATEMENTS = {  # claims on amounts, and what their statements are of (`recomputed`)
    "LD-7": ("mixing alone, ResNet-50", "the same, On-LDL trained long"),
    "LD-10": ("CIFAR-10, ResNet-56",),
    "LD-11": ("STL10, ResNet-20",),
    "LD-13": ("against CRD + KD, ResNet-200",),
    "LD-15": ("other architectures",),
}
PAPERS: dict[str, Study] = {study.prefix: study for study in STUDIES.values() if study.claims}


@dataclass(frozen=True)
class Evidence:
    """Comparisons as :func:`ldlstudy.report.claims.judge` gives them, and what they compare."""

    judged: pd.DataFrame
    results: Results

    def of(self, comparison: str) -> list[Record]:
        """Return the records that a comparison rests on."""
        rows = dict.fromkeys(self.judged.loc[comparison, ["left", "right"]])
        return [record for row in rows for record in self.results.records(row)]

    def on(self, comparison: str) -> set[str]:
        """Return the data sets that it rests on."""
        return {record.specification["dataset"] for record in self.of(comparison)}


def evidence(prefix: str) -> Evidence:
    """Judge a paper's comparisons by the committed records, as its chapter does.

    Raises
    ------
    ValueError
        If no paper has this prefix; the known ones are listed.
    """
    study = PAPERS[checks.one_of("paper", prefix, PAPERS)]
    results = recorded(study.evidence) | recorded(study.quick, "quick")
    if prefix == "ILS":  # one of its claims is on a whole grid, some are on all image sets as one
        judged = pd.concat([ils.judged(results), image_numbers.judged(results)])
        return Evidence(judged, results | ranks.pooled(results))
    if prefix == "RE":  # some are on a series of networks, interpolated
        return Evidence(interpolation.judged(results), interpolation.with_series(results))
    return Evidence(claims.judge(results, published(study.claims)), results)


def number(comparison: str) -> str:
    """The claim that a comparison belongs to: "CS-3" of "CS-3a"; none of a further comparison."""
    found = re.fullmatch(r"([A-Z]+-(?:[1-9]|1[0-5]))[a-z]?", comparison)
    return found[1] if found else ""


def one_verdict(comparisons: pd.DataFrame, own: Collection[str] = ()) -> dict[str, Any]:
    """Make one verdict of a claim's comparisons: the weakest at the best level at hand.

    Of those that say that something can happen the strongest decides, for one case shows it. Other
    data sets count only where no comparison at that level is on the claim's own.

    Parameters
    ----------
    comparisons : DataFrame
        As :func:`ldlstudy.report.claims.judge` gives them.
    own : collection of str
        The names of those on the data sets of the claim.

    Returns
    -------
    dict
        ``verdict``; ``level``, how many comparisons there were ``compared`` at it and of how many
        of them the claim ``held``; ``deciding``, the first with the verdict.
    """
    run = {key: line for key, line in comparisons.iterrows() if line["verdict"] != NOT_RUN}
    levels = [line["level"] for line in run.values()]
    best = next((known for known in LEVELS if known in levels), "")
    there = {key: line["verdict"] for key, line in run.items() if line["level"] == best}
    at = {key: verdict for key, verdict in there.items() if key in own} or there

    def weakness(key: str) -> int:
        return claims.VERDICTS.index(at[key])

    can = [key for key in at if claims.can_be(run[key]["expects"])]
    decide = [key for key in at if key not in can] + sorted(can, key=weakness)[:1]
    deciding = max(decide, key=weakness, default="")
    return {
        "verdict": at.get(deciding, NOT_RUN),
        "level": best,
        "compared": len(at),
        "held": sum(verdict in claims.HELD for verdict in at.values()),
        "deciding": deciding,
    }


def against() -> dict[str, list[str]]:
    """What the papers' own printed numbers say against their claims, by claim."""
    found: dict[str, list[str]] = {}
    for study in PAPERS.values():
        for key, claim in published(study.claims).iterrows():
            if _other_sign(claim):
                words = f"not so: {claim['claim']} ({claim['published'].replace('->', '→')})"
                found.setdefault(number(str(key)), []).append(words)
    for key, subjects in STATEMENTS.items():
        for name, statement in recomputed().items():
            if any(subject in name for subject in subjects) and not statement.borne_out:
                found.setdefault(key, []).append(_amount(name, statement))
    found.pop("", None)  # of further comparisons
    return found | {"ILS-12": _not_significant()}


def _other_sign(claim: pd.Series) -> bool:
    """Whether a direction is claimed, and the two printed numbers differ in the other."""
    pair = re.fullmatch(r"([\d.]+)(?: %)? -> ([\d.]+)(?: %)?", str(claim["published"]))
    change = float(pair[2]) - float(pair[1]) if pair else 0.0
    return {"lower": change > 0, "higher": change < 0}.get(claim["expects"], False)


def _amount(name: str, statement: Recomputed) -> str:
    ends = dict.fromkeys(f"{v:+.2f}" for v in (statement.low, statement.high))
    given = f"{' to '.join(ends)} {statement.unit}"
    return f"{name}: the text says {statement.said}, its tables give {given}"


def _not_significant() -> list[str]:
    """Existing methods from which ILS + TempS is not told apart in cross entropy (Table III)."""
    table = published("ils_table3").drop(columns="label").astype(float)
    ranks = table.loc["cross_entropy", "rank"]
    critical = stats.critical_difference(len(ranks), len(table.loc["cross_entropy"]) - 1)
    gaps = ranks.loc[:"ls scaled"] - ranks["ils scaled"]  # the existing methods
    names = {"none scaled": "No LS + TempS", "ls scaled": "LS + TempS"}
    near = [f"{names.get(row, row)} ({gap:.2f})" for row, gap in gaps.items() if gap < critical]
    return [f"by Nemenyi's test ranks must differ by {critical:.2f}; nearer are {', '.join(near)}"]


def of_paper(prefix: str, found: Evidence) -> pd.DataFrame:
    """A paper's claims in order, each with its one verdict and what its own tables say.

    Returns
    -------
    DataFrame
        By id the columns of ``ledger.csv`` (``claim``, ``published``, the claim's own ``data``,
        ``section``, ``note``), what :func:`one_verdict` says, ``against`` (of :func:`against`),
        and ``category``, one of :data:`CATEGORIES`.
    """
    contradictions, lines = against(), []
    claimed = published("ledger")
    belongs = pd.Series([number(str(key)) for key in found.judged.index], found.judged.index)
    for key, claim in claimed[claimed.index.str.startswith(f"{prefix}-")].iterrows():
        own = set() if pd.isna(claim["data"]) else set(claim["data"].split())
        of = found.judged[belongs == key]
        said = one_verdict(of, [str(name) for name in of.index if found.on(str(name)) <= own])
        notes = contradictions.get(str(key), [])
        category = CONTRADICTED if notes and said["verdict"] == NOT_RUN else said["verdict"]
        lines.append({"id": key, **claim, **said, "against": notes, "category": category})
    return pd.DataFrame(lines).set_index("id")


def by_level(ledger: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count claims by paper and level of evidence (rows) and :data:`CATEGORIES` (columns).

    A claim without a verdict of ours has the level ``""``.
    """
    papers = pd.concat(ledger, names=["paper"]).reset_index()
    found = pd.crosstab([papers["paper"], papers["level"]], papers["category"])
    rows = pd.MultiIndex.from_product([ledger, [*LEVELS, ""]], names=["paper", "level"])
    return found.reindex(rows, columns=list(CATEGORIES), fill_value=0)


def counts(ledger: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How many claims of each paper (rows) are of each of :data:`CATEGORIES` (columns)."""
    return by_level(ledger).groupby(level="paper", sort=False).sum()


def numbers(ledger: Mapping[str, pd.DataFrame]) -> Numbers:
    """What prose quotes: claims by category, by paper and category, by level, and contradicted."""
    by, every = counts(ledger), pd.concat(list(ledger.values()))
    contradicted = every["against"].str.len() > 0
    values: Numbers = {"claims": len(every), "contradicted": int(contradicted.sum())}
    values["contradicted.judged"] = int((contradicted & (every["verdict"] != NOT_RUN)).sum())
    for category in CATEGORIES:
        values[category] = int(by[category].sum())
        values |= {f"{prefix}.{category}": int(by.loc[prefix, category]) for prefix in by.index}
    values["stood in"] = int((~every["level"].isin(["", claims.OWN])).sum())
    return values | {f"level.{known}": int((every["level"] == known).sum()) for known in LEVELS}


def comparisons(found: Mapping[str, Evidence]) -> Numbers:
    """How many comparisons the chapters judge, in all and by paper.

    ``belong`` of them belong to a claim, to ``compared`` claims; ``further`` belong to none.
    """
    by = {
        f"{prefix}.": [number(str(name)) for name in each.judged.index]
        for prefix, each in found.items()
    }
    values: Numbers = {}
    for prefix, of in {"": [*chain(*by.values())], **by}.items():
        values[f"{prefix}comparisons"] = len(of)
        values[f"{prefix}further"] = of.count("")
        values[f"{prefix}belong"] = len(of) - of.count("")
        values[f"{prefix}compared"] = len(set(of) - {""})
    return values


def shared(ledgers: Mapping[str, pd.DataFrame], found: Mapping[str, Evidence]) -> Numbers:
    """How far verdicts rest on the same networks, for prose.

    The deciding comparisons of all claims have so many ``pairs`` of rows; ``repeated`` lists the
    claims that one difference decides.
    """
    by: defaultdict[tuple[frozenset[tuple[str, str]], str], list[str]] = defaultdict(list)
    for prefix, ledger in ledgers.items():
        for claim, deciding in ledger.loc[ledger["deciding"] != "", "deciding"].items():
            line = found[prefix].judged.loc[deciding]
            sides = frozenset((line[side], line[f"{side}_stage"]) for side in claims.SIDES)
            by[sides, line["metric"]].append(str(claim))
    pairs = {frozenset(row for row, _ in sides) for sides, _ in by}
    same = [listed(of) for of in by.values() if len(of) > 1]
    return {"pairs": len(pairs), "repeated": "; ".join(same)}
