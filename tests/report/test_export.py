"""Tables and figures as CSV: the numbers that are shown, as programs read them."""

import io
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

from ldlstudy import stats
from ldlstudy.report import claims, export, figures, tables
from ldlstudy.report.tables import Asked, Column
from tests.report.made import results

pytestmark = pytest.mark.usefixtures("book_style")
ECE = Column("ece", "ECE", digits=3)
A, B = ("a", "plain"), ("b", "plain")


def read(text, **options):
    return pd.read_csv(io.StringIO(text), **options)


@pytest.fixture
def known():
    return results({"a": {"ece": [0.1, 0.2, 0.3]}, "b": {"ece": [0.2, 0.4, 0.3]}})


def anchors(known, *rows):
    return " ".join(record.anchor for row in rows for record in known.records(row))


def test_a_table_has_a_column_for_each_thing_that_a_cell_says(known):
    paper = pd.DataFrame({"ece": [0.21, 0.5]}, pd.MultiIndex.from_tuples([A, ("c", "plain")]))
    lines = {"ours": A, "theirs": ("c", "plain")}
    found = read(export.table(tables.comparison(known, paper, lines, [ECE])), index_col="row")
    low, high = stats.estimate([0.1, 0.2, 0.3])[1:]
    assert found.columns.tolist() == ["row, records", "ECE", "ECE, ±", "ECE, paper", "ECE, agrees"]
    assert found.loc["ours", "ECE"] == 0.2
    assert found.loc["ours", "ECE, ±"] == pytest.approx((high - low) / 2, abs=5e-4)
    assert found.loc["ours", ["ECE, paper", "ECE, agrees"]].tolist() == [0.21, "≈"]
    assert found.loc["ours", "row, records"] == anchors(known, "a")
    assert math.isnan(found.loc["theirs", "ECE"])
    assert found.loc["theirs", "ECE, paper"] == 0.5


def test_ends_of_an_interval_and_minus_signs_are_numbers(known):
    found = read(export.table(tables.differences(known, {"a − b": (A, B)}, [ECE])))
    assert found.loc[0, ["row", "row, records"]].tolist() == ["a − b", anchors(known, "a", "b")]
    ours = found[["ECE", "ECE, low", "ECE, high"]].to_numpy(float)[0]
    expected = stats.difference([0.1, 0.2, 0.3], [0.2, 0.4, 0.3])
    assert ours == pytest.approx(expected, abs=5e-4)
    typed = tables.style(pd.DataFrame({"score": ["−.25"]}, index=["x"]))
    assert read(export.table(typed))["score"].tolist() == [-0.25]


def test_columns_of_two_levels_and_characters_of_html():
    shown = tables.style(pd.DataFrame({("a", "b"): ["x &lt; y, z"]}, index=["r"]))
    assert read(export.table(shown)).to_numpy().tolist() == [["r", "x < y, z"]]
    assert export.table(shown).startswith('row,"a, b"\n')


def test_a_table_says_which_records_a_row_or_a_number_comes_from(known):
    row = tables.grid(known, {"line": {"ECE": Asked("a", ECE), "again": Asked("a", ECE)}})
    assert read(export.table(row))["row, records"].tolist() == [anchors(known, "a")]
    cells = {"line": {"one": Asked("a", ECE), "two": Asked("b", ECE, published=0.5)}}
    found = read(export.table(tables.grid(known, cells)))
    assert found["one, records"].tolist() == [anchors(known, "a")]
    assert found["two, records"].tolist() == [anchors(known, "b")]
    assert found["two, paper"].tolist() == [0.5]


def test_a_claim_has_both_means_and_their_records(known):
    of = ["A is lower", None, "a", "plain", "b", "plain", "ece", "lower"]
    listed = pd.DataFrame(
        [of, [*of[:4], "c", *of[5:]]],
        ["X-1", "X-2"],
        ["claim", "published", "left", "left_stage", "right", "right_stage", "metric", "expects"],
    )
    found = read(export.table(claims.show(claims.judge(known, listed), known)))
    assert found["ours"].tolist() == [".3000 → .2000", pytest.approx(math.nan, nan_ok=True)]
    assert found.loc[0, "ours, records"] == anchors(known, "b", "a")
    assert found["difference"].tolist() == pytest.approx([-0.1, math.nan], nan_ok=True)
    assert found["verdict"].tolist() == ["direction only", "not yet run"]


def test_a_figure_has_a_line_for_each_point():
    fig, axes = plt.subplots(1, 2)
    axes[0].plot([1, 2], [1 / 3, 2e-7], label="loss")
    axes[1].plot([1], [5])
    axes[0].set(title="left", xlabel="epoch", ylabel="nats")
    axes[1].set(title="right", xlabel="epoch", ylabel="%")
    assert export.figure(fig) == (
        "panel,series,kind,x: epoch,y,y axis\n"
        "left,loss,line,1,0.333333,nats\n"
        "left,loss,line,2,2e-07,nats\n"
        "right,series 1,line,1,5,%\n"
    )
    assert export.figure(Figure()) == ""


def test_what_does_not_fit_is_left_out_whole_and_named(monkeypatch):
    monkeypatch.setattr(export, "BYTES", 2000)
    fig, ax = plt.subplots()
    ax.plot([1, 2], [3, 4], label="small")
    ax.imshow(np.random.default_rng(0).random((9, 9)))
    lines = export.figure(fig).splitlines()
    assert lines[-1] == "# left out for its size: panel 1: series 2 (81 points)"
    assert [line.split(",")[1] for line in lines[1:-1]] == ["small", "small"]
    assert read(export.figure(fig), comment="#")["y"].tolist() == [3, 4]


def test_a_kernel_sends_csv_beside_the_picture_and_the_html():
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    try:
        figures.setup()
        fig, ax = plt.subplots()
        ax.plot([1, 2], [3, 4])
        shown = tables.style(pd.DataFrame({"a": ["1"]}, index=["r"]))
        of_figure, _ = shell.display_formatter.format(fig)
        of_table, _ = shell.display_formatter.format(shown)
        of_nothing, _ = shell.display_formatter.format(Figure())
    finally:
        InteractiveShell.clear_instance()
    assert of_figure["text/csv"] == export.figure(fig)
    assert of_figure["image/svg+xml"].startswith("<?xml")
    assert of_table["text/csv"] == "row,a\nr,1\n"
    assert "<table" in of_table["text/html"]
    assert "text/csv" not in of_nothing
