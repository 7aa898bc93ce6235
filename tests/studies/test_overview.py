"""The map of the strategies: what they look at as the papers describe them, and that it fits."""

import io
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from ldlstudy.studies import overview
from ldlstudy.studies.strategies import named
from ldlstudy.studies.truth.runs import STRATEGIES
from tests.conftest import ROOT

PAPERS = {  # by their texts
    "none": "label",
    "ls": "label",
    "cutout": "label",  # of one image a square is missing
    "similarity": "label classes",
    "ils": "label teacher",
    "max_entropy_light": "label itself",
    "adacos": "label itself",
    "byot": "label itself",
    "cs_kd": "label partner",
    "cs_kd_e": "label partner view",
    "ddgsd": "label view",
    "mixup": "label image",
    "mixup_cs_kd": "label partner image",
    "kd": "label teacher",
    "kd_cs_kd": "label teacher partner",
    "off_ldl": "teacher",
    "on_ldl-cutmix": "teacher image",
    "on_en_ldl-mixup": "teacher image",
    "sskd": "label teacher view",
}


@pytest.mark.parametrize(("strategy", "sources"), PAPERS.items())
def test_what_a_strategy_looks_at(strategy, sources):
    assert overview.looks_at(strategy) == tuple(sources.split())


def test_an_unknown_strategy_is_named():
    with pytest.raises(ValueError, match="unknown strategy 'oracle'; known: "):
        overview.looks_at("oracle")


def test_every_strategy_stands_once_with_what_it_looks_at():
    table = pd.read_csv(io.StringIO(overview.drawing().csv), index_col="strategy")
    assert list(table) == [title for title, _ in overview.SOURCES.values()]
    assert table.index.value_counts().drop("On-LDL").eq(1).all()
    assert table.index.value_counts()["On-LDL"] == 2  # CutOut mixes no other image in
    assert set(table.loc["hard labels"][lambda row: row > 0].index) == {"label"}
    assert set(table.loc["the shares of three annotators"][lambda row: row > 0].index) == {"people"}
    alone = {named(s).label for s in STRATEGIES if s != "truth" and "," not in named(s).label}
    assert alone <= set(table.index)
    assert table.any(axis=1).all()
    assert table.any().all()


def test_both_layouts_show_the_same_links_inside_their_width():
    soup = BeautifulSoup(overview.drawing().html, "html.parser")
    wide, narrow = soup.find_all("svg")
    shown = [[(a.text, a["href"]) for a in svg.find_all("a")] for svg in (wide, narrow)]
    assert shown[0] == shown[1]
    for name, target in shown[0]:
        assert (ROOT / "book" / target.replace(".html", ".ipynb")).is_file(), name
    for svg, layout in ((wide, overview.WIDE), (narrow, overview.NARROW)):
        assert svg["aria-label"].startswith("What strategies look at. label: hard labels, ")
        bottom = float(svg["viewbox" if svg.has_attr("viewbox") else "viewBox"].split()[3])
        for dot in svg.find_all("circle"):
            assert 0 < float(dot["cx"]) < (layout.width if layout.below else layout.names)
            assert 0 < float(dot["cy"]) < bottom
        for text in svg.find_all("text", class_=False):
            assert len(text.text) * overview.LETTER <= layout.room
            assert float(text["y"]) < bottom
        assert len(svg.find_all("circle", class_="full")) == sum(map(len, overview.groups()))


def test_a_line_of_names_that_is_too_long_goes_on_below():
    layout = overview.Layout(width=200, column=10, names=100, below=False)
    names = [(name, "01") for name in ("a" * 9, "b", "c" * 20, "d")]
    lines = [[name[0] for name, _ in line] for line in layout.wrap(names)]
    assert lines == [["a"], ["b"], ["c"], ["d"]] or lines == [["a", "b"], ["c"], ["d"]]
    assert re.sub(r"[\[\], ']", "", str(lines)) == "abcd"
