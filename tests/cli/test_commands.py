"""The command line says what is wrong in one line and never shows a traceback."""

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import ldlstudy
from ldlstudy import data
from ldlstudy.book import BookError
from ldlstudy.cli import app
from ldlstudy.cli.errors import one_line_errors
from ldlstudy.mixture import six_gaussians
from tests.cli.invoked import failed, passed


def test_the_version_and_help_stand_alone():
    assert passed("--version") == [ldlstudy.__version__]
    for arguments in (["--help"], ["book", "--help"], ["book", "-h"]):
        assert "book" in "".join(passed(*arguments))


def test_a_book_that_cannot_be_built_is_one_line(toy_book, monkeypatch):
    root = toy_book().root
    monkeypatch.chdir(root)
    message = failed("book", "--profile", "fast")
    assert message == "ldlstudy: unknown profile 'fast'; known: full, paper, quick, smoke\n"
    monkeypatch.chdir(root / "book")
    assert "run this in the repository's root" in failed("book")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (BookError("a.ipynb: cell 2"), 1, "ldlstudy: a.ipynb: cell 2"),
        (ValueError("epsilon"), 1, "ldlstudy: epsilon"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (KeyboardInterrupt(), 130, "ldlstudy: interrupted; what was finished is kept"),
    ],
)
def test_errors_become_a_line_and_a_code(error, code, message, capsys):
    with pytest.raises(typer.Exit) as caught, one_line_errors():
        raise error
    assert caught.value.exit_code == code
    assert message in capsys.readouterr().err


def test_a_fault_of_the_program_itself_is_not_hidden():
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError


def test_what_two_builds_show_is_exported_and_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "run `ldlstudy book` first" in failed("export", "old")
    file = tmp_path / "_build" / "stage" / "book" / "_static" / "data" / "01_toy" / "a.csv"
    file.parent.mkdir(parents=True)
    for folder, accuracy in (("old", 1), ("new", 2)):
        file.write_text(f"row,accuracy\nLS,{accuracy}\n")
        assert passed("export", folder) == [f"1 files in {folder}"]
    assert passed("compare", "old", "old") == ["0 differences"]
    differ = CliRunner().invoke(app, ["compare", "old", "new"])
    assert differ.exit_code == 1
    assert differ.stdout == "01_toy/a.csv: LS, accuracy: '1' is '2'\n1 differences\n"
    assert failed("compare", "old", "gone") == "ldlstudy: gone is not a folder\n"


@pytest.fixture
def mnist(tmp_path):
    """The file of a small MNIST, the only one in its folder of data."""
    np.savez(
        tmp_path / "mnist.npz",
        train_images=np.zeros((4, 28, 28), dtype=np.uint8),
        train_labels=np.arange(4),
        test_images=np.zeros((2, 28, 28), dtype=np.uint8),
        test_labels=np.arange(2),
        classes=np.array(list("0123456789")),
    )
    return tmp_path / "mnist.npz"


def test_data_list_shows_sizes_sources_and_what_is_here(mnist):
    lines = passed("data", "list", "--root", str(mnist.parent))
    known = {line.split()[0]: line for line in lines}
    assert {*data.available(), *data.BESIDE, "six_gaussians"} == set(known)
    assert known["mnist"].endswith(f"from torchvision, in {mnist}")
    for part in (
        "10 classes",
        "3x32x32",
        f"73,257 + 26,032 images from torchvision, not in {mnist.parent}",
    ):
        assert part in known["svhn"]
    assert "from its authors, not in" in known["cub200"]


def test_data_check_reads_what_is_here_and_names_what_is_damaged_or_missing(mnist):
    root = ["--root", str(mnist.parent)]
    names = [line.split(":")[0] for line in passed("data", "check", *root)]
    assert names == ["digits", "noisy_digits", "mnist"]
    assert passed("data", "check", "mnist", *root) == [data.check("mnist", mnist.parent)]
    assert "svhn.npz is missing" in failed("data", "check", "svhn", *root)
    mnist.write_bytes(mnist.read_bytes()[:99])
    damaged = failed("data", "check", *root, before="digits: 10 classes")
    assert f"{mnist} is damaged or unreadable" in damaged


def test_data_fetch_keeps_a_sound_file_and_names_what_cannot_be_fetched(mnist):
    root = ["--root", str(mnist.parent)]
    assert passed("data", "fetch", "mnist", *root) == [str(mnist)]
    assert "mit67 comes from its authors alone" in failed("data", "fetch", "mit67", *root)


def test_data_sample_writes_the_mixture_s_own_sample(tmp_path):
    file = tmp_path / "six.npz"
    passed("data", "sample", "six_gaussians", str(file), "--per-class", "7", "--seed", "3")
    mixture = six_gaussians()
    x, labels, component = mixture.sample(7, seed=3)
    with np.load(file, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["inputs"], x)
        np.testing.assert_array_equal(arrays["labels"], labels)
        np.testing.assert_array_equal(arrays["component"], component)
        np.testing.assert_array_equal(arrays["posterior"], mixture.posterior(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "x.npz"], "unknown data set 'digits'; known: noisy_digits, six_gaussians"),
        (["six_gaussians", "x.csv"], "the file must end in .npz, got 'x.csv'"),
        (["six_gaussians", "x.npz", "--per-class", "0"], "per_class must be a whole number"),
    ],
)
def test_data_sample_says_what_is_wrong(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in failed("data", "sample", *arguments)
    assert list(tmp_path.iterdir()) == []
