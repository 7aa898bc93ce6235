"""How a network is trained: the optimiser, the rate of each epoch, and what is done to the loss.

A :class:`Recipe` holds what a paper would print; on which machine and in which precision it runs is
an :class:`~ldlstudy.device.Execution`.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ldlstudy import checks

OPTIMISERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "decay", "linear", "steps", "triangle")
KEEPS = ("last", "best")  # epochs
SGD, STEPS = ("optimiser", ("sgd",)), ("schedule", ("steps",))
BELONGS = {  # fields that not every recipe takes: to which other field, and which values of it
    "momentum": SGD,
    "dampening": SGD,
    "nesterov": SGD,
    "drops": STEPS,
    "factor": ("schedule", ("steps", "decay")),
}
START, PEAK = 0.2, 0.23  # of a triangle: its first share of the rate, and where in training it is 1


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Settings of the training loop.

    ``rate``, ``weight_decay`` and ``norm_penalty`` are one number, or one for each layer that has
    weights, from the input on ([Re] gives the last layer of its fully-connected network a rate of
    its own).
    """

    epochs: int
    batch: int = 128
    optimiser: str = "sgd"
    rate: float | Sequence[float] = 0.1
    momentum: float = 0.9
    dampening: float = 0.0
    nesterov: bool = False
    # added to the gradient: decay times weight; of AdamW taken from the weight, times the rate
    weight_decay: float | Sequence[float] = 0.0
    schedule: str = "steps"  # see `share`
    drops: Sequence[int] = ()
    factor: float = 0.1
    period: float | None = None  # epochs, of "decay"
    norm_penalty: float | Sequence[float] = 0.0  # added to the loss: penalty times norm of weights
    loss_scale: float = 1.0  # of the loss without the penalty
    clip: float | None = None  # largest norm of the whole gradient
    order: int | None = None  # seed of the batches; None takes the seed of the run
    keep: str = "last"  # which epoch's weights: the last's, or the best's on held-out images

    def __post_init__(self) -> None:
        """Check every field."""
        self._take("epochs", checks.whole("epochs", self.epochs, 1))
        self._take("batch", checks.whole("batch", self.batch, 1))
        checks.one_of("optimiser", self.optimiser, OPTIMISERS)
        checks.one_of("schedule", self.schedule, SCHEDULES)
        checks.one_of("epoch to keep", self.keep, KEEPS)
        for name in ("rate", "weight_decay", "norm_penalty"):
            given = getattr(self, name)
            found = [
                checks.in_range(name, value, 0, open_low=name == "rate")
                for value in _several(given)
            ]
            self._take(name, tuple(found) if isinstance(given, Sequence) else found[0])
        for name in ("momentum", "dampening"):
            self._take(name, checks.in_range(name, getattr(self, name), 0, 1))
        self._take("factor", checks.in_range("factor", self.factor, 0, 1, open_low=True))
        for name in ("loss_scale", "clip", "period"):
            if (given := getattr(self, name)) is not None:
                self._take(name, checks.in_range(name, given, 0, open_low=True))
        if checks.boolean("nesterov", self.nesterov) and (not self.momentum or self.dampening):
            raise ValueError(
                "nesterov needs a momentum above 0 and no dampening, "
                f"got {self.momentum} and {self.dampening}"
            )
        if self.order is not None:
            self._take("order", checks.whole("order", self.order, 0))
        if (self.period is None) != (self.schedule != "decay"):
            raise ValueError(
                f"a period belongs to the schedule decay, got {self.period} with {self.schedule}"
            )
        if not isinstance(self.drops, Sequence):
            raise ValueError(f"drops must be a list of epochs, got {self.drops!r}")
        self._take("drops", tuple(checks.whole("drops", epoch, 1) for epoch in self.drops))
        for name, (other, values) in BELONGS.items():
            given, default = getattr(self, name), getattr(Recipe, name)
            if given != default and getattr(self, other) not in values:
                raise ValueError(
                    f"{name} belongs to the {other} {' and '.join(values)}, "
                    f"got {given} with {getattr(self, other)}"
                )

    def _take(self, name: str, value: Any) -> None:
        """Set a field to what was checked: a checkpoint compares recipes as plain numbers."""
        object.__setattr__(self, name, value)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Recipe":
        """Return the recipe that a run's ``recipe`` describes.

        An unknown setting (the known ones are listed), none for ``epochs``, or a value out of range
        is a ValueError.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in settings:
            checks.one_of("training setting", name, known)
        if "epochs" not in settings:
            raise ValueError(f"a run needs the number of epochs, its recipe has {dict(settings)}")
        try:
            return cls(**settings)
        except TypeError as error:  # a text where a number belongs, a number where a list does
            raise ValueError(f"recipe {dict(settings)}: {error}") from error

    @property
    def moves(self) -> bool:
        """Whether the rate changes within an epoch."""
        return self.schedule in ("decay", "triangle")

    def share(self, epoch: float) -> float:
        """Return what the rate is multiplied by after so many epochs.

        ``steps`` multiplies by ``factor`` from each epoch of ``drops`` on, ``decay`` after every
        ``period`` of epochs, within them too; ``linear`` falls from 1 to 0, and ``cosine`` by
        (1 + cos(pi t)) / 2 at the share t of the epochs (torch's ``CosineAnnealingLR``);
        ``triangle`` rises from .2 to 1 in the first 23 % of all steps, as airbench94 does, and
        falls to 0.
        """
        done = epoch / self.epochs
        if self.schedule == "linear":
            return 1 - done
        if self.schedule == "cosine":
            return (1 + math.cos(math.pi * done)) / 2
        if self.schedule == "triangle":
            rising = START + (1 - START) * done / PEAK
            return rising if done < PEAK else (1 - done) / (1 - PEAK)
        if self.period is not None:
            return float(self.factor ** int(epoch / self.period + 1e-9))
        return float(self.factor ** sum(epoch >= drop for drop in self.drops))

    def make_optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of ``network``; each group remembers its first rate as ``start``."""
        layers = _layers(network)
        rates, decays = (
            _for_each(name, getattr(self, name), len(layers)) for name in ("rate", "weight_decay")
        )
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameters, rate, decay in zip(layers, rates, decays, strict=True):
            groups.setdefault((rate, decay), []).extend(parameters)
        settings: list[dict[str, Any]] = [
            {"params": parameters, "lr": rate, "start": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ]
        if self.optimiser in ("adam", "adamw"):
            return (torch.optim.Adam if self.optimiser == "adam" else torch.optim.AdamW)(settings)
        return torch.optim.SGD(
            settings,
            momentum=self.momentum,
            dampening=self.dampening,
            nesterov=self.nesterov,
        )

    def penalty(self, network: nn.Module) -> torch.Tensor | float:
        """Return what the norms of the layers' weights, not squared, add to the loss.

        [Re]'s code takes .04 times the norms of AlexNet's first two dense layers for the weight
        decay of its text. The gradient of a norm has length 1, however large the weights are.
        """
        if self.norm_penalty == 0:  # in every step of nearly every training
            return 0.0
        layers = _layers(network)
        shares = _for_each("norm_penalty", self.norm_penalty, len(layers))
        weights = zip(shares, layers, strict=True)
        return sum(share * layer[0].norm() for share, layer in weights if share)

    def set_rate(self, optimiser: torch.optim.Optimizer, epoch: float) -> None:
        """Give every group of ``optimiser`` the rate after so many epochs."""
        for group in optimiser.param_groups:
            group["lr"] = group["start"] * self.share(epoch)


def _layers(network: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of each layer that has some, from the input on, its weights first."""
    layers: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():  # one that layers share comes once
        layers.setdefault(name.rpartition(".")[0], []).append(parameter)
    return list(layers.values())


def _several(value: float | Sequence[float]) -> list[float]:
    return list(value) if isinstance(value, Sequence) else [value]


def _for_each(name: str, value: float | Sequence[float], layers: int) -> list[float]:
    values = _several(value)
    if len(values) not in (1, layers):
        raise ValueError(
            f"{name} must be one number or one for each of the network's {layers} layers with "
            f"weights, got {len(values)}"
        )
    return values * layers if len(values) == 1 else values
