"""Every strategy of the four papers on noisy digits, where the true label distribution is known.

One network and one recipe for all, at three noises and three sizes of the training set. The seeds
are paired: all strategies of a seed learn the same images from the same initial weights, and are
taught, where they are taught, by the same teacher, the network of that seed with hard labels.
Settings are the papers' own. Where a paper chooses them on held-out data (ILS, and label smoothing
as ILS has it) they are chosen so here, on images that are drawn beside the others.
"""

import itertools
from dataclasses import replace

from ldlstudy import checks, methods
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.experiment.records import Run
from ldlstudy.studies import digits
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.strategies import named

SEEDS = {"paper": 5, "quick": 3, "smoke": 2}
QUICK = (100, 0.5)  # the cell of the quick profile: images of a class, noise
NOISE = {"noise": 0.1}  # what makes two views of an image differ
STRATEGIES = (
    "none", "ls", "ls_chosen", "similarity", "ils1", "ils2", "ils", "max_entropy_light", "adacos",
    "virtual_softmax", "cs_kd", "cs_kd_e", "ddgsd", "byot", "mixup_cs_kd", "kd", "kd_cs_kd",
    "off_ldl", "off_en_ldl", "off_mt_ldl", "cutout", "mixup", "cutmix", "ricap", "on_ldl-cutout",
    "on_ldl-mixup", "on_ldl-cutmix", "on_ldl-ricap", "on_en_ldl-mixup", "on_mt_ldl-mixup", "crd",
    "crd_kd", "sskd", "wsl", "truth",
)  # fmt: skip


def cells(profile: str) -> list[tuple[int, float]]:
    """Return images of a class and noise of every cell of a profile."""
    checks.one_of("profile", profile, PROFILES)
    if profile != "paper":
        return [QUICK]
    return list(itertools.product(digits.SIZES, digits.SIGMAS))


def places(profile: str = "paper") -> dict[str, tuple[int, float]]:
    """Return a profile's cells by the name of their bench, the fewest images first."""
    return {digits.cell_name(size, sigma): (size, sigma) for size, sigma in cells(profile)}


def row(strategy: str) -> str:
    """Return the row of a strategy in the cell of the quick profile."""
    return f"quick {digits.cell_name(*QUICK)} {strategy}"


def bench(size: int, sigma: float, profile: str) -> Bench:
    """Return the bench of a cell; all are judged on noisy digits."""
    return digits.cell(size, sigma, SEEDS[profile], small=profile == "smoke")


def runs(profile: str) -> list[Planned]:
    """Return every run, a seed at a time.

    The paper profile has all nine cells and five seeds, quick one cell and three. An unknown
    profile is a ValueError.
    """
    wanted = cells(profile)
    return [
        plan(size, sigma, strategy, seed, profile)
        for seed in range(SEEDS[profile])
        for size, sigma in wanted
        for strategy in STRATEGIES
    ]


def plan(size: int, sigma: float, strategy: str, seed: int, profile: str) -> Planned:
    """Return one network of a cell."""
    own, chosen = bench(size, sigma, profile), named(strategy)
    teachers: tuple[Run, ...] = ()
    if chosen.teachers:  # networks with hard labels that differ by their seed alone
        first = plan(size, sigma, "none", seed, profile).run
        teachers = digits.alike(first, chosen.teachers)
    settings = digits.negatives(own) if chosen.method in ("crd", "crd_kd") else {}
    keep = ["sampled"] if seed == 0 and (size, sigma) == QUICK else []
    if profile != "paper":
        keep += ["operations", *(["label"] if methods.named(chosen.method).has_label else [])]
    if chosen.noise:
        own = replace(own, augmentation=NOISE)
    return own.plan_strategy(strategy, seed, keep, teachers, settings)
