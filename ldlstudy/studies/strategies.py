"""What the papers call their methods: a name, the method and its settings, a label, a colour.

A name means the same settings in every chapter. What an other paper calls the same, and how a
strategy is drawn, is said here and nowhere else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ldlstudy import checks
from ldlstudy.report.figures import BLUE, GREEN, GREY, ORANGE, RED
from ldlstudy.report.sentences import listed

PAPERS: dict[str, dict[str, Any]] = {  # colour and marker, so that neither is needed alone
    "": {"color": GREY, "marker": "o"},
    "LS": {"color": GREY, "marker": "s"},
    "ILS": {"color": ORANGE, "marker": "^"},
    "CS-KD": {"color": RED, "marker": "D"},
    "LDL": {"color": BLUE, "marker": "o"},
    "ours": {"color": GREEN, "marker": "*"},
}
GROUPS = {  # of methods in LDL's figures, and their colour there
    "existing": RED,
    "rivals": ORANGE,
    "offline LDL": GREEN,
    "online LDL": BLUE,
}
MIXINGS: dict[str, tuple[str, dict[str, Any]]] = {  # label and settings
    "cutout": ("CutOut", {}),
    "mixup": ("mixup", {"alpha": 1.0}),
    "cutmix": ("CutMix", {"alpha": 1.0}),
    "ricap": ("RICAP", {"alpha": 0.3}),
}
CUTOUT = {  # pixels
    "cifar10": 16, "cifar100": 8, "stl10": 32, "imagenet": 112, "noisy_digits": 4,
    "fashion_mnist": 14,
}  # fmt: skip


@dataclass(frozen=True)
class Strategy:
    """A way to label and to train.

    Attributes
    ----------
    label : str
        What the book calls it, and in ``called`` what chapters on other papers do, by paper.
    method, settings
        A key of :data:`ldlstudy.methods.METHODS` and its settings.
    paper : str
        A key of :data:`PAPERS`: whose strategy it is, or who compares with it.
    group : str
        A key of :data:`GROUPS`.
    mixing : str
        A key of :data:`MIXINGS`, or nothing.
    teachers : int
        How many networks teach it.
    taught_by : str
        The strategy of its teachers, where a study has no other for all.
    long : bool
        Whether it is trained longer (LDL's "+").
    noise : bool
        Whether it compares two views of an image, which on noisy digits noise makes differ.
    network : Mapping
        Options of its network.
    held : float
        Share of the training images that it holds out.
    base : str
        Its name without the mixing and the long training.
    """

    label: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    paper: str = ""
    group: str = "existing"
    mixing: str = ""
    teachers: int = 0
    taught_by: str = "none"
    long: bool = False
    noise: bool = False
    network: Mapping[str, Any] = field(default_factory=dict)
    held: float = 0.0
    base: str = ""
    called: Mapping[str, str] = field(default_factory=dict)

    @property
    def chooses(self) -> bool:
        """Whether settings are chosen on held-out images, to which its teacher is scaled, too."""
        return any(isinstance(value, list) for value in self.settings.values())

    @property
    def hard_labels(self) -> str:
        """The hard labels that see the same training images."""
        return "none-held" if self.held and self.method != "none" else "none"

    def name_in(self, paper: str) -> str:
        """Return what the chapter on a paper calls it."""
        return self.called.get(paper, self.label)

    def mixing_on(self, dataset: str) -> dict[str, Any]:
        """Return the settings of its mixing on a data set; nothing without a mixing."""
        if not self.mixing:
            return {}
        size = {"size": CUTOUT[dataset]} if self.mixing == "cutout" else {}
        return {"name": self.mixing, **MIXINGS[self.mixing][1], **size}


FIVE = 5  # teachers of LDL's En and MT
# every other value of the grids for images of ILS's appendix, of the factor all
PARABOLAS = {"p1": [0.975, 0.925, 0.85], "p2": [0.75, 1.25, 2.0]}
FACTORS = {"epsilon": [0.01, 0.05, 0.1, 0.15, 0.2]}
PARABOLA = {"p1": 0.925, "p2": 1.25}
TEACHER = {"teacher_temperature": [1.0, 4.0, 16.0]}
SOFT = {"temperature": 4.0, "weight": 1.0}  # CS-KD's, its authors' on CIFAR-100
HALF = {"temperature": 4.0, "weight": 0.5, "relabel": True}  # KD in CS-KD's Table 4
VIEWS = {"relabel": True}
SAMPLED = {"dropout": 0.2, "passes": 20}  # Monte-Carlo dropout


def _ls(label: str, method: str, paper: str, teachers: int = 0, **settings: Any) -> Strategy:
    return Strategy(label, method, settings, paper, teachers=teachers)


def _cs_kd(label: str, method: str, settings: Mapping[str, Any], **more: Any) -> Strategy:
    return Strategy(label, method, settings, "CS-KD", **more)


def _taught(label: str, where: str, teachers: int = 1, **settings: Any) -> Strategy:
    """One of LDL's: a student of ``teachers`` that label offline or online."""
    online = VIEWS if where == "online" else {}
    return Strategy(
        label, "distil", {**settings, **online}, "LDL", f"{where} LDL", teachers=teachers
    )


def _rival(label: str, method: str, **settings: Any) -> Strategy:
    return Strategy(label, method, settings, "LDL", "rivals", teachers=1)


_SINGLE: dict[str, Strategy] = {
    "none": Strategy("hard labels", "none", called={"CS-KD": "cross entropy", "LDL": "Vanilla"}),
    "ls": Strategy(
        "LS", "ls", {"epsilon": 0.1}, "LS", called={"CS-KD": "label smoothing"}
    ),
    "ls_wrong": Strategy("LS", "ls_wrong", {"alpha": 0.1}, "LDL"),
    "ls_chosen": _ls("LS, factor chosen", "ls", "ILS", 0, **FACTORS),
    "similarity": _ls("class similarity", "similarity", "ILS", epsilon=0.1),
    "ils1": _ls("ILS1", "ils1", "ILS", 1, **PARABOLAS),
    "ils2": _ls("ILS2", "ils2", "ILS", 1, **FACTORS, **TEACHER),
    "ils": _ls("ILS", "ils", "ILS", 1, **PARABOLAS, **TEACHER),
    # settings from the middle of those grids, where choosing would cost 9 to 27 trainings a network
    "ils1_fixed": replace(_ls("ILS1, settings fixed", "ils1", "ILS", 1, **PARABOLA), held=0.1),
    "ils2_fixed": replace(_ls("ILS2, settings fixed", "ils2", "ILS", 1, epsilon=0.1,
                              teacher_temperature=4.0), held=0.1),
    "ils_fixed": replace(_ls("ILS, settings fixed", "ils", "ILS", 1, **PARABOLA,
                             teacher_temperature=4.0), held=0.1),
    # CS-KD and what it is compared with; the heavy penalty is what its printed ECE implies
    "max_entropy": _cs_kd("maximum entropy, weight 1", "max_entropy", {"weight": 1.0},
                          called={"CS-KD": "maximum entropy"}),
    "max_entropy_light": _cs_kd("maximum entropy", "max_entropy", {"weight": 0.1},
                                called={"CS-KD": "maximum entropy, weight .1"}),
    "adacos": _cs_kd("AdaCos", "adacos", {}),
    "virtual_softmax": _cs_kd("Virtual-softmax", "virtual_softmax", {},
                              called={"CS-KD": "virtual softmax"}),
    "cs_kd": _cs_kd("CS-KD", "cs_kd", SOFT),
    "cs_kd_eval": _cs_kd("CS-KD, partner in eval mode", "cs_kd", {**SOFT, "partner": "eval"}),
    "cs_kd_e": _cs_kd("CS-KD-E", "cs_kd_e", {**SOFT, "consistency": 1.0}, noise=True),
    "ddgsd": _cs_kd("DDGSD", "ddgsd", {**SOFT, "discrepancy": 0.005}, noise=True),
    "byot": _cs_kd("BYOT", "byot", {"temperature": 3.0, "weight": 0.3, "hint": 0.03}),
    "mixup_cs_kd": _cs_kd("mixup, CS-KD", "cs_kd", SOFT, mixing="mixup",
                          called={"CS-KD": "mixup + CS-KD"}),
    "kd": _cs_kd("KD", "kd", HALF, teachers=1),
    "kd_cs_kd": _cs_kd("KD, CS-KD", "kd_cs_kd",
                       {**HALF, "class_temperature": 4.0, "class_weight": 1.0},
                       teachers=1, called={"CS-KD": "KD + CS-KD"}),
    # LDL's nine configurations, and what they are compared with
    "kd_ldl": Strategy("KD", "kd", {"weight": 0.1, "temperature": 3.0, "square": False, **VIEWS},
                       "LDL", teachers=1),
    "off_ldl": _taught("Off-LDL", "offline"),
    "off_ldl_views": replace(_taught("Off-LDL, re-labelled", "offline"), settings=VIEWS),
    "off_en_ldl": _taught("Off-En-LDL", "offline", FIVE, combine="ensemble"),
    "off_mt_ldl": replace(_taught("Off-MT-LDL", "offline", FIVE, combine="sum"),
                          called={"LDL": "Off-MT-LDL (sum)"}),
    "off_mt_ldl_mean": _taught("Off-MT-LDL (mean)", "offline", FIVE, combine="mean"),
    "on_ldl": _taught("On-LDL", "online"),
    "on_en_ldl": _taught("On-En-LDL", "online", FIVE, combine="ensemble"),
    "on_mt_ldl": replace(_taught("On-MT-LDL", "online", FIVE, combine="sum"),
                         called={"LDL": "On-MT-LDL (sum)"}),
    "on_mt_ldl_mean": _taught("On-MT-LDL (mean)", "online", FIVE, combine="mean"),
    "on_en_ldl3": _taught("On-En-LDL, 3 teachers", "online", 3, combine="ensemble"),
    "on_mt_ldl3": _taught("On-MT-LDL (mean), 3 teachers", "online", 3, combine="mean"),
    "none-held": Strategy("hard labels, on 90 % of the images", "none", held=0.1,
                          called={"LDL": "Vanilla, on 90 % of the images"}),
    "mcdo": Strategy("MCDO", "none", paper="LDL", network=SAMPLED),
    "on_ldl-mcdo_t": replace(_taught("On-LDL, MCDO-T", "online"), taught_by="mcdo"),
    "on_ldl-mcdo_st": replace(_taught("On-LDL, MCDO-S, T", "online"), taught_by="mcdo",
                              network=SAMPLED),
    "ogr": Strategy("OGR", "ogr", {"form": "loss"}, "LDL", held=0.1),
    "on_ldl-ogr": Strategy("On-LDL, OGR", "ogr", {"form": "label", "alpha": 0.1}, "LDL",
                           "online LDL", held=0.1),
    "crd": _rival("CRD", "crd", weight=0.8),
    "crd_kd": replace(_rival("CRD, KD", "crd_kd", weight=0.8), called={"LDL": "CRD + KD"}),
    "sskd": _rival("SSKD", "sskd"),
    "wsl": _rival("WSL", "wsl", weight=2.5, temperature=2.0),
    # what the field of label distribution learning calls label enhancement
    "neighbours": Strategy("nearest neighbours", "neighbours", {"count": 10}, "ours"),
    "propagation": Strategy("label propagation", "propagation", {"alpha": 0.5, "count": 7}, "ours"),
    "beta": _ls("Beta smoothing", "beta", "ILS", 1, **FACTORS),
    "truth": Strategy("the true posterior", "truth", paper="ours"),
}  # fmt: skip
_MIXED = ("none", "ls_wrong", "kd_ldl", "off_ldl", "on_ldl", "on_en_ldl", "on_mt_ldl",
          "on_mt_ldl_mean", "on_en_ldl3", "on_mt_ldl3", "on_ldl-mcdo_t")  # fmt: skip


def _variants() -> dict[str, Strategy]:
    """Every strategy, with each mixing and with long training where LDL has it so."""
    found = {name: replace(each, base=name) for name, each in _SINGLE.items()}
    for name in _MIXED:
        for mixing, (label, _) in MIXINGS.items():
            key = mixing if name == "none" else f"{name}-{mixing}"
            found[key] = _with(found[name], label, mixing=mixing, long=False)
            if name == "none":
                found[key] = replace(
                    found[key],
                    label=label,
                    paper="LDL",
                    called={"LDL": f"Vanilla, {label}", "CS-KD": label},
                )
    for name in [name for name, each in found.items() if each.base in _MIXED]:
        found[f"{name}-long"] = _with(found[name], "long", long=True)
    return found


def _with(strategy: Strategy, label: str, **changes: Any) -> Strategy:
    called = {paper: f"{name}, {label}" for paper, name in strategy.called.items()}
    return replace(strategy, label=f"{strategy.label}, {label}", called=called, **changes)


STRATEGIES: dict[str, Strategy] = _variants()


def named(name: str) -> Strategy:
    """Return the strategy of this name; an unknown one is a ValueError that lists the known."""
    return STRATEGIES[checks.one_of("strategy", name, STRATEGIES)]


def in_prose(names: Iterable[object]) -> str:
    """Return the labels of some strategies as a sentence lists them."""
    return listed(named(str(name)).label.replace(", ", " with ") for name in names)


def unmixed(name: str) -> str:
    """Return the name of the same strategy without its mixing; long training stays."""
    own = named(name)
    return f"{own.base}-long" if own.long else own.base
