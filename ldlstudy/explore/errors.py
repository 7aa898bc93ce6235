"""Explorer: how sure networks are of their errors, by method and temperature (CS-KD Figure 2)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ldlstudy import errors, scaling
from ldlstudy.explore.explorer import Choice, Explorer, Slider, Value
from ldlstudy.explore.scene import Answer, Panel, Scene

BINS = 20


def explorer(predictions: Mapping[str, Mapping[str, Any]]) -> Explorer:
    """The explorer of errors.

    Parameters
    ----------
    predictions : Mapping
        As `ldlstudy.explore.reliability.explorer` takes them.
    """
    names = tuple(predictions)
    controls = (
        Choice("network", "trained with", names, names[0]),
        Choice("other", "beside", names, names[-1]),
        Slider("temperature", "temperature T of the first", 0.3, 4, 0.05, 1),
    )
    title = "How sure networks are of their errors"
    question = (
        "Temper the first network until it is as sure of its errors as the other. "
        "Does it then leave as much for the true class?"
    )
    return Explorer("errors", title, question, controls, {"networks": dict(predictions)}, scene)


def scene(data: Mapping[str, Any], values: Mapping[str, Value]) -> Scene:
    """Two networks' scores of the class that they chose, and of the true one, where they err.

    The temperature is the first's; the other, often one that was taught the truth, stays as it is.
    """
    panels, means, tempered = [], [], float(values["temperature"])
    for control, colour, t in (("network", "blue", tempered), ("other", "red", 1.0)):
        name = str(values[control])
        network = data["networks"][name]
        logits = torch.tensor(network["log_probabilities"], dtype=torch.float64)
        labels = torch.tensor(network["labels"])
        p = scaling.scale(logits, t)
        wrong = errors.wrong(p, labels)
        chosen = p[wrong].amax(1)
        true = p[wrong].gather(1, labels[wrong, None])[:, 0]
        share = {"share of errors": len(wrong) / len(labels)}
        means += [_mean(chosen), _mean(true)]
        panels += [
            _histogram(f"{name}: predicted class", chosen, colour, {"mean": means[-2], **share}),
            _histogram(f"{name}: true class", true, colour, {"mean": means[-1]}),
        ]
    answer: Answer = [
        f"Where it errs, the first ({values['network']}) at this temperature gives the class it "
        "chose ",
        means[0],
        " and the true one ",
        means[1],
        f"; the other ({values['other']}), as trained, ",
        means[2],
        " and ",
        means[3],
        ".",
    ]
    return Scene(panels, answer)


def _mean(scores: Tensor) -> float:
    return float(scores.mean()) if len(scores) else 0.0


def _histogram(title: str, scores: Tensor, colour: str, numbers: dict[str, float]) -> Panel:
    """Shares of scores in bins [lo, hi), 1.0 in the last."""
    cell = (scores * BINS).long().clamp(max=BINS - 1)
    share = torch.bincount(cell, minlength=BINS).double() / max(1, len(scores))
    at = [(b + 0.5) / BINS for b in range(BINS)]
    mark = {"kind": "bars", "at": at, "height": share.tolist(), "width": 0.9 / BINS}
    marks = [{**mark, "colour": colour}]
    return Panel(title, (0, 1), (0, 0.5), marks, "score", "share of errors", numbers=numbers)
