"""The gap between what is taught and asked is exact; the nine configurations are all there."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from ldlstudy import ldl_schematics
from ldlstudy.ldl_plots import GROUPS
from tests.figures import check_apart, check_whole, svg

pytestmark = pytest.mark.usefixtures("book_style")


def test_the_gap_is_that_of_the_cross_entropy():
    figure = ldl_schematics.gap()
    left, right = figure.axes
    for q, of_loss, of_pull in (
        (1.0, left.lines[0], right.lines[0]),
        (0.8, left.lines[1], right.lines[1]),
    ):
        p, loss = of_loss.get_xydata().T
        np.testing.assert_allclose(loss, -q * np.log(p) - (1 - q) * np.log1p(-p), rtol=1e-9)
        np.testing.assert_allclose(of_pull.get_xdata(), p)
        np.testing.assert_allclose(of_pull.get_ydata(), p - q, atol=1e-12)
    assert 0.2 < p[0] < 0.5 < 0.999 < p[-1] < 1
    lowest = left.lines[2].get_xydata()[0]
    assert lowest == pytest.approx([0.8, -0.8 * np.log(0.8) - 0.2 * np.log(0.2)])
    assert left.lines[1].get_ydata().min() >= lowest[1]
    assert right.lines[2].get_xydata().tolist() == [[0.8, 0]]
    (box,) = figure.legends
    assert [t.get_text() for t in box.get_texts()] == ["hard label (1, 0)", "soft label (0.8, 0.2)"]
    check_whole(figure)
    check_apart(figure)


def written(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


NAMES = {
    "existing": ["Vanilla", "LS", "KD"],
    "offline LDL": ["Off-LDL", "Off-En-LDL", "Off-MT-LDL"],
    "online LDL": ["On-LDL", "On-En-LDL", "On-MT-LDL"],
}


def test_nine_configurations_in_three_colours():
    figure = ldl_schematics.configurations()
    grid = np.array(figure.axes).reshape(3, 3)
    number = 0
    for column, (group, names) in zip(grid.T, NAMES.items(), strict=True):
        for ax, name in zip(column, names, strict=True):
            number += 1
            assert ax.get_title() == f"#{number} {name}"
            assert ax.title.get_color() == GROUPS[group]
            assert {to_hex(bar.get_facecolor()) for bar in bars(ax)} == {GROUPS[group].lower()}
            assert ("mix" in written(ax)) == (group == "online LDL")
            assert ("x₂" in written(ax)) == (group == "online LDL")
            assert ("teachers" in written(ax)) == ("En" in name or "MT" in name)
            assert ("teacher" in written(ax)) == (name in ("KD", "Off-LDL", "On-LDL"))
            assert "student" in written(ax)
            assert any("Σ" in text for text in written(ax)) == ("MT" in name)
    check_whole(figure)
    check_apart(figure)


def bars(ax):
    return [patch for container in ax.containers for patch in container.patches]


def test_labels_are_distributions_as_their_names_say():
    figure = ldl_schematics.configurations()
    by_title = {ax.get_title().split(" ")[1]: ax for ax in figure.axes}
    charts = {
        name: np.array([[bar.get_height() for bar in c.patches] for c in ax.containers])
        for name, ax in by_title.items()
    }
    shares = {name: chart / chart.sum(1, keepdims=True) for name, chart in charts.items()}
    np.testing.assert_allclose(shares["Vanilla"], [[0, 1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(shares["LS"], [[0.1, 0.7, 0.1, 0.1]], atol=1e-6)
    teachers = torch.softmax(ldl_schematics.OPINIONS, 1).numpy()
    np.testing.assert_allclose(shares["KD"], [[0, 1, 0, 0], teachers[0]], atol=1e-6)
    np.testing.assert_allclose(shares["Off-LDL"], teachers[:1], atol=1e-6)
    np.testing.assert_allclose(shares["On-En-LDL"], [teachers.mean(0)], atol=1e-6)
    np.testing.assert_allclose(shares["Off-MT-LDL"], teachers, atol=1e-6)
    for bar in (bar for ax in figure.axes for bar in bars(ax)):  # inside their panel
        assert 0 < bar.get_x() < bar.get_x() + bar.get_width() < 10


@pytest.mark.parametrize("draw", [ldl_schematics.gap, ldl_schematics.configurations])
def test_figures_are_the_same_each_time(draw):
    assert svg(draw()) == svg(draw())
