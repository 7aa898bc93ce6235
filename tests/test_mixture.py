from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import multivariate_normal

from ldlstudy import mixture as module
from ldlstudy.mixture import GaussianMixture, noisy_digits, six_gaussians


def small(**changes):
    fields = {
        "centres": torch.tensor([[0.0], [1.0], [3.0]]),
        "labels": torch.tensor([0, 1, 1]),
        "weights": torch.tensor([1.0, 0.25, 0.75]),
        "sigma": 0.5,
        "classes": 2,
    }
    return GaussianMixture(**{**fields, **changes})


def scipy_densities(mixture, x):
    """Return p(x|y) for each class, (N, K), from scipy's normal densities."""
    density = np.zeros((len(x), mixture.classes))
    for centre, label, weight in zip(mixture.centres, mixture.labels, mixture.weights, strict=True):
        normal = multivariate_normal(centre.numpy(), mixture.sigma**2 * np.eye(len(centre)))
        density[:, int(label)] += float(weight) * normal.pdf(x)
    return density


@pytest.mark.parametrize(("separation", "sigma"), [(0.6, 1.0), (1.0, 1.0), (1.0, 0.5), (1.0, 3.0)])
def test_posterior_and_density_agree_with_scipy(separation, sigma):
    mixture = replace(six_gaussians(separation), sigma=sigma)
    x = np.random.default_rng(0).uniform(-8, 8, (200, 2))
    density = scipy_densities(mixture, x)
    posterior = mixture.posterior(torch.from_numpy(x))
    np.testing.assert_allclose(posterior, density / density.sum(1, keepdims=True), atol=1e-12)
    log_density = mixture.log_density(torch.from_numpy(x))
    np.testing.assert_allclose(log_density, np.log(density.mean(1)), atol=1e-10)


def test_lists_and_arrays_make_the_same_mixture():
    six = six_gaussians()
    lists = [value.tolist() for value in (six.centres, six.labels, six.weights)]
    made = GaussianMixture(*lists, sigma=1.0, classes=3)
    x = six.sample(5, seed=0)[0]
    assert torch.equal(made.posterior(x), six.posterior(x))


def test_the_six_gaussians_are_those_of_the_paper():
    mixture = six_gaussians()
    assert mixture.centres.tolist() == [[-4, 1], [2, 1], [-4, -1], [2, -1], [-1, 0], [5, 0]]
    assert mixture.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert mixture.weights.tolist() == [0.8, 0.2] * 3
    assert mixture.sparse.tolist() == [False, True] * 3
    assert torch.equal(six_gaussians(2.0).centres, 2 * mixture.centres)


def test_bayes_accuracy_and_cross_entropy_of_the_six_gaussians():
    mixture = six_gaussians()
    x, labels, component = mixture.sample(34_000, seed=3)
    posterior = mixture.posterior(x)
    correct = (posterior.argmax(1) == labels).double()
    cross_entropy = -posterior.double().gather(1, labels[:, None]).log().mean()
    assert float(correct.mean()) == pytest.approx(0.820, abs=0.004)
    assert float(cross_entropy) == pytest.approx(0.443, abs=0.006)
    sparse = mixture.sparse[component]
    assert float(correct[~sparse].mean()) == pytest.approx(0.8294, abs=0.006)  # ILS Table I
    assert float(correct[sparse].mean()) == pytest.approx(0.7814, abs=0.010)


@pytest.mark.parametrize(
    ("sigma", "expected"), [(0.3, 0.994), (0.4, 0.954), (0.5, 0.864), (0.6, 0.773)]
)
def test_bayes_accuracy_of_the_noisy_digits(sigma, expected):
    mixture = noisy_digits(sigma)
    x, labels, _ = mixture.sample(1000, seed=1)
    accuracy = float((mixture.posterior(x).argmax(1) == labels).double().mean())
    assert accuracy == pytest.approx(expected, abs=0.013)


def test_noisy_digits_use_every_image_once():
    mixture = noisy_digits()
    assert mixture.centres.shape == (1797, 64)
    assert 0 <= float(mixture.centres.min()) < float(mixture.centres.max()) == 1
    assert mixture.labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert not mixture.sparse.any()


def test_sample_has_its_sizes_types_and_order_and_depends_on_the_seed_alone():
    drawn = x, labels, component = six_gaussians().sample(7, seed=0)
    assert x.shape == (21, 2)
    assert (x.dtype, labels.dtype, component.dtype) == (torch.float32, torch.int64, torch.int64)
    assert labels.tolist() == [0] * 7 + [1] * 7 + [2] * 7
    assert torch.equal(six_gaussians().labels[component], labels)
    again, other = (six_gaussians().sample(7, seed) for seed in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert not torch.equal(x, other[0])


def test_components_come_by_weight_and_points_around_their_centres():
    mixture = small()
    x, _, component = mixture.sample(20_000, seed=0)
    share = component.bincount() / 20_000
    np.testing.assert_allclose(share, [1, 0.25, 0.75], atol=0.013)
    for index, centre in enumerate(mixture.centres):
        points = x[component == index]
        assert float(points.mean()) == pytest.approx(float(centre), abs=0.03)
        assert float(points.std()) == pytest.approx(0.5, abs=0.03)


@given(
    hnp.arrays(np.float32, (6, 2), elements=st.floats(-100, 100, width=32)),
    st.permutations(range(6)),
)
def test_posterior_rows_are_distributions_and_follow_their_points(x, order):
    mixture = six_gaussians()
    posterior = mixture.posterior(torch.from_numpy(x))
    assert posterior.dtype == torch.float32
    torch.testing.assert_close(posterior.sum(1), torch.ones(6))
    torch.testing.assert_close(mixture.posterior(torch.from_numpy(x)[order]), posterior[order])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_away_points_have_a_posterior(dtype):
    far = torch.tensor([[1e30, 0], [0, -1e30], [-1e30, 1e30]], dtype=dtype)
    posterior = six_gaussians().posterior(far)
    expected = torch.tensor([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=dtype)
    torch.testing.assert_close(posterior, expected)


def test_blocks_do_not_change_the_posterior(monkeypatch):
    mixture = six_gaussians()
    x, _, _ = mixture.sample(10, seed=0)
    whole, density = mixture.posterior(x), mixture.log_density(x)
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 20)
    torch.testing.assert_close(mixture.posterior(x), whole)
    torch.testing.assert_close(mixture.log_density(x), density)
    assert mixture.posterior(x[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma": 0.0}, "sigma must lie in"),
        ({"classes": 1}, "classes must be a whole number of at least 2"),
        ({"labels": torch.tensor([0, 1, 2])}, "labels must lie in"),
        ({"labels": torch.tensor([0, 1])}, "one entry per component"),
        ({"weights": torch.tensor([1.0, 0.5, 0.6])}, "sums by class are"),
        ({"weights": torch.tensor([1.0, -0.5, 1.5])}, "above 0"),
        ({"centres": torch.tensor([0.0, 1.0, 3.0])}, r"shape \(C, F\)"),
        ({"centres": torch.full((3, 1), float("nan"))}, "finite"),
    ],
)
def test_a_mixture_that_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small().sample(0, 0), "per_class must be a whole number of at least 1, got 0"),
        (lambda: small().sample(1, -1), "seed must be a whole number of at least 0, got -1"),
        (lambda: small().posterior(torch.zeros(2, 2)), r"shape \(N, 1\), got \(2, 2\)"),
        (lambda: small().posterior(torch.tensor([[np.nan]])), "floating point and finite"),
        (lambda: small().log_density(torch.tensor([[1]])), "floating point and finite"),
        (lambda: six_gaussians(0), "separation must lie in"),
        (lambda: noisy_digits(-1), "sigma must lie in"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
