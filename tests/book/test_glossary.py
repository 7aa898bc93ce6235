"""The glossary: every term that pages use is there, and a link to it carries its definition."""

import re
from types import SimpleNamespace

import pytest
from docutils import nodes
from sphinx import addnodes

from ldlstudy.book import sphinx_ext
from tests.conftest import ROOT

PAGES = [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
ROLE = re.compile(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`")


def listed():
    """The terms of the page, and what follows each."""
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    body = text.split("```{glossary}\n")[1].split("```")[0]
    return re.findall(r"^((?:\S.*\n)+)((?:  .*\n)+)", body, re.M)


def test_terms_are_sorted_and_defined_once_in_a_sentence_or_two():
    names = [name for block, _ in listed() for name in block.splitlines()]
    assert len(names) == len(set(names)) > 50
    firsts = [block.splitlines()[0].lower() for block, _ in listed()]
    assert len(firsts) > 45
    assert firsts == sorted(firsts)
    for _, meaning in listed():
        assert meaning.strip()[0].isupper()
        assert meaning.strip().endswith(".")
        assert len(meaning) < 260


def test_every_term_that_a_page_uses_is_in_it():
    names = {name.lower() for block, _ in listed() for name in block.splitlines()}
    used = [term for page in PAGES for term in ROLE.findall(page.read_text(encoding="utf-8"))]
    assert len(used) > 25
    assert {" ".join(term.split()).lower() for term in used} <= names


@pytest.fixture
def glossary():
    """A page with two names of one term, and one more."""
    made = nodes.document(None, None)
    items = []
    for names, meaning in ((("CE", "cross entropy"), "A loss,\nin nats."), (("x",), "<An> image.")):
        terms = [nodes.term("", name, ids=[f"term-{name.replace(' ', '-')}"]) for name in names]
        body = nodes.definition("", nodes.paragraph("", meaning))
        items.append(nodes.definition_list_item("", *terms, body))
    made += addnodes.glossary("", nodes.definition_list("", *items))
    return made


def test_definitions_by_anchor(glossary):
    loss = "A loss, in nats."
    assert sphinx_ext.definitions(glossary) == {
        "term-CE": loss, "term-cross-entropy": loss, "term-x": "<An> image.",
    }  # fmt: skip


def test_links_to_terms_carry_their_definition(glossary):
    objects = [("CE", "CE", "term", "book/glossary", "term-CE", -1),
               ("d", "d", "doc", "book/d", "", 1)]  # fmt: skip
    domain = SimpleNamespace(get_objects=lambda: objects)
    env = SimpleNamespace(get_domain=lambda name: domain, get_doctree=lambda name: glossary)
    link = '<a class="reference internal" href="{}"><span>w</span></a>'
    there = link.format("../book/glossary.html#term-x")
    others = link.format("d.html#task") + link.format("glossary.html#term-gone")
    context = {"body": there + others}
    sphinx_ext.define_terms(SimpleNamespace(env=env), "page", "", context, None)
    assert (
        context["body"]
        == there.replace('term-x"', 'term-x" data-definition="&lt;An&gt; image."') + others
    )
    empty = {}
    sphinx_ext.define_terms(SimpleNamespace(env=env), "page", "", empty, None)
    assert empty == {}
