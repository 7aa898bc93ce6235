"""One loop for every image method: epochs of steps, a history, and a checkpoint after each epoch.

All random numbers of an epoch (order, augmentation, dropout) derive from a seed and the epoch's
number. So a run that was killed and resumed from its last checkpoint ends with the same weights as
one that was not, and so do networks that are trained together on the same batches: what is done
once for a batch (augmentation, mixing, a teacher's answer) is then shared by all of them.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from ldlstudy import machine
from ldlstudy.augment import Augmentation
from ldlstudy.batches import Batch, batches
from ldlstudy.checkpoints import History
from ldlstudy.dataset import Images
from ldlstudy.draws import seed_of
from ldlstudy.evaluation import Watched
from ldlstudy.execution import Execution
from ldlstudy.learner import Learner, Student
from ldlstudy.mixers import Mixer
from ldlstudy.objectives import Objective
from ldlstudy.protocol import Protocol

CHECK_EVERY = 200  # steps between two looks at the loss: each look waits for the GPU


def train(
    network: nn.Module,
    training: Images,
    objective: Objective,
    protocol: Protocol,
    augmentation: Augmentation,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    *,
    seed: int = 0,
    others: Sequence[str] = (),
    mixer: Mixer | None = None,
    watch: Mapping[str, Watched] | None = None,
    checkpoint: Path | None = None,
    title: str | None = None,
) -> History:
    """Train ``network`` in place and return what happened in each epoch.

    Parameters
    ----------
    network : Module
        From images (B, C, H, W) to logits (B, K), on the device of the images.
    training : Images
        N images and labels.
    objective : callable
        From the network and a batch to the loss, see :mod:`ldlstudy.objectives`. One with a method
        ``heed`` is given the history before each epoch.
    protocol, augmentation, execution
        How it is optimised, what is done to the images, and on what it runs.
    seed : int
        All random numbers of the training derive from it, but for those of the batches where the
        protocol has an ``order``.
    others, mixer
        Images that the objective needs beside a batch's own, and what mixes these, see
        :func:`ldlstudy.batches.batches`.
    watch : Mapping, optional
        Images by name, to evaluate after every epoch.
    checkpoint : Path, optional
        File that is written after every epoch; where it exists, training goes on from it.
    title : str, optional
        Of the progress bar; none without it.

    Returns
    -------
    list of dict
        For each epoch ``rate`` (its share of the first), ``loss``, ``seconds``, and ``<name>_loss``
        and ``<name>_accuracy`` of the images watched, with ``<name>_class_loss`` where asked for.

    Raises
    ------
    ValueError
        If the loss is no longer finite, or the checkpoint is damaged.
    """
    student = Student(network, objective, protocol, seed, watch or {}, checkpoint)
    return train_together(
        [student], training, augmentation, execution, others=others, mixer=mixer, title=title
    )[0]


def train_together(
    students: Sequence[Student],
    training: Images,
    augmentation: Augmentation,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    *,
    others: Sequence[str] = (),
    mixer: Mixer | None = None,
    title: str | None = None,
) -> list[History]:
    """Train several networks on the same batches; each ends as it would alone.

    Their seconds are an equal share of the epoch's.

    Parameters
    ----------
    students : sequence of Student
        At least one; their protocols agree in epochs, batch and order.
    training, augmentation, execution, others, mixer, title
        As in `train`.

    Returns
    -------
    list of list of dict
        The history of each.

    Raises
    ------
    ValueError
        As `train`; or if the students do not see the same batches.
    """
    streams = {(s.protocol.epochs, s.protocol.batch, _order(s)) for s in students}
    if len(streams) != 1:
        raise ValueError(
            "networks trained together must agree in epochs, batch and order, got "
            f"{sorted(streams)}"
        )
    ((epochs, size, order),) = streams
    learners = [Learner(student, execution) for student in students]
    images = len(training.labels)
    with (
        torch.random.fork_rng([execution.device] if "cuda" in execution.device else []),
        machine.progress(len(learners) * epochs * images, title, "image") as bar,
    ):
        bar.update(sum(len(learner.history) for learner in learners) * images)
        for epoch in range(epochs):
            active = [learner for learner in learners if len(learner.history) == epoch]
            if not active:
                continue
            start = time.perf_counter()
            draws = torch.Generator(training.labels.device)
            draws.manual_seed(seed_of(order, "epoch", epoch))
            for learner in active:
                learner.begin(epoch)
            stream = batches(training, size, augmentation, draws, others, mixer)
            for number, batch in enumerate(stream):
                batch = _laid_out(batch, execution)
                for learner in active:
                    learner.learn(batch, look=number % CHECK_EVERY == 0, alone=len(active) == 1)
                    bar.update(len(batch.labels))
            losses = [learner.finite_loss() for learner in active]
            seconds = (time.perf_counter() - start) / len(active)
            for learner, loss in zip(active, losses, strict=True):
                learner.end(loss, seconds, augmentation)
            bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.3f}")
    return [learner.history for learner in learners]


def _order(student: Student) -> int:
    """The seed of the batches."""
    order = student.protocol.order
    return student.seed if order is None else order


def _laid_out(batch: Batch, execution: Execution) -> Batch:
    beside = tuple(execution.layout(images) for images in batch.others)
    return batch._replace(images=execution.layout(batch.images), others=beside)
