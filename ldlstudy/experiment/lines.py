"""Lines of the files of records: found by their ids, verified when they are read and written.

A line is a JSON object that begins with an id and ends with the checksum of all before it. What a
line of each kind may say is written once, as a pydantic model; a file with anything else in it is
refused, by file and line, and never written over.
"""

import functools
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ldlstudy import files

BEGIN = re.compile(r'\{"id":"([0-9a-f]{12})"')
END = re.compile(r',"crc32":"([0-9a-f]{8})"\}$')

Id = Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[Number, Field(ge=0)]
Several = Annotated[list[Number], Field(min_length=1)]
Ends = Annotated[list[Number], Field(min_length=2, max_length=2)]
Options = Annotated[dict[str, Any], Field(min_length=1)]
Values = Annotated[dict[str, dict[str, Number | Several]], Field(min_length=1)]


class Strict(BaseModel):
    """What has no other fields, and values of these types alone."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Specification(Strict):
    """Of a run: what is empty is left out, for the id is of the text."""

    dataset: Annotated[str, Field(pattern=r"^\w+$")]  # names files and pages
    model: Text
    method: Text
    data: Options | None = None
    network: Options | None = None
    settings: Options | None = None
    augmentation: Options | None = None
    mixing: Options | None = None
    recipe: Options | None = None
    teachers: Annotated[list[Id], Field(min_length=1)] | None = None
    replicates: Positive
    seed: Count


class Made(Strict):
    """How a record was made; what runs share is in its circumstances."""

    seconds: Seconds
    networks: Count
    epochs: Count = 0
    training_seconds: Seconds = 0
    images_per_second: Seconds = 0
    data: str = ""
    circumstances: Id


class RecordLine(Strict):
    """A record."""

    id: Id
    run: Specification
    values: Values
    intervals: dict[str, dict[str, Ends]] = {}
    kept: list[str] = []
    made: Made
    formerly: list[Id] = []

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """A number for each replicate, and intervals with ends in order, of what has a value."""
        for stage, row in self.values.items():
            for metric, value in row.items():
                if isinstance(value, list) and len(value) != self.run.replicates:
                    raise ValueError(
                        f"{stage} {metric} has {len(value)} values of {self.run.replicates} "
                        "replicates"
                    )
        for stage, intervals in self.intervals.items():
            for metric, (low, high) in intervals.items():
                if metric not in self.values.get(stage, {}) or low > high:
                    raise ValueError(f"{stage} {metric} has no value for its interval, or no order")
        return self


class FigureLine(Strict):
    """Data of a record's figures."""

    id: Id
    figures: dict[str, Any]


class CircumstancesLine(Strict):
    """The machine and the versions that records were made with."""

    id: Id
    device: Text
    python: str
    versions: dict[str, str]
    source: str
    precision: str = ""
    channels_last: bool = False
    compile: str = ""
    threads: Positive = 1


def texts(file: Path) -> dict[str, tuple[int, str]]:
    """Return number and text of a file's lines by id; read anew only when the file has changed.

    A damaged file is a ValueError; one that is not there has no lines.
    """
    try:
        return _split(file, *state(file))
    except FileNotFoundError:
        return {}


def state(file: Path) -> tuple[int, int, int]:
    """Return what changes with a file's content; one that is written anew is another inode."""
    found = file.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


@functools.lru_cache(maxsize=16)
def _split(file: Path, *state: int) -> dict[str, tuple[int, str]]:
    lines: dict[str, tuple[int, str]] = {}
    try:
        whole = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    for number, text in enumerate(whole.removesuffix("\n").split("\n") if whole else (), 1):
        begin, end = BEGIN.match(text), END.search(text)
        if begin is None:
            raise ValueError(f"{file}, line {number}, is damaged: it does not begin with an id")
        if end is not None and end[1] != checksum(text[: end.start()]):
            raise ValueError(f"{file}, line {number}, is damaged: it has another checksum")
        if lines.setdefault(begin[1], (number, text))[1] != text:
            raise ValueError(
                f"{file}, line {number}, is a second record {begin[1]!r}: delete one of the lines"
            )
    return lines


def checksum(text: str) -> str:
    """Return the CRC-32 of a text in eight hexadecimal digits."""
    return f"{zlib.crc32(text.encode()):08x}"


def read(file: Path, id: str, kind: type[Strict]) -> tuple[str, dict[str, Any]] | None:
    """Return file and number of the line with an id, and what it says; None if there is none.

    What is not of its ``kind`` is a ValueError.
    """
    if id not in texts(file):
        return None
    number, text = texts(file)[id]
    place = f"{file}, line {number},"
    try:
        line: dict[str, Any] = json.loads(
            text, parse_constant=_no_number, object_pairs_hook=_without_repetition
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is damaged: {error}") from error
    if END.search(text):
        del line["crc32"]
    check(line, kind, place)
    return place, line


def check(line: Mapping[str, Any], kind: type[Strict], place: str) -> None:
    """Raise a ValueError that names the ``place`` if a line is not of its kind."""
    try:
        kind.model_validate(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = " ".join(str(part) for part in first["loc"])
        raise ValueError(f"{place} is damaged: {where} ({first['msg']})") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return found


def write(file: Path, line: Mapping[str, Any], kind: type[Strict]) -> None:
    """Add a line to a file, or replace it; sorted by id, so that two branches that add merge.

    What could not be read back is a ValueError, and not written.
    """
    text = json.dumps(line, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    check(json.loads(text), kind, f"what is to be written to {file}")
    text = text.removesuffix("}")
    lines = {id: known for id, (_, known) in texts(file).items()}
    lines[line["id"]] = f'{text},"crc32":"{checksum(text)}"}}'
    files.write(file, "".join(f"{lines[id]}\n" for id in sorted(lines)))
