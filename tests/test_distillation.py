"""The runs of the replication's distillation experiments: who teaches whom, and how."""

from dataclasses import replace

import pytest

from ldlstudy import distillation, smoothing
from ldlstudy.augment import Augmentation
from ldlstudy.distillation import ALPHAS, TEMPERATURES
from ldlstudy.protocol import Protocol
from ldlstudy.records import PROFILES


def test_the_grids_of_the_figures():
    assert ALPHAS == (0, 0.15, 0.3, 0.45, 0.6, 0.75)
    assert TEMPERATURES == (1, 2, 4, 8, 12, 16)


@pytest.mark.parametrize(
    ("profile", "figure"), [("paper", 8), *((profile, 7) for profile in PROFILES)]
)
def test_who_teaches_whom(profile, figure):
    named = distillation.runs(profile, figure)
    runs = {name.removeprefix("figure8 "): run for name, run in named.items()}
    for alpha in ALPHAS:
        m1, m2, m4 = (runs[f"M{series} {alpha:g}"] for series in (1, 2, 4))
        taught = {"epsilon": alpha} if alpha else {}
        assert m1.parameters == m2.parameters == taught
        assert m1.teachers == m2.teachers == ()
        assert m4.teachers == (m1,)
        assert m4.parameters["temperature"] == 1
        assert (m4.model, m4.training, m4.data) == (m2.model, m2.training, m2.data)
    for temperature in TEMPERATURES:
        m3 = runs[f"M3 {temperature}"]
        assert m3.teachers == (runs["M1 0"],)
        assert m3.parameters["temperature"] == temperature
        assert m3.method == runs["M4 0.3"].method
    assert runs["M4 0"] == runs["M3 1"]


def test_the_networks_of_figure_7():
    runs = distillation.runs("paper")
    assert len(runs) == 24 + 12
    assert len(set(runs.values())) == 23 + 11
    assert runs["M4p 0.3"] == replace(runs["M4 0.3"], method="kd_printed")
    teachers = [runs[f"M1 {alpha:g}"] for alpha in ALPHAS]
    assert {run.model for run in teachers} == {"fcn1200"}
    dropout = [run.training["network"]["dropout"] for run in teachers]
    assert dropout == [0.5, 0, 0, 0, 0, 0]
    for name in ("M2 0.3", "M3 8", "M4 0.75"):
        student = runs[name]
        assert (student.dataset, student.model) == ("mnist", "fcn800")
        assert student.training["network"] == {"dropout": 0.0}
        assert "augment" not in student.data
    assert runs["M3 8"].method == "kd_coded"
    assert runs["M3 8"].parameters == {"weight": 0.6, "temperature": 8}
    assert all(run.data == {"augment": {"shift": 2}} for run in teachers)


def test_the_networks_of_figure_8():
    runs = distillation.runs("paper", figure=8)
    assert len(set(runs.values())) == 23
    teacher, student = runs["figure8 M1 0.6"], runs["figure8 M4 0.6"]
    assert (teacher.model, student.model) == ("preact_resnet56", "alexnet24")
    assert student.method == "distil"
    assert student.parameters == {"relabel": True, "temperature": 1}
    seen, shown = (Augmentation.of(run.data["augment"]) for run in (teacher, student))
    assert (seen.crop, seen.normalise) == (shown.crop, shown.normalise) == (24, "cifar10")
    assert Protocol.of(student.training).loss_scale == 3
    assert teacher.training == smoothing.runs("paper")["cifar10-preact_resnet56 0.1"].training


@pytest.mark.parametrize("profile", PROFILES)
def test_table_4(profile):
    runs = distillation.table4(profile)
    hard, smoothed = runs["teacher"], runs["teacher ls"]
    assert (hard.parameters, smoothed.parameters) == ({}, {"epsilon": 0.1})
    for name, teacher in (("student", hard), ("student ls", smoothed)):
        coded, printed = runs[name], runs[f"{name} printed"]
        assert coded.teachers == printed.teachers == (teacher,)
        assert (coded.method, printed.method) == ("kd_coded", "kd_printed")
        assert coded.parameters == printed.parameters == {"weight": 0.6, "temperature": 1}
    if profile == "paper":
        assert hard.training["network"] == {"dropout": 0.5}
        assert smoothed == smoothing.runs("paper")["mnist-fcn1200 0.1"]
        assert runs["student"] == distillation.runs("paper")["M3 1"]


def test_every_seed_has_teachers_of_its_own():
    runs = distillation.runs("quick")
    second = runs["M3 4 #1"]
    assert (second.seed, second.data["draw"]) == (1, 1)
    assert second.teachers == (runs["M1 0 #1"],)
    assert len(runs) == 36 * distillation.pair("quick").seeds


def test_an_unknown_profile():
    with pytest.raises(ValueError, match="unknown profile 'fast'"):
        distillation.runs("fast")
    with pytest.raises(ValueError, match="unknown profile of Figure 8 'quick'; known: paper"):
        distillation.runs("quick", figure=8)
