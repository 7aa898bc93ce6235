"""What methods put on a network or beside it: AdaCos' head, branches of BYOT, critics of CRD."""

import collections
import copy
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from ldlstudy import models
from ldlstudy.heads import Branches, Contrast, Cosine, Projections
from ldlstudy.methods import METHODS
from ldlstudy.models import Classifier
from ldlstudy.models.layers import pool

K = 5
SEEDS = st.integers(0, 2**32)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(classes=K, features=4):
    torch.manual_seed(2)
    return Cosine(features, classes).double()


@settings(max_examples=50)
@given(SEEDS, st.floats(1e-3, 1e3))
def test_cosines_are_of_the_angles_between_features_and_templates(seed, length):
    head, features = cosine(), draw(6, 4, seed=seed)
    cosines = head.cosines(features).detach()
    x, w = features.numpy(), head.weight.detach().numpy()
    expected = [[a @ b / math.sqrt((a @ a) * (b @ b)) for b in w] for a in x]
    np.testing.assert_allclose(cosines.numpy(), expected, rtol=1e-9, atol=1e-12)
    assert float(cosines.abs().max()) <= 1 + 1e-12
    torch.testing.assert_close(head.cosines(length * features).detach(), cosines)
    torch.testing.assert_close(head(features).detach(), head.scale * cosines)
    assert head.bias is None


def scale_by_hand(before, cosines, labels):
    """AdaCos' equations 6 and 7, with the lower of two middle angles as the median."""
    total, angles = 0.0, []
    for row, label in zip(cosines, labels, strict=True):
        total += sum(math.exp(before * c) for k, c in enumerate(row) if k != label)
        angles.append(math.acos(row[label]))
    median = sorted(angles)[(len(angles) - 1) // 2]
    return math.log(total / len(labels)) / math.cos(min(math.pi / 4, median))


@settings(max_examples=50)
@given(SEEDS, st.integers(1, 7), st.booleans())
def test_the_scale_follows_its_formula(seed, rows, close):
    head, rng = cosine(), np.random.default_rng(seed)
    assert float(head.scale) == pytest.approx(math.sqrt(2) * math.log(K - 1), rel=1e-6)
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


def test_the_scale_is_a_constant_of_its_step_and_is_kept_with_the_weights():
    head, other, features = cosine(), cosine(), draw(6, 4)
    cosines, labels = head.cosines(features), torch.arange(6) % K
    scale = head.rescale(cosines, labels)
    assert not scale.requires_grad
    head.rescale(-cosines, labels)
    kept = head.scale.clone()
    assert not torch.equal(scale, kept)  # a later step leaves this one's graph alone
    head(features)  # and a prediction leaves the scale
    assert torch.equal(head.scale, kept)
    assert set(head.state_dict()) == {"weight", "scale"}
    assert "scale" not in dict(head.named_parameters())
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(features), head(features))


def built(name, seed=0, **options):
    torch.manual_seed(seed)
    return models.build(name, K, **options)


@pytest.mark.parametrize(
    ("name", "options", "count", "size"),  # how often maps shrink, and the size of the images
    [
        ("resnet20", {}, 2, 32),
        ("preact_resnet18", {}, 3, 32),
        ("resnet18", {"stem": "3x3"}, 3, 32),
        ("resnet18", {"stem": "7x7"}, 3, 64),
        ("densenet121", {"stem": "3x3"}, 3, 32),
        ("small_cnn", {}, 2, 8),
    ],
)
def test_branches_lead_to_as_many_features_as_the_network_has(name, options, count, size):
    network = built(name, **options)
    before = copy.deepcopy(network.state_dict())
    width, shape = network.head.in_features, (network.channels, size, size)
    beside, images = Branches(network, shape), torch.rand(2, *shape)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(module.training for module in network.modules())
    logits, features, found = beside.eval()(network.eval(), images)
    assert all(map(torch.equal, (logits, features), network(images, return_features=True)))
    assert [(z.shape, f.shape) for z, f in found] == [((2, K), (2, width))] * count
    assert len({tuple(z.flatten().tolist()) for z, _ in found}) == count  # each its own


def test_a_branch_starts_where_the_maps_are_about_to_shrink():
    """A body whose branch can be computed by hand: maps of 4 x 4, then of 2 x 2."""
    torch.manual_seed(0)
    shallow, deep = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 6, 3, stride=2, padding=1)
    body = nn.Sequential(shallow, nn.ReLU(), deep, nn.ReLU(), pool())
    network = Classifier(body, nn.Linear(6, K), 1)
    beside, images = Branches(network, (1, 4, 4)).eval(), torch.rand(2, 1, 4, 4)
    _, _, [(logits, features)] = beside(network, images)
    (steps,) = beside.branches
    expected = steps(shallow(images).relu())
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(logits, beside.heads[0](expected))
    strides = [m.stride for m in steps.modules() if isinstance(m, nn.Conv2d)]
    assert strides == [(2, 2)]


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
        Branches(models.build(name, K, **options), shape)


B, N, DS, DT, D = 3, 8, 4, 5, 6
INDEX = torch.tensor([6, 0, 3])
NEGATIVES = torch.tensor([[0, 1, 1, 7], [2, 3, 4, 5], [7, 6, 0, 1]])
HOW = {"temperature": 0.2, "momentum": 0.5}
STUDENT, TEACHER = draw(B, DS), draw(B, DT, seed=1)


def critic():
    torch.manual_seed(2)
    return Contrast(DS, DT, torch.arange(N) % 3, D).double()


def embedded(layer, features):
    """Rows of length 1, by numpy."""
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    v = features.numpy() @ w.T + b
    return v / np.sqrt((v**2).sum(1, keepdims=True))


def by_hand(own, normalisers=None):
    """CRD's loss and its Z (teacher's anchors, student's), one pair at a time."""
    memory = own.memory.numpy().copy()
    v = {0: embedded(own.student, STUDENT), 1: embedded(own.teacher, TEACHER)}
    noise, total, found = NEGATIVES.shape[1] / N, 0.0, []
    for anchor in (1, 0):
        scores = np.array([
            [math.exp(v[anchor][i] @ memory[1 - anchor][j] / HOW["temperature"])
             for j in [int(INDEX[i]), *NEGATIVES[i].tolist()]]
            for i in range(B)
        ])  # fmt: skip
        found.append(scores.mean() * N)
        z = found[-1] if normalisers is None else normalisers[len(found) - 1]
        for right, *wrong in scores / z:
            total -= math.log(right / (right + noise))
            total -= sum(math.log(noise / (p + noise)) for p in wrong)
    return total / B, found


def test_the_loss_of_crd_and_the_z_of_its_first_batch_by_hand():
    own, normalisers = critic(), None
    assert own.log_normaliser.isnan().all()
    for _ in range(2):  # the second batch meets another memory, and the same Z
        expected, found = by_hand(own, normalisers)
        assert normalisers is None or found != pytest.approx(normalisers, rel=1e-3)
        normalisers = normalisers or found
        ours = own(STUDENT, TEACHER, INDEX, NEGATIVES, **HOW)
        assert float(ours.detach()) == pytest.approx(expected, rel=1e-10)
        assert own.log_normaliser.exp().tolist() == pytest.approx(normalisers, rel=1e-10)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 1.0])
def test_what_is_remembered(momentum):
    own = critic()
    before = own.memory.clone().numpy()
    own(STUDENT, TEACHER, INDEX, NEGATIVES, 0.2, momentum)
    after = own.memory.numpy()
    new = embedded(own.student, STUDENT), embedded(own.teacher, TEACHER)
    for side in (0, 1):
        moved = momentum * before[side, INDEX] + (1 - momentum) * new[side]
        expected = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        np.testing.assert_allclose(after[side, INDEX], expected, rtol=1e-9)
        rest = [j for j in range(N) if j not in INDEX.tolist()]
        np.testing.assert_array_equal(after[side, rest], before[side, rest])


def test_the_slope_is_that_of_a_constant_memory():
    own = critic()
    student = STUDENT.clone().requires_grad_()

    def loss(features):
        fresh = critic()
        fresh.log_normaliser.fill_(1.5)
        return fresh(features, TEACHER, INDEX, NEGATIVES, **HOW)

    assert torch.autograd.gradcheck(loss, student)
    own(student, TEACHER, INDEX, NEGATIVES, **HOW).backward()
    assert all(float(p.grad.norm()) > 1e-3 for p in own.parameters())
    assert not own.memory.requires_grad


def test_a_first_memory_is_uniform_with_rows_of_length_about_one():
    torch.manual_seed(0)
    memory = Contrast(4, 4, torch.arange(2000) % 10).memory
    assert memory.shape == (2, 2000, 128)
    bound = math.sqrt(3 / 128)
    uniform = stats.uniform(-bound, 2 * bound).cdf
    assert stats.kstest(memory.flatten().numpy(), uniform).pvalue > 0.01
    assert float(memory.square().sum(2).mean()) == pytest.approx(1, abs=0.01)


def test_features_in_bf16_are_compared_in_float32():
    own, heads = critic().float(), Projections(DS, DT)
    twin, features = copy.deepcopy(own), (STUDENT.bfloat16(), TEACHER.bfloat16())
    several = draw(4 * B, DS).bfloat16(), draw(4 * B, DT).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        ours, projected = own(*features, INDEX, NEGATIVES, **HOW), heads(*several)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, twin(*(f.float() for f in features), INDEX, NEGATIVES, **HOW))
    assert torch.isfinite(twin(STUDENT, TEACHER, INDEX, NEGATIVES, 1e-3, 0.5))  # nor overflow
    for a, b in zip(projected, heads(*(f.float() for f in several)), strict=True):
        assert torch.equal(a, b)


def test_negatives_are_other_classes_images_without_replacement_and_uniform():
    """Of classes 0, 0, 1, 1, 1, 2, 2 two images of other classes: every pair is as likely."""
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2])
    own = Contrast(2, 2, labels, 2)
    draws = [own.draw_negatives(torch.arange(7), 2).sort(1).values for _ in range(1000)]
    for image, pairs in enumerate(torch.stack(draws, 1)):
        others = (labels != labels[image]).nonzero().flatten().tolist()
        possible = list(itertools.combinations(others, 2))
        seen = collections.Counter(map(tuple, pairs.tolist()))
        assert set(seen) <= set(possible)
        assert stats.chisquare([seen[pair] for pair in possible]).pvalue > 0.001
    assert own.draw_negatives(torch.arange(7), 4).shape == (7, 4)  # all that class 1 leaves
    with pytest.raises(ValueError, match="at most the 4 training images outside the largest class"):
        own.draw_negatives(torch.arange(7), 5)


def test_cosines_of_projections_by_hand():
    torch.manual_seed(0)
    heads = Projections(DS, DT).double()
    features = draw(4 * B, DS), draw(4 * B, DT, seed=1)
    both = zip((heads.student, heads.teacher), features, heads(*features), strict=True)
    for (first, _, second), seen, ours in both:
        assert first.weight.shape == second.weight.shape == (seen.shape[1],) * 2
        upright, turned = second(first(seen).relu()).split([B, 3 * B])
        expected = torch.cosine_similarity(turned[:, None], upright[None], dim=2)
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("method", ["byot", "crd", "crd_kd", "sskd"])
def test_what_is_beside_a_network_is_saved_with_it_and_changes_no_answer(method):
    network, other = (built("small_cnn", seed) for seed in (0, 1))
    plain = {k: v.clone() for k, v in network.state_dict().items()}
    images = torch.rand(2, 1, 8, 8)
    answer = network.eval()(images)
    for each in (network, other):
        METHODS[method].fit(each, (1, 8, 8), torch.arange(N) % 3, DT)
    assert torch.equal(network(images), answer)
    assert not network.body.training
    assert all(torch.equal(network.state_dict()[k], v) for k, v in plain.items())
    more = {name for name, _ in network.named_parameters()} - set(plain)
    assert {name.split(".")[0] for name in more} == {"beside"}
    other.load_state_dict(network.state_dict())
    for one, same in zip(network.beside.buffers(), other.beside.buffers(), strict=True):
        torch.testing.assert_close(one, same, equal_nan=True)


@pytest.mark.parametrize(
    ("method", "classes", "labels", "width", "message"),
    [
        ("adacos", 2, 9, 5, "AdaCos needs at least 3 classes, got 2"),
        ("crd", 9, 1, 5, "CRD compares images of different classes, all are of one class"),
        ("crd_kd", 9, 9, 0, "teacher's width must be a whole number of at least 1, got 0"),
        ("sskd", 9, 9, 0, "teacher's width must be a whole number of at least 1, got 0"),
    ],
)
def test_what_cannot_be_fitted(method, classes, labels, width, message):
    network = models.build("small_cnn", classes)
    with pytest.raises(ValueError, match=message):
        METHODS[method].fit(network, (1, 8, 8), torch.arange(labels), width)
