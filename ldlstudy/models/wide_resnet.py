"""The wide residual network of the ILS paper (its "ResNet32W"), after Zagoruyko & Komodakis 2016.

Three stages of five pre-activation blocks, 160, 320 and 640 channels wide. The count that the paper
prints, 46.17 M, is that of the implementation it cites, whose convolutions have biases and whose
second convolution of a block takes the stride. ILS states no dropout; there is none here.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier
from ldlstudy.models.layers import he_normal, pool, stage


class WideBlock(nn.Module):
    """Two 3x3 convolutions, each after a batch norm and a ReLU, and a shortcut of the raw input."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, shortcut: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        identity = x if self.shortcut is None else self.shortcut(x)
        residual = self.conv1(F.relu(self.bn1(x)))
        return identity + self.conv2(F.relu(self.bn2(residual)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1, stride)


def wrn_34_10(classes: int, *, channels: int = 3) -> Classifier:
    """Return WRN-34-10, for images of any size; He-normal (fan-out), biases 0, torch's head."""
    checks.whole("channels", channels, 1)
    body = nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        stage(WideBlock, 16, 160, 5, 1, _shortcut),
        stage(WideBlock, 160, 320, 5, 2, _shortcut),
        stage(WideBlock, 320, 640, 5, 2, _shortcut),
        nn.BatchNorm2d(640),
        nn.ReLU(inplace=True),
        pool(),
    )
    he_normal(body)
    return Classifier(body, nn.Linear(640, classes), channels)


MODELS: dict[str, Callable[..., Classifier]] = {"wrn_34_10": wrn_34_10}
