"""What explorers show of recorded networks on noisy digits: predictions, images, planes."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from ldlstudy import checks, data
from ldlstudy.experiment import records
from ldlstudy.experiment.keep import positions
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Record
from ldlstudy.studies.smoothing import runs as smoothing
from ldlstudy.studies.strategies import named
from ldlstudy.studies.truth import runs as truth

SHOWN = ("none", "ls", "ils", "cs_kd", "mixup", "on_ldl-mixup", "truth")


def predictions(strategies: Iterable[str] = SHOWN) -> dict[str, dict[str, Any]]:
    """Return what networks say of the same 500 noisy digits, by the label of their strategy.

    Parameters
    ----------
    strategies : iterable of str
        Those of :data:`ldlstudy.studies.truth.runs.STRATEGIES`.

    Raises
    ------
    ValueError
        An unknown strategy (the known ones are listed), or one that has no record.
    """
    found = {}
    for strategy in strategies:
        checks.one_of("strategy", strategy, truth.STRATEGIES)
        record = _record(truth.plan(*truth.QUICK, strategy, 0, "paper"), "truth")
        found[named(strategy).label] = record.figure("sampled")
    return found


def planes() -> dict[str, dict[str, Any]]:
    """Return penultimate planes of several triples of noisy digits, by alpha as text.

    Raises
    ------
    ValueError
        If there is no record of a network.
    """
    return {
        f"{each.facts['alpha']:g}": _record(each, "explore --profile quick").figure("planes")
        for each in smoothing.explored("quick")
    }


def _record(planned: Planned, table: str) -> Record:
    record = records.load(planned.run)
    if record is None:
        raise ValueError(
            f"there is no record of {planned.name} ({planned.run.id}): run `ldlstudy sweep {table}`"
        )
    return record


def images() -> tuple[Tensor, Tensor]:
    """Return the same images' true distributions (S, K) and pixels (S, H, W)."""
    run = truth.plan(*truth.QUICK, "none", 0, "paper").run
    test = data.load(run.dataset, **run.data).test
    assert test.truth is not None
    assert isinstance(test.pixels, Tensor)
    index = positions(len(test.labels))
    return test.truth[index], test.pixels[index, 0]
