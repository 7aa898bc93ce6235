"""Two runs that take turns, so that other load on the machine meets both, and how they compare."""

import statistics
import time
from collections.abc import Callable, Mapping

from tests.benchmarks.images import synchronise


def seconds(run: Callable[[], object], device: str) -> float:
    """Seconds of ``run``: of the process on a CPU, of the wall clock on a GPU.

    With one thread, other processes hardly lengthen the former.
    """
    clock = time.perf_counter if device == "cuda" else time.process_time
    start = clock()
    run()
    synchronise(device)
    return clock() - start


def compare(
    runs: Mapping[str, Callable[[], float]], rounds: int, images: int, device: str, beside: str
) -> float:
    """Print the rates of two runs that give their seconds, and their ratio; return that.

    Parameters
    ----------
    runs
        What the ratio divides by, then what it divides.
    rounds : int
        Turns that count; the median of their ratios is the ratio.
    images : int
        That each run takes, all of its networks together.
    device : str
        Whose seconds they are, see `seconds`.
    beside : str
        What to print beside the ratio.
    """
    for run in runs.values():
        run()  # the first is slower
    times = [[run() for run in runs.values()] for _ in range(rounds)]
    second = "second" if device == "cuda" else "CPU second"
    for name, column in zip(runs, zip(*times, strict=True), strict=True):
        print(f"{name}: {images / statistics.median(column):,.0f} images a {second}")
    ratios = sorted(other / base for base, other in times)
    ratio, spread = statistics.median(ratios), f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"ratio: {ratio:.2f}, by round {spread}; {beside}")
    return ratio
