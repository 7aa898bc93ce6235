"""What explorers show of the study with a known truth: recorded predictions, and their images."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from ldlstudy import checks, data, records, truth
from ldlstudy.image_figures import positions

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
        record = records.load(runs[truth.name(*truth.QUICK, strategy)])
        if record is None:
            raise ValueError(f"there is no record of {strategy!r}: run `ldlstudy sweep truth`")
        found[truth.STRATEGIES[strategy].label] = record.figures["sampled"]
    return found


def images() -> tuple[Tensor, Tensor]:
    """The same images' true distributions (S, K) and pixels (S, H, W)."""
    run = truth.runs("paper")[truth.name(*truth.QUICK, "none")]
    test = data.load(run.dataset, **run.data).test
    assert test.truth is not None
    assert isinstance(test.pixels, Tensor)
    index = positions(len(test.labels))
    return test.truth[index], test.pixels[index, 0]
