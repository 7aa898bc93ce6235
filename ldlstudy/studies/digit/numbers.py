"""The numbers that the first chapter quotes, measured while the page is built.

Another processor gives other last digits, so no sentence of the chapter leans on one: what it says
in words stands in `SENTENCES` with a condition that leaves room.
"""

from collections.abc import Callable, Mapping

import pandas as pd
import torch
from torch import Tensor

from ldlstudy import metrics
from ldlstudy.data import Images
from ldlstudy.report import sentences
from ldlstudy.report.numbers import Numbers

METRICS = ("accuracy", "cross_entropy", "ece_15_left", "kl_to_truth", "temperature")
STUDENTS = ("none", "ls", "taught", "mixup")


def quoted(
    test: Images,
    place: int,
    answers: Mapping[str, Tensor],
    scores: Mapping[str, pd.DataFrame],
    confidence: Mapping[str, float],
    more: Mapping[str, float],
    profile: str,
) -> Numbers:
    """Return every number that the chapter quotes; at other profiles than smoke its words hold.

    Keys are ``<answer>.label`` and ``<answer>.other``, the probability of the image's label and
    that of the class which the network said; ``<student>.<stage>.<metric>`` and
    ``<student>.confidence``; ``bayes.accuracy``; and what is given as ``more``.

    Parameters
    ----------
    test : Images
        The test images, with their truth.
    place : int
        Which of them the chapter follows.
    answers : Mapping
        Distributions (K,) over the classes of that image, by name; ``network`` among them.
    scores : Mapping
        What :func:`ldlstudy.experiment.measure.measure` says of each of `STUDENTS`.
    confidence : Mapping
        Their mean confidence.
    more : Mapping
        Other numbers.
    profile : str
        That of the page.

    Raises
    ------
    ValueError
        If a sentence of the chapter does not hold.
    """
    assert test.truth is not None
    label, said = int(test.labels[place]), int(answers["network"].argmax())
    values: dict[str, float] = {"label": label, "said": said, **more}
    values["bayes.accuracy"] = metrics.accuracy(test.truth, test.labels)
    for name, p in answers.items():
        values |= {f"{name}.label": float(p[label]), f"{name}.other": float(p[said])}
    for name, table in scores.items():
        values |= {
            f"{name}.{stage}.{metric}": float(table.loc[stage, metric])
            for stage in ("plain", "fitted")
            for metric in METRICS
        }
        values[f"{name}.confidence"] = confidence[name]
    if profile != "smoke":
        sentences.require(SENTENCES, values)
    return {"profile": profile, **values}


def mean_confidence(probabilities: Tensor) -> float:
    """Return the mean over samples of the largest probability (N, K)."""
    return float(torch.as_tensor(probabilities).double().max(1).values.mean())


ECE, KL = "ece_15_left", "kl_to_truth"
SENTENCES: dict[str, Callable[[Mapping[str, float]], bool]] = {
    "The network is sure, and it is wrong": lambda v: (
        v["network.other"] > 0.85 and v["label"] != v["said"]
    ),
    "The truth is divided": lambda v: v["truth.label"] > v["truth.other"] > 0.3,
    "On the training images it has almost no doubt left": lambda v: (
        v["train.loss"] < 0.3 < v["none.plain.cross_entropy"] / 2
    ),
    "it is surer than it is right": lambda v: (
        v["none.confidence"] > v["none.plain.accuracy"] + 0.05
    ),
    "It comes out above 1": lambda v: v["none.fitted.temperature"] > 1.2,
    "most of the calibration error is gone": lambda v: (
        v[f"none.fitted.{ECE}"] < v[f"none.plain.{ECE}"] / 2
    ),
    "the network is still on the wrong side": lambda v: v["scaled.other"] > v["scaled.label"],
    "so its mean confidence falls": lambda v: v["ls.confidence"] < v["none.confidence"] - 0.05,
    "Every network that learned softer labels is nearer to the truth as trained": lambda v: all(
        v[f"{name}.plain.{KL}"] < v[f"none.plain.{KL}"] for name in STUDENTS[1:]
    ),
    "With a temperature each, much less is left between them": lambda v: (
        _range(v, "fitted") < _range(v, "plain") / 1.5
    ),
}


def _range(values: Mapping[str, float], stage: str) -> float:
    found = [values[f"{name}.{stage}.{KL}"] for name in STUDENTS]
    return max(found) - min(found)
