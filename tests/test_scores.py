import numpy as np
import pytest
import torch

from ldlstudy import metrics, scaling, scores
from ldlstudy.dataset import split
from ldlstudy.scores import METRICS, Outcome, predictions, score

CLASSES = 4


def outcome(count=120, sharp=3.0, seed=0):
    """Return logits that are too sure by a factor of ``sharp``, and the truth behind the labels."""
    draws = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(count, CLASSES, generator=draws)
    truth = logits.softmax(1)
    labels = torch.multinomial(truth, 1, generator=draws).squeeze(1)
    return Outcome(sharp * logits, labels, truth)


TEST, HELD = outcome(), outcome(80, seed=1)


@pytest.mark.parametrize("held", [None, HELD])
def test_rows_are_the_metrics_of_the_scaled_predictions(held):
    rows, estimates = score(TEST, held)
    assert list(rows) == list(estimates) == ["plain", "fitted", "searched"]
    for name, (p, temperature) in predictions(TEST, held).items():
        y = TEST.labels
        expected = {
            "accuracy": metrics.accuracy(p, y),
            "cross_entropy": metrics.nll(p, y),
            "brier": metrics.brier(p, y),
            "top_label_brier": metrics.top_label_brier(p, y),
            "ece": metrics.ece(p, y, bins=15, edges="left"),
            "ece_10": metrics.ece(p, y, bins=10),
            "ece_20": metrics.ece(p, y, bins=20),
            "class_conditional_ece": metrics.class_conditional_ece(p, y),
            "classwise_ece": metrics.classwise_ece(p, y),
            "kl_to_truth": metrics.kl_to_truth(TEST.truth, p),
            "temperature": temperature,
        }
        assert rows[name] == {metric: [value] for metric, value in expected.items()}
        assert set(estimates[name]) == set(expected)


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
