"""Explorer: what each strategy makes of one image's label, beside the true distribution."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ldlstudy import metrics, scaling, targets
from ldlstudy.explore.explorer import Choice, Explorer, Slider, Value
from ldlstudy.explore.scene import Answer, Scene, distribution, image, nearest

IMAGES = (
    6  # from the surest to the least sure of the truth, in even steps of its highest probability
)
PIXELS = 3  # decimals
DISTANCE, BEST = "TV", "nearest"


def explorer(predictions: Mapping[str, Any], truth: Tensor, pixels: Tensor) -> Explorer:
    """The explorer of labels, for six of a network's test images.

    Parameters
    ----------
    predictions : Mapping
        ``labels`` (S,) and ``log_probabilities`` (S, K) of the teacher, as a record's ``sampled``
        has them.
    truth : Tensor
        Shape (S, K), the true distributions of the same images.
    pixels : Tensor
        Shape (S, H, W), the images, for the picture beside the labels.

    Raises
    ------
    ValueError
        Fewer than six images, or an image that has no other of its class.
    """
    labels = torch.tensor(predictions["labels"])
    if len(labels) < IMAGES:
        raise ValueError(f"{IMAGES} images are needed, got {len(labels)}")
    peaks = truth.amax(1).double()
    places: list[int] = []
    for peak in torch.linspace(float(peaks.max()), float(peaks.min()), IMAGES, dtype=peaks.dtype):
        away = (peaks - peak).abs()
        away[places] = torch.inf
        places.append(int(away.argmin()))
    places.sort(key=lambda place: -float(peaks[place]))
    samples = {}
    for number, place in enumerate(places, 1):
        alike = (labels == labels[place]).nonzero()[:, 0]
        others = alike[alike != place]
        if not len(others):
            raise ValueError(f"no other image of class {int(labels[place])} to pair with")
        samples[f"image {number}, drawn as a {int(labels[place])}"] = {
            "label": int(labels[place]),
            "truth": [round(p, 6) for p in truth[place].tolist()],
            "teacher": predictions["log_probabilities"][place],
            "partner": predictions["log_probabilities"][int(others[0])],
            "pixels": [[round(v, PIXELS) for v in row] for row in pixels[place].tolist()],
        }
    names = tuple(samples)
    controls = (
        Choice("image", "image", names, names[IMAGES // 2]),  # whose truth is in doubt
        Slider("epsilon", "ε (LS, ILS2)", 0, 0.5, 0.01, 0.1),
        Slider("p1", "P1 (ILS1, ILS)", 0.5, 1, 0.025, 0.8),
        Slider("p2", "P2 (ILS1, ILS)", 0, 6, 0.25, 1.25),
        Slider("temperature", "temperature T", 1, 10, 0.5, 4),
        Slider("weight", "λ (KD, CS-KD)", 0, 1, 0.05, 0.5),
    )
    title = "One image, eight labels, and the truth"
    question = "Which label is the nearest to the truth of this image, and what moves it there?"
    return Explorer("label", title, question, controls, {"samples": samples}, scene)


def distributions(sample: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Tensor]:
    """The label (K,) that each strategy gives a sample, by name; the truth last.

    KD and CS-KD add a term to the cross entropy with the label; shown is the one distribution
    whose cross entropy has the same gradient at temperature 1 and up to a factor: their mean,
    weighted by 1 - lambda and lambda (KD), or by 1 and lambda (CS-KD).
    """
    label = torch.tensor([sample["label"]])
    teacher, partner = (
        torch.tensor([sample[key]], dtype=torch.float64) for key in ("teacher", "partner")
    )
    k, t, weight = teacher.shape[1], values["temperature"], values["weight"]
    plain, soft = teacher.softmax(1), scaling.scale(teacher, t)
    hard = targets.one_hot(label, k).double()
    p1, p2 = values["p1"], values["p2"]
    found = {
        "one-hot": hard,
        "LS": targets.smooth(label, k, values["epsilon"]),
        "ILS1": targets.ils1(label, plain, p1, p2),
        "ILS2": targets.ils2(label, soft, values["epsilon"]),
        "ILS": targets.ils(label, soft, p1, p2, magnitude=plain),
        "KD": (1 - weight) * hard + weight * soft,
        "CS-KD": (hard + weight * scaling.scale(partner, t)) / (1 + weight),
        "Off-LDL": plain,
        "the truth": torch.tensor([sample["truth"]], dtype=torch.float64),
    }
    return {name: distribution[0].double() for name, distribution in found.items()}


def scene(data: Mapping[str, Any], values: Mapping[str, Value]) -> Scene:
    """A panel for each label with its total variation from the truth, and which is the nearest."""
    sample = data["samples"][values["image"]]
    found = distributions(sample, values)
    truth = found.pop("the truth")
    far = {name: metrics.total_variation(truth[None], label[None]) for name, label in found.items()}
    near = nearest(far)
    panels = [
        distribution(name, label.tolist(), "blue", {DISTANCE: far[name]}, BEST * (name in near))
        for name, label in found.items()
    ]
    panels.append(distribution("the truth", truth.tolist(), "green"))
    first, *others = sorted(far, key=lambda name: round(far[name] * 1e4))[:3]  # ties in order
    answer: Answer = [f"Nearest to the truth, by total variation: {first} at ", far[first]]
    for name in others:
        answer += [f", {name} at ", far[name]]
    answer += ["; the one-hot label is at ", far["one-hot"], "."]
    return Scene([image("the image", sample["pixels"]), *panels], answer)
