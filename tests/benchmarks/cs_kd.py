"""What CS-KD costs: its epochs against those of cross entropy in :func:`ldlstudy.train.train`.

A step of CS-KD passes as many partners as images through the network, without a gradient: about a
third more work than the forward and backward passes of cross entropy. Both train a ResNet-20 on
random 32 x 32 images as in :mod:`tests.benchmarks.images`, with bfloat16 products, channels last,
uncompiled. They take turns, see :mod:`tests.benchmarks.turns`: the CPU seconds of one thread count,
or the wall time on a GPU. Run by ``make bench``; exit status 1 where the ratio misses the target.
"""

import argparse
import functools
import sys
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
)
from tests.benchmarks.turns import compare, seconds

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
    plain, taught = (new_network(case, execution) for _ in range(2))
    how = images, execution
    runs = {
        "cross entropy": functools.partial(epoch_seconds, plain, *how, cross_entropy, ()),
        "CS-KD": functools.partial(epoch_seconds, taught, *how, cs_kd(), ("partner",)),
    }
    beside = f"target at most {TARGET:g}"
    ratio = compare(runs, args.rounds, len(images.labels), case.device, beside)
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
    """Seconds in which ``network`` goes on by an epoch, see `turns.seconds`."""
    epoch = functools.partial(our_epochs, network, images, execution, 1, objective, others)
    return seconds(epoch, execution.device)


if __name__ == "__main__":
    main()
