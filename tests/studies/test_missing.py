"""A strategy that was not run leaves its cells empty: no table, figure or number fails for it.

Each chapter is made from the committed records without half of its strategies, some times, and
without half of its data sets. A strategy, or a set, is missing in half of the times, no two in the
same ones: each is missing once while any other one is there.
"""

import ast
import contextlib
import functools
import itertools
import math
from collections import defaultdict

import matplotlib.pyplot as plt
import nbformat
import pytest
from pandas.io.formats.style import Styler

from ldlstudy import files, stats, studies
from ldlstudy.explore import recorded as recorded_networks
from ldlstudy.report import again, numbers, sentences
from ldlstudy.report.results import Results, row_of
from ldlstudy.report.tables import render
from ldlstudy.studies import STUDIES
from ldlstudy.studies.fast import numbers as fast_numbers
from ldlstudy.studies.fast import tables as fast_tables
from ldlstudy.studies.truth import comparisons
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("book_style")
SHOWS_NETWORKS = "explorer("  # in cells that ask for no results of the study
NEEDED = ("setup", "draws")  # cells that others build on
recorded, estimates = studies.recorded, stats.estimates


@functools.cache
def few(tables, profile):
    """The results of two seeds at most."""
    every = recorded(tables, profile)
    return Results([each for each in every.planned if each.run.seed < 2], every.recorded)


@functools.cache
def cells(chapter):
    """The cells of a page that build on the study's results: what to run, what they show."""
    page = nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", as_version=4)
    made, found = {"studies"}, []
    for cell in page.cells:
        if cell.cell_type != "code" or SHOWS_NETWORKS in cell.source:
            continue
        tree = ast.parse(cell.source)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        if cell.id not in NEEDED and made.isdisjoint(n.id for n in names):
            continue
        if cell.id != "draws":
            made |= {n.id for n in names if isinstance(n.ctx, ast.Store)} - {"DIGITS"}
            made |= {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        last = tree.body.pop().value if isinstance(tree.body[-1], ast.Expr) else None
        value = last and compile(ast.Expression(last), cell.source, "eval")
        found.append((cell.source, compile(tree, cell.source, "exec"), value))
    return found


APART = (  # what is slow and has nothing of the records
    (recorded_networks, "images"),
    (comparisons, "bayes"),
    (fast_tables, "operations"),
    (fast_numbers, "operations"),
)


@functools.cache
def once(module, name):
    """A function of a module that makes nothing twice."""
    make, made = getattr(module, name), {}

    def found(*of):
        if repr(of) not in made:
            made[repr(of)] = make(*of)
        return made[repr(of)]

    return found


@functools.cache
def estimate(values):
    """The interval of a list, which the pages of all worlds have."""
    return estimates([values])[0]


@pytest.fixture(autouse=True)
def quick_parts(monkeypatch):
    """What worlds share is made once; embeddings are the first two features."""
    monkeypatch.setattr(stats, "estimates", lambda lists: [estimate(tuple(v)) for v in lists])
    for module, name in APART:
        monkeypatch.setattr(module, name, once(module, name))
    monkeypatch.setattr("sklearn.manifold.TSNE.fit_transform", lambda self, x: x[:, :2])


def chapter(study, monkeypatch, drop=lambda each: False):
    """What a page shows by the code of its cells, and its numbers, without some of the records."""

    def some(tables, profile="paper", *_):
        every = few(tables if isinstance(tables, str) else tuple(tables), profile)
        return Results([each for each in every.planned if not drop(each)], every.recorded)

    quick = "paper" if study == "ils" else "quick"  # what has records
    monkeypatch.setattr(studies, "recorded", some)
    monkeypatch.setattr(studies, "again", lambda tables, *_: some(tables, quick))
    # of all seeds; the page reads two
    monkeypatch.setattr(sentences, "require", lambda said, facts: None)
    monkeypatch.setattr(again, "table", lambda *_: None)
    quoted, page, shown = {}, {"profile": "quick"}, {}
    monkeypatch.setattr(files, "publish", lambda _, values: quoted.update(values))
    for source, run, value in cells(STUDIES[study].chapter):
        exec(run, page)
        shown[source] = eval(value, page) if value else None
        plt.close("all")
    return shown, quoted, page.get("results", page.get("recorded"))


def parts(cell):
    """What a cell says of ours, and the records that it leads to."""
    said = cell.parts() if hasattr(cell, "parts") else {"": render(cell)}
    return said[""], set(said.get("records", "").split())


def cells_of(table):
    """The cells of a table by label and heading: what they say and what they lead to."""
    labels = [parts(label) for label in table.data.index]
    return {
        (label, heading): (said, own | records)
        for (label, records), line in zip(labels, table.data.to_dict("records"), strict=True)
        for heading, cell in line.items()
        for said, own in [parts(cell)]
    }


def check(full, left, planned, dropped, relative):
    """Nothing but what is of the dropped runs, or is compared with them, has become empty."""
    anchors = {record.anchor for each, record in planned.items() if each in dropped}
    names = {name for each in dropped for name in (row_of(each), each.strategy)}
    no_base = relative and "none" in names  # of a chapter in multiples of hard labels
    tables = {code: cells_of(of) for code, of in full[0].items() if isinstance(of, Styler)}
    known = defaultdict(set)  # records by label, of whatever table has them
    for (label, _), (_, records) in (item for of in tables.values() for item in of.items()):
        known[label] |= records
    for code, table in tables.items():
        now = cells_of(left[0][code])
        for (label, heading), (said, records) in table.items():
            if said and not now.get((label, heading), [""])[0]:
                beside = (known[other] for line, other in table if line == label)
                of = records or known[label].union(*beside)
                ranked = "ranks" in code  # over image sets that have every method
                assert of & anchors or label in names or no_base or ranked, (code, label, heading)
    values = left[1]
    assert all(value == value for value in values.values())
    if left[2] is not None:
        assert numbers.known(numbers.of_results(left[2])).items() <= values.items()
    else:  # the numbers of chapter 5 are of strategies
        keys = {key for key in full[1] if key.split(".")[0] in ("grid", "quick")}
        assert {key for key in keys if names.isdisjoint(key.split("."))} <= values.keys()


def halves(names):
    """Groups of names: each is in half of them, no two names in the same ones."""
    times = next(n for n in itertools.count(2, 2) if math.comb(n, n // 2) >= len(names))
    groups = [set() for _ in range(times)]
    own = itertools.combinations(range(times), times // 2)
    for name, places in zip(sorted(names), own, strict=False):
        for place in places:
            groups[place].add(name)
    return groups


@pytest.mark.parametrize("study", STUDIES)
def test_what_was_not_run_empties_nothing_else(study, monkeypatch):
    planned = {}
    for tables, profile in ((t, p) for t in STUDIES[study].tables for p in ("paper", "quick")):
        with contextlib.suppress(ValueError):  # a table that the profile lacks
            found = few(tables, profile)
            planned |= {each: found.recorded[each.run] for each in found.planned}
    full = chapter(study, monkeypatch)
    groups = halves({each.strategy for each in planned})
    sets = {each.run.dataset for each in planned}
    for group in groups + (halves(sets) if len(sets) > 1 else []):
        gone = {each for each in planned if not group.isdisjoint((each.strategy, each.run.dataset))}
        left = chapter(study, monkeypatch, gone.__contains__)
        check(full, left, planned, gone, study == "truth")
