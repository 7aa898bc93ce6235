"""What a reader can follow: a file under each table and figure, a row for each record."""

import copy
import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from ldlstudy import records
from ldlstudy.book import BookError, data_links, record_pages, site
from ldlstudy.book.build import Options, build
from ldlstudy.records import Record, Run
from tests.conftest import SHOWN, notebook

MADE = {
    "seconds": 12.34,
    "device": "CPU, x86_64, 2 cores",
    "precision": "float32",
    "python": "3.11",
    "versions": {"torch": "2.15.0"},
    "source": "abc123",
}


def saved(results, made=MADE, **changed):
    """Save a record of a run on digits that differs from others in ``changed``."""
    run = Run(**{"dataset": "digits", "model": "small_cnn", "method": "none", **changed})
    records.save(run, Record(run.specification, {}, {}, {}, made), results)
    return run


def output(**data):
    return v4.new_output("display_data", data={k.replace("_", "/"): v for k, v in data.items()})


def placed(*outputs, results, tags=(), shown=None):
    """Return the outputs of a chapter's only cell after its links were placed, and its files."""
    chapter = notebook("x")
    chapter.cells[-1].outputs = list(outputs)
    chapter.cells[-1].metadata.tags = list(tags)
    chapter.cells[-1].metadata.mystnb = shown or {}
    return chapter.cells[-1], data_links.place(chapter, "01_toy", results)


def test_each_output_with_data_has_a_file_and_a_link(tmp_path):
    tables = [output(text_html=f"<table>{n}</table>", text_csv=f"a\n{n}\n") for n in range(2)]
    cell, files = placed(*tables, output(text_html="<p>no data</p>"), results=tmp_path)
    assert files == {"data/01_toy/c0.csv": "a\n0\n", "data/01_toy/c0-2.csv": "a\n1\n"}
    html = [each.data["text/html"] for each in cell.outputs]
    assert [text[:6] for text in html] == ["<table", "<p cla", "<table", "<p cla", "<p>no "]
    assert not any("text/csv" in each.data for each in cell.outputs)
    links = [BeautifulSoup(html[n], "html.parser").a for n in (1, 3)]
    assert [a["href"] for a in links] == [f"../_static/{name}" for name in files]
    names = [a["aria-label"] for a in links]
    assert len(set(names)) == 2
    assert all(name.startswith(a.text) for name, a in zip(names, links, strict=True))


def test_the_file_of_a_figure_has_its_name(tmp_path):
    shown = copy.deepcopy(SHOWN)
    cell, files = placed(output(text_csv="a\n"), results=tmp_path, shown=shown)
    assert list(files) == ["data/01_toy/toy.csv"]
    caption = cell.metadata.mystnb.figure.caption
    assert caption.startswith('A triangle. <a href="../_static/data/01_toy/toy.csv" download ')
    assert len(cell.outputs) == 1


@pytest.mark.parametrize("tag", ["remove-cell", "remove-output"])
def test_what_is_not_shown_has_no_file(tmp_path, tag):
    cell, files = placed(output(text_csv="a\n"), results=tmp_path, tags=[tag])
    assert (files, len(cell.outputs)) == ({}, 1)
    assert "text/csv" not in cell.outputs[0].data


def test_links_to_records_lead_to_their_rows_and_others_are_text(tmp_path):
    run = saved(tmp_path)
    known = f"../book/results/digits/none-{run.id}.json"
    html = f'<a href="{known}" title="a b">.1</a> <a href="{known.replace("none", "gone")}">.2</a>'
    cell, _ = placed(output(text_html=html), results=tmp_path)
    page = f"../book/records/digits.html#none-{run.id}"
    assert cell.outputs[0].data["text/html"] == f'<a href="{page}" title="a b">.1</a> .2'


def test_a_record_has_a_row_with_all_that_it_takes_to_run_it_again(tmp_path):
    results, pages = tmp_path / "results", tmp_path / "pages"
    teacher = saved(results, seed=3, training={"epochs": 20})
    student = saved(
        results,
        method="kd",
        parameters={"weight": 0.5, "temperature": 2},
        teachers=(teacher, Run("digits", "small_cnn", "ls")),
        training={"epochs": 20},
    )
    other = saved(results, {**MADE, "source": "def456+"}, dataset="mnist", data={"draw": 1})
    record_pages.write(results, pages)
    assert sorted(page.name for page in pages.iterdir()) == ["digits.md", "mnist.md"]
    text = (pages / "digits.md").read_text()
    assert text.startswith("# Records of digits\n\n2 records")
    for table in re.findall(r"<div.*?</div>", text, re.S):
        assert "\n\n" not in table  # where Markdown would end the HTML
    soup = BeautifulSoup(text, "html.parser")
    assert soup.caption.text == "small_cnn, paper profile; training epochs: 20; replicates 1"
    cells = [cell.text for cell in soup.find(id=f"kd-{student.id}").find_all("td")]
    assert cells[0] == f"ldlstudy rerun {student.id}"
    assert cells[1] == "kd, weight: 0.5, temperature: 2"
    assert cells[2].split()[0] == teacher.id
    assert cells[3:] == ["0", "12.3", "1"]
    links = [a["href"] for a in soup.find(id=f"kd-{student.id}").find_all("a")]
    assert links == [f"digits.html#none-{teacher.id}"]  # the other teacher has no record
    assert "1. device CPU, x86_64, 2 cores, precision float32, python 3.11, source abc123, " in text
    assert "torch 2.15.0" in text
    mnist = (pages / "mnist.md").read_text()
    assert "source def456+" in mnist
    assert f'id="none-{other.id}"' in mnist


def test_runs_that_differ_in_their_seed_are_neighbours(tmp_path):
    for seed in (10, 2):
        for epsilon in (0.1, 0.2):
            saved(tmp_path, method="ls", parameters={"epsilon": epsilon}, seed=seed)
    record_pages.write(tmp_path, tmp_path / "pages")
    soup = BeautifulSoup((tmp_path / "pages" / "digits.md").read_text(), "html.parser")
    rows = [[td.text for td in row.find_all("td")] for row in soup.tbody.find_all("tr")]
    assert [(row[1], row[3]) for row in rows] == [
        (f"ls, epsilon: {epsilon}", seed) for epsilon in (0.1, 0.2) for seed in ("2", "10")
    ]


TABLE = """
from IPython.display import display
html = "<table><tr><th>r</th><td><a href='x'>1</a></td></tr></table>".replace("'x'", f'"{LINK}"')
display({"text/html": html, "text/csv": "row,a\\nr,1\\n"}, raw=True)
"""
FIGURE = """
svg = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><path d='M0 0h9v9z'/></svg>"
display({"image/svg+xml": svg, "text/csv": "x\\n1\\n"}, raw=True)
"""


def test_a_site_has_the_files_and_the_rows_that_it_links_to(toy_book):
    chapter = notebook("LINK = ''", FIGURE)
    chapter.cells[-1].metadata.mystnb = copy.deepcopy(SHOWN)
    project = toy_book(**{"01_toy": chapter})
    run = saved(project.root / "book" / "results")
    link = f"../book/results/digits/none-{run.id}.json"
    chapter.cells[-2].source = f"LINK = {link!r}\n" + TABLE
    nbformat.write(chapter, project.notebooks["01_toy"])
    (project.root / "book" / "index.md").write_text("# Toys\n\nSee {numref}`fig-toy`.\n")
    (project.root / "book" / "records.md").write_text("# Records\n\nBy data set.\n")
    toc = project.root / "_toc.yml"
    listed = "  - file: book/records\n    sections:\n      - glob: book/records/*\n"
    toc.write_text(toc.read_text() + listed)
    said = []
    build(project, Options(profile="smoke"), said.append)
    page = project.html / "notebooks" / "01_toy.html"
    data = project.html / "_static" / "data" / "01_toy" / "c0.csv"
    assert (data.parent / "toy.csv").read_text() == "x\n1\n"
    caption = BeautifulSoup(page.read_text(), "html.parser").figcaption
    assert caption.find("a", download=True)["href"] == "../_static/data/01_toy/toy.csv"
    assert data.read_text() == "row,a\nr,1\n"
    assert 'href="../_static/data/01_toy/c0.csv"' in page.read_text()
    assert f'href="../book/records/digits.html#none-{run.id}"' in page.read_text()
    assert f'id="none-{run.id}"' in (project.html / "book" / "records" / "digits.html").read_text()
    data.unlink()
    with pytest.raises(BookError, match="broken link to ../_static/data/01_toy/c0.csv"):
        site.check(project.html, project.pages)
