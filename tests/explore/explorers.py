"""An explorer of each kind, made from little: what the tests of this folder look at."""

import torch

from ldlstudy import data, mixture
from ldlstudy.data.replicates import Replicates
from ldlstudy.explore import errors, label, mixing, penultimate, people, plane, reliability
from ldlstudy.explore.explorer import Choice, Explorer

CLASSES, IMAGES = 4, 60


def random(seed):
    return torch.Generator().manual_seed(seed)


def predictions(seed):
    """What a record keeps of a network that is sometimes right."""
    draws = random(seed)
    labels = torch.randint(CLASSES, (IMAGES,), generator=draws)
    logits = torch.randn(IMAGES, CLASSES, generator=draws) * 2
    logits[torch.arange(IMAGES), labels] += 2
    rounded = [[round(z, 4) for z in row] for row in logits.log_softmax(1).tolist()]
    return {"labels": labels.tolist(), "log_probabilities": rounded}


NETWORKS = {"hard labels": predictions(0), "LS": predictions(1)}
TRUTH = torch.randn(IMAGES, CLASSES, generator=random(2)).mul(2).softmax(1)
PIXELS = torch.rand(IMAGES, 3, 3, generator=random(3))
MIXTURE = mixture.six_gaussians()


def learned(seed):
    """Two small samples, and the posterior at other temperatures in place of each network."""
    sets = Replicates(MIXTURE, 8, 2, 20, 1, seed)
    names = [plane.called(method, factor) for method in plane.METHODS for factor in plane.FACTORS]

    def blurred(temperature):
        return lambda x: (
            MIXTURE.posterior(x.double()).clamp_min(1e-12).log().div(temperature).softmax(1)
        )

    networks = {n: blurred(1 + (i + seed) / 5) for i, n in enumerate([plane.HARD, *names])}
    return plane.Learned(sets.training.at(0), sets.testing.at(0), networks)


def planes(seed):
    """What a record keeps of the penultimate layer, for two triples of classes."""
    draws = random(seed)
    numbers = dict.fromkeys(("train_spread", "train_distance", "test_distance"), 1.0 + seed)
    numbers |= {"template_distance": 2.0 + seed, "test_spread": 0.5}

    def points(*shape):
        return (3 / (1 + seed) * torch.randn(*shape, 2, generator=draws)).tolist()

    parts = {"templates": (3,), "train": (3, 5), "test": (3, 5)}
    return {
        triple: {**{part: points(*shape) for part, shape in parts.items()}, "numbers": numbers}
        for triple in ("0, 1, 2", "3, 9, 6")
    }


DIGITS = data.noisy_digits(sigma=0.5, train=1, test=30, draw=0).test
WEIGHTS = torch.randn(64, 10, generator=random(4))
POSTERIOR = mixture.noisy_digits(0.5).posterior


def teach(images):
    """Return a linear network's logits."""
    return images.flatten(1) @ WEIGHTS


def answered(seed):
    """What a record keeps of a network's answers to images that people have voted on."""
    votes = torch.randint(20, (6, CLASSES), generator=random(5)) + 1
    votes[0, 1:] = 0  # all agree
    logits = predictions(seed)["log_probabilities"][:6]
    return {"index": list(range(6)), "labels": [0, 1, 2, 3, 0, 1], "votes": votes.tolist(),
            "log_probabilities": logits}  # fmt: skip


EXPLORERS: dict[str, Explorer] = {
    "label": label.explorer(predictions(0), TRUTH, PIXELS),
    "reliability": reliability.explorer(NETWORKS),
    "errors": errors.explorer(NETWORKS),
    "plane": plane.explorer(MIXTURE, [learned(0), learned(1)]),
    "penultimate": penultimate.explorer({"0": planes(0), "0.1": planes(1)}),
    "people": people.explorer(
        {"hard labels": answered(0), "LS": answered(1)},
        ("coat", "shirt", "pullover", "bag"),
        (255 * PIXELS[:6]).tolist(),
    ),
    "mixing": mixing.explorer(DIGITS, teach, POSTERIOR, sets=2),
}


def other(control):
    """Return a value of a control at which it does not start: an option, or the highest."""
    if isinstance(control, Choice):
        return next(option for option in control.options if option != control.value)
    return control.high
