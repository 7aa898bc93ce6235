"""What holds for every network: its size, its shapes, its gradients, its errors."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from ldlstudy import models
from ldlstudy.models import Classifier
from ldlstudy.models.cifar_resnet import StochasticBlock

# Parameters at 10 and 100 classes; of the papers' counts each one that is known is among them.
PARAMETERS = {
    "alexnet24": (1_068_298, 1_085_668),
    "densenet121": (6_956_298, 7_048_548),
    "densenet_bc_40_12": (176_122, 188_092),
    "dla": (16_291_386, 16_337_556),
    "fcn1200": (2_395_210, 2_503_300),
    "fcn800": (1_276_810, 1_348_900),
    "lenet": (62_006, 69_656),
    "preact_resnet10": (4_900_554, 4_946_724),
    "preact_resnet18": (11_171_274, 11_217_444),
    "preact_resnet56": (3_407_674, 3_419_284),
    "resnet10": (4_903_242, 4_949_412),
    "resnet101": (42_512_970, 42_697_380),
    "resnet110": (1_727_962, 1_733_812),
    "resnet110_sd": (1_727_962, 1_733_812),
    "resnet152": (58_156_618, 58_341_028),
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
    "fcn1200": (1, 28, 28),
    "fcn800": (1, 28, 28),
    "small_cnn": (1, 8, 8),
    "small_fcn": (1, 8, 8),
    "lenet": (3, 32, 32),
}
EVERY = pytest.mark.parametrize("name", models.available())


def images_for(name: str, batch: int = 2) -> torch.Tensor:
    """Images of the network's own size; of 8 pixels for those that take any, which is quicker."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, *SHAPES.get(name, (3, 8, 8)), generator=generator)


def on_meta(name: str, classes: int, **options) -> Classifier:
    """Build without memory or arithmetic."""
    with torch.device("meta"):
        return models.build(name, classes, **options)


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module", params=models.available())
def network(request):
    """Each network once, in evaluation mode, with statistics that are not those it begins with."""
    torch.manual_seed(0)
    net = models.build(request.param, 3)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.8, 1.2)
    return request.param, net.eval()


def test_every_network_has_a_count():
    assert tuple(PARAMETERS) == models.available()


@EVERY
def test_parameters_at_10_and_100_classes(name):
    assert tuple(count(on_meta(name, classes)) for classes in (10, 100)) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [
        ("resnet18", 1000, 11_689_512),
        ("resnet34", 1000, 21_797_672),
        ("resnet50", 1000, 25_557_032),
        ("densenet121", 1000, 7_978_856),
        ("preact_resnet56", 100, 3_421_204),
        ("resnext101_32x4d", 1000, 44_177_704),
    ],
)
def test_parameters_with_a_7x7_stem(name, classes, expected):
    assert count(on_meta(name, classes, stem="7x7")) == expected


@pytest.mark.parametrize("classes", [10, 100])
def test_batch_norms_of_the_small_cnn_add_a_scale_and_a_shift_a_channel(classes):
    plain, normed = (on_meta("small_cnn", classes, norm=norm) for norm in (False, True))
    assert count(plain) == PARAMETERS["small_cnn"][classes == 100]
    assert count(normed) == count(plain) + 2 * (32 + 64 + 64)
    norms = [m for m in normed.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    added = {id(p) for norm in norms for p in norm.parameters()}
    others = [p.shape for p in normed.parameters() if id(p) not in added]
    assert others == [p.shape for p in plain.parameters()]


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


@pytest.mark.parametrize(
    "name",
    ["alexnet24", "densenet_bc_40_12", "fcn800", "lenet", "preact_resnet18", "resnet20",
     "resnet110_sd", "small_cnn"],
)  # fmt: skip
def test_bf16_autocast(name):
    torch.manual_seed(0)
    net = models.build(name, 3).eval()
    with torch.no_grad():
        exact = net(images_for(name))
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(images_for(name))
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), exact, rtol=0.1, atol=0.1 * float(exact.abs().max()))


@EVERY
def test_gradients_reach_every_parameter(name):
    torch.manual_seed(0)
    net = models.build(name, 3)
    for module in net.modules():
        if isinstance(module, StochasticBlock):
            module.survival = 1.0
    F.cross_entropy(net(images_for(name, 3)), torch.tensor([0, 1, 2])).backward()
    gradients = {n: torch.zeros(1) if p.grad is None else p.grad for n, p in net.named_parameters()}
    assert [n for n, g in gradients.items() if not g.any() or not g.isfinite().all()] == []


@pytest.mark.parametrize("name", ["alexnet24", "resnet20", "resnet110_sd", "dla", "densenet121"])
def test_networks_are_one_graph(name):
    """No Python depends on the data: torch.compile traces training without a break."""
    net = on_meta(name, 3)
    images = torch.empty(2, *SHAPES.get(name, (3, 32, 32)), device="meta")
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    assert compiled(images).shape == (2, 3)


def test_the_layers_of_a_network_come_in_their_order():
    """The trainer gives rates by layer, from the input on."""
    net = models.build("small_fcn", 4, hidden=[5, 6], shape=[2, 3, 7])
    shapes = [tuple(p.shape) for n, p in net.named_parameters() if n.endswith("weight")]
    assert shapes == [(5, 42), (6, 5), (4, 6)]


@pytest.mark.parametrize(("name", "channels"), [("lenet", 1), ("resnet18", 1), ("densenet121", 2)])
def test_channels(name, channels):
    more, fewer = (count(on_meta(name, 10, channels=c)) for c in (channels + 1, channels))
    first = next(on_meta(name, 10, channels=channels).parameters())
    assert first.shape[1] == channels
    assert more - fewer == first[:, 0].numel()


def test_lenet_takes_the_size_of_mnist():
    logits = models.build("lenet", 10, channels=1, size=28)(torch.zeros(2, 1, 28, 28))
    assert logits.shape == (2, 10)


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
def test_images_of_a_wrong_shape(name, shape):
    with pytest.raises(ValueError, match="this network takes floating-point images .* got"):
        on_meta(name, 10)(torch.empty(shape, device="meta"))


@pytest.mark.parametrize(
    ("name", "options", "smallest"),
    [("densenet_bc_40_12", {}, 4), ("densenet121", {}, 8), ("densenet121", {"stem": "7x7"}, 29),
     ("small_cnn", {}, 4)],
)  # fmt: skip
def test_the_smallest_image_is_the_smallest(name, options, smallest):
    net = on_meta(name, 10, **options)
    images = torch.empty(1, net.channels, smallest, smallest, device="meta")
    assert net.eval()(images).shape == (1, 10)
    net.smallest -= 1
    with pytest.raises(RuntimeError):
        net(images[:, :, 1:, 1:])


def test_images_of_whole_numbers():
    with pytest.raises(ValueError, match="floating-point images .* got torch.uint8"):
        models.build("small_cnn", 10)(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("name", "classes", "options", "message"),
    [
        ("resnet21", 10, {}, "unknown model 'resnet21'; known: alexnet24, .*wrn_34_10"),
        ("resnet20", 1, {}, "classes must be a whole number of at least 2, got 1"),
        ("resnet20", 10, {"stem": "3x3"}, "option of resnet20 'stem'; known: channels$"),
        ("resnet20", 10, {"depth": 20}, "option of resnet20 'depth'"),
        ("fcn800", 10, {"units": 3}, "option of fcn800 'units'; known: dropout, shape$"),
        ("resnet18", 10, {"weights": "imagenet"}, "option of resnet18 'weights'"),
        ("resnet18", 10, {"stem": "5x5"}, "unknown stem '5x5'; known: 3x3, 7x7"),
        ("densenet121", 10, {"stem": 3}, "unknown stem 3; known: 3x3, 7x7"),
        ("preact_resnet56", 10, {"stem": ""}, "unknown stem ''; known: 3x3, 7x7"),
        ("resnet50", 10, {"weights": "imagenet"}, 'need stem="7x7" and 3 channels'),
        ("resnet50", 10, {"weights": "places", "stem": "7x7"}, "unknown weights 'places'"),
        ("fcn800", 10, {"dropout": 1.5}, r"dropout must lie in \[0, 1\], got 1.5"),
        ("fcn800", 10, {"shape": 784}, r"shape must be three whole numbers \(C, H, W\), got 784"),
        ("fcn800", 10, {"shape": (1, 28, 0)}, "shape must be a whole number of at least 1, got 0"),
        ("small_fcn", 10, {"hidden": 64}, "hidden must be the widths of at least one layer"),
        ("small_fcn", 10, {"hidden": []}, "hidden must be the widths of at least one layer"),
        ("small_fcn", 10, {"hidden": [0]}, "hidden width must be a whole number of at least 1"),
        ("small_cnn", 10, {"norm": "yes"}, "norm must be true or false, got 'yes'"),
        ("small_cnn", 10, {"norm": 1}, "norm must be true or false, got 1"),
        ("lenet", 10, {"size": 15}, "size must be a whole number of at least 16, got 15"),
    ],
)
def test_bad_arguments(name, classes, options, message):
    with pytest.raises(ValueError, match=message):
        models.build(name, classes, **options)


@pytest.mark.parametrize(
    "name", [n for n in models.available() if not n.startswith(("fcn", "small_fcn"))]
)
def test_no_channels(name):
    with pytest.raises(ValueError, match="channels must be a whole number of at least 1, got 0"):
        on_meta(name, 10, channels=0)
