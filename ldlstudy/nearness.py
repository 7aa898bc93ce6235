"""How near the labels that a method teaches are to the truth, where the truth is known.

A cross entropy towards a label distribution q, times some s, pulls the logits z by
s (softmax(z) - q). So its gradients at two z give s and q, however the method makes its labels,
and a third shows whether there is a q at all: where the loss depends on the network in another way,
there is none.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ldlstudy import metrics
from ldlstudy.batches import Batch, batches
from ldlstudy.draws import seed_of
from ldlstudy.mixers import mixer
from ldlstudy.records import Run
from ldlstudy.regularisers import Objective
from ldlstudy.setting import Setting

TOLERANCE = 1e-4


def taught(objective: Objective, batch: Batch, classes: int) -> Tensor:
    """The label distributions towards which an objective trains the images of a batch.

    Parameters
    ----------
    objective : callable
        From a network and a batch to the mean loss of its images.
    batch : Batch
        B images, which may be mixed.
    classes : int
        K, at least 2.

    Returns
    -------
    Tensor
        Shape (B, K), float64.

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
        raise ValueError("the objective trains towards labels that depend on the network's answers")
    return label


def _pull(objective: Objective, batch: Batch, z: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient (B, K) of each image's loss with respect to logits ``z``, and their softmax."""
    logits = z.to(batch.images.device).float().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(lambda _: logits, batch), logits)
    return gradient.double().cpu() * len(z), z.softmax(1)


def of_labels(
    run: Run, setting: Setting, objective: Objective, posterior: Callable[[Tensor], Tensor]
) -> dict[str, list[float]]:
    """How far the labels of one epoch are from the truth about the images that go with them.

    Parameters
    ----------
    run, setting, objective
        What trains the network.
    posterior : callable
        From points (B, C * H * W) on the CPU to the exact p(y|x), (B, K): of a mixed image, that of
        what is seen, not of what went in.

    Returns
    -------
    dict
        Means over the images, each a list of one: ``total_variation`` to the truth, the
        ``entropy`` of the labels, and that of the truth, ``true_entropy``, in nats.
    """
    train, classes = setting.dataset.train, len(setting.dataset.classes)
    draws = torch.Generator(train.labels.device).manual_seed(seed_of(run.seed, "nearness"))
    mix = mixer(run.parameters.get("mixing"))
    labels, truths = [], []
    for batch in batches(train, setting.protocol.batch, setting.augmentation, draws, mixer=mix):
        labels.append(taught(objective, batch, classes))
        truths.append(posterior(batch.images.flatten(1).cpu()).double())
    label, truth = torch.cat(labels).clamp_min(0), torch.cat(truths)
    label = label / label.sum(1, keepdim=True)
    return {
        "total_variation": [metrics.total_variation(truth, label)],
        "entropy": [float(torch.special.entr(label).sum(1).mean())],
        "true_entropy": [float(torch.special.entr(truth).sum(1).mean())],
    }
