"""Every strategy on CIFAR-10 and CIFAR-100 with a network that a processor trains to the end.

The papers' networks need a GPU. The fast one (:mod:`ldlstudy.models.fast`) does with two cores, so
that strategies can be compared on real images with three seeds. These are paired:
the same first weights and the same order of images. The networks with hard labels of all seeds
teach where several teachers are asked for, that of the same seed where one is.
"""

from dataclasses import replace
from typing import Any

from ldlstudy import checks
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Run
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.strategies import named

SEEDS = 3
RECIPE = {
    "epochs": 24,
    "batch": 500,
    "rate": 0.75,
    "momentum": 0.85,
    "nesterov": True,
    "weight_decay": 1e-3,
    "schedule": "triangle",
}
LONG = {"epochs": 96}  # the regime of the papers: the training set is learnt by heart
# the same regime for little: as few images of a class as CUB-200 has, and the weight decay of three
# of the papers
FEW = {"epochs": 30, "batch": 50, "rate": 0.15, "weight_decay": 1e-4}
DECAYED = {"weight_decay": 2e-3}  # what another way to be less sure does
FEW_IMAGES, ALL_IMAGES = 30, 500  # of a class of CIFAR-100
FEW_DATA = {"per_class": 2 * FEW_IMAGES, "held": 0.5}
NAMES = {dataset: f"{dataset}-fast_cnn" for dataset in ("cifar10", "cifar100")}
CIFAR10, CIFAR100 = NAMES.values()  # the benches of full training
FEW_BENCH = f"{CIFAR100}-few"
DECAYED_BENCH = f"{FEW_BENCH}-decayed"
DOUBLED_BENCH = f"{FEW_BENCH}-doubled"
FIRST = ("none", "ls", "cs_kd", "off_ldl", "on_ldl-cutmix", "none-held", "ils_fixed")
THEN = (
    "ils1_fixed", "ils2_fixed", "mixup", "cutmix", "kd", "max_entropy",
    "max_entropy_light", "adacos", "on_en_ldl3-cutmix", "on_mt_ldl3-cutmix", "ddgsd",
)  # fmt: skip
OF_FEW = (
    "none", "ls", "cs_kd", "off_ldl", "cutmix", "on_ldl-cutmix", "ils_fixed", "mixup", "kd",
    "max_entropy_light", "mixup_cs_kd", "on_en_ldl3-cutmix",
)  # fmt: skip
KEEP = ("errors", "neighbours")
DRAWN = (  # of the first seed
    "answers", "by_class", "embedding", "plane", "reliability", "reliability_10", "reliability_20",
    "sampled",
)  # fmt: skip


def benches(profile: str) -> dict[str, Bench]:
    """Return the benches by name: of each set that of full training, and the long one.

    The smoke profile has noisy digits in their place, the quick profile none: a ValueError.
    """
    checks.one_of("profile of the fast network", profile, ["paper", "smoke"])
    if profile == "smoke":
        data: dict[str, Any] = {"sigma": 0.5, "train": 20, "test": 20}
        short = {**RECIPE, "epochs": 2, "batch": 50}
        made = [
            Bench("noisy_digits-fast_cnn", "noisy_digits", "fast_cnn", short, data, seeds=2,
                  network={"widths": [8, 16, 16], "padding": 1}, level="fast")
        ]  # fmt: skip
    else:
        made = [bench for name in NAMES for bench in (_bench(name), _long(_bench(name)))]
    return {bench.name: bench for bench in made}


def _bench(dataset: str) -> Bench:
    augmentation = {"crop": 32, "pad": 2, "flip": True, "normalise": dataset}
    return Bench(
        NAMES[dataset], dataset, "fast_cnn", RECIPE, augmentation=augmentation,
        seeds=SEEDS, level="fast",
    )  # fmt: skip


def long(bench: str) -> str:
    """Return the name of the bench that trains longer than a given one."""
    return f"{bench}-long"


def _long(bench: Bench) -> Bench:
    return replace(bench, name=long(bench.name), recipe={**bench.recipe, **LONG})


def runs(profile: str) -> list[Planned]:
    """Return every run: seed by seed, the strategies of most chapters first.

    The long benches have these alone. A profile that has none is a ValueError.
    """
    known = benches(profile)
    return [
        plan(bench, strategy, seed)
        for names, longer in ((FIRST, False), (FIRST, True), (THEN, False))
        for seed in range(SEEDS)
        for bench in known.values()
        if (bench.recipe["epochs"] == LONG["epochs"]) == longer and seed < bench.seeds
        for strategy in names
    ]


def few_bench() -> Bench:
    """Return the bench of few images; as many are held out, for temperatures."""
    full = _bench("cifar100")
    return replace(
        full, name=FEW_BENCH, recipe={**full.recipe, **FEW}, data=FEW_DATA,
        smaller=f"{FEW_IMAGES} images of a class",
    )  # fmt: skip


def decayed_bench() -> Bench:
    """Return that of few images with a large weight decay."""
    own = few_bench()
    return replace(own, name=DECAYED_BENCH, recipe={**own.recipe, **DECAYED})


def doubled_bench() -> Bench:
    """Return that which trains on the images that the others hold out as well."""
    images = 2 * FEW_IMAGES
    return replace(
        few_bench(), name=DOUBLED_BENCH, data={"per_class": images},
        smaller=f"{images} images of a class",
    )  # fmt: skip


def few(profile: str) -> list[Planned]:
    """Return the runs on few images, a seed at a time; another profile than paper is a ValueError.

    All seeds see the same images, as those of a small data set do. Hard labels are run once more
    with a large weight decay, and on the images that are held out as well.
    """
    checks.one_of("profile of few images", profile, ["paper"])
    wanted = [(few_bench(), strategy) for strategy in OF_FEW]
    wanted += [(decayed_bench(), "none"), (doubled_bench(), "none")]
    return [plan(bench, strategy, seed) for seed in range(SEEDS) for bench, strategy in wanted]


def plan(bench: Bench, strategy: str, seed: int) -> Planned:
    """Return one network."""
    chosen, teachers = named(strategy), tuple[Run, ...]()
    if chosen.teachers:
        seeds = range(bench.seeds) if chosen.teachers > 1 else [seed]
        teachers = tuple(plan(bench, chosen.hard_labels, each).run for each in seeds)
    keep = (*KEEP, *(DRAWN if seed == 0 else ()))
    if bench.dataset == "cifar100" and seed == 0:
        keep = (*keep, "similar")
    if bench.dataset != "cifar100":
        keep = (*keep, "people")
    return bench.plan_strategy(strategy, seed, keep, teachers)
