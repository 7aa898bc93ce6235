"""Checks of the built site, as a reader's browser would meet it: offline, on a phone, read aloud.

Links to other hosts are a reader's choice; anything a page loads by itself has to come with it.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

from ldlstudy.book.gates import require

PAGE_BYTES = 1_900_000  # a page with its own images; what all pages share is not counted
REMOTE = re.compile(r"""(?:https?:)?//(?!www\.w3\.org/)[\w-]+(?:\.[\w-]+)+""")
REMOTE_STYLE = re.compile(r"""(?:@import\s*(?:url\()?|url\()\s*["']?\s*(?:https?:)?//[^)"']*""")
NEEDS_KERNEL = re.compile(r"widget-state|widget-view|html-manager|require(\.min)?\.js|thebe", re.I)
FETCHED = {"stylesheet", "preload", "icon", "modulepreload"}  # kinds of <link> that load
LOADS = {  # the attributes by which an element makes the browser fetch something
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
    "link": "href",
}


def check(html: Path, pages: list[str]) -> str:
    """Check the site in ``html``; describe it in a line, or raise BookError with all faults."""
    faults = [
        f"{page} is in _toc.yml, but has no page"
        for page in pages
        if not (html / f"{page}.html").is_file()
    ]
    soups = {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(html.rglob("*.html"))
        if html / "_static" not in path.parents
    }
    anchors = {path: _anchors(soup) for path, soup in soups.items()}
    for path, soup in soups.items():
        name = path.relative_to(html).as_posix()
        found = [*foreign(soup), *idle(soup), *unnamed_figures(soup), *tracebacks(soup)]
        found += unread_numbers(soup)
        found += broken_links(html, path, soup, anchors)
        weight = page_bytes(html, path, soup)
        if weight > PAGE_BYTES:
            found.append(f"weighs {weight / 1e6:.2f} MB, more than {PAGE_BYTES / 1e6:.1f}")
        faults += [f"{name}: {fault}" for fault in found]
    for path in (html / "_static").rglob("*.css"):
        loaded = REMOTE_STYLE.search(path.read_text(encoding="utf-8"))
        if loaded:
            faults.append(f"{path.relative_to(html)}: loads {loaded.group()} from another host")
    require(faults)
    heaviest = max(page_bytes(html, path, soup) for path, soup in soups.items())
    return f"{len(pages)} pages, the heaviest {heaviest / 1e6:.2f} MB"


ROLE = re.compile(r"\{num\}\s*`?\d\w*:\S*")


def unread_numbers(soup: BeautifulSoup) -> list[str]:
    """Name numbers that prose asks for in a way that Sphinx does not read."""
    # The text of each paragraph, so that the pipeline's docstrings may show the role as code.
    text = " ".join(p.get_text() for p in soup.find_all("p") if not p.find("code", string=ROLE))
    roles = ROLE.findall(text)
    return [f"shows {role!r} in place of a number" for role in roles]


def foreign(soup: BeautifulSoup) -> list[str]:
    """Name what a page would load from another host."""
    found = []
    for tag, attribute in LOADS.items():
        for element in soup.find_all(tag):
            if tag == "link" and not FETCHED & set(element.get_attribute_list("rel")):
                continue
            for value in (element.get(attribute), element.get("srcset")):
                if value and REMOTE.match(str(value).strip()):
                    found.append(f"<{tag}> loads {value} from another host")
    for script in soup.find_all("script", src=False):
        named = REMOTE.search(script.get_text())
        if named and script.get("type") not in ("application/json", "application/ld+json"):
            found.append(f"a script names another host: {named.group()}")
    for style in [*soup.find_all("style"), *soup.find_all(style=True)]:
        css = style.get_text() if style.name == "style" else str(style["style"])
        loaded = REMOTE_STYLE.search(css)
        if loaded:
            found.append(f"a style loads {loaded.group()} from another host")
    return found


def idle(soup: BeautifulSoup) -> list[str]:
    """Scripts that wait for a kernel."""
    scripts = (f"{s.get('src', '')} {s.get('type', '')} {s.get_text()}" for s in soup("script"))
    matches = (NEEDS_KERNEL.search(script) for script in scripts)
    return [f"loads {match.group()}, which needs a kernel" for match in matches if match]


def unnamed_figures(soup: BeautifulSoup) -> list[str]:
    """Pictures in the text that a screen reader cannot tell."""
    article = soup.find("article") or soup
    assert isinstance(article, Tag)
    found = [
        f"<img src={image.get('src')!r}> has no alt text"
        for image in article.find_all("img")
        if not str(image.get("alt") or "").strip()
    ]
    for drawing in article.select(".cell_output svg"):
        hidden = drawing.get("aria-hidden") == "true"
        if not (hidden or drawing.get("aria-label") or drawing.find("title")):
            found.append("an <svg> in an output has neither aria-label nor title")
    return found


def tracebacks(soup: BeautifulSoup) -> list[str]:
    """Errors shown as results."""
    shown = (output.get_text() for output in soup.select(".cell_output"))
    return ["an output shows a traceback" for text in shown if "Traceback (most recent" in text]


def broken_links(
    html: Path, path: Path, soup: BeautifulSoup, anchors: dict[Path, set[str]]
) -> list[str]:
    """List internal links to a missing file or a missing anchor."""
    found = []
    for element in soup.find_all(["a", "img", "link", "script"]):
        target = element.get("href") or element.get("src")
        parts = urlsplit(str(target or ""))
        if not target or parts.scheme or parts.netloc:
            continue
        file = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        if file.is_dir():
            file = file / "index.html"
        anchor = unquote(parts.fragment)
        if not file.is_file() or html.resolve() not in file.parents:
            found.append(f"broken link to {target}")
        elif element.name == "a" and anchor and anchor not in anchors.get(file, {anchor}):
            found.append(f"broken anchor {target}")
    return found


def page_bytes(html: Path, path: Path, soup: BeautifulSoup) -> int:
    """Return the bytes of a page and its own images."""
    images = {(path.parent / unquote(str(i.get("src", "")))).resolve() for i in soup("img")}
    shared = (html / "_static").resolve()
    own = [image for image in images if image.is_file() and shared not in image.parents]
    return path.stat().st_size + sum(image.stat().st_size for image in own)


def _anchors(soup: BeautifulSoup) -> set[str]:
    named = soup.find_all(id=True) + soup.find_all("a", attrs={"name": True})
    return {str(element.get("id") or element.get("name")) for element in named} | {"", "top"}
