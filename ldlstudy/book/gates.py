"""Checks of notebooks that Jupyter Book does not make: each returns the offenders it found.

With execution off, Jupyter Book builds a notebook that never ran, or one that holds an error,
without a word. A reader would see it; so the build stops instead.
"""

import ast
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

from ldlstudy.book import BookError
from ldlstudy.book import notebook as nb
from ldlstudy.book.stage import Project
from ldlstudy.report.shown import CAPTION

TABLE = 'class="dataframe'  # as pandas and the book's tables begin
IMAGES = ("image/svg+xml", "image/png", "image/jpeg")


def require(offenders: Iterable[str]) -> None:
    """Raise one BookError that lists all ``offenders``; do nothing if there are none."""
    found = list(offenders)
    if found:
        raise BookError("\n".join(found))


def check_sources(project: Project, parameters: dict[str, str]) -> None:
    """Check the notebooks as they are committed, and that the contents and the folder agree."""
    offenders = contents_differ(project)
    for path in project.notebooks.values():
        source = nb.read(path)
        offenders += [f"{path.name}: {fault}" for fault in stored_outputs(source)]
        offenders += [f"{path.name}: {fault}" for fault in undeclared(source, parameters)]
    require(offenders)


def check_executed(name: str, notebook: NotebookNode, root: Path) -> None:
    """Check an executed notebook before any page is made of it."""
    checks = (not_executed, errors, warnings, bare_figures, bare_tables, kernel_only)
    faults = [fault for check in checks for fault in check(notebook)]
    require(f"{name}: {fault}" for fault in [*faults, *machine_paths(notebook, root)])


def contents_differ(project: Project) -> list[str]:
    """Notebooks that ``_toc.yml`` lacks, and pages of it that have no file."""
    pages = project.pages
    missing = [
        f"_toc.yml names {page}, but there is no {page}.md or {page}.ipynb"
        for page in pages
        if not any((project.root / f"{page}{end}").is_file() for end in (".md", ".ipynb"))
    ]
    sources = [path.relative_to(project.root) for path in project.notebooks.values()]
    unlisted = [
        f"{source.as_posix()} is not in _toc.yml"
        for source in sources
        if source.with_suffix("").as_posix() not in pages
    ]
    return missing + unlisted


def stored_outputs(source: NotebookNode) -> list[str]:
    """Cells of a committed notebook that hold outputs or an execution count."""
    return [
        f"{name} holds outputs; clear them before committing"
        for name, cell in nb.code_cells(source)
        if cell.outputs or cell.execution_count is not None
    ]


def undeclared(source: NotebookNode, parameters: Iterable[str]) -> list[str]:
    """Parameters that the notebook is given but does not declare (papermill only prints a line)."""
    declaring = [cell for _, cell in nb.code_cells(source) if "parameters" in nb.tags(cell)]
    if len(declaring) != 1:
        return [f"needs one cell tagged 'parameters', has {len(declaring)}"]
    try:
        body = ast.parse(declaring[0].source).body
    except SyntaxError as error:
        return [f"cannot read its parameters cell: {error}"]
    declared = set()
    for statement in body:
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        else:
            targets = [statement.target] if isinstance(statement, ast.AnnAssign) else []
        declared |= {target.id for target in targets if isinstance(target, ast.Name)}
    known = ", ".join(sorted(declared)) or "none"
    return [
        f"does not declare the parameter {name!r}; declared: {known}"
        for name in parameters
        if name not in declared
    ]


def not_executed(notebook: NotebookNode) -> list[str]:
    """Code cells that did not run, or not in order."""
    return [
        f"{name} has execution count {cell.execution_count}, expected {expected}"
        for expected, (name, cell) in enumerate(nb.code_cells(notebook), start=1)
        if cell.execution_count != expected
    ]


def errors(notebook: NotebookNode) -> list[str]:
    """Cells that hold an error."""
    return [
        f"{name} raised {output.ename}: {output.evalue}"
        for name, cell in nb.code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "error"
    ]


def warnings(notebook: NotebookNode) -> list[str]:
    """Cells that wrote to stderr, where warnings go."""
    return [
        f"{name} wrote to stderr: {output.text.strip().splitlines()[0][:200]}"
        for name, cell in nb.code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr" and output.text.strip()
    ]


def bare_figures(notebook: NotebookNode) -> list[str]:
    """Figures without alt text or caption, and cells whose one caption has to serve several."""
    faults = []
    for name, cell in nb.code_cells(notebook):
        images = sum(any(kind in o.get("data", {}) for kind in IMAGES) for o in cell.outputs)
        if not images or {"remove-cell", "remove-output"} & set(nb.tags(cell)):
            continue
        shown = cell.metadata.get("mystnb", {})
        if not str(shown.get("image", {}).get("alt") or "").strip():
            faults.append(f"{name} draws a figure without alt text (mystnb.image.alt)")
        if not str(shown.get("figure", {}).get("caption") or "").strip():
            faults.append(f"{name} draws a figure without a caption (mystnb.figure.caption)")
        if images > 1:
            faults.append(f"{name} draws {images} figures; one a cell, for each needs its caption")
    return faults


def bare_tables(notebook: NotebookNode) -> list[str]:
    """Tables of numbers without a caption."""
    return [
        f"{name} shows a table without a caption (Shown.saying)"
        for name, cell in nb.code_cells(notebook)
        for output in cell.outputs
        if TABLE in (page := output.get("data", {}).get("text/html", "")) and CAPTION not in page
    ]


def kernel_only(notebook: NotebookNode) -> list[str]:
    """Widgets that have no form for a page, which has no kernel behind it."""
    return [
        f"{name} shows a widget without a text/html form for the page"
        for name, cell in nb.code_cells(notebook)
        for output in cell.outputs
        if nb.WIDGET in output.get("data", {}) and "text/html" not in output.data
    ]


def machine_paths(notebook: NotebookNode, root: Path) -> list[str]:
    """Cells whose outputs name a folder of the machine that built the book."""
    return [
        f"{name} shows a path of this machine ({root})"
        for name, cell in nb.code_cells(notebook)
        if str(root) in str(cell.outputs)
    ]
