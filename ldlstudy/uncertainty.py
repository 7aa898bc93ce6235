"""Labels from what a network is unsure of: Monte-Carlo dropout, and classes that overfit (OGR).

LDL's supplement compares these with mixing. Monte-Carlo dropout (Gal and Ghahramani, 2016) keeps
dropout on in predictions and averages several passes. The overfitting-to-generalisation ratio (Wang
et al., 2020) compares how far training and held-out loss have drifted apart with how much the
latter has improved, here for each class.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ldlstudy import checks
from ldlstudy.models import Classifier

GAP = 10  # epochs, in LDL
LEAST_GAIN = 1e-3  # nats: a class that has not improved by more counts as if it had by this


def with_dropout(network: Classifier, probability: float) -> Classifier:
    """Return ``network`` with dropout on its penultimate features.

    Parameters
    ----------
    network : Classifier
        Changed in place.
    probability : float
        Of each feature to be dropped, in [0, 1].
    """
    checks.in_range("dropout", probability, 0, 1)
    network.body = nn.Sequential(network.body, nn.Dropout(probability))
    return network


def sampled(network: nn.Module, passes: int) -> Callable[[Tensor], Tensor]:
    """Return Monte-Carlo dropout's prediction as a function of images.

    Parameters
    ----------
    network : Module
        From images to logits (N, K), in evaluation mode and with dropout somewhere.
    passes : int
        How many predictions with dropout are averaged, at least 1; 20 in LDL.

    Returns
    -------
    callable
        From images to log((1/n) sum_i softmax(z_i)), shape (N, K): logits of the mean probability
        (LDL section 6). All but dropout stays in evaluation mode.

    Raises
    ------
    ValueError
        If ``passes`` is below 1, or nothing is ever dropped.
    """
    checks.whole("passes", passes, 1)
    dropouts = [m for m in network.modules() if isinstance(m, _DropoutNd) and m.p > 0]
    if not dropouts:
        raise ValueError(
            'Monte-Carlo dropout needs a network with dropout, such as "network": {"dropout": 0.2} '
            "in its training"
        )

    def predict(images: Tensor) -> Tensor:
        for module in dropouts:
            module.train()
        answers = torch.stack([network(images) for _ in range(passes)])
        for module in dropouts:
            module.eval()
        return mean_logits(answers)

    return predict


def mean_logits(logits: Tensor) -> Tensor:
    """Logits (N, K) of the mean probability of several predictions' (T, N, K); one's as they are.

    They are finite where a mean of probabilities would round to 0.
    """
    if len(logits) == 1:
        return logits[0]
    return logits.float().log_softmax(2).logsumexp(0) - math.log(len(logits))


def overfitting(
    training: Sequence[Sequence[float]], held: Sequence[Sequence[float]], gap: int = GAP
) -> Tensor:
    """Return the overfitting-to-generalisation ratio of each class over the last epochs (LDL s. 6).

    OGR_k = ((dO_k) / (dG_k))^2 with dO_k, by how much held-out minus training loss of class k has
    grown over ``gap`` epochs, and dG_k, by how much its held-out loss has fallen. A gain below .001
    counts as .001.

    Parameters
    ----------
    training, held : sequence of sequences
        Loss of each class (K) after each epoch, on training and on held-out images.
    gap : int
        n, epochs between the two that are compared, at least 1; 10 in LDL.

    Returns
    -------
    Tensor
        Shape (K,), at least 0.

    Raises
    ------
    ValueError
        If ``gap`` is below 1, or epoch ``gap`` + 1 has not been reached.
    """
    checks.whole("gap", gap, 1)
    if len(training) != len(held) or len(held) <= gap:
        raise ValueError(
            f"OGR compares epochs {gap} apart and needs at least {gap + 1} of both losses, got "
            f"{len(training)} of the training and {len(held)} of the held-out images"
        )
    (seen, seen_before), (new, new_before) = (
        (torch.tensor(losses[-1]), torch.tensor(losses[-1 - gap])) for losses in (training, held)
    )
    apart = (new - seen) - (new_before - seen_before)
    gained = (new_before - new).clamp_min(LEAST_GAIN)
    return (apart / gained).square()
