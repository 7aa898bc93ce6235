"""What logits say of single images: a linear network against the quadrature of its own channel."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from ldlstudy import information
from ldlstudy.data import made
from ldlstudy.device import Execution
from ldlstudy.experiment import instances, keep
from ldlstudy.experiment.prepare import prepare
from ldlstudy.training import Augmentation, Predictor
from tests.experiment.runs import tiny

SIGMA, IMAGES, CLASSES = 0.3, 30, 3
DIGITS = made.digits().train


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(instances, "IMAGES", IMAGES)
    monkeypatch.setattr(instances, "CLASSES", CLASSES)
    monkeypatch.setattr(instances, "SCORED", 60)  # so that chance matters less


def linear():
    """A network whose logits are the products of an image with the mean images of classes."""
    pixels = DIGITS.pixels.flatten(1).float() / 255
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    means = torch.stack([pixels[DIGITS.labels == k].mean(0) for k in range(10)])
    network[1].weight.data = means
    return network, pixels


def test_a_linear_network_is_a_gaussian_channel(small):
    network, pixels = linear()
    found = instances.values(
        Predictor(network, Augmentation(noise=SIGMA), Execution("cpu")), DIGITS
    )
    own = [pixels[DIGITS.labels == k][:IMAGES] for k in range(CLASSES)]
    whole, within, exact = [], [], []
    for a, b in itertools.combinations(range(CLASSES), 2):
        w = (network[1].weight[a] - network[1].weight[b]).detach()
        says = [each @ w for each in (own[a], own[b])]
        sigma = SIGMA * float(w.norm())
        whole.append(information.gaussian_channel(torch.cat(says), sigma))
        within += [information.gaussian_channel(each, sigma) for each in says]
        # the noisy image itself, in all its 64 dimensions
        both = torch.cat([own[a], own[b]]).double()
        noisy = both + SIGMA * torch.randn(40, *both.shape, generator=torch.Generator())
        scores = -(noisy[:, :, None] - both).square().sum(-1) / (2 * SIGMA**2)
        exact.append(math.log(2 * IMAGES) + float(scores.log_softmax(-1).diagonal(0, 1, 2).mean()))
    assert found["difference"] == pytest.approx(np.mean(whole), abs=0.05)
    assert found["within_difference"] == pytest.approx(np.mean(within), abs=0.05)
    assert found["views"] == pytest.approx(np.mean(exact), abs=0.05)
    assert found["as_printed"] < np.mean(whole) + 0.05
    assert found["reused"] > found["as_printed"]
    n = 2 * IMAGES
    assert found["proceedings"] == pytest.approx(n * (found["as_printed"] - math.log(n)))
    # more numbers say more, and none more than the noisy image or the index
    assert found["difference"] < found["logits"] < found["views"] < found["most"] == math.log(n)
    assert found["within_logits"] < found["within_views"] < math.log(IMAGES)


def test_other_augmentations_have_no_exact_density(small):
    network, _ = linear()
    shifts = Predictor(network, Augmentation(shift=1), Execution("cpu"))
    found = instances.values(shifts, DIGITS)
    assert not found.keys() & {"views", "within_views"}
    assert instances.values(shifts, DIGITS) == found  # the draws are the same each time
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize(
    ("augmentation", "chance"),
    [({}, False), ({"normalise": "cifar10"}, False), ({"flip": True}, True), ({"crop": 6}, True)],
)
def test_information_is_kept_where_images_are_seen_by_chance(augmentation, chance):
    assert instances.is_random(Augmentation(**augmentation)) == chance
    if not chance and not augmentation:
        setting = prepare(tiny(), Execution("cpu"))
        with pytest.raises(ValueError, match="augmentation is random, got {}"):
            keep.check(("information",), setting)
