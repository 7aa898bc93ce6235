"""Explorer: what people say of an image, and what two networks do, by temperature."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch

from ldlstudy import checks, metrics, scaling, votes
from ldlstudy.explore.explorer import Choice, Explorer, Slider, Value
from ldlstudy.explore.scene import Answer, Panel, Scene, distribution, image

GREY = 255  # of a pixel


def explorer(
    answers: Mapping[str, Mapping[str, Any]],
    classes: Sequence[str],
    pictures: Sequence[Sequence[Sequence[float]]] = (),
) -> Explorer:
    """The explorer of people.

    Parameters
    ----------
    answers : Mapping
        By what a network is called, what a record keeps as ``people``: ``labels`` (n,), ``votes``
        (n, K) and ``log_probabilities`` (n, K), of the same images for all.
    classes : sequence of str
        Names of the classes.
    pictures : sequence, optional
        The images (n, H, W), from 0 to 255, where they may be shown.

    Raises
    ------
    ValueError
        No network, or networks that answered to other images.
    """
    names = tuple(answers)
    checks.whole("networks", len(names), 1)
    first = answers[names[0]]
    if any(each["index"] != first["index"] for each in answers.values()):
        raise ValueError("the networks have answered to different images")
    shown = {
        f"{number}: {classes[label]}": {
            "votes": count,
            "pixels": [[round(v / GREY, 2) for v in row] for row in pictures[number - 1]]
            if len(pictures)
            else [],
            "networks": {
                name: each["log_probabilities"][number - 1] for name, each in answers.items()
            },
        }
        for number, (label, count) in enumerate(
            zip(first["labels"], first["votes"], strict=True), 1
        )
    }
    images = tuple(shown)
    most = max(images, key=lambda name: _entropy(shown[name]["votes"]))
    controls = (
        Choice("image", "image", images, most),
        Choice("network", "trained with", names, names[0]),
        Choice("other", "beside", names, names[-1]),
        Slider("temperature", "temperature T", 0.3, 6, 0.1, 1),
    )
    content = {"images": shown, "classes": [name[:2] for name in classes]}
    title = "What people say of an image"
    question = (
        "At which temperature does a network say what people say, and does it fit other images?"
    )
    return Explorer("people", title, question, controls, content, scene)


def _entropy(count: Sequence[int]) -> float:
    return float(torch.special.entr(votes.shares(torch.tensor([count]))).sum())


def scene(data: Mapping[str, Any], values: Mapping[str, Value]) -> Scene:
    """The image, the shares of the votes, and two networks' answers, with how far these are."""
    chosen = data["images"][values["image"]]
    share = votes.shares(torch.tensor([chosen["votes"]]))
    panels = [image("the image", chosen["pixels"])] if chosen["pixels"] else []
    panels.append(_panel("people", share[0].tolist(), "green", data["classes"]))
    far = []
    for control, colour in (("network", "blue"), ("other", "red")):
        name = str(values[control])
        logits = torch.tensor([chosen["networks"][name]], dtype=torch.float64)
        p = scaling.scale(logits, float(values["temperature"]))
        far.append(metrics.total_variation(share, p))
        cross_entropy = metrics.cross_entropy_to_truth(share, p)
        numbers = {"cross entropy to the votes": cross_entropy, "TV": far[-1]}
        panels.append(_panel(name, p[0].tolist(), colour, data["classes"], numbers))
    answer: Answer = [
        f"At this temperature the first ({values['network']}) is at a total variation of ",
        far[0],
        f" from the people, the other ({values['other']}) at ",
        far[1],
        ".",
    ]
    return Scene(panels, answer)


def _panel(
    title: str,
    p: list[float],
    colour: str,
    classes: list[str],
    numbers: Mapping[str, float] = MappingProxyType({}),
) -> Panel:
    return replace(distribution(title, p, colour, numbers), names=classes)
