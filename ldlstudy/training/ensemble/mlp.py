"""The arithmetic of many multilayer perceptrons side by side: layout, forward, backward, Adam.

The parameters of M networks are the rows of one (M, P) tensor. A layer of all of them is one
batched matrix product, the backward pass is written out (eight lines), and Adam walks the rows.
Samples are columns here, (M, features, samples): thin layers such as the last are then products
with one long side, several times faster. :mod:`ldlstudy.training.ensemble` decides who trains when.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ldlstudy import checks

Layers = list[tuple[Tensor, Tensor]]  # weights (M, out, in) and biases (M, out), first layer first

ALIGN = 16  # floats in 64 bytes; matrices that start alike are multiplied alike, in any slot
INITS = ("torch", "glorot")
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # torch.optim.Adam's defaults
TINY = 1e-30  # far below EPS squared; the square root of an exact zero is slow on some processors


@dataclass(frozen=True)
class Architecture:
    """A ReLU multilayer perceptron; the ILS paper's (section III) is ``(2, (64,) * 5, 3)``.

    Weights are stored (out, in), as in ``torch.nn.Linear``.
    """

    inputs: int
    hidden: tuple[int, ...]
    classes: int

    def __post_init__(self) -> None:
        checks.whole("inputs", self.inputs, 1)
        checks.whole("classes", self.classes, 2)
        for width in self.hidden:
            checks.whole("hidden width", width, 1)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(in, out) of each layer."""
        widths = (self.inputs, *self.hidden, self.classes)
        return list(itertools.pairwise(widths))

    @property
    def size(self) -> int:
        """Floats in a row, P, padding included."""
        return sum(aligned(i * o) + aligned(o) for i, o in self.shapes)

    def layers(self, rows: Tensor) -> Layers:
        """View rows (M, P) as the layers of M networks."""
        views, at = [], 0
        for i, o in self.shapes:
            weights = rows[:, at : at + i * o].view(-1, o, i)
            at += aligned(i * o)
            views.append((weights, rows[:, at : at + o]))
            at += aligned(o)
        return views

    def initialise(self, row: Tensor, init: str, seed: int) -> None:
        """Fill one row (P,) as torch's ``nn.Linear`` does, or by Glorot's uniform with no bias."""
        checks.one_of("init", init, INITS)
        generator = torch.Generator().manual_seed(seed)
        row.zero_()
        for (weights, bias), (i, o) in zip(self.layers(row[None]), self.shapes, strict=True):
            bound = 1 / math.sqrt(i) if init == "torch" else math.sqrt(6 / (i + o))
            weights.uniform_(-bound, bound, generator=generator)
            if init == "torch":
                bias.uniform_(-bound, bound, generator=generator)

    @torch.no_grad()
    def logits(self, rows: Tensor, inputs: Tensor) -> Tensor:
        """Logits (M, N, K) of networks with parameters (M, P), each on inputs (M, N, F) of its own.

        Computed a network and 512 samples at a time, which stays near the cache.
        """
        networks = []
        for row, x in zip(rows.to(inputs.device), inputs, strict=True):
            layers = self.layers(row[None])
            parts = [forward(layers, part.T[None])[-1] for part in x.split(512)]
            networks.append(torch.cat(parts, 2)[0].T)
        return torch.stack(networks)


def aligned(n: int) -> int:
    """``n`` rounded up to a multiple of :data:`ALIGN`."""
    return -(-n // ALIGN) * ALIGN


def forward(layers: Layers, inputs: Tensor) -> list[Tensor]:
    """Activations of every layer for inputs (M, F, B): the inputs first, the logits last."""
    activations = [inputs]
    for depth, (weights, bias) in enumerate(layers, 1):
        z = torch.baddbmm(bias[:, :, None], weights, activations[-1])  # (M, out, B)
        activations.append(z.relu_() if depth < len(layers) else z)
    return activations


def backward(
    layers: Layers,
    slots: Layers,
    inputs: Tensor,
    targets: Tensor,
    weights: Tensor,
    bootstrap: Tensor | None = None,
) -> None:
    """Write the gradient of each network's weighted cross entropy into ``slots``.

    Parameters
    ----------
    layers, slots : Layers
        Parameters, and where their gradients go; both are laid out alike.
    inputs, targets : Tensor, shapes (M, F, B) and (M, K, B)
        A batch for each network; each sample's targets sum to 1.
    weights : Tensor, shape (B,)
        Of each sample in the loss: 1 / batch size, and 0 for columns of padding.
    bootstrap : Tensor, shape (M,), optional
        beta of BS_Soft (Reed et al.), whose target is ``beta t + (1 - beta) p`` with the network's
        own p. With ``p = softmax(z)`` the cross entropy has gradient ``p - t`` in z; BS_Soft's
        loss is ``beta`` times that plus ``(1 - beta)`` times the entropy H of p, whose gradient
        is ``-p (log p + H)``.
    """
    activations = forward(layers, inputs)
    log_p = activations[-1].log_softmax(1)
    p = log_p.exp()
    delta = p - targets
    if bootstrap is not None:
        beta, p_log_p = bootstrap[:, None, None], p * log_p
        entropy = -p_log_p.sum(1, keepdim=True)
        delta = beta * delta - (1 - beta) * (p_log_p + p * entropy)
    delta *= weights
    for depth in reversed(range(len(layers))):
        below = activations[depth]
        torch.bmm(delta, below.transpose(1, 2), out=slots[depth][0])
        torch.sum(delta, 2, out=slots[depth][1])
        if depth:  # through the weights and the ReLU below
            delta = torch.bmm(layers[depth][0].transpose(1, 2), delta)
            delta = torch.ops.aten.threshold_backward(delta, below, 0)


def adam(
    rows: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, steps: Tensor, rates: Tensor
) -> None:
    """One step of Adam for M networks in place.

    ``rows``, ``gradient``, ``mean`` and ``square`` are (M, P); ``steps`` (M, 1), in float64,
    counts each network's steps and goes up by one; ``rates`` is (M, 1).
    """
    steps += 1
    size = rates * (1 - BETA2**steps).sqrt() / (1 - BETA1**steps)  # (M, 1)
    floor = EPS * (1 - BETA2**steps).sqrt() / size
    mean.lerp_(gradient, 1 - BETA1)
    square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
    root = (square + TINY).sqrt_()
    denominator = root.mul_((1 / size).to(rows)).add_(floor.to(rows))
    rows.addcdiv_(mean, denominator, value=-1)
