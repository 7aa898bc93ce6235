"""The command line says what is wrong in one line and never shows a traceback."""

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import ldlstudy
from ldlstudy import data, records
from ldlstudy.book import BookError
from ldlstudy.cli import app
from ldlstudy.cli.errors import one_line_errors
from ldlstudy.mixture import six_gaussians

runner = CliRunner()


def test_version():
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"{ldlstudy.__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["book", "--help"], ["book", "-h"]])
def test_help_stands_alone(arguments):
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0
    assert "book" in result.stdout


def test_an_unknown_profile_is_one_line(toy_book, monkeypatch):
    monkeypatch.chdir(toy_book().root)
    result = runner.invoke(app, ["book", "--profile", "fast"])
    assert result.exit_code == 1
    assert result.stderr == "ldlstudy: unknown profile 'fast'; known: paper, quick, smoke\n"


def test_elsewhere_than_in_the_root_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, ["book"])
    assert result.exit_code == 1
    assert "run this in the repository's root" in result.stderr


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


@pytest.fixture
def digits_file(tmp_path):
    """A folder of data with a small MNIST in it."""
    np.savez(
        tmp_path / "mnist.npz",
        train_images=np.zeros((4, 28, 28), dtype=np.uint8),
        train_labels=np.arange(4),
        test_images=np.zeros((2, 28, 28), dtype=np.uint8),
        test_labels=np.arange(2),
        classes=np.array(list("0123456789")),
    )
    return tmp_path / "mnist.npz"


def test_data_list_shows_sizes_sources_and_what_is_here(digits_file):
    result = runner.invoke(app, ["data", "list", "--root", str(digits_file.parent)])
    assert result.exit_code == 0, result.stderr
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert {*data.available(), "six_gaussians"} == set(lines)
    assert lines["mnist"].endswith(f"from torchvision, in {digits_file}")
    assert "10 classes" in lines["svhn"]
    assert "3x32x32" in lines["svhn"]
    assert f"73,257 + 26,032 images from torchvision, not in {digits_file.parent}" in lines["svhn"]
    assert "from its authors, not in" in lines["cub200"]


def test_data_check_reads_what_is_here(digits_file):
    root = ["--root", str(digits_file.parent)]
    result = runner.invoke(app, ["data", "check", *root])
    assert result.exit_code == 0, result.stderr
    names = [line.split(":")[0] for line in result.stdout.splitlines()]
    assert names == ["digits", "noisy_digits", "mnist"]
    alone = runner.invoke(app, ["data", "check", "mnist", *root])
    assert alone.stdout == f"{data.check('mnist', digits_file.parent)}\n"


def test_data_check_fails_for_what_is_damaged_or_missing(digits_file):
    root = ["--root", str(digits_file.parent)]
    missing = runner.invoke(app, ["data", "check", "svhn", *root])
    assert missing.exit_code == 1
    assert "svhn.npz is missing" in missing.stderr
    digits_file.write_bytes(digits_file.read_bytes()[:99])
    damaged = runner.invoke(app, ["data", "check", *root])
    assert damaged.exit_code == 1
    assert f"{digits_file} is damaged or unreadable" in damaged.stderr
    assert damaged.stdout.startswith("digits: 10 classes")


def test_data_fetch_keeps_a_sound_file_and_names_what_cannot_be_fetched(digits_file):
    root = ["--root", str(digits_file.parent)]
    kept = runner.invoke(app, ["data", "fetch", "mnist", *root])
    assert (kept.exit_code, kept.stdout) == (0, f"{digits_file}\n")
    refused = runner.invoke(app, ["data", "fetch", "mit67", *root])
    assert refused.exit_code == 1
    assert "mit67 comes from its authors alone" in refused.stderr


def test_data_sample_writes_the_mixture_s_own_sample(tmp_path):
    file = tmp_path / "six.npz"
    arguments = ["data", "sample", "six_gaussians", str(file), "--per-class", "7", "--seed", "3"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
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
    result = runner.invoke(app, ["data", "sample", *arguments])
    assert result.exit_code == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_records_are_listed_and_a_damaged_one_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "_config.yml").touch()
    run = records.Run("six_gaussians", "mlp64x5", "ls", replicates=3)
    made = {"networks": 36, "seconds": 4.2, "device": "CPU"}
    file = records.save(run, records.Record(run.specification, {}, {}, {}, made))
    result = runner.invoke(app, ["records"])
    assert result.exit_code == 0
    assert f"ls-{run.id}" in result.stdout
    assert "paper, seed 0, 3 replicates: 36 networks in 4 s on CPU" in result.stdout
    file.write_text(file.read_text()[:40])
    result = runner.invoke(app, ["records"])
    assert result.exit_code == 1
    assert file.name in result.stderr
    assert "damaged" in result.stderr
