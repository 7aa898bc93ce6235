"""Metrics at ImageNet's size, 50,000 x 1,000: seconds and memory, beside torchmetrics' where it has
them, and a full measure of one stage with 2,000 resamples.

The CPU seconds of one thread count, the least of several runs, for other processes hardly lengthen
them; memory is what a run adds at its peak to that of the process. Run by ``make bench``; exit
status 1 where one of torchmetrics' is faster or smaller.
"""

import argparse
import functools
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
import torchmetrics.functional.classification as other
from torch import Tensor

from ldlstudy import metrics
from ldlstudy.experiment import measure
from ldlstudy.experiment.measure import Outcome

MIB = 2**20
SCORES = "accuracy", "nll", "brier", "ece", "uce", "class_conditional_ece", "classwise_ece"
Score = Callable[[Tensor, Tensor], object]


class Cost(NamedTuple):
    """What a run takes: CPU seconds, and bytes at its peak."""

    seconds: float
    memory: float

    def __str__(self) -> str:
        return f"{self.seconds:8.3f} s {self.memory / MIB:8.0f} MiB"


def rivals(classes: int) -> dict[str, Score]:
    """Return torchmetrics' scores by the names of ours; its Brier score knows two classes alone."""
    ece = functools.partial(
        other.multiclass_calibration_error, num_classes=classes, n_bins=15, norm="l1"
    )
    accuracy = functools.partial(other.multiclass_accuracy, num_classes=classes, average="micro")
    return {"ece": ece, "accuracy": accuracy}


def main() -> None:
    """Print the cost of each score, and of a measure with its intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    draws = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(args.samples, args.classes, generator=draws)
    p = logits.softmax(1)
    labels = torch.multinomial(p, 1, generator=draws)[:, 0]
    print(f"{args.samples:,} samples of {args.classes:,} classes, torch {torch.__version__}")
    theirs, slower = rivals(args.classes), []
    for name in SCORES:
        found = cost(functools.partial(getattr(metrics, name), p, labels), args.rounds)
        line = f"{name:22}{found}"
        if name in theirs:
            rival = cost(functools.partial(theirs[name], p, labels), args.rounds)
            line += f"; torchmetrics {rival}"
            slower += [name] if any(a > b for a, b in zip(found, rival, strict=True)) else []
        print(line, flush=True)
    test = Outcome(logits, labels)
    stage = {"plain": (p, 1.0)}
    print(f"{'a stage, 2,000 draws':22}{cost(lambda: measure.score(stage, test), 1)}", flush=True)
    print(f"{'the three stages':22}{cost(lambda: measure.stages(test), 1)}", flush=True)
    sys.exit(", ".join(f"{name} is behind torchmetrics" for name in slower) or 0)


def cost(run: Callable[[], object], rounds: int) -> Cost:
    """Return the least that some runs take."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics' own
        return least(once(run) for _ in range(rounds))


def least(costs: Iterable[Cost]) -> Cost:
    """Return the fewest seconds and the least memory."""
    return Cost(*map(min, zip(*costs, strict=True)))


def once(run: Callable[[], object]) -> Cost:
    """Return what one run takes."""
    before, start = resident(), time.process_time()
    run()
    return Cost(time.process_time() - start, peak() - before)


def resident() -> int:
    """Return the memory of this process, and let its peak start anew from there."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """Return the most memory that this process has held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(x.split()[1] for x in status.splitlines() if x.startswith("VmHWM")))


if __name__ == "__main__":
    main()
