"""The numbers that the LDL chapter computes beyond the scores of its networks, and quotes.

That an ensemble of teachers and several teachers at once are one method with two step sizes, what
the paper's own tables say of the sentences around them, and the order of strategies by a metric.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ldlstudy import checks, losses
from ldlstudy.report import numbers
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results, row_of
from ldlstudy.report.tables import published
from ldlstudy.studies import digits
from ldlstudy.studies.ldl.runs import LONGER, REDUCED, RIVALS, UNSURE
from ldlstudy.studies.strategies import named

DIGITS = f"quick {digits.NAME}"
KL = "kl_to_truth"


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
    """A statement of the paper, and the lowest and highest that its tables give.

    Differences of accuracy are in percentage points, of ECE in per cent of what is compared with.
    ``stated`` is one number, or the two ends of a range.
    """

    stated: tuple[float, ...]
    low: float
    high: float
    unit: str = "points"
    up_to: bool = False
    about: bool = False

    @property
    def said(self) -> str:
        """The statement in words."""
        words = "up to " * self.up_to + "about " * self.about
        return words + " to ".join(f"{number:+g}" for number in self.stated)

    @property
    def borne_out(self) -> bool:
        """Whether the tables give, rounded to as many digits, what is said.

        One number is to be the largest, two are to hold all. "About" allows a tenth of a number;
        without it the tables may also be cut to these digits.
        """
        scale = 10 ** max(len(f"{number:g}".partition(".")[2]) for number in self.stated)
        return any(
            self._fits(*(shortened(end * scale) / scale for end in (self.low, self.high)))
            for shortened in ((round,) if self.about else (round, math.trunc))
        )

    def _fits(self, low: float, high: float) -> bool:
        least, most = min(self.stated), max(self.stated)
        slack = [abs(number) / 10 * self.about for number in (least, most)]
        if least == most:
            return abs((high if least > 0 else low) - least) <= slack[0]
        return least - slack[0] <= low and high <= most + slack[1]


Key = tuple[str, str]  # bench and strategy


def recomputed() -> dict[str, Recomputed]:
    """LDL's own statements, from the numbers of its Tables 1, 2, 3 and 5.

    Where the paper says "up to", ``high`` (of an ECE ``low``) is to be compared with it; a range of
    ECE is over the students or the rivals compared.
    """
    one, two, three, five = (published(f"ldl_table{n}").droplevel("stage") for n in (1, 2, 3, 5))
    r50, c10, stl = "cifar100-resnet50", "cifar10-resnet56", "stl10-resnet20"
    mixed = [(r50, m) for m in ("mixup", "cutmix", "ricap")]
    gains = [_points(one, (r50, f"on_ldl-{m}"), (r50, m)) for r50, m in mixed]
    best = one.loc[mixed, "accuracy"].idxmax()
    long = [_points(one, (r50, "on_ldl-cutmix-long"), best)]
    r200 = "cifar100-resnet200"
    kd = [_points(three, (r200, "on_ldl-cutmix-long"), (r200, "crd_kd"))]
    benches = list(dict.fromkeys(bench for bench, _ in five.index))
    others = [(bench, name) for bench, name in five.index if _group(name) == "online LDL"]
    return {
        "accuracy, On-LDL against the same mixing alone, ResNet-50": _range(gains, 1.9, up_to=True),
        "the same, On-LDL trained long": _range(long, 1.9, up_to=True),
        "accuracy against Vanilla, CIFAR-10, ResNet-56": _range(_gains(two, c10), 1.6, up_to=True),
        "ECE against Vanilla, CIFAR-10, ResNet-56": _range(
            _cuts(two, c10), -80, unit="%", up_to=True, about=True
        ),
        "accuracy against Vanilla, STL10, ResNet-20": _range(_gains(two, stl), 3.39),
        "ECE against Vanilla, STL10, ResNet-20": _range(_cuts(two, stl), -85, unit="%", about=True),
        "accuracy, On-LDL trained long against CRD + KD, ResNet-200": _range(kd, 2.86, up_to=True),
        "ECE, the best of LDL against each rival, CIFAR-100": _range(
            _cuts_of_rivals(three), -60, -88, unit="%"
        ),
        "accuracy against Vanilla, other architectures": _range(
            [_points(five, key, (key[0], "none")) for key in others], 3, 5, about=True
        ),
        "ECE against Vanilla, other architectures": _range(
            [_cut(five, _best(five, bench), (bench, "none")) for bench in benches],
            -20,
            -66,
            unit="%",
        ),
    }


def _range(values: Sequence[float], *stated: float, **more: Any) -> Recomputed:
    return Recomputed(stated, min(values), max(values), **more)


def _points(table: pd.DataFrame, key: Key, base: Key) -> float:
    return 100 * float(table.loc[key, "accuracy"] - table.loc[base, "accuracy"])


def _cut(table: pd.DataFrame, key: Key, base: Key) -> float:
    return 100 * float(table.loc[key, "ece"] / table.loc[base, "ece"] - 1)


def _group(strategy: str) -> str:
    return named(strategy).group


def _ldl(table: pd.DataFrame, bench: str) -> list[Key]:
    """The bench's rows of the paper's own strategies."""
    own = ("offline LDL", "online LDL")
    return [key for key in table.index if key[0] == bench and _group(key[1]) in own]


def _gains(table: pd.DataFrame, bench: str) -> list[float]:
    return [_points(table, key, (bench, "none")) for key in _ldl(table, bench)]


def _cuts(table: pd.DataFrame, bench: str) -> list[float]:
    return [_cut(table, key, (bench, "none")) for key in _ldl(table, bench)]


def _best(table: pd.DataFrame, bench: str) -> Key:
    """The bench's row of the paper's own strategies with the lowest ECE."""
    best: Key = table.loc[_ldl(table, bench), "ece"].idxmin()
    return best


def _cuts_of_rivals(table: pd.DataFrame) -> list[float]:
    """Change of ECE from each rival to the student's best LDL row, by student and rival."""
    cuts = []
    for bench in dict.fromkeys(bench for bench, _ in table.index):
        best = _best(table, bench)
        rivals = [(bench, name) for name in RIVALS if (bench, name) in table.index]
        cuts += [_cut(table, best, rival) for rival in rivals]
    return cuts


def measured(results: Results, bench: str) -> list[str]:
    """Return the strategies that have been measured on a bench, in the order of planning."""
    rows = ((results.of(row)[0].strategy, row) for row in results.rows)
    return [strategy for strategy, row in rows if row == f"{bench} {strategy}"]


def nearest(results: Results, bench: str) -> list[str]:
    """Return the strategies measured on a bench, the nearest to the truth first.

    Labels from uncertainty and long training have tables of their own.
    """
    own = [s for s in measured(results, bench) if s not in (*UNSURE, *LONGER)]
    return sorted(own, key=lambda s: results.mean(f"{bench} {s}", KL))


def sizes(results: Results) -> dict[tuple[float, int], str]:
    """Return the benches by noise and by number of training images a class, sorted."""
    found = {
        (each.facts["sigma"], each.facts["size"]): f"quick {each.bench}"
        for each in results.planned
        if each.facts and row_of(each) != f"{DIGITS} {each.strategy}"
    }
    return dict(sorted(found.items()))


def likeness(points: Sequence[Sequence[Sequence[float]]]) -> float:
    """Return how near two like classes are: their distance as a share of that to a third class.

    ``points`` are those (N, 2) of three classes on the plane of their templates, the like ones
    first. Distances are of centres, the one to the third class is the mean of two.
    """
    one, two, third = (np.asarray(of).mean(0) for of in points)
    apart, *others = (np.linalg.norm(a - b) for a, b in ((one, two), (one, third), (two, third)))
    return float(apart / np.mean(others))


def likenesses(kept: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """Return the :func:`likeness` of each three classes that a record keeps as ``similar``.

    By the names of the classes, and "train" or "test".
    """
    return {
        (classes, part): likeness(plane[part])
        for classes, plane in kept.items()
        for part in ("train", "test")
    }


def quoted(
    results: Results,
    quick: Results,
    grid: Results,
    paper: Results,
    judged: pd.DataFrame,
    profile: str,
) -> Numbers:
    """Return every number that the chapter quotes.

    ``results`` are of all networks, of which ``quick`` are those of the table of methods on noisy
    digits, ``grid`` those by noise and size, ``paper`` those of the paper profile; ``judged`` are
    the claims with their verdicts.
    """
    values = numbers.of_results(results) | numbers.verdicts(judged)

    def scaled(strategy: str) -> float:
        return results.mean(f"{DIGITS} {strategy}", KL, "fitted")

    def gap(left: str, right: str, metric: str) -> float:
        return results.difference((left, "plain"), (right, "plain"), metric).mean

    best = float(np.fmin(scaled("on_en_ldl-mixup"), scaled("on_mt_ldl-mixup")))
    values["gain.share"] = (scaled("none") - best) / (scaled("none") - scaled("truth"))
    averaged = scaled("on_en_ldl-mixup")
    values["gain.share.mean"] = (scaled("none") - averaged) / (scaled("none") - scaled("truth"))
    values["gain.mt"] = gap(f"{DIGITS} off_mt_ldl", f"{DIGITS} off_mt_ldl_mean", KL)
    for name, strategy in (("on", "on_ldl-cutmix"), ("off", "off_ldl")):
        lost = gap(f"{REDUCED} none", f"{REDUCED} {strategy}", "accuracy")
        values[f"loss.{name}"] = 100 * lost
    history = results.figure(f"{REDUCED} none", "history")
    if history is not None:
        values["loss.cifar"] = history["loss"][-1]
    for prefix, some in (("quick.", quick), ("grid.", grid), ("paper.", paper)):
        values |= numbers.circumstances(some, prefix)
    values["profile"] = profile
    return numbers.known(values)
