"""ResNeXt-29 for small images (Xie et al. 2017): bottlenecks whose 3x3 convolution has groups.

The layout with the 27.3 M parameters of the LDL paper: a 1x1 stem of 64 channels, three stages of
three blocks, 4 groups of 64 channels in the first stage and twice as many in each next one, and
blocks that put out twice their inner width. He-normal (fan-out) convolutions, torch's head.
"""

from collections.abc import Callable

from torch import nn
from torchvision.models.resnet import Bottleneck

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier
from ldlstudy.models.layers import he_normal, pool, stage, unit

GROUPS = 4


class GroupedBottleneck(Bottleneck):
    """torchvision's bottleneck with 4 groups and an inner width of half the outputs."""

    expansion = 2

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, shortcut: nn.Module | None = None
    ) -> None:
        # torchvision's inner width is planes * base_width / 64 * groups: here it is the planes
        super().__init__(
            inputs, outputs // 2, stride, shortcut, groups=GROUPS, base_width=64 // GROUPS
        )


def resnext29_4x64d(classes: int, *, channels: int = 3) -> Classifier:
    """Return ResNeXt29_4x64d, for images of any size, usually 32 x 32."""
    checks.whole("channels", channels, 1)
    body = nn.Sequential(
        unit(channels, 64, kernel=1),
        stage(GroupedBottleneck, 64, 512, 3),
        stage(GroupedBottleneck, 512, 1024, 3, 2),
        stage(GroupedBottleneck, 1024, 2048, 3, 2),
        pool(),
    )
    he_normal(body)
    return Classifier(body, nn.Linear(2048, classes), channels)


MODELS: dict[str, Callable[..., Classifier]] = {"resnext29_4x64d": resnext29_4x64d}
