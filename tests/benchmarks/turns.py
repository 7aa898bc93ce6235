"""Trainings that take turns, so that other load on the machine meets all, and how they compare.

They train ResNet-20s on random 32 x 32 images as in :mod:`tests.benchmarks.images`, with bfloat16
products, channels last, uncompiled. The CPU seconds of one thread count: other processes hardly
lengthen them. On a GPU it is the wall time.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from ldlstudy.data import Images
from ldlstudy.device import Execution, device_name
from ldlstudy.models import Classifier
from ldlstudy.training import Student, train_together
from tests.benchmarks.images import (
    AUGMENTATION,
    BATCH,
    CASES,
    RECIPE,
    new_network,
    random_images,
    synchronise,
)


class Bench(NamedTuple):
    """The images of an epoch, where networks train on them, and the turns that count."""

    images: Images
    execution: Execution
    rounds: int

    def network(self, model: str = "resnet20") -> Classifier:
        """A network with the same weights each time."""
        return new_network(model, self.execution)

    def seconds(self, networks: Sequence[nn.Module], mixing: str | None = None, *how: Any) -> float:
        """Seconds of an epoch of networks trained together; ``how`` is as in `Student`."""
        students = [Student(network, RECIPE, *how) for network in networks]
        cuda = self.execution.is_cuda
        clock = time.perf_counter if cuda else time.process_time
        start = clock()
        train_together(students, self.images, AUGMENTATION, self.execution, mixing)
        synchronise(self.execution.device)
        return clock() - start

    def compare(
        self, runs: Mapping[str, Callable[[], float]], beside: str, networks: int = 1
    ) -> float:
        """Print the rates of two runs that give their seconds, and their ratio; return that.

        ``runs`` are what the ratio divides by, then what it divides, each of so many ``networks``;
        ``beside`` is printed with the ratio, the median of all turns.
        """
        for run in runs.values():
            run()  # the first is slower
        times = [[run() for run in runs.values()] for _ in range(self.rounds)]
        second = "second" if self.execution.is_cuda else "CPU second"
        for name, column in zip(runs, zip(*times, strict=True), strict=True):
            rate = networks * len(self.images.labels) / statistics.median(column)
            print(f"{name}: {rate:,.0f} images a {second}")
        ratios = sorted(other / base for base, other in times)
        ratio, spread = statistics.median(ratios), f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        print(f"ratio: {ratio:.2f}, by round {spread}; {beside}")
        return ratio


def begin(description: str | None, rounds: int) -> Bench:
    """Read the arguments of a benchmark and say on what it runs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--steps", type=int, help="of an epoch; 10 on a CPU, else 150")
    args = parser.parse_args()
    case = CASES["cuda" if torch.cuda.is_available() else "cpu"]
    steps = args.steps or case.steps
    torch.set_num_threads(1)  # of two, one that waits for the other spends CPU seconds too
    print(f"device: {device_name(case.device)}, torch {torch.__version__}")
    print(f"resnet20, batch {BATCH}, {args.rounds} rounds of {steps} steps")
    images = random_images(steps).to(case.device)
    return Bench(images, Execution(case.device, precision="auto"), args.rounds)
