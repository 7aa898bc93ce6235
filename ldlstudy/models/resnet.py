"""The residual networks for ImageNet (He et al. 2016), as torchvision defines and initialises them.

For small images the papers replace the 7x7 stem, which would leave a 32 x 32 image with 8 x 8
places, by one 3x3 convolution without pooling. Convolutions are drawn He-normal (fan-out), the head
as torch does; the last batch norm of a block starts at 1, not at 0.
"""

import pickle
from collections.abc import Callable, Sequence
from functools import partial

from torch import nn
from torchvision import models as torchvision_models
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier
from ldlstudy.models.layers import convolution, he_normal

STEMS = ("3x3", "7x7")


def resnet(
    block: type[BasicBlock] | type[Bottleneck],
    blocks: Sequence[int],
    classes: int,
    groups: int = 1,
    width: int = 64,
    *,
    channels: int = 3,
    stem: str = "3x3",
) -> Classifier:
    """Return a ResNet of four stages.

    Parameters
    ----------
    block, blocks
        torchvision's block, and how many of them each stage has.
    classes : int
        Number of classes K.
    groups, width : int
        Of the bottlenecks' 3x3 convolutions: groups, and channels of a group in the first stage.
    channels : int
        Channels of an image.
    stem : {"3x3", "7x7"}
        "3x3" for images of 32 to 64 pixels; "7x7", with stride 2 and a pooling, for 224.
    """
    checks.whole("channels", channels, 1)
    checks.one_of("stem", stem, STEMS)
    net = ResNet(block, list(blocks), num_classes=classes, groups=groups, width_per_group=width)
    if stem == "3x3":
        net.conv1, net.maxpool = convolution(channels, 64, 3), nn.Identity()
    elif channels != 3:
        net.conv1 = convolution(channels, 64, 7, stride=2)
    he_normal(net.conv1)
    head, net.fc = net.fc, nn.Identity()
    return Classifier(net, head, channels)


def pretrained_resnet(
    name: str,
    block: type[BasicBlock] | type[Bottleneck],
    blocks: Sequence[int],
    classes: int,
    *,
    channels: int = 3,
    stem: str = "3x3",
    weights: str | None = None,
) -> Classifier:
    """Return a ResNet that may start from torchvision's ImageNet weights.

    Parameters
    ----------
    name : str
        torchvision's name of the network.
    block, blocks, classes, channels, stem
        As in `resnet`.
    weights : {"imagenet"}, optional
        Load torchvision's default ImageNet weights (V1 of ResNet-34 and V2 of ResNet-50, as in
        [Re]; fetched once into torch's cache), for the 7x7 stem and three channels. With other
        than 1000 classes the head is drawn anew.

    Raises
    ------
    ValueError
        Weights that this stem cannot take, or that could not be fetched or read.
    """
    network = resnet(block, blocks, classes, channels=channels, stem=stem)
    if weights is None:
        return network
    checks.one_of("weights", weights, ["imagenet"])
    if stem != "7x7" or channels != 3:
        raise ValueError(
            f'weights="imagenet" need stem="7x7" and 3 channels, got {stem!r} and {channels}'
        )
    published = torchvision_models.get_model_weights(name).DEFAULT
    try:
        state = published.get_state_dict(check_hash=True, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"could not get the weights {published.url}: {error}") from error
    head = {key.removeprefix("fc."): state.pop(key) for key in ("fc.weight", "fc.bias")}
    network.body.load_state_dict(state)
    if len(head["bias"]) == classes:
        network.head.load_state_dict(head)
    return network


def resnext101_32x4d(classes: int, *, channels: int = 3, stem: str = "3x3") -> Classifier:
    """Return ResNeXt-101 of 32 groups of width 4 (Xie et al. 2017), in CS-KD's Table 5.

    Parameters
    ----------
    classes, channels, stem
        As in `resnet`.
    """
    return resnet(Bottleneck, (3, 4, 23, 3), classes, 32, 4, channels=channels, stem=stem)


MODELS: dict[str, Callable[..., Classifier]] = {
    "resnet10": partial(resnet, BasicBlock, (1, 1, 1, 1)),
    "resnet18": partial(resnet, BasicBlock, (2, 2, 2, 2)),
    "resnet34": partial(pretrained_resnet, "resnet34", BasicBlock, (3, 4, 6, 3)),
    "resnet50": partial(pretrained_resnet, "resnet50", Bottleneck, (3, 4, 6, 3)),
    "resnet101": partial(resnet, Bottleneck, (3, 4, 23, 3)),
    "resnet152": partial(resnet, Bottleneck, (3, 8, 36, 3)),
    "resnet200": partial(resnet, Bottleneck, (3, 24, 36, 3)),
    "resnext101_32x4d": resnext101_32x4d,
}
