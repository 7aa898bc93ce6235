"""The LDL paper's tables as runs: on which data each network is trained, how, and who teaches whom.

Table 1 compares mixings with and without a teacher, Tables 2 to 5 are of data sets and networks,
Tables 6 and 7 of labels from uncertainty and of other metrics. The paper profile has the paper's
CIFAR, STL10 and ImageNet networks, and a CIFAR-100 of 20 epochs; the others have noisy digits,
whose true label distribution is known, by size and noise.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ldlstudy import checks
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.experiment.records import Run
from ldlstudy.methods import GAP
from ldlstudy.studies import digits
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.strategies import FIVE, MIXINGS, Strategy, named

RECIPE = {
    "epochs": 240,
    "batch": 64,
    "rate": 0.05,
    "weight_decay": 5e-4,
    "drops": [150, 180, 210],
    "order": 0,
}
LONG = {"epochs": 350, "drops": [150, 200, 250, 300]}
LARGE = {
    **RECIPE, "epochs": 90, "batch": 256, "rate": 0.1, "weight_decay": 1e-4, "drops": [30, 60],
}  # fmt: skip
LARGE_LONG = {"epochs": 120, "drops": [30, 60, 90]}
SHORT = {**RECIPE, "epochs": 20, "drops": [12, 15, 17]}  # a twelfth of the epochs
SEEDS = 3


def _cropped(side: int, pad: int, normalise: str) -> dict[str, Any]:
    return {"crop": side, "pad": pad, "flip": True, "normalise": normalise}


AUGMENTATIONS = {  # by data set
    "cifar10": _cropped(32, 4, "cifar10"),
    "cifar100": _cropped(32, 4, "cifar100"),
    "stl10": _cropped(96, 12, "imagenet"),
    "imagenet": {"crop": 224, "flip": True, "normalise": "imagenet"},
}
SMALL = ("resnet20", "resnet56", "resnet110")
WIDE = ("resnet18", "resnet50", "resnet200")
ARCHITECTURES = ("resnext29_4x64d", "densenet121", "dla")
TEACHERS = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110")  # of En and MT
DEEP = ("resnet18", "resnet50", "resnet101", "resnet152")
REDUCED = "cifar100-resnet20-reduced"
SHOWN = ("none", "ls_wrong", "off_ldl", "on_ldl-cutmix")  # in figures of photographs
COMPARED = ("none", "ls_wrong", "mixup", "off_ldl", "on_ldl-mixup", "truth")  # by size and noise
PLANES = ("none", "ls_wrong", "kd_ldl", "off_ldl")  # and all that mix: Figures 7 and 9
LOSSES = ("none", "ls_wrong", "off_ldl", "on_ldl")  # bases of Figure 8
RIVALS = ("crd", "crd_kd", "sskd", "wsl")
USED = ("mixup", "cutmix", "ricap")  # in Table 1
PLAIN = (
    "none", "ls_wrong", "kd_ldl", "off_ldl", "off_ldl_views", "off_en_ldl", "off_mt_ldl",
    "off_mt_ldl_mean",
)  # fmt: skip
ONLINE = ("on_en_ldl", "on_mt_ldl", "on_mt_ldl_mean")


UNSURE = ("none-held", "mcdo", "on_ldl-mcdo_t", "on_ldl-mcdo_st", "on_ldl-mcdo_t-cutmix", "ogr",
          "on_ldl-ogr")  # fmt: skip
LONGER = ("none-long", "on_ldl-mixup-long", "on_ldl-cutmix-long")
SHIFTED = f"{digits.NAME}-shifted"  # where two views of an image differ
VIEWED = ("none", "off_ldl", "off_ldl_views")


def mixed(base: str, mixing: str) -> str:
    """Return the name of a strategy with a mixing."""
    return mixing if base == "none" else f"{base}-{mixing}"


EVERY = (
    *PLAIN,
    *(mixed(b, m) for m in MIXINGS for b in ("none", "ls_wrong", "kd_ldl", "off_ldl")),
    *(mixed(b, m) for m in MIXINGS for b in ("on_ldl", *ONLINE)),
)
EVERY_QUICK = (
    *PLAIN,
    *(mixed(b, m) for m in MIXINGS for b in ("none", "on_ldl")),
    *(mixed(b, "mixup") for b in ONLINE),
    *RIVALS,
    "truth",
    *UNSURE,
    *LONGER,
)


def benches(profile: str) -> dict[str, Bench]:
    """Return the networks of a profile by name; an unknown profile is a ValueError."""
    checks.one_of("profile", profile, PROFILES)
    found = _paper() if profile == "paper" else _digits(profile)
    return {bench.name: bench for bench in found}


def _digits(profile: str) -> list[Bench]:
    cells = [
        digits.cell(size, sigma, SEEDS if profile == "quick" else 2, small=profile == "smoke")
        for sigma, size in itertools.product(digits.SIGMAS, digits.SIZES)
    ]
    usual = next(c for c in cells if c.facts == {"sigma": digits.SIGMA, "size": digits.TRAIN})
    shifted = replace(usual, name=SHIFTED, augmentation={"shift": 1}, facts={})
    return [replace(usual, name=digits.NAME), shifted, *cells]


def _paper() -> list[Bench]:
    networks = {
        "cifar100": (*TEACHERS, *WIDE, *ARCHITECTURES),
        "cifar10": TEACHERS,
        "stl10": TEACHERS,
        "imagenet": DEEP,
    }
    small = AUGMENTATIONS["cifar100"]
    made = [Bench(REDUCED, "cifar100", "resnet20", SHORT, augmentation=small, level="reduced")]
    for dataset, names in networks.items():
        recipe, stem = (LARGE, {"stem": "7x7"}) if dataset == "imagenet" else (RECIPE, {})
        for name in names:
            made.append(
                Bench(f"{dataset}-{name}", dataset, name, recipe, network=stem, seeds=SEEDS,
                      augmentation=AUGMENTATIONS[dataset])
            )  # fmt: skip
    return made


def runs(table: int | str, profile: str) -> list[Planned]:
    """Return every run of a table.

    Parameters
    ----------
    table : int or str
        1 to 7 of the paper; ``methods``: all nine configurations with every mixing, on CIFAR-100
        and on noisy digits; ``truth``: some of them on noisy digits by size and noise.
    profile : str
        The paper's tables are in the paper profile alone, ``truth`` in the others.

    Raises
    ------
    ValueError
        An unknown table or profile, or a profile that has no such table.
    """
    checks.one_of("profile", profile, PROFILES)
    if isinstance(table, int):
        checks.one_of("table of the paper", str(table), [str(n) for n in range(1, 8)])
        checks.one_of(f"profile of LDL's Table {table}", profile, ["paper"])
        wanted = _table(table)
    elif checks.one_of("table of LDL", table, ["methods", "truth"]) == "truth":
        checks.one_of("profile of `truth`", profile, ["quick", "smoke"])
        cells = [b for b in benches(profile) if b not in (digits.NAME, SHIFTED)]
        wanted = [(b, m) for b in cells for m in COMPARED]
    elif profile == "paper":
        wanted = [("cifar100-resnet20", name) for name in EVERY]
    else:
        wanted = [(digits.NAME, name) for name in EVERY_QUICK]
        wanted += [(SHIFTED, name) for name in VIEWED]
    known = benches(profile)
    return [
        _plan(known, bench, name, seed)
        for bench, name in wanted
        for seed in range(known[bench].seeds)
    ]


def _table(table: int) -> list[tuple[str, str]]:
    """Benches and strategies of a table, and what the reduced CIFAR-100 has of it."""
    hundred = {network: f"cifar100-{network}" for network in (*SMALL, *WIDE, *ARCHITECTURES)}
    if table == 1:
        four = (*SMALL[:2], *WIDE[:2])
        blends = [mixed(base, mixing) for base in ("none", "on_ldl") for mixing in USED]
        return [
            *((hundred[n], m) for n in four for m in ("none", "off_ldl", *blends)),
            *((hundred[n], f"on_ldl-{best(n)}-long") for n in four),
            *((REDUCED, m) for m in ("none", "ls_wrong", "off_ldl", "on_ldl-cutmix")),
        ]
    if table == 2:
        online = [mixed(base, "ricap") for base in ("on_ldl", "on_en_ldl", "on_mt_ldl")]
        offline = ("none", "ls_wrong", "kd_ldl", "off_ldl", "off_en_ldl", "off_mt_ldl")
        names = (*offline, *online, *(f"{name}-long" for name in online))
        return [(f"{d}-{n}", m) for d in ("cifar10", "stl10") for n in SMALL[:2] for m in names]
    if table == 3:
        small = ("none", "ls_wrong", "kd_ldl", *RIVALS, "off_mt_ldl", "on_ldl-ricap-long")
        wide = (
            "none", "ls_wrong", "kd_ldl", "crd_kd", "wsl", "on_ldl-cutmix", "on_ldl-cutmix-long",
        )  # fmt: skip
        return [
            *((hundred[network], name) for network in SMALL for name in small),
            *((hundred[network], name) for network in WIDE for name in wide),
        ]
    plain = ("none", "ls_wrong", "off_ldl", "on_ldl-cutmix")
    if table == 4:
        return [(f"imagenet-{n}", m) for n in DEEP for m in (*plain, "on_ldl-cutmix-long")]
    if table == 5:
        return [
            (hundred[network], name) for network in ARCHITECTURES for name in (*plain, "kd_ldl")
        ]
    names = ("none", "none-held", "ls_wrong", "kd_ldl", "crd_kd", "wsl")
    unsure = ("mcdo", "on_ldl-mcdo_t", "on_ldl-mcdo_st", "on_ldl-mcdo_t-cutmix")
    own = (*unsure, "ogr", "on_ldl-ogr") if table == 6 else ("off_ldl", "on_ldl-mcdo_st")
    online = ["on_ldl-cutmix", "on_ldl-cutmix-long"]
    return [(hundred[network], m) for network in WIDE for m in (*names, *own, *online)]


def with_fast(strategy: str) -> str:
    """Return what stands for a strategy with the fast network, which smooths over all classes."""
    return "ls" if strategy == "ls_wrong" else strategy


def diagram(level: str) -> str:
    """Return which reliability diagram the runs of a level keep: the paper's, where they can.

    The reduced networks were measured in 15 bins, before the paper's 10 were asked for.
    """
    return "reliability" if level == "reduced" else "reliability_10"


def best(model: str) -> str:
    """Return On-LDL's mixing where the paper names none: its best on small networks, on others."""
    return "ricap" if model in SMALL else "cutmix"


def _plan(known: Mapping[str, Bench], bench: str, name: str, seed: int) -> Planned:
    """A network; the first seed keeps what the figures draw."""
    own, strategy = known[bench], named(name)
    settings = digits.negatives(own) if strategy.method in ("crd", "crd_kd") else {}
    if strategy.method == "ogr" and own.recipe["epochs"] <= GAP:
        settings = {"gap": 1}  # of the smoke profile, whose epochs are fewer than LDL's gap
    teachers = _teachers(known, bench, strategy, seed)
    keep = _kept(own, strategy, bool(teachers)) if seed == 0 else ()
    if strategy.long:
        own = replace(own, recipe={**own.recipe, **_longer(own)})
    return own.plan_strategy(name, seed, keep, teachers, settings)


def _longer(own: Bench) -> Mapping[str, Any]:
    """What long training changes in a recipe; noisy digits have as large a share of epochs more."""
    if own.level == "quick":
        return {"epochs": round(own.recipe["epochs"] * LONG["epochs"] / RECIPE["epochs"])}
    return LARGE_LONG if own.dataset == "imagenet" else LONG


def _kept(own: Bench, strategy: Strategy, taught: bool) -> Iterable[str]:
    yield "by_class"
    if own.name == digits.NAME or own.level != "quick":  # no figure draws the others
        yield diagram(own.level)
    unlabelled = strategy.base in PLANES and not strategy.long
    if own.dataset in ("cifar100", "imagenet", "noisy_digits") and (strategy.mixing or unlabelled):
        yield "similar"
    if strategy.mixing in ("", "cutmix") and strategy.base in LOSSES:
        yield "test_class_loss"
    if strategy.mixing and taught:
        yield "supervision"


def _teachers(
    known: Mapping[str, Bench], bench: str, strategy: Strategy, seed: int
) -> tuple[Run, ...]:
    """Vanilla networks: one for all seeds in the paper profile, of a draw's own data elsewhere."""
    if not strategy.teachers:
        return ()
    own = known[bench]
    if own.level != "paper":
        first = _plan(known, bench, strategy.taught_by, seed).run
        return digits.alike(first, strategy.teachers)
    if strategy.teachers == FIVE:
        models: tuple[str, ...] = TEACHERS
    elif own.dataset == "imagenet":
        models = ("resnet152",)
    else:
        models = ("resnet110",) if own.model in TEACHERS else ("resnet200",)
    return tuple(
        _plan(known, f"{own.dataset}-{model}", strategy.taught_by, 0).run for model in models
    )
