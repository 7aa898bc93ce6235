"""Explorer: activations of three classes on the plane of their templates, by alpha ([Re])."""

from collections.abc import Mapping
from typing import Any

from ldlstudy.explore.explorer import Choice, Explorer, Value
from ldlstudy.explore.scene import CLASS_COLOURS, SHAPES, Answer, Panel, Scene

DECIMALS = 2  # decimals
SAME, OWN = "the same for every α", "fitted to the points"
ASPECT = 1.5  # of a panel, so that a step is as long on both axes
PARTS = {"train": "training", "test": "test"}


def explorer(networks: Mapping[str, Mapping[str, Any]]) -> Explorer:
    """The explorer of penultimate planes.

    Parameters
    ----------
    networks : Mapping
        Each alpha, as text, to its planes, as a record's ``planes`` has them
        (:func:`ldlstudy.experiment.planes.planes`); all have the same triples.
    """
    alphas = tuple(networks)
    triples = tuple(networks[alphas[0]])
    planes = {
        triple: {alpha: _plane(networks[alpha][triple]) for alpha in alphas} for triple in triples
    }
    limits = {
        triple: {
            SAME: _limits([p for plane in by_alpha.values() for p in _points(plane)]),
            **{alpha: _limits(_points(plane)) for alpha, plane in by_alpha.items()},
        }
        for triple, by_alpha in planes.items()
    }
    controls = (
        Choice("alpha", "smoothing α", alphas, alphas[0]),
        Choice("classes", "classes", triples, triples[0]),
        Choice("axes", "axes", (SAME, OWN), SAME),
    )
    title = "Three classes before the last layer, with and without smoothing"
    question = "Does smoothing make clusters tighter, or does it only shrink the activations?"
    data = {"planes": planes, "limits": limits, "first": alphas[0]}
    return Explorer("penultimate", title, question, controls, data, scene)


def scene(data: Mapping[str, Any], values: Mapping[str, Value]) -> Scene:
    """Training and test images on the plane; how tight their clusters are, and how far apart."""
    triple, alpha = str(values["classes"]), str(values["alpha"])
    plane = data["planes"][triple][alpha]
    x, y = data["limits"][triple][SAME if values["axes"] == SAME else alpha]
    names = triple.split(", ")
    legend = f"● {names[0]}  ■ {names[1]}  ▲ {names[2]}  ★ templates"
    stars = {"kind": "dots", "points": plane["templates"], "colour": "grey", "shape": "star"}
    numbers, panels = plane["numbers"], []
    for part, called in PARTS.items():
        dots = [
            {"kind": "dots", "points": points, "colour": colour, "shape": shape}
            for points, colour, shape in zip(plane[part], CLASS_COLOURS, SHAPES, strict=False)
        ]
        spread, apart = numbers[f"{part}_spread"], numbers[f"{part}_distance"]
        under = {"spread": spread, "clusters apart": apart, "ratio": spread / apart}
        if part == "train":
            under["templates apart"] = numbers["template_distance"]
        panels.append(Panel(f"{called} images", x, y, [*dots, stars], legend, numbers=under))
    first = data["first"]
    hard = data["planes"][triple][first]["numbers"]
    answer: Answer = [
        "The spread of test clusters over the distance between them is ",
        *_share(alpha, numbers),
    ]
    if alpha != first:
        answer += ["; it is ", *_share(first, hard)]
    return Scene(panels, [*answer, "."])


def _share(alpha: str, numbers: Mapping[str, float]) -> Answer:
    """How tight clusters of test images are, and of what."""
    spread, apart = numbers["test_spread"], numbers["test_distance"]
    return [spread / apart, f" at α = {alpha} (", spread, " of ", apart, ")"]


def _plane(plane: Mapping[str, Any]) -> dict[str, Any]:
    """A plane with fewer digits."""
    few = {
        name: [[[round(v, DECIMALS) for v in p] for p in cluster] for cluster in plane[name]]
        for name in PARTS
    }
    templates = [[round(v, DECIMALS) for v in point] for point in plane["templates"]]
    return {"templates": templates, **few, "numbers": dict(plane["numbers"])}


def _points(plane: Mapping[str, Any]) -> list[list[float]]:
    return [*plane["templates"], *(p for part in PARTS for c in plane[part] for p in c)]


def _limits(points: list[list[float]]) -> list[list[float]]:
    """Ends of both axes around every point, in the aspect of a panel."""
    ends = [(min(values), max(values)) for values in zip(*points, strict=True)]
    middle = [(low + high) / 2 for low, high in ends]
    half = 0.55 * max((ends[0][1] - ends[0][0]) / ASPECT, ends[1][1] - ends[1][0])
    return [
        [round(middle[0] - ASPECT * half, DECIMALS), round(middle[0] + ASPECT * half, DECIMALS)],
        [round(middle[1] - half, DECIMALS), round(middle[1] + half, DECIMALS)],
    ]
