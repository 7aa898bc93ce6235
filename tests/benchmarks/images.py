"""Images a second: the loop of most training scripts against :func:`ldlstudy.train`.

Both train the same network on batches of random 32 x 32 images, cropped, flipped and normalised, by
SGD with Nesterov momentum. The usual loop has what the CS-KD authors' script has: torchvision's
transforms on PIL images in a DataLoader, float32, a look at the loss in every step. Ours has the
package's batched augmentation, channels last, the precision that suits the device and, if asked
for, torch.compile. A CPU trains ResNet-20, a GPU ResNet-18. The loops take turns, so that other
load on the machine meets both; their medians are compared. Then every precision and layout is tried
and, on a CPU, one process with all cores against one process a core, which sweeps have. Run by
``make bench``; exit status 1 where the ratio misses the target: 5 on a GPU, 2 on a processor with
instructions for bfloat16, 1 on others.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import itertools
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils import data
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

import ldlstudy
from ldlstudy import device, models
from ldlstudy.data import Images
from ldlstudy.device import COMPILERS, Execution
from ldlstudy.models import Classifier
from ldlstudy.training import Augmentation, History, Recipe, batches
from ldlstudy.training.augment import NORMALISATIONS
from tests.benchmarks import bounds
from tests.benchmarks.ensemble import best_of

BATCH, CLASSES, WARM_UP = 128, 100, 4  # WARM_UP: steps of the usual loop before the clock starts
RECIPE = Recipe(1, BATCH, rate=0.1, nesterov=True, weight_decay=1e-4)
AUGMENTATION = Augmentation(crop=32, pad=4, flip=True, normalise="cskd")


class Case(NamedTuple):
    """What is trained on which device, and how long."""

    device: str
    model: str
    steps: int  # in a round

    @property
    def target(self) -> float:
        """The ratio to the usual loop that ours is to reach."""
        if self.device == "cuda":
            return 5.0
        return 2.0 if device.has_bf16(self.device) else 1.0


CASES = {"cpu": Case("cpu", "resnet20", 10), "cuda": Case("cuda", "resnet18", 150)}


def main() -> None:
    """Print both loops' rates, their ratio, the share of the peak, and where our time goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compile", choices=COMPILERS, help="on a GPU reduce-overhead, else no")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    case = CASES["cuda" if torch.cuda.is_available() else "cpu"]
    how = args.compile or ("reduce-overhead" if case.device == "cuda" else "no")
    execution = Execution(case.device, precision="auto", compile=how)
    print(f"device: {device.device_name(case.device)}, torch {torch.__version__}")
    print(f"{case.model}, batch {BATCH}, {args.rounds} rounds of {case.steps} steps")
    images = random_images(case.steps)
    network = new_network(case.model, execution)
    ours = functools.partial(our_rate, network, images, execution)
    usual = usual_loops(case, images)
    loops: list[Callable[[], float]] = [*usual.values(), ours]
    rounds = [[loop() for loop in loops] for _ in range(args.rounds)]
    *rates, rate = (statistics.median(loop) for loop in zip(*rounds, strict=True))
    for name, median in zip(usual, rates, strict=True):
        print(f"usual loop, {name}: {median:,.0f} images/s")
    print(
        f"ldlstudy.train, {execution.precision}, channels last, compile {how}: {rate:,.0f} images/s"
    )
    ratios = sorted(mine / max(others) for *others, mine in rounds)
    ratio = rate / max(rates)
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"ratio: {ratio:.2f}, by round {spread}; target {case.target:g}")
    print_bounds(case, network, execution, images, rate)
    print_choices(case, images)
    sys.exit(ratio < case.target)


def random_images(steps: int) -> Images:
    """As many uint8 images of CIFAR's shape, with labels, as ``steps`` batches take."""
    draws = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (steps * BATCH, 3, 32, 32), generator=draws, dtype=torch.uint8)
    return Images(pixels, torch.randint(CLASSES, (len(pixels),), generator=draws))


def new_network(model: str, execution: Execution) -> Classifier:
    """A network with the same weights each time."""
    torch.manual_seed(0)
    network = models.build(model, CLASSES)
    execution.place(network)
    return network


def usual_loops(case: Case, images: Images) -> dict[str, Callable[[], float]]:
    """The usual loop by its number of worker processes; all go on training one network."""
    network = new_network(case.model, Execution(case.device, channels_last=False))
    counts = [device.cores()] if case.device == "cuda" else [0, device.cores()]
    return {
        f"{count} workers": functools.partial(usual_rate, network, images, case.device, count)
        for count in counts
    }


class Pictures(data.Dataset[tuple[Tensor, int]]):
    """Images as torchvision's CIFAR hands them out: a PIL image made and transformed when asked."""

    def __init__(self, images: Images) -> None:
        assert isinstance(images.pixels, Tensor)
        self.pixels = images.pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(*NORMALISATIONS["cskd"]),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def usual_rate(network: nn.Module, images: Images, device: str, workers: int) -> float:
    """Images a second of the usual loop in a pass over ``images``, without its first steps."""
    loader = data.DataLoader(Pictures(images), BATCH, shuffle=True, num_workers=workers)
    sgd = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    network.train()
    start, total = 0.0, 0.0
    with torch.backends.cudnn.flags(benchmark=True):
        for number, (pixels, labels) in enumerate(loader):
            if number == WARM_UP:
                start = time.perf_counter()
            loss = F.cross_entropy(network(pixels.to(device)), labels.to(device))
            total += loss.item()
            sgd.zero_grad()
            loss.backward()
            sgd.step()
    synchronise(device)
    return (len(loader) - WARM_UP) * BATCH / (time.perf_counter() - start)


def our_rate(network: nn.Module, images: Images, execution: Execution) -> float:
    """Images a second of :func:`ldlstudy.train` in the second of two epochs."""
    return len(images.labels) / float(our_epochs(network, images, execution, 2)[-1]["seconds"])


def our_epochs(network: nn.Module, images: Images, execution: Execution, epochs: int) -> History:
    """Go on training ``network``; the clock of an epoch stops when its loss is known."""
    recipe = dataclasses.replace(RECIPE, epochs=epochs)
    how = {"augmentation": AUGMENTATION, "device": execution}
    return ldlstudy.train(network, images, recipe=recipe, **how)


def print_bounds(
    case: Case, network: nn.Module, execution: Execution, images: Images, rate: float
) -> None:
    """Print the share of the bf16 peak, and where the time of our loop goes."""
    step = BATCH / rate
    reached, (peak, whose) = rate * operations(case.model), bounds.bf16_peak(case.device)
    share = f"{reached / peak:.0%} of the {peak / 1e12:,.2f} TFLOP/s {whose}" if peak else whose
    print(f"convolutions and products: {reached / 1e12:,.3f} TFLOP/s, {share}")
    print(f"batches alone: {batch_seconds(execution, images) / step:.1%} of a step's time")
    run = functools.partial(our_epochs, network, images, execution, 1)
    times = bounds.profiled(run, case.device)
    busy = sum(times.values()) / case.steps / step
    print("operations:" if case.device == "cpu" else f"GPU kernels: {busy:.0%} of a step's time")
    for part, value in bounds.shares(times).items():
        if value >= 0.0005:  # 0.1% as printed
            print(f"{value:7.1%}  {part}")


def print_choices(case: Case, images: Images) -> None:
    """Print the rate of every precision and layout, and of one process against one a core."""
    there = ["float32", *(["bf16"] if device.has_bf16(case.device) else [])]
    rates = {}
    for precision, last in itertools.product(there, (True, False)):
        tried = Execution(case.device, precision, channels_last=last)
        layout = "channels last" if last else "channels first"
        rates[f"{precision}, {layout}"] = our_rate(new_network(case.model, tried), images, tried)
    if case.device == "cpu":
        rates[f"{device.cores()} processes with a thread each"] = rate_of_processes(case)
    for name, rate in sorted(rates.items(), key=lambda item: -item[1]):
        print(f"{rate:8,.0f} images/s  {name}")
    chosen = Execution(case.device, "auto")
    print(f"precision=auto is {chosen.precision} here; a sweep has a process a core")


def rate_of_processes(case: Case) -> float:
    """Images a second of as many processes as there are cores, all together."""
    spawned = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(device.cores(), spawned) as pool:
        return sum(pool.map(rate_of_one, [case] * device.cores()))


def rate_of_one(case: Case) -> float:
    """Images a second of a process with one thread."""
    torch.set_num_threads(1)
    execution = Execution(case.device, "auto")
    return our_rate(new_network(case.model, execution), random_images(case.steps), execution)


def operations(model: str, backward: bool = True) -> float:
    """Floating-point operations of an image's forward and ``backward``, 2 a multiply-add."""
    network = models.build(model, CLASSES)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        total = network(torch.zeros(2, 3, 32, 32)).sum()
        if backward:
            total.backward()
    return counter.get_total_flops() / 2


def batch_seconds(execution: Execution, images: Images) -> float:
    """Seconds to make a batch, augmented and in the network's layout."""
    there, generator = images.to(execution.device), torch.Generator(execution.device)

    def epoch() -> None:
        for batch in batches(there, BATCH, AUGMENTATION, generator):
            execution.layout(batch.images)
        synchronise(execution.device)

    return best_of(3, epoch) * BATCH / len(images.labels)


def synchronise(device: str) -> None:
    """Wait for what a GPU was asked to do."""
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
