"""What Jupyter Book lets through has to stop here, by name."""

import copy

import nbformat
import pytest
from nbformat import v4

from ldlstudy.book import BookError, gates
from ldlstudy.book import notebook as nb
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


def faults(chapter, tmp_path):
    with pytest.raises(BookError) as caught:
        gates.check_executed("a.ipynb", chapter, tmp_path)
    return str(caught.value).splitlines()


def test_a_sound_notebook_passes(tmp_path):
    gates.check_executed("a.ipynb", executed(display(svg="<svg/>"), mystnb=SHOWN), tmp_path)


def test_a_cell_that_did_not_run_is_named(tmp_path):
    chapter = executed()
    chapter.cells[-1].execution_count = None
    assert faults(chapter, tmp_path) == [
        "a.ipynb: cell 3 (x = 1) has execution count None, expected 2"
    ]


def test_cells_run_out_of_order_are_named(tmp_path):
    chapter = executed()
    chapter.cells[1].execution_count, chapter.cells[2].execution_count = 2, 1
    assert len(faults(chapter, tmp_path)) == 2


def test_an_error_is_named(tmp_path):
    error = v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    assert faults(executed(error), tmp_path) == ["a.ipynb: cell 3 (x = 1) raised ValueError: no"]


def test_a_warning_is_named(tmp_path):
    stream = v4.new_output("stream", name="stderr", text="UserWarning: careful\n")
    assert "wrote to stderr: UserWarning: careful" in faults(executed(stream), tmp_path)[0]


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ({}, ["alt text", "caption"]),
        ({"figure": {"caption": "c"}, "image": {"alt": " "}}, ["alt text"]),
        ({"image": {"alt": "a"}}, ["caption"]),
    ],
)
def test_a_bare_figure_is_named(tmp_path, shown, missing):
    found = faults(executed(display(svg="<svg/>"), mystnb=shown), tmp_path)
    assert len(found) == len(missing)
    assert all(word in line for word, line in zip(missing, found, strict=True))


def test_one_caption_cannot_serve_two_figures(tmp_path):
    chapter = executed(display(svg="<svg/>"), display(svg="<svg/>"), mystnb=SHOWN)
    assert "draws 2 figures" in faults(chapter, tmp_path)[0]


def test_a_figure_that_is_not_shown_needs_no_caption(tmp_path):
    gates.check_executed("a", executed(display(svg="<svg/>"), tags=["remove-cell"]), tmp_path)


def test_a_widget_needs_a_form_for_the_page(tmp_path):
    gates.check_executed("a", executed(display(widget={}, html="<b>1</b>")), tmp_path)
    assert "shows a widget" in faults(executed(display(widget={})), tmp_path)[0]


def test_a_path_of_the_machine_is_named(tmp_path):
    stream = v4.new_output("stream", name="stdout", text=f"saved in {tmp_path}/x\n")
    assert "shows a path of this machine" in faults(executed(stream), tmp_path)[0]


def test_all_faults_are_listed_together(tmp_path):
    error = v4.new_output("error", ename="E", evalue="", traceback=[])
    assert len(faults(executed(error, display(svg="<svg/>")), tmp_path)) == 3


@pytest.mark.parametrize(
    "source", ['profile = "quick"', "profile: str = 'quick'", "profile = n = 1"]
)
def test_declared_parameters_are_known(source):
    chapter = notebook()
    chapter.cells[1].source = source
    assert gates.undeclared(chapter, ["profile"]) == []


@pytest.mark.parametrize("source", ["seed = 1", "x['profile'] = 1", "print(profile)"])
def test_an_undeclared_parameter_is_named(source):
    chapter = notebook()
    chapter.cells[1].source = source
    assert "does not declare the parameter 'profile'" in gates.undeclared(chapter, ["profile"])[0]


def test_a_parameters_cell_that_is_not_python_is_named():
    chapter = notebook()
    chapter.cells[1].source = "profile = = 1"
    assert "cannot read its parameters cell" in gates.undeclared(chapter, ["profile"])[0]


def test_a_notebook_has_one_parameters_cell():
    chapter = notebook()
    chapter.cells.append(copy.deepcopy(chapter.cells[1]))
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


def test_a_damaged_notebook_is_named(toy_book):
    project = toy_book()
    project.notebooks["01_toy"].write_text("{not json")
    with pytest.raises(BookError, match="01_toy.ipynb is not a readable notebook"):
        gates.check_sources(project, {"profile": "smoke"})


def test_a_damaged_table_of_contents_is_named(toy_book):
    project = toy_book()
    (project.root / "_toc.yml").write_text("format: jb-book\n")
    with pytest.raises(BookError, match="_toc.yml cannot be read"):
        gates.check_sources(project, {"profile": "smoke"})
