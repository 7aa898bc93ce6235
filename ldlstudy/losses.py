"""Losses: from a network's logits and what they should say to one number to minimise.

Label smoothing, teachers and mixed images change the target, and `soft_cross_entropy` compares any
target with the network. The others add a term to the cross entropy of the true labels: distillation
asks the student to agree with a teacher, CS-KD with its own answer to another image of the class,
and the confidence penalty to stay unsure.

Arguments are torch tensors. Logits are floating point of shape (N, K), N at least 1; labels are
whole numbers in [0, K) of shape (N,), of any integer type; a ``temperature`` lies in (0, 1000].
Each loss is the mean over the batch, in nats: a tensor without dimensions to differentiate, in
float32 at least whatever the precision of the logits. No gradient flows to a teacher, a partner or
a reference. Types, shapes and settings are always checked, and a bad one is a ValueError; values of
labels and targets are checked only on the CPU, since reading them from an accelerator would stall
every training step.

A logit of -infinity masks its class, whose probability is 0: where the target gives it nothing
either it adds nothing, to the loss or its gradient (0 log 0 is 0); where the target gives it
something the loss is infinite, as are the squares of masked logits. A row that masks every class,
+infinity or NaN give a loss that is NaN or infinite.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy import checks

HOTTEST = 1e3  # a softmax at this temperature is uniform for all practical logits
COMPARED = ("logits", "probabilities")
SMALLEST = 1e-7  # added to the teacher's loss, as in WSL's code: it may be 0
LOWEST = -1e30  # a logit whose probability is 0 beside any other and whose product with 0 is 0


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of the true labels, mean of -log p_y.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import losses
    >>> losses.cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor(0.1269)
    """
    z = _logits(logits)
    return F.cross_entropy(z, _labels(labels, z))


def soft_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the cross entropy against a label distribution, mean of -sum_k q_k log p_k.

    It differs from KL(q || p) by the entropy of the target, which no gradient of the logits sees.

    Parameters
    ----------
    logits : Tensor
        Shape (N, K).
    target : Tensor
        Shape (N, K), each row a distribution. A gradient flows to it where it asks for one.
    weights : Tensor, optional
        Shape (N,), by which each image's cross entropy is multiplied before the mean.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import losses
    >>> logits = torch.tensor([[2.0, 0.0]])
    >>> losses.soft_cross_entropy(logits, torch.tensor([[0.9, 0.1]]))
    tensor(0.3269)
    """
    z = _logits(logits)
    _logits(target, "target", z)
    on_cpu = target.device.type == "cpu"
    q = (checks.distributions(target, "target") if on_cpu else checks.normalised(target)).to(z)
    if weights is None:
        return F.cross_entropy(_masked(z, q), q)
    _tensor(weights, "weights")
    if weights.shape != z.shape[:1]:
        raise ValueError(f"weights must have shape ({len(z)},), got {tuple(weights.shape)}")
    return (weights.to(z) * F.cross_entropy(_masked(z, q), q, reduction="none")).mean()


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
        Logits (N, K).
    labels : Tensor
        Shape (N,).
    weight : float
        Share w of the teacher, in [0, 1].
    temperature : float
        T, of teacher and student.
    square : bool
        Whether to multiply by T^2.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import losses
    >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])
    >>> losses.kd(student, teacher, torch.tensor([0]), weight=0.5, temperature=4.0)
    tensor(5.4058)
    """
    z = _logits(student)
    checks.in_range("weight", weight, 0, 1)
    q = _softened(teacher, z, temperature)
    soft = F.cross_entropy(_masked(z / temperature, q), q)
    factor = temperature**2 if checks.boolean("square", square) else 1
    return (1 - weight) * cross_entropy(z, labels) + weight * factor * soft


def kd_replication(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    weight: float = 0.6,
    temperature: float = 1.0,
    scale_student: bool = False,
) -> Tensor:
    """Return the replication's distillation, (1 - b) H(y, q) + b H(p^T, q) ([Re] eq. 2).

    The equation prints q^T, the student at the temperature, in both terms; the text below it leaves
    that out while training, and so does this, unless it is asked to ``scale_student``: then it is
    (1 - b) H(y, q^T) + b H(p^T, q^T). With b = 1 it is the loss of the authors' code for ResNet-56
    and AlexNet. Other arguments are those of `kd`.
    """
    z = _logits(student)
    checks.in_range("weight", weight, 0, 1)
    q = _softened(teacher, z, temperature)
    z = z / temperature if checks.boolean("scale_student", scale_student) else z
    soft = F.cross_entropy(_masked(z, q), q)
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
    *logits*, which draws the logits into [0, 1]; the mean is over all N K entries. ``compare`` is
    what s is: the student's "logits", as coded, or its "probabilities", as the text may be read.
    Other arguments are those of `kd_replication`.
    """
    z = _logits(student)
    checks.in_range("weight", weight, 0, 1)
    checks.one_of("side of the student to compare", compare, COMPARED)
    seen = z if compare == "logits" else z.softmax(1)
    squares = F.mse_loss(seen, _softened(teacher, z, temperature))
    return (1 - weight) * cross_entropy(z, labels) + weight * squares / 2


def divergence(logits: Tensor, reference: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(r^T || p^T), the reference r as a constant: the term of CS-KD, DDGSD and KD.

    KL is summed over classes and averaged over the batch. T^2 keeps the size of the gradient, which
    is (p^T - r^T) / T without it and goes as 1 / T^2 for large T (Hinton et al., 2015).

    Parameters
    ----------
    logits, reference : Tensor
        Logits (N, K).
    temperature : float
        T, of both.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import losses
    >>> one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])
    >>> losses.divergence(one, other, temperature=4.0)
    tensor(0.4585)
    """
    z = _logits(logits)
    q = _softened(reference, z, temperature, "reference")
    log_p = _masked(z / temperature, q).log_softmax(1)
    return temperature**2 * F.kl_div(log_p, q, reduction="batchmean")


def cs_kd(
    logits: Tensor, partner_logits: Tensor, labels: Tensor, temperature: float, weight: float
) -> Tensor:
    """Return class-wise self-distillation, H(y, p) + l T^2 KL(p'^T || p^T) (CS-KD eq. 1).

    p' is the network's own prediction for another image of the same class, taken as a constant. KL
    is summed over classes and averaged over the batch, as in the authors' code.

    Parameters
    ----------
    logits, partner_logits : Tensor
        Shape (N, K), of the images and of their partners.
    labels : Tensor
        Shape (N,), shared by image and partner.
    temperature : float
        T.
    weight : float
        l, at least 0.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import losses
    >>> logits, partner = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])
    >>> losses.cs_kd(logits, partner, torch.tensor([0]), temperature=4.0, weight=1.0)
    tensor(0.7718)
    """
    checks.in_range("weight", weight, 0)
    return cross_entropy(logits, labels) + weight * divergence(logits, partner_logits, temperature)


def max_entropy(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Return the confidence penalty, H(y, p) - w H(p), of ``weight`` w at least 0.

    After Pereyra et al. (2017), the "maximum-entropy" baseline of CS-KD; it may be negative.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import losses
    >>> losses.max_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), weight=0.1)
    tensor(0.0904)
    """
    z = _logits(logits)
    checks.in_range("weight", weight, 0)
    p = z.softmax(1)
    entropy = F.cross_entropy(_masked(z, p), p)
    return cross_entropy(z, labels) - weight * entropy


def wsl(
    student: Tensor, teacher: Tensor, labels: Tensor, weight: float, temperature: float
) -> Tensor:
    """Return weighted soft labels' loss, H(y, p_s) + a T^2 mean_i w_i H(p_t^T, p_s^T).

    The weight of a sample, w_i = 1 - exp(-H(y, p_s) / H(y, p_t)) without temperature, is near 1
    where the student is still worse than its teacher and falls once it is better (Zhou et al.,
    2021, and their code, which takes the cross entropy H for their KL: the gradient is the same).
    No gradient flows through w. In the authors' code for ImageNet, ``weight`` a is 2.5 and T is 2.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import losses
    >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])
    >>> losses.wsl(student, teacher, torch.tensor([0]), weight=2.5, temperature=2.0)
    tensor(5.9572)
    """
    checks.in_range("weight", weight, 0)
    z, t = _logits(student), _logits(teacher, "teacher", student).detach()
    y = _labels(labels, z)
    hard = F.cross_entropy(z, y)
    own, taught = (F.cross_entropy(x, y, reduction="none") for x in (z.detach(), t))
    share = -torch.expm1(-own / (taught + SMALLEST))  # (N,)
    q = _softened(t, z, temperature)
    soft = F.cross_entropy(_masked(z / temperature, q), q, reduction="none")
    return hard + weight * temperature**2 * (share * soft).mean()


def easiest(reference: Tensor, truth: Tensor, share: float) -> Tensor:
    """Return which rows SSKD learns from: those with the truth first, and the best of the others.

    Of the W rows whose truth is not first, the floor(``share`` W) with the best rank of it; among
    equal ranks the earlier rows.

    Parameters
    ----------
    reference : Tensor
        Scores (N, K).
    truth : Tensor
        Shape (N,), the right column of each row.
    share : float
        In [0, 1].

    Returns
    -------
    Tensor
        Shape (N,), bool.
    """
    checks.in_range("share", share, 0, 1)
    scores = _logits(reference, "reference")
    y = _labels(truth, scores)
    rank = (scores > scores.gather(1, y[:, None])).sum(1)  # 0 where the truth is first
    place = rank.argsort(stable=True).argsort()
    right = (rank == 0).sum()
    return place < right + (share * (len(rank) - right).double()).floor()


def easiest_divergence(
    logits: Tensor, reference: Tensor, truth: Tensor, temperature: float, share: float
) -> Tensor:
    """Return T^2 KL(r^T || p^T), the mean over the `easiest` rows; 0 where there is none."""
    z = _logits(logits)
    q = _softened(reference, z, temperature, "reference")
    log_p = _masked(z / temperature, q).log_softmax(1)
    soft = F.kl_div(log_p, q, reduction="none").sum(1)
    kept = easiest(reference.detach(), truth, share)
    return temperature**2 * (soft * kept).sum() / kept.sum().clamp_min(1)


def _logits(values: Tensor, name: str = "logits", like: Tensor | None = None) -> Tensor:
    """Return ``values`` (N, K), N >= 1, K >= 2, in float32 at least; of the shape of ``like``."""
    _tensor(values, name)
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            f"{name} must have shape (N, K) with N >= 1 and K >= 2, got {tuple(values.shape)}"
        )
    if like is not None and values.shape != like.shape:
        raise ValueError(f"{name} must have shape {tuple(like.shape)}, got {tuple(values.shape)}")
    if not values.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {values.dtype}")
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _labels(labels: Tensor, logits: Tensor) -> Tensor:
    """Return labels (N,) for logits (N, K), as long and on their device."""
    _tensor(labels, "labels")
    on_cpu = labels.device.type == "cpu"
    y = checks.labels(labels, logits.shape[1]) if on_cpu else checks.long(labels)
    if y.shape != logits.shape[:1]:
        raise ValueError(f"labels must have shape ({len(logits)},), got {tuple(y.shape)}")
    return y.to(logits.device)


def _tensor(values: Tensor, name: str) -> None:
    """Refuse what is no tensor: nothing could be learnt through a list or an array."""
    if not isinstance(values, Tensor):
        raise ValueError(f"{name} must be a torch tensor, got {type(values).__name__}")


def _masked(logits: Tensor, target: Tensor) -> Tensor:
    """Return the logits (N, K) with `LOWEST` for -inf where the target is 0, so 0 log 0 is 0."""
    return logits.masked_fill((logits == -torch.inf) & (target == 0), LOWEST)


def _softened(logits: Tensor, like: Tensor, temperature: float, name: str = "teacher") -> Tensor:
    """Return the probabilities softmax(z / T), as constants in the precision of ``like``."""
    checks.in_range("temperature", temperature, 0, HOTTEST, open_low=True)
    return (_logits(logits, name, like).detach() / temperature).softmax(1).to(like)
