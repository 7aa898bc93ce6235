"""What explorers show of recorded networks on noisy digits: predictions, images, planes."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ldlstudy import checks, data
from ldlstudy.experiment import records
from ldlstudy.experiment.keep import positions
from ldlstudy.experiment.plan import Planned
from ldlstudy.studies.smoothing import runs as smoothing
from ldlstudy.studies.strategies import named
from ldlstudy.studies.truth import runs as truth

SHOWN = ("none", "ls", "ils", "cs_kd", "mixup", "on_ldl-mixup", "truth")


def predictions(strategies: Iterable[str] = SHOWN) -> dict[str, dict[str, Any]]:
    """Return what networks say of the same 500 noisy digits, by the label of their strategy.

    A strategy that was not run is left out.

    Parameters
    ----------
    strategies : iterable of str
        Those of :data:`ldlstudy.studies.truth.runs.STRATEGIES`.

    Raises
    ------
    ValueError
        An unknown strategy (the known ones are listed), or none of which there is a record.
    """
    planned = {
        named(strategy).label: truth.plan(*truth.QUICK, strategy, 0, "paper")
        for strategy in strategies
        if checks.one_of("strategy", strategy, truth.STRATEGIES)
    }
    return _figures(planned, "sampled", "truth")


def temperature(strategy: str) -> float:
    """Return the temperature that was fitted to a network of :func:`predictions`.

    Raises
    ------
    ValueError
        If there is no record of it.
    """
    record = records.load(truth.plan(*truth.QUICK, strategy, 0, "paper").run)
    if record is None:
        raise ValueError(f"{strategy!r} has no record: run `ldlstudy sweep truth`")
    return float(record.values["fitted"]["temperature"])


def planes() -> dict[str, dict[str, Any]]:
    """Return penultimate planes of several triples of noisy digits, by alpha as text.

    Raises
    ------
    ValueError
        If there is no record of any network.
    """
    planned = {f"{each.facts['alpha']:g}": each for each in smoothing.explored("quick")}
    return _figures(planned, "planes", "explore --profile quick")


def _figures(planned: Mapping[str, Planned], name: str, table: str) -> dict[str, dict[str, Any]]:
    """What records keep, by label; networks that were not run are left out."""
    found = {label: records.load(each.run) for label, each in planned.items()}
    there = {label: record.figure(name) for label, record in found.items() if record is not None}
    if not there:
        raise ValueError(f"no network has a record: run `ldlstudy sweep {table}`")
    return there


def images() -> tuple[Tensor, Tensor]:
    """Return the same images' true distributions (S, K) and pixels (S, H, W)."""
    run = truth.plan(*truth.QUICK, "none", 0, "paper").run
    test = data.load(run.dataset, **run.data).test
    assert test.truth is not None
    assert isinstance(test.pixels, Tensor)
    index = positions(len(test.labels))
    return test.truth[index], test.pixels[index, 0]
