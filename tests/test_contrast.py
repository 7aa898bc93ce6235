import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ldlstudy import contrast, models
from ldlstudy.contrast import Contrast, Projections

B, N, DS, DT, D = 3, 8, 4, 5, 6
INDEX = torch.tensor([6, 0, 3])
NEGATIVES = torch.tensor([[0, 1, 1, 7], [2, 3, 4, 5], [7, 6, 0, 1]])
HOW = {"temperature": 0.2, "momentum": 0.5}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


STUDENT, TEACHER = draw(B, DS), draw(B, DT, seed=1)


def critic():
    torch.manual_seed(2)
    return Contrast(DS, DT, N, D).double()


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


def test_the_loss_and_z_by_hand():
    own = critic()
    expected, normalisers = by_hand(own)
    assert own.log_normaliser.isnan().all()
    ours = own(STUDENT, TEACHER, INDEX, NEGATIVES, **HOW)
    assert float(ours.detach()) == pytest.approx(expected, rel=1e-10)
    assert own.log_normaliser.exp().tolist() == pytest.approx(normalisers, rel=1e-10)


def test_z_is_of_the_first_batch():
    own = critic()
    _, normalisers = by_hand(own)
    own(STUDENT, TEACHER, INDEX, NEGATIVES, **HOW)
    expected, others = by_hand(own, normalisers)
    assert others != pytest.approx(normalisers, rel=1e-3)  # the memory has moved
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
        for row, place in enumerate(INDEX.tolist()):
            moved = momentum * before[side, place] + (1 - momentum) * new[side][row]
            expected = moved / math.sqrt(moved @ moved)
            np.testing.assert_allclose(after[side, place], expected, rtol=1e-9)
        rest = [j for j in range(N) if j not in INDEX.tolist()]
        np.testing.assert_array_equal(after[side, rest], before[side, rest])


def test_the_slope_is_that_of_a_constant_memory():
    own = critic()
    student = STUDENT.clone().requires_grad_()

    def loss(features, weight):
        fresh = critic()
        fresh.log_normaliser.fill_(1.5)
        fresh.student.weight = torch.nn.Parameter(weight)
        return fresh(features, TEACHER, INDEX, NEGATIVES, **HOW)

    assert torch.autograd.gradcheck(lambda x: loss(x, own.student.weight.detach()), student)
    own.log_normaliser.fill_(1.5)
    own(student, TEACHER, INDEX, NEGATIVES, **HOW).backward()
    assert all(float(p.grad.norm()) > 1e-3 for p in own.parameters())
    assert float(student.grad.norm()) > 1e-3
    assert not own.memory.requires_grad


def test_a_first_memory_is_uniform_with_rows_of_length_about_one():
    torch.manual_seed(0)
    memory = Contrast(4, 4, 2000).memory
    assert memory.shape == (2, 2000, 128)
    bound = math.sqrt(3 / 128)
    assert (
        stats.kstest(memory.flatten().numpy(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.01
    )
    assert float(memory.square().sum(2).mean()) == pytest.approx(1, abs=0.01)


def test_it_goes_on_from_its_state_exactly():
    torch.manual_seed(3)
    own = critic()
    own(STUDENT, TEACHER, INDEX, NEGATIVES, **HOW)
    other = Contrast(DS, DT, N, D).double()
    other.load_state_dict(copy.deepcopy(own.state_dict()))
    for _ in range(2):
        ours, theirs = (c(STUDENT, TEACHER, INDEX.flip(0), NEGATIVES, **HOW) for c in (own, other))
        assert torch.equal(ours, theirs)
        assert torch.equal(own.memory, other.memory)


def test_bf16_features_are_compared_in_float32():
    own = critic().float()
    features = STUDENT.bfloat16(), TEACHER.bfloat16()
    twin = copy.deepcopy(own)
    with torch.autocast("cpu", torch.bfloat16):
        ours = own(*features, INDEX, NEGATIVES, **HOW)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, twin(*(f.float() for f in features), INDEX, NEGATIVES, **HOW))


def test_a_low_temperature_does_not_overflow():
    ours = critic().float()(STUDENT, TEACHER, INDEX, NEGATIVES, 1e-3, 0.5)
    assert torch.isfinite(ours)


@given(st.integers(2, 12), st.integers(1, 40), st.integers(0, 2**31))
def test_negatives_are_other_images(count, negatives, seed):
    torch.manual_seed(seed)
    index = torch.randperm(count)[: max(1, count // 2)]
    drawn = contrast.draw_negatives(index, negatives, count)
    assert drawn.shape == (len(index), negatives)
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < count
    assert not (drawn == index[:, None]).any()


def test_negatives_are_uniform_over_the_others():
    torch.manual_seed(0)
    for own, row in enumerate(contrast.draw_negatives(torch.arange(5), 4000, 5)):
        seen = torch.bincount(row, minlength=5).tolist()
        assert seen.pop(own) == 0
        assert stats.chisquare(seen).pvalue > 0.001


def test_cosines_of_projections_by_hand():
    torch.manual_seed(0)
    heads = Projections(DS, DT).double()
    features = draw(4 * B, DS), draw(4 * B, DT, seed=1)
    for head, seen, ours in zip(
        (heads.student, heads.teacher), features, heads(*features), strict=True
    ):
        first, _, second = head
        assert ours.shape == (3 * B, B)
        assert first.weight.shape == second.weight.shape == (seen.shape[1],) * 2
        projected = second(first(seen).relu())
        for i in range(3 * B):
            for j in range(B):
                expected = torch.cosine_similarity(projected[B + i], projected[j], dim=0)
                torch.testing.assert_close(ours[i, j], expected)


def test_bf16_features_are_projected_in_float32():
    heads = Projections(DS, DT)
    features = draw(4 * B, DS).bfloat16(), draw(4 * B, DT).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        ours = heads(*features)
    for a, b in zip(ours, heads(*(f.float() for f in features)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("method", sorted(contrast.BESIDE))
def test_a_student_trains_and_saves_what_is_beside_it(method):
    student, other = (models.build("small_cnn", 10) for _ in range(2))
    plain = {k: v.clone() for k, v in student.state_dict().items()}
    images = torch.rand(2, 1, 8, 8)
    answer = student.eval()(images)
    assert contrast.fit(method, student, N, DT) is student
    assert torch.equal(student(images), answer)
    assert all(torch.equal(student.state_dict()[k], v) for k, v in plain.items())
    more = {k for k, _ in student.named_parameters()} - set(plain)
    assert {k.rsplit(".", 1)[0].split(".")[1] for k in more} == {"student", "teacher"}
    contrast.fit(method, other, N, DT).load_state_dict(student.state_dict())
    width = student.head.in_features
    layer = student.beside.student
    assert (layer if method != "sskd" else layer[0]).in_features == width


@pytest.mark.parametrize(
    ("method", "count", "width", "message"),
    [
        ("kd", 9, 5, "unknown method with layers .* 'kd'; known: crd, crd_kd, sskd"),
        ("crd", 1, 5, "training images must be a whole number of at least 2, got 1"),
        ("sskd", 9, 0, "teacher's width must be a whole number of at least 1, got 0"),
    ],
)
def test_what_cannot_be_fitted(method, count, width, message):
    with pytest.raises(ValueError, match=message):
        contrast.fit(method, models.build("small_cnn", 10), count, width)
