"""Images of one's own by command, outside a checkout: trained, taught, previewed, or refused."""

import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import ldlstudy
from ldlstudy import data
from ldlstudy.cli import app, values
from ldlstudy.experiment import records
from ldlstudy.experiment.prepare import NETWORK
from ldlstudy.training import Augmentation, checkpoints
from tests.cli.invoked import failed, passed

TINY = ["-t", "epochs=2", "-t", "batch=8", "-n", "hidden=[8]", "--device", "cpu"]
ADAMW = ["-t", "optimiser=adamw", "-t", "rate=.01", "-t", "schedule=cosine"]
WHERE = ["--results", "mine"]


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """Return a folder of images of two classes, beside which one works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LDLSTUDY_PROGRESS", "0")
    draws = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for i in range(10):
            image = draws.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "pets" / kind / f"{i}.png")
    return tmp_path / "pets"


def test_a_folder_is_trained_on_and_teaches_its_student(pets, tmp_path):
    lines = passed("run", "./pets", "small_fcn", "none", *TINY, *ADAMW, *WHERE)
    (record,) = records.every(tmp_path / "mine")
    assert lines[0] == f"pets/none-{record.id}"
    run = record.specification
    assert run["data"]["path"] == "./pets"
    assert run["augmentation"] == {"normalise": "training"}
    assert run["recipe"] == {
        "epochs": 2, "batch": 8, "optimiser": "adamw", "rate": 0.01, "schedule": "cosine"
    }  # fmt: skip
    weights = checkpoints.load(tmp_path / "mine" / "runs" / record.id / NETWORK)
    network = ldlstudy.models.build("small_fcn", 2, shape=(3, 6, 6), hidden=[8])
    network.load_state_dict(weights["network"])
    mine = data.load("./pets")
    look = Augmentation(normalise="training").fitted(mine.train)
    scores = ldlstudy.measure(network, mine.test, augmentation=look, device="cpu")
    brier = record.values["plain"]["brier"]
    assert scores.loc["plain", "brier"] == pytest.approx(brier, rel=1e-4)

    kd = ["-p", "weight=.5", "-p", "temperature=2", "--teacher", record.id]
    passed("run", "./pets", "small_fcn", "kd", *TINY, *kd, *WHERE)
    assert len(passed("records", *WHERE)) == 2
    shown = passed("preview", "./pets", "ils2", "-p", "epsilon=.1", "-p", "teacher_temperature=2",
                   "--teacher", record.id, *WHERE)  # fmt: skip
    assert "total variation from the hard label 0.100 on average" in " ".join(shown)

    same = [values.read_data(name, []) for name in ("pets", "./pets", "pets/")]
    assert same[0] == same[1] == same[2]
    assert run["data"].items() <= same[0][1].items()

    halves = "pets: 2 classes, 3x6x6, train 10 test 10\n"
    of_half = [*TINY, *kd, *WHERE, "-d", "test=.5"]
    other = failed("run", "./pets", "small_fcn", "kd", *of_half, told=halves)
    assert "is tested on 0.2 of each class, its student on 0.5" in other

    Image.new("RGB", (6, 6)).save(pets / "cat" / "0.png")
    pets_are = "pets: 2 classes, 3x6x6, train 16 test 4\n"
    other = failed("run", "./pets", "small_fcn", "kd", *TINY, *kd, *WHERE, told=pets_are)
    assert "the files in ./pets are others than those of its teacher" in other
    again = CliRunner().invoke(app, ["rerun", record.id, *WHERE])
    assert again.exit_code == 1
    assert "are others than those of this run" in again.stderr


def test_an_npz_is_trained_on(pets, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(20) % 2)
    lines = passed("run", "./a.npz", "small_fcn", "ls", "-p", "epsilon=.1", *TINY, *WHERE,
                   "-a", "normalise=none")  # fmt: skip
    assert lines[0].startswith("a/ls-")
    np.savez(tmp_path / "a.npz", images=images.reshape(20, 36) / 255, labels=np.arange(20) % 2)
    assert "features (N, F), which networks by name" in failed(
        "run", "./a.npz", "small_fcn", "none", *TINY, *WHERE
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run ./pets small_fcn none", "no _config.yml in .* or name a folder .* --results"),
        ("run ./gone small_fcn none --results mine", "there is no folder or file ./gone"),
        ("run gone small_fcn none --results mine", "images of your own are named by their path"),
        ("run ./pets keras:x none --results mine", "unknown library of networks 'keras'"),
        ("run ./pets small_fcn none --results mine -d size=big", "size must be a whole number"),
        ("run ./pets small_fcn none --results mine -d streamed=3", "streamed must be yes or no"),
        ("preview ./pets mixap", "unknown method 'mixap'"),
        ("preview ./pets ils2", "method 'ils2' needs a teacher"),
        ("preview ./pets cutmix -m beta=1", "unknown setting of cutmix 'beta'; known: alpha, name"),
        ("preview ./pets mixup -p alpha=3", "settings of a mixing are given with -m: -m alpha=3"),
        ("preview ./pets mixup -o a.jpk", "jpk"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, message, pets):
    assert re.search(message, failed(*arguments.split()))


def test_broken_files_are_refused_or_left_out_as_asked(pets):
    (pets / "cat" / "x.png").write_text("none")
    assert "1 of 21 files in pets cannot be read" in failed("preview", "./pets", "mixup")
    with pytest.warns(UserWarning, match="1 of 21 files .*; they are left out"):
        data.load("./pets", broken="skip")


def test_a_preview_draws_what_is_taught(pets, tmp_path):
    (line,) = passed("preview", "./pets", "mixup", "-o", "picture.png", "--batch", "8")
    assert line.startswith("mixup: 8 images, taught label distributions; total variation from")
    with Image.open(tmp_path / "picture.png") as picture:
        assert min(picture.size) > 200
    (line,) = passed("preview", "./pets", "cs_kd", "-p", "temperature=4", "-p", "weight=1")
    assert line == (
        "cs_kd: 16 images, taught the label, and the network's own prediction for another image of "
        "its class (give a network to see it)"
    )
