"""Votes join the images in their published order, or are refused with what was expected."""

import io
import re
from dataclasses import replace
from urllib.error import URLError

import numpy as np
import pytest
import torch

from ldlstudy import data
from ldlstudy.data import archives, people
from tests.cli.invoked import failed, passed
from tests.data.test_archives import arrays

RNG = np.random.default_rng(3)
N = 40


def counted(labels, voters=50, agree=45):
    """Return votes (N, 10): most people name the label, the others some other class."""
    votes = np.zeros((len(labels), 10), dtype=np.int64)
    votes[np.arange(len(labels)), labels] = agree
    votes[np.arange(len(labels)), (labels + 1) % 10] = voters - agree
    return votes


@pytest.fixture
def root(tmp_path):
    """A small CIFAR-10 and Fashion-MNIST with votes on them."""
    for name in ("cifar10", "fashion_mnist"):
        np.savez(tmp_path / f"{name}.npz", **arrays(name, N, N))
    for name, of in (("cifar10h", "cifar10"), ("fashion_mnist_h", "fashion_mnist")):
        with np.load(tmp_path / f"{of}.npz") as file:
            np.savez(tmp_path / f"{name}.npz", counts=counted(file["test_labels"]))
    with np.load(tmp_path / "cifar10.npz") as file:
        labels = file["train_labels"]
    given = {name: labels.copy() for name in people.PEOPLE["cifar10n"].arrays}
    given["random_label2"] = (labels + 1) % 10
    given["random_label3"][:5] = (labels[:5] + 2) % 10
    np.savez(tmp_path / "cifar10n.npz", **given)
    return tmp_path


def test_votes_are_the_truth_of_the_images_that_they_are_on(root):
    plain = data.load("cifar10", root)
    dataset = data.load("cifar10", root, votes="cifar10h")
    expected = counted(plain.test.labels.numpy())
    np.testing.assert_array_equal(dataset.test.votes, expected)
    np.testing.assert_allclose(dataset.test.truth, expected / 50)
    assert (dataset.train.truth, plain.test.truth, plain.test.votes) == (None, None, None)
    for name in ("pixels", "labels"):
        assert torch.equal(getattr(dataset.test, name), getattr(plain.test, name))
    some = dataset.test.take(torch.tensor([3, 1])).to("cpu")
    assert torch.equal(some.votes, dataset.test.votes[[3, 1]])
    assert data.Images.of(some).votes is some.votes


def test_three_annotators_are_a_distribution_and_each_may_label_the_images(root):
    plain = data.load("cifar10", root).train.labels
    dataset = data.load("cifar10", root, votes="cifar10n")
    assert torch.equal(dataset.train.labels, plain)
    expected = torch.zeros(N, 10)
    expected[torch.arange(N), plain] += 2
    expected[torch.arange(N), (plain + 1) % 10] += 1
    expected[torch.arange(5), plain[:5]] -= 1
    expected[torch.arange(5), (plain[:5] + 2) % 10] += 1
    torch.testing.assert_close(dataset.train.truth.float(), expected / 3)
    other = data.load("cifar10", root, votes="cifar10n", annotator="random_label2", held=0.25)
    assert torch.equal(torch.cat([other.train.labels, other.held.labels]).bincount(),
                       ((plain + 1) % 10).bincount())  # fmt: skip
    assert len(other.held.truth) == len(other.held.labels) > 0


@pytest.mark.parametrize("part", ["images", "votes"])
def test_another_order_is_refused_with_what_was_expected(part, root):
    file = root / ("cifar10.npz" if part == "images" else "cifar10h.npz")
    with np.load(file) as content:
        found = dict(content)
    order = RNG.permutation(N)
    for name in ("test_images", "test_labels") if part == "images" else ("counts",):
        found[name] = found[name][order]
    np.savez(file, **found)
    with pytest.raises(ValueError, match=r"label of \d+\.\d% of them, expected 99\.2%; both have"):
        data.load("cifar10", root, votes="cifar10h")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"votes": "cifar10"}, "unknown people who labelled cifar10 'cifar10'; known: cifar10h, c"),
        ({"votes": "fashion_mnist_h"}, "known: cifar10h, cifar10n"),
        ({"votes": "cifar10h", "annotator": "me"}, "cifar10h names no annotator, it counts votes"),
        ({"votes": "cifar10n", "annotator": "me"}, "unknown annotator of cifar10n 'me'; known: "),
        ({"annotator": "random_label1"}, "whose annotator 'random_label1' is has to be said with"),
    ],
)
def test_votes_of_others_are_refused(options, message, root):
    with pytest.raises(ValueError, match=re.escape(message)):
        data.load("cifar10", root, **options)


def test_a_set_without_votes_and_votes_that_are_not_there_are_said(root):
    with pytest.raises(ValueError, match="no votes of people are known for digits"):
        data.load("digits", votes="cifar10h")
    with pytest.raises(ValueError, match="voted on test images of cifar10, fashion_mnist, not of "):
        people.on_test("cifar100")
    (root / "cifar10h.npz").unlink()
    with pytest.raises(ValueError, match="`ldlstudy data fetch cifar10h` downloads it where"):
        data.load("cifar10", root, votes="cifar10h")


COUNTS = counted(np.arange(N) % 10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": COUNTS}, "it lacks counts"),
        ({"counts": COUNTS / 50}, "counts must be whole numbers of shape (N, 10), got float64"),
        ({"counts": COUNTS[:, 0]}, "counts must be whole numbers of shape (N, 10), got int64 (40,"),
        ({"counts": -COUNTS}, "counts must lie in [0, 255], got [-45, 0]"),
        ({"counts": COUNTS * 0}, "counts must have a vote in each row"),
        ({"counts": COUNTS[:0]}, "counts must lie in [0, 255], got []"),
        ({"counts": np.array([None] * 3)}, "allow_pickle=False"),
    ],
)
def test_damaged_votes_are_named_with_their_file(content, message, root):
    np.savez(root / "cifar10h.npz", **content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        data.load("cifar10", root, votes="cifar10h")
    assert str(caught.value).startswith(f"{root / 'cifar10h.npz'} is damaged or unreadable (")
    (root / "cifar10h.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is damaged or unreadable"):
        data.load("cifar10", root, votes="cifar10h")


def test_votes_on_another_number_of_images_do_not_fit(root):
    np.savez(root / "cifar10h.npz", counts=COUNTS[:7])
    with pytest.raises(ValueError, match="has 7 rows, for 40 images of cifar10"):
        data.load("cifar10", root, votes="cifar10h")


def published(name, votes):
    """Return votes in the form in which their authors publish them."""
    buffer = io.BytesIO()
    if name == "cifar10h":
        np.save(buffer, votes)
    elif name == "fashion_mnist_h":
        np.savetxt(buffer, votes, fmt="%d", delimiter=",")
    else:
        torch.save({"clean_label": votes, **dict.fromkeys(people.PEOPLE[name].arrays, votes)},
                   buffer)  # fmt: skip
    return buffer.getvalue()


@pytest.mark.parametrize("name", people.PEOPLE)
def test_a_download_is_checked_against_the_published_sum(name, tmp_path, monkeypatch):
    votes = np.arange(N) % 10 if name == "cifar10n" else COUNTS
    monkeypatch.setattr(people, "urlopen", lambda url, timeout: io.BytesIO(published(name, votes)))
    known = people.PEOPLE[name]
    short = re.escape(f"it has 40 rows of {known.images:,}")
    with pytest.raises(ValueError, match=f"{name} could not be downloaded to .*{short}"):
        data.fetch(name, tmp_path)
    monkeypatch.setitem(people.PEOPLE, name, replace(known, images=N))
    with pytest.raises(ValueError, match="another SHA-256 than the published ones: "):
        data.fetch(name, tmp_path)
    assert not list(tmp_path.iterdir())
    found = {key: votes.astype(np.uint8) for key in known.arrays}
    monkeypatch.setitem(
        people.PEOPLE, name, replace(known, images=N, sha256=people._sum(found))
    )  # fmt: skip
    file = data.fetch(name, tmp_path)
    with np.load(file) as content:
        assert sorted(content.files) == sorted(known.arrays)
        np.testing.assert_array_equal(content[known.best], votes)
    monkeypatch.delattr(people, "urlopen")
    assert data.fetch(name, tmp_path) == file  # what is there is not downloaded again


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x02cos\nsystem\n(S'true'\ntR."])
@pytest.mark.parametrize("name", people.PEOPLE)
def test_a_download_of_something_else_is_one_line_and_runs_nothing(
    name, content, tmp_path, monkeypatch
):
    monkeypatch.setattr(people, "urlopen", lambda url, timeout: io.BytesIO(content))
    with pytest.raises(ValueError, match=f"{name} could not be downloaded to") as caught:
        data.fetch(name, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_other_way_is_said(tmp_path, monkeypatch):
    def fail(url, timeout):
        raise URLError("no route")

    monkeypatch.setattr(people, "urlopen", fail)
    message = failed("data", "fetch", "cifar10h", "--root", str(tmp_path))
    assert "no route" in message
    assert "or put a file there with the arrays counts" in message


def test_the_command_line_lists_and_checks_votes_with_their_licence(root):
    lines = passed("data", "list", "--root", str(root))
    assert any(line.startswith("cifar10h ") and "CC BY-NC-SA 4.0" in line for line in lines)
    assert any("no licence is stated" in line for line in lines)
    (line,) = passed("data", "check", "cifar10h", "--root", str(root))
    assert line.startswith("cifar10h: 2,000 votes on 40 images of cifar10, sha256 ")
    assert len(passed("data", "check", "--root", str(root))) >= 5
    assert set(people.PEOPLE).isdisjoint(archives.ARCHIVES)
