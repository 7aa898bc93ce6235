"""Tables and figures as CSV: the numbers that are shown, as programs read them."""

import io
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

from ldlstudy import claims, downloads, measured, plots, tables
from ldlstudy.measured import Measured, Sourced
from ldlstudy.records import Record, Run
from ldlstudy.stats import Estimate
from ldlstudy.tables import Column

pytestmark = pytest.mark.usefixtures("book_style")
ECE = Column("ece", "ECE", digits=3)


def read(text, **options):
    return pd.read_csv(io.StringIO(text), **options)


def record(seed=0):
    run = Run("digits", "small_cnn", "ls", parameters={"epsilon": 0.1}, seed=seed)
    metrics = {"ece": [0.1 + 0.01 * seed] * 3}
    rows = {"plain": {name: values[:1] for name, values in metrics.items()}}
    return Record(run.specification, rows, {"plain": metrics}, {}, {})


def stem(made):
    return made.name.rpartition("/")[2]


def test_a_table_has_a_column_for_each_thing_that_a_cell_says():
    rows = {"a": {"ece": [0.1, 0.2, 0.3]}, "b": {}}
    paper = pd.DataFrame({"ece": [0.21, 0.5]}, index=["a", "b"])
    text = downloads.table(tables.comparison(rows, paper, {"a": "ours", "b": "theirs"}, [ECE]))
    found = read(text, index_col="row")
    low, high = tables.stats.estimate([0.1, 0.2, 0.3])[1:]
    assert found.columns.tolist() == ["ECE", "ECE, ±", "ECE, paper", "ECE, agrees"]
    assert found.loc["ours", "ECE"] == 0.2
    assert found.loc["ours", "ECE, ±"] == pytest.approx((high - low) / 2, abs=5e-4)
    assert found.loc["ours", ["ECE, paper", "ECE, agrees"]].tolist() == [0.21, "≈"]
    assert math.isnan(found.loc["theirs", "ECE"])
    assert found.loc["theirs", "ECE, paper"] == 0.5


def test_ends_of_an_interval_and_minus_signs_are_numbers():
    rows = {"a": {"ece": [0.1, 0.2, 0.3]}, "b": {"ece": [0.2, 0.4, 0.3]}}
    found = read(downloads.table(tables.differences(rows, {"a − b": ("a", "b")}, [ECE])))
    assert found.loc[0, "row"] == "a − b"
    ours = found[["ECE", "ECE, low", "ECE, high"]].to_numpy(float)[0]
    assert ours == pytest.approx(
        tables.stats.difference([0.1, 0.2, 0.3], [0.2, 0.4, 0.3]), abs=5e-4
    )
    typed = tables.style(pd.DataFrame({"score": ["−.25"]}, index=["x"]))
    assert read(downloads.table(typed))["score"].tolist() == [-0.25]


def test_columns_of_two_levels_and_characters_of_html():
    shown = tables.style(pd.DataFrame({("a", "b"): ["x &lt; y, z"]}, index=["r"]))
    assert read(downloads.table(shown)).to_numpy().tolist() == [["r", "x < y, z"]]
    assert downloads.table(shown).startswith('row,"a, b"\n')


def test_a_table_says_which_records_a_row_or_a_number_comes_from():
    of = {seed: record(seed) for seed in range(2)}
    known = measured.gather({"net": of[0], "net #1": of[1], "alone": of[1]})
    nan = math.nan
    row = tables.grid(known, {"line": {"ECE": ("net", ECE, nan), "again": ("net", ECE, nan)}})
    both = " ".join(stem(made) for made in of.values())
    assert read(downloads.table(row))["row, records"].tolist() == [both]
    cells = tables.grid(known, {"line": {"one": ("net", ECE, nan), "two": ("alone", ECE, 0.5)}})
    found = read(downloads.table(cells))
    assert found["one, records"].tolist() == [both]
    assert found["two, records"].tolist() == [stem(of[1])]
    assert found["two, paper"].tolist() == [0.5]


def test_links_lead_to_the_file_of_the_first_record():
    made = record()
    row = Sourced({"ece": [0.1]}, [made])
    html = tables.comparison({"a": row}, None, {"a": "ours"}, [ECE]).to_html()
    assert f'<a href="../book/results/digits/{stem(made)}.json">ours</a>' in html
    several = Sourced({"ece": Measured([0.1], Estimate(0.1, 0.1, 0.1))}, [made, record(1)])
    html = tables.grid({"a": several}, {"ours": {"ECE": ("a", ECE, math.nan)}}).to_html()
    assert f'{stem(made)}.json" title="{stem(made)} {stem(record(1))}">ours</a>' in html
    assert "<a" not in tables.comparison({"a": {"ece": [0.1]}}, None, {"a": "x"}, [ECE]).to_html()


def test_only_our_number_is_a_link():
    known = measured.gather({"a": record(), "b": record(1)})
    cells = {"line": {"A": ("a", ECE, 0.5), "B": ("b", ECE, math.nan), "C": ("c", ECE, 0.7)}}
    html = tables.grid(known, cells).to_html()
    assert html.count("<a ") == 2
    assert '.100</a><br><span class="paper">' in html


def test_a_figure_has_a_line_for_each_point():
    fig, axes = plt.subplots(1, 2)
    axes[0].plot([1, 2], [1 / 3, 2e-7], label="loss")
    axes[1].plot([1], [5])
    axes[0].set(title="left", xlabel="epoch", ylabel="nats")
    axes[1].set(title="right", xlabel="epoch", ylabel="%")
    assert downloads.figure(fig) == (
        "panel,series,kind,x: epoch,y,y axis\n"
        "left,loss,line,1,0.333333,nats\n"
        "left,loss,line,2,2e-07,nats\n"
        "right,series 1,line,1,5,%\n"
    )


def test_a_figure_without_data_has_no_file():
    assert downloads.figure(Figure()) == ""


def test_what_does_not_fit_is_left_out_whole_and_named(monkeypatch):
    monkeypatch.setattr(downloads, "BYTES", 2000)
    fig, ax = plt.subplots()
    ax.plot([1, 2], [3, 4], label="small")
    ax.imshow(np.random.default_rng(0).random((9, 9)))
    lines = downloads.figure(fig).splitlines()
    assert lines[-1] == "# left out for its size: panel 1: series 2 (81 points)"
    assert [line.split(",")[1] for line in lines[1:-1]] == ["small", "small"]
    found = read(downloads.figure(fig), comment="#")
    assert found["y"].tolist() == [3, 4]


def test_a_kernel_sends_csv_beside_the_picture_and_the_html():
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    try:
        plots.setup()
        fig, ax = plt.subplots()
        ax.plot([1, 2], [3, 4])
        shown = tables.style(pd.DataFrame({"a": ["1"]}, index=["r"]))
        of_figure, _ = shell.display_formatter.format(fig)
        of_table, _ = shell.display_formatter.format(shown)
        of_nothing, _ = shell.display_formatter.format(Figure())
    finally:
        InteractiveShell.clear_instance()
    assert of_figure["text/csv"] == downloads.figure(fig)
    assert of_figure["image/svg+xml"].startswith("<?xml")
    assert of_table["text/csv"] == "row,a\nr,1\n"
    assert "<table" in of_table["text/html"]
    assert "text/csv" not in of_nothing


def test_the_means_of_a_claim_and_a_difference_lead_to_their_records():
    of = {name: record(seed) for name, seed in (("a", 0), ("b", 1))}
    rows = {name: Sourced({"ece": [0.1, 0.2 + made.estimates["plain"]["ece"][0]]}, [made])
            for name, made in of.items()}  # fmt: skip
    listed = pd.DataFrame(
        [["A is lower", None, "a", "b", "ece", "lower"], ["?", None, "a", "c", "ece", "lower"]],
        columns=["claim", "published", "left", "right", "metric", "expects"],
        index=["X-1", "X-2"],
    )
    shown = claims.show(claims.judge(rows, listed), rows)
    right, left = shown.data.loc["X-1", "ours"].split(" → ")
    assert f'{stem(of["b"])}.json">' in right
    assert f'{stem(of["a"])}.json">' in left
    assert shown.data.loc["X-2", "ours"] == ""  # not yet run
    found = read(downloads.table(shown))
    assert found["ours, records"].tolist()[0] == f"{stem(of['b'])} {stem(of['a'])}"
    gap = read(downloads.table(tables.differences(rows, {"a − b": ("a", "b")}, [ECE])))
    assert gap["row, records"].tolist() == [f"{stem(of['a'])} {stem(of['b'])}"]
