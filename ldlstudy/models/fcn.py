"""Fully-connected networks: the teacher and student of [Re]'s distillation, and a small one."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier

WEIGHT_STD = 0.03


def _image_shape(shape: object) -> tuple[int, int, int]:
    """Return ``shape`` as (C, H, W) if it is three whole numbers of at least 1."""
    if not isinstance(shape, list | tuple) or len(shape) != 3:
        raise ValueError(f"shape must be three whole numbers (C, H, W), got {shape!r}")
    channels, height, width = (checks.whole("shape", side, 1) for side in shape)
    return channels, height, width


def _fcn(classes: int, hidden: Sequence[int], shape: Sequence[int], dropout: float) -> Classifier:
    """Each hidden layer is followed by a ReLU and dropout; the images have no dropout."""
    channels, height, width = _image_shape(shape)
    checks.in_range("dropout", dropout, 0, 1)
    widths = [math.prod(shape), *(checks.whole("hidden width", h, 1) for h in hidden)]
    layers = [
        layer
        for i, o in itertools.pairwise(widths)
        for layer in (nn.Linear(i, o), nn.ReLU(inplace=True), nn.Dropout(dropout))
    ]
    body = nn.Sequential(nn.Flatten(), *layers)
    return Classifier(body, nn.Linear(widths[-1], classes), channels, (height, width))


def fcn(
    units: int, classes: int, *, shape: Sequence[int] = (1, 28, 28), dropout: float = 0.5
) -> Classifier:
    """Return [Re]'s network of two hidden layers of ``units``.

    Weights and biases are drawn from N(0, .03^2), as in the replication's code.

    Parameters
    ----------
    units, classes
        Width of both hidden layers, and number of classes K.
    shape : sequence of int
        (C, H, W) of an image.
    dropout : float
        Share of the hidden activations left out in training. [Re] says .5 in the text; its code has
        0 for the networks of Tables 2 and 3 and .5 for the teacher without smoothing.
    """
    network = _fcn(classes, (units, units), shape, dropout)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=WEIGHT_STD)
    return network


def small_fcn(
    classes: int,
    *,
    hidden: Sequence[int] = (64, 64),
    shape: Sequence[int] = (1, 8, 8),
    dropout: float = 0.0,
) -> Classifier:
    """Return a network for 8 x 8 digits, with torch's default initialisation.

    Parameters
    ----------
    classes, shape, dropout
        As in `fcn`.
    hidden : sequence of int
        Widths of the hidden layers.
    """
    if not isinstance(hidden, list | tuple) or not hidden:
        raise ValueError(f"hidden must be the widths of at least one layer, got {hidden!r}")
    return _fcn(classes, hidden, shape, dropout)


MODELS: dict[str, Callable[..., Classifier]] = {
    "fcn800": partial(fcn, 800),
    "fcn1200": partial(fcn, 1200),
    "small_fcn": small_fcn,
}
