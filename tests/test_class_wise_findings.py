"""What the CS-KD chapter computes: errors compared, the limit of confidence, the paper's tables."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from ldlstudy import class_wise_findings, tables
from ldlstudy.class_wise_findings import errors_compared, least_confident, not_borne_out
from tests.conftest import ROOT

TINY, MIT = "Tiny ImageNet", "MIT67"
BETTER_CALIBRATED = [TINY, "CUB-200", "Stanford Dogs", MIT]  # virtual softmax or label smoothing
EVERYWHERE = (
    "lowest error of the output regularisers, ResNet-18",
    "the same, DenseNet-121",
    "lowest top-5 error",
    "lower ECE than cross entropy",
    "CS-KD-E: lower ECE than CS-KD",
    "lowers the error of mixup",
    "lowers the error of distillation",
)
PRINTED = {
    **{claim: [] for claim in EVERYWHERE},
    "lowest error of the self-distillers": [TINY],
    "lower ECE than label smoothing": [TINY, MIT],
    "lowest ECE of the output regularisers": BETTER_CALIBRATED,
    "highest R@1": ["CIFAR-100"],
}


def errors(scores):
    """What a record keeps, from position to the log-probabilities of predicted and true class."""
    predicted, true = zip(*scores.values(), strict=True)
    return {"index": list(scores), "log_predicted": list(predicted), "log_true": list(true)}


LEFT = [
    errors({2: (-0.5, -2.0), 3: (-1.5, -1.0), 8: (-0.25, -4.0)}),
    errors({0: (-1.0, -3.0), 2: (-0.75, -1.5), 3: (-0.5, -2.5), 5: (-0.25, -1.0)}),
]
RIGHT = [
    errors({8: (-0.125, -6.0), 1: (-0.5, -9.0), 2: (-0.25, -3.0)}),
    errors({2: (-0.5, -2.0), 5: (-0.125, -4.0), 3: (-0.0625, -8.0)}),
]


def p_of_two(one, other):
    """Two-sided p of the t test of two differences: with one degree of freedom t is Cauchy's."""
    t = (one + other) / abs(one - other)
    return 1 - 2 / math.pi * math.atan(abs(t))


def test_errors_of_two_seeds_by_hand():
    found = errors_compared(LEFT, RIGHT, "log_predicted")
    assert found.means == (-4.75 / 7, -1.5625 / 6)
    assert found.common == 5  # images 2 and 8 of the first seed; 2, 3 and 5 of the second
    of_seeds = (-0.25 - 0.125) / 2, (-0.25 - 0.4375 - 0.125) / 3
    assert found.difference == pytest.approx(sum(of_seeds) / 2)
    assert found.p == pytest.approx(p_of_two(*of_seeds))


def test_scores_of_the_true_class_by_hand():
    found = errors_compared(LEFT, RIGHT, "log_true")
    assert found.means == (-15.0 / 7, -32.0 / 6)
    of_seeds = (1.0 + 2.0) / 2, (0.5 + 5.5 + 3.0) / 3
    assert (found.common, found.difference) == (5, pytest.approx(sum(of_seeds) / 2))
    assert found.p == pytest.approx(p_of_two(*of_seeds))


def test_errors_of_one_seed_are_tested_over_its_images():
    found = errors_compared(LEFT[:1], RIGHT[:1], "log_predicted")
    assert found.means == (-2.25 / 3, -0.875 / 3)
    assert (found.common, found.difference) == (2, (-0.25 - 0.125) / 2)
    assert found.p == pytest.approx(p_of_two(-0.25, -0.125))
    found = errors_compared(LEFT[1:], RIGHT[1:], "log_predicted")
    pairs = [(-0.75, -0.5), (-0.5, -0.0625), (-0.25, -0.125)]
    assert found.p == pytest.approx(scipy_stats.ttest_rel(*zip(*pairs, strict=True)).pvalue)
    assert (found.common, found.difference) == (3, pytest.approx(-0.8125 / 3))


def repeated(seed, times):
    """Return the errors of ``seed`` as if each image were ``times`` images, all alike."""
    index = [i + 100 * time for time in range(times) for i in seed["index"]]
    return {"index": index} | {s: times * seed[s] for s in ("log_predicted", "log_true")}


def test_more_images_make_one_seed_surer_but_not_several():
    left, right = ([repeated(seed, 50) for seed in side] for side in (LEFT, RIGHT))
    few = errors_compared(LEFT, RIGHT, "log_predicted")
    many = errors_compared(left, right, "log_predicted")
    assert many.common == 50 * few.common
    assert (many.difference, many.p) == pytest.approx((few.difference, few.p))
    assert errors_compared(LEFT[1:], RIGHT[1:], "log_predicted").p > 0.05
    assert errors_compared(left[1:], right[1:], "log_predicted").p < 1e-6


def test_images_are_paired_within_a_seed():
    """Each seed has test images of its own: image 0 of the second is not that of the first."""
    left = [
        errors({0: (-1.0, -2.0), 1: (-1.5, -2.0), 4: (-1.0, -2.0)}),
        errors({7: (-2.0, -2.0), 4: (-3.0, -2.0)}),
    ]
    right = [
        errors({7: (-9.0, -9.0), 1: (-3.0, -4.0), 4: (-2.0, -2.0)}),
        errors({0: (-9.0, -9.0), 7: (-5.0, -6.0), 4: (-7.0, -2.0)}),
    ]
    found = errors_compared(left, right, "log_predicted")
    assert (found.common, found.difference) == (4, ((1.5 + 1.0) / 2 + (3.0 + 4.0) / 2) / 2)
    crossed = errors_compared(left, right[::-1], "log_predicted")
    assert (crossed.common, crossed.difference) == (4, ((8.0 + 6.0) / 2 + (7.0 - 1.0) / 2) / 2)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from(["log_predicted", "log_true"]))
def test_seeds_are_the_unit_and_the_other_way_round_turns_the_signs(seed, seeds, score):
    rng = np.random.default_rng(seed)

    def side():
        return [
            errors({int(i): tuple(-rng.exponential(size=2)) for i in rng.permutation(40)[:25]})
            for _ in range(seeds)
        ]  # two halves and more of 40 images: at least ten are common

    left, right = side(), side()
    there, back = errors_compared(left, right, score), errors_compared(right, left, score)
    assert back.means == there.means[::-1]
    assert back.difference == pytest.approx(-there.difference)
    assert (back.p, back.common) == (pytest.approx(there.p), there.common)
    assert there.means[0] == pytest.approx(np.mean([v for of in left for v in of[score]]))
    values = [[dict(zip(of["index"], of[score], strict=True)) for of in s] for s in (left, right)]
    apart = [[a[i] - b[i] for i in a if i in b] for a, b in zip(*values, strict=True)]
    assert there.common == sum(map(len, apart))
    assert there.difference == pytest.approx(np.mean([np.mean(seed) for seed in apart]))
    unit = apart[0] if seeds == 1 else [np.mean(seed) for seed in apart]
    assert there.p == pytest.approx(scipy_stats.ttest_1samp(unit, 0).pvalue)


@pytest.mark.parametrize(
    ("left", "right", "score", "message"),
    [
        (LEFT, RIGHT, "index", "unknown score 'index'; known: log_predicted, log_true"),
        (LEFT, RIGHT[:1], "log_true", "as many seeds of both, got 2 and 1"),
        (LEFT[:1], RIGHT, "log_true", "as many seeds of both, got 1 and 2"),
        ([errors({1: (-1.0, -2.0)})], RIGHT[:1], "log_true", "both get wrong, got 1"),
        (LEFT, [RIGHT[0], errors({5: (-1.0, -2.0)})], "log_true", "images or more .* got 1"),
        (LEFT, [errors({0: (-1.0, -2.0)}), RIGHT[1]], "log_true", "images or more .* got 0"),
    ],
)
def test_errors_that_cannot_be_compared(left, right, score, message):
    with pytest.raises(ValueError, match=message):
        errors_compared(left, right, score)


@pytest.mark.parametrize("classes", [2, 3, 10, 100, 1000])
@pytest.mark.parametrize("weight", [0.1, 0.5, 1.0, 4.0, 50.0])
def test_the_least_loss_of_maximum_entropy_by_brute_force(weight, classes):
    logit = np.linspace(-math.log(classes - 1) - 1, 25, 2_000_001)
    p, rest = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(logit))
    entropy = -p * np.log(p) - rest * np.log(rest / (classes - 1))
    loss = -np.log(p) - weight * entropy
    found = least_confident(weight, classes)
    assert math.log(found / (1 - found)) == pytest.approx(logit[loss.argmin()], abs=1e-3)
    assert type(found) is float


@settings(deadline=None)
@given(st.floats(0.03, 100), st.integers(2, 1000))
def test_the_printed_condition_holds_and_more_weight_makes_less_sure(weight, classes):
    p = least_confident(weight, classes)
    assert 1 / classes < p < 1
    assert weight * math.log(p * (classes - 1) / (1 - p)) == pytest.approx(1 / p, rel=1e-3)
    assert least_confident(1.5 * weight, classes) < p


@pytest.mark.parametrize(
    ("weight", "classes", "message"),
    [
        (0.0, 10, "weight must lie in (0, inf], got 0.0"),
        (-1.0, 10, "weight must lie in (0, inf], got -1.0"),
        (math.nan, 10, "weight must lie in (0, inf], got nan"),
        (1.0, 1, "classes must be a whole number of at least 2, got 1"),
        (1.0, 2.5, "classes must be a whole number of at least 2, got 2.5"),
    ],
)
def test_no_such_penalty(weight, classes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        least_confident(weight, classes)


@pytest.fixture
def printed(monkeypatch):
    """The paper's tables, a copy that the test may change."""
    monkeypatch.chdir(ROOT)
    sources = {source for source, _ in class_wise_findings.SAID.values()}
    copies = {source: tables.published(source) for source in sources}
    monkeypatch.setattr(tables, "published", copies.__getitem__)
    return copies


def test_what_the_printed_tables_do_not_bear_out(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert not_borne_out() == PRINTED


@pytest.mark.parametrize(
    ("source", "row", "dataset", "value", "changed"),
    [
        (
            "cskd_table1", "resnet18 cs_kd", "mit67", 0.9,
            {"lowest error of the output regularisers, ResNet-18": [MIT]},
        ),
        (
            "cskd_table1", "densenet121 adacos", "cub200", 0.3,
            {"the same, DenseNet-121": ["CUB-200"]},
        ),
        (
            "cskd_table2", "resnet18 ddgsd", "tiny_imagenet", 0.5,
            {"lowest error of the self-distillers": []},
        ),
        (
            "cskd_table2", "resnet18 byot", "cifar100", 0.1,
            {"lowest error of the self-distillers": ["CIFAR-100", TINY]},
        ),
        (
            "cskd_table3", "resnet18 mixup", "stanford_dogs", 0.1,
            {"lowers the error of mixup": ["Stanford Dogs"]},
        ),
        (
            "cskd_table4", "resnet10 kd_cs_kd", "cifar100", 0.2584,  # as many as distillation alone
            {"lowers the error of distillation": ["CIFAR-100"]},
        ),
        (
            "cskd_measures", "top5_error max_entropy", "tiny_imagenet", 0.01,
            {"lowest top-5 error": [TINY]},
        ),
        (
            "cskd_measures", "ece ls", "mit67", 0.2,
            {"lower ECE than label smoothing": [TINY]},  # virtual softmax is still better
        ),
        (
            "cskd_measures", "ece none", "cifar100", 0.05,
            {
                "lower ECE than cross entropy": ["CIFAR-100"],
                "lowest ECE of the output regularisers": ["CIFAR-100", *BETTER_CALIBRATED],
            },
        ),
        (
            "cskd_measures", "ece cs_kd_e", "stanford_dogs", 0.1046,  # the same as CS-KD
            {"CS-KD-E: lower ECE than CS-KD": ["Stanford Dogs"]},
        ),
        (
            "cskd_measures", "recall_at_1 cs_kd", "cifar100", 0.7152,  # just above maximum entropy
            {"highest R@1": []},
        ),
        (
            "cskd_measures", "recall_at_1 none", "mit67", 0.99,
            {"highest R@1": ["CIFAR-100", MIT]},
        ),
    ],
)  # fmt: skip
def test_another_number_is_another_verdict(printed, source, row, dataset, value, changed):
    printed[source].loc[row, dataset] = value
    assert not_borne_out() == PRINTED | changed
