"""What several families of networks share: stages of residual blocks, pooling, initialisation.

The blocks themselves are torchvision's where its definition gives the papers' parameter counts.
"""

from collections.abc import Callable

from torch import nn


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return the shortcut of He et al.'s option B: a strided 1x1 convolution and a batch norm."""
    return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def stage(
    block: Callable[..., nn.Module],
    inputs: int,
    outputs: int,
    blocks: int,
    stride: int = 1,
    shortcut: Callable[[int, int, int], nn.Module] = projection,
) -> nn.Sequential:
    """Return ``blocks`` residual blocks, the first of which changes the width and the size.

    ``block(inputs, outputs, stride, shortcut)`` makes one; its shortcut is None for the identity.
    """
    changes = stride != 1 or inputs != outputs
    first = block(inputs, outputs, stride, shortcut(inputs, outputs, stride) if changes else None)
    rest = (block(outputs, outputs, 1, None) for _ in range(1, blocks))
    return nn.Sequential(first, *rest)


Kernel = int | tuple[int, int]


def convolution(
    inputs: int, outputs: int, kernel: Kernel, stride: int = 1, pad: bool = True
) -> nn.Conv2d:
    """Return a convolution without a bias.

    It keeps the size (of each ``stride``-th place), unless it does not ``pad``.
    """
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (rows // 2, columns // 2) if pad else (0, 0)
    return nn.Conv2d(inputs, outputs, (rows, columns), stride, padding, bias=False)


def unit(
    inputs: int, outputs: int, kernel: Kernel = 3, stride: int = 1, pad: bool = True
) -> nn.Sequential:
    """Return a :func:`convolution`, a batch norm and a ReLU: the stem of a network, and more."""
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride, pad),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def pool() -> nn.Sequential:
    """Return the mean over places, (N, D, H, W) to (N, D)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def he_normal(network: nn.Module) -> None:
    """Draw the convolutions as He et al. 2015 do, N(0, 2 / fan-out); their biases are 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
