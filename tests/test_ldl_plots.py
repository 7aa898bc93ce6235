"""The figures of the LDL chapter that draw numbers: all of them, in their places."""

import csv

import numpy as np
import pytest
from matplotlib.colors import to_hex

from ldlstudy import ldl_plots, models
from ldlstudy.measured import Measured
from ldlstudy.plots import BLUE, GREEN, ORANGE, RED
from ldlstudy.stats import Estimate
from tests.conftest import ROOT
from tests.figures import check_apart, check_whole, svg

pytestmark = pytest.mark.usefixtures("book_style")
DIGITS = "noisy_digits-small_cnn"


@pytest.fixture(autouse=True)
def in_the_study(monkeypatch):
    monkeypatch.chdir(ROOT)


def printed(*numbers):
    """Return accuracy and ECE of published tables by row; the last table's where they differ."""
    found = {}
    for number in numbers:
        with (ROOT / "book" / "published" / f"ldl_table{number}.csv").open() as file:
            for line in csv.DictReader(file):
                found[line["row"]] = float(line["accuracy"]), float(line["ece"])
    return found


def named(legend):
    return [text.get_text() for text in legend.get_texts()]


def one(value, half=0.0):
    return Measured([value], Estimate(value, value - half, value + half))


def scored(accuracy, ece):
    return {"accuracy": one(accuracy), "ece_10": one(ece)}


@pytest.mark.parametrize(
    ("method", "group"),
    [
        ("none-cutmix", "existing"), ("kd", "existing"), ("mcdo", "existing"), ("ogr", "existing"),
        ("crd_kd", "rivals"), ("wsl", "rivals"), ("off_mt_ldl", "offline LDL"),
        ("off_ldl", "offline LDL"), ("on_ldl-mcdo_t", "online LDL"),
        ("on_mt_ldl-ricap-long", "online LDL"),
    ],
)  # fmt: skip
def test_methods_belong_to_groups(method, group):
    assert ldl_plots.group(method) == group


def test_parameters_are_those_of_the_network():
    network = models.build("resnet20", 100)
    expected = sum(p.numel() for p in network.parameters())
    assert ldl_plots.parameters("cifar100-resnet20") == expected == 275_572
    assert ldl_plots.parameters("cifar100-resnet200") == 62_822_052


LOOKS = {  # in the order of drawing: a method of Table 3's students 20, 56, 110, 18, 50, 200
    "ls": (RED, ["ls"] * 6),
    "kd": (RED, ["kd"] * 6),
    "crd_kd": (ORANGE, ["crd_kd"] * 6),
    "wsl": (ORANGE, ["wsl"] * 6),
    "off_ldl": (GREEN, ["off_ldl"] * 6),
    "off_mt_ldl": (GREEN, ["off_mt_ldl"] * 6),
    "on_ldl-cutmix": (BLUE, ["on_ldl-cutmix"] * 6),
    "on_ldl-long": (BLUE, ["on_ldl-ricap-long"] * 3 + ["on_ldl-cutmix-long"] * 3),
}


@pytest.mark.parametrize(("panel", "scale"), [(0, 100), (1, 1)])
def test_change_by_size_draws_both_tables(panel, scale):
    figure = ldl_plots.change_by_size({})
    ax = figure.axes[panel]
    tables = [printed(3), printed(1)]
    nets = [f"cifar100-resnet{depth}" for depth in (20, 56, 110, 18, 50, 200)]
    for line, (colour, methods) in zip(ax.lines[1:], LOOKS.values(), strict=True):
        expected = []
        for net, method in zip(nets, methods, strict=True):
            table = next((t for t in tables if f"{net} {method}" in t), None)
            if table is not None:
                change = table[f"{net} {method}"][panel] - table[f"{net} none"][panel]
                expected.append((ldl_plots.parameters(net), scale * change))
        np.testing.assert_allclose(line.get_xydata(), expected)
        assert (to_hex(line.get_color()), line.get_fillstyle()) == (colour.lower(), "none")
    assert ax.get_xscale() == "log"
    (box,) = figure.legends
    assert named(box)[-1] == "printed"
    assert len(named(box)) == len(LOOKS) + 1
    check_whole(figure)
    check_apart(figure)


def test_measured_changes_are_full_points_and_reduced_ones_crosses():
    measurements = {
        "cifar100-resnet56 none": scored(0.7, 0.1),
        "cifar100-resnet56 on_ldl-ricap-long": scored(0.75, 0.04),
        "cifar100-resnet20-reduced none": scored(0.5, 0.06),
        "cifar100-resnet20-reduced ls": scored(0.52, 0.01),
        "cifar100-resnet20-reduced ls fitted": scored(0.9, 0.9),
        "cifar100-resnet110 ls": scored(0.9, 0.9),  # without its Vanilla
        f"{DIGITS} none": scored(0.9, 0.1),
        f"{DIGITS} ls": scored(0.1, 0.2),
    }
    figure = ldl_plots.change_by_size(measurements)
    small, large = (ldl_plots.parameters(f"cifar100-resnet{depth}") for depth in (20, 56))
    for ax, changes in zip(figure.axes, [(5, 2), (-0.06, -0.05)], strict=True):
        points = [line for line in ax.lines if line.get_fillstyle() == "full"][-2:]
        full, cross = points
        assert full.get_xydata()[0] == pytest.approx([large, changes[0]])
        assert cross.get_xydata()[0] == pytest.approx([small, changes[1]])
        assert (to_hex(full.get_color()), to_hex(cross.get_color())) == (BLUE.lower(), RED.lower())
        assert (full.get_marker(), cross.get_marker()) == ("o", "X")
        assert len(ax.lines) == 1 + len(LOOKS) + 2
    assert named(figure.legends[0])[-3:] == ["printed", "measured", "measured, reduced"]
    check_whole(figure)
    check_apart(figure)


def test_accuracy_against_ece_has_every_printed_network_once():
    figure = ldl_plots.accuracy_against_ece({})
    rows = printed(2, 3, 4)
    drawn = np.concatenate([line.get_xydata() for ax in figure.axes[:5] for line in ax.lines])
    expected = sorted((100 * a, e) for a, e in rows.values())
    np.testing.assert_allclose(sorted(map(tuple, drawn)), expected)
    titles = [ax.get_title() for ax in figure.axes[:5]]
    assert titles == list(ldl_plots.PANELS)
    counts = [len(ax.lines) for ax in figure.axes[:5]]
    assert counts == [24, 24, 27, 21, 20]
    assert all(line.get_fillstyle() == "none" for ax in figure.axes[:5] for line in ax.lines)
    check_whole(figure)
    check_apart(figure)


def test_measured_networks_are_full_and_look_as_printed_ones_do():
    measurements = {
        "cifar100-resnet56 on_ldl-ricap-long": scored(0.75, 0.04),
        "stl10-resnet20 off_ldl": scored(0.8, 0.05),
        "cifar10-resnet20 kd": {"accuracy": one(0.9)},
    }
    figure = ldl_plots.accuracy_against_ece(measurements)
    full = {
        ax.get_title(): [line for line in ax.lines if line.get_fillstyle() == "full"]
        for ax in figure.axes[:5]
    }
    (stl,), (cifar,) = full["STL10, teacher ResNet-110"], full["CIFAR-100, teacher ResNet-110"]
    assert sum(map(len, full.values())) == 2
    assert stl.get_xydata()[0] == pytest.approx([80, 0.05])
    assert cifar.get_xydata()[0] == pytest.approx([75, 0.04])
    assert (to_hex(stl.get_color()), stl.get_marker()) == (GREEN.lower(), "o")
    assert (to_hex(cifar.get_color()), cifar.get_marker()) == (BLUE.lower(), "s")
    box = figure.axes[5].get_legend()
    assert named(box)[:4] == list(ldl_plots.GROUPS)
    assert named(box)[-2:] == ["printed", "measured"]
    check_whole(figure)
    check_apart(figure)


METHODS = ["truth", "none", "ls", "off_ldl", "on_ldl-mixup", "on_ldl-cutmix", "none-mixup"]


def study(noises=(0.3, 0.5), sizes=(50, 400)):
    rng = np.random.default_rng(0)
    return {
        f"{DIGITS}-n{n}-s{s} {m}": {"kl_to_truth": one(rng.uniform(0.1, 0.5), rng.uniform(0, 0.1))}
        for n in sizes
        for s in noises
        for m in METHODS
    }


def test_kl_by_size_is_a_line_a_method_and_a_panel_a_noise():
    measurements = study()
    del measurements[f"{DIGITS}-n400-s0.3 ls"]
    figure = ldl_plots.kl_by_size(measurements, METHODS)
    assert [ax.get_title() for ax in figure.axes] == ["σ = 0.3", "σ = 0.5"]
    for ax, noise in zip(figure.axes, (0.3, 0.5), strict=True):
        for line, bars, method in zip(ax.lines, ax.collections, METHODS, strict=True):
            found = {
                n: measurements[f"{DIGITS}-n{n}-s{noise} {method}"]["kl_to_truth"].estimate
                for n in (50, 400)
                if f"{DIGITS}-n{n}-s{noise} {method}" in measurements
            }
            assert dict(line.get_xydata()) == {n: e.mean for n, e in found.items()}
            ends = {a[0]: (a[1], b[1]) for a, b in bars.get_segments()}
            assert ends == {n: (e.low, e.high) for n, e in found.items()}
        assert (ax.lines[0].get_color(), ax.lines[0].get_linestyle()) == ("black", ":")
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["50", "400"]
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == len(METHODS)
    (box,) = figure.legends
    assert named(box)[:3] == ["the true posterior", "Vanilla", "LS"]
    assert figure.axes[0].get_ylim()[0] == 0
    check_whole(figure)
    check_apart(figure)


def test_kl_by_size_takes_one_noise_and_needs_something():
    figure = ldl_plots.kl_by_size(study(noises=(0.5,)), ["none"])
    assert len(figure.axes) == 1
    with pytest.raises(ValueError, match="no row of noisy_digits-small_cnn-n<images>-s<sigma>"):
        ldl_plots.kl_by_size({f"{DIGITS} none": {"kl_to_truth": one(1)}}, ["none"])


@pytest.mark.parametrize(
    "draw",
    [
        lambda: ldl_plots.change_by_size({}),
        lambda: ldl_plots.accuracy_against_ece({}),
        lambda: ldl_plots.kl_by_size(study(), METHODS),
    ],
)
def test_figures_are_the_same_each_time(draw):
    assert svg(draw()) == svg(draw())
