"""Every cell of every page runs, in the smallest profile, and passes the gates of the book."""

from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from ldlstudy.book import execute, gates
from ldlstudy.book.stage import Project, prepare
from tests.conftest import ROOT

SMOKE = execute.parameters_for("smoke")
ANEW = """
for _name in [_name for _name in globals() if not _name.startswith("_")]:
    if _name not in {{"In", "Out", "get_ipython", "exit", "quit", "open"}}:
        del globals()[_name]
%cd -q {folder}
get_ipython().execution_count = 1
"""


def test_sources_pass_the_gates():
    gates.check_sources(Project(ROOT), SMOKE)


@pytest.mark.parametrize("half", [0, 1])
def test_pages_run(half: int, tmp_path: Path):
    """Those of a half share a kernel, which imports the package once; each begins without names."""
    project = Project(ROOT, tmp_path / "_build")
    prepare(project)
    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel(env=execute._environment())
    client = kernel.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=execute.START_SECONDS)
    try:
        for name in list(project.notebooks)[half::2]:
            source = project.notebooks[name]
            page = parameterize_notebook(load_notebook_node(str(source)), SMOKE)
            anew = ANEW.format(folder=project.staged(name).parent)
            assert (
                client.execute_interactive(anew, store_history=False)["content"]["status"] == "ok"
            )
            NotebookClient(page, km=kernel, timeout=300).execute()
            gates.check_executed(source.name, page, ROOT)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
