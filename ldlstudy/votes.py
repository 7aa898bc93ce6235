"""Scores against people: what a network predicts, beside the shares of those who said so.

``votes`` (N, K) are whole numbers, at least one in each row: how many people gave an image each of
the classes. They are a sample. With n votes the shares differ from what all people would say, and
the KL divergence from the shares to a prediction is too high by about (m - 1) / 2n on average,
where m is the number of classes voted for. That is the same for every network: a difference of two
does not contain it, and `kl` takes it away. The cross entropy to the shares has no such bias.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from ldlstudy import checks, metrics, scaling
from ldlstudy.checks import ArrayLike
from ldlstudy.terms import Correlation, Gaps, Mean, Terms


def shares(votes: ArrayLike) -> Tensor:
    """Return the share of the votes on each image that each class has, float64 (N, K).

    Votes that are not whole numbers of at least 0, or an image without any, are a ValueError.
    """
    counts = _counts(votes)
    return counts.double() / counts.sum(1, keepdim=True)


def _counts(votes: ArrayLike) -> Tensor:
    """Return votes, checked, as int64 (N, K)."""
    given = checks.tensor(votes, "votes")
    if given.ndim != 2 or 0 in given.shape or given.is_floating_point() or given.is_complex():
        raise ValueError(
            f"votes must be whole numbers of shape (N, K), got {given.dtype} {tuple(given.shape)}"
        )
    counts = given.long()
    if int(counts.min()) < 0 or not counts.any(1).all():
        raise ValueError("votes must be at least 0, and some for each image")
    return counts


def bias_of_kl(votes: ArrayLike) -> Tensor:
    """Return by how much finite votes raise the KL divergence of each image (N,): (m - 1) / 2n."""
    counts = _counts(votes)
    return ((counts > 0).sum(1) - 1).double() / (2 * counts.sum(1))


def kl(probabilities: ArrayLike, votes: ArrayLike) -> float:
    """Return KL(people || network) in nats, the mean over images, without the bias of few votes."""
    return kl_terms(probabilities, votes).value()


def kl_terms(probabilities: ArrayLike, votes: ArrayLike) -> Mean:
    """Return the terms of `kl`."""
    found = metrics.kl_to_truth_terms(shares(votes), probabilities)
    return Mean(found.values - bias_of_kl(votes).to(found.values.device))


def ece(probabilities: ArrayLike, votes: ArrayLike, bins: int = 15, edges: str = "right") -> float:
    """Return the calibration error of the confidence where people say what is right, in [0, 1].

    As :func:`ldlstudy.metrics.ece`, with the share of the people who agree with the prediction in
    place of whether it is the one label.
    """
    return ece_terms(probabilities, votes, bins, edges).value()


def ece_terms(
    probabilities: ArrayLike, votes: ArrayLike, bins: int = 15, edges: str = "right"
) -> Gaps:
    """Return the terms of `ece`; chance counts as if an image had one vote, which bounds it."""
    share, p = _paired(votes, probabilities)
    confidence, top = p.max(1)
    return metrics.gaps(confidence, share.gather(1, top[:, None])[:, 0], bins, edges)


def entropy_order(probabilities: ArrayLike, votes: ArrayLike) -> float:
    """Return how alike network and people order images by their entropy: Spearman's correlation.

    1 if the images that people disagree on most are those that the network is least sure of.
    """
    return entropy_order_terms(probabilities, votes).value()


def entropy_order_terms(probabilities: ArrayLike, votes: ArrayLike) -> Correlation:
    """Return the terms of `entropy_order`; resamples keep the ranks of the whole sample."""
    ranks = [
        torch.from_numpy(rankdata(torch.special.entr(each.double()).sum(1).cpu().numpy()))
        for each in _paired(votes, probabilities)
    ]
    return Correlation(*ranks)


def second_mass(probabilities: ArrayLike, votes: ArrayLike) -> float:
    """Return the mean probability of the class with the second most votes.

    It is taken over the images on which not all agree; of classes with equally many votes the first
    counts. NaN if all agree on every image.
    """
    return second_mass_terms(probabilities, votes).value()


def second_mass_terms(probabilities: ArrayLike, votes: ArrayLike) -> Mean:
    """Return the terms of `second_mass`."""
    share, p = _paired(votes, probabilities)
    best = share.argmax(1, keepdim=True)
    rest = share.scatter(1, best, -1.0)
    second = rest.argmax(1, keepdim=True)
    among = share.gather(1, second)[:, 0] > 0
    return Mean(p.double().gather(1, second)[:, 0], among)


def halves(votes: ArrayLike, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return the votes of a random half of the people of each image, and those of the other half.

    Of an odd number the second half has one more. An image with fewer than two votes is a
    ValueError. Both (N, K), int64; what one half says of the other is how near people come.
    """
    counts = _counts(votes).cpu()
    people = counts.sum(1)
    if int(people.min()) < 2:
        raise ValueError(f"people are halved where an image has two votes, got {int(people.min())}")
    rng = np.random.default_rng(seed)
    drawn = zip(counts.tolist(), (people // 2).tolist(), strict=True)
    first = np.array([rng.multivariate_hypergeometric(row, half) for row, half in drawn])
    return torch.from_numpy(first), counts - torch.from_numpy(first)


def fit_temperature(logits: ArrayLike, votes: ArrayLike) -> float:
    """Return the temperature that minimises the cross entropy of softmax(logits / T) to the shares.

    As :func:`ldlstudy.scaling.fit_temperature`, for logits (N, K), with each vote as a label.
    """
    z, share = checks.tensor(logits, "logits"), shares(votes)
    if z.shape != share.shape:
        raise ValueError(
            f"votes and logits must have the same shape, got {tuple(share.shape)} and "
            f"{tuple(z.shape)}"
        )
    image, named = share.nonzero(as_tuple=True)
    weights = share[image, named] / len(share)
    return float(scaling.fit_temperatures(z[image][None], named[None], weights[None])[0])


def _paired(votes: ArrayLike, probabilities: ArrayLike) -> tuple[Tensor, Tensor]:
    share, p = shares(votes), checks.distributions(probabilities).detach()
    if share.shape != p.shape:
        raise ValueError(
            f"votes and probabilities must have the same shape, got {tuple(share.shape)} and "
            f"{tuple(p.shape)}"
        )
    return share.to(p.device), p


def _of_shares(make: Callable[[ArrayLike, ArrayLike], Terms]) -> Callable[[Tensor, Tensor], Terms]:
    return lambda p, votes: make(shares(votes), p)


SCORES: dict[str, Callable[[Tensor, Tensor], Terms]] = {  # from probabilities and votes
    "cross_entropy": _of_shares(metrics.cross_entropy_to_truth_terms),
    "kl": kl_terms,
    "total_variation": _of_shares(metrics.total_variation_terms),
    "ece": ece_terms,
    "entropy_order": entropy_order_terms,
    "second_mass": second_mass_terms,
    "chebyshev": _of_shares(metrics.chebyshev_terms),
    "clark": _of_shares(metrics.clark_terms),
    "canberra": _of_shares(metrics.canberra_terms),
    "cosine": _of_shares(metrics.cosine_terms),
    "intersection": _of_shares(metrics.intersection_terms),
}
