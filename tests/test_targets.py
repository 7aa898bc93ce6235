import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta as beta_distribution
from scipy.stats import kstest
from sklearn.neighbors import NearestNeighbors, kneighbors_graph

from ldlstudy import targets

UNIT = st.floats(0, 1)


@st.composite
def teachers(draw):
    """Draw labels (N,) and teacher probabilities (N, K), N from 0 and some of them certain."""
    rows, classes = draw(st.integers(0, 6)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = torch.from_numpy(
        rng.normal(scale=draw(st.sampled_from([0, 1, 10, 1000])), size=(rows, classes))
    )
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return torch.from_numpy(rng.integers(classes, size=rows)), logits.softmax(1).to(dtype)


def assert_distributions(result, like):
    assert result.shape == like.shape
    assert result.dtype == like.dtype
    assert bool((result >= 0).all())
    torch.testing.assert_close(result.sum(1), torch.ones(len(like), dtype=like.dtype))


def test_worked_example_of_ils():
    printed = torch.tensor([[0.9333, 0.0333, 0.0333]])
    smoothed = targets.smooth(torch.tensor([0]), 3, 0.1)
    torch.testing.assert_close(smoothed, printed, atol=1e-4, rtol=0)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5])
def test_both_conventions_against_torch(alpha):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 7, generator=generator)
    labels = torch.randint(7, (40,), generator=generator)
    ours = F.cross_entropy(logits, targets.smooth(labels, 7, alpha))
    torch.testing.assert_close(ours, F.cross_entropy(logits, labels, label_smoothing=alpha))
    ours = F.cross_entropy(logits, targets.smooth_wrong(labels, 7, alpha))
    torch.testing.assert_close(ours, F.cross_entropy(logits, labels, label_smoothing=alpha * 7 / 6))


def test_ils_by_hand():
    teacher, labels = torch.tensor([[0.5, 0.4, 0.1]]), torch.tensor([0])
    factor = 2 * (0.5 - 0.8) ** 2  # .18, below the cap
    expected = torch.tensor([[1 - factor, factor * 0.8, factor * 0.2]])
    torch.testing.assert_close(targets.ils(labels, teacher, 0.8, 2.0), expected)
    torch.testing.assert_close(targets.ils2(labels, teacher, factor), expected)
    expected = torch.tensor([[1 - factor * 2 / 3, factor / 3, factor / 3]])
    torch.testing.assert_close(targets.ils1(labels, teacher, 0.8, 2.0), expected)


def test_factors_by_hand():
    p = torch.tensor([0.1, 0.7, 0.8, 1.0], dtype=torch.float64)
    quadratic = targets.quadratic_factor(p, 0.8, 2.0)
    torch.testing.assert_close(quadratic, torch.tensor([0.2, 0.02, 0, 0.08], dtype=torch.float64))
    sinusoidal = targets.sinusoidal_factor(p, 0.1, np.pi)
    expected = [0.1 * (np.sin(x * np.pi) + 1) for x in (0, 0.6, 0.7, 0.9)]
    torch.testing.assert_close(sinusoidal, torch.tensor(expected, dtype=torch.float64))


@given(teachers(), UNIT, st.floats(0, 10), UNIT)
def test_teacher_strategies_return_distributions(case, p1, p2, epsilon):
    labels, teacher = case
    for result in (
        targets.ils1(labels, teacher, p1, p2),
        targets.ils2(labels, teacher, epsilon),
        targets.ils(labels, teacher, p1, p2),
        targets.sinusoidal(labels, teacher, p1, p2),
        targets.bootstrap(labels, teacher, epsilon),
    ):
        assert_distributions(result, teacher)


@given(teachers(), UNIT)
def test_label_strategies_return_distributions(case, epsilon):
    labels, teacher = case
    classes, like = teacher.shape[1], teacher.float()
    for result in (
        targets.one_hot(labels, classes),
        targets.smooth(labels, classes, epsilon),
        targets.smooth_wrong(labels, classes, epsilon),
        targets.beta(labels, classes, 0.5 * epsilon),
        targets.beta(labels, classes, 0.5 * epsilon, teacher=teacher),
    ):
        assert_distributions(result, like)


@given(teachers(), UNIT, st.floats(0, 10), UNIT)
def test_ils1_is_smoothing_with_a_capped_factor_for_each_row(case, p1, p2, cap):
    labels, teacher = case
    result = targets.ils1(labels, teacher, p1, p2, cap)
    for row, label, p in zip(result, labels, teacher, strict=True):
        factor = min(cap, p2 * (float(p[label]) - p1) ** 2)
        expected = targets.smooth(label[None], teacher.shape[1], factor)[0].to(row)
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=0)
        assert float(row[label]) >= 1 - cap - 1e-6


@given(teachers(), st.floats(0.01, 1))
def test_ils2_keeps_the_ratios_of_the_wrong_classes(case, epsilon):
    labels, teacher = case
    result = targets.ils2(labels, teacher, epsilon).double()
    wrong = torch.ones_like(result).scatter(1, labels[:, None], 0)
    torch.testing.assert_close(
        (result * (1 - wrong)).sum(1), torch.full((len(labels),), 1 - epsilon).double()
    )
    given_wrong = teacher.double() * wrong
    known = given_wrong.sum(1) > 1e-30
    share = given_wrong / given_wrong.sum(1, keepdim=True)
    torch.testing.assert_close((result * wrong / epsilon)[known], share[known], atol=1e-5, rtol=0)


def test_a_certain_teacher_spreads_epsilon_evenly():
    result = targets.ils2(torch.tensor([1]), torch.tensor([[0.0, 1.0, 0.0]]), 0.2)
    torch.testing.assert_close(result, torch.tensor([[0.1, 0.8, 0.1]]))


def test_ils_takes_magnitude_and_distribution_from_different_temperatures():
    logits, labels = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
    fitted, grid = logits.softmax(1), (logits / 4).softmax(1)
    factor = float(targets.quadratic_factor(fitted[:, 0], 0.8, 2.0))
    result = targets.ils(labels, grid, 0.8, 2.0, magnitude=fitted)
    torch.testing.assert_close(result, targets.ils2(labels, grid, factor))
    assert not torch.allclose(result, targets.ils(labels, grid, 0.8, 2.0))


def test_sinusoidal_is_smoothing_by_its_factor():
    labels, teacher = torch.tensor([2]), torch.tensor([[0.2, 0.2, 0.6]])
    factor = 0.1 * (np.sin(3 * (0.6 - 0.25)) + 1)
    result = targets.sinusoidal(labels, teacher, 0.25, 3)
    torch.testing.assert_close(result, targets.smooth(labels, 3, factor))


def test_neighbours_share_their_labels():
    """On a line: 0, 1, 2 and far away 10, 11; each counts itself."""
    x = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0]])
    y = torch.tensor([0, 0, 1, 1, 2])
    found = targets.neighbours(x, y, 3, 2)
    # of the point at 1 both neighbours are as near, so one of two answers is right
    expected = torch.tensor([[1, 0, 0], [0, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]])
    rows = [0, 2, 3, 4]
    torch.testing.assert_close(found[rows], expected[rows])
    assert found[1].tolist() in ([1, 0, 0], [0.5, 0.5, 0])
    torch.testing.assert_close(targets.neighbours(x, y, 3, 1), targets.one_hot(y, 3))
    everyone = torch.tensor([0.4, 0.4, 0.2]).expand(5, 3)
    torch.testing.assert_close(targets.neighbours(x, y, 3, 99), everyone)


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 8))
def test_neighbours_are_scikit_learn_s(seed, samples, count):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(samples, 3)).astype(np.float32), rng.integers(0, 3, samples)
    nearest = NearestNeighbors(n_neighbors=min(count, samples)).fit(x).kneighbors(x)[1]
    expected = np.eye(3)[y][nearest].mean(1)
    found = targets.neighbours(torch.from_numpy(x), torch.from_numpy(y), 3, count)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_neighbours_far_from_the_origin_are_the_same():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)).double()
    y = torch.arange(200) % 3
    assert torch.equal(targets.neighbours(x + 1e6, y, 3), targets.neighbours(x, y, 3))


def test_labels_spread_along_the_graph_until_they_stand():
    """F = (1 - alpha) (I - alpha S)^-1 Y, rows divided by their sums (Zhou et al., 2004)."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 2)), rng.integers(0, 2, 40) * 2  # class 1 has no sample
    graph = kneighbors_graph(x, 5, mode="connectivity", include_self=True).toarray()
    graph = graph * (1 - np.eye(40))
    degree = np.maximum(graph.sum(0), 1)  # of how many samples each is a neighbour
    s = graph / np.sqrt(degree[:, None] * degree[None])
    spread = np.linalg.solve(np.eye(40) - 0.6 * s, np.eye(3)[y])
    found = targets.propagation(torch.from_numpy(x), torch.from_numpy(y), 3, 0.6, 5)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    assert (found[:, 1] == 0).all()
    away = np.abs(found.numpy() - spread / spread.sum(1, keepdims=True)).max()
    assert away < 0.02


def test_class_similarity_gives_nearer_classes_more():
    features = torch.tensor([[0.0, 0], [2, 0], [3, 0], [1, 4]])  # means (1, 0), (3, 0), (1, 4)
    labels = torch.tensor([0, 0, 1, 2])
    result = targets.class_similarity(features, labels, 3, 0.3)
    near, far = float(np.exp(-2)), float(np.exp(-4))
    row = torch.tensor([0.7, 0.3 * near / (near + far), 0.3 * far / (near + far)])
    torch.testing.assert_close(result[:2], row.expand(2, 3))
    torch.testing.assert_close(result.sum(1), torch.ones(4))
    torch.testing.assert_close(result.gather(1, labels[:, None]), torch.full((4, 1), 0.7))


def test_bootstrap_by_hand_and_its_gradient():
    p = torch.tensor([[0.2, 0.8]], requires_grad=True)
    result = targets.bootstrap(torch.tensor([0]), p)
    torch.testing.assert_close(result.detach(), torch.tensor([[0.96, 0.04]]))
    result[0, 0].backward()
    torch.testing.assert_close(p.grad, torch.tensor([[0.05, 0.0]]))


def test_beta_draws_have_their_law_and_mean():
    labels = torch.zeros(20_000, dtype=torch.long)
    generator = torch.Generator().manual_seed(0)
    true = targets.beta(labels, 4, 0.1, generator=generator)[:, 0].numpy().astype(float)
    a = (1 - 0.1 - 0.4) / 0.1
    assert kstest((true - 0.4) / 0.6, beta_distribution(a, 1).cdf).pvalue > 0.01
    assert true.mean() == pytest.approx(0.9, abs=0.004)
    assert true.min() >= 0.4


def test_beta_ranks_by_the_teacher_and_follows_its_generator():
    labels = torch.tensor([0, 0, 1, 1])
    teacher = torch.tensor([[0.3, 0.7], [0.9, 0.1], [0.5, 0.5], [0.4, 0.6]])
    first, again = (
        targets.beta(labels, 2, 0.2, teacher=teacher, generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    )
    assert torch.equal(first, again)
    true = first.gather(1, labels[:, None])[:, 0]
    assert true.argsort().tolist() == [0, 2, 3, 1]
    assert torch.equal(targets.beta(labels, 3, 0.0), targets.one_hot(labels, 3))


LABELS, TEACHER = torch.tensor([0, 1]), torch.full((2, 2), 0.5)
WIDER = torch.full((2, 3), 1 / 3)
FEATURES = torch.tensor([[0.0], [1.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: targets.one_hot(LABELS, 1), "classes must be a whole number of at least 2"),
        (lambda: targets.one_hot(torch.tensor([2]), 2), r"labels must lie in \[0, 2\)"),
        (lambda: targets.smooth(LABELS, 2, 1.1), r"epsilon must lie in \[0, 1\], got 1.1"),
        (lambda: targets.smooth_wrong(LABELS, 2, -0.1), "alpha must lie in"),
        (lambda: targets.ils1(LABELS, TEACHER, 2.0, 0.8), "p1 must lie in"),
        (lambda: targets.ils1(LABELS, TEACHER, 0.8, 2, cap=2), "cap must lie in"),
        (lambda: targets.ils1(LABELS, TEACHER + 0.1, 0.8, 2), "row of teacher must sum to 1"),
        (lambda: targets.ils2(LABELS[:1], TEACHER, 0.1), "as many rows, got 1 and 2"),
        (lambda: targets.ils(LABELS, TEACHER, 0.8, 2, magnitude=TEACHER[:1]), "got 2 and 1"),
        (lambda: targets.ils(LABELS, TEACHER, 0.8, 2, magnitude=WIDER), "the same shape"),
        (lambda: targets.sinusoidal(LABELS, TEACHER, float("inf"), 1), "p1 must lie in"),
        (lambda: targets.bootstrap(LABELS, TEACHER, 1.5), "beta must lie in"),
        (lambda: targets.beta(LABELS, 2, 0.6), r"epsilon must lie in \[0, 0.6\)"),
        (lambda: targets.beta(LABELS, 2, 0.1, alpha=-1), "alpha must lie in"),
        (lambda: targets.beta(LABELS, 3, 0.1, teacher=TEACHER), "teacher must have 3 classes"),
        (lambda: targets.class_similarity(FEATURES, LABELS, 3, 0.1), r"none of class \[2\]"),
        (lambda: targets.class_similarity(FEATURES[:1], LABELS, 2, 0.1), r"of shape \(2, D\)"),
        (lambda: targets.class_similarity(FEATURES / 0, LABELS, 2, 0.1), "finite"),
        (lambda: targets.neighbours(FEATURES[:1], LABELS, 2), r"of shape \(2, D\)"),
        (
            lambda: targets.neighbours(FEATURES, LABELS, 2, 0),
            "count must be a whole number of at least 1",
        ),
        (lambda: targets.propagation(FEATURES / 0, LABELS, 2), "finite"),
        (lambda: targets.propagation(FEATURES, LABELS, 2, 1.0), "alpha must lie in"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
