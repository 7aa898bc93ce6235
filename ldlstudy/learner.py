"""A network in training: what it is given, and what it does with each batch and each epoch.

A learner takes batches from :mod:`ldlstudy.train`, which may hand the same ones to several. It has
its own optimiser and its own random numbers, so it never notices the others.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ldlstudy import checkpoints, evaluation
from ldlstudy.augment import Augmentation
from ldlstudy.batches import Batch
from ldlstudy.draws import seed_of
from ldlstudy.execution import Execution
from ldlstudy.objectives import Objective
from ldlstudy.protocol import Protocol


class Student(NamedTuple):
    """A network to train: see :func:`ldlstudy.train.train` for what its parts are."""

    network: nn.Module
    objective: Objective
    protocol: Protocol
    seed: int = 0
    watch: Mapping[str, evaluation.Watched] = {}
    checkpoint: Path | None = None


class Learner:
    """A student in training: its optimiser, its history, and its own random numbers."""

    def __init__(self, student: Student, execution: Execution) -> None:
        self.student, self.execution = student, execution
        self.network, self.protocol = student.network, student.protocol
        self.optimiser = self.protocol.make_optimiser(self.network)
        self.history = checkpoints.resume(student.checkpoint, self.network, self.optimiser)
        self.compiled = execution.compiled(self.network)

    def begin(self, epoch: int) -> None:
        """Set the rate and the random numbers of an epoch, and show the objective the history."""
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
            entry |= evaluation.look(self.network, name, watched, augmentation, self.execution)
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
