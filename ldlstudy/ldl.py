"""The LDL paper's tables as runs, and who teaches whom.

Networks are called as in :mod:`ldlstudy.ldl_benches`, methods as in :mod:`ldlstudy.ldl_methods`.
Table 1 compares mixings with and without a teacher, Tables 2 to 5 are of data sets and networks,
Tables 6 and 7 of labels from uncertainty and of other metrics.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ldlstudy import checks
from ldlstudy.ldl_benches import (
    DEEP,
    FIVE,
    IMAGENET_LONG,
    LONG,
    OTHERS,
    QUICK,
    REDUCED,
    SMALL,
    WIDE,
    benches,
)
from ldlstudy.ldl_methods import (
    DROPPING,
    EVERY,
    EVERY_QUICK,
    HELD,
    OF_DROPPING,
    RIVALS,
    SEVERAL,
    UNTAUGHT,
    Method,
)
from ldlstudy.records import PROFILES, Run
from ldlstudy.smoothing import Bench

SAMPLING = {"network": {"dropout": 0.2}, "passes": 20}
COMPARED = ("none", "ls", "none-mixup", "off_ldl", "on_ldl-mixup", "truth")  # by size and noise
PICTURED = ("none", "ls", "kd", "off_ldl")  # and all that mix: penultimate planes, Figures 7 and 9


def runs(table: int | str, profile: str) -> dict[str, Run]:
    """Every run of a table by ``<bench> <method>``, with `` #1``, ... for further seeds.

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
        wanted = [(bench, m) for bench in benches(profile) if bench != QUICK for m in COMPARED]
    else:
        bench = "cifar100-resnet20" if profile == "paper" else QUICK
        wanted = [(bench, method) for method in (EVERY if profile == "paper" else EVERY_QUICK)]
    known = benches(profile)
    return {
        name(bench, method, seed): _run(known, bench, method, seed, profile)
        for bench, method in wanted
        for seed in range(known[bench].seeds)
    }


def _table(table: int) -> list[tuple[str, str]]:
    """Benches and methods of a table of the paper, and what the reduced CIFAR-100 has of it."""
    hundred = {network: f"cifar100-{network}" for network in (*SMALL, *WIDE, *OTHERS)}
    if table == 1:
        four = (*SMALL[:2], *WIDE[:2])
        mixed = [f"{base}-{mixing}" for base in ("none", "on_ldl") for mixing in _USED]
        return [
            *((hundred[n], m) for n in four for m in ("none", "off_ldl", *mixed)),
            *((hundred[n], f"on_ldl-{best(n)}-long") for n in four),
            *((REDUCED, m) for m in ("none", "ls", "off_ldl", "on_ldl-cutmix")),
        ]
    if table == 2:
        online = [f"{base}-ricap" for base in ("on_ldl", "on_en_ldl", "on_mt_ldl")]
        offline = ("none", "ls", "kd", "off_ldl", "off_en_ldl", "off_mt_ldl")
        methods = (*offline, *online, *(f"{method}-long" for method in online))
        return [(f"{d}-{n}", m) for d in ("cifar10", "stl10") for n in SMALL[:2] for m in methods]
    if table == 3:
        small = ("none", "ls", "kd", *RIVALS, "off_mt_ldl", "on_ldl-ricap-long")
        wide = ("none", "ls", "kd", "crd_kd", "wsl", "on_ldl-cutmix", "on_ldl-cutmix-long")
        return [
            *((hundred[network], method) for network in SMALL for method in small),
            *((hundred[network], method) for network in WIDE for method in wide),
        ]
    plain = ("none", "ls", "off_ldl", "on_ldl-cutmix")
    if table == 4:
        return [(f"imagenet-{n}", m) for n in DEEP for m in (*plain, "on_ldl-cutmix-long")]
    if table == 5:
        return [(hundred[network], method) for network in OTHERS for method in (*plain, "kd")]
    methods = ("none", "none-held", "ls", "kd", "crd_kd", "wsl")
    unsure = ("mcdo", "on_ldl-mcdo_t", "on_ldl-mcdo_st", "on_ldl-mcdo_t-cutmix")
    own = (*unsure, "ogr", "on_ldl-ogr") if table == 6 else ("off_ldl", "on_ldl-mcdo_st")
    online = ["on_ldl-cutmix", "on_ldl-cutmix-long"]
    return [(hundred[network], m) for network in WIDE for m in (*methods, *own, *online)]


_USED = ("mixup", "cutmix", "ricap")  # in Table 1


def best(model: str) -> str:
    """The mixing of On-LDL where the paper names none: its best on small networks and on others."""
    return "ricap" if model in SMALL else "cutmix"


def _run(known: Mapping[str, Bench], bench: str, method: str, seed: int, profile: str) -> Run:
    """A network; the first seed keeps what the figures draw."""
    own, named = known[bench], Method.of(method)
    base, mixing, long = named
    learnt, parameters = named.learnt(own.dataset)
    if base in ("crd", "crd_kd") and profile != "paper":
        parameters["negatives"] = 5 * own.data["train"]  # of ten times as many images
    training, data = dict(own.training), dict(own.data)
    if long:
        training |= IMAGENET_LONG if own.dataset == "imagenet" else LONG
    if base in DROPPING:
        training = _sampled(training)
    if base in HELD:
        data["held"] = 0.1
    teachers = _teachers(known, bench, base, seed, profile)
    keep = _kept(own, method, mixing, bool(teachers)) if seed == 0 else ()
    return own._replace(training=training, data=data).learn(
        learnt, parameters, seed, profile, tuple(sorted(keep)), teachers
    )


def _sampled(training: Mapping[str, Any]) -> dict[str, Any]:
    network = {**training.get("network", {}), **SAMPLING["network"]}  # type: ignore[dict-item]
    return {**training, **SAMPLING, "network": network}


def _kept(own: Bench, method: str, mixing: str | None, taught: bool) -> Iterable[str]:
    yield from ("by_class", "reliability")
    if own.dataset in ("cifar100", "imagenet", "noisy_digits") and (mixing or method in PICTURED):
        yield "similar"
    if mixing in (None, "cutmix") and method.split("-")[0] in ("none", "ls", "off_ldl", "on_ldl"):
        yield "test_class_loss"
    if mixing and taught:
        yield "supervision"


def _teachers(
    known: Mapping[str, Bench], bench: str, base: str, seed: int, profile: str
) -> tuple[Run, ...]:
    """Vanilla networks: one for all seeds in the paper profile, of a draw's own data elsewhere."""
    if base in (*UNTAUGHT, "none-held"):
        return ()
    own = known[bench]
    method = "mcdo" if base in OF_DROPPING else "none"
    if profile != "paper" or bench == REDUCED:
        first = _run(known, bench, method, seed, profile)
        others = [replace(first, seed=seed + 100 * i, keep=()) for i in range(1, len(FIVE))]
        return (first, *others) if base in SEVERAL else (first,)
    if base in SEVERAL:
        models: tuple[str, ...] = FIVE
    elif own.dataset == "imagenet":
        models = ("resnet152",)
    else:
        models = ("resnet110",) if own.model in FIVE else ("resnet200",)
    return tuple(_run(known, f"{own.dataset}-{model}", method, 0, profile) for model in models)


def name(bench: str, method: str, seed: int = 0) -> str:
    """How this module calls a run."""
    return f"{bench} {method}" + (f" #{seed}" if seed else "")
