"""Every cell of every chapter runs, in the smallest profile, and passes the gates of the book."""

from pathlib import Path

import pytest

from ldlstudy.book import gates
from ldlstudy.book.build import Options, run_notebooks
from ldlstudy.book.execute import parameters_for
from ldlstudy.book.stage import Project, prepare
from tests.conftest import ROOT


def test_sources_pass_the_gates():
    gates.check_sources(Project(ROOT), parameters_for("smoke"))


@pytest.mark.parametrize("name", Project(ROOT).notebooks)
def test_chapter_runs(name: str, tmp_path: Path):
    """Tests share the cache of builds: what ran as it is now need not run once more for either."""
    project = Project(ROOT, tmp_path / "_build")
    cache = ROOT / "_build" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    project.build.mkdir()
    (project.build / "cache").symlink_to(cache)
    prepare(project)
    said: list[str] = []
    run_notebooks(project, [name], Options("smoke", jobs=1, stall_seconds=300), said.append)
    assert said[-1].startswith(f"{name}: ")
    assert project.staged(name).exists()
