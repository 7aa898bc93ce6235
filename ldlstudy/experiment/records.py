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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from ldlstudy import checks, files
from ldlstudy.experiment import lines
from ldlstudy.stats import Estimate

CIRCUMSTANCES = "circumstances"
TELLS = ("accuracy", "cross_entropy")  # that no two trainings share to six digits
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

    def __post_init__(self) -> None:
        """Check the numbers that no engine asks about."""
        checks.whole("replicates", self.replicates, 1)
        checks.whole("seed", self.seed, 0)

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
            found = lines.read(self.figures, self.id, lines.FigureLine)
            return {} if found is None else dict(found[1]["figures"])
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
    return _record(_file(results or folder(), run.dataset), run.id)


def save(record: Record, results: Path | None = None) -> None:
    """Add a record to the others of its data set, each file written whole or not at all.

    Processes that save at once wait for one another. A record with the same id keeps the values
    that it has, and gets those that it lacks, if both are of one training (:func:`alike`). A record
    of another training takes its place where that one has something for figures and tables that the
    first lacks, else it is not saved: no record has numbers of two networks.

    Raises
    ------
    ValueError
        If each has something that the other, of another training, lacks.
    """
    results = results or folder()
    dataset = record.specification["dataset"]
    results.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(results / f".{dataset}.lock"):
        file = _file(results, dataset)
        known = _record(file, record.id)
        if known is not None and alike(known, record):
            record = _completed(known, record)
        elif known is not None:
            if set(record.kept) <= set(known.kept):
                return
            record = _in_its_place(known, record)
        machine = {k: record.made[k] for k in record.made if k in _OF_MACHINE}
        with filelock.FileLock(results / f".{CIRCUMSTANCES}.lock"):
            circumstances = _file(results, CIRCUMSTANCES)
            if identity(machine) not in lines.texts(circumstances):
                content = {"id": identity(machine), **machine}
                lines.write(circumstances, content, lines.CircumstancesLine)
        if record.all_figures:
            content = {"id": record.id, "figures": files.rounded(record.all_figures)}
            lines.write(_file(results, f"{dataset}.figures"), content, lines.FigureLine)
        lines.write(file, _record_line(record, identity(machine)), lines.RecordLine)


_OF_MACHINE = (
    "device", "python", "versions", "source", "precision", "channels_last", "compile", "threads",
)  # fmt: skip


def alike(one: Record, other: Record) -> bool:
    """Return whether two records of a run are of one training, by the numbers that tell.

    The same run on another processor is another training, whose last digits differ.
    """
    first, second = (files.rounded(each.values.get("plain", {})) for each in (one, other))
    return all(first[name] == second[name] for name in TELLS if name in first and name in second)


def _in_its_place(old: Record, new: Record) -> Record:
    """The new record, which is also found by the old one's former ids."""
    if lost := sorted(set(old.kept) - set(new.kept)):
        raise ValueError(
            f"record {old.id} is of another training than this one, which lacks "
            f"{', '.join(lost)}: keep these, too, or delete the record first"
        )
    return dataclasses.replace(new, formerly=_former_ids(old, new))


def _former_ids(old: Record, new: Record) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old.formerly, *new.formerly)))


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
        formerly=_former_ids(old, new),
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


def _record(file: Path, id: str) -> Record | None:
    """The record with an id that a file has; a damaged line is a ValueError."""
    found = lines.read(file, id, lines.RecordLine)
    if found is None:
        return None
    place, line = found
    name, made = file.name.removesuffix(".jsonl"), dict(line["made"])
    if line["run"]["dataset"] != name:
        raise ValueError(f"{place} is a record of {line['run']['dataset']}: delete the stray copy")
    try:
        machine = _circumstances(file.parent, made.pop("circumstances"))
    except ValueError as error:
        raise ValueError(f"{place} is damaged: {error}") from error
    record = Record(
        line["run"],
        line["values"],
        line.get("intervals", {}),
        {**machine, **made},
        tuple(line.get("kept", ())),
        _file(file.parent, f"{name}.figures"),
        tuple(line.get("formerly", ())),
    )
    if record.id != id:
        raise ValueError(f"{place} is not the record of the run that it names, {id!r}")
    return record


def every(results: Path | None = None) -> Iterator[Record]:
    """Return all records there are, by data set and id."""
    for file in sorted((results or folder()).glob("*.jsonl")):
        name = file.name.removesuffix(".jsonl")
        if name != CIRCUMSTANCES and not name.endswith(".figures"):
            for id in lines.texts(file):
                record = _record(file, id)
                assert record is not None
                yield record


def ids(dataset: str, results: Path | None = None) -> set[str]:
    """Return the ids of the records of a data set."""
    return set(lines.texts(_file(results or folder(), dataset)))


def find(id: str, results: Path | None = None) -> Record:
    """Return the record with this id, or that was known by it; a ValueError if there is none."""
    results = results or folder()
    states = tuple((f, *lines.state(f)) for f in sorted(results.glob("*.jsonl")))
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
    found = lines.read(_file(results, CIRCUMSTANCES), id, lines.CircumstancesLine)
    if found is None:
        raise ValueError(f"circumstances {id!r} are not listed")
    place, line = found
    machine = {name: value for name, value in line.items() if name != "id"}
    if identity(machine) != id:
        raise ValueError(f"{place} is not of the circumstances that it names, {id!r}")
    return machine
