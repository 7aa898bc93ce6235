"""What a network says of images outside training: logits, and their loss and accuracy.

Evaluation is always in float32 and on images as in tests, however the network is trained.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldlstudy.augment import Augmentation
from ldlstudy.batches import batches
from ldlstudy.dataset import Images
from ldlstudy.execution import Execution

EVALUATION_BATCH = 1000


class Watched(NamedTuple):
    """Images to evaluate after every epoch; ``by_class`` also records the loss of each class."""

    images: Images
    by_class: bool = False


@torch.no_grad()
def predict(
    network: nn.Module,
    images: Images,
    augmentation: Augmentation,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    function: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Logits (N, K) of all ``images`` in evaluation mode and float32, on the images' device.

    With ``function``, a method of the network such as its features, what that gives instead.
    """
    network.eval()
    function = function or network
    stream = batches(images, EVALUATION_BATCH, augmentation)
    return torch.cat([function(execution.layout(batch.images)) for batch in stream])


def look(
    network: nn.Module,
    name: str,
    watched: Watched,
    augmentation: Augmentation,
    execution: Execution,
) -> dict[str, Any]:
    """The ``<name>_loss`` and ``<name>_accuracy`` of what is watched, and each class's loss."""
    labels = watched.images.labels
    logits = predict(network, watched.images, augmentation, execution)
    losses = F.cross_entropy(logits, labels, reduction="none").double()
    right = (logits.argmax(1) == labels).double()
    seen = {f"{name}_loss": float(losses.mean()), f"{name}_accuracy": float(right.mean())}
    if not watched.by_class:
        return seen
    count = torch.bincount(labels, minlength=logits.shape[1])
    by_class = torch.bincount(labels, losses, minlength=logits.shape[1]) / count.clamp_min(1)
    return seen | {f"{name}_class_loss": by_class.tolist()}
