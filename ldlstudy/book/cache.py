"""What an executed notebook depends on, and the results kept for when none of it changed.

Jupyter's own caches look at the notebook's code alone and miss an edit in the package. The key here
covers the notebook, the package, the pinned versions, the parameters and the records. The site has
one, too: while all that it is made from is the same, and it stands as it was made, it stays.
"""

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ldlstudy import files
from ldlstudy.book.stage import Project


@dataclass(frozen=True)
class Executed:
    """An executed and cleaned notebook, as JSON, and the numbers it wrote for prose to quote."""

    notebook: str
    numbers: str | None

    @property
    def digest(self) -> str:
        """Fingerprint by which a damaged file is recognised."""
        return _fingerprint([self.notebook, self.numbers])


def code_key(project: Project, source: Path, parameters: dict[str, str]) -> str:
    """Return the fingerprint of what makes the outputs of ``source``, but for the records."""
    package = project.root / "ldlstudy"
    around = {package / "book", package / "cli"}  # they run notebooks, notebooks do not use them
    sources = [source, project.root / "requirements.txt"]
    sources += [
        path
        for path in package.rglob("*")
        if path.suffix in (".py", ".js") and not around.intersection(path.parents)
    ]
    sources += (project.root / "book" / "published").rglob("*")
    machine = [platform.python_version(), platform.system(), platform.machine(), parameters]
    return _fingerprint([_hashes(project, sources), machine])


def records_key(project: Project) -> str:
    """Return the fingerprint of the records, which a notebook reads and may add to."""
    lines = (project.root / "book" / "results").glob("*.jsonl")
    return _fingerprint(_hashes(project, lines))


def load(project: Project, name: str, profile: str, wanted: str) -> tuple[Executed | None, str]:
    """Return the stored result for the key ``wanted``, or None, and the reason in words."""
    path = _path(project, name, profile)
    if not path.exists():
        return None, "not run before"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        executed = Executed(stored["notebook"], stored["numbers"])
        sound = stored["digest"] == executed.digest
        unchanged = stored["key"] == wanted
    except (OSError, ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        return None, "its cached result is damaged and is not used"
    return (executed, "unchanged") if unchanged else (None, "changed since the last run")


def store(project: Project, name: str, profile: str, stored_key: str, result: Executed) -> None:
    """Keep ``result`` for later builds."""
    content = {
        "key": stored_key,
        "digest": result.digest,
        "notebook": result.notebook,
        "numbers": result.numbers,
    }
    files.write(_path(project, name, profile), json.dumps(content))


def site_key(project: Project) -> str:
    """Return the fingerprint of what makes the pages: the stage, the package and the versions."""
    package = (project.root / "ldlstudy").rglob("*")
    sources = [project.root / "requirements.txt", *project.stage.rglob("*")]
    sources += [path for path in package if "__pycache__" not in path.parts]
    return _fingerprint([_hashes(project, sources), platform.python_version()])


def site_report(project: Project, wanted: str) -> str | None:
    """Return what was said of the site, if it stands as it was made for the key ``wanted``."""
    try:
        stored = json.loads(_site(project).read_text(encoding="utf-8"))
        key, pages, report = stored["key"], stored["pages"], str(stored["report"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if key == wanted and pages == _pages_key(project) else None


def store_site(project: Project, stored_key: str, report: str) -> None:
    """Keep what tells that the site stands as it is, and what was said of it."""
    content = {"key": stored_key, "pages": _pages_key(project), "report": report}
    files.write(_site(project), json.dumps(content))


def _site(project: Project) -> Path:
    return project.build / "cache" / "site.json"


def _pages_key(project: Project) -> str:
    return _fingerprint(_hashes(project, project.html.rglob("*")))


def _path(project: Project, name: str, profile: str) -> Path:
    return project.build / "cache" / profile / f"{name}.json"


def _hashes(project: Project, paths: Iterable[Path]) -> list[list[str]]:
    """Return path and fingerprint of each file that is there; one being written is not yet."""
    there = sorted({path for path in paths if path.is_file() and path.suffix != ".part"})
    return [
        [path.relative_to(project.root).as_posix(), _sha256(path.read_bytes())] for path in there
    ]


def _fingerprint(content: object) -> str:
    """Return that of what JSON can say."""
    return _sha256(json.dumps(content, sort_keys=True).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
