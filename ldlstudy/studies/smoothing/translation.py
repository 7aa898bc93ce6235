"""The replication's Transformer as runs ([Re] section 5.2): the last row of Table 3, Figures 4, 5.

The paper profile has the paper's network on Multi30k, and a reduced one: half as wide, trained for
fewer epochs. The quick one has an invented language, whose true next words are known.
"""

from dataclasses import replace

from ldlstudy import checks
from ldlstudy.data import translation
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.smoothing.runs import ALPHAS, OWN_ALPHAS, smoothed

RECIPE = {"epochs": 18, "batch": 128, "rate": 1e-4}
WITHOUT_DROPOUT = {"dropout": 0.0}  # as in the authors' code
SMALL = {"layers": 1, "width": 64, "heads": 4, "feedforward": 64, "dropout": 0.0}
FULL = Bench(
    "multi30k-transformer", translation.NAME, "transformer", RECIPE, network=WITHOUT_DROPOUT,
    seeds=2,
)  # fmt: skip
REDUCED = replace(  # half as wide, which learns at a higher rate
    FULL, name=f"{FULL.name}-reduced", recipe={**RECIPE, "epochs": 5, "rate": 5e-4},
    network={**WITHOUT_DROPOUT, "width": 256, "feedforward": 256}, seeds=1, level="reduced",
    smaller="half as wide",
)  # fmt: skip
INVENTED = Bench(
    "synonyms-transformer", translation.MADE, "transformer",
    {"epochs": 12, "batch": 64, "rate": 3e-3}, {"train": 800, "held": 200, "test": 400},
    network=SMALL, seeds=3, level="quick",
)  # fmt: skip
TRAINED = {FULL.name: ALPHAS, REDUCED.name: OWN_ALPHAS, INVENTED.name: (0.0, 0.1, 0.3)}


def benches(profile: str) -> tuple[Bench, ...]:
    """Return the benches of a profile; an unknown one is a ValueError."""
    checks.one_of("profile", profile, PROFILES)
    if profile == "paper":
        return FULL, REDUCED
    if profile == "quick":
        return (INVENTED,)
    sizes = {"train": 40, "held": 20, "test": 20}
    return (replace(INVENTED, data=sizes, recipe={**INVENTED.recipe, "epochs": 2}, seeds=2),)


def runs(profile: str) -> list[Planned]:
    """Return a run for each smoothing factor and seed."""
    return [
        smoothed(bench, alpha, seed, keep=())
        for bench in benches(profile)
        for alpha in TRAINED[bench.name]
        for seed in range(bench.seeds)
    ]
