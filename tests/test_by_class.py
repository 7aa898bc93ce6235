"""Scores by class against scikit-learn and pandas, and the class that is recognised best."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from ldlstudy import by_class

# Of class 0 two of three are found, one of them with an image of class 1; class 2 has no image.
P = torch.tensor(
    [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.7, 0.2], [0.5, 0.4, 0.1]], dtype=torch.float64
)
LABELS = torch.tensor([0, 0, 0, 1])


@st.composite
def samples(draw):
    """Draw probabilities (N, K) and labels (N,), some classes perhaps without a sample."""
    count, classes = draw(st.integers(1, 40)), draw(st.integers(2, 13))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    concentration = draw(st.sampled_from([0.05, 0.5, 5.0]))
    p = rng.dirichlet(np.full(classes, concentration) + 1e-3, count)
    return p, rng.integers(0, draw(st.integers(1, classes)), count)


@given(samples())
def test_f1_is_that_of_scikit_learn(sample):
    p, labels = sample
    known = range(p.shape[1])
    expected = f1_score(labels, p.argmax(1), labels=known, average=None, zero_division=0)
    np.testing.assert_allclose(by_class.f1(p, labels).numpy(), expected, rtol=1e-12)


@given(samples())
def test_mean_predictions_are_those_of_groups_of_rows(sample):
    p, labels = sample
    expected = pd.DataFrame(p).groupby(labels).mean().reindex(range(p.shape[1]))
    found = by_class.mean_predictions(p, labels).numpy()
    np.testing.assert_allclose(found, expected.to_numpy(), rtol=1e-12)


def test_by_hand():
    assert by_class.f1(P, LABELS).tolist() == pytest.approx([2 * 2 / (3 + 3), 0, 0])
    means = by_class.mean_predictions(P, LABELS)
    torch.testing.assert_close(
        means[:2], torch.tensor([[0.5, 1.1 / 3, 0.4 / 3], [0.5, 0.4, 0.1]], dtype=torch.float64)
    )
    assert means[2].isnan().all()
    best = {"class": 0, "f1": 0.6667, "classes": [0, 1, 2], "probabilities": [0.5, 0.3667, 0.1333]}
    kept = by_class.kept(P, LABELS)
    assert kept == {"f1": [0.6667, 0, 0], "confidence": [0.5, 0.4, None], "best": best}


@settings(max_examples=50)
@given(samples())
def test_what_a_record_keeps_is_of_the_class_with_the_highest_f1(sample):
    p, labels = sample
    kept = json.loads(json.dumps(by_class.kept(p, labels), allow_nan=False))
    f1, means = by_class.f1(p, labels), by_class.mean_predictions(p, labels).numpy()
    assert kept["f1"] == pytest.approx(f1.tolist(), rel=1e-3)
    given = [math.nan if c is None else c for c in kept["confidence"]]
    np.testing.assert_allclose(given, means.diagonal(), rtol=1e-3)
    best = kept["best"]
    assert best["f1"] == pytest.approx(float(f1.max()), rel=1e-3) == kept["f1"][best["class"]]
    row = means[best["class"]]
    np.testing.assert_allclose(best["probabilities"], np.sort(row)[::-1][:10], rtol=1e-3)
    np.testing.assert_allclose(best["probabilities"], row[best["classes"]], rtol=1e-3)
    assert len(set(best["classes"])) == min(10, p.shape[1])


def test_the_best_class_has_images_even_where_all_predictions_are_wrong():
    kept = by_class.kept(P.flip(0), torch.tensor([2, 2, 1, 1]))
    assert kept["f1"] == [0, 0, 0]
    assert (kept["best"]["class"], kept["best"]["f1"]) == (1, 0)
    assert sum(kept["best"]["probabilities"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("function", [by_class.f1, by_class.mean_predictions, by_class.kept])
def test_bad_arguments(function):
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), got values in \[0, 3\]"):
        function(P, torch.tensor([0, 1, 2, 3]))
    with pytest.raises(ValueError, match="as many labels as rows.* got 3 and 4"):
        function(P, LABELS[:3])
    with pytest.raises(ValueError, match="each row of probabilities must sum to 1"):
        function(2 * P, LABELS)
