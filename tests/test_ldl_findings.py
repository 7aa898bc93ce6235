"""What the LDL chapter computes: En against MT, the paper's sentences, ranks of methods."""

import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy import ldl_findings, tables
from ldlstudy.ldl_findings import identity, ranks, recomputed, sizes, strangers
from ldlstudy.measured import Measured
from ldlstudy.stats import Estimate
from tests.conftest import ROOT


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(2, 12), st.integers(0, 2**31))
def test_several_teachers_are_their_ensemble_with_a_longer_step(teachers, images, classes, seed):
    found = identity(*strangers(teachers, images, classes, seed))
    assert found.sum_from_n_means < 1e-13
    assert found.mean_from_ensemble < 1e-13
    assert found.largest_gradient > 1e-9


def test_the_gradient_is_that_of_the_formula():
    """Of the ensemble it is (p - mean of the teachers) / B."""
    logits, teachers = strangers(3, 7, 5, seed=4)
    expected = (logits.softmax(1) - teachers.mean(0)) / 7
    found = identity(logits, teachers)
    assert found.largest_gradient == pytest.approx(float(expected.abs().max()), rel=1e-12)


def test_float32_and_numbers_that_want_a_gradient_may_be_passed():
    logits, teachers = strangers(5, 16, 10)
    real = logits.float().requires_grad_()
    found = identity(real, teachers.half())
    assert max(found[:2]) < 1e-13
    assert real.grad is None
    assert found.largest_gradient == pytest.approx(
        identity(logits, teachers).largest_gradient, rel=1e-2
    )


def test_a_loss_that_is_not_linear_in_its_target_does_not_pass(monkeypatch):
    def squared(logits, target):
        return (logits.softmax(1) - target).square().sum() * target.square().sum()

    monkeypatch.setattr(ldl_findings.losses, "soft_cross_entropy", squared)
    found = identity(*strangers(3, 4, 5))
    assert found.sum_from_n_means < 1e-12
    assert found.mean_from_ensemble > 1e-3


@pytest.mark.parametrize("shape", [(4, 5), (0, 4, 5), (3, 4, 6), (3, 5, 5), (2, 3, 4, 5)])
def test_teachers_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"need teachers of shape \(N, 4, 5\), N at least 1, got"):
        identity(torch.zeros(4, 5), torch.ones(shape) / max(1, shape[-1]))


def test_strangers_are_distributions_that_agree_on_none():
    logits, teachers = strangers()
    assert (logits.shape, teachers.shape) == ((64, 100), (5, 64, 100))
    torch.testing.assert_close(teachers.sum(2), torch.ones(5, 64, dtype=torch.float64))
    assert torch.equal(strangers()[0], logits)
    assert not torch.equal(strangers(seed=1)[0], logits)
    assert not torch.equal(teachers[0], teachers[1])
    with pytest.raises(ValueError, match="teachers must be a whole number of at least 1, got 0"):
        strangers(0)


PRINTED = {  # from the paper's tables, by hand: lowest and highest
    "accuracy, On-LDL against the same mixing alone, ResNet-50": (81.64 - 81.47, 81.03 - 79.37),
    "the same, On-LDL trained long": (83.57 - 81.73,) * 2,
    "accuracy against Vanilla, CIFAR-10, ResNet-56": (93.96 - 93.88, 94.48 - 93.88),
    "ECE against Vanilla, CIFAR-10, ResNet-56": (100 * (6 / 38 - 1), 100 * (32 / 38 - 1)),
    "accuracy against Vanilla, STL10, ResNet-20": (83.40 - 83.44, 86.93 - 83.44),
    "ECE against Vanilla, STL10, ResNet-20": (100 * (8 / 67 - 1), 0),
    "accuracy, On-LDL trained long against CRD + KD, ResNet-200": (84.44 - 81.58,) * 2,
    "ECE, the best of LDL against each rival, CIFAR-100": (
        100 * (16 / 130 - 1),  # ResNet-110, WSL
        100 * (38 / 110 - 1),  # ResNet-200, CRD + KD
    ),
    "accuracy against Vanilla, other architectures": (83.35 - 79.67, 82.93 - 77.27),
    "ECE against Vanilla, other architectures": (100 * (33 / 99 - 1), 100 * (59 / 50 - 1)),
}


def test_statements_are_recomputed_from_the_tables(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = recomputed()
    assert list(found) == list(PRINTED)
    for statement, (low, high) in PRINTED.items():
        one = found[statement]
        assert (one.low, one.high) == pytest.approx((low, high), abs=1e-9)
        assert one.unit == ("%" if statement.startswith("ECE") else "points")


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "statement", "end"),
    [
        (1, "cifar100-resnet50 on_ldl-cutmix", "accuracy", 0.84, 0, ("high", 84 - 81.73)),
        (1, "cifar100-resnet50 none-ricap", "accuracy", 0.83, 1, ("low", 0.57)),
        (2, "cifar10-resnet56 on_mt_ldl-ricap", "ece", 0.0038, 3, ("low", -90)),
        (3, "cifar100-resnet18 wsl", "ece", 0.34, 7, ("low", -90)),
        (5, "cifar100-dla on_ldl-cutmix", "accuracy", 0.7827, 8, ("low", 1)),
    ],
)
def test_another_number_is_another_result(monkeypatch, table, row, column, value, statement, end):
    monkeypatch.chdir(ROOT)
    whole = {f"ldl_table{n}": tables.published(f"ldl_table{n}") for n in (1, 2, 3, 5)}
    whole[f"ldl_table{table}"].loc[row, column] = value
    monkeypatch.setattr(tables, "published", whole.__getitem__)
    found = list(recomputed().values())[statement]
    assert getattr(found, end[0]) == pytest.approx(end[1])


def measured(*values):
    return {"kl_to_truth": Measured(list(values), Estimate(*[statistics.fmean(values)] * 3))}


def test_ranks_are_within_seeds_and_the_lowest_comes_first():
    given_rows = {
        "high": measured(3, 3, 2, 9),
        "even": measured(2, 1, 3, 4),
        "low": measured(1, 2, 1, 4),
        "other": measured(0, 0, 0, 0),
    }
    found = ranks(given_rows, ["high", "even", "low"])
    assert list(found) == ["low", "even", "high"]
    assert [e.mean for e in found.values()] == [(1 + 2 + 1 + 1.5) / 4, (2 + 1 + 3 + 1.5) / 4, 2.75]
    assert found["low"].low < found["low"].mean < found["low"].high
    alone = ranks(given_rows, ["other", "high"])
    assert alone == {"other": Estimate(1, 1, 1), "high": Estimate(2, 2, 2)}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.permutations(range(4)), min_size=1, max_size=5))
def test_ranks_share_out_the_same_sum(seeds):
    rows = {f"m{i}": measured(*(seed[i] for seed in seeds)) for i in range(4)}
    found = ranks(rows, rows)
    assert math.isclose(sum(e.mean for e in found.values()), 10)
    means = [e.mean for e in found.values()]
    assert means == sorted(means)


@pytest.mark.parametrize("names", [["a", "b"], []])
def test_ranks_need_the_same_seeds(names):
    rows = {"a": measured(1, 2), "b": measured(1)}
    with pytest.raises(ValueError, match="ranks need rows with equally many seeds, got"):
        ranks(rows, names)


def test_sizes_are_sorted_by_noise_and_number():
    benches = [f"noisy_digits-small_cnn-n{n}-s{s}" for s in ("0.5", "0.3") for n in (400, 50)]
    rows = [f"{bench} {method}" for bench in benches for method in ("none", "ls fitted")]
    others = ["noisy_digits-small_cnn none", "cifar100-resnet20 none", "odd"]
    found = sizes({row: {} for row in [*rows, *others]})
    assert list(found.items()) == [
        ((0.3, 50), "noisy_digits-small_cnn-n50-s0.3"),
        ((0.3, 400), "noisy_digits-small_cnn-n400-s0.3"),
        ((0.5, 50), "noisy_digits-small_cnn-n50-s0.5"),
        ((0.5, 400), "noisy_digits-small_cnn-n400-s0.5"),
    ]


@pytest.mark.parametrize(
    ("said", "low", "high", "borne_out"),
    [
        ("up to +1.9", 0.2, 1.94, True),
        ("up to +1.9", 0.2, 1.66, False),
        ("up to +1.9", 0.2, 2.1, False),
        ("up to about -80", -84.2, -15.8, True),
        ("up to about -80", -90.0, -15.8, False),
        ("+3.39", 0.0, 3.49, False),
        ("about +3 to +5", 3.7, 5.4, True),
        ("about +3 to +5", 3.7, 5.7, False),
        ("-20 to -66", -66.4, -20.0, True),
        ("-20 to -66", -66.4, 18.0, False),
    ],
)
def test_a_statement_is_borne_out_by_what_rounds_to_it(said, low, high, borne_out):
    assert ldl_findings.Recomputed(said, low, high, "%").borne_out is borne_out
