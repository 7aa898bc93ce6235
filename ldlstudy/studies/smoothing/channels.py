"""Channels whose mutual information is known, and what Müller et al.'s estimate makes of them.

Each image has an answer of its own, one number or several, and Gaussian noise stands for
augmentation. The images are of two classes, so answers lie in two clusters, as logits do.
"""

import statistics
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ldlstudy import information
from ldlstudy.seeds import seed_of

IMAGES, REPEATS, SCORED = 200, 6, 5
APART, SPREAD = 20.0, 2.0  # clusters, and answers within one, in deviations of the noise
DRAWS = (2, 3, 5, 10, 20, 40)  # of an image, behind its mean
RATIOS = (1, 2, 4, 8, 16)  # of the noise of one half of the images to that of the other
WIDTHS = (1, 2, 4, 8, 16)  # numbers that an answer has
TRUTH, PRINTED, REUSED = "truth", "as printed", "as printed, with one of its draws"
FEW, MANY = 5, 40
Lines = dict[str, list[float]]  # by the name of a line, its values


def by_draws() -> Lines:
    """Return what comes out by the number of draws behind the mean of each image."""
    means = _answers(1)
    seen = [_seen(means, torch.ones(1), seed) for seed in range(REPEATS)]
    return {
        TRUTH: [information.gaussian_channel(means[:, 0], 1.0)] * len(DRAWS),
        PRINTED: _means(DRAWS, lambda n: (printed(y[..., 0], n) for y in seen)),
        REUSED: _means(DRAWS, lambda n: (printed(y[..., 0], n, answer=0) for y in seen)),
        "bound": _means(DRAWS, lambda n: (_bound(y, n) for y in seen)),
    }


def by_ratio() -> Lines:
    """Return what comes out where augmentation moves every second image more than the others."""
    means, truth, found = _answers(1), [], []
    for ratio in RATIOS:
        sigma = torch.tensor([ratio**-0.5, ratio**0.5]).repeat(IMAGES // 2)
        seen = [_seen(means, sigma, seed) for seed in range(REPEATS)]
        truth.append(statistics.fmean(_exact(y, means, sigma) for y in seen))
        found.append(statistics.fmean(printed(y[..., 0], MANY) for y in seen))
    return {TRUTH: truth, f"as printed, means of {MANY}": found}


def by_width() -> Lines:
    """Return what comes out by the numbers that an answer has; they say about as much together."""
    lines: Lines = {TRUTH: [], f"bound, fitted to {MANY} draws": [], f"to {FEW} draws": []}
    for width in WIDTHS:
        means = _answers(width)
        seen = [_seen(means, torch.ones(1), seed) for seed in range(REPEATS)]
        found = ([_exact(y, means, torch.ones(IMAGES)) for y in seen],
                 [_bound(y, MANY) for y in seen], [_bound(y, FEW) for y in seen])  # fmt: skip
        for line, values in zip(lines.values(), found, strict=True):
            line.append(statistics.fmean(values))
    return lines


def printed(y: Tensor, draws: int, answer: int | None = None) -> float:
    """Return `information.mueller` of draws (N, L): the first ones' means, and an answer."""
    return information.mueller(y[:, draws if answer is None else answer], y[:, :draws].mean(1))


def _bound(y: Tensor, draws: int) -> float:
    scores = information.fitted_scores(y[:, :draws], y[:, -SCORED:].flatten(0, 1))
    return information.lower_bound(scores, torch.arange(len(y)).repeat_interleave(SCORED))


def _exact(y: Tensor, means: Tensor, sigma: Tensor) -> float:
    """What draws (N, L, D) say by their own density, of means (N, D) and deviations (N,)."""
    far = torch.cdist(y[:, -SCORED:].flatten(0, 1), means) / sigma
    scores = -far.square() / 2 - means.shape[1] * sigma.log()
    return information.lower_bound(scores, torch.arange(len(y)).repeat_interleave(SCORED))


def _means(sizes: Iterable[int], make: Callable[[int], Iterable[float]]) -> list[float]:
    return [statistics.fmean(make(size)) for size in sizes]


def _answers(width: int) -> Tensor:
    """Answers (N, D) without noise: two clusters, whose spread the D numbers share."""
    generator = torch.Generator().manual_seed(seed_of(width, "channels"))
    own = SPREAD * torch.randn(IMAGES, width, generator=generator, dtype=torch.float64)
    own[: IMAGES // 2] += APART
    return own / width**0.5


def _seen(means: Tensor, sigma: Tensor, seed: int) -> Tensor:
    """Draws (N, L, D) with noise of a deviation for each image."""
    generator = torch.Generator().manual_seed(seed_of(seed, "noise"))
    shape = (len(means), max(MANY, *DRAWS) + 1 + SCORED, means.shape[1])
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return means[:, None] + sigma[:, None, None] * noise
