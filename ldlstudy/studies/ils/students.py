"""ILS's Table IV as runs: AlexNets that networks with hard, smoothed and ILS labels have taught.

A teacher chooses its factor and its parabola as in Table III.
"""

from dataclasses import dataclass, replace

from ldlstudy import checks
from ldlstudy.experiment.plan import Planned
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.ils import images

SEEDS = 3
LESSON = {"weight": 0.9, "temperature": 20, "relabel": True}  # the teacher's T; the student's is 1
STEPS, BATCH = 150, 256  # between two drops of the rate, and images in each
ADAM = {
    "epochs": 150, "batch": BATCH, "optimiser": "adam", "rate": 0.01, "schedule": "decay",
    "factor": 0.9, "keep": "best",
}  # fmt: skip
TEACHERS = ("none", "ls", "ils")
LABELS = {"none": "hard labels", "ls": "LS", "ils": "ILS"}
PAIRS = {  # data set and teacher to the training images of the student
    ("cifar10", "resnet18"): 45_000,
    ("cifar10", "inception_v4"): 45_000,
    ("cifar100", "resnet50"): 45_000,
    ("fashion_mnist", "densenet_bc_40_12"): 54_000,
}


@dataclass(frozen=True)
class Lesson:
    """The bench of the teachers and that of their student."""

    teacher: Bench
    student: Bench


def lessons(profile: str) -> dict[str, Lesson]:
    """Return the lessons by the teacher's bench; the smoke profile has noisy digits, quick none."""
    checks.one_of("profile of ILS's students", profile, ["paper", "smoke"])
    if profile == "smoke":
        (teacher,) = images.benches("smoke").values()
        recipe = {**ADAM, "epochs": 2, "batch": 50, "period": 0.5}
        student = replace(teacher, model="small_fcn", network={"hidden": [16, 16]}, recipe=recipe)
        return {teacher.name: Lesson(teacher, student)}
    found = {}
    for (dataset, network), count in PAIRS.items():
        teacher = replace(images.bench(dataset, network), seeds=SEEDS)
        recipe = {**ADAM, "period": STEPS * BATCH / count}
        found[teacher.name] = Lesson(teacher, replace(teacher, model="alexnet32", recipe=recipe))
    return found


def runs(profile: str) -> list[Planned]:
    """Return every run: the three teachers of a seed, each before its student."""
    return [
        each
        for lesson in lessons(profile).values()
        for seed in range(lesson.teacher.seeds)
        for method in TEACHERS
        for each in _plans(lesson, method, seed)
    ]


def _plans(lesson: Lesson, method: str, seed: int) -> list[Planned]:
    planned = images.plans(lesson.teacher, method, seed)
    if not planned or planned[-1].strategy != method:  # its settings have not been chosen yet
        return planned
    teacher = planned[-1]
    student = images.of_seed(lesson.student, seed)
    run = student.run("kd_printed", LESSON, seed, (teacher.run,))
    taught = replace(student.plan(f"taught by {method}", run), intervals=False)
    return [*planned, taught]
