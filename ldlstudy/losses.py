"""Losses: from a network's logits and what they should say to one number to minimise.

Label smoothing, teachers and mixed images change the target, and `soft_cross_entropy` compares any
target with the network. The others add a term to the cross entropy of the true labels: distillation
asks the student to agree with a teacher, CS-KD with its own answer to another image of the class,
and the confidence penalty to stay unsure. Each is the mean over the batch, a tensor without
dimensions to differentiate, in float32 at least whatever the precision of the logits.

Shapes are always checked; values of labels and targets only on the CPU, since reading them from an
accelerator would stall every training step. Logits that are not finite give a loss that is not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy import checks

HOTTEST = 1e3  # a softmax at this temperature is uniform for all practical logits
COMPARED = ("logits", "probabilities")


def _logits(values: Tensor, name: str = "logits", like: Tensor | None = None) -> Tensor:
    """Return ``values`` (N, K), N >= 1, K >= 2, in float32 at least; of the shape of ``like``."""
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            f"{name} must have shape (N, K) with N >= 1 and K >= 2, got {tuple(values.shape)}"
        )
    if like is not None and values.shape != like.shape:
        raise ValueError(f"{name} must have shape {tuple(like.shape)}, got {tuple(values.shape)}")
    if not values.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {values.dtype}")
    return values.to(torch.promote_types(values.dtype, torch.float32))


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of the true labels, mean of -log p_y.

    Parameters
    ----------
    logits : Tensor
        Shape (N, K), floating point, N at least 1.
    labels : Tensor
        Shape (N,), whole numbers in [0, K).

    Returns
    -------
    Tensor
        Without dimensions, in nats.
    """
    logits = _logits(logits)
    if labels.device.type == "cpu":
        labels = checks.labels(labels, logits.shape[1]).to(logits.device)
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"labels must have shape ({len(logits)},), got {tuple(labels.shape)}")
    return F.cross_entropy(logits, labels)


def _softened(logits: Tensor, like: Tensor, temperature: float, name: str = "teacher") -> Tensor:
    """Return the probabilities softmax(z / T), as constants."""
    checks.in_range("temperature", temperature, 0, HOTTEST, open_low=True)
    return (_logits(logits, name, like).detach() / temperature).softmax(1)


def soft_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the cross entropy against a label distribution, mean of -sum_k q_k log p_k.

    It differs from KL(q || p) by the entropy of the target, which no gradient of the logits sees.

    Parameters
    ----------
    logits : Tensor
        Shape (N, K), floating point, N at least 1.
    target : Tensor
        Shape (N, K), each row a distribution. A gradient flows to it where it asks for one.
    weights : Tensor, optional
        Shape (N,), by which each image's cross entropy is multiplied before the mean.

    Returns
    -------
    Tensor
        Without dimensions, in nats.

    Raises
    ------
    ValueError
        If shapes differ, or a row of the target is not a distribution.
    """
    z = _logits(logits)
    q = _logits(target, "target", z)
    if target.device.type == "cpu":
        checks.distributions(target.detach(), "target")
    if weights is None:
        return F.cross_entropy(z, q.to(z))
    if weights.shape != z.shape[:1]:
        raise ValueError(f"weights must have shape ({len(z)},), got {tuple(weights.shape)}")
    return (weights.to(z) * F.cross_entropy(z, q.to(z), reduction="none")).mean()


def kd(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    weight: float,
    temperature: float,
    square: bool = True,
) -> Tensor:
    """Return distillation, (1 - w) H(y, p_s) + w T^2 H(p_t^T, p_s^T) (LDL's KD baseline).

    H(p_t^T, p_s^T) is a cross entropy, as LDL writes it, not the KL divergence of many libraries;
    the two differ by the teacher's entropy and have the same gradient. T^2 keeps the gradient of
    the second term at the scale of the first (Hinton et al., 2015); LDL does not print it.

    Parameters
    ----------
    student, teacher : Tensor
        Logits of shape (N, K). No gradient flows to the teacher.
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    weight : float
        Share w of the teacher, in [0, 1].
    temperature : float
        T in (0, 1000], of teacher and student.
    square : bool
        Whether to multiply by T^2.

    Returns
    -------
    Tensor
        Without dimensions.
    """
    z = _logits(student)
    checks.in_range("weight", weight, 0, 1)
    soft = F.cross_entropy(z / temperature, _softened(teacher, z, temperature).to(z))
    factor = temperature**2 if square else 1
    return (1 - weight) * cross_entropy(z, labels) + weight * factor * soft


def kd_replication(
    student: Tensor, teacher: Tensor, labels: Tensor, weight: float = 0.6, temperature: float = 1.0
) -> Tensor:
    """Return the replication's distillation, (1 - b) H(y, q) + b H(p^T, q) ([Re] eq. 2).

    The equation scales the student q as well; the text below it leaves that out while training, and
    so does this. With b = 1 it is the loss of the authors' code for ResNet-56 and AlexNet.

    Parameters
    ----------
    student, teacher : Tensor
        Logits of shape (N, K). No gradient flows to the teacher.
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    weight : float
        Share b of the teacher, in [0, 1].
    temperature : float
        T in (0, 1000], of the teacher alone.

    Returns
    -------
    Tensor
        Without dimensions.
    """
    z = _logits(student)
    checks.in_range("weight", weight, 0, 1)
    soft = F.cross_entropy(z, _softened(teacher, z, temperature).to(z))
    return (1 - weight) * cross_entropy(z, labels) + weight * soft


def kd_mse(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    weight: float = 0.6,
    temperature: float = 1.0,
    compare: str = "logits",
) -> Tensor:
    """Return distillation by squares, (1 - b) H(y, q) + b/2 mean (s - p^T)^2 ([Re] section 6.1).

    The paper puts "half the mean squared error" in place of the second cross entropy and does not
    say of what. The authors' code compares the teacher's *probabilities* with the student's
    *logits*, which draws the logits into [0, 1]; the mean is over all N K entries.

    Parameters
    ----------
    student, teacher : Tensor
        Logits of shape (N, K). No gradient flows to the teacher.
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    weight : float
        Share b of the teacher, in [0, 1].
    temperature : float
        T in (0, 1000], of the teacher alone.
    compare : {"logits", "probabilities"}
        What of the student is s: its logits, as coded, or its probabilities, as the text may be
        read.

    Returns
    -------
    Tensor
        Without dimensions.
    """
    z = _logits(student)
    checks.in_range("weight", weight, 0, 1)
    checks.one_of("side of the student to compare", compare, COMPARED)
    seen = z if compare == "logits" else z.softmax(1)
    squares = F.mse_loss(seen, _softened(teacher, z, temperature).to(z))
    return (1 - weight) * cross_entropy(z, labels) + weight * squares / 2


def divergence(logits: Tensor, reference: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(r^T || p^T), the reference r as a constant: the term of CS-KD, DDGSD and KD.

    KL is summed over classes and averaged over the batch. T^2 keeps the size of the gradient, which
    is (p^T - r^T) / T without it and goes as 1 / T^2 for large T (Hinton et al., 2015).

    Parameters
    ----------
    logits, reference : Tensor
        Logits of shape (N, K). No gradient flows to the reference.
    temperature : float
        T in (0, 1000], of both.

    Returns
    -------
    Tensor
        Without dimensions, at least 0.
    """
    z = _logits(logits)
    softened = _softened(reference, z, temperature, "reference").to(z)
    log_p = (z / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(log_p, softened, reduction="batchmean")


def cs_kd(
    logits: Tensor, partner_logits: Tensor, labels: Tensor, temperature: float, weight: float
) -> Tensor:
    """Return class-wise self-distillation, H(y, p) + l T^2 KL(p'^T || p^T) (CS-KD).

    p' is the network's own prediction for another image of the same class, taken as a constant. KL
    is summed over classes and averaged over the batch, as in the authors' code.

    Parameters
    ----------
    logits, partner_logits : Tensor
        Shape (N, K), of the images and of their partners. No gradient flows to the partners.
    labels : Tensor
        Shape (N,), whole numbers in [0, K), shared by image and partner.
    temperature : float
        T in (0, 1000].
    weight : float
        l, at least 0.

    Returns
    -------
    Tensor
        Without dimensions.
    """
    checks.in_range("weight", weight, 0)
    return cross_entropy(logits, labels) + weight * divergence(logits, partner_logits, temperature)


def max_entropy(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Return the confidence penalty, H(y, p) - w H(p): cross entropy less w times the entropy.

    After Pereyra et al. (2017), the "maximum-entropy" baseline of CS-KD.

    Parameters
    ----------
    logits : Tensor
        Shape (N, K).
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    weight : float
        w, at least 0.

    Returns
    -------
    Tensor
        Without dimensions; may be negative.
    """
    z = _logits(logits)
    checks.in_range("weight", weight, 0)
    entropy = F.cross_entropy(z, z.softmax(1))
    return cross_entropy(z, labels) - weight * entropy
