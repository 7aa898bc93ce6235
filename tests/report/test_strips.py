"""Images with distributions beside them: the heights of the bars, the marks, the table below."""

import io
import re

import numpy as np
import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup

from ldlstudy.report import strips


def test_bars_are_as_high_as_probabilities_and_the_label_is_marked():
    p = torch.tensor([0.6, 0.38, 0.02])
    block = strips.strip(torch.rand(4, 4) * 3 - 1, {"a < b": p, "the truth": p}, 1, "Said.")
    soup = BeautifulSoup(block.html, "html.parser")
    image, first, truth = soup.find_all("svg")
    shades = {re.fullmatch(r"rgb\((\d+),\1,\1\)", r["fill"])[1] for r in image.find_all("rect")}
    assert {"0", "255"} <= shades
    heights = [float(bar["height"]) for bar in first.find_all("rect")]
    np.testing.assert_allclose(heights, strips.HEIGHT * p.numpy(), atol=0.06)
    assert [t.text for t in first.find_all("text", class_="label")] == ["1"]
    assert [t.text for t in first.find_all("text")] == [".60", "0", ".38", "1", "2"]
    assert first["aria-label"] == "a < b: 0: 0.60, 1: 0.38"
    assert (first.parent["class"], truth.parent["class"]) == (["said"], ["true"])
    table = pd.read_csv(io.StringIO(block.csv), index_col="class")
    np.testing.assert_allclose(table["a < b"], p.numpy())


def test_several_images_stand_below_one_another():
    p, q = torch.tensor([0.6, 0.4]), torch.tensor([0.1, 0.9])
    lines = [(torch.rand(2, 2), {"the truth": each}, 0) for each in (p, q)]
    block = strips.strips(lines, "Said.")
    soup = BeautifulSoup(block.html, "html.parser")
    assert [len(row.find_all("svg")) for row in soup.find_all(class_="panels")] == [2, 2]
    table = pd.read_csv(io.StringIO(block.csv), index_col=["image", "class"])
    assert table["the truth"].tolist() == pytest.approx([0.6, 0.4, 0.1, 0.9])
