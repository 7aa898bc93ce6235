"""Reading a notebook, naming its cells in messages, and making an executed one reproducible."""

import json
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ldlstudy.book import BookError
from ldlstudy.report import narrow

INJECTED = "injected-parameters"  # papermill's tag
WIDGET = "application/vnd.jupyter.widget-view+json"  # needs a kernel: of no use on a page
PICTURE = "image/svg+xml"
PLACES = re.compile(r' (?:d|x|y)="[^"]*"')  # attributes that say where something is drawn
LONG = re.compile(r"\d+\.\d{3,}")
DOT = re.compile(r"M (\S+ \S+)\s+L \1\s+")  # a line without a length, drawn by its round ends


def read(path: Path) -> NotebookNode:
    """Return the notebook at ``path``, or say that it is not one."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (ValueError, nbformat.ValidationError) as error:
        # A validation error prints the whole schema after its first line.
        reason = str(error).strip().partition("\n")[0]
        raise BookError(f"{path.name} is not a readable notebook: {reason}") from error
    return notebook


def text(notebook: NotebookNode) -> str:
    """Return the notebook as it is written to disk: the same for the same content."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def was_run(notebook: NotebookNode) -> bool:
    """Return whether a notebook shows anything that its code has made."""
    return any(cell.get("outputs") for cell in notebook.cells)


def tags(cell: NotebookNode) -> list[str]:
    """Return the cell's tags."""
    return cell.metadata.get("tags", [])


def code_cells(notebook: NotebookNode) -> list[tuple[str, NotebookNode]]:
    """Return each code cell that has code, with the name that messages call it by.

    The number counts all cells of the source from 1, so papermill's own cells do not count.
    """
    named, number = [], 0
    for cell in notebook.cells:
        added = INJECTED in tags(cell) or "papermill-error-cell-tag" in tags(cell)
        number += not added
        if cell.cell_type == "code" and cell.source.strip():
            first = next(line for line in cell.source.splitlines() if line.strip()).strip()
            where = "papermill's parameters cell" if added else f"cell {number}"
            named.append((f"{where} ({first[:60]})", cell))
    return named


def clean(notebook: NotebookNode) -> NotebookNode:
    """Remove, in place, what differs between two runs or has no place on a page; return it."""
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    for cell in notebook.cells:
        for key in ("papermill", "execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if INJECTED in tags(cell):
            cell.metadata.tags = [INJECTED, "remove-cell"]
            cell.id = INJECTED  # papermill draws a random one
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
            for output in cell.outputs:
                data = output.get("data", {})
                data.pop(WIDGET, None)
                for picture in {PICTURE, narrow.MIME} & set(data):
                    data[picture] = lighter(data[picture])
    return notebook


def lighter(svg: str) -> str:
    """Return a picture in fewer letters: places to a hundredth of a point, dots said once."""

    def short(number: re.Match[str]) -> str:
        return f"{float(number.group()):.2f}".rstrip("0").rstrip(".")

    rounded = PLACES.sub(lambda attribute: LONG.sub(short, attribute.group()), svg)
    return DOT.sub(r"M\1h0", rounded)


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: where a kernel cuts them is chance."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged
