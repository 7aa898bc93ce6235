"""The first chapter: its sums by hand, its pictures, and what its sentences ask of its numbers."""

import io
import random
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup
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


@settings(deadline=None, max_examples=20)
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


def test_bars_are_as_high_as_probabilities_and_the_label_is_marked():
    p = torch.tensor([0.6, 0.38, 0.02])
    block = pictures.strip(torch.rand(4, 4) * 3 - 1, {"a < b": p, "the truth": p}, 1, "Said.")
    soup = BeautifulSoup(block.html, "html.parser")
    image, first, truth = soup.find_all("svg")
    shades = {re.fullmatch(r"rgb\((\d+),\1,\1\)", r["fill"])[1] for r in image.find_all("rect")}
    assert {"0", "255"} <= shades
    heights = [float(bar["height"]) for bar in first.find_all("rect")]
    np.testing.assert_allclose(heights, pictures.HEIGHT * p.numpy(), atol=0.06)
    assert [t.text for t in first.find_all("text", class_="label")] == ["1"]
    assert [t.text for t in first.find_all("text")] == [".60", "0", ".38", "1", "2"]
    assert first["aria-label"] == "a < b: 0: 0.60, 1: 0.38"
    assert (first.parent["class"], truth.parent["class"]) == (["said"], ["true"])
    table = pd.read_csv(io.StringIO(block.csv), index_col="class")
    np.testing.assert_allclose(table["a < b"], p.numpy())


def test_several_images_stand_below_one_another():
    p, q = torch.tensor([0.6, 0.4]), torch.tensor([0.1, 0.9])
    lines = [(torch.rand(2, 2), {"the truth": each}, 0) for each in (p, q)]
    block = pictures.strips(lines, "Said.")
    soup = BeautifulSoup(block.html, "html.parser")
    assert [len(row.find_all("svg")) for row in soup.find_all(class_="panels")] == [2, 2]
    table = pd.read_csv(io.StringIO(block.csv), index_col=["image", "class"])
    assert table["the truth"].tolist() == pytest.approx([0.6, 0.4, 0.1, 0.9])


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
