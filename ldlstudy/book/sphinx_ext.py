"""What the book adds to Sphinx: numbers quoted from results, and pages that load nothing idle.

``{num}`01_ils_synthetic:bayes.accuracy|.3f``` prints the value that the chapter wrote under that
key, in that format (without one, as stored). An unknown file, key or format is a warning, and the
book is built with warnings as errors. A link to a term of the glossary carries its definition,
which the style sheet shows beside it.
"""

import difflib
import html
import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from ldlstudy.book.data_links import FOLDER, NARROW

logger = logging.getLogger(__name__)

NUMBERS = Path("book") / "numbers"


def quote(folder: Path, reference: str) -> tuple[str, Path]:
    """Return the text for ``reference`` ("stem:key" or "stem:key|format") and the file read.

    Raises ValueError with near matches if there is no such file, key or format.
    """
    name, _, rest = reference.partition(":")
    key, _, form = rest.partition("|")
    path = folder / f"{name}.json"
    if not path.is_file():
        known = [file.stem for file in folder.glob("*.json")]
        raise ValueError(f"no numbers from {name!r}{_near(name, known)}")
    numbers = json.loads(path.read_text(encoding="utf-8"))
    if key not in numbers:
        raise ValueError(f"no number {key!r} from {name!r}{_near(key, list(numbers))}")
    value = numbers[key]
    try:
        return format(value, form), path
    except (ValueError, TypeError) as error:
        raise ValueError(f"{reference!r}: {error} (the value is {value!r})") from error


def _near(wanted: str, known: list[str]) -> str:
    near = difflib.get_close_matches(wanted, known, n=5, cutoff=0.4) or sorted(known)[:5]
    return f"; did you mean {', '.join(near)}?" if near else "; there are none"


class Number(SphinxRole):
    """The role ``num``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number as text; warn where there is none."""
        try:
            shown, path = quote(Path(self.env.srcdir) / NUMBERS, self.text.strip())
        except ValueError as error:
            logger.warning("num: %s", error, location=self.get_location())
            return [nodes.problematic(self.rawtext, self.rawtext)], []
        self.env.note_dependency(str(path))
        return [nodes.Text(shown)], []


# Thebe starts kernels on another host; require.js and the widget manager wait for one.
IDLE = re.compile(r"thebe|kernelName|require(\.min)?\.js|html-manager", re.IGNORECASE)


def drop_idle_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Remove scripts and styles that a page without a kernel cannot use, and repeated scripts."""
    scripts: dict[tuple[str, str], Any] = {}
    for script in context["script_files"]:
        body = script.attributes.get("body") or ""
        name = str(script.filename or "")
        if not IDLE.search(name + body):
            scripts.setdefault((name, body), script)
    context["script_files"] = list(scripts.values())
    context["css_files"] = [css for css in context["css_files"] if not IDLE.search(css.filename)]


# What Docutils, pandas and MyST write, and what a screen reader can use.
READABLE = {
    'role="doc-biblioentry"': 'role="listitem"',
    '<th class="blank level0" >&nbsp;</th>': '<td class="blank level0"></td>',
    '<th class="blank level1" >&nbsp;</th>': '<td class="blank level1"></td>',
    '<div class="pst-scrollable-table-container">': (
        '<div class="pst-scrollable-table-container" tabindex="0">'
    ),
    '<th class="head"><p></p></th>': '<td class="head"></td>',
}


def make_readable(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Empty headings of tables become cells, entries of the bibliography items of its list.

    What scrolls sideways on a phone can be scrolled by keyboard.
    """
    for written, readable in READABLE.items():
        context["body"] = context.get("body", "").replace(written, readable)
    data = Path(app.srcdir) / "book" / "_static" / FOLDER / Path(page).name
    context["body"] = FIGURE.sub(lambda found: _for_phones(found[0], data), context["body"])


FIGURE = re.compile(r"<figure\b.*?</figure>", re.DOTALL)
PICTURE = re.compile(r"<img\b[^>]*>")
NAMED = re.compile(r'<figure\b[^>]* id="fig-([^"]+)"')


def _for_phones(figure: str, data: Path) -> str:
    """Let a phone load the narrow picture of a figure, which lies among the data of its page."""
    named = NAMED.match(figure)
    if named is None or not (data / f"{named[1]}{NARROW}").is_file():
        return figure
    place = f"../_static/{FOLDER}/{data.name}/{named[1]}{NARROW}"
    source = f'<source media="(max-width: 600px)" srcset="{place}">'
    return PICTURE.sub(lambda img: f"<picture>{source}{img[0]}</picture>", figure, count=1)


TERM = re.compile(r'<a class="reference internal" href="[^"#]*#(term-[^"]+)"')


def definitions(glossary: nodes.document) -> dict[str, str]:
    """Return the definitions of a page's glossary by the anchor of each term, in one line each."""
    found: dict[str, str] = {}
    for listed in glossary.findall(addnodes.glossary):
        for item in listed.findall(nodes.definition_list_item):
            (meaning,) = item.findall(nodes.definition)
            text = " ".join(meaning.astext().split())
            found |= {anchor: text for term in item.findall(nodes.term) for anchor in term["ids"]}
    return found


def define_terms(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give links to terms of the glossary their definition, in ``data-definition``."""
    body = context.get("body", "")
    if not TERM.search(body):
        return
    known: dict[str, str] = {}
    terms = [found for found in app.env.get_domain("std").get_objects() if found[2] == "term"]
    for name in sorted({found[3] for found in terms}):
        known |= definitions(app.env.get_doctree(name))

    def defined(link: re.Match[str]) -> str:
        meaning = html.escape(known.get(link[1], ""))
        return f'{link[0]} data-definition="{meaning}"' if meaning else link[0]

    context["body"] = TERM.sub(defined, body)


def drop_idle_nodes(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Remove the configuration that sphinx-thebe appends to each page's text."""
    for raw in list(doctree.findall(nodes.raw)):
        text = raw.astext().strip()
        if text.startswith("<script") and IDLE.search(text):
            raw.parent.remove(raw)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role and the clean-up."""
    app.add_role("num", Number())
    # Last of all: other extensions add theirs in the same events.
    app.connect("html-page-context", drop_idle_scripts, priority=900)
    app.connect("html-page-context", make_readable)
    app.connect("html-page-context", define_terms)
    app.connect("doctree-resolved", drop_idle_nodes, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
