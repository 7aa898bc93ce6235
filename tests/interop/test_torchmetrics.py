"""A score over batches is the score of all samples, alone and spread over processes."""

import inspect
import warnings

import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryCalibrationError, MulticlassCalibrationError

from ldlstudy import metrics
from ldlstudy.interop.torchmetrics import SCORES, Score

G = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(200, 6, generator=G)
LABELS = torch.randint(6, (200,), generator=G)
TRUTH = torch.randn(200, 6, generator=G).softmax(1)
P = LOGITS.softmax(1)


def of(name):
    """Return the target of a score, and what its function gives."""
    function = getattr(metrics, name)
    if next(iter(inspect.signature(function).parameters)) == "truth":
        return TRUTH, function(TRUTH, P)
    return LABELS, function(P, LABELS)


@pytest.mark.parametrize("name", sorted(set(SCORES) - {"binary_ece"}))
def test_batches_logits_and_processes_change_nothing(name):
    target, expected = of(name)
    score = Score(name, logits=True)
    for batch in torch.arange(200).split(70):
        score.update(LOGITS[batch], target[batch])
    assert float(score.compute()) == pytest.approx(expected, abs=1e-7)
    score.reset()
    score.update(LOGITS[:50], target[:50])
    assert float(score.compute()) != pytest.approx(expected, abs=1e-7)

    halves = [Score(name), Score(name)]
    for half, part in zip(halves, (slice(0, 120), slice(120, 200)), strict=True):
        half.update(P[part], target[part])
    others = iter([getattr(halves[1], state) for state in halves[1]._defaults])

    def gathered(mine, group=None):  # what torch.distributed would collect from two processes
        other = next(others)
        return [mine, torch.cat(other) if isinstance(other, list) else other]

    both = Score(name, dist_sync_fn=gathered, distributed_available_fn=lambda: True)
    both.update(P[:120], target[:120])
    assert float(both.compute()) == pytest.approx(expected, abs=1e-7)


def oracle(kind, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics' own
        return float(kind(**options)(*arguments))


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_calibration_errors_by_every_norm_are_torchmetrics(norm):
    theirs = oracle(
        MulticlassCalibrationError, P.double(), LABELS, num_classes=6, n_bins=10, norm=norm
    )
    score = Score("ece", bins=10, edges="left", norm=norm)
    assert float(score(P.double(), LABELS)) == pytest.approx(theirs, abs=1e-6)
    assert metrics.ece(P.double(), LABELS, 10, "left", norm) == pytest.approx(theirs, abs=1e-6)
    z, y = LOGITS[:, 0].double(), (LABELS < 3).long()
    theirs = oracle(BinaryCalibrationError, z.sigmoid(), y, n_bins=10, norm=norm)
    score = Score("binary_ece", logits=True, bins=10, edges="left", norm=norm)
    assert float(score(z, y)) == pytest.approx(theirs, abs=1e-6)


def test_binary_predictions_are_two_classes_and_half_precision_is_widened():
    z, y = LOGITS[:, 0], (LABELS < 3).long()
    p = z.sigmoid()
    for name in ("nll", "brier", "ece"):
        expected = getattr(metrics, name)(torch.stack([1 - p, p], 1), y)
        assert float(Score(name, logits=True)(z, y)) == pytest.approx(expected, abs=1e-7)
    half = Score("nll", logits=True)(LOGITS.bfloat16(), LABELS)
    wide = metrics.nll(LOGITS.bfloat16().float().softmax(1), LABELS)
    assert float(half) == pytest.approx(wide, abs=1e-7)


def test_a_collection_shares_states_of_the_same_sums_alone():
    scores = MetricCollection(
        {
            "top": Score("topk_accuracy", k=1),
            "top 5": Score("topk_accuracy", k=5),
            "accuracy": Score("accuracy"),
            "ece": Score("ece"),
            "largest": Score("ece", norm="max"),
        }
    )
    first = P.argmax(1)
    scores.update(P, first)  # right everywhere: equal sums so far
    scores.update(P, LABELS)
    groups = {frozenset(group) for group in scores.compute_groups.values()}
    assert groups == {
        frozenset({"ece", "largest"}),
        *map(frozenset, (["top"], ["top 5"], ["accuracy"])),
    }
    both, y = torch.cat([P, P]), torch.cat([first, LABELS])
    found = scores.compute()
    assert float(found["top 5"]) == pytest.approx(metrics.topk_accuracy(both, y, 5))
    assert float(found["largest"]) == pytest.approx(metrics.ece(both, y, norm="max"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Score("auroc"), "unknown score 'auroc'; known: accuracy, binary_ece, brier"),
        (lambda: Score("nll", bins=3), "bins"),
        (lambda: Score("nll", logits="no"), "logits must be true or false, got 'no'"),  # type: ignore[arg-type]
        (lambda: Score("ece", bins=0), "bins must be a whole number of at least 1, got 0"),
        (lambda: Score("ece", norm="l3"), "unknown norm 'l3'; known: l1, l2, max"),
        (lambda: Score("ece", edges="x"), "unknown edges 'x'; known: left, quantile, right"),
        (lambda: Score("classwise_ece").update(P, LABELS[:9]), "as many labels as rows"),
        (lambda: Score("nll")(LOGITS, LABELS), "probabilities must not be negative"),
        (lambda: Score("binary_ece")(P, LABELS), r"of class 1 must be .* shape \(N,\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
