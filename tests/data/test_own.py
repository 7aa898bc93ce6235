"""Images of one's own, by path: folders and .npz files, as they come and as they are broken."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from ldlstudy import data
from ldlstudy.data import own
from ldlstudy.data.decode import Stream

pytestmark = pytest.mark.filterwarnings("error")
KINDS = ("cat", "dog", "eel")


def paint(file, colour, shape=(8, 8)):
    """Write an image of one colour, by which it is known again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", shape, (colour, colour, colour)).save(file)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of ten images of each of three classes."""
    for i, kind in enumerate(KINDS):
        for j in range(10):
            paint(tmp_path / "my-pets" / kind / f"{j}.png", 20 * i + j)
    return tmp_path / "my-pets"


def colours(images):
    pixels = images.pixels.tensor() if isinstance(images.pixels, Stream) else images.pixels
    return dict(zip(pixels[:, 0, 0, 0].tolist(), images.labels.tolist(), strict=True))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_folder_of_class_folders_keeps_a_fifth_of_each_for_tests(folder, streamed):
    (folder / "cat" / ".DS_Store").write_text("hidden")
    found = data.load(str(folder), streamed=streamed)
    assert (found.name, found.classes, found.shape) == ("my_pets", KINDS, (3, 8, 8))
    train, test = colours(found.train), colours(found.test)
    assert train | test == {20 * i + j: i for i in range(3) for j in range(10)}
    assert torch.bincount(found.test.labels).tolist() == [2, 2, 2]
    again = data.load(str(folder), streamed=streamed, test=0.5, held=0.2)
    assert torch.bincount(again.test.labels).tolist() == [5, 5, 5]
    assert torch.bincount(again.held.labels).tolist() == [1, 1, 1]
    assert isinstance(found.train.pixels, Stream) == streamed
    assert repr(found) == str(found) == "my_pets: 3 classes, 3x8x8, train 24 test 6"
    assert repr(found.train) == "24 images (3, 8, 8)"  # and no pixels
    assert data.check(str(folder)).startswith("my_pets: 3 classes, 3x8x8, train 24 test 6, sha256 ")


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_folder_with_parts_is_tested_on_its_own_images(part, tmp_path):
    for i, kind in enumerate(KINDS):
        paint(tmp_path / "train" / kind / "deep" / "1.jpg", 20 * i)
        paint(tmp_path / part / kind / "1.jpg", 100 + 20 * i)
    found = data.load(str(tmp_path))
    assert colours(found.train) == {0: 0, 20: 1, 40: 2}  # a class of one image is one, too
    assert colours(found.test) == {100: 0, 120: 1, 140: 2}
    with pytest.raises(ValueError, match="has test images of its own, got test=0.5 of the others"):
        data.load(str(tmp_path), test=0.5)
    paint(tmp_path / part / "fox" / "1.jpg", 7)
    with pytest.raises(ValueError, match="for tests alone those of class ..fox"):
        data.load(str(tmp_path))


def test_classes_that_are_too_small_to_be_tested_on_are_named(folder):
    for kind in ("dog", "eel"):
        for file in list((folder / kind).iterdir())[2:]:
            file.unlink()
    with pytest.warns(UserWarning, match="too few images of dog, eel to keep 0.2 of them: no test"):
        found = data.load(str(folder))
    assert torch.bincount(found.test.labels, minlength=3).tolist() == [2, 0, 0]


def test_images_of_several_sizes_need_one(folder):
    paint(folder / "cat" / "wide.png", 99, (20, 8))
    with pytest.raises(ValueError, match="has images of 8 x 8, 20 x 8: say to which square they"):
        data.load(str(folder))
    assert data.load(str(folder), size=4).shape == (3, 4, 4)


def test_broken_files_are_named_and_counted_and_left_out_if_asked(folder):
    (folder / "dog" / "note.txt").write_text("no image")
    torn = folder / "cat" / "3.png"
    torn.write_bytes(torn.read_bytes()[:40])
    message = f"2 of 31 files in {folder} cannot be read as images: cat/3.png, dog/note.txt"
    with pytest.raises(ValueError, match=re.escape(message) + ".*broken=.skip."):
        data.load(str(folder))
    with pytest.warns(UserWarning, match=re.escape(message) + "; they are left out"):
        found = data.load(str(folder), broken="skip")
    assert len(found.train.labels) + len(found.test.labels) == 29
    assert 3 not in colours(found.train) | colours(found.test)


def test_images_are_decoded_as_they_look(tmp_path):
    """16 bits, floating point, and a picture that lies on its side."""
    deep = np.full((8, 8), 200 * 257, np.uint16)
    for kind in ("a", "b"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        Image.fromarray(deep).save(tmp_path / "set" / kind / "deep.png")
        Image.fromarray(np.full((8, 8), 0.2, np.float32)).save(tmp_path / "set" / kind / "f.tiff")
    side = Image.new("RGB", (8, 8))
    side.putpixel((0, 0), (255, 255, 255))
    turned = Image.Exif()
    turned[0x0112] = 3  # by half a turn
    side.save(tmp_path / "set" / "a" / "side.png", exif=turned)
    pixels = data.load(str(tmp_path / "set"), test=0.34).train.pixels
    everything = {int(value) for value in pixels.unique()}
    assert everything <= {0, 51, 200, 255}
    found = own.read(str(tmp_path / "set"), test=0.34)
    shown = torch.cat([found.train.pixels, found.test.pixels])
    (upright,) = [each for each in shown if each.amax() == 255]
    assert upright[:, 7, 7].tolist() == [255] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: [f.unlink() for f in (f / "dog").iterdir()], "the folder of class 'dog', .*no"),
        (lambda f: [p.rename(f / p.name) for p in (f / "dog").iterdir()] and _only(f), "1 class:"),
        (lambda f: _drop(f), "has no folder: images lie in a folder for each class"),
        (lambda f: (f / "train").mkdir() or (f / "val").mkdir(), "more folders than train and one"),
    ],
)
def test_a_folder_in_another_layout(change, message, folder):
    change(folder)
    with pytest.raises(ValueError, match=message):
        data.load(str(folder))


def _only(folder):
    import shutil

    for kind in ("dog", "eel"):
        shutil.rmtree(folder / kind)


def _drop(folder):
    import shutil

    for kind in KINDS:
        shutil.rmtree(folder / kind)


RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
Y = np.arange(20) % 4


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (COLOUR, (3, 6, 5)),
        (COLOUR.transpose(0, 3, 1, 2), (3, 6, 5)),
        (COLOUR[..., 0], (1, 6, 5)),
        (COLOUR[..., :1] / 255, (1, 6, 5)),
        (RNG.normal(size=(20, 7)) * 100, (7,)),
    ],
)
@pytest.mark.parametrize("kind", ["int64", "uint16"])
def test_an_npz_of_images_or_features(images, shape, kind, tmp_path):
    file = str(tmp_path / "mine.npz")
    np.savez(file, images=images, labels=Y.astype(kind))
    found = data.load(file)
    assert (found.name, found.classes, found.shape) == ("mine", ("0", "1", "2", "3"), shape)
    assert torch.bincount(found.test.labels).tolist() == [1] * 4
    np.savez(file, images=images, labels=Y, test_images=images[:4], test_labels=Y[:4])
    found = data.load(file)
    assert torch.equal(found.train.labels, torch.from_numpy(Y))
    same = found.train.pixels[:4] == found.test.pixels
    assert bool(same.all())
    if shape == (3, 6, 5) and images is COLOUR:
        assert found.test.pixels[1, 2, 3, 4] == COLOUR[1, 3, 4, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": Y + 1}, "has no image with label 0, but some with label 4: labels count from"),
        ({"labels": Y * 2}, "has no image with label 1"),
        ({"labels": Y * 0}, "has 1 class: at least 2 are needed"),
        ({"labels": np.array(["a", "b"] * 10)}, "the labels of images in .* must be numbers"),
        ({"labels": Y[:5]}, "images and their labels|must be as many"),
        ({"labels": Y, "classes": np.array(["a", "b"])}, r"labels must lie in \[0, 2\), got"),
        ({"images": COLOUR.astype(np.uint16), "labels": Y}, "got torch.uint16"),
        ({"images": COLOUR * 1.0, "labels": Y}, "floating point from 0 to 1 or normalised"),
        ({"images": np.array([None] * 20), "labels": Y}, "is no sound .npz file of images"),
        ({"pictures": COLOUR}, "it lacks"),
        ({"labels": Y, "test_images": COLOUR}, "it lacks test_labels"),
        ({"labels": Y, "test_images": COLOUR[:, 1:], "test_labels": Y}, "of different shapes"),
        ({"labels": Y, "test_images": COLOUR, "test_labels": Y + 1}, r"lie in \[0, 4\), got"),
    ],
)
def test_an_npz_that_does_not_fit(change, message, tmp_path):
    file = str(tmp_path / "mine.npz")
    images = {} if "pictures" in change else {"images": COLOUR}
    np.savez(file, **(images | change))
    with pytest.raises(ValueError, match=message):
        data.load(file)


def test_a_damaged_npz(tmp_path):
    file = tmp_path / "mine.npz"
    np.savez(file, images=COLOUR, labels=Y)
    content = bytearray(file.read_bytes())
    content[400] ^= 4
    file.write_bytes(content)
    with pytest.raises(ValueError, match="no sound .npz file"):
        data.load(str(file))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("./gone", {}, "there is no folder or file ./gone"),
        ("gone.npz", {}, "there is no folder or file gone.npz"),
        ("gone", {}, "unknown data set 'gone'; known: .*; images of your own are named by their"),
        (3, {}, "a data set is named by a text or a path, got 3"),
        ("FOLDER", {"seed": "x"}, "seed must be a whole number of at least 0, got 'x'"),
        ("FOLDER", {"streamed": "no"}, "streamed must be true or false, got 'no'"),
        (__file__, {}, "test_own.py is no folder and no .npz file"),
        ("FOLDER", {"sizes": 3}, "unknown option 'sizes' of .*; known: broken, files, size, st"),
        ("FOLDER", {"size": 0}, "size must be a whole number"),
        (
            "FOLDER",
            {"test": 1.0},
            "my-pets has no test images of its own, got test=1: holding out 1 leaves none of",
        ),
        ("FOLDER", {"held": "x"}, "held must be a number, got 'x'"),
        ("FOLDER", {"seed": 3}, "seed 3 is of the images to hold out, got held=0"),
        ("FOLDER", {"root": "sets"}, "root is the folder of sets with a name"),
        ("FOLDER", {"broken": "ignore"}, "unknown way with broken files 'ignore'; known: refuse"),
        ("FOLDER", {"files": "0" * 12}, "are others than those of this run"),
    ],
)
def test_what_is_wrong_with_a_path_or_an_option(name, options, message, folder):
    with pytest.raises(ValueError, match=message):
        data.load(folder if name == "FOLDER" else name, **options)


def test_a_fingerprint_is_of_names_and_contents(folder):
    before = own.fingerprint(str(folder))
    assert own.fingerprint(str(folder)) == before
    assert data.load(str(folder), files=before).name == "my_pets"
    paint(folder / "cat" / "0.png", 255)
    assert own.fingerprint(str(folder)) != before
    paint(folder / "cat" / "0.png", 0)
    assert own.fingerprint(str(folder)) == before
    (folder / "cat" / "0.png").rename(folder / "dog" / "x.png")
    assert own.fingerprint(str(folder)) != before


@pytest.mark.parametrize(
    ("path", "name"),
    [("./a-b c", "a_b_c"), ("x/m.npz", "m"), ("./mnist", "own_mnist"), ("./a.v2", "a_v2"),
     ("x/circumstances.npz", "own_circumstances"), ("./six_gaussians", "own_six_gaussians")],
)  # fmt: skip
def test_what_records_call_a_path(path, name):
    assert data.called(path) == name
