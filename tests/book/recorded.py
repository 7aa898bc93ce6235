"""Records for books that have some."""

from ldlstudy.experiment import records
from ldlstudy.experiment.records import Record, Run

MADE = {
    "seconds": 12.34, "networks": 1, "device": "CPU, x86_64, 2 cores", "precision": "float32",
    "python": "3.11", "versions": {"torch": "2.15.0"}, "source": "abc123",
}  # fmt: skip


def saved(results, made=MADE, formerly=(), **changed):
    """Save a record of a run on digits that differs from others in ``changed``."""
    run = Run(**{"dataset": "digits", "model": "small_cnn", "method": "none", **changed})
    values = {"plain": {"accuracy": 0.9}}
    record = Record(run.specification, values, {}, made, formerly=formerly)
    records.save(record, results)
    return run, record
