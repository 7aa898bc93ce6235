"""The methods of the LDL paper by name: its nine configurations with every mixing, and its rivals.

A name is a configuration, then perhaps a mixing and ``long`` training: ``none-cutmix`` is Vanilla
with CutMix, ``on_ldl-cutmix-long`` the paper's On-LDL+ with CutMix. ``En`` and ``MT`` have five
teachers, whose mean probability is one label, or each of whom adds a cross entropy.
"""

from typing import Any, NamedTuple

from ldlstudy import checks

DISTIL = {"relabel": True}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("none", {}),
    "ls": ("ls_wrong", {"alpha": 0.1}),
    "kd": ("kd", {"weight": 0.1, "temperature": 3.0, "square": False, **DISTIL}),
    "off_ldl": ("distil", {}),
    "off_ldl_views": ("distil", DISTIL),
    "off_en_ldl": ("distil", {"combine": "ensemble"}),
    "off_mt_ldl": ("distil", {"combine": "sum"}),
    "off_mt_ldl_mean": ("distil", {"combine": "mean"}),
    "on_ldl": ("distil", DISTIL),
    "on_en_ldl": ("distil", {"combine": "ensemble", **DISTIL}),
    "on_mt_ldl": ("distil", {"combine": "sum", **DISTIL}),
    "on_mt_ldl_mean": ("distil", {"combine": "mean", **DISTIL}),
    "mcdo": ("none", {}),
    "on_ldl-mcdo_t": ("distil", DISTIL),
    "on_ldl-mcdo_st": ("distil", DISTIL),
    "ogr": ("ogr", {"form": "loss"}),
    "on_ldl-ogr": ("ogr", {"form": "label", "alpha": 0.1}),
    "crd": ("crd", {"weight": 0.8}),
    "crd_kd": ("crd_kd", {"weight": 0.8}),
    "sskd": ("sskd", {}),
    "wsl": ("wsl", {"weight": 2.5, "temperature": 2.0}),
    "truth": ("truth", {}),
}
UNTAUGHT = ("none", "ls", "mcdo", "ogr", "on_ldl-ogr", "truth")
OFFLINE = ("off_en_ldl", "off_mt_ldl", "off_mt_ldl_mean")
ONLINE = ("on_en_ldl", "on_mt_ldl", "on_mt_ldl_mean")
SEVERAL = (*OFFLINE, *ONLINE)  # methods with several teachers
RIVALS = ("crd", "crd_kd", "sskd", "wsl")
DROPPING = ("mcdo", "on_ldl-mcdo_st")  # networks with dropout, asked 20 times
OF_DROPPING = ("on_ldl-mcdo_t", "on_ldl-mcdo_st")  # students of such a network
HELD = ("ogr", "on_ldl-ogr", "none-held")  # trained on nine tenths of the training set
MIXINGS: dict[str, dict[str, Any]] = {
    "cutout": {},
    "mixup": {"alpha": 1.0},
    "cutmix": {"alpha": 1.0},
    "ricap": {"alpha": 0.3},
}
CUTOUT = {"cifar10": 16, "cifar100": 8, "stl10": 32, "imagenet": 112, "noisy_digits": 4}

PLAIN = ("none", "ls", "kd", "off_ldl", "off_ldl_views", *OFFLINE)  # without a mixing
EVERY = (
    *PLAIN,
    *(f"{base}-{mixing}" for mixing in MIXINGS for base in ("none", "ls", "kd", "off_ldl")),
    *(f"{base}-{mixing}" for mixing in MIXINGS for base in ("on_ldl", *ONLINE)),
)
EVERY_QUICK = (
    *PLAIN,
    *(f"{base}-{mixing}" for mixing in MIXINGS for base in ("none", "on_ldl")),
    *(f"{base}-mixup" for base in ONLINE),
    *RIVALS,
    "truth",
)


class Method(NamedTuple):
    """A method's name in its parts."""

    base: str
    mixing: str | None
    long: bool

    @classmethod
    def of(cls, name: str) -> "Method":
        """Take a name apart; an unknown one is a ValueError that lists the known parts."""
        base, long = name.removesuffix("-long"), name.endswith("-long")
        start, _, last = base.rpartition("-")
        mixing = last if last in MIXINGS else None
        base = start if mixing else base
        checks.one_of("method of LDL", base, (*METHODS, "none-held"))
        return cls(base, mixing, long)

    def learnt(self, dataset: str) -> tuple[str, dict[str, Any]]:
        """A run's method and its parameters, those of the mixing among them."""
        method, own = METHODS["none" if self.base == "none-held" else self.base]
        if self.mixing is None:
            return method, dict(own)
        size = {"size": CUTOUT[dataset]} if self.mixing == "cutout" else {}
        return method, {**own, "mixing": {"name": self.mixing, **MIXINGS[self.mixing], **size}}
