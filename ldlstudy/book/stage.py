"""The staged copy: what the notebooks run in and Sphinx reads.

Sources stay without outputs because nothing runs in them. The copy keeps the repository's relative
paths, so a link or a data path that works in a source works on the page. Records are shared with
the repository through a symbolic link: what a notebook trains is kept.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from sphinx_external_toc.parsing import MalformedError, parse_toc_yaml

from ldlstudy.book import BookError


@dataclass(frozen=True)
class Project:
    """Where everything lies, below the repository's root (``folder`` may also lie elsewhere)."""

    root: Path
    folder: Path = Path("_build")

    @property
    def build(self) -> Path:
        """Everything made by the pipeline; safe to delete."""
        return self.root / self.folder

    @property
    def stage(self) -> Path:
        """The copy that is executed and built."""
        return self.build / "stage"

    @property
    def html(self) -> Path:
        """The last good site."""
        return self.build / "html"

    @property
    def notebooks(self) -> dict[str, Path]:
        """Chapters, and pages that are notebooks, by name (the file's stem), in reading order."""
        folders = (self.root / "notebooks", self.root / "book")
        return {path.stem: path for folder in folders for path in sorted(folder.glob("*.ipynb"))}

    def staged(self, name: str) -> Path:
        """Where the notebook of this name lies in the stage."""
        return self.stage / self.notebooks[name].relative_to(self.root)

    @property
    def pages(self) -> list[str]:
        """Pages of the table of contents, as paths without suffix, the first page first."""
        try:
            site_map = parse_toc_yaml(self.root / "_toc.yml")
        except (OSError, MalformedError, yaml.YAMLError) as error:
            raise BookError(f"_toc.yml cannot be read: {error}") from error
        first = site_map.root.docname
        return [first, *(page for page in site_map if page != first)]


@contextlib.contextmanager
def alone(project: Project) -> Iterator[None]:
    """Hold the folder of builds for one build or export; another is a BookError.

    The lock is inherited by the processes that a build starts with ``close_fds=False``: what it
    leaves behind when it is killed holds the folder for as long as it may still write there.
    """
    project.build.mkdir(parents=True, exist_ok=True)
    with open(project.build / "build.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BookError(
                f"another build or export is at work in {project.build}, or what it started is: "
                "wait for it, or stop it"
            ) from None
        os.set_inheritable(lock.fileno(), True)
        yield


def prepare(project: Project) -> None:
    """Make the staged copy afresh: pages, configuration, notebooks; records as a link."""
    shutil.rmtree(project.stage, ignore_errors=True)
    try:
        _copy(project)
    except shutil.Error as error:  # it lists all files that could not be copied, of a full disk
        _, _, reason = error.args[0][0]
        raise OSError(reason) from error
    results = project.root / "book" / "results"
    results.mkdir(exist_ok=True)
    (project.stage / "book" / "results").symlink_to(results, target_is_directory=True)
    (project.stage / "book" / "numbers").mkdir()


def _copy(project: Project) -> None:
    made = shutil.ignore_patterns("results", "numbers", ".ipynb_checkpoints")
    for folder in ("book", "notebooks"):
        shutil.copytree(project.root / folder, project.stage / folder, ignore=made)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(project.root / name, project.stage / name)
