"""Monte-Carlo dropout (Gal and Ghahramani, 2016), which LDL's supplement compares with mixing.

Dropout stays on in predictions, and several passes are averaged.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ldlstudy import checks, scaling
from ldlstudy.models.classifier import Classifier


def with_dropout(network: Classifier, probability: float) -> Classifier:
    """Return ``network``, changed in place, with dropout on its penultimate features.

    ``probability``, in [0, 1], is that of each feature to be dropped.
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
            "Monte-Carlo dropout needs a network with dropout, such as the option dropout = 0.2"
        )

    def predict(images: Tensor) -> Tensor:
        for module in dropouts:
            module.train()
        answers = torch.stack([network(images) for _ in range(passes)])
        for module in dropouts:
            module.eval()
        return scaling.mean_logits(answers)

    return predict
