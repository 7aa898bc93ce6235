"""Explorer: networks trained on six Gaussians beside the Bayes-optimal model, over the plane (ILS).

The networks are trained before; an explorer brings their maps along, a byte for a probability.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ldlstudy import device, metrics
from ldlstudy.data.replicates import Sample
from ldlstudy.explore.explorer import Choice, Explorer, Value
from ldlstudy.explore.scene import CLASS_COLOURS, SHAPES, Answer, Panel, Scene, nearest
from ldlstudy.mixture import GaussianMixture

Predict = Callable[[Tensor], Tensor]  # points (N, 2) -> probabilities (N, 3)

X, Y = (-7.5, 8.5), (-4.5, 4.5)
COLUMNS, ROWS = 36, 22
HARD, METHODS = "hard labels", ("LS", "ILS1", "ILS2", "ILS")
FACTORS = (0.02, 0.07, 0.2, 0.4)
LEVELS = 255  # of a probability on a map
REGIONS, CONFIDENCE, ERROR = "decision regions", "confidence", "error against Bayes"
AWAY = "total variation from the truth"
LARGEST = 0.5  # total variation that is drawn darkest


class Learned(NamedTuple):
    """A training set, points for tests, and the networks that learned it, by `called`."""

    train: Sample
    test: Sample
    networks: Mapping[str, Predict]


def called(method: str, factor: float) -> str:
    """What the network of a method and a factor is called; hard labels have no factor."""
    return HARD if method == HARD else f"{method}, ε = {factor:g}"


def explorer(mixture: GaussianMixture, learned: Sequence[Learned]) -> Explorer:
    """The explorer of the plane.

    Parameters
    ----------
    mixture : GaussianMixture
        Of three classes in the plane.
    learned : sequence of Learned
        At least two, with as many test points, each with a network for hard labels and for every
        method and factor.
    """
    points = _points()
    with device.one_thread_an_operation():  # small networks, one after another
        sets = {str(i): _set(mixture, each, points) for i, each in enumerate(learned, 1)}
    centres = mixture.centres.float()
    data = {
        "truth": _packed(mixture.posterior(points)),
        "places": [[round(v, 3) for v in centre] for centre in centres.tolist()],
        "cells": [_cell(x, y) for x, y in centres.tolist()],
        "sets": sets,
        "points": f"{len(learned[0].test.labels):,}",
    }
    controls = (
        Choice("method", "trained with", (HARD, *METHODS), HARD),
        Choice(
            "factor",
            "factor ε",
            tuple(f"{f:g}" for f in FACTORS),
            f"{FACTORS[1]:g}",
            ("method", METHODS),
        ),
        Choice("shown", "show", (REGIONS, CONFIDENCE, ERROR), REGIONS),
        Choice("set", "training set", tuple(sets), "1"),
    )
    title = "Six Gaussians: a network beside the Bayes-optimal model"
    question = (
        "Which label leads a network the nearest to the Bayes-optimal model, and on every set?"
    )
    return Explorer("plane", title, question, controls, data, scene)


def scene(data: Mapping[str, Any], values: Mapping[str, Value]) -> Scene:
    """The network's map with its training points, and the Bayes-optimal model's."""
    chosen = data["sets"][values["set"]]
    name = called(str(values["method"]), float(values["factor"]))
    network = chosen["networks"][name]
    p, truth = _unpacked(network["map"]), _unpacked(data["truth"])
    dots = [
        {"kind": "dots", "points": points, "colour": colour, "shape": shape}
        for points, colour, shape in zip(chosen["points"], CLASS_COLOURS, SHAPES, strict=False)
    ]
    shown = str(values["shown"])
    if shown == REGIONS:
        left, right = (_regions(data, each) for each in (p, truth))
        legend, titles = ("1, 2, 3: class chosen",) * 2, (shown, shown)
    else:
        error = (p - truth).abs().sum(2) / 2 / LARGEST
        left, right = ([_shades(each)] for each in (_above_chance(p), _above_chance(truth)))
        legend, titles = ("white 1/3, grey 1",) * 2, (CONFIDENCE, CONFIDENCE)
        if shown == ERROR:
            left = [_shades(error.clamp(max=1))]
            legend, titles = ("white 0, grey .5 or more", legend[1]), ("error", CONFIDENCE)
    panels = [
        Panel(
            f"{name}: {titles[0]}",
            X,
            Y,
            [left[0], *dots, *left[1:]],
            "training points: ● 1  ■ 2  ▲ 3",
            legend[0],
            numbers=network["numbers"],
        ),
        Panel(
            f"Bayes-optimal: {titles[1]}",
            X,
            Y,
            right,
            "first feature",
            legend[1],
            numbers=chosen["bayes"],
        ),
    ]
    far = {key: each["numbers"][AWAY] for key, each in chosen["networks"].items()}
    near = nearest(far)
    answer: Answer = [
        f"On {data['points']} test points this network ({name}) is at a total variation of ",
        far[name],
        " from the truth",
        *([] if name == HARD else [", that of hard labels at ", far[HARD]]),
        f". The nearest of this training set: {'; '.join(near)}, at ",
        far[near[0]],
        ".",
    ]
    return Scene(panels, answer)


def _points() -> Tensor:
    """Centres (ROWS * COLUMNS, 2) of the cells, the lowest row first."""
    x, y = (
        low + (torch.arange(count) + 0.5) / count * (high - low)
        for (low, high), count in ((X, COLUMNS), (Y, ROWS))
    )
    return torch.cartesian_prod(y, x).flip(1)


def _cell(x: float, y: float) -> list[int]:
    """Row and column of the cell that a point lies in."""
    return [int((y - Y[0]) / (Y[1] - Y[0]) * ROWS), int((x - X[0]) / (X[1] - X[0]) * COLUMNS)]


def _set(mixture: GaussianMixture, learned: Learned, points: Tensor) -> dict[str, Any]:
    """The data of one training set."""
    train, test = learned.train, learned.test
    classes = range(mixture.classes)
    rounded = [[round(v, 2) for v in point] for point in train.inputs.tolist()]
    bayes = {"accuracy": metrics.accuracy(test.truth, test.labels)}
    networks = {}
    for name, predict in learned.networks.items():
        p = predict(test.inputs)
        numbers = {
            "accuracy": metrics.accuracy(p, test.labels),
            "cross entropy": metrics.nll(p, test.labels),
            AWAY: metrics.total_variation(test.truth, p),
        }
        numbers = {key: round(value, 4) for key, value in numbers.items()}
        networks[name] = {"map": _packed(predict(points)), "numbers": numbers}
    return {
        "points": [
            [at for at, label in zip(rounded, train.labels.tolist(), strict=True) if label == k]
            for k in classes
        ],
        "bayes": {key: round(value, 4) for key, value in bayes.items()},
        "networks": networks,
    }


def _packed(probabilities: Tensor) -> str:
    """Probabilities (N, 3) of the first two classes as bytes, in base 64."""
    levels = (probabilities[:, :2] * LEVELS).round().to(torch.uint8)
    return base64.b64encode(levels.numpy().tobytes()).decode()


def _unpacked(text: str) -> Tensor:
    """Probabilities (ROWS, COLUMNS, 3)."""
    levels = torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
    two = levels.view(ROWS, COLUMNS, 2).double()
    last = (LEVELS - two.sum(2, keepdim=True)).clamp(min=0)  # rounding may leave -1
    return torch.cat([two, last], 2) / LEVELS


def _regions(data: Mapping[str, Any], probabilities: Tensor) -> list[dict[str, Any]]:
    """The predicted class of every cell, and at the centres of the Gaussians in words."""
    rows = probabilities.argmax(2).tolist()
    words = [str(rows[i][j] + 1) for i, j in data["cells"]]
    areas = {"kind": "areas", "rows": rows, "colours": list(CLASS_COLOURS)}
    return [areas, {"kind": "words", "points": data["places"], "words": words}]


def _shades(rows: Tensor) -> dict[str, Any]:
    return {"kind": "shades", "rows": rows.tolist(), "colour": "grey"}


def _above_chance(probabilities: Tensor) -> Tensor:
    """The highest probability, from 0 at 1/3 to 1 at 1."""
    return (probabilities.amax(2) * 1.5 - 0.5).clamp(min=0)
