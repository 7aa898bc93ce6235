"""Pre-activation residual networks: batch norm and ReLU come before each convolution.

After He et al. 2016, "Identity mappings in deep residual networks", in the layouts that CS-KD and
the replication of label smoothing ([Re]) trained: both normalise the stem as well and have no last
batch norm before the pooling.
"""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import conv1x1, conv3x3

from ldlstudy import checks
from ldlstudy.models import layers
from ldlstudy.models.classifier import Classifier
from ldlstudy.models.layers import he_normal, pool, stage

KERNELS = {"3x3": 3, "7x7": 7}


class PreActBlock(nn.Module):
    """Two 3x3 convolutions, each after a batch norm and a ReLU; so is the shortcut, if it acts."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, shortcut: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv3x3(inputs, outputs, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), conv3x3(outputs, outputs)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        active = F.relu(self.bn1(x))
        identity = x if self.shortcut is None else self.shortcut(active)
        return identity + self.conv2(F.relu(self.bn2(self.conv1(active))))


def preact_resnet(blocks: int, classes: int, *, channels: int = 3) -> Classifier:
    """Return CS-KD's PreAct ResNet for small images; torch's default initialisation, as theirs.

    Four stages, 64 to 512 channels, of one block each in ResNet-10 and two in ResNet-18; the
    shortcuts that act are bare 1x1 convolutions.
    """
    checks.whole("channels", channels, 1)
    body = nn.Sequential(
        layers.unit(channels, 64),
        stage(PreActBlock, 64, 64, blocks),
        stage(PreActBlock, 64, 128, blocks, 2, conv1x1),
        stage(PreActBlock, 128, 256, blocks, 2, conv1x1),
        stage(PreActBlock, 256, 512, blocks, 2, conv1x1),
        pool(),
    )
    return Classifier(body, nn.Linear(512, classes), channels)


def preact_resnet56(classes: int, *, channels: int = 3, stem: str = "3x3") -> Classifier:
    """Return [Re]'s ResNet-56: three stages of nine blocks with 32, 64 and 128 channels.

    The stem has 16 channels, so the first stage's first shortcut acts too; shortcuts are 1x1
    convolutions with a batch norm. He-normal (fan-out) convolutions, torch's default head.

    Parameters
    ----------
    classes, channels
        Number of classes K, and channels of an image.
    stem : {"3x3", "7x7"}
        Kernel of the first convolution, of stride 1: [Re] takes 3x3 on CIFAR-10, 7x7 on CIFAR-100.
    """
    checks.whole("channels", channels, 1)
    kernel = KERNELS[checks.one_of("stem", stem, KERNELS)]
    body = nn.Sequential(
        layers.unit(channels, 16, kernel),
        stage(PreActBlock, 16, 32, 9),
        stage(PreActBlock, 32, 64, 9, 2),
        stage(PreActBlock, 64, 128, 9, 2),
        pool(),
    )
    he_normal(body)
    return Classifier(body, nn.Linear(128, classes), channels)


MODELS: dict[str, Callable[..., Classifier]] = {
    "preact_resnet10": partial(preact_resnet, 1),
    "preact_resnet18": partial(preact_resnet, 2),
    "preact_resnet56": preact_resnet56,
}
