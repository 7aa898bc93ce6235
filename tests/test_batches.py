import numpy as np
import pytest
import torch
from PIL import Image

from ldlstudy.augment import Augmentation
from ldlstudy.batches import batches
from ldlstudy.dataset import Images
from ldlstudy.decode import Stream

PLAIN = Augmentation()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int) -> Images:
    """Images that hold their position, and labels that do as well."""
    positions = torch.arange(count)
    return Images(positions.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).float(), positions)


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


@pytest.mark.parametrize("seed", [None, 3])
def test_a_stream_gives_the_batches_of_the_same_images_in_memory(streamed, seed):
    assert isinstance(streamed.pixels, Stream)
    kept = streamed._replace(pixels=streamed.pixels.tensor())
    augmentation = Augmentation(crop=6, flip=True)
    state = torch.get_rng_state()
    pairs = zip(
        *(
            batches(images, 3, augmentation, None if seed is None else seeded(seed))
            for images in (streamed, kept)
        ),
        strict=True,
    )
    for ours, theirs in pairs:
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)  # dropout draws the same after either


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
