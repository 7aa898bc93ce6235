"""Files of image sets: what was written is read, what is damaged is named, downloads are whole."""

import contextlib
import io
import re
import struct
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision import datasets

from ldlstudy import data
from ldlstudy.data import archives

RNG = np.random.default_rng(0)


def arrays(name: str = "mnist", train: int = 6, test: int = 3) -> dict[str, np.ndarray]:
    """Random images and labels as the file of a set holds them."""
    archive = archives.ARCHIVES[name]
    channels, height, width = archive.shape
    made = {"classes": np.array([f"class {i}" for i in range(archive.classes)])}
    for part, count in (("train", train), ("test", test)):
        shape = (count, height, width, channels)
        made[f"{part}_images"] = RNG.integers(0, 256, shape, dtype=np.uint8)
        made[f"{part}_labels"] = RNG.integers(0, archive.classes, count)
    return made


def write(root: Path, name: str = "mnist", **changed: np.ndarray) -> Path:
    file = root / f"{name}.npz"
    np.savez(file, **(arrays(name) | changed))  # type: ignore[arg-type]  # numpy's own stub
    return file


@pytest.mark.parametrize("name", sorted(archives.ARCHIVES))
def test_a_file_put_there_by_hand_is_read(name, tmp_path):
    made = arrays(name)
    write(tmp_path, name, **made)
    dataset = data.load(name, tmp_path)
    assert dataset.classes == tuple(made["classes"])
    assert dataset.shape == archives.ARCHIVES[name].shape
    for part, images in (("train", dataset.train), ("test", dataset.test)):
        assert (images.pixels.dtype, images.labels.dtype) == (torch.uint8, torch.int64)
        np.testing.assert_array_equal(images.pixels, np.moveaxis(made[f"{part}_images"], 3, 1))
        np.testing.assert_array_equal(images.labels, made[f"{part}_labels"])


GOOD = arrays()


def test_grey_images_need_no_axis_for_channels_and_labels_may_be_small(tmp_path):
    grey, small = GOOD["train_images"][..., 0], GOOD["train_labels"].astype(np.uint8)
    write(tmp_path, **(GOOD | {"train_images": grey, "train_labels": small}))
    images = data.load("mnist", tmp_path).train
    np.testing.assert_array_equal(images.pixels[:, 0], grey)
    np.testing.assert_array_equal(images.labels, GOOD["train_labels"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_images": GOOD["train_images"][:, 1:]}, "train_images must be uint8 of shape"),
        ({"test_images": GOOD["test_images"] / 255}, "test_images must be uint8 of shape"),
        ({"train_labels": GOOD["train_labels"][1:]}, "6 train_images and 5 train_labels"),
        (
            {"test_images": GOOD["test_images"][:0], "test_labels": GOOD["test_labels"][:0]},
            "0 test_images and 0 test_labels",
        ),
        ({"test_labels": np.array([0, 10, 1])}, "labels must lie in [0, 10)"),
        ({"test_labels": np.array([1, 2, 10])}, "got values in [1, 10]; the first class is 0"),
        ({"test_labels": np.zeros(3)}, "test_labels must be whole numbers, got torch.float64"),
        ({"test_labels": np.array(["a", "b", "c"])}, "test_labels must be numbers in a tensor, "),
        ({"test_labels": np.zeros((3, 1), dtype=int)}, "test_labels must have shape (N,), got (3"),
        ({"test_labels": np.array(3)}, "test_labels must have shape (N,), got ()"),
        ({"classes": np.array(["a", "b"])}, "classes must be 10 texts"),
        ({"classes": np.arange(10)}, "classes must be 10 texts, got int64"),
        ({"classes": np.array([None] * 10)}, "allow_pickle=False"),
    ],
)
def test_a_wrong_array_is_named_with_its_file(changed, message, tmp_path):
    file = write(tmp_path, **(GOOD | changed))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        data.load("mnist", tmp_path)
    assert str(caught.value).startswith(f"{file} is damaged or unreadable (")
    assert "`ldlstudy data fetch mnist`" in str(caught.value)


def test_a_header_that_claims_more_images_than_memory_holds_is_damage(tmp_path):
    file = write(tmp_path, **GOOD)
    claimed = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 28, 28, 1)}
    np.lib.format.write_array_header_1_0(claimed, header)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train_images.npy", claimed.getvalue())
        for name in GOOD.keys() - {"train_images"}:
            with archive.open(f"{name}.npy", "w") as stream:
                np.save(stream, GOOD[name])
    with pytest.raises(ValueError, match=re.escape(f"{file} is damaged or unreadable (")):
        data.load("mnist", tmp_path)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", ">i4", "uint64"])
def test_labels_of_any_integer_type_are_read(dtype, tmp_path):
    write(tmp_path, **(GOOD | {"train_labels": GOOD["train_labels"].astype(dtype)}))
    found = data.load("mnist", tmp_path).train.labels
    assert found.dtype == torch.int64
    assert found.tolist() == GOOD["train_labels"].tolist()


@pytest.mark.parametrize("content", [b"", b"odd" * 99, b"\x93NUMPY"])
def test_a_file_of_another_kind_is_damaged(content, tmp_path):
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape("is damaged or unreadable (")):
        data.load("mnist", tmp_path)


def test_one_array_is_not_an_image_set_and_missing_arrays_are_listed(tmp_path):
    with open(tmp_path / "mnist.npz", "wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(ValueError, match="it is one array, not an .npz file"):
        data.load("mnist", tmp_path)
    np.savez(tmp_path / "mnist.npz", classes=GOOD["classes"], train_images=GOOD["train_images"])
    with pytest.raises(ValueError, match="it lacks test_images, test_labels, train_labels"):
        data.load("mnist", tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_byte_is_noticed_or_harmless(tmp_path, data):
    """One flipped byte, or an end cut off, is a ValueError or leaves the same images."""
    file = write(tmp_path, **GOOD)
    content = bytearray(file.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= data.draw(st.integers(1, 255))
    else:
        del content[position:]
    file.write_bytes(content)
    with contextlib.suppress(ValueError):
        assert_good(archives.read("mnist", tmp_path))


def assert_good(dataset):
    assert dataset.classes == tuple(GOOD["classes"])
    for part, images in (("train", dataset.train), ("test", dataset.test)):
        np.testing.assert_array_equal(images.pixels[:, 0], GOOD[f"{part}_images"][..., 0])
        np.testing.assert_array_equal(images.labels, GOOD[f"{part}_labels"])


def test_headers_that_name_fewer_images_than_there_are_are_damage(tmp_path):
    """NumPy then stops before the end, where zipfile would compare the checksum."""
    file = write(tmp_path, **arrays(train=2000))
    content = file.read_bytes()
    for shape in (b"(2000, 28, 28, 1)", b"(2000,)"):
        assert content.count(shape) == 1
        content = content.replace(shape, shape.replace(b"2", b"1"))
    file.write_bytes(content)
    with pytest.raises(ValueError, match="train_images.npy has another checksum"):
        data.load("mnist", tmp_path)


def test_a_missing_file_is_named_with_both_ways_to_get_it(tmp_path):
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / "svhn.npz"))) as caught:
        data.load("svhn", tmp_path)
    assert "`ldlstudy data fetch svhn` downloads it" in str(caught.value)
    assert "or put a file there" in str(caught.value)


class Published:
    """What torchvision's classes have in common: made with ``download``, images in ``data``."""

    made: dict[str, np.ndarray] = arrays("cifar10")

    def __init__(self, folder: str, *, train: bool = True, split: str = "", download: bool):
        if not download:
            raise RuntimeError("Dataset not found")
        assert Path(folder).is_dir()
        part = (split or "train") if train else "test"
        self.data = self.made[f"{part}_images"]
        self.classes = self.made["classes"].tolist()
        self.targets = self.made[f"{part}_labels"].tolist()


class Svhn(Published):
    """Channels first, and ``labels`` in place of ``targets``; no names of classes."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.data, self.labels = np.moveaxis(self.data, 3, 1), self.targets
        del self.targets, self.classes


@pytest.mark.parametrize(("name", "kind"), [("cifar10", Published), ("svhn", Svhn)])
def test_a_download_becomes_one_file(name, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, archives.ARCHIVES[name].torchvision, kind)
    root = tmp_path / "new" / "data"
    assert data.fetch(name, root) == root / f"{name}.npz"
    assert [file.name for file in root.iterdir()] == [f"{name}.npz"]
    dataset, made = data.load(name, root), Published.made
    np.testing.assert_array_equal(dataset.train.pixels, np.moveaxis(made["train_images"], 3, 1))
    np.testing.assert_array_equal(dataset.test.labels, made["test_labels"])
    assert dataset.classes == tuple(made["classes"] if kind is Published else map(str, range(10)))


def test_a_sound_file_is_not_downloaded_again_and_a_damaged_one_is(tmp_path, monkeypatch):
    file = write(tmp_path, "cifar10")
    before = file.read_bytes()
    monkeypatch.setattr(datasets, "CIFAR10", None)
    data.fetch("cifar10", tmp_path)
    assert file.read_bytes() == before
    file.write_bytes(before[:1000])
    monkeypatch.setattr(datasets, "CIFAR10", Published)
    data.fetch("cifar10", tmp_path)
    assert len(data.load("cifar10", tmp_path).train.labels) == 6


def _idx(values: np.ndarray) -> bytes:
    """Values in the format of MNIST's files."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


@pytest.mark.parametrize("name", ["mnist", "emnist"])
def test_torchvision_s_own_files_are_read_and_emnist_is_turned(name, tmp_path, monkeypatch):
    made = arrays(name)

    def download(self):
        raw = Path(self.raw_folder)
        raw.mkdir(parents=True, exist_ok=True)
        for part in ("train", "test"):
            images = made[f"{part}_images"][..., 0]
            images = images.swapaxes(1, 2) if name == "emnist" else images
            prefix = {"mnist": part.replace("test", "t10k"), "emnist": f"emnist-balanced-{part}"}
            (raw / f"{prefix[name]}-images-idx3-ubyte").write_bytes(_idx(images))
            labels = _idx(made[f"{part}_labels"])
            (raw / f"{prefix[name]}-labels-idx1-ubyte").write_bytes(labels)

    kind = getattr(datasets, archives.ARCHIVES[name].torchvision)
    monkeypatch.setattr(kind, "download", download)
    data.fetch(name, tmp_path / "data")
    dataset = data.load(name, tmp_path / "data")
    np.testing.assert_array_equal(dataset.train.pixels[:, 0], made["train_images"][..., 0])
    np.testing.assert_array_equal(dataset.test.labels, made["test_labels"])
    assert [file.name for file in (tmp_path / "data").iterdir()] == [f"{name}.npz"]


def test_published_files_that_lie_there_are_read_without_a_network(tmp_path, monkeypatch):
    """EMNIST's, as unpacked by hand; where one of them is missing, a download is tried."""
    made, raw = arrays("emnist"), tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "test"):
        upright = made[f"{part}_images"][..., 0]
        for kind, values in (("images-idx3", upright.swapaxes(1, 2)),
                             ("labels-idx1", made[f"{part}_labels"])):  # fmt: skip
            (raw / f"emnist-balanced-{part}-{kind}-ubyte").write_bytes(_idx(values))
    monkeypatch.setattr(datasets.EMNIST, "download", None)
    data.fetch("emnist", tmp_path)
    found = data.load("emnist", tmp_path)
    np.testing.assert_array_equal(found.test.pixels[:, 0], made["test_images"][..., 0])
    np.testing.assert_array_equal(found.train.labels, made["train_labels"])
    (tmp_path / "emnist.npz").unlink()
    (raw / "emnist-balanced-test-labels-idx1-ubyte").unlink()

    def fail(self):
        raise URLError("no network")

    monkeypatch.setattr(datasets.EMNIST, "download", fail)
    with pytest.raises(ValueError, match="emnist could not be downloaded"):
        data.fetch("emnist", tmp_path)


def test_what_nobody_offers_is_not_fetched(tmp_path):
    with pytest.raises(ValueError, match="emnist47 cannot be downloaded, and .* put a file there"):
        data.fetch("emnist47", tmp_path)
    assert "put there by hand" in data.describe("emnist47", tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        URLError("Name or service not known"),
        RuntimeError("Error downloading:\nTried one, got:\nFile not found or corrupted."),
        ConnectionResetError("reset"),
        TimeoutError(),
    ],
)
def test_a_failed_download_says_which_file_and_leaves_nothing(error, tmp_path, monkeypatch):
    def fail(folder, *, download, **options):
        if not download:
            raise RuntimeError("Dataset not found")
        (Path(folder) / "half").touch()
        raise error

    monkeypatch.setattr(datasets, "CIFAR10", fail)
    message = f"cifar10 could not be downloaded to {tmp_path / 'cifar10.npz'} ("
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        data.fetch("cifar10", tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
