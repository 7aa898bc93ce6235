import math
import re

import pytest
import torch
from torchvision.transforms import functional as reference

from ldlstudy.data import Images, Stream
from ldlstudy.training.augment import NORMALISATIONS, Augmentation, normalise, unit


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(count: int = 5, channels: int = 3, side: int = 8) -> torch.Tensor:
    shape = (count, channels, side, side)
    return torch.randint(256, shape, generator=seeded(), dtype=torch.uint8)


@pytest.mark.parametrize("name", sorted(NORMALISATIONS))
def test_normalisation_by_channel_is_torchvision_s(name):
    images = unit(pixels())
    mean, deviation = NORMALISATIONS[name]
    expected = reference.normalize(images, list(mean), list(deviation))
    torch.testing.assert_close(normalise(images, name), expected)


def test_normalisation_by_image_is_tensorflow_s():
    images = unit(pixels())
    images[0] = 0.3  # without contrast: its deviation counts as 1 / sqrt(n)
    images[1] = 0.5
    images[1, 0, 0, 0] += 0.01
    result = normalise(images, "image")
    torch.testing.assert_close(result[0], torch.zeros(3, 8, 8), atol=1e-5, rtol=0)
    expected = (images[1] - images[1].mean()) * 192**0.5
    torch.testing.assert_close(result[1], expected, atol=1e-5, rtol=0)
    for image in result[2:]:
        assert float(image.mean()) == pytest.approx(0, abs=1e-5)
        assert float(image.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_pixels_become_floats_in_the_unit_range_and_floats_are_kept():
    assert unit(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx(
        [0, 0.2, 1]
    )
    noisy = torch.tensor([-0.5, 1.5], dtype=torch.float64)
    assert unit(noisy).dtype == torch.float32
    assert unit(noisy).tolist() == [-0.5, 1.5]


def test_nothing_asked_for_is_nothing_done():
    images, nothing, draws = pixels(), Augmentation(), seeded()
    before = draws.get_state()
    assert torch.equal(nothing.train(images, draws), images.float() / 255)
    assert torch.equal(draws.get_state(), before)
    for augmentation in (nothing, Augmentation(crop=8, pad=2), Augmentation(noise=0.5)):
        assert torch.equal(augmentation.test(images), images.float() / 255)


def test_tests_see_the_central_window_normalised():
    images = pixels()
    result = Augmentation(crop=4, flip=True, shift=2, normalise="cskd").test(images)
    expected = normalise(reference.center_crop(images, [4, 4]).float() / 255, "cskd")
    torch.testing.assert_close(result, expected)


def test_training_combines_all_steps_and_follows_its_seed():
    augmentation = Augmentation(6, 1, True, 1, (10, 0.1, 0.9, 1.1), "image")
    first, again, other = (augmentation.train(pixels(), seeded(s)) for s in (1, 1, 2))
    assert first.shape == (5, 3, 6, 6)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.testing.assert_close(first.mean((1, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)


def test_each_image_has_a_draw_of_its_own():
    same = pixels(1).expand(64, -1, -1, -1)
    result = Augmentation(crop=8, pad=4, flip=True).train(same, seeded())
    assert len(result.flatten(1).unique(dim=0)) > 32  # of 162 equally probable ones


@pytest.mark.parametrize("deviation", [0.1, 2.0])
@pytest.mark.parametrize("normalisation", ["none", "cifar10", "image"])
def test_noise_is_normal_in_the_units_of_normalised_images(deviation, normalisation):
    images = pixels(40, side=32)
    augmentation = Augmentation(normalise=normalisation, noise=deviation)
    added = (augmentation.train(images, seeded()) - augmentation.test(images)).double()
    n = added.numel()
    assert float(added.mean()) == pytest.approx(0, abs=4 * deviation / n**0.5)
    assert float(added.std()) == pytest.approx(deviation, rel=4 / (2 * n) ** 0.5)
    within = (added.abs() < deviation).double().mean()
    assert float(within) == pytest.approx(math.erf(0.5**0.5), abs=4 * (0.217 / n) ** 0.5)
    one, other = added[:, :, :-1].flatten(), added[:, :, 1:].flatten()  # neighbours
    assert float(torch.corrcoef(torch.stack([one, other]))[0, 1]) == pytest.approx(0, abs=0.02)


def test_every_view_of_every_image_has_noise_of_its_own():
    augmentation, draws = Augmentation(noise=0.1), seeded(1)
    same = (pixels(1).float() / 255).expand(8, -1, -1, -1)
    before = same.clone()
    views = torch.cat([augmentation.train(same, draws) for _ in range(2)])
    assert len(views.flatten(1).unique(dim=0)) == 16
    assert torch.equal(same, before)


def test_a_run_s_mapping_is_an_augmentation():
    settings = {"crop": 32, "pad": 4, "flip": True, "affine": [10, 0.1, 1, 1]}
    assert Augmentation.of(settings) == Augmentation(32, 4, True, affine=[10, 0.1, 1, 1])
    assert Augmentation.of({}) == Augmentation()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Augmentation.of({"zoom": 2}), "augmentation setting 'zoom'; known: affine,"),
        (lambda: Augmentation(crop=0), "crop must be a whole number of at least 1"),
        (lambda: Augmentation(crop=4, pad=-1), "pad must be a whole number"),
        (lambda: Augmentation(pad=4), "pad 4 needs the side of a crop"),
        (lambda: Augmentation(shift=-1), "shift must be a whole number"),
        (lambda: Augmentation(noise=-0.1), "noise must lie in [0, inf), got -0.1"),
        (lambda: Augmentation(noise=math.nan), "noise must lie in [0, inf), got nan"),
        (lambda: Augmentation(affine=(1, 2)), "affine must be degrees, translate, smallest"),
        (lambda: Augmentation(affine=3), "affine must be degrees, translate, smallest"),  # type: ignore[arg-type]
        (lambda: Augmentation(flip="no"), "flip must be true or false, got 'no'"),  # type: ignore[arg-type]
        (lambda: Augmentation(normalise=(0.5, 0.2)), "means and deviations by channel, got"),  # type: ignore[arg-type]
        (lambda: Augmentation(normalise="z"), "unknown normalisation 'z'; known: cifar10,"),
        (lambda: Augmentation(crop=9).test(pixels()), "crop 9 is larger than images of 8 x 8"),
        (lambda: Augmentation(crop=9).train(pixels(), seeded()), "does not fit in 8 x 8 images"),
        (lambda: Augmentation().test(pixels()[0]), "images must have shape (B, C, H, W)"),
        (lambda: normalise(unit(pixels(1, 1)), "cifar10"), "of 3 channels, the images have 1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("kind", ["bytes", "floats", "stream"])
def test_the_normalisation_of_the_training_images_gives_mean_0_and_deviation_1(kind, tmp_path):
    shown = pixels(40)
    shown[:, 2] = 7  # a channel that is the same everywhere keeps its deviation
    images = Images(shown if kind != "floats" else unit(shown), torch.zeros(40).long())
    if kind == "stream":
        files = [tmp_path / f"{i}.png" for i in range(40)]
        for file, image in zip(files, shown, strict=True):
            reference.to_pil_image(image).save(file)
        images = Images(Stream(files, 8), images.labels)
    asked = Augmentation(normalise="training", flip=True)
    found = asked.fitted(images)
    assert found.fitted(images) is found
    seen = found.test(shown)
    assert seen.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert seen.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 0], abs=1e-5)
    mean, deviation = found.normalise
    reference_ = reference.normalize(unit(shown), mean, deviation)
    torch.testing.assert_close(seen, reference_)
    with pytest.raises(ValueError, match=r"give Augmentation\(...\).fitted\(training\)"):
        asked.test(shown)


@pytest.mark.parametrize(
    ("normalise", "message"),
    [
        (([0.5], [0.2]), "the normalisation is of 1 channels, the images have 3"),
        (([0.5] * 3, [0.2, 0.2]), "normalise must be a name, or means and deviations by channel"),
        (0.5, "normalise must be a name, or means and deviations by channel, got 0.5"),
        (([0.5] * 3, [0.2, 0.2, 0]), r"a deviation must lie in \(0, inf\), got 0"),
        (([0.5, math.nan, 0], [0.2] * 3), "a mean must lie in"),
    ],
)
def test_a_normalisation_by_numbers_that_does_not_fit(normalise, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(normalise=normalise).test(pixels())
