"""The figures of the CS-KD chapter draw the data they are given, and all of it."""

import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from scipy.special import softmax

from ldlstudy import class_wise_plots, class_wise_tables, hierarchy, misclassified
from ldlstudy.class_wise_plots import Example
from ldlstudy.dataset import Images
from ldlstudy.measured import Measured
from ldlstudy.plots import GREEN, GREY
from ldlstudy.stats import Estimate
from tests.figures import check_apart, check_whole, svg

pytestmark = pytest.mark.usefixtures("book_style")

LONG = sorted((name.replace("_", " ") for name in hierarchy.CLASSES), key=len)[-5:]
DIGITS = "0123456789"


def named(legend):
    return [text.get_text() for text in legend.get_texts()]


TEMPERATURES = (0.5, 1, 2, 4, 8, 16)


def test_gradients_are_those_of_the_formula():
    """Of T^2 KL it is T (p - r), with the softened p of images and r of their partners."""
    (ax,) = class_wise_plots.gradients(TEMPERATURES, classes=7).axes
    with_square, alone = (line.get_xydata() for line in ax.lines)
    assert with_square[:, 0].tolist() == alone[:, 0].tolist() == list(TEMPERATURES)
    np.testing.assert_allclose(alone[:, 1] * np.square(TEMPERATURES), with_square[:, 1])
    draws = torch.Generator().manual_seed(0)
    z, v = ((2 * torch.randn(256, 7, generator=draws)).double().numpy() for _ in range(2))
    for temperature, size in with_square:
        apart = softmax(z / temperature, 1) - softmax(v / temperature, 1)
        expected = temperature * np.linalg.norm(apart, axis=1).mean()
        assert size == pytest.approx(expected, rel=1e-5)


def test_the_square_keeps_the_gradient_in_place():
    (ax,) = class_wise_plots.gradients((8, 16, 32, 64)).axes
    with_square, alone = (line.get_ydata() for line in ax.lines)
    np.testing.assert_allclose(with_square[1:] / with_square[:-1], 1, atol=0.02)
    np.testing.assert_allclose(alone[1:] / alone[:-1], 1 / 4, atol=0.005)
    assert named(ax.get_legend()) == ["T² KL", "KL alone"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def answered(index, labels, classes):
    """Return what a record keeps of a network that answers ``classes`` to three images."""
    scores = [[0.5, 0.3, 0.2][: len(each)] for each in classes]
    return {"index": index, "labels": labels, "classes": classes, "scores": scores}


INDEX, TRUE = [0, 4, 8, 12, 16], [2, 2, 1, 0, 2]
KEPT = {
    "plain": answered(INDEX, TRUE, [[0, 2], [2, 0], [0, 1], [1, 2], [1, 0]]),
    "soft": answered(INDEX, TRUE, [[1, 2], [1, 0], [2, 1], [0, 2], [0, 1]]),
}
CLASSES = ["sea_horse", "b", "big_c"]


def test_examples_are_of_images_that_every_network_gets_wrong():
    found = class_wise_plots.examples(KEPT, CLASSES)
    assert found == [  # not images 4 and 12, which one gets right; nor 16, the second "big c"
        Example(
            None,
            "big c",
            {"plain": (["sea horse", "big c"], [0.5, 0.3]), "soft": (["b", "big c"], [0.5, 0.3])},
        ),
        Example(
            None,
            "b",
            {"plain": (["sea horse", "b"], [0.5, 0.3]), "soft": (["big c", "b"], [0.5, 0.3])},
        ),
    ]
    assert class_wise_plots.examples(KEPT, CLASSES, count=1) == found[:1]
    alone = {"plain": KEPT["plain"]}
    assert [e.true for e in class_wise_plots.examples(alone, CLASSES)] == [
        "big c",
        "b",
        "sea horse",
    ]
    right = {"sure": answered([3], [1], [[1, 0]])}
    assert class_wise_plots.examples(right, CLASSES) == []


def digits(count=17, classes=6, seed=0):
    draws = torch.Generator().manual_seed(seed)
    truth = torch.rand(count, classes, generator=draws)
    labels = torch.randint(0, classes, (count,), generator=draws)
    pixels = torch.rand(count, 1, 8, 8, generator=draws)
    return Images(pixels, labels, truth / truth.sum(1, keepdim=True))


def test_examples_show_the_image_and_the_truth_where_they_are_known():
    test = digits()
    for example, index in zip(class_wise_plots.examples(KEPT, "abcdef", test), [0, 8], strict=True):
        np.testing.assert_array_equal(example.image, test.pixels[index, 0])
        assert list(example.answers) == ["plain", "soft", "truth"]
        truth = dict(zip("abcdef", test.truth[index].tolist(), strict=True))
        names, scores = example.answers["truth"]
        assert names == sorted(truth, key=truth.get, reverse=True)[: misclassified.ANSWERS]
        assert scores == [truth[name] for name in names]
    without = class_wise_plots.examples(KEPT, "abcdef", test._replace(truth=None))
    assert [list(example.answers) for example in without] == [["plain", "soft"]] * 2
    assert KEPT["plain"].keys() == {"index", "labels", "classes", "scores"}


def test_examples_read_what_a_record_keeps():
    """The best answers of two real predictions, against the predictions themselves."""
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(0, 10, 60))
    p = {n: torch.from_numpy(rng.dirichlet(np.ones(10), 60)) for n in ("one", "other")}
    kept = {name: misclassified.answers(each, labels) for name, each in p.items()}
    found = class_wise_plots.examples(kept, DIGITS, count=99)
    wrong = [i for i in range(60) if all(each[i].argmax() != labels[i] for each in p.values())]
    assert [example.true for example in found] == list(
        dict.fromkeys(DIGITS[labels[i]] for i in wrong)
    )
    for example in found:
        first = next(i for i in wrong if DIGITS[labels[i]] == example.true)
        for name, (names, scores) in example.answers.items():
            shown = {int(digit): score for digit, score in zip(names, scores, strict=True)}
            assert shown == pytest.approx({k: float(p[name][first, k]) for k in shown}, rel=1e-3)


@pytest.mark.parametrize(
    "other",
    [
        answered([0, 4, 8, 12, 17], TRUE, KEPT["soft"]["classes"]),
        answered(INDEX, [2, 2, 1, 0, 1], KEPT["soft"]["classes"]),
        answered(INDEX[:4], TRUE[:4], KEPT["soft"]["classes"][:4]),
    ],
)
def test_networks_that_were_asked_about_different_images(other):
    message = "the networks plain, odd answered to different test images"
    with pytest.raises(ValueError, match=message):
        class_wise_plots.examples({"plain": KEPT["plain"], "odd": other}, CLASSES)


def examples(names, pictured, networks=("cross entropy", "CS-KD"), count=4):
    """Return examples whose five answers hold the true class, at another place in each."""
    rng = np.random.default_rng(1)
    found = []
    for i in range(count):
        answers = {
            network: (
                rng.permutation(names).tolist(),
                np.sort(rng.dirichlet(np.ones(5)))[::-1].tolist(),
            )
            for network in networks
        }
        found.append(Example(rng.random((8, 8)) if pictured else None, names[i], answers))
    return found


@pytest.mark.parametrize(
    "given",
    [
        examples(LONG, pictured=False),
        examples(list("12345"), pictured=True, networks=("cross entropy", "CS-KD", "truth")),
        examples(LONG, pictured=False, networks=("CS-KD",), count=2),
    ],
)
def test_answers_are_bars_and_the_true_one_is_green(given):
    figure = class_wise_plots.answers(given)
    pictured = given[0].image is not None
    panels = iter(figure.axes)
    for example in given:
        if pictured:
            ax = next(panels)
            np.testing.assert_array_equal(ax.images[0].get_array(), example.image)
            assert ax.get_title() == f"true: {example.true}"
        for network, (names, scores) in example.answers.items():
            ax = next(panels)
            assert [bar.get_width() for bar in ax.patches] == scores
            assert [tick.get_text() for tick in ax.get_yticklabels()] == names
            colours = [to_hex(bar.get_facecolor()) for bar in ax.patches]
            expected = [(GREEN if name == example.true else GREY).lower() for name in names]
            assert colours == expected
            assert colours.count(GREEN.lower()) == 1
            assert network in ax.get_title()
            assert pictured or example.true in ax.get_title()
            assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the best answer on top
            assert ax.get_xlim() == (0, 1)
    assert next(panels, None) is None
    check_whole(figure)
    check_apart(figure)


def errors(seed, count, scale=1.0):
    """Return scores of errors, some far below the others."""
    rng = np.random.default_rng(seed)
    predicted = -rng.exponential(0.3, count) * scale
    return {
        "index": list(range(count)),
        "log_predicted": predicted.tolist(),
        "log_true": (predicted - rng.exponential(2, count) ** 2 * scale).tolist(),
    }


PANELS = {
    "noisy digits": {
        "cross entropy": [errors(0, 500), errors(1, 700)],
        "CS-KD": [errors(2, 400, 0.2), errors(3, 90, 0.2)],
    },
    "CIFAR-100, reduced": {"cross entropy": [errors(4, 3000, 4)], "CS-KD": [errors(5, 2500)]},
}


def test_histograms_are_shares_of_all_errors_and_lines_their_means():
    figure = class_wise_plots.score_histograms(PANELS)
    grid = np.array(figure.axes).reshape(2, 2)
    sides = {"log_predicted": "(a) predicted class", "log_true": "(b) true class"}
    for (row, (title, methods)), (column, (side, heading)) in itertools.product(
        enumerate(PANELS.items()), enumerate(sides.items())
    ):
        ax = grid[row, column]
        assert ax.get_title() == f"{title}: {heading}"
        values = {name: [v for s in seeds for v in s[side]] for name, seeds in methods.items()}
        assert [patch.get_label() for patch in ax.patches] == list(values)
        lowest = min(np.quantile(v, 0.002) for v in values.values())
        for patch, line, v in zip(ax.patches, ax.lines, values.values(), strict=True):
            shares, edges, _ = patch.get_data()
            assert shares.sum() == pytest.approx(1)
            assert (edges[0], edges[-1]) == (pytest.approx(lowest), 0)
            np.testing.assert_allclose(np.diff(edges), -lowest / 40)
            places = [max(0, min(39, math.floor((x - edges[0]) / -lowest * 40))) for x in v]
            expected = np.bincount(places, minlength=40) / len(v)
            np.testing.assert_allclose(shares, expected, atol=1.01 / len(v))  # on an edge, or near
            assert line.get_xdata() == pytest.approx([np.mean(v)] * 2)
            assert to_hex(line.get_color()) == to_hex(patch.get_edgecolor())
            assert line.get_linestyle() == patch.get_linestyle()
    check_whole(figure)
    check_apart(figure)


def test_scores_below_the_lowest_edge_are_counted_in_the_first_bin():
    far = {"log_predicted": [-0.1] * 999 + [-50.0], "log_true": [-1.0] * 999 + [-300.0]}
    near = {"log_predicted": [-0.2] * 1000, "log_true": [-2.0] * 1000}
    figure = class_wise_plots.score_histograms({"toys": {"far": [far], "near": [near]}})
    for ax, edge in zip(figure.axes, (-0.2, -2.0), strict=True):
        first, second = (patch.get_data() for patch in ax.patches)
        assert first.edges[0] == second.edges[0] == edge
        assert (first.values[0], second.values[0]) == (pytest.approx(0.001), 1)
        assert first.values.sum() == pytest.approx(1)


@pytest.mark.parametrize("names", [["one"], ["one", "two"], ["one", "two", "three"]])
def test_a_method_looks_the_same_in_every_histogram_and_in_the_legend(names):
    panels = {t: {n: [errors(i, 50)] for i, n in enumerate(names)} for t in ("a", "b", "c")}
    figure = class_wise_plots.score_histograms(panels)
    (box,) = figure.legends
    assert named(box) == names
    looks = {
        n: (to_hex(h.get_color()), h.get_linestyle())
        for n, h in zip(names, box.legend_handles, strict=True)
    }
    assert len(set(looks.values())) == len(names)
    for patch in (patch for ax in figure.axes for patch in ax.patches):
        assert (to_hex(patch.get_edgecolor()), patch.get_linestyle()) == looks[patch.get_label()]
    check_apart(figure)


def features(seed, counts, spread=0.05):
    """Return features that gather by class, ``counts`` of each class, in mixed order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(range(len(counts)), counts))
    centres = 5 * np.eye(10)[: len(counts)]
    points = centres[labels] + rng.normal(scale=spread, size=(len(labels), 10))
    return {"points": points.tolist(), "labels": labels.tolist()}


COUNTS = [3, 4, 5, 6, 7, 8, 3, 4, 5, 6]


@pytest.fixture
def embedded(monkeypatch):
    """Panels of 51 images each, few enough to be quick."""
    monkeypatch.setattr(class_wise_plots, "PERPLEXITY", 5)
    titles = "cross entropy", "CS-KD"
    panels = {title: features(i, COUNTS) for i, title in enumerate(titles)}
    return panels, class_wise_plots.embeddings(panels, hierarchy.CLASSES[:10])


def test_embeddings_have_a_point_an_image_and_ten_markers_a_panel(embedded):
    panels, figure = embedded
    assert [ax.get_title() for ax in figure.axes] == list(panels)
    names = [name.replace("_", " ") for name in hierarchy.CLASSES[:10]]
    for ax in figure.axes:
        assert [line.get_label() for line in ax.lines] == names
        assert [len(line.get_xdata()) for line in ax.lines] == COUNTS
        assert len({line.get_marker() for line in ax.lines}) == 10
        assert len({line.get_color() for line in ax.lines}) == 10
        assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
    first, second = ([line.get_color() for line in ax.lines] for ax in figure.axes)
    assert first == second
    (box,) = figure.legends
    assert named(box) == names
    check_whole(figure)
    check_apart(figure)


def test_neighbours_in_the_features_are_neighbours_in_the_plane(embedded):
    _, figure = embedded
    for ax in figure.axes:
        points = np.concatenate([line.get_xydata() for line in ax.lines])
        labels = np.repeat(range(10), COUNTS)
        apart = np.linalg.norm(points[:, None] - points, axis=2)
        np.fill_diagonal(apart, np.inf)
        assert (labels[apart.argmin(1)] == labels).mean() > 0.9


def test_embeddings_ask_for_the_printed_perplexity_and_ten_names():
    assert class_wise_plots.PERPLEXITY == 30
    (ax,) = class_wise_plots.embeddings({"one": features(0, [4] * 10)}, DIGITS).axes
    assert sum(len(line.get_xdata()) for line in ax.lines) == 40
    few = {"one": features(0, [3] * 10)}
    with pytest.raises(ValueError, match="perplexity"):
        class_wise_plots.embeddings(few, DIGITS)


def distances(all_images, on_errors, half=0.05):
    values = {"kl_to_truth": all_images, "kl_to_truth_on_errors": on_errors}
    return {m: Measured([v], Estimate(v, v - half, v + 2 * half)) for m, v in values.items()}


MEASURED = {
    "far": distances(0.2, 1.5),
    "near": distances(0.3, 0.4),
    "middle": distances(0.1, 0.9, half=0.02),
    "not asked for": distances(9, 9),
    "far fitted": distances(0.15, 0.3),  # scaled, the other way round
    "near fitted": distances(0.25, 0.7, half=0.01),
    "middle fitted": distances(0.35, 0.5),
}
ROWS = {"far": "cross entropy", "near": "CS-KD", "middle": "mixup"}


@pytest.mark.parametrize(
    ("panel", "title", "suffix"), [(0, "as trained", ""), (1, "scaled", " fitted")]
)
def test_divergences_are_points_and_intervals_from_nearest_to_farthest(panel, title, suffix):
    figure = class_wise_plots.divergences(MEASURED, ROWS)
    ax = figure.axes[panel]
    assert (len(figure.axes), ax.get_title()) == (2, title)
    order = ["near", "middle", "far"]  # in both panels that of the networks as trained
    ticks = figure.axes[0].yaxis.get_major_ticks()  # the panels share their rows
    labels = {tick.get_loc(): tick.label1.get_text() for tick in ticks}
    heights = {name: height for height, name in labels.items()}
    assert set(heights) == set(ROWS.values())
    figure.canvas.draw()
    pixels = [ax.transData.transform((0, heights[ROWS[row]]))[1] for row in order]
    assert pixels == sorted(pixels, reverse=True)  # the nearest on top
    metrics = ("kl_to_truth", "kl_to_truth_on_errors")
    for metric, line, bars in zip(metrics, ax.lines, ax.collections, strict=True):
        found = {row: MEASURED[f"{row}{suffix}"][metric].estimate for row in order}
        drawn = {labels[y]: x for x, y in line.get_xydata()}
        assert drawn == {ROWS[row]: e.mean for row, e in found.items()}
        ends = {labels[a[1]]: (a[0], b[0]) for a, b in bars.get_segments()}
        assert ends == {ROWS[row]: (e.low, e.high) for row, e in found.items()}
        assert to_hex(bars.get_color()[0]) == line.get_color().lower()
    assert len({line.get_marker() for line in ax.lines}) == 2
    (box,) = figure.legends
    assert named(box) == ["all test images", "those that the method gets wrong"]
    assert ax.get_xlim()[0] == 0
    assert len({ax.get_xlim() for ax in figure.axes}) == 1  # the panels can be compared
    check_whole(figure)
    check_apart(figure)


@pytest.mark.parametrize("count", [1, 4, len(class_wise_tables.LABELS)])
def test_divergences_have_room_for_every_label(count):
    rows = dict(list(class_wise_tables.LABELS.items())[:count])
    measurements = {row: distances(0.1 + i / 9, 1 + i % 5) for i, row in enumerate(rows)}
    scaled = {f"{row} fitted": distances(0.1, 1 + i % 3) for i, row in enumerate(rows)}
    figure = class_wise_plots.divergences(measurements | scaled, rows)
    shown = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert sorted(shown) == sorted(rows.values())
    assert not any(tick.get_visible() for tick in figure.axes[1].get_yticklabels())
    check_whole(figure)
    check_apart(figure)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: class_wise_plots.gradients(TEMPERATURES),
        lambda: class_wise_plots.answers(examples(LONG, pictured=False)),
        lambda: class_wise_plots.answers(examples(list("12345"), pictured=True)),
        lambda: class_wise_plots.score_histograms(PANELS),
        lambda: class_wise_plots.embeddings({"one": features(0, [4] * 10)}, DIGITS),
        lambda: class_wise_plots.divergences(MEASURED, ROWS),
    ],
)
def test_figures_are_the_same_each_time(draw):
    first = svg(draw())
    plt.close("all")
    assert svg(draw()) == first


@pytest.mark.parametrize("classes", [10, 100])
def test_gradients_are_whole(classes):
    figure = class_wise_plots.gradients(TEMPERATURES, classes)
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.5", "1", "2", "4", "8", "16"]
    check_whole(figure)
    check_apart(figure)
