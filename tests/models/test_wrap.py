"""Networks that others wrote: as a Classifier, by any method, and those of two libraries."""

import re

import pytest
import torch
from torch import nn

import ldlstudy
from ldlstudy import models
from ldlstudy.models import Classifier, wrap

SHAPE = (3, 32, 32)


class Own(nn.Module):
    """A network as one writes it: features, dropout, a head, in one forward."""

    def __init__(self, after=None) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 6, 3, stride=2, padding=1),
        )  # fmt: skip
        self.head = nn.Linear(6, 5)
        self.after = after or nn.Identity()

    def forward(self, x):
        return self.after(self.head(self.maps(x).mean((2, 3))))


class Direct(Own):
    """One that reads the weights of its last layer itself."""

    def forward(self, x):
        return nn.functional.linear(self.maps(x).mean((2, 3)), self.head.weight)


def test_a_wrapped_network_gives_what_it_gave_and_its_features():
    own, images = Own(), torch.rand(4, *SHAPE)
    before, state = own.eval()(images), torch.get_rng_state()
    own.train()
    found = wrap(own, SHAPE)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.training
    assert wrap(found, SHAPE) is found
    logits, features = found.eval()(images, return_features=True)
    assert torch.equal(logits, before)
    assert features.shape == (4, 6)
    torch.testing.assert_close(found.head(features), logits)
    with pytest.raises(ValueError, match="takes floating-point images"):
        found(images[:, :1])


@pytest.mark.parametrize(
    ("method", "settings"),
    [("adacos", {}), ("virtual_softmax", {}), ("crd", {"negatives": 8}),
     ("ddgsd", {"temperature": 3.0, "weight": 1.0, "discrepancy": 0.1})],
)  # fmt: skip
def test_methods_that_want_features_take_it(method, settings):
    training = (torch.rand(12, *SHAPE), torch.arange(12) % 5)
    how = {"recipe": ldlstudy.Recipe(1, batch=6, rate=0.01), "device": "cpu"}
    teacher = {"teacher": wrap(Own(), SHAPE)} if method == "crd" else {}
    with pytest.raises(ValueError, match=r"give ldlstudy.models.wrap\(network, \(3, 32, 32\)\)"):
        ldlstudy.train(Own(), training, method, settings, **how, **teacher)
    (epoch,) = ldlstudy.train(wrap(Own(), SHAPE), training, method, settings, **how, **teacher)
    assert epoch["loss"] > 0


def test_features_without_places_are_taken_too():
    own = nn.Sequential(nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 3))
    found, rows = wrap(own, (7,)), torch.rand(20, 7)
    history = ldlstudy.train(
        found, (rows, torch.arange(20) % 3), "adacos", recipe=ldlstudy.Recipe(2), device="cpu"
    )
    assert len(history) == 2
    with pytest.raises(ValueError, match=r"takes floating-point images \(N, 7\), got"):
        found(rows[:, :3])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(9, 5)),
            "takes no images .3, 32, 32.: .*mat1 and mat2",
        ),
        (Own(nn.Softmax(1)), "the logits of Own are not what one last linear layer makes of"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), "logits of Sequential are not what"),
        (Direct(), "the logits of Direct are not what one last linear layer makes of"),
    ],
)
def test_networks_that_cannot_be_taken_apart_stay_whole(network, message):
    before = dict(network.named_modules())
    with pytest.raises(ValueError, match=message):
        wrap(network, SHAPE)
    assert dict(network.named_modules()) == before
    assert network.training


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        ("net.pt", SHAPE, "the network must be a torch.nn.Module, got str"),
        (Own(), None, "shape must be (C, H, W), or (F,) of features, got None"),
        (Own(), 32, "or (F,) of features, got 32"),
        (Own(), (3, 0, 32), "a side of shape must be a whole number of at least 1, got 0"),
    ],
)
def test_what_is_no_network_or_no_shape(network, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        wrap(network, shape)


def test_a_network_that_has_been_wrapped_is_no_longer_taken_for_one():
    own, images = Own(), (torch.rand(4, *SHAPE), torch.arange(4) % 3)
    wrap(own, SHAPE)
    calls = [
        lambda: wrap(own, SHAPE),  # whose last linear layer would now be another one
        lambda: ldlstudy.measure(own, images, device="cpu"),  # of features as if they were logits
        lambda: ldlstudy.train(own, images, recipe=ldlstudy.Recipe(1), device="cpu"),
        lambda: ldlstudy.preview(images, network=own),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="the network has been wrapped, and gives features"):
            call()


def test_torchvision_s_networks_have_its_parameters_and_new_heads():
    from torchvision.models import resnet18

    found = models.build("torchvision:resnet18", 5, shape=(3, 40, 40))
    assert isinstance(found, Classifier)
    assert found(torch.rand(2, 3, 40, 40)).shape == (2, 5)
    theirs = sum(p.numel() for p in resnet18(num_classes=5).parameters())
    assert sum(p.numel() for p in found.parameters()) == theirs


def test_timm_s_networks_take_any_number_of_channels():
    pytest.importorskip("timm")
    found = models.build("timm:resnet10t", 5, shape=(1, 32, 32))
    assert found(torch.rand(2, 1, 32, 32)).shape == (2, 5)
    with pytest.raises(
        ValueError, match="unknown network 'resnt10t' of timm, .*nearest: resnet10t"
    ):
        models.build("timm:resnt10t", 5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("torchvision:resnt18", {}, "unknown network 'resnt18' of torchvision, .*: .*resnet18"),
        ("torchvision:googlenet", {}, "unknown network 'googlenet' of torchvision"),
        (
            "torchvision:resnet18",
            {"shape": (1, 32, 32)},
            "takes images of 3 channels, these have 1",
        ),
        ("torchvision:resnet18", {"stem": "3x3"}, "unknown option of torchvision:resnet18 'stem'"),
        ("keras:resnet", {}, "unknown library of networks 'keras'; known: timm, torchvision"),
    ],
)
def test_names_of_libraries_that_are_wrong(name, options, message):
    with pytest.raises(ValueError, match=message):
        models.build(name, 5, **options)


def test_timm_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ValueError, match=r'needs timm, .*: pip install "ldlstudy\[timm\]"'):
        models.build("timm:resnet10t", 5)
