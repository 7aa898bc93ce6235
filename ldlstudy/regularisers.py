"""The methods of CS-KD's comparison: regularised outputs, and networks that teach themselves.

Each is the loss of one training step, a function of the network and a batch, made once by a
function of the lesson and the method's settings. Those with a head of their own find it on the
network (:mod:`ldlstudy.heads`). Settings are checked when the function is made.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, losses, mixing, targets
from ldlstudy.batches import Batch
from ldlstudy.methods import Lesson
from ldlstudy.mixing import Mixed

Objective = Callable[[Any, Batch], Tensor]  # of a network, from images to logits, and a batch
Term = Callable[[Any, Tensor, Tensor], Tensor]  # of a network, its logits and other images
PASSES = ("eval", "train")


def class_wise(temperature: float, weight: float, partner: str = "train") -> Term:
    """CS-KD's term, l T^2 KL(P(x') || P(x)), as a function of network, logits and images x'.

    Parameters
    ----------
    temperature : float
        T in (0, 1000].
    weight : float
        l, at least 0.
    partner : {"train", "eval"}
        Mode of the network in the pass of x'. In ``train``, as in the authors' code, batch norm
        uses and remembers the statistics of x'; in ``eval`` it does neither.
    """
    checks.in_range("temperature", temperature, 0, losses.HOTTEST, open_low=True)
    checks.in_range("weight", weight, 0)
    checks.one_of("mode of the partner's pass", partner, PASSES)

    def term(network: Any, logits: Tensor, others: Tensor) -> Tensor:
        training = network.training
        with torch.no_grad():
            network.train(training and partner == "train")
            reference = network(others)
            network.train(training)
        return weight * losses.divergence(logits, reference, temperature)

    return term


def _cs_kd(lesson: Lesson, temperature: float, weight: float, partner: str = "train") -> Objective:
    """Class-wise self-knowledge distillation (CS-KD eq. 1)."""
    term = class_wise(temperature, weight, partner)

    def loss(network: Any, batch: Batch) -> Tensor:
        logits = network(batch.images)
        return losses.cross_entropy(logits, batch.labels) + term(network, logits, batch.others[0])

    return loss


def _cs_kd_e(
    lesson: Lesson,
    temperature: float,
    weight: float,
    consistency: float,
    partner: str = "train",
) -> Objective:
    """CS-KD and consistency: also l_E T^2 KL(P(x) || P(x_aug)), x the image as it is."""
    checks.in_range("consistency", consistency, 0)
    term = class_wise(temperature, weight, partner)
    same = class_wise(temperature, consistency, partner)

    def loss(network: Any, batch: Batch) -> Tensor:
        logits = network(batch.images)
        of_class, plain = batch.others
        hard = losses.cross_entropy(logits, batch.labels)
        return hard + term(network, logits, of_class) + same(network, logits, plain)

    return loss


def _max_entropy(lesson: Lesson, weight: float) -> Objective:
    """The confidence penalty (Pereyra et al., 2017)."""
    checks.in_range("weight", weight, 0)
    return lambda network, batch: losses.max_entropy(network(batch.images), batch.labels, weight)


def _adacos(lesson: Lesson) -> Objective:
    """AdaCos (Zhang et al., 2019): cross entropy of cosines with the scale of the batch."""

    def loss(network: Any, batch: Batch) -> Tensor:
        _, features = network(batch.images, return_features=True)
        cosines = network.head.cosines(features)
        scale = network.head.rescale(cosines.detach(), batch.labels)
        return losses.cross_entropy(scale * cosines, batch.labels)

    return loss


def _virtual_softmax(lesson: Lesson) -> Objective:
    """Virtual softmax (Chen et al., 2018): another class whose logit is |w_y| |x|, above w_y x."""

    def loss(network: Any, batch: Batch) -> Tensor:
        logits, features = network(batch.images, return_features=True)
        lengths = network.head.weight.norm(dim=1)[batch.labels] * features.norm(dim=1)
        return losses.cross_entropy(torch.cat([logits, lengths[:, None]], 1), batch.labels)

    return loss


def _ddgsd(lesson: Lesson, temperature: float, weight: float, discrepancy: float) -> Objective:
    """Data-distortion guided self-distillation (Xu and Liu, 2019), the mean of two views' losses.

    Two augmented views of each image, in one pass, teach one another; ``discrepancy`` weighs the
    squared distance between the mean features of the two batches (MMD).
    """
    checks.in_range("temperature", temperature, 0, losses.HOTTEST, open_low=True)
    checks.in_range("weight", weight, 0)
    checks.in_range("discrepancy", discrepancy, 0)

    def loss(network: Any, batch: Batch) -> Tensor:
        both = torch.cat([batch.images, batch.others[0]])
        logits, features = network(both, return_features=True)
        (one, other), (here, there) = logits.chunk(2), features.float().chunk(2)
        hard = losses.cross_entropy(logits, batch.labels.repeat(2))
        soft = losses.divergence(one, other, temperature)
        soft = (soft + losses.divergence(other, one, temperature)) / 2
        apart = (here.mean(0) - there.mean(0)).square().sum()
        return hard + weight * soft + discrepancy * apart

    return loss


def _byot(lesson: Lesson, temperature: float, weight: float, hint: float) -> Objective:
    """Be your own teacher (Zhang et al., 2019): each branch learns the label and the deepest's say.

    A branch's loss is distillation with the ``weight`` of the teacher, without T^2 as in the
    authors' code, and ``hint`` times the Euclidean distance of the batch's features.
    """
    checks.in_range("temperature", temperature, 0, losses.HOTTEST, open_low=True)
    checks.in_range("weight", weight, 0, 1)
    checks.in_range("hint", hint, 0)

    def loss(network: Any, batch: Batch) -> Tensor:
        logits, features, branches = network.shallow(batch.images)
        total = losses.cross_entropy(logits, batch.labels)
        for own, seen in branches:
            total = total + losses.kd(own, logits, batch.labels, weight, temperature, square=False)
            total = total + hint * (seen.float() - features.detach().float()).norm()
        return total

    return loss


def _mixup(lesson: Lesson, alpha: float) -> Objective:
    """Cross entropy of blended images and labels (Zhang et al., 2018)."""
    mixing.check_alpha(alpha)
    hard = targets.one_hot(lesson.labels, lesson.classes)

    def loss(network: Any, batch: Batch) -> Tensor:
        mixed = mixing.mixup(batch.images, alpha=alpha)
        return _of_mixed(network(mixed.images), mixed, hard[batch.index])

    return loss


def _mixup_cs_kd(
    lesson: Lesson, alpha: float, temperature: float, weight: float, partner: str = "train"
) -> Objective:
    """Mixup with CS-KD: partners are blended alike, so that they share the blended label."""
    mixing.check_alpha(alpha)
    hard = targets.one_hot(lesson.labels, lesson.classes)
    term = class_wise(temperature, weight, partner)

    def loss(network: Any, batch: Batch) -> Tensor:
        mixed = mixing.mixup(batch.images, alpha=alpha)
        logits = network(mixed.images)
        of_class = mixing.blend(batch.others[0], mixed)
        return _of_mixed(logits, mixed, hard[batch.index]) + term(network, logits, of_class)

    return loss


def _of_mixed(logits: Tensor, mixed: Mixed, hard: Tensor) -> Tensor:
    return losses.soft_cross_entropy(logits, mixing.mixed_target(hard, mixed))


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "adacos": _adacos,
    "byot": _byot,
    "cs_kd": _cs_kd,
    "cs_kd_e": _cs_kd_e,
    "ddgsd": _ddgsd,
    "max_entropy": _max_entropy,
    "mixup": _mixup,
    "mixup_cs_kd": _mixup_cs_kd,
    "virtual_softmax": _virtual_softmax,
}
OTHERS = {  # the images that a batch brings along, in the order in which the loss takes them
    "cs_kd": ("partner",),
    "cs_kd_e": ("partner", "plain"),
    "ddgsd": ("view",),
    "mixup_cs_kd": ("partner",),
}
