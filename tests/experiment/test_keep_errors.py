"""What a record keeps of answers, errors and classes: in short, and no more than a figure needs."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ldlstudy import errors
from ldlstudy.experiment import keep

# Of class 0 two of three are found, one of them with an image of class 1; class 2 has no image.
P = torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.7, 0.2], [0.5, 0.4, 0.1]])
LABELS = torch.tensor([0, 0, 0, 1])


def drawn(count, classes, seed=0):
    """Return probabilities (N, K) and labels (N,) of about half the classes."""
    rng = np.random.default_rng(seed)
    p = torch.from_numpy(rng.dirichlet(np.full(classes, 0.5), count))
    return p, torch.from_numpy(rng.integers(0, -(-classes // 2), count))


def test_errors_are_kept_with_their_positions_and_four_digits():
    found = keep.of_errors(P, LABELS)
    assert found == {
        "index": [2, 3],
        "log_predicted": [-0.3567, -0.6931],
        "log_true": [-2.303, -0.9163],
    }
    assert keep.of_errors(P, P.argmax(1)) == {"index": [], "log_predicted": [], "log_true": []}
    impossible = keep.of_errors(torch.eye(2), torch.tensor([1, 1]))
    assert impossible["log_true"] == pytest.approx([math.log(torch.finfo().tiny)], rel=1e-3)
    json.dumps(impossible, allow_nan=False)


@pytest.mark.parametrize("classes", [2, 4, 5, 20])
def test_answers_are_the_best_of_each_image(classes):
    p, y = drawn(30, classes)
    found = keep.answers(p, y)
    assert found["index"] == list(range(30))
    assert found["labels"] == y.tolist()
    best = np.argsort(-p.numpy(), 1)[:, :5]  # no two are alike
    assert found["classes"] == best.tolist()
    np.testing.assert_allclose(found["scores"], np.take_along_axis(p.numpy(), best, 1), rtol=5e-4)
    assert json.loads(json.dumps(found)) == found


@given(st.integers(1, 12_000))
@example(500)
@example(501)
@example(10_000)
def test_at_most_500_evenly_spread_images_are_kept(count):
    index = keep.positions(count).tolist()
    assert index[0] == 0
    assert len(index) == count if count <= 500 else 250 < len(index) <= 500
    steps = set(np.diff(index).tolist())
    assert len(steps) <= 1
    assert count - index[-1] <= max(steps, default=1)  # the last step reaches the end


def test_classes_by_hand():
    best = {"class": 0, "f1": 0.6667, "classes": [0, 1, 2], "probabilities": [0.5, 0.3667, 0.1333]}
    kept = keep.by_class(P, LABELS)
    assert kept == {"f1": [0.6667, 0, 0], "confidence": [0.5, 0.4, None], "best": best}


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(2, 13), st.integers(0, 99))
def test_what_is_kept_of_classes_is_of_the_one_with_the_highest_f1(count, classes, seed):
    p, labels = drawn(count, classes, seed)
    kept = json.loads(json.dumps(keep.by_class(p, labels), allow_nan=False))
    f1, means = errors.f1(p, labels), errors.mean_predictions(p, labels).numpy()
    assert kept["f1"] == pytest.approx(f1.tolist(), rel=1e-3)
    given = [math.nan if c is None else c for c in kept["confidence"]]
    np.testing.assert_allclose(given, means.diagonal(), rtol=1e-3)
    best = kept["best"]
    assert best["f1"] == pytest.approx(float(f1.max()), rel=1e-3) == kept["f1"][best["class"]]
    row = means[best["class"]]
    np.testing.assert_allclose(best["probabilities"], np.sort(row)[::-1][:10], rtol=1e-3)
    np.testing.assert_allclose(best["probabilities"], row[best["classes"]], rtol=1e-3)
    assert len(set(best["classes"])) == min(10, classes)


def test_the_best_class_has_images_even_where_all_predictions_are_wrong():
    kept = keep.by_class(P[[2, 2, 0]], torch.tensor([2, 2, 1]))
    assert kept["f1"] == [0, 0, 0]
    assert (kept["best"]["class"], kept["best"]["f1"]) == (1, 0)
