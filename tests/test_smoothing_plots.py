"""The figures of the label-smoothing chapter draw the data they are given, and all of it."""

import itertools

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from ldlstudy import smoothing_plots
from ldlstudy.measured import Measured
from ldlstudy.stats import Estimate
from tests.figures import check_whole

CLASSES = ("zero", "one", "two")
pytestmark = pytest.mark.usefixtures("book_style")


def legend(figure):
    """Return colour and marker by name in the figure's legend."""
    (box,) = figure.legends
    names = [text.get_text() for text in box.get_texts()]
    looks = [(line.get_color(), line.get_marker()) for line in box.get_lines()]
    return dict(zip(names, looks, strict=True))


def test_labels_are_bars_of_smoothed_labels():
    alphas = (0.0, 0.05, 0.3)
    figure = smoothing_plots.labels(alphas, classes=10)
    assert [ax.get_title() for ax in figure.axes] == ["α = 0", "α = 0.05", "α = 0.3"]
    for ax, alpha in zip(figure.axes, alphas, strict=True):
        heights = [bar.get_height() for bar in ax.patches]
        expected = np.full(10, alpha / 10)
        expected[1] += 1 - alpha
        np.testing.assert_allclose(heights, expected, rtol=1e-6)
        assert ax.get_ylim()[0] == 0
        assert ax.get_ylim()[1] > 1
    check_whole(figure)


def plane(seed, scale):
    """Return the data of one network's panels; the clusters differ in size."""
    rng = np.random.default_rng(seed)

    def clusters():
        return [(rng.normal(size=(n, 2)) * scale + 5 * n).tolist() for n in (1, 7, 4)]

    return {"templates": rng.normal(size=(3, 2)).tolist(), "train": clusters(), "test": clusters()}


@pytest.mark.parametrize("scales", [((9, 0.1), (0.1, 0.3)), ((1, 1), (0.2, 20)), ((1, 5),)])
def test_planes_draw_every_point_and_template_on_equal_axes(scales):
    figures = {f"α = 0.{i}": plane(i, scale) for i, scale in enumerate(scales)}
    figure = smoothing_plots.planes(figures, CLASSES)
    grid = np.array(figure.axes).reshape(2, len(scales))
    for (i, part), (j, (title, data)) in itertools.product(
        enumerate(("train", "test")), enumerate(figures.items())
    ):
        ax = grid[i, j]
        assert ax.get_title() == f"{title}, {'training' if part == 'train' else 'test'} images"
        drawn = {patch.get_label(): patch for patch in ax.patches}
        dots = [drawn[name].get_path().vertices.reshape(-1, 2, 2) for name in CLASSES]
        assert all((start == end).all() for start, end in dots[0])
        assert [of[:, 0].tolist() for of in dots] == data[part]
        (stars,) = ax.collections
        assert stars.get_offsets().tolist() == data["templates"]
        colours = [to_hex(colour) for colour in stars.get_facecolors()]
        assert colours == [to_hex(drawn[name].get_edgecolor()) for name in CLASSES]
    check_whole(figure)
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}) == 1
    for ax in figure.axes:  # a unit is as long in x as in y
        (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
        assert x1 - x0 == pytest.approx(y1 - y0)
    assert set(legend(figure)) == {*CLASSES, "templates"}


def bins(seed):
    """Return 15 bins, the first empty, the last of a network that is always right."""
    rng = np.random.default_rng(seed)
    count = [0, 1, 9, 10, *rng.integers(10, 99, 11).tolist()]
    confidence = [None, *((np.arange(1, 15) + rng.uniform(size=14)) / 15).tolist()]
    accuracy = [None, *rng.uniform(size=14).tolist()]
    confidence[-1] = accuracy[-1] = 1.0
    return {"count": count, "confidence": confidence, "accuracy": accuracy}


def test_reliability_draws_the_bins_that_hold_ten_images():
    panels = {
        "A": {"hard": bins(0), "LS": bins(1)},
        "B": {"LS": bins(2)},
        "C": {"fitted": bins(3), "hard": bins(4), "LS": bins(5)},
    }
    figure = smoothing_plots.reliability(panels)
    *shown, spare = figure.axes
    assert [ax.get_title() for ax in shown] == ["A", "B", "C"]
    assert not spare.axison
    figure.canvas.draw()
    written = [any(t.label1.get_visible() for t in ax.xaxis.get_major_ticks()) for ax in shown]
    assert written == [False, True, True]  # the lowest panel of each column
    for ax, lines in zip(shown, panels.values(), strict=True):
        drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
        assert set(drawn) == {"perfect", *lines}
        assert drawn["perfect"].tolist() == [[0, 0], [1, 1]]
        for name, data in lines.items():
            expected = np.array([data["confidence"][3:], data["accuracy"][3:]], float).T
            np.testing.assert_array_equal(drawn[name], expected)
    check_whole(figure)


def test_a_method_looks_the_same_in_every_panel_and_in_the_legend():
    panels = {"A": {"hard": bins(0)}, "B": {"LS": bins(1), "hard": bins(2)}, "C": {"T": bins(3)}}
    figure = smoothing_plots.reliability(panels)
    looks = legend(figure)
    assert list(looks) == ["perfect", "hard", "LS", "T"]
    assert len({look for name, look in looks.items() if name != "perfect"}) == 3
    for line in (line for ax in figure.axes for line in ax.lines):
        assert (line.get_color(), line.get_marker()) == looks[line.get_label()]


def test_reliability_of_one_network_is_one_panel():
    assert len(smoothing_plots.reliability({"A": {"hard": bins(0)}}).axes) == 1


def of(mean, half=0.01):
    return Measured([mean], Estimate(mean, mean - half, mean + half))


TAUGHT = {"M3 1": (0.02, 0.97), "M3 16": (0.9, 0.95), "M4 0.75": (0.8, 0.93), "M4 0": (0.02, 0.97)}
TAUGHT |= {"M3p 1": (0.02, 0.96), "M4p 0.75": (0.8, 0.91)}
MEASURED = {
    "M1 0.75": {"accuracy": of(0.99), "ece": of(0.5)},
    "M1 0": {"accuracy": of(0.98)},
    "M2 0.15": {"accuracy": of(0.9)},
    "M1 0.75 fitted": {"accuracy": of(0.1)},
    "teacher": {"accuracy": of(0.2)},
    **{row: {"accuracy": of(accuracy)} for row, (_, accuracy) in TAUGHT.items()},
    **{
        f"{row} teacher": {"smoothness": of(gamma), "accuracy": of(0.3)}
        for row, (gamma, _) in TAUGHT.items()
    },
}


def test_students_stand_at_the_smoothness_of_their_teacher_others_at_alpha():
    def series(prefix):
        points = smoothing_plots.points_of(MEASURED, prefix, "accuracy")
        assert all((low, high) == pytest.approx((y - 0.01, y + 0.01)) for _, y, low, high in points)
        return [(x, y) for x, y, _, _ in points]

    assert series("M1") == [(0.0, 0.98), (0.75, 0.99)]
    assert series("M2") == [(0.15, 0.9)]
    assert series("M3") == [(0.02, 0.97), (0.9, 0.95)]
    assert series("M4") == [(0.02, 0.97), (0.8, 0.93)]
    assert series("M3p") == [(0.02, 0.96)]
    assert smoothing_plots.points_of(MEASURED, "M1", "ece") == [(0.75, 0.5, 0.49, 0.51)]
    assert smoothing_plots.points_of(MEASURED, "M5", "accuracy") == []


def test_series_draw_their_points_a_panel_a_loss():
    losses = {"as coded": "", "as printed": "p"}
    figure = smoothing_plots.series(MEASURED, ("accuracy", "accuracy"), losses)
    assert [ax.get_title() for ax in figure.axes] == list(losses)
    for ax, mark in zip(figure.axes, losses.values(), strict=True):
        prefixes = ["M1", "M2", f"M3{mark}", f"M4{mark}"]
        points = [smoothing_plots.points_of(MEASURED, p, "accuracy") for p in prefixes]
        assert [line.get_xydata().tolist() for line in ax.lines] == [
            [[x, y] for x, y, *_ in each] for each in points
        ]
        bars = [c.get_segments() for c in ax.collections if isinstance(c, LineCollection)]
        for segments, each in zip(bars, points, strict=True):
            assert [s.tolist() for s in segments] == [[[x, a], [x, b]] for x, _, a, b in each]
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim()
    assert list(legend(figure)) == [label for label, *_ in smoothing_plots.SERIES.values()]
    check_whole(figure)


def test_series_that_were_not_run_are_left_out():
    rows = {"M2 0": {"ece": of(0.1)}}
    figure = smoothing_plots.series(rows, ("ece", "ECE"), {"as coded": ""})
    assert list(legend(figure)) == ["M2: student alone, by its α"]


def test_a_mean_outside_its_interval_is_drawn():
    """ECE rises when test images are drawn anew, so a small one may lie below its interval."""
    rows = {"M1 0": {"ece": Measured([0.01], Estimate(0.01, 0.012, 0.02))}}
    (ax,) = smoothing_plots.series(rows, ("ece", "ECE"), {"as coded": ""}).axes
    assert ax.lines[0].get_ydata().tolist() == [0.01]
    (bar,) = ax.collections[0].get_segments()
    assert bar.tolist() == [[0, 0.012], [0, 0.02]]
