"""What a reader can follow from an output: its data as a CSV file, the records behind a table.

A notebook holds the CSV beside the picture or the HTML (:mod:`ldlstudy.report.export`) and links to
the files of records. On the site the one is a file, and the other are rows of the records' pages.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode, v4

from ldlstudy.book import notebook as nb
from ldlstudy.experiment import records
from ldlstudy.report import export, narrow
from ldlstudy.report.shown import CAPTION

FOLDER = "data"  # below _static
RECORD = re.compile(r'<a href="\.\./book/results/(\w+)\.jsonl#([\w-]+)"([^>]*)>(.*?)</a>', re.S)
NARROW = ".narrow.svg"  # how the file of a figure for phones ends
HIDDEN = {"remove-cell", "remove-output"}
CHAPTER = re.compile(r"0*(\d+)_")


def place(notebook: NotebookNode, chapter: str, results: Path) -> dict[str, str]:
    """Put links under the tables and figures of an executed chapter, in place.

    A figure for narrow screens becomes a file beside the data, which the page finds by its name.

    Parameters
    ----------
    notebook : NotebookNode
        Its outputs lose their CSV; links to records in ``results`` lead to the records' pages, and
        those to other records become plain text.
    chapter : str
        Its name, which its files' folder has, too.

    Returns
    -------
    dict
        Name of each file below ``_static`` to its content.
    """
    files: dict[str, str] = {}
    numbered = _numbers(chapter)
    for cell in notebook.cells:
        shown = []
        for output in cell.get("outputs", ()):
            shown.append(output)
            data = output.get("data", {})
            text, small = data.pop(export.MIME, None), data.pop(narrow.MIME, None)
            if "text/html" in data:
                linked = RECORD.sub(lambda link: _to_page(link, results), data["text/html"])
                data["text/html"] = _with_number(linked, numbered)
            if not (text or small) or HIDDEN.intersection(nb.tags(cell)):
                continue
            name, figure = _name(cell, chapter, files), _figure(cell)
            if small:
                files[name.removesuffix(".csv") + NARROW] = small
            if "<image" in data.get(nb.PICTURE, ""):  # whose colours are what they show
                figure["classes"] = "photograph"
            if not text:
                continue
            files[name] = text
            if figure.get("caption"):  # what follows a figure would become one, too
                figure["caption"] += f" {_link(name)}"
            else:
                html = f'<p class="data">{_link(name)}</p>'
                shown.append(v4.new_output("display_data", data={"text/html": html}))
        if shown:
            cell.outputs = shown
    return files


def _numbers(chapter: str) -> Iterator[str]:
    """What the tables of a chapter are called, one after the other: Table 3.1, Table 3.2."""
    found = CHAPTER.match(chapter)
    return (f"Table {found[1]}.{n}" if found else f"Table {n}" for n in itertools.count(1))


def _with_number(shown: str, numbered: Iterator[str]) -> str:
    """Put its number before a table's caption, which a folded table says twice."""
    if CAPTION not in shown:
        return shown
    return shown.replace(CAPTION, f"{CAPTION}<b>{next(numbered)}</b> ")


def _figure(cell: NotebookNode) -> NotebookNode:
    """The caption and name that a cell gives its figure."""
    return cell.metadata.get("mystnb", {}).get("figure", {})


def _to_page(link: re.Match[str], results: Path) -> str:
    """A link to a record's file as one to its row on a page of the site."""
    dataset, anchor, attributes, text = link.groups()
    if anchor.rpartition("-")[2] not in records.ids(dataset, results):
        return text
    return f'<a href="../book/records/{dataset}.html#{anchor}"{attributes}>{text}</a>'


def _name(cell: NotebookNode, chapter: str, taken: dict[str, str]) -> str:
    """A figure's file has its name, a table's the id of its cell; a second one is numbered."""
    stem = _figure(cell).get("name", "").removeprefix("fig-") or cell.id
    names = (
        f"{FOLDER}/{chapter}/{stem}{end}.csv" for end in ("", *(f"-{n}" for n in range(2, 99)))
    )
    return next(name for name in names if name not in taken)


def _link(name: str) -> str:
    title = Path(name).stem.replace("-", " ")
    return (
        f'<a href="../_static/{name}" download aria-label="Data (CSV): {title}"'
        ' class="data">Data (CSV)</a>'
    )
