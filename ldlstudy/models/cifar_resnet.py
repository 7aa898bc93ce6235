"""He et al.'s residual networks for CIFAR: three stages of 16, 32 and 64 channels, option A.

Depth 6n + 2 with n blocks a stage ("Deep residual learning for image recognition", section 4.2).
Where the size halves, the shortcut has no weights: every second pixel, and channels of zeros.
Convolutions are drawn He-normal (fan-out), the head as torch does.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier
from ldlstudy.models.layers import he_normal, pool, stage, unit

LAST_SURVIVAL = 0.5  # of the last block (Huang et al. 2016, section 3)


class PadShortcut(nn.Module):
    """Option A: subsample places by ``stride`` and append zero channels on both sides."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.before = stride, (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


class StochasticBlock(BasicBlock):
    """A basic block that training leaves out now and then (Huang et al. 2016, eqs. 2 and 5).

    In training the residual branch counts for the whole batch with probability ``survival``, else
    not at all; in evaluation it counts ``survival`` times. The draw stays on the device and the
    branch is computed either way, so that the network compiles; so its batch norms see every batch.
    """

    survival = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        identity = x if self.downsample is None else self.downsample(x)
        alive: Tensor | float = self.survival
        if self.training:
            alive = (torch.rand((), device=x.device) < self.survival).to(residual.dtype)
        return F.relu(identity + alive * residual)


def resnet(
    block: Callable[..., nn.Module], depth: int, classes: int, *, channels: int = 3
) -> Classifier:
    """Return ResNet-``depth`` for images of ``channels`` channels and any size, usually 32 x 32."""
    checks.whole("channels", channels, 1)
    n = (depth - 2) // 6
    body = nn.Sequential(
        unit(channels, 16),
        stage(block, 16, 16, n),
        stage(block, 16, 32, n, 2, PadShortcut),
        stage(block, 32, 64, n, 2, PadShortcut),
        pool(),
    )
    he_normal(body)
    return Classifier(body, nn.Linear(64, classes), channels)


def stochastic_resnet(depth: int, classes: int, *, channels: int = 3) -> Classifier:
    """Return ResNet-``depth`` with stochastic depth, survival falling linearly to one half.

    The l-th of L blocks survives with probability 1 - l / (2 L) (Huang et al. 2016, eq. 4).
    """
    network = resnet(StochasticBlock, depth, classes, channels=channels)
    blocks = [m for m in network.modules() if isinstance(m, StochasticBlock)]
    for position, block in enumerate(blocks, 1):
        block.survival = 1 - position / len(blocks) * (1 - LAST_SURVIVAL)
    return network


MODELS: dict[str, Callable[..., Classifier]] = {
    **{f"resnet{depth}": partial(resnet, BasicBlock, depth) for depth in (20, 32, 44, 56, 110)},
    **{f"resnet{depth}_sd": partial(stochastic_resnet, depth) for depth in (110, 152)},
}
