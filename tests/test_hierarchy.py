import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy import hierarchy, metrics

NAMES = sorted(name for names in hierarchy.SUPERCLASSES.values() for name in names)
# The coarse label of each class of CIFAR-100, as its files pair it with the fine labels 0 to 99.
COARSE = """
 4  1 14  8  0  6  7  7 18  3  3 14  9 18  7 11  3  9  7 11  6 11  5 10  7
 6 13 15  3 15  0 11  1 10 12 14 16  9 11  5  5 19  8  8 15 13 14 17 18 10
16  4 17  4  2  0 17  4 18 17 10  3  2 12 12 16 12  1  9 19  2 10  0  1 16
12  9 13 15 13 16 19  2  4  6 19  5  5  8 19 18  1  2 15  6  0 17  8 14 13
"""


@st.composite
def samples(draw):
    """Draw probabilities (N, K), labels (N,) and the groups of the classes (K,)."""
    rows, classes = draw(st.integers(1, 20)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    p = torch.from_numpy(rng.normal(size=(rows, classes))).softmax(1)
    labels = torch.from_numpy(rng.integers(classes, size=rows))
    return p, labels, torch.from_numpy(rng.integers(3, size=classes))


def test_superclasses_are_the_coarse_labels_of_cifar100():
    assert len(hierarchy.SUPERCLASSES) == 20
    assert {len(names) for names in hierarchy.SUPERCLASSES.values()} == {5}
    assert len(set(NAMES)) == 100  # the set numbers its classes in the order of their names
    found = hierarchy.groups(NAMES)
    assert found.dtype == torch.int64
    assert found.tolist() == [int(coarse) for coarse in COARSE.split()]


def test_groups_follow_the_names():
    assert hierarchy.groups(("trout", "oak_tree", "ray")).tolist() == [1, 17, 1]
    assert hierarchy.groups([]).shape == (0,)
    with pytest.raises(ValueError, match="unknown class 'airplane'; known: apple, aquarium_fish"):
        hierarchy.groups(["apple", "airplane"])


# Classes 0 and 1 are of one group, 2 and 3 of another. Predicted are 0, 1, 2, 3, 0.
PREDICTED = torch.eye(4)[[0, 1, 2, 3, 0]] * 0.6 + 0.1
LABELS = torch.tensor([0, 0, 2, 1, 3])  # right, near, right, far, far
GROUPS = torch.tensor([7, 7, 4, 4])


def test_scores_by_hand():
    assert metrics.accuracy(PREDICTED, LABELS) == pytest.approx(2 / 5)
    assert hierarchy.group_accuracy(PREDICTED, LABELS, GROUPS) == pytest.approx(3 / 5)
    assert hierarchy.error_within_group(PREDICTED, LABELS, GROUPS) == pytest.approx(1 / 3)


def test_the_predicted_class_counts_not_the_most_probable_group():
    p = torch.tensor([[0.3, 0.3, 0.4, 0.0]])
    assert hierarchy.group_accuracy(p, torch.tensor([0]), GROUPS) == 0
    assert hierarchy.group_accuracy(p, torch.tensor([3]), GROUPS) == 1


def test_without_an_error_none_left_its_group():
    right = PREDICTED.argmax(1)
    assert hierarchy.group_accuracy(PREDICTED, right, GROUPS) == 1
    assert hierarchy.error_within_group(PREDICTED, right, GROUPS) == 1


def test_blind_errors_stay_within_a_superclass_of_cifar100_as_often_as_documented():
    true, predicted = torch.meshgrid(torch.arange(100), torch.arange(100), indexing="ij")
    p = torch.eye(100)[predicted.flatten()]
    score = hierarchy.error_within_group(p, true.flatten(), hierarchy.groups(NAMES))
    assert score == pytest.approx(4 / 99)


@settings(deadline=None)
@given(samples())
def test_group_accuracy_counts_the_right_and_the_near(sample):
    p, y, groups = sample
    accuracy = metrics.accuracy(p, y)
    group_accuracy = hierarchy.group_accuracy(p, y, groups)
    within = hierarchy.error_within_group(p, y, groups)
    assert type(group_accuracy) is type(within) is float
    assert accuracy <= group_accuracy <= 1
    assert 0 <= within <= 1
    assert group_accuracy == pytest.approx(accuracy + (1 - accuracy) * within)


@settings(deadline=None)
@given(samples(), st.permutations([10, 20, 30]))
def test_only_the_partition_into_groups_matters(sample, numbers):
    p, y, groups = sample
    renamed = torch.tensor(numbers)[groups]
    for score in (hierarchy.group_accuracy, hierarchy.error_within_group):
        assert score(p, y, groups) == score(p.numpy(), y.numpy(), renamed.numpy())


@settings(deadline=None)
@given(samples())
def test_one_group_forgives_everything_and_groups_of_one_class_nothing(sample):
    p, y, groups = sample
    assert hierarchy.group_accuracy(p, y, torch.zeros_like(groups)) == 1
    assert hierarchy.error_within_group(p, y, torch.zeros_like(groups)) == 1
    alone = torch.arange(p.shape[1])
    accuracy = metrics.accuracy(p, y)
    assert hierarchy.group_accuracy(p, y, alone) == accuracy
    assert hierarchy.error_within_group(p, y, alone) == (accuracy == 1)


@pytest.mark.parametrize("score", [hierarchy.group_accuracy, hierarchy.error_within_group])
def test_bad_arguments_are_refused(score):
    for p, y, groups, message in [
        (
            PREDICTED,
            LABELS,
            GROUPS[:3],
            r"whole numbers of shape \(4,\), one a class, got .*\(3,\)",
        ),
        (PREDICTED, LABELS, GROUPS[None], r"groups must be .* got torch.int64 of shape \(1, 4\)"),
        (PREDICTED, LABELS, GROUPS / 1, "groups must be whole numbers .* got torch.float32"),
        (PREDICTED, LABELS + 1, GROUPS, r"labels must lie in \[0, 4\)"),
        (PREDICTED, LABELS[:2], GROUPS, "got 2 and 5"),
        (PREDICTED * float("nan"), LABELS, GROUPS, "finite"),
        (PREDICTED[:0], LABELS[:0], GROUPS, "at least one"),
    ]:
        with pytest.raises(ValueError, match=message):
            score(p, y, groups)
