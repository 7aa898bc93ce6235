"""Tabular sets: scikit-learn's as they are, files read with care."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

from ldlstudy import data
from ldlstudy.data import tabular
from ldlstudy.data.distributions import Folds
from tests.cli.invoked import passed

GOOD = {"features": np.arange(12.0).reshape(6, 2), "labels": np.array([0, 1, 2, 0, 1, 2])}


def test_a_set_of_scikit_learn():
    x, y = load_wine(return_X_y=True)
    features, hot = tabular.read("wine", None)
    np.testing.assert_allclose(features, x, rtol=1e-6)
    assert torch.equal(hot.argmax(1), torch.from_numpy(y))
    assert hot.sum(1).unique().tolist() == [1.0]
    folds = Folds("wine", None, 10, 0)
    assert folds.testing.inputs.shape == (10, 17, 13)
    seen = folds.training.at(0).inputs
    torch.testing.assert_close(seen.mean(0), torch.zeros(13), atol=1e-5, rtol=0)


def test_a_file_of_openml_s(tmp_path):
    np.savez(tmp_path / "volcanoes.npz", **GOOD)
    features, hot = tabular.read("volcanoes", tmp_path)
    assert (features.dtype, hot.shape) == (torch.float32, (6, 3))
    (line,) = passed("data", "check", "volcanoes", "--root", str(tmp_path))
    assert line == "volcanoes: 6 samples, 2 features, 3 classes"
    with pytest.raises(ValueError, match="auml_url comes from its authors alone"):
        data.fetch("auml_url", tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": GOOD["features"] * np.nan}, "features must be finite numbers of shape"),
        ({"features": np.ones(6)}, "features must be finite numbers"),
        ({"labels": GOOD["labels"][:5]}, "labels must be 6 whole numbers from 0"),
        ({"labels": GOOD["labels"] * 2}, "with no class left out"),
        ({"labels": GOOD["labels"] - 1}, "labels must be 6 whole numbers"),
        ({"labels": GOOD["labels"] + 0.5}, "is damaged or unreadable .labels must be 6 whole"),
        ({"labels": None}, "it lacks labels"),
    ],
)
def test_a_wrong_file_is_named(changed, message, tmp_path):
    found = {key: value for key, value in (GOOD | changed).items() if value is not None}
    np.savez(tmp_path / "volcanoes.npz", **found)
    with pytest.raises(ValueError, match=message):
        tabular.read("volcanoes", tmp_path)


def test_what_is_missing_or_unknown_is_said(tmp_path):
    with pytest.raises(ValueError, match="no set volcanoes: .* is missing; put a file there"):
        tabular.read("volcanoes", tmp_path)
    with pytest.raises(ValueError, match="unknown tabular set 'x'; known: auml_url, breast_"):
        tabular.read("x", tmp_path)
