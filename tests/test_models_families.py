"""What is particular to a family: shortcuts, stochastic depth, initialisation, torchvision."""

import math
import urllib.error

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models.resnet import Bottleneck

from ldlstudy import models
from ldlstudy.models import cifar_resnet, preact_resnet, wide_resnet


def test_option_a_shortcut_by_hand():
    x = torch.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4).float()
    expected = torch.zeros(2, 4, 2, 2)
    for place in np.ndindex(2, 2, 2, 2):
        image, channel, row, column = place
        expected[image, channel + 1, row, column] = x[image, channel, 2 * row, 2 * column]
    assert torch.equal(cifar_resnet.PadShortcut(2, 4, 2)(x), expected)


@pytest.fixture
def stochastic_block():
    torch.manual_seed(0)
    block = cifar_resnet.StochasticBlock(4, 4)
    block.survival = 0.3
    return block


def residual_of(block, x):
    return block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))


def test_stochastic_depth_drops_the_branch_in_training(stochastic_block):
    x = torch.rand(3, 4, 5, 5)
    with torch.no_grad():
        kept = F.relu(x + residual_of(stochastic_block, x))
        results = [stochastic_block(x) for _ in range(200)]
    alive = [not torch.equal(result, x) for result in results]  # relu(x) is x: it has no negatives
    for result in (r for r, a in zip(results, alive, strict=True) if a):
        torch.testing.assert_close(result, kept)
    # five standard errors of a binomial share
    assert abs(np.mean(alive) - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 200)


def test_stochastic_depth_scales_the_branch_in_evaluation(stochastic_block):
    x = torch.randn(3, 4, 5, 5)
    stochastic_block.eval()
    with torch.no_grad():
        expected = F.relu(x + 0.3 * residual_of(stochastic_block, x))
        torch.testing.assert_close(stochastic_block(x), expected)


def test_survival_falls_linearly_to_a_half():
    with torch.device("meta"):
        net = models.build("resnet110_sd", 10)
    survival = [m.survival for m in net.modules() if isinstance(m, cifar_resnet.StochasticBlock)]
    np.testing.assert_allclose(survival, 1 - np.arange(1, 55) / 54 * 0.5)


def test_without_dropping_stochastic_depth_is_resnet110():
    torch.manual_seed(0)
    ours, plain = models.build("resnet110_sd", 4), models.build("resnet110", 4)
    for module in ours.modules():
        if isinstance(module, cifar_resnet.StochasticBlock):
            module.survival = 1.0
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(ours.eval()(x), plain.eval()(x))
        torch.testing.assert_close(ours.train()(x), plain.train()(x))


def test_shortcuts_see_activated_inputs_in_one_family_and_raw_ones_in_the_other():
    """With convolutions of zero a block is its shortcut alone."""
    x = torch.randn(2, 4, 3, 3)
    for block, expected in (
        (preact_resnet.PreActBlock(4, 4, 1, nn.Identity()), F.relu(x / math.sqrt(1 + 1e-5))),
        (preact_resnet.PreActBlock(4, 4), x),
        (wide_resnet.WideBlock(4, 4, 1, nn.Identity()), x),
    ):
        nn.init.zeros_(block.conv2.weight)
        if block.conv2.bias is not None:
            nn.init.zeros_(block.conv2.bias)
        with torch.no_grad():
            torch.testing.assert_close(block.eval()(x), expected)


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 32), ("resnet50", 32), ("densenet121", 32)]
)
def test_7x7_stems_are_torchvisions_networks(name, size):
    torch.manual_seed(0)
    ours = models.build(name, 5, stem="7x7").eval()
    reference = torchvision.models.get_model(name, num_classes=5).eval()
    assert [tuple(p.shape) for p in ours.parameters()] == [
        tuple(p.shape) for p in reference.parameters()
    ]
    values = ours.state_dict().values()
    reference.load_state_dict(dict(zip(reference.state_dict(), values, strict=True)))
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), reference(x))


def test_resnext101_is_torchvisions_with_groups_of_width_4():
    with torch.device("meta"):
        ours = models.build("resnext101_32x4d", 5, stem="7x7")
        reference = torchvision.models.ResNet(
            Bottleneck, [3, 4, 23, 3], 5, groups=32, width_per_group=4
        )
        wide = torchvision.models.resnext101_32x8d(num_classes=5)  # its one sibling there
    shapes = [tuple(p.shape) for p in ours.parameters()]
    assert shapes == [tuple(p.shape) for p in reference.parameters()]
    body = dict(reference.state_dict())
    assert [body.pop(f"fc.{part}").shape[0] for part in ("weight", "bias")] == [5, 5]
    assert list(ours.body.state_dict()) == list(body)
    convolutions, theirs = (
        [m for m in net.modules() if isinstance(m, nn.Conv2d)] for net in (ours, wide)
    )
    for own, other in zip(convolutions, theirs, strict=True):
        assert (own.groups, own.stride) == (other.groups, other.stride)
        if own.groups == 32:
            assert 2 * own.out_channels == other.out_channels


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "preact_resnet56", "dla"])
def test_convolutions_are_drawn_he_normal(name):
    torch.manual_seed(0)
    net = models.build(name, 10)
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 2000:
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            error = 5 / math.sqrt(2 * module.weight.numel())  # five relative standard errors
            assert float(module.weight.detach().std()) == pytest.approx(
                math.sqrt(2 / fan_out), rel=error
            )
        if isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert not bool(module.bias.any())


def test_fcn_is_drawn_from_one_normal():
    torch.manual_seed(0)
    net = models.build("fcn800", 10)
    values = torch.cat([p.detach().flatten() for p in net.parameters()])
    assert float(values.mean()) == pytest.approx(0, abs=5 * 0.03 / math.sqrt(len(values)))
    assert float(values.std()) == pytest.approx(0.03, rel=5 / math.sqrt(2 * len(values)))
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            assert bool(parameter.all())


def test_fcn_features_are_what_the_head_gets_in_training():
    torch.manual_seed(0)
    net = models.build("fcn800", 10, dropout=0.25)
    logits, features = net(torch.randn(50, 1, 28, 28), return_features=True)
    torch.testing.assert_close(logits, F.linear(features, net.head.weight, net.head.bias))
    # half of the activations are negative, a quarter of the others is dropped
    assert float((features == 0).float().mean()) == pytest.approx(1 - 0.5 * 0.75, abs=0.03)
    net.eval()
    x = torch.randn(2, 1, 28, 28)
    assert torch.equal(net(x), net(x))


def test_fcn_by_hand():
    torch.manual_seed(0)
    net = models.build("small_fcn", 3, hidden=(7,), shape=(2, 3, 4))
    x = torch.randn(5, 2, 3, 4)
    w1, b1, w2, b2 = net.parameters()
    torch.testing.assert_close(net(x), F.relu(x.flatten(1) @ w1.T + b1) @ w2.T + b2)


def test_alexnets_response_norm_is_tensorflows():
    """tf.nn.lrn(x, 4, bias=1, alpha=.001 / 9, beta=.75), a sum over up to 9 channels."""
    net = models.build("alexnet24", 10)
    norms = [m for m in net.modules() if isinstance(m, nn.LocalResponseNorm)]
    x = 50 * torch.rand(1, 64, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = torch.empty_like(x)
    for c in range(64):
        total = x[:, max(0, c - 4) : c + 5].square().sum(1)
        expected[:, c] = x[:, c] / (1 + 0.001 / 9 * total) ** 0.75
    assert len(norms) == 2
    for norm in norms:
        torch.testing.assert_close(norm(x), expected)


def test_alexnet_is_drawn_from_truncated_normals():
    torch.manual_seed(0)
    net = models.build("alexnet24", 10)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    # the head is registered last
    for layer, std, bias in zip(
        layers, (0.05, 0.05, 0.04, 0.04, 1 / 192), (0, 0.1, 0.1, 0.1, 0), strict=True
    ):
        assert float(layer.weight.detach().abs().max()) <= 2 * std
        # a normal cut at two standard deviations keeps .8796 of them
        error = 5 / math.sqrt(layer.weight.numel())
        assert float(layer.weight.detach().std()) == pytest.approx(0.8796 * std, rel=error)
        torch.testing.assert_close(layer.bias.detach(), torch.full_like(layer.bias, bias))


@pytest.fixture
def published(monkeypatch):
    """torchvision's weights for ResNet-34, made here instead of fetched."""
    torch.manual_seed(1)
    state = torchvision.models.resnet34().state_dict()
    asked = []

    def load(url, **options):
        asked.append((url, options))
        return dict(state)

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", load)
    return state, asked


@pytest.mark.parametrize("classes", [7, 1000])
def test_imagenet_weights(published, classes):
    state, asked = published
    net = models.build("resnet34", classes, stem="7x7", weights="imagenet")
    for name, value in net.body.state_dict().items():
        assert torch.equal(value, state[name])
    assert torch.equal(net.head.weight, state["fc.weight"]) == (classes == 1000)
    assert net.head.out_features == classes
    [(url, options)] = asked
    assert "resnet34" in url
    assert options == {"check_hash": True, "weights_only": True}


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no network"),
        RuntimeError('invalid hash value (expected "b627a593", got "0")'),
    ],
)
def test_imagenet_weights_without_a_network(monkeypatch, error):
    def fail(url, **options):
        raise error

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", fail)
    with pytest.raises(ValueError, match="could not get the weights http.*resnet50.*: "):
        models.build("resnet50", 10, stem="7x7", weights="imagenet")
