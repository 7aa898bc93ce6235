import numpy as np
import pytest
import torch

from ldlstudy import checks


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_in_range_returns_what_lies_inside(value):
    assert checks.in_range("epsilon", value, 0, 1) == value


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_in_range_names_value_and_range(value):
    with pytest.raises(ValueError, match=rf"epsilon must lie in \[0, 1\], got {value}"):
        checks.in_range("epsilon", value, 0, 1)


def test_in_range_can_leave_the_lower_end_out():
    with pytest.raises(ValueError, match=r"sigma must lie in \(0, inf\], got 0"):
        checks.in_range("sigma", 0, 0, open_low=True)


def test_whole_returns_an_int():
    assert type(checks.whole("bins", np.int64(3), 1)) is int


@pytest.mark.parametrize("value", [0, 2.0, True, "3", None])
def test_whole_refuses_others(value):
    with pytest.raises(ValueError, match="bins must be a whole number of at least 1, got"):
        checks.whole("bins", value, 1)


def test_one_of_lists_the_known_names():
    assert checks.one_of("edges", "left", ["right", "left"]) == "left"
    with pytest.raises(ValueError, match="unknown edges 'up'; known: left, right"):
        checks.one_of("edges", "up", ["right", "left"])


def test_labels_become_long():
    result = checks.labels(np.array([0, 2], dtype=np.uint8), 3)
    assert result.dtype == torch.int64
    assert result.tolist() == [0, 2]
    assert checks.labels(torch.empty(0, dtype=torch.int32), 3).shape == (0,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0, 1]], r"shape \(N,\), got \(1, 2\)"),
        ([0.0, 1.0], "whole numbers, got torch.float32"),
        ([True, False], "whole numbers, got torch.bool"),
        ([0, 3], r"lie in \[0, 3\), got values in \[0, 3\]"),
        ([-1, 0], r"lie in \[0, 3\), got values in \[-1, 0\]"),
    ],
)
def test_labels_refuse(values, message):
    with pytest.raises(ValueError, match=message):
        checks.labels(torch.tensor(values), 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_distributions_accept_rounded_softmax_of_each_dtype(dtype):
    logits = torch.randn(50, 100, generator=torch.Generator().manual_seed(0))
    p = logits.softmax(1).to(dtype)
    assert checks.distributions(p) is p


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, 0.5], r"shape \(N, K\) with K >= 2, got \(2,\)"),
        ([[1.0]], r"K >= 2, got \(1, 1\)"),
        ([[1, 0]], "teacher must be floating point, got torch.int64"),
        ([[float("nan"), 1.0]], "finite"),
        ([[float("inf"), 1.0]], "finite"),
        ([[-0.5, 1.5]], "must not be negative, got -0.5"),
        ([[0.5, 0.5], [0.5, 0.6]], "row 1 sums to 1.1"),
    ],
)
def test_distributions_refuse(values, message):
    with pytest.raises(ValueError, match=message):
        checks.distributions(torch.tensor(values), "teacher")


def test_paired_needs_one_label_a_row_and_a_row():
    p = torch.full((3, 2), 0.5)
    rows, labels = checks.paired(p.numpy(), np.array([0, 1, 0]))
    assert rows.shape == (3, 2)
    assert labels.tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="got 2 and 3"):
        checks.paired(p, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="at least one: got 0 and 0"):
        checks.paired(p[:0], torch.tensor([], dtype=torch.long))
