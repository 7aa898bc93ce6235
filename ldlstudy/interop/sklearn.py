"""For scikit-learn: temperature scaling as an estimator with ``fit`` and ``transform``.

It takes what a classifier's ``predict_proba`` gives, or logits, and learns the one temperature of
:mod:`ldlstudy.scaling` from held-out samples.
"""

from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from ldlstudy import checks, metrics, scaling
from ldlstudy.checks import ArrayLike

FLOATS = (np.float64, np.float32)


class TemperatureScaling(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Probabilities softmax(z / T), with the T that minimises the NLL of held-out samples.

    scikit-learn's ``CalibratedClassifierCV(method="temperature")`` does the same around a
    classifier; this needs its outputs alone, whatever made them.

    Parameters
    ----------
    logits : bool
        Whether ``X`` are logits. Otherwise they are probabilities, whose logarithms are taken; one
        of 0 counts as in `ldlstudy.metrics.nll`.
    classes : array-like, optional
        Shape (K,), the label of each column, such as a classifier's ``classes_``; by default the
        columns are the classes 0 to K - 1.

    Attributes
    ----------
    temperature_ : float
        T, above 0.
    n_features_in_ : int
        K.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ldlstudy.interop.sklearn import TemperatureScaling
    >>> x, y = [[-2.0], [-1.0], [1.0], [2.0]] * 5, ["no", "no", "yes", "yes"] * 5
    >>> classifier = LogisticRegression().fit(x, y)
    >>> held_x, held_y = [[-2.0], [-1.0], [1.0], [2.0]], ["no", "yes", "yes", "yes"]
    >>> calibrator = TemperatureScaling(classes=classifier.classes_)
    >>> calibrator.fit(classifier.predict_proba(held_x), held_y).temperature_ > 1
    True
    >>> calibrator.transform(classifier.predict_proba([[0.5]])).shape
    (1, 2)
    """

    def __init__(self, *, logits: bool = False, classes: ArrayLike | None = None) -> None:
        self.logits, self.classes = logits, classes

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the temperature.

        Parameters
        ----------
        X : array-like
            Shape (N, K), of held-out samples.
        y : array-like
            Shape (N,), their labels.

        Returns
        -------
        TemperatureScaling
            Itself.

        Raises
        ------
        ValueError
            If a shape is another, a row of probabilities is none, or a label is no column's.

        Warns
        -----
        NoTemperatureWarning
            If there is no best temperature.
        """
        values, labels = validate_data(self, X, y, dtype=FLOATS, ensure_min_features=2)
        logits = self._logits(values)
        self.temperature_ = scaling.fit_temperature(logits, self._columns(labels))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the probabilities (N, K) at the fitted temperature, of ``X`` as in `fit`."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=FLOATS, reset=False)
        scaled: np.ndarray = scaling.scale(self._logits(values), self.temperature_).numpy()
        return scaled

    def _logits(self, values: np.ndarray) -> Tensor:
        if checks.boolean("logits", self.logits):
            return checks.tensor(values, "X")
        return metrics.log(checks.distributions(values, "X"))

    def _columns(self, labels: np.ndarray) -> Tensor:
        """Return the column of each label (N,)."""
        known = np.arange(self.n_features_in_) if self.classes is None else np.asarray(self.classes)
        if known.shape != (self.n_features_in_,):
            raise ValueError(
                f"classes must name {self.n_features_in_} columns, got shape {known.shape}"
            )
        if len(np.unique(known)) < len(known):
            raise ValueError(f"classes must name each column once, got {known.tolist()}")
        order = np.argsort(known)
        place = np.searchsorted(known, labels, sorter=order).clip(max=len(known) - 1)
        found = order[place]
        strange = known[found] != labels
        if strange.any():
            raise ValueError(
                f"labels must be of the columns' classes {known.tolist()}, "
                f"got {labels[strange][0]!r}"
            )
        return torch.from_numpy(found)
