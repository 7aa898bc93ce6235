"""The networks of the CS-KD paper's tables, as runs.

Table 1 compares CS-KD with methods that regularise the output (ECE, R@1 and Figures 1 to 5 are of
the same networks), Table 2 with networks that teach themselves, Tables 3 and 4 combine it with
mixup and with distillation, Table 5 is ImageNet. The paper profile has the paper's sets and
networks, three seeds each, and a reduced CIFAR-100; the others have noisy digits.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ldlstudy import checks
from ldlstudy.records import PROFILES, Run
from ldlstudy.smoothing import Bench

SOFT = {"temperature": 4.0, "weight": 1.0}  # the authors' on CIFAR-100
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("none", {}),
    "adacos": ("adacos", {}),
    "virtual_softmax": ("virtual_softmax", {}),
    "max_entropy": ("max_entropy", {"weight": 1.0}),  # what the printed ECE implies
    "ls": ("ls", {"epsilon": 0.1}),
    "cs_kd": ("cs_kd", SOFT),
    "cs_kd_e": ("cs_kd_e", {**SOFT, "consistency": 1.0}),
    "ddgsd": ("ddgsd", {**SOFT, "discrepancy": 0.005}),
    "byot": ("byot", {"temperature": 3.0, "weight": 0.3, "hint": 0.03}),
    "mixup": ("mixup", {"alpha": 1.0}),
    "mixup_cs_kd": ("mixup_cs_kd", {"alpha": 1.0, **SOFT}),
    "kd": ("kd", {"temperature": 4.0, "weight": 0.5, "relabel": True}),
    "kd_cs_kd": (
        "kd_cs_kd",
        {
            "temperature": 4.0,
            "weight": 0.5,
            "relabel": True,
            "class_temperature": 4.0,
            "class_weight": 1.0,
        },
    ),
    "cs_kd_eval": ("cs_kd", {**SOFT, "partner": "eval"}),  # ours: what the partner's pass changes
    "max_entropy_light": ("max_entropy", {"weight": 0.1}),  # ours: Pereyra et al.'s weight
}
TEMPERATURES, WEIGHTS = (1.0, 4.0), (1.0, 2.0, 3.0, 4.0)
TAUGHT = ("kd", "kd_cs_kd")
OUTPUT = ("none", "adacos", "virtual_softmax", "max_entropy", "ls", "cs_kd")
SELF = ("none", "ddgsd", "byot", "cs_kd")
MIXED = ("none", "cs_kd", "mixup", "mixup_cs_kd")
DISTILLED = ("none", "cs_kd", "kd", "kd_cs_kd")
OURS = ("cs_kd_eval", "max_entropy_light")

PROTOCOL = {"epochs": 200, "batch": 128, "rate": 0.1, "weight_decay": 1e-4, "drops": [100, 150]}
FINE = {**PROTOCOL, "batch": 32, "network": {"stem": "7x7"}}
LARGE = {**FINE, "epochs": 90, "batch": 256, "drops": [30, 60]}
SHORT = {**PROTOCOL, "epochs": 20, "drops": [10, 15]}  # a tenth of the epochs
SMALL = {"augment": {"crop": 32, "pad": 4, "flip": True, "normalise": "cskd"}}
TINY = {"augment": {"crop": 64, "pad": 4, "flip": True, "normalise": "imagenet"}}
CROP = {"augment": {"crop": 224, "flip": True, "normalise": "imagenet"}}
SEEDS = 3
SETS = {  # data set: its name in the book, data, training, the weight of CS-KD's term
    "cifar100": ("CIFAR-100", SMALL, PROTOCOL, 1.0),
    "tiny_imagenet": ("Tiny ImageNet", TINY, PROTOCOL, 1.0),
    "cub200": ("CUB-200", CROP, FINE, 3.0),
    "stanford_dogs": ("Stanford Dogs", CROP, FINE, 3.0),
    "mit67": ("MIT67", CROP, FINE, 3.0),
}
PREACT = ("cifar100", "tiny_imagenet")  # where the authors' small ResNets are pre-activation ones
REDUCED = "cifar100-resnet20-reduced"
QUICK = "noisy_digits-small_cnn"
STUDENT = "noisy_digits-small_fcn"
NOISE = {"augment": {"noise": 0.1}}  # so that two views of an image differ
DIGITS = {"sigma": 0.5, "train": 400, "test": 300}
CNN = {"epochs": 20, "batch": 128, "rate": 0.05, "schedule": "linear"}
NORMED = {**CNN, "network": {"norm": True}}
FCN = {**CNN, "network": {"hidden": [32, 32]}}


def model(dataset: str, name: str) -> str:
    """Which network the paper calls ResNet-18 or -10 on a set; others keep their names."""
    return f"preact_{name}" if name in ("resnet10", "resnet18") and dataset in PREACT else name


def benches(profile: str) -> dict[str, Bench]:
    """The networks of a profile by ``<data set>-<model>``; an unknown profile is a ValueError."""
    checks.one_of("profile", profile, PROFILES)
    if profile == "paper":
        return _paper()
    seeds = SEEDS if profile == "quick" else 2
    sizes = DIGITS if profile == "quick" else {"sigma": 0.5, "train": 20, "test": 20}
    data = {**sizes, **NOISE}
    made = {
        QUICK: Bench("noisy_digits", "small_cnn", "noisy digits, CNN", data, NORMED, seeds),
        STUDENT: Bench("noisy_digits", "small_fcn", "noisy digits, FCN", data, FCN, seeds),
    }
    if profile == "quick":
        return made
    return {
        n: bench._replace(training={**bench.training, "epochs": 2}) for n, bench in made.items()
    }


def _paper() -> dict[str, Bench]:
    made = {}
    for dataset, (label, data, training, _) in SETS.items():
        for name in ("resnet18", "densenet121", "resnet10"):
            own = model(dataset, name)
            made[f"{dataset}-{own}"] = Bench(
                dataset, own, f"{label}, {name}", data, training, SEEDS
            )
    for name in ("resnet50", "resnet101", "resnext101_32x4d"):
        made[f"imagenet-{name}"] = Bench("imagenet", name, f"ImageNet, {name}", CROP, LARGE)
    made[REDUCED] = Bench(
        "cifar100", "resnet20", "CIFAR-100, ResNet-20 (reduced: 20 epochs)", SMALL, SHORT
    )
    return made


def runs(table: int, profile: str) -> dict[str, Run]:
    """Every run of a table by ``<bench> <method>``, with `` #1``, ... for further seeds.

    Raises
    ------
    ValueError
        A table other than 1 to 5, an unknown profile, or Table 5 in another than the paper's.
    """
    checks.in_range("table", checks.whole("table", table, 1), 1, 5)
    known = benches(profile)
    if table == 5:
        checks.one_of("profile of Table 5", profile, ["paper"])
    wanted = _wanted(table) if profile == "paper" else QUICK_TABLES[table]
    return {
        name(bench, method, seed): _run(known, bench, method, seed, profile)
        for bench, method in wanted
        for seed in range(known[bench].seeds)
    }


def _wanted(table: int) -> list[tuple[str, str]]:
    """Benches and methods of a table of the paper, and what the reduced CIFAR-100 has of it."""
    if table == 5:
        large = [name for name in benches("paper") if name.startswith("imagenet")]
        return [(bench, method) for bench in large for method in ("none", "cs_kd")]
    methods = {1: (*OUTPUT, "cs_kd_e"), 2: SELF, 3: MIXED, 4: DISTILLED}[table]
    models = {1: ("resnet18", "densenet121"), 4: ("resnet10",)}.get(table, ("resnet18",))
    full = [
        (f"{dataset}-{model(dataset, name)}", method)
        for dataset in SETS
        for name in models
        for method in methods
        if method != "cs_kd_e" or name == "resnet18"
    ]
    reduced = {1: ("none", "ls", "max_entropy", "cs_kd"), 3: MIXED}.get(table, ())
    return full + [(REDUCED, method) for method in reduced]


QUICK_TABLES = {
    1: [(QUICK, method) for method in (*OUTPUT, "cs_kd_e", *OURS)],
    2: [(QUICK, method) for method in SELF],
    3: [(QUICK, method) for method in MIXED],
    4: [(STUDENT, method) for method in DISTILLED],
}


def grid(profile: str) -> dict[str, Run]:
    """CS-KD on noisy digits at every temperature and weight that the paper tried.

    By ``<bench> cs_kd T<temperature> l<weight>``, with `` #1``, ... for further seeds. The authors'
    setting is the run of Table 1.

    Raises
    ------
    ValueError
        An unknown profile, or the paper's, which has no noisy digits.
    """
    checks.one_of("profile of the grid", profile, ["quick", "smoke"])
    bench, table1, found = benches(profile)[QUICK], runs(1, profile), dict[str, Run]()
    for temperature, weight in itertools.product(TEMPERATURES, WEIGHTS):
        setting = {"temperature": temperature, "weight": weight}
        for seed in range(bench.seeds):
            run = table1[name(QUICK, "cs_kd", seed)]
            if setting != SOFT:
                run = replace(run, parameters=setting, keep=("errors", "neighbours"))
            found[name(QUICK, f"cs_kd T{temperature:g} l{weight:g}", seed)] = run
    return found


def _run(known: Mapping[str, Bench], bench: str, method: str, seed: int, profile: str) -> Run:
    """A network; the first of cross entropy and of CS-KD keeps what the figures draw."""
    own = known[bench]
    name, parameters = METHODS[method]
    weight = SETS[own.dataset][3] if own.dataset in SETS else SOFT["weight"]
    own_weight = "class_weight" if name == "kd_cs_kd" else "weight"
    if "cs_kd" in name:
        parameters = {**parameters, own_weight: weight}
    keep: Iterable[str] = ("errors", "neighbours")
    if seed == 0:
        keep = (*keep, "reliability")
        if method in ("none", "cs_kd"):
            keep = ("answers", "embedding", *keep)
    teachers: tuple[Run, ...] = ()
    if method in TAUGHT:
        teacher = QUICK if bench == STUDENT else f"{own.dataset}-densenet121"
        teachers = (_run(known, teacher, "cs_kd", seed, profile),)
    return own.learn(name, parameters, seed, profile, tuple(sorted(keep)), teachers)


def name(bench: str, method: str, seed: int = 0) -> str:
    """How this module calls a run."""
    return f"{bench} {method}" + (f" #{seed}" if seed else "")
