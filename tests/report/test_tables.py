"""Published beside measured: cells, whole tables, their agreement, links to the records."""

import math

import numpy as np
import pandas as pd
import pytest

from ldlstudy import stats
from ldlstudy.report import tables
from ldlstudy.report.results import Results
from ldlstudy.report.shown import PAPER
from ldlstudy.report.tables import Asked, Column, Number, Text
from ldlstudy.stats import Estimate
from tests.conftest import ROOT
from tests.report.made import results

PUBLISHED = ROOT / "book" / "published"
CE = tables.CROSS_ENTROPY
ECE = Column("ece", "ECE")
NAN = math.nan


def around(mean: float, spread: float, n: int = 40) -> list[float]:
    """Values with exactly this mean and standard deviation (ddof 1)."""
    x = np.random.default_rng(0).normal(size=n)
    x = (x - x.mean()) / x.std(ddof=1)
    return list(mean + spread * x)


def shown(table):
    """Return the cells of a table as HTML, by the text of its lines and by heading."""
    html = table.data.map(tables.render)
    html.index = [label.text if isinstance(label, Text) else label for label in html.index]
    return html.to_dict("index")


@pytest.mark.parametrize("n", [100, 25])
def test_agreement_is_1_96_standard_errors_of_a_difference(n):
    """A published mean is over 100 replicates: of a spread of .1 its standard error is .01."""
    values = around(0.5, 0.1, n)
    together = math.hypot(0.1 / math.sqrt(n), 0.01)
    assert tables.agrees(0.5 + 0.99 * 1.96 * together, values)
    assert not tables.agrees(0.5 + 1.01 * 1.96 * together, values)


@pytest.mark.parametrize(
    ("column", "value", "written"),
    [
        (tables.ACCURACY, 0.8203, "82.03"),
        (CE, 0.44341, ".4434"),
        (CE, 1.2, "1.2000"),
        (CE, -0.25, "-.2500"),
        (CE, -1e-9, ".0000"),
        (tables.TEMPERATURE, 2.125, "2.125"),
    ],
)
def test_columns_write_numbers_as_the_papers_do(column, value, written):
    assert column.write(value) == written


@pytest.mark.parametrize(
    ("column", "ours", "number", "agreed", "cell"),
    [
        (CE, None, NAN, None, ""),
        (CE, None, 0.5, None, '<span class="paper">.5000</span>'),
        (CE, (0.4, 0.3, 0.5), NAN, None, ".4000 <small>±.1000</small>"),
        (CE, (0.4, 0.4, 0.4), NAN, None, ".4000"),
        (CE, (0.4, 0.39999, 0.40001), NAN, None, ".4000"),  # narrower than the digits
        (CE, (0.4, 0.4, 0.4), 0.5, None, '.4000<br><span class="paper">.5000</span>'),
        (CE, (0.4, 0.4, 0.4), 0.4, True, '.4000<br><span class="paper">≈ .4000</span>'),
        (CE, (0.4, 0.4, 0.4), 0.5, False, '.4000<br><span class="paper">≠ .5000</span>'),
        (
            tables.ACCURACY, (0.96, 0.9, 1.0), 0.9606, True,
            '96.00 <small>±5.00</small><br><span class="paper">≈ 96.06</span>',
        ),
        (CE, (0.4, 0.31, 0.45), NAN, None, ".4000 <small>±.0700</small>"),
        (CE, (0.4, 0.1, 0.41), NAN, None, ".4000 <small>[.1000, .4100]</small>"),  # uneven
    ],
)  # fmt: skip
def test_a_cell(column, ours, number, agreed, cell):
    estimate = None if ours is None else Estimate(*ours)
    assert Number(column, estimate, number, agreed).html() == cell


def test_a_comparison_holds_both_numbers_and_their_agreement():
    known = results({"ls": {"cross_entropy": around(0.53, 0.05, 100), "fitted ece": 0.1}})
    paper = pd.DataFrame(
        {"cross_entropy": [0.5318, 0.6, 0.9]},
        pd.MultiIndex.from_tuples([("ls", "plain"), ("far", "plain"), ("ils", "plain")]),
    )
    lines = {
        "near": ("ls", "plain"), "far": ("ls", "plain"), "none": ("ls", "fitted"),
        "ILS": ("ils", "plain"),
    }  # fmt: skip
    keys, own = {"far": ("far", "plain")}, [("ls", "fitted")]
    table = tables.comparison(known, paper, lines, [CE], keys, own)
    cells = {label: row["cross entropy"] for label, row in shown(table).items()}
    assert cells["near"].startswith(".5300 <small>±.0")
    assert cells["near"].endswith('<br><span class="paper">≈ .5318</span>')
    assert cells["far"].endswith('<br><span class="paper">≠ .6000</span>')
    assert cells["none"] == ""
    assert cells["ILS"] == '<span class="paper">.9000</span>'  # not measured: no verdict
    page = table.to_html()
    assert page == tables.comparison(known, paper, lines, [CE], keys, own).to_html()
    with pytest.raises(ValueError, match=r"has no row \('ls', 'fitted'\)"):
        tables.comparison(known, paper, lines, [CE], keys)


def test_a_grid_asks_for_each_of_its_cells():
    known = results({"net none": {"ece": (0.2, 0.01), "accuracy": (0.9, 0.01), "plane ece": 0.3}})
    far, near = (0.2 + f * math.sqrt(2) * 0.01 for f in (1.01, 0.99))  # of two such networks
    table = tables.grid(
        known,
        {
            "first": {
                "near": Asked("net none", ECE, published=near),
                "far": Asked("net none", ECE, published=far),
                "accuracy": Asked("net none", tables.ACCURACY),
            },
            "second": {
                "near": Asked("net ls", ECE, published=0.5),
                "far": Asked("net none", ECE, "plane", 0.5),
                "accuracy": Asked("net none", tables.KL),
            },
            "third": {"far": Asked("net ls", ECE)},
        },
    )
    ours = ".2000 <small>±.0100</small><br>"
    assert shown(table) == {
        "first": {
            "near": f'{ours}<span class="paper">≈ .2140</span>',
            "far": f'{ours}<span class="paper">≠ .2143</span>',
            "accuracy": "90.00 <small>±1.00</small>",
        },
        "second": {
            "near": '<span class="paper">.5000</span>',
            "far": '.3000<br><span class="paper">.5000</span>',  # no interval, so no verdict
            "accuracy": "",
        },
    }
    assert "Without numbers yet, and left out: third." in table._repr_html_()
    columns = {"a": Asked("net none", ECE), "b < c": Asked("net ls", ECE)}
    assert "left out: b &lt; c." in tables.grid(known, {"first": columns})._repr_html_()
    nothing = tables.grid(known, {"first": {"a": Asked("net ls", ECE)}})
    assert shown(nothing) == {"first": {"a": ""}}
    assert "<details" in nothing._repr_html_()


def test_a_grid_says_what_an_ece_is_by_chance():
    """In the digits of its column, from the lowest to the highest of the cells."""
    ece = Column("ece_15_left", "ECE", digits=3)
    chance = "ece_15_left_by_chance"
    numbers = {
        "a x": {"ece_15_left": 0.05, chance: 0.0123, f"fitted {chance}": 0.0086},
        "a y": {"ece_15_left": 0.06, chance: 0.0141},
        "a z": {"ece_15_left": 0.07},
    }
    made = results(numbers)
    asked = {r: {"ECE": Asked(r, ece), "accuracy": Asked(r, tables.ACCURACY)} for r in numbers}
    assert ".012 to .014." in tables.grid(made, asked)._repr_html_()
    fitted = {"a x": {"ECE": Asked("a x", ece, "fitted")}}
    assert "an ECE of .009." in tables.grid(made, fitted)._repr_html_()
    percent = {"a x": {"ECE": Asked("a x", ece._replace(percent=True))}}
    assert "an ECE of 1.2 %." in tables.grid(made, percent)._repr_html_()
    without = {"a z": {"ECE": Asked("a z", ece), "accuracy": Asked("a x", tables.ACCURACY)}}
    assert "By chance" not in tables.grid(made, without)._repr_html_()


def test_what_has_not_been_run_stays_away():
    known = results({"a none": {"accuracy": 0.5, "ece": 0.25, "fitted ece": 0.125}, "b ls": {}})
    labels = {"b ls": "B: smoothed", "a kd": "distilled", "a none": "plain"}
    found = shown(tables.of_rows(known, labels, [tables.ACCURACY]))
    assert found == {"plain": {"accuracy, %": "50.00"}}
    columns = {"before": ("plain", ECE), "after": ("fitted", ECE)}
    found = shown(tables.of_rows(known, labels, columns))
    assert found["plain"] == {"before": ".2500", "after": ".1250"}


def test_differences_are_paired():
    left, right = [1.0, 2.0, 1.5], [0.5, 1.4, 0.95]
    known = results({"a": {"cross_entropy": left}, "b": {"cross_entropy": right}})
    a, b = ("a", "plain"), ("b", "plain")
    assert shown(tables.differences(known, {"a − b": (a, b)}, [CE])) == {
        "a − b": {"cross entropy": "+.5500 <small>[+.5000, +.6000]</small>"}
    }
    assert known.difference(a, b, "cross_entropy") == stats.difference(left, right)
    assert shown(tables.differences(known, {"b − c": (b, ("c", "plain"))}, [CE])) == {
        "b − c": {"cross entropy": ""}
    }


def test_a_line_or_a_number_leads_to_its_records():
    known = results({"a ls": {"ece": [0.1, 0.2]}, "b ls": {"ece": 0.3}})
    (first, second), (other,) = known.records("a ls"), known.records("b ls")
    of_a = {"one": Asked("a ls", ECE), "two": Asked("a ls", ECE, published=0.5)}
    page = tables.grid(known, {"line": of_a}).to_html()
    link = f'href="../book/results/digits.jsonl#ls-{first.id}" title="ls-{first.id} ls-{second.id}"'
    assert page.count("<a ") == page.count(f"<a {link}>line</a>") == 1
    mixed = {"line": {**of_a, "three": Asked("b ls", ECE), "no": Asked("c ls", ECE, published=1)}}
    page = tables.grid(known, mixed).to_html()
    assert page.count("<a ") == 3  # ours alone
    assert f'<a href="../book/results/digits.jsonl#ls-{other.id}">.3000</a>' in page
    assert "<a" not in tables.grid(Results([], {}), mixed).to_html()
    assert tables.linked("", [first]) == ""


def test_wide_columns_of_words_wrap_and_ids_are_not_random():
    table = pd.DataFrame({"a": ["x"], "b": [Text("<i>y</i>")]}, index=["r"])
    page = tables.style(table, ("b",), "study claims").to_html()
    assert page == tables.style(table, ("b",), "study claims").to_html()
    assert 'class="dataframe study claims"' in page
    assert page.count('col1 text"') == 1
    assert "<i>y</i>" in page


def test_published_tables_are_indexed_by_what_names_a_row():
    table = tables.published("ils_table1", PUBLISHED)
    assert table.loc[("none", "scaled"), "temperature"] == 1.202
    assert tables.published("re_table4", PUBLISHED).index.names == ["strategy"]
    assert tables.published("re_claims", PUBLISHED).index.names == ["id"]
    assert tables.printed(table, ("none", "scaled"), "temperature") == 1.202
    assert math.isnan(tables.printed(table, ("bayes", "plain"), "epsilon"))
    assert math.isnan(tables.printed(table, ("bayes", "plain"), "brier"))
    with pytest.raises(ValueError, match=r"ils_table1.csv has no row \('none', 'dense'\)"):
        tables.printed(table, ("none", "dense"), "accuracy")
    assert math.isnan(tables.printed(None, "x", "accuracy"))


def test_unknown_and_damaged_published_tables(tmp_path):
    with pytest.raises(ValueError, match=r"unknown published table 'ils_table9'; known: .*ils_tab"):
        tables.published("ils_table9", PUBLISHED)
    (tmp_path / "broken.csv").write_text('row,a\n"x,1\n')
    with pytest.raises(ValueError, match=r"broken\.csv is damaged"):
        tables.published("broken", tmp_path)


def test_the_best_and_what_its_interval_does_not_tell_from_it():
    """Paired within seeds; by bench; without what knows the truth; none where all are level."""
    known = results(
        {
            "a none": {"accuracy": [0.80, 0.82, 0.84], "ece": [0.1, 0.1, 0.1]},
            "a ls": {"accuracy": [0.83, 0.81, 0.87], "ece": [0.1, 0.1, 0.1]},  # one seed is lower
            "a ils": {"accuracy": [0.78, 0.80, 0.82], "ece": [0.1, 0.1, 0.1]},
            "a truth": {"accuracy": [0.9, 0.9, 0.9]},
            "b none": {"accuracy": 0.99},
            "c none": {"accuracy": (0.70, 0.01), "temperature": 2.0},
            "c ls": {"accuracy": (0.71, 0.01), "temperature": 1.0},
            "c ils": {"accuracy": (0.60, 0.01)},
        }
    )
    lines = [(row, "plain") for row in known.rows]
    best = {row for row, _ in tables.best(known, lines, "accuracy")}
    assert best == {"a none", "a ls", "c none", "c ls"}
    assert tables.best(known, [("a ils", "plain"), ("a none", "plain")], "accuracy") == {
        ("a none", "plain")
    }
    assert not tables.best(known, lines, "ece")
    assert not tables.best(known, lines, "temperature")
    page = tables.of_rows(known, {r: r for r in known.rows}, [tables.ACCURACY]).to_html()
    assert page.count("<strong>") == len(best)


def test_best_of_many_replicates_is_that_of_the_bootstrap():
    """The normal interval of paired differences; the bootstrap's has its ends but for noise."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=100)
    for shift, level in ((0.1, True), (0.4, False)):
        known = results(
            {
                "a x": {"kl": base.tolist()},
                "a y": {"kl": (base + shift + rng.normal(size=100)).tolist()},
                "a z": {"kl": (base + 9).tolist()},
            }
        )
        found = tables.best(known, [(row, "plain") for row in known.rows], "kl")
        assert (("a y", "plain") in found) is level
        apart = known.difference(("a y", "plain"), ("a x", "plain"), "kl")
        assert apart.excludes_zero is not level


def test_a_long_table_is_folded_to_the_lines_that_make_its_point():
    table = pd.DataFrame({"x": [str(i) for i in range(12)]}, index=[f"line {i}" for i in range(12)])
    shown = tables.style(table).saying("Look at line 3.", ("line 3", "line 7", "not run"))
    page = shown._repr_html_()
    assert page.count(" more") == 10
    assert "All 12 lines" in page
    assert "Look at line 3." in page
    again = shown.saying("Other lines.", ("line 1",))
    assert again.folded == frozenset(range(12)) - {1}
    assert again._repr_html_().count(" more") == 11
    assert not tables.style(table.head(3)).folded
    assert tables.style(table).saying("All.", list(table.index)).folded == frozenset()


def test_a_table_without_a_number_of_ours_is_folded_whole():
    known = results({"a none": {"accuracy": 0.5}})
    printed = Asked("b none", tables.ACCURACY, published=0.7)
    alone = tables.grid(known, {"line": {"x": printed}}).saying("Theirs.")
    assert alone._repr_html_().startswith('<details class="printed"><summary>')
    both = tables.grid(known, {"line": {"x": printed}, "own": {"x": Asked("a none", ECE)}})
    assert both.closed
    ours = {"line": {"x": printed, "y": Asked("a none", tables.ACCURACY)}}
    shown = tables.grid(known, ours)
    assert not shown.closed
    page = shown._repr_html_()
    assert page.count("<br>" + PAPER) == 1  # of the column that has the paper's number
