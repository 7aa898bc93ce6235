"""The book's reference pages against the package: no part, table or citation is forgotten."""

import re

from ldlstudy import studies
from tests.conftest import ROOT

PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")}


def rows(page):
    """Return the names in the first column of a page's tables."""
    first = re.findall(r"^\| (`[a-z].*?) \|", PAGES[page], re.M)
    return {name for cell in first for name in re.findall(r"`([\w-]+)`", cell)}


def test_every_part_of_the_package_has_its_place_on_the_page():
    there = (ROOT / "ldlstudy").iterdir()
    parts = {p.stem for p in there if p.stem[0] not in "_." and p.name != "py.typed"}
    assert rows("house.md") == parts


def test_the_tables_to_sweep_are_those_that_there_are():
    assert set(studies.TABLES) <= rows("reproduce.md")
    pages = PAGES["reproduce.md"] + PAGES["left_out.md"]
    assert set(re.findall(r"ldlstudy sweep ([a-z0-9-]+)", pages)) <= set(studies.TABLES)


def test_every_citation_has_an_entry():
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    entries = set(re.findall(r"^@\w+\{([^,]+),", bibliography, re.M))
    for name, text in PAGES.items():
        cited = re.findall(r"\{cite:[pt]\}`([^`]+)`", text)
        assert {key.strip() for each in cited for key in each.split(",")} <= entries, name


def test_links_to_sections_lead_somewhere():
    labels = set(re.findall(r"^\(([a-z0-9-]+)\)=$", "\n".join(PAGES.values()), re.M))
    notebooks = "".join(path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb"))
    labels |= set(re.findall(r"\(([a-z0-9-]+)\)=", notebooks))
    for name, text in PAGES.items():
        assert set(re.findall(r"\]\(([a-z][a-z0-9-]+)\)", text)) <= labels, name
