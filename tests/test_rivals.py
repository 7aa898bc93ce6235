import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ldlstudy import contrast, rivals, train
from ldlstudy.augment import Augmentation
from ldlstudy.batches import OTHERS, Batch
from ldlstudy.dataset import Images
from ldlstudy.methods import Lesson
from ldlstudy.models import Classifier
from ldlstudy.models.layers import pool
from ldlstudy.protocol import Protocol

B, N, K, WIDTH = 5, 48, 4, 7
G = torch.Generator().manual_seed(5)
LABELS = torch.randint(0, K, (N,), generator=G)
INDEX = torch.tensor([7, 0, 11, 4, 2])
VIEWS = torch.rand(4, B, 1, 6, 6, generator=G, dtype=torch.float64)
ALL = torch.randn(N, 1, 6, 6, generator=G).cumsum(2).cumsum(3) / 4  # smooth, and unlike one another


def network(width=6, seed=1):
    """Convolution, batch norm and a linear head, in training mode."""
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), pool())
    whole = Classifier(body, nn.Linear(width, K), 1)
    nn.init.normal_(whole.head.weight)  # far from uniform predictions
    return whole


TEACHER = network(WIDTH, seed=9).double().eval()


@torch.no_grad()
def look(views):
    logits, features = TEACHER(views.double(), return_features=True)
    return logits.to(views.dtype), features.to(views.dtype)


ALONE = Lesson(torch.empty(N, 0), LABELS, K, 0)
TAUGHT = ALONE._replace(teach=lambda views: look(views)[0], features=look)
BATCH = Batch(VIEWS[0], LABELS[INDEX], INDEX)
TURNED = BATCH._replace(others=tuple(VIEWS[1:]))
GOOD = {  # a method's parameters
    "crd": {"negatives": 6},
    "crd_kd": {"negatives": 6},
    "sskd": {},
    "wsl": {"weight": 2.5, "temperature": 2.0},
}


def student(method):
    whole = network()
    if method in contrast.BESIDE:
        contrast.fit(method, whole, N, WIDTH)
    return whole.double()


def loss(whole, method, **parameters):
    batch = TURNED if method == "sskd" else BATCH
    return rivals.OBJECTIVES[method](TAUGHT, **GOOD[method] | parameters)(whole, batch)


def softmax(z, temperature=1.0):
    """Probabilities (N, K), numpy."""
    z = np.exp(z.detach().numpy() / temperature)
    return z / z.sum(1, keepdims=True)


def hard(z, labels=LABELS[INDEX]):
    """The cross entropy of each row."""
    return -np.log(softmax(z)[range(len(z)), labels.numpy()])


def divergence(z, reference, temperature):
    """T^2 KL of each row."""
    p, r = softmax(z, temperature), softmax(reference, temperature)
    return temperature**2 * (r * np.log(r / p)).sum(1)


def value(result):
    return float(result.detach())


def test_wsl_by_hand():
    whole = student("wsl")
    z, (t, _) = whole(VIEWS[0]), look(VIEWS[0])
    share = [1 - math.exp(-s / r) for s, r in zip(hard(z), hard(t), strict=True)]
    soft = -(softmax(t, 2) * np.log(softmax(z, 2))).sum(1)
    expected = hard(z).mean() + 2.5 * 4 * np.mean(share * soft)
    assert value(loss(whole, "wsl")) == pytest.approx(expected, rel=1e-5)


def test_a_student_as_good_as_its_teacher_is_taught_by_its_share():
    """Equal losses give w = 1 - 1 / e; a perfect teacher is copied whole."""
    z, labels = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([0])
    soft = float(torch.distributions.Categorical(logits=z).entropy())
    ours = rivals.wsl(z, z, labels, 1.0, 1.0) - F.cross_entropy(z, labels)
    assert float(ours) == pytest.approx((1 - math.exp(-1)) * soft, rel=1e-5)
    perfect = torch.tensor([[500.0, 0.0, 0.0]])  # its loss is 0
    ours = rivals.wsl(z, perfect, labels, 1.0, 1.0)
    assert float(ours) == pytest.approx(2 * float(F.cross_entropy(z, labels)), rel=1e-5)


def test_no_slope_of_wsl_comes_through_its_weights():
    z = torch.randn(6, K, generator=G, requires_grad=True)
    t = torch.randn(6, K, generator=G, requires_grad=True)
    labels = LABELS[:6]
    rivals.wsl(z, t, labels, 1.5, 2.0).backward()
    p, q = z.softmax(1).detach(), F.one_hot(labels, K)
    share = torch.from_numpy(1 - np.exp(-hard(z, labels) / hard(t, labels)))[:, None]
    soft = (z / 2).softmax(1) - (t / 2).softmax(1)
    expected = (p - q + 1.5 * 2 * share * soft) / 6
    torch.testing.assert_close(z.grad, expected.detach().float())
    assert t.grad is None


def pairs(whole):
    """CRD's own term, from the same draws as the loss."""
    twin = copy.deepcopy(whole)
    torch.manual_seed(4)
    others = contrast.draw_negatives(INDEX, 6, N)
    _, features = twin(VIEWS[0], return_features=True)
    return value(twin.beside(features, look(VIEWS[0])[1], INDEX, others, 0.07, 0.5))


@pytest.mark.parametrize(("method", "soft_weight"), [("crd", 0.0), ("crd_kd", 1.0)])
def test_crd_by_hand(method, soft_weight):
    whole = student(method)
    z = whole(VIEWS[0])
    taught = divergence(z, look(VIEWS[0])[0], 4).mean()
    expected = hard(z).mean() + 0.8 * pairs(whole) + soft_weight * taught
    torch.manual_seed(4)
    assert value(loss(whole, method)) == pytest.approx(expected, rel=1e-6)


def test_sskd_by_hand():
    whole = student("sskd")
    images = torch.cat([torch.rot90(x, k, (2, 3)) for k, x in enumerate(VIEWS)])
    (z, features), (t, seen) = whole(images, return_features=True), look(images)
    ours, theirs = whole.beside(features, seen)
    own = torch.arange(B).repeat(3)
    ranks = [(row > row[i]).sum().item() for row, i in zip(theirs, own, strict=True)]
    wrong = sorted((rank, i) for i, rank in enumerate(ranks) if rank)
    kept = [i for i, rank in enumerate(ranks) if not rank]
    kept += [i for _, i in wrong[: int(0.75 * len(wrong))]]
    assert 0 < len(wrong) < len(ranks)
    assert len(kept) < 3 * B
    expected = 0.1 * hard(z[:B]).mean() + 0.9 * divergence(z[:B], t[:B], 4).mean()
    expected += 2.7 * divergence(z[B:], t[B:], 4).mean()  # all are kept
    expected += 10 * divergence(ours, theirs, 0.5)[kept].mean() + hard(theirs, own).mean()
    assert value(loss(whole, "sskd")) == pytest.approx(expected, rel=1e-5)


def test_sskd_leaves_the_teacher_s_projection_to_its_own_loss():
    """Its slope is that of the cosines' cross entropy; none of it reaches the student."""
    whole = student("sskd")
    heads = list(whole.beside.teacher.parameters())
    rest = [p for k, p in whole.named_parameters() if ".teacher." not in k]
    slopes = []
    for weight in (0.0, 10.0):
        result = loss(whole, "sskd", weight=weight)
        slopes.append(torch.autograd.grad(result, heads, retain_graph=True))
    for a, b in zip(*slopes, strict=True):
        torch.testing.assert_close(a, b)
    alone = loss(whole, "sskd", weight=0.0, hard_weight=0.0, soft_weight=0.0, turned_weight=0.0)
    for slope in torch.autograd.grad(alone, rest, materialize_grads=True):
        assert not slope.any()


@pytest.mark.parametrize("method", sorted(GOOD))
def test_slopes_reach_everything_but_the_teacher(method):
    whole = student(method)
    before = {k: v.clone() for k, v in TEACHER.state_dict().items()}
    loss(whole, method).backward()
    still = [k for k, p in whole.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
    assert all(p.grad is None for p in TEACHER.parameters())
    assert all(torch.equal(v, before[k]) for k, v in TEACHER.state_dict().items())


def trained(method, epochs, checkpoint=None):
    whole = network()
    if method in contrast.BESIDE:
        contrast.fit(method, whole, N, WIDTH)
    history = train.train(
        whole,
        Images(ALL, LABELS),
        rivals.OBJECTIVES[method](TAUGHT, **GOOD[method]),
        Protocol(epochs, batch=12, rate=0.02, schedule="constant"),
        Augmentation(),
        seed=3,
        others=rivals.OTHERS.get(method, ()),
        checkpoint=checkpoint,
    )
    return whole, [epoch["loss"] for epoch in history]


@pytest.mark.parametrize("method", sorted(GOOD))
def test_training_lowers_the_loss(method):
    _, falling = trained(method, 60)
    assert sum(falling[-10:]) < 0.97 * sum(
        falling[:10]
    )  # CRD's negatives are drawn, its memory new


@pytest.mark.parametrize("method", sorted(GOOD))
def test_training_goes_on_where_it_was_killed(method, tmp_path):
    whole, losses = trained(method, 5)
    trained(method, 2, tmp_path / "killed.pt")
    again, resumed = trained(method, 5, tmp_path / "killed.pt")
    assert resumed == losses
    for name, tensor in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize("method", sorted(GOOD))
def test_bf16_training_has_a_loss_in_float32(method):
    whole = student(method).float()
    batch = (TURNED if method == "sskd" else BATCH)._replace(images=VIEWS[0].float())
    batch = batch._replace(others=tuple(x.float() for x in batch.others))
    objective = rivals.OBJECTIVES[method](TAUGHT, **GOOD[method])
    with torch.autocast("cpu", torch.bfloat16):
        result = objective(whole, batch)
    assert result.dtype == torch.float32
    torch.manual_seed(0)
    result.backward()
    assert all(torch.isfinite(p.grad).all() for p in whole.parameters())


def test_every_method_has_its_tests_here():
    assert set(GOOD) == set(rivals.OBJECTIVES)
    assert set(contrast.BESIDE) == set(GOOD) - {"wsl"}
    assert all(set(names) <= set(OTHERS) for names in rivals.OTHERS.values())


RANGES = {  # by name: a value that is refused, and what is allowed
    "contrast_temperature": (0.0, r"\(0, 1000\]"),
    "temperature": (math.nan, r"\(0, 1000\]"),
    "momentum": (1.5, r"\[0, 1\]"),
    "share": (-0.1, r"\[0, 1\]"),
    "turned_share": (1.1, r"\[0, 1\]"),
    "weight": (-1.0, r"\[0, inf\]"),
    "hard_weight": (-1.0, r"\[0, inf\]"),
    "soft_weight": (-1.0, r"\[0, inf\]"),
    "turned_weight": (-1.0, r"\[0, inf\]"),
}
TAKEN = {
    "crd": ("weight", "contrast_temperature", "momentum"),
    "crd_kd": ("weight", "soft_weight", "temperature", "contrast_temperature", "momentum"),
    "sskd": tuple(name for name in RANGES if name != "momentum"),
    "wsl": ("weight", "temperature"),
}


@pytest.mark.parametrize(("method", "name"), [(m, n) for m, ns in TAKEN.items() for n in ns])
def test_a_number_out_of_its_range(method, name):
    given_, allowed = RANGES[name]
    message = rf"^{name} must lie in {allowed}, got {given_!r}"
    with pytest.raises(ValueError, match=message):
        rivals.OBJECTIVES[method](TAUGHT, **GOOD[method] | {name: given_})


@pytest.mark.parametrize("method", ["crd", "crd_kd"])
@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        (N, "negatives must be fewer than the 48 training images, got 48"),
        (0, "negatives must be a whole number of at least 1, got 0"),
        (2.5, "negatives must be a whole number of at least 1, got 2.5"),
    ],
)
def test_a_number_of_negatives_there_are_not(method, negatives, message):
    with pytest.raises(ValueError, match=message):
        rivals.OBJECTIVES[method](TAUGHT, negatives=negatives)


@pytest.mark.parametrize("method", sorted(GOOD))
def test_no_teacher(method):
    with pytest.raises(ValueError, match="needs a teacher, the run names none"):
        rivals.OBJECTIVES[method](ALONE, **GOOD[method])


@pytest.mark.parametrize("method", sorted(contrast.BESIDE))
def test_several_teachers_have_no_features_in_common(method):
    several = TAUGHT._replace(features=None)
    with pytest.raises(ValueError, match="the features of one teacher, the run names several"):
        rivals.OBJECTIVES[method](several, **GOOD[method])
