"""Mixed sets: a few images of each class of their sources, and the domain of each class."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ldlstudy import data
from ldlstudy.data import archives, decode, folders, mixed

SMALL = "three_small_domains"
CLASSES = {"cifar100": 100, "fashion_mnist": 10, "emnist47": 47}
EACH = 3  # images of a class and part


def images(name, part):
    """Images by which their class and their number are known again: one value a channel."""
    archive = archives.ARCHIVES[name]
    labels = np.repeat(np.arange(archive.classes), EACH)
    channels, height, width = archive.shape
    pixels = np.zeros((len(labels), height, width, channels), dtype=np.uint8)
    values = 2 + labels + 50 * (np.arange(len(labels)) % EACH) + (part == "test")
    pixels[...] = values[:, None, None, None]
    order = np.random.default_rng(0).permutation(len(labels))
    return pixels[order], labels[order]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, classes in CLASSES.items():
        arrays = {"classes": np.array([f"{name} {k}" for k in range(classes)])}
        for part in ("train", "test"):
            arrays[f"{part}_images"], arrays[f"{part}_labels"] = images(name, part)
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


def test_classes_stand_side_by_side_with_as_many_images_each(root):
    found = data.load(SMALL, root, train=2)
    assert len(found.classes) == 157
    assert found.classes[100] == "garment/fashion_mnist 0"
    assert found.train.labels.bincount().tolist() == [2] * 157
    assert found.test.labels.bincount().tolist() == [EACH] * 157  # all, as in the paper
    assert data.groups(found).tolist() == [0] * 100 + [1] * 10 + [2] * 47
    assert mixed.domains(found.classes) == ["object", "garment", "character"]


def test_images_keep_their_labels_become_grey_and_are_framed(root):
    found = data.load(SMALL, root, train=2).train
    assert found.pixels.shape == (2 * 157, 1, 32, 32)
    own = found.labels - torch.tensor([0, 100, 110])[(found.labels > 99) * 1 + (found.labels > 109)]
    middle = found.pixels[:, 0, 16, 16].long()
    number = (middle - 2 - own) / 50  # grey is rounded down
    assert set(number.round().tolist()) == {0, 1, 2}
    assert (number - number.round()).abs().max() < 0.03
    for label in (0, 105, 130):  # without replacement
        assert len(middle[found.labels == label].unique()) == 2
    small = found.labels >= 100  # 28 x 28
    assert found.pixels[small][:, :, :2].max() == 0
    assert found.pixels[small][:, :, 2:30, 2:30].min() > 0
    assert found.pixels[~small].min() > 0


def test_another_draw_takes_others_and_the_same_one_the_same(root):
    first, again, other = (data.load(SMALL, root, train=1, draw=d) for d in (0, 0, 1))
    assert first.digest == again.digest != other.digest
    assert torch.equal(first.train.labels.sort()[0], other.train.labels.sort()[0])


def test_too_many_images_and_a_missing_source(root, tmp_path):
    with pytest.raises(ValueError, match="cifar100 test images: class 0 has 3, 4 are needed"):
        data.load(SMALL, root, train=1, test=4)
    assert data.location(SMALL, root) == root / "emnist47.npz"
    assert "all of them here" in data.describe(SMALL, root)
    assert data.location(SMALL, tmp_path) == tmp_path / "cifar100.npz"
    assert "not in" in data.describe(SMALL, tmp_path)
    with pytest.raises(ValueError, match="made of cifar100, fashion_mnist, emnist47: get these"):
        data.fetch(SMALL, root)


def test_only_the_drawn_files_of_a_folder_are_decoded(tmp_path, monkeypatch):
    """Miniatures of the paper's three sources, of one class each."""
    for source in mixed.MIXED["three_domains"].domains:
        own = folders.FOLDERS[source]
        top = tmp_path / own.path
        top.mkdir()
        for value in (10, 20, 30):
            Image.new("RGB", (9, 9), (value,) * 3).save(top / f"{value}.png")

        def listing(top):
            files = [(top / f"{value}.png", top.name) for value in (10, 20, 30)]
            return folders.Listing(files[:2], files[2:])

        monkeypatch.setitem(folders.FOLDERS, source, replace(own, listing=listing))
    seen = []
    whole = decode.decode
    monkeypatch.setattr(decode, "decode", lambda *a: seen.append(a) or whole(*a))
    found = data.load("three_domains", tmp_path, train=1)
    assert len(seen) == 6
    assert found.train.pixels.shape == (3, 3, 256, 256)
    assert set(found.train.pixels.unique().tolist()) <= {10, 20}
    assert found.test.pixels.unique().tolist() == [30]
    assert found.classes == ("bird/CUB_200_2011", "dog/stanford_dogs", "room/mit67")
    assert data.location("three_domains", tmp_path).name == "mit67"
