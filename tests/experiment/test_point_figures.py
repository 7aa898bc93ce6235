"""Data for figures of runs on points, against sums by hand and a loop over samples."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy.data.replicates import Replicates
from ldlstudy.experiment import point_figures
from ldlstudy.mixture import six_gaussians
from ldlstudy.training import ensemble

BINS = point_figures.BINS


def test_histograms_by_hand():
    probabilities = torch.tensor([[0.715, 0.175, 0.11], [0.045, 0.045, 0.91]])
    top, others, true = point_figures.histograms(probabilities, torch.tensor([1, 2]))
    assert top.tolist() == sums({35: 0.5, 45: 0.5}).tolist()
    assert others.tolist() == sums({2: 0.5, 5: 0.25, 8: 0.25}).tolist()
    assert true.tolist() == sums({8: 0.5, 45: 0.5}).tolist()


@given(st.integers(1, 40), st.integers(2, 6), st.floats(0.1, 100), st.integers(0, 1000))
def test_histograms_sum_to_1(samples, classes, sharpness, seed):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(scale=sharpness, size=(samples, classes))).float()
    labels = torch.from_numpy(rng.integers(classes, size=samples))
    shares = point_figures.histograms(logits.softmax(1), labels)
    assert shares.shape == (3, BINS)
    np.testing.assert_allclose(shares.sum(1), 1)
    assert (shares >= 0).all()


def test_the_posterior_has_no_error():
    mixture = six_gaussians()
    away = point_figures.error_map(mixture, mixture.posterior)
    assert away.shape == (len(point_figures.PLANE_Y), len(point_figures.PLANE_X))
    assert not away.any()


def test_the_error_of_an_even_guess():
    mixture = six_gaussians()
    away = point_figures.error_map(mixture, lambda x: torch.full((len(x), 3), 1 / 3))
    assert 0 <= away.min() < 0.1
    for row, column in ((0, 0), (5, 40), (36, 64), (20, 3)):
        point = torch.tensor([[point_figures.PLANE_X[column], point_figures.PLANE_Y[row]]])
        truth = mixture.posterior(point.double())[0]
        expected = float((truth - 1 / 3).abs().sum() / 2)
        assert away[row, column] == pytest.approx(expected, abs=1e-5)


def sums(filled):
    """Return zeros (50,) but for the given bins."""
    row = np.zeros(BINS)
    for cell, value in filled.items():
        row[cell] = value
    return row


def test_factor_curve_by_hand():
    # bin 0: mean .50 of 4 samples; bin 10: mean .40 of 5; bin 49: .98 of the second replicate alone
    reference = np.array(
        [
            [sums({0: 2, 10: 3}), sums({0: 1.0, 10: 1.2})],
            [sums({0: 2, 10: 2, 49: 1}), sums({0: 1.0, 10: 0.8, 49: 0.98})],
        ]
    )
    students = np.array(
        [
            [sums({0: 1.2, 10: 1.6}), sums({0: 1.1, 10: 1.3}), sums({0: 0.6, 10: 1.05})],
            [
                sums({0: 1.2, 10: 1.0, 49: 0.97}),
                sums({0: 1.1, 10: 1.0, 49: 0.9}),
                sums({0: 0.6, 10: 0.7, 49: 0.8}),
            ],
        ]
    )
    curve = point_figures.factor_curve(reference, students, [0.0, 0.1, 0.2])
    # away from the reference: bin 0 .4 .2 .8; bin 10 .6 .3 .25; bin 49 .01 .08 .18
    assert [curve["best"][b] for b in (0, 10, 49)] == [0.1, 0.2, 0.0]
    assert [curve["p"][b] for b in (0, 10, 49)] == pytest.approx([0.5, 0.4, 0.98])
    assert [curve["samples"][b] for b in (0, 10, 49)] == [4, 5, 1]
    # bin 0 is alike in both replicates; in bin 10 the first alone is away .4 .1 .15, the second
    # alone .2 .2 .1
    assert curve["low"][0] == curve["high"][0] == 0.1
    assert curve["low"][49] == curve["high"][49] == 0.0
    assert (curve["low"][10], curve["high"][10]) == (0.1, 0.2)
    empty = [b for b in range(BINS) if b not in (0, 10, 49)]
    for name in ("p", "best", "low", "high"):
        assert len(curve[name]) == BINS
        assert all(curve[name][b] is None for b in empty)
    assert sum(curve["samples"]) == 10


def test_an_interval_spans_what_replicates_disagree_on():
    count, p = np.ones(BINS), np.full(BINS, 0.5)
    reference = np.stack([np.stack([count, p])] * 40)
    near, far = p - 0.01, p - 0.3
    half = [np.stack([near, far])] * 20 + [np.stack([far, near])] * 20
    curve = point_figures.factor_curve(reference, np.stack(half), [0.0, 0.2])
    assert curve["low"] == [0.0] * BINS
    assert curve["high"] == [0.2] * BINS
    agreed = point_figures.factor_curve(reference, np.stack(half[:20] * 2), [0.0, 0.2])
    assert agreed["low"] == agreed["high"] == agreed["best"] == [0.0] * BINS


def test_a_curve_without_samples():
    nothing = np.zeros((2, 2, BINS))
    curve = point_figures.factor_curve(nothing, np.zeros((2, 3, BINS)), [0.0, 0.1, 0.2])
    assert curve["best"] == curve["low"] == curve["p"] == [None] * BINS
    assert curve["samples"] == [0] * BINS


@pytest.fixture(scope="module")
def students():
    """Return replicates of 2 replicates and 3 networks for each."""
    replicates = Replicates(six_gaussians(), train=10, held=10, test=300, count=2, seed=0)
    which = torch.arange(2).repeat_interleave(3)
    hard = F.one_hot(replicates.training.labels[which], 3).float()
    smoothed = torch.tensor([0.0, 0.1, 0.3]).repeat(2)[:, None, None]
    targets = hard * (1 - smoothed) + smoothed / 3
    members = ensemble.Members.make(which, targets, torch.arange(6), 30)
    data = ensemble.Data(
        replicates.training.inputs, replicates.holding.inputs, replicates.holding.labels
    )
    settings = ensemble.Settings(hidden=(16,), epochs=40)
    return replicates, ensemble.train(settings, data, members)


def test_candidate_losses(students):
    replicates, trained = students
    losses = point_figures.candidate_losses(trained, replicates)
    assert losses.shape == (2, 3)
    for r in range(2):
        for c in range(3):
            row = trained.parameters[3 * r + c][None]
            logits = trained.logits(row, replicates.testing.inputs[r][None])[0]
            expected = float(F.cross_entropy(logits, replicates.testing.labels[r]))
            assert losses[r, c] == pytest.approx(expected, rel=1e-6)


def test_curves_against_a_loop_over_samples(students):
    """The oracle puts samples into bins one at a time, from means rather than sums."""
    replicates, trained = students
    factors, testing = [0.0, 0.1, 0.3], replicates.testing
    curve = point_figures.curves(
        trained, factors, testing, {"bayes": lambda r, x: replicates.mixture.posterior(x)}
    )["bayes"]
    groups = [[] for _ in range(BINS)]
    outside = 0
    for r in range(2):
        x, y = testing.inputs[r], testing.labels[r]
        at = torch.arange(len(y))
        rows = trained.parameters[3 * r : 3 * r + 3]
        taught = trained.logits(rows, x.expand(3, -1, -1)).softmax(2)[:, at, y].double().numpy()
        reference = replicates.mixture.posterior(x)[at, y].double().numpy()
        for i, p in enumerate(reference):
            if p < 0.2:
                outside += 1
            else:
                groups[min(int((p - 0.2) / 0.016), BINS - 1)].append(np.array([p, *taught[:, i]]))
    assert outside > 0
    assert curve["samples"] == [len(group) for group in groups]
    for b, group in enumerate(groups):
        if group:
            p, *means = np.mean(group, 0)
            assert curve["p"][b] == pytest.approx(p)
            assert curve["best"][b] == factors[int(np.abs(np.array(means) - p).argmin())]
            assert curve["low"][b] <= curve["best"][b] <= curve["high"][b]
        else:
            assert curve["best"][b] is None


def test_a_certain_reference_falls_into_the_last_bin(students):
    replicates, trained = students
    certain = {"sure": lambda r, x: F.one_hot(replicates.testing.labels[r], 3).float()}
    curve = point_figures.curves(trained, [0.0, 0.1, 0.3], replicates.testing, certain)["sure"]
    assert curve["samples"] == [0] * (BINS - 1) + [2 * 900]
    assert curve["p"][-1] == 1.0
