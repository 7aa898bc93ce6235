"""Miniatures of the published folders give their images, labels and parts."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from ldlstudy import data
from ldlstudy.data import folders
from ldlstudy.data.decode import Stream

KINDS = ("n02-cat", "n01-dog")  # not in the order of their names


def paint(file: Path, colour: int) -> None:
    """Write an image of one colour, by which it is known again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 9), (colour, colour, colour)).save(file, format="PNG")


def tiny_imagenet(top: Path) -> None:
    rows = []
    for i, kind in enumerate(KINDS):
        for j in range(2):
            paint(top / "train" / kind / "images" / f"{kind}_{j}.JPEG", 10 * i + j)
        paint(top / "val" / "images" / f"val_{i}.JPEG", 100 + i)
        rows.append(f"val_{i}.JPEG\t{kind}\t0\t0\t62\t62\n")
    (top / "val" / "val_annotations.txt").write_text("".join(rows))


def cub200(top: Path) -> None:
    lists: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    for i, kind in enumerate(KINDS):
        for j in range(3):
            number = 3 * i + j + 1
            paint(top / "images" / kind / f"{j}.jpg", 10 * i + j if j < 2 else 100 + i)
            lists["images"].append(f"{number} {kind}/{j}.jpg")
            lists["image_class_labels"].append(f"{number} {i + 1}")
            lists["train_test_split"].append(f"{number} {int(j < 2)}")
    lists["classes"] = [f"{i + 1} {kind}" for i, kind in enumerate(KINDS)]
    for name, lines in lists.items():
        (top / f"{name}.txt").write_text("\n".join(lines) + "\n")


def _listed(top: Path) -> tuple[list[str], list[str]]:
    train: list[str] = []
    test: list[str] = []
    for i, kind in enumerate(KINDS):
        for j in range(3):
            file = f"{kind}/{kind}_{j}.jpg"
            paint(top / "Images" / file, 10 * i + j if j < 2 else 100 + i)
            (train if j < 2 else test).append(file)
    return train, test


def stanford_dogs(top: Path) -> None:
    (top / "lists").mkdir(parents=True)
    for part, files in zip(("train", "test"), _listed(top), strict=True):
        cells = np.array([[file] for file in files], dtype=object)
        savemat(top / "lists" / f"{part}_list.mat", {"file_list": cells})


def mit67(top: Path) -> None:
    for part, files in zip(("Train", "Test"), _listed(top), strict=True):
        (top / f"{part}Images.txt").write_text("\n".join(files) + "\n")


def imagenet(top: Path) -> None:
    for i, kind in enumerate(KINDS):
        for j in range(2):
            paint(top / "train" / kind / f"{j}.JPEG", 10 * i + j)
        paint(top / "val" / kind / "0.JPEG", 100 + i)


MINIATURES = {
    make.__name__: make for make in (tiny_imagenet, cub200, stanford_dogs, mit67, imagenet)
}


def make(name: str, root: Path) -> Path:
    """Write the miniature of a set under ``root``; return its folder."""
    top = root / folders.FOLDERS[name].path
    MINIATURES[name](top)
    return top


def colours(images: data.Images) -> list[int]:
    pixels = images.pixels.tensor() if isinstance(images.pixels, Stream) else images.pixels
    assert torch.equal(pixels.amin((1, 2, 3)), pixels.amax((1, 2, 3)))
    return pixels[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("name", sorted(MINIATURES))
def test_a_published_folder_is_read(name, tmp_path):
    make(name, tmp_path)
    dataset = data.load(name, tmp_path, size=8)
    assert dataset.classes == tuple(sorted(KINDS))
    assert dataset.shape == (3, 8, 8)
    assert isinstance(dataset.train.pixels, Stream) == (name == "imagenet")
    train = dict(zip(colours(dataset.train), dataset.train.labels.tolist(), strict=True))
    assert train == {0: 1, 1: 1, 10: 0, 11: 0}
    test = dict(zip(colours(dataset.test), dataset.test.labels.tolist(), strict=True))
    assert test == {100: 1, 101: 0}


def test_the_size_is_the_papers_own_by_default(tmp_path):
    for name, side in (("tiny_imagenet", 64), ("mit67", 256)):
        make(name, tmp_path)
        assert data.load(name, tmp_path).shape == (3, side, side)


def test_streamed_images_can_be_held_out_and_have_a_digest(tmp_path):
    top = make("imagenet", tmp_path)
    dataset = data.load("imagenet", tmp_path, held=0.5)
    assert dataset.held is not None
    parts = [colours(dataset.train), colours(dataset.held)]
    assert sorted(parts[0] + parts[1]) == [0, 1, 10, 11]
    before = data.load("imagenet", tmp_path).digest
    assert data.load("imagenet", tmp_path).digest == before
    paint(top / "train" / KINDS[0] / "2.JPEG", 5)
    assert data.load("imagenet", tmp_path).digest != before


@pytest.mark.parametrize("name", sorted(MINIATURES))
def test_a_missing_folder_is_named_with_the_way_to_get_it(name, tmp_path):
    message = f"the folder {tmp_path / folders.FOLDERS[name].path} is missing; get {name} from"
    with pytest.raises(ValueError, match=re.escape(message)):
        data.load(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("tiny_imagenet", "val/val_annotations.txt"),
        ("cub200", "train_test_split.txt"),
        ("stanford_dogs", "lists/test_list.mat"),
        ("mit67", "TestImages.txt"),
    ],
)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), " is missing; get "),
        (lambda file: file.write_bytes(b""), " is not in its published layout ("),
        (lambda file: file.write_bytes(b"odd\n" * 40), " is not in its published layout ("),
    ],
)
def test_a_damaged_list_is_one_message(name, file, damage, message, tmp_path):
    top = make(name, tmp_path)
    damage(top / file)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        data.load(name, tmp_path)
    assert str(top) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"GIF89a")])
def test_a_damaged_image_is_named(damage, tmp_path):
    file = make("mit67", tmp_path) / "Images" / KINDS[0] / f"{KINDS[0]}_1.jpg"
    damage(file)
    with pytest.raises(ValueError, match=re.escape(f"{file} cannot be read as an image")):
        data.load("mit67", tmp_path)


def test_imagenet_needs_class_folders(tmp_path):
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    with pytest.raises(ValueError, match="class folder"):
        data.load("imagenet", tmp_path)


def test_a_part_of_a_stream_is_not_decoded():
    stream = Stream([Path(f"{i}.png") for i in range(4)], 8)
    for index in (torch.tensor([2, 0]), torch.tensor([True, False, True, False])):
        part = stream[index]
        assert part.shape == (2, 3, 8, 8)
        assert {file.name for file in part.files} == {"0.png", "2.png"}
