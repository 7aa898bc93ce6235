import pytest
import torch

from ldlstudy import errors
from ldlstudy.data import cifar100

# The coarse label of each class, as the set's own files pair it with the fine labels 0 to 99.
COARSE = """
 4  1 14  8  0  6  7  7 18  3  3 14  9 18  7 11  3  9  7 11  6 11  5 10  7
 6 13 15  3 15  0 11  1 10 12 14 16  9 11  5  5 19  8  8 15 13 14 17 18 10
16  4 17  4  2  0 17  4 18 17 10  3  2 12 12 16 12  1  9 19  2 10  0  1 16
12  9 13 15 13 16 19  2  4  6 19  5  5  8 19 18  1  2 15  6  0 17  8 14 13
"""


def test_superclasses_are_the_coarse_labels_of_the_set():
    found = cifar100.groups(cifar100.CLASSES)
    assert found.dtype == torch.int64
    assert found.tolist() == [int(coarse) for coarse in COARSE.split()]
    assert found.bincount().tolist() == [5] * 20


def test_groups_follow_the_names():
    assert cifar100.groups(("trout", "oak_tree", "ray")).tolist() == [1, 17, 1]
    assert cifar100.groups([]).shape == (0,)
    with pytest.raises(ValueError, match="unknown class 'airplane'; known: apple, aquarium_fish"):
        cifar100.groups(["apple", "airplane"])


def test_blind_errors_stay_within_a_superclass_as_often_as_documented():
    true, predicted = torch.meshgrid(torch.arange(100), torch.arange(100), indexing="ij")
    p = torch.eye(100)[predicted.flatten()]
    groups = cifar100.groups(cifar100.CLASSES)
    assert errors.error_within_group(p, true.flatten(), groups) == pytest.approx(4 / 99)
