import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import chisquare

from ldlstudy.augment import Augmentation
from ldlstudy.batches import OTHERS, Batch, batches
from ldlstudy.dataset import Images
from ldlstudy.decode import Stream
from ldlstudy.mixers import mixer

PLAIN = Augmentation()
MOVED = Augmentation(crop=4, pad=1, flip=True)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int) -> Images:
    """Images that hold their position, and labels that do as well."""
    positions = torch.arange(count)
    return Images(positions.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).float(), positions)


def same(one: Batch, other: Batch) -> bool:
    """Whether two batches hold the same images, labels, positions and other images."""
    pairs = zip([*one[:3], *one.others], [*other[:3], *other.others], strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def coloured(count: int, classes: int) -> Images:
    """As `numbered`, with classes 0, 1, ... in turn, so that a class is a position's remainder."""
    images = numbered(count)
    return images._replace(labels=images.labels % classes)


def noise(count: int, classes: int) -> Images:
    """Images whose pixels all differ, so that each move of them shows."""
    pixels = torch.rand(count, 1, 4, 4, generator=seeded(9))
    return Images(pixels, torch.arange(count) % classes)


@pytest.fixture
def streamed(tmp_path) -> Images:
    """Seven images of random pixels in files."""
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.png" for i in range(7)]
    for file in files:
        Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(file)
    return Images(Stream(files, 8), torch.arange(7) % 3)


@pytest.mark.parametrize(("count", "size"), [(7, 3), (6, 3), (1, 3), (2, 1), (3, 5)])
def test_a_test_pass_sees_every_image_once_in_order(count, size):
    seen = list(batches(numbered(count), size, PLAIN))
    assert torch.cat([batch.index for batch in seen]).tolist() == list(range(count))
    assert [len(batch.labels) for batch in seen[:-1]] == [size] * (len(seen) - 1)
    for batch in seen:
        assert torch.equal(batch.labels, batch.index)
        assert torch.equal(batch.images[:, 0, 0, 0], batch.index.float())


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(7, 3, [3, 3]), (8, 3, [3, 3, 2]), (6, 3, [3, 3]), (3, 1, [1, 1, 1]), (2, 5, [2])],
)
def test_a_training_pass_is_shuffled_and_drops_a_last_single_image(count, size, sizes):
    seen = list(batches(numbered(count), size, PLAIN, seeded()))
    assert [len(batch.labels) for batch in seen] == sizes
    index = torch.cat([batch.index for batch in seen])
    assert len(index.unique()) == sum(sizes)
    for batch in seen:
        assert torch.equal(batch.images[:, 0, 0, 0], batch.labels.float())


def test_the_order_follows_the_generator():
    first, again, other = (
        torch.cat([batch.index for batch in batches(numbered(50), 8, PLAIN, seeded(s))])
        for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, first.sort().values)


def test_training_batches_are_augmented_and_test_batches_are_not():
    pixels = torch.randint(256, (6, 3, 8, 8), generator=seeded(), dtype=torch.uint8)
    images = Images(pixels, torch.zeros(6, dtype=torch.long))
    augmentation = Augmentation(crop=4, flip=True, normalise="cskd")
    (test,) = batches(images, 6, augmentation)
    torch.testing.assert_close(test.images, augmentation.test(pixels))
    (train,) = batches(images, 6, augmentation, seeded(1))
    generator = seeded(1)
    order = torch.randperm(6, generator=generator)
    assert torch.equal(train.index, order)
    assert torch.equal(train.images, augmentation.train(pixels[order], generator))


@pytest.mark.parametrize(
    ("seed", "others"), [(None, ()), (3, ()), (3, ("plain", "partner")), (3, ("view",))]
)
def test_a_stream_gives_the_batches_of_the_same_images_in_memory(streamed, seed, others):
    assert isinstance(streamed.pixels, Stream)
    kept = streamed._replace(pixels=streamed.pixels.tensor())
    augmentation = Augmentation(crop=6, flip=True)
    state = torch.get_rng_state()
    pairs = zip(
        *(
            batches(images, 3, augmentation, None if seed is None else seeded(seed), others)
            for images in (streamed, kept)
        ),
        strict=True,
    )
    for ours, theirs in pairs:
        assert same(ours, theirs)
    assert torch.equal(torch.get_rng_state(), state)  # dropout draws the same after either


def test_partners_are_of_the_class_and_perhaps_the_image_itself():
    itself = 0
    for batch in batches(coloured(40, 4), 7, PLAIN, seeded(), ["partner"]):
        (partner,) = batch.others
        positions = partner[:, 0, 0, 0]
        assert torch.equal(positions % 4, batch.labels.float())
        assert partner.shape == batch.images.shape
        itself += int((positions == batch.index).sum())
    assert 0 < itself < 20  # four are expected


def test_partners_are_drawn_anew_in_each_pass_uniformly_over_the_class():
    images, draws = coloured(11, 2), seeded()  # classes of six and of five
    counts = torch.zeros(11, 11)
    for _ in range(600):
        for batch in batches(images, 11, PLAIN, draws, ["partner"]):
            counts[batch.index, batch.others[0][:, 0, 0, 0].long()] += 1
    alike = images.labels[:, None] == images.labels
    assert float(counts[~alike].sum()) == 0
    p = [chisquare(row[own].numpy()).pvalue for row, own in zip(counts, alike, strict=True)]
    assert min(p) > 0.001  # of eleven tests


@pytest.mark.parametrize("name", ["partner", "view"])
def test_another_image_is_augmented_on_its_own(name):
    """In classes of one image both are the image itself: each flip comes with each other."""
    images, draws = noise(50, 50), seeded()
    counts = torch.zeros(2, 2)
    for _ in range(40):
        for batch in batches(images, 25, Augmentation(flip=True), draws, [name]):
            whole = images.pixels[batch.index]
            flips = [
                (seen != whole).flatten(1).any(1).int() for seen in (batch.images, *batch.others)
            ]
            for seen, flip in zip((batch.images, *batch.others), flips, strict=True):
                right = torch.where(flip.bool()[:, None, None, None], whole.flip(3), whole)
                assert torch.equal(seen, right)
            counts.index_put_(tuple(f.long() for f in flips), torch.ones(25), accumulate=True)
    assert chisquare(counts.flatten().numpy()).pvalue > 0.01


def test_a_view_is_of_the_same_image_and_a_plain_one_is_as_in_tests():
    images = noise(20, 3)
    shown = []
    for batch in batches(images, 6, MOVED, seeded(), ["view", "plain"]):
        view, plain = batch.others
        assert torch.equal(plain, MOVED.test(images.pixels[batch.index]))
        inside = [set(whole.flatten().tolist()) | {0.0} for whole in images.pixels[batch.index]]
        for pixels, known in zip(view, inside, strict=True):
            assert set(pixels.flatten().tolist()) <= known  # its own pixels, and the border
        shown.append((view != batch.images).flatten(1).any(1))
    assert float(torch.cat(shown).float().mean()) > 0.8  # 17 in 18 on average


def test_others_come_in_the_order_in_which_they_are_asked_for():
    images = noise(12, 1)
    for asked in (("plain", "view"), ("view", "plain"), ("plain", "plain")):
        for batch in batches(images, 4, MOVED, seeded(), asked):
            plain = [torch.equal(o, MOVED.test(images.pixels[batch.index])) for o in batch.others]
            assert plain == [name == "plain" for name in asked]


def test_what_others_leave_of_a_batch_as_it_was():
    """The order always; the images too until other images have taken draws."""
    images = noise(20, 2)
    alone = list(batches(images, 6, MOVED, seeded()))
    for name in OTHERS:
        for augmentation, without in ((MOVED, alone), (PLAIN, None)):
            with_others = list(batches(images, 6, augmentation, seeded(), [name]))
            without = without or list(batches(images, 6, augmentation, seeded()))
            unchanged = []
            for one, other in zip(with_others, without, strict=True):
                assert torch.equal(one.index, other.index)
                assert torch.equal(one.labels, other.labels)
                unchanged.append(torch.equal(one.images, other.images))
            first, *later = unchanged
            assert all(unchanged) == (name == "plain" or augmentation == PLAIN)
            assert first == (name != "partner" or augmentation == PLAIN)
            assert all(later) == all(unchanged)


def test_a_damaged_file_in_a_stream_is_one_line(streamed):
    assert isinstance(streamed.pixels, Stream)
    file = streamed.pixels.files[4]
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(ValueError, match="4.png cannot be read as an image") as caught:
        list(batches(streamed, 3, PLAIN))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("count", "size", "generator", "message"),
    [
        (3, 0, None, "batch size must be a whole number of at least 1, got 0"),
        (0, 2, None, "there are no images to take batches from"),
    ],
)
def test_bad_arguments_are_named_before_the_first_batch(count, size, generator, message):
    with pytest.raises(ValueError, match=message):
        batches(numbered(count), size, PLAIN, generator)


def test_a_generator_of_another_device_is_refused():
    images = Images(torch.zeros(2, 1, 4, 4, device="meta"), torch.zeros(2, device="meta").long())
    with pytest.raises(ValueError, match="the generator is on cpu, the images are on meta"):
        batches(images, 2, PLAIN, seeded())


@pytest.mark.parametrize(
    ("others", "generator", "message"),
    [
        (["twin"], seeded(), "image beside another 'twin'; known: partner, plain, view"),
        (["twin"], None, "image beside another 'twin'; known: partner, plain, view"),
        (["partner"], None, r"a test pass has no images beside its own, got \('partner',\)"),
    ],
)
def test_others_that_cannot_be_had(others, generator, message):
    with pytest.raises(ValueError, match=message):
        batches(numbered(4), 2, PLAIN, generator, others)


def blended(batch, images):
    """What a mixed batch of plain images is made of, summed part by part."""
    total = torch.zeros_like(batch.images)
    for source, weight in zip(batch.mixed.sources, batch.mixed.weights, strict=True):
        total += weight.view(-1, 1, 1, 1) * images.pixels[batch.index][source]
    return total


@pytest.mark.parametrize("name", ["cutout", "mixup", "cutmix", "ricap"])
def test_a_training_pass_mixes_what_it_has_augmented(name):
    images, mix = noise(20, 3), mixer({"name": name})
    seen = list(batches(images, 8, MOVED, seeded(5), mixer=mix))
    draws = seeded(5)
    for batch, index in zip(seen, torch.randperm(20, generator=draws).split(8), strict=True):
        mixed = mix(MOVED.train(images.pixels[index], draws), draws)
        assert torch.equal(batch.index, index)
        assert torch.equal(batch.labels, images.labels[index])  # of the images before
        assert torch.equal(batch.images, mixed.images)
        for ours, theirs in zip(batch.mixed, mixed, strict=True):
            assert torch.equal(ours, theirs)


def test_mixup_of_whole_images_is_their_weighted_sum():
    images = noise(12, 3)
    for batch in batches(images, 6, PLAIN, seeded(), mixer=mixer({"name": "mixup"})):
        torch.testing.assert_close(batch.images, blended(batch, images))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["cutout", "mixup", "cutmix", "ricap"]),
    st.integers(4, 9),
    st.integers(2, 5),
    st.integers(0, 2**32 - 1),
)
def test_targets_are_blended_as_the_images_were(name, size, classes, seed):
    images, mix = noise(size, classes), mixer({"name": name})
    (batch,) = batches(images, size, PLAIN, seeded(seed), mixer=mix)
    table = torch.rand(size, classes, generator=seeded(seed)).softmax(1)
    ours, expected = batch.blend(table[batch.index]), np.zeros((size, classes))
    for source, weight in zip(batch.mixed.sources, batch.mixed.weights, strict=True):
        for i in range(size):
            expected[i] += float(weight[i]) * table[batch.index[source[i]]].numpy()
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(ours.sum(1).numpy(), 1, atol=1e-6)


def test_targets_of_unmixed_images_are_as_they_were():
    table = torch.rand(6, 3)
    for batch in (*batches(numbered(6), 3, PLAIN, seeded()), *batches(numbered(6), 6, PLAIN)):
        assert batch.mixed is None
        assert torch.equal(batch.blend(table[batch.index]), table[batch.index])


def test_a_mixing_that_is_not_drawn_leaves_the_batch_as_it_was():
    """CutMix at probability 0 takes its draws all the same: the next batch is augmented anew."""
    images, never = noise(12, 3), mixer({"name": "cutmix", "probability": 0.0})
    (mixed, *_), (plain, *_) = (
        list(batches(images, 6, MOVED, seeded(), mixer=m)) for m in (never, None)
    )
    assert same(mixed, plain)
    assert torch.equal(mixed.mixed.weights[0], torch.ones(6))


def test_images_beside_are_not_mixed():
    images, mix = noise(12, 12), mixer({"name": "mixup"})
    for batch in batches(images, 6, PLAIN, seeded(), ["plain", "view", "partner"], mix):
        assert not torch.equal(batch.images, images.pixels[batch.index])
        for beside in batch.others:
            assert torch.equal(beside, images.pixels[batch.index])


@pytest.mark.parametrize(
    ("name", "count", "size", "sizes"),
    [
        ("ricap", 11, 8, [8]),
        ("ricap", 12, 8, [8, 4]),
        ("ricap", 4, 128, [4]),
        ("cutmix", 9, 8, [8]),
        ("cutmix", 10, 8, [8, 2]),
        ("cutout", 9, 8, [8]),
        ("cutout", 3, 1, [1, 1, 1]),
    ],
)
def test_a_last_batch_of_fewer_than_a_mixing_needs_is_left_out(name, count, size, sizes):
    seen = batches(noise(count, 2), size, PLAIN, seeded(), mixer=mixer({"name": name}))
    assert [len(batch.labels) for batch in seen] == sizes


@pytest.mark.parametrize(
    ("name", "count", "size", "message"),
    [
        ("ricap", 50, 3, "the mixing takes 4 images, a batch has 3"),
        ("ricap", 3, 50, "the mixing takes 4 images, a batch has 3"),
        ("mixup", 50, 1, "the mixing takes 2 images, a batch has 1"),
        ("cutmix", 1, 8, "the mixing takes 2 images, a batch has 1"),
    ],
)
def test_a_batch_that_is_too_small_for_a_mixing(name, count, size, message):
    with pytest.raises(ValueError, match=message):
        batches(noise(count, 2), size, PLAIN, seeded(), mixer=mixer({"name": name}))


def test_a_test_pass_is_not_mixed():
    with pytest.raises(ValueError, match="a test pass mixes no images, got a mixing without a gen"):
        batches(noise(8, 2), 8, PLAIN, mixer=mixer({"name": "mixup"}))
