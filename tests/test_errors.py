"""What networks say of the images they get wrong, and of each class: by hand and by oracles."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from ldlstudy import errors, metrics

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


@st.composite
def samples(draw):
    """Draw probabilities (N, K) and labels (N,), some classes perhaps without a sample."""
    count, classes = draw(st.integers(1, 40)), draw(st.integers(2, 13))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    concentration = draw(st.sampled_from([0.05, 0.5, 5.0]))
    p = rng.dirichlet(np.full(classes, concentration) + 1e-3, count)
    return p, rng.integers(0, draw(st.integers(1, classes)), count)


def test_scores_by_hand():
    assert errors.wrong(P, LABELS).tolist() == [1, 2]
    found = errors.scores(P.numpy(), LABELS.numpy())
    assert found == {
        "confidence_on_errors": pytest.approx((0.5 + 0.8) / 2),
        "predicted_score_on_errors": pytest.approx((math.log(0.5) + math.log(0.8)) / 2),
        "true_score_on_errors": pytest.approx((math.log(0.3) + math.log(0.1)) / 2),
    }
    assert all(type(value) is float for value in found.values())


def test_the_divergence_from_the_truth_is_that_of_the_errors():
    first = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.3)
    second = 0.5 * math.log(0.5 / 0.1) + 0.5 * math.log(0.5 / 0.8)
    found = errors.scores(P, LABELS, TRUTH.numpy())
    assert found.pop("kl_to_truth_on_errors") == pytest.approx((first + second) / 2)
    assert found == errors.scores(P, LABELS)


def test_without_an_error_there_is_no_score():
    right = P.argmax(1)
    assert errors.wrong(P, right).tolist() == []
    assert errors.scores(P, right) == errors.scores(P, right, TRUTH) == {}
    assert [part.shape for part in errors.log_probabilities(P, right)] == [(0,), (0,)]


@given(samples())
def test_scores_are_means_of_the_log_probabilities(sample):
    p, y = sample
    found, (predicted, true) = errors.scores(p, y), errors.log_probabilities(p, y)
    at = [i for i, label in enumerate(y) if p[i].argmax() != label]
    assert errors.wrong(p, y).tolist() == at
    tiny = np.finfo(np.float32).tiny
    np.testing.assert_allclose(predicted, np.log(p[at].max(1)))
    np.testing.assert_allclose(true, np.log(p[at, y[at]].clip(tiny)))
    assert bool((true <= predicted).all())
    if at:
        assert found["predicted_score_on_errors"] == pytest.approx(float(predicted.mean()))
        assert found["true_score_on_errors"] == pytest.approx(float(true.mean()))
        assert found["confidence_on_errors"] == pytest.approx(float(predicted.exp().mean()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_probability_of_zero_has_a_finite_logarithm(dtype):
    p, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=dtype), torch.tensor([1, 1])
    predicted, true = errors.log_probabilities(p, y)
    assert predicted.tolist() == [0]
    assert true.dtype == torch.float64
    assert true.tolist() == [pytest.approx(-126 * math.log(2))]
    assert math.isfinite(errors.scores(p, y)["true_score_on_errors"])


@given(samples())
def test_f1_is_that_of_scikit_learn(sample):
    p, labels = sample
    known = range(p.shape[1])
    expected = f1_score(labels, p.argmax(1), labels=known, average=None, zero_division=0)
    np.testing.assert_allclose(errors.f1(p, labels).numpy(), expected, rtol=1e-12)


@given(samples())
def test_mean_predictions_are_those_of_groups_of_rows(sample):
    p, labels = sample
    expected = pd.DataFrame(p).groupby(labels).mean().reindex(range(p.shape[1]))
    found = errors.mean_predictions(p, labels).numpy()
    np.testing.assert_allclose(found, expected.to_numpy(), rtol=1e-12)


# Classes 0 and 1 are of one group, 2 and 3 of another. Predicted are 0, 1, 2, 3, 0.
PREDICTED = torch.eye(4)[[0, 1, 2, 3, 0]] * 0.6 + 0.1
TRUE = torch.tensor([0, 0, 2, 1, 3])  # right, near, right, far, far
GROUPS = torch.tensor([7, 7, 4, 4])


def test_group_scores_by_hand():
    assert errors.group_accuracy(PREDICTED, TRUE, GROUPS) == pytest.approx(3 / 5)
    assert errors.error_within_group(PREDICTED, TRUE, GROUPS) == pytest.approx(1 / 3)
    right = PREDICTED.argmax(1)
    assert errors.group_accuracy(PREDICTED, right, GROUPS) == 1
    assert errors.error_within_group(PREDICTED, right, GROUPS) == 1  # no error left its group


def test_the_predicted_class_counts_not_the_most_probable_group():
    p = torch.tensor([[0.3, 0.3, 0.4, 0.0]])
    assert errors.group_accuracy(p, torch.tensor([0]), GROUPS) == 0
    assert errors.group_accuracy(p, torch.tensor([3]), GROUPS) == 1


@given(samples(), st.integers(0, 2**32), st.permutations([10, 20, 30]))
def test_group_accuracy_counts_the_right_and_the_near(sample, seed, numbers):
    p, y = sample
    groups = torch.from_numpy(np.random.default_rng(seed).integers(3, size=p.shape[1]))
    accuracy = metrics.accuracy(p, y)
    group_accuracy = errors.group_accuracy(p, y, groups)
    within = errors.error_within_group(p, y, groups)
    assert type(group_accuracy) is type(within) is float
    assert accuracy <= group_accuracy <= 1
    assert 0 <= within <= 1
    assert group_accuracy == pytest.approx(accuracy + (1 - accuracy) * within)
    assert errors.group_accuracy(p, y, torch.arange(p.shape[1])) == accuracy
    renamed = torch.tensor(numbers)[groups].numpy()  # only the partition matters
    assert errors.group_accuracy(p, y, renamed) == group_accuracy
    assert errors.error_within_group(p, y, renamed) == within


@given(samples(), st.integers(0, 2**32))
def test_the_confusion_of_groups_counts_pairs(sample, seed):
    p, y = sample
    groups = np.random.default_rng(seed).integers(min(3, p.shape[1]), size=p.shape[1])
    expected = np.zeros((groups.max() + 1,) * 2)
    np.add.at(expected, (groups[y], groups[p.argmax(1)]), 1)
    found = errors.group_confusion(p, y, torch.from_numpy(groups))
    np.testing.assert_array_equal(found, expected)
    share = found.diagonal().sum().item() / len(y)
    assert share == pytest.approx(errors.group_accuracy(p, y, groups))


ALONE = torch.arange(3)
FUNCTIONS = {
    "wrong": errors.wrong,
    "scores": errors.scores,
    "log_probabilities": errors.log_probabilities,
    "f1": errors.f1,
    "mean_predictions": errors.mean_predictions,
    "group_accuracy": lambda p, y: errors.group_accuracy(p, y, ALONE),
    "error_within_group": lambda p, y: errors.error_within_group(p, y, ALONE),
    "group_confusion": lambda p, y: errors.group_confusion(p, y, ALONE),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("p", "labels", "message"),
    [
        (P[:0], LABELS[:0], "need as many labels as rows, at least one: got 0 and 0"),
        (P, LABELS[:3], "need as many labels as rows, at least one: got 3 and 4"),
        (P, LABELS + 2, "labels must lie in [0, 3), got values in [2, 3]"),
        (2 * P, LABELS, "each row of probabilities must sum to 1"),
    ],
)
def test_bad_samples_are_refused(name, p, labels, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FUNCTIONS[name](p, labels)


@pytest.mark.parametrize("truth", [TRUTH[:, :2] * math.nan, TRUTH * 2, -TRUTH, TRUTH[:3]])
def test_a_truth_that_is_no_distribution(truth):
    with pytest.raises(ValueError, match="truth"):
        errors.scores(P, LABELS, truth)


@pytest.mark.parametrize("score", [errors.group_accuracy, errors.error_within_group])
@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (GROUPS[:3], r"whole numbers of shape \(4,\), one a class, got .*\(3,\)"),
        (GROUPS[None], r"groups must be .* got torch.int64 of shape \(1, 4\)"),
        (GROUPS / 1, "groups must be whole numbers .* got torch.float32"),
    ],
)
def test_bad_groups_are_refused(score, groups, message):
    with pytest.raises(ValueError, match=message):
        score(PREDICTED, TRUE, groups)
