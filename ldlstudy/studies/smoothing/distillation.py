"""The replication's distillation experiments as runs ([Re] section 6): Table 4, Figures 7 and 8.

Four series of networks: M1 teachers and M2 students alone, both by the smoothing of their labels;
M3 students of a teacher trained on hard labels, by its temperature; M4 students of smoothed
teachers, by the teacher's smoothing. M3 and M4 are compared at the same smoothness of the teacher.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ldlstudy import checks
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.experiment.records import Run
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.smoothing.runs import DIGITS, KEEP, benches, small, smoothed

ALPHAS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75)
TEMPERATURES = (1, 2, 4, 8, 12, 16)
WEIGHT = 0.6  # of the teacher in section 6.1
SMALL = {"epochs": 20, "batch": 128, "rate": 0.05, "schedule": "linear"}
TABLE4 = {"": 0.0, " ls": 0.1}  # the teachers of Table 4: what marks them, and their smoothing


@dataclass(frozen=True)
class Pair:
    """A teacher's and a student's bench, and what is special about this pair.

    ``hard`` are options of the teacher that learns hard labels; ``method`` with ``settings`` is how
    a student learns from its teacher; ``series`` begins the names of its rows.
    """

    teacher: Bench
    student: Bench
    method: str
    settings: Mapping[str, Any]
    hard: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    series: str = ""


def _digits(hidden: int) -> Bench:
    network = {"hidden": [hidden, hidden]}
    return replace(benches("quick")[DIGITS], model="small_fcn", recipe=SMALL, network=network)


def pair(profile: str, figure: int = 7) -> Pair:
    """Return the teacher and the student of a figure in a profile.

    An unknown profile, or Figure 8 in another than the paper's, is a ValueError.
    """
    checks.one_of("profile", profile, PROFILES)
    known = benches("paper")
    if figure == 8:
        checks.one_of("profile of Figure 8", profile, ["paper"])
        # the teacher labels the crop that the student sees; no hard label, as in the code
        teacher, student = known["cifar10-preact_resnet56"], known["cifar10-alexnet24"]
        return Pair(teacher, student, "distil", {"relabel": True}, series="figure8 ")
    if profile == "paper":
        teacher = known["mnist-fcn1200"]
        student = replace(teacher, model="fcn800", augmentation={})
        return Pair(teacher, student, "kd_coded", {"weight": WEIGHT}, {"dropout": 0.5})
    found = Pair(_digits(200), _digits(32), "kd_coded", {"weight": WEIGHT}, seeds=3)
    if profile == "quick":
        return found
    teacher, student = small(found.teacher), small(found.student)
    return replace(found, teacher=teacher, student=student, seeds=2)


def runs(profile: str, figure: int = 7) -> list[Planned]:
    """Return M1 to M4, as ``M1 0.15``, ``M3 8``, ...

    M4 at 0 is M3 at a temperature of 1: the same run. Figure 7 also has M3p and M4p, the students
    by the loss as the paper prints it; names of Figure 8 begin with ``figure8``.
    """
    chosen, found = pair(profile, figure), []
    for seed in range(chosen.seeds):
        teachers = {alpha: _teacher(chosen, alpha, seed) for alpha in ALPHAS}
        for alpha, teacher in teachers.items():
            found.append(_named(teacher, chosen, "M1", alpha))
            found.append(_named(smoothed(chosen.student, alpha, seed, ()), chosen, "M2", alpha))
            found.append(_named(_student(chosen, teacher.run, 1), chosen, "M4", alpha))
        for temperature in TEMPERATURES:
            student = _student(chosen, teachers[0.0].run, temperature)
            found.append(_named(student, chosen, "M3", temperature))
    if figure == 8:
        return found
    return found + [_printed(each) for each in found if each.run.teachers]


def table4(profile: str) -> list[Planned]:
    """Return teachers with and without smoothing and their students, by both losses."""
    chosen, found = pair(profile), []
    for seed in range(chosen.seeds):
        for mark, alpha in TABLE4.items():
            teacher = _teacher(chosen, alpha, seed)
            student = replace(_student(chosen, teacher.run, 1), bench="")
            printed = replace(student.run, method="kd_printed")
            found += [
                replace(teacher, bench="", strategy=f"teacher{mark}"),
                replace(student, strategy=f"student{mark}"),
                replace(student, run=printed, strategy=f"student{mark} printed"),
            ]
    return found


def _named(planned: Planned, chosen: Pair, series: str, value: float) -> Planned:
    name = f"{chosen.series}{series} {value:g}"
    facts = {"series": chosen.series + series, "value": float(value)}
    return replace(planned, bench="", strategy=name, facts=facts)


def _printed(planned: Planned) -> Planned:
    """The same student by the loss as the paper prints it, in a series marked with a p."""
    run = replace(planned.run, method="kd_printed")
    series, value = f"{planned.facts['series']}p", planned.facts["value"]
    facts = {"series": series, "value": value}
    return replace(planned, run=run, strategy=f"{series} {value:g}", facts=facts)


def _teacher(chosen: Pair, alpha: float, seed: int) -> Planned:
    bench = chosen.teacher
    if not alpha and chosen.hard:
        bench = replace(bench, network={**bench.network, **chosen.hard})
    return smoothed(bench, alpha, seed, () if seed else KEEP)


def _student(chosen: Pair, teacher: Run, temperature: float) -> Planned:
    bench, settings = chosen.student, {**chosen.settings, "temperature": temperature}
    run = bench.run(chosen.method, settings, teacher.seed, (teacher,))
    return bench.plan("", run, ())
