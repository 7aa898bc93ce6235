"""What a network says of images outside training: logits, features, their loss and accuracy.

The images are as in tests. What is watched in training has its precision, and what is measured
afterwards is in float32, however the network was trained.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldlstudy.data.images import Images
from ldlstudy.device import Execution, alive
from ldlstudy.models import dropout
from ldlstudy.models.classifier import in_mode
from ldlstudy.seeds import seed_of
from ldlstudy.training.augment import Augmentation
from ldlstudy.training.batches import batches

EVALUATION_BATCH = 1000
PROBABILITIES = 1e-5  # rows that are positive and sum to 1 as closely are no logits


@dataclass(frozen=True)
class Predictor:
    """A network with what it takes to predict.

    Attributes
    ----------
    network : Module
        From images (B, C, H, W) to logits (B, K), on the device.
    augmentation : Augmentation
        How images were prepared in its training.
    execution : Execution
        Where it runs.
    passes : int, optional
        How many predictions with dropout are averaged (Monte-Carlo dropout); one without dropout
        where it is None.
    whose : str
        What an error calls the network.
    """

    network: nn.Module
    augmentation: Augmentation = Augmentation()  # noqa: RUF009 - frozen
    execution: Execution = Execution()  # noqa: RUF009 - frozen
    passes: int | None = None
    whose: str = "the network"

    @property
    def answer(self) -> Callable[[Tensor], Tensor]:
        """The function from images (B, C, H, W) to logits (B, K), in evaluation mode."""
        return self.network if self.passes is None else dropout.sampled(self.network, self.passes)

    def logits(self, images: Images) -> Tensor:
        """Return logits (N, K) of all ``images``, on their device."""
        with self.execution.seeded(seed_of(0, "passes")):
            return self._all(images, self.answer)

    def features(self, images: Images) -> Tensor:
        """Return penultimate features (N, D) of all ``images``, float32, on their device."""
        return self._all(images, self.network.features).float()  # type: ignore[arg-type]

    @torch.no_grad()
    def _all(self, images: Images, function: Callable[[Tensor], Tensor]) -> Tensor:
        answers = []
        with in_mode(self.network, training=False):
            for batch in batches(images, EVALUATION_BATCH, self.augmentation):
                answers.append(answered(function, self.execution.layout(batch.images), self.whose))
                alive()
        return torch.cat(answers)


def answered(
    function: Callable[[Tensor], Tensor], images: Tensor, whose: str = "the network"
) -> Tensor:
    """Return the logits (B, K) of images; what a user's own network raises is a ValueError."""
    try:
        answer = function(images)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of any kind: it is the user's own code
        reason = " ".join(str(error).split())
        raise ValueError(f"{whose} does not take images {tuple(images.shape)}: {reason}") from error
    check_answer(answer, len(images), whose)
    return answer


def check_logits(logits: Tensor, whose: str = "the network") -> None:
    """Refuse logits (B, K) that are NaN or infinite, and probabilities in their place.

    A masked class may have the logit -inf.
    """
    if not bool((logits < math.inf).all()):
        raise ValueError(f"{whose} gives NaN or infinity")
    sums = logits.float().sum(1)
    if bool((logits >= 0).all()) and bool(((sums - 1).abs() < PROBABILITIES).all()):
        raise ValueError(
            f"{whose} gives probabilities, and logits are wanted: leave its last softmax out"
        )


def check_answer(answer: Any, images: int, whose: str = "the network") -> None:
    """Refuse what is no row of floating-point values for each image."""
    got = type(answer).__name__
    if isinstance(answer, Tensor):
        if answer.ndim == 2 and len(answer) == images and answer.is_floating_point():
            return
        got = f"{answer.dtype} of shape {tuple(answer.shape)}"
    raise ValueError(
        f"{whose} must return one tensor of logits (B, K), of {images} images got {got}"
    )


def columns_of(name: str, by_class: bool) -> set[str]:
    """Return what :func:`look` calls its values."""
    ends = ("loss", "accuracy", "class_loss") if by_class else ("loss", "accuracy")
    return {f"{name}_{end}" for end in ends}


def look(name: str, images: Images, predictor: Predictor, by_class: bool) -> dict[str, Any]:
    """Return the ``<name>_loss`` and ``<name>_accuracy`` of images, and each class's loss.

    ``<name>_class_loss`` (K,) is there if it is asked for ``by_class``.
    """
    labels, logits = images.labels, predictor.logits(images).float()
    losses = F.cross_entropy(logits, labels, reduction="none").double()
    right = (logits.argmax(1) == labels).double()
    seen = {f"{name}_loss": float(losses.mean()), f"{name}_accuracy": float(right.mean())}
    if not by_class:
        return seen
    count = torch.bincount(labels, minlength=logits.shape[1])
    means = torch.bincount(labels, losses, minlength=logits.shape[1]) / count.clamp_min(1)
    return seen | {f"{name}_class_loss": means.tolist()}
