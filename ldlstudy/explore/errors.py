"""Explorer: how sure networks are of their errors, by method and temperature (CS-KD Figure 2)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ldlstudy import errors, scaling
from ldlstudy.explore.explorer import Choice, Explorer, Slider, Value
from ldlstudy.explore.scene import Panel, Scene

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
        Slider("temperature", "temperature T", 0.3, 4, 0.05, 1),
    )
    title = "How sure networks are of their errors"
    return Explorer("errors", title, controls, {"networks": dict(predictions)}, scene)


def scene(data: Mapping[str, Any], values: Mapping[str, Value]) -> Scene:
    """Two networks' scores of the class that they chose, and of the true one, where they err."""
    panels, numbers = [], {}
    for control, colour in (("network", "blue"), ("other", "red")):
        name = str(values[control])
        network = data["networks"][name]
        logits = torch.tensor(network["log_probabilities"], dtype=torch.float64)
        labels = torch.tensor(network["labels"])
        p = scaling.scale(logits, float(values["temperature"]))
        wrong = errors.wrong(p, labels)
        chosen = p[wrong].amax(1)
        true = p[wrong].gather(1, labels[wrong, None])[:, 0]
        panels.append(_histogram(f"{name}: predicted class", chosen, colour))
        panels.append(_histogram(f"{name}: true class", true, colour))
        numbers[f"{name}: share of errors"] = len(wrong) / len(labels)
        numbers[f"{name}: mean confidence in them"] = float(chosen.mean()) if len(wrong) else 0.0
    return Scene(panels, numbers)


def _histogram(title: str, scores: Tensor, colour: str) -> Panel:
    """Shares of scores in bins [lo, hi), 1.0 in the last."""
    cell = (scores * BINS).long().clamp(max=BINS - 1)
    share = torch.bincount(cell, minlength=BINS).double() / max(1, len(scores))
    at = [(b + 0.5) / BINS for b in range(BINS)]
    mark = {"kind": "bars", "at": at, "height": share.tolist(), "width": 0.9 / BINS}
    return Panel(title, (0, 1), (0, 0.5), [{**mark, "colour": colour}], "score", "share of errors")
