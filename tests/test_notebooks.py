"""Every cell of every chapter runs, in the smallest profile, and passes the gates of the book."""

import asyncio
from pathlib import Path

import pytest

from ldlstudy.book import gates
from ldlstudy.book import notebook as nb
from ldlstudy.book.execute import execute, parameters_for
from ldlstudy.book.stage import Project, prepare
from tests.conftest import ROOT


def test_sources_pass_the_gates():
    gates.check_sources(Project(ROOT), parameters_for("smoke"))


@pytest.mark.parametrize("name", Project(ROOT).notebooks)
def test_chapter_runs(name: str, tmp_path: Path):
    project = Project(ROOT, tmp_path / "_build")
    prepare(project)
    source, output = project.notebooks[name], project.staged(name)
    parameters = parameters_for("smoke")
    asyncio.run(execute(source, output, parameters, stall_seconds=300))
    gates.check_executed(source.name, nb.read(output), ROOT)
