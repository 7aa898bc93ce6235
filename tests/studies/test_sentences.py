"""What the pages say of records: every sentence stands on its page, holds, and could fail."""

import importlib
import random
import re

import nbformat
import pytest

from ldlstudy.report import sentences
from ldlstudy.report.results import Measured
from ldlstudy.report.sentences import NoRecordError, Reading
from ldlstudy.studies import STUDIES
from tests.conftest import ROOT
from tests.report.made import results

CHAPTERS = list(STUDIES)


def said(chapter):
    return importlib.import_module(f"ldlstudy.studies.{chapter}.sentences")


def page(chapter):
    """The text of a page with its captions and alternative texts, in one line."""
    file = ROOT / "notebooks" / f"{STUDIES[chapter].chapter}.ipynb"
    texts = []
    for cell in nbformat.read(file, as_version=4).cells:
        shown = cell.metadata.get("mystnb", {})
        texts += [shown.get("image", {}).get("alt", ""), shown.get("figure", {}).get("caption", "")]
        texts += [cell.source] if cell.cell_type == "markdown" else []
    return " ".join(" ".join(texts).split())


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_sentence_is_on_its_page_and_the_records_bear_it_out(chapter):
    own, text = said(chapter), page(chapter)
    for sentence in own.SENTENCES:
        parts = [re.escape(" ".join(part.split())) for part in sentence.split("…")]
        assert re.search(".*".join(parts), text), sentence
    assert sentences.untrue(own.SENTENCES, own.facts()) == []
    sentences.require(own.SENTENCES, own.facts())


@pytest.mark.parametrize("chapter", [c for c in CHAPTERS if c != "truth"])
def test_every_condition_fails_in_some_world(chapter, monkeypatch):
    """With numbers of chance in place of the means, each is untrue sooner or later."""
    own = said(chapter)
    never = dict(own.SENTENCES)
    facts = own.facts()
    for world in range(60):
        draws = random.Random(world)

        def measured(self, row, metric, stage="plain", draws=draws):
            shape = len(self.records(row)) or 1
            return Measured.of([draws.uniform(0, 2) for _ in range(shape)], self.records(row))

        monkeypatch.setattr("ldlstudy.report.results.Results.measured", measured)
        for sentence in sentences.untrue(never, facts):
            never.pop(sentence)
    figures = own.OF_FIGURES if hasattr(own, "OF_FIGURES") else ()
    assert sorted(never) == sorted(figures)


def test_a_reading_of_made_rows():
    made = results({"b x": {"ece": [0.1, 0.3, 0.2]}, "b y": {"ece": [0.2, 0.2, 0.3]}})
    reading = Reading(made).on("b")
    assert reading("x", "ece") == pytest.approx(0.2)
    assert (reading.below("x", "y", "ece"), reading.below("y", "x", "ece")) == (2, 1)
    assert reading.sorted("x", "y", metric="ece")
    assert not reading.sorted("y", "x", metric="ece")
    with pytest.raises(NoRecordError, match="'b z' has no ece at the stage 'plain'"):
        reading("z", "ece")


def test_what_is_untrue_is_listed_and_what_has_no_record_is_passed_over():
    made = {
        "x is above y": lambda r: r("x", "ece") > r("y", "ece"),
        "x is below y": lambda r: r("x", "ece") < r("y", "ece"),
        "z is above y": lambda r: r("z", "ece") > r("y", "ece"),
    }
    reading = Reading(results({"b x": {"ece": 0.1}, "b y": {"ece": 0.2}}), "b")
    assert sentences.untrue(made, reading) == ["x is above y"]
    with pytest.raises(ValueError, match="do not say what the page says of them:\n- x is above y$"):
        sentences.require(made, reading)


def test_words():
    assert sentences.listed([]) == "none"
    assert [sentences.listed("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert [sentences.of_seeds(n, 3) for n in range(4)] == [
        "no seed of three", "one seed of three", "two seeds of three", "all three seeds",
    ]  # fmt: skip
    assert (sentences.in_words(2), sentences.in_words(12)) == ("two", "12")
