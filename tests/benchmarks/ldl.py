"""What LDL costs: On-LDL's epochs against Vanilla's, and students together against one by one.

A step of On-LDL has a teacher's pass without a gradient on the mixed batch: with a teacher of the
student's size about a third more work than Vanilla's forward and backward passes. Students that are
trained together share that pass and the batches; what they save grows with the teacher's size. They
are timed as :mod:`tests.benchmarks.turns` says, and beside each ratio stands that of the operations
of the networks' passes alone. Run by ``make bench``; exit status 1 where On-LDL's ratio misses its
target.
"""

import sys

from torch import nn

from ldlstudy.batch import Teacher
from ldlstudy.training import Predictor, ask
from tests.benchmarks import turns
from tests.benchmarks.images import AUGMENTATION, BATCH, operations
from tests.benchmarks.turns import Bench

TARGET = 1.45  # the most that an epoch of On-LDL may take, in epochs of Vanilla
STUDENT, STUDENTS = "resnet20", 4
TEACHERS = {"cpu": "resnet20", "cuda": "resnet110"}  # of the students that are trained together


def main() -> None:
    """Print On-LDL's cost and what students save together."""
    bench = turns.begin(__doc__, rounds=5)
    ratio = cost(bench)
    saving(bench)
    sys.exit(ratio > TARGET)


def cost(bench: Bench) -> float:
    """Seconds of On-LDL, with CutMix and a teacher of the student's size, in those of Vanilla."""
    student, teacher = operations(STUDENT), operations(STUDENT, backward=False)
    print(f"a step of a student: {work(student)}, of its teacher {STUDENT}: {work(teacher)}")
    on_ldl = taught(bench, bench.network())
    plain, pupil = bench.network(), bench.network()
    runs = {
        "Vanilla": lambda: bench.seconds([plain]),
        "On-LDL": lambda: bench.seconds([pupil], *on_ldl),
    }
    beside = f"by operations {1 + teacher / student:.2f}, target at most {TARGET:g}"
    return bench.compare(runs, beside)


def saving(bench: Bench) -> None:
    """Print the seconds of On-LDL's students one after the other, in those of all together."""
    model = TEACHERS[bench.execution.device]
    student, teacher = operations(STUDENT), operations(model, backward=False)
    print(f"{STUDENTS} students, a step of their teacher {model}: {work(teacher)}")
    on_ldl = taught(bench, bench.network(model))
    pupils = [bench.network() for _ in range(STUDENTS)]
    runs = {
        "together": lambda: bench.seconds(pupils, *on_ldl),
        "one after the other": lambda: sum(bench.seconds([pupil], *on_ldl) for pupil in pupils),
    }
    expected = STUDENTS * (student + teacher) / (STUDENTS * student + teacher)
    bench.compare(runs, f"by operations {expected:.2f}", STUDENTS)


def work(per_image: float) -> str:
    """Operations of a batch, readable."""
    return f"{BATCH * per_image / 1e9:,.1f} GFLOP"


def taught(bench: Bench, teacher: nn.Module) -> tuple[str, str, dict[str, bool], Teacher]:
    """On-LDL as `Bench.seconds` takes it: CutMix, the method, its settings and its teacher."""
    asked = ask([Predictor(teacher, AUGMENTATION, bench.execution)], bench.images)
    return "cutmix", "distil", {"relabel": True}, asked


if __name__ == "__main__":
    main()
