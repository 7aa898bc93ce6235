"""What a reader can follow: a file under each table and figure, a row for each record."""

import copy
import re

import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from ldlstudy.book import data_links, record_pages, sphinx_ext
from ldlstudy.experiment.records import Record, Run
from ldlstudy.report import narrow, tables
from ldlstudy.report.shown import CAPTION
from tests.book.recorded import MADE, saved
from tests.conftest import SHOWN, notebook


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


def test_a_figure_for_phones_lies_beside_its_data(tmp_path):
    shown = copy.deepcopy(SHOWN)
    made = output(text_csv="a\n")
    made.data |= {narrow.MIME: "<svg/>", "image/svg+xml": '<svg><image href="data:"/></svg>'}
    cell, found = placed(made, results=tmp_path, shown=shown)
    assert found == {"data/01_toy/toy.csv": "a\n", "data/01_toy/toy.narrow.svg": "<svg/>"}
    assert narrow.MIME not in made.data
    assert cell.metadata.mystnb.figure.classes == "photograph"
    for name, text in found.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    page = '<figure class="a" id="fig-toy"><img alt="a" src="x.svg"><figcaption>b</figcaption>'
    data, small = tmp_path / "data" / "01_toy", "toy.narrow.svg"
    wide = sphinx_ext._for_phones(f"{page}</figure>", data)
    assert wide.count(f'srcset="../_static/data/01_toy/{small}"') == 1
    assert '<img alt="a" src="x.svg"></picture>' in wide
    assert sphinx_ext._for_phones(page, tmp_path / "none") == page


def test_a_scheme_without_data_has_its_figure_for_phones(tmp_path):
    made = output()
    made.data |= {narrow.MIME: "<svg/>", "image/svg+xml": "<svg/>"}
    cell, found = placed(made, results=tmp_path, shown=copy.deepcopy(SHOWN))
    assert found == {"data/01_toy/toy.narrow.svg": "<svg/>"}
    assert "Data" not in cell.metadata.mystnb.figure.caption


def test_tables_are_numbered_by_chapter(tmp_path):
    """A table that is folded whole says its caption twice, with one number."""
    said = f"{CAPTION}what to see</span>"
    pages = [said, "<p>no table</p>", f"<details><summary>{said}</summary>{said}</details>"]
    cell, _ = placed(*(output(text_html=page) for page in pages), results=tmp_path)
    found = [each.data["text/html"].count("<b>Table 1.") for each in cell.outputs]
    assert found == [1, 0, 2]
    assert "<b>Table 1.2</b>" in cell.outputs[2].data["text/html"]


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
    _, known = saved(tmp_path)
    gone = Record({"dataset": "digits", "method": "ls"}, {}, {}, {})
    html = f"{tables.linked('.1', (known, known))} {tables.linked('.2', (gone,))}"
    cell, _ = placed(output(text_html=html), results=tmp_path)
    link, rest = BeautifulSoup(cell.outputs[0].data["text/html"], "html.parser").children
    assert (link.text, rest) == (".1", " .2")
    assert link["href"] == f"../book/records/digits.html#{known.anchor}"
    assert link["title"] == f"{known.anchor} {known.anchor}"


def test_a_record_has_a_row_with_all_that_it_takes_to_run_it_again(tmp_path):
    results, pages = tmp_path / "results", tmp_path / "pages"
    teacher, _ = saved(results, seed=3, recipe={"epochs": 20})
    student, _ = saved(
        results,
        formerly=("0123456789ab",),
        method="kd",
        settings={"weight": 0.5, "temperature": 2},
        teachers=(teacher, Run("digits", "small_cnn", "ls")),
        recipe={"epochs": 20},
    )
    other, _ = saved(results, {**MADE, "source": "def456+"}, dataset="mnist", data={"draw": 1})
    record_pages.write(results, pages)
    assert sorted(page.name for page in pages.iterdir()) == ["digits.md", "mnist.md"]
    text = (pages / "digits.md").read_text()
    assert text.startswith("# Records of digits\n\n2 records")
    for table in re.findall(r"<div.*?</div>", text, re.S):
        assert "\n\n" not in table  # where Markdown would end the HTML
    soup = BeautifulSoup(text, "html.parser")
    assert soup.caption.text == "small_cnn; recipe epochs: 20; replicates 1"
    row = soup.find(id=f"kd-{student.id}")
    cells = [cell.text for cell in row.find_all("td")]
    assert cells[0] == f"ldlstudy rerun {student.id}"
    assert cells[1] == "kd, weight: 0.5, temperature: 2"
    assert cells[3].split()[0] == teacher.id
    assert cells[2].startswith("accuracy .")
    assert soup.summary.text.endswith("(2 records)")
    assert cells[4:] == ["0", "12.3", "1"]
    assert row.find(id="kd-0123456789ab")  # links to the former id lead here
    links = [a["href"] for a in row.find_all("a", href=True)]
    assert links == [f"digits.html#none-{teacher.id}"]  # the other teacher has no record
    (made,) = (item.text for item in soup.ol.find_all("li"))
    assert made.startswith("device CPU, x86_64, 2 cores, precision float32, python 3.11, source ab")
    assert made.endswith("torch 2.15.0")
    mnist = (pages / "mnist.md").read_text()
    assert "source def456+" in mnist
    assert f'id="none-{other.id}"' in mnist


def test_what_records_say_is_text_on_their_pages():
    """In cells, captions and ids; a blank line would end the HTML, and Markdown read the rest."""
    script, breaks_out = "<script>alert(1)</script>", 'x" onmouseover="alert(1)'
    odd = f"{script}\n\n**{breaks_out}**"
    fields = dict.fromkeys(("model", "method"), odd) | {"dataset": "digits", "seed": 0}
    fields |= {name: {odd: odd} for name in ("settings", "recipe", "data")} | {"replicates": 1}
    made = {**MADE, "device": odd, "source": odd, "precision": odd, "versions": {odd: odd}}
    record = Record(fields | {"teachers": [odd]}, {}, {}, made, formerly=(odd,))
    anchors = {odd: f"digits.html#{odd}"}
    shown = record_pages.page("digits", [record], anchors) + tables.linked("1", [record, record])
    soup = BeautifulSoup(shown, "html.parser")
    assert not soup.find_all(["script", "strong"])
    names = {name for element in soup.find_all(True) for name in element.attrs}
    assert names <= {"id", "href", "title", "class", "scope", "tabindex"}
    assert soup.get_text().count("alert(1)") > 20
    for block in re.findall(r"<(?:div|ol).*?</(?:div|ol)>", shown, re.S):
        assert "\n\n" not in block
    assert soup.tbody.tr["id"].startswith(script)


def test_runs_that_differ_in_their_seed_are_neighbours(tmp_path):
    for seed in (10, 2):
        for epsilon in (0.1, 0.2):
            saved(tmp_path, method="ls", settings={"epsilon": epsilon}, seed=seed)
    record_pages.write(tmp_path, tmp_path / "pages")
    soup = BeautifulSoup((tmp_path / "pages" / "digits.md").read_text(), "html.parser")
    rows = [[td.text for td in row.find_all("td")] for row in soup.tbody.find_all("tr")]
    assert [(row[1], row[4]) for row in rows] == [
        (f"ls, epsilon: {epsilon}", seed) for epsilon in (0.1, 0.2) for seed in ("2", "10")
    ]
