"""The API pages: every module of the package, found there, so that no list is kept by hand."""

import pkgutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from ldlstudy import files
from ldlstudy.book import BookError

PAGES = {  # page: the packages below ldlstudy that it has; "" are the modules at the top
    "api": ("", "data", "models", "training", "interop"),
    "api_study": ("experiment", "studies"),
    "api_book": ("report", "explore", "book"),
}
INDENT = "   "


def write(package: Path, folder: Path) -> None:
    """Add what autodoc is to document of the modules in ``package`` to the pages in ``folder``."""
    for page, names in PAGES.items():
        file = folder / f"{page}.md"
        if not file.is_file():
            raise BookError(f"book/{page}.md is missing, which the modules are listed on")
        intro = file.read_text(encoding="utf-8").rstrip()
        sections = [_section(name, modules(package, name)) for name in names]
        files.write(file, "\n\n".join([intro, *sections]) + "\n")


def modules(package: Path, name: str) -> list[str]:
    """Return the full names of the modules of a package below ``package``, itself the first.

    The modules at the top stand alone where ``name`` is empty.
    """
    if not name:
        found = [m.name for m in pkgutil.iter_modules([str(package)]) if not m.ispkg]
        return [f"ldlstudy.{each}" for each in sorted(found)]
    return [f"ldlstudy.{name}", *_below(package / name, f"ldlstudy.{name}")]


def _below(folder: Path, prefix: str) -> Iterator[str]:
    for module in sorted(pkgutil.iter_modules([str(folder)]), key=lambda m: m.name):
        yield f"{prefix}.{module.name}"
        if module.ispkg:
            yield from _below(folder / module.name, f"{prefix}.{module.name}")


def _section(name: str, found: Sequence[str]) -> str:
    """A heading, and for each module a heading and what autodoc documents of it."""
    title = f"ldlstudy.{name}" if name else "ldlstudy"
    lines = [f"## {title}"]
    for module in found:
        if module != title:
            lines.append(f"### {module.removeprefix('ldlstudy.')}")
        options = f"{INDENT}:members:\n{INDENT}:ignore-module-all:"
        lines.append(f"```{{eval-rst}}\n.. automodule:: {module}\n{options}\n```")
    return "\n\n".join(lines)
