"""Batches of pairs and mixed batches, through a DataLoader."""

import functools
from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from ldlstudy import targets
from ldlstudy.interop.loading import ClassPairs, Mix

LABELS = torch.tensor([0, 1, 2] * 7 + [1, 1])  # 7, 9 and 7 of a class


def epoch(**options):
    generator = torch.Generator().manual_seed(options.pop("seed", 0))
    return list(ClassPairs(LABELS, 5, generator=generator, **options))


def test_an_epoch_has_every_sample_once_and_partners_of_its_class():
    found = epoch()
    halves = [(batch[: len(batch) // 2], batch[len(batch) // 2 :]) for batch in found]
    assert sorted(i for first, _ in halves for i in first) == list(range(len(LABELS)))
    assert all((LABELS[first] == LABELS[partner]).all() for first, partner in halves)
    assert [len(batch) for batch in found] == [10] * 4 + [6]
    assert [len(batch) for batch in epoch(drop_last=True)] == [10] * 4
    assert len(ClassPairs(LABELS, 5)) == 5
    assert len(ClassPairs(LABELS, 5, drop_last=True)) == 4
    assert found == epoch()
    assert found != epoch(seed=1)


def test_each_epoch_draws_anew_and_partners_are_uniform():
    generator = torch.Generator().manual_seed(0)
    sampler = ClassPairs(LABELS, len(LABELS), generator=generator, allow_self=False)
    counts = Counter()
    for _ in range(2000):
        (batch,) = sampler
        first, partner = torch.tensor(batch).chunk(2)
        assert (first != partner).all()
        counts[int(partner[first == 0])] += 1
    assert set(counts) == set(range(3, 21, 3))  # the others of its class
    assert all(abs(count - 2000 / 6) < 80 for count in counts.values())  # 5 standard deviations


def test_a_loader_gives_pairs_of_images():
    data = TensorDataset(LABELS[:, None].float(), LABELS)
    for images, labels in DataLoader(data, batch_sampler=ClassPairs(LABELS, 4)):
        first, partner = images.chunk(2)
        assert torch.equal(first, partner)  # an image is its class here
        assert torch.equal(first[:, 0].long(), labels.chunk(2)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ClassPairs([0, 1, 1], 2, allow_self=False), "class 0 has one image"),
        (lambda: ClassPairs([0, 1], 0), "batch_size must be a whole number of at least 1, got 0"),
        (lambda: ClassPairs([0, 1], 3), r"batch_size must lie in \[1, 2\], got 3"),
        (lambda: ClassPairs([0, 0], 1, drop_last="no"), "drop_last must be true or false"),  # type: ignore[arg-type]
        (lambda: ClassPairs([0, 0], 1, allow_self=1), "allow_self must be true or false"),  # type: ignore[arg-type]
        (lambda: ClassPairs([0.0], 1), "labels must be whole numbers"),
        (lambda: Mix("blend", 3), "unknown mixing 'blend'; known: cutmix, cutout, mixup, ricap"),
        (lambda: Mix(None, 3), "one of cutout, mixup, cutmix, ricap, got None"),  # type: ignore[arg-type]
        (lambda: Mix("mixup", 1), "classes must be a whole number of at least 2"),
        (
            lambda: Mix("ricap", 3)(torch.rand(3, 1, 4, 4), torch.arange(3)),
            "the mixing takes 4 images, a batch has 3",
        ),
        (lambda: Mix("mixup", 3, label=0.1), "label must be a function of labels and K, got 0.1"),  # type: ignore[arg-type]
        (lambda: Mix("mixup", 3).collate([]), "samples must be pairs .image, label., at least one"),
        (lambda: Mix("mixup", 3).collate([{"x": 1}, {"x": 2}]), "samples must be pairs"),
        (
            lambda: Mix("mixup", 3).collate([(torch.rand(1, 4, 4), 0), (torch.rand(1, 5, 4), 1)]),
            "samples must be tensors of one size, and labels: ",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ["mixup", "cutmix", "ricap"])
def test_the_target_is_what_the_image_shows(name):
    """Channel k of an image of class k is 1, so that the mean over places is the target."""
    labels = torch.arange(6) % 3
    images = torch.eye(3)[labels][:, :, None, None].expand(-1, -1, 8, 8)
    data = TensorDataset(images.contiguous(), labels)
    mix = Mix(name, classes=3, generator=torch.Generator().manual_seed(0))
    for mixed, target in DataLoader(data, batch_size=6, collate_fn=mix.collate):
        assert mixed.shape == images.shape
        torch.testing.assert_close(mixed.mean((2, 3)), target)
        assert (target.max(1).values < 1).any()
    soft = Mix(name, 3, functools.partial(targets.smooth, epsilon=0.3), mix.generator)
    mixed, target = soft(images.contiguous(), labels)
    torch.testing.assert_close(target, mixed.mean((2, 3)) * 0.7 + 0.1)


def test_it_is_called_and_answers_as_torchvision_s():
    images, labels = torch.rand(8, 3, 16, 16), torch.arange(8)
    theirs, ours = v2.CutMix(num_classes=8)(images, labels), Mix("cutmix", 8)(images, labels)
    assert [(x.shape, x.dtype) for x in ours] == [(x.shape, x.dtype) for x in theirs]
