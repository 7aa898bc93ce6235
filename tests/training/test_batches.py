import multiprocessing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import chisquare
from torch import Tensor

from ldlstudy import mixing
from ldlstudy.batch import Batch
from ldlstudy.data import Images, Stream
from ldlstudy.training import Augmentation, batches

PLAIN = Augmentation()
MOVED = Augmentation(crop=4, pad=1, flip=True)
MIXINGS = sorted(mixing.MIXINGS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int, classes: int = 1000) -> Images:
    """Images that hold their position; classes 0, 1, ... in turn."""
    positions = torch.arange(count)
    pixels = positions.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).float()
    return Images(pixels, positions % classes)


def noise(count: int, classes: int) -> Images:
    """Images whose pixels all differ, so that each move of them shows."""
    pixels = torch.rand(count, 1, 4, 4, generator=seeded(9))
    return Images(pixels, torch.arange(count) % classes)


def tensors(batch: Batch) -> list[Tensor]:
    """All that a batch of the data alone may hold, in one order."""
    named = [batch.images, batch.labels, batch.index, batch.partner, batch.plain, *batch.views]
    return [tensor for tensor in named if tensor is not None]


def same(one: Batch, other: Batch) -> bool:
    pairs = zip(tensors(one), tensors(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


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


def test_training_batches_are_augmented_and_test_batches_are_not():
    pixels = torch.randint(256, (6, 3, 8, 8), generator=seeded(), dtype=torch.uint8)
    images = Images(pixels, torch.zeros(6, dtype=torch.long))
    augmentation = Augmentation(crop=4, flip=True, normalise="cskd")
    (test,) = batches(images, 6, augmentation)
    torch.testing.assert_close(test.images, augmentation.test(pixels))
    (train,) = batches(images, 6, augmentation, seeded(1))
    assert train.mixed is None
    assert torch.equal(train.blend(torch.eye(6)), torch.eye(6))
    generator = seeded(1)
    order = torch.randperm(6, generator=generator)
    assert torch.equal(train.index, order)
    assert torch.equal(train.images, augmentation.train(pixels[order], generator))


@pytest.mark.parametrize(
    ("seed", "sees"), [(None, ()), (3, ()), (3, ("plain", "partner")), (3, ("view",))]
)
def test_a_stream_gives_the_batches_of_the_same_images_in_memory(streamed, seed, sees):
    kept = streamed._replace(pixels=streamed.pixels.tensor())
    augmentation = Augmentation(crop=6, flip=True)
    state = torch.get_rng_state()
    passes = (
        batches(images, 3, augmentation, None if seed is None else seeded(seed), sees)
        for images in (streamed, kept)
    )
    for ours, theirs in zip(*passes, strict=True):
        assert same(ours, theirs)
    assert torch.equal(torch.get_rng_state(), state)  # dropout draws the same after either


def test_a_damaged_file_in_a_stream_is_one_line(streamed):
    file = streamed.pixels.files[4]
    file.write_bytes(file.read_bytes()[:60])
    others = set(multiprocessing.active_children())
    with pytest.raises(ValueError, match="4.png cannot be read as an image") as caught:
        list(batches(streamed, 3, PLAIN))
    assert set(multiprocessing.active_children()) == others
    assert "\n" not in str(caught.value)


def test_partners_are_drawn_anew_in_each_pass_uniformly_over_the_class():
    """The image itself included."""
    images, draws = numbered(11, 2), seeded()  # classes of six and of five
    counts = torch.zeros(11, 11)
    for _ in range(600):
        for batch in batches(images, 11, PLAIN, draws, ["partner"]):
            counts[batch.index, batch.partner[:, 0, 0, 0].long()] += 1
    alike = images.labels[:, None] == images.labels
    assert float(counts[~alike].sum()) == 0
    p = [chisquare(row[own].numpy()).pvalue for row, own in zip(counts, alike, strict=True)]
    assert min(p) > 0.001  # of eleven tests


@pytest.mark.parametrize("name", ["partner", "view"])
def test_a_companion_is_augmented_on_its_own(name):
    """In classes of one image both are the image itself: each flip comes with each other."""
    images, draws = noise(50, 50), seeded()
    counts = torch.zeros(2, 2)
    for _ in range(40):
        for batch in batches(images, 25, Augmentation(flip=True), draws, [name]):
            whole = images.pixels[batch.index]
            both = (batch.images, batch.partner if name == "partner" else batch.views[0])
            flips = [(seen != whole).flatten(1).any(1) for seen in both]
            for seen, flip in zip(both, flips, strict=True):
                right = torch.where(flip[:, None, None, None], whole.flip(3), whole)
                assert torch.equal(seen, right)
            counts.index_put_(tuple(f.long() for f in flips), torch.ones(25), accumulate=True)
    assert chisquare(counts.flatten().numpy()).pvalue > 0.01


def test_views_are_of_the_same_image_and_a_plain_one_is_as_in_tests():
    images = noise(20, 3)
    shown = []
    for batch in batches(images, 6, MOVED, seeded(), ["view", "plain", "view"]):
        assert batch.partner is None
        assert torch.equal(batch.plain, MOVED.test(images.pixels[batch.index]))
        inside = [set(whole.flatten().tolist()) | {0.0} for whole in images.pixels[batch.index]]
        first, second = batch.views
        for view in batch.views:
            for pixels, known in zip(view, inside, strict=True):
                assert set(pixels.flatten().tolist()) <= known  # its own pixels, and the border
        for one, other in ((first, batch.images), (first, second)):
            shown.append((one != other).flatten(1).any(1))
    assert float(torch.cat(shown).float().mean()) > 0.8  # 17 in 18 on average


@pytest.mark.parametrize("name", ["partner", "plain", "view"])
def test_companions_leave_the_order_as_it_was(name):
    images = noise(20, 2)
    passes = (batches(images, 6, PLAIN, seeded(), sees) for sees in ([name], []))
    for accompanied, alone in zip(*passes, strict=True):
        assert torch.equal(accompanied.index, alone.index)
        assert torch.equal(accompanied.images, alone.images)


@pytest.mark.parametrize("name", MIXINGS)
def test_a_training_pass_mixes_what_it_has_augmented(name):
    images, mix = noise(20, 3), mixing.named(name)
    seen = list(batches(images, 8, MOVED, seeded(5), mixing=mix))
    draws = seeded(5)
    for batch, index in zip(seen, torch.randperm(20, generator=draws).split(8), strict=True):
        shown = MOVED.train(images.pixels[index], draws)
        mixed = mix(shown, draws)(shown)
        assert torch.equal(batch.index, index)
        assert torch.equal(batch.labels, images.labels[index])  # of the images before
        assert torch.equal(batch.images, mixed.images)
        for ours, theirs in zip(batch.mixed, mixed, strict=True):
            assert torch.equal(ours, theirs)


@settings(max_examples=30)
@given(
    st.sampled_from(MIXINGS), st.integers(4, 9), st.integers(2, 5), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_targets_are_blended_as_the_images_were(name, size, classes, seed):
    images, mix = noise(size, classes), mixing.named(name)
    (batch,) = batches(images, size, PLAIN, seeded(seed), mixing=mix)
    table = torch.rand(size, classes, generator=seeded(seed)).softmax(1)
    expected, summed = torch.zeros(size, classes), torch.zeros_like(batch.images)
    for source, weight in zip(batch.mixed.sources, batch.mixed.weights, strict=True):
        for i in range(size):
            expected[i] += weight[i] * table[batch.index[source[i]]]
            summed[i] += weight[i] * images.pixels[batch.index[source[i]]]
    torch.testing.assert_close(batch.blend(table[batch.index]), expected)
    if name == "mixup":  # of whole images
        torch.testing.assert_close(batch.images, summed)


@pytest.mark.parametrize("name", MIXINGS)
def test_partners_are_mixed_as_the_images_and_other_companions_are_not(name):
    """In classes of one image a partner is the image itself, and so is what is mixed of it."""
    images = noise(12, 12)
    sees = ["plain", "view", "partner"]
    for batch in batches(images, 6, PLAIN, seeded(), sees, mixing.named(name)):
        assert not torch.equal(batch.images, images.pixels[batch.index])
        assert torch.equal(batch.partner, batch.images)
        for beside in (batch.plain, *batch.views):
            assert torch.equal(beside, images.pixels[batch.index])


@pytest.mark.parametrize(
    ("name", "count", "size", "sizes"),
    [
        ("ricap", 11, 8, [8]),
        ("ricap", 12, 8, [8, 4]),
        ("ricap", 4, 128, [4]),
        ("cutmix", 9, 8, [8]),
        ("cutmix", 10, 8, [8, 2]),
        ("cutout", 3, 1, [1, 1, 1]),
    ],
)
def test_a_last_batch_of_fewer_than_a_mixing_needs_is_left_out(name, count, size, sizes):
    seen = batches(noise(count, 2), size, PLAIN, seeded(), mixing=mixing.named(name))
    assert [len(batch.labels) for batch in seen] == sizes


META = Images(torch.zeros(2, 1, 4, 4, device="meta"), torch.zeros(2, device="meta").long())


@pytest.mark.parametrize(
    ("images", "size", "more", "message"),
    [
        (numbered(3), 0, {}, "batch size must be a whole number of at least 1, got 0"),
        (numbered(0), 2, {}, "there are no images to take batches from"),
        (META, 2, {"generator": seeded()}, "the generator is on cpu, the images are on meta"),
        (numbered(4), 2, {"sees": ["twin"]}, "with another 'twin'; known: partner, plain, view"),
        (numbered(4), 2, {"sees": ["view"]}, r"a test pass has its own images alone, got \('view'"),
        (noise(50, 2), 3, {"mixing": "ricap"}, "the mixing takes 4 images, a batch has 3"),
        (noise(3, 2), 50, {"mixing": "ricap"}, "the mixing takes 4 images, a batch has 3"),
        (noise(50, 2), 1, {"mixing": "mixup"}, "the mixing takes 2 images, a batch has 1"),
        (noise(1, 1), 8, {"mixing": "cutmix"}, "the mixing takes 2 images, a batch has 1"),
    ],
)
def test_bad_arguments_are_named_before_the_first_batch(images, size, more, message):
    if "mixing" in more:
        more = {"mixing": mixing.named(more["mixing"]), "generator": seeded()}
    with pytest.raises(ValueError, match=message):
        batches(images, size, PLAIN, **more)


def test_a_test_pass_is_not_mixed():
    with pytest.raises(ValueError, match="a test pass mixes no images, got a mixing without a gen"):
        batches(noise(8, 2), 8, PLAIN, mixing=mixing.named("mixup"))
