"""Labels of mixed images, with teachers and truths whose answers are known."""

import functools
import json

import numpy as np
import pytest
import torch

from ldlstudy import mixing, mixture, targets
from ldlstudy.supervision import supervision

CLASSES = 6
MIXINGS = {
    "mixup": mixing.mixup,
    "cutmix": mixing.cutmix,
    "ricap": mixing.ricap,
    "cutout": functools.partial(mixing.cutout, size=4),
}
LABELS = torch.tensor([3, 3, 0, 5, 0, 1, 2, 3, 5, 4])
FIRSTS = {2, 5, 6, 0, 9, 3}  # the first image of each class, from class 0


def painted(labels, classes=CLASSES):
    """Return images (N, 1, 8, 8) whose every pixel is the number of their class plus one."""
    return (labels + 1.0)[:, None, None, None].expand(-1, 1, 8, 8)


def shares(views, classes=CLASSES):
    """Return how much of painted images is of each class, as a truth (N, K)."""
    points = views.flatten(1)
    return torch.stack([(points == k + 1).float().mean(1) for k in range(classes)], 1)


def teach(views):
    """Return logits whose softmax is .7 and .3 for the classes 0 and 2, whatever is shown."""
    return torch.tensor([0.7, 0, 0.3, 0, 0, 0]).log().expand(len(views), -1)


@pytest.mark.parametrize("name", MIXINGS)
def test_sources_and_weights_give_the_image_and_its_label(name):
    """The mixing's label is the share of the pixels; CutOut's is the class."""
    found = supervision(painted(LABELS), LABELS, CLASSES, MIXINGS[name], teach, shares, 5)
    json.dumps(found, allow_nan=False)
    pixels = np.array(found["pixels"])
    assert pixels.shape == (5, 1, 8, 8)
    for n in range(5):
        sources, weights = found["sources"][n], found["weights"][n]
        assert len(sources) == len(weights) == {"ricap": 4, "cutout": 1}.get(name, 2)
        assert set(sources) <= FIRSTS
        assert sum(weights) == pytest.approx(1, abs=1e-3)
        expected = np.zeros(CLASSES)
        np.add.at(expected, LABELS[sources].numpy(), weights)
        said = dict(zip(*found["mixing"][n].values(), strict=True))
        assert said == pytest.approx({k: v for k, v in enumerate(expected) if v}, abs=1e-3)
        if name == "mixup":
            mean = (LABELS[sources].numpy() + 1) @ weights
            np.testing.assert_allclose(pixels[n], mean, rtol=1e-3)
        elif name != "cutout":
            assert found["truth"][n]["probabilities"] == pytest.approx(
                found["mixing"][n]["probabilities"], abs=1e-3
            )


@pytest.mark.parametrize("name", MIXINGS)
def test_every_image_is_of_other_classes_and_mixed_with_them(name):
    found = supervision(painted(LABELS), LABELS, CLASSES, MIXINGS[name], teach, shares, 4)
    for sources in found["sources"]:
        assert len(set(sources)) >= (3 if name == "ricap" else len(sources))
    pictures = {json.dumps(image) for image in found["pixels"]}
    assert len(pictures) == 4
    if name == "cutout":
        assert [LABELS[sources].tolist() for sources in found["sources"]] == [[0], [1], [2], [3]]
    else:  # a ratio for each image, not one for all
        assert len({tuple(weights) for weights in found["weights"]}) > 1


def test_the_teacher_is_asked_about_the_mixed_images():
    seen = []

    def look(views):
        seen.append(views)
        return views.flatten(1)[:, :CLASSES]

    images = torch.rand(len(LABELS), 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = supervision(
        images, LABELS, CLASSES, mixing.mixup, look, lambda points: points.softmax(1)
    )
    assert len(seen) == 1
    np.testing.assert_allclose(found["pixels"], seen[0], rtol=1e-3)
    for n, view in enumerate(seen[0]):
        for key, numbers in (("teacher", view.flatten()[:CLASSES]), ("truth", view.flatten())):
            order = numbers.argsort(descending=True)[:5]
            assert found[key][n]["classes"] == order.tolist()
            expected = numbers.softmax(0)[order].tolist()
            assert found[key][n]["probabilities"] == pytest.approx(expected, rel=1e-3)


def test_classes_of_probability_zero_are_left_out():
    found = supervision(painted(LABELS), LABELS, CLASSES, mixing.mixup, teach)
    assert found["teacher"] == [{"classes": [0, 2], "probabilities": [0.7, 0.3]}] * 4


def test_pixels_of_others_are_not_returned():
    found = supervision(painted(LABELS), LABELS, CLASSES, mixing.cutmix, teach)
    assert set(found) == {"sources", "weights", "mixing", "teacher"}
    assert all(len(values) == 4 for values in found.values())


def test_two_records_show_the_same_images():
    one = supervision(painted(LABELS), LABELS, CLASSES, mixing.ricap, teach, shares)
    torch.manual_seed(5)
    other = supervision(painted(LABELS), LABELS, CLASSES, mixing.ricap, lambda v: -teach(v), shares)
    assert {**one, "teacher": None} == {**other, "teacher": None}


@pytest.mark.parametrize("count", [1, 9])
def test_there_may_be_more_results_than_classes(count):
    found = supervision(painted(LABELS), LABELS, CLASSES, mixing.cutmix, teach, None, count)
    assert all(len(values) == count for values in found.values())


def test_images_of_one_class_are_mixed_with_themselves():
    labels = torch.tensor([1, 1])
    found = supervision(painted(labels), labels, CLASSES, mixing.cutmix, teach, count=2)
    assert found["sources"] == [[0, 0], [0, 0]]
    assert found["mixing"] == [{"classes": [1], "probabilities": [1]}] * 2


def test_noisy_digits_have_the_posterior_of_their_mixture():
    """Mixup at a ratio of 1 or 0 shows images as they are: the truth is that of the set."""
    known = mixture.noisy_digits(0.5)
    x, labels, _ = known.sample(2, 0)

    def whole(images, draws):
        return mixing.cutmix(images, draws, probability=0)

    images = x.view(-1, 1, 8, 8)
    found = supervision(
        images, labels, 10, whole, lambda v: torch.zeros(len(v), 10), known.posterior
    )
    for n, (source, _) in enumerate(found["sources"]):
        best = known.posterior(x[source : source + 1])[0].topk(5)
        assert found["truth"][n]["classes"] == best.indices.tolist()
        assert found["truth"][n]["probabilities"] == pytest.approx(best.values.tolist(), rel=1e-3)
        np.testing.assert_allclose(found["pixels"][n], images[source], rtol=1e-3)


def test_the_teacher_is_asked_without_a_gradient():
    asked = []

    def look(views):
        asked.append(torch.is_grad_enabled())
        return teach(views)

    supervision(painted(LABELS), LABELS, CLASSES, mixing.mixup, look)
    assert asked == [False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "count must be a whole number of at least 1, got 0"),
        ({"classes": 1}, "classes must be a whole number of at least 2, got 1"),
        ({"classes": 5}, r"labels must lie in \[0, 5\), got values in \[0, 5\]"),
        ({"labels": LABELS[:4]}, "as many labels as images, at least one: got 4 and 10"),
        ({"labels": LABELS[:0], "images": painted(LABELS[:0])}, "at least one: got 0 and 0"),
        ({"images": painted(LABELS).flatten(1)}, r"images must be floating point of shape \(N, C"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"images": painted(LABELS), "labels": LABELS, "classes": CLASSES}
    with pytest.raises(ValueError, match=message):
        supervision(**{**arguments, "mix": mixing.cutmix, "teach": teach, **change})


def test_labels_are_mixed_as_targets_are():
    """Of each image's label, what training on the mixed hard labels would have used."""
    recorded = []

    def mix(images, draws):
        recorded.append(mixing.ricap(images, draws))
        return recorded[-1]

    found = supervision(painted(LABELS), LABELS, CLASSES, mix, teach, count=3)
    hard = targets.one_hot(torch.arange(CLASSES), CLASSES)
    for n, mixed in enumerate(recorded):
        of_batch = mixing.mixed_target(hard, mixed)
        said = torch.zeros(CLASSES)
        said[found["mixing"][n]["classes"]] = torch.tensor(found["mixing"][n]["probabilities"])
        assert float((of_batch - said).abs().sum(1).min()) < 2e-3
