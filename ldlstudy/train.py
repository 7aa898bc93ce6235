"""One loop for every image method: epochs of steps, a history, and a checkpoint after each epoch.

All random numbers of an epoch (order, augmentation, dropout) derive from a seed and the epoch's
number. So a run that was killed and resumed from its last checkpoint ends with the same weights as
one that was not, and so do networks that are trained together on the same batches: what is done
once for a batch (augmentation, mixing, a teacher's answer) is then shared by all of them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldlstudy import checkpoints, machine
from ldlstudy.augment import Augmentation
from ldlstudy.batches import Batch, batches
from ldlstudy.checkpoints import History
from ldlstudy.dataset import Images
from ldlstudy.draws import seed_of
from ldlstudy.execution import Execution
from ldlstudy.mixers import Mixer
from ldlstudy.objectives import Objective
from ldlstudy.protocol import Protocol

EVALUATION_BATCH = 1000
CHECK_EVERY = 200  # steps between two looks at the loss: each look waits for the GPU


class Watched(NamedTuple):
    """Images to evaluate after every epoch; ``by_class`` also records the loss of each class."""

    images: Images
    by_class: bool = False


class Student(NamedTuple):
    """A network to train: see `train` for what its parts are."""

    network: nn.Module
    objective: Objective
    protocol: Protocol
    seed: int = 0
    watch: Mapping[str, Watched] = {}
    checkpoint: Path | None = None


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
    learners = [_Learner(student, execution) for student in students]
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


class _Learner:
    """A student in training: its optimiser, its history, and its own random numbers."""

    def __init__(self, student: Student, execution: Execution) -> None:
        self.student, self.execution = student, execution
        self.network, self.protocol = student.network, student.protocol
        self.optimiser = self.protocol.make_optimiser(self.network)
        self.history = checkpoints.resume(student.checkpoint, self.network, self.optimiser)
        self.compiled = execution.compiled(self.network)

    def begin(self, epoch: int) -> None:
        self.protocol.set_rate(self.optimiser, epoch)
        self.network.train()
        if hasattr(self.student.objective, "heed"):
            self.student.objective.heed(self.history)
        torch.manual_seed(seed_of(self.student.seed, "dropout", epoch))
        self.draws = self.execution.draws()
        self.total, self.seen = torch.zeros(()), 0

    def learn(self, batch: Batch, look: bool, alone: bool) -> None:
        """Take a step on a batch; one of several networks goes on with its own random numbers."""
        if not alone:
            self.execution.draw_from(self.draws)
        loss = self._step(batch)
        if not alone:
            self.draws = self.execution.draws()
        self.total = self.total + loss.double() * len(batch.labels)
        self.seen += len(batch.labels)
        if look:
            self._check_finite(self.total)

    def _step(self, batch: Batch) -> Tensor:
        """Take one step and return the loss before it."""
        with self.execution.autocast():
            loss = self.student.objective(self.compiled, batch)
        self.optimiser.zero_grad()
        (loss * self.protocol.loss_scale).backward()
        if self.protocol.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.protocol.clip)
        self.optimiser.step()
        return loss.detach()

    def finite_loss(self) -> float:
        """The mean loss of the epoch's images."""
        self._check_finite(self.total)
        self._check_finite(nn.utils.get_total_norm(self.network.parameters()))
        return float(self.total) / self.seen

    def end(self, loss: float, seconds: float, augmentation: Augmentation) -> None:
        """Evaluate, and write the checkpoint."""
        share = self.protocol.share(len(self.history))
        entry: dict[str, Any] = {"rate": share, "loss": loss, "seconds": seconds}
        for name, watched in self.student.watch.items():
            entry |= _look(self.network, name, watched, augmentation, self.execution)
        self.history.append(entry)
        if self.student.checkpoint is not None:
            content = {"network": self.network, "optimiser": self.optimiser}
            checkpoints.save(self.student.checkpoint, **content, history=self.history)

    def _check_finite(self, number: Tensor) -> None:
        """Stop where the loss or the weights overflow; the last checkpoint is of finite ones."""
        if not bool(torch.isfinite(number)):
            raise ValueError(
                f"the loss is no longer finite in epoch {len(self.history) + 1}: lower the rate, "
                "or clip the gradient"
            )


@torch.no_grad()
def predict(
    network: nn.Module,
    images: Images,
    augmentation: Augmentation,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    function: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Logits (N, K) of all ``images`` in evaluation mode and float32, on the images' device.

    With ``function``, a method of the network such as its features, what that gives instead.
    """
    network.eval()
    function = function or network
    stream = batches(images, EVALUATION_BATCH, augmentation)
    return torch.cat([function(execution.layout(batch.images)) for batch in stream])


def _look(
    network: nn.Module,
    name: str,
    watched: Watched,
    augmentation: Augmentation,
    execution: Execution,
) -> dict[str, Any]:
    labels = watched.images.labels
    logits = predict(network, watched.images, augmentation, execution)
    losses = F.cross_entropy(logits, labels, reduction="none").double()
    right = (logits.argmax(1) == labels).double()
    seen = {f"{name}_loss": float(losses.mean()), f"{name}_accuracy": float(right.mean())}
    if not watched.by_class:
        return seen
    count = torch.bincount(labels, minlength=logits.shape[1])
    by_class = torch.bincount(labels, losses, minlength=logits.shape[1]) / count.clamp_min(1)
    return seen | {f"{name}_class_loss": by_class.tolist()}
