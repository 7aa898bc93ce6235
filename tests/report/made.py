"""Made-up results: rows of tables with numbers that a test knows."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Record, Run
from ldlstudy.report.results import Results

MADE = {
    "seconds": 6.0, "networks": 1, "device": "CPU", "python": "3.11", "versions": {"torch": "2"},
    "source": "abc123",
}  # fmt: skip
Numbers = Mapping[str, Any]


def record(run: Run, numbers: Numbers, figures: Mapping[str, Any] | None = None) -> Record:
    """Return a record with ``numbers`` by metric, after its stage unless that is the plain one.

    A tuple is a value and half its interval, a list the values of replicates.
    """
    values: dict[str, dict[str, Any]] = {"plain": {}}
    intervals: dict[str, dict[str, Any]] = {}
    for key, number in numbers.items():
        stage, _, metric = (key if " " in key else f"plain {key}").rpartition(" ")
        if isinstance(number, tuple):
            number, half = number
            intervals.setdefault(stage, {})[metric] = [number - half, number + half]
        values.setdefault(stage, {})[metric] = number
    return Record(run.specification, values, intervals, dict(MADE), figures=dict(figures or {}))


def results(rows: Mapping[str, Numbers], **facts: Mapping[str, Any]) -> Results:
    """Return rows by name; a list has a number for each seed, as many as there are."""
    planned, recorded = [], {}
    for row, numbers in rows.items():
        name = row.removeprefix("quick ")
        bench, _, strategy = name.rpartition(" ") if name.count(" ") < 2 else name.partition(" ")
        seeds = max((len(v) for v in numbers.values() if isinstance(v, list)), default=1)
        for seed in range(seeds):
            of_seed = {
                key: v[seed] if isinstance(v, list) else v
                for key, v in numbers.items()
                if not isinstance(v, list) or seed < len(v)
            }
            run = Run("digits", "small_cnn", "ls", data={"row": row}, seed=seed)
            level = "paper" if name == row else "quick"
            planned.append(Planned(run, (), bench, strategy, level, facts=facts.get(row, {})))
            recorded[run] = record(run, of_seed)
    return Results(planned, recorded)


def filled(
    planned: Iterable[Planned],
    numbers: Callable[[Planned], Numbers | None],
    figures: Mapping[str, Any] | None = None,
) -> Results:
    """Return what is planned with its ``numbers``; a run for which they are None has no record."""
    planned = list(planned)
    found = {each.run: numbers(each) for each in planned}
    made = {run: record(run, n, figures) for run, n in found.items() if n is not None}
    return Results(planned, made)
