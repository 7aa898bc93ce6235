"""What every network is here: a body that turns images into features, and a linear head.

The penultimate features are what the papers draw (Figure 2 of [Re]), compare (R@1 of CS-KD) and
project, so no network hides them: the head multiplies exactly what `Classifier.features` returns.
"""

from typing import Literal, overload

from torch import Tensor, nn


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
        (H, W), for a network that takes one size only; without it any from ``smallest`` on.
    smallest : int
        The least H and W that survive the body's pooling.
    """

    def __init__(
        self,
        body: nn.Module,
        head: nn.Linear,
        channels: int,
        size: tuple[int, int] | None = None,
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
        fits = images.ndim == 4 and images.shape[1] == self.channels
        if fits and self.size is not None:
            fits = tuple(images.shape[2:]) == self.size
        if not fits or min(images.shape[2:]) < self.smallest or not images.is_floating_point():
            height, width = self.size or (f"H >= {self.smallest}", f"W >= {self.smallest}")
            raise ValueError(
                f"this network takes floating-point images (N, {self.channels}, {height}, {width}),"
                f" got {images.dtype} of shape {tuple(images.shape)}"
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
