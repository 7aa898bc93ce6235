"""Every image gets the window, mirror image or map that a loop over images would give it."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as reference

from ldlstudy.training import geometry

SEEDS = st.integers(0, 2**32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    """Images whose pixels all differ and none of which is 0, so that each tells its origin."""
    values = torch.arange(1, count * channels * height * width + 1)
    return values.view(count, channels, height, width)


@given(
    st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    st.integers(0, 3),
    st.data(),
    SEEDS,
)
def test_a_random_crop_is_a_window_of_the_padded_image(shape, padding, data, seed):
    images = numbered(*shape)
    h = data.draw(st.integers(1, shape[2] + 2 * padding))
    w = data.draw(st.integers(1, shape[3] + 2 * padding))
    result = geometry.random_crop(images, (h, w), padding, seeded(seed))
    assert result.shape == (*shape[:2], h, w)
    for image, window in zip(images.numpy(), result.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
        windows = [
            padded[:, y : y + h, x : x + w]
            for y in range(padded.shape[1] - h + 1)
            for x in range(padded.shape[2] - w + 1)
        ]
        assert any(np.array_equal(window, one) for one in windows)


def test_crops_take_every_position_equally_often():
    images = torch.arange(1, 10).view(1, 1, 3, 3).expand(9000, 1, 3, 3)
    corners = geometry.random_crop(images, 1, 0, seeded()).flatten()
    counts = corners.bincount(minlength=10)[1:].double()
    chi_squared = float(((counts - 1000).square() / 1000).sum())
    assert chi_squared < 26.1  # the 99.9 % point of 8 degrees of freedom


@given(st.integers(1, 5), st.integers(1, 5), SEEDS)
def test_a_flip_mirrors_whole_images(count, width, seed):
    images = numbered(count, 2, 2, width)
    for image, result in zip(images, geometry.random_flip(images, seeded(seed)), strict=True):
        assert torch.equal(result, image) or torch.equal(result, image.flip(2))


def test_half_of_the_images_are_flipped():
    images = torch.tensor([0, 1]).view(1, 1, 1, 2).expand(10_000, 1, 1, 2)
    flipped = geometry.random_flip(images, seeded())[:, 0, 0, 0].double().mean()
    assert float(flipped) == pytest.approx(0.5, abs=0.02)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 6), SEEDS)
def test_a_shift_is_numpy_s_roll_with_zeros(count, height, width, pixels, seed):
    images = numbered(count, 2, height, width)
    result = geometry.random_shift(images, pixels, seeded(seed)).numpy()
    for image, shifted in zip(images.numpy(), result, strict=True):
        border = np.pad(image, ((0, 0), (pixels, pixels), (pixels, pixels)))
        rolled = [
            np.roll(border, (dy, dx), (1, 2))[:, pixels : pixels + height, pixels : pixels + width]
            for dy in range(-pixels, pixels + 1)
            for dx in range(-pixels, pixels + 1)
        ]
        assert any(np.array_equal(shifted, one) for one in rolled)


@settings(max_examples=30)
@given(
    st.floats(-180, 180),
    st.integers(-3, 3),
    st.integers(-3, 3),
    st.floats(0.5, 2),
    st.sampled_from([(7, 7), (6, 9), (9, 6)]),
)
def test_an_affine_map_is_torchvision_s(degrees, right, down, scale, size):
    image = torch.rand(1, 2, *size, generator=seeded(), dtype=torch.float64)
    ours = geometry.affine(
        image,
        torch.tensor([degrees], dtype=torch.float64),
        torch.tensor([[right, down]], dtype=torch.float64),
        torch.tensor([scale], dtype=torch.float64),
    )
    theirs = reference.affine(
        image, degrees, [right, down], scale, [0.0], InterpolationMode.BILINEAR
    )
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_random_affine_map_stays_within_its_ranges(monkeypatch):
    drawn = {}

    def keep(images, degrees, shift, scale):
        drawn.update(degrees=degrees, right=shift[:, 0], down=shift[:, 1], scale=scale)
        return images

    monkeypatch.setattr(geometry, "affine", keep)
    geometry.random_affine(torch.zeros(20_000, 1, 10, 20), 30, 0.1, (0.8, 1.5), seeded())
    ranges = {"degrees": (-30, 30), "right": (-2, 2), "down": (-1, 1), "scale": (0.8, 1.5)}
    for name, (low, high) in ranges.items():
        assert low <= float(drawn[name].min()) < low + 0.01 * (high - low)
        assert high >= float(drawn[name].max()) > high - 0.01 * (high - low)
    together = torch.corrcoef(torch.stack(list(drawn.values())))
    torch.testing.assert_close(together, torch.eye(4), atol=0.03, rtol=0)


IMAGES = torch.zeros(2, 1, 4, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: geometry.random_crop(IMAGES[0], 2, 0, g), "images must have shape (B, C, H, W)"),
        (lambda g: geometry.random_crop(IMAGES, 7, 1, g), "a window of 7 x 7 does not fit in 4 x"),
        (lambda g: geometry.random_crop(IMAGES, 0, 1, g), "size must be a whole number"),
        (lambda g: geometry.random_crop(IMAGES, 2, -1, g), "padding must be a whole number"),
        (lambda g: geometry.random_shift(IMAGES, -1, g), "pixels must be a whole number"),
        (lambda g: geometry.random_affine(IMAGES, 181, 0, (1, 1), g), "degrees must lie in"),
        (lambda g: geometry.random_affine(IMAGES, 0, 2, (1, 1), g), "translate must lie in"),
        (lambda g: geometry.random_affine(IMAGES, 0, 0, (0, 1), g), "scale must lie in (0"),
        (lambda g: geometry.random_affine(IMAGES, 0, 0, (2, 1), g), "(smallest, largest)"),
        (lambda g: geometry.random_affine(IMAGES.byte(), 0, 0, (1, 1), g), "floating point"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(seeded())
