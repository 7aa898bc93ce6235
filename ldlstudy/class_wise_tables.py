"""The tables of the CS-KD chapter, and what the paper's own tables say of its claims."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from ldlstudy import class_wise, stats, tables
from ldlstudy.class_wise import SETS
from ldlstudy.measured import Measurements
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
MEASURES = {
    "top5_error": TOP5,
    "ece": Column("ece_20", "ECE, %", percent=True),
    "recall_at_1": RECALL,
}
MODELS = {"resnet18": "ResNet-18", "densenet121": "DenseNet-121", "resnet10": "ResNet-10"}


def of_bench(
    measurements: Measurements, bench: str, methods: Sequence[str], columns: Sequence[Column]
) -> Styler:
    """Measured numbers of some methods of one bench; what has not been run stays away."""
    return tables.grid(
        measurements,
        {
            LABELS[method]: {c.heading: (f"{bench} {method}", c, float("nan")) for c in columns}
            for method in methods
            if f"{bench} {method}" in measurements
        },
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
            model: {
                heading: (f"imagenet-{model} {m}", ERROR, printed.loc[f"{model} {m}", "imagenet"])
                for m, heading in names.items()
            }
            for model in models
        },
    )


def measures(measurements: Measurements, measure: str) -> Styler:
    """One measure of the paper's table of ResNet-18: ``top5_error``, ``ece`` or ``recall_at_1``."""
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


def errors_compared(
    left: Sequence[Mapping[str, Any]], right: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Mean scores on errors of two methods, and tests of their difference (CS-KD Figure 2).

    Parameters
    ----------
    left, right : sequence of Mapping
        Of each seed what :func:`ldlstudy.misclassified.kept` gives; the seeds share test images.

    Returns
    -------
    DataFrame
        For each score both means over all errors, Welch's p of their difference, and on the images
        that both get wrong their number, the mean difference and the p of the paired t test.
    """
    found = {}
    for score in ("log_predicted", "log_true"):
        own, other = ([v for seed in side for v in seed[score]] for side in (left, right))
        pairs = [pair for a, b in zip(left, right, strict=True) for pair in _common(a, b, score)]
        one, two = ([pair[i] for pair in pairs] for i in (0, 1))
        found[score] = {
            "left": statistics.fmean(own),
            "right": statistics.fmean(other),
            "p": stats.welch_p(own, other),
            "common": len(pairs),
            "difference": statistics.fmean(one) - statistics.fmean(two),
            "common_p": stats.paired_p(one, two),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def _common(
    left: Mapping[str, Any], right: Mapping[str, Any], score: str
) -> list[tuple[float, float]]:
    """The scores of both on the images that both get wrong."""
    other = dict(zip(right["index"], right[score], strict=True))
    each = zip(left["index"], left[score], strict=True)
    return [(value, other[i]) for i, value in each if i in other]


Holds = Callable[[pd.DataFrame, str], bool]


def _best(rows: Sequence[str], own: str, highest: bool = False) -> Holds:
    def holds(table: pd.DataFrame, dataset: str) -> bool:
        values = table.loc[list(rows), dataset]
        return bool((values.idxmax() if highest else values.idxmin()) == own)

    return holds


def _rows(prefix: str, methods: Sequence[str]) -> list[str]:
    return [f"{prefix} {method}" for method in methods]


OUTPUT = class_wise.OUTPUT
SAID: dict[str, tuple[str, Holds]] = {
    "lowest error of the output regularisers, ResNet-18": (
        "cskd_table1",
        _best(_rows("resnet18", OUTPUT), "resnet18 cs_kd"),
    ),
    "the same, DenseNet-121": (
        "cskd_table1",
        _best(_rows("densenet121", OUTPUT), "densenet121 cs_kd"),
    ),
    "lowest error of the self-distillers": (
        "cskd_table2",
        _best(_rows("resnet18", class_wise.SELF), "resnet18 cs_kd"),
    ),
    "lowest top-5 error": (
        "cskd_measures",
        _best(_rows("top5_error", OUTPUT), "top5_error cs_kd"),
    ),
    "lower ECE than cross entropy": (
        "cskd_measures",
        _best(["ece none", "ece cs_kd"], "ece cs_kd"),
    ),
    "lower ECE than label smoothing": (
        "cskd_measures",
        _best(["ece ls", "ece cs_kd"], "ece cs_kd"),
    ),
    "lowest ECE of the output regularisers": (
        "cskd_measures",
        _best(_rows("ece", OUTPUT), "ece cs_kd"),
    ),
    "CS-KD-E: lower ECE than CS-KD": (
        "cskd_measures",
        _best(["ece cs_kd", "ece cs_kd_e"], "ece cs_kd_e"),
    ),
    "highest R@1": (
        "cskd_measures",
        _best(_rows("recall_at_1", OUTPUT), "recall_at_1 cs_kd", highest=True),
    ),
    "lowers the error of mixup": (
        "cskd_table3",
        _best(_rows("resnet18", class_wise.MIXED), "resnet18 mixup_cs_kd"),
    ),
    "lowers the error of distillation": (
        "cskd_table4",
        _best(_rows("resnet10", class_wise.DISTILLED), "resnet10 kd_cs_kd"),
    ),
}


def in_its_own_tables() -> Styler:
    """On how many of the five sets the paper's printed means bear out what is said of CS-KD."""
    body = []
    for source, holds in SAID.values():
        printed = tables.published(source)
        missing = [label for dataset, (label, *_) in SETS.items() if not holds(printed, dataset)]
        body.append(
            {
                "holds on": f"{len(SETS) - len(missing)} of {len(SETS)}",
                "not on": ", ".join(missing),
            }
        )
    return tables.style(pd.DataFrame(body, index=list(SAID)), ("not on",))
