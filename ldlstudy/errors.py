"""What a network says of the images it gets wrong, and of each class.

A regulariser may leave the errors as they are and still make them better ones: less confident, with
more probability left for the true class, nearer to the true distribution, or at least within the
true class's group: taking a maple for an oak is a smaller error than taking it for a bus. And one
accuracy hides the classes behind it: each has its F1 score, which falls with images of it that are
missed and with others taken for it, and the mean prediction that its images give.

Arguments are those of :mod:`ldlstudy.metrics`: probabilities (N, K) and labels (N,).
"""

import math

import torch
from torch import Tensor

from ldlstudy import checks, metrics
from ldlstudy.checks import ArrayLike
from ldlstudy.terms import Mean


def wrong(probabilities: ArrayLike, labels: ArrayLike) -> Tensor:
    """Return the ascending positions of samples whose most probable class is not the true one."""
    p, y = checks.paired(probabilities, labels)
    return (p.argmax(1) != y).nonzero()[:, 0]


def log_probabilities(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return log p of the predicted and of the true class of each misclassified sample (Figure 2).

    Both have shape (E,), float64, in nats, in the order of `wrong`, a probability of 0 as in
    `ldlstudy.metrics.nll`.
    """
    p, y = checks.paired(probabilities, labels)
    at = wrong(p, y)
    return metrics.log(p[at].amax(1)), metrics.log(p[at].gather(1, y[at, None])[:, 0])


def scores(
    probabilities: ArrayLike, labels: ArrayLike, truth: ArrayLike | None = None
) -> dict[str, float]:
    """Return means over the misclassified samples; nothing where all are right.

    Parameters
    ----------
    probabilities, labels
        As in :mod:`ldlstudy.metrics`.
    truth : Tensor or ndarray, optional
        Shape (N, K), the exact p(y|x).

    Returns
    -------
    dict
        ``confidence_on_errors``, the mean largest probability; ``predicted_score_on_errors`` and
        ``true_score_on_errors``, the mean log-probability of the predicted and of the true class,
        in nats; with the truth ``kl_to_truth_on_errors``.
    """
    terms = score_terms(probabilities, labels, truth)
    found = {name: each.value() for name, each in terms.items()}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def score_terms(
    probabilities: ArrayLike, labels: ArrayLike, truth: ArrayLike | None = None
) -> dict[str, Mean]:
    """Return the terms of `scores`."""
    p, y = checks.paired(probabilities, labels)
    confidence, top = p.max(1)
    terms = {
        "confidence_on_errors": confidence.double(),
        "predicted_score_on_errors": metrics.log(confidence),
        "true_score_on_errors": metrics.log(p.gather(1, y[:, None])[:, 0]),
    }
    if truth is not None:
        known = checks.distributions(truth, "truth").detach()
        if known.shape != p.shape:
            raise ValueError(f"truth must have shape {tuple(p.shape)}, got {tuple(known.shape)}")
        terms["kl_to_truth_on_errors"] = metrics.kl_to_truth_terms(known, p).values
    return {name: Mean(values, top != y) for name, values in terms.items()}


def group_accuracy(probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike) -> float:
    """Return the fraction of samples whose predicted class is of the true class' group.

    The hierarchical classification accuracy of CS-KD Figure 4. The prediction is that of
    `ldlstudy.metrics.accuracy`, the most probable class, not the most probable group.

    Parameters
    ----------
    probabilities, labels
        As in :mod:`ldlstudy.metrics`.
    groups : Tensor or ndarray
        Shape (K,), whole numbers: classes of one group share a number.
    """
    return group_accuracy_terms(probabilities, labels, groups).value()


def group_confusion(probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike) -> Tensor:
    """Return which groups are taken for which, (G, G), int64: samples by true and predicted group.

    The panels of CS-KD Figure 4. Arguments are those of `group_accuracy`, the groups in [0, G).
    """
    _outcomes(probabilities, labels, groups)
    p, y = checks.paired(probabilities, labels)
    group = checks.labels(groups, len(checks.tensor(groups, "groups"))).to(p.device)
    count = int(group.max()) + 1
    cell = group[y] * count + group[p.argmax(1)]
    return cell.bincount(minlength=count**2).view(count, count)


def group_accuracy_terms(probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike) -> Mean:
    """Return the terms of `group_accuracy`."""
    _, near = _outcomes(probabilities, labels, groups)
    return Mean(near.double())


def error_within_group(probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike) -> float:
    """Return the fraction of misclassified samples whose predicted class is of the true group.

    It tells how far errors fall: group accuracy also rises with every error avoided, this does
    not. A wrong class drawn blindly among CIFAR-100's stays within the group 4 / 99 of the time.
    It is 1 if there is no error at all, since then none left its group.
    """
    return error_within_group_terms(probabilities, labels, groups).value()


def error_within_group_terms(
    probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike
) -> Mean:
    """Return the terms of `error_within_group`."""
    right, near = _outcomes(probabilities, labels, groups)
    return Mean(near.double(), ~right, empty=1.0)


def _outcomes(
    probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike
) -> tuple[Tensor, Tensor]:
    """Return by sample, shape (N,), whether the predicted class, and its group, is the true one."""
    p, y = checks.paired(probabilities, labels)
    group = checks.tensor(groups, "groups").to(p.device)
    if group.shape != (p.shape[1],) or group.is_floating_point() or group.is_complex():
        raise ValueError(
            f"groups must be whole numbers of shape ({p.shape[1]},), one a class, "
            f"got {group.dtype} of shape {tuple(group.shape)}"
        )
    predicted = p.argmax(1)
    return predicted == y, group[predicted] == group[y]


def f1(probabilities: ArrayLike, labels: ArrayLike) -> Tensor:
    """Return the F1 score of each class (K,), float64, of the most probable class.

    The harmonic mean of precision and recall, 0 for a class that is neither predicted nor there.
    """
    p, y = checks.paired(probabilities, labels)
    predicted, classes = p.argmax(1), p.shape[1]
    right = torch.bincount(y[predicted == y], minlength=classes)
    either = torch.bincount(predicted, minlength=classes) + torch.bincount(y, minlength=classes)
    return 2 * right.double() / either.clamp_min(1)


def mean_predictions(probabilities: ArrayLike, labels: ArrayLike) -> Tensor:
    """Return the mean prediction for the samples of each true class, (K, K), float64.

    Row k is a distribution, its entry k the mean confidence in the true class (LDL Figure 4). A
    class without a sample has a row of NaN.
    """
    p, y = checks.paired(probabilities, labels)
    classes = p.shape[1]
    total = torch.zeros(classes, classes, dtype=torch.float64, device=p.device)
    total.index_add_(0, y, p.double())
    return total / torch.bincount(y, minlength=classes)[:, None]
