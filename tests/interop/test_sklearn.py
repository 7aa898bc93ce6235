"""The estimator against scikit-learn's own temperature scaling, and its rules for estimators."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator

from ldlstudy.interop.sklearn import TemperatureScaling
from ldlstudy.scaling import NoTemperatureWarning

NAMES = np.array(["cat", "dog", "eel"])
MORE_LABELS = {  # checks that give two columns and three labels
    "check_estimators_overwrite_params",
    "check_estimators_fit_returns_self",
    "check_readonly_memmap_input",
}


@pytest.fixture(scope="module")
def fitted():
    """Return an overconfident classifier of names, and held-out samples."""
    x, y = make_classification(600, 10, n_informative=5, n_classes=3, class_sep=0.5, random_state=0)
    classifier = LogisticRegression(C=1e4).fit(x[:60], NAMES[y[:60]])
    return classifier, x[60:], NAMES[y[60:]]


def test_it_finds_the_temperature_of_scikit_learn(fitted):
    classifier, x, y = fitted
    theirs = CalibratedClassifierCV(FrozenEstimator(classifier), method="temperature").fit(x, y)
    expected = theirs.predict_proba(x)
    p = classifier.predict_proba(x)
    ours = TemperatureScaling(classes=classifier.classes_).fit(p, y)
    assert ours.temperature_ > 1.2
    np.testing.assert_allclose(ours.transform(p), expected, atol=1e-4)
    logits = TemperatureScaling(logits=True, classes=classifier.classes_)
    logits.fit(classifier.decision_function(x), y)
    assert logits.temperature_ == pytest.approx(ours.temperature_)


def test_columns_may_stand_in_any_order_and_be_named_by_their_place(fitted):
    classifier, x, y = fitted
    p, order = classifier.predict_proba(x), [2, 0, 1]
    expected = TemperatureScaling(classes=NAMES).fit(p, y).temperature_
    for other in (
        TemperatureScaling(classes=NAMES[order]).fit(p[:, order], y),
        TemperatureScaling().fit(p, np.searchsorted(NAMES, y)),
    ):
        assert other.temperature_ == pytest.approx(expected)


def test_it_keeps_the_rules_for_estimators():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(TemperatureScaling(logits=True), on_fail=None, on_skip=None)
    failed = {
        one["check_name"]: str(one["exception"]) for one in found if one["status"] == "failed"
    }
    assert failed.keys() == MORE_LABELS
    assert all("labels must be of the columns' classes" in text for text in failed.values())
    assert sum(one["status"] == "passed" for one in found) > 30
    assert clone(TemperatureScaling(logits=True, classes=["a", "b"])).get_params() == {
        "logits": True, "classes": ["a", "b"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "x", "y", "message"),
    [
        ({}, [[0.9, 0.2]], [0], "each row of X must sum to 1"),
        ({}, [[0.9, 0.1]], [2], r"labels must be of the columns' classes \[0, 1\], got "),
        ({"classes": ["a", "b"]}, [[0.9, 0.1]], ["c"], "classes .'a', 'b'., got "),
        ({"classes": ["a"]}, [[0.9, 0.1]], ["a"], r"classes must name 2 columns, got shape \(1,\)"),
        ({}, [[0.9, np.nan]], [0], "NaN"),
        ({"logits": "no"}, [[0.9, 0.1]], [0], "logits must be true or false, got 'no'"),
        ({"classes": ["a", "a"]}, [[0.9, 0.1]], ["a"], "classes must name each column once"),
    ],
)
def test_what_does_not_fit_is_refused(options, x, y, message):
    with pytest.raises(ValueError, match=message):
        TemperatureScaling(**options).fit(np.array(x), np.array(y))


def test_data_without_a_best_temperature_warn():
    with pytest.warns(NoTemperatureWarning):
        TemperatureScaling().fit(np.array([[0.9, 0.1]]), np.array([0]))
