"""Image sets that are made here from scikit-learn's digits, of which one has a known truth."""

from collections.abc import Callable

import torch

from ldlstudy import checks
from ldlstudy.data.images import Dataset, Images, split
from ldlstudy.data.replicates import Replicates
from ldlstudy.mixture import noisy_digits as mixture_of_digits

CLASSES = tuple("0123456789")


def digits(*, split_seed: int = 0) -> Dataset:
    """Return scikit-learn's 1,797 images of 8 x 8 pixels, a fifth of each class for tests.

    Parameters
    ----------
    split_seed : int
        Of the split into training and test images; all runs that are compared share it.

    Returns
    -------
    Dataset
        Pixels (N, 1, 8, 8) uint8, scikit-learn's 0 to 16 scaled to 0 to 255.
    """
    mixture = mixture_of_digits()  # its centres are the images
    pixels = (mixture.centres * 255).round().to(torch.uint8).view(-1, 1, 8, 8)
    images = Images(pixels, mixture.labels)
    train, test = split(images.labels, 0.2, split_seed)
    return Dataset("digits", CLASSES, images.take(train), images.take(test))


def noisy_digits(
    *, sigma: float = 0.5, train: int = 800, test: int = 1000, draw: int = 0, validation: int = 0
) -> Dataset:
    """Return the digits with Gaussian noise, whose p(y|x) is known exactly, as an image set.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise, above 0, see :func:`ldlstudy.mixture.noisy_digits`.
    train, test : int
        Images of each class, at least 1.
    draw : int
        Seed of the images, at least 0.
    validation : int
        Held-out images of each class, drawn beside the others, which stay the same; none with 0.

    Returns
    -------
    Dataset
        Pixels (N, 1, 8, 8) float32, digits in [0, 1] plus noise; ``truth`` (N, 10) in all parts.
    """
    checks.whole("train", train, 1)
    checks.whole("test", test, 1)
    checks.whole("validation", validation, 0)
    mixture = mixture_of_digits(sigma)
    replicates = Replicates(mixture, train, validation, test, 1, checks.whole("draw", draw, 0))
    names = ("train", "test", "held") if validation else ("train", "test")
    samples = [replicates.sample(part, 0) for part in names]
    parts = [Images(s.inputs.view(-1, 1, 8, 8), s.labels, s.truth) for s in samples]
    return Dataset("noisy_digits", CLASSES, *parts, posterior=mixture.posterior)


MADE: dict[str, Callable[..., Dataset]] = {"digits": digits, "noisy_digits": noisy_digits}
SIZES = {"digits": (1_438, 359), "noisy_digits": (8_000, 10_000)}  # training and test images
