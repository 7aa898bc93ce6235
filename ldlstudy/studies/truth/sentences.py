"""What the chapter on one truth says of its records, and when it is true.

Lists of strategies are written from the records (:func:`written`), for strategies come and go.
"""

import functools
import math
from collections.abc import Callable

import pandas as pd

from ldlstudy import studies
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.report.sentences import NoRecordError, Reading, in_words, listed
from ldlstudy.stats import Estimate
from ldlstudy.studies.fast.runs import (
    CIFAR10,
    CIFAR100,
    DECAYED,
    DECAYED_BENCH,
    DOUBLED_BENCH,
    FEW,
    FEW_BENCH,
)  # fmt: skip
from ldlstudy.studies.strategies import in_prose, named
from ldlstudy.studies.truth import comparisons
from ldlstudy.studies.truth.runs import row
from ldlstudy.studies.truth.tables import costs_of

KL, FITTED, ECE = "kl_to_truth", "fitted", "ece_15_left"
ALIKE = 1e-6  # costs that are the same
SOFTENED = ("ls", "ls_chosen", "ils1", "ils2", "ils", "cs_kd")
PLAIN_LABELS = ("ls", "ls_chosen", "similarity", "ils1", "ils2", "ils")


class Facts:
    """The cell of the quick profile, the grid and photographs, as the conditions read them."""

    def __init__(self, quick: Results, grid: Results, fast: Results, few: Results) -> None:
        self.quick, self.grid, self.fast = quick, grid, fast
        self.photographs = Reading(fast, CIFAR10)
        self.few = Reading(few, FEW_BENCH)

    @functools.cache  # noqa: B019 - facts live as long as the page
    def table(self, metric: str = KL, stage: str = "plain") -> pd.DataFrame:
        """Return a metric by strategy and cell."""
        return comparisons.by_cell(comparisons.scores(self.grid, metric, stage))

    def of(self, strategy: str, metric: str = KL, stage: str = "plain") -> pd.Series:
        """Return a metric of a strategy by cell."""
        table = self.table(metric, stage)
        if strategy not in table.index:
            raise NoRecordError(f"{strategy!r} has no record in every cell")
        return table.loc[strategy]

    def ratio(self, strategy: str, metric: str = KL, stage: str = "plain") -> pd.Series:
        """Return by cell the multiple of hard labels' value."""
        return self.of(strategy, metric, stage) / self.of("none", metric, stage)

    def mean(self, strategy: str, stage: str = "plain", metric: str = KL) -> float:
        """Return the mean over cells of :meth:`ratio`."""
        return float(self.ratio(strategy, metric, stage).mean())

    def everywhere(self, farther: bool, stage: str = "plain") -> list[str]:
        """Return the strategies that are nearer, or farther, than hard labels in all cells."""
        ratios = {s: self.ratio(s, stage=stage) for s in self.table(KL, stage).index if s != "none"}
        return [s for s, r in ratios.items() if ((r > 1) if farther else (r < 1)).all()]

    def best(self, stage: str = "plain") -> list[str]:
        """Return the strategies by their mean rank."""
        return list(comparisons.mean_ranks(self.table(KL, stage)).sort_values().index)

    @functools.cached_property
    def costs(self) -> pd.Series:
        """What strategies cost, in networks with hard labels."""
        return costs_of(self.quick)["all"]

    @functools.cache  # noqa: B019
    def labels(self, stage: str = "plain") -> pd.DataFrame:
        """Return the distances of labels and students, by strategy."""
        return comparisons.by_strategy(comparisons.label_distances(self.quick, stage))

    def agrees(self, metric: str, stage: str = "plain") -> float:
        """Return the share of pairs that a metric orders as the KL does."""
        kl, own = (comparisons.scores(self.grid, m, stage) for m in (KL, metric))
        return comparisons.agreement(own, kl).mean

    def correlation(self, kind: str, stage: str = "plain") -> Estimate:
        """Return the rank correlation of label and student."""
        return comparisons.correlations(comparisons.label_distances(self.quick, stage))[kind]

    def in_cell(self) -> Reading:
        """Return the reading of the quick cell."""
        return Reading(self.quick, row("none").rpartition(" ")[0])


def facts() -> Facts:
    """Return the committed records, as the conditions read them."""
    return Facts(
        studies.recorded("truth", "quick"),
        studies.recorded("truth", "paper"),
        studies.recorded("fast"),
        studies.recorded("few"),
    )


def written(quick: Results, grid: Results) -> Numbers:
    """Return the sentences that are written from the records; what has none is not in them."""
    own = Facts(quick, grid, Results([], {}), Results([], {}))
    if "none" not in own.table().index:  # with which all are compared
        return {}
    far = own.everywhere(farther=True, stage=FITTED)
    labels = comparisons.labels_apart(comparisons.label_distances(quick))
    kinds = labels["changed"].astype(bool)
    same = [s for s, cost in own.costs.items() if cost < 1 + ALIKE and s not in ("none", "truth")]
    chosen = {s: _candidates(s) for s in own.table().index if named(s).chooses}
    return {
        "farther.all": in_prose(own.everywhere(farther=True)),
        "fitted.nearer.all": in_prose(own.everywhere(farther=False, stage=FITTED)),
        "fitted.farther.all": in_prose(far),
        "fitted.farther.labels": in_prose([s for s in far if s in PLAIN_LABELS]),
        "fitted.farther.accuracy": _errors(own, far),
        "softened": _softened(own),
        "labels.plain": in_words(int((~kinds).sum())),
        "labels.changed": in_words(int(kinds.sum())),
        "cost.same": in_words(len(same)),
        "chosen": in_prose(chosen),
        "chosen.candidates": listed(f"{n} for {in_prose([s])}" for s, n in chosen.items()),
    }


def _candidates(strategy: str) -> int:
    """How many settings a strategy chooses among."""
    grids = [value for value in named(strategy).settings.values() if isinstance(value, list)]
    return math.prod(len(grid) for grid in grids)


def _errors(own: Facts, strategies: list[str]) -> str:
    """What those strategies lose in accuracy, in points."""
    lost = {
        s: 100 * float((own.of(s, "error") - own.of("none", "error")).mean()) for s in strategies
    }
    some = {s: points for s, points in lost.items() if points >= 0.5}
    if not some:
        return "None of them loses half a point of accuracy or more"
    ends = f"{min(some.values()):.1f} to {max(some.values()):.1f} points of accuracy as well"
    others = [s for s in lost if s not in some]
    return f"All but {in_prose(others)} lose {ends}" if others else f"All lose {ends}"


def _softened(own: Facts) -> str:
    """How near soft labels come in the quick cell, as trained and scaled."""
    read = own.in_cell()
    there = [s for s in SOFTENED if row(s) in own.quick]
    if not there:
        return ""
    order = sorted(there, key=lambda s: read(s, KL))
    least, most = (f"{read(s, KL):.2f} ({in_prose([s])})" for s in (order[0], order[-1]))
    base = read("none", KL, FITTED)
    nearer = [s for s in there if read(s, KL, FITTED) < base]
    said = f"nearer are {in_prose(nearer)}" if nearer else "none is nearer"
    return (
        f"The strategies that soften labels ({in_prose(there)}) have a KL of {least} to {most}. "
        f"One temperature, which changes no answer, brings hard labels to {base:.2f}; of "
        f"these {in_words(len(there))}, scaled as well, {said}"
    )


def _last(own: Facts, stage: str, *strategies: str) -> bool:
    """Whether strategies are in the last quarter by their mean rank."""
    ranked = own.best(stage)
    return set(strategies) <= set(ranked[-(len(ranked) // 4) :])


def _first(own: Facts, stage: str, *strategies: str) -> bool:
    return set(strategies) <= set(own.best(stage)[: len(strategies)])


def _student(own: Facts, strategy: str) -> float:
    """The KL of the student whose labels are compared, scaled."""
    return float(own.labels(FITTED).loc[strategy, "student"])


TEACHERS = ("on_en_ldl-mixup", "on_mt_ldl-mixup")
MENDING = ("ls", "cs_kd", "on_ldl-cutmix")


def _few_labels(few: Reading, doubled: Reading) -> bool:
    """Whether twice the images bring more than any label, and as much confidence as before."""
    labels = ("ls", "cs_kd", "off_ldl", "cutmix", "on_ldl-cutmix")
    return (
        doubled("none", "accuracy") > max(few(label, "accuracy") for label in labels) + 0.05
        and doubled("none", "cross_entropy", FITTED)
        < min(few(label, "cross_entropy", FITTED) for label in labels) - 0.2
        and 0 < doubled("none", ECE) - few("none", ECE) < 0.03
    )


SENTENCES: dict[str, Callable[[Facts], bool]] = {
    "This one is hardly so": lambda own: (
        abs(own.photographs("none", "temperature", FITTED) - 1) < 0.1
    ),
    "ILS, whose teacher is as little too sure, goes hardly beyond it": lambda own: (
        abs(own.photographs("none-held", "temperature", FITTED) - 1) < 0.1
        and not own.fast.difference(
            (f"{CIFAR10} ils_fixed", "plain"), (f"{CIFAR10} none-held", "plain"), ECE
        ).excludes_zero
    ),
    "one seed each": lambda own: all(
        len(own.photographs.on("").seeds(row, "accuracy")) == 1 for row in own.fast.rows
    ),
    "Trained on all images it is hardly too sure, and each of these labels leaves its ECE "
    "higher than hard labels do. Here it is far too sure, and the same labels lower it, as the "
    "papers say: Off-LDL by little … the others to a third or less": lambda own: (
        all(
            own.photographs.on(CIFAR100).always_below("none", label, ECE)
            and own.few.always_below(label, "none", ECE)
            for label in (*MENDING, "off_ldl")
        )
        and own.few("none", "temperature", FITTED) > 1.4
        and own.few("off_ldl", ECE) > 0.8 * own.few("none", ECE)
        and all(own.few(label, ECE) < own.few("none", ECE) / 3 for label in MENDING)
    ),
    "that of hard labels lies far below it, those of LS and CS-KD near it, that of On-LDL "
    "between": lambda own: (
        own.few("none", "temperature", FITTED) > 1.4
        and all(abs(own.few(label, "temperature", FITTED) - 1) < 0.15 for label in ("ls", "cs_kd"))
        and own.few.sorted("cs_kd", "on_ldl-cutmix", "none", metric="temperature", stage=FITTED)
        and own.few.sorted("cs_kd", "on_ldl-cutmix", "none", metric=ECE)
    ),
    "the NLL of CS-KD, CutMix and Off-LDL stays below that of hard labels in all three seeds … but "
    "none of the five has a lower ECE than hard labels then. CS-KD is right more often as well": (
        lambda own: (
            all(
                own.few.below(label, "none", "cross_entropy", FITTED) == 3
                for label in ("cs_kd", "cutmix", "off_ldl")
            )
            and all(
                own.few(label, ECE, FITTED) > own.few("none", ECE, FITTED)
                for label in (*MENDING, "off_ldl", "cutmix")
            )
            and own.few.below("none", "cs_kd", "accuracy") == 3
        )
    ),
    "label smoothing's NLL is far above, and it is right less often": lambda own: (
        own.few("ls", "cross_entropy", FITTED) > own.few("none", "cross_entropy", FITTED) + 0.1
        and own.few.always_below("ls", "none", "accuracy")
    ),
    "There CS-KD has a lower NLL at a temperature, too, and label smoothing a higher one": (
        lambda own: (
            own.few.always_below("cs_kd", "none", "cross_entropy", FITTED)
            and own.few.always_below("none", "ls", "cross_entropy", FITTED)
        )
    ),
    "hard labels with twenty times the weight decay, the one other value that was tried, are as "
    "well calibrated as any of these without a temperature … and pay for it, too, if "
    "less than label smoothing does": lambda own: (
        own.few.on(DECAYED_BENCH)("none", ECE)
        < 1.2 * min(own.few(label, ECE) for label in (*MENDING, "off_ldl"))
        and DECAYED["weight_decay"] == 20 * FEW["weight_decay"]
        and own.few.on(DECAYED_BENCH)("none", "accuracy") < own.few("none", "accuracy")
        and own.few.on(DECAYED_BENCH)("none", "cross_entropy", FITTED)
        > own.few("none", "cross_entropy", FITTED) + 0.03
        and own.few.on(DECAYED_BENCH)("none", "cross_entropy", FITTED)
        < own.few("ls", "cross_entropy", FITTED)
    ),
    "seeds of each kind, and one takes": lambda own: (
        len({len(own.few.results.of(row)) for row in own.few.results.rows}) == 1
    ),
    "further than any strategy brings them. … They are as far too sure, or a little farther": (
        lambda own: _few_labels(own.few, own.few.on(DOUBLED_BENCH))
    ),
    "On-LDL with CutMix is level by NLL and right less often": lambda own: (
        abs(
            own.few("on_ldl-cutmix", "cross_entropy", FITTED)
            - own.few("none", "cross_entropy", FITTED)
        )
        < 0.02
        and own.few("on_ldl-cutmix", "accuracy") < own.few("none", "accuracy")
    ),
    "tight ones, nearer to one another, with LS and CS-KD": lambda own: all(
        own.photographs(tight, f"{part}_{what}", "plane")
        < own.photographs(wide, f"{part}_{what}", "plane")
        for part in ("train", "test")
        for what in ("spread", "distance")
        for tight in ("ls", "cs_kd")
        for wide in ("none", "off_ldl")
    ),
    "LS and CS-KD are nearer to the truth than hard labels as trained, and farther once every "
    "network has its temperature; with WSL it is the other way round": lambda f: (
        all(f.mean(s) < 1 < f.mean(s, FITTED) for s in ("ls", "cs_kd"))
        and f.mean("wsl") > 1 > f.mean("wsl", FITTED)
    ),
    "CutMix, On-MT-LDL with mixup and the true posterior stay below": lambda f: all(
        f.mean(s, stage) < 1
        for s in ("cutmix", "on_mt_ldl-mixup", "truth")
        for stage in ("plain", FITTED)
    ),
    "they lie far from the truth, and most of their students are nearer all the same": lambda f: (
        (changed := f.labels(FITTED)[f.labels()["changed"] > 0])["label"].min()
        > f.labels().loc["none", "label"]
        and (changed["student"] < f.labels(FITTED).loc["none", "student"]).mean() > 0.5
    ),
    "Scaled, label smoothing is farther from the truth than hard labels": (
        lambda f: f.mean("ls", FITTED) > 1
    ),
    "are nearer (× … for no more operations": lambda f: all(
        f.mean(s, FITTED) < 1 and f.costs[s] < 1 + ALIKE for s in ("cutmix", "ricap")
    ),
    "Nearest without the truth are five teachers that label mixed images": (
        lambda f: _first(f, FITTED, "truth", *TEACHERS)
    ),
    "is no nearer than hard labels once scaled": lambda f: f.mean("cs_kd_e", FITTED) > 1,
    "The network with hard labels is … far too sure": lambda f: (
        f.in_cell()("none", "temperature", FITTED) > 1.3
    ),
    "most of what lowers the confidence helps": lambda f: (
        sum(f.mean(s) < 1 for s in f.best()) > len(f.best()) / 2
        and f.of("none", "temperature", FITTED).min() > 1
    ),
    "Too much of it does not": lambda f: (
        f.of("adacos", "temperature", FITTED).mean() < 1 and f.mean("adacos") > 1
    ),
    "Off-MT-LDL and WSL are surer still than hard labels": lambda f: all(
        f.of(s, "temperature", FITTED).mean() > f.of("none", "temperature", FITTED).mean()
        and f.mean(s) > 1
        for s in ("off_mt_ldl", "wsl")
    ),
    "Off-MT-LDL and WSL are among the farthest as trained and nearer in all cells once scaled": (
        lambda f: (
            _last(f, "plain", "off_mt_ldl", "wsl")
            and {"off_mt_ldl", "wsl"} <= set(f.everywhere(farther=False, stage=FITTED))
        )
    ),
    "As trained most are blue, nearer; Off-MT-LDL, WSL and BYOT are red in all cells. Scaled, "
    "colours are faint: the true posterior, ensembles of teachers on mixed images and DDGSD are "
    "blue in all cells, LS, class similarity and Virtual-softmax red in all": lambda f: (
        {"off_mt_ldl", "wsl", "byot"} <= set(f.everywhere(farther=True))
        and {"truth", "ddgsd", *TEACHERS} <= set(f.everywhere(farther=False, stage=FITTED))
        and {"ls", "similarity", "virtual_softmax"} <= set(f.everywhere(True, FITTED))
    ),
    "from the true posterior, DDGSD and the ensembles on mixed images at the top to AdaCos, BYOT, "
    "WSL and Off-MT-LDL at the bottom": lambda f: (
        set(f.best()[:4]) == {"truth", "ddgsd", *TEACHERS}
        and _last(f, "plain", "adacos", "byot", "wsl", "off_mt_ldl")
    ),
    "from the true posterior and On-MT-LDL with mixup at the top to strategies such as "
    "Virtual-softmax and LS at the bottom": lambda f: (
        f.best(FITTED)[:2] == ["truth", "on_mt_ldl-mixup"]
        and _last(f, FITTED, "virtual_softmax", "ls")
    ),
    "Scaled they are nearly one": (
        lambda f: f.agrees("error", FITTED) > 0.8 > f.agrees("error") + 0.1
    ),
    "as accurate as hard labels and farther, is an exception": lambda f: (
        abs((f.of("adacos", "error") - f.of("none", "error")).mean()) < 0.005
        and f.mean("adacos", FITTED) > 1.05
    ),
    "On-MT-LDL with mixup is ahead in both": lambda f: all(
        f.table(metric, FITTED).drop(index="truth").mean(axis=1).idxmin() == "on_mt_ldl-mixup"
        for metric in (KL, "error")
    ),
    "which sees additional noise, is level with On-En-LDL": (
        lambda f: abs(f.mean("ddgsd", FITTED) - f.mean("on_en_ldl-mixup", FITTED)) < 0.02
    ),
    "Of images as they are the scaled points rise": lambda f: (
        f.correlation("plain", FITTED).low > 0
    ),
    "Of changed images there are too few labels to tell": (
        lambda f: not f.correlation("changed", FITTED).excludes_zero
    ),
    "Across the groups a nearer label does not make a nearer student": (
        lambda f: f.correlation("all", FITTED).mean < 0
    ),
    "a teacher's label is nearer than the mixed one, and its student, scaled, is nearer for mixup, "
    "CutMix and CutOut, but not for RICAP": lambda f: (
        all(
            f.labels().loc[f"on_ldl-{mix}", "label"] < f.labels().loc[mix, "label"]
            and _student(f, f"on_ldl-{mix}") < _student(f, mix)
            for mix in ("mixup", "cutmix", "cutout")
        )
        and _student(f, "on_ldl-ricap") > _student(f, "ricap")
    ),
    "the labels of changed images are farther from the truth than any hard label": lambda f: (
        f.labels()[f.labels()["changed"] > 0]["label"].min() > f.labels().loc["none", "label"]
    ),
    "As trained, how sure the labels are weighs more than how near they are": (
        lambda f: f.correlation("plain").high < 0
    ),
    "Off-LDL's are hardly nearer": lambda f: (
        0 < f.labels().loc["none", "label"] - f.labels().loc["off_ldl", "label"] < 0.01
    ),
    "As trained NLL agrees nearly always, Brier score mostly, the three ECEs in about four pairs "
    "of five; scaled, NLL, Brier and total variation agree nearly always, the ECE hardly more "
    "often than a coin": lambda f: (
        f.agrees("cross_entropy") > 0.95
        and f.agrees("brier") > 0.85
        and all(
            0.78 < f.agrees(m) < 0.88
            for m in ("ece_15_left", "classwise_ece", "class_conditional_ece")
        )
        and all(f.agrees(m, FITTED) > 0.9 for m in ("cross_entropy", "brier", "total_variation"))
        and f.agrees("ece_15_left", FITTED) < 0.6
    ),
    "farther than hard labels (× … where the KL finds it nearer": (
        lambda f: f.mean("ls", metric="total_variation") > 1 > f.mean("ls")
    ),
    "The class-wise ones see a little more": lambda f: all(
        f.agrees("ece_15_left", FITTED) < f.agrees(m, FITTED) < 0.75
        for m in ("classwise_ece", "class_conditional_ece")
    ),
    "AdaCos hardly more": lambda f: 1 < f.costs["adacos"] < 1.01,
    "Of these RICAP and CutMix come nearest to the truth once scaled … and nothing below the price "
    "of two networks comes nearer": lambda f: (
        set(
            sorted(
                (s for s in f.best(FITTED) if f.costs[s] < 2 - ALIKE and s != "truth"),
                key=lambda s: f.mean(s, FITTED),
            )[:2]
        )
        == {"ricap", "cutmix"}
    ),
    "At that price DDGSD does": lambda f: (
        abs(f.costs["ddgsd"] - 2) < 0.01
        and f.mean("ddgsd", FITTED) < min(f.mean(s, FITTED) for s in ("ricap", "cutmix"))
    ),
    "as near as five teachers come with the ordinary step": (
        lambda f: abs(f.mean("ddgsd", FITTED) - f.mean("on_en_ldl-mixup", FITTED)) < 0.02
    ),
    "buys little beyond the mixing": (
        lambda f: 0 < f.mean("cutmix", FITTED) - f.mean("on_ldl-cutmix", FITTED) < 0.03
    ),
    "SSKD costs nearly as much as five teachers … and gains little here": (
        lambda f: f.costs["sskd"] > 6 and 0.95 < f.mean("sskd", FITTED) < 1
    ),
}
