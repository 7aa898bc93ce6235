"""What networks say of the images they get wrong: by hand, in the limit, and as records keep it."""

import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ldlstudy import metrics
from ldlstudy.misclassified import answers, kept, log_probabilities, scores, wrong

P = torch.tensor(
    [
        [0.7, 0.2, 0.1],  # right
        [0.5, 0.3, 0.2],  # says 0, is 1
        [0.1, 0.1, 0.8],  # says 2, is 0
        [0.2, 0.6, 0.2],  # right
    ]
)
LABELS = torch.tensor([0, 1, 0, 1])
TRUTH = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
FUNCTIONS = (wrong, scores, log_probabilities, kept, answers)


def drawn(count, classes, seed=0):
    rng = np.random.default_rng(seed)
    p = torch.from_numpy(rng.dirichlet(np.full(classes, 0.5), count))
    return p, torch.from_numpy(rng.integers(0, classes, count))


def test_wrong_by_hand():
    assert wrong(P, LABELS).tolist() == [1, 2]
    assert wrong(P.numpy(), LABELS.numpy()).tolist() == [1, 2]
    assert wrong(P, P.argmax(1)).tolist() == []


def test_scores_by_hand():
    found = scores(P, LABELS)
    assert found == {
        "confidence_on_errors": pytest.approx((0.5 + 0.8) / 2),
        "predicted_score_on_errors": pytest.approx((math.log(0.5) + math.log(0.8)) / 2),
        "true_score_on_errors": pytest.approx((math.log(0.3) + math.log(0.1)) / 2),
    }
    assert all(type(value) is float for value in found.values())


def test_the_divergence_from_the_truth_is_that_of_the_errors():
    first = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.3)
    second = 0.5 * math.log(0.5 / 0.1) + 0.5 * math.log(0.5 / 0.8)
    found = scores(P, LABELS, TRUTH)
    assert found.pop("kl_to_truth_on_errors") == pytest.approx((first + second) / 2)
    assert found == scores(P, LABELS)
    errors = torch.tensor([1, 2])
    theirs = metrics.kl_to_truth(TRUTH[errors], P[errors])
    assert scores(P, LABELS, TRUTH.numpy())["kl_to_truth_on_errors"] == theirs


def test_without_an_error_there_is_no_score():
    right = P.argmax(1)
    assert scores(P, right) == scores(P, right, TRUTH) == {}
    assert [part.shape for part in log_probabilities(P, right)] == [(0,), (0,)]
    assert kept(P, right) == {"index": [], "log_predicted": [], "log_true": []}


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(2, 8), st.integers(0, 99))
def test_scores_are_means_of_the_log_probabilities(count, classes, seed):
    p, y = drawn(count, classes, seed)
    found, (predicted, true) = scores(p, y), log_probabilities(p, y)
    errors = [i for i in range(count) if int(p[i].argmax()) != int(y[i])]
    assert wrong(p, y).tolist() == errors
    assert len(predicted) == len(true) == len(errors)
    for i, said, of_true in zip(errors, predicted.tolist(), true.tolist(), strict=True):
        assert said == pytest.approx(math.log(max(p[i])))
        assert of_true == pytest.approx(math.log(p[i, y[i]]))
        assert of_true <= said
    if errors:
        assert found["predicted_score_on_errors"] == pytest.approx(float(predicted.mean()))
        assert found["true_score_on_errors"] == pytest.approx(float(true.mean()))
        assert found["confidence_on_errors"] == pytest.approx(float(predicted.exp().mean()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_probability_of_zero_has_a_finite_logarithm(dtype):
    p, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=dtype), torch.tensor([1, 1])
    predicted, true = log_probabilities(p, y)
    assert predicted.tolist() == [0]
    assert true.dtype == torch.float64
    assert true.tolist() == [pytest.approx(math.log(torch.finfo(dtype).tiny))]
    assert math.isfinite(scores(p, y)["true_score_on_errors"])
    json.dumps(kept(p, y), allow_nan=False)


def test_a_record_keeps_positions_and_four_digits():
    found = kept(P, LABELS)
    assert found == {
        "index": [1, 2],
        "log_predicted": [-0.6931, -0.2231],
        "log_true": [-1.204, -2.303],
    }
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 6, 20])
def test_answers_are_the_best_of_each_sample(classes):
    p, y = drawn(30, classes)
    found = answers(p, y)
    assert found["index"] == list(range(30))
    assert found["labels"] == y.tolist()
    best = np.argsort(-p.numpy(), 1)[:, :5]  # no two are alike
    assert found["classes"] == best.tolist()
    assert best.shape[1] == min(classes, 5)
    np.testing.assert_allclose(found["scores"], np.take_along_axis(p.numpy(), best, 1), rtol=5e-4)
    assert json.loads(json.dumps(found)) == found


@settings(deadline=None)
@given(st.integers(1, 12_000))
@example(500)
@example(501)
@example(10_000)
def test_answers_are_of_at_most_500_evenly_spread_samples(count):
    p = torch.full((count, 2), 0.5)
    labels = torch.arange(count) % 2
    found = answers(p, labels)
    index = found["index"]
    assert index[0] == 0
    assert len(index) == count if count <= 500 else 250 < len(index) <= 500
    steps = set(np.diff(index).tolist())
    assert len(steps) <= 1
    assert count - index[-1] <= max(steps, default=1)  # the last step reaches the end
    assert found["labels"] == [i % 2 for i in index]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("p", "labels", "message"),
    [
        (P[:0], LABELS[:0], "need as many labels as rows, at least one: got 0 and 0"),
        (P, LABELS[:3], "need as many labels as rows, at least one: got 3 and 4"),
        (P, torch.tensor([0, 1, 0, 3]), "labels must lie in [0, 3), got values in [0, 3]"),
        (P, LABELS.float(), "labels must be whole numbers, got torch.float32"),
        (2 * P, LABELS, "each row of probabilities must sum to 1"),
        (P * math.nan, LABELS, "probabilities must be finite"),
        (P[0], LABELS[:1], "probabilities must have shape (N, K)"),
    ],
)
def test_bad_arguments(function, p, labels, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        function(p, labels)


@pytest.mark.parametrize("truth", [TRUTH[:, :2] * math.nan, TRUTH * 2, -TRUTH])
def test_a_truth_that_is_no_distribution(truth):
    with pytest.raises(ValueError, match="truth"):
        scores(P, LABELS, truth)
