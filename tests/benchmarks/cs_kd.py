"""What CS-KD costs: its epochs against those of cross entropy in :func:`ldlstudy.train.train`.

A step of CS-KD passes as many partners as images through the network, without a gradient: about a
third more work than the forward and backward passes of cross entropy. Both train a ResNet-20 on
random 32 x 32 images as in :mod:`tests.benchmarks.images`, with bfloat16 products, channels last,
uncompiled. They take turns, so that other load on the machine meets both, and the median ratio of a
turn counts: of the CPU seconds of one thread, which other processes hardly lengthen, or of wall
time on a GPU. Run by ``make bench``; exit status 1 where the ratio misses the target.
"""

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Sequence

import torch
from torch import nn

from ldlstudy import machine, objectives
from ldlstudy.dataset import Images
from ldlstudy.execution import Execution
from ldlstudy.methods import Lesson
from ldlstudy.objectives import Objective
from tests.benchmarks.images import (
    BATCH,
    CASES,
    CLASSES,
    cross_entropy,
    new_network,
    our_epochs,
    random_images,
    synchronise,
)

TARGET = 1.45  # the most that an epoch of CS-KD may take, in epochs of cross entropy


def main() -> None:
    """Print both methods' rates and the ratio of their times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    case = CASES["cuda" if torch.cuda.is_available() else "cpu"]._replace(model="resnet20")
    execution = Execution(case.device, precision="bf16")
    torch.set_num_threads(1)  # of two, one that waits for the other spends CPU seconds too
    print(f"device: {machine.device_name(case.device)}, torch {torch.__version__}")
    print(f"{case.model}, batch {BATCH}, {args.rounds} rounds of {case.steps} steps")
    images = random_images(case.steps)
    epochs = [
        functools.partial(epoch_seconds, new_network(case, execution), images, execution, *how)
        for how in ((cross_entropy, ()), (cs_kd(), ("partner",)))
    ]
    for epoch in epochs:
        epoch()  # the first is slower
    rounds = [[epoch() for epoch in epochs] for _ in range(args.rounds)]
    second = "second" if case.device == "cuda" else "CPU second"
    for name, times in zip(("cross entropy", "CS-KD"), zip(*rounds, strict=True), strict=True):
        print(f"{name}: {len(images.labels) / statistics.median(times):,.0f} images a {second}")
    ratios = sorted(taught / alone for alone, taught in rounds)
    ratio, spread = statistics.median(ratios), f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"ratio: {ratio:.2f}, by round {spread}; target at most {TARGET:g}")
    sys.exit(ratio > TARGET)


def cs_kd() -> Objective:
    """CS-KD as on CIFAR-100, with the partner's pass in train mode."""
    lesson = Lesson(torch.empty(0), torch.empty(0, dtype=torch.int64), CLASSES, 0)  # not looked at
    return objectives.make("cs_kd", lesson, {"temperature": 4.0, "weight": 1.0})


def epoch_seconds(
    network: nn.Module,
    images: Images,
    execution: Execution,
    objective: Objective,
    others: Sequence[str],
) -> float:
    """Seconds of an epoch: of the process on a CPU, of the wall clock on a GPU."""
    clock = time.perf_counter if execution.device == "cuda" else time.process_time
    start = clock()
    our_epochs(network, images, execution, 1, objective, others)
    synchronise(execution.device)
    return clock() - start


if __name__ == "__main__":
    main()
