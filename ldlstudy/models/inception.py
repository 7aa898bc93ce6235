"""Inception-v4 (Szegedy et al. 2017) for small images: branches of several kernels side by side.

A teacher of the ILS paper on CIFAR-10 (Table IV). The stem does not stride, so that the three grids
of an image of 32 x 32 have 30, 14 and 7 places a side (35, 17 and 8 of one of 299 x 299).
Convolutions are without a bias and as torch draws them, each with a batch norm and a ReLU; dropout
of .2 stands before the head. The widths are Szegedy et al.'s.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier
from ldlstudy.models.layers import Kernel, pool, unit

DROPOUT = 0.2  # what is not kept of the last features
SMALLEST = 5  # pixels of which the stem and two reductions leave one place


class Branches(nn.Module):
    """Layers that see the same input, and whose outputs are put one after the other."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, sum of the branches' channels, H', W')."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def _chain(
    inputs: int, *layers: tuple[int, Kernel], last: nn.Module | None = None
) -> nn.Sequential:
    """Units of ``(channels, kernel)``, one after the other, and a ``last`` layer."""
    units = []
    for outputs, kernel in layers:
        units.append(unit(inputs, outputs, kernel))
        inputs = outputs
    return nn.Sequential(*units, *([last] if last is not None else []))


def _pooled(inputs: int, outputs: int) -> nn.Module:
    """The mean over 3 x 3 places, and a unit."""
    return nn.Sequential(nn.AvgPool2d(3, 1, padding=1), unit(inputs, outputs, 1))


def _stem(channels: int) -> nn.Sequential:
    """To 384 channels, two places less a side."""
    steep, flat = (7, 1), (1, 7)
    return nn.Sequential(
        unit(channels, 32, 3, pad=False),
        _chain(32, (32, 3), (64, 3)),
        Branches(nn.MaxPool2d(3, 1, padding=1), unit(64, 96, 3)),
        Branches(
            _chain(160, (64, 1), (96, 3)), _chain(160, (64, 1), (64, flat), (64, steep), (96, 3))
        ),
        Branches(unit(192, 192, 3), nn.MaxPool2d(3, 1, padding=1)),
    )


def _a() -> nn.Module:
    return Branches(
        unit(384, 96, 1),
        _chain(384, (64, 1), (96, 3)),
        _chain(384, (64, 1), (96, 3), (96, 3)),
        _pooled(384, 96),
    )


def _from_a_to_b() -> nn.Module:
    return Branches(
        unit(384, 384, 3, stride=2, pad=False),
        _chain(384, (192, 1), (224, 3), last=unit(224, 256, 3, stride=2, pad=False)),
        nn.MaxPool2d(3, 2),
    )


def _b() -> nn.Module:
    steep, flat = (7, 1), (1, 7)
    return Branches(
        unit(1024, 384, 1),
        _chain(1024, (192, 1), (224, flat), (256, steep)),
        _chain(1024, (192, 1), (192, steep), (224, flat), (224, steep), (256, flat)),
        _pooled(1024, 128),
    )


def _from_b_to_c() -> nn.Module:
    return Branches(
        _chain(1024, (192, 1), last=unit(192, 192, 3, stride=2)),
        _chain(1024, (256, 1), (256, (1, 7)), (320, (7, 1)), last=unit(320, 320, 3, stride=2)),
        nn.MaxPool2d(3, 2, padding=1),
    )


def _c() -> nn.Module:
    steep, flat = (3, 1), (1, 3)

    def both(inputs: int) -> nn.Module:
        return Branches(unit(inputs, 256, flat), unit(inputs, 256, steep))

    return Branches(
        unit(1536, 256, 1),
        _chain(1536, (384, 1), last=both(384)),
        _chain(1536, (384, 1), (448, steep), (512, flat), last=both(512)),
        _pooled(1536, 256),
    )


def inception_v4(classes: int, *, channels: int = 3) -> Classifier:
    """Return Inception-v4 for images of any size from 5 x 5 on, usually 32 x 32."""
    checks.whole("channels", channels, 1)
    body = nn.Sequential(
        _stem(channels),
        *(_a() for _ in range(4)),
        _from_a_to_b(),
        *(_b() for _ in range(7)),
        _from_b_to_c(),
        *(_c() for _ in range(3)),
        pool(),
        nn.Dropout(DROPOUT),
    )
    return Classifier(body, nn.Linear(1536, classes), channels, smallest=SMALLEST)


MODELS: dict[str, Callable[..., Classifier]] = {"inception_v4": inception_v4}
