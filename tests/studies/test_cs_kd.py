"""The CS-KD study: the paper's protocol, its printed cells, and what the chapter computes."""

import itertools
import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats as oracle

from ldlstudy import data, studies
from ldlstudy.experiment.plan import PROFILES
from ldlstudy.report import claims
from ldlstudy.report.tables import published
from ldlstudy.studies.cs_kd import numbers, runs, tables
from ldlstudy.studies.cs_kd.numbers import errors_compared, least_confident, not_borne_out
from ldlstudy.studies.cs_kd.runs import (
    DIGITS,
    DOMAINS,
    OUTPUT,
    REDUCED,
    SMALL_DOMAINS,
)
from ldlstudy.training import Augmentation, Recipe
from tests.report.made import results

PAPER = {table: runs.runs(table, "paper") for table in range(1, 6)}
ALL = {each.name: each for planned in PAPER.values() for each in planned}
SMALL, FINE = ["cifar100", "tiny_imagenet"], ["cub200", "stanford_dogs", "mit67"]
TINY, MIT = "Tiny ImageNet", "MIT67"


def bench(dataset, network):
    """What we call the network that the paper prints."""
    small = network in ("resnet18", "resnet10") and dataset in SMALL
    return f"{dataset}-{'preact_' * small}{network}"


def sets(table):
    return [c for c in table if c != "label" and not c.endswith("_sd")]


@pytest.mark.parametrize("table", PAPER)
def test_every_printed_cell_has_runs_and_every_run_a_cell(table):
    """Only CS-KD-E is printed beside other tables, and the reduced CIFAR-100 is ours."""
    paper = published(f"cskd_table{table}")
    printed = {
        f"{bench(dataset, network)} {strategy}"
        for (network, strategy), dataset in itertools.product(paper.index, sets(paper))
    }
    own = [e for e in PAPER[table] if e.bench != REDUCED and e.strategy != "cs_kd_e"]
    seeds = Counter(each.row for each in own)
    assert set(seeds) == printed
    assert set(seeds.values()) == {1 if table == 5 else 3}
    assert len({each.run for each in own}) == len(own)
    ours = {e.run.seed: e.run for e in PAPER[table] if e.bench == REDUCED}
    full = ALL["cifar100-preact_resnet18 none"].run
    for seed, run in ours.items():
        assert (seed, run.model, run.augmentation) == (0, "resnet20", full.augmentation)
        assert run.recipe == {**full.recipe, "epochs": 20, "drops": [10, 15]}


def test_figure_4_is_of_the_protocol_of_the_sets_it_mixes():
    planned = {each.name: each for each in runs.figure4("paper")}
    for strategy in OUTPUT:
        for seed in ("", " #1", " #2"):
            run = planned[f"{DOMAINS} {strategy}{seed}"].run
            assert replace(run, dataset="cub200") == ALL[f"cub200-resnet18 {strategy}{seed}"].run
    reduced = planned[f"{SMALL_DOMAINS} cs_kd"]
    assert reduced.run.settings == {"temperature": 4, "weight": 3}
    assert (reduced.run.data, reduced.level) == ({"test": 30}, "reduced")
    full = planned[f"{DOMAINS} cs_kd"].run.recipe
    assert reduced.run.recipe == {**full, "epochs": 10, "drops": [5, 8]}
    assert all("domains" in each.keep for each in planned.values())


@pytest.mark.parametrize("dataset", [*SMALL, *FINE, "imagenet"])
def test_the_printed_protocol(dataset):
    large, small = dataset == "imagenet", dataset in SMALL
    one, two = (30, 60) if large else (100, 150)
    for each in ALL.values():
        if each.run.dataset != dataset or each.bench == REDUCED:
            continue
        recipe = Recipe.of(each.run.recipe)
        assert recipe.epochs == (90 if large else 200)
        assert recipe.batch == (256 if large else 128 if small else 32)
        assert (recipe.optimiser, recipe.rate, recipe.momentum) == ("sgd", 0.1, 0.9)
        assert (recipe.nesterov, recipe.dampening, recipe.weight_decay) == (False, 0, 1e-4)
        shares = [recipe.share(epoch) for epoch in (0, one - 1, one, two - 1, two)]
        assert shares == pytest.approx([1, 1, 0.1, 0.1, 0.01])
        assert each.run.network == ({} if small else {"stem": "7x7"})
        assert each.run.data == {}
        sizes = {"cifar100": (32, 4, "cskd"), "tiny_imagenet": (64, 4, "imagenet")}
        crop, pad, normalise = sizes.get(dataset, (224, 0, "imagenet"))
        own = Augmentation(crop=crop, pad=pad, flip=True, normalise=normalise)
        assert Augmentation.of(each.run.augmentation) == own


def test_seeds_differ_in_nothing_but_what_they_keep_and_their_teachers():
    for each in ALL.values():
        first = ALL[each.row].run
        assert replace(first, seed=each.run.seed, teachers=each.run.teachers) == each.run
        keep = {"errors", "neighbours"}
        if not each.run.seed:
            keep |= {"reliability_20"}
            keep |= {"answers", "embedding"} if each.strategy in ("none", "cs_kd") else set()
        assert set(each.keep) == keep


def test_the_class_wise_term_weighs_three_on_fine_grained_sets():
    for each in ALL.values():
        term = {"kd_cs_kd": "class_weight"}.get(each.run.method, "weight")
        if "cs_kd" in each.run.method:
            assert each.run.settings[term] == (3 if each.run.dataset in FINE else 1)
            temperature = "class_temperature" if each.run.method == "kd_cs_kd" else "temperature"
            assert each.run.settings[temperature] == 4
    assert ALL["cifar100-preact_resnet18 mixup_cs_kd"].run.mixing == {"name": "mixup", "alpha": 1}


def test_the_mistake_that_is_shown_is_of_both_networks_and_of_the_most_divided_truth():
    p = {
        "cross entropy": [[0.95, 0.04, 0.01]] * 3 + [[0.8, 0.1, 0.1], [0.95, 0.04, 0.01]],
        "CS-KD": [[0.6, 0.3, 0.1]] * 3 + [[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]],
    }
    labels = [0, 1, 2, 1, 1]  # right, wrong, wrong, not sure enough, another answer
    networks = {
        name: {"labels": labels, "log_probabilities": np.log(rows).tolist()}
        for name, rows in p.items()
    }
    half = [0.5, 0.5, 0.0]
    truth = torch.tensor([half, [0.6, 0.4, 0.0], [0.6, 0.1, 0.3], half, half])
    found = numbers.mistake(networks, truth, temperature=2.0)
    assert (found.place, found.label, found.answer) == (1, 1, 0)
    hard, own, scaled, true = found.panels.values()
    assert torch.equal(true, truth[1])
    np.testing.assert_allclose(hard, p["cross entropy"][1])
    np.testing.assert_allclose(own, p["CS-KD"][1])
    root = np.sqrt(p["cross entropy"][1])
    np.testing.assert_allclose(scaled, root / root.sum())
    values = numbers.of_mistake(found)
    assert values["mistake.truth.label"] == pytest.approx(0.4)
    assert values["mistake.cs_kd.elsewhere"] == pytest.approx(0.1)


@pytest.mark.parametrize("profile", PROFILES)
def test_students_have_a_teacher_trained_by_cs_kd_with_their_own_seed(profile):
    table1 = {each.name: each.run for each in runs.runs(1, profile)}
    planned = runs.runs(4, profile)
    students = [each.run for each in planned if each.run.teachers]
    assert {run.method for run in students} == {"kd", "kd_cs_kd"}
    assert len(students) == len(planned) / 2
    for run in students:
        model = "densenet121" if profile == "paper" else "small_cnn"
        mark = f" #{run.seed}" if run.seed else ""
        assert run.teachers == (table1[f"{run.dataset}-{model} cs_kd{mark}"],)
        assert run.teachers[0].data == run.data


@pytest.mark.parametrize(("profile", "seeds"), [("quick", 3), ("smoke", 2)])
def test_noisy_digits_have_every_method_of_the_paper(profile, seeds):
    for table in range(1, 5):
        planned = runs.runs(table, profile)
        own = {"cs_kd_eval", "max_entropy_light"} if table == 1 else set()
        paper = {each.strategy for each in PAPER[table] if each.bench != REDUCED}
        counts = Counter(each.strategy for each in planned)
        assert set(counts) == paper | own
        assert set(counts.values()) == {seeds}
        assert all(each.run.data["draw"] == each.run.seed for each in planned)
        noise = [Augmentation.of(each.run.augmentation).noise for each in planned]
        assert min(noise) > 0  # two views of an image differ


@pytest.mark.parametrize("profile", ["quick", "smoke"])
def test_the_grid_is_of_cs_kd_at_every_temperature_and_weight(profile):
    planned = runs.grid(profile)
    table1 = {each.name: each for each in runs.runs(1, profile)}
    tried = set()
    for each in planned:
        mark = f" #{each.run.seed}" if each.run.seed else ""
        base = table1[f"{DIGITS} cs_kd{mark}"]
        t, weight = each.run.settings["temperature"], each.run.settings["weight"]
        tried.add((t, weight))
        assert each.strategy == f"cs_kd T{t:g} l{weight:g}"
        assert each.run == replace(base.run, settings=each.run.settings)
        assert (each.keep == base.keep) == ((t, weight) == (4, 1) or each.run.seed > 0)
    assert tried == set(itertools.product((1, 4), (1, 2, 3, 4)))  # appendix B


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: runs.runs(6, "paper"), "table must lie in [1, 5], got 6"),
        (lambda: runs.runs(True, "paper"), "table must be a whole number of at least 1, got True"),
        (lambda: runs.runs(1, "fast"), "unknown profile 'fast'; known: paper, quick, smoke"),
        (lambda: runs.runs(5, "quick"), "unknown profile of Table 5 'quick'; known: paper"),
        (lambda: runs.grid("paper"), "unknown profile of the grid 'paper'; known: quick, smoke"),
        (lambda: least_confident(0.0, 10), "weight must lie in (0, inf), got 0.0"),
        (lambda: least_confident(1.0, 1), "classes must be a whole number of at least 2, got 1"),
        (lambda: tables.measures(results({}), "nll"), "unknown measure 'nll'; known: ece, recall"),
        (lambda: tables.against_paper(results({}), 6), "unknown published table 'cskd_table6'"),
    ],
)
def test_what_there_is_no_table_of(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


NAMES = {  # where the book's differ from the paper's
    "Cross-entropy": "cross entropy", "Label-smoothing": "label smoothing", "Mixup": "mixup",
    "Virtual-softmax": "virtual softmax", "Maximum-entropy": "maximum entropy",
}  # fmt: skip


@pytest.mark.parametrize("table", range(1, 5))
def test_lines_are_called_as_in_the_paper_and_columns_are_the_sets(table):
    shown = tables.against_paper(results({}), table).data
    labels = [label.split(", ") for label in published(f"cskd_table{table}")["label"]]
    methods = [(network, method.removesuffix(" (ours)")) for network, method in labels]
    called = [f"{network}: {NAMES.get(m, m.replace('Mixup', 'mixup'))}" for network, m in methods]
    assert [label.text for label in shown.index] == called
    assert list(shown.columns) == ["CIFAR-100", TINY, "CUB-200", "Stanford Dogs", MIT]


def errors(scores):
    """What a record keeps, from position to the log-probabilities of predicted and true class."""
    predicted, true = zip(*scores.values(), strict=True)
    return {"index": list(scores), "log_predicted": list(predicted), "log_true": list(true)}


def test_scores_on_errors_by_hand():
    first = {"index": [0, 2, 5], "log_predicted": [-0.1, -0.2, -0.6], "log_true": [-3, -2, -1]}
    second = {"index": [5, 7, 0], "log_predicted": [-1, -0.5, -0.9], "log_true": [-1.5, -1, -2]}
    methods = {"plain": [first], "soft": [second]}
    shown = tables.scores_on_errors({"digits": methods, "toys": methods}).data.to_dict("index")
    paired = oracle.ttest_rel([-0.9, -1.0], [-0.1, -0.6]).pvalue
    assert shown["digits: predicted class"] == {
        "plain": "−0.30",
        "soft": "−0.80",
        "both wrong": "2",
        "difference there": "−0.60",  # images 0 and 5: -.8 and -.4
        "p": f"{paired:.3f}".removeprefix("0"),
    }
    row = shown["toys: true class"]
    assert (row["plain"], row["soft"], row["difference there"]) == ("−2.00", "−1.50", "+0.25")
    same = tables.scores_on_errors({"a": {"x": [first], "y": [first]}}).data.iloc[0]
    assert (same["p"], same["difference there"]) == ("1.000", "+0.00")


LEFT = [
    errors({2: (-0.5, -2.0), 3: (-1.5, -1.0), 8: (-0.25, -4.0)}),
    errors({0: (-1.0, -3.0), 2: (-0.75, -1.5), 3: (-0.5, -2.5), 5: (-0.25, -1.0)}),
]
RIGHT = [
    errors({8: (-0.125, -6.0), 1: (-0.5, -9.0), 2: (-0.25, -3.0)}),
    errors({2: (-0.5, -2.0), 5: (-0.125, -4.0), 3: (-0.0625, -8.0)}),
]


@pytest.mark.parametrize(
    ("score", "means", "of_seeds"),
    [
        ("log_predicted", (-4.75 / 7, -1.5625 / 6), (-0.375 / 2, -0.8125 / 3)),
        ("log_true", (-15.0 / 7, -32.0 / 6), (3.0 / 2, 9.0 / 3)),
    ],
)
def test_errors_of_two_seeds_by_hand(score, means, of_seeds):
    """Images are paired within a seed; with one degree of freedom t is Cauchy's."""
    found = errors_compared(LEFT, RIGHT, score)
    assert found.means == means
    assert found.common == 5  # images 2 and 8 of the first seed; 2, 3 and 5 of the second
    assert found.difference == pytest.approx(sum(of_seeds) / 2)
    t = sum(of_seeds) / abs(of_seeds[0] - of_seeds[1])
    assert found.p == pytest.approx(1 - 2 / math.pi * math.atan(abs(t)))


@pytest.mark.parametrize(
    ("left", "right", "score", "message"),
    [
        (LEFT, RIGHT, "index", "unknown score 'index'; known: log_predicted, log_true"),
        (LEFT, RIGHT[:1], "log_true", "as many seeds of both, got 2 and 1"),
        ([errors({1: (-1.0, -2.0)})], RIGHT[:1], "log_true", "both get wrong, got 1"),
        (LEFT, [errors({0: (-1.0, -2.0)}), RIGHT[1]], "log_true", "images or more .* got 0"),
    ],
)
def test_errors_that_cannot_be_compared(left, right, score, message):
    with pytest.raises(ValueError, match=message):
        errors_compared(left, right, score)


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("weight", [0.1, 1.0, 50.0])
def test_the_least_loss_of_maximum_entropy_by_brute_force(weight, classes):
    logit = np.linspace(-math.log(classes - 1) - 1, 25, 1_000_001)
    p, rest = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(logit))
    entropy = -p * np.log(p) - rest * np.log(rest / (classes - 1))
    loss = -np.log(p) - weight * entropy
    found = least_confident(weight, classes)
    assert math.log(found / (1 - found)) == pytest.approx(logit[loss.argmin()], abs=1e-3)


NOT_SO = {  # of what the paper says, by its own printed means
    "lowest error of the self-distillers": [TINY],
    "lower ECE than label smoothing": [TINY, MIT],
    "lowest ECE of the output regularisers": [TINY, "CUB-200", "Stanford Dogs", MIT],
    "highest R@1": ["CIFAR-100"],
}


def test_what_the_printed_tables_do_not_bear_out():
    large = published("cskd_table5")["imagenet"].unstack()
    assert (large["cs_kd"] < large["none"]).all()
    found = not_borne_out()
    assert len(found) == 11
    assert {claim: on for claim, on in found.items() if on} == NOT_SO
    shown = tables.in_its_own_tables().data.to_dict("index")
    assert shown["highest R@1"] == {"holds on": "4 of 5", "not on": "CIFAR-100"}
    assert shown["lowest top-5 error"] == {"holds on": "5 of 5", "not on": ""}


def test_numbers_of_the_prose():
    tables_ = ("cskd-table1", "cskd-table3")
    paper = studies.recorded(tables_)
    found_ = paper | studies.recorded(tables_, "quick")
    test = data.load("noisy_digits", **runs.DATA, draw=0).test
    judged = claims.judge(found_, published("cskd_claims"))
    found = numbers.quoted(found_, paper, judged, test, "quick")
    bayes = (test.truth.argmax(1) == test.labels).double().mean()
    assert found["bayes.accuracy"] == pytest.approx(float(bayes))
    errors_ = [found_.measured(f"quick {DIGITS} {s}", "error").values for s in ("none", "cs_kd")]
    assert found["gain.error_points"] == pytest.approx(100 * np.subtract(*errors_).mean())
    history = found_.figure(f"{REDUCED} none", "history")["loss"]
    assert found["loss.cifar"] == history[-1]
    assert "nan" not in {str(value) for value in found.values()}
