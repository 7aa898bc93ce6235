"""What a figure draws is read back from it: values, names, and nothing that is no data."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy.report import figure_data, figures

pytestmark = pytest.mark.usefixtures("book_style")
numbers = st.floats(-1e6, 1e6)


def points(ax):
    """Return the only series of a figure without the columns that every one has."""
    (found,) = figure_data.series(ax.figure)
    return found.drop(columns=["panel", "x axis", "y axis", "x name", "y name"])


def rows(ax, *columns):
    return points(ax)[list(columns)].to_numpy().tolist()


@settings(max_examples=25)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_a_line_gives_its_points(pairs):
    ax = plt.figure().subplots()
    ax.plot(*np.transpose(pairs), label="a line")
    assert rows(ax, "series", "kind", "x", "y") == [["a line", "line", *pair] for pair in pairs]
    plt.close("all")


def test_markers_and_clouds_are_points():
    pairs = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, -1.0]])
    for draw in (
        lambda ax: ax.plot(*pairs.T, "o", label="cloud"),
        lambda ax: ax.scatter(*pairs.T, label="cloud"),
        lambda ax: ax.add_patch(figures.dots(pairs, figures.BLUE, "cloud")),
    ):
        ax = plt.figure().subplots()
        draw(ax)
        expected = [["cloud", "point", *pair] for pair in pairs.tolist()]
        assert rows(ax, "series", "kind", "x", "y") == expected


def test_bars_have_their_value_and_where_they_begin():
    upright, lying = (plt.figure().subplots() for _ in range(2))
    upright.bar([0, 1], [0.2, -0.5], bottom=[0.0, 0.1], label="shares")
    lying.barh(range(2), [0.2, 0.7])
    lying.set_yticks(range(2), ["cat", "dog"])
    assert rows(upright, "kind", "x", "y", "y_from") == [
        ["bar", 0, 0.2, 0],
        ["bar", 1, pytest.approx(-0.4), 0.1],
    ]
    assert rows(lying, "kind", "x", "y", "x_from") == [["bar", 0.2, 0, 0], ["bar", 0.7, 1, 0]]
    assert figure_data.series(lying.figure)[0]["y name"].tolist() == ["cat", "dog"]
    named = plt.figure().subplots()
    named.bar(["one", "two"], [3, 4])
    assert figure_data.series(named.figure)[0]["x name"].tolist() == ["one", "two"]


def test_steps_segments_and_error_bars_have_two_ends():
    steps, segments, errors = (plt.figure().subplots() for _ in range(3))
    steps.stairs([0.25, 0.75], [0, 1, 3])
    segments.vlines([1, 2], [0, 1], [4, 5])
    errors.errorbar([1], [10], [[2], [3]], capsize=2, label="mean")
    assert rows(steps, "kind", "x_from", "x", "y") == [["step", 0, 1, 0.25], ["step", 1, 3, 0.75]]
    assert rows(segments, "kind", "x_from", "y_from", "x", "y") == [
        ["segment", 1, 0, 1, 4],
        ["segment", 2, 1, 2, 5],
    ]
    found = points(errors)
    assert found[["series", "kind", "x", "y"]].to_numpy().tolist() == [
        ["mean", "line", 1, 10],
        ["mean", "interval", 1, 13],
    ]
    assert found["y_from"].tolist()[1] == 8


@pytest.mark.parametrize("origin", ["lower", "upper"])
def test_a_heat_map_has_a_value_for_the_middle_of_each_cell(origin):
    ax = plt.figure().subplots()
    values = np.arange(6.0).reshape(2, 3)
    image = ax.imshow(values, extent=(0, 3, 10, 14), origin=origin)
    ax.figure.colorbar(image)
    found = points(ax).pivot_table(values="value", index="y", columns="x")
    assert found.columns.tolist() == [0.5, 1.5, 2.5]
    assert found.index.tolist() == [11, 13]
    assert found.to_numpy().tolist() == (values if origin == "lower" else values[::-1]).tolist()


def test_a_mesh_has_a_value_for_the_middle_of_each_cell():
    ax = plt.figure().subplots()
    values = np.arange(6.0).reshape(2, 3)
    ax.figure.colorbar(ax.pcolormesh(range(3), range(2), values))
    found = points(ax).pivot_table(values="value", index="y", columns="x")
    assert found.columns.tolist() == [0, 1, 2]
    assert found.index.tolist() == [0, 1]
    assert found.to_numpy().tolist() == values.tolist()


def test_a_line_across_the_panel_has_one_coordinate():
    ax = plt.figure().subplots()
    ax.axhline(0.5, label="chance")
    (found,) = figure_data.series(ax.figure)
    assert found[["x", "y"]].to_numpy().tolist() == [[pytest.approx(np.nan, nan_ok=True), 0.5]]


def test_an_interval_is_called_as_the_only_line_of_its_colour():
    ax = plt.figure().subplots()
    ax.plot([1], [1], color="red", label="ours")
    ax.vlines([1], [0], [2], color="red")
    assert [frame["series"][0] for frame in figure_data.series(ax.figure)] == ["ours", "ours"]
    ax.plot([1], [1], "--", color="red", label="theirs")
    names = {frame["kind"][0]: frame["series"][0] for frame in figure_data.series(ax.figure)}
    assert names["segment"] == "series 3"


def test_panels_are_named_and_share_the_labels_of_outer_axes():
    fig, axes = plt.subplots(2, 1, sharex=True)
    for ax in axes:
        ax.plot([1, 2], [3, 4])
    axes[0].set_title("two\nlines")
    axes[1].set_xlabel("epoch")
    first, second = figure_data.series(fig)
    assert list(first.columns) == list(second.columns)
    assert (first["panel"][0], second["panel"][0]) == ("two lines", "panel 2")
    assert (first["x axis"][0], second["x axis"][0]) == ("epoch", "epoch")


def test_what_explains_draws_no_data():
    fig, axes = plt.subplots(1, 4)
    axes[0].text(0, 0, "a word")
    axes[0].plot([], [], label="in the legend alone")
    axes[1].imshow(np.zeros((2, 2, 3)))
    axes[2].imshow(np.zeros((2, 2)))
    axes[2].set_axis_off()
    axes[3].bar([1], [1])
    axes[3].set_label(figure_data.SCHEME)
    assert figure_data.series(fig) == []
