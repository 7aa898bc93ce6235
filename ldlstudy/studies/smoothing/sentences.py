"""What the label-smoothing chapter says of its records, and when it is true."""

import math
from collections.abc import Callable

from ldlstudy import studies
from ldlstudy.report.sentences import Reading
from ldlstudy.studies.fast.runs import CIFAR10, CIFAR100, FEW_BENCH
from ldlstudy.studies.smoothing import information, interpolation
from ldlstudy.studies.smoothing.runs import ALPHAS, CLEAN, DIGITS, REDUCED
from ldlstudy.studies.smoothing.tables import FAST, OF_ALPHA

TABLES = ("re-table2", "re-table4", "re-figure7", "re-information", "re-transformer")
NOISY, SMALL, MNIST, FASHION = (
    f"quick {DIGITS}", f"quick {CLEAN}", "mnist-fcn1200", "fashion_mnist-fcn1200",
)  # fmt: skip
SETS = (NOISY, SMALL, MNIST, FASHION, REDUCED, *FAST)
ACC, KL, ECE, T = "accuracy", "kl_to_truth", "ece_15_left", "temperature"
INVENTED = "quick synonyms-transformer"
STUDENTS = ("M3", "M4", "M3p", "M4p")
SEEN = f"quick {information.DIGITS}"


def facts() -> Reading:
    """Return the committed records, as the conditions read them."""
    quick = studies.recorded((*TABLES, "cskd-table1"), "quick")
    return Reading(quick | studies.recorded((*TABLES, "fast", "few")))


def _pair(bench: str) -> tuple[str, str]:
    """The strategies of hard labels and of smoothing by .1 on a bench."""
    hard, soft = OF_ALPHA.values() if bench in FAST else ("0", "0.1")
    return hard, soft


def _falls(r: Reading, bench: str, metric: str) -> float:
    """By which share smoothing of .1 lowers a number of the penultimate plane."""
    hard, soft = (r.on(bench)(name, metric, "plane") for name in _pair(bench))
    return 1 - soft / hard


def _of_students(
    r: Reading, metric: str, series: tuple[str, ...] = STUDENTS, stage: str = "plain"
) -> list[float]:
    """A metric of all students on noisy digits."""
    rows = [row for name in series for row in interpolation.members(r.results, f"quick {name}")]
    return [r(row, metric, stage) for row in rows]


def _half(r: Reading, bench: str) -> float:
    """Half the interval of a difference of two networks' accuracies."""
    errors = [r.results.measured(f"{bench} {a}", ACC).error for a in ("0", "0.1")]
    return float(1.96 * (errors[0] ** 2 + errors[1] ** 2) ** 0.5)


def _optimism(r: Reading, benches: tuple[str, ...]) -> list[float]:
    """How much lower the ECE is at a temperature searched on the test set than at a fitted one."""
    return [
        r.on(bench)(f"{a:g}", ECE, "fitted") - r.on(bench)(f"{a:g}", ECE, "searched")
        for bench in benches
        for a in ALPHAS
        if f"{bench} {a:g}" in r.results
    ]


def _worse(r: Reading, metric: str, loss: str = "") -> int:
    """In how many seeds the smoothed teacher's student is worse, on noisy digits."""
    hard, soft = f"quick student{loss}", f"quick student ls{loss}"
    return r.below(soft, hard, metric) if metric == ACC else r.below(hard, soft, metric)


def _says(r: Reading, alpha: str, metric: str) -> float:
    """A mutual information of digits with noise, in nats."""
    return r.on(SEEN)(alpha, metric, "information")


def _late(r: Reading, alpha: str, metric: str) -> int:
    """In how many seeds a mutual information falls between the last look and the end."""
    return r.on(SEEN).below(alpha, f"{alpha} after {information.EPOCHS[-1]}", metric, "information")


SMOOTHED = tuple(f"{a:g}" for a in ALPHAS if a)
SENTENCES: dict[str, Callable[[Reading], bool]] = {
    "takes the predictions on … *away* from the true probabilities": (
        lambda r: r.on(NOISY).sorted("0", "0.1", metric=KL)
    ),
    "although a few more of them are right": lambda r: r.on(NOISY).sorted("0", "0.1", metric=ACC),
    "scaled, α = .1 cannot be told from hard labels": (
        lambda r: 0 < r.on(NOISY).below("0", "0.1", KL, "fitted") < 3
    ),
    "their spread on test images halves on MNIST": (
        lambda r: 0.4 < _falls(r, MNIST, "test_ratio") < 0.6
    ),
    "and falls by about a twentieth on noisy digits": (
        lambda r: 0.03 < _falls(r, NOISY, "test_ratio") < 0.07
    ),
    "Templates come closer too, on MNIST by a few per cent only": lambda r: (
        all(_falls(r, bench, "template_distance") > 0 for bench in SETS)
        and _falls(r, MNIST, "template_distance") < 0.08
    ),
    "students of any teacher come out nearly alike and far from the truth": lambda r: (
        max(kl := _of_students(r, KL, ("M3", "M4"))) < 1.15 * min(kl)
        and min(kl) == r("quick student", KL) > 1.5 * r("quick M2 0", KL)
    ),
    "No student on noisy digits, by either loss, is nearer to the truth than one trained alone": (
        lambda r: all(
            min(_of_students(r, KL, stage=stage)) >= r("quick M2 0", KL, stage)
            for stage in ("plain", "fitted")
        )
    ),
    "smoothing of .1 and .15 raises accuracy a little in every one of the three seeds": (
        lambda r: all(r.on(NOISY).below("0", a, ACC) == 3 for a in ("0.1", "0.15"))
    ),
    "only α = .05 brings the predictions closer to it": lambda r: (
        r.on(NOISY).sorted("0.05", "0", metric=KL)
    ),
    "At .1 and .15 they are further away than with hard labels, although more of them are right; "
    "at .3 they are further away still, and fewer are right": lambda r: (
        r.on(NOISY).sorted("0", "0.1", "0.15", "0.3", metric=KL)
        and r.on(NOISY).sorted("0", "0.1", metric=ACC)
        and r.on(NOISY).sorted("0", "0.15", metric=ACC)
        and r.on(NOISY).sorted("0.3", "0.1", metric=ACC)
        and r.on(NOISY).sorted("0.3", "0.15", metric=ACC)
    ),
    "On MNIST smoothing of .1 gains": lambda r: r.on(MNIST).sorted("0", "0.1", metric=ACC),
    "about ± .2 points on MNIST and ± .8 on Fashion-MNIST": (
        lambda r: 0.0015 < _half(r, MNIST) < 0.003 and 0.007 < _half(r, FASHION) < 0.009
    ),
    "three wide clusters with hard labels, three small tight ones nearer to the origin": (
        lambda r: _falls(r, NOISY, "test_spread") > 0.3 and _falls(r, NOISY, "test_distance") > 0.3
    ),
    "With 30 images of each class of CIFAR-100 it falls on these training images … and rises on "
    "test images": lambda r: (
        _falls(r, FEW_BENCH, "train_ratio") > 0 > _falls(r, FEW_BENCH, "test_ratio")
    ),
    "On every set the clusters shrink": (
        lambda r: all(_falls(r, bench, "test_spread") > 0 for bench in SETS)
    ),
    "It falls by half on MNIST, less on Fashion-MNIST … and by about a twentieth on CIFAR-100 and "
    "on the two small sets of digits": lambda r: (
        0.4 < _falls(r, MNIST, "test_ratio") < 0.6
        and all(
            0.07 < _falls(r, bench, "test_ratio") < _falls(r, MNIST, "test_ratio")
            for bench in (FASHION, REDUCED, CIFAR10)
        )
        and all(0.03 < _falls(r, bench, "test_ratio") < 0.07 for bench in (NOISY, SMALL, CIFAR100))
    ),
    "On noisy digits a network of hard labels is too sure": (
        lambda r: r.on(NOISY)("0", T, "fitted") > 1
    ),
    "and α = .05 is about as badly calibrated in the other direction": lambda r: (
        r.on(NOISY)("0.05", T, "fitted") < 1
        and abs(r.on(NOISY)("0", ECE) - r.on(NOISY)("0.05", ECE)) < 0.01
    ),
    "even hard labels are not sure enough, and any smoothing makes it worse": lambda r: (
        r.on(SMALL)("0", T, "fitted") < 1
        and all(r.on(SMALL).sorted("0", a, metric=ECE) for a in SMOOTHED)
    ),
    "In each row the fitted temperature mends what smoothing did to ECE": lambda r: all(
        r.on(bench)(a, ECE, "fitted") < r.on(bench)(a, ECE)
        for bench in (NOISY, SMALL)
        for a in SMOOTHED
    ),
    "looks better by up to some thousandths on these small test sets, and by half a thousandth": (
        lambda r: (
            0.002 < max(_optimism(r, (NOISY, SMALL))) < 0.01
            and all(gap < 0.001 for gap in _optimism(r, (MNIST, FASHION)))
        )
    ),
    "all networks have about the same ECE, and α from 0 to .15 cannot be told apart by KL": (
        lambda r: (
            max(ece := [r.on(NOISY)(f"{a:g}", ECE, "fitted") for a in ALPHAS]) - min(ece) < 0.01
            and all(0 < r.on(NOISY).below("0", a, KL, "fitted") < 3 for a in SMOOTHED[:3])
        )
    ),
    "Only .3 remains worse": lambda r: r.on(NOISY).below("0", "0.3", KL, "fitted") == 3,
    "ours is even less sure than its label": (
        lambda r: r.on(MNIST)("0.1", ACC) - r.on(MNIST)("0.1", ECE) < 0.91
    ),
    "there is nothing to scale": lambda r: abs(r.on(MNIST)("0", T, "searched") - 1) < 0.15,
    "is a network that is too sure, after 20 epochs already": (
        lambda r: r.on(REDUCED)("0", T, "fitted") > 1
    ),
    "Smoothing of .1 overshoots": lambda r: (
        r.on(REDUCED)("0.1", T, "fitted") < 1 and r.on(REDUCED).sorted("0", "0.1", metric=ECE)
    ),
    "The fast network on CIFAR-10, trained to its end, is hardly too sure with hard labels": (
        lambda r: (
            1 < r.on(CIFAR10)("none", T, "fitted") < 1.05
            and r.on(CIFAR10).sorted("none", "ls", metric=ECE)
        )
    ),
    "On CIFAR-100 it is less sure than right with hard labels already": lambda r: (
        r.on(CIFAR100)("none", T, "fitted") < 1 and r.on(CIFAR100).sorted("none", "ls", metric=ECE)
    ),
    "On every set of images that was run, temperature scaling has a lower ECE than α = .1. So have "
    "hard labels without any temperature, but for those few images": lambda r: all(
        r.on(bench)(hard, ECE, "fitted") < r.on(bench)(soft, ECE)
        and r.on(bench).sorted(hard, soft, metric=ECE) == (bench != FEW_BENCH)
        for bench, (hard, soft) in ((bench, _pair(bench)) for bench in SETS)
    ),
    "learns them by heart and is far too sure … and α = .1 lowers it to … One temperature does "
    "more. Fitted on 3,000 more labelled images, as many as were trained on, it takes hard labels "
    "to … and leaves their … of right answers as they are; smoothing has": lambda r: (
        (own := r.on(FEW_BENCH))("none", ECE) > 0.15
        and own("none", T, "fitted") > 1.4
        and all(own.always_below("ls", "none", metric) for metric in (ECE, ACC))
        and own("none", ECE, "fitted") < own("ls", ECE)
    ),
    "Networks of smoothed labels lie above the diagonal, temperature-scaled ones near it": (
        lambda r: all(
            r.on(bench)(soft, T, "fitted") < 1
            and r.on(bench)(hard, ECE, "fitted") < r.on(bench)(soft, ECE)
            for bench in SETS
            for hard, soft in [_pair(bench)]
        )
    ),
    "twice that of a student of the same size trained alone": (
        lambda r: 1.6 < r("quick student", KL) / r("quick M2 0", KL) < 2.4
    ),
    "The smoothed teacher's student is the worse one in all three seeds: in accuracy by less than "
    "a tenth of a point as coded, in KL by about .01 by both losses": lambda r: (
        _worse(r, ACC) == 3
        and r("quick student", ACC) - r("quick student ls", ACC) < 0.001
        and all(
            _worse(r, KL, loss) == 3
            and 0.004 < r(f"quick student ls{loss}", KL) - r(f"quick student{loss}", KL) < 0.016
            for loss in ("", " printed")
        )
    ),
    "where the seeds no longer agree which is nearer, and the student trained alone": lambda r: (
        0 < r.below("quick student printed", "quick student ls printed", KL, "fitted") < 3
        and _worse(r, KL) == 3
    ),
    "It stays the nearest": (
        lambda r: r("quick M2 0", KL, "fitted") < min(_of_students(r, KL, stage="fitted"))
    ),
    "With the batch norm and the shorter training of chapters 3 to 5 smoothing stays farther from "
    "the truth when scaled": lambda r: r.always_below(
        "quick noisy_digits-small_cnn none", "quick noisy_digits-small_cnn ls", KL, "fitted"
    ),
    "far from sure enough": lambda r: min(r("student", ECE), r("student ls", ECE)) > 0.3,
    "two images of 10,000, where the paper has .12 points": (
        lambda r: abs(r("student", ACC) - r("student ls", ACC) - 0.0002) < 1e-5
    ),
    "Our students are also half a point below Table 4's": (
        lambda r: 0.003 < 0.9907 - r("student", ACC) < 0.007
    ),
    "By equation 2 the smoothed teacher has the better student": (
        lambda r: r("student printed", ACC) < r("student ls printed", ACC)
    ),
    "By the loss as coded all students lie on one line": lambda r: all(
        abs(r(row, ACC) - there.estimate.mean) < 0.002
        for row in interpolation.members(r.results, "quick M4")
        if (there := interpolation.at_smoothness(
            r.results, "quick M3", interpolation.smoothness(r.results, row), ACC
        ))
    ),
    "students keep their accuracy where a student trained on equally smooth labels alone (M2) "
    "falls off": lambda r: r("quick M2 0.75", ACC) + 0.01 < min(_of_students(r, ACC)),
    "On the invented language padding alone takes the ECE of hard labels from": (
        lambda r: r.on(INVENTED)("0", ECE) < 0.5 * r.on(INVENTED)("0", ECE, "coded")
    ),
    "It also makes smoothing look good": (
        lambda r: r.on(INVENTED)("0.1", ECE, "coded") < r.on(INVENTED)("0", ECE, "coded")
    ),
    "With padding counted α = .3 has a lower ECE than hard labels … Of words alone it has a higher "
    "one": lambda r: (
        r.on(INVENTED)("0.3", ECE, "coded") < r.on(INVENTED)("0", ECE, "coded")
        and r.on(INVENTED)("0.3", ECE) > r.on(INVENTED)("0", ECE)
    ),
    "smoothing of .1 turns a translator of the invented language that is too sure into one that is "
    "not sure enough": (
        lambda r: r.on(INVENTED)("0.1", T, "fitted") < 1 < r.on(INVENTED)("0", T, "fitted")
    ),
    "about as far as by the temperature fitted to hard labels": (
        lambda r: (
            abs((own := r.on(INVENTED))("0.1", ECE) - own("0", ECE, "fitted")) < 0.01
            and own("0.1", ECE) < 0.6 * own("0", ECE)
        )
    ),
    "But its predictions are further from the truth": (
        lambda r: r.on(INVENTED).below("0", "0.1", KL) == 3
    ),
    "it has little to change here": lambda r: all(
        abs(r.on(INVENTED)(a, "bleu_beam", "fitted") - r.on(INVENTED)(a, "bleu_beam")) < 0.01
        for a in ("0", "0.1")
    ),
    "At low γ the student alone is the better one": lambda r: (
        r("quick M2 0", ACC) > max(r("quick student printed", ACC), r("quick student", ACC))
    ),
    "The estimate ends a little above log 2": lambda r: all(
        0 < _says(r, a, "as_printed") - math.log(2) < 0.05 for a in ("0", "0.1")
    ),
    "The smoothed network has the lower one in all three seeds, by less than .01 nats": (
        lambda r: r.on(SEEN).below("0.1", "0", "as_printed", "information") == 3
        and _says(r, "0", "as_printed") - _says(r, "0.1", "as_printed") < 0.01
    ),
    "Which draw is the answer moves the estimate by more than smoothing does": lambda r: (
        _says(r, "0", "reused") - _says(r, "0", "as_printed")
        > abs(_says(r, "0", "as_printed") - _says(r, "0.1", "as_printed"))
    ),
    "Smoothing lowers that in all three seeds, and leaves more than nine tenths of it at every α": (
        lambda r: all(
            r.on(SEEN).below(a, "0", "within_logits", "information") == 3
            and _says(r, a, "within_logits") > 0.9 * _says(r, "0", "within_logits")
            for a in SMOOTHED
        )
    ),
    "networks of hard and of smoothed labels alike have lost more than half": lambda r: all(
        _says(r, a, "within_logits") < 0.5 * _says(r, a, "within_views") for a in ("0", *SMOOTHED)
    ),
    "The estimate as printed does not fall again": lambda r: all(
        _late(r, a, "as_printed") == 0 for a in ("0", "0.1")
    ),
    "The second does fall": lambda r: all(
        _late(r, a, "within_difference") == 3 for a in ("0", "0.1")
    ),
    "on digits consistently and little": lambda r: (
        r.on(SEEN).below("0.1", "0", "logits", "information") == 3
        and 0.9 < _says(r, "0.1", "logits") / _says(r, "0", "logits") < 1
    ),
}  # fmt: skip
