"""What the labels that a method teaches say: of mixed images (LDL Figure 6), and against the truth.

Mixing names the classes of the images that went in and weighs them by area. A teacher that looks at
the mixed image may see one of them alone, or neither; where p(y|x) is known, the truth says which
of the two is nearer. And there the distance of any method's labels from the truth can be measured.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, metrics, targets
from ldlstudy.batch import Batch
from ldlstudy.data.images import Images
from ldlstudy.files import FIGURE_DIGITS, rounded
from ldlstudy.mixing import Mixed, Mixing, mixed_target
from ldlstudy.seeds import seed_of
from ldlstudy.training import Augmentation, batches

ANSWERS = 5  # of each distribution
TOLERANCE = 1e-4
Predict = Callable[[Tensor], Tensor]
Objective = Callable[[Any, Batch], Tensor]


class NoLabel(ValueError):
    """A loss that trains towards no label distributions."""


def supervision(
    training: Images,
    augmentation: Augmentation,
    classes: int,
    mixing: Mixing,
    teach: Predict,
    posterior: Predict | None = None,
) -> dict[str, Any]:
    """Mix the first training image of each class, and return what is said of the mixed ones.

    The images are augmented as a step sees them; the other arguments are those of
    `of_mixed_images`.
    """
    labels = training.labels
    firsts = torch.stack([(labels == label).nonzero()[0, 0] for label in labels.unique()])
    generator = torch.Generator(labels.device).manual_seed(0)
    batch = next(batches(training.take(firsts), len(firsts), augmentation, generator))
    return of_mixed_images(batch.images, batch.labels, classes, mixing, teach, posterior)


@torch.no_grad()
def of_mixed_images(
    images: Tensor,
    labels: Tensor,
    classes: int,
    mixing: Mixing,
    teach: Predict,
    posterior: Predict | None = None,
    count: int = 4,
) -> dict[str, Any]:
    """Mix some images and return how each label of the mixed ones is distributed.

    The first images of all classes are a batch that is mixed ``count`` times; each time another
    class gives the image shown. The draws are always the same, so that records of two teachers
    show the same images.

    Parameters
    ----------
    images : Tensor
        Shape (N, C, H, W), floating point: training images as a step sees them, augmented and
        normalised.
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    classes : int
        K, at least 2.
    mixing : Mixing
        As :func:`ldlstudy.mixing.named` gives it.
    teach : callable
        From images (M, C, H, W) to the teacher's logits (M, K).
    posterior : callable, optional
        From points (M, C * H * W) on the CPU to the exact p(y|x), (M, K), as
        :meth:`ldlstudy.mixture.GaussianMixture.posterior`. Only where it is given are pixels
        returned: images of a published set do not go into a record.
    count : int
        Mixed images, at least 1.

    Returns
    -------
    dict
        Lists of ``count``: ``sources`` and ``weights`` (count, P), the positions in ``images`` of
        the parts and their shares; ``mixing``, ``teacher`` and, with ``posterior``, ``truth``,
        each entry with the five best ``classes`` whose probability is not 0 and their
        ``probabilities``; with ``posterior`` also ``pixels`` (count, C, H, W).
    """
    checks.whole("count", count, 1)
    y = checks.labels(labels, checks.whole("classes", classes, 2)).to(images.device)
    if len(y) != len(images) or len(y) == 0:
        raise ValueError(
            f"need as many labels as images, at least one: got {len(y)} and {len(images)}"
        )
    firsts = torch.stack([(y == label).nonzero()[0, 0] for label in y.unique()])
    own = targets.one_hot(y[firsts], classes)
    generator = torch.Generator(images.device).manual_seed(0)
    shown = []
    for i in range(count):  # most mixings have one ratio a batch: a batch for each ratio
        mixed = mixing(images[firsts], generator)(images[firsts])
        at = _most_mixed(mixed, i)
        label = mixed_target(own, mixed)[at]
        shown.append((mixed.images[at], mixed.sources[:, at], mixed.weights[:, at], label))
    views, sources, weights, label = (torch.stack(part) for part in zip(*shown, strict=True))
    found = {
        "sources": firsts[sources].tolist(),
        "weights": weights.tolist(),
        "mixing": _best(label),
        "teacher": _best(teach(views).float().softmax(1)),
    }
    if posterior is not None:
        truth = posterior(views.flatten(1).cpu())
        found |= {"truth": _best(truth), "pixels": views.tolist()}
    figure: dict[str, Any] = rounded(found, FIGURE_DIGITS)
    return figure


def _most_mixed(mixed: Mixed, first: int) -> int:
    """The next image from ``first`` on whose parts are of the most sources.

    A partner is drawn from the whole batch: it may be the image itself, which is then not mixed.
    """
    sources = torch.tensor([len(set(parts)) for parts in mixed.sources.T.tolist()])
    return (int(sources.roll(-first).argmax()) + first) % len(sources)


def _best(distributions: Tensor) -> list[dict[str, list[Any]]]:
    """The best classes of each row (M, K), without those of probability 0."""
    best = distributions.topk(min(ANSWERS, distributions.shape[1]), dim=1)
    return [
        {"classes": k[p > 0].tolist(), "probabilities": p[p > 0].tolist()}
        for k, p in zip(best.indices, best.values, strict=True)
    ]


def taught(objective: Objective, batch: Batch, classes: int) -> Tensor:
    """Return the label distributions (B, K), float64, that an objective trains a batch towards.

    A cross entropy towards a label distribution q, times some s, pulls the logits z by
    s (softmax(z) - q). So its gradients at two z give s and q, however the method makes its labels,
    and a third shows whether there is a q at all: where the loss depends on the network in another
    way, there is none.

    Parameters
    ----------
    objective : callable
        From a network and a batch to the mean loss of its images.
    batch : Batch
        B images, which may be mixed.
    classes : int
        K, at least 2.

    Raises
    ------
    ValueError
        If the objective is no cross entropy towards fixed distributions.
    """
    size = len(batch.labels)
    steps = torch.linspace(0, 1, classes, dtype=torch.float64)
    points = [level * steps for level in (0, 1, -3)]  # three answers to every image
    (g0, p0), (g1, p1), (g2, p2) = (_pull(objective, batch, z.expand(size, -1)) for z in points)
    scale = ((g1 - g0) * (p1 - p0)).sum(1, keepdim=True) / (p1 - p0).square().sum(1, keepdim=True)
    label = p0 - g0 / scale
    if not torch.allclose(g2, scale * (p2 - label), atol=TOLERANCE, rtol=TOLERANCE):
        raise NoLabel("the objective trains towards labels that depend on the network's answers")
    return label


def _pull(objective: Objective, batch: Batch, z: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient (B, K) of each image's loss with respect to logits ``z``, and their softmax."""
    logits = z.to(batch.images.device).float().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(lambda _: logits, batch), logits)
    return gradient.double().cpu() * len(z), z.softmax(1)


def distance_to_truth(
    objective: Objective,
    training: Images,
    augmentation: Augmentation,
    classes: int,
    size: int,
    seed: int,
    posterior: Predict,
    mixing: Mixing | None = None,
) -> dict[str, float]:
    """Return how far the labels of one epoch are from the truth about the images that go with them.

    Parameters
    ----------
    objective, training, augmentation, classes, size, seed, mixing
        What trains the network on batches of ``size``.
    posterior : callable
        From points (B, C * H * W) on the CPU to the exact p(y|x), (B, K): of a mixed image, that of
        what is seen, not of what went in.

    Returns
    -------
    dict
        Means over the images: ``total_variation`` to the truth, the ``entropy`` of the labels, and
        that of the truth, ``true_entropy``, in nats.
    """
    generator = torch.Generator(training.labels.device).manual_seed(seed_of(seed, "nearness"))
    labels, truths = [], []
    for batch in batches(training, size, augmentation, generator, mixing=mixing):
        labels.append(taught(objective, batch, classes))
        truths.append(posterior(batch.images.flatten(1).cpu()).double())
    label, truth = torch.cat(labels).clamp_min(0), torch.cat(truths)
    label = label / label.sum(1, keepdim=True)
    return {
        "total_variation": metrics.total_variation(truth, label),
        "entropy": float(torch.special.entr(label).sum(1).mean()),
        "true_entropy": float(torch.special.entr(truth).sum(1).mean()),
    }
