"""The figures of single networks draw what records keep."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from ldlstudy import by_class, hierarchy, ldl_pictures, mixing, supervision
from ldlstudy.plots import GREEN, GREY
from tests.figures import check_apart, check_whole, svg

pytestmark = pytest.mark.usefixtures("book_style")
METHODS = ("Vanilla", "LS", "KD", "Vanilla, CutMix", "Off-LDL", "On-LDL, CutMix, long", "WSL")
LONG = sorted(range(100), key=lambda k: -len(hierarchy.CLASSES[k]))[:10]


def kept(seed, classes=100):
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(0, classes, 900))
    logits = rng.normal(size=(900, classes)) + 5 * np.eye(classes)[labels]
    return by_class.kept(torch.from_numpy(logits).softmax(1), labels)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_class_scores_are_a_point_a_class(count):
    given = {name: kept(seed) for seed, name in enumerate(METHODS[:count])}
    figure = ldl_pictures.class_scores(given)
    panels = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in panels] == list(given)
    for ax, of in zip(panels, given.values(), strict=True):
        (diagonal,), (points,) = ax.lines, ax.patches
        np.testing.assert_allclose(
            points.get_path().vertices[::2], np.transpose([of["confidence"], of["f1"]])
        )
        x, y = diagonal.get_xydata().T
        np.testing.assert_array_equal(x, y)
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in panels}) == 1
    check_whole(figure)
    check_apart(figure)


def test_a_class_without_an_image_is_left_out():
    given = {"one": {"f1": [0.5, 0.0, 0.75], "confidence": [0.25, None, 1.0]}}
    figure = ldl_pictures.class_scores(given)
    points = figure.axes[0].patches[0].get_path().vertices[::2]
    assert points.tolist() == [[0.25, 0.5], [1.0, 0.75]]
    check_whole(figure)


def test_best_class_has_ten_bars_and_its_own_is_green():
    names = hierarchy.CLASSES
    given = {name: kept(seed) for seed, name in enumerate(METHODS)}
    given["WSL"]["best"] |= {"classes": LONG, "class": LONG[3]}
    figure = ldl_pictures.best_class(given, names)
    panels = [ax for ax in figure.axes if ax.axison]
    for ax, (name, of) in zip(panels, given.items(), strict=True):
        best = of["best"]
        first, second = ax.get_title().split("\n")
        assert first == name
        score = f"{best['f1']:.2f}".removeprefix("0")
        assert second == f"{names[best['class']].replace('_', ' ')}, F1 {score}"
        assert [bar.get_width() for bar in ax.patches] == best["probabilities"]
        shown = [tick.get_text() for tick in ax.get_yticklabels()]
        assert shown == [names[k].replace("_", " ") for k in best["classes"]]
        colours = [to_hex(bar.get_facecolor()) for bar in ax.patches]
        assert colours == [(GREEN if k == best["class"] else GREY).lower() for k in best["classes"]]
        assert ax.get_ylim()[0] > ax.get_ylim()[1]
    check_whole(figure)
    check_apart(figure)


def supervised(classes, truth, count=3):
    """What a record keeps of random images, a linear teacher and a linear truth."""
    draws = torch.Generator().manual_seed(0)
    images = torch.rand(2 * classes, 1, 8, 8, generator=draws)
    weights = torch.randn(64, classes, generator=draws)
    labels = torch.arange(classes).repeat(2)

    def teach(views):
        return views.flatten(1) @ weights

    posterior = (lambda views: teach(-views).softmax(1)) if truth else None
    mix = mixing.ricap
    return supervision.supervision(images, labels, classes, mix, teach, posterior, count)


@pytest.mark.parametrize("truth", [True, False])
def test_supervision_has_a_row_for_each_image(truth):
    found = supervised(10 if truth else 100, truth)
    names = "0123456789" if truth else hierarchy.CLASSES
    figure = ldl_pictures.supervision(found, names)
    columns = 4 if truth else 2
    grid = np.array(figure.axes).reshape(3, columns)
    says = {"mixing": "the mixing", "teacher": "the teacher", "truth": "the truth"}
    shown = [key for key in says if key in found]
    assert len(shown) == columns - truth
    for n, row in enumerate(grid):
        if truth:
            np.testing.assert_array_equal(row[0].images[0].get_array(), found["pixels"][n][0])
        for ax, key in zip(row[truth:], shown, strict=True):
            said = found[key][n]
            assert [bar.get_width() for bar in ax.patches] == said["probabilities"]
            ticks = [tick.get_text() for tick in ax.get_yticklabels()]
            assert ticks == [names[k].replace("_", " ") for k in said["classes"]]
            colours = [to_hex(bar.get_facecolor()) == GREEN.lower() for bar in ax.patches]
            assert colours == [k in found["mixing"][n]["classes"] for k in said["classes"]]
            assert ax.get_ylim() == grid[0, -1].get_ylim()
    assert [ax.get_title() for ax in grid[0, truth:]] == [says[key] for key in shown]
    check_whole(figure)
    check_apart(figure)


def history(seed, epochs=6, classes=50):
    rng = np.random.default_rng(seed)
    return {"test_class_loss": rng.gamma(2, size=(epochs, classes)).tolist()}


def test_losses_are_means_of_the_classes_that_end_best_and_worst():
    histories = {name: history(seed) for seed, name in enumerate(METHODS[:6])}
    figure = ldl_pictures.losses_by_class(histories)
    for ax, count in zip(figure.axes, (5, 20), strict=True):
        assert ax.get_title() == f"best and worst {count} classes"
        lines = iter(ax.lines)
        for of in histories.values():
            last = of["test_class_loss"][-1]
            ranked = sorted(range(50), key=lambda k: last[k])
            for part in (ranked[-count:], ranked[:count]):
                x, y = next(lines).get_xydata().T
                assert x.tolist() == [1, 2, 3, 4, 5, 6]
                np.testing.assert_allclose(
                    y, [np.mean([epoch[k] for k in part]) for epoch in of["test_class_loss"]]
                )
        assert next(lines, None) is None
        worst, best = ax.lines[:2]
        assert worst.get_color() == best.get_color()
        assert worst.get_linewidth() > best.get_linewidth()
    (box,) = figure.legends
    names = [text.get_text() for text in box.get_texts()]
    assert names == [*METHODS[:6], "worst classes", "best classes"]
    looks = {(h.get_color(), h.get_linestyle()) for h in box.legend_handles[:6]}
    assert len(looks) == 6
    check_whole(figure)
    check_apart(figure)


@pytest.mark.parametrize("count", [0, 26])
def test_more_than_half_the_classes_are_not_the_best(count):
    message = rf"count must lie in \[1, 25\], half the classes, got {count}"
    with pytest.raises(ValueError, match=message):
        ldl_pictures.losses_by_class({"one": history(0)}, (count,))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: ldl_pictures.class_scores({"one": kept(0)}),
        lambda: ldl_pictures.best_class({"one": kept(0)}, hierarchy.CLASSES),
        lambda: ldl_pictures.supervision(supervised(10, True), "0123456789"),
        lambda: ldl_pictures.losses_by_class({"one": history(0)}, (5,)),
    ],
)
def test_figures_are_the_same_each_time(draw):
    assert svg(draw()) == svg(draw())
