"""Terms of scores: resampling them is resampling the score, and their intervals hold the truth."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy import errors, metrics, stats, terms

GROUPS = torch.tensor([0, 0, 1, 1, 2, 2])


def on_errors(p, y, name):
    return errors.scores(p, y).get(name, math.nan)


def _correlation(x, y):
    constant = np.ptp(x) == 0 or np.ptp(y) == 0
    return 0.0 if constant else float(np.corrcoef(x, y)[0, 1])


SCORES = {  # the terms of a score, and the score
    "accuracy": (metrics.accuracy_terms, metrics.accuracy),
    "top-2 accuracy": tuple(
        functools.partial(each, k=2)
        for each in (metrics.topk_accuracy_terms, metrics.topk_accuracy)
    ),
    "nll": (metrics.nll_terms, metrics.nll),
    "brier": (metrics.brier_terms, metrics.brier),
    "top-label brier": (metrics.top_label_brier_terms, metrics.top_label_brier),
    "kl": (
        lambda p, y: metrics.kl_to_truth_terms(p.flip(1), p),
        lambda p, y: metrics.kl_to_truth(p.flip(1), p),
    ),
    "total variation": (
        lambda p, y: metrics.total_variation_terms(p.flip(1), p),
        lambda p, y: metrics.total_variation(p.flip(1), p),
    ),
    "correlation": (
        lambda p, y: terms.Correlation(p[:, 0].double(), y.double()),
        lambda p, y: _correlation(p[:, 0].double().numpy(), y.double().numpy()),
    ),
    "group accuracy": tuple(
        lambda p, y, f=f: f(p, y, GROUPS[: p.shape[1]])
        for f in (errors.group_accuracy_terms, errors.group_accuracy)
    ),
    "error within group": tuple(
        lambda p, y, f=f: f(p, y, GROUPS[: p.shape[1]])
        for f in (errors.error_within_group_terms, errors.error_within_group)
    ),
}
for _name in ("confidence_on_errors", "predicted_score_on_errors", "true_score_on_errors"):
    SCORES[_name] = (
        lambda p, y, name=_name: errors.score_terms(p, y)[name],
        functools.partial(on_errors, name=_name),
    )
for _name in ("ece", "classwise_ece", "class_conditional_ece", "uce"):
    for _bins, _edges in ((1, "right"), (15, "right"), (15, "left"), (200, "left")):
        SCORES[f"{_name} {_bins} {_edges}"] = tuple(
            functools.partial(getattr(metrics, name), bins=_bins, edges=_edges)
            for name in (f"{_name}_terms", _name)
        )


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(2, 6), st.booleans())
def test_a_resample_of_terms_is_the_score_of_the_resample(name, seed, rows, classes, single):
    draws = torch.Generator().manual_seed(seed)
    dtype = torch.float32 if single else torch.float64
    p = (3 * torch.randn(rows, classes, generator=draws, dtype=dtype)).softmax(1)
    y = torch.randint(0, classes, (rows,), generator=draws)
    index = torch.randint(0, rows, (3, rows), generator=draws)
    counts = torch.stack([torch.bincount(i, minlength=rows) for i in index], 1).double()
    make, score = SCORES[name]
    of_terms, expected = make(p, y), [score(p[i], y[i]) for i in index]
    assert of_terms.value() == pytest.approx(score(p, y), nan_ok=True)
    assert of_terms.resampled(counts).tolist() == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_blocks_change_nothing(monkeypatch):
    p = (3 * torch.randn(500, 6, generator=torch.Generator().manual_seed(0))).softmax(1)
    y = torch.arange(500) % 6
    counts = torch.cat(list(terms.drawn(500, 9)), 1)

    def everything():
        made = [make(p, y) for make, _ in SCORES.values() if make(p, y).raised() is not None]
        return [(each.value(), each.raised(), *each.resampled(counts).tolist()) for each in made]

    whole = everything()
    monkeypatch.setattr(terms, "BLOCK", 50)
    monkeypatch.setattr(terms, "CHUNK", 2000)  # of four resamples each
    assert [len(each.T) for each in terms.drawn(500, 9)] == [4, 4, 1]
    torch.testing.assert_close(torch.cat(list(terms.drawn(500, 9)), 1), counts)
    for before, after in zip(whole, everything(), strict=True):
        assert after == pytest.approx(before, rel=1e-12)


def test_samples_are_drawn_with_replacement():
    counts = torch.cat(list(terms.drawn(50, 4000)), 1)
    assert counts.sum(0).tolist() == [50] * 4000
    variance = 1 - 1 / 50  # of a binomial count
    assert float(counts.var()) == pytest.approx(variance, rel=0.05)
    np.testing.assert_allclose(counts.mean(1), 1, atol=5 * math.sqrt(variance / 4000))


@pytest.mark.parametrize(("rows", "classes", "scale"), [(3000, 4, 2), (500, 100, 4)])
def test_ece_by_chance_is_that_of_labels_drawn_from_the_predictions(rows, classes, scale):
    draws = torch.Generator().manual_seed(0)
    p = (scale * torch.randn(rows, classes, generator=draws)).softmax(1)
    labels = torch.multinomial(p, 500, replacement=True, generator=draws)
    found = np.mean([metrics.ece(p, y, 10, "left") for y in labels.T])
    assert metrics.ece_by_chance(p, 10, "left") == pytest.approx(found, rel=0.06)


def test_ece_by_chance_of_one_bin():
    """sqrt(2 p (1 - p) / pi N), which halves with four times the samples."""
    p = torch.tensor([[0.9, 0.1]]).repeat(1000, 1)
    assert metrics.ece_by_chance(p) == pytest.approx(math.sqrt(2 * 0.09 / math.pi / 1000))
    assert metrics.ece_by_chance(p.repeat(4, 1)) == pytest.approx(metrics.ece_by_chance(p) / 2)
    assert metrics.ece_by_chance(torch.eye(3)) == 0


@pytest.mark.parametrize("probability", [0.02, 0.3, 0.5])
@pytest.mark.parametrize("samples", [1, 2, 5, 20, 300])
def test_chance_of_hits_is_bounded_where_they_are_few(probability, samples):
    """Against the mean absolute deviation of a binomial, summed by hand."""
    hits = np.arange(samples + 1)
    weight = [
        math.comb(samples, h) * probability**h * (1 - probability) ** (samples - h) for h in hits
    ]
    exact = float(np.sum(weight * abs(hits - samples * probability)))
    variance = samples * probability * (1 - probability)
    found = float(terms.by_chance(torch.tensor(variance, dtype=torch.float64)))
    if variance < 1:
        assert exact <= found * (1 + 1e-12)
        assert found <= math.sqrt(variance) * (1 + 1e-12)
    else:
        assert found == pytest.approx(exact, rel=0.06)


BINNED = {
    "ece": metrics.ece_terms,
    "classwise": metrics.classwise_ece_terms,
    "conditional": metrics.class_conditional_ece_terms,
    "uce": metrics.uce_terms,
}
BINS = 15


def network(samples, classes, temperature, draws):
    """Return a truth (N, K) and a network's predictions, sharper or softer by a temperature."""
    logits = (2 + math.log10(classes)) * torch.randn(samples, classes, generator=draws)
    return logits.softmax(1).double(), (logits / temperature).softmax(1).double()


def true_errors(classes, temperature, samples=100_000):
    """Return the calibration errors of endless samples, whose labels are their expectation."""
    pi, p = network(samples, classes, temperature, torch.Generator().manual_seed(1))
    pi, p = pi.numpy(), p.numpy()
    at, top, sure = np.arange(len(p)), p.argmax(1), p.max(1)
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(1) / np.log(classes)

    def error(predicted, happened, weight=None):
        cell = np.clip(np.ceil(predicted * BINS), 1, BINS).astype(int)
        weight = np.ones(len(cell)) if weight is None else weight
        return abs(np.bincount(cell, weight * (happened - predicted))).sum() / weight.sum()

    each = range(classes)
    return {
        "ece": error(sure, pi[at, top]),
        "classwise": np.mean([error(p[:, k], pi[:, k]) for k in each]),
        "conditional": np.mean([error(sure, top == k, pi[:, k]) for k in each]),
        "uce": error(entropy, 1 - pi[at, top]),
    }


@pytest.mark.parametrize(  # a temperature of 1 is calibrated, others are too sure or not enough
    ("samples", "classes", "temperature", "trials"),
    [(1000, 3, 1, 100), (1000, 3, 0.9, 100), (1000, 3, 1.5, 100), (3000, 10, 1, 40),
     (3000, 10, 0.9, 40), (2000, 50, 1, 20), (2000, 50, 1.5, 20)],
)  # fmt: skip
def test_intervals_of_calibration_errors_hold_the_truth(samples, classes, temperature, trials):
    """At least 93 of 100, over the metrics, and each holds the estimate that it is for."""
    truth, draws = true_errors(classes, temperature), torch.Generator().manual_seed(2)
    counts = torch.cat(list(terms.drawn(samples, 200)), 1)
    held = dict.fromkeys(BINNED, 0)
    for _ in range(trials):
        pi, p = network(samples, classes, temperature, draws)
        labels = torch.multinomial(pi, 1, generator=draws)[:, 0]
        for name, make in BINNED.items():
            made = make(p, labels, BINS)
            value = made.value()
            low, high = stats.around(value, made.resampled(counts).numpy(), made.raised())
            assert 0 <= low <= value <= high
            held[name] += low <= truth[name] <= high
    assert sum(held.values()) >= 0.93 * trials * len(held)
    assert min(held.values()) >= 0.9 * trials  # of so few trials one may well have less than .93
