"""Planes against a naive computation in numpy."""

import copy
import json
import re

import numpy as np
import pytest
import torch

from ldlstudy import data, models
from ldlstudy.data import cifar100
from ldlstudy.data.images import Dataset, Images
from ldlstudy.experiment import planes
from ldlstudy.files import rounded
from ldlstudy.mixture import noisy_digits
from ldlstudy.training import Predictor

COUNTS = {"train": (1050, 130, 40, 60), "test": (70, 101, 30, 5)}  # more than a batch of 1000


def made(classes, **options):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return models.build("small_fcn", classes, hidden=[7], shape=(1, 3, 3), **options)


@pytest.fixture(scope="module")
def network():
    """In training mode, as training leaves it: the dropout must not be felt."""
    return made(4, dropout=0.5)


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
def plane(network, parts):
    return planes.plane(Predictor(network.train()), parts)


def test_a_plane_is_that_of_a_naive_computation(network, parts, plane):
    """At most a hundred points of each of three classes are kept; the numbers are of all."""
    figure, values = plane
    json.dumps(figure, allow_nan=False)
    assert set(figure) == {"templates", "train", "test"}
    weights = network.head.weight.detach()[:3].numpy()
    expected = {"template_distance": np.mean(distances(weights))}
    for name, images in parts.items():
        points, templates = by_hand(network, images)
        np.testing.assert_allclose(figure["templates"], templates, atol=1e-5)
        clusters = [points[images.labels.numpy() == label] for label in range(3)]
        for shown, cluster in zip(figure[name], clusters, strict=True):
            np.testing.assert_allclose(shown, cluster[:100], atol=1e-5)
        means = [cluster.mean(0) for cluster in clusters]
        squares = [((c - m) ** 2).sum(1).mean() for c, m in zip(clusters, means, strict=True)]
        expected[f"{name}_spread"] = np.mean(np.sqrt(squares))
        expected[f"{name}_distance"] = np.mean(distances(means))
    assert values == pytest.approx(expected, rel=1e-5)


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
    figure, values = planes.plane(Predictor(network), parts, classes)
    same_figure, same_values = planes.plane(Predictor(renumbered), moved)
    assert figure == same_figure
    assert values == pytest.approx(same_values, rel=1e-9)  # sums in another order


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
        planes.plane(Predictor(network), parts, classes)


def of_similar(name, names):
    """Return a set with so many classes, two images each, and a network for it."""
    images = [drawn([2] * len(names), seed) for seed in (0, 1)]
    return Predictor(made(len(names))), Dataset(name, tuple(names), *images)


SETS = {
    "cifar100": (2, sorted(n for names in cifar100.SUPERCLASSES.values() for n in names)),
    "imagenet": (6, sorted(planes.WORDNET.values())),
    "noisy_digits": (1, "0123456789"),
}


@pytest.mark.parametrize("name", SETS)
def test_similar_classes_are_found_by_their_names(name):
    count, names = SETS[name]
    predictor, dataset = of_similar(name, names)
    found = planes.similar(predictor, dataset)
    json.dumps(found, allow_nan=False)
    assert len(found) == count
    parts = {"train": dataset.train, "test": dataset.test}
    for title, figure in found.items():
        wanted = [planes.WORDNET.get(n, n) for n in title.split(", ")]
        classes = [dataset.classes.index(each) for each in wanted]
        expected, _ = planes.plane(predictor, parts, classes)
        assert figure == rounded(expected, 4)


def test_every_class_of_imagenet_that_is_pictured_has_a_folder():
    named = [name for group in planes.SIMILAR["imagenet"] for name in group]
    assert sorted(named) == sorted(planes.WORDNET)
    assert len(set(planes.WORDNET.values())) == 18
    assert all(re.fullmatch(r"n\d{8}", number) for number in planes.WORDNET.values())


def test_the_digits_that_are_alike_are_those_that_the_posterior_confuses():
    mixture = noisy_digits(0.5)
    x, labels, _ = mixture.sample(500, 0)
    given = torch.stack([mixture.posterior(x[labels == k]).mean(0) for k in range(10)])
    confused = (given + given.T).fill_diagonal_(0)
    ((one, other, unlike),) = planes.SIMILAR["noisy_digits"]
    pair = {int(one), int(other)}
    assert set(divmod(int(confused.argmax()), 10)) == pair
    to_either = confused[sorted(pair)].amax(0)
    assert int(unlike) == min(set(range(10)) - pair, key=lambda k: float(to_either[k]))


def test_a_set_without_similar_classes():
    message = "unknown data set with similar classes 'digits'; known: cifar100, imagenet, noisy_"
    with pytest.raises(ValueError, match=message):
        planes.similar(*of_similar("digits", "0123456789"))


def test_planes_of_several_triples_are_those_of_each():
    digits = data.noisy_digits(train=50, test=6)
    predictor = Predictor(models.build("small_cnn", 10, channels=1))
    found = planes.planes(predictor, digits)
    assert list(found) == ["0, 1, 2", "3, 8, 9", "3, 9, 6", "0, 2, 4"]
    parts = {"train": digits.train, "test": digits.test}
    figure, numbers = planes.plane(predictor, parts, (3, 9, 6))
    few = {part: [cluster[:40] for cluster in figure[part]] for part in parts}
    expected = {"templates": figure["templates"], **few, "numbers": numbers}
    assert found["3, 9, 6"] == rounded(expected, 4)


def test_variation_is_the_spread_of_classes_in_units_of_their_distance():
    images = drawn((20, 30, 40))
    x = images.pixels.flatten(1)
    clusters = [x[images.labels == k].double().numpy() for k in range(3)]
    means = [cluster.mean(0) for cluster in clusters]
    squares = [((c - m) ** 2).sum(1).mean() for c, m in zip(clusters, means, strict=True)]
    expected = np.mean(np.sqrt(squares)) / np.mean(distances(means))
    assert planes.variation(x, images.labels) == pytest.approx(expected, rel=1e-5)
