"""What the pages say of records: every sentence stands on its page, holds, and could fail."""

import importlib
import random
import re
import statistics

import nbformat
import pandas as pd
import pytest

from ldlstudy import studies
from ldlstudy.report import sentences
from ldlstudy.report.results import Measured, Results
from ldlstudy.report.sentences import NoRecordError, Reading
from ldlstudy.stats import Estimate
from ldlstudy.studies import STUDIES
from ldlstudy.studies.truth import comparisons
from ldlstudy.studies.truth import tables as truth
from tests.conftest import ROOT
from tests.report.made import filled, results

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


REAL = {
    "figure": Results.figure,
    "scores": comparisons.scores,
    "label_distances": comparisons.label_distances,
    "costs_of": truth.costs_of,
}
KEPT = ("values", "p")  # what a figure's numbers are of


def of_chance(value, draws, low=0.0):
    """Something of the same shape with other numbers, from ``low`` upwards."""
    if isinstance(value, dict):
        return {k: v if k in KEPT else of_chance(v, draws, low) for k, v in value.items()}
    if isinstance(value, list):
        return [of_chance(v, draws, low) for v in value]
    if isinstance(value, pd.DataFrame):
        drawn = value.select_dtypes("float").map(lambda _: draws.uniform(0, 2))
        return value.assign(**drawn) if all(isinstance(c, str) for c in value) else drawn
    if isinstance(value, int) and not isinstance(value, bool):
        return draws.randrange(100)
    return low + draws.random() if isinstance(value, float) else value


def world(seed, patch):
    """Numbers of chance in place of what records say; returns what is read."""
    draws, read = random.Random(seed), []
    low, scale = draws.choice((0, 2)), draws.choice((0.1, 2))

    def measured(self, row, metric, stage="plain"):
        read.append(row)
        values = [draws.uniform(0, scale) for _ in range(3)]
        mean = statistics.fmean(values)
        return Measured(values, Estimate(mean, mean - 0.1, mean + 0.1))

    def drawn(name):
        def drawn_instead(*args):
            read.append(name)
            return of_chance(REAL[name](*args), draws, low)

        return drawn_instead

    patch.setattr(Results, "measured", measured)
    patch.setattr(Results, "figure", drawn("figure"))
    patch.setattr(comparisons, "scores", drawn("scores"))
    patch.setattr(comparisons, "label_distances", drawn("label_distances"))
    patch.setattr(said("truth"), "costs_of", drawn("costs_of"))
    return read


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_condition_on_records_fails_in_some_world(chapter, monkeypatch):
    """With numbers of chance in place of the records', each is untrue sooner or later."""
    own = said(chapter)
    facts, left = own.facts(), dict(own.SENTENCES)
    for seed in range(40):
        if not left:
            break
        read = world(seed, monkeypatch)
        if chapter == "truth":
            facts = own.facts()  # the old ones keep what they have read
        for sentence, holds in list(left.items()):
            read.clear()
            if not holds(facts) or not read:  # what reads no record is of the papers' tables
                left.pop(sentence)
    assert sorted(left) == []


def test_a_reading_of_made_rows():
    made = results({"b x": {"ece": [0.1, 0.3, 0.2]}, "b y": {"ece": [0.2, 0.2, 0.3]},
                    "b x2": {"ece": [0.2, 0.4, 0.3]}, "b x1": {"ece": [0.1, 0.3]}})  # fmt: skip
    reading = Reading(made).on("b")
    assert reading("x", "ece") == pytest.approx(0.2)
    assert (reading.below("x", "y", "ece"), reading.below("y", "x", "ece")) == (2, 1)
    assert not reading.always_below("x", "y", "ece")
    assert reading.always_below("x", "x2", "ece")
    assert reading.below("y", "x1", "ece") == 1  # of the two seeds that both have
    assert reading.always_below("x1", "x2", "ece")
    assert reading.sorted("x", "y", metric="ece")
    assert not reading.sorted("y", "x", metric="ece")
    with pytest.raises(NoRecordError, match="'b z' has no ece at plain"):
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


def made_truth(**kl):
    """The quick cell and the grid with a KL by strategy, twice it scaled; a higher errs more."""
    runs = [e for e in studies.planned("truth", "quick") if e.strategy in kl]
    cells = [e for e in studies.planned("truth", "paper") if e.strategy in kl and e.run.seed < 2]

    def give(each):
        far = kl[each.strategy] + each.run.seed / 1000
        plain = {"kl_to_truth": far, "error": far, "accuracy": 1 - far}
        scaled = {"fitted kl_to_truth": 2 * far, "fitted error": far}
        step = {"step operations": 1e6, "step seconds": 0.1}
        label = {"total_variation": far, "entropy": 0.1, "true_entropy": 0.1}
        return plain | scaled | step | {f"label {name}": value for name, value in label.items()}

    return filled(runs, give), filled(cells, give)


def test_lists_of_strategies_are_written_from_the_records_there_are():
    written = said("truth").written(*made_truth(none=0.5, ls=0.6, ils=0.4, cs_kd=0.55, mixup=0.3))
    assert written["fitted.nearer.all"] == "ILS and mixup"
    assert written["fitted.farther.all"] == written["farther.all"] == "LS and CS-KD"
    assert written["fitted.farther.accuracy"] == "All lose 5.0 to 10.0 points of accuracy as well"
    assert written["softened"].startswith(
        "The strategies that soften labels (LS, ILS and CS-KD) have a KL of 0.40 (ILS) to 0.60"
    )
    assert written["softened"].endswith("nearer are ILS")
    assert (written["labels.plain"], written["labels.changed"]) == ("four", "one")
    assert written["chosen"] == "ILS"
    without = said("truth").written(*made_truth(none=0.5, mixup=0.6))
    assert without["softened"] == ""
    assert without["fitted.nearer.all"] == without["chosen"] == "none"


def test_rivals_are_written_from_the_seeds_there_are():
    own = said("ldl")
    ece = {"none": [0.2, 0.2, 0.2], "crd": [0.3, 0.1, 0.3], "wsl": [0.1, 0.1, 0.15]}
    made = results({f"{own.DIGITS} {s}": {"ece_10_right": v} for s, v in ece.items()})
    assert own.written(made)["rivals.ece"] == (
        "CRD raises it to .233 in two seeds of three and WSL lowers it to .117 in all three seeds"
    )
    assert own.written(results({}))["rivals.ece"] == "none of them has been run"


def test_rows_that_are_not_at_the_lower_right_are_those_of_the_printed_tables():
    """Counted again, table by table, from the files as they are printed."""
    outside = 0
    for number in (2, 3, 4):
        table = pd.read_csv(ROOT / "book" / "published" / f"ldl_table{number}.csv")
        for _, rows in table.groupby("bench"):
            vanilla = rows[rows["strategy"] == "none"].iloc[0]
            own = rows[rows["strategy"].str.contains("ldl") & (rows["strategy"] != "kd_ldl")]
            better = (own["accuracy"] > vanilla["accuracy"]) & (own["ece"] < vanilla["ece"])
            outside += int((~better).sum())
    said_of = said("ldl").written(results({}))["not.lower.right"]
    assert len(re.findall(r", (?:upper |lower )?(?:left|right)", said_of)) == outside > 0
