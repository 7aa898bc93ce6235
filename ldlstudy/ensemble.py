"""Many small networks trained at once, each with its own data, targets, seed and early stopping.

A study on synthetic data needs tens of thousands of tiny multilayer perceptrons. One at a time
they keep a processor waiting between small matrix products, so here a block of them shares each
product (:mod:`ldlstudy.mlp`). On the CPU a block is small enough for the cache and every core works
through blocks of its own; on CUDA one block holds as many networks as memory serves. A network
that stops leaves its slot to the next. What a network learns depends on its data, targets, seed and
settings alone, not on its neighbours, the block size or the number of cores.
"""

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ldlstudy import checks, machine, mlp

CPU_BLOCK = 8  # 8 x (parameters, gradient, Adam's two moments) is about 2 MB: a core's cache


@dataclass(frozen=True)
class Settings:
    """How each network is trained; the defaults are the ILS paper's (appendix A)."""

    hidden: tuple[int, ...] = (64,) * 5
    epochs: int = 500  # at most
    patience: int = 10  # epochs without a lower held-out loss before a network stops
    batch: int | None = None  # None is the whole training set; the paper does not say
    init: str = "torch"  # nn.Linear's default, or "glorot"; the paper does not say

    def __post_init__(self) -> None:
        checks.whole("epochs", self.epochs, 1)
        checks.whole("patience", self.patience, 1)
        if self.batch is not None:
            checks.whole("batch", self.batch, 1)
        checks.one_of("init", self.init, mlp.INITS)


@dataclass(frozen=True)
class Data:
    """D data sets of one size, each with the held-out samples that stop its networks.

    ``inputs`` (D, N, F), ``held_inputs`` (D, V, F), ``held_labels`` (D, V) in [0, K).
    """

    inputs: Tensor
    held_inputs: Tensor
    held_labels: Tensor


@dataclass(frozen=True)
class Members:
    """The M networks to train.

    Attributes
    ----------
    data : Tensor of int, shape (M,)
        The data set of each network.
    targets : Tensor, shape (M, N, K)
        The label distribution of every training sample.
    seeds : Tensor of int, shape (M,)
        Of the initial weights and of the order of mini-batches.
    rates : Tensor, shape (M,)
        Adam's learning rate.
    bootstrap : Tensor, shape (M,)
        beta of BS_Soft (:func:`ldlstudy.mlp.backward`); 1 is off.
    held_weights : Tensor, shape (M, V)
        Weight of each held-out sample in the loss that stops training; rows sum to 1.
    """

    data: Tensor
    targets: Tensor
    seeds: Tensor
    rates: Tensor
    bootstrap: Tensor
    held_weights: Tensor

    def __len__(self) -> int:
        return len(self.seeds)

    @classmethod
    def make(
        cls,
        data: Tensor,
        targets: Tensor,
        seeds: Tensor,
        held: int,
        rate: float = 1e-2,
        bootstrap: float = 1.0,
        held_weights: Tensor | None = None,
    ) -> "Members":
        """Members that share a rate and a beta, all ``held`` samples weighing the same."""
        ones = torch.ones(len(seeds))
        if held_weights is None:
            held_weights = ones[:, None].expand(-1, held) / held
        return cls(data, targets, seeds, rate * ones, bootstrap * ones, held_weights)


@dataclass(frozen=True)
class Trained:
    """Networks at the epoch of their lowest held-out loss.

    ``parameters`` (M, P); ``loss`` (M,), the lowest held-out cross entropy in nats; ``epoch`` (M,)
    in which it was reached; ``epochs`` (M,) that were run.
    """

    architecture: mlp.Architecture
    parameters: Tensor
    loss: Tensor
    epoch: Tensor
    epochs: Tensor

    @torch.no_grad()
    def logits(self, rows: Tensor, inputs: Tensor) -> Tensor:
        """Logits (m, N, K) of networks with parameters (m, P), each on inputs (m, N, F) of its own.

        Computed a network and 4,096 samples at a time, which stays near the cache.
        """
        networks = []
        for row, x in zip(rows.to(inputs.device), inputs, strict=True):
            layers = self.architecture.layers(row[None])
            parts = [mlp.forward(layers, part.T[None])[-1] for part in x.split(4096)]
            networks.append(torch.cat(parts, 2)[0].T)
        return torch.stack(networks)


class _Job:
    """What the threads of one :func:`train` share: the queue of members and the results."""

    def __init__(
        self, settings: Settings, data: Data, members: Members, device: torch.device
    ) -> None:
        _check(data, members)
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


class _Block:
    """The networks that train together in one thread; row s of every tensor belongs to slot s."""

    def __init__(self, job: _Job, members: list[int]) -> None:
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
        self.job.store([self.members[s] for s in slots], {k: v[slots] for k, v in self.state.items()})
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


@torch.no_grad()
def _work(job: _Job, size: int, bar: tqdm) -> None:
    """One thread: a block, from its first members until none wait."""
    torch.set_flush_denormal(True)  # for this thread alone: Adam's averages decay towards zero
    members = job.take(size)
    if not members:
        return
    block = _Block(job, members)
    while block.members and not job.cancelled.is_set():
        block.train_epoch()
        stopped = block.validate()
        if stopped:
            block.replace(stopped)
            bar.update(len(stopped))


def train(
    settings: Settings,
    data: Data,
    members: Members,
    *,
    device: str | torch.device = "cpu",
    block: int | None = None,
    workers: int | None = None,
    progress: str | None = None,
) -> Trained:
    """Train every member with Adam until its held-out loss stops falling.

    Parameters
    ----------
    settings, data, members
        What to train on what.
    device : str or torch.device
        ``"cpu"``, or ``"cuda"`` with the same code and one large block.
    block : int, optional
        Networks trained together; by default 8 on the CPU, on CUDA what fits in memory.
    workers : int, optional
        Threads, by default one for each CPU core (one on CUDA).
    progress : str, optional
        Title of a progress bar in networks; ``None`` shows none.

    Raises
    ------
    ValueError
        Shapes that do not belong together, labels or targets out of range.
    FloatingPointError
        A network whose held-out loss was never finite.
    """
    device = torch.device(device)
    job = _Job(settings, data, members, device)
    m = len(members)
    workers = checks.whole("workers", workers or (1 if device.type == "cuda" else machine.cores()), 1)
    block = checks.whole("block", block or _block_size(job), 1)
    block = max(1, min(block, -(-m // workers)))
    bar = tqdm(total=m, desc=progress, unit="net", disable=progress is None, mininterval=0.5)
    with bar, machine.one_thread_an_operation(), ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_work, job, block, bar) for _ in range(workers)]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:  # Ctrl-C, or a thread that failed: the others stop after their epoch
            job.cancelled.set()
            raise
    return job.trained


def _block_size(job: _Job) -> int:
    if job.device.type != "cuda":
        return CPU_BLOCK
    samples = job.samples["inputs"].shape[2] + job.samples["held_inputs"].shape[2]
    floats = 6 * job.architecture.size + 4 * samples * sum(o for _, o in job.architecture.shapes)
    free, _ = torch.cuda.mem_get_info(job.device)
    return max(1, int(0.5 * free / (4 * floats)))


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


def _check(data: Data, members: Members) -> None:
    d, n, _ = data.inputs.shape
    v = data.held_inputs.shape[1]
    m, _, classes = members.targets.shape
    expected = {
        "inputs": (data.inputs, (d, n, data.held_inputs.shape[2])),
        "held_labels": (data.held_labels, (d, v)),
        "data": (members.data, (m,)),
        "targets": (members.targets, (m, n, classes)),
        "seeds": (members.seeds, (m,)),
        "rates": (members.rates, (m,)),
        "bootstrap": (members.bootstrap, (m,)),
        "held_weights": (members.held_weights, (m, v)),
    }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(tensor.shape)}")
    checks.labels(data.held_labels.reshape(-1), classes)
    checks.labels(members.data, d)
    checks.distributions(members.targets.reshape(-1, classes), "targets")
    checks.in_range("the smallest rate", float(members.rates.min()), 0, open_low=True)
    checks.in_range("the smallest bootstrap", float(members.bootstrap.min()), 0, 1)
    checks.in_range("the largest bootstrap", float(members.bootstrap.max()), 0, 1)
