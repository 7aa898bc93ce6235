import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical

from ldlstudy import losses, targets

UNIT, HEAT = st.floats(0, 1), st.floats(0.5, 10)


@st.composite
def batches(draw):
    """Draw logits of a student and a teacher (N, K) and labels (N,), in float64."""
    rows, classes = draw(st.integers(1, 5)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([0.1, 1.0, 20.0]))
    student, teacher = torch.from_numpy(rng.normal(scale=scale, size=(2, rows, classes)))
    return student, teacher, torch.from_numpy(rng.integers(classes, size=rows))


def batch(rows=4, classes=3):
    rng = np.random.default_rng(0)
    student, teacher = torch.from_numpy(rng.normal(scale=2, size=(2, rows, classes)))
    return student, teacher, torch.from_numpy(rng.integers(classes, size=rows))


def entropy(logits):
    return Categorical(logits=logits).entropy().mean()


ALL = {
    "cross_entropy": lambda s, t, y: losses.cross_entropy(s, y),
    "divergence": lambda s, t, y: losses.divergence(s, t, 4.0),
    "soft_cross_entropy": lambda s, t, y: losses.soft_cross_entropy(s, t.double().softmax(1)),
    "soft_cross_entropy weighted": lambda s, t, y: losses.soft_cross_entropy(
        s, t.double().softmax(1), 1.0 + y
    ),
    "kd": lambda s, t, y: losses.kd(s, t, y, 0.3, 3.0),
    "kd plain": lambda s, t, y: losses.kd(s, t, y, 0.3, 3.0, square=False),
    "kd_replication": lambda s, t, y: losses.kd_replication(s, t, y, 0.6, 2.0),
    "kd_mse": lambda s, t, y: losses.kd_mse(s, t, y, 0.6, 2.0),
    "kd_mse probabilities": lambda s, t, y: losses.kd_mse(s, t, y, compare="probabilities"),
    "cs_kd": lambda s, t, y: losses.cs_kd(s, t, y, 4.0, 3.0),
    "max_entropy": lambda s, t, y: losses.max_entropy(s, y, 0.5),
}


@settings(deadline=None)
@given(batches(), UNIT)
def test_soft_cross_entropy_of_smooth_labels_is_torchs_label_smoothing(case, epsilon):
    logits, _, labels = case
    target = targets.smooth(labels, logits.shape[1], epsilon)
    ours = losses.soft_cross_entropy(logits, target)
    theirs = F.cross_entropy(logits, labels, label_smoothing=epsilon)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)  # targets are float32


@settings(deadline=None)
@given(batches())
def test_soft_cross_entropy_is_divergence_plus_entropy_of_the_target(case):
    student, teacher, _ = case
    divergence = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")
    ours = losses.soft_cross_entropy(student, teacher.softmax(1))
    torch.testing.assert_close(ours, divergence + entropy(teacher))


@settings(deadline=None)
@given(batches(), st.integers(0, 2**32))
def test_weights_multiply_each_image_s_cross_entropy(case, seed):
    logits, teacher, _ = case
    target = teacher.softmax(1)
    weights = torch.from_numpy(np.random.default_rng(seed).uniform(0, 3, len(logits)))
    z, q = logits.numpy(), target.numpy()
    log_p = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    expected = float((weights.numpy() * -(q * log_p).sum(1)).sum() / len(z))
    ours = losses.soft_cross_entropy(logits, target, weights)
    assert float(ours) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    plain = losses.soft_cross_entropy(logits, target)
    torch.testing.assert_close(losses.soft_cross_entropy(logits, target, weights * 0 + 1), plain)


def test_distillation_by_hand():
    student = torch.log(torch.tensor([[0.5, 0.5]]))
    teacher = torch.log(torch.tensor([[0.9, 0.1]]))  # at T = 2: (.9, .1)^.5, 3 to 1
    labels = torch.tensor([1])
    log2 = float(np.log(2))
    assert float(losses.kd(student, teacher, labels, 0.25, 2.0)) == pytest.approx(
        0.75 * log2 + 0.25 * 4 * log2
    )
    assert float(losses.kd_mse(student, teacher, labels, 0.5, 2.0)) == pytest.approx(
        0.5 * log2 + 0.25 * ((0.75 + log2) ** 2 + (0.25 + log2) ** 2) / 2
    )
    assert float(
        losses.kd_mse(student, teacher, labels, 0.5, 2.0, compare="probabilities")
    ) == pytest.approx(0.5 * log2 + 0.25 * 0.25**2)


@settings(deadline=None)
@given(batches(), UNIT, HEAT)
def test_kd_is_the_divergence_plus_the_teachers_entropy(case, weight, temperature):
    student, teacher, labels = case
    p, q = (student / temperature).log_softmax(1), (teacher / temperature).softmax(1)
    soft = F.kl_div(p, q, reduction="batchmean") + entropy(teacher / temperature)
    hard = F.cross_entropy(student, labels)
    for square, factor in ((True, temperature**2), (False, 1.0)):
        ours = losses.kd(student, teacher, labels, weight, temperature, square)
        torch.testing.assert_close(ours, (1 - weight) * hard + weight * factor * soft)


def test_t_squared_keeps_the_gradient_at_high_temperature():
    """Hinton et al. (2015): T^2 times the gradient tends to (z - v) / K for centred logits."""
    student, teacher, labels = batch()
    student = (student - student.mean(1, keepdim=True)).requires_grad_()
    teacher = teacher - teacher.mean(1, keepdim=True)
    losses.kd(student, teacher, labels, 1.0, 1000.0).backward()
    expected = (student - teacher) / student.shape[1] / len(student)
    torch.testing.assert_close(student.grad, expected.detach(), rtol=1e-2, atol=1e-4)


@settings(deadline=None)
@given(batches(), UNIT, HEAT)
def test_the_replications_losses_scale_the_teacher_alone(case, weight, temperature):
    student, teacher, labels = case
    hard, soft = F.cross_entropy(student, labels), (teacher / temperature).softmax(1)
    expected = (1 - weight) * hard + weight * F.cross_entropy(student, soft)
    ours = losses.kd_replication(student, teacher, labels, weight, temperature)
    torch.testing.assert_close(ours, expected)
    for compare, seen in (("logits", student), ("probabilities", student.softmax(1))):
        ours = losses.kd_mse(student, teacher, labels, weight, temperature, compare)
        expected = (1 - weight) * hard + weight * 0.5 * (seen - soft).square().mean()
        torch.testing.assert_close(ours, expected)


def test_the_replications_losses_agree_with_kd_where_they_should():
    student, teacher, labels = batch()
    torch.testing.assert_close(
        losses.kd_replication(student, teacher, labels), losses.kd(student, teacher, labels, 0.6, 1)
    )
    same = losses.kd_mse(student, student, labels, 1.0, compare="probabilities")
    assert float(same) == 0


@settings(deadline=None)
@given(batches())
def test_cross_entropy_is_torchs(case):
    logits, _, labels = case
    torch.testing.assert_close(
        losses.cross_entropy(logits, labels), F.cross_entropy(logits, labels)
    )


@settings(deadline=None)
@given(batches(), HEAT)
def test_divergence_by_hand(case, temperature):
    logits, reference, _ = (x.numpy() for x in case)
    total = 0.0
    for z, v in zip(logits / temperature, reference / temperature, strict=True):
        log_p, log_r = z - np.logaddexp.reduce(z), v - np.logaddexp.reduce(v)
        total += sum(np.exp(r) * (r - p) for p, r in zip(log_p, log_r, strict=True))
    ours = losses.divergence(case[0], case[1], temperature)
    assert ours.dtype == torch.float64
    expected = temperature**2 * total / len(logits)
    assert float(ours) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(batches(), HEAT, st.floats(-5, 5))
def test_divergence_from_itself_is_nothing_and_neither_is_its_slope(case, temperature, shift):
    logits = case[0].requires_grad_()
    same = losses.divergence(logits, logits + shift, temperature)
    assert float(same.detach()) == pytest.approx(0, abs=1e-10)
    same.backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-10, rtol=0)


@settings(deadline=None)
@given(batches(), HEAT)
def test_the_slope_of_divergence_is_the_difference_of_probabilities(case, temperature):
    logits, reference = (z.requires_grad_() for z in case[:2])
    losses.divergence(logits, reference, temperature).backward()
    p, r = ((z.detach() / temperature).softmax(1) for z in (logits, reference))
    torch.testing.assert_close(logits.grad, (p - r) * temperature / len(p))
    assert reference.grad is None


@settings(deadline=None)
@given(batches())
def test_hot_divergence_compares_centred_logits(case):
    """CS-KD after Hinton et al.: T^2 times the gradient tends to (z - v) / (N K)."""
    logits, reference, _ = case
    scale = float(torch.stack([logits, reference]).abs().max())
    z, v = ((x - x.mean(1, keepdim=True)) / scale for x in (logits, reference))  # |z|, |v| <= 2
    z.requires_grad_()
    losses.divergence(z, v, 1000.0).backward()
    expected = (z.detach() - v) / z.numel()
    torch.testing.assert_close(z.grad, expected, rtol=0, atol=0.01 / z.numel())


@settings(deadline=None)
@given(batches(), HEAT, st.floats(0, 5))
def test_cs_kd_is_cross_entropy_plus_divergence(case, temperature, weight):
    logits, partner, labels = case
    p, q = (Categorical(logits=z / temperature) for z in (logits, partner))
    divergence = torch.distributions.kl_divergence(q, p).mean()
    expected = F.cross_entropy(logits, labels) + weight * temperature**2 * divergence
    ours = losses.cs_kd(logits, partner, labels, temperature, weight)
    torch.testing.assert_close(ours, expected)
    own = losses.cs_kd(logits, logits, labels, temperature, weight)  # its own partner: no penalty
    torch.testing.assert_close(own, F.cross_entropy(logits, labels))


@settings(deadline=None)
@given(batches(), st.floats(0, 5))
def test_confidence_penalty(case, weight):
    logits, _, labels = case
    expected = F.cross_entropy(logits, labels) - weight * entropy(logits)
    torch.testing.assert_close(losses.max_entropy(logits, labels, weight), expected)


@pytest.mark.parametrize("name", ALL)
def test_gradients(name):
    student, teacher, labels = batch()
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: ALL[name](z, teacher, labels), student)


@pytest.mark.parametrize("name", [name for name in ALL if "kd" in name or name == "divergence"])
def test_no_gradient_reaches_teacher_or_partner(name):
    student, teacher, labels = batch()
    student.requires_grad_()
    teacher.requires_grad_()
    ALL[name](student, teacher, labels).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_a_gradient_reaches_a_soft_target():
    logits, other, _ = batch()
    target = other.softmax(1).requires_grad_()
    losses.soft_cross_entropy(logits, target).backward()
    torch.testing.assert_close(target.grad, -logits.log_softmax(1) / len(logits))


@pytest.mark.parametrize("name", ALL)
def test_half_precision_logits_give_a_float32_loss(name):
    student, teacher, labels = batch()
    loss = ALL[name](student.bfloat16(), teacher.bfloat16(), labels)
    assert loss.dtype == torch.float32
    exact = ALL[name](student.bfloat16().double(), teacher.bfloat16().double(), labels)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", ALL)
def test_loss_is_the_mean_over_the_batch(name):
    student, teacher, labels = batch()
    rows = [ALL[name](*(x[i : i + 1] for x in (student, teacher, labels))) for i in range(4)]
    torch.testing.assert_close(ALL[name](student, teacher, labels), torch.stack(rows).mean())


Z, Y = torch.zeros(2, 3), torch.tensor([0, 2])
THIRDS = torch.full((2, 3), 1 / 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.soft_cross_entropy(Z, Z), "row of target must sum to 1"),
        (lambda: losses.soft_cross_entropy(Z, Z[:, :2]), r"target must have shape \(2, 3\)"),
        (lambda: losses.soft_cross_entropy(Z, Y), r"target must have shape \(N, K\)"),
        (lambda: losses.soft_cross_entropy(Z, Z.long()), "target must be floating point"),
        (lambda: losses.soft_cross_entropy(Z[:0], Z[:0]), r"logits must have shape \(N, K\)"),
        (lambda: losses.soft_cross_entropy(Z, Z / 0), "target must be finite"),
        (
            lambda: losses.soft_cross_entropy(Z, THIRDS, Z[:, 0, None]),
            r"weights must have shape \(2,",
        ),
        (lambda: losses.soft_cross_entropy(Z, THIRDS, Z[0]), r"shape \(2,\), got \(3,\)"),
        (lambda: losses.kd(Z, Z, Y, 1.1, 3.0), r"weight must lie in \[0, 1\], got 1.1"),
        (lambda: losses.kd(Z, Z, Y, 0.1, 0.0), r"temperature must lie in \(0, 1000\], got 0.0"),
        (lambda: losses.kd(Z, Z[:1], Y, 0.1, 3.0), r"teacher must have shape \(2, 3\)"),
        (lambda: losses.kd(Z, Z, Y + 1, 0.1, 3.0), r"labels must lie in \[0, 3\)"),
        (lambda: losses.kd(Z, Z, Y[:1], 0.1, 3.0), r"labels must have shape \(2,\), got \(1,\)"),
        (lambda: losses.kd_replication(Z, Z, Y, -0.1), "weight must lie in"),
        (lambda: losses.kd_mse(Z, Z, Y, 2.0), "weight must lie in"),
        (lambda: losses.kd_mse(Z, Z, Y, compare="both"), "known: logits, probabilities"),
        (lambda: losses.cross_entropy(Z, Y + 1), r"labels must lie in \[0, 3\)"),
        (lambda: losses.cross_entropy(Z, Y[:1]), r"labels must have shape \(2,\), got \(1,\)"),
        (lambda: losses.cross_entropy(Z, Z), "labels must have shape"),
        (lambda: losses.cross_entropy(Z[0], Y), r"logits must have shape \(N, K\)"),
        (lambda: losses.cross_entropy(Z.long(), Y), "logits must be floating point"),
        (lambda: losses.divergence(Z, Z[:1], 4.0), r"reference must have shape \(2, 3\)"),
        (lambda: losses.divergence(Z[:, :1], Z, 4.0), r"logits must have shape \(N, K\)"),
        (lambda: losses.divergence(Z, Z, 0.0), r"temperature must lie in \(0, 1000\], got 0.0"),
        (lambda: losses.divergence(Z, Z, 1001.0), "temperature must lie in"),
        (lambda: losses.divergence(Z, Z, float("nan")), "temperature must lie in"),
        (lambda: losses.cs_kd(Z, Z, Y, float("nan"), 1.0), "temperature must lie in"),
        (lambda: losses.cs_kd(Z, Z, Y, 4.0, -1.0), "weight must lie in"),
        (lambda: losses.max_entropy(Z, Y.float(), 1.0), "labels must be whole numbers"),
        (lambda: losses.max_entropy(Z, Y, -1.0), "weight must lie in"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
