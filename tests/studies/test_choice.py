"""Which label to use: who is best on made-up numbers whose answer is known, and the page."""

import io

import nbformat
import pandas as pd
import pytest

from ldlstudy import studies
from ldlstudy.report import export, sentences
from ldlstudy.stats import Estimate
from ldlstudy.studies.choice import numbers, picks, tables
from ldlstudy.studies.choice.picks import DIGITS, PEOPLE, Pick, Want
from ldlstudy.studies.people import runs as people
from ldlstudy.studies.strategies import named
from tests.conftest import ROOT
from tests.report.made import filled, results

SPENT = pd.DataFrame({"step": {"none": 1.0, "ls": 1.0, "mixup": 1.0, "cs_kd": 1.34, "ddgsd": 2.0}})
SPENT[["seconds", "teachers", "all"]] = 1.0


@pytest.mark.parametrize(
    ("strategy", "step", "have"),
    [
        ("cutmix", 1.0, "labels"),
        ("cs_kd", 1.34, "time"),
        ("ls_chosen", 1.0, "held"),
        ("ils", 1.0, "held"),  # its teacher, too, is scaled on them
        ("ils_fixed", 1.0, "held"),
        ("on_ldl-cutmix", 1.34, "teacher"),
        ("on_en_ldl-mixup", 2.69, "teachers"),
    ],
)
def test_what_one_has_to_have(strategy, step, have):
    assert picks.asks_for(strategy, step) == have


def test_gains_and_losses_are_beyond_the_interval():
    above, below, about = (Estimate(0, *ends) for ends in ((0.1, 1), (-1, -0.1), (-1, 1)))
    assert [picks.gains(e, True) for e in (above, below, about)] == [True, False, False]
    assert [picks.loses(e, True) for e in (above, below, about)] == [False, True, False]
    assert [picks.gains(e, False) for e in (above, below, about)] == [False, True, False]


def grid(kl):
    """The grid with a KL by strategy: ``kl`` gives those of the first two seeds and of the rest."""
    planned = [e for e in studies.planned("truth", "paper") if e.strategy in kl]

    def give(each):
        value = kl[each.strategy][each.run.seed >= picks.CHOSEN_ON]
        low = {"accuracy": 1 - value, "ece_15_left": value}
        return low | {"fitted kl_to_truth": value, "fitted ece_15_left": value}

    return filled(planned, give)


def test_the_best_is_chosen_on_other_seeds_than_it_is_measured_on():
    made = grid({"none": (0.5, 0.5), "ls": (0.1, 0.6), "mixup": (0.2, 0.3), "cs_kd": (0.3, 0.2),
                 "truth": (0.0, 0.0)})  # fmt: skip
    found = picks.of_digits(made, SPENT)
    assert set(found) == {(have, want) for have in ("labels", "time") for want in DIGITS}
    assert found["labels", "truth"].strategy == "ls"  # by luck
    assert found["labels", "truth"].difference.mean == pytest.approx(0.1)
    assert found["time", "truth"].difference.mean == pytest.approx(-0.3)
    assert found["time", "truth"].beyond.mean == pytest.approx(-0.4)
    assert found["time", "accuracy"].difference.mean == pytest.approx(0.3)
    assert picks.of_digits(results({}), SPENT) == {}


def test_on_fashion_mnist_networks_are_compared_seed_by_seed():
    want = PEOPLE["accuracy"]
    rows = {
        people.row("none"): {"accuracy": [0.90, 0.91, 0.90]},
        people.row("none-held"): {"accuracy": [0.99, 0.99, 0.99]},  # the same on fewer images
        people.row("mixup"): {"accuracy": [0.91, 0.92, 0.91]},
        people.row("cs_kd"): {"accuracy": [0.90, 0.92, 0.89]},
    }
    found = picks.of_people(results(rows), SPENT)
    better = found["labels", "accuracy"]
    assert better.strategy == "mixup"
    assert better.difference == pytest.approx((0.01, 0.01, 0.01))
    assert picks.gains(better.difference, want.more)
    assert not picks.gains(found["time", "accuracy"].difference, want.more)


def test_what_a_cell_says():
    more, less = Want("accuracy", "plain", "right", True), Want("ece", "plain", "ECE")
    gain, loss, even = (
        Estimate(*e) for e in ((-0.2, -0.3, -0.1), (0.2, 0.1, 0.3), (0.0, -0.1, 0.1))
    )
    found = {
        ("labels", "ece"): Pick("mixup", gain, even),
        ("time", "ece"): Pick("cs_kd", gain, even),
        ("teacher", "ece"): Pick("kd", gain, gain),
        ("held", "ece"): Pick("ils", loss, loss),
        ("labels", "right"): Pick("cutmix", even, even),
    }
    shown = tables.picks(found, {"ece": less, "right": more}, {"ece": 0.25, "right": 0.5}, "Here")
    cells = shown.data["ECE"].map(lambda cell: cell.text)
    assert cells["hard labels have"] == ".250"
    assert cells["labels alone"] == "<strong>mixup</strong> <br><small>−.200 [−.300, −.100]</small>"
    assert cells["labels, and time for a longer step"].startswith("CS-KD ")
    assert cells["a teacher"].startswith("<strong>KD</strong>")
    assert cells["held-out images, for settings or a teacher's temperature"].startswith("a loss ")
    assert cells["five teachers"] == ""
    right = shown.data["right"].map(lambda cell: cell.text)
    assert right["hard labels have"] == "50.0 %"
    assert (
        right["labels alone"]
        == "no clear difference <br><small>CutMix +.00 [−10.00, +10.00]</small>"
    )
    read = pd.read_csv(io.StringIO(export.table(shown)), index_col="row")
    assert read.loc["labels alone", "ECE"] == "mixup -.200 [-.300, -.100]"
    assert numbers.said(found["time", "ece"], less, "time").endswith(
        "; not clearly better than the best of labels alone)"
    )
    assert numbers.said(found["held", "ece"], less, "held").startswith("even the best loses (ILS, ")


def test_the_page_says_what_the_records_bear_out():
    own = numbers.facts()
    sentences.require(numbers.SENTENCES, own)
    cells = nbformat.read(ROOT / "notebooks" / "08_which_label.ipynb", as_version=4).cells
    text = " ".join(" ".join(c.source for c in cells if c.cell_type == "markdown").split())
    values = numbers.quoted(own)
    assert all(sentence in text for sentence in numbers.SENTENCES)
    for key in ("digits.labels.truth", "five.cutmix", "three", "student.ls"):
        assert f"08_which_label:{key}`" in text
        assert isinstance(values[key], str)
    shown = tables.costs(own.spent, own.digits, own.fashion).data
    assert shown.loc["hard labels"].tolist() == ["× 1.00", "× 1.00", "0", "× 1.00"]
    picked = {p.strategy for found in (own.digits, own.fashion) for p in found.values()}
    assert {named(name.removesuffix("_fixed")).label for name in picked} <= set(shown.index)
    gain = Pick("ls", Estimate(-1, -2, -0.5), Estimate(-1, -2, -0.5))
    other = {(have, want): gain for have in picks.HAVES for want in PEOPLE}
    more = Estimate(1, 0.5, 2)
    other |= {(have, "accuracy"): Pick("ls", more, more) for have in picks.HAVES}
    assert sentences.untrue(
        numbers.SENTENCES, numbers.Facts(other, other, own.hard, own.spent)
    ) == list(numbers.SENTENCES)
