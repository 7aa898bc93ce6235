"""The tables of the CS-KD chapter."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from ldlstudy import checks, claims, class_wise, class_wise_findings, method_tables, tables
from ldlstudy.class_wise import SETS
from ldlstudy.class_wise_findings import SCORES
from ldlstudy.measured import Measurements
from ldlstudy.method_tables import Cell
from ldlstudy.tables import Column

LABELS = {
    "none": "cross entropy",
    "adacos": "AdaCos",
    "virtual_softmax": "virtual softmax",
    "max_entropy": "maximum entropy",
    "max_entropy_light": "maximum entropy, weight .1",
    "ls": "label smoothing",
    "cs_kd": "CS-KD",
    "cs_kd_eval": "CS-KD, partner in eval mode",
    "cs_kd_e": "CS-KD-E",
    "ddgsd": "DDGSD",
    "byot": "BYOT",
    "mixup": "mixup",
    "mixup_cs_kd": "mixup + CS-KD",
    "kd": "KD",
    "kd_cs_kd": "KD + CS-KD",
}
ERROR = Column("error", "error, %", percent=True, digits=4)
TOP5 = Column("top5_error", "top-5 error, %", percent=True, digits=4)
ECE = Column("ece_20", "ECE", digits=3)
RECALL = Column("recall_at_1", "R@1, %", percent=True, digits=4)
KL = Column("kl_to_truth", "KL to the truth", digits=3)
NLL = Column("cross_entropy", "NLL", digits=3)
KL_ON_ERRORS = Column("kl_to_truth_on_errors", "KL on errors", digits=3)
VARIATION = Column("intra_class_variation", "variation", digits=3)
BEST = Column("best_test_accuracy", "best on the test set, %", percent=True)
MEASURES = {
    "top5_error": TOP5,
    "ece": Column("ece_20", "ECE, %", percent=True),
    "recall_at_1": RECALL,
}
MODELS = {
    "resnet18": "ResNet-18",
    "densenet121": "DenseNet-121",
    "resnet10": "ResNet-10",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "resnext101_32x4d": "ResNeXt-101-32x4d",
}


def of_methods(
    measurements: Measurements,
    benches: Mapping[str, str],
    methods: Sequence[str],
    columns: Mapping[str, Cell] | Sequence[Column],
) -> Styler:
    """Measured numbers of some keys of ``LABELS`` (:func:`ldlstudy.method_tables.of_methods`)."""
    return method_tables.of_methods(
        measurements, benches, {method: LABELS[method] for method in methods}, columns
    )


def against_paper(measurements: Measurements, table: int) -> Styler:
    """Top-1 errors of Tables 1 to 4, ours above the paper's."""
    printed = tables.published(f"cskd_table{table}")
    return tables.grid(
        measurements,
        {
            _label(row): {
                label: (_run(row, dataset), ERROR, printed.loc[row, dataset])
                for dataset, (label, *_) in SETS.items()
            }
            for row in printed.index
        },
    )


def imagenet(measurements: Measurements) -> Styler:
    """Top-1 errors of Table 5."""
    printed = tables.published("cskd_table5")
    names = {"none": "cross entropy, %", "cs_kd": "CS-KD, %"}
    models = dict.fromkeys(row.split(" ")[0] for row in printed.index)
    return tables.grid(
        measurements,
        {
            MODELS[model]: {
                heading: (
                    f"imagenet-{model} {m}",
                    ERROR._replace(digits=3),
                    printed.loc[f"{model} {m}", "imagenet"],
                )
                for m, heading in names.items()
            }
            for model in models
        },
    )


def measures(measurements: Measurements, measure: str) -> Styler:
    """One measure of the paper's table of ResNet-18: ``top5_error``, ``ece`` or ``recall_at_1``."""
    checks.one_of("measure", measure, MEASURES)
    printed = tables.published("cskd_measures")
    rows = [row for row in printed.index if row.startswith(f"{measure} ")]
    return tables.grid(
        measurements,
        {
            LABELS[row.split(" ")[1]]: {
                label: (
                    _run(f"resnet18 {row.split(' ')[1]}", dataset),
                    MEASURES[measure],
                    printed.loc[row, dataset],
                )
                for dataset, (label, *_) in SETS.items()
            }
            for row in rows
        },
    )


def _label(row: str) -> str:
    model, method = row.split(" ")
    return f"{MODELS[model]}: {LABELS[method]}"


def _run(row: str, dataset: str) -> str:
    model, method = row.split(" ")
    return class_wise.name(f"{dataset}-{class_wise.model(dataset, model)}", method)


def grid(measurements: Measurements) -> Styler:
    """CS-KD by temperature and weight on noisy digits (:func:`ldlstudy.class_wise.grid`).

    Cross entropy stands below; what ``measurements`` lack stays empty.
    """
    bench = class_wise.QUICK
    rows = {
        f"T = {t:g}, λ = {w:g}": f"{bench} cs_kd T{t:g} l{w:g}"
        for t in class_wise.TEMPERATURES
        for w in class_wise.WEIGHTS
    }
    columns = {
        ERROR.heading: ("", ERROR),
        ECE.heading: ("", ECE),
        KL.heading: ("", KL),
        "KL, scaled": ("fitted", KL),
        "T fitted": ("fitted", tables.TEMPERATURE),
        RECALL.heading: ("", RECALL),
    }
    return tables.grid(
        measurements,
        {
            label: method_tables.cells(row, columns)
            for label, row in {**rows, "cross entropy": f"{bench} none"}.items()
        },
    )


def scores_on_errors(
    errors: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]],
) -> Styler:
    """The two methods of each set compared, the second against the first.

    ``errors`` holds set, method and seed as :func:`ldlstudy.class_wise_plots.score_histograms`
    takes them, two methods each.
    """
    body = {}
    for title, methods in errors.items():
        (first, of_first), (second, of_second) = methods.items()
        for score, side in SCORES.items():
            found = class_wise_findings.errors_compared(of_second, of_first, score)
            body[f"{title}: {side}"] = {
                first: _signed(found.means[1]),
                second: _signed(found.means[0]),
                "both wrong": f"{found.common:,}",
                "difference there": _signed(found.difference, "+"),
                "p": claims.write_p(found.p),
            }
    return tables.style(pd.DataFrame.from_dict(body, orient="index"))


def _signed(value: float, plus: str = "") -> str:
    return f"{round(value, 2) + 0:{plus}.2f}".replace("-", "−")  # + 0: no minus zero


def in_its_own_tables() -> Styler:
    """On how many of the five sets the paper's printed means bear out what is said of CS-KD."""
    missing = class_wise_findings.not_borne_out()
    body = {
        claim: {"holds on": f"{len(SETS) - len(sets)} of {len(SETS)}", "not on": ", ".join(sets)}
        for claim, sets in missing.items()
    }
    return tables.style(pd.DataFrame.from_dict(body, orient="index"), ("not on",))
