"""The replication's distillation experiments as runs ([Re] section 6): Table 4, Figures 7 and 8.

Four series of networks: M1 teachers and M2 students alone, both by the smoothing of their labels;
M3 students of a teacher trained on hard labels, by its temperature; M4 students of smoothed
teachers, by the teacher's smoothing. M3 and M4 are compared at the same smoothness of the teacher.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ldlstudy import checks, smoothing
from ldlstudy.records import PROFILES, Run
from ldlstudy.smoothing import Bench

ALPHAS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75)
TEMPERATURES = (1, 2, 4, 8, 12, 16)
WEIGHT = 0.6  # of the teacher in section 6.1


class Pair(NamedTuple):
    """A teacher's and a student's bench, and what is special about this pair.

    ``hard`` are options of the teacher that learns hard labels; ``method`` with ``parameters`` is
    how a student learns from its teacher.
    """

    teacher: Bench
    student: Bench
    hard: Mapping[str, Any]
    method: str
    parameters: Mapping[str, Any]
    seeds: int = 1


def _fcn(bench: Bench, dropout: float) -> Bench:
    network = {**bench.training.get("network", {}), "dropout": dropout}
    return bench._replace(training={**bench.training, "network": network})


MNIST = Pair(
    smoothing.BENCHES["mnist-fcn1200"],
    smoothing.BENCHES["mnist-fcn1200"]._replace(model="fcn800", data={}),
    {"dropout": 0.5},
    "kd_coded",
    {"weight": WEIGHT},
)
CIFAR10 = Pair(
    smoothing.BENCHES["cifar10-preact_resnet56"],
    smoothing.BENCHES["cifar10-alexnet24"],
    {},
    "distil",
    {"relabel": True},
)
"""Figure 8: the teacher labels the crop that the student sees; no hard label, as in the code."""

SMALL = {"epochs": 20, "batch": 128, "rate": 0.05, "schedule": "linear"}


def _digits(hidden: int) -> Bench:
    network = {"hidden": [hidden, hidden]}
    bench = smoothing.QUICK["noisy_digits-small_cnn"]
    return bench._replace(model="small_fcn", training={**SMALL, "network": network})


DIGITS = Pair(_digits(200), _digits(32), {}, "kd_coded", {"weight": WEIGHT}, 3)


def pair(profile: str, figure: int = 7) -> Pair:
    """Teacher and student of a figure in a profile.

    Raises
    ------
    ValueError
        An unknown profile (the known ones are listed), or Figure 8 in another than the paper's.
    """
    checks.one_of("profile", profile, PROFILES)
    if figure == 8:
        checks.one_of("profile of Figure 8", profile, ["paper"])
        return CIFAR10
    if profile == "paper":
        return MNIST
    if profile == "quick":
        return DIGITS
    small = {"sigma": 0.4, "train": 20, "test": 20}
    teacher, student = (
        bench._replace(data=small, training={**bench.training, "epochs": 2})
        for bench in (DIGITS.teacher, DIGITS.student)
    )
    return DIGITS._replace(teacher=teacher, student=student, seeds=2)


def runs(profile: str, figure: int = 7) -> dict[str, Run]:
    """M1 to M4 by ``M1 0.15``, ``M3 8``, ..., with `` #1``, ... for further seeds.

    M4 at 0 is M3 at a temperature of 1: the same run. Figure 7 also has M3p and M4p, the students
    by the loss as the paper prints it; names of Figure 8 begin with ``figure8``.
    """
    chosen, found = pair(profile, figure), {}
    for seed in range(chosen.seeds):
        mark = f" #{seed}" if seed else ""
        teachers = {alpha: _teacher(chosen, alpha, seed, profile) for alpha in ALPHAS}
        for alpha, teacher in teachers.items():
            found[f"M1 {alpha:g}{mark}"] = teacher
            found[f"M2 {alpha:g}{mark}"] = chosen.student.run(alpha, seed, profile, keep=())
            found[f"M4 {alpha:g}{mark}"] = _student(chosen, teacher, 1)
        for temperature in TEMPERATURES:
            found[f"M3 {temperature}{mark}"] = _student(chosen, teachers[0.0], temperature)
    if figure == 8:
        return {f"figure8 {name}": run for name, run in found.items()}
    printed = {
        name.replace(" ", "p ", 1): replace(run, method="kd_printed")
        for name, run in found.items()
        if run.teachers
    }
    return found | printed


def table4(profile: str) -> dict[str, Run]:
    """Teachers with and without smoothing and their students, by the loss as coded and printed."""
    chosen, found = pair(profile), {}
    for seed in range(chosen.seeds):
        mark = f" #{seed}" if seed else ""
        for label, alpha in {"": 0.0, " ls": 0.1}.items():
            teacher = _teacher(chosen, alpha, seed, profile)
            found[f"teacher{label}{mark}"] = teacher
            found[f"student{label}{mark}"] = _student(chosen, teacher, 1)
            found[f"student{label} printed{mark}"] = replace(
                _student(chosen, teacher, 1), method="kd_printed"
            )
    return found


def _teacher(chosen: Pair, alpha: float, seed: int, profile: str) -> Run:
    bench = chosen.teacher
    if not alpha and chosen.hard:
        bench = _fcn(bench, **chosen.hard)
    return bench.run(alpha, seed, profile, () if seed else smoothing.KEEP)


def _student(chosen: Pair, teacher: Run, temperature: float) -> Run:
    alone = chosen.student.run(0.0, teacher.seed, teacher.profile, keep=())
    parameters = {**chosen.parameters, "temperature": temperature}
    return replace(alone, method=chosen.method, parameters=parameters, teachers=(teacher,))
