"""What every network is here: a body that turns images into features, and a linear head.

The penultimate features are what the papers draw (Figure 2 of [Re]), compare (R@1 of CS-KD) and
project, so no network hides them: the head multiplies exactly what `Classifier.features` returns.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from ldlstudy import checks

TAKEN_OVER = "taken_over_by_wrap"  # the mark of a network that has become a body


class Classifier(nn.Module):
    """A network for images, ``head(body(images))``.

    Parameters
    ----------
    body : nn.Module
        Maps images (N, C, H, W) to features (N, D); dropout before the head belongs to it.
    head : nn.Linear
        Maps features (N, D) to logits (N, K).
    channels : int
        C, which images must have.
    size : tuple of int, optional
        (H, W), for a network that takes one size only; without it any from ``smallest`` on. An
        empty one is of a network that takes features (N, C) alone.
    smallest : int
        The least H and W that survive the body's pooling.
    """

    def __init__(
        self,
        body: nn.Module,
        head: nn.Linear,
        channels: int,
        size: tuple[int, ...] | None = None,
        smallest: int = 1,
    ) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.channels, self.size, self.smallest = channels, size, smallest

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate activations (N, D) of float images (N, C, H, W).

        Raises
        ------
        ValueError
            Images of a shape or type that this network does not take.
        """
        places = tuple(images.shape[2:])
        fits = images.ndim > 1 and images.shape[1] == self.channels
        if self.size is None:
            fits = fits and images.ndim == 4 and min(places) >= self.smallest
        else:
            fits = fits and places == self.size
        if not fits or not images.is_floating_point():
            free = (f"H >= {self.smallest}", f"W >= {self.smallest}")
            taken = ["N", self.channels, *(free if self.size is None else self.size)]
            raise ValueError(
                f"this network takes floating-point images ({', '.join(map(str, taken))}), "
                f"got {images.dtype} of shape {tuple(images.shape)}"
            )
        return self.body(images)

    @overload
    def forward(self, images: Tensor, return_features: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, images: Tensor, return_features: Literal[True]) -> tuple[Tensor, Tensor]: ...

    def forward(
        self, images: Tensor, return_features: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits (N, K), with ``return_features`` logits and features (N, D)."""
        features = self.features(images)
        logits = self.head(features)
        return (logits, features) if return_features else logits


def check_module(network: Any, whose: str = "the network") -> None:
    """Refuse what is no network: a function, a class, a file, what `wrap` has made a body of."""
    if not isinstance(network, nn.Module):
        raise ValueError(f"{whose} must be a torch.nn.Module, got {type(network).__name__}")
    if getattr(network, TAKEN_OVER, False):
        raise ValueError(
            f"{whose} has been wrapped, and gives features now: go on with what "
            "ldlstudy.models.wrap returned"
        )


@contextlib.contextmanager
def in_mode(network: nn.Module, *, training: bool) -> Iterator[None]:
    """A network is in training or evaluation mode; afterwards each module of it is in its own."""
    modes = [(module, module.training) for module in network.modules()]
    network.train(training)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def wrap(network: nn.Module, shape: tuple[int, ...]) -> Classifier:
    """Return a network that others wrote as a :class:`Classifier`, so that every method takes it.

    Its last linear layer becomes the head, and what comes before it the body. This is tried out on
    images of noise: head and body must give what the network gives.

    Parameters
    ----------
    network : Module
        From images (N, C, H, W) to logits (N, K); it is changed in place and shares its weights.
    shape : tuple of int
        C, H, W of an image, or (F,) of features.

    Raises
    ------
    ValueError
        If the network does not take such images, its logits do not come from one last linear layer
        that takes features (N, D), or it has been wrapped before.
    """
    check_module(network)
    if isinstance(network, Classifier):
        return network
    if not isinstance(shape, tuple | list):
        raise ValueError(f"shape must be (C, H, W), or (F,) of features, got {shape!r}")
    for side in shape:
        checks.whole("a side of shape", side, 1)
    linear = [n for n, module in network.named_modules() if isinstance(module, nn.Linear)]
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    mode = network.training
    with torch.no_grad(), in_mode(network, training=False):
        drawn = torch.Generator().manual_seed(0)
        images = torch.rand(2, *shape, generator=drawn).to(device)
        try:
            before = network(images)
        except Exception as error:  # of any kind: it is the user's own code
            reason = " ".join(str(error).split())
            raise ValueError(f"the network takes no images {tuple(shape)}: {reason}") from error
        if linear and linear[-1]:
            head = network.get_submodule(linear[-1])
            assert isinstance(head, nn.Linear)
            network.set_submodule(linear[-1], nn.Identity())
            try:
                features = network(images)
            except Exception:  # it asks its last layer for more than what that makes of features
                features = None
            fits = isinstance(features, Tensor) and features.shape == (2, head.in_features)
            if fits and torch.allclose(head(features), before, rtol=1e-3, atol=1e-4):
                size = () if len(shape) == 1 else None
                setattr(network, TAKEN_OVER, True)
                return Classifier(network, head, shape[0], size).train(mode)
            network.set_submodule(linear[-1], head)
    raise ValueError(
        f"the logits of {type(network).__name__} are not what one last linear layer makes of "
        "features (N, D): give a ldlstudy.models.Classifier(body, head, channels)"
    )
