"""Explorers: what the page computes is what the package computes, by mouse, keyboard and eye."""

import html
import json
import math
from dataclasses import asdict

import matplotlib.pyplot as plt
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy.explore import reliability
from ldlstudy.explore.explorer import Choice, Explorer
from ldlstudy.explore.scene import Scene, caption, in_words
from tests.browser import browser, needs_chromium, page
from tests.conftest import ROOT
from tests.explore.explorers import EXPLORERS, other

pytestmark = pytest.mark.usefixtures("book_style")


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
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        ours, theirs = list(ours.values()), [theirs[key] for key in ours]
    if isinstance(ours, list):
        for one, its in zip(ours, theirs, strict=True):
            close(one, its)
    elif isinstance(ours, str):
        assert ours == theirs
    else:
        assert math.isclose(ours, theirs, rel_tol=1e-5, abs_tol=2e-6)


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

        @settings(max_examples=40, database=None)
        @given(values_of(explorer))
        def hold(values):
            theirs = shown.evaluate(
                "([name, values]) => document.querySelector(`#${name} section`).sceneAt(values)",
                [name, values],
            )
            ours = json.loads(json.dumps(asdict(explorer.scene(**values))))
            for one, its in zip(ours["panels"], theirs["panels"], strict=True):
                assert list(one["numbers"]) == list(its["numbers"])
            close(ours, theirs)

        hold()


@needs_chromium
@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_moves_the_picture_and_the_answer(name, opened, site):
    explorer = EXPLORERS[name]
    asked = {}
    with page(opened, site) as shown:
        section = shown.locator(f"#{name} section")
        picture, answer = section.locator(".panels"), section.locator(".answer[aria-live]")
        assert section.locator("p").nth(1).inner_text() == explorer.question
        for control in explorer.controls:
            before = picture.inner_html()
            field = section.locator(f"[name={control.name}]")
            asked[control.name] = other(control)
            if isinstance(control, Choice):
                field.select_option(other(control))
            else:
                field.focus()
                field.press("End")  # by keyboard, to the highest value
                assert float(field.input_value()) == control.high
            assert picture.inner_html() != before, control.name
            made = explorer.scene(**asked)
            assert answer.inner_text() == in_words(made.answer)
            figures = section.locator("figure").all()
            for figure, panel in zip(figures, made.panels, strict=True):
                assert (figure.get_attribute("class") == "best") == bool(panel.best)
                if panel.numbers:
                    assert figure.inner_text().endswith(", ".join(caption(panel)))


@needs_chromium
@pytest.mark.parametrize(
    ("name", "decides", "idle", "used", "control"),
    [
        ("plane", "method", "hard labels", "ILS2", "factor"),
        ("mixing", "kind", "mixup", "RICAP", "place"),
    ],
)
def test_a_control_that_decides_nothing_cannot_be_moved(
    name, decides, idle, used, control, opened, site
):
    explorer = EXPLORERS[name]
    *widgets, _, _ = explorer.widget().children[1:]
    place = {own.name: i for i, own in enumerate(explorer.controls)}
    with page(opened, site) as shown:
        section = shown.locator(f"#{name} section")
        for value, off in ((idle, True), (used, False), (idle, True)):
            section.locator(f"[name={decides}]").select_option(value)
            assert section.locator(f"[name={control}]").is_disabled() == off
            widgets[place[decides]].value = value
            assert widgets[place[control]].disabled == off


@needs_chromium
def test_the_legend_of_reliability_names_each_mark(opened, site):
    with page(opened, site) as shown:
        signs = shown.locator("#reliability figure").first.locator(".sign").all_inner_texts()
    assert signs == ["■ accuracy in a bin", "― as often right as said", "● its mean confidence"]


@needs_chromium
def test_a_confidence_on_an_edge_lies_in_the_same_bin_on_the_page(opened, site):
    """A confidence of exactly 1/2 lies on the edge of two bins of six, and belongs to the lower."""
    half = {"labels": [0, 1, 0], "log_probabilities": [[0, 0], [0, 0], [0.0, -math.log(9)]]}
    explorer = reliability.explorer({"half": half})
    with page(opened, site) as shown:
        values = {"network": "half", "temperature": 1, "bins": 6}
        theirs = shown.evaluate(
            "([data, values]) => ldlstudy.scenes.reliability(data, values)",
            [explorer.data, values],
        )
        for panels in (theirs["panels"], asdict(explorer.scene(**values))["panels"]):
            assert panels[0]["marks"][0]["at"] == pytest.approx([2.5 / 6, 5.5 / 6])
        assert theirs["panels"][0]["numbers"]["ECE"] == pytest.approx(0.1 / 3)


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
def test_widgets_follow_their_controls(name):
    explorer = EXPLORERS[name]
    question, *controls, picture, answer = explorer.widget().children
    assert html.unescape(question.value) == explorer.question
    for control, own in zip(controls, explorer.controls, strict=True):
        before = picture.value
        control.value = other(own)
        assert picture.value != before
        assert picture.value.strip().startswith("<svg")
    asked = {own.name: other(own) for own in explorer.controls}
    assert html.unescape(answer.value) == in_words(explorer.scene(**asked).answer)
    assert plt.get_fignums() == []


def test_both_faces_are_offered():
    bundle = EXPLORERS["label"]._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"] == EXPLORERS["label"].page()


def test_a_page_is_safe_to_embed():
    explorer = Explorer(
        "label", "</script>", "<b>", (), {"x": "</script>"}, lambda d, v: Scene([], [])
    )
    assert explorer.page().count("</script>") == 2
    assert "<b>" not in explorer.page()
    embedded = BeautifulSoup(explorer.page(), "html.parser").find("script", type="application/json")
    assert json.loads(embedded.text)["data"] == {"x": "</script>"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"alpha": 1}, "unknown control 'alpha'; known: bins, network, temperature"),
        ({"bins": 31}, r"bins must lie in \[5, 30\], got 31"),
        ({"bins": "many"}, "bins must be a number, got 'many'"),
        ({"network": "KD"}, "unknown network 'KD'; known: LS, hard labels"),
    ],
)
def test_values_that_no_control_can_have(values, message):
    with pytest.raises(ValueError, match=message):
        EXPLORERS["reliability"].scene(**values)
