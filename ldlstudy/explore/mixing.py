"""Explorer: images mixed by mixup, CutMix or RICAP, and three labels of what comes out (LDL).

The controls take the place of the draws of :mod:`ldlstudy.mixing`. What a teacher and the truth say
of a mixed image is computed before, for every position of the controls.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, metrics, mixing, targets
from ldlstudy.data.images import Images
from ldlstudy.explore.explorer import Choice, Explorer, Slider, Value
from ldlstudy.explore.scene import Answer, Scene, distribution, image, nearest

KINDS = {"CutMix": 2, "RICAP": 4, "mixup": 2}  # and how many images each mixes
STEPS = 8  # of a slider from 0 to 1
QUARTETS = ((3, 8, 6, 1), (0, 4, 9, 5), (1, 7, 2, 6), (9, 3, 5, 8))  # classes that are mixed
SURE = 0.99  # of its class is the truth of an image that is mixed
PARTS = 10_000  # a probability on a page is a whole number of these
PIXELS = 3  # decimals
Predict = Callable[[Tensor], Tensor]


def explorer(
    images: Images, teach: Predict, posterior: Predict, sets: int = len(QUARTETS)
) -> Explorer:
    """The explorer of mixing.

    Parameters
    ----------
    images : Images
        Noisy digits, pixels (N, 1, 8, 8), with their truth.
    teach : callable
        From images (M, 1, 8, 8) to a teacher's logits (M, 10).
    posterior : callable
        From points (M, 64) to p(y|x), (M, 10).
    sets : int
        How many sets of four images to choose from, from 1 to 4.

    Raises
    ------
    ValueError
        If no image of a class that is needed has a sure truth.
    """
    checks.in_range("sets", sets, 1, len(QUARTETS))
    samples = {}
    for number, classes in enumerate(QUARTETS[:sets], 1):
        pixels = torch.stack([_first(images, label) for label in classes])
        name = f"set {number}: " + ", ".join(map(str, classes))
        samples[name] = _sample(pixels, classes, teach, posterior)
    names = tuple(samples)
    controls = (
        Choice("kind", "mixed by", tuple(KINDS), "CutMix"),
        Choice("images", "images", names, names[0]),
        Slider("share", "λ (CutMix: in whole pixels)", 0, 1, 1 / STEPS, 0.5),
        Slider("place", "place", 0, 1, 1 / STEPS, 0.75, ("kind", ("CutMix", "RICAP"))),
    )
    title = "A mixed image, and three labels of it"
    question = "Which label is the nearer to the truth of a mixed image: by area, or the teacher's?"
    return Explorer("mixing", title, question, controls, {"samples": samples}, scene)


def mix(images: Tensor, kind: str, share: float, place: float) -> tuple[Tensor, list[float]]:
    """Mix images with given values in place of draws.

    Parameters
    ----------
    images : Tensor
        Shape (4, S, S); mixup and CutMix take the first two.
    kind : str
        One of `KINDS`; an unknown one is a ValueError.
    share : float
        In [0, 1]: lambda of mixup and CutMix; of RICAP, how wide the left tiles are.
    place : float
        In [0, 1]: where on the diagonal the centre of CutMix's box is; of RICAP, how high the upper
        tiles are. RICAP's crops are from the middle.

    Returns
    -------
    mixed : Tensor
        Shape (S, S).
    weights : list of float
        Of the four images in the label, of sum 1.
    """
    checks.one_of("kind", kind, KINDS)
    side = images.shape[-1]
    ratio = torch.tensor([share], dtype=torch.float64)
    following = torch.arange(4).roll(-1)
    draw: mixing.Drawn
    if kind == "mixup":
        draw = mixing.Blend(following, ratio)
    elif kind == "CutMix":
        centre = torch.tensor([[min(place, 1 - 1 / side)]], dtype=torch.float64)
        draw = mixing.Paste(following, mixing.box((side, side), ratio, centre, centre))
    else:
        height, width = (torch.tensor([round(part * side)]) for part in (place, share))
        middle = torch.tensor([0.5])
        found = mixing.tiles((side, side), height, width, [(middle, middle)] * 4)
        draw = mixing.Tile(torch.arange(4)[:, None].expand(-1, 4), *found)
    mixed = draw(images[:, None])
    weights = torch.zeros(4).index_add(0, mixed.sources[:, 0], mixed.weights[:, 0])
    return mixed.images[0, 0], weights.tolist()


def scene(data: Mapping[str, Any], values: Mapping[str, Value]) -> Scene:
    """The images that are mixed, the mixed one, and its label by mixing, teacher and truth."""
    sample, kind = data["samples"][values["images"]], str(values["kind"])
    share, place = float(values["share"]), float(values["place"])
    pixels = torch.tensor(sample["pixels"], dtype=torch.float64)
    mixed, weights = mix(pixels, kind, share, place)
    hard = targets.one_hot(torch.tensor(sample["labels"]), 10).double()
    steps = round(share * STEPS) * (STEPS + 1) + round(place * STEPS)
    frame = round(share * STEPS) if kind == "mixup" else steps
    teacher, truth = (
        torch.tensor(sample[who][kind][frame]).double() / PARTS for who in ("teacher", "truth")
    )
    label = torch.tensor(weights).double() @ hard
    sources = [
        image(f"image {i + 1}: {sample['labels'][i]}", sample["pixels"][i])
        for i in range(KINDS[kind])
    ]
    labels = {f"{kind}'s label": label, "the teacher's": teacher}
    far = {name: metrics.total_variation(truth[None], p[None]) for name, p in labels.items()}
    near = nearest(far)
    panels = [
        distribution(name, p.tolist(), "blue", {"TV": far[name]}, "nearest" * (name in near))
        for name, p in labels.items()
    ]
    panels.append(distribution("the truth", truth.tolist(), "green"))
    answer: Answer = [f"Nearest to the truth: {', '.join(near)}. Image 1 counts ", weights[0]]
    if kind == "CutMix":
        answer += [
            " in the label where λ asks for ",
            share,
            ": a box has whole pixels and ends at the border",
        ]
    else:
        answer += [" in the label"]
    return Scene([*sources, image("mixed", mixed.tolist()), *panels], [*answer, "."])


def _first(images: Images, label: int) -> Tensor:
    """The first image (8, 8) of a class whose truth is sure of it."""
    assert images.truth is not None
    assert isinstance(images.pixels, Tensor)
    sure = (images.labels == label) & (images.truth[:, label] > SURE)
    if not sure.any():
        raise ValueError(f"no image of class {label} has a truth above {SURE:g}")
    return images.pixels[int(sure.nonzero()[0, 0]), 0]


def _sample(
    pixels: Tensor, classes: tuple[int, ...], teach: Predict, posterior: Predict
) -> dict[str, Any]:
    """Four images, and what teacher and truth say of every mixture of them."""
    kept = [[[round(v, PIXELS) for v in row] for row in each] for each in pixels.tolist()]
    shown, grid = torch.tensor(kept), [step / STEPS for step in range(STEPS + 1)]
    teacher, truth = {}, {}
    for kind in KINDS:
        places = [0.0] if kind == "mixup" else grid
        mixed = torch.stack([mix(shown, kind, s, p)[0] for s in grid for p in places])
        teacher[kind] = _parts(teach(mixed[:, None]).softmax(1))
        truth[kind] = _parts(posterior(mixed.flatten(1)))
    return {"labels": list(classes), "pixels": kept, "teacher": teacher, "truth": truth}


def _parts(probabilities: Tensor) -> list[list[int]]:
    """Probabilities as whole numbers of a ten-thousandth."""
    parts: list[list[int]] = (probabilities.double() * PARTS).round().long().tolist()
    return parts
