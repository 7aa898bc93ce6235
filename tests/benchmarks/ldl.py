"""What LDL costs: On-LDL's epochs against Vanilla's, and students together against one by one.

A step of On-LDL has a teacher's pass without a gradient on the mixed batch: with a teacher of the
student's size about a third more work than Vanilla's forward and backward passes. Students that are
trained together share that pass and the batches; what they save grows with the teacher's size. All
train ResNet-20s on random 32 x 32 images in :func:`ldlstudy.train.train_together` and are timed
like CS-KD in :mod:`tests.benchmarks.cs_kd`. Beside each ratio stands that of the operations of the
networks' passes alone. Run by ``make bench``; exit status 1 where On-LDL's ratio misses its target.
"""

import argparse
import functools
import sys
from collections.abc import Sequence

import torch
from torch import nn

from ldlstudy import machine, mixers, objectives, teachers, train
from ldlstudy.dataset import Dataset, Images
from ldlstudy.execution import Execution
from ldlstudy.learner import Student
from ldlstudy.methods import Lesson
from ldlstudy.mixers import Mixer
from ldlstudy.models import Classifier
from ldlstudy.objectives import Objective
from ldlstudy.protocol import Protocol
from ldlstudy.setting import Setting
from tests.benchmarks.images import (
    AUGMENTATION,
    BATCH,
    CASES,
    CLASSES,
    DECAY,
    RATE,
    Case,
    new_network,
    operations,
    random_images,
)
from tests.benchmarks.turns import compare, seconds

TARGET = 1.45  # the most that an epoch of On-LDL may take, in epochs of Vanilla
STUDENT, STUDENTS = "resnet20", 4
TEACHERS = {"cpu": "resnet20", "cuda": "resnet110"}  # of the students that are trained together
PROTOCOL = Protocol(1, BATCH, rate=RATE, weight_decay=DECAY)


def main() -> None:
    """Print On-LDL's cost and what students save together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of an epoch; 10 on a CPU, else 150")
    args = parser.parse_args()
    case = CASES["cuda" if torch.cuda.is_available() else "cpu"]._replace(model=STUDENT)
    case = case._replace(steps=args.steps or case.steps)
    execution = Execution(case.device, precision="bf16")
    torch.set_num_threads(1)  # of two, one that waits for the other spends CPU seconds too
    print(f"device: {machine.device_name(case.device)}, torch {torch.__version__}")
    print(f"{STUDENT}, batch {BATCH}, {args.rounds} rounds of {case.steps} steps")
    images = random_images(case.steps).to(case.device)
    ratio = cost(case, images, execution, args.rounds)
    saving(case, images, execution, args.rounds)
    sys.exit(ratio > TARGET)


def cost(case: Case, images: Images, execution: Execution, rounds: int) -> float:
    """Seconds of On-LDL, with CutMix and a teacher of the student's size, in those of Vanilla."""
    student, teacher = operations(case.model), operations(case.model, backward=False)
    print(f"a step of a student: {work(student)}, of its teacher {case.model}: {work(teacher)}")
    vanilla = objectives.make("none", lesson(images), {})
    taught = on_ldl(images, new_network(case, execution), execution)
    pupils = [[new_network(case, execution)] for _ in range(2)]
    runs = {
        "Vanilla": lambda: epoch_seconds(pupils[0], images, vanilla, None, execution),
        "On-LDL": lambda: epoch_seconds(pupils[1], images, *taught, execution),
    }
    beside = f"by operations {1 + teacher / student:.2f}, target at most {TARGET:g}"
    return compare(runs, rounds, len(images.labels), case.device, beside)


def saving(case: Case, images: Images, execution: Execution, rounds: int) -> None:
    """Print the seconds of On-LDL's students one after the other, in those of all together."""
    bigger = case._replace(model=TEACHERS[case.device])
    student, teacher = operations(case.model), operations(bigger.model, backward=False)
    print(f"{STUDENTS} students, a step of their teacher {bigger.model}: {work(teacher)}")
    taught = on_ldl(images, new_network(bigger, execution), execution)
    pupils = [new_network(case, execution) for _ in range(STUDENTS)]
    how = images, *taught, execution
    runs = {
        "together": lambda: epoch_seconds(pupils, *how),
        "one after the other": lambda: sum(epoch_seconds([pupil], *how) for pupil in pupils),
    }
    expected = STUDENTS * (student + teacher) / (STUDENTS * student + teacher)
    beside = f"by operations {expected:.2f}"
    compare(runs, rounds, STUDENTS * len(images.labels), case.device, beside)


def work(per_image: float) -> str:
    """Operations of a batch, readable."""
    return f"{BATCH * per_image / 1e9:,.1f} GFLOP"


def lesson(images: Images) -> Lesson:
    """The images as a method without a teacher sees them."""
    return Lesson(torch.empty(len(images.labels), 0), images.labels, CLASSES, seed=0)


def on_ldl(images: Images, teacher: Classifier, execution: Execution) -> tuple[Objective, Mixer]:
    """On-LDL's objective with ``teacher``, and its CutMix."""
    dataset = Dataset("random", tuple(map(str, range(CLASSES))), images, images)
    setting = Setting(dataset, AUGMENTATION, PROTOCOL, execution)
    panel = teachers.Panel([(setting, teacher.eval())], dataset)
    taught = lesson(images)._replace(each=panel.each, teach_each=panel)
    mixer = mixers.mixer({"name": "cutmix"})
    assert mixer is not None
    return objectives.make("distil", taught, {"relabel": True}), mixer


def epoch_seconds(
    networks: Sequence[nn.Module],
    images: Images,
    objective: Objective,
    mixer: Mixer | None,
    execution: Execution,
) -> float:
    """Seconds in which the networks, trained together, go on by an epoch, see `turns.seconds`."""
    students = [Student(network, objective, PROTOCOL) for network in networks]
    epoch = functools.partial(
        train.train_together, students, images, AUGMENTATION, execution, mixer=mixer
    )
    return seconds(epoch, execution.device)


if __name__ == "__main__":
    main()
