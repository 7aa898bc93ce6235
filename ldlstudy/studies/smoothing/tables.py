"""The tables of the label-smoothing chapter."""

import math
from collections.abc import Mapping

import pandas as pd

from ldlstudy.report import tables
from ldlstudy.report.results import Results, row_of
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import (
    ACCURACY,
    KL,
    NLL,
    TEMPERATURE,
    Asked,
    Column,
    published,
)
from ldlstudy.studies.fast.runs import CIFAR10, CIFAR100, FEW_BENCH, FEW_IMAGES
from ldlstudy.studies.smoothing import distillation, information, translation
from ldlstudy.studies.smoothing.runs import (
    ALPHAS,
    CLEAN,
    DIGITS,
    REDUCED,
    THIRD,
    benches,
    smoothed,
)

ECE = Column("ece_15_left", "ECE")
SMALL = {DIGITS: "noisy digits", CLEAN: "digits"}  # the benches of the quick profile
FAST = {
    CIFAR10: "CIFAR-10, fast CNN",
    CIFAR100: "CIFAR-100, fast CNN",
    FEW_BENCH: f"CIFAR-100, {FEW_IMAGES} images of a class, fast CNN",
}  # whose rows are strategies'
OF_ALPHA = {0.0: "none", 0.1: "ls"}  # the strategies of these
GREEDY = Column("bleu_greedy", "BLEU, greedy", percent=True)
BEAM = Column("bleu_beam", "BLEU, beam", percent=True)
HARD_SOFT = (0.0, 0.1)
PLANE = {  # what the pictures of the penultimate layer show, as numbers
    "templates apart": "template_distance",
    "spread, training": "train_spread",
    "spread, test": "test_spread",
    "clusters apart, test": "test_distance",
    "ratio, test": "test_ratio",
}
INFORMATION = {  # estimates of the mutual information of image and answer
    "at most (log N)": "most",
    "as printed": "as_printed",
    "with one of its draws": "reused",
    "bound, two logits": "difference",
    "bound, all logits": "logits",
    "within a class, two logits": "within_difference",
    "within a class, all logits": "within_logits",
    "the noisy image itself": "views",
    "the noisy image within a class": "within_views",
}
FIGURE7 = {  # the series of Figure 7; those of Figure 8 have one loss
    "M1": "M1: teacher, by its α",
    "M2": "M2: student alone, by its α",
    "M3": "M3: student by the teacher's T, loss as coded",
    "M3p": "M3: the same, equation 2",
    "M4": "M4: student by the teacher's α, loss as coded",
    "M4p": "M4: the same, equation 2",
}
FIGURE8 = {
    "figure8 M1": "M1: teacher, by its α",
    "figure8 M2": "M2: student alone, by its α",
    "figure8 M3": "M3: student by the teacher's T",
    "figure8 M4": "M4: student by the teacher's α",
}
TAUGHT = {  # rows of Table 4
    "teacher": "teacher, hard labels",
    "teacher ls": "teacher, α = .1",
    "student": "student of the first, loss as coded",
    "student ls": "student of the second, loss as coded",
    "student printed": "student of the first, equation 2",
    "student ls printed": "student of the second, equation 2",
}


def taught(strategy: str) -> str:
    """Return what a line of networks that are trained again is called."""
    return TAUGHT.get(strategy) or ("hard labels" if strategy == "0" else f"α = {strategy}")


def row(bench: str, alpha: float) -> str:
    """Return the row of a bench at a smoothing factor."""
    if bench in FAST:
        return f"{bench} {OF_ALPHA.get(alpha, f'{alpha:g}')}"
    known = benches("paper") | benches("quick")
    return row_of(smoothed(known[bench], alpha))


def labels() -> dict[str, str]:
    """Return the paper's benches and what stands in for some, and what each is called."""
    return {name: bench.label for name, bench in benches("paper").items()} | FAST


def accuracy(results: Results) -> Shown:
    """Accuracy and KL to the truth of the small sets by smoothing factor."""
    lines = {
        "noisy digits: accuracy, %": (DIGITS, ACCURACY),
        "noisy digits: KL to the truth": (DIGITS, KL),
        "digits: accuracy, %": (CLEAN, ACCURACY),
    }
    return tables.grid(
        results,
        {
            label: {f"α = {a:g}": Asked(row(bench, a), column) for a in ALPHAS}
            for label, (bench, column) in lines.items()
        },
    ).saying(
        "The small sets by smoothing constant α. Is the α that is right most often also the one "
        "whose predictions are nearest to the truth?"
    )


def _of(paper: pd.DataFrame, name: str) -> pd.DataFrame | None:
    """A table of the paper's for those of our lines that it has."""
    return None if name in (REDUCED, THIRD, *FAST) or name.endswith(" printed") else paper


def _run(results: Results) -> list[str]:
    """Return what the benches are called whose network of hard labels has been run."""
    return [label for bench, label in labels().items() if row(bench, 0.0) in results]


def table2(results: Results) -> Shown:
    """Table 2: accuracy by smoothing factor, ours above the paper's."""
    paper = published("re_table2")
    return tables.grid(
        results,
        {
            label: {
                f"α = {a:g}": Asked(
                    row(bench, a),
                    ACCURACY,
                    published=tables.printed(
                        _of(paper, bench), (bench, "replication"), f"accuracy_{a:g}"
                    ),
                )
                for a in ALPHAS
            }
            for bench, label in labels().items()
        },
    ).saying(
        "Accuracy in %, by smoothing constant (the paper’s Table 2). Is a step along a line larger "
        "than the interval of one network?",
        _run(results),
    )


def planes(results: Results) -> Shown:
    """The pictures of the penultimate layer as numbers."""
    lines = {
        f"{label}, α = {a:g}": row(bench, a)
        for bench, label in (SMALL | labels()).items()
        for a in HARD_SOFT
    }
    return tables.grid(
        results,
        {
            label: {
                heading: Asked(own, Column(metric, "", digits=3), "plane")
                for heading, metric in PLANE.items()
            }
            for label, own in lines.items()
            if "plane" in results.stages(own)
        },
    ).saying(
        "The pictures of the penultimate layer as numbers. Compare α = 0 and α = .1 of a set: what "
        "shrinks, and what is left of it in the ratio, the last column?"
    )


def calibration(results: Results) -> Shown:
    """Calibration of the small sets, as it is and scaled."""
    columns = {
        "ECE": ("plain", ECE),
        "ECE, T searched": ("searched", ECE),
        "ECE, T fitted": ("fitted", ECE),
        "the fitted T": ("fitted", TEMPERATURE),
        "KL to the truth": ("plain", KL),
        "KL, T fitted": ("fitted", KL),
    }
    return tables.grid(
        results,
        {
            f"{label}, α = {a:g}": tables.line(row(bench, a), columns)
            for bench, label in SMALL.items()
            for a in ALPHAS
        },
    ).saying(
        "Calibration of the small sets, as it is and scaled. Does smoothing keep an advantage once "
        "each network has its temperature?"
    )


def table3(results: Results) -> Shown:
    """Table 3 but for its last row: ECE by smoothing factor and scaled, ours above the paper's."""
    return tables.grid(
        results,
        {
            label: _calibrated({a: row(bench, a) for a in ALPHAS}, bench)
            for bench, label in labels().items()
        },
    ).saying(
        "ECE by smoothing constant and after temperature scaling (the paper’s Table 3). Where are "
        "hard labels already better calibrated than any smoothing?",
        _run(results),
    )


def transformer(results: Results) -> Shown:
    """Table 3, its last row: the ECE of next words, as the code counts them and of words alone."""
    lines = {}
    for bench in (translation.FULL, translation.REDUCED, translation.INVENTED):
        rows = {a: row_of(smoothed(bench, a)) for a in ALPHAS}
        counted = f"{bench.label}, padding counted"
        lines[counted] = _calibrated(rows, bench.name, "coded", "coded_searched")
        lines[f"{bench.label}, words alone"] = _calibrated(rows)
    return tables.grid(results, lines).saying(
        "ECE of a translator’s next words (the last row of the paper’s Table 3). How much of it is "
        "padding?"
    )


def _calibrated(
    rows: Mapping[float, str],
    bench: str = "",
    plain: str = "plain",
    searched: str = "searched",
) -> dict[str, Asked]:
    """A line of Table 3: rows by α, at two stages; the paper's numbers are those of a bench."""
    key, its = (bench, "replication"), _of(published("re_table3") if bench else None, bench)
    its = its if its is None or key in its.index else None
    hard = rows[0.0]
    line = {
        "α = 0, T searched": Asked(hard, ECE, searched, tables.printed(its, key, "ece_scaled")),
        "that T": Asked(hard, TEMPERATURE, searched, tables.printed(its, key, "temperature")),
        "α = 0, T fitted": Asked(hard, ECE, "fitted" if plain == "plain" else ""),
        "the fitted T": Asked(hard, TEMPERATURE, "fitted" if plain == "plain" else ""),
    }
    for a, own in rows.items():
        line[f"α = {a:g}"] = Asked(own, ECE, plain, tables.printed(its, key, f"ece_{a:g}"))
    return line


def translations(results: Results) -> Shown:
    """Next words and translations of every Transformer, as it is and at its fitted temperature."""
    columns = {
        "words right, %": ("plain", ACCURACY),
        "NLL": ("plain", NLL),
        "the fitted T": ("fitted", TEMPERATURE),
        "NLL, T fitted": ("fitted", NLL),
        "KL to the truth": ("plain", KL),
        "KL, T fitted": ("fitted", KL),
        "BLEU, greedy": ("plain", GREEDY),
        "BLEU, beam": ("plain", BEAM),
        "BLEU, beam, T fitted": ("fitted", BEAM),
    }
    return tables.of_rows(
        results,
        {
            row_of(smoothed(bench, a)): f"{bench.label}, α = {a:g}"
            for bench in (translation.FULL, translation.REDUCED, translation.INVENTED)
            for a in ALPHAS
        },
        columns,
    ).saying(
        "Next words of translators, and the BLEU of their translations. What does a temperature "
        "change, and what not?"
    )


def mutual_information(results: Results) -> Shown:
    """Mutual information of image and answer, by estimate: networks trained to their end."""
    known = information.benches("paper") | information.benches("quick")
    lines = {
        f"{information.labels()[name]}, α = {a:g}": row_of(smoothed(ours, a))
        for name, ours in known.items()
        for a in (ALPHAS if name == information.DIGITS else HARD_SOFT)
    }
    return tables.grid(
        results,
        {
            label: {
                heading: Asked(own, Column(metric, "", digits=3), "information")
                for heading, metric in INFORMATION.items()
            }
            for label, own in lines.items()
            if own in results
        },
    ).saying(
        "Mutual information of image and answer, in nats, by estimate. Follow a column down the "
        "lines of one set: what does smoothing take away, and do the estimates agree?"
    )


def table4(results: Results) -> Shown:
    """Table 4: teachers and students, on noisy digits and on MNIST."""
    error = Column("accuracy", "", percent=True)
    paper = published("re_table4")
    lines: dict[str, Mapping[str, Asked]] = {}
    for name, label in TAUGHT.items():
        number = tables.printed(_of(paper, name), name, "replication")
        lines[label] = {
            "noisy digits, accuracy %": Asked(f"quick {name}", error),
            "KL to the truth": Asked(f"quick {name}", KL),
            "KL, T fitted": Asked(f"quick {name}", KL, "fitted"),
            "MNIST, accuracy %": Asked(
                name, error, published=math.nan if math.isnan(number) else 1 - number
            ),
        }
    return tables.grid(results, lines).saying(
        "Teachers and students (the paper’s Table 4). Compare the students of the first and of the "
        "second teacher, by one loss at a time."
    )


def series(results: Results, names: Mapping[str, str]) -> Shown:
    """Figures 7 and 8 as numbers: M1 to M4 by the smoothing or the temperature of their labels.

    Parameters
    ----------
    results : Results
        What has not been run stays empty.
    names : Mapping
        What each line is called, by series.
    """
    accuracy = Column("accuracy", "", percent=True)
    lines = {
        label: {
            f"α = {a:g}, or T = {t}": Asked(f"{name} {t if 'M3' in name else a:g}", accuracy)
            for a, t in zip(distillation.ALPHAS, distillation.TEMPERATURES, strict=True)
        }
        for name, label in names.items()
    }
    return tables.grid(results, lines).saying(
        "Accuracy in %, by the smoothing or the temperature of the labels. How far does a student "
        "fall behind its teacher? An empty cell has not been run."
    )
