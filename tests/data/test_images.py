import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy.data import Dataset, Images, partners, split

SEEDS = st.integers(0, 2**32 - 1)
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(torch.tensor)


def small(value: int = 0) -> Dataset:
    train = Images(torch.full((6, 1, 2, 3), value, dtype=torch.uint8), torch.arange(6) % 2)
    return Dataset("small", ("a", "b"), train, train.take(torch.tensor([0, 1])))


@given(st.lists(st.integers(4, 40), min_size=1, max_size=5), st.floats(0.13, 0.8), SEEDS)
def test_a_split_takes_the_same_share_of_every_class(counts, fraction, seed):
    labels = torch.from_numpy(
        np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    )
    train, held = split(labels, fraction, seed)
    assert torch.equal(torch.cat([train, held]).sort().values, torch.arange(len(labels)))
    assert torch.equal(train, train.sort().values)
    for label, count in enumerate(counts):
        assert abs(int((labels[held] == label).sum()) - count * fraction) <= 0.5 + 1e-9


def test_a_split_follows_its_seed_and_is_random_within_a_class():
    labels = torch.arange(1000) % 2
    first, again, other = (split(labels, 0.5, seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0.4 < float((first < 500).double().mean()) < 0.6


@given(LABELS, SEEDS, st.booleans())
def test_partners_share_the_class_and_may_be_made_to_be_others(labels, seed, allow_self):
    twice = torch.cat([labels, labels])
    chosen, again = (
        partners(twice, torch.Generator().manual_seed(seed), allow_self=allow_self)
        for _ in range(2)
    )
    assert torch.equal(twice[chosen], twice)
    assert torch.equal(chosen, again)
    assert allow_self or not bool((chosen == torch.arange(len(twice))).any())


@pytest.mark.parametrize("allow_self", [True, False])
def test_partners_are_uniform_over_the_class(allow_self):
    labels, generator = torch.tensor([0, 1, 0, 0, 1]), torch.Generator().manual_seed(0)
    draws = [partners(labels, generator, allow_self=allow_self) for _ in range(6000)]
    counts = torch.stack(draws)[:, 2].bincount(minlength=4)
    expected = [2000, 0, 2000, 2000] if allow_self else [3000, 0, 0, 3000]
    torch.testing.assert_close(counts, torch.tensor(expected), atol=200, rtol=0)


def test_no_labels_have_no_partners():
    assert partners(torch.zeros(0, dtype=torch.long)).shape == (0,)


def test_a_part_keeps_images_labels_and_truth_together():
    truth = torch.eye(4)
    images = Images(torch.arange(4).view(4, 1, 1, 1), torch.arange(4), truth)
    mask = images.take(torch.tensor([False, True, False, True]))
    for part in (mask, images.take(torch.tensor([1, 3]))):
        assert part.labels.tolist() == [1, 3]
        assert part.pixels.flatten().tolist() == [1, 3]
        assert torch.equal(part.truth, truth[[1, 3]])


def test_holding_out_moves_training_images():
    dataset = small().hold(1 / 3, 0)
    assert dataset.shape == (1, 2, 3)
    assert dataset.train.labels.bincount().tolist() == [2, 2]
    assert dataset.held.labels.bincount().tolist() == [1, 1]
    assert torch.equal(dataset.test.pixels, small().test.pixels)


def test_the_digest_follows_pixels_labels_and_shape():
    train = small().train
    turned = train._replace(pixels=train.pixels.transpose(2, 3))
    swapped = train._replace(labels=1 - train.labels)
    digests = {small().digest, small(1).digest}
    digests |= {Dataset("s", ("a", "b"), part, train).digest for part in (turned, swapped)}
    assert len(digests) == 4
    assert small().digest == small().digest


@pytest.mark.parametrize("shape", [(3, 8, 3), (4, 9, 4), (64, 4, 4), (8, 128, 1), (7, 7, 7)])
def test_narrow_images_have_their_channels_first(shape):
    assert Images.of((torch.zeros(2, *shape), [0, 1])).shape == shape


def test_all_parts_move_to_the_device():
    moved = small().hold(1 / 3, 0).to("meta")
    for part in (moved.train, moved.test, moved.held):
        assert part.pixels.device.type == part.labels.device.type == "meta"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split(torch.tensor([0, 0]), 0.0, 0), "fraction must lie in (0, 1]"),
        (lambda: split(torch.tensor([0, 0]), 0.1, 0), "holding out 0.1 of 2 images by class takes"),
        (lambda: split(torch.tensor([0, 1, 1]), 0.7, 0), "none of the 1 images of class 0"),
        (lambda: split(torch.tensor([0, 0]), 0.5, -1), "seed must be a whole number"),
        (lambda: split(torch.tensor([0.5]), 0.5, 0), "labels must be whole numbers"),
        (lambda: partners(torch.tensor([0, 0, 7]), allow_self=False), "class 7 has one image"),
        (lambda: partners(torch.tensor([-1])), "labels must lie in"),
        (
            lambda: Images.of((torch.zeros(2, 9, 8, 3), [0, 1])),
            "training images must have their channels first, (N, C, H, W), got (2, 9, 8, 3)",
        ),
        (
            lambda: Images.of((torch.zeros(2, 3, 8, 8), ["cat", "dog"])),
            "numpy.unique(names, return_inverse=True)[1] numbers names",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
