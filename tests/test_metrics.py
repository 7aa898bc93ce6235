import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch.profiler import ProfilerActivity, profile
from torchmetrics.classification import MulticlassCalibrationError

from ldlstudy import metrics
from ldlstudy.metrics import nearest_is_alike
from ldlstudy.mixture import six_gaussians

SCORES = [
    metrics.accuracy,
    metrics.nll,
    metrics.brier,
    metrics.top_label_brier,
    metrics.ece,
    metrics.classwise_ece,
    metrics.class_conditional_ece,
    metrics.uce,
    metrics.smoothness,
]
HIGHEST = {"brier": 2.0, "nll": 87.4, "smoothness": 2.0}
BINNED = [metrics.ece, metrics.classwise_ece, metrics.class_conditional_ece, metrics.uce]


@st.composite
def samples(draw):
    """Draw probabilities (N, K) and labels (N,), some rows certain, some uniform."""
    rows, classes = draw(st.integers(1, 20)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = rng.normal(scale=draw(st.sampled_from([0, 1, 5, 100])), size=(rows, classes))
    p = torch.from_numpy(logits).softmax(1)
    p = p.to(draw(st.sampled_from([torch.float32, torch.float64])))
    return p, torch.from_numpy(rng.integers(classes, size=rows))


def random_sample(rows=2000, classes=7, seed=0):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(scale=2, size=(rows, classes)))
    return logits.softmax(1), torch.from_numpy(rng.integers(classes, size=rows))


@given(samples(), st.randoms(use_true_random=False))
def test_scores_ignore_the_order_and_the_library_of_samples_and_stay_in_range(sample, random):
    p, y = sample
    order = random.sample(range(len(y)), len(y))
    for score in SCORES:
        value = score(p, y)
        assert type(value) is float
        assert -1e-12 <= value <= HIGHEST.get(score.__name__, 1.0) + 1e-6
        assert score(p[order], y[order]) == pytest.approx(value, abs=1e-9)
        assert score(p.numpy(), y.numpy()) == value
    assert metrics.kl_to_truth(p.numpy(), p) == metrics.kl_to_truth(p, p)


@given(samples(), st.permutations(range(5)))
def test_scores_ignore_the_names_of_classes(sample, names):
    p, y = sample
    p = p.double() + 1e-6 * torch.arange(1, p.shape[1] + 1)  # no two classes equally probable
    p = p / p.sum(1, keepdim=True)
    names = torch.tensor([name for name in names if name < p.shape[1]])
    renamed = torch.empty_like(p)
    renamed[:, names] = p
    for score in SCORES:
        assert score(renamed, names[y]) == pytest.approx(score(p, y), abs=1e-9)


DISTANCES = {  # of one row, by scipy or by their formula
    "chebyshev": distance.chebyshev,
    "canberra": distance.canberra,
    "clark": lambda t, p: float(np.linalg.norm((t - p)[t + p > 0] / (t + p)[t + p > 0])),
    "cosine": lambda t, p: 1 - distance.cosine(t, p),
    "intersection": lambda t, p: 1 - distance.cityblock(t, p) / 2,
    "cross_entropy_to_truth": lambda t, p: -float(t @ np.log(p)),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_of_distributions_against_scipy(name):
    truth, p = (random_sample(300, seed=seed)[0].numpy() for seed in (1, 2))
    truth[::3, :4] = 0  # classes that nobody names
    truth /= truth.sum(1, keepdims=True)
    expected = np.mean([DISTANCES[name](*rows) for rows in zip(truth, p, strict=True)])
    assert getattr(metrics, name)(truth, p) == pytest.approx(expected, rel=1e-12)
    both = np.array([[0.5, 0.5, 0.0]])  # no class is divided by 0
    same = {"cosine": 1.0, "intersection": 1.0, "cross_entropy_to_truth": np.log(2)}
    assert getattr(metrics, name)(both, both) == pytest.approx(same.get(name, 0.0))


def test_the_six_distances_are_python_ldl_s(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        theirs = pytest.importorskip("pyldl.metrics")
    truth, p = (random_sample(300, seed=seed)[0].numpy() for seed in (1, 2))
    assert metrics.kl_to_truth(truth, p) == pytest.approx(theirs.kl_divergence(truth, p))
    for name in ("chebyshev", "clark", "canberra", "cosine", "intersection"):
        assert getattr(metrics, name)(truth, p) == pytest.approx(getattr(theirs, name)(truth, p))


def test_scores_against_scikit_learn():
    p, y = random_sample()
    assert metrics.nll(p, y) == pytest.approx(log_loss(y, p), rel=1e-12)
    assert metrics.brier(p, y) == pytest.approx(
        brier_score_loss(y, p, scale_by_half=False), rel=1e-12
    )
    for k in (1, 2, 5):
        assert metrics.topk_accuracy(p, y, k) == top_k_accuracy_score(y, p, k=k)
    assert metrics.topk_accuracy(p, y, 1) == metrics.accuracy(p, y)
    assert metrics.topk_accuracy(p, y, 7) == 1


@pytest.mark.parametrize("bins", [1, 10, 15, 20])
def test_ece_against_torchmetrics(bins):
    p, y = random_sample()
    oracle = MulticlassCalibrationError(num_classes=7, n_bins=bins, norm="l1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics' own
        expected = float(oracle(p, y))
    assert metrics.ece(p, y, bins=bins, edges="left") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("classes", "bins"), [(3, 10), (7, 15), (10, 20)])
def test_binned_errors_against_netcal(classes, bins):
    netcal = pytest.importorskip("netcal.metrics")
    p, y = random_sample(rows=1000, classes=classes, seed=bins)
    rows, truth = p.numpy(), y.numpy()
    adaptive = netcal.ECE(bins, equal_intervals=False).measure(rows, truth)
    each = [netcal.ECE(bins).measure(rows[:, k], truth == k) for k in range(classes)]
    for found, expected in (
        (metrics.ece(p, y, bins=bins), netcal.ECE(bins).measure(rows, truth)),
        (metrics.ece(p, y, bins=bins, norm="max"), netcal.MCE(bins).measure(rows, truth)),
        (metrics.ece(p, y, bins=bins, edges="quantile"), adaptive),
        (metrics.classwise_ece(p, y, bins=bins), np.mean(each)),
    ):
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("bins", [1, 4, 10])
def test_bins_between_quantiles_are_scikit_learn_s(bins):
    p, y = random_sample(rows=400, classes=2)
    p[:60, 1], p[:60, 0] = 0.3, 0.7  # equal values stay together
    happened, mean = calibration_curve(y, p[:, 1], n_bins=bins, strategy="quantile")
    edges = np.percentile(p[:, 1], np.linspace(0, 100, bins + 1)[1:-1])
    counts = np.bincount(np.searchsorted(edges, p[:, 1].numpy()), minlength=bins)
    gaps = np.abs(happened - mean)
    share = counts[counts > 0] / 400
    for norm, expected in (
        ("l1", share @ gaps),
        ("l2", np.sqrt(share @ gaps**2)),
        ("max", gaps.max()),
    ):
        found = metrics.binary_ece(p[:, 1], y, bins=bins, edges="quantile", norm=norm)
        assert found == pytest.approx(expected, abs=1e-12)


def test_bins_between_quantiles_hold_as_many_samples_each():
    p, y = random_sample(rows=600)
    found = metrics.reliability(p, y, bins=15, edges="quantile")
    assert found.count.tolist() == [40] * 15
    assert found.lower[0] == 0
    assert (np.diff(found.lower) > 0).all()
    assert (found.lower[1:] < found.confidence[1:]).all()
    gaps = np.abs(found.accuracy - found.confidence)
    assert metrics.ece(p, y, edges="quantile") == pytest.approx(gaps.mean())
    with pytest.raises(ValueError, match="unknown edges 'quantile'; known: left, right"):
        metrics.classwise_ece(p, y, edges="quantile")


def test_norms_of_the_gaps_by_hand():
    # in two bins of 2 samples: gaps of .0 and .1
    for norm, expected in (("l1", 0.05), ("l2", np.sqrt(0.005)), ("max", 0.1)):
        assert metrics.ece(ON_EDGE, ON_EDGE_LABELS, bins=2, norm=norm) == pytest.approx(expected)
    with pytest.raises(ValueError, match="unknown norm 'l4'; known: l1, l2, max"):
        metrics.ece(ON_EDGE, ON_EDGE_LABELS, norm="l4")


@given(samples(), st.sampled_from(["left", "right", "quantile"]), st.integers(1, 20))
def test_norms_are_in_order(sample, edges, bins):
    l1, l2, largest = (metrics.ece(*sample, bins, edges, norm) for norm in ("l1", "l2", "max"))
    assert 0 <= l1 <= l2 + 1e-12
    assert l2 <= largest + 1e-12


# Two bins meet at .5. Confidences .5, .5, .8 and 1; the predictions are right, wrong, right, right.
ON_EDGE = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
ON_EDGE_LABELS = torch.tensor([0, 1, 1, 2])


def test_ece_and_reliability_by_hand_on_edges():
    right = metrics.reliability(ON_EDGE, ON_EDGE_LABELS, bins=2)
    assert right.lower.tolist() == [0, 0.5]
    assert right.count.tolist() == [2, 2]
    np.testing.assert_allclose(right.accuracy, [0.5, 1])
    np.testing.assert_allclose(right.confidence, [0.5, 0.9])
    assert metrics.ece(ON_EDGE, ON_EDGE_LABELS, bins=2) == pytest.approx(0.05)

    left = metrics.reliability(ON_EDGE, ON_EDGE_LABELS, bins=2, edges="left")
    assert left.count.tolist() == [0, 4]
    np.testing.assert_allclose(left.accuracy, [np.nan, 0.75])
    np.testing.assert_allclose(left.confidence, [np.nan, 0.7])
    assert metrics.ece(ON_EDGE, ON_EDGE_LABELS, bins=2, edges="left") == pytest.approx(0.05)


def test_the_edge_convention_can_change_ece():
    p = torch.tensor([[0.5, 0.5], [0.6, 0.4]])
    y = torch.tensor([0, 1])  # right, wrong: gaps +.5 and -.6, in two bins or in one
    assert metrics.ece(p, y, bins=2, edges="right") == pytest.approx(0.55)
    assert metrics.ece(p, y, bins=2, edges="left") == pytest.approx(0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bins", [10, 15])
def test_every_edge_is_an_edge_in_every_dtype(dtype, bins):
    edge = torch.arange(bins // 2 + 1, bins, dtype=torch.float64) / bins
    p = torch.stack([edge, 1 - edge], 1).to(dtype)
    y = torch.zeros(len(p), dtype=torch.long)
    inside = np.arange(bins // 2 + 1, bins)
    assert np.flatnonzero(metrics.reliability(p, y, bins=bins).count).tolist() == list(inside - 1)
    left = metrics.reliability(p, y, bins=bins, edges="left")
    assert np.flatnonzero(left.count).tolist() == list(inside)


def test_classwise_ece_by_hand():
    # class 0: {.5, .5, .1, 0} in the lower bin, one of four is 0: |1 - 1.1| / 4
    # class 1: {.3, .2, 0}: |1 - .5| and {.8}: |1 - .8|; class 2: {.2, .3, .1}: .6 and {1}: 0
    expected = (0.1 + 0.5 + 0.2 + 0.6) / 4 / 3
    assert metrics.classwise_ece(ON_EDGE, ON_EDGE_LABELS, bins=2) == pytest.approx(expected)
    # with [lo, hi) the two .5 of class 0 move up: |1 - 1| and |0 - .1|
    left = metrics.classwise_ece(ON_EDGE, ON_EDGE_LABELS, bins=2, edges="left")
    assert left == pytest.approx(expected)
    p, y = torch.tensor([[0.5, 0.5], [0.4, 0.6]]), torch.tensor([0, 1])
    # class 0 in one bin: |1 - .9|, or in two: .5 + .4; class 1 in two: .5 + .4, or in one: .1
    assert metrics.classwise_ece(p, y, bins=2) == pytest.approx((0.1 + 0.9) / 4)


def test_class_conditional_ece_by_hand():
    # class 0: right at .5; class 1: wrong at .5, right at .8; class 2: right at 1
    for edges, expected in (("right", 0.5 + (0.5 + 0.2) / 2), ("left", 0.5 + abs(1 - 1.3) / 2)):
        ours = metrics.class_conditional_ece(ON_EDGE, ON_EDGE_LABELS, bins=2, edges=edges)
        assert ours == pytest.approx(expected / 3)


def test_class_conditional_ece_is_the_mean_over_the_classes_that_occur():
    p, y = random_sample(classes=4)
    keep = y != 2
    each = [metrics.ece(p[y == label], y[y == label]) for label in (0, 1, 3)]
    assert metrics.class_conditional_ece(p[keep], y[keep]) == pytest.approx(np.mean(each))


def test_uce_by_hand_on_edges():
    p = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4], dtype=torch.float64)
    y = torch.tensor([0, 1, 1])  # normalised entropies 0, 1/2, 1; errors 0, 1, 1
    assert metrics.uce(p, y, bins=2, edges="right") == pytest.approx((abs(1 - 0.5) + 0) / 3)
    assert metrics.uce(p, y, bins=2, edges="left") == pytest.approx((0 + abs(2 - 1.5)) / 3)
    y = torch.tensor([0, 0, 1])  # errors 0, 0, 1: with [lo, hi) the gaps are 0 and |1 - 1.5|
    assert metrics.uce(p, y, bins=2, edges="right") == pytest.approx(0.5 / 3)
    assert metrics.uce(p[[0, 2]], y[[0, 2]]) == 0


def test_the_bayes_posterior_reproduces_both_readings_of_cwece():
    mixture = six_gaussians()
    scores = (metrics.ece, metrics.classwise_ece, metrics.class_conditional_ece)
    values = []
    for seed in range(20):
        x, y, _ = mixture.sample(5000, seed)
        p = mixture.posterior(x)
        values.append([score(p, y) for score in scores])
    ece, classwise, conditional = np.mean(values, 0)
    assert ece == pytest.approx(0.0067, abs=0.0012)  # ILS Table V
    assert classwise == pytest.approx(0.0072, abs=0.0006)
    assert conditional == pytest.approx(0.0232, abs=0.0015)  # what ILS prints as cwECE: .0234


def test_small_examples_by_hand():
    p, y = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), torch.tensor([0, 1])
    assert metrics.accuracy(p, y) == 0.5
    assert metrics.nll(p, y) == pytest.approx(-(np.log(0.7) + np.log(0.3)) / 2)
    assert metrics.brier(p, y) == pytest.approx((0.14 + 0.86) / 2)
    assert metrics.top_label_brier(p, y) == pytest.approx((0.09 + 0.36) / 2)
    assert metrics.smoothness(p, y) == pytest.approx((0.3 + 0.7) / 2 * 3 / 2)
    assert metrics.topk_accuracy(p, y, 2) == 1


def test_equally_probable_classes_rank_by_index():
    p = torch.full((3, 3), 1 / 3)
    y = torch.tensor([0, 1, 2])
    assert metrics.accuracy(p, y) == pytest.approx(1 / 3)
    assert metrics.topk_accuracy(p, y, 2) == pytest.approx(2 / 3)


def test_impossible_events_cost_a_finite_amount():
    p, y = torch.tensor([[1.0, 0.0]]), torch.tensor([1])
    floor = 126 * np.log(2)  # float32's smallest normal number is 2^-126
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        assert metrics.nll(p.to(dtype), y) == pytest.approx(floor)
        assert metrics.kl_to_truth(p.flip(1).to(dtype), p.to(dtype)) == pytest.approx(floor)
    assert metrics.kl_to_truth(p, p) == 0


def test_smoothness_of_smoothed_targets_is_epsilon():
    hard = torch.eye(4)
    assert metrics.smoothness(hard * 0.9 + 0.1 / 4, torch.arange(4)) == pytest.approx(0.1)
    assert metrics.smoothness(hard, torch.arange(4)) == 0
    assert metrics.smoothness(torch.full((4, 4), 0.25), torch.arange(4)) == 1


@given(samples(), st.integers(0, 2**32))
def test_distances_to_the_truth(sample, seed):
    p = sample[0].double()
    p = p / p.sum(1, keepdim=True)  # a float32 softmax sums to 1 only to seven digits
    generator = torch.Generator().manual_seed(seed)
    t = torch.randn(p.shape, generator=generator, dtype=torch.float64).softmax(1)
    kl, variation = metrics.kl_to_truth(t, p), metrics.total_variation(t, p)
    log_p = p.clamp_min(2.0**-126).log()
    divergence = torch.nn.functional.kl_div(log_p, t, reduction="batchmean")
    assert kl == pytest.approx(float(divergence))
    assert 0 <= variation <= 1
    assert variation == pytest.approx(float((t - p).clamp_min(0).sum(1).mean()))
    assert variation <= np.sqrt(kl / 2) + 1e-12  # Pinsker's inequality
    assert metrics.kl_to_truth(t, t) == metrics.total_variation(t, t) == 0


P, Y = ON_EDGE, ON_EDGE_LABELS


@pytest.mark.parametrize("score", SCORES)
def test_bad_samples_are_refused(score):
    for p, y, message in [
        (P[0], Y, "probabilities must have shape"),
        (P * 2, Y, "sum to 1"),
        (P, Y + 1, r"labels must lie in \[0, 3\)"),
        (P, Y[:2], "got 2 and 4"),
        (P[:0], Y[:0], "at least one"),
    ]:
        with pytest.raises(ValueError, match=message):
            score(p, y)


@pytest.mark.parametrize("score", [*BINNED, metrics.reliability])
def test_bad_bins_are_refused(score):
    with pytest.raises(ValueError, match="bins must be a whole number of at least 1, got 0"):
        score(P, Y, bins=0)
    with pytest.raises(ValueError, match="unknown edges 'up'; known: left, (quantile, )?right"):
        score(P, Y, edges="up")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.topk_accuracy(P, Y), r"k must lie in \[1, 3\], got 5"),
        (lambda: metrics.topk_accuracy(P, Y, 0), "k must be a whole number"),
        (lambda: metrics.kl_to_truth(P, P[:2]), "must have the same shape"),
        (lambda: metrics.total_variation(P * 2, P), "row of truth must sum to 1"),
    ],
)
def test_other_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def points(seed, rows, columns=5, classes=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, columns)), rng.integers(classes, size=rows)


@pytest.mark.parametrize("columns", [1, 2, 64])
@pytest.mark.parametrize("block", [1, 7, 200, 1024])
def test_nearest_among_the_queries_against_scikit_learn(columns, block):
    x, y = points(0, 200, columns)
    nearest = NearestNeighbors(n_neighbors=1).fit(x).kneighbors(return_distance=False)[:, 0]
    expected = y[nearest] == y
    assert 0 < expected.sum() < 200
    assert nearest_is_alike(x, y, block=block).tolist() == expected.tolist()
    assert metrics.recall_at_1(x, y, block=block) == expected.mean()


@pytest.mark.parametrize("columns", [1, 2, 64])
@pytest.mark.parametrize("block", [1, 7, 1024])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_nearest_in_a_gallery_against_scikit_learn(columns, block, offset):
    x, y = points(0, 100, columns)
    gallery, labels = points(1, 300, columns)
    x, gallery = x + offset, gallery + offset  # far from the origin distances keep their order
    near, there = x - offset, gallery - offset
    expected = KNeighborsClassifier(n_neighbors=1).fit(there, labels).predict(near) == y
    assert 0 < expected.sum() < 100
    assert nearest_is_alike(x, y, gallery, labels, block).tolist() == expected.tolist()
    assert metrics.recall_at_1(x, y, gallery, labels, block) == expected.mean()


@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(1, 15))
def test_a_query_searches_the_gallery_of_all_others(seed, rows, block):
    x, y = points(seed, rows)
    others = [np.arange(rows) != i for i in range(rows)]
    each = [bool(nearest_is_alike(x[~o], y[~o], x[o], y[o])) for o in others]
    assert nearest_is_alike(x, y, block=block).tolist() == each
    assert metrics.recall_at_1(x, y, x, y, block) == 1  # a gallery is searched whole


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_features_of_any_precision_and_library(dtype):
    x, y = (torch.tensor(values) for values in points(0, 20))
    x = x.to(dtype).requires_grad_()
    assert nearest_is_alike(x, y).dtype == torch.bool
    value = metrics.recall_at_1(x, y)
    assert type(value) is float
    assert value == metrics.recall_at_1(x.detach().numpy(), y.numpy().astype(np.uint8))


def test_one_block_of_distances_is_held_at_a_time(tmp_path):
    x, y = (torch.tensor(values) for values in points(0, 2000))
    gallery, labels = (torch.tensor(values) for values in points(1, 5000))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        metrics.recall_at_1(x, y, gallery, labels, block=32)
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in trace if e["name"] == "[memory]")
    peak = max(np.cumsum([change for _, change in changes]))
    distances = 32 * 5000 * 8
    assert distances <= peak <= distances + 3 * gallery.nbytes  # the gallery and its centred copy


X, OF = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, OF[:2]), r"features of shape \(N, D\) and N >= 2 labels, got \(3, 2\) and 2"),
        ((X[:, :0], OF), "need features of shape"),
        ((X[:0], OF[:0], X, OF), r"N >= 1 labels, got \(0, 2\) and 0"),
        ((X.long(), OF), "floating point and finite, got torch.int64"),
        ((X, OF - 1), r"got values in \[-1, 0\]"),
        ((X, OF, X), "give both gallery and gallery_labels, or neither"),
        ((X, OF, X, OF[:1]), r"need gallery of shape .* got \(3, 2\) and 1"),
        ((X, OF, X[:, :1], OF), "same number of columns, got 2 and 1"),
        ((X, OF, X * float("nan"), OF), "gallery must be floating point and finite"),
        ((X, OF, X, OF, 0), "block must be a whole number of at least 1, got 0"),
    ],
)
def test_points_without_neighbours_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.recall_at_1(*arguments)
