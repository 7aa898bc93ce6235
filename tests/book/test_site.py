"""A site is refused for what a reader would meet: dead links, foreign loads, mute pictures."""

import pytest

from ldlstudy.book import BookError, site

GOOD = """<html><head><link rel="stylesheet" href="_static/a.css"></head><body><article>
<h1 id="top-title">T</h1><a href="other.html#part">x</a> <a href="#top-title">x</a>
<a href="https://example.org/paper">elsewhere</a><img src="a.svg" alt="a line">
<div class="cell_output"><svg aria-label="s"></svg></div></article></body></html>"""
OTHER = "<html><body><article><h2 id='part'>P</h2></article></body></html>"


@pytest.fixture
def html(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a.css").write_text("p { color: red }")
    (tmp_path / "a.svg").write_text("<svg/>")
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "other.html").write_text(OTHER)
    return tmp_path


def test_a_good_site_is_described(html):
    assert site.check(html, ["index", "other"]) == "2 pages, the heaviest 0.00 MB"


def test_a_missing_page_is_named(html):
    with pytest.raises(BookError, match="book/gone is in _toc.yml, but has no page"):
        site.check(html, ["index", "book/gone"])


@pytest.mark.parametrize(
    ("markup", "fault"),
    [
        ("<a href='gone.html'>x</a>", "broken link to gone.html"),
        ("<p>{num}01_toy:accuracy</p>", "shows '{num}01_toy:accuracy' in place of a number"),
        ("<a href='../index.html'>x</a>", "broken link to ../index.html"),
        ("<a href='other.html#gone'>x</a>", "broken anchor other.html#gone"),
        ("<a href='#gone'>x</a>", "broken anchor #gone"),
        ("<script src='https://cdn.example.org/a.js'></script>", "<script> loads https://cdn"),
        ("<script src='//cdn.example.org/a.js'></script>", "<script> loads //cdn"),
        ("<script>load('https://cdn.example.org/a.js')</script>", "a script names another host"),
        ("<link rel='stylesheet' href='https://f.example.org/a'>", "<link> loads https://f"),
        ("<img alt='x' src='https://i.example.org/a.png'>", "<img> loads https://i"),
        ("<iframe src='https://v.example.org/'></iframe>", "<iframe> loads https://v"),
        ("<style>@import url(https://f.example.org/a)</style>", "a style loads"),
        ("<p style='background: url(\"https://f.example.org/a\")'>x</p>", "a style loads"),
        ("<img src='a.svg'>", "has no alt text"),
        ("<div class='cell_output'><svg><path/></svg></div>", "neither aria-label nor title"),
        ("<script type='application/vnd.jupyter.widget-state+json'>{}</script>", "needs a kernel"),
        ("<script type='text/x-thebe-config'>{}</script>", "needs a kernel"),
        ("<div class='cell_output'>Traceback (most recent call last)</div>", "shows a traceback"),
    ],
)
def test_a_fault_on_a_page_is_named(html, markup, fault):
    (html / "other.html").write_text(OTHER.replace("</article>", f"{markup}</article>"))
    with pytest.raises(BookError) as caught:
        site.check(html, ["index", "other"])
    assert str(caught.value).startswith("other.html: ")
    assert fault in str(caught.value)


def test_a_namespace_is_no_host(html):
    script = "<script>draw('http://www.w3.org/2000/svg')</script>"
    (html / "other.html").write_text(OTHER.replace("</article>", f"{script}</article>"))
    site.check(html, ["index", "other"])


def test_a_stylesheet_that_loads_from_elsewhere_is_named(html):
    (html / "_static" / "a.css").write_text("@import 'https://fonts.example.org/a';")
    with pytest.raises(BookError, match="_static/a.css: loads"):
        site.check(html, ["index"])


def test_a_heavy_page_is_named_and_counts_its_images(html, monkeypatch):
    monkeypatch.setattr(site, "PAGE_BYTES", len(GOOD) + len("<svg/>") - 1)
    with pytest.raises(BookError, match="index.html: weighs"):
        site.check(html, ["index"])
    monkeypatch.setattr(site, "PAGE_BYTES", len(GOOD) + len("<svg/>"))
    site.check(html, ["index"])
