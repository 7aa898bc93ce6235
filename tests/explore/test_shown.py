"""What explorers show: labels, calibration, errors, maps and mixtures are those of the package."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy import metrics, targets
from ldlstudy.explore import label, mixing, penultimate, plane
from tests.explore import explorers
from tests.explore.explorers import EXPLORERS, IMAGES, MIXTURE, NETWORKS, POSTERIOR, teach

STARTS = {c.name: c.value for c in EXPLORERS["label"].controls}


def scaled(network, temperature):
    """Return probabilities of a network at a temperature, and the labels."""
    logits = torch.tensor(network["log_probabilities"]).double()
    return (logits / temperature).softmax(1), torch.tensor(network["labels"])


def test_labels_are_those_of_the_package():
    samples = list(EXPLORERS["label"].data["samples"].values())
    values = {"epsilon": 0.3, "p1": 0.7, "p2": 2.0, "temperature": 3.0, "weight": 0.25}
    found = label.distributions(samples[3], values)
    y, teacher = torch.tensor([samples[3]["label"]]), torch.tensor([samples[3]["teacher"]]).double()
    plain, soft = teacher.softmax(1), (teacher / 3).softmax(1)
    partner = torch.tensor([samples[3]["partner"]]).double()
    hard = torch.eye(4).double()[y]
    expected = {
        "LS": 0.7 * hard + 0.3 / 4,
        "ILS1": targets.ils1(y, plain, 0.7, 2.0),
        "ILS2": targets.ils2(y, soft, 0.3),
        "ILS": targets.ils(y, soft, 0.7, 2.0, magnitude=plain),
        "KD": 0.75 * hard + 0.25 * soft,
        "CS-KD": 0.8 * hard + 0.2 * (partner / 3).softmax(1),
        "Off-LDL": plain,
    }
    for name, distribution in expected.items():
        torch.testing.assert_close(found[name], distribution[0].double(), rtol=1e-6, atol=1e-7)
    peaks = [max(sample["truth"]) for sample in samples]  # from sure to unsure
    assert len(peaks) == 6
    assert peaks == sorted(peaks, reverse=True)
    ends = explorers.TRUTH.amax(1).max(), explorers.TRUTH.amax(1).min()
    assert (peaks[0], peaks[-1]) == pytest.approx(tuple(map(float, ends)), abs=1e-6)


def test_the_image_of_labels_at_first_is_one_in_doubt_and_the_nearest_label_is_marked():
    explorer = EXPLORERS["label"]
    sample = explorer.data["samples"][explorer.controls[0].value]
    assert 0.4 < max(sample["truth"]) < 0.8
    scene = explorer.scene()
    far = {panel.title: panel.numbers["TV"] for panel in scene.panels[1:-1]}
    truth = torch.tensor(sample["truth"]).double()
    for name, one in label.distributions(sample, STARTS).items():
        if name != "the truth":
            assert far[name] == pytest.approx(float((one - truth).abs().sum()) / 2, abs=1e-6)
    marked = [panel.title for panel in scene.panels if panel.best]
    assert marked == [name for name, value in far.items() if value < min(far.values()) + 5e-4]
    assert scene.answer[1:6:2] == sorted(far.values())[:3]


def test_labels_need_enough_images_and_pairs():
    network, truth, pixels = explorers.predictions(0), explorers.TRUTH, explorers.PIXELS
    few = {name: values[:5] for name, values in network.items()}
    with pytest.raises(ValueError, match="6 images are needed, got 5"):
        label.explorer(few, truth[:5], pixels[:5])
    with pytest.raises(ValueError, match="no other image of class"):
        label.explorer({**network, "labels": list(range(IMAGES))}, truth, pixels)


def test_numbers_of_reliability_are_the_metrics():
    values = {"network": "LS", "temperature": 0.5, "bins": 7}
    p, y = scaled(NETWORKS["LS"], 0.5)
    expected = {"ECE": metrics.ece(p, y, 7), "NLL": metrics.nll(p, y)}
    scene = EXPLORERS["reliability"].scene(**values)
    assert scene.panels[0].numbers == pytest.approx(expected)
    confidence, accuracy = float(p.amax(1).mean()), metrics.accuracy(p, y)
    numbers = [part for part in scene.answer if not isinstance(part, str)]
    assert numbers == pytest.approx([confidence, accuracy, expected["ECE"]])
    assert ("too sure" in scene.answer) == (confidence > accuracy + 0.005)


def test_errors_are_counted_by_their_scores():
    scene = EXPLORERS["errors"].scene(network="LS", temperature=2)
    p, y = scaled(NETWORKS["LS"], 2)
    wrong = [i for i in range(IMAGES) if int(p[i].argmax()) != int(y[i])]
    chosen, true = ([float(p[i, k]) for i, k in zip(wrong, ks, strict=True)]
                    for ks in (p[wrong].argmax(1), y[wrong]))  # fmt: skip
    means = [sum(scores) / len(wrong) for scores in (chosen, true)]
    expected = {"mean": means[0], "share of errors": len(wrong) / IMAGES}
    assert scene.panels[0].numbers == pytest.approx(expected)
    assert scene.answer[1:4:2] == pytest.approx(means)
    for panel, scores in zip(scene.panels[:2], (chosen, true), strict=True):
        bins = [math.floor(20 * score) for score in scores]
        shares = [bins.count(b) / len(wrong) for b in range(20)]
        assert panel.marks[0]["height"] == pytest.approx(shares)


def test_only_the_first_network_of_errors_is_tempered():
    hot, plain = (
        EXPLORERS["errors"].scene(network="hard labels", other="LS", temperature=t) for t in (3, 1)
    )
    assert hot.panels[2:] == plain.panels[2:]
    assert hot.panels[:2] != plain.panels[:2]
    assert hot.panels[0].numbers["mean"] < plain.panels[0].numbers["mean"]


def test_maps_of_the_plane_are_the_networks_and_the_posterior():
    explorer, each = EXPLORERS["plane"], explorers.learned(1)
    predict = each.networks[plane.called("ILS", plane.FACTORS[0])]
    values = {"method": "ILS", "factor": f"{plane.FACTORS[0]:g}", "set": "2"}
    x = [plane.X[0] + (j + 0.5) / plane.COLUMNS * 16 for j in range(plane.COLUMNS)]
    y = [plane.Y[0] + (i + 0.5) / plane.ROWS * 9 for i in range(plane.ROWS)]
    points = torch.tensor([[a, b] for b in y for a in x], dtype=torch.float32)
    ours, truth = (
        f(points).view(plane.ROWS, plane.COLUMNS, 3) for f in (predict, MIXTURE.posterior)
    )

    def shown(what):
        panels = explorer.scene(**values, shown=what).panels
        return [torch.tensor(panel.marks[0]["rows"]) for panel in panels]

    for found, p in zip(shown(plane.REGIONS), (ours, truth), strict=True):
        best = p.topk(2, 2)
        clear = best.values[..., 0] - best.values[..., 1] > 2 / plane.LEVELS
        assert torch.equal(found[clear], best.indices[..., 0][clear])
        assert clear.float().mean() > 0.9
    for found, p in zip(shown(plane.CONFIDENCE), (ours, truth), strict=True):
        assert (found - (p.amax(2) - 1 / 3) * 1.5).abs().max() < 3 / plane.LEVELS
    away = (ours - truth).abs().sum(2) / 2 / plane.LARGEST
    assert (shown(plane.ERROR)[0] - away.clamp(max=1)).abs().max() < 5 / plane.LEVELS
    p, test = predict(each.test.inputs), each.test
    scene = explorer.scene(**values)
    far = metrics.total_variation(test.truth, p)
    of_network = {
        "accuracy": metrics.accuracy(p, test.labels),
        "cross entropy": metrics.nll(p, test.labels),
        "total variation from the truth": far,
    }
    assert scene.panels[0].numbers == pytest.approx(of_network, abs=1e-4)
    bayes = {"accuracy": metrics.accuracy(test.truth, test.labels)}
    assert scene.panels[1].numbers == pytest.approx(bayes, abs=1e-4)
    every = {
        name: metrics.total_variation(test.truth, predict(test.inputs))
        for name, predict in each.networks.items()
    }
    assert scene.answer[1] == pytest.approx(far, abs=1e-4)
    assert scene.answer[4] == pytest.approx(every[plane.HARD], abs=1e-4)
    assert scene.answer[6] == pytest.approx(min(every.values()), abs=1e-4)
    assert min(every, key=every.get) in scene.answer[5]


def test_regions_are_named_at_the_centres_of_the_gaussians():
    scene = EXPLORERS["plane"].scene(method=plane.HARD)
    (words,) = (mark for mark in scene.panels[1].marks if mark["kind"] == "words")
    assert words["words"] == [str(k + 1) for k in MIXTURE.labels.tolist()]
    assert words["points"] == MIXTURE.centres.tolist()


def pixel(images, kind, share, place, i, j):
    """Return a pixel of mixed images (4, 8, 8), and the image that it is from."""
    if kind == "mixup":
        return share * images[0, i, j] + (1 - share) * images[1, i, j], None
    if kind == "CutMix":
        half, centre = int(math.sqrt(1 - share) * 4), min(int(8 * place), 7)
        of = int(all(centre - half <= at < centre + half for at in (i, j)))
        return images[of, i, j], of
    height, width = round(8 * place), round(8 * share)

    def middle(at, border):  # of the crops of that length
        return at + (9 - border) // 2 if at < border else at - border + (border + 1) // 2

    of = 2 * (i >= height) + (j >= width)
    return images[of, middle(i, height), middle(j, width)], of


@pytest.mark.parametrize("kind", mixing.KINDS)
@given(share=st.integers(0, 8), place=st.integers(0, 8))
@settings(max_examples=30)
def test_images_are_mixed_as_the_controls_say(kind, share, place):
    share, place = share / 8, place / 8
    images = torch.rand(4, 8, 8, generator=explorers.random(0))
    found, weights = mixing.mix(images, kind, share, place)
    pixels = [pixel(images, kind, share, place, i, j) for i in range(8) for j in range(8)]
    torch.testing.assert_close(found.flatten(), torch.stack([value for value, _ in pixels]))
    sources = [of for _, of in pixels]
    shares = [sources.count(of) / 64 for of in range(4)]
    assert weights == pytest.approx([share, 1 - share, 0, 0] if kind == "mixup" else shares)


@pytest.mark.parametrize("kind", mixing.KINDS)
def test_labels_of_a_mixed_image_are_of_that_image(kind):
    scene = EXPLORERS["mixing"].scene(kind=kind, share=0.375, place=0.25)
    *_, picture, own, taught, true = (panel.marks[0] for panel in scene.panels)
    mixed = torch.tensor(picture["pixels"], dtype=torch.float32)
    own, taught, true = (torch.tensor(mark["height"]) for mark in (own, taught, true))
    for found, p in (
        (taught, teach(mixed[None, None]).softmax(1)),
        (true, POSTERIOR(mixed.view(1, 64))),
    ):
        torch.testing.assert_close(found, p[0].float(), atol=1e-4, rtol=0)
    far = [float((label_ - true).abs().sum()) / 2 for label_ in (own, taught)]
    shown = [panel.numbers["TV"] for panel in scene.panels[-3:-1]]
    assert shown == pytest.approx(far, abs=1e-6)
    best = [bool(panel.best) for panel in scene.panels]
    assert best == [False] * (len(best) - 3) + [far[0] < far[1], far[1] < far[0], False]


def test_the_share_that_a_label_counts_is_said_beside_the_one_that_was_asked_for():
    """Of 8 pixels a box of half the area has sides of 5.7, in whole pixels about the centre 4."""
    answer = EXPLORERS["mixing"].scene(kind="CutMix", share=0.5, place=0.5).answer
    assert answer[1:4:2] == pytest.approx([0.75, 0.5])
    assert "asks" not in "".join(map(str, EXPLORERS["mixing"].scene(kind="RICAP").answer))


def test_what_cannot_be_mixed_is_said():
    digits = explorers.DIGITS
    unsure = digits._replace(truth=torch.full((len(digits.labels), 10), 0.1))
    with pytest.raises(ValueError, match="no image of class 3 has a truth above 0.99"):
        mixing.explorer(unsure, teach, POSTERIOR)
    with pytest.raises(ValueError, match="unknown kind 'CutOut'; known: CutMix, RICAP, mixup"):
        mixing.mix(torch.rand(4, 8, 8), "CutOut", 0.5, 0.5)


@pytest.mark.parametrize("axes", [penultimate.SAME, penultimate.OWN])
def test_axes_of_penultimate_planes_hold_every_point(axes):
    explorer, limits = EXPLORERS["penultimate"], []
    for alpha in ("0", "0.1"):
        for panel in explorer.scene(alpha=alpha, axes=axes, classes="3, 9, 6").panels:
            points = torch.tensor([p for mark in panel.marks for p in mark["points"]])
            low, high = torch.tensor([panel.x, panel.y]).T
            assert len(points) == 3 * 5 + 3
            assert ((low < points) & (points < high)).all()
            limits.append((panel.x, panel.y))
    assert (limits[0] == limits[2]) == (axes == penultimate.SAME)


def test_ratios_of_penultimate_planes_are_spread_by_distance():
    scene = EXPLORERS["penultimate"].scene(alpha="0.1")
    training, test = (panel.numbers for panel in scene.panels)
    assert training["ratio"] == pytest.approx(1)
    assert test["ratio"] == pytest.approx(0.5 / 2)
    assert training["templates apart"] == 3
    assert scene.answer[1:6:2] == pytest.approx([0.5 / 2, 0.5, 2])
    assert scene.answer[8:13:2] == pytest.approx([0.5 / 1, 0.5, 1])
