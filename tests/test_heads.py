import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ldlstudy import heads, models
from ldlstudy.heads import Branched, Cosine
from ldlstudy.models import Classifier
from ldlstudy.models.layers import pool

K = 5
SEEDS = st.integers(0, 2**32)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def cosine(classes=K, features=4):
    torch.manual_seed(2)
    return Cosine(features, classes).double()


@settings(deadline=None)
@given(SEEDS, st.floats(1e-3, 1e3))
def test_cosines_are_of_the_angles_between_features_and_templates(seed, length):
    head = cosine()
    features = torch.randn(6, 4, generator=seeded(seed), dtype=torch.float64)
    cosines = head.cosines(features).detach()
    x, w = features.numpy(), head.weight.detach().numpy()
    expected = [[a @ b / math.sqrt((a @ a) * (b @ b)) for b in w] for a in x]
    np.testing.assert_allclose(cosines.numpy(), expected, rtol=1e-9, atol=1e-12)
    assert float(cosines.abs().max()) <= 1 + 1e-12
    torch.testing.assert_close(head.cosines(length * features).detach(), cosines)
    torch.testing.assert_close(head(features).detach(), head.scale * cosines)


@pytest.mark.parametrize("classes", [3, 10, 100])
def test_the_first_scale(classes):
    head = cosine(classes)
    assert float(head.scale) == pytest.approx(math.sqrt(2) * math.log(classes - 1), rel=1e-6)
    assert head.bias is None


def scale_by_hand(before, cosines, labels):
    """AdaCos' equations 6 and 7, with the lower of two middle angles as the median."""
    total, angles = 0.0, []
    for row, label in zip(cosines, labels, strict=True):
        total += sum(math.exp(before * c) for k, c in enumerate(row) if k != label)
        angles.append(math.acos(row[label]))
    median = sorted(angles)[(len(angles) - 1) // 2]
    return math.log(total / len(labels)) / math.cos(min(math.pi / 4, median))


@settings(deadline=None)
@given(SEEDS, st.integers(1, 7), st.booleans())
def test_the_scale_follows_its_formula(seed, rows, close):
    head, rng = cosine(), np.random.default_rng(seed)
    labels = rng.integers(K, size=rows)
    for _ in range(3):  # each step starts from the scale of the one before
        cosines = rng.uniform(-0.3, 0.4, (rows, K))
        low, high = (math.cos(0.7), 1.0) if close else (-1.0, math.cos(0.9))  # of pi / 4 = 0.785
        cosines[np.arange(rows), labels] = rng.uniform(low, high, rows)
        before = float(head.scale)
        given_back = head.rescale(torch.from_numpy(cosines), torch.from_numpy(labels))
        expected = scale_by_hand(before, cosines.tolist(), labels.tolist())
        assert float(head.scale) == pytest.approx(expected, rel=1e-4)
        assert torch.equal(given_back, head.scale)


@pytest.mark.parametrize(
    ("angle", "counted"),
    [(0.0, 0.0), (0.7, 0.7), (math.pi / 4, math.pi / 4), (0.9, math.pi / 4), (3.0, math.pi / 4)],
)
def test_an_angle_counts_at_most_an_eighth_of_a_turn(angle, counted):
    """With right angles to all wrong classes B is K - 1, whatever the scale was."""
    head = cosine()
    cosines = torch.zeros(3, K, dtype=torch.float64)
    cosines[:, 1] = math.cos(angle)
    head.rescale(cosines, torch.ones(3, dtype=torch.int64))
    assert float(head.scale) == pytest.approx(math.log(K - 1) / math.cos(counted), rel=1e-4)


def test_the_scale_is_a_constant_of_the_step_and_of_no_other():
    head = cosine()
    features = torch.randn(6, 4, generator=seeded(), dtype=torch.float64)
    cosines = head.cosines(features)
    scale = head.rescale(cosines, torch.arange(6) % K)
    assert cosines.requires_grad
    assert not scale.requires_grad
    head.rescale(-cosines, torch.arange(6) % K)
    assert not torch.equal(scale, head.scale)  # a later step leaves this one's graph alone
    assert "scale" not in dict(head.named_parameters())


def test_the_scale_is_kept_with_the_weights():
    head, other = cosine(), cosine()
    features = torch.randn(6, 4, generator=seeded(), dtype=torch.float64)
    head.rescale(head.cosines(features), torch.arange(6) % K)
    kept = head.scale.clone()
    head(features)  # a prediction does not move it
    assert torch.equal(head.scale, kept)
    assert set(head.state_dict()) == {"weight", "scale"}
    assert not torch.equal(other.scale, kept)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(features), head(features))


def test_two_classes_have_no_scale():
    with pytest.raises(ValueError, match="AdaCos needs at least 3 classes, got 2"):
        heads.fit("adacos", models.build("small_cnn", 2), (1, 8, 8))


@pytest.mark.parametrize("method", ["none", "cs_kd", "ddgsd", "kd"])
def test_most_methods_keep_the_head(method):
    network = models.build("small_cnn", 3)
    head = network.head
    assert heads.fit(method, network, (1, 8, 8)) is network
    assert network.head is head


def test_virtual_softmax_has_templates_alone():
    network = heads.fit("virtual_softmax", models.build("small_cnn", 3), (1, 8, 8))
    assert network.head.bias is None
    logits, features = network(torch.rand(2, 1, 8, 8), return_features=True)
    torch.testing.assert_close(logits, features @ network.head.weight.T)
    assert logits.shape == (2, 3)  # no class beside the three


BRANCHES = {  # places where maps shrink, and sizes of the images
    ("resnet20", None): (2, 32),
    ("preact_resnet18", None): (3, 32),
    ("resnet18", "3x3"): (3, 32),
    ("resnet18", "7x7"): (3, 64),
    ("densenet121", "3x3"): (3, 32),
    ("small_cnn", None): (2, 8),
}


def built(name, stem=None, seed=0):
    torch.manual_seed(seed)
    return models.build(name, K, **({} if stem is None else {"stem": stem}))


def branched(name, stem=None, seed=0):
    size = BRANCHES[name, stem][1]
    network = built(name, stem, seed)
    return heads.fit("byot", network, (network.channels, size, size))


@pytest.mark.parametrize(("name", "stem"), BRANCHES)
def test_branches_lead_to_as_many_features_as_the_network_has(name, stem):
    count, size = BRANCHES[name, stem]
    network = branched(name, stem)
    assert isinstance(network, Branched)
    width = network.head.in_features
    logits, features, found = network.shallow(torch.rand(2, network.channels, size, size))
    assert (logits.shape, features.shape) == ((2, K), (2, width))
    assert [(z.shape, f.shape) for z, f in found] == [((2, K), (2, width))] * count
    assert len({tuple(z.flatten().tolist()) for z, _ in found}) == count  # each its own


@pytest.mark.parametrize("name", ["resnet20", "small_cnn"])
def test_branches_leave_the_network_as_it_was(name):
    network, size = built(name), BRANCHES[name, None][1]
    images = torch.rand(3, network.channels, size, size, generator=seeded())
    state = {key: value.clone() for key, value in network.state_dict().items()}
    logits, features = network.eval()(images, return_features=True)
    wrapped = heads.fit("byot", network.train(), (network.channels, size, size))
    assert all(module.training for module in wrapped.modules())
    assert all(torch.equal(wrapped.state_dict()[key], value) for key, value in state.items())
    wrapped.eval()
    for ours in (wrapped(images, return_features=True), wrapped.shallow(images)[:2]):
        assert torch.equal(ours[0], logits)
        assert torch.equal(ours[1], features)


def test_a_branch_starts_where_the_maps_are_about_to_shrink():
    """A body whose branch can be computed by hand: maps of 4 x 4, then of 2 x 2."""
    torch.manual_seed(0)
    shallow, deep = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 6, 3, stride=2, padding=1)
    body = nn.Sequential(shallow, nn.ReLU(), deep, nn.ReLU(), pool())
    network = Branched(Classifier(body, nn.Linear(6, K), 1), (1, 4, 4)).eval()
    images = torch.rand(2, 1, 4, 4)
    _, _, [(logits, features)] = network.shallow(images)
    (steps,) = network.branches
    expected = steps(shallow(images).relu())
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(logits, network.heads[0](expected))
    strides = [m.stride for m in steps.modules() if isinstance(m, nn.Conv2d)]
    assert strides == [(2, 2)]


def test_branches_travel_with_the_weights():
    network, other = (branched("resnet20", seed=seed) for seed in (0, 1))
    images = torch.rand(2, 3, 32, 32, generator=seeded())
    for _ in range(3):
        network.train().shallow(images)  # batch norm remembers
    other.load_state_dict(network.state_dict())
    ours, theirs = (n.eval().shallow(images) for n in (network, other))
    assert all(torch.equal(a, b) for a, b in zip(ours[:2], theirs[:2], strict=True))
    for pair, same in zip(ours[2], theirs[2], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(pair, same, strict=True))


@pytest.mark.parametrize(
    ("name", "options", "shape", "seen"),
    [
        ("lenet", {}, (3, 32, 32), r"widths \[6, 6, 16, 16\] and 84 features"),
        ("alexnet24", {}, (3, 24, 24), r"widths \[64, 64, 64\] and 192 features"),
        ("fcn800", {"shape": (1, 8, 8)}, (1, 8, 8), r"widths \[\] and 800 features"),
    ],
)
def test_a_network_that_does_not_average_its_last_maps(name, options, shape, seen):
    message = "byot needs a network with maps of several sizes whose last are averaged .*" + seen
    with pytest.raises(ValueError, match=message):
        heads.fit("byot", models.build(name, K, **options), shape)
