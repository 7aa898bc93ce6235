"""Explorers: what the page computes is what the package computes, by mouse, keyboard and eye."""

import html
import json
import math
from dataclasses import asdict

import matplotlib.pyplot as plt
import pytest
import torch
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy import data, metrics, mixing, mixture, targets
from ldlstudy.draws import Draws, Sample
from ldlstudy.explore import errors, label, penultimate, plane, reliability, trained
from ldlstudy.explore import mixing as mixed_images
from ldlstudy.explore.explorer import Choice, Explorer, Slider
from ldlstudy.explore.scene import Panel, Scene, figure, said
from tests.browser import browser, needs_chromium, page
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("book_style")
CLASSES, IMAGES = 4, 60


def predictions(seed):
    """What a record keeps of a network that is sometimes right."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (IMAGES,), generator=draws)
    logits = torch.randn(IMAGES, CLASSES, generator=draws) * 2
    logits[torch.arange(IMAGES), labels] += 2
    rounded = [[round(z, 4) for z in row] for row in logits.log_softmax(1).tolist()]
    return {"labels": labels.tolist(), "log_probabilities": rounded}


NETWORKS = {"hard labels": predictions(0), "LS": predictions(1)}
TRUTH = torch.randn(IMAGES, CLASSES, generator=torch.Generator().manual_seed(2)).mul(2).softmax(1)
PIXELS = torch.rand(IMAGES, 3, 3, generator=torch.Generator().manual_seed(3))
MIXTURE = mixture.six_gaussians()


def blurred(temperature):
    """Return a stand-in for a network on the plane: the posterior at another temperature."""
    return lambda x: (
        MIXTURE.posterior(x.double()).clamp_min(1e-12).pow(1 / temperature).log().softmax(1)
    )


def learned(seed):
    """Return two small samples and a network for every method and factor."""
    parts = (Draws(MIXTURE, 8, 2, 20, 1, seed).sample(part, 0) for part in ("train", "test"))
    names = [
        plane.HARD,
        *(plane.called(method, factor) for method in plane.METHODS for factor in plane.FACTORS),
    ]
    return plane.Learned(*parts, {n: blurred(1 + (i + seed) / 5) for i, n in enumerate(names)})


def planes(seed):
    """What a record keeps of the penultimate layer, for two triples of classes."""
    draws = torch.Generator().manual_seed(seed)
    row = {
        f"{part}_{what}": 1.0 + seed
        for part in ("train", "test")
        for what in ("spread", "distance")
    }
    return {
        triple: {
            "templates": torch.randn(3, 2, generator=draws).tolist(),
            **{
                p: (3 / (1 + seed) * torch.randn(3, 5, 2, generator=draws)).tolist()
                for p in ("train", "test")
            },
            "numbers": {**row, "template_distance": 2.0 + seed, "test_spread": 0.5},
        }
        for triple in ("0, 1, 2", "3, 9, 6")
    }


DIGITS = data.noisy_digits(sigma=0.5, train=1, test=30, draw=0).test
WEIGHTS = torch.randn(64, 10, generator=torch.Generator().manual_seed(4))


def teach(images):
    """Return a linear network's logits."""
    return images.flatten(1) @ WEIGHTS


EXPLORERS = {
    "label": label.explorer(predictions(0), TRUTH, PIXELS),
    "reliability": reliability.explorer(NETWORKS),
    "errors": errors.explorer(NETWORKS),
    "plane": plane.explorer(MIXTURE, [learned(0), learned(1)]),
    "penultimate": penultimate.explorer({"0": planes(0), "0.1": planes(1)}),
    "mixing": mixed_images.explorer(DIGITS, teach, mixture.noisy_digits(0.5).posterior, sets=2),
}


def values_of(explorer):
    """Return a strategy for values that a reader can set."""
    drawn = {}
    for control in explorer.controls:
        if isinstance(control, Choice):
            drawn[control.name] = st.sampled_from(control.options)
        else:
            steps = round((control.high - control.low) / control.step)
            drawn[control.name] = st.integers(0, steps).map(
                lambda n, c=control: round(c.low + n * c.step, 6)
            )
    return st.fixed_dictionaries(drawn)


def close(ours, theirs):
    """Hold two scenes against each other, number by number."""
    assert type(ours) is type(theirs) or {type(ours), type(theirs)} <= {int, float, tuple, list}
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            close(ours[key], theirs[key])
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            close(one, other)
    elif isinstance(ours, float | int):
        assert math.isclose(ours, theirs, rel_tol=1e-5, abs_tol=2e-6)
    else:
        assert ours == theirs


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the address of a page with all explorers and the book's style."""
    css = (ROOT / "book" / "_static" / "book.css").read_text("utf-8")
    body = "".join(f'<div id="{n}">{e.page()}</div>' for n, e in EXPLORERS.items())
    path = tmp_path_factory.mktemp("site") / "index.html"
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Explore</title>'
        f"<style>{css}</style><main><h1>Explore</h1>{body}</main></html>",
        "utf-8",
    )
    return path.as_uri()


@pytest.fixture(scope="module")
def opened():
    with browser() as found:
        yield found


@needs_chromium
@pytest.mark.parametrize("name", EXPLORERS)
def test_the_page_computes_what_the_package_does(name, opened, site):
    explorer = EXPLORERS[name]
    with page(opened, site) as shown:

        @settings(max_examples=40, deadline=None, database=None)
        @given(values_of(explorer))
        def hold(values):
            theirs = shown.evaluate(
                "([name, values]) => document.querySelector(`#${name} section`).sceneAt(values)",
                [name, values],
            )
            ours = json.loads(json.dumps(asdict(explorer.scene(**values))))
            theirs["panels"] = [
                {key: p[key] for key in ours["panels"][0]} for p in theirs["panels"]
            ]
            for panel in (*ours["panels"], *theirs["panels"]):
                panel["marks"] = [dict(sorted(mark.items())) for mark in panel["marks"]]
            close(ours, theirs)

        hold()


@needs_chromium
@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_moves_the_picture_and_the_numbers(name, opened, site):
    explorer = EXPLORERS[name]
    with page(opened, site) as shown:
        section = shown.locator(f"#{name} section")
        for control in explorer.controls:
            before = (
                section.locator(".panels").inner_html(),
                section.locator(".numbers").inner_text(),
            )
            field = section.locator(f"[name={control.name}]")
            if isinstance(control, Choice):
                field.select_option(next(o for o in control.options if o != control.value))
            else:
                field.focus()
                field.press("End")  # by keyboard, to the highest value
                assert float(field.input_value()) == control.high
            after = (
                section.locator(".panels").inner_html(),
                section.locator(".numbers").inner_text(),
            )
            if control.name != "edges":  # which tell apart values on an edge alone
                assert before[0] != after[0], control.name
            state = dict(
                shown.evaluate(
                    "s => Array.from(new FormData(s))", section.locator("form").element_handle()
                )
            )
            sliders = {c.name for c in explorer.controls if isinstance(c, Slider)}
            asked = {k: float(v) if k in sliders else v for k, v in state.items()}
            assert after[1] == explorer.numbers + said(explorer.scene(**asked))


@needs_chromium
def test_edges_are_told_apart_on_the_page(opened, site):
    """A confidence of exactly 1/2 lies on the edge of two bins of six: ECE .5 or .25."""
    half = {"labels": [0, 1, 0], "log_probabilities": [[0, 0], [0, 0], [0.0, -math.log(9)]]}
    explorer = reliability.explorer({"half": half})
    with page(opened, site) as shown:
        for edges, name in zip(reliability.EDGES.values(), reliability.EDGES, strict=True):
            values = {"network": "half", "temperature": 1, "bins": 6, "edges": name}
            theirs = shown.evaluate(
                "([data, values]) => ldlstudy.scenes.reliability(data, values)",
                [explorer.data, values],
            )
            p = torch.tensor(half["log_probabilities"]).double().softmax(1)
            expected = metrics.reliability(p, torch.tensor(half["labels"]), 6, edges)
            ours = explorer.scene(**values)
            assert theirs["numbers"] == pytest.approx(ours.numbers)
            assert len(theirs["panels"][0]["marks"][0]["at"]) == (expected.count > 0).sum()
            first = theirs["panels"][0]["marks"][0]["at"][0]
            assert first == pytest.approx({"right": 2.5 / 6, "left": 3.5 / 6}[edges])


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_explorers_are_accessible_and_fit_their_page(scheme, width, opened, site):
    from axe_playwright_python.sync_playwright import Axe

    size = {"width": width, "height": 900}
    with page(opened, site, viewport=size, color_scheme=scheme) as shown:
        assert Axe().run(shown).response["violations"] == []
        assert shown.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", EXPLORERS)
def test_widgets_follow_their_sliders(name):
    box = EXPLORERS[name].widget()
    *controls, picture, numbers = box.children
    for control, own in zip(controls, EXPLORERS[name].controls, strict=True):
        before = picture.value
        control.value = (
            own.high if isinstance(own, Slider) else own.options[own.value == own.options[0]]
        )
        assert picture.value != before
        assert picture.value.strip().startswith("<svg")
    asked = {own.name: c.value for c, own in zip(controls, EXPLORERS[name].controls, strict=True)}
    assert html.unescape(numbers.value) == EXPLORERS[name].numbers + said(
        EXPLORERS[name].scene(**asked)
    )
    assert plt.get_fignums() == []


def test_both_faces_are_offered():
    bundle = EXPLORERS["label"]._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"] == EXPLORERS["label"].page()


def test_a_page_is_safe_to_embed():
    explorer = Explorer("label", "</script><b>", (), {"x": "</script>"}, lambda d, v: Scene([], {}))
    assert explorer.page().count("</script>") == 2
    assert "<b>" not in explorer.page()
    embedded = BeautifulSoup(explorer.page(), "html.parser").find("script", type="application/json")
    assert json.loads(embedded.text)["data"] == {"x": "</script>"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"alpha": 1}, "unknown control 'alpha'; known: bins, edges, network, temperature"),
        ({"bins": 31}, r"bins must lie in \[5, 30\], got 31"),
        ({"bins": "many"}, "bins must be a number, got 'many'"),
        ({"network": "KD"}, "unknown network 'KD'; known: LS, hard labels"),
    ],
)
def test_values_that_no_control_can_have(values, message):
    with pytest.raises(ValueError, match=message):
        EXPLORERS["reliability"].scene(**values)


def test_labels_are_those_of_the_package():
    explorer = EXPLORERS["label"]
    sample = explorer.data["samples"][explorer.controls[0].value]
    values = {"epsilon": 0.3, "p1": 0.7, "p2": 2.0, "temperature": 3.0, "weight": 0.25}
    found = label.distributions(sample, values)
    y, teacher = torch.tensor([sample["label"]]), torch.tensor([sample["teacher"]]).double()
    plain, soft = teacher.softmax(1), (teacher / 3).softmax(1)
    hard = torch.eye(CLASSES).double()[y]
    expected = {
        "LS": 0.7 * hard + 0.3 / CLASSES,
        "ILS1": targets.ils1(y, plain, 0.7, 2.0),
        "ILS2": targets.ils2(y, soft, 0.3),
        "ILS": targets.ils(y, soft, 0.7, 2.0, magnitude=plain),
        "KD": 0.75 * hard + 0.25 * soft,
        "Off-LDL": plain,
    }
    for name, distribution in expected.items():
        torch.testing.assert_close(found[name], distribution[0].double(), rtol=1e-6, atol=1e-7)
    for distribution in found.values():
        assert float(distribution.sum()) == pytest.approx(1, abs=1e-5)


def test_images_for_labels_go_from_sure_to_unsure_truths():
    samples = EXPLORERS["label"].data["samples"].values()
    peaks = [max(sample["truth"]) for sample in samples]
    assert len(peaks) == 6
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[0] == pytest.approx(float(TRUTH.max()), abs=1e-6)


def test_labels_need_enough_images_and_pairs():
    few = {k: v[:5] for k, v in predictions(0).items()}
    with pytest.raises(ValueError, match="6 images are needed, got 5"):
        label.explorer(few, TRUTH[:5], PIXELS[:5])
    alone = {**predictions(0), "labels": list(range(IMAGES))}
    with pytest.raises(ValueError, match="no other image of class"):
        label.explorer(alone, TRUTH, PIXELS)


@pytest.mark.parametrize("edges", reliability.EDGES)
def test_numbers_of_reliability_are_the_metrics(edges):
    values = {"network": "LS", "temperature": 0.5, "bins": 7, "edges": edges}
    scene = EXPLORERS["reliability"].scene(**values)
    p = (torch.tensor(NETWORKS["LS"]["log_probabilities"]).double() / 0.5).softmax(1)
    y = torch.tensor(NETWORKS["LS"]["labels"])
    assert scene.numbers == pytest.approx(
        {
            "ECE": metrics.ece(p, y, 7, reliability.EDGES[edges]),
            "NLL": metrics.nll(p, y),
            "accuracy": metrics.accuracy(p, y),
        }
    )


def test_a_figure_has_a_panel_for_each_of_the_scene():
    marks = [{"kind": "line", "points": [], "colour": "red"}]
    scene = Scene([Panel(f"{i}", (0, 1), (0, 1), marks) for i in range(5)], {})
    drawn = figure(scene)
    assert [ax.get_title() for ax in drawn.axes if ax.axison] == list("01234")


def test_maps_of_the_plane_are_the_networks_and_the_posterior():
    explorer, each = EXPLORERS["plane"], learned(1)
    name = plane.called("ILS", plane.FACTORS[0])
    values = {"method": "ILS", "factor": f"{plane.FACTORS[0]:g}", "set": "2"}
    x = [plane.X[0] + (j + 0.5) / plane.COLUMNS * 16 for j in range(plane.COLUMNS)]
    y = [plane.Y[0] + (i + 0.5) / plane.ROWS * 9 for i in range(plane.ROWS)]
    points = torch.tensor([[[a, b] for a in x] for b in y], dtype=torch.float32)
    ours, truth = (
        f(points.flatten(0, 1)).view(*points.shape[:2], 3)
        for f in (each.networks[name], MIXTURE.posterior)
    )
    shown = {
        what: [
            torch.tensor(p.marks[0]["rows"]) for p in explorer.scene(**values, shown=what).panels
        ]
        for what in (plane.REGIONS, plane.CONFIDENCE, plane.ERROR)
    }
    for found, p in zip(shown[plane.REGIONS], (ours, truth), strict=True):
        best = p.topk(2, 2)
        clear = best.values[..., 0] - best.values[..., 1] > 2 / plane.LEVELS
        assert torch.equal(found[clear], best.indices[..., 0][clear])
        assert clear.float().mean() > 0.9
    for found, p in zip(shown[plane.CONFIDENCE], (ours, truth), strict=True):
        assert (found - (p.amax(2) - 1 / 3) * 1.5).abs().max() < 3 / plane.LEVELS
    away = (ours - truth).abs().sum(2) / 2 / plane.LARGEST
    assert (shown[plane.ERROR][0] - away.clamp(max=1)).abs().max() < 5 / plane.LEVELS
    numbers, p = explorer.scene(**values).numbers, each.networks[name](each.test.inputs)
    assert numbers == pytest.approx(
        {
            "accuracy": metrics.accuracy(p, each.test.labels),
            "cross entropy": metrics.nll(p, each.test.labels),
            "total variation from the truth": metrics.total_variation(each.test.truth, p),
            "Bayes-optimal accuracy": metrics.accuracy(each.test.truth, each.test.labels),
        },
        abs=1e-4,
    )


def test_regions_are_named_at_the_centres_of_the_gaussians():
    scene = EXPLORERS["plane"].scene(method=plane.HARD)
    (words,) = (mark for mark in scene.panels[1].marks if mark["kind"] == "words")
    assert words["words"] == [str(k + 1) for k in MIXTURE.labels.tolist()]
    assert words["points"] == MIXTURE.centres.tolist()


def test_networks_of_the_plane_are_trained_in_a_moment():
    sets = trained.planes("smoke")
    assert len(sets) == trained.SETS
    for each in sets:
        assert isinstance(each.train, Sample)
        assert set(each.networks) == set(learned(0).networks)
        p = torch.stack([predict(each.test.inputs) for predict in each.networks.values()])
        assert torch.allclose(p.sum(2), torch.ones(p.shape[:2]))
        assert len({tuple(row.flatten().tolist()) for row in p}) == len(p)
    assert not torch.equal(sets[0].train.inputs, sets[1].train.inputs)


def test_the_teacher_of_mixed_images_is_trained_in_a_moment():
    images, teach, sigma = trained.teacher("smoke")
    assert teach(images.pixels).shape == (len(images.labels), 10)
    torch.testing.assert_close(
        images.truth, mixture.noisy_digits(sigma).posterior(images.pixels.flatten(1))
    )


@pytest.mark.parametrize("kind", ["CutMix", "RICAP"])
@given(share=st.integers(0, 8), place=st.integers(0, 8))
@settings(max_examples=40, deadline=None)
def test_images_are_mixed_as_the_package_mixes_them(kind, share, place):
    """The package's functions, with the draws that the controls stand for."""
    share, place = share / 8, place / 8
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    ratios, others = iter([place, share]), iter([0, 1, 2, 3])

    class Given(mixing._Draws):
        def beta(self, alpha):
            return torch.tensor([share if kind == "CutMix" else next(ratios)], dtype=torch.float64)

        def uniform(self, *shape):
            middle = kind == "RICAP" or shape == (1,)
            return torch.full(shape, 0.5 if middle else min(place, 0.999), dtype=torch.float64)

        def partners(self):
            return torch.full((4,), 1 if kind == "CutMix" else next(others))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixing, "_Draws", Given)
        expected = {"CutMix": mixing.cutmix, "RICAP": mixing.ricap}[kind](images)
    found, weights = mixed_images.mix(images[:, 0], kind, share, place)
    torch.testing.assert_close(found, expected.images[0, 0])
    shares = torch.zeros(4).index_add(0, expected.sources[:, 0], expected.weights[:, 0])
    torch.testing.assert_close(torch.tensor(weights), shares)


def test_mixup_is_a_weighted_sum():
    images = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(0))
    found, weights = mixed_images.mix(images, "mixup", 0.25, 1)
    torch.testing.assert_close(found, 0.25 * images[0] + 0.75 * images[1])
    assert weights == [0.25, 0.75, 0, 0]
    with pytest.raises(ValueError, match="unknown kind 'CutOut'; known: CutMix, RICAP, mixup"):
        mixed_images.mix(images, "CutOut", 0.5, 0.5)


@pytest.mark.parametrize("kind", mixed_images.KINDS)
def test_labels_of_a_mixed_image_are_of_that_image(kind):
    explorer = EXPLORERS["mixing"]
    values = {"kind": kind, "share": 0.375, "place": 0.25}
    scene = explorer.scene(**values)
    *_, picture, label, taught, true = (panel.marks[0] for panel in scene.panels)
    mixed = torch.tensor(picture["pixels"])
    for found, p in (
        (taught, teach(mixed[None, None]).softmax(1)),
        (true, mixture.noisy_digits(0.5).posterior(mixed.view(1, 64))),
    ):
        torch.testing.assert_close(torch.tensor(found["height"]), p[0], atol=1e-4, rtol=0)
    far = [
        sum(abs(a - b) for a, b in zip(p["height"], true["height"], strict=True)) / 2
        for p in (label, taught)
    ]
    assert list(scene.numbers.values()) == pytest.approx(far)


def test_images_to_mix_need_a_sure_truth():
    unsure = DIGITS._replace(truth=torch.full((len(DIGITS.labels), 10), 0.1))
    with pytest.raises(ValueError, match="no image of class 3 has a truth above 0.99"):
        mixed_images.explorer(unsure, teach, MIXTURE.posterior)


def test_axes_of_penultimate_planes_hold_every_point():
    explorer = EXPLORERS["penultimate"]
    for alpha in ("0", "0.1"):
        for axes in (penultimate.SAME, penultimate.OWN):
            scene = explorer.scene(alpha=alpha, axes=axes, classes="3, 9, 6")
            for panel in scene.panels:
                points = torch.tensor([p for mark in panel.marks for p in mark["points"]])
                assert len(points) == 3 * 5 + 3
                for values, (low, high) in zip(points.T, (panel.x, panel.y), strict=True):
                    assert low < float(values.min())
                    assert float(values.max()) < high
    limits = [explorer.scene(alpha=a, axes=penultimate.SAME).panels[0].x for a in ("0", "0.1")]
    assert limits[0] == limits[1]


def test_ratios_of_penultimate_planes_are_spread_by_distance():
    numbers = EXPLORERS["penultimate"].scene(alpha="0.1").numbers
    assert numbers["training ratio"] == pytest.approx(1)
    assert numbers["test ratio"] == pytest.approx(0.5 / 2)
    assert numbers["templates apart"] == 3


def test_every_kind_of_mark_is_drawn():
    rows = [[0, 1, 0], [1, 1, 0]]
    marks = [
        {"kind": "areas", "rows": rows, "colours": ["blue", "red"]},
        {"kind": "shades", "rows": rows, "colour": "grey"},
        {"kind": "words", "points": [[1.0, 1.0]], "words": ["here"]},
        {"kind": "dots", "points": [[1.0, 2.0]], "colour": "red", "shape": "star"},
    ]
    drawn = figure(Scene([Panel("all", (0, 3), (0, 4), marks)], {}))
    (ax,) = drawn.axes
    assert [tuple(i.get_extent()) for i in ax.images] == [(0, 3, 0, 4)] * 2
    assert ax.images[0].origin == "lower"  # the first row is the lowest
    assert [t.get_text() for t in ax.texts] == ["here"]
    assert [line.get_marker() for line in ax.lines] == ["*"]
