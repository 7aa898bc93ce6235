"""The second layout of a figure, for phones."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ldlstudy.report import narrow


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(rows, columns, **options):
    fig, axes = plt.subplots(rows, columns, squeeze=False, layout="constrained", **options)
    for n, ax in enumerate(axes.flat):
        ax.plot([0, 1], [n, n + 1], label=f"line {n}")
        ax.set_title(f"panel {n}")
    return fig, axes


def relaid(fig):
    """The figure as :func:`narrow.picture` lays it out, drawn."""
    assert narrow._laid_out(fig)
    fig.draw_without_rendering()
    return [ax for ax in fig.axes if ax.get_visible()]


def boxes(axes):
    return np.array([ax.get_position().bounds for ax in axes])


def test_panels_stand_below_one_another_in_their_order():
    fig, axes = drawn(1, 3, figsize=(7.2, 3), sharey=True)
    axes[0, 0].set_ylabel("height")
    found = relaid(fig)
    left, bottom, *_ = boxes(found).T
    assert np.ptp(left) < 0.01
    assert (np.diff(bottom) < 0).all()
    assert [ax.get_title() for ax in found] == ["panel 0", "panel 1", "panel 2"]
    assert {ax.get_ylabel() for ax in found} == {"height"}
    assert all(text.get_visible() for ax in found for text in ax.get_yticklabels())
    assert fig.get_figwidth() == narrow.WIDTH


def test_many_panels_stand_two_by_two_and_empty_ones_go():
    fig, axes = drawn(3, 3, figsize=(7.2, 9))
    axes[2, 2].set_axis_off()
    fig.legend(ncols=8, loc="outside lower center")
    found = relaid(fig)
    assert len(found) == 8
    assert len({round(x, 2) for x in boxes(found)[:, 0]}) == 2
    assert len(fig.legends[0].get_texts()) == 9
    assert fig.legends[0]._ncols < 8


def test_panels_with_long_names_at_their_side_stand_alone():
    fig, axes = drawn(4, 2, figsize=(7.2, 12))
    axes[1, 0].set_yticks([3], ["sweet pepper"])
    left, *_ = boxes(relaid(fig)).T
    assert len({round(x, 2) for x in left}) == 1


def test_titles_and_labels_fit_beside_one_another():
    fig, axes = drawn(2, 2, figsize=(7.2, 10))
    for ax in axes.flat:
        ax.set_title("a title of some length")
        ax.set_xlabel("a label that is longer than a panel is wide")
    found = relaid(fig)
    boxes = [t.get_window_extent() for ax in found for t in (ax.title, ax.xaxis.label)]
    assert all(b.x0 >= 0 and b.x1 <= fig.bbox.x1 for b in boxes)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_pictures_beside_bars_stay_and_panels_keep_the_title_of_their_column():
    fig, axes = drawn(4, 4, figsize=(7.2, 10))
    for row in axes:
        row[0].imshow([[0, 1], [1, 0]])
        row[0].set_axis_off()
        row[0].set_title("")
    for ax in axes[1:, 1:].flat:
        ax.set_title("")
    found = relaid(fig)
    assert len(found) == 16
    assert [ax.get_title() for ax in found[4:8]] == ["", "panel 1", "panel 2", "panel 3"]
    assert bool(found[4].images)


def test_the_figure_itself_is_left_as_it_is():
    fig, _ = drawn(1, 2, figsize=(7.2, 3))
    fig.legend(loc="outside lower center")
    fig.draw_without_rendering()
    before, numbers = boxes(fig.axes), plt.get_fignums()
    page = narrow.picture(fig)
    assert "<svg" in page
    assert plt.get_fignums() == numbers
    np.testing.assert_array_equal(boxes(fig.axes), before)
    assert fig.get_figwidth() == 7.2
    assert len(fig.legends) == 1


def test_panels_of_unlike_sizes_are_not_moved():
    fig, _ = drawn(1, 2, width_ratios=[1, 3])
    assert narrow.picture(fig) == ""
    assert narrow.picture(plt.figure()) == ""
