"""What a reader takes along: the notebooks with all that they read, in a folder where they run.

A chapter reads the study's records and the papers' printed numbers, which are not in the package.
The site offers them with the notebooks in one file, which the page on reproducing links to.
"""

import io
import zipfile
from pathlib import Path

from ldlstudy import files
from ldlstudy.book.stage import Project

NAME = "soft-labels.zip"  # below _static
FOLDER = "soft-labels"  # what it unpacks to
TAKEN = (
    "_config.yml",  # marks the folder that the package looks for
    "notebooks/*.ipynb",
    "book/*.ipynb",
    "book/published/*.csv",
    "book/results/*.jsonl",
)
START = (1980, 1, 1, 0, 0, 0)  # the same sources make the same file; no zip can be older


def write(project: Project, file: Path) -> None:
    """Write the notebooks without outputs, the records and the printed numbers to a zip file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(path for part in TAKEN for path in project.root.glob(part)):
            name = f"{FOLDER}/{path.relative_to(project.root).as_posix()}"
            entry = zipfile.ZipInfo(name, START)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    files.write(file, content.getvalue())
