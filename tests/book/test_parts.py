"""Pieces of the pipeline that need no kernel: cells, cache keys, the stage, quoted numbers."""

import json
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from ldlstudy.book import cache, gates, sphinx_ext, stage
from ldlstudy.book import notebook as nb
from ldlstudy.report import tables
from tests.conftest import notebook

PARAMETERS = {"profile": "smoke"}
RESULT = cache.Executed('{"cells": []}', '{"a": 1}')


def test_clean_removes_what_differs_between_runs():
    def run(identity):
        chapter = notebook("x = 1")
        chapter.metadata.papermill = {"duration": identity}
        chapter.metadata.widgets = {"state": identity}
        injected = v4.new_code_cell("profile = 'smoke'", id=f"id{identity}")
        injected.metadata.tags = ["injected-parameters"]
        chapter.cells.insert(2, injected)
        for cell in chapter.cells:
            cell.metadata.papermill = {"start_time": identity}
            cell.metadata.execution = {"iopub.execute_input": identity}
        pieces = ["ab", "c"] if identity else ["a", "bc"]
        streams = [v4.new_output("stream", name="stdout", text=piece) for piece in pieces]
        widget = {nb.WIDGET: {"model_id": identity}, "text/html": "<b>1</b>"}
        chapter.cells[-1].outputs = [*streams, v4.new_output("display_data", data=widget)]
        return nb.clean(chapter)

    first, second = run(0), run(1)
    assert nb.text(first) == nb.text(second)
    assert first.cells[2].metadata.tags == ["injected-parameters", "remove-cell"]
    assert [output.get("text") for output in first.cells[-1].outputs] == ["abc", None]


def test_pictures_lose_letters_and_nothing_that_is_seen():
    svg = (
        '<svg width="5.123456pt"><g transform="scale(0.015625)"><path id="a" d="M 1.5 -12.987654 \n'
        'L 1.5 -12.987654 \nM 1 2 \nL 1 3.000001 \nz"/><use x="7.996" y="0.004321"/></g></svg>'
    )
    chapter = notebook("x = 1")
    chapter.cells[-1].outputs = [v4.new_output("display_data", data={nb.PICTURE: svg})]
    assert nb.clean(chapter).cells[-1].outputs[0].data[nb.PICTURE] == (
        '<svg width="5.123456pt"><g transform="scale(0.015625)"><path id="a" d="M1.5 -12.99h0'
        'M 1 2 \nL 1 3 \nz"/><use x="8" y="0"/></g></svg>'
    )


def test_the_key_follows_all_that_outputs_follow_from(toy_book):
    project = toy_book()
    source = project.notebooks["01_toy"]

    def key(parameters=PARAMETERS):
        return cache.code_key(project, source, parameters) + cache.records_key(project)

    def change(name):
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.read_text() + " " if path.exists() else "new")
        return key()

    changed = (
        "notebooks/01_toy.ipynb", "requirements.txt", "ldlstudy/metrics.py",
        "ldlstudy/models/lenet.py", "ldlstudy/explore/label.js", "book/results/digits.jsonl",
        "book/published/table.csv",
    )  # fmt: skip
    keys = [key(), key({"profile": "paper"}), *map(change, changed)]
    assert len(set(keys)) == len(keys)
    for other in (
        "ldlstudy/book/site.py", "ldlstudy/cli/data.py", "book/index.md",
        "book/results/.digits.jsonl-x.part", "book/results/.digits.lock",
    ):  # fmt: skip
        assert change(other) == keys[-1], other


def test_a_kept_result_is_used_for_its_key_alone(toy_book):
    project = toy_book()
    assert cache.load(project, "01_toy", "smoke", "k") == (None, "not run before")
    cache.store(project, "01_toy", "smoke", "k", RESULT)
    assert cache.load(project, "01_toy", "smoke", "k") == (RESULT, "unchanged")
    assert cache.load(project, "01_toy", "smoke", "l") == (None, "changed since the last run")
    assert cache.load(project, "01_toy", "paper", "k") == (None, "not run before")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('\\"a\\": 1', '\\"a\\": 2'),
    ],
)
def test_a_damaged_result_is_not_used(toy_book, damage):
    project = toy_book()
    cache.store(project, "01_toy", "smoke", "k", RESULT)
    (path,) = (project.build / "cache" / "smoke").iterdir()
    assert damage(path.read_text()) != path.read_text()
    path.write_text(damage(path.read_text()))
    found, reason = cache.load(project, "01_toy", "smoke", "k")
    assert found is None
    assert "damaged" in reason


def test_the_stage_is_a_copy_that_shares_the_records(toy_book):
    project = toy_book()
    shutil.copy(project.notebooks["01_toy"], project.root / "book" / "counts.ipynb")
    (project.stage / "notebooks").mkdir(parents=True)
    (project.stage / "notebooks" / "removed.ipynb").write_text("old")
    stage.prepare(project)
    assert [path.name for path in (project.stage / "notebooks").iterdir()] == ["01_toy.ipynb"]
    (project.stage / "book" / "results" / "new.jsonl").write_text("{}")
    assert (project.root / "book" / "results" / "new.jsonl").read_text() == "{}"
    assert list((project.stage / "book" / "numbers").iterdir()) == []
    assert list(project.notebooks) == ["01_toy", "counts"]  # a page may be a notebook
    assert project.staged("counts") == project.stage / "book" / "counts.ipynb"
    assert all(project.staged(name).is_file() for name in project.notebooks)
    assert "book/counts.ipynb is not in _toc.yml" in gates.contents_differ(project)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("02_toy:bayes.ece", "no numbers from '02_toy'; did you mean 01_toy?"),
        ("01_toy:bayes.acc", "no number 'bayes.acc' from '01_toy'; did you mean bayes.ece"),
        ("01_toy", "no number '' from '01_toy'; did you mean"),
        ("01_toy:bayes.ece|.3q", "Unknown format code 'q'"),
        ("01_toy:device|.3f", "Unknown format code 'f'"),
    ],
)
def test_a_number_is_quoted_in_its_format_and_a_wrong_reference_says_what_is_near(
    tmp_path, reference, message
):
    with pytest.raises(ValueError, match="there are none"):
        sphinx_ext.quote(tmp_path, reference)
    (tmp_path / "01_toy.json").write_text(json.dumps({"bayes.ece": 0.0071, "device": "cpu"}))
    for known, text in (("device", "cpu"), ("bayes.ece", "0.0071"), ("bayes.ece|.3f", "0.007")):
        assert sphinx_ext.quote(tmp_path, f"01_toy:{known}") == (text, tmp_path / "01_toy.json")
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        sphinx_ext.quote(tmp_path, reference)


@pytest.mark.parametrize(
    ("heading", "shown"), [("ECE", ["ECE", "LS"]), (("CNN", "ECE"), ["CNN", "ECE", "LS"])]
)
def test_tables_have_no_empty_headings_and_scroll_by_keyboard(heading, shown, tmp_path):
    styled = tables.style(pd.DataFrame({heading: ["1.2"]}, index=["LS"])).to_html()
    markdown = '<tr><th class="head"><p></p></th><th><p>LS</p></th></tr>'
    body = f'<div class="pst-scrollable-table-container">{styled}{markdown}</div>'
    context = {"body": body}
    app = SimpleNamespace(srcdir=tmp_path)
    sphinx_ext.make_readable(app, "page", "page.html", context, None)
    found = BeautifulSoup(context["body"], "html.parser")
    assert [cell.get_text(strip=True) for cell in found("th")] == [*shown, "LS"]
    assert found.div["tabindex"] == "0"
