import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from ldlstudy import data, mixture
from ldlstudy.data import made


def test_digits_are_scikit_learn_s():
    dataset = data.load("digits")
    pixels, labels = load_digits(return_X_y=True)
    expected = {
        (label, *row) for label, row in zip(labels, (pixels * 255 / 16).round(), strict=True)
    }
    found = {
        (label, *row)
        for part in (dataset.train, dataset.test)
        for label, row in zip(
            part.labels.tolist(), part.pixels.flatten(1).double().tolist(), strict=True
        )
    }
    assert found == expected
    assert dataset.train.pixels.dtype == torch.uint8
    assert dataset.shape == (1, 8, 8)


@given(per_class=st.integers(1, 40), seed=st.integers(0, 3))
def test_so_many_images_of_each_class_are_kept(per_class, seed):
    whole, few = data.load("digits"), data.load("digits", per_class=per_class, seed=seed)
    assert few.train.labels.bincount().tolist() == [per_class] * 10
    assert torch.equal(few.test.labels, whole.test.labels)
    known = {image.numpy().tobytes() for image in whole.train.pixels}
    own = [image.numpy().tobytes() for image in few.train.pixels]
    assert len(set(own)) == len(own)  # none twice
    assert set(own) <= known
    again = data.load("digits", per_class=per_class, seed=seed)
    assert torch.equal(again.train.pixels, few.train.pixels)


def test_few_images_are_split_as_all_are():
    dataset = data.load("digits", per_class=20, held=0.25, seed=1)
    assert dataset.train.labels.bincount().tolist() == [15] * 10
    assert dataset.held.labels.bincount().tolist() == [5] * 10


def test_runs_share_the_test_digits_whatever_is_held_out():
    first, other = data.load("digits", held=0.1, seed=0), data.load("digits", held=0.2, seed=1)
    assert torch.equal(first.test.pixels, other.test.pixels)
    split = data.load("digits", split_seed=1)
    assert not torch.equal(split.test.pixels, first.test.pixels)


def test_noisy_digits_know_their_truth_in_every_part():
    dataset = data.load("noisy_digits", sigma=0.4, train=20, test=10, held=0.25)
    assert dataset.held is not None
    exact = mixture.noisy_digits(0.4)
    for part, count in ((dataset.train, 15), (dataset.held, 5), (dataset.test, 10)):
        assert part.pixels.dtype == torch.float32
        assert part.labels.bincount().tolist() == [count] * 10
        points = part.pixels.flatten(1)
        torch.testing.assert_close(part.truth, exact.posterior(points))
        torch.testing.assert_close(part.truth, dataset.posterior(points))
    assert dataset.shape == (1, 8, 8)


def test_validation_images_are_drawn_beside_the_others():
    sizes = {"train": 6, "test": 5, "draw": 3}
    alone, beside = data.load("noisy_digits", **sizes), data.load(
        "noisy_digits", **sizes, validation=7
    )  # fmt: skip
    assert alone.held is None
    for one, same in ((alone.train, beside.train), (alone.test, beside.test)):
        assert torch.equal(one.pixels, same.pixels)
    assert beside.held.labels.bincount().tolist() == [7] * 10
    seen = torch.cat([alone.train.pixels, alone.test.pixels]).flatten(1)
    assert float(torch.cdist(beside.held.pixels.flatten(1), seen).min()) > 0.1
    with pytest.raises(ValueError, match="has 70 held-out images already"):
        data.load("noisy_digits", **sizes, validation=7, held=0.2)


def test_noisy_digits_follow_their_draw_and_the_noise_has_its_width():
    first, again, other = (data.load("noisy_digits", train=5, test=5, draw=d) for d in (0, 0, 1))
    assert first.digest == again.digest != other.digest
    pixels = data.load("noisy_digits", sigma=0.5, train=200, test=1).train.pixels.flatten(1)
    blank = torch.from_numpy((load_digits().data == 0).all(0))  # no digit uses them
    assert int(blank.sum()) >= 3
    assert float(pixels[:, blank].std()) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("name", sorted(made.MADE))
def test_listed_sizes_are_the_real_ones(name):
    dataset = data.load(name)
    train, test = len(dataset.train.labels), len(dataset.test.labels)
    line = data.describe(name)
    for fact in (f"{len(dataset.classes)} classes", "1x8x8", f"{train:,} +", f"{test:,} images"):
        assert fact in line


def test_data_lie_where_the_environment_says_or_in_the_study(tmp_path, monkeypatch):
    monkeypatch.delenv("LDLSTUDY_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert str(data.default_root()) == "data"
    (tmp_path / "_config.yml").touch()
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert data.default_root() == tmp_path.resolve() / "data"
    monkeypatch.setenv("LDLSTUDY_DATA", str(tmp_path / "other"))
    assert data.default_root() == tmp_path / "other"
    assert data.location("mnist") == tmp_path / "other" / "mnist.npz"


def test_a_check_gives_counts_and_digest(tmp_path):
    np.savez(
        tmp_path / "mnist.npz",
        train_images=np.zeros((4, 28, 28), dtype=np.uint8),
        train_labels=np.arange(4),
        test_images=np.zeros((2, 28, 28), dtype=np.uint8),
        test_labels=np.arange(2),
        classes=np.array(list("0123456789")),
    )
    digest = data.load("mnist", tmp_path).digest
    expected = f"mnist: 10 classes, 1x28x28, train 4 test 2, sha256 {digest}"
    assert data.check("mnist", tmp_path) == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.load("cifar"), "unknown data set 'cifar'; known: cifar10, cifar100, cub200,"),
        (lambda: data.load("digits", sigma=1), "unknown option 'sigma' of data set digits; known:"),
        (lambda: data.load("mnist", size=8), "option 'size' of data set mnist; known: none"),
        (lambda: data.load("mit67", size=0), "size must be a whole number of at least 1, got 0"),
        (lambda: data.load("digits", held=1.5), "held must lie in [0, 1], got 1.5"),
        (lambda: data.load("digits", held=-0.1), "held must lie in [0, 1], got -0.1"),
        (lambda: data.load("digits", held=0.1, seed=-1), "seed must be a whole number"),
        (lambda: data.load("digits", per_class=0), "per_class must be a whole number of at least"),
        (lambda: data.load("digits", per_class=2.5), "per_class must be a whole"),  # type: ignore
        (
            lambda: data.load("digits", per_class=500),
            "per_class=500: digits has 142 training images of class 0",
        ),
        (lambda: data.load("noisy_digits", sigma=0), "sigma must lie in (0"),
        (lambda: data.load("noisy_digits", train=0), "train must be a whole number"),
        (lambda: data.load("noisy_digits", test=0), "test must be a whole number"),
        (lambda: data.load("noisy_digits", draw=-1), "draw must be a whole number"),
        (lambda: data.fetch("digits"), "digits is made here"),
        (lambda: data.fetch("cub200"), "comes from its authors alone: unpack it to"),
        (lambda: data.fetch("x"), "unknown data set 'x'"),
        (lambda: data.check("x"), "unknown data set 'x'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
