"""Labels of mixed images, with teachers and truths whose answers are known; labels from gradients.

Labels are read from gradients: those that methods were given, and a refusal where there is none.
"""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy import data, metrics, mixing, mixture, targets
from ldlstudy.data.images import Images
from ldlstudy.experiment.labels import distance_to_truth, of_mixed_images, supervision, taught
from ldlstudy.methods import METHODS
from ldlstudy.training import Augmentation
from tests import steps

CLASSES = 6
MIXINGS = {
    name: mixing.named({"name": name, **({"size": 4} if name == "cutout" else {})})
    for name in mixing.MIXINGS
}
LABELS = torch.tensor([3, 3, 0, 5, 0, 1, 2, 3, 5, 4])
FIRSTS = {2, 5, 6, 0, 9, 3}  # the first image of each class, from class 0
PLAIN = Augmentation()


def painted(labels):
    """Return images (N, 1, 8, 8) whose every pixel is the number of their class plus one."""
    return (labels + 1.0)[:, None, None, None].expand(-1, 1, 8, 8)


def shares(points):
    """Return how much of painted images is of each class, as a truth (N, K)."""
    return torch.stack([(points == k + 1).float().mean(1) for k in range(CLASSES)], 1)


def teach(views):
    """Return logits whose softmax is .7 and .3 for the classes 0 and 2, whatever is shown."""
    return torch.tensor([0.7, 0, 0.3, 0, 0, 0]).log().expand(len(views), -1)


def said_of(images=None, mix="mixup", teacher=teach, *more, labels=LABELS):
    """What is said of painted images, or others of the same classes, once they are mixed."""
    images = painted(labels) if images is None else images
    mixer = MIXINGS[mix] if isinstance(mix, str) else mix
    return of_mixed_images(images, labels, CLASSES, mixer, teacher, *more)


@pytest.mark.parametrize("name", MIXINGS)
def test_sources_and_weights_give_the_image_and_its_label(name):
    """The mixing's label is the share of the pixels; CutOut's is the class."""
    found = said_of(None, name, teach, shares, 5)
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
    found = said_of(None, name, teach, shares)
    for sources in found["sources"]:
        assert len(set(sources)) >= (3 if name == "ricap" else len(sources))
    assert len({json.dumps(image) for image in found["pixels"]}) == 4
    if name == "cutout":
        assert [LABELS[sources].tolist() for sources in found["sources"]] == [[0], [1], [2], [3]]
    else:  # a ratio for each image, not one for all
        assert len({tuple(weights) for weights in found["weights"]}) > 1


def test_the_teacher_is_asked_about_the_mixed_images_once_and_without_a_gradient():
    seen = []

    def look(views):
        seen.append((views, torch.is_grad_enabled()))
        return views.flatten(1)[:, :CLASSES]

    images = torch.rand(len(LABELS), 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = said_of(images, "mixup", look, lambda points: points.softmax(1))
    ((views, graded),) = seen
    assert not graded
    np.testing.assert_allclose(found["pixels"], views, rtol=1e-3)
    for n, view in enumerate(views):
        for key, numbers in (("teacher", view.flatten()[:CLASSES]), ("truth", view.flatten())):
            order = numbers.argsort(descending=True)[:5]
            assert found[key][n]["classes"] == order.tolist()
            expected = numbers.softmax(0)[order].tolist()
            assert found[key][n]["probabilities"] == pytest.approx(expected, rel=1e-3)


def test_without_a_truth_there_are_no_pixels_and_no_classes_of_probability_zero():
    found = said_of()
    assert set(found) == {"sources", "weights", "mixing", "teacher"}
    assert found["teacher"] == [{"classes": [0, 2], "probabilities": [0.7, 0.3]}] * 4


def test_two_records_show_the_same_images():
    """There may be more of them than classes."""
    one = said_of(None, "ricap", teach, shares, 9)
    torch.manual_seed(5)
    other = said_of(None, "ricap", lambda views: -teach(views), shares, 9)
    assert {len(values) for values in one.values()} == {9}
    assert {**one, "teacher": None} == {**other, "teacher": None}


def test_images_of_one_class_are_mixed_with_themselves():
    found = said_of(None, "cutmix", teach, None, 2, labels=torch.tensor([1, 1]))
    assert found["sources"] == [[0, 0], [0, 0]]
    assert found["mixing"] == [{"classes": [1], "probabilities": [1]}] * 2


def test_the_first_image_of_each_class_is_shown_as_a_step_sees_it():
    pixels = torch.rand(len(LABELS), 1, 8, 8, generator=torch.Generator().manual_seed(0))
    augmentation, whole = Augmentation(normalise="image"), {"name": "cutmix", "probability": 0.0}
    images, mixer = Images(pixels, LABELS), mixing.named(whole)
    found = supervision(images, augmentation, CLASSES, mixer, teach, shares)
    shown = augmentation.test(pixels[sorted(FIRSTS)])
    for picture in found["pixels"]:
        assert any(torch.allclose(each, torch.tensor(picture), rtol=1e-3) for each in shown)


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
def test_images_that_cannot_be_mixed(change, message):
    arguments = {"images": painted(LABELS), "labels": LABELS, "classes": CLASSES}
    with pytest.raises(ValueError, match=message):
        of_mixed_images(**{**arguments, "mixing": MIXINGS["cutmix"], "teach": teach, **change})


SAID = torch.stack([t(steps.IMAGES).softmax(1) for t in steps.TEACHERS]).mean(0)[steps.INDEX]
SEEN = torch.stack([t(steps.VIEWS[0]).softmax(1) for t in steps.TEACHERS]).mean(0)
HARD = torch.eye(steps.K, dtype=torch.float64)[steps.LABELS[steps.INDEX]]


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        ("none", {}, HARD),
        ("ls", {"epsilon": 0.2}, 0.8 * HARD + 0.2 / steps.K),
        ("truth", {}, steps.TRUTH[steps.INDEX].double()),
        ("distil", {"relabel": False}, SAID),
        ("distil", {"relabel": True}, SEEN),
        ("distil", {"combine": "sum"}, SAID),
        ("distil", {"combine": "mean"}, SAID),
        (
            "ils2",
            {"epsilon": 0.1, "teacher_temperature": 1.0},
            targets.ils2(steps.LABELS[steps.INDEX], SAID.detach(), 0.1),
        ),
    ],
)
def test_gradients_give_the_label_that_a_method_teaches(method, settings, expected):
    row = METHODS[method]
    own = row.objective(steps.task(steps.THREE if row.teacher else None), settings)
    found = taught(own, steps.batch(method), steps.K)
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=2e-6)


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.floats(0.05, 20))
def test_any_label_at_any_scale_is_found(seed, scale):
    draws = torch.Generator().manual_seed(seed)
    label = torch.randn(steps.B, 5, generator=draws).softmax(1)

    def objective(network, batch):
        return -scale * (label * network(batch.images).log_softmax(1)).sum(1).mean()

    found = taught(objective, steps.batch(), 5)
    torch.testing.assert_close(found, label.double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", steps.MIXINGS)
def test_labels_of_mixed_images_are_mixed(name):
    batch = steps.mixed(name)
    found = taught(steps.objective("none"), batch, steps.K)
    expected = steps.blended(torch.eye(steps.K)[steps.LABELS], batch)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=2e-6)


@pytest.mark.parametrize("method", ["kd", "kd_coded", "bootstrap", "max_entropy"])
def test_losses_without_a_label_of_their_own_are_refused(method):
    with pytest.raises(ValueError, match="depend on the network's answers"):
        taught(steps.objective(method), steps.batch(), steps.K)


def test_distances_are_those_of_labels_drawn_from_the_truth():
    """A one-hot label is 1 - p(y|x) away from the truth; the truth is not away from itself."""
    train = data.noisy_digits(train=10, test=1).train
    posterior, exact = mixture.noisy_digits(0.5).posterior, train.truth.double()
    task = steps.Task(train.labels, 10, train.pixels, train.truth)

    def entropy(p):
        return float(torch.special.entr(p).sum(1).mean())

    def distance(method, settings, mixer=None):
        own = METHODS[method].objective(task, settings)
        return distance_to_truth(own, train, PLAIN, 10, 32, 0, posterior, mixer)

    found = {
        "none": distance("none", {}),
        "ls": distance("ls", {"epsilon": 0.1}),
        "truth": distance("truth", {}),
    }
    missed = 1 - exact.gather(1, train.labels[:, None])
    smooth = targets.smooth(train.labels, 10, 0.1).double()
    away = {"none": float(missed.mean()), "truth": 0, "ls": metrics.total_variation(exact, smooth)}
    unsure = {"none": 0, "truth": entropy(exact), "ls": entropy(smooth)}
    for name, values in found.items():
        assert values["total_variation"] == pytest.approx(away[name], abs=1e-5)
        assert values["entropy"] == pytest.approx(unsure[name], abs=2e-4)
        assert values["true_entropy"] == pytest.approx(entropy(exact), abs=1e-5)
    mixed = distance("truth", {}, mixing.named("mixup"))
    assert mixed["total_variation"] > 0.05  # of what is seen, not of what went in
