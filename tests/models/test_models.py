"""What holds for every network, and what is particular to a family of them."""

import itertools
import math
import urllib.error

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from ldlstudy import models
from ldlstudy.models import Classifier, cifar_resnet, preact_resnet, wide_resnet
from ldlstudy.models.cifar_resnet import StochasticBlock

# Parameters at 10 and 100 classes; of the papers' counts each one that is known is among them.
PARAMETERS = {
    "alexnet24": (1_068_298, 1_085_668),
    "alexnet32": (2_472_266, 2_495_396),
    "densenet121": (6_956_298, 7_048_548),
    "densenet_bc_40_12": (176_122, 188_092),
    "dla": (16_291_386, 16_337_556),
    "fast_cnn": (1_972_802, 1_995_932),
    "fcn1200": (2_395_210, 2_503_300),
    "fcn800": (1_276_810, 1_348_900),
    "inception_v4": (41_158_186, 41_296_516),
    "lenet": (62_006, 69_656),
    "preact_resnet10": (4_900_554, 4_946_724),
    "preact_resnet18": (11_171_274, 11_217_444),
    "preact_resnet56": (3_407_674, 3_419_284),
    "resnet10": (4_903_242, 4_949_412),
    "resnet101": (42_512_970, 42_697_380),
    "resnet110": (1_727_962, 1_733_812),
    "resnet110_sd": (1_727_962, 1_733_812),
    "resnet152": (58_156_618, 58_341_028),
    "resnet152_sd": (2_408_474, 2_414_324),
    "resnet18": (11_173_962, 11_220_132),
    "resnet20": (269_722, 275_572),
    "resnet200": (62_637_642, 62_822_052),
    "resnet32": (464_154, 470_004),
    "resnet34": (21_282_122, 21_328_292),
    "resnet44": (658_586, 664_436),
    "resnet50": (23_520_842, 23_705_252),
    "resnet56": (853_018, 858_868),
    "resnext101_32x4d": (42_141_514, 42_325_924),
    "resnext29_4x64d": (27_104_586, 27_288_996),
    "small_cnn": (56_394, 62_244),
    "small_fcn": (8_970, 14_820),
    "wrn_34_10": (46_172_810, 46_230_500),
}
SHAPES = {
    "alexnet24": (3, 24, 24),
    "alexnet32": (3, 32, 32),
    "fcn1200": (1, 28, 28),
    "fcn800": (1, 28, 28),
    "small_cnn": (1, 8, 8),
    "small_fcn": (1, 8, 8),
    "lenet": (3, 32, 32),
    "fast_cnn": (3, 9, 9),
}
COMPUTED = [
    name for name in PARAMETERS if name not in ("resnet152", "resnet152_sd", "resnet200")
]  # as resnet101


def images_for(name: str, batch: int = 2) -> torch.Tensor:
    """Images of the network's own size; of 8 pixels for those that take any, which is quicker."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, *SHAPES.get(name, (3, 8, 8)), generator=generator)


def on_meta(name: str, classes: int, **options) -> Classifier:
    """Build without memory or arithmetic."""
    with torch.device("meta"):
        return models.build(name, classes, **options)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module", params=COMPUTED)
def network(request):
    """Each network once, in evaluation mode, with statistics that are not those it begins with."""
    torch.manual_seed(0)
    net = models.build(request.param, 3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    return request.param, net.eval()


@pytest.mark.parametrize("name", models.available())
def test_parameters_at_10_and_100_classes(name):
    assert tuple(count(on_meta(name, classes)) for classes in (10, 100)) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [("preact_resnet56", 100, 3_421_204), ("resnext101_32x4d", 1000, 44_177_704)],
)
def test_parameters_with_a_7x7_stem(name, classes, expected):
    assert count(on_meta(name, classes, stem="7x7")) == expected


def test_batch_norms_of_the_small_cnn_add_a_scale_and_a_shift_a_channel():
    normed = on_meta("small_cnn", 10, norm=True)
    assert count(normed) == PARAMETERS["small_cnn"][0] + 2 * (32 + 64 + 64)
    norms = [m for m in normed.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == [32, 64, 64]


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_cifar_resnet_against_the_closed_form(depth):
    """Weights of 2n convolutions a stage, less what the first one of a wider stage saves."""
    n = (depth - 2) // 6
    convolutions = 27 * 16 + sum(9 * c * (2 * n * c - (c // 2 if c > 16 else 0)) for c in
                                 (16, 32, 64))  # fmt: skip
    norms = 2 * (16 + 2 * n * (16 + 32 + 64))
    assert count(on_meta(f"resnet{depth}", 7)) == convolutions + norms + 65 * 7


def test_wide_resnet_against_the_closed_form():
    """The ILS paper prints 46.17 M, which at 10 classes needs the convolutions' biases."""
    widths = [16, 160, 320, 640]
    total = 28 * 16 + 2 * 640 + 641 * 10
    for i, o in itertools.pairwise(widths):
        total += (2 * i + 2 * o) + (9 * i + 1) * o + (9 * o + 1) * o + (i + 1) * o
        total += 4 * (4 * o + 2 * (9 * o + 1) * o)
    assert total == PARAMETERS["wrn_34_10"][0]
    assert round(total / 1e6, 2) == 46.17


def test_forward_is_the_head_of_the_features(network):
    name, net = network
    with torch.no_grad():
        features = net.features(images_for(name))
        logits = net(images_for(name))
        both = net(images_for(name), return_features=True)
    assert features.shape == (2, net.head.in_features)
    assert logits.shape == (2, 3)
    assert bool(logits.isfinite().all())
    torch.testing.assert_close(logits, features @ net.head.weight.T + net.head.bias)
    assert torch.equal(both[0], logits)
    assert torch.equal(both[1], features)
    assert float((logits[0] - logits[1]).abs().max()) > 0  # the image counts


def test_channels_last_gives_the_same_logits(network):
    name, net = network
    images = images_for(name)
    with torch.no_grad():
        contiguous = net(images)
        net.to(memory_format=torch.channels_last)
        torch.testing.assert_close(
            net(images.to(memory_format=torch.channels_last)), contiguous, rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("name", COMPUTED)
def test_gradients_reach_every_parameter(name):
    torch.manual_seed(0)
    net = models.build(name, 3)
    for module in net.modules():
        if isinstance(module, StochasticBlock):
            module.survival = 1.0
    F.cross_entropy(net(images_for(name, 3)), torch.tensor([0, 1, 2])).backward()
    gradients = {n: torch.zeros(1) if p.grad is None else p.grad for n, p in net.named_parameters()}
    trained = {n for n, p in net.named_parameters() if p.requires_grad}
    assert {n for n, g in gradients.items() if g.any() and g.isfinite().all()} == trained
    fixed = ["body.0.weight"] if name == "fast_cnn" else []  # whitens, and is not trained
    assert [n for n in gradients if n not in trained] == fixed


@pytest.mark.parametrize("name", ["alexnet24", "densenet_bc_40_12", "stochastic depth"])
def test_networks_are_one_graph(name):
    """No Python depends on the data: torch.compile traces training without a break."""
    with torch.device("meta"):
        deep = name == "stochastic depth"
        net = cifar_resnet.stochastic_resnet(8, 3) if deep else models.build(name, 3)
    images = torch.empty(2, *SHAPES.get(name, (3, 32, 32)), device="meta")
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    assert compiled(images).shape == (2, 3)


def test_lenet_takes_the_size_of_mnist():
    images = torch.empty(2, 1, 28, 28, device="meta")
    assert on_meta("lenet", 10, channels=1, size=28)(images).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("fcn800", (2, 1, 27, 28)),
        ("fcn800", (2, 784)),
        ("alexnet24", (2, 3, 32, 32)),
        ("lenet", (2, 3, 28, 28)),
        ("resnet20", (2, 1, 32, 32)),
        ("densenet_bc_40_12", (2, 3, 3, 9)),
        ("small_cnn", (2, 1, 4, 3)),
        ("small_cnn", (1, 8, 8)),
    ],
)
def test_images_of_a_wrong_shape_or_type(name, shape):
    net = on_meta(name, 10)
    with pytest.raises(ValueError, match="this network takes floating-point images .* got"):
        net(torch.empty(shape, device="meta"))
    fitting = torch.empty(2, net.channels, *(net.size or (32, 32)), dtype=torch.uint8)
    with pytest.raises(ValueError, match="floating-point images .* got torch.uint8"):
        net(fitting.to("meta"))


@pytest.mark.parametrize(
    ("name", "options", "smallest"),
    [("alexnet32", {}, 13), ("densenet_bc_40_12", {}, 4),
     ("densenet121", {}, 8), ("densenet121", {"stem": "7x7"}, 29), ("inception_v4", {}, 5),
     ("small_cnn", {}, 4)],
)  # fmt: skip
def test_the_smallest_image_is_the_smallest(name, options, smallest):
    net = on_meta(name, 10, **options)
    images = torch.empty(1, net.channels, smallest, smallest, device="meta")
    assert net.eval()(images).shape == (1, 10)
    net.smallest -= 1
    with pytest.raises(RuntimeError):
        net(images[:, :, 1:, 1:])


@pytest.mark.parametrize(
    ("name", "classes", "options", "message"),
    [
        (None, 10, {}, "unknown model None; known: alexnet24, "),
        ("resnet21", 10, {}, "unknown model 'resnet21'; known: alexnet24, .*wrn_34_10"),
        ("resnet20", 1, {}, "classes must be a whole number of at least 2, got 1"),
        ("resnet20", 10, {"stem": "3x3"}, "option of resnet20 'stem'; known: channels$"),
        ("fcn800", 10, {"units": 3}, "option of fcn800 'units'; known: dropout, shape$"),
        ("resnet18", 10, {"weights": "imagenet"}, "option of resnet18 'weights'"),
        ("resnet18", 10, {"stem": "5x5"}, "unknown stem '5x5'; known: 3x3, 7x7"),
        ("preact_resnet56", 10, {"stem": ""}, "unknown stem ''; known: 3x3, 7x7"),
        ("resnet50", 10, {"weights": "imagenet"}, 'need stem="7x7" and 3 channels'),
        ("resnet50", 10, {"weights": "places", "stem": "7x7"}, "unknown weights 'places'"),
        ("fcn800", 10, {"dropout": 1.5}, r"dropout must lie in \[0, 1\], got 1.5"),
        ("fcn800", 10, {"shape": 784}, r"shape must be three whole numbers \(C, H, W\), got 784"),
        ("small_fcn", 10, {"hidden": 64}, "hidden must be the widths of at least one layer"),
        ("small_fcn", 10, {"hidden": [0]}, "hidden width must be a whole number of at least 1"),
        ("small_cnn", 10, {"norm": "yes"}, "norm must be true or false, got 'yes'"),
        ("lenet", 10, {"size": 15}, "size must be a whole number of at least 16, got 15"),
    ],
)
def test_bad_arguments(name, classes, options, message):
    with pytest.raises(ValueError, match=message):
        models.build(name, classes, **options)


@pytest.mark.parametrize("name", [n for n in models.available() if "fcn" not in n])
def test_no_channels(name):
    with pytest.raises(ValueError, match="channels must be a whole number of at least 1, got 0"):
        on_meta(name, 10, channels=0)


def test_option_a_shortcut_by_hand():
    x = torch.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4).float()
    expected = torch.zeros(2, 4, 2, 2)
    for place in np.ndindex(2, 2, 2, 2):
        image, channel, row, column = place
        expected[image, channel + 1, row, column] = x[image, channel, 2 * row, 2 * column]
    assert torch.equal(cifar_resnet.PadShortcut(2, 4, 2)(x), expected)


def test_stochastic_depth_drops_the_branch_in_training_and_scales_it_in_evaluation():
    torch.manual_seed(0)
    block, x = StochasticBlock(4, 4), torch.rand(3, 4, 5, 5)
    block.survival = 0.3

    def residual() -> torch.Tensor:
        return block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))

    with torch.no_grad():
        kept = F.relu(x + residual())
        results = [block(x) for _ in range(200)]
        block.eval()
        torch.testing.assert_close(block(x), F.relu(x + 0.3 * residual()))
    alive = [not torch.equal(result, x) for result in results]  # relu(x) is x: it has no negatives
    for result in (r for r, a in zip(results, alive, strict=True) if a):
        torch.testing.assert_close(result, kept)
    # five standard errors of a binomial share
    assert abs(np.mean(alive) - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 200)


def test_survival_falls_linearly_to_a_half():
    net = on_meta("resnet110_sd", 10)
    survival = [m.survival for m in net.modules() if isinstance(m, StochasticBlock)]
    np.testing.assert_allclose(survival, 1 - np.arange(1, 55) / 54 * 0.5)


def test_without_dropping_stochastic_depth_is_resnet110():
    torch.manual_seed(0)
    ours, plain = models.build("resnet110_sd", 4), models.build("resnet110", 4)
    for module in ours.modules():
        if isinstance(module, StochasticBlock):
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


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121"])
def test_7x7_stems_are_torchvisions_networks(name):
    torch.manual_seed(0)
    ours = models.build(name, 5, stem="7x7").eval()
    reference = torchvision.models.get_model(name, num_classes=5).eval()
    assert [tuple(p.shape) for p in ours.parameters()] == [
        tuple(p.shape) for p in reference.parameters()
    ]
    values = ours.state_dict().values()
    reference.load_state_dict(dict(zip(reference.state_dict(), values, strict=True)))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), reference(x))


def test_inception_v4_is_timms_without_the_strides_of_its_stem():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    ours = models.build("inception_v4", 5).eval()
    reference = timm.create_model("inception_v4", num_classes=5).eval()
    values = ours.state_dict().values()
    reference.load_state_dict(dict(zip(reference.state_dict(), values, strict=True)))
    stem, second_reduction = reference.features[:6], reference.features[18]
    for layer in (*stem[1:].modules(), *second_reduction.modules()):
        if isinstance(layer, nn.Conv2d):
            layer.padding = tuple(side // 2 for side in layer.kernel_size)
        if isinstance(layer, nn.MaxPool2d):
            layer.padding = 1
    for layer in stem.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            layer.stride = 1
    for layer in reference.modules():  # as in the code that the paper names
        if isinstance(layer, nn.AvgPool2d):
            layer.count_include_pad = True
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-5
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), reference(x))


def test_inception_v4_has_as_many_parameters_as_its_authors_on_imagenet():
    assert count(on_meta("inception_v4", 1000)) == 42_679_816  # strides do not count


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
