"""All metrics of one trained network, before and after temperature scaling, with intervals.

A network gives three stages. ``plain`` are its predictions as they are. ``fitted`` are scaled by
the temperature that minimises the negative log-likelihood of images it was not trained on and is
not scored on: the held-out ones or, without any, one half of the test set for the other half.
``searched`` are scaled by the temperature with the lowest ECE on the test set itself, as in [Re];
that looks at the answers, so it can only serve as a bound.
"""

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ldlstudy import checks, errors, metrics, scaling, stats
from ldlstudy.data.images import Images, split
from ldlstudy.device import Execution
from ldlstudy.experiment.records import Values
from ldlstudy.models.classifier import check_module
from ldlstudy.terms import Mean, Terms, blocks, drawn
from ldlstudy.training import Augmentation, Predictor
from ldlstudy.training.predict import check_logits

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 2000
ECES = {"ece_15_left": (15, "left"), "ece_10_right": (10, "right"), "ece_20_right": (20, "right")}
BY_CHANCE = "_by_chance"  # after the name of an ECE: what it would be of a calibrated network
TEMPERATURES = np.arange(10, 301) / 50  # 0.2, 0.22, ..., 6: what `searched` looks through
Stages = dict[str, tuple[Tensor, float]]  # stage to probabilities (N, K) and their temperature


@dataclass(frozen=True)
class Answers:
    """Predictions for some images, with what they are held against.

    ``p`` (N, K) probabilities; ``labels`` (N,); ``truth`` (N, K), where it is known; ``groups``
    (K,), of the classes, where they have any.
    """

    p: Tensor
    labels: Tensor
    truth: Tensor | None = None
    groups: Tensor | None = None

    @functools.cached_property
    def on_errors(self) -> Mapping[str, Terms]:
        """The scores on the images that are told wrongly, by name."""
        return errors.score_terms(self.p, self.labels, self.truth)


def _top5(answers: Answers) -> Terms | None:
    """Of more than five classes: among fewer the right one is always there."""
    few = answers.p.shape[1] <= 5
    return None if few else metrics.topk_accuracy_terms(answers.p, answers.labels, 5)


def _ece(name: str) -> Callable[[Answers], Terms | None]:
    return lambda a: metrics.ece_terms(a.p, a.labels, *ECES[name])


def _on_errors(name: str) -> Callable[[Answers], Terms | None]:
    return lambda a: a.on_errors.get(name)


def _of_truth(make: Callable[[Any, Any], Terms]) -> Callable[[Answers], Terms | None]:
    return lambda a: None if a.truth is None else make(a.truth, a.p)


def _of_groups(make: Callable[[Any, Any, Any], Terms]) -> Callable[[Answers], Terms | None]:
    return lambda a: None if a.groups is None else make(a.p, a.labels, a.groups)


METRICS: dict[str, Callable[[Answers], Terms | None]] = {  # None where one does not apply
    "accuracy": lambda a: metrics.accuracy_terms(a.p, a.labels),
    "top5_accuracy": _top5,
    "cross_entropy": lambda a: metrics.nll_terms(a.p, a.labels),
    "brier": lambda a: metrics.brier_terms(a.p, a.labels),
    "top_label_brier": lambda a: metrics.top_label_brier_terms(a.p, a.labels),
    "ece_15_left": _ece("ece_15_left"),  # [Re]
    "ece_10_right": _ece("ece_10_right"),  # LDL
    "ece_20_right": _ece("ece_20_right"),  # CS-KD
    "class_conditional_ece": lambda a: metrics.class_conditional_ece_terms(a.p, a.labels),
    "classwise_ece": lambda a: metrics.classwise_ece_terms(a.p, a.labels),
    "uce": lambda a: metrics.uce_terms(a.p, a.labels),  # LDL
    "kl_to_truth": _of_truth(metrics.kl_to_truth_terms),
    "total_variation": _of_truth(metrics.total_variation_terms),
    "confidence_on_errors": _on_errors("confidence_on_errors"),
    "predicted_score_on_errors": _on_errors("predicted_score_on_errors"),
    "true_score_on_errors": _on_errors("true_score_on_errors"),
    "kl_to_truth_on_errors": _on_errors("kl_to_truth_on_errors"),
    "superclass_accuracy": _of_groups(errors.group_accuracy_terms),
    "error_within_superclass": _of_groups(errors.error_within_group_terms),
}


@dataclass(frozen=True)
class Outcome:
    """What a network says of images, on the CPU: ``logits`` (N, K), their labels and truth."""

    logits: Tensor
    labels: Tensor
    truth: Tensor | None = None

    @classmethod
    def of(cls, predictor: Predictor, images: Images) -> "Outcome":
        """Ask a network for its logits of ``images``."""
        truth = None if images.truth is None else images.truth.cpu()
        logits = predictor.logits(images).cpu()
        wide = torch.promote_types(logits.dtype, torch.float32)  # a network may answer in bf16
        return cls(logits.to(wide), images.labels.cpu(), truth)


def measure(
    network: nn.Module,
    images: Images | tuple[Tensor, Tensor],
    held: Images | tuple[Tensor, Tensor] | None = None,
    *,
    augmentation: Augmentation = Augmentation(),  # noqa: B008 - frozen
    device: str | Execution = "auto",
) -> "pd.DataFrame":
    """Return all scores of a trained network, as it is and after temperature scaling.

    Parameters
    ----------
    network : Module
        From images (B, C, H, W) to logits (B, K).
    images : Images, or a tuple of Tensor
        N test images (N, C, H, W) and their labels (N,).
    held : Images, or a tuple of Tensor, optional
        Images to fit the temperature to; without any it is fitted to halves of the test images.
    augmentation : Augmentation
        That of training; images are normalised alike.
    device : str or Execution
        ``cpu``, ``cuda`` or ``auto``.

    Returns
    -------
    DataFrame
        A line for each stage (``plain``, ``fitted``, ``searched``), a column for each metric and
        the ``temperature``.

    Raises
    ------
    ValueError
        A network that gives no logits, images and labels that do not belong together.

    Warns
    -----
    NoTemperatureWarning
        If all images that the temperature is fitted to are told rightly: the lower it is the
        better, and the scores of ``fitted`` mean nothing.
    """
    execution = Execution.of(device)
    check_module(network)
    checks.instance("augmentation", augmentation, Augmentation)
    predictor = Predictor(execution.place(network), augmentation, execution)
    test = Outcome.of(predictor, Images.of(images, "test images").to(execution.device))
    check_logits(test.logits)
    checks.labels(test.labels, test.logits.shape[1])
    kept = None
    if held is not None:
        shown = Images.of(held, "held-out images").to(execution.device)
        kept = Outcome.of(predictor, shown)
    fitted_to = test if kept is None else kept
    if bool((fitted_to.logits.argmax(1) == fitted_to.labels).all()):
        warnings.warn(
            f"all {len(fitted_to.labels)} images that a temperature is fitted to are told rightly: "
            "no temperature is the best one, and the scores of `fitted` mean nothing",
            scaling.NoTemperatureWarning,
            stacklevel=2,
        )
    values, _ = score(stages(test, kept), test, resamples=0)
    import pandas as pd  # half a second that the command does without

    return pd.DataFrame(values).T


def stages(test: Outcome, held: Outcome | None = None) -> Stages:
    """Return what the network says of the test images, in each of the three stages.

    One image alone has no other half to fit a temperature to: without held-out ones it has no stage
    ``fitted``.
    """
    found: Stages = {"plain": (test.logits.softmax(1), 1.0)}
    if held is not None or len(test.labels) > 1:
        with scaling.unwarned():
            found["fitted"] = _fitted(test, held)
    searched = search(test.logits, test.labels)
    found["searched"] = (scaling.scale(test.logits, searched), searched)
    return found


def search(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature of the grid with the lowest ECE on these very images ([Re] s. 5)."""
    right = logits.argmax(1) == labels
    confidence = torch.empty(len(TEMPERATURES), len(labels))
    for part in blocks(logits):
        behind = logits[part].float() - logits[part].float().amax(1, keepdim=True)
        for row, t in zip(confidence, TEMPERATURES, strict=True):
            row[part] = 1 / (behind / float(t)).exp_().sum(1)  # the softmax of the largest
    found = [metrics.gaps(c, right, bins=15, edges="left").value() for c in confidence]
    return float(TEMPERATURES[int(np.argmin(found))])


def _fitted(test: Outcome, held: Outcome | None) -> tuple[Tensor, float]:
    if held is not None:
        temperature = scaling.fit_temperature(held.logits, held.labels)
        return scaling.scale(test.logits, temperature), temperature
    return halved(test, lambda part: scaling.fit_temperature(test.logits[part], test.labels[part]))


def halved(test: Outcome, fit: Callable[[Tensor], float]) -> tuple[Tensor, float]:
    """Return probabilities at the temperature that the other half of the test images has.

    ``fit`` gives that of the images at some positions; the mean of both is returned with them.
    """
    probabilities, temperatures = torch.empty_like(test.logits), []
    halves = _halves(test.labels)
    for fitted, scored in (halves, halves[::-1]):
        temperatures.append(fit(fitted))
        probabilities[scored] = scaling.scale(test.logits[scored], temperatures[-1])
    return probabilities, float(np.mean(temperatures))


def _halves(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the two halves of each class; images alone in theirs take turns."""
    alone = labels.bincount()[labels] == 1
    single, several = alone.nonzero()[:, 0], (~alone).nonzero()[:, 0]
    halves = [single[::2], single[1::2]]
    if len(several):
        parts = split(labels[several], 0.5, seed=0)
        halves = [
            torch.cat([several[part], rest]).sort().values
            for part, rest in zip(parts, halves, strict=True)
        ]
    return halves[0], halves[1]


def score(
    found: Stages, test: Outcome, resamples: int = RESAMPLES, groups: Tensor | None = None
) -> tuple[Values, Values]:
    """Return every metric of every stage, and its 95 % interval over test images drawn anew.

    Parameters
    ----------
    found : dict
        As `stages` gives them, perhaps with further ones.
    test : Outcome
        The same images; their labels and truth are compared with what is said.
    resamples : int
        How often the test images are drawn anew; with 0 there are no intervals. A run that is
        repeated with other seeds needs none: its repetitions tell more.
    groups : Tensor, optional
        Shape (K,), the groups of the classes.

    Returns
    -------
    values : dict
        Stage to metric to number; ``temperature`` is among the metrics.
    intervals : dict
        Stage to metric to the ends of the interval.
    """
    values: Values = {}
    intervals: Values = {}
    for stage, (p, temperature) in found.items():
        terms = terms_of(Answers(p, test.labels, test.truth, groups))
        chance = {n + BY_CHANCE: metrics.ece_by_chance(p, *how) for n, how in ECES.items()}
        row = {name: each.value() for name, each in terms.items()} | chance
        values[stage] = row | {"temperature": temperature}
        if resamples:
            intervals[stage] = intervals_of(terms, len(p), resamples)
    return values, intervals


def terms_of(answers: Answers, names: Iterable[str] | None = None) -> dict[str, Terms]:
    """Return the terms of every metric, or of some, that applies to some predictions."""
    found = {name: METRICS[name](answers) for name in (METRICS if names is None else names)}
    return {n: each for n, each in found.items() if each and not math.isnan(each.value())}


def intervals_of(
    terms: Mapping[str, Terms], samples: int, resamples: int, groups: Tensor | None = None
) -> dict[str, list[float]]:
    """Return the 95 % interval of each score over ``samples`` images that are drawn anew.

    Samples of the same of some ``groups`` (N,), numbered from 0, are drawn together, as the tokens
    of a sentence are.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in terms}
    for counts in drawn(samples if groups is None else int(groups.max()) + 1, resamples):
        counts = counts if groups is None else counts[groups]
        share = samples / counts.sum(0)  # groups differ in size, scores are of `samples`
        for name, each in terms.items():
            parts[name].append(each.resampled(counts) * share)
    return {name: _interval(each, torch.cat(parts[name]).numpy()) for name, each in terms.items()}


def _interval(terms: Terms, draws: np.ndarray) -> list[float]:
    raised = terms.raised()
    return stats.middle(draws) if raised is None else stats.around(terms.value(), draws, raised)


def share(alike: Tensor, resamples: int = RESAMPLES) -> tuple[float, list[float]]:
    """Return a share of the test images, from what holds of each (N,), and its interval."""
    terms = {"share": Mean(alike.double().cpu())}
    ends = intervals_of(terms, len(alike), resamples)["share"] if resamples else []
    return terms["share"].value(), ends
