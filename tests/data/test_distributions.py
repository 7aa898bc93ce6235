"""Sets with known label distributions: read with care, and folded so that each sample is tested."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy.data import distributions
from ldlstudy.data.distributions import Folds
from tests.cli.invoked import passed

SIZES = distributions.SETS["SJAFFE"]


def content():
    rng = np.random.default_rng(0)
    samples, width, classes = SIZES
    return {
        "features": rng.normal(size=(samples, width)).astype(np.float32),
        "distributions": rng.dirichlet(np.ones(classes), samples).astype(np.float32),
    }


@pytest.fixture
def root(tmp_path):
    np.savez(tmp_path / "SJAFFE.npz", **content())
    return tmp_path


def test_a_set_is_read_as_it_is_published(root):
    features, truth = distributions.read("SJAFFE", root)
    made = content()
    np.testing.assert_array_equal(features, made["features"])
    np.testing.assert_allclose(truth, made["distributions"], atol=1e-6)
    torch.testing.assert_close(truth.sum(1), torch.ones(len(truth)).double())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": content()["features"][:9]}, "features must be finite floating-point numbers"),
        ({"features": content()["features"] * np.nan}, "features must be finite"),
        ({"distributions": content()["distributions"] * 2}, "and each sum to 1"),
        ({"distributions": content()["distributions"] - 1}, "distributions must be at least 0"),
        ({"distributions": np.ones(SIZES[::2], int)}, "distributions must be finite floating"),
        ({"features": None}, "it lacks features"),
    ],
)
def test_a_wrong_array_is_named_with_its_file(changed, message, tmp_path):
    found = {key: value for key, value in (content() | changed).items() if value is not None}
    np.savez(tmp_path / "SJAFFE.npz", **found)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        distributions.read("SJAFFE", tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'SJAFFE.npz'} is damaged or unreadable (")


def test_what_is_missing_or_unknown_is_said(tmp_path):
    with pytest.raises(ValueError, match="no set Movie: .* is missing; put a file there"):
        distributions.read("Movie", tmp_path)
    with pytest.raises(ValueError, match="unknown set of label distributions 'x'; known: M2B"):
        distributions.read("x", tmp_path)


def test_the_command_line_lists_and_checks_sets(root):
    lines = passed("data", "list", "--root", str(root))
    assert sum("samples with their label distributions" in line for line in lines) == 10
    (line,) = passed("data", "check", "SJAFFE", "--root", str(root))
    assert line.startswith("SJAFFE: 213 samples, 6 classes, mean entropy 1.")
    assert any(line.startswith("SJAFFE: ") for line in passed("data", "check", "--root", str(root)))


@settings(max_examples=10)
@given(st.integers(1, 25), st.integers(0, 99))
def test_folds_test_each_sample_once_a_repetition_and_train_on_none_of_them(count, seed):
    features, truth = distributions.read(distributions.MADE, None)
    folds = Folds(distributions.MADE, None, count, seed)
    size = len(features) // 10
    known = {tuple(row): i for i, row in enumerate(truth.tolist())}
    assert len(known) == len(truth)  # so that a sample is known by its distribution
    tested = []
    for r in range(count):
        parts = {
            name: [known[tuple(row)] for row in getattr(folds, name).truth[r].tolist()]
            for name in ("training", "holding", "testing")
        }
        assert [len(part) for part in parts.values()] == [len(truth) - 2 * size, size, size]
        assert len(set().union(*parts.values())) == len(truth)
        training = folds.training.at(r)
        assert torch.equal(training.labels, training.truth.argmax(1))
        assert not training.sparse.any()
        torch.testing.assert_close(training.inputs.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(training.inputs.std(0), torch.ones(2), atol=1e-5, rtol=0)
        own, all_ = features[parts["training"]], features[parts["testing"]]
        torch.testing.assert_close(
            folds.testing.inputs[r], (all_ - own.mean(0)) / own.std(0), atol=1e-5, rtol=1e-5
        )
        tested.append(parts["testing"])
    for start in range(0, count - 9, 10):
        once = [i for part in tested[start : start + 10] for i in part]
        assert sorted(once) == list(range(len(truth)))


def test_replicates_are_the_same_however_many_there_are():
    few, many = (Folds(distributions.MADE, None, count, 3) for count in (2, 12))
    for one, other in zip(few.training, many.training, strict=True):
        assert torch.equal(one, other[:2])
