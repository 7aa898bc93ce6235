"""The fast network: its whitening, its first weights, its shapes."""

import copy

import pytest
import torch
from torch import nn

import ldlstudy
from ldlstudy import models


def images(count=200, channels=3, size=12):
    """Smooth colour images: neighbouring pixels are alike, as in photographs."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, channels, size + 4, size + 4, generator=generator)
    mixed = torch.einsum(
        "dc,nchw->ndhw", torch.randn(channels, channels, generator=generator), noise
    )
    return nn.functional.avg_pool2d(mixed, 5, 1) * 3


def adapted(**options):
    torch.manual_seed(0)
    network = models.build("fast_cnn", 4, **options)
    network.adapt(images(channels=options.get("channels", 3)))
    return network


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_layer_gives_uncorrelated_values_of_one_variance_and_their_negatives(channels):
    first = adapted(channels=channels).body[0]
    seen = images(channels=channels)
    values = nn.functional.conv2d(seen, first.weight).transpose(0, 1).flatten(1).double()
    half = 4 * channels
    assert len(values) == 2 * half
    torch.testing.assert_close(values[half:], -values[:half])
    moments = values[:half] @ values[:half].T / values.shape[1]
    patches = nn.functional.unfold(seen, 2).transpose(0, 1).flatten(1).double()
    variances = torch.linalg.eigvalsh(patches @ patches.T / patches.shape[1])
    expected = torch.diag(variances / (variances + 5e-4))
    torch.testing.assert_close(moments, expected, atol=1e-4, rtol=1e-4)


def test_the_sign_of_a_filter_is_that_of_its_largest_weight():
    filters = adapted().body[0].weight.flatten(1)[:12]
    assert bool((filters.gather(1, filters.abs().argmax(1, keepdim=True)) > 0).all())


def test_every_trained_convolution_begins_by_passing_its_inputs_on():
    convolutions = [m for m in adapted().modules() if isinstance(m, nn.Conv2d)][1:]
    assert [c.in_channels for c in convolutions] == [24, 64, 64, 256, 256, 256]
    for convolution in convolutions:
        shown = torch.randn(1, convolution.in_channels, 5, 5)
        torch.testing.assert_close(convolution(shown)[:, : convolution.in_channels], shown)


def test_widths_padding_and_the_smallest_image():
    net = adapted(widths=[24, 32, 40])
    assert net.head.in_features == 40
    with pytest.raises(ValueError, match="H >= 9"):
        net(torch.zeros(2, 3, 8, 9))
    assert adapted(padding=1)(torch.zeros(2, 3, 7, 7)).shape == (2, 4)
    with pytest.raises(ValueError, match="three blocks, got"):
        models.build("fast_cnn", 4, widths=[64, 128])
    with pytest.raises(ValueError, match="width"):
        models.build("fast_cnn", 4, widths=[64, 32, 128])


def test_training_leaves_the_whitening_alone():
    net = adapted()
    before = net.body[0].weight.clone()
    optimiser = torch.optim.SGD(net.parameters(), 0.1, weight_decay=0.1)
    net(images()).sum().backward()
    optimiser.step()
    assert torch.equal(net.body[0].weight, before)
    assert not net.body[0].weight.requires_grad


def test_training_adapts_it_to_its_images_but_not_weights_that_are_ready():
    pixels, labels = images(60).clamp(0, 1), torch.arange(60) % 4
    once = {"recipe": ldlstudy.Recipe(1, batch=20, rate=1e-9), "device": "cpu"}

    def first(network):
        return network.body[0].weight.clone()

    torch.manual_seed(0)
    fresh, ready = models.build("fast_cnn", 4), models.build("fast_cnn", 4)
    ready.adapt(pixels)
    ldlstudy.train(fresh, (pixels, labels), **once)
    torch.testing.assert_close(first(fresh), first(ready))

    loaded = models.build("fast_cnn", 4)
    loaded.load_state_dict(adapted().state_dict())
    before = first(loaded)
    assert not torch.equal(before, first(ready))
    for network in (loaded, copy.deepcopy(loaded)):
        ldlstudy.train(network, (pixels, labels), **once)
        assert torch.equal(first(network), before)
