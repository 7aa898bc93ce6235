"""Networks without shortcuts: LeNet-5, two AlexNets, a small CNN for 8 x 8 digits."""

from collections.abc import Callable

from torch import nn

from ldlstudy import checks
from ldlstudy.models.classifier import Classifier
from ldlstudy.models.layers import pool


def lenet(classes: int, *, channels: int = 3, size: int = 32) -> Classifier:
    """Return LeNet-5 in its present form, with ReLU and max pooling (LeCun et al. 1998).

    5x5 convolutions of 6 and 16 channels without padding, dense layers of 120 and 84 units; torch's
    default initialisation.

    Parameters
    ----------
    classes, channels
        Number of classes K, and channels of an image.
    size : int
        Height and width of an image, at least 16: 32 for CIFAR, 28 for MNIST.
    """
    checks.whole("channels", channels, 1)
    places = ((checks.whole("size", size, 16) - 4) // 2 - 4) // 2
    body = nn.Sequential(
        nn.Conv2d(channels, 6, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * places**2, 120), nn.ReLU(inplace=True),
        nn.Linear(120, 84), nn.ReLU(inplace=True),
    )  # fmt: skip
    return Classifier(body, nn.Linear(84, classes), channels, (size, size))


def alexnet24(classes: int, *, channels: int = 3) -> Classifier:
    """Return the two-convolution "AlexNet" of Müller et al. and [Re], for images of 24 x 24.

    It is the network of TensorFlow's CIFAR tutorial, whose initialisation this follows: truncated
    normals of standard deviation .05 (convolutions), .04 (dense layers) and 1/192 (head), cut at
    two of them; biases 0, .1, .1, .1 and 0. Two slips of [Re]'s code are left out: it cuts the
    head's distribution to a single number, and gives torch TensorFlow's .001/9 for the local
    response norm, which torch divides by the number of channels summed once more.
    """
    checks.whole("channels", channels, 1)
    # tf.nn.lrn(4, bias=1, alpha=.001 / 9, beta=.75): a sum over 9 channels, torch takes their mean
    norms = [nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0) for _ in range(2)]
    convolutions = nn.Conv2d(channels, 64, 5, padding=2), nn.Conv2d(64, 64, 5, padding=2)
    dense = nn.Linear(64 * 6 * 6, 384), nn.Linear(384, 192)
    head = nn.Linear(192, classes)
    layers: list[nn.Module] = [*convolutions, *dense, head]
    deviations, biases = (0.05, 0.05, 0.04, 0.04, 1 / 192), (0.0, 0.1, 0.1, 0.1, 0.0)
    for layer, std, bias in zip(layers, deviations, biases, strict=True):
        weight, offset = layer.get_parameter("weight"), layer.get_parameter("bias")
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
        nn.init.constant_(offset, bias)
    body = nn.Sequential(
        convolutions[0], nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1), norms[0],
        convolutions[1], nn.ReLU(inplace=True), norms[1], nn.MaxPool2d(3, 2, padding=1),
        nn.Flatten(),
        dense[0], nn.ReLU(inplace=True), dense[1], nn.ReLU(inplace=True),
    )  # fmt: skip
    return Classifier(body, head, channels, (24, 24))


def alexnet32(classes: int, *, channels: int = 3) -> Classifier:
    """Return AlexNet for images of 32 x 32, ILS's student (Table IV).

    Five convolutions of 64, 192, 384, 256 and 256 channels and one dense layer, as public code for
    distillation on CIFAR has it; torch's default initialisation.
    """
    checks.whole("channels", channels, 1)
    body = nn.Sequential(
        nn.Conv2d(channels, 64, 11, stride=4, padding=5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    )  # fmt: skip
    return Classifier(body, nn.Linear(256, classes), channels, smallest=13)


def small_cnn(classes: int, *, channels: int = 1, norm: bool = False) -> Classifier:
    """Return a three-layer CNN for the noisy digits: 3x3 convolutions of 32, 64 and 64 channels.

    Pooled after the first and the second, and over all places at the end; torch's default
    initialisation.

    Parameters
    ----------
    classes, channels
        Number of classes K, and channels of an image.
    norm : bool
        Whether batch norms follow the convolutions, as in the papers' residual networks.
    """
    checks.whole("channels", channels, 1)
    checks.boolean("norm", norm)

    def layer(inputs: int, outputs: int) -> list[nn.Module]:
        normal = [nn.BatchNorm2d(outputs)] if norm else []
        return [nn.Conv2d(inputs, outputs, 3, padding=1), *normal, nn.ReLU(inplace=True)]

    body = nn.Sequential(
        *layer(channels, 32), nn.MaxPool2d(2),
        *layer(32, 64), nn.MaxPool2d(2),
        *layer(64, 64),
        pool(),
    )  # fmt: skip
    return Classifier(body, nn.Linear(64, classes), channels, smallest=4)


MODELS: dict[str, Callable[..., Classifier]] = {
    "alexnet24": alexnet24,
    "alexnet32": alexnet32,
    "lenet": lenet,
    "small_cnn": small_cnn,
}
