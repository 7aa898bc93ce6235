"""One loop for every image method: epochs of steps, a history, and a checkpoint after each epoch.

All random numbers of an epoch (order, augmentation, dropout) derive from the seed and the epoch's
number. So a run that was killed and resumed from its last checkpoint ends with the same weights as
one that was not.
"""

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from ldlstudy import machine, records
from ldlstudy.augment import Augmentation
from ldlstudy.batches import Batch, batches
from ldlstudy.dataset import Images
from ldlstudy.draws import seed_of
from ldlstudy.execution import Execution
from ldlstudy.objectives import Objective
from ldlstudy.protocol import Protocol

EVALUATION_BATCH = 1000
CHECK_EVERY = 200  # steps between two looks at the loss: each look waits for the GPU
History = list[dict[str, Any]]


class Watched(NamedTuple):
    """Images to evaluate after every epoch; ``by_class`` also records the loss of each class."""

    images: Images
    by_class: bool = False


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
        From the network and a batch to the loss, see :mod:`ldlstudy.objectives`.
    protocol, augmentation, execution
        How it is optimised, what is done to the images, and on what it runs.
    seed : int
        All random numbers of the training derive from it.
    others : sequence of str
        Images that the objective needs beside a batch's own, see :func:`ldlstudy.batches.batches`.
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
    optimiser = protocol.make_optimiser(network)
    history = _resume(checkpoint, network, optimiser)
    step = _stepper(network, objective, protocol, optimiser, execution)
    with (
        torch.random.fork_rng([execution.device] if "cuda" in execution.device else []),
        machine.progress(protocol.epochs * len(training.labels), title, "image") as bar,
    ):
        bar.update(len(history) * len(training.labels))
        for epoch in range(len(history), protocol.epochs):
            start = time.perf_counter()
            protocol.set_rate(optimiser, epoch)
            network.train()
            stream = _batches(training, protocol, augmentation, seed, epoch, others)
            entry = {"rate": protocol.share(epoch), "loss": _pass(step, stream, bar, epoch)}
            _check_finite(nn.utils.get_total_norm(network.parameters()), epoch)
            entry["seconds"] = time.perf_counter() - start
            for name, watched in (watch or {}).items():
                entry |= _look(network, name, watched, augmentation, execution)
            history.append(entry)
            bar.set_postfix(epoch=epoch + 1, loss=f"{entry['loss']:.3f}")
            if checkpoint is not None:
                save(checkpoint, network=network, optimiser=optimiser, history=history)
    return history


def _stepper(
    network: nn.Module,
    objective: Objective,
    protocol: Protocol,
    optimiser: torch.optim.Optimizer,
    execution: Execution,
) -> Callable[[Batch], Tensor]:
    """The function that takes one step and returns the loss before it."""
    compiled = execution.compiled(network)

    def step(batch: Batch) -> Tensor:
        beside = tuple(execution.layout(images) for images in batch.others)
        batch = batch._replace(images=execution.layout(batch.images), others=beside)
        with execution.autocast():
            loss = objective(compiled, batch)
        optimiser.zero_grad()
        (loss * protocol.loss_scale).backward()
        if protocol.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), protocol.clip)
        optimiser.step()
        return loss.detach()

    return step


def _pass(step: Callable[[Batch], Tensor], stream: Iterator[Batch], bar: tqdm, epoch: int) -> float:
    """Take a step on each batch; return the mean loss of the images."""
    total, seen = torch.zeros(()), 0
    for number, batch in enumerate(stream):
        total = total + step(batch).double() * len(batch.labels)
        seen += len(batch.labels)
        if number % CHECK_EVERY == 0:
            _check_finite(total, epoch)
        bar.update(len(batch.labels))
    _check_finite(total, epoch)
    return float(total) / seen


def _batches(
    training: Images,
    protocol: Protocol,
    augmentation: Augmentation,
    seed: int,
    epoch: int,
    others: Sequence[str],
) -> Iterator[Batch]:
    """One epoch's batches; the only place where an epoch's random numbers are seeded."""
    draws = torch.Generator(training.labels.device)
    draws.manual_seed(seed_of(seed, "epoch", epoch))
    torch.manual_seed(seed_of(seed, "dropout", epoch))
    return batches(training, protocol.batch, augmentation, draws, others)


def _check_finite(number: Tensor, epoch: int) -> None:
    """Stop where the loss or the weights have overflown; the last checkpoint is of finite ones."""
    if not bool(torch.isfinite(number)):
        raise ValueError(
            f"the loss is no longer finite in epoch {epoch + 1}: lower the rate, or clip the "
            "gradient"
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


def save(file: Path, **content: Any) -> None:
    """Write modules and optimisers (their state) and plain values to ``file``, whole or not."""
    buffer = io.BytesIO()
    plain = {k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in content.items()}
    torch.save(plain, buffer)
    records.write(file, buffer.getvalue())


def load(file: Path) -> dict[str, Any]:
    """What :func:`save` wrote; a ValueError says what is wrong with the file."""
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return content
    except Exception as error:  # torch and pickle raise many kinds for a damaged file
        raise ValueError(
            f"{file} is damaged, or no file of weights: delete it and run again"
        ) from error


def _resume(
    checkpoint: Path | None, network: nn.Module, optimiser: torch.optim.Optimizer
) -> History:
    """Load the checkpoint where there is one; return the history of its epochs."""
    if checkpoint is None or not checkpoint.exists():
        return []
    content = load(checkpoint)
    try:
        network.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        history: History = content["history"]
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{checkpoint} is of another training: delete it and run again") from error
    return history
