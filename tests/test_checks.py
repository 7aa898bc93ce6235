import warnings

import numpy as np
import pandas as pd
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
    with pytest.raises(ValueError, match=r"sigma must lie in \(0, inf\), got 0"):
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
    found = checks.distributions(p)
    torch.testing.assert_close(found, logits.softmax(1).to(found), rtol=0.02, atol=1e-6)
    torch.testing.assert_close(found.sum(1), torch.ones(50, dtype=found.dtype))
    assert (found is p) == (dtype.itemsize > 2)


@pytest.mark.parametrize(
    ("dtype", "allowed", "refused"),
    [
        (torch.float32, 1.0009, 1.0012),
        (torch.float16, 1.003, 1.006),
        (torch.bfloat16, 1.02, 1.05),
    ],
)
def test_rows_may_sum_to_1_as_closely_as_their_dtype_has_it(dtype, allowed, refused):
    """Four units in the last place of 1, which is 2^-10 in float16 and 2^-7 in bfloat16."""

    def row(total):
        return torch.tensor([[0.5, total - 0.5]], dtype=torch.float64).to(dtype)

    torch.testing.assert_close(
        checks.distributions(row(allowed)).sum().item(), 1.0, rtol=1e-3, atol=0
    )
    with pytest.raises(ValueError, match="must sum to 1 within"):
        checks.distributions(row(refused))


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


NUMBERS = [3, 0, 1]
INTEGERS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_of_every_integer_type_and_library(dtype):
    array = np.array(NUMBERS, dtype)
    swapped = array.astype(array.dtype.newbyteorder())
    column = pd.Series(array, index=[7, 3, 9])
    for given in (array, torch.from_numpy(array), array.tolist(), tuple(NUMBERS), swapped, column,
                  column.astype(object), array[::-1].copy()[::-1], list(array)):  # fmt: skip
        found = checks.labels(given, 4)
        assert found.dtype == torch.int64
        assert found.tolist() == NUMBERS


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["cat", "dog"], r"list \['cat', 'dog'\]"),
        (np.array(["cat", "dog"]), "ndarray array"),
        (pd.Series(["cat", "dog"], index=[4, 2]), "Series 4 cat"),
        ([[0, 1], [2]], "list"),
        (None, "NoneType None"),
        ({"a": 1}, "dict"),
    ],
)
def test_what_is_no_number_is_refused_and_shown(values, shown):
    with pytest.raises(ValueError, match=f"labels must be numbers in a tensor.*got {shown}"):
        checks.labels(values, 4)


def test_numbers_of_other_libraries_are_read_by_position():
    expected = torch.tensor([[0.2, 0.8], [0.5, 0.5]], dtype=torch.float64)
    frame = pd.DataFrame(expected.numpy(), index=[5, 3])
    fixed = expected.numpy().copy()
    fixed.setflags(write=False)
    for given in (frame, fixed, expected.tolist(), np.asfortranarray(expected.numpy())):
        assert torch.equal(checks.distributions(given), expected)
    assert checks.tensor(expected, "p") is expected


def test_paired_brings_no_gradient_and_distributions_do():
    p = torch.tensor([[0.2, 0.8]], requires_grad=True)
    assert not checks.paired(p, [1])[0].requires_grad
    half = p.bfloat16()
    checks.distributions(half)[0, 0].backward()  # p / (p + q) has the slope q / (p + q)^2
    torch.testing.assert_close(p.grad, torch.tensor([[0.8, -0.2]]), rtol=0.02, atol=0)


def test_paired_needs_one_label_a_row_and_a_row():
    p = torch.full((3, 2), 0.5)
    rows, labels = checks.paired(p.numpy(), np.array([0, 1, 0]))
    assert rows.shape == (3, 2)
    assert labels.tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="got 2 and 3"):
        checks.paired(p, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="at least one: got 0 and 0"):
        checks.paired(p[:0], torch.tensor([], dtype=torch.long))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8, np.int64])
def test_numbers_of_numpy_become_python_s(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = checks.in_range("alpha", kind(1), 0, torch.finfo(torch.float64).max)
    assert found == 1
    assert type(found) in (int, float)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.float32("inf"), np.complex64(1), "1", None])
def test_what_is_infinite_or_no_number_is_refused(value):
    with pytest.raises(ValueError, match=r"alpha must (lie in \(-inf, inf\)|be a number), got"):
        checks.in_range("alpha", value, -np.inf)
