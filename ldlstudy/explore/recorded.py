"""What explorers show of recorded networks on noisy digits: predictions, images, planes."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from ldlstudy import checks, data, records, smoothing, truth
from ldlstudy.image_figures import positions
from ldlstudy.records import Record, Run

SHOWN = ("none", "ls", "ils", "cs_kd", "mixup", "on_ldl-mixup", "truth")


def predictions(strategies: Iterable[str] = SHOWN) -> dict[str, dict[str, Any]]:
    """What networks say of the same 500 noisy digits, by how their strategy is called.

    Parameters
    ----------
    strategies : iterable of str
        Keys of :data:`ldlstudy.truth.STRATEGIES`.

    Raises
    ------
    ValueError
        An unknown strategy (the known ones are listed), or one that has no record.
    """
    runs, found = truth.runs("paper"), {}
    for strategy in strategies:
        checks.one_of("strategy", strategy, truth.STRATEGIES)
        record = _record(runs[truth.name(*truth.QUICK, strategy)], "truth")
        found[truth.STRATEGIES[strategy].label] = record.figures["sampled"]
    return found


def planes() -> dict[str, dict[str, Any]]:
    """Penultimate planes of several triples of noisy digits, by alpha as text.

    Raises
    ------
    ValueError
        If there is no record of a network.
    """
    runs = smoothing.explored("quick").values()
    return {
        f"{alpha:g}": _record(run, "explore --profile quick").figures["planes"]
        for alpha, run in zip(smoothing.ALPHAS, runs, strict=True)
    }


def _record(run: Run, table: str) -> Record:
    record = records.load(run)
    if record is None:
        raise ValueError(
            f"there is no record of {run.method} {run.id}: run `ldlstudy sweep {table}`"
        )
    return record


def images() -> tuple[Tensor, Tensor]:
    """The same images' true distributions (S, K) and pixels (S, H, W)."""
    run = truth.runs("paper")[truth.name(*truth.QUICK, "none")]
    test = data.load(run.dataset, **run.data).test
    assert test.truth is not None
    assert isinstance(test.pixels, Tensor)
    index = positions(len(test.labels))
    return test.truth[index], test.pixels[index, 0]
