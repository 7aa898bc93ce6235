"""Label enhancement: strategies recover label distributions of which only the best class is shown.

On the sets of the field of label distribution learning the truth of every sample is known. A small
network learns the labels that a strategy makes of the most probable classes, in repeated ten-fold
cross-validation; then the six measures of the field hold its predictions, and the labels
themselves, against the truth.
"""

from collections.abc import Mapping
from typing import Any

from ldlstudy import checks
from ldlstudy.data import distributions
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.experiment.points import RECIPE
from ldlstudy.experiment.records import Run
from ldlstudy.studies.strategies import named

MODEL = "mlp64x1"
REPEATS = {"Movie": 1}  # of ten folds; its 1,869 features take a network a hundred times as long
OTHERS = 5
STRATEGIES = (
    "none", "ls", "ls_chosen", "ils1", "ils2", "ils", "beta", "off_ldl", "neighbours",
    "propagation", "truth",
)  # fmt: skip
SMALL: dict[str, Mapping[str, Any]] = {"quick": {}, "smoke": {"epochs": 12}}


def sets(profile: str) -> tuple[str, ...]:
    """Return the sets of a profile: the published ones, or the one that is made here."""
    checks.one_of("profile", profile, PROFILES)
    if profile != "paper":
        return (distributions.MADE,)
    known = distributions.SETS
    return tuple(sorted(known, key=lambda name: known[name][0] * known[name][1]))


def runs(profile: str) -> list[Planned]:
    """Return every run, the smallest sets first; each is of all folds of all repetitions."""
    found = []
    for name in sets(profile):
        repeats = 1 if profile != "paper" else REPEATS.get(name, OTHERS)
        more = SMALL.get(profile, {})
        found += [_plan(name, strategy, repeats, more) for strategy in STRATEGIES]
    return found


def _plan(dataset: str, strategy: str, repeats: int, more: Mapping[str, Any]) -> Planned:
    chosen = named(strategy)
    hard = _run(dataset, "none", repeats, more)
    teachers = (hard,) if chosen.teachers else ()
    return Planned(_run(dataset, strategy, repeats, more, *teachers), (), dataset, strategy, "fast")


def _run(dataset: str, strategy: str, repeats: int, more: Mapping[str, Any], *teachers: Run) -> Run:
    own = named(strategy)
    return Run(
        dataset,
        MODEL,
        own.method,
        settings=own.settings,
        recipe={**RECIPE, **more},
        teachers=teachers,
        replicates=distributions.FOLDS * repeats,
    )
