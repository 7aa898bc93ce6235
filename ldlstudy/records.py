"""A run's specification and its record on disk.

A :class:`Run` says everything that decides a result; its id is a hash of that. A :class:`Record` is
what came out: one JSON file named after the id under ``book/results/``. Whatever has a record is
not run again, so a table is a list of runs, and each number in the book leads back to a file that
says how, on what and by which version it was measured.
"""

import contextlib
import dataclasses
import functools
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FORMAT = 1
PROFILES = ("smoke", "quick", "paper")
DIGITS = 6  # significant digits of a stored number
PICTURED_DIGITS = 4  # of one that only a picture shows


@dataclasses.dataclass(frozen=True)
class Run:
    """What decides a result.

    Attributes
    ----------
    dataset : str
        Name of the data, and in ``data`` what varies about it (sizes, separation, ...).
    model : str
        Name of the network.
    method : str
        Name of the label strategy, and in ``parameters`` its values; a list is a grid to choose
        from on held-out data.
    training : Mapping
        Optimiser, rate, epochs, batch and the like.
    teachers : tuple of Run
        Runs whose networks label this run's data.
    replicates : int
        Independent repetitions, each with data and seeds of its own.
    seed : int
        From which all random numbers derive.
    profile : str
        ``smoke``, ``quick`` or ``paper``.
    keep : tuple of str
        Data for figures that the record holds besides the metrics.
    """

    dataset: str
    model: str
    method: str
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    teachers: tuple["Run", ...] = ()
    replicates: int = 1
    seed: int = 0
    profile: str = "paper"
    keep: tuple[str, ...] = ()

    @functools.cached_property
    def specification(self) -> dict[str, Any]:
        """The run as plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @functools.cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of the canonical specification."""
        return identity(self.specification)

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.id == other.id


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run gave.

    Attributes
    ----------
    specification : dict
        Of the run, as :attr:`Run.specification`.
    rows : dict
        Name of a result (``plain``, ``scaled``, ...) to metric to one value for each replicate.
    estimates : dict
        As ``rows``, with the mean and the ends of its 95 % bootstrap interval in place of values.
    figures : dict
        Data for figures, by name; nested lists.
    made : dict
        Seconds, device, library versions, source revision, hash of the data, ...
    """

    specification: dict[str, Any]
    rows: dict[str, dict[str, list[float]]]
    estimates: dict[str, dict[str, list[float]]]
    figures: dict[str, Any]
    made: dict[str, Any]

    @property
    def stem(self) -> str:
        """The name of its file, without the ending."""
        return f"{self.specification['method']}-{identity(self.specification)}"

    @property
    def name(self) -> str:
        """Its file below ``book/results``, without the ending."""
        return f"{self.specification['dataset']}/{self.stem}"


def identity(specification: Mapping[str, Any]) -> str:
    """The id of the run with this specification (:attr:`Run.id`)."""
    text = json.dumps(specification, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def folder() -> Path:
    """``book/results`` of the study that this process works in.

    The nearest folder upwards from the working directory that holds ``_config.yml``.
    """
    return root() / "book" / "results"


def root() -> Path:
    """The study's top folder."""
    here = Path.cwd().resolve()
    for candidate in (here, *here.parents):
        if (candidate / "_config.yml").is_file():
            return candidate
    raise ValueError(
        f"no _config.yml in {here} or above it: run this inside a checkout of the study"
    )


def path(run: Run, results: Path | None = None) -> Path:
    """Where the record of ``run`` lies or would lie."""
    return (results or folder()) / run.dataset / f"{run.method}-{run.id}.json"


def load(run: Run, results: Path | None = None) -> Record | None:
    """The record of ``run``, or None when there is none yet.

    Raises
    ------
    ValueError
        If the file is damaged, of another format, or not of this run.
    """
    file = path(run, results)
    if not file.exists():
        return None
    record = read(file)
    if record.specification != run.specification:
        raise ValueError(
            f"{file} is not the record of {run.method} {run.id}: delete it and run again"
        )
    return record


def read(file: Path) -> Record:
    """The record in ``file``; a ValueError says what is wrong with it."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content.pop("format")
        if version != FORMAT:
            raise ValueError(f"{file} has format {version}, this version reads format {FORMAT}")
        return Record(**content)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({error}): delete it and run again") from error


def save(run: Run, record: Record, results: Path | None = None) -> Path:
    """Write the record of ``run`` whole or not at all; return its file."""
    content = {"format": FORMAT, **dataclasses.asdict(record)}
    return write(path(run, results), _dump(content))


def write(file: Path, content: str | bytes) -> Path:
    """Write ``content`` under a temporary name and rename it: no half file is ever read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return file


def publish(chapter: str, values: Mapping[str, float | str]) -> Path:
    """Write the numbers that a chapter's prose quotes, ``book/numbers/<chapter>.json``."""
    text = json.dumps(rounded(dict(values)), indent=1, sort_keys=True, allow_nan=False)
    return write(root() / "book" / "numbers" / f"{chapter}.json", text + "\n")


def every(results: Path | None = None) -> Iterator[tuple[Path, Record]]:
    """All records there are, in the order of their names."""
    for file in sorted((results or folder()).rglob("*.json")):
        yield file, read(file)


def find(id: str, results: Path | None = None) -> Run:
    """The run whose record has this id.

    Raises
    ------
    ValueError
        If there is no such record.
    """
    for file in (results or folder()).glob(f"*/*-{glob.escape(id)}.json"):
        return from_specification(read(file).specification)
    raise ValueError(f"no record has the id {id!r}: `ldlstudy records` lists them")


def from_specification(specification: Mapping[str, Any]) -> Run:
    """The run that a record's specification describes, with its teachers."""
    fields = dict(specification)
    fields["teachers"] = tuple(from_specification(t) for t in fields["teachers"])
    return Run(**{**fields, "keep": tuple(fields["keep"])})


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """Floats to ``digits`` significant digits, through lists and dictionaries."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, list | tuple):
        return [rounded(v, digits) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    return value


def _dump(content: dict[str, Any], depth: int = 0) -> str:
    """JSON with a line for each key and each list on one line: small, and readable in a diff."""
    if not isinstance(content, dict) or not content or depth > 3:
        return json.dumps(rounded(content), allow_nan=False)
    pad = " " * (depth + 1)
    lines = [f"{pad}{json.dumps(k)}: {_dump(v, depth + 1)}" for k, v in content.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}" + ("\n" if not depth else "")
