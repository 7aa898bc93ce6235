"""What a build shows, as CSV files in a folder, and what differs between two such folders.

It is the proof that a change of the code changed no number: export a build from before and one from
after, and compare.
"""

import csv
import io
import json
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ldlstudy import files
from ldlstudy.book import BookError
from ldlstudy.book import notebook as nb
from ldlstudy.book.data_links import FOLDER
from ldlstudy.book.stage import Project, alone
from ldlstudy.experiment import records

NUMBERS = "numbers"
ANCHOR = re.compile(r"(?:[\w-]+/)?\w+-([0-9a-f]{12})\b")


def export(project: Project, folder: Path) -> int:
    """Copy the data of all tables and figures of the last build, and the numbers of its prose.

    Parameters
    ----------
    project : Project
        Which has been built.
    folder : Path
        Where ``<chapter>/<table or figure>.csv`` and ``numbers/<chapter>.csv`` are written.

    Returns
    -------
    int
        How many files were written.

    Raises
    ------
    BookError
        If there is no build, one of some notebooks alone, or one at work, or the folder holds
        files, which a comparison would count as of it.
    """
    if not project.build.is_dir():
        raise _nothing(project)
    with alone(project):
        tables = _tables(project)
        if folder.is_dir() and any(folder.iterdir()):
            raise BookError(f"{folder} is not empty: name a new folder")
        # whole or not at all: half an export would be compared as one that lacks the rest
        partial = folder.with_name(f".{folder.name}-{secrets.token_hex(6)}.part")
        try:
            partial.mkdir(parents=True)
            for name, text in tables.items():
                files.write(partial / name, text)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return len(tables)


def _nothing(project: Project) -> BookError:
    return BookError(f"there is no build below {project.build}: run `ldlstudy book` first")


def _tables(project: Project) -> dict[str, str | bytes]:
    """What the last build shows, by the name of the file that it is exported to."""
    data = project.stage / "book" / "_static" / FOLDER
    numbers = project.stage / "book" / NUMBERS
    if not data.is_dir():
        raise _nothing(project)
    left_out = [name for name in project.notebooks if not nb.was_run(nb.read(project.staged(name)))]
    if left_out:
        raise BookError(f"the last build lacks {', '.join(left_out)}: run `ldlstudy book` for all")
    tables: dict[str, str | bytes] = {
        file.relative_to(data).as_posix(): file.read_bytes() for file in sorted(data.rglob("*.csv"))
    }
    for file in sorted(numbers.glob("*.json")):
        values = json.loads(file.read_text(encoding="utf-8"))
        table = pd.DataFrame(values.items(), columns=["key", "value"])
        tables[f"{NUMBERS}/{file.stem}.csv"] = table.to_csv(index=False)
    return tables


def compare(old: Path, new: Path) -> Iterator[str]:
    """Say what differs between two exports, a line for each difference.

    The ids of records count as equal where one was known by the other.

    Parameters
    ----------
    old, new : Path
        Folders that :func:`export` wrote; one that does not exist is a ValueError.
    """
    for folder in (old, new):
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder")
    one, other = ({f.relative_to(p).as_posix() for f in p.rglob("*.csv")} for p in (old, new))
    yield from (f"{name}: only in {old}" for name in sorted(one - other))
    yield from (f"{name}: only in {new}" for name in sorted(other - one))
    for name in sorted(one & other):
        for difference in _compare_tables(_read(old / name), _read(new / name)):
            yield f"{name}: {difference}"


def _read(file: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"))))


def _compare_tables(old: list[list[str]], new: list[list[str]]) -> Iterator[str]:
    """Compare two tables line by line; those with a first cell of their own are matched by it."""
    heads = [lines[0] if lines else [] for lines in (old, new)]
    yield from (f"column {h!r} is gone" for h in heads[0] if h not in heads[1])
    yield from (f"column {h!r} is new" for h in heads[1] if h not in heads[0])
    tables = [_by_line(lines[1:]) for lines in (old, new)]
    yield from (f"line {key} is gone" for key in tables[0] if key not in tables[1])
    yield from (f"line {key} is new" for key in tables[1] if key not in tables[0])
    for key, line in tables[0].items():
        if key not in tables[1]:
            continue
        before, after = (
            dict(zip(head, cells, strict=False))
            for head, cells in zip(heads, (line, tables[1][key]), strict=True)
        )
        for heading, value in before.items():
            now = after.get(heading, value)
            if _without_former_ids(value) != _without_former_ids(now):
                yield f"{key}, {heading}: {value!r} is {now!r}"


def _by_line(lines: list[list[str]]) -> dict[str, list[str]]:
    """Lines by their first cell, numbered where several have it."""
    counts, found = Counter[str](), {}
    for cells in lines:
        first = cells[0] if cells else ""
        counts[first] += 1
        found[first if counts[first] == 1 else f"{first} ({counts[first]})"] = cells
    return found


def _without_former_ids(text: str) -> str:
    """Each record that a text names, by its id of today."""

    def current(match: re.Match[str]) -> str:
        try:
            return records.find(match[1]).id
        except ValueError:  # of a run that is not recorded
            return match[1]

    return ANCHOR.sub(current, text)
