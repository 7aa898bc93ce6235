"""The figures of all chapters, as their pages draw them from the committed records.

Each is whole, its texts lie apart, it is the same file each time, and its CSV has its data. What is
drawn is held against closed forms, the papers' tables and the records.
"""

import functools
import io

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from ldlstudy import data, models, studies
from ldlstudy.report import export, figures
from ldlstudy.report.tables import published
from ldlstudy.studies import STUDIES
from ldlstudy.studies.cs_kd import figures as cs_kd
from ldlstudy.studies.ils import numbers as ils
from ldlstudy.studies.ldl import figures as ldl
from ldlstudy.studies.ldl import pictures, schematics
from ldlstudy.studies.smoothing import figures as smoothing
from ldlstudy.studies.truth import figures as truth
from tests.conftest import ROOT
from tests.figures import check_apart, check_whole, svg
from tests.report.made import results

pytestmark = pytest.mark.usefixtures("book_style")
NEEDED = (
    "setup",
    "draws",
    "quadratics",
    "images-records",
)  # cells of the pages that the figures' cells build on
DIGITS = "0123456789"


@functools.cache
def cells(chapter):
    """The code of a page's figures by name, and before it what it builds on."""
    page = nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", as_version=4)
    names = [c.metadata.get("mystnb", {}).get("figure", {}).get("name", "") for c in page.cells]
    own = zip(names, page.cells, strict=True)
    return [(name, cell.source) for name, cell in own if name or cell.id in NEEDED]


FIGURES = {n: s.chapter for s in STUDIES.values() for n, _ in cells(s.chapter) if n}
PAGES: dict[str, dict] = {}  # what the cells that were run have left, by chapter


def draw(name):
    """Draw a figure as its page does."""
    page = PAGES.setdefault(FIGURES[name], {"profile": "smoke", "done": set()})
    for own, source in cells(FIGURES[name]):
        if own == name or source not in page["done"]:
            plt.close("all")
            exec(source, page)
            page["done"].add(source)
        if own == name:
            break
    (number,) = plt.get_fignums()
    return plt.figure(number)


def read(figure):
    """The CSV that goes with a figure; its columns of coordinates are called x and y."""
    found = pd.read_csv(io.StringIO(export.figure(figure)))
    return found.rename(columns=lambda name: name[0] if name[:3] in ("x: ", "y: ") else name)


def series(figure, panel, name, kind):
    """The points (n, 2) of a series of a figure, as its CSV has them."""
    found = read(figure)
    own = (found["panel"] == panel) & (found["series"] == name) & (found["kind"] == kind)
    return found.loc[own, ["x", "y"]].to_numpy(float)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_whole_its_texts_apart_and_the_same_each_time(name):
    first = svg(draw(name))
    figure = draw(name)
    assert svg(figure) == first
    check_whole(figure)
    check_apart(figure)
    csv = export.figure(figure)
    assert "left out" not in csv
    assert (csv == "") == (name == "fig-ldl-configurations")  # which explains and draws no data


@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.3])
def test_labels_are_bars_of_smoothed_labels(alpha):
    expected = np.full(10, alpha / 10)
    expected[1] += 1 - alpha
    bars = series(smoothing.labels((0.1, alpha)), f"α = {alpha:g}", "series 1", "bar")
    np.testing.assert_allclose(bars[:, 1], expected, atol=1e-6)


def test_gradients_are_those_of_the_formula():
    """Of T^2 KL it is T (p - r), with the softened p of images and r of their partners."""
    figure = cs_kd.gradients((0.5, 1, 4, 16), classes=7)
    squared, alone = (series(figure, "panel 1", n, "line") for n in ("T² KL", "KL alone"))
    draws = torch.Generator().manual_seed(0)
    z, v = ((2 * torch.randn(256, 7, generator=draws)).double().numpy() for _ in range(2))
    for (t, size), (_, bare) in zip(squared, alone, strict=True):
        apart = softmax(z / t, 1) - softmax(v / t, 1)
        assert size == pytest.approx(t * np.linalg.norm(apart, axis=1).mean(), rel=1e-5)
        assert bare * t**2 == pytest.approx(size, rel=1e-5)


def test_the_gap_is_that_of_the_cross_entropy():
    figure = schematics.gap()
    for q, name in ((1.0, "hard label (1, 0)"), (0.8, "soft label (0.8, 0.2)")):
        p, loss = series(figure, "panel 1", name, "line").T
        np.testing.assert_allclose(loss, -q * np.log(p) - (1 - q) * np.log1p(-p), rtol=1e-3)
        at, gradient = series(figure, "panel 2", name, "line").T
        np.testing.assert_allclose(gradient, at - q, atol=2e-6)
    assert series(figure, "panel 2", name, "point").tolist() == [[0.8, 0]]


def test_nine_configurations_have_the_labels_of_their_names():
    teachers = torch.softmax(schematics.OPINIONS, 1).numpy()
    hard, alone, mean = [[0, 1, 0, 0]], teachers[:1], teachers.mean(0, keepdims=True)
    labels = {
        "Vanilla": hard, "LS": [[0.1, 0.7, 0.1, 0.1]], "KD": [*hard, *alone], "Off-LDL": alone,
        "On-LDL": alone, "Off-En-LDL": mean, "On-En-LDL": mean, "Off-MT-LDL": teachers,
        "On-MT-LDL": teachers,
    }  # fmt: skip
    axes = {ax.get_title().split(" ")[1]: ax for ax in schematics.configurations().axes}
    assert set(axes) == set(labels)
    for name, ax in axes.items():
        chart = np.array([[bar.get_height() for bar in bars] for bars in ax.containers])
        np.testing.assert_allclose(chart / chart.sum(1, keepdims=True), labels[name], atol=1e-6)
        words = [text.get_text() for text in ax.texts]
        assert ("mix" in words) == name.startswith("On-")
        assert ("teachers" in words) == ("En" in name or "MT" in name)


def test_histograms_stand_over_diagrams_whose_gaps_are_the_ece():
    """Four images in two of three bins, of which three are not sure enough and one too sure."""
    bins = {"count": [0, 3, 1], "accuracy": [None, 2 / 3, 0.0], "confidence": [None, 0.5, 0.9]}
    figure = figures.confidence({"small": bins, "not run": None})
    check_whole(figure)
    check_apart(figure)
    ece = 0.75 * (2 / 3 - 0.5) + 0.25 * 0.9
    bars = series(figure, "small", "images", "bar")
    np.testing.assert_allclose(bars[:, 1], [0, 0.75, 0.25], atol=1e-6)
    np.testing.assert_allclose(bars[:, 0], [1 / 6, 0.5, 5 / 6], atol=1e-5)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["small", f"accuracy 50.0%, ECE {ece:.3f}".replace("ECE 0", "ECE ")]
    gaps = read(figure).query("series == 'its gap to the confidence'")
    np.testing.assert_allclose(gaps["y"].dropna(), [0.5, 0.9], atol=1e-6)


def test_domains_are_shares_of_the_true_one():
    kept = {"names": ["bird", "dog"], "count": [[3, 1], [0, 5]]}
    figure = cs_kd.domains({"one": kept, "other": kept})
    check_whole(figure)
    check_apart(figure)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ["75.0", "25.0", "0.0", "100.0"]
    shares = read(figure).query("panel == 'one'")["value"]
    assert sorted(shares) == [0, 25, 75, 100]


def test_reliability_draws_the_bins_that_hold_ten_images():
    confidence, accuracy = [None, 0.1, 0.3, 0.5, 0.7, 1.0], [None, 0.0, 0.4, 0.6, 0.8, 1.0]
    bins = {"count": [0, 1, 9, 10, 50, 10], "confidence": confidence, "accuracy": accuracy}
    figure = figures.reliability({"A": {"hard": bins}, "B": {"LS": bins, "hard": bins}})
    for panel, name in (("A", "hard"), ("B", "LS"), ("B", "hard")):
        assert series(figure, panel, name, "line").tolist() == [[0.5, 0.6], [0.7, 0.8], [1, 1]]
    looks = {(line.get_label(), line.get_color()) for ax in figure.axes for line in ax.lines}
    assert len(looks) == 3  # a method looks the same in every panel


def test_what_the_records_keep_is_what_is_drawn():
    planes = draw("fig-re-planes-mnist")
    kept = studies.recorded("re-table2").figure("mnist-fcn1200 0", "plane")
    clouds = zip(
        ("zero", "one", "two", "templates"), [*kept["test"], kept["templates"]], strict=True
    )
    for label, points in clouds:
        drawn = series(planes, "α = 0, test images", label, "point")
        np.testing.assert_allclose(drawn, points, rtol=1e-4)
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in planes.axes}) == 1
    digits = studies.recorded("ldl-truth", "quick")
    rows = [f"quick noisy_digits-small_cnn-n{n}-s0.5 truth" for n in (50, 100, 200)]
    means = [digits.measured(row, "kl_to_truth").estimate.mean for row in rows]
    line = series(draw("fig-ldl-kl"), "σ = 0.5", "the true posterior", "line")
    np.testing.assert_allclose(line, np.transpose([(50, 100, 200), means]), rtol=1e-5)
    found = read(draw("fig-cskd-divergences")).query("panel == 'as trained' and kind == 'point'")
    wrong = found[found["series"].str.startswith("those")].set_index("y name")["x"]
    assert wrong.is_monotonic_decreasing  # from the farthest, on top
    known = studies.recorded("cskd-table1", "quick").measured
    mean = known("quick noisy_digits-small_cnn cs_kd", "kl_to_truth_on_errors").estimate.mean
    assert wrong["CS-KD"] == pytest.approx(mean, rel=1e-5)
    students = studies.recorded("re-figure7", "quick")
    points = smoothing.points_of(students, "quick M3p", "accuracy")
    line = series(draw("fig-re-series"), "equation 2", "M3: student, by the teacher's T", "line")
    np.testing.assert_allclose(line, [point[:2] for point in points], rtol=1e-5)


def test_histograms_are_shares_of_all_errors_and_lines_their_means():
    figure = draw("fig-cskd-scores")
    title, of = next(iter(PAGES["03_cs_kd"]["errors"].items()))
    for side, heading in (("predicted", "(a) predicted class"), ("true", "(b) true class")):
        scores = {n: np.concatenate([s[f"log_{side}"] for s in seeds]) for n, seeds in of.items()}
        low = min(np.quantile(v, 0.002) for v in scores.values())
        for name, values in scores.items():
            edges, shares = series(figure, f"{title}: {heading}", name, "step").T
            np.testing.assert_allclose(edges, np.linspace(low, 0, 41)[1:], atol=1e-4)
            below = [np.mean(values <= edge) for edge in edges]  # those below the lowest, too
            np.testing.assert_allclose(shares.cumsum(), below, atol=2e-3)
            mean = series(figure, f"{title}: {heading}", name, "line")[0, 0]
            assert mean == pytest.approx(values.mean(), rel=1e-5)


def answered(labels, classes):
    """What a record keeps of a network that answers ``classes`` to some images."""
    scores = [[0.5, 0.3][: len(each)] for each in classes]
    index = [4 * i for i in range(len(labels))]
    return {"index": index, "labels": labels, "classes": classes, "scores": scores}


def test_examples_are_of_images_that_every_network_gets_wrong():
    labels, names = [2, 2, 1, 0, 2], ["sea_horse", "b", "big_c"]
    kept = {
        "plain": answered(labels, [[0, 2], [2, 0], [0, 1], [1, 2], [1, 0]]),
        "soft": answered(labels, [[1, 2], [1, 0], [2, 1], [0, 2], [0, 1]]),
    }
    first, second = cs_kd.examples(kept, names)  # nor the last, which is of the same class
    assert (first.image, first.true, second.true) == (None, "big c", "b")
    answers = {"plain": ["sea horse", "big c"], "soft": ["b", "big c"]}
    assert first.answers == {name: (each, [0.5, 0.3]) for name, each in answers.items()}
    assert len(cs_kd.examples(kept, names, count=1)) == 1
    test = data.load("noisy_digits", train=10, test=10, draw=0).test
    shown = cs_kd.examples(kept, DIGITS, test)[1]
    np.testing.assert_array_equal(shown.image, test.pixels[8, 0])
    best = test.truth[8].topk(5)
    assert shown.answers["the truth"] == ([DIGITS[k] for k in best.indices], best.values.tolist())
    other = {**kept, "odd": answered([2, 2, 1, 0, 1], kept["soft"]["classes"])}
    with pytest.raises(ValueError, match="plain, soft, odd answered to different test images"):
        cs_kd.examples(other, names)


def printed(*numbers):
    """Accuracy and ECE of published tables by bench and strategy; the last table's, if several."""
    tables = [published(f"ldl_table{n}").droplevel("stage") for n in numbers]
    return {key: (line["accuracy"], line["ece"]) for t in tables for key, line in t.iterrows()}


def parameters(network):
    return sum(p.numel() for p in models.build(network, 100).parameters())


def test_change_by_size_draws_both_tables_and_what_was_measured():
    measured = {
        "56 none": (0.7, 0.1), "56 on_ldl-ricap-long": (0.75, 0.04), "20-reduced none": (0.5, 0.06),
        "20-reduced ls_wrong": (0.52, 0.01), "110 ls_wrong": (0.9, 0.9),  # without its Vanilla
    }  # fmt: skip
    rows = {
        f"cifar100-resnet{row}": {"accuracy": accuracy, "ece_10_right": ece}
        for row, (accuracy, ece) in measured.items()
    }
    figure = ldl.change_by_size(results(rows))
    small, middle = parameters("resnet20"), parameters("resnet56")
    assert small == 275_572
    for panel, scale, at in (("panel 1", 100, 0), ("panel 2", 1, 1)):
        for table, label, strategy in (
            (3, "CRD + KD", "crd_kd"),
            (1, "On-LDL, CutMix", "on_ldl-cutmix"),
        ):
            line = dict(series(figure, panel, label, "line"))
            for size, bench in ((small, "cifar100-resnet20"), (middle, "cifar100-resnet56")):
                of = printed(table)
                change = scale * (of[bench, strategy][at] - of[bench, "none"][at])
                assert line[size] == pytest.approx(change, abs=1e-5)
        long = series(figure, panel, "On-LDL, long, measured", "point")
        np.testing.assert_allclose(long, [[middle, (5, -0.06)[at]]], rtol=1e-5)
        cross = series(figure, panel, "LS, measured, reduced", "point")
        np.testing.assert_allclose(cross, [[small, (2, -0.05)[at]]], rtol=1e-5)
    assert len(read(figure).query("kind == 'point'")) == 4


def test_accuracy_against_ece_has_every_printed_network_once():
    measured = results({"stl10-resnet20 off_ldl": {"accuracy": 0.8, "ece_10_right": 0.05}})
    found = read(ldl.accuracy_against_ece(measured))
    own = found["series"].str.endswith(", measured")
    assert found.loc[own, ["x", "y"]].to_numpy().tolist() == [[80, 0.05]]
    assert found.loc[own, "panel"].tolist() == ["STL10, teacher ResNet-110"]
    drawn = sorted(map(tuple, found.loc[~own, ["x", "y"]].to_numpy()))
    np.testing.assert_allclose(drawn, sorted((100 * a, e) for a, e in printed(2, 3, 4).values()))


def test_what_cannot_be_drawn_is_left_out_or_named():
    of = {"f1": [0.5, 0.0, 0.75], "confidence": [0.25, None, 1.0]}  # a class without an image
    points = series(pictures.class_scores({"one": of}), "one", "classes", "point")
    assert points.tolist() == [[0.25, 0.5], [1.0, 0.75]]
    (said,) = ldl.kl_by_size(results({}), ["none"]).axes[0].texts
    assert said.get_text() == "not yet run"
    for count in (0, 3):
        with pytest.raises(ValueError, match=r"count must lie in \[1, 2\], half the classes"):
            pictures.losses_by_class({"one": {"test_class_loss": [[1, 2, 3, 4]]}}, (count,))


def test_losses_are_means_of_the_classes_that_end_best_and_worst():
    every = np.random.default_rng(0).gamma(2, size=(6, 50))
    figure = pictures.losses_by_class({"one": {"test_class_loss": every.tolist()}})
    for count in (5, 20):
        order = np.argsort(every[-1])
        ends = np.concatenate([every[:, k].mean(1) for k in (order[-count:], order[:count])])
        drawn = series(figure, f"best and worst {count} classes", "one", "line")
        np.testing.assert_allclose(drawn[:, 1], ends, rtol=1e-5)


def test_figures_of_points():
    draw("fig-ils-curves")
    p1, p2 = PAGES["01_ils_synthetic"]["chosen"]["normal set-up"]
    p, factor = series(draw("fig-ils-curves"), "normal set-up", "ILS1's quadratic", "line").T
    np.testing.assert_allclose(factor, np.minimum(0.2, p2 * (p - p1) ** 2), atol=1e-4)
    values, losses = ils.grid_of_losses(studies.recorded("ils"))
    figure = draw("fig-ils-grid")
    grid = read(figure).set_index(["y name", "x name"])["value"]
    for value, loss in zip(values, losses.mean(0), strict=True):
        assert grid[value["p1"], value["p2"]] == pytest.approx(loss, rel=1e-5)
    (bold,) = (text for text in figure.axes[0].texts if text.get_weight() == "bold")
    assert bold.get_text() == f"{losses.mean(0).min():.3f}"
    assert len({ax.images[0].get_clim() for ax in draw("fig-ils-maps").axes if ax.images}) == 1


def test_figures_on_one_truth_show_every_strategy():
    ratios = read(draw("fig-truth-changes")).query("panel == 'as trained'")
    kl = PAGES["05_truth"]["comparisons"].by_cell(PAGES["05_truth"]["kl"])
    own = ratios[ratios["y name"] == "LS"].set_index("x name")["value"]
    np.testing.assert_allclose(own, np.log2(kl.loc["ls"] / kl.loc["none"]), rtol=1e-5)
    labels = {truth.named(name).label for name in kl.index}
    assert set(ratios["y name"]) == labels
    lines = [text.get_text() for text in draw("fig-truth-ranking").axes[0].get_yticklabels()]
    assert sorted(lines) == sorted(labels)
    points = read(draw("fig-truth-frontier")).query("kind == 'point'")
    assert points["panel"].value_counts().to_dict() == {"as trained": 35, "scaled": 35}


def test_series_that_were_not_run_are_left_out_and_a_mean_may_lie_outside_its_interval():
    """ECE rises when test images are drawn anew, so a small one may lie below its interval."""
    facts = {"M1 0": {"series": "M1", "value": 0.0}}
    known = results({"M1 0": {"ece": (0.01, 0.002)}}, **facts)
    known.records("M1 0")[0].intervals["plain"]["ece"] = [0.012, 0.02]
    figure = smoothing.series(known, ("ece", "ECE"), {"as coded": ""}, level="")
    found = read(figure)
    assert set(found["series"]) == {"M1: teacher, by its α"}
    assert found["y"].tolist() == [0.01, 0.02]
    check_whole(figure)
