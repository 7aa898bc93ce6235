"""A run's specification, and the records of what runs gave, a line each.

A :class:`Run` says everything that decides a result; its id is a hash of that. A :class:`Record` is
what came out: a line of ``book/results/<data set>.jsonl``, with the data of its figures in
``<data set>.figures.jsonl`` and the machine that made it in ``circumstances.jsonl``. Whatever has a
record is not run again, so a table is a list of runs, and each number in the book leads back to a
line that says how, on what and by which version it was measured.
"""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from ldlstudy import files
from ldlstudy.stats import Estimate

CIRCUMSTANCES = "circumstances"
ID = re.compile(r'\{"id":"([0-9a-f]{12})"')  # how every line begins
Values = dict[str, dict[str, Any]]  # stage to metric to a number, or to one for each replicate


@dataclasses.dataclass(frozen=True)
class Run:
    """What decides a result.

    Attributes
    ----------
    dataset, data
        Name of the data, and what varies about them (sizes, separation, noise, ...).
    model, network
        Name of the network, and its options.
    method, settings
        Name of the method, and the values of its settings; a list is a grid to choose from on
        held-out data.
    augmentation, mixing
        What is done to the images, and what mixes them.
    recipe
        Optimiser, rate, epochs, batch and the like.
    teachers : tuple of Run
        Runs whose networks label this run's data.
    replicates : int
        Independent repetitions, each with data and seeds of its own.
    seed : int
        From which all random numbers derive.
    """

    dataset: str
    model: str
    method: str
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    network: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    augmentation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mixing: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    teachers: tuple["Run", ...] = ()
    replicates: int = 1
    seed: int = 0

    @functools.cached_property
    def specification(self) -> dict[str, Any]:
        """The run as plain JSON values, its teachers by their ids; what is empty is left out."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["teachers"] = [teacher.id for teacher in self.teachers]
        plain: dict[str, Any] = json.loads(json.dumps(fields, default=dict))
        return {name: value for name, value in plain.items() if value not in ({}, [])}

    @functools.cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of the canonical specification."""
        return identity(self.specification)

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.id == other.id


def identity(specification: Mapping[str, Any]) -> str:
    """Return the id of what has this specification (:attr:`Run.id`)."""
    text = json.dumps(specification, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run gave.

    Attributes
    ----------
    specification : dict
        Of the run, as :attr:`Run.specification`.
    values : dict
        Stage (``plain``, ``fitted``, ...) to metric to a number; with several replicates to a list
        of one for each.
    intervals : dict
        Stage to metric to the ends of its 95 % interval, of numbers that have one.
    kept : tuple of str
        What was measured besides the usual metrics, for figures and tables.
    made : dict
        Seconds, device, library versions, source revision, hash of the data, ...
    figures : dict or Path
        Data for figures, by name, or the file that holds them; read by :meth:`figure`.
    formerly : tuple of str
        Ids under which the record was known before.
    """

    specification: dict[str, Any]
    values: Values
    intervals: Values
    made: dict[str, Any]
    kept: tuple[str, ...] = ()
    figures: dict[str, Any] | Path = dataclasses.field(default_factory=dict)
    formerly: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.id)

    @functools.cached_property
    def id(self) -> str:
        """The id of its run."""
        return identity(self.specification)

    @property
    def name(self) -> str:
        """How it is called: its data set, its method and its id."""
        return f"{self.specification['dataset']}/{self.anchor}"

    @property
    def anchor(self) -> str:
        """Its place on the page of its data set."""
        return f"{self.specification['method']}-{self.id}"

    def figure(self, name: str) -> Any:
        """Return the data of a figure; a ValueError lists those that there are."""
        figures = self.all_figures
        if name not in figures:
            known = ", ".join(figures) or "none"
            raise ValueError(f"record {self.id} has no figure {name!r}; it has {known}")
        return figures[name]

    @functools.cached_property
    def all_figures(self) -> dict[str, Any]:
        """The data of all figures, by name."""
        if isinstance(self.figures, Path):
            line = _line(self.figures, self.id)
            return {} if line is None else dict(line["figures"])
        return self.figures

    def estimate(self, stage: str, metric: str) -> Estimate:
        """Return a metric's mean over replicates and its interval, without width if it has none."""
        value = self.values[stage][metric]
        mean = sum(value) / len(value) if isinstance(value, list) else value
        low, high = self.intervals.get(stage, {}).get(metric, (mean, mean))
        return Estimate(mean, low, high)

    def replicates(self, stage: str, metric: str) -> list[float]:
        """Return a metric's values, one for each replicate."""
        value = self.values[stage][metric]
        return list(value) if isinstance(value, list) else [value]


def folder() -> Path:
    """Return ``book/results`` of the study that this process works in."""
    return files.root() / "book" / "results"


def load(run: Run, results: Path | None = None) -> Record | None:
    """Return the record of ``run``, or None when there is none yet.

    A damaged file is a ValueError.
    """
    file = _file(results or folder(), run.dataset)
    line = _line(file, run.id)
    return None if line is None else _record(line, file)


def save(record: Record, results: Path | None = None) -> None:
    """Add a record to the others of its data set, each file written whole or not at all.

    Processes that save at once wait for one another. A record with the same id keeps the values
    that it has, and gets those that it lacks.
    """
    results = results or folder()
    dataset = record.specification["dataset"]
    results.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(results / f".{dataset}.lock"):
        file = _file(results, dataset)
        known = _line(file, record.id)
        if known is not None:
            record = _completed(_record(known, file), record)
        machine = {k: record.made[k] for k in record.made if k in _OF_MACHINE}
        with filelock.FileLock(results / f".{CIRCUMSTANCES}.lock"):
            circumstances = _file(results, CIRCUMSTANCES)
            if identity(machine) not in _texts(circumstances):
                _write(circumstances, {"id": identity(machine), **machine})
        if record.all_figures:
            _write(_file(results, f"{dataset}.figures"), _figure_line(record))
        _write(file, _record_line(record, identity(machine)))


_OF_MACHINE = (
    "device", "python", "versions", "source", "precision", "channels_last", "compile", "threads",
)  # fmt: skip


def _completed(old: Record, new: Record) -> Record:
    """The old record with the stages, metrics, figures and columns of its history that it lacks."""

    def both(a: Values, b: Values) -> Values:
        return {s: {**b.get(s, {}), **a.get(s, {})} for s in dict.fromkeys((*a, *b))}

    columns = new.all_figures.get("history", {}) | old.all_figures.get("history", {})
    history = {"history": columns} if columns else {}
    return dataclasses.replace(
        old,
        values=both(old.values, new.values),
        intervals=both(old.intervals, new.intervals),
        kept=tuple(sorted({*old.kept, *new.kept})),
        figures={**new.all_figures, **old.all_figures, **history},
        formerly=tuple(dict.fromkeys((*old.formerly, *new.formerly))),
    )


def _record_line(record: Record, circumstances: str) -> dict[str, Any]:
    made = {k: v for k, v in record.made.items() if k not in _OF_MACHINE}
    line = {
        "id": record.id,
        "run": record.specification,
        "values": files.rounded(record.values),
        "intervals": files.rounded(record.intervals),
        "kept": list(record.kept),
        "made": files.rounded(made) | {"circumstances": circumstances},
        "formerly": list(record.formerly),
    }
    return {name: value for name, value in line.items() if value not in ({}, [])}


def _figure_line(record: Record) -> dict[str, Any]:
    return {"id": record.id, "figures": files.rounded(record.all_figures)}


def _record(line: Mapping[str, Any], file: Path) -> Record:
    try:
        made = dict(line["made"])
        machine = _circumstances(file.parent, made.pop("circumstances"))
        record = Record(
            dict(line["run"]),
            dict(line.get("values", {})),
            dict(line.get("intervals", {})),
            {**machine, **made},
            tuple(line.get("kept", ())),
            _file(file.parent, f"{file.name.removesuffix('.jsonl')}.figures"),
            tuple(line.get("formerly", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} has a damaged line {line.get('id')!r}: {error}") from error
    if record.id != line["id"]:
        raise ValueError(f"{file}: line {line['id']!r} is not the record of the run that it names")
    return record


def every(results: Path | None = None) -> Iterator[Record]:
    """Return all records there are, by data set and id."""
    for file in sorted((results or folder()).glob("*.jsonl")):
        name = file.name.removesuffix(".jsonl")
        if name != CIRCUMSTANCES and not name.endswith(".figures"):
            for id in _texts(file):
                line = _line(file, id)
                assert line is not None
                yield _record(line, file)


def ids(dataset: str, results: Path | None = None) -> set[str]:
    """Return the ids of the records of a data set."""
    return set(_texts(_file(results or folder(), dataset)))


def find(id: str, results: Path | None = None) -> Record:
    """Return the record with this id, or that was known by it; a ValueError if there is none."""
    results = results or folder()
    states = tuple((f, *_state(f)) for f in sorted(results.glob("*.jsonl")))
    by_id = _by_id(results, states)
    if id not in by_id:
        raise ValueError(f"no record has the id {id!r}: `ldlstudy records` lists them")
    return by_id[id]


@functools.lru_cache(maxsize=8)
def _by_id(results: Path, states: tuple[Any, ...]) -> dict[str, Record]:
    """Records by all ids they have had; read again when a file has changed its state."""
    found = list(every(results))
    return {old: r for r in found for old in r.formerly} | {r.id: r for r in found}


def run_of(record: Record, results: Path | None = None) -> Run:
    """Return the run of a record, with its teachers, whose records must be there."""
    fields = dict(record.specification)
    ids: Sequence[str] = fields.pop("teachers", ())
    teachers = tuple(run_of(find(teacher, results), results) for teacher in ids)
    return Run(**fields, teachers=teachers)


def _file(results: Path, name: str) -> Path:
    return results / f"{name}.jsonl"


def _circumstances(results: Path, id: str) -> dict[str, Any]:
    line = _line(_file(results, CIRCUMSTANCES), id)
    if line is None:
        raise ValueError(f"circumstances {id!r} are not listed")
    return {name: value for name, value in line.items() if name != "id"}


def _line(file: Path, id: str) -> dict[str, Any] | None:
    """The line of a file with this id; a damaged one is a ValueError."""
    text = _texts(file).get(id)
    if text is None:
        return None
    try:
        line: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{file}: line {id!r} is damaged: {error}") from error
    return line


def _texts(file: Path) -> dict[str, str]:
    """The lines of a file by id, not yet read; taken anew only when the file has changed."""
    try:
        return _split(file, *_state(file))
    except FileNotFoundError:
        return {}


def _state(file: Path) -> tuple[int, int, int]:
    """What changes with a file's content; a file that is written anew is another inode."""
    found = file.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


@functools.lru_cache(maxsize=16)
def _split(file: Path, *state: int) -> dict[str, str]:
    lines: dict[str, str] = {}
    try:
        whole = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    for number, text in enumerate(whole.removesuffix("\n").split("\n") if whole else (), 1):
        found = ID.match(text)
        if found is None:
            raise ValueError(f"{file}, line {number}, is damaged: it does not begin with an id")
        if lines.setdefault(found[1], text) != text:
            raise ValueError(f"{file} has two records {found[1]!r}: delete one of the lines")
    return lines


def _write(file: Path, line: Mapping[str, Any]) -> None:
    """Add a line to a file, or replace it; sorted by id, so that two branches that add merge."""
    text = json.dumps(line, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    lines = {**_texts(file), line["id"]: text}
    files.write(file, "".join(f"{lines[id]}\n" for id in sorted(lines)))
