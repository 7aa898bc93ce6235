"""What the CS-KD chapter says of its records and of the paper's tables, and when it is true."""

from collections.abc import Callable

from ldlstudy import studies
from ldlstudy.report.sentences import Reading, reading
from ldlstudy.report.tables import published
from ldlstudy.stats import Estimate
from ldlstudy.studies.cs_kd import numbers, runs
from ldlstudy.studies.cs_kd.runs import REDUCED, STUDENT
from ldlstudy.studies.cs_kd.tables import EVERYONE
from ldlstudy.studies.fast.runs import CIFAR10, CIFAR100, FEW_BENCH

DIGITS, SMALL = f"quick {runs.DIGITS}", f"quick {STUDENT}"
FITTED, T = "fitted", "temperature"
ERROR, ECE, KL, NLL = "error", "ece_20_right", "kl_to_truth", "cross_entropy"
ON_ERRORS, R1, SPREAD = "kl_to_truth_on_errors", "recall_at_1", "intra_class_variation"
MIXED = ("mixup", "mixup_cs_kd")
GRID = [f"cs_kd T{t} l{weight}" for t in (1, 4) for weight in (1, 2, 3, 4)]


def facts() -> Reading:
    """Return the committed records, as the conditions read them."""
    names = [f"cskd-table{n}" for n in range(1, 6)]
    small = studies.recorded((*names[:4], "cskd-grid"), "quick")
    return Reading(studies.recorded((*names, "fast", "few")) | small)


def _rises(r: Reading, metric: str, stage: str = "plain") -> bool:
    """Whether a metric is higher at the heaviest weight than at the lightest, at both T."""
    return all(
        r.sorted(f"cs_kd T{t} l1", f"cs_kd T{t} l4", metric=metric, stage=stage) for t in (1, 4)
    )


def _apart(r: Reading, metric: str) -> Estimate:
    """CS-KD less cross entropy, of the fast network on CIFAR-100."""
    left, right = ((f"{CIFAR100} {name}", "plain") for name in ("cs_kd", "none"))
    return r.results.difference(left, right, metric)


def _near(a: float, b: float, within: float) -> bool:
    return abs(a - b) < within


def _holds_on(claim: str) -> int:
    """On how many of the five sets the paper's printed means do not bear a claim out."""
    return len(numbers.not_borne_out()[claim])


def _better_calibrated(strategy: str) -> int:
    """On how many sets a rival's printed ECE is below CS-KD's."""
    table = published("cskd_measures")
    sets = list(runs.PROTOCOLS)
    return int((table.loc[("ece", strategy), sets] < table.loc[("ece", "cs_kd"), sets]).sum())


def _calibrated(r: Reading) -> bool:
    """Whether the small network has a third of the other's ECE, in no seed more than half."""
    small, large = (r.on(bench).seeds("none", ECE) for bench in (SMALL, DIGITS))
    nearer = all(a < b / 2 for a, b in zip(small, large, strict=True))
    return nearer and 0.28 < sum(small) / sum(large) < 0.38


_digits = reading(DIGITS)
_cifar = reading(REDUCED)
_fast = reading(CIFAR10)
_few = reading(FEW_BENCH)

SENTENCES: dict[str, Callable[[Reading], bool]] = {
    "has a third of the ECE … of the convolutional one with batch norm": _calibrated,
    "On so few images it is also right more often": lambda r: (
        r.on(SMALL)("none", ERROR) < r.on(DIGITS)("none", ERROR)
    ),
    "On its errors a CS-KD network is less confident than one of cross entropy": _digits(
        lambda r: r.sorted("cs_kd", "none", metric="confidence_on_errors")
    ),
    "There it is also nearer to the truth": _digits(
        lambda r: r.sorted("cs_kd", "none", metric=ON_ERRORS)
    ),
    "does the same for cross entropy": _digits(
        lambda r: r("none", ON_ERRORS, FITTED) < r("cs_kd", ON_ERRORS) + 0.03
    ),
    "but it has fewer in one seed of three only": _digits(
        lambda r: r.below("cs_kd", "none", ERROR) == 1
    ),
    "On top of {term}`mixup` it takes them from … in every seed": _digits(
        lambda r: r.below("mixup_cs_kd", "mixup", ERROR) == 3
    ),
    "is hardly overconfident, and there CS-KD makes calibration worse": _cifar(
        lambda r: r("none", T, FITTED) < 1.25 and r.sorted("none", "cs_kd", metric=ECE)
    ),
    "In all three cases CS-KD gathers the features of a class": lambda r: all(
        r.on(bench).sorted("cs_kd", "none", metric=SPREAD) for bench in (REDUCED, CIFAR10, CIFAR100)
    ),
    "So it does for a {term}`fast network` that is trained to its end, on CIFAR-10 … and on "
    "CIFAR-100": lambda r: all(
        r.on(bench).sorted("none", "cs_kd", metric=ECE) for bench in (CIFAR10, CIFAR100)
    ),
    "Where the fast network is far too sure, having seen 30 images of each class with a tenth "
    "of the weight decay, CS-KD has fewer errors and a lower ECE, and a lower NLL than cross "
    "entropy with a temperature each, too; CutMix alone has as low a one": _few(
        lambda r: (
            r("none", T, FITTED) > 1.4
            and all(r.always_below("cs_kd", "none", metric) for metric in (ERROR, ECE))
            and r.always_below("cs_kd", "none", NLL, FITTED)
            and _near(r("cutmix", NLL, FITTED), r("cs_kd", NLL, FITTED), 0.01)
        )
    ),
    "it is as much too sure as the paper's networks … its ECE is … its error … its R@1 … each in "
    "all three seeds. A temperature takes cross entropy to a still lower ECE … but not to CS-KD's "
    "NLL … It is not alone in that: CutMix": (
        _few(
            lambda r: (
                _near(r("none", ECE), 0.1839, 0.05)
                and len(r.seeds("cs_kd", ECE)) == len(r.seeds("none", ECE)) == 3
                and all(r.always_below("cs_kd", "none", m) for m in (ERROR, ECE))
                and r.always_below("none", "cs_kd", R1)
                and r("none", ECE, FITTED) < r("cs_kd", ECE)
                and r.always_below("cs_kd", "none", NLL, FITTED)
                and r.always_below("cutmix", "none", NLL, FITTED)
            )
        )
    ),
    "Label smoothing lowers the ECE as far as CS-KD … though its error is higher than cross "
    "entropy's. At a temperature each CS-KD is surer of its errors than cross entropy … And the "
    "class is not tighter: on test images CS-KD's features vary more": _few(
        lambda r: _near(r("ls", ECE), r("cs_kd", ECE), 0.01)
        and r.always_below("none", "ls", ERROR)
        and r.always_below("none", "cs_kd", "confidence_on_errors", FITTED)
        and r.always_below("none", "cs_kd", SPREAD)
    ),
    "Cross entropy is too sure of itself": _digits(lambda r: r("none", T, FITTED) > 1),
    "CS-KD lowers the ECE from … and raises R@1 from … in every seed. Its mean error is … lower "
    "because of one seed; in the other two it is higher": _digits(
        lambda r: (
            r.below("cs_kd", "none", ECE) == 3 == r.below("none", "cs_kd", R1)
            and r.sorted("cs_kd", "none", metric=ERROR)
            and r.below("none", "cs_kd", ERROR) == 2
        )
    ),
    "DDGSD has fewer errors than CS-KD in all three seeds, and mixup helps most. CS-KD on top of "
    "mixup lowers the error once more, at the price of its calibration": _digits(
        lambda r: (
            r.below("ddgsd", "cs_kd", ERROR) == 3
            and set(sorted(EVERYONE, key=lambda s: r(s, ERROR))[:2]) == set(MIXED)
            and r.sorted("mixup_cs_kd", "mixup", metric=ERROR)
            and r.sorted("mixup", "mixup_cs_kd", metric=ECE)
        )
    ),
    "mixup already makes the network less sure than right, and CS-KD pushes it further": _digits(
        lambda r: 1 > r("mixup", T, FITTED) > r("mixup_cs_kd", T, FITTED)
    ),
    "cross entropy's predicted class piles up near log-probability 0 and its true class has a long "
    "tail to very small values; CS-KD's predicted class is spread lower, its true class higher": (
        lambda r: all(
            r.on(bench).sorted("cs_kd", "none", metric="predicted_score_on_errors")
            and r.on(bench).sorted("none", "cs_kd", metric="true_score_on_errors")
            for bench in (DIGITS, REDUCED)
        )
    ),
    "Figure 2 carries over to noisy digits and to the ResNet-20 on CIFAR-100: the predicted class "
    "gets less and the true class more. With the ResNet-20 the second effect is small": lambda r: (
        all(
            r.on(bench).sorted("cs_kd", "none", metric="predicted_score_on_errors")
            and r.on(bench).sorted("none", "cs_kd", metric="true_score_on_errors")
            for bench in (DIGITS, REDUCED)
        )
        and r(f"{REDUCED} cs_kd", "true_score_on_errors")
        - r(f"{REDUCED} none", "true_score_on_errors")
        < 0.3
    ),
    "The fast network on CIFAR-100 shows the first and nothing clear of the second … but the "
    "interval of the difference holds 0": lambda r: (
        r.on(CIFAR100).sorted("cs_kd", "none", metric="predicted_score_on_errors")
        and not _apart(r, "true_score_on_errors").excludes_zero
    ),
    "With the fast network more superclasses are right with CS-KD … and of the errors … stay in "
    "the right one": lambda r: (
        r.on(CIFAR100).sorted("none", "cs_kd", metric="superclass_accuracy")
        and r.on(CIFAR100).sorted("none", "cs_kd", metric="error_within_superclass")
    ),
    "Scaled, cross entropy has the lower NLL": lambda r: (
        r.on(CIFAR100).sorted("none", "cs_kd", metric=NLL, stage=FITTED)
    ),
    "On CIFAR-100 such a network is less sure than right with cross entropy already … and CS-KD "
    "makes it still less sure": lambda r: (
        1 > r.on(CIFAR100)("none", T, FITTED) > r.on(CIFAR100)("cs_kd", T, FITTED)
    ),
    "do not order the classes better": _digits(
        lambda r: r.sorted("none", "cs_kd", metric="top5_error")
    ),
    "As trained, cross entropy is the farthest on its errors; scaled, all methods are close "
    "together, and mixup with and without CS-KD is the nearest": _digits(
        lambda r: (
            max(EVERYONE, key=lambda s: r(s, ON_ERRORS)) == "none"
            and set(sorted(EVERYONE, key=lambda s: r(s, KL, FITTED))[:2]) == set(MIXED)
        )
    ),
    "As trained, CS-KD is much nearer to the truth than cross entropy on the errors … and nearer "
    "on all images": _digits(
        lambda r: (
            r("cs_kd", ON_ERRORS) < 0.8 * r("none", ON_ERRORS)
            and r.sorted("cs_kd", "none", metric=KL)
        )
    ),
    "and it is as near on its errors … and nearer on all images": _digits(
        lambda r: (
            _near(r("none", ON_ERRORS, FITTED), r("cs_kd", ON_ERRORS), 0.03)
            and r("none", KL, FITTED) < r("cs_kd", KL)
        )
    ),
    "the same mean log-probability": _digits(
        lambda r: _near(
            r("none", "true_score_on_errors", FITTED), r("cs_kd", "true_score_on_errors"), 0.05
        )
    ),
    "no nearer than cross entropy": _digits(
        lambda r: all(r("cs_kd", m, FITTED) >= r("none", m, FITTED) for m in (KL, ON_ERRORS))
    ),
    "Mixup, and DDGSD on two noisy views, change more than that": _digits(
        lambda r: all(r.sorted(s, "none", metric=KL, stage=FITTED) for s in ("mixup", "ddgsd"))
    ),
    "scaled, mixup with CS-KD is the nearest of all over all images": _digits(
        lambda r: min(EVERYONE, key=lambda s: r(s, KL, FITTED)) == "mixup_cs_kd"
    ),
    "ECE and KL grow at both temperatures. Scaled, KL falls a little and R@1 rises, but no pair is "
    "on average clearly nearer to the truth than cross entropy scaled": _digits(
        lambda r: (
            _rises(r, ECE)
            and _rises(r, KL)
            and _rises(r, R1)
            and not any(
                r.sorted(f"cs_kd T{t} l1", f"cs_kd T{t} l4", metric=KL, stage=FITTED)
                for t in (1, 4)
            )
            and min(r(s, KL, FITTED) for s in GRID) > r("none", KL, FITTED) - 0.01
        )
    ),
    "T = 1, λ = 1 is better calibrated, and T = 4, λ = 4 errs least": _digits(
        lambda r: (
            r.sorted("cs_kd T1 l1", "cs_kd T4 l1", metric=ECE)
            and min(GRID, key=lambda s: r(s, ERROR)) == "cs_kd T4 l4"
        )
    ),
    "vary a little less within a class than cross entropy's": _digits(
        lambda r: r.sorted("cs_kd", "none", metric=SPREAD)
    ),
    "R@1 rises by about a point, as with label smoothing and maximum entropy, and falls by more "
    "than a point where the training images are searched": _cifar(
        lambda r: (
            all(0.004 < r(s, R1) - r("none", R1) < 0.025 for s in ("cs_kd", "ls", "max_entropy"))
            and r("none", "recall_at_1_train") - r("cs_kd", "recall_at_1_train") > 0.01
        )
    ),
    "Mixup widens the classes of noisy digits and raises R@1; AdaCos and virtual softmax, made to "
    "tighten classes, do so by far the most there and gain no more R@1 than others": _digits(
        lambda r: (
            r.sorted("none", "mixup", metric=SPREAD)
            and r.sorted("none", "mixup", metric=R1)
            and set(sorted(EVERYONE, key=lambda s: r(s, SPREAD))[:2])
            == {"adacos", "virtual_softmax"}
            and max(r(s, R1) for s in ("adacos", "virtual_softmax"))
            < max(r(s, R1) for s in EVERYONE)
        )
    ),
    "how often the superclass is right mostly repeats the error: CS-KD does worse in both": _cifar(
        lambda r: (
            r.sorted("cs_kd", "none", metric="superclass_accuracy")
            and r.sorted("none", "cs_kd", metric=ERROR)
        )
    ),
    "and fewer with label smoothing and maximum entropy. That is the direction of the paper's "
    "Figure 4": _cifar(
        lambda r: all(
            r.sorted(s, "none", "cs_kd", metric="error_within_superclass")
            for s in ("ls", "max_entropy")
        )
    ),
    "cross entropy lies below the diagonal, AdaCos and maximum entropy far above it, label "
    "smoothing and CS-KD near it": _digits(
        lambda r: (
            r("none", T, FITTED) > 1
            and all(r(s, T, FITTED) < 0.9 and r(s, ECE) > 0.15 for s in ("adacos", "max_entropy"))
            and all(r(s, ECE) < 0.08 for s in ("ls", "cs_kd"))
        )
    ),
    "On noisy digits cross entropy, BYOT, DDGSD and the light entropy penalty are too sure, label "
    "smoothing is about right, and all others are not sure enough, CS-KD included": _digits(
        lambda r: (
            all(
                r(s, T, FITTED) > 1.05 for s in ("none", "byot", "ddgsd", "max_entropy_light")
            )
            and _near(r("ls", T, FITTED), 1, 0.05)
            and all(
                r(s, T, FITTED) < 1
                for s in EVERYONE
                if s not in ("none", "byot", "ddgsd", "max_entropy_light", "ls")
            )
        )
    ),
    "Scaled, most ECEs lie between .02 and .04 … AdaCos stays higher": _digits(
        lambda r: (
            sum(0.02 <= r(s, ECE, FITTED) <= 0.04 for s in EVERYONE) > len(EVERYONE) / 2
            and r("adacos", ECE, FITTED) > 0.04
        )
    ),
    "mixup's two networks are best, and CS-KD's is above cross entropy's": _digits(
        lambda r: (
            set(sorted(EVERYONE, key=lambda s: r(s, NLL, FITTED))[:2]) == set(MIXED)
            and r.sorted("none", "cs_kd", metric=NLL, stage=FITTED)
        )
    ),
    "Label smoothing overshoots to as much, CS-KD to": _cifar(
        lambda r: (
            _near(r("ls", ECE), r("none", ECE), 0.02)
            and r.sorted("ls", "cs_kd", metric=ECE)
            and r.sorted("ls", "max_entropy", metric=ECE)
        )
    ),
    "vary less with CS-KD, too … and R@1 hardly changes": _fast(
        lambda r: (
            r.sorted("cs_kd", "none", metric=SPREAD)
            and _near(r("cs_kd", R1), r("none", R1), 0.005)
        )
    ),
    "it is as sure as it is right, and its fitted T is": _fast(
        lambda r: r("none", ECE) < 0.01 and _near(r("none", T, FITTED), 1, 0.02)
    ),
    "CS-KD makes it less sure than right … label smoothing makes it still less sure": _fast(
        lambda r: r("cs_kd", T, FITTED) < 1 and r.sorted("none", "cs_kd", "ls", metric=ECE)
    ),
    "With a temperature each, nothing of this gain on errors is left: CS-KD is no less confident "
    "on its errors than cross entropy … and the NLL of all three is about the same": _fast(
        lambda r: (
            r("cs_kd", "confidence_on_errors", FITTED) >= r("none", "confidence_on_errors", FITTED)
            and max(nll := [r(s, NLL, FITTED) for s in ("none", "ls", "cs_kd")]) - min(nll) < 0.005
        )
    ),
    "and it is one seed": _fast(
        lambda r: all(len(r.seeds(s, ECE)) == 1 for s in ("none", "ls", "cs_kd"))
    ),
    "about cross entropy's own, with .1": _digits(
        lambda r: _near(r("max_entropy_light", ECE), r("none", ECE), 0.03)
    ),
    "is badly calibrated even with its scale … only less so than without": _digits(
        lambda r: (
            r("adacos", ECE) > 0.1
            and r("adacos", ECE) < r("adacos", ECE, "unscaled")
        )
    ),
    "the methods calibrate worse than cross entropy at these settings is true here as well": (
        _digits(lambda r: all(r(s, ECE) > r("none", ECE) for s in ("adacos", "max_entropy")))
    ),
    "Reporting the best epoch adds next to nothing to cross entropy there": _digits(
        lambda r: r("none", "best_test_accuracy") - r("none", "accuracy") < 0.005
    ),
    "the choice alone widens the difference between them": _digits(
        lambda r: (
            r("cs_kd", "best_test_accuracy") - r("cs_kd", "accuracy")
            > r("none", "best_test_accuracy") - r("none", "accuracy")
        )
    ),
    "On this task the small network is the better one": (
        lambda r: r(f"{SMALL} none", ERROR) < r(f"{DIGITS} cs_kd", ERROR)
    ),
    "All three methods lower the error in every seed, by some tenths of a point": lambda r: all(
        r.on(SMALL).below(s, "none", ERROR) == 3
        and r(f"{SMALL} none", ERROR) - r(f"{SMALL} {s}", ERROR) < 0.01
        for s in ("cs_kd", "kd", "kd_cs_kd")
    ),
    "less sure than it should be: CS-KD by its own term, distillation because its teacher is": (
        lambda r: (
            all(r(f"{SMALL} {s}", T, FITTED) < 1 for s in ("cs_kd", "kd", "kd_cs_kd"))
            and r(f"{DIGITS} cs_kd", T, FITTED) < 1
        )
    ),
    "Even scaled they stay farther from the truth than the student alone": lambda r: all(
        r.on(SMALL).sorted("none", s, metric=KL, stage=FITTED) for s in ("cs_kd", "kd", "kd_cs_kd")
    ),
    "every regulariser costs accuracy": _cifar(
        lambda r: all(r.sorted("none", s, metric=ERROR) for s in ("ls", "max_entropy", "cs_kd"))
    ),
    "Of the output regularisers CS-KD has the lowest mean error on every set, with both networks": (
        lambda r: (
            _holds_on("lowest error of the output regularisers, ResNet-18") == 0
            and _holds_on("the same, DenseNet-121") == 0
        )
    ),
    "Of the self-distillers DDGSD is lower on Tiny ImageNet": lambda r: (
        numbers.not_borne_out()["lowest error of the self-distillers"] == ["Tiny ImageNet"]
    ),
    "CS-KD's ECE is below that of cross entropy, AdaCos and maximum entropy on all five sets, but "
    "virtual softmax is better calibrated on four and label smoothing on two": lambda r: (
        [_better_calibrated(s) for s in ("none", "adacos", "max_entropy", "virtual_softmax", "ls")]
        == [0, 0, 0, 4, 2]
    ),
}  # fmt: skip
