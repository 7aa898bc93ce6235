"""What tests share: workers that do not fight for the cores, and a small book to build."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from hypothesis import settings
from nbformat import NotebookNode, v4

from ldlstudy.book import api_pages
from ldlstudy.book.stage import Project

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is first imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("patient", settings(), deadline=None)  # to be slow is no failure
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell in the background starts us so
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Work on one module more than there are cores, for tests of builds and sweeps mostly wait."""
    from ldlstudy import device  # loads torch, which a worker does later

    return device.cores() + 1


LONG = ["test_notebooks", "test_missing", "test_sweep", "test_build", "test_lab"]
ROOT = Path(__file__).resolve().parents[1]
CODE = """
import json, pathlib
from IPython.display import display
path = pathlib.Path("../book/numbers/01_toy.json")
path.write_text(json.dumps({"bayes.accuracy": 0.8203, "profile": profile}))
print("profile", profile)
svg = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><path d='M0 0h9v9z'/></svg>"
display({"image/svg+xml": svg, "text/csv": "x\\n1\\n"}, raw=True)
"""
SHOWN = {"image": {"alt": "a triangle"}, "figure": {"caption": "A triangle.", "name": "fig-toy"}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules of long tests, lest one worker ends with them while others wait."""
    items.sort(key=lambda item: [*LONG, item.path.stem].index(item.path.stem))


def notebook(*code: str, text: str = "# Toy\n\nA chapter.") -> NotebookNode:
    """Return a chapter of one text cell, a parameters cell and ``code``; each with fixed ids."""
    parameters = v4.new_code_cell('profile = "quick"', id="p", metadata={"tags": ["parameters"]})
    cells = [v4.new_code_cell(c.strip(), id=f"c{i}") for i, c in enumerate(code)]
    return v4.new_notebook(cells=[v4.new_markdown_cell(text, id="t"), parameters, *cells])


@pytest.fixture
def toy_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """Return a function that writes a book with the given chapters (one good one by default).

    Its package has one module of the real one, and its API one page.
    """
    monkeypatch.setattr(api_pages, "PAGES", {"api": ("",)})

    def make(**chapters: NotebookNode) -> Project:
        if not chapters:
            good = notebook(CODE)
            good.cells[-1].metadata.mystnb = SHOWN
            chapters = {"01_toy": good}
        shutil.copytree(ROOT / "book" / "_static", tmp_path / "book" / "_static")
        for name in ("_config.yml", "requirements.txt"):
            shutil.copy(ROOT / name, tmp_path / name)
        for folder in ("notebooks", "ldlstudy", "book/published"):
            (tmp_path / folder).mkdir(parents=True)
        listed = "".join(f"  - file: notebooks/{name}\n" for name in chapters)
        toc = f"format: jb-book\nroot: book/index\nchapters:\n  - file: book/api\n{listed}"
        (tmp_path / "_toc.yml").write_text(toc)
        shutil.copy(ROOT / "ldlstudy" / "seeds.py", tmp_path / "ldlstudy")
        (tmp_path / "book" / "api.md").write_text("# API\n\nGenerated.\n")
        index = "# Toys\n\nAccuracy {num}`01_toy:bayes.accuracy|.3f`, see {numref}`fig-toy`.\n"
        (tmp_path / "book" / "index.md").write_text(index)
        (tmp_path / "book" / "references.bib").write_text("")
        for name, chapter in chapters.items():
            nbformat.write(chapter, tmp_path / "notebooks" / f"{name}.ipynb")
        return Project(tmp_path)

    return make


@pytest.fixture
def book_style() -> Iterator[None]:
    """Figures are drawn as the book draws them, and closed."""
    import matplotlib.pyplot as plt

    from ldlstudy.report import figures

    plt.switch_backend("Agg")
    with plt.rc_context():
        figures.setup()
        yield
    plt.close("all")
