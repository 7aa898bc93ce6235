"""What the LDL chapter says of its records and of the paper's tables, and when it is true."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ldlstudy import studies
from ldlstudy.data.cifar100 import CLASSES
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.report.sentences import NoRecordError, Reading, listed, of_seeds, reading
from ldlstudy.report.tables import published, short
from ldlstudy.studies.bench import NETWORKS
from ldlstudy.studies.fast.runs import CIFAR10, CIFAR100, FEW_BENCH
from ldlstudy.studies.ldl import numbers
from ldlstudy.studies.ldl.figures import PANELS, label, printed_changes
from ldlstudy.studies.ldl.numbers import DIGITS
from ldlstudy.studies.ldl.runs import COMPARED, REDUCED, RIVALS, SHIFTED, SHOWN, benches, with_fast
from ldlstudy.studies.strategies import named

KL, ACC, ECE10, T, FITTED = "kl_to_truth", "accuracy", "ece_10_right", "temperature", "fitted"
MIXINGS = ("cutout", "mixup", "cutmix", "ricap")
FIVE = ("on_en_ldl-mixup", "on_mt_ldl-mixup", "on_mt_ldl_mean-mixup")
NINE = (
    "none", "ls_wrong", "kd_ldl", "off_ldl", "off_en_ldl", "off_mt_ldl",
    *(f"on_ldl-{mixing}" for mixing in MIXINGS), *FIVE[:2],
)  # fmt: skip
TRAINED = tuple(map(with_fast, SHOWN))


def facts() -> Reading:
    """Return the committed records, as the conditions read them."""
    small = studies.recorded(("ldl-methods", "ldl-truth"), "quick")
    return Reading(
        studies.recorded([*(f"ldl-table{n}" for n in range(1, 8)), "fast", "few"]) | small
    )


def written(results: Results) -> Numbers:
    """Return the sentences that are written from records, and from the paper's tables."""
    return {
        "rivals.ece": _rivals(Reading(results, DIGITS)),
        "not.lower.right": _not_lower_right(),
        "classes.gap": _gaps(results),
        "classes.best": _best(results),
        **_alike(results),
    }


def _rivals(r: Reading) -> str:
    """What the rivals do to Vanilla's ECE, in how many seeds."""
    said = []
    for strategy in RIVALS:
        try:
            raised = r.below("none", strategy, ECE10)
            lowered = r.below(strategy, "none", ECE10)
            mean = short(f"{r(strategy, ECE10):.3f}")
        except NoRecordError:
            continue
        up = r(strategy, ECE10) > r("none", ECE10)
        seeds = of_seeds(raised if up else lowered, len(r.seeds("none", ECE10)))
        said.append(f"{label(strategy)} {'raises' if up else 'lowers'} it to {mean} in {seeds}")
    return listed(said, "none of them has been run")


def _not_lower_right() -> str:
    """The rows of LDL's own strategies that Figure 10 has not at the lower right of Vanilla."""
    found: dict[str, list[str]] = {}
    known = benches("paper")
    for title, (table, students) in PANELS.items():
        printed = published(f"ldl_table{table}").droplevel("stage")
        for bench, strategy in printed.index:
            if bench not in students or named(strategy).group not in ("offline LDL", "online LDL"):
                continue
            base, own = printed.loc[(bench, "none")], printed.loc[(bench, strategy)]
            if own["accuracy"] > base["accuracy"] and own["ece"] < base["ece"]:
                continue
            where = ("lower ", "", "upper ")[1 + int(np.sign(own["ece"] - base["ece"]))]
            where += "right" if own["accuracy"] > base["accuracy"] else "left"
            student = f"{title.partition(',')[0]}'s {NETWORKS[known[bench].model]}"
            found.setdefault(student, []).append(f"{label(strategy)}, {where}")
    return "; ".join(f"{student} ({'; '.join(rows)})" for student, rows in found.items())


def _losses(results: Results, strategy: str, count: int) -> tuple[float, float]:
    """The mean losses of the best and of the worst classes after the last epoch."""
    row = f"{REDUCED} {strategy}"
    if row not in results:
        raise NoRecordError(f"{row!r} has no record")
    last = np.sort(results.figure(row, "history")["test_class_loss"][-1])
    return float(last[:count].mean()), float(last[-count:].mean())


def _gaps(results: Results) -> str:
    """How far the best and the worst classes are apart, by method."""
    parts = []
    for count in (5, 20):
        gaps = {}
        for strategy in SHOWN:
            try:
                best, worst = _losses(results, strategy, count)
            except NoRecordError:
                continue
            gaps[strategy] = worst - best
        each = ", ".join(f"{short(f'{gap:.3f}')} with {label(s)}" for s, gap in gaps.items())
        narrower = [label(s) for s, gap in gaps.items() if gap < gaps.get("none", -1)]
        parts.append(f"of the {count} best and worst {each} (narrower with {listed(narrower)})")
    return "; ".join(parts)


def _best(results: Results) -> str:
    """The best class of each method, and the class that follows on its images."""
    rows = {label(s): f"{CIFAR100} {s}" for s in TRAINED}
    said = []
    for name, of in results.figures(rows, "by_class").items():
        first, second = (CLASSES[k].replace("_", " ") for k in of["best"]["classes"][:2])
        said.append(f"{first} with {name} ({second} follows)")
    return listed(said)


def _alike(results: Results) -> Numbers:
    """How near like classes are to each other with the fast network, by the first of them."""
    rows = {s: f"{CIFAR100} {s}" for s in TRAINED}
    return {
        f"alike.{classes.partition(',')[0]}.{strategy}.{part}": found
        for strategy, kept in results.figures(rows, "similar").items()
        for (classes, part), found in numbers.likenesses(kept).items()
    }


def _nearer(r: Reading, strategy: str) -> dict[tuple[str, str], float]:
    """By how much like classes are nearer than with Vanilla, by classes and by images."""
    own, base = (
        numbers.likenesses(r.results.figure(f"{r.bench} {each}", "similar"))
        for each in (strategy, "none")
    )
    return {key: base[key] - found for key, found in own.items()}


def _cells(r: Reading) -> dict[tuple[float, int], Reading]:
    """The benches by noise and size."""
    return {key: r.on(bench) for key, bench in numbers.sizes(r.results).items()}


def _nearest(r: Reading, *without: str) -> str:
    """The strategy compared in a cell that is the nearest as trained."""
    return min((s for s in COMPARED if s not in without), key=lambda s: r(s, KL))


def _falls(r: Reading, strategy: str, sigma: float) -> bool:
    """Whether more images bring a strategy nearer to the truth, from size to size."""
    own = [of(strategy, KL) for (noise, _), of in _cells(r).items() if noise == sigma]
    return all(b < a for a, b in itertools.pairwise(own))


def _others(r: Reading) -> list[str]:
    """What is on noisy digits beside the rivals and what was taught the truth."""
    return [s for s in numbers.nearest(r.results, DIGITS) if s not in (*RIVALS, "truth")]


def _by_class(r: Reading, strategy: str) -> dict[str, Any]:
    return dict(r.results.figure(f"{CIFAR100} {strategy}", "by_class"))


def _gap_to_f1(r: Reading, strategy: str) -> np.ndarray:
    own = _by_class(r, strategy)
    return np.array(own["f1"]) - np.array(own["confidence"])


def _first_classes(r: Reading, who: str) -> list[tuple[int, float]]:
    """The first class and its probability, of each mixed image."""
    kept = r.results.figure(f"{DIGITS} on_ldl-cutmix", "supervision")[who]
    return [(said["classes"][0], said["probabilities"][0]) for said in kept]


def _supervised(r: Reading) -> bool:
    teacher, truth = _first_classes(r, "teacher"), _first_classes(r, "truth")
    alike = [a[0] == b[0] for a, b in zip(teacher, truth, strict=True)]
    mixing = r.results.figure(f"{DIGITS} on_ldl-cutmix", "supervision")["mixing"][1]
    return (
        alike == [True, False, True, False]
        and all(teacher[i][1] > truth[i][1] for i in (1, 3))
        and mixing == {"classes": [1, 8], "probabilities": [0.625, 0.375]}
        and (teacher[1][0], truth[1][0]) == (1, 2)
    )


def _geometry(r: Reading, strategy: str, part: str) -> tuple[float, float]:
    """Width of the clusters of 3 and 9, and the distance of their centres, on the plane."""
    (plane,) = r.results.figure(f"{DIGITS} {strategy}", "similar").values()
    one, two = (np.array(points) for points in plane[part][:2])
    width = np.mean([np.sqrt(((p - p.mean(0)) ** 2).sum(1).mean()) for p in (one, two)])
    return float(width), float(np.linalg.norm(one.mean(0) - two.mean(0)))


def _touch(r: Reading) -> bool:
    (wide, far), (hard, apart) = (_geometry(r, s, "train") for s in ("on_ldl-cutmix", "none"))
    return wide < 1.1 * hard and 0.55 < far / apart < 0.8


def _fast(r: Reading) -> bool:
    """Whether the fast network on CIFAR-10 is as sure as right, within what chance explains."""
    own = r.on(CIFAR10)
    return own("none", ECE10) < 0.01 and abs(own("none", T, FITTED) - 1) < 0.05


def _printed_ece() -> list[float]:
    """The ECE of Vanilla in the paper's Table 3, network by network."""
    return [float(e) for e in published("ldl_table3").xs("none", level="strategy")["ece"]]


_digits = reading(DIGITS)
_reduced = reading(REDUCED)
_shifted = reading(f"quick {SHIFTED}")
_few = reading(FEW_BENCH)

SENTENCES: dict[str, Callable[[Reading], bool]] = {
    "learns them by heart, and with hard labels it is far too sure … more so than the paper's": (
        _few(lambda r: r("none", ECE10) > max(_printed_ece()) and r("none", T, FITTED) > 1.4)
    ),
    "Both lower the NLL as well. A joint rise it is not: with On-LDL … of the answers are right, "
    "with hard labels … fewer in all three seeds; with Off-LDL as many": _few(
        lambda r: (
            r.always_below("off_ldl", "none", "cross_entropy")
            and r.always_below("on_ldl-cutmix", "none", "cross_entropy")
            and r.below("on_ldl-cutmix", "none", ACC) == 3
            and abs(r("off_ldl", ACC) - r("none", ACC)) < 0.003
        )
    ),
    "Nor does a teacher that is itself far too sure add anything to CutMix, which alone has more "
    "right answers on average … a lower ECE … and, with a temperature each, a lower NLL": _few(
        lambda r: (
            r.sorted("on_ldl-cutmix", "cutmix", metric=ACC)
            and r.always_below("cutmix", "on_ldl-cutmix", ECE10)
            and r.always_below("cutmix", "on_ldl-cutmix", "cross_entropy", FITTED)
        )
    ),
    "Where that network has seen 30 images of each class, with a tenth of the weight decay, and is "
    "far too sure, On-LDL mends the ECE … and lowers the accuracy all the same": _few(
        lambda r: (
            r.always_below("on_ldl-cutmix", "none", ECE10)
            and r("on_ldl-cutmix", ECE10) < r("none", ECE10) / 2
            and r.always_below("on_ldl-cutmix", "none", ACC)
        )
    ),
    "Labels fixed once make the better calibrated student, in all three seeds": _shifted(
        lambda r: r.below("off_ldl", "off_ldl_views", ECE10) == 3
    ),
    "the student grows less sure. It is also less often right on average": _shifted(
        lambda r: (
            r.sorted("off_ldl", "off_ldl_views", metric=T, stage=FITTED)
            and r.sorted("off_ldl", "off_ldl_views", metric=ACC)
        )
    ),
    "once both are scaled, labels of each view are nearer to the truth in all three seeds": (
        _shifted(lambda r: r.below("off_ldl_views", "off_ldl", KL, FITTED) == 3)
    ),
    "Vanilla grows surer and is right no more often: its ECE rises in all three seeds": _digits(
        lambda r: (
            r.below("none", "none-long", ECE10) == 3
            and r.sorted("none", "none-long", metric=T, stage=FITTED)
            and r("none-long", ACC) <= r("none", ACC)
        )
    ),
    "Averaging over dropout lowers Vanilla's ECE in all three seeds … and leaves its accuracy "
    "where it was; once both are scaled it is no nearer to the truth": _digits(
        lambda r: (
            r.below("mcdo", "none", ECE10) == 3
            and abs(r("mcdo", ACC) - r("none", ACC)) < 0.005
            and 0 <= r("mcdo", KL, FITTED) - r("none", KL, FITTED) < 0.01
        )
    ),
    "OGR as a loss lowers the ECE of Vanilla on the same images by a hundredth": _digits(
        lambda r: 0.005 < r("none-held", ECE10) - r("ogr", ECE10) < 0.015
    ),
    "OGR as a label lowers it more … but costs accuracy, and scaled it is farther from the truth, "
    "both in all three seeds": _digits(
        lambda r: (
            r.sorted("on_ldl-ogr", "ogr", metric=ECE10)
            and r.below("on_ldl-ogr", "none-held", ACC) == 3
            and r.below("none-held", "on_ldl-ogr", KL, FITTED) == 3
        )
    ),
    "As trained, mixing helps more than who labels the mixed image": _digits(
        lambda r: (
            r("none", KL) - r("mixup", KL) > abs(r("mixup", KL) - r("on_ldl-mixup", KL))
            and r.sorted("mixup", "none", metric=KL, stage=FITTED)
        )
    ),
    "about level once scaled": _digits(
        lambda r: abs(r("off_ldl", KL, FITTED) - r("none", KL, FITTED)) < 0.01
    ),
    "**Five teachers online are the best of the nine**": _digits(
        lambda r: set(sorted(NINE, key=lambda s: r(s, KL, FITTED))[:2]) == set(FIVE[:2])
    ),
    "**CIFAR-100 does not show the joint rise.**": _reduced(
        lambda r: (
            r.sorted("on_ldl-cutmix", "none", metric=ECE10)
            and r.sorted("on_ldl-cutmix", "none", metric=ACC)
        )
    ),
    "is less sure than right, and there On-LDL with CutMix raises the ECE … and lowers the "
    "accuracy": lambda r: (
        r.on(CIFAR100)("none", T, FITTED) < 1
        and r.on(CIFAR100).sorted("none", "on_ldl-cutmix", metric=ECE10)
        and r.on(CIFAR100).sorted("on_ldl-cutmix", "none", metric=ACC)
    ),
    "Off-LDL has the lowest NLL … On-LDL with CutMix the highest": lambda r: r.on(CIFAR100).sorted(
        "off_ldl", "none", "ls", "on_ldl-cutmix", metric="cross_entropy", stage=FITTED
    ),
    "With On-LDL they are nearer in both triples, on training images and on test images": (
        lambda r: all(by > 0 for by in _nearer(r.on(CIFAR100), "on_ldl-cutmix").values())
    ),
    "both make it less sure": lambda r: r.on(CIFAR10).sorted(
        "on_ldl-cutmix", "off_ldl", "none", metric="temperature", stage=FITTED
    ),
    "with On-LDL like classes lie nearer to each other, for the fast network, which "
    "is one seed": lambda r: (
        len(r.on(CIFAR100).seeds("on_ldl-cutmix", ACC)) == 1
    ),
    "with Off-LDL on training images alone; with label smoothing they are farther": lambda r: (
        all((by > 0) == (key[1] == "train")
            for key, by in _nearer(r.on(CIFAR100), "off_ldl").items())
        and all(by < 0 for by in _nearer(r.on(CIFAR100), "ls").values())
    ),
    "The ResNet-20 after 20 epochs shows little of it": _reduced(
        lambda r: all(0 < by < 0.03 for by in _nearer(r, "on_ldl-cutmix").values())
    ),
    "not overconfident to speak of": _fast,
    "the teacher's, whose first class is the truth's in two images of four": _supervised,
    "in the second image, five eighths of a 1 and three eighths of an 8, the truth sees a 2 first, "
    "and hardly a 1. The teacher sees a 1 there. Its first class is the truth's in two of these "
    "four images; in the other two it is surer of a class than the truth is of any": _supervised,
    "are farther from the truth than Vanilla as trained: each makes the network surer of itself": (
        _digits(
            lambda r: all(
                r.sorted("none", s, metric=KL) and r.sorted("none", s, metric=T, stage=FITTED)
                for s in ("wsl", "off_mt_ldl", "kd_ldl")
            )
        )
    ),
    "are nearer than Vanilla … on average, WSL in all three seeds. Scaled, KD, which has a tenth "
    "of its weight on the teacher, is about Vanilla": _digits(
        lambda r: (
            r.sorted("off_mt_ldl", "none", metric=KL, stage=FITTED)
            and r.below("wsl", "none", KL, FITTED) == 3
            and abs(r("kd_ldl", KL, FITTED) - r("none", KL, FITTED)) < 0.02
        )
    ),
    "**Off-LDL** is close to Vanilla": _digits(
        lambda r: abs(r("off_ldl", KL) - r("none", KL)) < 0.1
    ),
    "Averaging five such teachers changes little": _digits(
        lambda r: abs(r("off_en_ldl", KL, FITTED) - r("off_ldl", KL, FITTED)) < 0.03
    ),
    "bring Vanilla's KL from": _digits(
        lambda r: (
            min(MIXINGS, key=lambda s: r(s, KL)) == "mixup"
            and max(MIXINGS, key=lambda s: r(s, KL)) == "cutout"
            and r.sorted("cutout", "none", metric=KL)
        )
    ),
    "The blended labels of the last three make a network less sure than it should be … a teacher's "
    "leave it surer than it should be": _digits(
        lambda r: all(
            r(s, T, FITTED) < 1 < r(f"on_ldl-{s}", T, FITTED) for s in ("mixup", "cutmix", "ricap")
        )
    ),
    "As trained, the labels mixed by weight or area are nearer with mixup and CutMix in all three "
    "seeds; with CutOut and RICAP the seeds disagree. Scaled, the teacher's labels are nearer with "
    "mixup … in all three seeds and with CutOut in two, and farther with CutMix": _digits(
        lambda r: (
            [r.below(s, f"on_ldl-{s}", KL) for s in ("mixup", "cutmix")] == [3, 3]
            and all(0 < r.below(s, f"on_ldl-{s}", KL) < 3 for s in ("cutout", "ricap"))
            and [r.below(f"on_ldl-{s}", s, KL, FITTED) for s in ("mixup", "cutout")] == [3, 2]
            and [r.below(s, f"on_ldl-{s}", KL, FITTED) for s in ("cutmix", "ricap")] == [3, 3]
        )
    ),
    "are the nearest of all once scaled, and summed the most accurate on average; as trained they "
    "are level with mixup alone": _digits(
        lambda r: (
            set(sorted(_others(r), key=lambda s: r(s, KL, FITTED))[:3]) == set(FIVE)
            and max(_others(r), key=lambda s: r(s, ACC)) == FIVE[1]
            and all(abs(r(s, KL) - r("mixup", KL)) < 0.03 for s in FIVE[:2])
        )
    ),
    "Summed, they are nearer than averaged once scaled, and more accurate, in all three seeds": (
        _digits(
            lambda r: (
                r.below(FIVE[1], FIVE[2], KL, FITTED) == 3 == r.below(FIVE[2], FIVE[1], ACC)
            )
        )
    ),
    "farther from the truth than the mean as trained, and more accurate in all three seeds": (
        _digits(
            lambda r: (
                r.sorted("off_mt_ldl_mean", "off_mt_ldl", metric=KL)
                and r.below("off_mt_ldl_mean", "off_mt_ldl", ACC) == 3
            )
        )
    ),
    "Beside the rivals, **label smoothing** has the lowest ECE of all, and scaled it is the "
    "farthest from the truth … and the least accurate": _digits(
        lambda r: (
            min(_others(r), key=lambda s: r(s, ECE10)) == "ls_wrong"
            and max(_others(r), key=lambda s: r(s, KL, FITTED)) == "ls_wrong"
            and min(_others(r), key=lambda s: r(s, ACC)) == "ls_wrong"
        )
    ),
    "LS and the networks trained with mixup fall with the number of images; Vanilla and Off-LDL "
    "fall at σ = .4 and rise at .5 and .6, where they end highest. The network taught the true "
    "posterior is lowest throughout": lambda r: (
        all(_falls(r, s, n) for s in ("ls_wrong", "mixup", "on_ldl-mixup") for n in (0.4, 0.5, 0.6))
        and all(_falls(r, s, 0.4) for s in ("none", "off_ldl"))
        and not any(_falls(r, s, n) for s in ("none", "off_ldl") for n in (0.5, 0.6))
        and all(_nearest(of) == "truth" for of in _cells(r).values())
        and all(
            {"none", "off_ldl"} == set(sorted(COMPARED, key=lambda s: of(s, KL))[-2:])
            for (noise, size), of in _cells(r).items()
            if noise > 0.4 and size == 200
        )
    ),
    "More images bring LS and the methods that mix nearer to the truth at every noise. Vanilla and "
    "Off-LDL go the other way at σ = .5 and .6": lambda r: (
        all(_falls(r, s, n) for s in ("ls_wrong", "mixup", "on_ldl-mixup") for n in (0.4, 0.5, 0.6))
        and not any(_falls(r, s, n) for s in ("none", "off_ldl") for n in (0.5, 0.6))
    ),
    "On-LDL with mixup is the nearest at σ = .4 at all three sizes (with 200 images in two seeds "
    "of three), but for the network that was taught the truth; at .5 and .6 mixup alone is (at .5 "
    "with 50 images in two of three)": lambda r: (
        all(
            _nearest(of, "truth") == ("on_ldl-mixup" if noise == 0.4 else "mixup")
            for (noise, _), of in _cells(r).items()
        )
        and _cells(r)[0.4, 200].below("on_ldl-mixup", "mixup", KL) == 2
        and _cells(r)[0.5, 50].below("mixup", "on_ldl-mixup", KL) == 2
    ),
    "scaled, On-LDL has the lower mean in all nine cells, in six of them with all three seeds": (
        lambda r: (
            all(of.sorted("on_ldl-mixup", "mixup", metric=KL, stage=FITTED)
                for of in _cells(r).values())
            and sum(of.below("on_ldl-mixup", "mixup", KL, FITTED) == 3
                    for of in _cells(r).values()) == 6
        )
    ),
    "LS is the farthest at σ = .4 with 50 and 100 images, and at .5 with 50": lambda r: {
        key for key, of in _cells(r).items() if max(COMPARED, key=lambda s: of(s, KL)) == "ls_wrong"
    } == {(0.4, 50), (0.4, 100), (0.5, 50)},
    "On-LDL with CutMix has the lowest ECE and needs no temperature at all": _reduced(
        lambda r: (
            min(SHOWN, key=lambda s: r(s, ECE10)) == "on_ldl-cutmix"
            and abs(r("on_ldl-cutmix", T, FITTED) - 1) < 0.05
        )
    ),
    "with no gain in ECE beyond what test images explain": _reduced(
        lambda r: r("none", ECE10) - r("off_ldl", ECE10) < 0.01
    ),
    "NLL and Brier, which see both, prefer Vanilla": _reduced(
        lambda r: all(
            min(SHOWN, key=lambda s: r(s, metric)) == "none"
            for metric in ("cross_entropy", "top_label_brier")
        )
    ),
    "LS is underconfident. UCE puts LS first, which ECE puts last": _reduced(
        lambda r: (
            r("ls_wrong", T, FITTED) < 1
            and min(SHOWN, key=lambda s: r(s, "uce")) == "ls_wrong"
            and max(SHOWN, key=lambda s: r(s, ECE10)) == "ls_wrong"
        )
    ),
    "but not for CIFAR-100's ResNet-20, where it is to the upper right of Vanilla, nor for "
    "ImageNet's ResNet-18, where it is to the upper left; offline LDL is to the lower right of "
    "Vanilla there": lambda r: (
        "CIFAR-100's ResNet-20 (On-LDL, RICAP, long, upper right)" in _not_lower_right()
        and "ImageNet's ResNet-18 (On-LDL, CutMix, upper left" in _not_lower_right()
        and "Off-LDL" not in _not_lower_right()
    ),
    "Off-LDL lowers it everywhere, On-LDL everywhere but on the smallest": lambda r: (
        max(printed_changes("ece")["off_ldl"].values()) < 0
        and all(
            [bench for bench, change in printed_changes("ece")[line].items() if change >= 0]
            == ["cifar100-resnet20"]
            for line in ("on_ldl-cutmix", "on_ldl-long")
        )
    ),
    "all above the diagonal; label smoothing lies farthest from it": lambda r: (
        all((_gap_to_f1(r, s) > 0).all() for s in TRAINED)
        and max(TRAINED, key=lambda s: _gap_to_f1(r, s).mean()) == "ls"
    ),
    "The best class is another one with each of the four": lambda r: (
        len({_by_class(r, s)["best"]["class"] for s in TRAINED}) == len(TRAINED)
    ),
    "the worst classes end far above the best with every method": lambda r: all(
        _losses(r.results, s, n)[1] > 2 * _losses(r.results, s, n)[0]
        for s in SHOWN
        for n in (5, 20)
    ),
    "With a teacher's labels the loss is higher than with one-hot ones, by far in the worst "
    "classes and slightly in the best": lambda r: all(
        _losses(r.results, s, 5)[1] - _losses(r.results, "none", 5)[1]
        > _losses(r.results, s, 5)[0] - _losses(r.results, "none", 5)[0]
        > 0
        for s in ("off_ldl", "on_ldl-cutmix")
    ),
    "their clusters are no wider than Vanilla's, but a third nearer to each other": _touch,
    "Noisy digits: Vanilla and Off-LDL far below the diagonal, On-LDL nearer, label smoothing "
    "slightly above. CIFAR-100: label smoothing above, On-LDL on the diagonal, Vanilla and Off-LDL "
    "slightly below": lambda r: all(
        r.on(bench)("ls_wrong", T, FITTED) < 1
        and r.on(bench)("on_ldl-cutmix", ECE10) < r.on(bench)("none", ECE10)
        and r.on(bench)("on_ldl-cutmix", ECE10) < r.on(bench)("off_ldl", ECE10)
        and min(r.on(bench)(s, T, FITTED) for s in ("none", "off_ldl")) > 1
        for bench in (DIGITS, REDUCED)
    ),
    "On noisy digits Vanilla and Off-LDL are far surer than right, On-LDL is so too, and label "
    "smoothing is not quite sure enough": _digits(
        lambda r: (
            min(r(s, T, FITTED) for s in ("none", "off_ldl")) > 2
            and r("ls_wrong", T, FITTED) < 1 < r("on_ldl-cutmix", T, FITTED)
        )
    ),
    "The ResNet-20 after 20 epochs is as sure as it is right with On-LDL": _reduced(
        lambda r: abs(r("on_ldl-cutmix", T, FITTED) - 1) < 0.05
    ),
    "the fast network is right as often as it is sure with hard labels at best, and every other "
    "label makes it less sure": lambda r: all(
        r.on(CIFAR100)(s, T, FITTED) < r.on(CIFAR100)("none", T, FITTED) < 1
        and r.on(CIFAR100).sorted("none", s, metric=ECE10)
        for s in TRAINED[1:]
    ),
}  # fmt: skip
