"""Scores of the three rows, further ones that a run asks for, and the intervals of all."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from ldlstudy import metrics, scaling, scores
from ldlstudy.dataset import split
from ldlstudy.scores import METRICS, Outcome, predictions, share

CLASSES = 4


def outcome(count=120, sharp=3.0, seed=0, classes=CLASSES):
    """Return logits that are too sure by a factor of ``sharp``, and the truth behind the labels."""
    draws = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(count, classes, generator=draws)
    truth = logits.softmax(1)
    labels = torch.multinomial(truth, 1, generator=draws).squeeze(1)
    return Outcome(sharp * logits, labels, truth)


TEST, HELD = outcome(), outcome(80, seed=1)


def score(test, held=None, *settings):
    """Return the scores of the three rows of some images."""
    return scores.score(predictions(test, held), test, *settings)


@pytest.mark.parametrize("held", [None, HELD])
def test_rows_are_the_metrics_of_the_scaled_predictions(held):
    rows, estimates = score(TEST, held)
    assert list(rows) == list(estimates) == ["plain", "fitted", "searched"]
    for name, (p, temperature) in predictions(TEST, held).items():
        y = TEST.labels
        expected = {
            "accuracy": metrics.accuracy(p, y),
            "top5_accuracy": 1.0,  # of four classes
            "cross_entropy": metrics.nll(p, y),
            "brier": metrics.brier(p, y),
            "top_label_brier": metrics.top_label_brier(p, y),
            "ece": metrics.ece(p, y, bins=15, edges="left"),
            "ece_10": metrics.ece(p, y, bins=10),
            "ece_20": metrics.ece(p, y, bins=20),
            "class_conditional_ece": metrics.class_conditional_ece(p, y),
            "classwise_ece": metrics.classwise_ece(p, y),
            "uce": metrics.uce(p, y, bins=15, edges="right"),
            "kl_to_truth": metrics.kl_to_truth(TEST.truth, p),
            "temperature": temperature,
        }
        assert rows[name] == {metric: [value] for metric, value in expected.items()}
        assert set(estimates[name]) == set(expected)


def test_top_5_of_more_than_five_classes():
    test = outcome(classes=9)
    rows, _ = score(test, HELD, 0)
    best = test.logits.sort(1, descending=True).indices[:, :5]
    expected = float((best == test.labels[:, None]).any(1).double().mean())
    assert 0.5 < expected < 1
    assert [row["top5_accuracy"] for row in rows.values()] == [[expected]] * 3


def test_without_a_known_truth_there_is_no_divergence_from_it():
    rows, _ = score(TEST._replace(truth=None), HELD)
    assert set(rows["plain"]) == {*METRICS, "temperature"}


def test_intervals_contain_the_value_and_are_of_the_data():
    _, estimates = score(outcome(400), HELD)
    for row in estimates.values():
        for metric in ("accuracy", "cross_entropy", "brier", "kl_to_truth"):  # means of images
            value, low, high = row[metric]
            assert low < value < high
    value, low, high = estimates["plain"]["accuracy"]
    deviation = np.sqrt(value * (1 - value) / 400)
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.3)
    assert len(set(estimates["searched"]["temperature"])) == 1


def test_without_resamples_intervals_have_no_width():
    rows, estimates = score(TEST, HELD, 0)
    expected = {n: {m: v * 3 for m, v in row.items()} for n, row in rows.items()}
    assert estimates == expected
    assert rows == score(TEST, HELD)[0]


@pytest.mark.parametrize("truth", [TEST.truth, None])
def test_further_metrics_are_asked_of_every_row_and_every_drawing(truth):
    """A metric that some drawings leave out has its interval from the others."""
    seen = []

    def more(p, labels, known):
        assert (known is None) == (truth is None)
        if known is not None:  # the truth of these very images
            assert torch.equal(known.argmax(1), p.argmax(1))
        value = float(p[:, 0].mean())
        seen.append(value if len(seen) % 101 == 0 or labels.sum() % 2 else None)
        return {} if seen[-1] is None else {"first": value}

    rows, estimates = score(TEST._replace(truth=truth), HELD, 100, more)
    by_row = np.array(seen, dtype=float).reshape(3, 101)  # the images as they are, then drawings
    assert 20 < np.isnan(by_row).sum() / 3 < 80
    for name, (value, *drawn) in zip(("plain", "fitted", "searched"), by_row, strict=True):
        assert rows[name]["first"] == [value]
        given = np.array(drawn)[~np.isnan(drawn)]
        expected = [value, *np.quantile(given, [0.025, 0.975])]
        assert estimates[name]["first"] == pytest.approx(expected, rel=1e-12)


def test_a_metric_that_the_images_do_not_have_is_in_no_row():
    """Drawings may have it all the same; one that only the images have gets no width."""
    calls = []

    def more(p, labels, truth):
        calls.append(p)
        return {"of_images": 2.0} if len(calls) % 11 == 1 else {"of_drawings": 1.0}

    rows, estimates = score(TEST, HELD, 10, more)
    assert len(calls) == 3 * 11
    for name, row in rows.items():
        assert set(row) == set(estimates[name]) == {*METRICS, "kl_to_truth", "temperature",
                                                    "of_images"}  # fmt: skip
        assert estimates[name]["of_images"] == [2.0] * 3


def test_further_predictions_are_further_rows():
    temperatures = {"unscaled": 2.5, "sharp": 0.5}
    further = {n: ((TEST.logits / t).softmax(1), t) for n, t in temperatures.items()}
    rows, estimates = scores.score(predictions(TEST, HELD) | further, TEST, 20)
    assert list(rows) == list(estimates) == ["plain", "fitted", "searched", "unscaled", "sharp"]
    for name, (p, temperature) in further.items():
        assert rows[name]["cross_entropy"] == [metrics.nll(p, TEST.labels)]
        assert rows[name]["temperature"] == [temperature]
        low, high = estimates[name]["cross_entropy"][1:]
        assert low < rows[name]["cross_entropy"][0] < high
    plain = {name: rows[name] for name in ("plain", "fitted", "searched")}
    assert plain == score(TEST, HELD, 20)[0]


@pytest.mark.parametrize(("right", "count"), [(150, 200), (20, 1000), (50, 100)])
def test_the_interval_of_a_share_is_the_binomial_one(right, count):
    value, *ends = share(torch.arange(count) < right, 20_000)
    assert value == right / count
    expected = binom.ppf([0.025, 0.975], count, value) / count
    np.testing.assert_allclose(ends, expected, atol=1.01 / count)


def test_a_share_has_the_interval_that_the_same_share_has_as_a_score():
    hits = TEST.logits.argmax(1) == TEST.labels
    _, estimates = score(TEST, HELD, 100)
    assert share(hits, 100) == pytest.approx(estimates["plain"]["accuracy"])
    assert share(hits) == share(hits, scores.RESAMPLES)


@pytest.mark.parametrize(("hits", "value"), [([True], 1), ([False] * 7, 0), ([True, False], 0.5)])
def test_a_share_without_resamples_has_no_width(hits, value):
    assert share(torch.tensor(hits), 0) == [value] * 3


def test_two_scores_of_the_same_are_the_same():
    torch.manual_seed(1)
    first = score(TEST, HELD)
    torch.manual_seed(2)
    assert score(TEST, HELD) == first


def test_plain_is_the_softmax():
    p, temperature = predictions(TEST, HELD)["plain"]
    torch.testing.assert_close(p, TEST.logits.softmax(1))
    assert temperature == 1


def test_fitted_takes_the_temperature_of_the_held_out_images():
    p, temperature = predictions(TEST, HELD)["fitted"]
    assert temperature == scaling.fit_temperature(HELD.logits, HELD.labels)
    assert temperature == pytest.approx(3, rel=0.3)
    torch.testing.assert_close(p, (TEST.logits / temperature).softmax(1))


def test_searched_has_the_lowest_error_of_its_grid():
    _, temperature = predictions(TEST, HELD)["searched"]
    rows, _ = score(TEST, HELD)
    grid = [0.2 + 0.02 * i for i in range(291)]
    errors = [
        metrics.ece((TEST.logits / t).softmax(1), TEST.labels, bins=15, edges="left") for t in grid
    ]
    assert rows["searched"]["ece"][0] == pytest.approx(min(errors), abs=1e-6)
    assert temperature == pytest.approx(grid[int(np.argmin(errors))])
    assert rows["searched"]["ece"][0] <= min(rows["plain"]["ece"][0], rows["fitted"]["ece"][0])
    np.testing.assert_allclose(scores.TEMPERATURES, grid)


def test_halves_fit_the_temperature_of_each_other():
    p, temperature = predictions(TEST, None)["fitted"]
    one, other = split(TEST.labels, 0.5, seed=0)
    assert sorted([*one.tolist(), *other.tolist()]) == list(range(120))
    fits = {}
    for fit, scored in ((one, other), (other, one)):
        fits[fit] = scaling.fit_temperature(TEST.logits[fit], TEST.labels[fit])
        torch.testing.assert_close(p[scored], (TEST.logits[scored] / fits[fit]).softmax(1))
    assert temperature == pytest.approx(np.mean(list(fits.values())))
    assert fits[one] != fits[other]


@pytest.mark.parametrize("image", [0, 31, 119])
def test_no_image_takes_part_in_the_temperature_of_its_own_half(image):
    one, other = split(TEST.labels, 0.5, seed=0)
    own, apart = (one, other) if image in one else (other, one)
    before, _ = predictions(TEST, None)["fitted"]
    wrong = TEST.logits.clone()
    wrong[image] = wrong[image].flip(0) * 5
    after, _ = predictions(TEST._replace(logits=wrong), None)["fitted"]
    companions = own[own != image]
    assert torch.equal(before[companions], after[companions])
    assert not torch.allclose(before[apart], after[apart])
