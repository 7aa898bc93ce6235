"""Scenes as figures."""

import pytest

from ldlstudy.explore.scene import Panel, Scene, figure, in_words, nearest

pytestmark = pytest.mark.usefixtures("book_style")


def test_a_figure_has_a_panel_for_each_of_the_scene():
    marks = [{"kind": "line", "points": [], "colour": "red"}]
    scene = Scene([Panel(f"{i}", (0, 1), (0, 1), marks) for i in range(5)], [])
    drawn = figure(scene)
    assert [ax.get_title() for ax in drawn.axes if ax.axison] == list("01234")


def test_every_kind_of_mark_is_drawn():
    rows = [[0, 1, 0], [1, 1, 0]]
    marks = [
        {"kind": "areas", "rows": rows, "colours": ["blue", "red"]},
        {"kind": "shades", "rows": rows, "colour": "grey"},
        {"kind": "words", "points": [[1.0, 1.0]], "words": ["here"]},
        {"kind": "dots", "points": [[1.0, 2.0]], "colour": "red", "shape": "star"},
        {
            "kind": "bars",
            "at": [1.0],
            "height": [2.0],
            "width": 0.5,
            "colour": "blue",
            "label": "b",
        },
    ]
    panel = Panel("all", (0, 3), (0, 4), marks, "x", numbers={"TV": 0.1235}, best="nearest")
    drawn = figure(Scene([panel], []))
    (ax,) = drawn.axes
    assert ax.get_xlabel() == "x\nTV 0.124\nnearest"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["b"]
    assert [tuple(i.get_extent()) for i in ax.images] == [(0, 3, 0, 4)] * 2
    assert ax.images[0].origin == "lower"  # the first row is the lowest
    assert [t.get_text() for t in ax.texts] == ["here"]
    assert [line.get_marker() for line in ax.lines] == ["*"]
    assert [bar.get_bbox().bounds for bar in ax.patches] == [(0.75, 0, 0.5, 2)]


def test_an_answer_rounds_halves_up_as_the_script_does():
    assert in_words(["at ", 0.0625, " of ", 1.0]) == "at 0.063 of 1.000"


def test_the_nearest_are_all_that_round_alike():
    assert nearest({"a": 0.3, "b": 0.1 + 1e-7, "c": 0.1}) == ["b", "c"]
