"""Planes against a naive computation, bins of reliability diagrams, features for t-SNE."""

import copy
import json
import re

import numpy as np
import pytest
import torch

from ldlstudy import data, hierarchy, image_figures, metrics, models
from ldlstudy.augment import Augmentation
from ldlstudy.dataset import Dataset, Images
from ldlstudy.execution import Execution
from ldlstudy.mixture import noisy_digits
from ldlstudy.records import rounded

COUNTS = {"train": (1050, 130, 40, 60), "test": (70, 101, 30, 5)}  # more than a batch of 1000
PLAIN = Augmentation()
NEAR = {"rtol": 0, "atol": 5e-3}  # four digits are kept


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return models.build("small_fcn", 4, hidden=[7], shape=(1, 3, 3), dropout=0.5)


def drawn(counts, seed=0):
    """Return images of 3 x 3 pixels, so many a class, in random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    pixels = rng.normal(labels[:, None, None, None], 1, (len(labels), 1, 3, 3))
    return Images(torch.from_numpy(pixels).float(), torch.from_numpy(labels))


def by_hand(network, images):
    """Coordinates of all images in numpy: Gram-Schmidt in place of QR."""
    layer, head = network.body[1], network.head
    w, b, v = (t.detach().double().numpy() for t in (layer.weight, layer.bias, head.weight))
    features = np.maximum(images.pixels.double().flatten(1).numpy() @ w.T + b, 0)
    first = v[1] - v[0]
    first /= np.linalg.norm(first)
    second = v[2] - v[0]
    second -= second @ first * first
    basis = np.stack([first, second / np.linalg.norm(second)], 1)
    return features @ basis, v[:3] @ basis


def distances(points):
    return [np.linalg.norm(points[i] - points[j]) for i, j in ((0, 1), (0, 2), (1, 2))]


@pytest.fixture(scope="module")
def parts():
    return {name: drawn(counts, i) for i, (name, counts) in enumerate(COUNTS.items())}


@pytest.fixture(scope="module")
def planes(network, parts):
    network.train()  # as training leaves it: the dropout must not be felt
    return image_figures.plane(network, parts, PLAIN, Execution())


def test_points_and_templates_are_those_of_a_naive_computation(network, parts, planes):
    figure, _ = planes
    assert set(figure) == {"templates", "train", "test"}
    for name, images in parts.items():
        points, templates = by_hand(network, images)
        np.testing.assert_allclose(figure["templates"], templates, atol=1e-5)
        for label, cluster in enumerate(figure[name]):
            of_class = points[images.labels.numpy() == label]
            np.testing.assert_allclose(cluster, of_class[:100], atol=1e-5)


def test_at_most_a_hundred_points_of_three_classes_are_kept(planes):
    figure, _ = planes
    assert [len(cluster) for cluster in figure["train"]] == [100, 100, 40]
    assert [len(cluster) for cluster in figure["test"]] == [70, 100, 30]
    json.dumps(figure, allow_nan=False)


def test_numbers_are_of_all_images_of_the_three_classes(network, parts, planes):
    _, row = planes
    assert all(len(values) == 1 for values in row.values())
    templates = network.head.weight.detach()[:3].numpy()
    assert row["template_distance"][0] == pytest.approx(np.mean(distances(templates)))
    for name, images in parts.items():
        points, _ = by_hand(network, images)
        clusters = [points[images.labels.numpy() == label] for label in range(3)]
        means = [cluster.mean(0) for cluster in clusters]
        squares = [((c - m) ** 2).sum(1).mean() for c, m in zip(clusters, means, strict=True)]
        spread, apart = np.mean(np.sqrt(squares)), np.mean(distances(means))
        assert row[f"{name}_spread"][0] == pytest.approx(spread, rel=1e-5)
        assert row[f"{name}_distance"][0] == pytest.approx(apart, rel=1e-5)
    known = {f"{name}_{what}" for name in parts for what in ("spread", "distance")}
    assert set(row) == known | {"template_distance"}


def test_images_are_prepared_as_for_tests(network):
    """Cropped to the centre, and neither shifted nor flipped."""
    small = drawn((20, 20, 20))
    framed = torch.full((60, 1, 5, 5), 9.0)
    framed[:, :, 1:4, 1:4] = small.pixels
    images = small._replace(pixels=framed)
    moved = Augmentation(crop=3, flip=True, shift=1)
    figure, _ = image_figures.plane(network, {"test": images}, moved, Execution())
    plain, _ = image_figures.plane(network, {"test": small}, PLAIN, Execution())
    assert figure == plain


@pytest.mark.parametrize("classes", [(3, 0, 2), (1, 3, 0)])
def test_a_plane_of_other_classes_is_that_of_a_network_that_numbers_them_first(
    classes, network, parts
):
    """The templates and the labels change places; the default is the first three."""
    order = [*classes, *sorted(set(range(4)) - set(classes))]
    renumbered = copy.deepcopy(network)
    renumbered.head.weight.data = network.head.weight.data[order]
    moved = {
        name: images._replace(labels=torch.tensor(order).argsort()[images.labels])
        for name, images in parts.items()
    }
    figure, row = image_figures.plane(network, parts, PLAIN, Execution(), classes)
    assert (figure, row) == image_figures.plane(renumbered, moved, PLAIN, Execution())
    assert len(figure["train"][0]) == min(100, COUNTS["train"][classes[0]])


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((0, 1, 4), r"labels must lie in \[0, 4\), got values in \[0, 4\]"),
        ((0, 1), r"templates must have shape \(3, features\)"),
        ((0, 1, 1), "span no plane"),
    ],
)
def test_classes_that_have_no_plane(classes, message, network, parts):
    with pytest.raises(ValueError, match=message):
        image_figures.plane(network, parts, PLAIN, Execution(), classes)


def of_similar(name, names):
    """Return a set with so many classes, two images each, and a network for it."""
    images = drawn([2] * len(names))
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        network = models.build("small_fcn", len(names), hidden=[7], shape=(1, 3, 3))
    return network, Dataset(name, tuple(names), images, drawn([2] * len(names), 1))


SETS = {
    "cifar100": hierarchy.CLASSES,
    "imagenet": sorted(image_figures.WORDNET.values()),
    "noisy_digits": "0123456789",
}


@pytest.mark.parametrize("name", SETS)
def test_similar_classes_are_found_by_their_names(name):
    network, dataset = of_similar(name, SETS[name])
    found = image_figures.similar(network, dataset, PLAIN, Execution())
    assert len(found) == {"cifar100": 2, "imagenet": 6, "noisy_digits": 1}[name]
    parts = {"train": dataset.train, "test": dataset.test}
    for title, figure in found.items():
        wanted = [image_figures.WORDNET.get(n, n) for n in title.split(", ")]
        classes = [dataset.classes.index(each) for each in wanted]
        expected, _ = image_figures.plane(network, parts, PLAIN, Execution(), classes)
        assert figure == rounded(expected, 4)
        assert [len(cluster) for cluster in figure["test"]] == [2, 2, 2]
    json.dumps(found, allow_nan=False)


def test_every_class_of_imagenet_that_is_pictured_has_a_folder():
    named = [name for group in image_figures.SIMILAR["imagenet"] for name in group]
    assert sorted(named) == sorted(image_figures.WORDNET)
    assert len(set(image_figures.WORDNET.values())) == 18
    assert all(re.fullmatch(r"n\d{8}", number) for number in image_figures.WORDNET.values())


def test_the_digits_that_are_alike_are_those_that_the_posterior_confuses():
    mixture = noisy_digits(0.5)
    x, labels, _ = mixture.sample(500, 0)
    given = torch.stack([mixture.posterior(x[labels == k]).mean(0) for k in range(10)])
    confused = (given + given.T).fill_diagonal_(0)
    ((one, other, unlike),) = image_figures.SIMILAR["noisy_digits"]
    pair = {int(one), int(other)}
    assert set(divmod(int(confused.argmax()), 10)) == pair
    to_either = confused[sorted(pair)].amax(0)
    assert int(unlike) == min(set(range(10)) - pair, key=lambda k: float(to_either[k]))


def test_a_set_without_similar_classes():
    network, dataset = of_similar("digits", "0123456789")
    message = "unknown data set with similar classes 'digits'; known: cifar100, imagenet, noisy_"
    with pytest.raises(ValueError, match=message):
        image_figures.similar(network, dataset, PLAIN, Execution())


def test_reliability_is_that_of_the_metrics_without_nan():
    rng = np.random.default_rng(0)
    p = torch.from_numpy(rng.dirichlet(np.full(4, 0.3), 400))
    p[0] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # a confidence of 1 is in the last bin
    labels = torch.from_numpy(rng.integers(0, 4, 400))
    bins, theirs = image_figures.reliability(p, labels), metrics.reliability(p, labels, 15, "left")
    assert bins["count"] == theirs.count.tolist()
    empty = theirs.count == 0
    assert 0 < empty.sum() < 15  # no confidence lies below 1/4
    for key, whole in (("accuracy", theirs.accuracy), ("confidence", theirs.confidence)):
        assert [value is None for value in bins[key]] == empty.tolist()
        np.testing.assert_array_equal(np.array(bins[key])[~empty].astype(float), whole[~empty])
    json.dumps(bins, allow_nan=False)


def test_reliability_by_hand():
    top = torch.tensor([0.5, 0.6, 0.62, 1.0], dtype=torch.float64)
    p = torch.stack([top, 1 - top], 1)
    bins = image_figures.reliability(p, torch.tensor([0, 0, 1, 0]))
    assert {i: n for i, n in enumerate(bins["count"]) if n} == {7: 1, 9: 2, 14: 1}  # .6 starts one
    assert bins["accuracy"][9] == 0.5
    assert bins["confidence"][9] == pytest.approx(0.61)
    assert (bins["accuracy"][14], bins["confidence"][14]) == (1, 1)


def features(count, width, classes=12, seed=0):
    """Return features (N, D) of different spread by column, and labels in random order."""
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.1, 3, width)
    labels = torch.from_numpy(rng.integers(0, classes, count))
    return torch.from_numpy(rng.normal(5, scales, (count, width))).float(), labels


@pytest.mark.parametrize(("count", "width"), [(900, 7), (900, 50), (40, 200), (12, 3), (1, 4)])
def test_an_embedding_that_is_whole_keeps_the_distances(count, width):
    """With 50 images or columns at most, components only turn the features."""
    x, labels = features(count, width)
    found = image_figures.embedding(x, labels)
    points = torch.tensor(found["points"], dtype=torch.float64)
    n = len(found["index"])
    assert points.shape == (n, min(50, width, n))
    chosen = x[found["index"]].double()
    torch.testing.assert_close(
        torch.cdist(points, points), torch.cdist(chosen, chosen), rtol=2e-3, atol=1e-2
    )
    torch.testing.assert_close(points.mean(0), torch.zeros(points.shape[1]).double(), **NEAR)
    json.dumps(found, allow_nan=False)


def test_an_embedding_has_the_first_images_of_each_of_ten_classes():
    x, labels = features(900, 5)
    found = image_figures.embedding(x, labels)
    expected = [i for k in range(10) for i in np.flatnonzero(labels.numpy() == k)[:50].tolist()]
    assert found["index"] == expected
    assert found["labels"] == labels[expected].tolist()
    assert len(expected) == 500
    few = labels.clone()
    few[(labels > 2) & (labels != 11)] = 11  # the eleventh class and those after it are left out
    assert set(image_figures.embedding(x, few)["labels"]) == {0, 1, 2}


def test_an_embedding_of_wide_features_has_their_50_largest_components():
    x, labels = features(600, 80)
    found = image_figures.embedding(x, labels)
    points, chosen = np.array(found["points"]), x[found["index"]].double().numpy()
    assert points.shape == (len(chosen), 50)
    variances = np.linalg.eigvalsh(np.cov(chosen.T, bias=True))[::-1]
    np.testing.assert_allclose(points.var(0), variances[:50], rtol=2e-3)
    apart = np.cov(points.T) / np.sqrt(np.outer(points.var(0), points.var(0)))
    np.testing.assert_allclose(apart, np.eye(50), atol=5e-3)


def test_four_digits_of_an_embedding_are_kept():
    x, labels = features(30, 3)
    for row in image_figures.embedding(x, labels)["points"]:
        assert [float(f"{value:.4g}") for value in row] == row


def test_planes_of_several_triples_are_those_of_each():
    digits = data.noisy_digits(train=50, test=6)
    network = models.build("small_cnn", 10, channels=1)
    found = image_figures.planes(network, digits, PLAIN, Execution())
    assert list(found) == ["0, 1, 2", "3, 8, 9", "3, 9, 6", "0, 2, 4"]
    parts = {"train": digits.train, "test": digits.test}
    figure, row = image_figures.plane(network, parts, PLAIN, Execution(), (3, 9, 6))
    of = found["3, 9, 6"]
    np.testing.assert_allclose(of["templates"], figure["templates"], rtol=1e-3)
    for part in parts:
        few = [cluster[:40] for cluster in figure[part]]
        np.testing.assert_allclose(of[part], few, rtol=1e-3)
    assert of["numbers"] == pytest.approx(
        {name: values[0] for name, values in row.items()}, rel=1e-3
    )
