"""The fast network: what is said of made-up numbers, and operations counted by hand."""

import io

import pandas as pd
import pytest

from ldlstudy.report import export
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.fast import numbers, runs, tables
from tests.report.made import filled
from tests.report.made import results as made_up

CIFAR10 = (runs.CIFAR10, "on CIFAR-10")


def made(values):
    """Results of the first seed on CIFAR-10: ``ece_15_left`` as trained and scaled by strategy."""
    planned = [
        each
        for each in runs.runs("paper")
        if each.bench == runs.CIFAR10 and each.run.seed == 0 and each.strategy in values
    ]

    def give(each):
        plain, fitted = values[each.strategy]
        return {"ece_15_left": (plain, 0.01), "fitted ece_15_left": (fitted, 0.01)}

    return filled(planned, give, {"history": {"loss": [2.3, 0.1]}})


def test_what_is_said_follows_the_intervals():
    found = numbers.said(
        made({"none": (0.1, 0.1), "ls": (0.2, 0.1), "cs_kd": (0.0, 0.105)}), *CIFAR10
    )
    assert found == (
        "Against hard labels on CIFAR-10: as trained, the ECE of LS is clearly above and the ECE "
        "of CS-KD is clearly below theirs; scaled, neither ECE nor NLL tells a strategy "
        "from them."
    )


def test_scores_that_tell_the_same_strategies_apart_are_said_together():
    row = runs.CIFAR10
    of = {"ls": (0.2, 2.0), "cs_kd": (0.05, 2.0), "none": (0.1, 1.0), "kd": (0.2, 3.0)}
    both = {
        f"{row} {name}": {"ece_15_left": (ece, 0.01), "cross_entropy": (nll, 0.01)}
        for name, (ece, nll) in of.items()
    }
    one = both | {f"{row} cs_kd": {"ece_15_left": (0.1, 0.01)}}
    begin = "Against hard labels on CIFAR-10: as trained, "
    assert numbers.said(made_up(one), *CIFAR10).startswith(
        f"{begin}the ECE and NLL of LS and KD are clearly above theirs; scaled, "
    )
    assert numbers.said(made_up(both), *CIFAR10).startswith(
        f"{begin}the ECE of LS and KD is clearly above, the ECE of CS-KD is clearly below and the "
        "NLL of LS, CS-KD and KD is clearly above theirs; scaled, "
    )


@pytest.mark.parametrize("there", [{}, {"none": (0.1, 0.1)}, {"ls": (0.1, 0.1)}])
def test_without_two_sides_nothing_is_said(there):
    assert numbers.said(made(there), *CIFAR10) == (
        "On CIFAR-10 nothing stands beside hard labels yet."
    )
    assert "photographs.minutes" in numbers.quoted(made(there)) or not there


def test_differences_stand_as_trained_and_scaled():
    shown = tables.against_hard(made({"none": (0.1, 0.1), "ls": (0.2, 0.12)}))
    table = pd.read_csv(io.StringIO(export.table(shown)), index_col=0)
    assert list(table.index) == ["CIFAR-10: LS", "CIFAR-10: LS, scaled"]
    assert table["ECE"].tolist() == pytest.approx([0.1, 0.02])


def few(values):
    """Results of three seeds on few images: ECE and last training loss by strategy and seed."""
    planned = [each for each in runs.few("paper") if each.strategy in values]

    def give(each):
        found = values[each.strategy][each.run.seed]
        return {"ece_15_left": found, "fitted ece_15_left": 0.02, "accuracy": 0.4}

    return filled(planned, give, {"history": {"loss": [4.0, 0.03]}})


def test_few_images_are_as_many_as_cub_200_has():
    bench = runs.few_bench()
    assert bench.data["per_class"] * (1 - bench.data["held"]) == 30
    # ILS, which holds images out elsewhere, is taught by and compared with the same networks
    for each in runs.few("paper"):
        doubled = each.bench == runs.DOUBLED_BENCH
        assert each.run.data == ({"per_class": 60} if doubled else bench.data)
        assert {teacher.method for teacher in each.run.teachers} <= {"none"}
        assert all(teacher.data == bench.data for teacher in each.run.teachers)


def test_of_few_images_the_difference_is_within_seeds():
    results = few({"none": (0.2, 0.25, 0.3), "cs_kd": (0.1, 0.13, 0.19), "ls": (0.2, 0.2, 0.4)})
    quoted = numbers.of_few(results)
    assert quoted["few.said"] == (
        "Against hard labels with 30 images of a class: as trained, the ECE of CS-KD is clearly "
        "below theirs; scaled, neither ECE nor NLL tells a strategy from them."
    )
    assert (quoted["few.seeds"], quoted["few.networks"], quoted["few.loss"]) == (3, 15, 0.03)
    assert quoted["few.cs_kd.ece"] == pytest.approx(0.14)
    assert "few.on_ldl-cutmix.ece" not in quoted  # which was not run
    shown = tables.few_against_hard(results)
    table = pd.read_csv(io.StringIO(export.table(shown)), index_col=0)
    assert table.loc["CS-KD", "ECE"] == pytest.approx(-0.11)
    others = (
        "LS", "CS-KD", "hard labels, weight decay × 20", "hard labels, on twice the images",
    )  # fmt: skip
    assert list(table.index) == [f"{name}{stage}" for name in others for stage in ("", ", scaled")]
    assert table.loc[others[2], "ECE"] == 0  # as made
    scores = pd.read_csv(io.StringIO(export.table(tables.scores_of_few(results))), index_col=0)
    assert scores.loc["hard labels", "ECE"] == pytest.approx(0.25)


def test_without_networks_of_few_images_nothing_is_said():
    assert numbers.of_few(few({})) == {
        "few.images": 30,
        "few.networks": 0,
        "few.seeds": 0,
        "few.epochs": 30,
        "few.said": "With 30 images of a class nothing stands beside hard labels yet.",
    }


def test_operations_of_a_network_of_three_convolutions_by_hand():
    """Forwards once and backwards twice, but for the first layer's images."""
    side = [32 * 32, 16 * 16, 8 * 8]
    first, second, third = (
        2 * 9 * a * b * n for a, b, n in zip((3, 32, 64), (32, 64, 64), side, strict=True)
    )
    head = 2 * 64 * 10
    bench = Bench("own", "cifar10", "small_cnn", {}, network={"channels": 3})
    assert tables.operations(bench) == 2 * first + 3 * (second + third + head)


def test_budgets_are_products_of_their_columns():
    table = pd.read_csv(io.StringIO(export.table(tables.budgets())), index_col=0, thousands=",")
    each, epochs, whole = (table[c] for c in ("operations an image, 10⁹", "epochs", "in all, 10¹²"))
    assert (each * epochs * 50).tolist() == pytest.approx(whole.tolist(), rel=0.03)
    assert table.loc["ResNet-20 of LDL", "epochs"] == 240  # the paper's


def test_hard_labels_that_are_trained_longer_stand_beside_those_that_are_not():
    longer = runs.long(runs.CIFAR10)
    planned = [
        each
        for each in runs.runs("paper")
        if each.bench in (runs.CIFAR10, longer) and each.strategy in ("none", "ls")
    ]
    eces = {"none": {24: 0.01, 96: 0.04}, "ls": {24: 0.1, 96: 0.2}}

    def give(each):
        ece = eces[each.strategy][each.run.recipe["epochs"]] + each.run.seed / 1000
        return {"ece_15_left": ece, "fitted ece_15_left": 0.02, "accuracy": 0.9}

    results = filled(planned, give, {"history": {"loss": [2.0, 0.004]}})
    shown = tables.against_hard(results)
    table = pd.read_csv(io.StringIO(export.table(shown)), index_col=0)
    found = {name: table.loc[f"CIFAR-10: {name}", "ECE"] for name in ("LS", "LS, 96 epochs")}
    assert found == pytest.approx({"LS": 0.09, "LS, 96 epochs": 0.16})  # each against its own kind
    assert table.loc["CIFAR-10: hard labels, 96 epochs", "ECE"] == pytest.approx(0.03)
    assert "CIFAR-10: hard labels" not in table.index
    quoted = numbers.quoted(results)
    assert quoted["photographs.long.ece"] == pytest.approx(0.041)
    assert quoted["photographs.long.loss"] == 0.004
