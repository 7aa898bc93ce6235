"""The book's reference pages against the package: no module, table or citation is forgotten."""

import re
from pathlib import Path

import pytest

from ldlstudy import studies

ROOT = Path(__file__).parents[1]
MODULES = sorted(p.stem for p in (ROOT / "ldlstudy").glob("*.py") if p.stem != "__init__")
PARTS = {"instance_smoothing"}  # modules whose names are public elsewhere: here in `targets`


def page(name):
    return (ROOT / "book" / name).read_text(encoding="utf-8")


def api():
    """Return what Sphinx reads as directives of the API's pages."""
    text = page("api.md") + page("api_study.md")
    return "".join(re.findall(r"^```\{eval-rst\}\n(.*?)^```$", text, re.M | re.S))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_line_and_its_docstrings(module):
    assert f"`{module}`" in page("house.md")
    assert module in PARTS or f"ldlstudy.{module}\n" in api()


@pytest.mark.parametrize("path", sorted((ROOT / "ldlstudy" / "explore").glob("[!_]*.py")))
def test_every_explorer_has_its_docstrings(path):
    assert f"ldlstudy.explore.{path.stem}\n" in api()


def test_no_page_documents_a_module_that_is_gone():
    documented = re.findall(r"automodule:: ldlstudy\.(\w+)\n", api())
    assert set(documented) <= {*MODULES, "book", "explore", "models"}


def test_the_tables_to_sweep_are_those_that_there_are():
    text = page("reproduce.md")
    listed = [
        name for row in re.findall(r"^\| (`[a-z]+.*?) \|", text, re.M) for name in row.split(", ")
    ]
    named = {name.strip("`") for name in listed}
    assert set(studies.TABLES) <= named
    commands = re.findall(r"ldlstudy sweep ([a-z0-9-]+)", text + page("left_out.md"))
    assert set(commands) <= set(studies.TABLES)


def test_every_citation_has_an_entry():
    entries = set(re.findall(r"^@\w+\{([^,]+),", page("references.bib"), re.M))
    for path in (ROOT / "book").glob("*.md"):
        cited = re.findall(r"\{cite:[pt]\}`([^`]+)`", path.read_text(encoding="utf-8"))
        keys = {key.strip() for each in cited for key in each.split(",")}
        assert keys <= entries, path.name


def test_links_to_sections_lead_somewhere():
    pages = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")}
    labels = set(re.findall(r"^\(([a-z0-9-]+)\)=$", "\n".join(pages.values()), re.M))
    notebooks = "".join(path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb"))
    labels |= set(re.findall(r"\(([a-z0-9-]+)\)=", notebooks))
    for name, text in pages.items():
        wanted = set(re.findall(r"\]\(([a-z][a-z0-9-]+)\)", text))
        assert wanted <= labels, name
