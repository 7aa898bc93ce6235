"""All metrics of one trained network, before and after temperature scaling, with intervals.

A network gives three rows. ``plain`` are its predictions as they are. ``fitted`` are scaled by the
temperature that minimises the negative log-likelihood of images it was not trained on and is not
scored on: the held-out ones or, without any, one half of the test set for the other half.
``searched`` are scaled by the temperature with the lowest ECE on the test set itself, as in [Re];
that looks at the answers, so it can only serve as a bound.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ldlstudy import metrics, scaling
from ldlstudy.dataset import split

RESAMPLES = 100
TEMPERATURES = np.arange(10, 301) / 50  # 0.2, 0.22, ..., 6: what `searched` looks through
Metric = Callable[[Tensor, Tensor], float]
More = Callable[[Tensor, Tensor, Tensor | None], dict[str, float]]  # of p, labels and truth
METRICS: dict[str, Metric] = {
    "accuracy": metrics.accuracy,
    "top5_accuracy": lambda p, y: metrics.topk_accuracy(p, y, min(5, p.shape[1])),
    "cross_entropy": metrics.nll,
    "brier": metrics.brier,
    "top_label_brier": metrics.top_label_brier,
    "ece": lambda p, y: metrics.ece(p, y, bins=15, edges="left"),  # [Re]
    "ece_10": lambda p, y: metrics.ece(p, y, bins=10),  # LDL
    "ece_20": lambda p, y: metrics.ece(p, y, bins=20),  # CS-KD
    "class_conditional_ece": metrics.class_conditional_ece,
    "classwise_ece": metrics.classwise_ece,
    "uce": metrics.uce,  # LDL
}
Rows = dict[str, dict[str, list[float]]]
Predictions = dict[str, tuple[Tensor, float]]  # row to probabilities (N, K) and their temperature


class Outcome(NamedTuple):
    """What a network says of some images: ``logits`` (N, K), ``labels`` (N,), ``truth`` (N, K)."""

    logits: Tensor
    labels: Tensor
    truth: Tensor | None = None


def predictions(test: Outcome, held: Outcome | None = None) -> Predictions:
    """What the network says of the test images, in each of the three rows.

    Parameters
    ----------
    test, held : Outcome
        On the CPU, N and M images; without ``held`` temperatures are fitted on halves of the test
        set.
    """
    searched = search(test.logits, test.labels)
    return {
        "plain": (test.logits.softmax(1), 1.0),
        "fitted": _fitted(test, held),
        "searched": (scaling.scale(test.logits, searched), searched),
    }


def search(logits: Tensor, labels: Tensor) -> float:
    """The temperature of the grid with the lowest ECE on these very images ([Re] section 5)."""
    errors = [METRICS["ece"](scaling.scale(logits, float(t)), labels) for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(errors))])


def _fitted(test: Outcome, held: Outcome | None) -> tuple[Tensor, float]:
    if held is not None:
        temperature = scaling.fit_temperature(held.logits, held.labels)
        return scaling.scale(test.logits, temperature), temperature
    probabilities, temperatures = torch.empty_like(test.logits), []
    halves = split(test.labels, 0.5, seed=0)
    for fit, score in (halves, halves[::-1]):
        temperatures.append(scaling.fit_temperature(test.logits[fit], test.labels[fit]))
        probabilities[score] = scaling.scale(test.logits[score], temperatures[-1])
    return probabilities, float(np.mean(temperatures))


def score(
    said: Predictions, test: Outcome, resamples: int = RESAMPLES, more: More | None = None
) -> tuple[Rows, Rows]:
    """Every metric of every row, and its 95 % interval over test images drawn anew.

    Parameters
    ----------
    said : dict
        As `predictions` gives them, perhaps with further rows.
    test : Outcome
        The same images; their labels and truth are compared with what is said.
    resamples : int
        How often the test images are drawn anew; with 0 an interval has no width. A run that is
        repeated with other seeds needs none: its repetitions tell more.
    more : callable, optional
        Further metrics by name, from probabilities, labels and the truth; it may leave some out.

    Returns
    -------
    rows : dict
        Row to metric to a list of one value. ``temperature`` is among the metrics, and
        ``kl_to_truth`` where the truth is known.
    estimates : dict
        As ``rows``, with value, lower and upper end in the list.
    """
    rng = np.random.default_rng(0)
    n = len(test.labels)
    drawn = [torch.from_numpy(rng.integers(0, n, n)) for _ in range(resamples)]
    rows: Rows = {}
    estimates: Rows = {}
    for name, (p, temperature) in said.items():
        value = _all(p, test.labels, test.truth, more)
        again = [
            _all(p[i], test.labels[i], None if test.truth is None else test.truth[i], more)
            for i in drawn
        ]
        rows[name] = {metric: [number] for metric, number in value.items()}
        estimates[name] = {
            metric: [number, *_middle([a[metric] for a in again if metric in a] or [number])]
            for metric, number in value.items()
        }
        rows[name]["temperature"], estimates[name]["temperature"] = [temperature], [temperature] * 3
    return rows, estimates


def share(hits: Tensor, resamples: int = RESAMPLES) -> list[float]:
    """A share of the test images, as `score` gives its estimates, from what holds of each (N,)."""
    drawn = np.random.default_rng(0).integers(0, len(hits), (resamples, len(hits)))
    values = hits.double().cpu().numpy()
    return [float(values.mean()), *_middle(list(values[drawn].mean(1)) or [values.mean()])]


def _middle(values: list[float]) -> list[float]:
    """The ends of the middle 95 %."""
    return [float(end) for end in np.percentile(values, [2.5, 97.5])]


def _all(p: Tensor, labels: Tensor, truth: Tensor | None, more: More | None) -> dict[str, float]:
    values = {name: metric(p, labels) for name, metric in METRICS.items()}
    if truth is not None:
        values["kl_to_truth"] = metrics.kl_to_truth(truth, p)
    return values | (more(p, labels, truth) if more else {})
