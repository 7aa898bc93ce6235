"""Mutual information against loops, scipy's quadrature and densities, exact posteriors, bounds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import multivariate_normal, norm, ortho_group

from ldlstudy import information, mixture

seeds = st.integers(0, 2**32 - 1)


def seen(means, draws, seed, sigma=1.0):
    """Return draws (N, L) about the means of a channel."""
    rng = np.random.default_rng(seed)
    return means[:, None] + sigma * rng.normal(size=(len(means), draws))


def as_written(y, mu, averaged):
    """The estimate of Müller et al., a term at a time, with or without their 1/N."""
    n = len(y)
    variance = sum((y[x] - mu[x]) ** 2 for x in range(n)) / n
    total = 0.0
    for x in range(n):
        others = sum(math.exp(-((y[x] - m) ** 2) / (2 * variance)) for m in mu)
        total += -((y[x] - mu[x]) ** 2) / (2 * variance)
        total -= math.log(others / n if averaged else others)
    return total / n if averaged else total


@given(seeds, st.integers(2, 12), st.sampled_from([1e-3, 1.0, 50.0]))
def test_both_printings_are_their_equations(seed, n, scale):
    rng = np.random.default_rng(seed)
    mu = scale * rng.normal(size=n)
    y = mu + rng.normal(size=n)
    estimate, sum_of_2019 = information.mueller(y, mu), information.mueller_2019(y, mu)
    assert estimate == pytest.approx(as_written(y, mu, averaged=True), abs=1e-9)
    assert sum_of_2019 == pytest.approx(as_written(y, mu, averaged=False), abs=1e-9)
    assert sum_of_2019 == pytest.approx(n * (estimate - math.log(n)))
    assert estimate <= math.log(n) + 1e-12
    assert sum_of_2019 <= 1e-9


def test_answers_that_give_their_image_away_say_log_n_and_such_that_do_not_say_nothing():
    assert information.mueller([1.0, 1e6 - 1, 2e6], [0.0, 1e6, 2e6]) == pytest.approx(math.log(3))
    assert information.mueller([3.0, -3.0], [0.0, 0.0]) == pytest.approx(0)


@settings(max_examples=20)
@given(seeds, st.integers(1, 6), st.sampled_from([0.1, 1.0, 8.0]), st.sampled_from([0.01, 1, 30]))
def test_gaussian_channel_against_scipys_quadrature(seed, n, spread, sigma):
    means = spread * sigma * np.random.default_rng(seed).normal(size=n)

    def integrand(y):
        p = norm.pdf(y, means, sigma).mean()
        return -p * math.log(p) if p > 0 else 0.0

    ends = means.min() - 10 * sigma, means.max() + 10 * sigma
    entropy, _ = integrate.quad(integrand, *ends, points=sorted(means), limit=500)
    expected = entropy - norm.entropy(scale=sigma)
    assert information.gaussian_channel(means, sigma) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=25)
@given(seeds, st.integers(1, 30), st.floats(-4, 9))
def test_gaussian_channel_lies_between_nothing_and_the_entropy_of_the_index(seed, n, power):
    means = 10**power * np.random.default_rng(seed).normal(size=n)
    found = information.gaussian_channel(means, 1.0)
    assert -1e-6 <= found <= math.log(n) + 1e-6
    assert information.gaussian_channel(-3 * means + 5, 3.0) == pytest.approx(found, abs=1e-4)
    assert information.gaussian_channel(means, 2.0) <= found + 1e-6  # noise destroys


def test_channels_known_in_closed_form():
    assert information.gaussian_channel([0.0, 1e8], 1.0) == pytest.approx(math.log(2))
    assert information.gaussian_channel([4.0] * 5, 0.1) == pytest.approx(0)
    # two signals at +-1 with noise of deviation 1: the capacity of BPSK at 0 dB is .4859 bits
    assert information.gaussian_channel([-1.0, 1.0], 1.0) == pytest.approx(
        0.4859 * math.log(2), abs=5e-5
    )


def test_lower_bound_with_the_true_density_is_the_truth_and_a_worse_critic_is_below():
    means = np.random.default_rng(0).normal(size=40) * 3
    y, index = seen(means, 500, 1), np.repeat(np.arange(40), 500)
    truth = information.gaussian_channel(means, 1.0)
    scores = norm.logpdf(y.ravel()[:, None], means, 1.0)
    assert information.lower_bound(scores, index) == pytest.approx(truth, abs=0.02)
    for wrong in (norm.logpdf(y.ravel()[:, None], means, 2.5), 3 * scores):
        assert information.lower_bound(wrong, index) < truth - 0.05
    assert information.lower_bound(np.zeros((3, 7)), [0, 3, 6]) == pytest.approx(0)


def test_bounds_enclose_the_information_about_a_population_that_is_sampled():
    """Of a normal population seen through normal noise it is log(1 + s²) / 2, above log N here."""
    rng, spread, n = np.random.default_rng(0), 40.0, 12
    truth = math.log(1 + spread**2) / 2
    lower, upper = [], []
    for _ in range(400):
        means = spread * rng.normal(size=n)
        y = means + rng.normal(size=n)
        scores = norm.logpdf(y[:, None], means)
        lower.append(information.lower_bound(scores))
        upper.append(information.leave_one_out(scores))
    assert np.mean(lower) < math.log(n) < truth < np.mean(upper)


@given(seeds, st.integers(2, 9))
def test_bounds_are_their_equations_and_ignore_what_all_images_share(seed, n):
    rng = np.random.default_rng(seed)
    s = 3 * rng.normal(size=(n, n))
    p = np.exp(s)
    others = p.sum(1) - p.diagonal()
    lower = np.mean(np.log(p.diagonal() / p.mean(1)))
    upper = np.mean(np.log(p.diagonal() / (others / (n - 1))))
    shifted = s + 100 * rng.normal(size=(n, 1))
    for scores in (s, shifted, torch.from_numpy(s)):
        assert information.lower_bound(scores) == pytest.approx(lower)
        assert information.leave_one_out(scores) == pytest.approx(upper)
    assert information.lower_bound(s) <= math.log(n)


def test_noisy_digits_say_what_their_exact_posterior_says():
    digits = mixture.noisy_digits(0.4)
    own = digits.centres[:60]
    each = mixture.GaussianMixture(own, torch.arange(60), torch.ones(60), 0.4, 60)
    z, _, component = each.sample(100, seed=0)
    posterior = each.posterior(z.double())
    scores = -torch.cdist(z.double(), own).square() / (2 * 0.4**2)
    truth = math.log(60) - float(torch.special.entr(posterior).sum(1).mean())
    assert information.lower_bound(scores, component) == pytest.approx(truth, abs=0.03)
    # the log-loss of the true image, from the same posterior
    loss = float(posterior.gather(1, component[:, None]).log().mean())
    assert information.lower_bound(scores, component) == pytest.approx(math.log(60) + loss)


@settings(max_examples=30)
@given(seeds, st.integers(2, 5), st.integers(2, 6), st.integers(1, 4))
def test_fitted_scores_are_a_normal_density_of_pooled_covariance(seed, n, count, width):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(width, width)) + 3 * np.eye(width)
    draws = rng.normal(size=(n, count, width)) @ mix + 5 * rng.normal(size=(n, 1, width))
    if n * (count - 1) <= width:  # too few for a covariance
        return
    y = rng.normal(size=(7, width))
    pooled = sum(np.cov(each.T).reshape(width, width) for each in draws) / n * (1 + 1 / count)
    expected = np.array([[multivariate_normal.logpdf(v, each.mean(0), pooled) for each in draws]
                         for v in y])  # fmt: skip
    found = information.fitted_scores(draws, y).numpy()
    np.testing.assert_allclose(  # up to the normalisation, which all images share
        found - found[:, :1], expected - expected[:, :1], rtol=1e-4, atol=1e-5
    )


@settings(max_examples=30)
@given(seeds, st.integers(2, 5), st.sampled_from([1e-3, 1.0, 1e4]))
def test_no_temperature_rotation_or_shift_changes_what_answers_say(seed, width, scale):
    rng = np.random.default_rng(seed)
    draws = rng.normal(size=(6, 8, width)) + 3 * rng.normal(size=(6, 1, width))
    y, index = draws[:, 5:].reshape(-1, width), np.repeat(np.arange(6), 3)
    turn = scale * ortho_group.rvs(width, random_state=rng)
    before = information.lower_bound(information.fitted_scores(draws[:, :5], y), index)
    moved = information.fitted_scores(draws[:, :5] @ turn + 7, y @ turn + 7)
    assert information.lower_bound(moved, index) == pytest.approx(before, abs=1e-6)
    assert before <= math.log(6)
    one, mu = draws[:, 0, 0], draws[:, 1:, 0].mean(1)
    assert information.mueller(scale * one + 7, scale * mu + 7) == pytest.approx(
        information.mueller(one, mu), abs=1e-6
    )


def test_few_draws_hide_information_and_reused_ones_invent_it():
    means = np.random.default_rng(0).normal(size=200) * 3
    truth = information.gaussian_channel(means, 1.0)
    fresh, reused = [], []
    for seed in range(30):
        y = seen(means, 4, seed)
        fresh.append(information.mueller(y[:, 3], y[:, :3].mean(1)))
        reused.append(information.mueller(y[:, 0], y[:, :3].mean(1)))
    assert np.mean(fresh) < truth - 0.05 < truth + 0.05 < np.mean(reused)


def test_unequal_noise_hides_information():
    """The truth is between what both halves would say alone; one variance for all finds less."""
    means, sigma = np.arange(100) % 10 * 2.0, np.where(np.arange(100) % 2, 4.0, 0.25)
    y = seen(means, 200, 0, sigma[:, None]).ravel()
    index = np.repeat(np.arange(100), 200)
    truth = information.lower_bound(norm.logpdf(y[:, None], means, sigma), index)
    one_each = y.reshape(100, 200)
    found = [information.mueller(one_each[:, i], means) for i in range(200)]
    assert np.mean(found) < truth - 0.3


ONE, TWO = [1.0], [1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: information.mueller(ONE, ONE), "at least two images"),
        (lambda: information.mueller(TWO, ONE), "a mean for each answer, got 1 and 2"),
        (lambda: information.mueller(TWO, TWO), "augmentation changes nothing"),
        (lambda: information.mueller([1, 2], TWO), "floating point and finite"),
        (lambda: information.mueller_2019([math.nan, 1.0], TWO), "floating point and finite"),
        (lambda: information.lower_bound(np.zeros((2, 3))), r"N images, got \(2, 3\)"),
        (lambda: information.lower_bound(np.zeros((2, 3)), [0, 3]), r"lie in \[0, 3\)"),
        (lambda: information.lower_bound(np.zeros((2, 3)), [0]), "got 1 and 2 answers"),
        (lambda: information.lower_bound(np.zeros((2, 1)), [0, 0]), "at least two images, got 1"),
        (lambda: information.lower_bound(TWO), r"2 dimensions, got \(2,\)"),
        (lambda: information.leave_one_out(np.zeros((2, 3))), "N answers by N images"),
        (lambda: information.leave_one_out(np.zeros((1, 1))), "at least two images"),
        (lambda: information.fitted_scores(np.zeros((2, 1, 1)), np.zeros((1, 1))), "L >= 2"),
        (lambda: information.fitted_scores(np.zeros((2, 2, 1)), np.zeros((1, 2))), r"\(M, D\)"),
        (lambda: information.fitted_scores(np.zeros((2, 2, 1)), np.zeros((1, 1))), "changes noth"),
        (lambda: information.gaussian_channel(TWO, 0.0), "sigma must lie in"),
        (lambda: information.gaussian_channel([], 1.0), "dimensions, got"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
