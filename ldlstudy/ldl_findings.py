"""What the LDL chapter computes beyond the scores of its networks.

That an ensemble of teachers and several teachers at once are one method with two step sizes, what
the paper's own tables say of the sentences around them, and the order of methods by a metric.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from ldlstudy import checks, losses, stats, tables
from ldlstudy.class_wise import QUICK
from ldlstudy.measured import Measurements
from ldlstudy.stats import Estimate

SIZED = re.compile(QUICK + r"-n(\d+)-s([\d.]+)")


class Identity(NamedTuple):
    """Largest differences between gradients; see :func:`identity`."""

    sum_from_n_means: float
    mean_from_ensemble: float
    largest_gradient: float


def identity(logits: Tensor, teachers: Tensor) -> Identity:
    """How far the gradients of several teachers (MT) are from those of their ensemble (En).

    The cross entropy is linear in its target, so where N teachers see the same images (LDL #5 and
    #6, #8 and #9) the mean of their N cross entropies is the cross entropy against their mean, and
    the sum, which LDL writes, is N times it.

    Parameters
    ----------
    logits : Tensor
        A student's, shape (B, K).
    teachers : Tensor
        Probabilities of shape (N, B, K), each row a distribution.

    Returns
    -------
    Identity
        Largest absolute difference, over images and classes, between the gradient of the sum and N
        times that of the mean, and between the gradient of the mean and the ensemble's; and the
        largest entry of the ensemble's, to compare them with. In float64.

    Raises
    ------
    ValueError
        Other shapes, or rows that are not distributions.
    """
    if teachers.ndim != 3 or len(teachers) < 1 or teachers.shape[1:] != logits.shape:
        raise ValueError(
            f"need teachers of shape (N, {', '.join(map(str, logits.shape))}), N at least 1, "
            f"got {tuple(teachers.shape)}"
        )
    p = teachers.detach().double()
    p = p / p.sum(2, keepdim=True)  # rounded to float32, a row need not sum to 1 in float64
    total, mean = (_gradient(logits, p, reduce) for reduce in (torch.sum, torch.mean))
    ensemble = _gradient(logits, p.mean(0, keepdim=True), torch.sum)
    return Identity(
        float((total - len(p) * mean).abs().max()),
        float((mean - ensemble).abs().max()),
        float(ensemble.abs().max()),
    )


def _gradient(logits: Tensor, teachers: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """Gradient (B, K) of the sum or the mean over ``teachers`` of their cross entropies."""
    z = logits.detach().double().requires_grad_()
    each = torch.stack([losses.soft_cross_entropy(z, target) for target in teachers])
    return torch.autograd.grad(reduce(each), z)[0]


def strangers(
    teachers: int = 5, images: int = 64, classes: int = 100, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Random logits (B, K) of a student and probabilities (N, B, K) of teachers that agree on none.

    Logits are independent normal numbers of deviation 3, float64.
    """
    draws = torch.Generator().manual_seed(seed)
    shape = (checks.whole("teachers", teachers, 1) + 1, images, classes)
    z = 3 * torch.randn(shape, generator=draws, dtype=torch.float64)
    return z[0], z[1:].softmax(2)


class Recomputed(NamedTuple):
    """A statement of the paper: what it says, and the lowest and highest its tables give.

    Differences of accuracy are in percentage points, of ECE in per cent of what is compared with.
    """

    said: str
    low: float
    high: float
    unit: str

    @property
    def borne_out(self) -> bool:
        """Whether the tables give, rounded as printed, what is said.

        One number is to be the largest, two are to hold all; "about" allows a tenth of a number.
        """
        numbers = [float(n) for n in re.findall(r"[-+]?[\d.]+", self.said)]
        digits = max(len(n.partition(".")[2]) for n in re.findall(r"[\d.]+", self.said))
        low, high = round(self.low, digits), round(self.high, digits)
        slack = [abs(n) / 10 if "about" in self.said else 0.0 for n in (min(numbers), max(numbers))]
        if len(numbers) == 1:
            return abs((high if numbers[0] > 0 else low) - numbers[0]) <= slack[0]
        return min(numbers) - slack[0] <= low and high <= max(numbers) + slack[1]


MIXES = ("cutout", "mixup", "cutmix", "ricap")
SOTA = ("crd", "crd_kd", "sskd", "wsl")


def recomputed() -> dict[str, Recomputed]:
    """LDL's own statements, from the numbers of its Tables 1, 2, 3 and 5.

    Where the paper says "up to", ``high`` (of an ECE ``low``) is to be compared with it; a range of
    ECE is over the students or the rivals compared.
    """
    one, two, three, five = (tables.published(f"ldl_table{n}") for n in (1, 2, 3, 5))
    r50, c10, stl = "cifar100-resnet50", "cifar10-resnet56", "stl10-resnet20"
    mixed = [m for m in MIXES if f"{r50} on_ldl-{m}" in one.index]
    gains = [_points(one, f"{r50} on_ldl-{m}", f"{r50} none-{m}") for m in mixed]
    best = one.loc[[f"{r50} none-{m}" for m in mixed], "accuracy"].idxmax()
    long = [_points(one, f"{r50} on_ldl-cutmix-long", str(best))]
    kd = [_points(three, "cifar100-resnet200 on_ldl-cutmix-long", "cifar100-resnet200 crd_kd")]
    others = [row for row in five.index if " on_ldl-" in row]
    return {
        "accuracy, On-LDL against the same mixing alone, ResNet-50": _range("up to +1.9", gains),
        "the same, On-LDL trained long": _range("up to +1.9", long),
        "accuracy against Vanilla, CIFAR-10, ResNet-56": _range("up to +1.6", _gains(two, c10)),
        "ECE against Vanilla, CIFAR-10, ResNet-56": _range("up to about -80", _cuts(two, c10), "%"),
        "accuracy against Vanilla, STL10, ResNet-20": _range("+3.39", _gains(two, stl)),
        "ECE against Vanilla, STL10, ResNet-20": _range("about -85", _cuts(two, stl), "%"),
        "accuracy, On-LDL trained long against CRD + KD, ResNet-200": _range("up to +2.86", kd),
        "ECE, the best of LDL against each rival, CIFAR-100": _range(
            "-60 to -88", _cuts_of_rivals(three), "%"
        ),
        "accuracy against Vanilla, other architectures": _range(
            "about +3 to +5", [_points(five, row, _vanilla(row)) for row in others]
        ),
        "ECE against Vanilla, other architectures": _range(
            "-20 to -66", [_cut(five, row, _vanilla(row)) for row in others], "%"
        ),
    }


def _range(said: str, values: Sequence[float], unit: str = "points") -> Recomputed:
    return Recomputed(said, min(values), max(values), unit)


def _vanilla(row: str) -> str:
    return row.split(" ")[0] + " none"


def _points(table: pd.DataFrame, row: str, base: str) -> float:
    return 100 * float(table.loc[row, "accuracy"] - table.loc[base, "accuracy"])


def _cut(table: pd.DataFrame, row: str, base: str) -> float:
    return 100 * float(table.loc[row, "ece"] / table.loc[base, "ece"] - 1)


def _ldl(table: pd.DataFrame, bench: str) -> list[str]:
    """The bench's rows of the paper's own methods."""
    return [row for row in table.index if re.match(rf"{bench} (off|on)_", row)]


def _gains(table: pd.DataFrame, bench: str) -> list[float]:
    return [_points(table, row, f"{bench} none") for row in _ldl(table, bench)]


def _cuts(table: pd.DataFrame, bench: str) -> list[float]:
    return [_cut(table, row, f"{bench} none") for row in _ldl(table, bench)]


def _cuts_of_rivals(table: pd.DataFrame) -> list[float]:
    """Change of ECE from each rival to the student's best LDL row, by student and rival."""
    cuts = []
    for bench in dict.fromkeys(row.split(" ")[0] for row in table.index):
        best = str(table.loc[_ldl(table, bench), "ece"].idxmin())
        rivals = [row for row in (f"{bench} {name}" for name in SOTA) if row in table.index]
        cuts += [_cut(table, best, rival) for rival in rivals]
    return cuts


def ranks(
    measurements: Measurements, rows: Iterable[str], metric: str = "kl_to_truth"
) -> dict[str, Estimate]:
    """Rank of each row within each seed, its mean over seeds with its interval, lowest first.

    Rank 1 has the lowest ``metric``; ties share the mean of their ranks.

    Raises
    ------
    ValueError
        Rows that were not repeated with equally many seeds.
    """
    from scipy.stats import rankdata

    names = list(rows)
    values = [measurements[row][metric].values for row in names]
    counts = sorted({len(v) for v in values})
    if len(counts) != 1:
        raise ValueError(f"ranks need rows with equally many seeds, got {counts or 'no row'}")
    found = {
        row: stats.estimate(of_row.tolist())
        for row, of_row in zip(names, rankdata(values, axis=0), strict=True)
    }
    return dict(sorted(found.items(), key=lambda item: item[1].mean))


def sizes(measurements: Measurements) -> dict[tuple[float, int], str]:
    """Benches of the study of sizes by noise and by number of training images a class, sorted.

    Their names read ``noisy_digits-small_cnn-n<images>-s<sigma>``.
    """
    benches = (SIZED.fullmatch(row.split(" ")[0]) for row in measurements)
    found = {(float(m[2]), int(m[1])): m[0] for m in benches if m is not None}
    return dict(sorted(found.items()))
