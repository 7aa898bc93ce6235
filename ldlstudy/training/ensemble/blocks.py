"""How the networks of an ensemble share one thread: a queue, slots, and an epoch at a time.

:mod:`ldlstudy.training.ensemble` is the public face. A :class:`Job` is what the threads of one call
share; a :class:`Block` is the networks that one thread trains together, in slots that are refilled
as networks stop.
"""

import itertools
import math
import threading
from dataclasses import fields

import torch
from torch import Tensor

from ldlstudy.training.ensemble import mlp
from ldlstudy.training.ensemble.members import Data, Members, Settings, Trained, check


class Job:
    """What the threads of one training share: the queue of members, and the results."""

    def __init__(
        self, settings: Settings, data: Data, members: Members, device: torch.device
    ) -> None:
        check(data, members)
        self.settings, self.device = settings, device
        self.members = Members(*(getattr(members, f.name).to(device) for f in fields(Members)))
        self.samples = {
            "inputs": _columns(data.inputs.to(device)),
            "held_inputs": _columns(data.held_inputs.to(device)),
            "held_labels": _columns(data.held_labels.to(device)[:, :, None])[:, 0],
        }
        self.positions, self.weights = _batches(data.inputs.shape[1], settings.batch, device)
        features, classes = data.inputs.shape[2], members.targets.shape[2]
        self.architecture = mlp.Architecture(features, settings.hidden, classes)
        m = len(members)
        self.trained = Trained(
            self.architecture,
            torch.empty(m, self.architecture.size),
            torch.empty(m),
            torch.empty(m, dtype=torch.long),
            torch.empty(m, dtype=torch.long),
        )
        self.seeds = members.seeds.tolist()
        self.waiting = iter(range(m))
        self.lock = threading.Lock()
        self.cancelled = threading.Event()

    def take(self, n: int) -> list[int]:
        """The next ``n`` members that wait, fewer at the end."""
        with self.lock:
            return [] if self.cancelled.is_set() else list(itertools.islice(self.waiting, n))

    def start(self, members: list[int]) -> dict[str, Tensor]:
        """The state of members about to train, one row each."""
        which = torch.tensor(members, device=self.device)
        rows = torch.empty(len(members), self.architecture.size)
        for row, member in zip(rows, members, strict=True):
            self.architecture.initialise(row, self.settings.init, self.seeds[member])
        rows = rows.to(self.device)
        count = torch.zeros(len(members), dtype=torch.long, device=self.device)
        state = {name: torch.zeros_like(rows) for name in ("gradient", "mean", "square", "best")}
        state |= {name: each[self.members.data[which]] for name, each in self.samples.items()}
        return state | {
            "targets": _columns(self.members.targets[which]),
            "held_weights": _columns(self.members.held_weights[which][:, :, None])[:, 0],
            "rates": self.members.rates[which],
            "bootstrap": self.members.bootstrap[which],
            "rows": rows,
            "steps": count[:, None].double(),
            "loss": torch.full((len(members),), torch.inf, device=self.device),
            "epoch": count,
            "epochs": count.clone(),
        }

    def store(self, members: list[int], state: dict[str, Tensor]) -> None:
        """Keep what members that stopped have reached."""
        for member, loss in zip(members, state["loss"].tolist(), strict=True):
            if not math.isfinite(loss):
                rate = float(self.members.rates[member])
                raise FloatingPointError(
                    f"network {member} (seed {self.seeds[member]}, rate {rate:g}) "
                    "never had a finite held-out loss"
                )
        where = torch.tensor(members)
        self.trained.parameters[where] = state["best"].cpu()
        for name in ("loss", "epoch", "epochs"):
            getattr(self.trained, name)[where] = state[name].cpu()


class Block:
    """The networks that train together in one thread; row s of every tensor belongs to slot s."""

    def __init__(self, job: Job, members: list[int]) -> None:
        self.job, self.members = job, members
        self.state = job.start(members)
        self.orders = [torch.Generator().manual_seed(job.seeds[m]) for m in members]
        self.mixed = bool((job.members.bootstrap != 1).any())  # BS_Soft somewhere in this job
        self.arrange()

    def arrange(self) -> None:
        """View the rows as layers, again whenever slots have closed."""
        views = (self.job.architecture.layers(self.state[name]) for name in ("rows", "gradient"))
        self.layers, self.slots = views

    def train_epoch(self) -> None:
        """Every network sees its training set once, in an order of its own."""
        s, job = self.state, self.job
        inputs, targets = s["inputs"], s["targets"]
        if len(job.weights) > 1:
            order = torch.stack([_order(job.positions, g) for g in self.orders])[:, None]
            order = order.to(inputs.device)
            inputs = inputs.gather(2, order.expand(-1, inputs.shape[1], -1))
            targets = targets.gather(2, order.expand(-1, targets.shape[1], -1))
        beta = s["bootstrap"] if self.mixed else None
        width = job.weights.shape[1]
        batches = zip(inputs.split(width, 2), targets.split(width, 2), job.weights, strict=True)
        moments = s["mean"], s["square"], s["steps"], s["rates"][:, None]
        for x, t, weights in batches:
            mlp.backward(self.layers, self.slots, x, t, weights, beta)
            mlp.adam(s["rows"], s["gradient"], *moments)

    def validate(self) -> list[int]:
        """Keep what improved; return the slots whose networks stop here."""
        s, settings = self.state, self.job.settings
        logits = mlp.forward(self.layers, s["held_inputs"])[-1]
        log_p = logits.log_softmax(1).gather(1, s["held_labels"][:, None])[:, 0]
        loss = -(log_p * s["held_weights"]).sum(1)
        s["epochs"] += 1
        better = loss < s["loss"]  # never for NaN
        s["loss"] = torch.where(better, loss, s["loss"])
        s["epoch"] = torch.where(better, s["epochs"], s["epoch"])
        torch.where(better[:, None], s["rows"], s["best"], out=s["best"])
        done = (s["epochs"] - s["epoch"] >= settings.patience) | (s["epochs"] >= settings.epochs)
        return done.nonzero()[:, 0].tolist()

    def replace(self, slots: list[int]) -> None:
        """Store the networks in ``slots`` and let waiting ones in; close slots none waits for."""
        self.job.store(
            [self.members[s] for s in slots], {k: v[slots] for k, v in self.state.items()}
        )
        members = self.job.take(len(slots))
        fresh = slots[: len(members)]
        if members:
            for name, rows in self.job.start(members).items():
                self.state[name][fresh] = rows
        for slot, member in zip(fresh, members, strict=True):
            self.members[slot] = member
            self.orders[slot] = torch.Generator().manual_seed(self.job.seeds[member])
        closed = set(slots[len(members) :])
        if closed:
            kept = [s for s in range(len(self.members)) if s not in closed]
            self.state = {name: rows[kept] for name, rows in self.state.items()}
            self.members = [self.members[s] for s in kept]
            self.orders = [self.orders[s] for s in kept]
            self.arrange()


def _columns(samples: Tensor) -> Tensor:
    """(D, N, F) as (D, F, N'), samples as columns, with at least one column of zeros to pad."""
    n = samples.shape[1]
    return torch.nn.functional.pad(samples.transpose(1, 2), (0, mlp.aligned(n + 1) - n))


def _batches(n: int, batch: int | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where the columns of each batch come from, and their weights (steps, width) in its loss.

    A position is a place in the epoch's order of the ``n`` samples, or ``n`` for padding.
    """
    batch = min(batch or n, n)
    steps = -(-n // batch)
    width = mlp.aligned(batch if steps > 1 else n + 1)
    within = torch.arange(width)
    positions = torch.arange(steps)[:, None] * batch + within
    real = (within < batch) & (positions < n)
    weights = real / real.sum(1, keepdim=True)
    return torch.where(real, positions, n).flatten(), weights.float().to(device)


def _order(positions: Tensor, generator: torch.Generator) -> Tensor:
    """Columns of a shuffled epoch, batch after batch."""
    n = int(positions.max())
    shuffled = torch.cat([torch.randperm(n, generator=generator), torch.tensor([n])])
    return shuffled[positions]
