"""The task of the first chapter: few noisy digits, and a network that learns them in a second."""

from typing import Any

from torch import nn

from ldlstudy import checks, data, models
from ldlstudy.data import Dataset
from ldlstudy.device import Execution
from ldlstudy.experiment.plan import BUILDS
from ldlstudy.training import Recipe

SIGMA = 0.5
SIZES = {"train": 50, "test": 200, "validation": 50}  # images of a class
SMALL = {"train": 5, "test": 20, "validation": 5}
HIDDEN = 128


def images(profile: str) -> Dataset:
    """Return the noisy digits of a profile; an unknown one is a ValueError."""
    checks.one_of("profile", profile, BUILDS)
    sizes: dict[str, Any] = SMALL if profile == "smoke" else SIZES
    return data.load("noisy_digits", sigma=SIGMA, draw=0, **sizes)


def recipe(profile: str) -> Recipe:
    """Return how a profile trains; an unknown one is a ValueError."""
    checks.one_of("profile", profile, BUILDS)
    epochs = 2 if profile == "smoke" else 30
    return Recipe(epochs=epochs, batch=50, rate=0.05, schedule="linear")


def network() -> nn.Module:
    """Return a network with one hidden layer; its first weights are the same each time."""
    with Execution().seeded(0):
        return models.build("small_fcn", classes=10, hidden=[HIDDEN])
