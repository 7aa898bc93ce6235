"""Deep layer aggregation for small images (Yu et al. 2018): stages are trees of residual blocks.

A tree's root joins the outputs of all its branches by one 1x1 convolution, so a stage passes on
shallow features beside deep ones. The layout with the LDL paper's 16.3 M parameters: three plain
convolutions of 16, 16 and 32 channels, and trees of 64 (depth 1), 128, 256 (depth 2) and 512
channels (depth 1). He-normal (fan-out) convolutions, torch's head.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier
from ldlstudy.models.layers import he_normal, pool, stage, unit


class Tree(nn.Module):
    """A tree of depth 1: two residual blocks, one after the other, and a root that joins them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.left = stage(BasicBlock, inputs, outputs, 1, stride)
        self.right = BasicBlock(outputs, outputs)
        self.root = unit(2 * outputs, outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        left = self.left(x)
        return self.root(torch.cat([left, self.right(left)], 1))


class DeepTree(nn.Module):
    """A tree of depth 2: two residual blocks after a shallow tree, with one root for them all.

    The root also joins one residual block of the tree's own input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.input = stage(BasicBlock, inputs, outputs, 1, stride)
        self.below = Tree(inputs, outputs, stride)
        self.left, self.right = BasicBlock(outputs, outputs), BasicBlock(outputs, outputs)
        self.root = unit(4 * outputs, outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        below = self.below(x)
        left = self.left(below)
        return self.root(torch.cat([self.input(x), below, left, self.right(left)], 1))


def dla(classes: int, *, channels: int = 3) -> Classifier:
    """Return DLA, for images of any size, usually 32 x 32."""
    checks.whole("channels", channels, 1)
    body = nn.Sequential(
        unit(channels, 16),
        unit(16, 16),
        unit(16, 32),
        Tree(32, 64, 1),
        DeepTree(64, 128, 2),
        DeepTree(128, 256, 2),
        Tree(256, 512, 2),
        pool(),
    )
    he_normal(body)
    return Classifier(body, nn.Linear(512, classes), channels)


MODELS: dict[str, Callable[..., Classifier]] = {"dla": dla}
