"""Explorer: a recorded network's reliability diagram by temperature and bins."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ldlstudy import metrics, scaling
from ldlstudy.explore.explorer import Choice, Explorer, Slider, Value
from ldlstudy.explore.scene import Answer, Panel, Scene

LEVEL = 0.005  # of confidence and accuracy that are this near is said that they agree


def explorer(predictions: Mapping[str, Mapping[str, Any]]) -> Explorer:
    """The explorer of calibration.

    Parameters
    ----------
    predictions : Mapping
        What each network is called to its ``labels`` (S,) and ``log_probabilities`` (S, K), as a
        record's ``sampled`` has them.
    """
    names = tuple(predictions)
    controls = (
        Choice("network", "trained with", names, names[0]),
        Slider("temperature", "temperature T", 0.3, 4, 0.05, 1),
        Slider("bins", "bins", 5, 30, 1, 15),
    )
    title = "Temperature and bins: what an ECE depends on"
    question = "At which temperature is the network as often right as it says, whatever the bins?"
    data = {"networks": dict(predictions)}
    return Explorer("reliability", title, question, controls, data, scene)


def scene(data: Mapping[str, Any], values: Mapping[str, Value]) -> Scene:
    """Accuracy and confidence by bin, and how many images there are in each."""
    network = data["networks"][values["network"]]
    logits = torch.tensor(network["log_probabilities"], dtype=torch.float64)
    labels = torch.tensor(network["labels"])
    p = scaling.scale(logits, float(values["temperature"]))
    bins = int(values["bins"])
    found = metrics.reliability(p, labels, bins)
    full = found.count > 0
    at = (found.lower + 0.5 / bins)[full].tolist()
    points = np.stack([found.confidence, found.accuracy], 1)[full].tolist()

    def bars(height: np.ndarray, colour: str, label: str) -> dict[str, Any]:
        shown = {"at": at, "height": height[full].tolist(), "width": 0.9 / bins}
        return {"kind": "bars", **shown, "colour": colour, "label": label}

    marks = [
        bars(found.accuracy, "blue", "accuracy in a bin"),
        {
            "kind": "line",
            "points": [[0, 0], [1, 1]],
            "colour": "grey",
            "label": "as often right as said",
        },
        {
            "kind": "dots",
            "points": points,
            "colour": "red",
            "shape": "circle",
            "label": "its mean confidence",
        },
    ]
    ece, accuracy = metrics.ece(p, labels, bins), metrics.accuracy(p, labels)
    numbers = {"ECE": ece, "NLL": metrics.nll(p, labels)}
    diagram = Panel("reliability", (0, 1), (0, 1), marks, "confidence", "accuracy", numbers=numbers)
    shares = [bars(found.count / len(labels), "purple", "share of the images in a bin")]
    counts = Panel("images", (0, 1), (0, 1), shares, "confidence", "share")
    confidence = float(p.amax(1).mean())
    away = "too sure" if confidence > accuracy else "not sure enough"
    answer: Answer = [
        "At this temperature the network is on the whole ",
        away if abs(confidence - accuracy) >= LEVEL else "as sure as it should be",
        ": its mean confidence is ",
        confidence,
        " and its accuracy ",
        accuracy,
        f". Over {bins} bins the two are ",
        ece,
        " apart (ECE).",
    ]
    return Scene([diagram, counts], answer)
