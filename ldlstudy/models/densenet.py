"""Densely connected networks (Huang et al. 2017), built from torchvision's blocks.

Every layer sees the outputs of all layers before it in its block. For small images one 3x3
convolution, without batch norm or pooling, replaces torchvision's four layers of the stem.
Convolutions are drawn He-normal (fan-in) as torchvision does, the head's biases are 0.
"""

from collections.abc import Callable, Sequence

from torch import nn
from torchvision.models import DenseNet

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier
from ldlstudy.models.layers import convolution, pool

STEM_LAYERS = 4  # torchvision's convolution, norm, ReLU, pooling
SMALLEST = 29  # pixels that the 7x7 stem and three transitions leave one place


def _densenet(
    growth: int, blocks: Sequence[int], width: int, classes: int, channels: int, stem: str
) -> Classifier:
    checks.whole("channels", channels, 1)
    net = DenseNet(growth, tuple(blocks), width, num_classes=classes)
    layers = list(net.features)
    if stem == "3x3":
        layers[:STEM_LAYERS] = [convolution(channels, width, 3)]
    elif channels != 3:
        layers[0] = convolution(channels, width, 7, stride=2)
    nn.init.kaiming_normal_(layers[0].weight)
    body = nn.Sequential(*layers, nn.ReLU(inplace=True), pool())
    smallest = 2 ** (len(blocks) - 1) if stem == "3x3" else SMALLEST
    return Classifier(body, net.classifier, channels, smallest=smallest)


def densenet_bc_40_12(classes: int, *, channels: int = 3) -> Classifier:
    """Return DenseNet-BC of depth 40 and growth 12: three blocks of six layers, 24-channel stem."""
    return _densenet(12, (6, 6, 6), 24, classes, channels, "3x3")


def densenet121(classes: int, *, channels: int = 3, stem: str = "3x3") -> Classifier:
    """Return DenseNet-121 of growth 32.

    Parameters
    ----------
    classes, channels
        Number of classes K, and channels of an image.
    stem : {"3x3", "7x7"}
        "3x3" (of 64 channels, which is 2 x growth) for small images; "7x7", torchvision's, for 224.
    """
    stem = checks.one_of("stem", stem, ["3x3", "7x7"])
    return _densenet(32, (6, 12, 24, 16), 64, classes, channels, stem)


MODELS: dict[str, Callable[..., Classifier]] = {
    "densenet121": densenet121,
    "densenet_bc_40_12": densenet_bc_40_12,
}
