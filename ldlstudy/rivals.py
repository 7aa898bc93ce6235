"""The distillation methods that LDL is compared with in its Table 3: WSL, CRD, CRD+KD and SSKD.

Hinton's distillation copies a teacher's answers. WSL copies them more where the teacher is better
than the student; CRD also asks that the two networks' features of one image be recognised as a
pair; SSKD also that both find the same images alike once they are turned. In all four the teacher
looks at the student's augmented view. Their defaults here are the settings of the authors' code.
What is trained beside the student is in :mod:`ldlstudy.contrast`; settings are checked when an
objective is made.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy import checks, contrast, losses, sskd
from ldlstudy.batches import Batch
from ldlstudy.methods import Lesson
from ldlstudy.regularisers import Objective

SMALLEST = 1e-7  # added to the teacher's loss, as in WSL's code: it may be 0
NO_TEACHER = "this method needs a teacher, the run names none"
Looked = tuple[Tensor, Tensor]  # a network's logits (B, K) and penultimate features (B, D)


def wsl(
    student: Tensor, teacher: Tensor, labels: Tensor, weight: float, temperature: float
) -> Tensor:
    """Return weighted soft labels' loss, H(y, p_s) + a T^2 mean_i w_i H(p_t^T, p_s^T).

    The weight of a sample, w_i = 1 - exp(-H(y, p_s) / H(y, p_t)) without temperature, is near 1
    where the student is still worse than its teacher and falls once it is better (Zhou et al.,
    2021, and their code, which takes the cross entropy H for their KL: the gradient is the same).

    Parameters
    ----------
    student, teacher : Tensor
        Logits of shape (N, K). No gradient flows to the teacher or through w.
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    weight : float
        a, at least 0; 2.5 in the authors' code for ImageNet.
    temperature : float
        T in (0, 1000]; 2 in the authors' code for ImageNet.

    Returns
    -------
    Tensor
        Without dimensions, in nats.
    """
    _check_weights(weight=weight)
    _check_temperatures(temperature=temperature)
    z, t = student.float(), teacher.float().detach()
    hard = losses.cross_entropy(z, labels)
    own, taught = (F.cross_entropy(x, labels, reduction="none") for x in (z.detach(), t))
    share = -torch.expm1(-own / (taught + SMALLEST))  # (N,)
    soft = F.cross_entropy(z / temperature, (t / temperature).softmax(1), reduction="none")
    return hard + weight * temperature**2 * (share * soft).mean()


def _wsl(lesson: Lesson, weight: float, temperature: float) -> Objective:
    """Weighted soft labels (Zhou et al., 2021)."""
    _check_weights(weight=weight)
    _check_temperatures(temperature=temperature)
    teach = lesson.teach
    if teach is None:
        raise ValueError(NO_TEACHER)

    def loss(network: Any, batch: Batch) -> Tensor:
        return wsl(network(batch.images), teach(batch.images), batch.labels, weight, temperature)

    return loss


def _crd(
    lesson: Lesson,
    weight: float = 0.8,
    negatives: int = 16384,
    contrast_temperature: float = 0.07,
    momentum: float = 0.5,
) -> Objective:
    """Contrastive representation distillation: H(y, p_s) + b L_CRD (Tian et al., 2020)."""
    return _crd_kd(lesson, 0.0, 1.0, weight, negatives, contrast_temperature, momentum)


def _crd_kd(
    lesson: Lesson,
    soft_weight: float = 1.0,
    temperature: float = 4.0,
    weight: float = 0.8,
    negatives: int = 16384,
    contrast_temperature: float = 0.07,
    momentum: float = 0.5,
) -> Objective:
    """CRD with distillation: H(y, p_s) + a T^2 KL(p_t^T || p_s^T) + b L_CRD, a ``soft_weight``."""
    look = _look(lesson)
    _check_weights(weight=weight, soft_weight=soft_weight)
    _check_temperatures(temperature=temperature, contrast_temperature=contrast_temperature)
    checks.in_range("momentum", momentum, 0, 1)
    count = len(lesson.labels)
    if checks.whole("negatives", negatives, 1) >= count:
        raise ValueError(
            f"negatives must be fewer than the {count} training images, got {negatives}"
        )
    look = _look(lesson)

    def loss(network: Any, batch: Batch) -> Tensor:
        logits, features = network(batch.images, return_features=True)
        taught, seen = look(batch.images)
        others = contrast.draw_negatives(batch.index, negatives, count)
        pairs = network.beside(features, seen, batch.index, others, contrast_temperature, momentum)
        total = losses.cross_entropy(logits, batch.labels) + weight * pairs
        return total + soft_weight * losses.divergence(logits, taught, temperature)

    return loss


def _sskd(
    lesson: Lesson,
    hard_weight: float = 0.1,
    soft_weight: float = 0.9,
    turned_weight: float = 2.7,
    weight: float = 10.0,
    temperature: float = 4.0,
    contrast_temperature: float = 0.5,
    turned_share: float = 1.0,
    share: float = 0.75,
) -> Objective:
    """Distillation with self-supervision (Xu et al., 2020), the authors' four terms.

    H(y, p_s) and T^2 KL(p_t^T || p_s^T) of upright images, weighed by ``hard_weight`` and
    ``soft_weight``; the latter of turned ones by ``turned_weight``; and by ``weight`` t^2 KL of
    softmaxes at t, ``contrast_temperature``, of the cosines between a turned image and all upright
    ones. Of the rows where the teacher is wrong, ``turned_share`` of the third term's are kept and
    ``share`` of the fourth's. :mod:`ldlstudy.sskd` says what differs from the authors.
    """
    _check_weights(weight=weight, hard_weight=hard_weight)
    _check_weights(soft_weight=soft_weight, turned_weight=turned_weight)
    _check_temperatures(temperature=temperature, contrast_temperature=contrast_temperature)
    checks.in_range("turned_share", turned_share, 0, 1)
    checks.in_range("share", share, 0, 1)
    look = _look(lesson)

    def loss(network: Any, batch: Batch) -> Tensor:
        views, size = sskd.turned(batch), len(batch.labels)
        logits, features = network(views, return_features=True)
        taught, seen = look(views)
        (upright, askew), (says, says_askew) = (x.split([size, 3 * size]) for x in (logits, taught))
        ours, theirs = network.beside(features, seen)  # (3 B, B)
        own = torch.arange(size, device=ours.device).repeat(3)
        terms = (
            hard_weight * losses.cross_entropy(upright, batch.labels),
            soft_weight * losses.divergence(upright, says, temperature),
            turned_weight
            * sskd.copied(askew, says_askew, batch.labels.repeat(3), temperature, turned_share),
            weight * sskd.copied(ours, theirs, own, contrast_temperature, share),
            losses.cross_entropy(theirs, own),  # trains the teacher's projection
        )
        return torch.stack(terms).sum()

    return loss


def _check_weights(**weights: float) -> None:
    for name, value in weights.items():
        checks.in_range(name, value, 0)


def _check_temperatures(**temperatures: float) -> None:
    for name, value in temperatures.items():
        checks.in_range(name, value, 0, losses.HOTTEST, open_low=True)


def _look(lesson: Lesson) -> Callable[[Tensor], Looked]:
    """From views to what the teacher says and sees."""
    if lesson.teach is None:
        raise ValueError(NO_TEACHER)
    if lesson.features is None:
        raise ValueError("this method needs the features of one teacher, the run names several")
    return lesson.features


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "crd": _crd,
    "crd_kd": _crd_kd,
    "sskd": _sskd,
    "wsl": _wsl,
}
OTHERS = {"sskd": ("view",) * len(sskd.TURNS)}  # the images that a batch brings along
