"""The networks of the CS-KD paper's tables, as runs.

Table 1 compares CS-KD with methods that regularise the output (ECE, R@1 and Figures 1 to 5 are of
the same networks), Table 2 with networks that teach themselves, Tables 3 and 4 combine it with
mixup and with distillation, Table 5 is ImageNet, Figure 4 a mix of three domains. The paper profile
has the paper's sets and networks, three seeds each, and reduced ones; the others have noisy digits.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ldlstudy import checks
from ldlstudy.data import mixed
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.experiment.records import Run
from ldlstudy.studies import digits
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.strategies import SOFT, named

TEMPERATURES, WEIGHTS = (1.0, 4.0), (1.0, 2.0, 3.0, 4.0)
OUTPUT = ("none", "adacos", "virtual_softmax", "max_entropy", "ls", "cs_kd")
SELF = ("none", "ddgsd", "byot", "cs_kd")
MIXED = ("none", "cs_kd", "mixup", "mixup_cs_kd")
DISTILLED = ("none", "cs_kd", "kd", "kd_cs_kd")
OURS = ("cs_kd_eval", "max_entropy_light")  # what the partner's pass and the penalty change

RECIPE = {"epochs": 200, "batch": 128, "rate": 0.1, "weight_decay": 1e-4, "drops": [100, 150]}
FINE = {**RECIPE, "batch": 32}
SHORT_FINE = {**FINE, "epochs": 10, "drops": [5, 8]}
LARGE = {**FINE, "epochs": 90, "batch": 256, "drops": [30, 60]}
SHORT = {**RECIPE, "epochs": 20, "drops": [10, 15]}  # a tenth of the epochs
SMALL = {"crop": 32, "pad": 4, "flip": True, "normalise": "cskd"}
TINY = {"crop": 64, "pad": 4, "flip": True, "normalise": "imagenet"}
CROP = {"crop": 224, "flip": True, "normalise": "imagenet"}
SEEDS = 3
STEM = {"stem": "7x7"}
PROTOCOLS = {  # data set: augmentation, recipe, the weight of CS-KD's term
    "cifar100": (SMALL, RECIPE, 1.0),
    "tiny_imagenet": (TINY, RECIPE, 1.0),
    "cub200": (CROP, FINE, 3.0),
    "stanford_dogs": (CROP, FINE, 3.0),
    "mit67": (CROP, FINE, 3.0),
}
PREACT = ("cifar100", "tiny_imagenet")  # where the authors' small ResNets are pre-activation ones
REDUCED = "cifar100-resnet20-reduced"
DOMAINS = "three_domains-resnet18"  # Figure 4
SMALL_DOMAINS = "three_small_domains-small_cnn-reduced"
DIGITS, STUDENT = digits.NAME, "noisy_digits-small_fcn"
NOISE = {"noise": 0.1}  # so that two views of an image differ
DATA = {"sigma": 0.5, "train": 400, "test": 300}
CNN = {"epochs": 20, "batch": 128, "rate": 0.05, "schedule": "linear"}


def model(dataset: str, name: str) -> str:
    """Return which network the paper calls ResNet-18 or -10 on a set; others keep their names."""
    return f"preact_{name}" if name in ("resnet10", "resnet18") and dataset in PREACT else name


def benches(profile: str) -> dict[str, Bench]:
    """Return the networks of a profile by name; an unknown profile is a ValueError."""
    checks.one_of("profile", profile, PROFILES)
    found = _paper() if profile == "paper" else _digits(profile)
    return {bench.name: bench for bench in found}


def _digits(profile: str) -> list[Bench]:
    own = {"seeds": SEEDS, "data": DATA} if profile == "quick" else {
        "seeds": 2, "data": {"sigma": 0.5, "train": 20, "test": 20}
    }  # fmt: skip
    recipe = CNN if profile == "quick" else {**CNN, "epochs": 2}
    same = {"recipe": recipe, "augmentation": NOISE, "level": "quick", **own}
    return [
        Bench(DIGITS, "noisy_digits", "small_cnn",
              network={"norm": True}, **same),  # type: ignore[arg-type]
        Bench(STUDENT, "noisy_digits", "small_fcn",
              network={"hidden": [32, 32]}, **same),  # type: ignore[arg-type]
    ]  # fmt: skip


def _paper() -> list[Bench]:
    made = [
        Bench(REDUCED, "cifar100", "resnet20", SHORT, augmentation=SMALL, level="reduced"),
        Bench(DOMAINS, "three_domains", "resnet18", FINE, augmentation=CROP, network=STEM,
              seeds=SEEDS),
        Bench(SMALL_DOMAINS, "three_small_domains", "small_cnn", SHORT_FINE, {"test": 30},
              augmentation={"crop": 32, "pad": 4}, network={"norm": True}, level="reduced"),
    ]  # fmt: skip
    for dataset, (augmentation, recipe, _) in PROTOCOLS.items():
        for name in ("resnet18", "densenet121", "resnet10"):
            own, stem = model(dataset, name), STEM if recipe is FINE else {}
            made.append(
                Bench(f"{dataset}-{own}", dataset, own, recipe, augmentation=augmentation,
                      network=stem, seeds=SEEDS, facts={"network": name})
            )  # fmt: skip
    for name in ("resnet50", "resnet101", "resnext101_32x4d"):
        made.append(
            Bench(f"imagenet-{name}", "imagenet", name, LARGE, augmentation=CROP, network=STEM,
                  facts={"network": name})
        )  # fmt: skip
    return made


def runs(table: int, profile: str) -> list[Planned]:
    """Return every run of a table.

    A table other than 1 to 5, an unknown profile, or Table 5 in another than the paper's is a
    ValueError.
    """
    checks.in_range("table", checks.whole("table", table, 1), 1, 5)
    known = benches(profile)
    if table == 5:
        checks.one_of("profile of Table 5", profile, ["paper"])
    wanted = _wanted(table) if profile == "paper" else QUICK_TABLES[table]
    return [
        _plan(known, bench, strategy, seed)
        for bench, strategy in wanted
        for seed in range(known[bench].seeds)
    ]


def _wanted(table: int) -> list[tuple[str, str]]:
    """Benches and strategies of a table of the paper, and what the reduced CIFAR-100 has of it."""
    if table == 5:
        large = [bench.name for bench in _paper() if bench.dataset == "imagenet"]
        return [(bench, strategy) for bench in large for strategy in ("none", "cs_kd")]
    strategies = {1: (*OUTPUT, "cs_kd_e"), 2: SELF, 3: MIXED, 4: DISTILLED}[table]
    models = {1: ("resnet18", "densenet121"), 4: ("resnet10",)}.get(table, ("resnet18",))
    full = [
        (f"{dataset}-{model(dataset, name)}", strategy)
        for dataset in PROTOCOLS
        for name in models
        for strategy in strategies
        if strategy != "cs_kd_e" or name == "resnet18"
    ]
    reduced = {1: ("none", "ls", "max_entropy", "cs_kd"), 3: MIXED}.get(table, ())
    return full + [(REDUCED, strategy) for strategy in reduced]


QUICK_TABLES = {
    1: [(DIGITS, strategy) for strategy in (*OUTPUT, "cs_kd_e", *OURS)],
    2: [(DIGITS, strategy) for strategy in SELF],
    3: [(DIGITS, strategy) for strategy in MIXED],
    4: [(STUDENT, strategy) for strategy in DISTILLED],
}


def figure4(profile: str) -> list[Planned]:
    """Return the networks of Figure 4, on three domains, and reduced ones on three small domains.

    Another profile than the paper's is a ValueError.
    """
    checks.one_of("profile of Figure 4", profile, ["paper"])
    known = benches(profile)
    wanted = {DOMAINS: OUTPUT, SMALL_DOMAINS: ("none", "ls", "cs_kd")}
    return [
        _plan(known, bench, strategy, seed)
        for bench, strategies in wanted.items()
        for strategy in strategies
        for seed in range(known[bench].seeds)
    ]


def grid(profile: str) -> list[Planned]:
    """Return CS-KD on noisy digits at every temperature and weight that the paper tried.

    The authors' setting is the run of Table 1. An unknown profile, or the paper's, which has no
    noisy digits, is a ValueError.
    """
    checks.one_of("profile of the grid", profile, ["quick", "smoke"])
    known = benches(profile)
    found = []
    for temperature, weight in itertools.product(TEMPERATURES, WEIGHTS):
        settings = {"temperature": temperature, "weight": weight}
        for seed in range(known[DIGITS].seeds):
            planned = _plan(known, DIGITS, "cs_kd", seed)
            if settings != SOFT:
                run = replace(planned.run, settings=settings)
                planned = replace(planned, run=run, keep=("errors", "neighbours"))
            name = grid_point(temperature, weight)
            found.append(replace(planned, strategy=name, facts=settings))
    return found


def grid_point(temperature: float, weight: float) -> str:
    """Return how a point of the grid is called."""
    return f"cs_kd T{temperature:g} l{weight:g}"


def _plan(known: Mapping[str, Bench], bench: str, strategy: str, seed: int) -> Planned:
    """A network; the first of cross entropy and of CS-KD keeps what the figures draw."""
    own, settings = known[bench], {}
    weight = PROTOCOLS[own.dataset][2] if own.dataset in PROTOCOLS else SOFT["weight"]
    if own.dataset in mixed.MIXED:
        weight = PROTOCOLS["cub200"][2]  # as on the sets that the paper mixes
    method = named(strategy).method
    if method in ("cs_kd", "cs_kd_e", "kd_cs_kd"):
        settings = {"class_weight" if method == "kd_cs_kd" else "weight": weight}
    keep: Iterable[str] = ("errors", "neighbours")
    if own.dataset in mixed.MIXED:
        keep = ("domains", *keep)
    if seed == 0:
        keep = (*keep, "reliability_20")
        if strategy in ("none", "cs_kd"):
            keep = ("answers", "embedding", *keep)
    teachers: tuple[Run, ...] = ()
    if named(strategy).teachers:
        teacher = DIGITS if bench == STUDENT else f"{own.dataset}-densenet121"
        teachers = (_plan(known, teacher, "cs_kd", seed).run,)
    return own.plan_strategy(strategy, seed, keep, teachers, settings)
