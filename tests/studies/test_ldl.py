"""The LDL study: the paper's protocol, its printed cells, and what the chapter computes."""

import itertools
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy import losses, studies
from ldlstudy.experiment import images
from ldlstudy.report import claims
from ldlstudy.report.results import Results
from ldlstudy.report.tables import published, render
from ldlstudy.studies.ldl import numbers, runs, tables
from ldlstudy.studies.ldl.numbers import Recomputed, identity, strangers
from ldlstudy.studies.ldl.runs import REDUCED
from ldlstudy.studies.strategies import named
from ldlstudy.training import Recipe
from tests.report.made import filled, results

PAPER = {table: runs.runs(table, "paper") for table in range(1, 8)}
ALL = {each.name: each for planned in PAPER.values() for each in planned}
ALL |= {each.name: each for each in runs.runs("methods", "paper")}
FIVE = ["resnet20", "resnet32", "resnet44", "resnet56", "resnet110"]
DIGITS = numbers.DIGITS


@pytest.mark.parametrize("table", PAPER)
def test_every_printed_row_has_three_seeds_and_every_run_a_row(table):
    printed = {f"{bench} {s}" for bench, s, _ in published(f"ldl_table{table}").index}
    own = [each for each in PAPER[table] if each.bench != REDUCED]
    assert {each.row for each in own} == printed
    assert sorted({each.run.seed for each in own}) == [0, 1, 2]
    assert len({each.run for each in own}) == len(own) == 3 * len(printed)
    assert {e.strategy for e in PAPER[table] if e.bench == REDUCED} == (
        {"none", "ls_wrong", "off_ldl", "on_ldl-cutmix"} if table == 1 else set()
    )


def test_the_paper_s_protocol():
    for each in ALL.values():
        long, recipe = each.strategy.endswith("-long"), Recipe.of(each.run.recipe)
        if each.run.dataset == "imagenet":
            assert (recipe.epochs, recipe.batch) == (120 if long else 90, 256)
        elif each.bench != REDUCED:
            assert (recipe.epochs, recipe.batch, recipe.rate) == (350 if long else 240, 64, 0.05)
            assert list(recipe.drops) == ([150, 200, 250, 300] if long else [150, 180, 210])
            assert (recipe.momentum, recipe.weight_decay, recipe.order) == (0.9, 5e-4, 0)
        mixing = each.run.mixing.get("name", "")
        assert (mixing in each.strategy.split("-")) == bool(mixing)
    reduced = Recipe.of(ALL[f"{REDUCED} none"].run.recipe)
    assert (reduced.epochs, [e * 12 for e in reduced.drops]) == (20, [144, 180, 204])


def test_who_teaches_whom():
    for each in ALL.values():
        run, strategy = each.run, named(each.strategy)
        taught = [(t.model, t.method, t.seed) for t in run.teachers]
        if not taught:
            assert strategy.group in ("existing", "online LDL")  # without a teacher, as OGR's
        elif len(taught) > 1:
            assert taught == [(model, "none", 0) for model in FIVE]
        elif each.bench == REDUCED:
            assert run.teachers == (ALL[f"{REDUCED} none"].run,)
        else:
            large = "resnet152" if run.dataset == "imagenet" else "resnet200"
            assert taught == [("resnet110" if run.model in FIVE else large, "none", 0)]
            dropping = {"dropout": 0.2, "passes": 20}  # supplement, section 2
            assert run.teachers[0].network == (dropping if "mcdo" in each.strategy else run.network)
    assert ALL["cifar100-resnet18 off_ldl #2"].run.teachers[0] == ALL["cifar100-resnet200 none"].run
    held = {each.strategy for each in ALL.values() if each.run.data.get("held")}
    assert held == {"none-held", "ogr", "on_ldl-ogr"}
    quick = {each.name: each.run for each in runs.runs("methods", "quick")}
    several = quick["noisy_digits-small_cnn off_en_ldl #1"].teachers
    assert [teacher.seed for teacher in several] == [1, 101, 201, 301, 401]
    assert {teacher.data["draw"] for teacher in several} == {1}


def test_students_of_a_table_can_be_trained_together():
    """Seeds of a strategy, and strategies with the same mixing, see the same batches."""
    streams = {each.name: images.stream(each.run) for each in PAPER[1]}
    small = "cifar100-resnet20"
    rows = itertools.product((small, "cifar100-resnet50"), ("on_ldl-cutmix", "cutmix"))
    same = {streams[f"{b} {m}{seed}"] for b, m in rows for seed in ("", " #1", " #2")}
    assert len(same) == 1
    assert len({streams[f"{small} {m}"] for m in ("none", "cutmix", "ricap")}) == 3
    assert images.stream(ALL["cifar100-resnet18 on_ldl-mcdo_t"].run) is None


def test_what_both_studies_of_noisy_digits_ask_for_is_trained_once():
    methods, truth = (
        {each.row: each.run for each in runs.runs(table, "quick")} for table in ("methods", "truth")
    )
    for strategy in runs.COMPARED:
        cell = truth[f"noisy_digits-small_cnn-n200-s0.5 {strategy}"]
        assert methods[f"noisy_digits-small_cnn {strategy}"] == cell
    printed = {s for n in range(1, 8) for _, s, _ in published(f"ldl_table{n}").index}
    bases = {named(s).base for s in printed} - {"none-held"}
    tried = {named(row.split(" ")[1]).base for row in methods}
    assert bases <= tried


@pytest.mark.parametrize(("profile", "epochs", "gap"), [("quick", 29, None), ("smoke", 3, 1)])
def test_noisy_digits_have_long_training_uncertainty_and_views_that_differ(profile, epochs, gap):
    """Long is 350 epochs in place of 240, and as large a share more on noisy digits."""
    planned = {each.name: each for each in runs.runs("methods", profile)}
    own = {
        n.split(" ", 1)[1]: e.run
        for n, e in planned.items()
        if n.startswith("noisy_digits-small_cnn ")
    }
    for name in ("none", "on_ldl-mixup", "on_ldl-cutmix"):
        short, long = own[name], own[f"{name}-long"]
        assert (long.recipe["epochs"], long.teachers) == (epochs, short.teachers)
        assert replace(long, recipe=short.recipe) == short
    sampled = {"norm": True, "dropout": 0.2, "passes": 20}
    assert own["mcdo"].network == own["on_ldl-mcdo_st"].network == sampled
    for name in ("on_ldl-mcdo_t", "on_ldl-mcdo_st", "on_ldl-mcdo_t-cutmix"):
        assert own[name].teachers == (own["mcdo"],)
    for name in ("ogr", "on_ldl-ogr"):
        assert own[name].settings.get("gap") == gap
        assert own[name].data["held"] == own["none-held"].data["held"] == 0.1
    shifted = {
        n.rsplit(" ", 1)[1]: e.run for n, e in planned.items() if "shifted" in n and "#" not in n
    }
    assert set(shifted) == {"none", "off_ldl", "off_ldl_views"}
    for name, run in shifted.items():
        assert run.augmentation == {"shift": 1}
        assert run.teachers == (() if name == "none" else (shifted["none"],))
    assert replace(shifted["off_ldl_views"], settings={}) == shifted["off_ldl"]


@pytest.mark.parametrize(
    ("table", "profile", "message"),
    [
        (8, "paper", "unknown table of the paper '8'; known: 1, 2, 3, 4, 5, 6, 7"),
        (True, "paper", "unknown table of the paper 'True'"),
        ("tables", "paper", "unknown table of LDL 'tables'; known: methods, truth"),
        (1, "quick", "unknown profile of LDL's Table 1 'quick'; known: paper"),
        ("methods", "fast", "unknown profile 'fast'; known: paper, quick, smoke"),
    ],
)
def test_a_table_that_is_not_there(table, profile, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        runs.runs(table, profile)


@pytest.mark.parametrize(
    ("table", "label", "column", "number"),
    [
        (1, "On-LDL, CutMix", ("ResNet-50", "ECE"), 0.030),
        (1, "Vanilla, RICAP", ("ResNet-56", "accuracy, %"), 0.7395),
        (1, "On-LDL, long", ("ResNet-20", "ECE"), 0.073),
        (2, "On-MT-LDL (sum), long", ("STL10, ResNet-20", "accuracy, %"), 0.8693),
        (3, "On-LDL", ("ResNet-200", "accuracy, %"), 0.8388),
        (4, "Off-LDL", ("ResNet-101", "top-5, %"), 0.9430),
        (5, "LS", ("ResNeXt-29-4x64d", "ECE"), 0.151),
        (6, "temperature scaling", ("ResNet-50", "ECE"), 0.032),
        (6, "On-LDL, MCDO-T, CutMix", ("ResNet-18", "accuracy, %"), 0.8082),
        (7, "ResNet-50: On-LDL, long", "NLL", 0.621),
        (3, "CRD", ("ResNet-200", "ECE"), None),  # not printed
    ],
)
def test_a_cell_is_of_its_student_and_its_strategy(table, label, column, number):
    shown = tables.against_paper(results({}), table).data
    row = shown.iloc[[getattr(each, "text", each) for each in shown.index].index(label)]
    assert getattr(row[column], "published", None) == number


def test_the_nearest_to_the_truth_comes_first():
    found = results(
        {
            f"{DIGITS} none": {"kl_to_truth": 0.3, "fitted kl_to_truth": 0.1, "accuracy": 0.875},
            f"{DIGITS} truth": {"kl_to_truth": (0.2, 0.01)},
            f"{DIGITS} off_ldl": {"kl_to_truth": 0.25},
            "quick noisy_digits-small_cnn-n50-s0.5 kd_ldl": {"kl_to_truth": 0.1},
        }
    )
    shown = tables.true_distribution(found).data
    assert [label.text for label in shown.index] == ["the true posterior", "Off-LDL", "Vanilla"]
    assert render(shown.iloc[0]["KL to the truth"]) == ".200 <small>±.010</small>"
    assert [render(shown.iloc[2][c]) for c in ("accuracy, %", "KL, scaled")] == [
        "87.50", ".100",
    ]  # fmt: skip


def test_benches_by_noise_and_size_are_sorted():
    found = filled(runs.runs("truth", "quick"), lambda each: {"kl_to_truth": 0.1})
    assert list(numbers.sizes(found)) == list(itertools.product((0.4, 0.5, 0.6), (50, 100, 200)))
    assert tables.grid(found).data.shape == (9, len(runs.COMPARED))


def test_runs_are_listed_once_for_all_seeds():
    planned = [each for each in ALL.values() if each.row == "cifar100-resnet20 none"]
    found = filled(planned, lambda each: {"accuracy": 0.5})
    found.records(planned[0].row)[1].made["training_seconds"] = 3000.0  # resumed
    (line,) = tables.what_was_run(found).data.to_dict("records")
    assert line == {
        "method": "Vanilla", "data set": "CIFAR-100", "network": "ResNet-20", "epochs": "240",
        "seeds": "3", "device": "CPU", "seconds": "1,004",
    }  # fmt: skip


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(2, 12), st.integers(0, 2**31))
def test_several_teachers_are_their_ensemble_with_a_longer_step(teachers, size, classes, seed):
    logits, says = strangers(teachers, size, classes, seed)
    found = identity(logits.float().requires_grad_(), says.half())
    assert max(found[:2]) < 1e-13
    expected = (logits.softmax(1) - says.mean(0)) / size  # the gradient by its formula
    exact = identity(logits, says)
    assert exact.largest_gradient == pytest.approx(float(expected.abs().max()), rel=1e-12)


def test_a_loss_that_is_not_linear_in_its_target_does_not_pass(monkeypatch):
    def squared(logits, target):
        return (logits.softmax(1) - target).square().sum() * target.square().sum()

    monkeypatch.setattr(losses, "soft_cross_entropy", squared)
    found = identity(*strangers(3, 4, 5))
    assert found.sum_from_n_means < 1e-12
    assert found.mean_from_ensemble > 1e-3


@pytest.mark.parametrize("shape", [(4, 5), (0, 4, 5), (3, 4, 6), (2, 3, 4, 5)])
def test_teachers_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"need teachers of shape \(N, 4, 5\), N at least 1, got"):
        identity(torch.zeros(4, 5), torch.ones(shape) / max(1, shape[-1]))


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
    "ECE against Vanilla, other architectures": (
        100 * (33 / 99 - 1),
        100 * (39 / 50 - 1),  # Off-LDL
    ),
}


def test_statements_are_recomputed_from_the_tables():
    found = numbers.recomputed()
    assert list(found) == list(PRINTED)
    for statement, ends in PRINTED.items():
        assert (found[statement].low, found[statement].high) == pytest.approx(ends, abs=1e-9)
    shown = tables.recomputed().data.to_dict("index")
    assert shown["accuracy against Vanilla, CIFAR-10, ResNet-56"] == {
        "the text": "up to +1.6 points", "its tables": "+0.08 to +0.60 points",
    }  # fmt: skip
    assert shown["ECE against Vanilla, other architectures"] == {
        "the text": "−20 to −66 %", "its tables": "−67 to −22 %",
    }  # fmt: skip
    assert shown["ECE against Vanilla, STL10, ResNet-20"]["its tables"].endswith(" to 0 %")


@pytest.mark.parametrize(
    ("stated", "how", "low", "high", "said", "borne_out"),
    [
        ((1.9,), {"up_to": True}, 0.2, 1.94, "up to +1.9", True),
        ((1.9,), {"up_to": True}, 0.2, 1.66, "up to +1.9", False),
        ((1.9,), {"up_to": True}, 0.2, 2.1, "up to +1.9", False),
        ((-80,), {"up_to": True, "about": True}, -84.2, -15.8, "up to about -80", True),
        ((-80,), {"up_to": True, "about": True}, -90.0, -15.8, "up to about -80", False),
        ((3.39,), {}, 0.0, 3.49, "+3.39", False),
        ((3, 5), {"about": True}, 3.7, 5.4, "about +3 to +5", True),
        ((3, 5), {"about": True}, 3.7, 5.7, "about +3 to +5", False),
        ((-20, -66), {}, -66.4, -20.0, "-20 to -66", True),
        ((-20, -66), {}, -66.7, -22.0, "-20 to -66", True),
        ((-20, -66), {}, -67.1, -22.0, "-20 to -66", False),
        ((-20, -66), {}, -66.4, 18.0, "-20 to -66", False),
    ],
)
def test_a_statement_is_borne_out_by_what_rounds_to_it(stated, how, low, high, said, borne_out):
    found = Recomputed(stated, low, high, "%", **how)
    assert (found.said, found.borne_out) == (said, borne_out)


def test_numbers_of_the_prose():
    taught = ("on_en_ldl-mixup", "on_mt_ldl-mixup", "off_mt_ldl", "off_mt_ldl_mean")
    every = studies.recorded("ldl-methods", "quick")
    own = [each for each in every.planned if each.strategy in ("none", "truth", *taught)]
    quick, paper = Results(own, every.recorded), studies.recorded("ldl-table1")
    found = paper | quick
    judged = claims.judge(found, published("ldl_claims"))
    values = numbers.quoted(found, quick, results({}), paper, judged, "quick")

    def kl(strategy):
        return found.measured(f"{DIGITS} {strategy}", "kl_to_truth", "fitted").estimate.mean

    best = min(kl("on_en_ldl-mixup"), kl("on_mt_ldl-mixup"))
    assert values["gain.share"] == pytest.approx((kl("none") - best) / (kl("none") - kl("truth")))
    right = [found.measured(f"{REDUCED} {s}", "accuracy").values[0] for s in ("none", "off_ldl")]
    assert values["loss.off"] == pytest.approx(100 * (right[0] - right[1]))
    assert (values["quick.networks"], values["grid.networks"]) == (len(quick.recorded), 0)


def test_like_classes_are_as_near_as_the_corners_of_a_triangle():
    """Centres 3 apart, both 5 from the third, whatever the clusters' width."""
    corners = [(0.0, -1.5), (0.0, 1.5), ((25 - 1.5**2) ** 0.5, 0.0)]
    clusters = [[(x - 1, y), (x + 1, y), (x, y - 2), (x, y + 2)] for x, y in corners]
    assert numbers.likeness(clusters) == pytest.approx(3 / 5)


def test_the_table_of_like_classes_has_the_lines_that_were_run():
    every = studies.recorded(("fast", "ldl-table1"))
    table = tables.likeness(every, ("none", "ls_wrong", "ricap")).data
    lines = [label.text for label in table.index]
    assert lines == [
        f"{net}: {s}" for net in ("fast network", "reduced") for s in ("Vanilla", "LS")
    ]
    assert len(table.columns) == 4  # two triples, training and test images
    assert tables.likeness(Results([], {}), ("none",)).data.empty
