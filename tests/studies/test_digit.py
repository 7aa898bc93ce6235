"""The first chapter: its sums by hand, its pictures, and what its sentences ask of its numbers."""

import io
import random

import nbformat
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy.data import Images
from ldlstudy.report import export
from ldlstudy.studies.digit import numbers, pictures, task
from tests.conftest import ROOT

SURE = st.lists(
    st.tuples(st.integers(20, 999), st.booleans()),
    min_size=1,
    max_size=12,
    unique_by=lambda p: p[0],
)


@settings(max_examples=20)
@given(SURE, st.integers(1, 4))
def test_the_sum_by_hand_is_the_ece(predictions, bins):
    confidence, right = zip(*predictions, strict=True)
    c = torch.tensor(confidence, dtype=torch.float64) / 1000
    table = pd.read_csv(io.StringIO(export.table(pictures.by_hand(c, torch.tensor(right), bins))))
    gaps = {}  # a loop, as on paper
    for value, hit in zip(c.tolist(), right, strict=True):
        place = next(n for n in range(bins) if value <= (n + 1) / bins)
        gaps.setdefault(place, []).append(hit - value)
    ece = sum(abs(sum(gap)) for gap in gaps.values()) / len(c)
    assert table["share × gap"].sum() == pytest.approx(ece, abs=1e-4 * bins)
    assert table["predictions"].sum() == len(c)


def test_the_bins_that_are_drawn(book_style):
    p = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.8, 0.2], [0.4, 0.6]])
    fig = pictures.reliability({"x": p}, torch.tensor([0, 1, 0, 1]), bins=2)
    (ax,) = fig.axes
    assert [bar.get_height() for bar in ax.patches] == [0.75]
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([0.75])
    assert ax.get_title() == "x: ECE .000"


def test_the_task_is_the_same_each_time():
    one, other = task.network(), task.network()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    small = task.images("smoke")
    assert len(small.train.labels) == 50
    torch.testing.assert_close(small.posterior(small.test.pixels.flatten(1)), small.test.truth)
    for unknown in (task.images, task.recipe):
        with pytest.raises(ValueError, match="unknown profile 'fast'; known: "):
            unknown("fast")


def score(**values):
    line = dict.fromkeys(numbers.METRICS, 0.5) | values
    return pd.DataFrame([line, line], ["plain", "fitted"])


def test_numbers_of_one_image():
    test = Images(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]), torch.tensor([[0.9, 0.1]] * 2))
    answers = {"network": torch.tensor([0.7, 0.3]), "truth": test.truth[1]}
    scores = {"none": score(accuracy=0.25)}
    given = (test, 1, answers, scores, {"none": 0.8}, {"hand.ece": 0.1})
    values = numbers.quoted(*given, "smoke")
    assert (values["label"], values["said"]) == (1, 0)
    assert (values["network.label"], values["network.other"]) == pytest.approx((0.3, 0.7))
    assert (values["truth.label"], values["bayes.accuracy"]) == pytest.approx((0.1, 0.5))
    assert (values["none.fitted.accuracy"], values["hand.ece"]) == (0.25, 0.1)
    rest = {name: score() for name in numbers.STUDENTS}
    sure = dict.fromkeys(numbers.STUDENTS, 0.8)
    answers |= {"scaled": answers["network"]}
    with pytest.raises(ValueError, match="\n- The truth is divided\n"):
        numbers.quoted(test, 1, answers, rest, sure, {"train.loss": 0.1}, "quick")


def test_every_sentence_is_on_the_page_and_can_fail():
    cells = nbformat.read(ROOT / "notebooks" / "00_one_digit.ipynb", as_version=4).cells
    text = " ".join(" ".join(c.source for c in cells if c.cell_type == "markdown").split())
    keys = [f"{s}.{stage}.{m}" for s in numbers.STUDENTS for stage in ("plain", "fitted")
            for m in numbers.METRICS]  # fmt: skip
    keys += [f"{name}.confidence" for name in numbers.STUDENTS] + ["train.loss"]
    keys += [f"{n}.{side}" for n in ("network", "truth", "scaled") for side in ("label", "other")]
    draws = random.Random(0)
    worlds = [
        {key: draws.uniform(0, 2) for key in keys} | {"label": 1, "said": 2} for _ in range(40)
    ]
    for sentence, holds in numbers.SENTENCES.items():
        assert sentence in text
        assert not all(holds(world) for world in worlds), sentence
