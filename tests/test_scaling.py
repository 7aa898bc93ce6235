import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from ldlstudy import scaling
from ldlstudy.scaling import NoTemperatureWarning, fit_temperature, fit_temperatures


def models(count=5, samples=200, classes=4, sharpness=2.5, seed=0):
    """Return logits (M, N, K) that are ``sharpness`` times too large for their labels (M, N)."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.randn(count, samples, classes, generator=generator, dtype=torch.float64)
    flat = true.softmax(2).view(-1, classes)
    labels = torch.multinomial(flat, 1, generator=generator).view(count, samples)
    return true * sharpness, labels


def nll(temperature, logits, labels, weights=None):
    each = F.cross_entropy(logits / temperature, labels, reduction="none")
    return float(each.mean() if weights is None else (each * weights).sum())


def by_scipy(*arguments):
    result = minimize_scalar(
        lambda log_t: nll(np.exp(log_t), *arguments),
        bounds=np.log([0.05, 20]),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(np.exp(result.x))


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_against_scipys_minimiser_of_the_nll(sharpness):
    logits, labels = models(sharpness=sharpness)
    fitted = fit_temperatures(logits, labels)
    assert fitted.dtype == torch.float64
    expected = [by_scipy(z, y) for z, y in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(fitted, expected, rtol=1e-5)
    assert fit_temperature(logits[1], labels[1]) == pytest.approx(float(fitted[1]), rel=1e-9)


def test_no_temperature_of_a_grid_is_better():
    logits, labels = models(count=1)
    best = fit_temperature(logits[0], labels[0])
    grid = [nll(t, logits[0], labels[0]) for t in np.geomspace(0.05, 20, 2000)]
    assert nll(best, logits[0], labels[0]) <= min(grid)


def test_overconfident_logits_get_their_factor_back():
    logits, labels = models(count=1, samples=100_000, sharpness=3.0)
    assert fit_temperature(logits[0].float(), labels[0]) == pytest.approx(3.0, rel=0.03)


@settings(max_examples=12)
@given(st.floats(1e-3, 1e3), st.integers(0, 1000))
def test_scaling_the_logits_scales_the_temperature(factor, seed):
    logits, labels = models(count=2, seed=seed, sharpness=1.0)
    fitted = fit_temperatures(logits, labels)
    scaled = fit_temperatures(logits * factor, labels)
    shifted = fit_temperatures(logits + torch.randn(2, 200, 1), labels)
    torch.testing.assert_close(scaled, fitted * factor, rtol=1e-6, atol=0)
    torch.testing.assert_close(shifted, fitted, rtol=1e-6, atol=0)


def test_a_model_is_fitted_alike_alone_and_in_any_block(monkeypatch):
    logits, labels = models()
    together = fit_temperatures(logits, labels)
    monkeypatch.setattr(scaling, "BLOCK_ELEMENTS", 2 * 200 * 4)
    torch.testing.assert_close(fit_temperatures(logits, labels), together, rtol=1e-9, atol=0)
    assert fit_temperatures(logits[:0], labels[:0]).shape == (0,)


def test_weights_select_a_part_of_the_samples():
    logits, labels = models()
    part = torch.zeros(5, 200)
    part[:, 50:150] = 0.01
    expected = fit_temperatures(logits[:, 50:150], labels[:, 50:150])
    torch.testing.assert_close(fit_temperatures(logits, labels, part), expected, rtol=1e-6, atol=0)
    uneven = torch.rand(5, 200, dtype=torch.float64)
    uneven = uneven / uneven.sum(1, keepdim=True)
    expected = [by_scipy(*model) for model in zip(logits, labels, uneven, strict=True)]
    np.testing.assert_allclose(fit_temperatures(logits, labels, uneven), expected, rtol=1e-5)


LABELLED = torch.tensor([0, 1])
SEPARATED = torch.tensor([[2.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize(
    ("logits", "labels", "expected"),
    [
        (SEPARATED, LABELLED, 2 / 1000),  # the largest difference from the true class's is 2
        (SEPARATED, 1 - LABELLED, 2 * 1000),
        (torch.tensor([[1.0, 0.0], [1.0, 0.0]]), LABELLED, 1000),
    ],
)
def test_without_a_best_temperature_there_is_a_warning(scale, logits, labels, expected):
    with pytest.warns(NoTemperatureWarning, match="1 of 1 models have no best temp") as warned:
        assert fit_temperature(scale * logits, labels) == pytest.approx(scale * expected)
    assert warned[0].filename == __file__


def test_logits_that_are_all_alike_have_no_temperature():
    both = torch.stack([torch.full((2, 2), 0.1), torch.tensor([[2.0, 0.0], [1.0, 0.0]])])
    with pytest.warns(NoTemperatureWarning, match="1 of 2 models"):
        fitted = fit_temperatures(both, LABELLED.expand(2, 2))
    assert fitted[0] == 1
    assert float(fitted[1]) == pytest.approx(by_scipy(both[1].double(), LABELLED), rel=1e-5)


def test_samples_without_weight_decide_nothing():
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [0.0, 50.0]]])
    weights = torch.tensor([[0.5, 0.5, 0.0]])
    with pytest.warns(NoTemperatureWarning):
        assert fit_temperatures(logits, torch.tensor([[0, 1, 0]]), weights) == 2 / 1000


@pytest.mark.parametrize("factor", [1e-3, 1.0, 50.0, 1e5])
def test_labels_drawn_from_the_logits_give_their_factor_back(factor):
    logits, labels = models(count=1, samples=20_000, sharpness=1.0)
    assert fit_temperature(factor * logits[0], labels[0]) == pytest.approx(factor, rel=0.03)


def test_a_few_far_larger_logits_leave_the_temperature():
    logits, labels = models(count=1, sharpness=1.0)
    far, y = logits[0].clone(), labels[0]
    far[0] = 0.0
    far[0, y[0]] = 1e5  # surely right at any temperature near 1: its slope is 0
    expected = by_scipy(logits[0, 1:], y[1:])
    assert fit_temperature(far, y) == pytest.approx(expected, rel=1e-4)


def test_scale_computes_whole_numbers_as_floats():
    p = scaling.scale(torch.tensor([[1, 2]]), 1.5)
    odds = np.exp(1 / 1.5)
    np.testing.assert_allclose(p, [[1 / (1 + odds), odds / (1 + odds)]], rtol=1e-6)
    assert scaling.scale(np.array([[1, 2]]), 0.5)[0, 1] == pytest.approx(1 / (1 + np.exp(-2)))
    assert scaling.scale([[1.0, -np.inf]], 0.5).tolist() == [[1, 0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scale_divides_half_precision_by_the_very_temperature(dtype):
    z = torch.tensor([[30.0, 0.0, 29.5]], dtype=dtype)
    found = scaling.scale(z, 1.003)
    assert found.dtype == dtype
    assert torch.equal(found, (z.double() / 1.003).softmax(1).to(dtype))


def test_scale_divides_logits():
    logits, _ = models(count=2, samples=3)
    torch.testing.assert_close(scaling.scale(logits, 2.0), (logits / 2).softmax(2))
    both = scaling.scale(logits, torch.tensor([2.0, 0.5]))
    torch.testing.assert_close(both[1], (logits[1] * 2).softmax(1))


@given(st.integers(1, 5), st.integers(0, 2**32 - 1), st.sampled_from([0.1, 3.0, 30.0]))
def test_the_mean_of_probabilities_as_logits(count, seed, scale):
    logits = torch.from_numpy(np.random.default_rng(seed).normal(scale=scale, size=(count, 3, 4)))
    mean, expected = scaling.mean_logits(logits).softmax(1), logits.softmax(2).mean(0)
    torch.testing.assert_close(mean.double(), expected, rtol=0, atol=1e-6)
    assert torch.equal(scaling.mean_logits(logits[:1]), logits[0])


def test_mean_logits_are_finite_where_a_mean_of_probabilities_rounds_to_0():
    sure = torch.tensor([[[1000.0, 0.0, -1000.0]], [[0.0, 1000.0, -1000.0]]])
    expected = torch.tensor([[-np.log(2), -np.log(2), -2000.0]], dtype=torch.float32)
    torch.testing.assert_close(scaling.mean_logits(sure), expected)


LOGITS, LABELS = models(count=2, samples=3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_temperatures(LOGITS, LABELS[:1]), "one label for each row"),
        (lambda: fit_temperatures(LOGITS[..., :1], LABELS * 0), "K >= 2"),
        (lambda: fit_temperature(LOGITS, LABELS), "logits of shape"),
        (lambda: fit_temperatures(LOGITS / 0, LABELS), "logits must be finite, got NaN or"),
        (lambda: fit_temperature([[0.0, -np.inf]], [0]), "logits must be finite, got NaN or infin"),
        (lambda: fit_temperature([["a", "b"]], [0]), "logits must be numbers in a tensor"),
        (
            lambda: scaling.scale(LOGITS.float(), 1e-50),
            "above 0 and finite, got 1e-50 in torch.float32",
        ),
        (lambda: scaling.mean_logits(LOGITS[0]), r"must have shape \(T, N, K\) with T >= 1"),
        (lambda: fit_temperatures(LOGITS, LABELS + 4), r"labels must lie in \[0, 4\)"),
        (lambda: fit_temperatures(LOGITS, LABELS, torch.ones(2, 3)), "row of weights must sum"),
        (lambda: fit_temperatures(LOGITS, LABELS, torch.ones(2, 1)), "shape of labels"),
        (lambda: scaling.scale(LOGITS, float("nan")), "temperature must be above 0"),
        (lambda: scaling.scale(LOGITS, "1"), "temperature must be numbers in a tensor"),  # type: ignore[arg-type]
        (lambda: scaling.scale(LOGITS, torch.ones(4)), r"of logits \(2, 3, 4\), got shape \(4,\)"),
        (lambda: scaling.scale(LOGITS, torch.ones(2, 3, 4)), r"got shape \(2, 3, 4\)"),
        (lambda: scaling.scale(LOGITS > 0, 1.0), "logits must be real numbers .* torch.bool"),
        (lambda: scaling.scale(torch.tensor(1.0), 1.0), r"shape \(..., K\), got torch.float32"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
