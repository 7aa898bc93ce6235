"""What Jupyter Book lets through has to stop here, by name."""

import nbformat
import pytest
from nbformat import v4

from ldlstudy.book import BookError, gates
from ldlstudy.book import notebook as nb
from ldlstudy.report.shown import CAPTION
from tests.conftest import SHOWN, notebook


def executed(*outputs, **metadata):
    """A chapter whose cells ran; the last one gave ``outputs``."""
    chapter = notebook("x = 1")
    for count, cell in enumerate(chapter.cells[1:], start=1):
        cell.execution_count = count
    chapter.cells[-1].outputs = list(outputs)
    chapter.cells[-1].metadata.update(metadata)
    return chapter


def display(**data):
    kinds = {"svg": "image/svg+xml", "html": "text/html", "widget": nb.WIDGET}
    return v4.new_output("display_data", data={kinds[kind]: v for kind, v in data.items()})


def stream(name, text):
    return v4.new_output("stream", name=name, text=text)


ERROR = v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
FIGURE = display(svg="<svg/>")
BARE = '<table class="dataframe study">'


@pytest.mark.parametrize(
    "chapter",
    [
        executed(FIGURE, mystnb=SHOWN),
        executed(FIGURE, tags=["remove-cell"]),
        executed(display(widget={}, html="<b>1</b>")),
        executed(display(html=f"{BARE}{CAPTION}what to see</span>")),
    ],
)
def test_a_sound_notebook_passes(tmp_path, chapter):
    gates.check_executed("a.ipynb", chapter, tmp_path)


NO_ALT, NO_CAPTION = "draws a figure without alt text", "draws a figure without a caption"


@pytest.mark.parametrize(
    ("chapter", "faults"),
    [
        (executed(ERROR), ["raised ValueError: no"]),
        (
            executed(stream("stderr", "UserWarning: careful\n")),
            ["wrote to stderr: UserWarning: careful"],
        ),
        (executed(FIGURE), [NO_ALT, NO_CAPTION]),
        (
            executed(FIGURE, mystnb={"figure": {"caption": "c"}, "image": {"alt": " "}}),
            [NO_ALT],
        ),
        (executed(FIGURE, mystnb={"image": {"alt": "a"}}), [NO_CAPTION]),
        (executed(FIGURE, FIGURE, mystnb=SHOWN), ["draws 2 figures"]),
        (executed(display(widget={})), ["shows a widget"]),
        (executed(display(html=BARE)), ["shows a table without a caption"]),
        (executed(ERROR, FIGURE), ["raised ValueError", NO_ALT, NO_CAPTION]),
    ],
)
def test_every_fault_of_a_cell_is_named(tmp_path, chapter, faults):
    with pytest.raises(BookError) as caught:
        gates.check_executed("a.ipynb", chapter, tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(f"a.ipynb: cell 3 (x = 1) {fault}")


def test_cells_that_did_not_run_in_order_are_named(tmp_path):
    chapter = executed(stream("stdout", f"saved in {tmp_path}/x\n"))
    chapter.cells[1].execution_count, chapter.cells[2].execution_count = 2, None
    with pytest.raises(BookError) as caught:
        gates.check_executed("a.ipynb", chapter, tmp_path)
    assert str(caught.value).splitlines() == [
        'a.ipynb: cell 2 (profile = "quick") has execution count 2, expected 1',
        "a.ipynb: cell 3 (x = 1) has execution count None, expected 2",
        f"a.ipynb: cell 3 (x = 1) shows a path of this machine ({tmp_path})",
    ]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('profile = "quick"', None),
        ("profile: str = 'quick'", None),
        ("profile = n = 1", None),
        ("seed = 1", "does not declare the parameter 'profile'; declared: seed"),
        ("x['profile'] = 1", "does not declare the parameter 'profile'; declared: none"),
        ("print(profile)", "does not declare the parameter 'profile'; declared: none"),
        ("profile = = 1", "cannot read its parameters cell"),
    ],
)
def test_a_parameter_must_be_declared(source, fault):
    chapter = notebook()
    chapter.cells[1].source = source
    found = gates.undeclared(chapter, ["profile"])
    assert [line[: len(fault or "")] for line in found] == ([fault] if fault else [])
    chapter.cells.append(chapter.cells[1])
    assert gates.undeclared(chapter, ["profile"]) == ["needs one cell tagged 'parameters', has 2"]


def test_sources_are_checked_together(toy_book):
    project = toy_book()
    gates.check_sources(project, {"profile": "smoke"})
    nbformat.write(executed(), project.root / "notebooks" / "02_stray.ipynb")
    (project.root / "book" / "index.md").unlink()
    with pytest.raises(BookError) as caught:
        gates.check_sources(project, {"profile": "smoke", "depth": "3"})
    for fault in (
        "_toc.yml names book/index, but there is no book/index.md",
        "notebooks/02_stray.ipynb is not in _toc.yml",
        '02_stray.ipynb: cell 2 (profile = "quick") holds outputs',
        "01_toy.ipynb: does not declare the parameter 'depth'; declared: profile",
    ):
        assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("notebooks/01_toy.ipynb", "{not json", "01_toy.ipynb is not a readable notebook"),
        ("_toc.yml", "format: jb-book\n", "_toc.yml cannot be read"),
    ],
)
def test_a_damaged_source_is_named(toy_book, file, text, message):
    project = toy_book()
    (project.root / file).write_text(text)
    with pytest.raises(BookError, match=message):
        gates.check_sources(project, {"profile": "smoke"})
