"""What a trained network's logits say of single training images, seen through their augmentation.

Müller, Kornblith and Hinton (2019, section 4) take 300 training images of each of two classes and
the difference of these two logits. Here it is every pair of up to ten classes, and the mean over
pairs; and besides the difference, all logits.
"""

import dataclasses
import itertools
import math
import statistics

import torch
from torch import Tensor

from ldlstudy import information
from ldlstudy.data.images import Images
from ldlstudy.seeds import seed_of
from ldlstudy.training import Augmentation, Predictor

IMAGES, CLASSES = 300, 10  # at most: of a class, and classes
MEANS = 5  # draws of an image behind its mean in the paper's estimate
FITTED, SCORED = 40, 10  # draws of an image that a critic is fitted to, and that it scores


def is_random(augmentation: Augmentation) -> bool:
    """Return whether an augmentation shows an image in more ways than one."""
    return dataclasses.replace(augmentation, normalise="none") != Augmentation()


def values(predictor: Predictor, train: Images) -> dict[str, float]:
    """Return estimates of the mutual information of image and answer, in nats.

    Parameters
    ----------
    predictor : Predictor
        A trained network with the augmentation of its training, which is the source of chance.
    train : Images
        Its training images, in memory; the first 300 of each class are taken, of the first ten
        classes, or as many of each as the smallest of these has.

    Returns
    -------
    dict
        Means over pairs of classes, N images each: ``as_printed``, `information.mueller` with the
        means of five draws and a sixth as the answer; ``reused``, with the first of the five as
        the answer; ``proceedings``, `information.mueller_2019`; ``difference`` and ``logits``,
        `information.lower_bound` of 10 draws with a critic fitted to 40, by the difference of the
        two logits and by all; ``within_difference`` and ``within_logits``, the same about the
        images of one class; ``most``, log N. Where the augmentation is noise alone also ``views``
        and ``within_views``: what the noisy images themselves say, by their true density.
    """
    counts = train.labels.bincount()[:CLASSES]
    n = min(IMAGES, int(counts.min()))
    index = torch.stack([(train.labels == k).nonzero()[:n, 0] for k in range(len(counts))])
    assert isinstance(train.pixels, Tensor)
    pixels = train.pixels[index.flatten()]
    logits, views = _drawn(predictor, pixels)
    logits = logits.unflatten(0, index.shape)  # (C, n, L, K)
    found: dict[str, list[float]] = {}

    def add(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for own in logits:
        add("within_logits", _bound(own))
    for pair in itertools.combinations(range(len(index)), 2):
        both = logits[list(pair)].flatten(0, 1)  # (2 n, L, K)
        difference = both[:, :, pair[:1]] - both[:, :, pair[1:]]
        y, means = difference[:, :, 0], difference[:, :MEANS, 0].mean(1)
        add("as_printed", information.mueller(y[:, MEANS], means))
        add("reused", information.mueller(y[:, 0], means))
        add("proceedings", information.mueller_2019(y[:, MEANS], means))
        add("difference", _bound(difference))
        add("logits", _bound(both))
        for own in difference.split(n):
            add("within_difference", _bound(own))
    if views is not None:
        sigma, seen = predictor.augmentation.noise, views.unflatten(0, index.shape)
        centres = predictor.augmentation.test(pixels).flatten(1).unflatten(0, index.shape)
        for k in range(len(index)):
            add("within_views", _exact(seen[k], centres[k], sigma))
        for one, other in itertools.combinations(range(len(index)), 2):
            pick = [one, other]
            add("views", _exact(seen[pick].flatten(0, 1), centres[pick].flatten(0, 1), sigma))
    means = {name: statistics.fmean(each) for name, each in found.items()}
    return means | {"most": math.log(2 * n)}


@torch.no_grad()
def _drawn(predictor: Predictor, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits (N, L, K) of L draws of each image; the last draws, flat, where they are noise."""
    augmentation = predictor.augmentation
    noisy = dataclasses.replace(augmentation, noise=0.0, normalise="none") == Augmentation()
    generator = torch.Generator(pixels.device).manual_seed(seed_of(0, "information"))
    predictor.network.eval()
    logits, views = [], []
    for draw in range(FITTED + SCORED):
        shown = [augmentation.train(part, generator) for part in pixels.split(IMAGES)]
        answers = [predictor.answer(predictor.execution.layout(part)).float() for part in shown]
        logits.append(torch.cat(answers).cpu())
        if noisy and draw >= FITTED:
            views.append(torch.cat(shown).flatten(1).cpu())
    return torch.stack(logits, 1), torch.stack(views, 1) if views else None


def _bound(draws: Tensor) -> float:
    """The bound by draws (N, L, D), the first of which fit the critic."""
    scores = information.fitted_scores(draws[:, :FITTED], draws[:, FITTED:].flatten(0, 1))
    return information.lower_bound(scores, torch.arange(len(draws)).repeat_interleave(SCORED))


def _exact(views: Tensor, centres: Tensor, sigma: float) -> float:
    """What views (N, L, F) with noise say of the images (N, F) that they are of."""
    flat = views.flatten(0, 1).double()
    scores = -torch.cdist(flat, centres.double().cpu()).square() / (2 * sigma**2)
    return information.lower_bound(scores, torch.arange(len(views)).repeat_interleave(SCORED))
