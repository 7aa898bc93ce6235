"""What an ensemble is asked to train, and what comes out (:mod:`ldlstudy.training.ensemble`)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.training.ensemble import mlp


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
        beta of BS_Soft (:func:`ldlstudy.training.ensemble.mlp.backward`); 1 is off.
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

    def logits(self, rows: Tensor, inputs: Tensor) -> Tensor:
        """Return logits for rows of ``parameters`` (:meth:`.mlp.Architecture.logits`)."""
        return self.architecture.logits(rows, inputs)


def check(data: Data, members: Members) -> None:
    """Raise ValueError where shapes do not belong together or values are out of range."""
    samples = {"inputs": data.inputs, "held_inputs": data.held_inputs, "targets": members.targets}
    for name, tensor in samples.items():
        if tensor.ndim != 3 or not tensor.numel() or tensor.dtype != torch.float32:
            raise ValueError(
                f"{name} must be float32, of three dimensions and not empty, "
                f"got {tensor.dtype} of shape {tuple(tensor.shape)}"
            )
    d, n, features = data.inputs.shape
    v = data.held_inputs.shape[1]
    m, _, classes = members.targets.shape
    expected = {
        "held_inputs": (data.held_inputs, (d, v, features)),
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
    sums = members.held_weights.sum(1)
    if float(members.held_weights.min()) < 0 or not torch.allclose(sums, torch.ones_like(sums)):
        raise ValueError("held_weights must not be negative, and each row must sum to 1")
