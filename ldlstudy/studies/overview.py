"""A map of the strategies: what each looks at beside the image that it labels.

It is drawn from the rows of :data:`ldlstudy.methods.METHODS` and of
:mod:`ldlstudy.studies.strategies`, so it cannot say otherwise than they do.
"""

import html
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from ldlstudy import methods, mixing
from ldlstudy.report.export import Block
from ldlstudy.studies import STUDIES
from ldlstudy.studies.people import annotators
from ldlstudy.studies.strategies import in_prose, named
from ldlstudy.studies.truth.runs import STRATEGIES

SOURCES = {  # what can be looked at: the heading of its column, and what it is
    "label": ("label", "the class that the image was labelled with"),
    "classes": ("classes", "which classes resemble one another"),
    "itself": ("itself", "the network's own prediction, or its own form"),
    "teacher": ("teacher", "what trained networks say of the image"),
    "partner": ("partner", "another image of the same class"),
    "view": ("another view", "the same image, changed"),
    "image": ("another image", "other images, mixed into this one"),
    "people": ("people", "what several people say of the image"),
}
CHAPTERS = {  # whose strategy it is, to the study that introduces it
    "": "truth", "LS": "smoothing", "ILS": "ils", "CS-KD": "cs_kd", "LDL": "ldl", "ours": "people",
}  # fmt: skip
LETTER = 6.9  # width of a letter of a name, at its size
Link = tuple[str, str]  # a name and the chapter it leads to


def looks_at(strategy: str) -> tuple[str, ...]:
    """Return what a strategy looks at, keys of `SOURCES`, by its row and its method's.

    An unknown strategy is a ValueError that lists the known ones.
    """
    own = named(strategy)
    method = methods.named(own.method)
    asked = inspect.signature(method.label).parameters if method.label else {"labels": None}
    others = mixing.named({"name": own.mixing}) if own.mixing else None
    found = {
        "label": "labels" in asked,
        "classes": "features" in asked,
        "itself": method.label is None and not method.teacher and not method.sees,
        "teacher": method.teacher,
        "partner": "partner" in method.sees,
        "view": not {"view", "plain"}.isdisjoint(method.sees),
        "image": others is not None and others.least > 1,
    }
    return tuple(source for source, there in found.items() if there)


def groups() -> dict[tuple[str, ...], list[Link]]:
    """Return the strategies by what they look at, each with its chapter, few sources first.

    Those of the chapter on one truth, without the truth itself, and people's shares. A strategy
    with several mixings stands once where these look at the same.
    """
    found: dict[tuple[str, ...], list[Link]] = {}
    for name in STRATEGIES:
        if name != "truth":
            own = named(name)
            short = in_prose([name if own.base == "none" else own.base])
            link = short, STUDIES[CHAPTERS[own.paper]].chapter
            there = found.setdefault(looks_at(name), [])
            there += [link] if link not in there else []
    shares = [
        title
        for title, _, data in annotators.PEOPLE.values()
        if "votes" in data and "annotator" not in data
    ]
    found[("people",)] = [(title, STUDIES["people"].chapter) for title in shares]
    order = list(SOURCES)
    return dict(sorted(found.items(), key=lambda g: (len(g[0]), [order.index(s) for s in g[0]])))


def drawing() -> Block:
    """Return the map: a column for what can be looked at, a line for those that look at the same.

    One drawing in two layouts, of which a page shows that for its width, in the theme's colours.
    """
    lines = groups()
    wide, narrow = (layout.draw(lines) for layout in (WIDE, NARROW))
    meant = "; ".join(f"<em>{title}</em>: {what}" for title, what in SOURCES.values())
    caption = (
        "What each strategy looks at beside the image, from the rows of the code. Dots that a line "
        f"joins are looked at together; names lead to their chapters. {meant}."
    )
    page = (
        f'<figure class="drawing map"><div class="broad">{wide}</div>'
        f'<div class="slim">{narrow}</div><figcaption>{caption}</figcaption></figure>'
    )
    table = pd.DataFrame(
        [
            {"strategy": name, **{title: int(s in group) for s, (title, _) in SOURCES.items()}}
            for group, names in lines.items()
            for name, _ in names
        ]
    )
    return Block(page, str(table.to_csv(index=False, lineterminator="\n")))


@dataclass(frozen=True)
class Layout:
    """Where things are drawn, in pixels of a drawing of its ``width``.

    Attributes
    ----------
    width, column : int
        Of the drawing, and from one column of dots to the next.
    names : int
        Where names begin.
    below : bool
        Whether names stand below the dots of their line, and not beside them.
    """

    width: int
    column: int
    names: int
    below: bool

    def draw(self, lines: dict[tuple[str, ...], list[Link]]) -> str:
        """Return the SVG."""
        top, parts = 44, [self._headings()]
        for number, (group, names) in enumerate(lines.items()):
            wrapped = self.wrap(names)
            height = 8 + 18 * len(wrapped) + (22 if self.below else 0)
            if number % 2 == 0:
                parts.append(
                    f'<rect class="band" y="{top}" width="{self.width}" height="{height}"/>'
                )
            parts.append(self._dots(group, top + (14 if self.below else height / 2)))
            first = top + (40 if self.below else 18)
            parts += [self._text(line, first + 18 * n) for n, line in enumerate(wrapped)]
            top += height
        told = "; ".join(
            f"{', '.join(SOURCES[s][0] for s in group)}: {', '.join(name for name, _ in names)}"
            for group, names in lines.items()
        )
        return (
            f'<svg viewBox="0 0 {self.width} {top}" role="group" '
            f'aria-label="{html.escape(f"What strategies look at. {told}")}">{"".join(parts)}</svg>'
        )

    def wrap(self, names: Sequence[Link]) -> list[list[Link]]:
        """Return names in lines that fit beside the dots, or below them."""
        found: list[list[Link]] = [[]]
        for link in names:
            if sum(len(name) + 2 for name, _ in (*found[-1], link)) * LETTER > self.room:
                found.append([])
            found[-1].append(link)
        return [line for line in found if line]

    @property
    def room(self) -> int:
        """The width that names have."""
        return self.width - self.names

    def _place(self, source: str) -> float:
        return self.column * (list(SOURCES).index(source) + 0.5)

    def _headings(self) -> str:
        texts = []
        for source, (title, _) in SOURCES.items():
            words = title.split()
            texts += [
                f'<text class="head" x="{self._place(source)}" y="{36 - 13 * n}">{word}</text>'
                for n, word in enumerate(reversed(words))
            ]
        return "".join(texts)

    def _dots(self, group: Iterable[str], y: float) -> str:
        places = [self._place(source) for source in group]
        empty = "".join(
            f'<circle class="empty" cx="{self._place(source)}" cy="{y}" r="2"/>'
            for source in SOURCES
        )
        joined = f'<path class="join" d="M{places[0]} {y}H{places[-1]}"/>'
        full = "".join(f'<circle class="full" cx="{x}" cy="{y}" r="5.5"/>' for x in places)
        return empty + joined + full

    def _text(self, line: Iterable[Link], y: float) -> str:
        links = ", ".join(
            f'<a href="../notebooks/{chapter}.html">{html.escape(name)}</a>'
            for name, chapter in line
        )
        return f'<text x="{self.names}" y="{y}">{links}</text>'


WIDE = Layout(width=760, column=48, names=392, below=False)
NARROW = Layout(width=344, column=43, names=6, below=True)
