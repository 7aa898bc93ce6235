"""What figures of image runs need beyond metrics: planes, reliability diagrams, some features.

All are small enough to lie in a record, so a page shows them without the data or the weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, metrics, projection
from ldlstudy.augment import Augmentation
from ldlstudy.dataset import Dataset, Images
from ldlstudy.evaluation import predict
from ldlstudy.execution import Execution
from ldlstudy.models import Classifier
from ldlstudy.records import PICTURED_DIGITS, rounded

PICTURED = (0, 1, 2)  # the classes of [Re] Figure 2, on each of its data sets
TRIPLES = ((0, 1, 2), (3, 8, 9), (3, 9, 6), (0, 2, 4))  # of ten classes, see `planes`
FEW = 40  # points of each class and panel in `planes`
SAMPLED = 500  # images whose whole predictions are kept
POINTS = 100  # of each class and panel, as in the replication's code
EMBEDDED = (10, 50)  # classes, and images of each, for t-SNE
COMPONENTS = 50  # principal components that t-SNE starts from, as van der Maaten's do
# Two classes that are alike and one that is not, by data set (LDL Figures 7 and 9).
SIMILAR: dict[str, tuple[tuple[str, str, str], ...]] = {
    "cifar100": (("beaver", "otter", "dolphin"), ("man", "woman", "sunflower")),
    "imagenet": (
        ("green snake", "water snake", "gown"),
        ("golf ball", "ping-pong ball", "pot"),
        ("pizza", "potpie", "espresso"),
        ("leopard", "snow leopard", "goldfish"),
        ("timber wolf", "brush wolf", "black bear"),
        ("persian cat", "siamese cat", "mink"),
    ),
    # Ours. Of 40,000 images at sigma .5 the posterior gives a 3 to 9, or a 9 to 3, .081 on average,
    # the most of any pair (the second is 8 and 1, .064); to 6 it gives .005 of either, the least.
    "noisy_digits": (("3", "9", "6"),),
}
WORDNET = {  # the classes of ImageNet are folders named after these numbers
    "green snake": "n01729977",
    "water snake": "n01737021",
    "gown": "n03450230",
    "golf ball": "n03445777",
    "ping-pong ball": "n03942813",
    "pot": "n03991062",
    "pizza": "n07873807",
    "potpie": "n07875152",
    "espresso": "n07920052",
    "leopard": "n02128385",
    "snow leopard": "n02128757",
    "goldfish": "n01443537",
    "timber wolf": "n02114367",
    "brush wolf": "n02114855",  # also called coyote
    "black bear": "n02133161",
    "persian cat": "n02123394",
    "siamese cat": "n02123597",
    "mink": "n02442845",
}


def reliability(probabilities: Tensor, labels: Tensor) -> dict[str, list[float | None]]:
    """Count, accuracy and confidence in 15 bins ([Re] Figures 3 and 9); None in an empty bin."""
    bins = metrics.reliability(probabilities, labels, bins=15, edges="left")
    return {
        "count": bins.count.tolist(),
        "accuracy": [None if n == 0 else a for n, a in zip(bins.count, bins.accuracy, strict=True)],
        "confidence": [
            None if n == 0 else c for n, c in zip(bins.count, bins.confidence, strict=True)
        ],
    }


def positions(count: int) -> Tensor:
    """Which of ``count`` test images `sampled` keeps."""
    return torch.arange(0, count, -(-count // SAMPLED))


def sampled(probabilities: Tensor, labels: Tensor) -> dict[str, list[Any]]:
    """What a network says of test images spread evenly over the set, to scale and bin on a page.

    Returns
    -------
    dict
        ``labels`` (S,) and ``log_probabilities`` (S, K), which are logits but for a constant of
        each image; S at most 500.
    """
    index = positions(len(labels))
    least = torch.finfo(probabilities.dtype).tiny
    logits = probabilities[index].clamp_min(least).log()
    return {
        "labels": labels[index].tolist(),
        "log_probabilities": rounded(logits.tolist(), PICTURED_DIGITS),
    }


def plane(
    network: Classifier,
    parts: Mapping[str, Images],
    augmentation: Augmentation,
    execution: Execution,
    classes: Sequence[int] = PICTURED,
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Project the activations of three classes on the plane of their templates ([Re] Figure 2).

    Parameters
    ----------
    network : Classifier
        Its head's weights are the templates.
    parts : Mapping
        Images by the name of their panel.
    augmentation, execution
        As in training; images are not augmented.
    classes : sequence of int
        Three classes; each part has images of all of them.

    Returns
    -------
    figure : dict
        ``templates`` (3, 2) and for each part ``points`` (3, n, 2), n at most 100 a class.
    row : dict
        ``template_distance`` between templates and for each part ``<part>_spread``, the root mean
        square distance to the cluster's mean, and ``<part>_distance`` between clusters' means, of
        all images of the three classes; lists of one value.
    """
    wanted = checks.labels(torch.tensor(classes), len(network.head.weight))
    templates = network.head.weight.detach().float().cpu()[wanted]
    basis = projection.plane(templates)
    figure: dict[str, Any] = {"templates": projection.project(templates, basis).tolist()}
    row = {"template_distance": [projection.template_distance(templates)]}
    for name, images in parts.items():
        chosen = torch.isin(images.labels, wanted.to(images.labels.device))
        some = Images(images.pixels[chosen], images.labels[chosen])
        features = predict(network, some, augmentation, execution, network.features)
        points = projection.project(features.float().cpu(), basis)
        labels = some.labels.cpu()
        clusters = [points[labels == label] for label in wanted]
        figure[name] = [cluster[:POINTS].tolist() for cluster in clusters]
        means = torch.stack([cluster.mean(0) for cluster in clusters])
        row[f"{name}_spread"] = [projection.cluster_spread(points, labels)]
        row[f"{name}_distance"] = [projection.template_distance(means)]
    return figure, row


def planes(
    network: Classifier, dataset: Dataset, augmentation: Augmentation, execution: Execution
) -> dict[str, Any]:
    """Return the planes of several triples of classes, to choose from.

    On noisy digits 3, 8 and 9 are the three that are confused most, 0, 2 and 4 are hardly confused
    at all; 3 and 9 are alike, 6 is not.

    Parameters
    ----------
    network, dataset, augmentation, execution
        As in `similar`; a set of at least ten classes.

    Returns
    -------
    dict
        By the names of the three classes: ``templates`` (3, 2), ``train`` and ``test`` (3, n, 2)
        with n at most 40, and ``numbers``, the row of `plane`; to 4 digits.
    """
    parts = {"train": dataset.train, "test": dataset.test}
    found = {}
    for classes in TRIPLES:
        figure, row = plane(network, parts, augmentation, execution, classes)
        few = {part: [cluster[:FEW] for cluster in figure[part]] for part in parts}
        numbers = {name: value for name, (value,) in row.items()}
        kept = {"templates": figure["templates"], **few, "numbers": numbers}
        found[", ".join(dataset.classes[k] for k in classes)] = rounded(kept, PICTURED_DIGITS)
    return found


def similar(
    network: Classifier, dataset: Dataset, augmentation: Augmentation, execution: Execution
) -> dict[str, Any]:
    """Return the planes of classes that are alike and one that is not (LDL Figures 7 and 9).

    Parameters
    ----------
    network, augmentation, execution
        As in `plane`.
    dataset : Dataset
        One that `SIMILAR` has groups for.

    Returns
    -------
    dict
        The figure of `plane`, by the names of its three classes, to 4 digits.

    Raises
    ------
    ValueError
        For another data set; those with groups are listed.
    """
    checks.one_of("data set with similar classes", dataset.name, SIMILAR)
    parts = {"train": dataset.train, "test": dataset.test}
    found = {}
    for names in SIMILAR[dataset.name]:
        classes = [dataset.classes.index(WORDNET.get(name, name)) for name in names]
        figure, _ = plane(network, parts, augmentation, execution, classes)
        found[", ".join(names)] = rounded(figure, PICTURED_DIGITS)
    return found


def embedding(features: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return penultimate features of a few test images, for t-SNE (CS-KD Figure 3).

    Parameters
    ----------
    features : Tensor
        Shape (N, D).
    labels : Tensor
        Shape (N,).

    Returns
    -------
    dict
        ``index`` and ``labels`` (n,) of the first 50 images of each of the first ten classes, and
        ``points`` (n, d), their first d = min(50, D, n) principal components, to 4 digits.
    """
    classes, images = EMBEDDED
    index = torch.cat([(labels == k).nonzero()[:images, 0] for k in range(classes)])
    chosen = features[index].double()
    centred = chosen - chosen.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    points = centred @ directions[:COMPONENTS].T
    return {
        "index": index.tolist(),
        "labels": labels[index].tolist(),
        "points": rounded(points.tolist(), PICTURED_DIGITS),
    }
