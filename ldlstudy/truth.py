"""Every strategy of the four papers on noisy digits, where the true label distribution is known.

One network and one protocol for all, at three noises and three sizes of the training set. The seeds
are paired: all strategies of a seed learn the same images from the same initial weights, and are
taught, where they are taught, by the same teacher, the network of that seed with hard labels. No
setting was tuned here: they are the papers' own, or the middle of the grid that a paper searched.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ldlstudy import checks, class_wise, ldl_benches, ldl_methods
from ldlstudy.ldl_benches import CNN, DIGITS, SIGMAS, SIZES, cell
from ldlstudy.objectives import LABELLED
from ldlstudy.records import PROFILES, Run
from ldlstudy.smoothing import Bench

SEEDS = {"paper": 5, "quick": 3, "smoke": 2}
QUICK = (100, 0.5)  # the cell of the quick profile: images of a class, noise
TEACHERS = len(ldl_benches.FIVE)
KEEP = ("total_variation",)


class Strategy(NamedTuple):
    """A way to label: its name in tables, the paper, and the run's method; ``teachers`` of them.

    ``views`` marks methods that compare two views of an image, which noise makes differ.
    """

    label: str
    paper: str
    method: str
    parameters: Mapping[str, Any] = {}
    teachers: int = 0
    views: bool = False


def _ils(label: str, method: str, teachers: int = 1, **parameters: float) -> Strategy:
    return Strategy(label, "ILS", method, parameters, teachers)


def _class_wise(label: str, name: str, teachers: int = 0, views: bool = False) -> Strategy:
    return Strategy(label, "CS-KD", *class_wise.METHODS[name], teachers, views)


def _ldl(label: str, name: str) -> Strategy:
    """A method of the LDL chapter by its name there."""
    named = ldl_methods.Method.of(name)
    several = TEACHERS if named.base in ldl_methods.SEVERAL else 1
    teachers = 0 if named.base in ldl_methods.UNTAUGHT else several
    return Strategy(label, "LDL", *named.learnt("noisy_digits"), teachers)


STRATEGIES: dict[str, Strategy] = {
    "none": Strategy("hard labels", "", "none"),
    "ls": Strategy("LS", "LS", "ls", {"epsilon": 0.1}),
    "similarity": _ils("class similarity", "similarity", 0, epsilon=0.1),
    "ils1": _ils("ILS1", "ils1", p1=0.8, p2=1.25),
    "ils2": _ils("ILS2", "ils2", epsilon=0.1, teacher_temperature=4.0),
    "ils": _ils("ILS", "ils", p1=0.8, p2=1.25, teacher_temperature=4.0),
    "max_entropy": _class_wise("maximum entropy", "max_entropy_light"),
    "adacos": _class_wise("AdaCos", "adacos"),
    "virtual_softmax": _class_wise("Virtual-softmax", "virtual_softmax"),
    "cs_kd": _class_wise("CS-KD", "cs_kd"),
    "cs_kd_e": _class_wise("CS-KD-E", "cs_kd_e", views=True),
    "ddgsd": _class_wise("DDGSD", "ddgsd", views=True),
    "byot": _class_wise("BYOT", "byot"),
    "mixup_cs_kd": _class_wise("mixup, CS-KD", "mixup_cs_kd"),
    "kd": _class_wise("KD", "kd", 1),
    "kd_cs_kd": _class_wise("KD, CS-KD", "kd_cs_kd", 1),
    "off_ldl": _ldl("Off-LDL", "off_ldl"),
    "off_en_ldl": _ldl("Off-En-LDL", "off_en_ldl"),
    "off_mt_ldl": _ldl("Off-MT-LDL", "off_mt_ldl"),
    "cutout": _ldl("CutOut", "none-cutout"),
    "mixup": _ldl("mixup", "none-mixup"),
    "cutmix": _ldl("CutMix", "none-cutmix"),
    "ricap": _ldl("RICAP", "none-ricap"),
    "on_ldl-cutout": _ldl("On-LDL, CutOut", "on_ldl-cutout"),
    "on_ldl-mixup": _ldl("On-LDL, mixup", "on_ldl-mixup"),
    "on_ldl-cutmix": _ldl("On-LDL, CutMix", "on_ldl-cutmix"),
    "on_ldl-ricap": _ldl("On-LDL, RICAP", "on_ldl-ricap"),
    "on_en_ldl-mixup": _ldl("On-En-LDL, mixup", "on_en_ldl-mixup"),
    "on_mt_ldl-mixup": _ldl("On-MT-LDL, mixup", "on_mt_ldl-mixup"),
    "crd": _ldl("CRD", "crd"),
    "crd_kd": _ldl("CRD, KD", "crd_kd"),
    "sskd": _ldl("SSKD", "sskd"),
    "wsl": _ldl("WSL", "wsl"),
    "truth": _ldl("the true posterior", "truth"),
}


def cells(profile: str) -> list[tuple[int, float]]:
    """Images of a class and noise of every cell of a profile; an unknown one is a ValueError."""
    checks.one_of("profile", profile, PROFILES)
    return [QUICK] if profile != "paper" else list(itertools.product(SIZES, SIGMAS))


def runs(profile: str) -> dict[str, Run]:
    """Every run by ``<cell> <strategy>``, with `` #1``, ... for further seeds; a seed at a time.

    The paper profile has all nine cells and five seeds, quick one cell and three. An unknown
    profile is a ValueError.
    """
    wanted = cells(profile)
    return {
        name(size, sigma, strategy, seed): _run(size, sigma, strategy, seed, profile)
        for seed in range(SEEDS[profile])
        for size, sigma in wanted
        for strategy in STRATEGIES
    }


def name(size: int, sigma: float, strategy: str, seed: int = 0) -> str:
    """How this module calls a run."""
    return f"{cell(size, sigma)} {strategy}" + (f" #{seed}" if seed else "")


def parts(name: str) -> tuple[str, str, int]:
    """The cell, the strategy and the seed of a run that is called so."""
    place, strategy, *seed = name.split(" ")
    return place, strategy, int(seed[0].removeprefix("#")) if seed else 0


def _run(size: int, sigma: float, strategy: str, seed: int, profile: str) -> Run:
    _, _, method, parameters, teachers, views = STRATEGIES[strategy]
    data: dict[str, Any] = {**DIGITS, "sigma": sigma, "train": size}
    training = dict(CNN)
    if profile == "smoke":
        data |= {"train": size // 10, "test": 20}
        training["epochs"] = 2
    if method in ("crd", "crd_kd"):
        parameters = {**parameters, "negatives": 5 * data["train"]}  # of ten times as many images
    if views:
        data |= class_wise.NOISE
    taught: tuple[Run, ...] = ()
    if teachers:  # networks with hard labels that differ by their seed alone
        first = _run(size, sigma, "none", seed, profile)
        others = (replace(first, seed=seed + 100 * i, keep=KEEP) for i in range(1, teachers))
        taught = (first, *others)
    bench = Bench("noisy_digits", "small_cnn", "noisy digits, CNN", data, training)
    keep = ("sampled", *KEEP) if seed == 0 and (size, sigma) == QUICK else KEEP
    if profile != "paper":
        keep = ("operations", *(("label",) if method in LABELLED else ()), *keep)
    return bench.learn(method, parameters, seed, profile, keep, taught)
