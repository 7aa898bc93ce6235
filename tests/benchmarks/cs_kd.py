"""What CS-KD costs: its epochs against those of cross entropy, see :mod:`tests.benchmarks.turns`.

A step of CS-KD passes as many partners as images through the network, without a gradient: about a
third more work than the forward and backward passes of cross entropy. Run by ``make bench``; exit
status 1 where the ratio misses the target.
"""

import sys

from tests.benchmarks import turns

METHOD = ("cs_kd", {"temperature": 4.0, "weight": 1.0})  # as on CIFAR-100
TARGET = 1.45  # the most that an epoch of CS-KD may take, in epochs of cross entropy


def main() -> None:
    """Print both methods' rates and the ratio of their times."""
    bench = turns.begin(__doc__, rounds=7)
    plain, taught = bench.network(), bench.network()
    runs = {
        "cross entropy": lambda: bench.seconds([plain]),
        "CS-KD": lambda: bench.seconds([taught], None, *METHOD),
    }
    sys.exit(bench.compare(runs, f"target at most {TARGET:g}") > TARGET)


if __name__ == "__main__":
    main()
