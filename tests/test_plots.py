"""Figures draw what they are given; how they look is for eyes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from ldlstudy import figure_data, plots
from ldlstudy.mixture import six_gaussians


@pytest.fixture(autouse=True)
def close_figures():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def test_density_shows_every_training_point():
    mixture = six_gaussians()
    x, y, component = mixture.sample(10, seed=0)
    figure = plots.density(mixture, x, y, mixture.sparse[component])
    drawn = sum(len(line.get_xdata()) for line in figure.axes[1].lines)
    assert drawn == 30


def test_histograms_draw_each_model_and_the_truth():
    truth = np.full((3, 50), 0.02)
    figure = plots.histograms(dict.fromkeys("abcd", truth), truth)
    assert [ax.get_title() for ax in figure.axes] == list("abcd")
    assert all(len(ax.patches) == 4 for ax in figure.axes)


def test_factor_curves_draw_the_quadratic_and_skip_empty_bins():
    curve = {
        "p": [0.3, None, 0.9], "best": [0.1, None, 0.01], "low": [0.05, None, 0.01],
        "high": [0.15, None, 0.02], "samples": [10, 0, 1000],
    }  # fmt: skip
    figure = plots.factor_curves({"normal": curve}, {"normal": (0.8, 2.0)}, (0.9, 8.0))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    x, y = lines["ILS1's quadratic"].get_data()
    np.testing.assert_allclose(y, np.minimum(0.2, 2 * (x - 0.8) ** 2))
    np.testing.assert_array_equal(
        lines["best factor, 95 % interval"].get_xdata(), [0.3, np.nan, 0.9]
    )
    assert "sinusoidal family" in lines


def test_grid_writes_each_mean_and_marks_the_best():
    values = [{"p1": a, "p2": b} for a in (0.7, 0.8) for b in (1.0, 2.0)]
    losses = np.array([[0.6, 0.5, 0.55, 0.4], [0.6, 0.5, 0.55, 0.5]])
    texts = {t.get_text(): t.get_weight() for t in plots.grid(values, losses).axes[0].texts}
    assert texts == {"0.600": "normal", "0.500": "normal", "0.550": "normal", "0.450": "bold"}


def test_error_maps_share_one_scale_and_hide_spare_panels():
    shape = (len(figure_data.PLANE_Y), len(figure_data.PLANE_X))
    maps = {n: np.full(shape, v) for n, v in (("a", 0.1), ("b", 0.4), ("c", 0.2))}
    figure = plots.error_maps(maps, six_gaussians())
    limits = {ax.images[0].get_clim() for ax in figure.axes if ax.images and ax.get_visible()}
    assert limits == {(0, 0.4)}
    assert [ax.get_visible() for ax in figure.axes[:4]] == [True, True, True, False]


def test_budgets_draw_means_at_their_budgets():
    figure = plots.budgets({"hard": {1: [0.6, 0.62], 12: [0.5, 0.52]}}, {"LS": (12, [0.4, 0.42])})
    line = figure.axes[0].lines[0]
    assert list(line.get_xdata()) == [1, 12]
    np.testing.assert_allclose(line.get_ydata(), [0.61, 0.51])


def test_figures_are_the_same_each_time(tmp_path):
    plots.setup()
    files = []
    for name in "ab":
        figure = plots.true_class_histogram(
            {"x": np.full((3, 50), 0.02), "y": torch.rand(3, 50).numpy() * 0}
        )
        figure.savefig(tmp_path / f"{name}.svg", metadata={"Date": None})
        files.append((tmp_path / f"{name}.svg").read_bytes())
    assert files[0] == files[1]
