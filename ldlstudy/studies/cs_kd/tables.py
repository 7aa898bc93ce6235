"""The tables of the CS-KD chapter."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from ldlstudy import checks
from ldlstudy.report import claims, tables
from ldlstudy.report.results import Results
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import (
    ACCURACY,
    ERROR,
    NLL,
    RECALL,
    TEMPERATURE,
    TOP5_ERROR,
    Asked,
    Column,
)
from ldlstudy.studies.bench import DATASETS, NETWORKS
from ldlstudy.studies.cs_kd import numbers, runs
from ldlstudy.studies.cs_kd.numbers import SCORES
from ldlstudy.studies.cs_kd.runs import (
    DIGITS,
    OUTPUT,
    PROTOCOLS,
    REDUCED,
    SMALL_DOMAINS,
    STUDENT,
)
from ldlstudy.studies.fast.runs import CIFAR10, CIFAR100, FEW_BENCH, FEW_IMAGES
from ldlstudy.studies.strategies import named

ECE = Column("ece_20_right", "ECE", digits=3)
KL = Column("kl_to_truth", "KL to the truth", digits=3)
KL_ON_ERRORS = Column("kl_to_truth_on_errors", "KL on errors", digits=3)
VARIATION = Column("intra_class_variation", "variation", digits=3)
BEST = Column("best_test_accuracy", "best on the test set, %", percent=True)
IN_TRAINING_SET = Column("recall_at_1_train", "R@1 in the training set, %", percent=True)
MEASURES = {
    "top5_error": TOP5_ERROR,
    "ece": Column("ece_20_right", "ECE, %", percent=True),
    "recall_at_1": RECALL,
}
TITLES = {f"quick {DIGITS}": "noisy digits", REDUCED: "CIFAR-100, reduced"}
ALL_TITLES = TITLES | {
    CIFAR10: "CIFAR-10, fast network",
    CIFAR100: "CIFAR-100, fast network",
    FEW_BENCH: f"CIFAR-100, {FEW_IMAGES} images of a class",
}
EVERYONE = tuple(  # on noisy digits
    dict.fromkeys(strategy for t in (1, 2, 3) for _, strategy in runs.QUICK_TABLES[t])
)
Columns = Mapping[str, tuple[str, Column]] | Sequence[Column]


def label(strategy: str) -> str:
    """Return what the chapter calls a strategy."""
    return named(strategy).name_in("CS-KD")


def of_strategies(
    results: Results, benches: Collection[str], strategies: Sequence[str], columns: Columns
) -> Shown:
    """Return measured numbers of strategies on benches, by title where there are several."""
    several = len(benches) > 1
    labels = {
        f"{bench} {s}": f"{ALL_TITLES[bench]}: {label(s)}" if several else label(s)
        for bench in benches
        for s in strategies
    }
    return tables.of_rows(results, labels, columns)


def _in_sight(*rivals: str) -> list[str]:
    """The lines of several benches that a reader sees first: rivals on the first bench alone."""
    trained = (title for bench, title in ALL_TITLES.items() if bench != REDUCED)
    first, *others = trained
    lines = [(first, s) for s in ("none", "cs_kd", *rivals)]
    lines += [(title, s) for title in others for s in ("none", "cs_kd")]
    return [f"{title}: {label(s)}" for title, s in lines]


def rivals(results: Results) -> Shown:
    """Every strategy on noisy digits."""
    columns = (ERROR, ECE, KL, KL_ON_ERRORS, RECALL, VARIATION)
    return of_strategies(results, [f"quick {DIGITS}"], EVERYONE, columns).saying(
        "Every rival on noisy digits. Fewer errors, a better confidence and tighter features are "
        "three things: which method is best in which column?",
        [label(s) for s in ("none", "cs_kd", "ls", "adacos", "ddgsd", "mixup", "mixup_cs_kd")],
    )


def features(results: Results) -> Shown:
    """How features of a class gather."""
    columns = (VARIATION, RECALL, IN_TRAINING_SET, ERROR)
    return of_strategies(results, ALL_TITLES, (*OUTPUT, "mixup"), columns).saying(
        "How features of a class gather. Does less variation go with a nearest neighbour that is "
        "more often of the same class?",
        _in_sight("adacos", "mixup"),
    )


def hierarchy(results: Results) -> Shown:
    """How far errors fall on CIFAR-100."""
    return _hierarchy(results, [REDUCED, CIFAR100], "superclass").saying(
        "How far errors fall on CIFAR-100. The third column looks at errors alone: how many stay "
        "in the right superclass?",
    )


def domains(results: Results) -> Shown:
    """How far errors fall where three small domains are mixed."""
    return _hierarchy(results, [SMALL_DOMAINS], "domain").saying(
        "How far errors fall among three small domains. The third column looks at errors alone: "
        "how many stay in the right domain?",
    )


def _hierarchy(results: Results, benches: list[str], group: str) -> Shown:
    """Errors on benches whose classes have groups."""
    columns = (
        ERROR,
        Column("superclass_accuracy", f"right {group}, %", percent=True),
        Column("error_within_superclass", "errors that stay in it, %", percent=True),
        TOP5_ERROR,
    )
    return of_strategies(results, benches, ORDER, columns)


def reduced(results: Results) -> Shown:
    """What the reduced protocol gives on CIFAR-100."""
    columns = (ERROR, TOP5_ERROR, ECE, RECALL, VARIATION)
    return of_strategies(results, [REDUCED], ORDER, columns).saying(
        "What 20 epochs of a ResNet-20 give on CIFAR-100. Which methods gain in one column, and "
        "what do they lose in another?",
    )


ORDER = (
    "none", "adacos", "virtual_softmax", "max_entropy", "max_entropy_light", "ls", "cs_kd",
    "cs_kd_eval", "cs_kd_e", "ddgsd", "byot", "mixup", "mixup_cs_kd", "kd", "kd_cs_kd",
)  # fmt: skip


def calibration(results: Results) -> Shown:
    """Calibration as trained and scaled."""
    columns = {
        "ECE": ("plain", ECE),
        "NLL": ("plain", NLL),
        "T fitted": ("fitted", TEMPERATURE),
        "ECE, scaled": ("fitted", ECE),
        "NLL, scaled": ("fitted", NLL),
    }
    return of_strategies(results, ALL_TITLES, EVERYONE, columns).saying(
        "Calibration as trained and scaled. A fitted T above 1 says that a network was too sure, "
        "below 1 that it was not sure enough.",
        _in_sight("ls", "mixup"),
    )


def partner(results: Results) -> Shown:
    """What the mode of the partner's pass changes, and which epoch is reported."""
    columns = {
        "last epoch, %": ("plain", ACCURACY),
        "best on the test set, %": ("plain", BEST),
        "ECE": ("plain", ECE),
        "R@1, %": ("plain", RECALL),
        "variation": ("plain", VARIATION),
    }
    return of_strategies(results, TITLES, ("none", "cs_kd", "cs_kd_eval"), columns).saying(
        "The last epoch and the best one on the test set, and the partner’s pass in evaluation "
        "mode. What does choosing the epoch on the test set gain?"
    )


def combined(results: Results) -> Shown:
    """A student of a CS-KD network."""
    columns = {
        "error, %": ("plain", ERROR),
        "ECE": ("plain", ECE),
        "KL to the truth": ("plain", KL),
        "KL, scaled": ("fitted", KL),
    }
    return of_strategies(results, [f"quick {STUDENT}"], runs.DISTILLED, columns).saying(
        "Small students with and without a larger teacher. Is the student of a CS-KD network the "
        "better one?"
    )


def against_paper(results: Results, table: int) -> Shown:
    """Top-1 errors of Tables 1 to 4, ours above the paper's."""
    paper = tables.published(f"cskd_table{table}")
    return tables.grid(
        results,
        {
            f"{NETWORKS[network]}: {label(strategy)}": _by_set(paper, network, strategy, ERROR)
            for network, strategy in paper.index
        },
    ).saying(f"Top-1 error in %: the paper’s Table {table}.")


def _by_set(
    paper: pd.DataFrame, of: str, strategy: str, column: Column, network: str = ""
) -> dict[str, Asked]:
    """The cells of a strategy on each data set; ``of`` is the network or the measure printed."""
    return {
        DATASETS[dataset]: Asked(
            f"{dataset}-{runs.model(dataset, network or of)} {strategy}",
            column,
            published=tables.printed(paper, (of, strategy), dataset),
        )
        for dataset in PROTOCOLS
    }


def imagenet(results: Results) -> Shown:
    """Top-1 errors of Table 5."""
    paper = tables.published("cskd_table5")
    names = {"none": "cross entropy, %", "cs_kd": "CS-KD, %"}
    return tables.grid(
        results,
        {
            NETWORKS[network]: {
                heading: Asked(
                    f"imagenet-{network} {strategy}",
                    ERROR._replace(digits=3),
                    published=tables.printed(paper, (network, strategy), "imagenet"),
                )
                for strategy, heading in names.items()
            }
            for network in dict.fromkeys(network for network, _ in paper.index)
        },
    ).saying("Top-1 error on ImageNet: the paper’s Table 5.")


def measures(results: Results, measure: str) -> Shown:
    """One measure of the paper's table of ResNet-18: ``top5_error``, ``ece`` or ``recall_at_1``."""
    checks.one_of("measure", measure, MEASURES)
    paper = tables.published("cskd_measures")
    return tables.grid(
        results,
        {
            label(strategy): _by_set(paper, measure, strategy, MEASURES[measure], "resnet18")
            for of, strategy in paper.index
            if of == measure
        },
    ).saying(f"ResNet-18, {MEASURES[measure].heading}: the paper’s table of measures.")


def grid(results: Results) -> Shown:
    """CS-KD by temperature and weight on noisy digits (:func:`ldlstudy.studies.cs_kd.runs.grid`).

    Cross entropy stands below; what ``results`` lack stays empty.
    """
    rows = {
        f"T = {t:g}, λ = {w:g}": f"quick {DIGITS} {runs.grid_point(t, w)}"
        for t in runs.TEMPERATURES
        for w in runs.WEIGHTS
    }
    columns = {
        ERROR.heading: ("plain", ERROR),
        ECE.heading: ("plain", ECE),
        KL.heading: ("plain", KL),
        "KL, scaled": ("fitted", KL),
        "T fitted": ("fitted", TEMPERATURE),
        RECALL.heading: ("plain", RECALL),
    }
    rows["cross entropy"] = f"quick {DIGITS} none"
    cells = {own: tables.line(row, columns) for own, row in rows.items()}
    return tables.grid(results, cells).saying(
        "CS-KD by temperature and weight. Follow the KL down the weights of one temperature, as "
        "trained and scaled, and compare it with cross entropy in the last line."
    )


def scores_on_errors(
    errors: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]],
) -> Shown:
    """The two methods of each set compared, the second against the first.

    ``errors`` holds set, method and seed as :func:`ldlstudy.studies.cs_kd.figures.score_histograms`
    takes them, two methods each; cells of one that was not run stay empty.
    """
    body = {}
    for title, methods in errors.items():
        (first, of_first), (second, of_second) = methods.items()
        for score, side in SCORES.items():
            line = {
                name: _signed(numbers.mean_score(seeds, score))
                for name, seeds in ((first, of_first), (second, of_second))
                if seeds
            }
            if len(line) == 2:
                found = numbers.errors_compared(of_second, of_first, score)
                line["both wrong"] = f"{found.common:,}"
                line["difference there"] = _signed(found.difference, "+")
                line["p"] = claims.write_p(found.p)
            body[f"{title}: {side}"] = line
    columns = [*next(iter(errors.values()), {}), "both wrong", "difference there", "p"]
    table = pd.DataFrame.from_dict(body, orient="index", columns=columns).fillna("")
    return tables.style(table).saying(
        "Mean log-probability on errors. Compared on the images that both get wrong, does CS-KD "
        "say less of the predicted class and more of the true one?"
    )


def _signed(value: float, plus: str = "") -> str:
    return f"{round(value, 2) + 0:{plus}.2f}".replace("-", "−")  # + 0: no minus zero


def in_its_own_tables() -> Shown:
    """On how many of the five sets the paper's printed means bear out what is said of CS-KD."""
    missing = numbers.not_borne_out()
    body = {
        claim: {
            "holds on": f"{len(PROTOCOLS) - len(sets)} of {len(PROTOCOLS)}",
            "not on": ", ".join(sets),
        }
        for claim, sets in missing.items()
    }
    return tables.style(pd.DataFrame.from_dict(body, orient="index"), ("not on",)).saying(
        "On how many of its five sets the paper’s own printed means bear out what it says."
    )
