"""The replication's runs and tables: the papers' settings, who teaches whom, the printed cells."""

from dataclasses import replace

import pytest

from ldlstudy import models, studies
from ldlstudy.experiment.plan import PROFILES
from ldlstudy.report import claims
from ldlstudy.report.results import Results
from ldlstudy.report.tables import published
from ldlstudy.studies.smoothing import distillation, figures, interpolation, numbers, runs
from ldlstudy.studies.smoothing.distillation import ALPHAS, TEMPERATURES
from ldlstudy.training import Augmentation, Recipe
from tests.report.made import filled, record, results

PAPER = {each.row: each for each in runs.runs("paper")}
TRAINED = [c.split("_")[1] for c in published("re_table2").columns if c.startswith("accuracy")]


def test_every_printed_cell_is_a_run():
    """Each row of Tables 2 and 3 at each printed smoothing factor, and a reduced one of ours."""
    printed = published("re_table2").xs("replication", level="source").index
    expected = {f"{bench} {alpha}" for bench in printed for alpha in TRAINED}
    ours = {f"{bench} {alpha}" for bench in (runs.REDUCED, runs.THIRD) for alpha in ("0", "0.1")}
    assert set(PAPER) == expected | ours
    for alpha in ("0", "0.1"):  # the protocol is the paper's, the images are not
        third = PAPER[f"{runs.THIRD} {alpha}"]
        assert third.level == "part"
        assert replace(third.run, dataset="emnist") == PAPER[f"emnist-fcn1200 {alpha}"].run
    for row, each in PAPER.items():
        bench, alpha = row.split(" ")
        hard = alpha == "0"
        assert (each.run.method, dict(each.run.settings)) == (
            ("none", {}) if hard else ("ls", {"epsilon": float(alpha)})
        )
        assert replace(each.run, method="none", settings={}) == PAPER[f"{bench} 0"].run
        assert (each.keep, each.run.seed) == (("plane", "reliability"), 0)
    assert "(reduced: 20 epochs)" in runs.benches("paper")[runs.REDUCED].label


FCN = {"epochs": 100, "batch": 512, "momentum": 0.9, "dampening": 0.9, "weight_decay": 0}
RESNET = {"epochs": 205, "batch": 128, "rate": 0.1, "nesterov": True, "weight_decay": 1e-4,
          "loss_scale": 3, "clip": 1}  # fmt: skip
CROP = {"crop": 24, "flip": True, "normalise": "cifar10"}
LARGER = {"crop": 32, "pad": 4, "flip": True, "normalise": "cifar100"}
STEPS = {101: 1, 102: 0.1, 152: 0.1, 153: 0.01}
PROTOCOLS = [  # row, recipe, the rate's share by epoch, network, augmentation
    *((f"{data}-fcn1200", FCN, {50: 0.5, 99: 0.01}, {"dropout": 0.0}, {"shift": 2})
      for data in ("mnist", "emnist", "fashion_mnist")),
    ("cifar10-alexnet24", {"epochs": 1246, "rate": 0.1, "momentum": 0, "loss_scale": 3,
      "norm_penalty": (0, 0, 0.04, 0.04, 0)},
     {414: 1, 415: 0.1, 829: 0.1, 830: 0.01}, {}, CROP),
    ("cifar10-preact_resnet56", RESNET, STEPS, {}, CROP),
    ("cifar100-preact_resnet56", RESNET, STEPS, {"stem": "7x7"}, LARGER),
    ("cub200-resnet34", {"epochs": 250, "batch": 256, "rate": 0.3, "weight_decay": 1e-5},
     {9: 1, 10: 0.9, 249: 0.9**24}, {"stem": "7x7", "weights": "imagenet"}, None),
    ("tiny_imagenet-resnet50", {"epochs": 100, "rate": 0.004, "weight_decay": 1e-5},
     {6: 1, 7: 0.5, 99: 0.5**14}, {"stem": "7x7", "weights": "imagenet"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("row", "says", "shares", "network", "seen"), PROTOCOLS)
def test_the_printed_protocols(row, says, shares, network, seen):
    run = PAPER[f"{row} 0"].run
    recipe = Recipe.of(run.recipe)
    assert {name: getattr(recipe, name) for name in says} == says
    assert {epoch: recipe.share(epoch) for epoch in shares} == pytest.approx(shares)
    assert run.network == network
    if seen is not None:
        assert Augmentation.of(run.augmentation) == Augmentation(**seen)


def test_the_last_layer_of_the_fully_connected_network_has_a_rate_of_its_own():
    run = PAPER["mnist-fcn1200 0"].run
    network = models.build("fcn1200", 10, **run.network)
    groups = Recipe.of(run.recipe).make_optimiser(network).param_groups
    shapes = {group["lr"]: [tuple(p.shape) for p in group["params"]] for group in groups}
    assert shapes[0.1] == [(10, 1200), (10,)]
    assert shapes[1.0] == [(1200, 784), (1200,), (1200, 1200), (1200,)]


@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_seeds_draw_noisy_digits_anew_and_networks_to_explore_are_the_same(profile):
    planned = {each.name: each for each in runs.runs(profile)}
    seeds = runs.benches(profile)[runs.DIGITS].seeds
    assert seeds >= 2
    drawn = [planned[f"{runs.DIGITS} 0.1" + f" #{s}" * (s > 0)].run for s in range(seeds)]
    assert [(run.seed, run.data["draw"]) for run in drawn] == [(s, s) for s in range(seeds)]
    for each in runs.explored(profile):
        assert each.keep == ("planes",)
        assert each.run == planned[each.row.removesuffix(" planes")].run
    assert len(runs.explored(profile)) == len(TRAINED)


@pytest.mark.parametrize(
    ("profile", "figure"), [("paper", 8), *((profile, 7) for profile in PROFILES)]
)
def test_who_teaches_whom(profile, figure):
    planned = distillation.runs(profile, figure)
    of_first = {e.row.removeprefix("figure8 "): e.run for e in planned if e.run.seed == 0}
    assert (ALPHAS, TEMPERATURES) == ((0, 0.15, 0.3, 0.45, 0.6, 0.75), (1, 2, 4, 8, 12, 16))
    for alpha in ALPHAS:
        m1, m2, m4 = (of_first[f"M{series} {alpha:g}"] for series in (1, 2, 4))
        assert m1.settings == m2.settings == ({"epsilon": alpha} if alpha else {})
        assert (m1.teachers, m2.teachers, m4.teachers) == ((), (), (m1,))
        assert m4.settings["temperature"] == 1
        same = replace(m2, method=m4.method, settings=m4.settings, teachers=m4.teachers)
        assert m4 == same
    for temperature in TEMPERATURES:
        m3 = of_first[f"M3 {temperature}"]
        assert m3.teachers == (of_first["M1 0"],)
        assert (m3.settings["temperature"], m3.method) == (temperature, m4.method)
    assert of_first["M4 0"] == of_first["M3 1"]


def test_the_networks_of_figure_7():
    planned = {each.row: each.run for each in distillation.runs("paper")}
    assert len(planned) == 24 + 12
    assert len(set(planned.values())) == 23 + 11
    assert planned["M4p 0.3"] == replace(planned["M4 0.3"], method="kd_printed")
    taught = [planned[f"M1 {alpha:g}"] for alpha in ALPHAS]
    assert {run.model for run in taught} == {"fcn1200"}
    assert [run.network["dropout"] for run in taught] == [0.5, 0, 0, 0, 0, 0]
    for row in ("M2 0.3", "M3 8", "M4 0.75"):
        run = planned[row]
        assert (run.dataset, run.model, run.network) == ("mnist", "fcn800", {"dropout": 0.0})
        assert run.augmentation == {}
    assert planned["M3 8"].method == "kd_coded"
    assert planned["M3 8"].settings == {"weight": 0.6, "temperature": 8}
    assert all(run.augmentation == {"shift": 2} for run in taught)


def test_the_networks_of_figure_8():
    planned = {each.row: each.run for each in distillation.runs("paper", figure=8)}
    assert len(set(planned.values())) == 23
    teacher, student = planned["figure8 M1 0.6"], planned["figure8 M4 0.6"]
    assert (teacher.model, student.model) == ("preact_resnet56", "alexnet24")
    assert (student.method, student.settings) == ("distil", {"relabel": True, "temperature": 1})
    for run in (teacher, student):
        augmentation = Augmentation.of(run.augmentation)
        assert (augmentation.crop, augmentation.normalise) == (24, "cifar10")
    assert Recipe.of(student.recipe).loss_scale == 3
    assert teacher.recipe == PAPER["cifar10-preact_resnet56 0.1"].run.recipe


@pytest.mark.parametrize("profile", PROFILES)
def test_table_4(profile):
    planned = {e.row: e.run for e in distillation.table4(profile) if e.run.seed == 0}
    hard, smoothed = planned["teacher"], planned["teacher ls"]
    assert (hard.settings, smoothed.settings) == ({}, {"epsilon": 0.1})
    for row, teacher in (("student", hard), ("student ls", smoothed)):
        coded, printed = planned[row], planned[f"{row} printed"]
        assert coded.teachers == printed.teachers == (teacher,)
        assert (coded.method, printed.method) == ("kd_coded", "kd_printed")
        assert coded.settings == printed.settings == {"weight": 0.6, "temperature": 1}
    if profile == "paper":
        assert hard.network == {"dropout": 0.5}
        assert smoothed == PAPER["mnist-fcn1200 0.1"].run
        figure7 = {e.row: e.run for e in distillation.runs("paper")}
        assert planned["student"] == figure7["M3 1"]
        assert set(published("re_table4").index) <= set(planned)


def test_every_seed_has_teachers_of_its_own():
    planned = {each.name: each.run for each in distillation.runs("quick")}
    second = planned["M3 4 #1"]
    assert (second.seed, second.data["draw"]) == (1, 1)
    assert second.teachers == (planned["M1 0 #1"],)
    assert len(planned) == 36 * 3


def test_unknown_profiles():
    for make in (runs.runs, distillation.runs, distillation.table4):
        with pytest.raises(ValueError, match="unknown profile 'fast'; known: paper, quick, smoke"):
            make("fast")
    with pytest.raises(ValueError, match="unknown profile of Figure 8 'quick'; known: paper"):
        distillation.runs("quick", figure=8)


def test_students_stand_at_the_smoothness_of_their_teacher_others_at_alpha():
    def give(each):
        value = each.facts["value"]
        smoothness = {"teacher smoothness": 1 - 1 / (1 + value)} if each.run.teachers else {}
        return {"accuracy": (0.9 + value / 1000, 0.01)} | smoothness

    found = filled(distillation.runs("quick"), give)
    for series, values in (
        ("M1", ALPHAS),
        ("M2", ALPHAS),
        ("M3", TEMPERATURES),
        ("M3p", TEMPERATURES),
    ):
        points = figures.points_of(found, f"quick {series}", "accuracy")
        places = [1 - 1 / (1 + v) for v in values] if series.startswith("M3") else values
        assert [x for x, *_ in points] == pytest.approx(list(places))
        assert [y for _, y, *_ in points] == pytest.approx([0.9 + v / 1000 for v in values])
    assert figures.points_of(found, "quick M1", "ece_15_left") == []
    assert figures.points_of(found, "quick M5", "accuracy") == []


def test_m3_is_read_at_the_smoothness_of_m4():
    """By hand: M3 falls by .1 in γ of 1, so the student of a smoothed teacher is .02 below it."""
    gamma = {"M3": dict(zip(TEMPERATURES, (0.1, 0.3, 0.6, 0.8, 0.9, 0.95), strict=True)),
             "M4": dict(zip(ALPHAS, (0.1, 0.2, 0.35, 0.5, 0.65, 0.7), strict=True))}  # fmt: skip

    def give(each, further=0.0):
        name = each.facts["series"].removesuffix("p")
        at = each.run.seed / 100 + gamma.get(name, {}).get(each.facts["value"], 0.0)
        accuracy = 0.9 - at / 10 - (0.02 + each.run.seed / 1000) * (name == "M4")
        return {"accuracy": accuracy + further, "teacher smoothness": at}

    planned = distillation.runs("quick")
    found = interpolation.judged(filled(planned, give))
    for key in ("RE-14a", "RE-22a", "RE-22b"):
        line = found.loc[key]
        assert line["difference"] == pytest.approx(-0.021), key
        assert line["right_mean"] - line["left_mean"] == pytest.approx(0.021)
        assert (line["verdict"], line["level"]) == ("carries over", "quick")
    # the first seed's teacher is smoother than any of the temperatures makes it: no comparison
    beyond = dict(gamma["M4"])
    gamma["M4"] |= {0.75: 0.99}
    outside = interpolation.judged(filled(planned, give))
    gamma["M4"] |= beyond
    assert outside.loc["RE-14a", "verdict"] == claims.NOT_RUN
    assert outside.loc["RE-22b", "difference"] == pytest.approx(-0.021)
    # nothing of M3, or another number of seeds
    for without in (lambda e: True, lambda e: e.run.seed == 2):
        fewer = filled(planned, lambda e, w=without: (
            None if e.facts["series"].startswith("M3") and w(e) else give(e)))  # fmt: skip
        assert interpolation.judged(fewer).loc["RE-14a", "verdict"] == claims.NOT_RUN
    assert (interpolation.judged(results({}))["verdict"] == claims.NOT_RUN).all()


def test_one_network_is_read_with_its_interval():
    values = {f"M3 {t}": {"accuracy": (0.9 - 0.1 * i, 0.01 * (i + 1)), "teacher smoothness": i / 2}
              for i, t in enumerate((1, 2, 4))}  # fmt: skip
    facts = {row: {"series": "M3", "value": float(row.split()[1])} for row in values}
    made = results(values, **facts)
    found = interpolation.at_smoothness(made, "M3", [0.75], "accuracy")
    assert found.estimate == pytest.approx((0.75, 0.725, 0.775))
    assert len(found.records) == 3
    assert interpolation.at_smoothness(made, "M3", [1.01], "accuracy") is None
    assert interpolation.at_smoothness(made, "M3", [0.5], "brier") is None


def test_reliability_is_of_the_smoothing_of_figures_3_and_9_where_it_has_been_run():
    bins = {"count": [20], "confidence": [0.5], "accuracy": [0.5]}

    def give(wanted):
        planned = [e for e in runs.runs("paper") if e.facts["alpha"] in wanted]
        recorded = {e.run: record(e.run, {"accuracy": 0.9}, {"reliability": {
            "plain": bins, "fitted": bins}}) for e in planned}  # fmt: skip
        return numbers.diagrams(Results(planned, recorded))

    for wanted, name in (((0.0, 0.05, 0.1), "α = 0.05"), ((0.0, 0.1), "α = 0.1")):
        assert list(give(wanted)["MNIST, FCN"]) == ["α = 0", "α = 0, T fitted", name]
    assert give((0.0, 0.3)) == give((0.1,)) == {}


def test_numbers_of_the_prose():
    known = studies.recorded(("re-table2", "re-table4"))
    verdicts = claims.judge(known, published("re_claims"))
    found = numbers.quoted(known, known, verdicts, "quick")
    soft, hard = (
        known.measured(f"mnist-fcn1200 {a}", "accuracy").estimate.mean for a in ("0.1", "0")
    )
    assert found["mnist-fcn1200_gain_points"] == pytest.approx(100 * (soft - hard))
    assert found["cap"] == pytest.approx(0.2320, abs=1e-4)  # e / (e + 9)
    assert found["paper.networks"] == len(known.recorded)
