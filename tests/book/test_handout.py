"""The notebooks to take along find all that they read, far from a checkout."""

import hashlib
import zipfile

import pytest

from ldlstudy import files, studies
from ldlstudy.book import handout
from ldlstudy.book.stage import Project
from ldlstudy.report import tables
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """Return the folder that the zip unpacks to."""
    folder = tmp_path_factory.mktemp("elsewhere")
    handout.write(Project(ROOT), folder / handout.NAME)
    with zipfile.ZipFile(folder / handout.NAME) as archive:
        assert all(name.startswith(f"{handout.FOLDER}/") for name in archive.namelist())
        archive.extractall(folder)
    return folder / handout.FOLDER


def test_records_and_printed_numbers_are_found_there(taken, monkeypatch):
    monkeypatch.chdir(ROOT)
    here = studies.recorded("truth", "paper"), tables.published("ldl_table1")
    monkeypatch.chdir(taken / "notebooks")
    assert files.root() == taken
    there = studies.recorded("truth", "paper"), tables.published("ldl_table1")
    assert len(here[0].recorded) > 100
    assert there[0].recorded.keys() == here[0].recorded.keys()
    assert there[1].equals(here[1])


def test_the_notebooks_are_those_of_the_book_without_outputs(taken):
    for name, path in Project(ROOT).notebooks.items():
        assert Project(taken).notebooks[name].read_bytes() == path.read_bytes()


def test_the_same_sources_make_the_same_file(toy_book):
    project = toy_book()
    digests = []
    for name in ("one.zip", "other.zip"):
        handout.write(project, project.root / name)
        digests.append(hashlib.sha256((project.root / name).read_bytes()).hexdigest())
    assert digests[0] == digests[1]
