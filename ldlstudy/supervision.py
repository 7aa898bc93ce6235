"""What a mixed image is said to show: by the mixing, by a teacher, by the truth (LDL Figure 6).

Mixing names the classes of the images that went in and weighs them by area. A teacher that looks at
the mixed image may see one of them alone, or neither; where p(y|x) is known, the truth says which
of the two is nearer.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, targets
from ldlstudy.mixing import Mixed, mixed_target
from ldlstudy.records import PICTURED_DIGITS, rounded

ANSWERS = 5  # of each distribution
Mix = Callable[[Tensor, torch.Generator], Mixed]
Predict = Callable[[Tensor], Tensor]


@torch.no_grad()
def supervision(
    images: Tensor,
    labels: Tensor,
    classes: int,
    mix: Mix,
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
    mix : callable
        One of :mod:`ldlstudy.mixing`, with its settings.
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

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    checks.whole("count", count, 1)
    y = checks.labels(labels, checks.whole("classes", classes, 2)).to(images.device)
    if len(y) != len(images) or len(y) == 0:
        raise ValueError(
            f"need as many labels as images, at least one: got {len(y)} and {len(images)}"
        )
    firsts = torch.stack([(y == label).nonzero()[0, 0] for label in y.unique()])
    own = targets.one_hot(y[firsts], classes)
    draws = torch.Generator(images.device).manual_seed(0)
    drawn = []
    for i in range(count):  # most mixings have one ratio a batch: a batch for each ratio
        mixed = mix(images[firsts], draws)
        at = _shown(mixed, i)
        label = mixed_target(own, mixed)[at]
        drawn.append((mixed.images[at], mixed.sources[:, at], mixed.weights[:, at], label))
    views, sources, weights, label = (torch.stack(part) for part in zip(*drawn, strict=True))
    found = {
        "sources": firsts[sources].tolist(),
        "weights": weights.tolist(),
        "mixing": _best(label),
        "teacher": _best(teach(views).float().softmax(1)),
    }
    if posterior is not None:
        truth = posterior(views.flatten(1).cpu())
        found |= {"truth": _best(truth), "pixels": views.tolist()}
    figure: dict[str, Any] = rounded(found, PICTURED_DIGITS)
    return figure


def _shown(mixed: Mixed, first: int) -> int:
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
