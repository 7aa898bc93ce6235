"""Images and labels of a user's own: what `train` and `measure` take, and what they refuse."""

import copy
import re

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import ldlstudy
from ldlstudy import methods, models
from ldlstudy.batch import Batch
from ldlstudy.data import Images

PIXELS = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 2, 1, 0, 1, 2])
RECIPE = ldlstudy.Recipe(epochs=2, batch=4)
WHOLE = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def network(classes=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))


def trained(training, **options):
    """Return the losses of an epoch each."""
    history = ldlstudy.train(network(), training, recipe=RECIPE, device="cpu", **options)
    return [epoch["loss"] for epoch in history]


@pytest.mark.parametrize(
    "labels",
    [
        *(LABELS.to(getattr(torch, kind)) for kind in WHOLE),
        *(LABELS.numpy().astype(kind) for kind in [*WHOLE, ">i4"]),
        LABELS.tolist(),
        pd.Series(LABELS.numpy(), index=range(5, -1, -1)),  # its index names no positions
    ],
)
def test_labels_are_whole_numbers_of_any_type(labels):
    expected = trained((PIXELS, LABELS))
    assert trained((PIXELS, labels)) == expected
    assert Images.of((PIXELS, labels)).labels.dtype == torch.int64
    same = Images(PIXELS, torch.as_tensor(np.asarray(labels).astype("int32")))
    watch = {"pair": (PIXELS, labels), "images": same}
    history = ldlstudy.train(
        network(), same, recipe=RECIPE, device="cpu", held=same, watch=watch, class_losses=True
    )
    assert [epoch["loss"] for epoch in history] == expected
    assert history[-1]["pair_class_loss"] == history[-1]["images_class_loss"]


@pytest.mark.parametrize(
    "pixels",
    [
        PIXELS.double(),
        PIXELS.numpy(),
        PIXELS.numpy()[::-1][::-1],
        list(PIXELS.numpy()),
        PIXELS.tolist(),
    ],
)
def test_images_are_tensors_arrays_or_lists(pixels):
    assert trained((pixels, LABELS)) == pytest.approx(trained((PIXELS, LABELS)))


def test_whole_numbers_up_to_255_are_fractions_of_255():
    bytes_ = (PIXELS * 255).round().to(torch.uint8)
    assert trained((bytes_, LABELS)) == trained((bytes_ / 255, LABELS))


def test_noisy_and_normalised_images_are_taken_as_they_are():
    noise = torch.randn(PIXELS.shape, generator=torch.Generator().manual_seed(1))
    for pixels in (PIXELS + noise, (PIXELS - PIXELS.mean()) / PIXELS.std(), PIXELS + 2):
        assert torch.equal(Images.of((pixels, LABELS)).pixels, pixels)


def test_what_fits_already_stays_as_it_is():
    images = Images(PIXELS, LABELS)
    assert Images.of(images) is images
    assert images.shape == (1, 4, 4)


SCALE = " must be uint8 from 0 to 255, or floating point from 0 to 1 or normalised, none beyond 50"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ((PIXELS * 255, LABELS), SCALE + ", got torch.float32 in ["),
        ((PIXELS.double() * 255 - 128, LABELS), SCALE + ", got torch.float64 in [-"),
        ((PIXELS * torch.nan, LABELS), "got torch.float32 in [nan, nan]"),
        ((PIXELS / 0, LABELS), "inf]"),
        (((PIXELS * 255).long(), LABELS), SCALE + ", got torch.int64"),
        (((PIXELS * 255).numpy().astype("uint16"), LABELS), "got torch.uint16"),
        ((PIXELS > 0.5, LABELS), "got torch.bool"),
        ((PIXELS, LABELS[:4]), " and their labels must be as many, got [6, 4]"),
        ((PIXELS[:4], LABELS), " and their labels must be as many, got [4, 6]"),
        ((PIXELS[:0], LABELS[:0]), " must have shape (N, C, H, W), none of them 0, got (0, 1, 4,"),
        ((PIXELS[:, 0], LABELS), " must have shape (N, C, H, W), none of them 0, got (6, 4, 4)"),
        (([PIXELS[0], PIXELS[1, :, 1:]], [0, 1]), " must be of one size, got (1, 3, 4), (1, 4, 4)"),
        ((["a.png", "b.png"], [0, 1]), " must be numbers in a tensor"),
        ((PIXELS, ["cat", "dog"] * 3), "the labels of "),
        ((PIXELS, np.array(["cat", "dog"] * 3)), "the labels of "),
        ((PIXELS, pd.Series(["cat", "dog"] * 3)), "the labels of "),
        ((PIXELS, LABELS.float()), " must be whole numbers, got torch.float32"),
        ((PIXELS, LABELS > 0), " must be whole numbers, got torch.bool"),
        ((PIXELS, torch.eye(6)), " must have shape (N,), got (6, 6)"),
        ((PIXELS, LABELS - 1), " count from 0, got -1"),
        (PIXELS, " are given with their labels, as (images, labels), got Tensor"),
        ((PIXELS,), " are given with their labels, as (images, labels), got tuple"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name_before_training(images, message):
    good, before = (PIXELS, LABELS), copy.deepcopy(network().state_dict())
    for name, arguments in {
        "training images": {"training": images},
        "held-out images": {"training": good, "held": images},
        "images watched as 'new'": {"training": good, "watch": {"new": images}},
    }.items():
        fresh = network()
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            ldlstudy.train(fresh, recipe=RECIPE, device="cpu", **arguments)
        assert name in str(caught.value)
        assert all(torch.equal(before[k], v) for k, v in fresh.state_dict().items())
    for name, parts in {"test images": (images,), "held-out images": (good, images)}.items():
        with pytest.raises(ValueError, match=re.escape(name)):
            ldlstudy.measure(network(), *parts, device="cpu")


def test_more_images_than_labels_are_not_cut_in_a_set_either():
    for images in (Images(PIXELS, LABELS[:4]), Images(PIXELS, LABELS, torch.eye(3))):
        with pytest.raises(ValueError, match="training images and their labels must be as many"):
            trained(images)


def test_labels_that_start_at_1_are_told_of():
    message = r"labels must lie in \[0, 3\), got values in \[1, 3\]; the first class is 0"
    with pytest.raises(ValueError, match=message):
        trained((PIXELS, LABELS + 1))


@pytest.mark.parametrize("model", ["small_cnn", "resnet20"])
def test_a_set_of_one_image_is_learned(model):
    """A batch of one: its loss falls to what a label of one class allows."""
    torch.manual_seed(0)
    one = (torch.rand(1, 1, 16, 16), [2])
    recipe = ldlstudy.Recipe(epochs=30, batch=128, rate=0.05)
    built = models.build(model, 3, channels=1)
    history = ldlstudy.train(built, one, recipe=recipe, device="cpu", watch={"itself": one})
    assert history[-1]["loss"] < 0.1 < history[0]["loss"]
    if model == "small_cnn":  # without batch norms, which judge one image by others' statistics
        assert history[-1]["itself_accuracy"] == 1
    with pytest.raises(ValueError, match="the mixing takes 2 images, a batch has 1"):
        ldlstudy.train(built, one, recipe=recipe, device="cpu", mixing="mixup")


def test_a_deep_copy_of_a_network_with_branches_trains_as_the_network_does():
    settings = {"temperature": 3.0, "weight": 0.3, "hint": 0.1}
    torch.manual_seed(0)
    images, labels = torch.rand(8, 1, 16, 16), torch.arange(8) % 4
    built = models.build("resnet20", 4, channels=1)
    methods.named("byot").fit(built, (1, 16, 16), 8)
    copied = copy.deepcopy(built)
    batch = Batch(images, labels, torch.arange(8))
    losses = [methods.byot(each, batch, **settings) for each in (built, copied)]
    assert torch.equal(*losses)
    losses[1].backward()
    assert all(parameter.grad is None for parameter in built.parameters())
    assert all(parameter.grad is not None for parameter in copied.parameters())
    histories = [
        ldlstudy.train(each, (images, labels), "byot", settings, recipe=RECIPE, device="cpu")
        for each in (built, copied, copy.deepcopy(copied))
    ]
    assert len({history[-1]["loss"] for history in histories}) == 1
