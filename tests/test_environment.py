"""What makes ``.venv``: it does nothing to a whole one, adds to it, or makes a broken one anew."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

UV = """\
import pathlib, subprocess, sys
with open("calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
if sys.argv[1] == "venv":
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", sys.argv[-1]], check=True)
else:
    python = sys.argv[sys.argv.index("--python") + 1]
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    pathlib.Path(done.stdout.strip(), "torch").mkdir(exist_ok=True)
    sys.exit(pathlib.Path("offline").exists())
"""
MADE = "venv --quiet --seed --python"
ADDED = "pip install --quiet --python .venv/bin/python --constraint requirements.txt --editable"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in a folder with a space, beside a `uv` that writes down what it is asked."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "pyproject.toml").write_text(
        "[project.optional-dependencies]\nbook = []\nlab = []\ntest = []\n"
    )
    uv = tmp_path / "uv"
    uv.write_text(f"#!{sys.executable}\n{UV}")
    uv.chmod(0o755)
    return folder


def ready(checkout: Path, *extras: str) -> tuple[str, list[str]]:
    """Ask for extras; return what is said, and what `uv` was asked for."""
    calls = checkout / "calls"
    calls.write_text("")
    command = [sys.executable, str(ROOT / ".ci" / "environment.py"), *extras]
    environment = {**os.environ, "UV": str(checkout.parent / "uv")}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr, calls.read_text().splitlines()


def test_extras_are_installed_once_and_others_are_added(checkout):
    said, (made, added) = ready(checkout, "book")
    assert said.startswith(".venv is not there: making it\n")
    assert made.startswith(MADE)
    assert added == f"{ADDED} .[book]"
    assert ready(checkout, "book") == ready(checkout) == ("", [])
    assert ready(checkout, "book", "test")[1] == [f"{ADDED} .[book,test]"]
    assert ready(checkout, "book") == ready(checkout, "test") == ("", [])
    assert ready(checkout, "lab")[1] == [f"{ADDED} .[book,lab,test]"]


def test_another_lock_installs_what_is_asked_for_without_a_new_environment(checkout):
    ready(checkout, "book", "test")
    (checkout / "requirements.txt").write_text("torch==3")
    assert ready(checkout, "book")[1] == [f"{ADDED} .[book]"]
    assert ready(checkout, "book")[1] == []
    assert ready(checkout, "test")[1] == [f"{ADDED} .[book,test]"]


def without_python(checkout: Path) -> None:
    for python in (checkout / ".venv" / "bin").glob("python*"):
        python.unlink()
        python.symlink_to(checkout / "gone")


def of_an_old_python(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\necho False /packages\n")
    python.chmod(0o755)


def without_a_package(checkout: Path) -> None:
    (package,) = (checkout / ".venv").rglob("site-packages/torch")
    shutil.rmtree(package)


def interrupted(checkout: Path) -> None:
    (checkout / "offline").touch()
    said, _ = ready(checkout, "book", "test")
    assert said.splitlines()[-1].startswith(".venv is not ready, the next call begins it anew: ")
    (checkout / "offline").unlink()


@pytest.mark.parametrize(
    ("breaks", "why"),
    [
        (without_python, "has no Python of 3.11 or newer"),
        (of_an_old_python, "has no Python of 3.11 or newer"),
        (without_a_package, "lacks torch"),
        (interrupted, "is half made"),
    ],
)
def test_a_broken_environment_is_made_anew(breaks, why, checkout):
    ready(checkout, "book")
    (checkout / ".venv" / "of the broken one").touch()
    breaks(checkout)
    said, (made, added) = ready(checkout, "book")
    assert said.startswith(f".venv {why}")
    assert made.startswith(MADE)
    assert added == f"{ADDED} .[book]"
    assert not (checkout / ".venv" / "of the broken one").exists()
    assert ready(checkout, "book") == ("", [])


def test_a_moved_environment_is_made_anew(checkout):
    ready(checkout, "book")
    moved = checkout.rename(checkout.with_name("moved"))
    said, calls = ready(moved, "book")
    assert said.startswith(f".venv was made in {checkout}: making it\n")
    assert len(calls) == 2
    assert ready(moved, "book") == ("", [])


def test_without_a_python_make_says_so_in_one_line(tmp_path):
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    command = [make, "-f", str(ROOT / "Makefile"), "book"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed, none was found" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_extra_leaves_the_environment_alone(checkout):
    ready(checkout, "book")
    said, asked = ready(checkout, "--help")
    assert (said, asked) == ("unknown extra --help; known: book, lab, test\n", [])
    assert ready(checkout, "book") == ("", [])
