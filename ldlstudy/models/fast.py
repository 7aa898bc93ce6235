"""A network for real images on two cores, after Jordan's airbench94 (2024, arXiv:2404.00498).

Its first layer is a whitening of 2 x 2 patches that is computed from the training images, not
trained; its convolutions begin as the identity. Both are there to save epochs. It has ReLU where
airbench94 has GELU, which takes a processor longer.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier

WIDTHS = (64, 256, 256)
PATCH = 2  # side of what the first layer sees
FLOOR = 5e-4  # added to the variances of patches, as airbench94 does
MOMENTUM = 0.4  # of running statistics: there are few epochs to find them in
SCALE = 9  # features are divided by it, so that the first logits are small


class FastCNN(Classifier):
    """The network of `fast_cnn`, which `adapt` makes ready for images.

    Attributes
    ----------
    adapted : bool
        Whether that has been done, here or to the network whose weights it has been given.
    """

    adapted = False

    def load_state_dict(self, *given: Any, **options: Any) -> Any:
        """Load weights as every module does: they come from a network that is ready."""
        self.adapted = True
        return super().load_state_dict(*given, **options)

    def adapt(self, images: Tensor) -> None:
        """Let the first layer whiten the 2 x 2 patches of images (N, C, H, W).

        Its filters are the principal components of the patches, each divided by its deviation,
        and their negatives. The images are to be prepared as those of training are in tests.
        """
        weight = self.get_parameter("body.0.weight")
        patches = images.double().unfold(2, PATCH, 1).unfold(3, PATCH, 1)
        patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (components / (variances + FLOOR).sqrt()).T
        # a component's sign is arbitrary, and differs between processors
        largest = filters.gather(1, filters.abs().argmax(1, keepdim=True))
        filters = (filters * largest.sign()).view(-1, *weight.shape[1:])
        with torch.no_grad():
            weight.copy_(torch.cat([filters, -filters]))
        self.adapted = True


def fast_cnn(
    classes: int, *, channels: int = 3, widths: Sequence[int] = WIDTHS, padding: int = 0
) -> Classifier:
    """Return a network of seven convolutions.

    A whitening 2 x 2 convolution, whose weights are fixed, and three blocks of two 3 x 3
    convolutions with batch norm and ReLU, the first of each pooled by two; the maximum over places.

    Parameters
    ----------
    classes, channels
        Number of classes K, and channels of an image.
    widths : sequence of int
        Of the three blocks, each at least that before it.
    padding : int
        Zeros around an image; without any it has 9 pixels a side at least, with 1 it may have 7.
    """
    checks.whole("channels", channels, 1)
    if len(widths) != 3:
        raise ValueError(f"widths must be those of three blocks, got {list(widths)}")
    seen = 2 * channels * PATCH**2
    first = nn.Conv2d(channels, seen, PATCH, padding=checks.whole("padding", padding, 0))
    first.weight.requires_grad_(False)
    layers: list[nn.Module] = [first, nn.ReLU(inplace=True)]
    for width in widths:
        checks.whole("width", width, seen)
        layers += _convolved(seen, width, nn.MaxPool2d(2)) + _convolved(width, width)
        seen = width
    body = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), Divided(SCALE))
    return FastCNN(body, nn.Linear(seen, classes), channels, smallest=9 - 2 * padding)


class Divided(nn.Module):
    """Divides what it is given by a number."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, values: Tensor) -> Tensor:
        """Return the values divided."""
        return values / self.by


def _convolved(inputs: int, outputs: int, *then: nn.Module) -> list[nn.Module]:
    """A convolution whose first outputs begin as its inputs, what is to follow, norm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight.data[:inputs])
    norm = nn.BatchNorm2d(outputs, momentum=MOMENTUM)
    return [convolution, *then, norm, nn.ReLU(inplace=True)]


MODELS: dict[str, Callable[..., Classifier]] = {"fast_cnn": fast_cnn}
