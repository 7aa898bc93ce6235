import functools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from ldlstudy import checks, mixing, targets

ALL = {
    "mixup": mixing.mixup,
    "cutmix": mixing.cutmix,
    "ricap": mixing.ricap,
    "cutout": functools.partial(mixing.cutout, size=4),
}
OPTIONS = {
    "mixup": {"alpha": 0.4},
    "cutmix": {"alpha": 0.7, "probability": 0.5},
    "ricap": {"alpha": 2.0},
    "cutout": {"size": 4},
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(count=5, height=6, width=9):
    """Images whose pixels all hold the image's own number, counted from 1."""
    numbers = torch.arange(1.0, count + 1)
    return numbers[:, None, None, None].expand(count, 2, height, width).contiguous()


SIZES = st.tuples(st.integers(1, 6), st.integers(1, 8), st.integers(1, 8))
SEEDS, ALPHAS = st.integers(0, 2**32), st.floats(0.05, 20)


@given(SIZES, SEEDS)
@pytest.mark.parametrize("name", ALL)
def test_sources_and_weights_are_distributions_over_the_batch(name, size, seed):
    images = numbered(*size)
    mixed = ALL[name](images, seeded(seed))
    assert mixed.images.shape == images.shape
    assert mixed.sources.shape == mixed.weights.shape
    assert mixed.weights.dtype == torch.float32
    assert bool((mixed.weights >= 0).all())
    torch.testing.assert_close(mixed.weights.sum(0), torch.ones(len(images)))
    everyone = torch.arange(len(images)).expand_as(mixed.sources)
    assert torch.equal(mixed.sources.sort(1).values, everyone)  # each part is a permutation


@given(SEEDS, ALPHAS)
def test_mixup_is_the_weighted_sum_of_its_sources(seed, alpha):
    images = torch.randn(5, 3, 4, 4, generator=seeded(seed), dtype=torch.float64)
    mixed = mixing.mixup(images, seeded(seed), alpha)
    parts = images[mixed.sources] * mixed.weights[:, :, None, None, None]
    torch.testing.assert_close(mixed.images, parts.sum(0), atol=1e-6, rtol=1e-6)
    assert torch.equal(mixed.sources[0], torch.arange(5))


@given(SEEDS)
@pytest.mark.parametrize("name", ALL)
def test_other_images_are_mixed_as_those_that_a_draw_was_made_for(name, seed):
    drawn = mixing.named({"name": name, **OPTIONS[name]})(numbered(5, 8, 8), seeded(seed))
    images, others = torch.rand(2, 5, 2, 8, 8, generator=seeded(seed)) + 1
    mixed, there = drawn(images), drawn(others)
    assert torch.equal(there.sources, mixed.sources)
    assert torch.equal(there.weights, mixed.weights)
    both = drawn(torch.cat([images, others], 1))  # two images in the channels of one
    assert torch.equal(both.images, torch.cat([mixed.images, there.images], 1))


@given(SIZES, SEEDS, ALPHAS)
def test_cutmix_pixels_come_from_the_sources_in_exactly_their_shares(size, seed, alpha):
    images = numbered(*size)
    mixed = mixing.cutmix(images, seeded(seed), alpha)
    own, partner = (images[source] for source in mixed.sources)
    assert torch.equal(own, images)
    assert bool(((mixed.images == own) | (mixed.images == partner)).all())
    pixels = size[1] * size[2]
    for i, (first, second) in enumerate(mixed.sources.T.tolist()):
        if first != second:
            counts = [int((mixed.images[i, 0] == j + 1).sum()) for j in (first, second)]
            assert mixed.weights[:, i].tolist() == (np.float32(counts) / pixels).tolist()


def test_cutmix_pastes_one_box():
    images = numbered(2, 12, 10)
    seen = set()
    for seed in range(40):
        mixed = mixing.cutmix(images, seeded(seed))
        if torch.equal(mixed.sources[0], mixed.sources[1]):
            continue
        pasted = mixed.images[0, 0] != images[0, 0]
        assert torch.equal(pasted, pasted.any(1)[:, None] & pasted.any(0))  # a product of intervals
        for line in (pasted.any(1), pasted.any(0)):
            assert int(line.int().diff().abs().sum()) <= 2  # without a gap
        assert torch.equal(pasted, mixed.images[1, 1] != images[1, 1])  # the same for all
        seen.add(int(pasted.sum()))
    assert len(seen) > 5


def test_cutmix_box_follows_its_paper():
    """A numpy copy of the authors' box, from the same uniform numbers."""
    for seed in range(20):
        mixed = mixing.cutmix(numbered(2, 32, 24), seeded(seed), alpha=0.7)
        draws = seeded(seed)

        def uniform(draws=draws):
            return float(torch.rand(1, generator=draws, dtype=torch.float64))

        power, cosine = uniform() ** (1 / 0.7), np.cos(2 * np.pi * uniform())
        ratio = 0.5 + 0.5 * cosine / np.sqrt(cosine**2 + power / (1 - power))
        uniform()  # whether to mix
        torch.randperm(2, generator=draws)
        sides = []
        for full in (32, 24):
            half, centre = int(full * np.sqrt(1 - ratio)) // 2, int(uniform() * full)
            sides.append(np.clip(centre + half, 0, full) - np.clip(centre - half, 0, full))
        area = sides[0] * sides[1]
        assert mixed.weights[1].tolist() == [np.float32(area / (32 * 24))] * 2


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_cutmix_mixes_with_its_probability(probability, share):
    images, draws = numbered(3, 16, 16), seeded()
    results = [mixing.cutmix(images, draws, 1.0, probability) for _ in range(400)]
    touched = np.mean([float(mixed.weights[1, 0]) > 0 for mixed in results])
    assert touched == pytest.approx(share, abs=0.08)  # a box may be empty
    assert all(torch.equal(mixed.images, images) for mixed in results if mixed.weights[1, 0] == 0)


@given(SIZES, SEEDS, ALPHAS)
def test_ricap_tiles_are_its_sources_in_exactly_their_shares(size, seed, alpha):
    images = numbered(*size)
    mixed = mixing.ricap(images, seeded(seed), alpha)
    height, width = size[1:]
    areas = (mixed.weights[:, 0].double() * height * width).round()
    assert mixed.weights[:, 0].tolist() == (areas.float() / (height * width)).tolist()
    h = round(float(areas[0] + areas[1]) / width)
    w = round(float(areas[0] + areas[2]) / height)
    tiles = ((slice(h), slice(w)), (slice(h), slice(w, None)),
             (slice(h, None), slice(w)), (slice(h, None), slice(w, None)))  # fmt: skip
    for (rows, columns), source, area in zip(tiles, mixed.sources, areas, strict=True):
        tile = mixed.images[:, :, rows, columns]
        assert tile[0, 0].numel() == int(area)
        assert torch.equal(tile, images[source][:, :, rows, columns])  # constant images


def test_ricap_tiles_are_unbroken_crops():
    """The pixels of each tile count on in rows of ten, as those of the image they come from."""
    images = torch.arange(80.0).reshape(1, 1, 8, 10).expand(3, 1, 8, 10)
    starts = set()
    for seed in range(60):
        mixed = mixing.ricap(images, seeded(seed), alpha=2.0)
        areas = (mixed.weights[:, 0] * 80).round()
        h, w = round(float(areas[0] + areas[1]) / 10), round(float(areas[0] + areas[2]) / 8)
        halves = (mixed.images[0, 0, :h], mixed.images[0, 0, h:])
        for tile in (part for half in halves for part in (half[:, :w], half[:, w:])):
            if tile.numel():
                first = float(tile[0, 0])
                starts.add(first)
                rows, columns = torch.arange(tile.shape[0]), torch.arange(tile.shape[1])
                assert torch.equal(tile, first + 10 * rows[:, None] + columns)
                assert first % 10 + tile.shape[1] <= 10
    assert len(starts) > 20


def test_a_crop_may_start_at_the_last_place_where_it_fits():
    corner, one = torch.tensor([4.0]), torch.tensor([1.0])
    covered, shown = mixing.tiles((8, 8), corner, corner, [(one, one)] * 4)
    expected = torch.arange(64).view(8, 8)[4:, 4:]
    for tile in covered:
        assert torch.equal(shown[tile].view(4, 4), expected)


def test_ricap_may_crop_every_tile_at_its_last_place():
    """In 1,000 draws of tiles each crop starts at its first and at its last place."""
    images = torch.arange(16.0).reshape(1, 1, 4, 4).expand(4, 1, 4, 4)
    first, last = set(), set()
    for seed in range(1000):
        draw = mixing.draw_ricap(images, seeded(seed), alpha=5.0)
        for number, tile in enumerate(draw.tiles):
            rows = tile.any(1).sum()
            if 0 < rows < 4:
                starts = draw.shown[tile].min() // 4
                first |= {number} if starts == 0 else set()
                last |= {number} if starts == 4 - rows else set()
    assert first == last == {0, 1, 2, 3}


def test_cutout_blanks_one_square_in_each_image():
    images = numbered(200, 16, 16)
    mixed = mixing.cutout(images, seeded(), size=6)
    blank = mixed.images == 0
    assert torch.equal(mixed.images[~blank], images[~blank])
    assert torch.equal(blank[:, 0], blank[:, 1])
    areas = blank[:, 0].sum((1, 2))
    assert int(areas.max()) == 36
    assert int(areas.min()) == 9  # a corner: 3 of 6 pixels each way
    rows = blank[:, 0].any(2).float().argmax(1)
    assert len(set(rows.tolist())) > 8  # each its own place


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_ratios_follow_the_beta_distribution(alpha):
    draws, images = seeded(), torch.zeros(1, 1, 1, 1)
    weights = torch.stack([mixing.mixup(images, draws, alpha).weights[:, 0] for _ in range(4000)])
    smaller = weights.min(1).values.numpy()  # float32 is fine near 0 and coarse near 1
    assert kstest(smaller, lambda x: 2 * beta(alpha, alpha).cdf(np.minimum(x, 0.5))).pvalue > 0.01
    assert float((weights[:, 0] < 0.5).float().mean()) == pytest.approx(0.5, abs=0.03)


@given(SEEDS)
@pytest.mark.parametrize("name", ALL)
def test_the_generator_decides(name, seed):
    images = torch.randn(6, 1, 8, 8, generator=seeded())
    first, again = (ALL[name](images, seeded(seed)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_images_keep_their_precision_and_the_originals(name, dtype):
    images = numbered().to(dtype)
    before = images.clone()
    assert ALL[name](images, seeded()).images.dtype == dtype
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", ALL)
def test_mixed_target_is_the_weighted_sum(name):
    labels = torch.tensor([0, 1, 2, 2, 1])
    mixed = ALL[name](numbered(5), seeded(3))
    target = mixing.mixed_target(targets.one_hot(labels, 3), mixed)
    expected = torch.zeros(5, 3)
    for source, weight in zip(mixed.sources, mixed.weights, strict=True):
        for i in range(5):
            expected[i, labels[source[i]]] += weight[i]
    torch.testing.assert_close(target, expected)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("default", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("classes", [2, 1000])
def test_labels_of_mixed_images_are_distributions_under_any_default_dtype(name, default, classes):
    labels = torch.tensor([0, 1, 1, 0, 1])
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        mixed = ALL[name](torch.rand(5, 2, 6, 9), seeded(3))
        own = targets.smooth(labels, classes, 0.1)
        target = mixing.mixed_target(own, mixed)
        checks.distributions(own)
        assert checks.distributions(target) is target
    finally:
        torch.set_default_dtype(before)
    assert mixed.weights.dtype == target.dtype == torch.float32
    exact = 0.9 * torch.eye(classes, dtype=torch.float64)[labels] + 0.1 / classes
    expected = torch.einsum("pn,pnk->nk", mixed.weights.double(), exact[mixed.sources])
    coarse = default != torch.float32
    torch.testing.assert_close(target.double(), expected, rtol=0.02 if coarse else 1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_a_draw_fits_as_many_images_of_the_same_size(name):
    drawn = mixing.named({"name": name, **OPTIONS[name]})(numbered(5, 8, 8), seeded())
    for images in (numbered(4, 8, 8), numbered(6, 8, 8)):
        with pytest.raises(ValueError, match=f"drawn for 5 images, got {len(images)}"):
            drawn(images)
    with pytest.raises(ValueError, match="must be a torch tensor, got ndarray"):
        drawn(numbered(5, 8, 8).numpy())
    if name != "mixup":  # which has no places
        with pytest.raises(ValueError, match=r"of \(8, 8\) pixels, got \(8, 9\)"):
            drawn(numbered(5, 8, 9))


IMAGES = numbered()
MIXED = mixing.mixup(IMAGES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mixing.mixup(IMAGES[0]), r"shape \(N, C, H, W\).*got torch.float32 of shape"),
        (lambda: mixing.cutmix(IMAGES.byte()), "floating point.*got torch.uint8"),
        (lambda: mixing.ricap(IMAGES[:0]), "N >= 1"),
        (lambda: mixing.mixed_target(torch.ones(2, 3), MIXED), r"shape \(5, K\), got .* \(2, 3\)"),
        (lambda: mixing.mixed_target(torch.arange(5), MIXED), "targets must be floating point"),
        (lambda: mixing.mixup(IMAGES, 3), "generator must be of type torch.Generator"),  # type: ignore[arg-type]
        (lambda: mixing.mixed_target(torch.ones(5, 3), [1]), "of type ldlstudy.Mixed"),  # type: ignore[arg-type]
        (lambda: mixing.mixup(IMAGES.to("meta"), torch.Generator()), "meta, got one on cpu"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1e6])
def test_an_alpha_that_can_be_drawn_from(alpha):
    weights = mixing.mixup(IMAGES, seeded(), alpha).weights
    assert bool(((weights >= 0) & (weights <= 1)).all())


@pytest.mark.parametrize("alpha", [0.0, 2e6, float("nan")])
@pytest.mark.parametrize("name", ["mixup", "cutmix", "ricap"])
def test_an_alpha_that_cannot(name, alpha):
    with pytest.raises(ValueError, match=rf"alpha must lie in \(0, 1e\+06\], got {alpha}"):
        mixing.named({"name": name, "alpha": alpha})


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("own", [False, True])
def test_a_name_is_its_function_with_its_options(name, own):
    options = OPTIONS[name] if own else {}
    named = mixing.named({"name": name, **options} if own else name)
    direct = getattr(mixing, name)(IMAGES, seeded(), **options)
    for ours, theirs in zip(named(IMAGES, seeded())(IMAGES), direct, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ALL)
def test_a_batch_must_have_as_many_images_as_an_image_has_parts(name):
    mixed = mixing.named(name)
    parts = len(ALL[name](IMAGES).sources)
    assert parts == {"cutout": 1, "mixup": 2, "cutmix": 2, "ricap": 4}[name]
    mixed.check(parts)
    with pytest.raises(ValueError, match=f"takes {parts} images, a batch has {parts - 1}"):
        mixed.check(parts - 1)


def test_naming_a_mixing_leaves_settings_and_draws_as_they_are():
    settings, state = {"name": "cutmix", "alpha": 0.5}, torch.get_rng_state()
    assert mixing.named(settings).settings == {"alpha": 0.5}
    assert settings == {"name": "cutmix", "alpha": 0.5}
    assert torch.equal(torch.get_rng_state(), state)
    assert mixing.named(None) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("puzzlemix", "unknown mixing 'puzzlemix'; known: cutmix, cutout, mixup, ricap"),
        ({"alpha": 1.0}, "unknown mixing None; known: cutmix, cutout, mixup, ricap"),
        ({"name": ["mixup"]}, r"unknown mixing \['mixup'\]"),
        (["cutmix"], r"a mixing is written as \{'name': 'cutmix'\}, got \['cutmix'\]"),
        ({"name": "mixup", "size": 4}, "unknown setting of mixup 'size'; known: alpha$"),
        ({"name": "cutout", "alpha": 1.0}, "unknown setting of cutout 'alpha'; known: size$"),
        (
            {"name": "cutmix", "images": 3},
            "unknown setting of cutmix 'images'; known: alpha, probability$",
        ),
        ({"name": "mixup", "alpha": "much"}, "alpha must be a number, got 'much'"),
        ({"name": "cutmix", "probability": 1.1}, r"probability must lie in \[0, 1\], got 1.1"),
        ({"name": "cutout", "size": 1}, "size must be a whole number of at least 2, got 1"),
    ],
)
def test_what_is_wrong_is_said_when_the_mixing_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        mixing.named(settings)
