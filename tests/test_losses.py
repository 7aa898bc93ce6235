import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
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
    "wsl": lambda s, t, y: losses.wsl(s, t, y, 1.5, 2.0),
    "easiest_divergence": lambda s, t, y: losses.easiest_divergence(s, t, y, 3.0, 1.0),
}
TAUGHT = [name for name in ALL if "kd" in name or "divergence" in name or name == "wsl"]


@given(batches(), UNIT)
def test_soft_cross_entropy_of_smooth_labels_is_torchs_label_smoothing(case, epsilon):
    logits, _, labels = case
    target = targets.smooth(labels, logits.shape[1], epsilon)
    ours = losses.soft_cross_entropy(logits, target)
    theirs = F.cross_entropy(logits, labels, label_smoothing=epsilon)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)  # targets are float32
    hard = losses.cross_entropy(logits, labels)
    torch.testing.assert_close(hard, F.cross_entropy(logits, labels))


@given(batches())
def test_soft_cross_entropy_is_divergence_plus_entropy_of_the_target(case):
    student, teacher, _ = case
    divergence = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")
    ours = losses.soft_cross_entropy(student, teacher.softmax(1))
    torch.testing.assert_close(ours, divergence + entropy(teacher))


@given(batches(), st.integers(0, 2**32))
def test_weights_multiply_each_image_s_cross_entropy(case, seed):
    logits, teacher, _ = case
    target = teacher.softmax(1)
    weights = np.random.default_rng(seed).uniform(0, 3, len(logits))
    z, q = logits.numpy(), target.numpy()
    log_p = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    expected = float((weights * -(q * log_p).sum(1)).sum() / len(z))
    ours = losses.soft_cross_entropy(logits, target, torch.from_numpy(weights))
    assert float(ours) == pytest.approx(expected, rel=1e-9, abs=1e-12)


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


@given(batches(), UNIT, HEAT)
def test_the_replications_losses_scale_the_teacher_alone_unless_asked(case, weight, temperature):
    student, teacher, labels = case
    hard, soft = F.cross_entropy(student, labels), (teacher / temperature).softmax(1)
    expected = (1 - weight) * hard + weight * F.cross_entropy(student, soft)
    ours = losses.kd_replication(student, teacher, labels, weight, temperature)
    torch.testing.assert_close(ours, expected)
    cool = student / temperature  # as eq. 2 is printed, both terms have the student at T
    expected = (1 - weight) * F.cross_entropy(cool, labels) + weight * F.cross_entropy(cool, soft)
    ours = losses.kd_replication(student, teacher, labels, weight, temperature, scale_student=True)
    torch.testing.assert_close(ours, expected)
    for compare, seen in (("logits", student), ("probabilities", student.softmax(1))):
        ours = losses.kd_mse(student, teacher, labels, weight, temperature, compare)
        expected = (1 - weight) * hard + weight * 0.5 * (seen - soft).square().mean()
        torch.testing.assert_close(ours, expected)


@given(batches(), HEAT)
def test_the_slope_of_divergence_is_the_difference_of_probabilities(case, temperature):
    logits, reference = (z.requires_grad_() for z in case[:2])
    losses.divergence(logits, reference, temperature).backward()
    p, r = ((z.detach() / temperature).softmax(1) for z in (logits, reference))
    torch.testing.assert_close(logits.grad, (p - r) * temperature / len(p))
    assert reference.grad is None


@given(batches(), HEAT, st.floats(0, 5))
def test_cs_kd_is_cross_entropy_plus_divergence(case, temperature, weight):
    logits, partner, labels = case
    p, q = (Categorical(logits=z / temperature) for z in (logits, partner))
    divergence = torch.distributions.kl_divergence(q, p).mean()
    term = losses.divergence(logits, partner, temperature)
    torch.testing.assert_close(term, temperature**2 * divergence)
    expected = F.cross_entropy(logits, labels) + weight * term
    ours = losses.cs_kd(logits, partner, labels, temperature, weight)
    torch.testing.assert_close(ours, expected)


@given(batches(), st.floats(0, 5))
def test_confidence_penalty(case, weight):
    logits, _, labels = case
    expected = F.cross_entropy(logits, labels) - weight * entropy(logits)
    torch.testing.assert_close(losses.max_entropy(logits, labels, weight), expected)


def test_wsl_by_hand():
    student, teacher, labels = batch()
    p, q = ((x / 2).softmax(1).numpy() for x in (student, teacher))
    own, taught = (F.cross_entropy(x, labels, reduction="none").numpy() for x in (student, teacher))
    share = 1 - np.exp(-own / taught)
    expected = own.mean() + 2.5 * 4 * np.mean(share * -(q * np.log(p)).sum(1))
    ours = losses.wsl(student, teacher, labels, 2.5, 2.0)
    assert float(ours) == pytest.approx(expected, rel=1e-5)


def test_wsl_teaches_a_student_by_how_much_worse_it_is_than_its_teacher():
    """Equal losses give w = 1 - 1 / e; a perfect teacher is copied whole."""
    z, labels = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([0])
    ours = losses.wsl(z, z, labels, 1.0, 1.0) - F.cross_entropy(z, labels)
    assert float(ours) == pytest.approx((1 - np.exp(-1)) * float(entropy(z)), rel=1e-5)
    perfect = torch.tensor([[500.0, 0.0, 0.0]])  # its loss is 0
    ours = losses.wsl(z, perfect, labels, 1.0, 1.0)
    assert float(ours) == pytest.approx(2 * float(F.cross_entropy(z, labels)), rel=1e-5)


def test_no_slope_of_wsl_comes_through_its_weights():
    student, teacher, labels = batch()
    student.requires_grad_()
    losses.wsl(student, teacher, labels, 1.5, 2.0).backward()
    z = student.detach()
    own, taught = (F.cross_entropy(x, labels, reduction="none") for x in (z, teacher))
    share = 1 - (-own / taught).exp()[:, None]
    soft = (z / 2).softmax(1) - (teacher / 2).softmax(1)
    expected = (z.softmax(1) - F.one_hot(labels, 3) + 1.5 * 2 * share * soft) / len(labels)
    torch.testing.assert_close(student.grad, expected, rtol=1e-5, atol=1e-6)


RANKED = torch.tensor([  # ranks of column 0: 2, 0, 1, 2, 1
    [0.0, 2.0, 1.0],
    [3.0, 2.0, 1.0],
    [1.5, 2.0, 1.0],
    [0.0, 1.0, 2.0],
    [1.0, 0.0, 2.0],
])  # fmt: skip
FIRST = torch.zeros(5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("share", "rows"), [(0.0, [1]), (0.24, [1]), (0.25, [1, 2]), (0.75, [0, 1, 2, 4])]
)
def test_only_the_easiest_of_the_wrong_rows_count(share, rows):
    assert losses.easiest(RANKED, FIRST, share).nonzero()[:, 0].tolist() == rows
    z = batch(rows=5)[0].float().requires_grad_()
    ours = losses.easiest_divergence(z, RANKED, FIRST, 2.0, share)
    torch.testing.assert_close(ours, losses.divergence(z[rows], RANKED[rows], 2.0))
    ours.backward()
    assert z.grad.any(1).nonzero()[:, 0].tolist() == rows


def test_no_row_to_learn_from_gives_no_loss():
    z = batch(rows=2)[0].requires_grad_()
    none = losses.easiest_divergence(z, RANKED[[0, 4]], FIRST[:2], 2.0, 0.0)
    none.backward()
    assert float(none.detach()) == 0
    assert not z.grad.any()


@given(batches(), UNIT)
def test_easiest_against_sorting(case, share):
    scores, _, truth = case
    ranks = [
        row.argsort(descending=True).tolist().index(y)
        for row, y in zip(scores, truth.tolist(), strict=True)
    ]
    wrong = sorted((rank, i) for i, rank in enumerate(ranks) if rank)
    kept = {i for i, rank in enumerate(ranks) if not rank}
    kept |= {i for _, i in wrong[: int(share * len(wrong))]}
    assert set(losses.easiest(scores, truth, share).nonzero()[:, 0].tolist()) == kept


@pytest.mark.parametrize("name", [name for name in ALL if name != "wsl"])
def test_gradients(name):
    student, teacher, labels = batch()
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: ALL[name](z, teacher, labels), student)


@pytest.mark.parametrize("name", TAUGHT)
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
        (lambda: losses.soft_cross_entropy(Z, Y), r"target must have shape \(N, K\)"),
        (lambda: losses.soft_cross_entropy(Z[:0], Z[:0]), r"logits must have shape \(N, K\)"),
        (lambda: losses.soft_cross_entropy(Z, Z / 0), "target must be finite"),
        (lambda: losses.soft_cross_entropy(Z, THIRDS, Z[0]), r"shape \(2,\), got \(3,\)"),
        (lambda: losses.kd(Z, Z, Y, 1.1, 3.0), r"weight must lie in \[0, 1\], got 1.1"),
        (lambda: losses.kd(Z, Z, Y, 0.1, 0.0), r"temperature must lie in \(0, 1000\], got 0.0"),
        (lambda: losses.kd(Z, Z, Y + 1, 0.1, 3.0), r"labels must lie in \[0, 3\)"),
        (lambda: losses.kd(Z, Z, Y[:1], 0.1, 3.0), r"labels must have shape \(2,\), got \(1,\)"),
        (lambda: losses.kd_mse(Z, Z, Y, compare="both"), "known: logits, probabilities"),
        (lambda: losses.cross_entropy(Z.long(), Y), "logits must be floating point"),
        (lambda: losses.divergence(Z, Z[:1], 4.0), r"reference must have shape \(2, 3\)"),
        (lambda: losses.divergence(Z[:, :1], Z, 4.0), r"logits must have shape \(N, K\)"),
        (lambda: losses.cs_kd(Z, Z, Y, 1001.0, 1.0), "temperature must lie in"),
        (lambda: losses.cs_kd(Z, Z, Y, 4.0, -1.0), "weight must lie in"),
        (lambda: losses.max_entropy(Z, Y.float(), 1.0), "labels must be whole numbers"),
        (lambda: losses.max_entropy(Z, Y, -1.0), "weight must lie in"),
        (lambda: losses.wsl(Z, Z, Y, -1.0, 2.0), "weight must lie in"),
        (lambda: losses.wsl(Z, Z[:1], Y, 1.0, 2.0), r"teacher must have shape \(2, 3\)"),
        (lambda: losses.easiest(Z, Y, 1.1), r"share must lie in \[0, 1\], got 1.1"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
