"""The tables of the LDL chapter.

A run is named ``<bench> <method>``, and a method's name is put together from what is done: a label
strategy, a mixing and a length of training (``on_ldl-cutmix-long``). So is what the book calls it.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from ldlstudy import class_wise_tables, ldl_findings, method_tables, tables
from ldlstudy.class_wise import QUICK
from ldlstudy.class_wise_tables import KL, NLL
from ldlstudy.measured import Measurements
from ldlstudy.method_tables import Cell
from ldlstudy.records import Record
from ldlstudy.tables import ACCURACY, Column

TOP5 = Column("top5_accuracy", "top-5, %", percent=True)
ECE = Column("ece_10", "ECE", digits=3)
UCE = Column("uce", "UCE", digits=3)
BRIER = Column("top_label_brier", "Brier", digits=3)
PRINTED = {  # column of the published tables
    "accuracy": ACCURACY,
    "top5_accuracy": TOP5,
    "ece": ECE,
    "uce": UCE,
    "nll": NLL,
    "brier": BRIER,
}
MIXES = {"cutout": "CutOut", "mixup": "mixup", "cutmix": "CutMix", "ricap": "RICAP"}
MIXED = {
    "none": "Vanilla",
    "on_ldl": "On-LDL",
    "on_en_ldl": "On-En-LDL",
    "on_mt_ldl": "On-MT-LDL (sum)",
    "on_mt_ldl_mean": "On-MT-LDL (mean)",
    "on_ldl-mcdo_t": "On-LDL, MCDO-T",
}
LABELS = {
    "ls": "LS",
    "kd": "KD",
    "crd": "CRD",
    "crd_kd": "CRD + KD",
    "sskd": "SSKD",
    "wsl": "WSL",
    "off_ldl": "Off-LDL",
    "off_ldl_views": "Off-LDL, re-labelled",
    "off_en_ldl": "Off-En-LDL",
    "off_mt_ldl": "Off-MT-LDL (sum)",
    "off_mt_ldl_mean": "Off-MT-LDL (mean)",
    "none-held": "Vanilla, on 90 % of the images",
    "none-held fitted": "temperature scaling",
    "mcdo": "MCDO",
    "on_ldl-mcdo_st": "On-LDL, MCDO-S, T",
    "ogr": "OGR",
    "on_ldl-ogr": "On-LDL, OGR",
    "truth": "the true posterior",
    **{
        base + (f"-{mix}" if mix else "") + (f"-{long}" if long else ""): ", ".join(
            filter(None, (label, MIXES.get(mix), long))
        )
        for base, label in MIXED.items()
        for mix, long in itertools.product(("", *MIXES), ("", "long"))
    },
}
MODELS = {
    **class_wise_tables.MODELS,
    "resnet20": "ResNet-20",
    "resnet56": "ResNet-56",
    "resnet110": "ResNet-110",
    "resnet152": "ResNet-152",
    "resnet200": "ResNet-200",
    "resnext29_4x64d": "ResNeXt-29-4x64d",
    "dla": "DLA",
    "small_cnn": "small CNN",
}
SETS = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "stl10": "STL10",
    "imagenet": "ImageNet",
    "noisy_digits": "noisy digits",
}
STACKED = 7  # the table that prints its students one below the other


def printed(table: int) -> dict[str, dict[str, str]]:
    """Rows of a published table by label and, within it, by bench.

    The mixing is named where a bench has the strategy with several or with none besides; elsewhere
    (Tables 2 to 5) the paper prints "On-LDL" for the one it took, which differs by student.

    Raises
    ------
    ValueError
        A table other than 1 to 7, with a list of those that there are.
    """
    rows = [row.split(" ", 1) for row in tables.published(f"ldl_table{table}").index]
    kinds = Counter((bench, unmixed(method)) for bench, method in rows)
    found: dict[str, dict[str, str]] = {}
    for bench, method in rows:
        shown = unmixed(method) if kinds[bench, unmixed(method)] == 1 else method
        found.setdefault(LABELS[shown], {})[bench] = f"{bench} {method}"
    return found


def unmixed(method: str) -> str:
    """A method's key without its mixing."""
    return "-".join(part for part in method.split("-") if part not in MIXES)


def student(bench: str) -> str:
    """How the book names a bench: its data set and its network."""
    dataset, model = bench.split("-")[:2]
    return f"{SETS[dataset]}, {MODELS[model]}"


def against_paper(measurements: Measurements, table: int) -> Styler:
    """Accuracy and ECE of a table of LDL, ours above the paper's; methods by student.

    Table 4 has the top-5 accuracy, too. Table 7, of three students and five metrics, has a row for
    each student and method, as printed.

    Parameters
    ----------
    measurements : Mapping
        As :func:`ldlstudy.measured.gather` gives them; what is not there leaves the printed number
        alone in its cell.
    table : int
        1 to 7; another one is a ValueError.
    """
    lines = printed(table)
    numbers = tables.published(f"ldl_table{table}")
    columns = {name: column for name, column in PRINTED.items() if name in numbers.columns}
    benches = dict.fromkeys(bench for of_label in lines.values() for bench in of_label)
    one_set = len({bench.split("-")[0] for bench in benches}) == 1
    names = {b: student(b).split(", ")[1] if one_set else student(b) for b in benches}
    cells: dict[Any, dict[Any, tuple[str, Column, float]]] = {}
    for (label, rows), bench in itertools.product(lines.items(), benches):
        for name, column in columns.items() if bench in rows else ():
            cell = rows[bench], column, float(numbers.loc[rows[bench], name])
            if table == STACKED:
                cells.setdefault((bench, label), {})[column.heading] = cell
            else:
                cells.setdefault(label, {})[names[bench], column.heading] = cell
    if table == STACKED:
        by_student = sorted(cells.items(), key=lambda item: list(benches).index(item[0][0]))
        cells = {f"{names[bench]}: {label}": row for (bench, label), row in by_student}
    return tables.grid(measurements, cells)


def of_methods(
    measurements: Measurements,
    bench: str,
    methods: Sequence[str],
    columns: Mapping[str, Cell] | Sequence[Column],
) -> Styler:
    """Measured numbers of some keys of ``LABELS`` (:func:`ldlstudy.method_tables.of_methods`)."""
    labels = {method: LABELS[method] for method in methods}
    return method_tables.of_methods(measurements, {bench: ""}, labels, columns)


def measured_methods(measurements: Measurements, bench: str) -> list[str]:
    """The keys of ``LABELS`` that have been measured on a bench, in the order of measuring."""
    rows = (row.split(" ", 1) for row in measurements)
    return [method for name, method in rows if name == bench and method in LABELS]


def true_distribution(measurements: Measurements) -> Styler:
    """Which method learns the true label distribution of noisy digits: the nearest first."""
    found = sorted(
        measured_methods(measurements, QUICK),
        key=lambda method: measurements[f"{QUICK} {method}"][KL.metric].estimate.mean,
    )
    columns = {column.heading: ("", column) for column in (ACCURACY, NLL, ECE, UCE, KL)}
    return of_methods(measurements, QUICK, found, {**columns, "KL, scaled": ("fitted", KL)})


def grid(measurements: Measurements) -> Styler:
    """KL to the truth by noise and training-set size (rows) and method (columns)."""
    benches = ldl_findings.sizes(measurements)
    methods = dict.fromkeys(m for b in benches.values() for m in measured_methods(measurements, b))
    return tables.grid(
        measurements,
        {
            f"σ = {sigma:g}, {train:,} a class": {
                LABELS[method]: (f"{bench} {method}", KL, float("nan")) for method in methods
            }
            for (sigma, train), bench in benches.items()
        },
    )


def runs(recorded: Mapping[str, Record]) -> Styler:
    """What was run: a line for all seeds of a method on a bench.

    Seconds are a network's, the mean over seeds, without those of its teachers.
    """
    seeds: dict[str, list[Record]] = {}
    for name, record in recorded.items():
        seeds.setdefault(name.split(" #")[0], []).append(record)
    body = {}
    for name, of_name in seeds.items():
        specification, made = of_name[0].specification, [record.made for record in of_name]
        seconds = [max(m["seconds"], m.get("training_seconds", 0)) for m in made]
        body[name] = {
            "method": LABELS[name.split(" ", 1)[1]],
            "data set": SETS[specification["dataset"]],
            "network": MODELS[specification["model"]],
            "epochs": str(specification["training"]["epochs"]),
            "seeds": str(len(of_name)),
            "device": ", ".join(dict.fromkeys(m["device"] for m in made)),
            "seconds": f"{sum(seconds) / len(seconds):,.0f}",
        }
    return tables.style(pd.DataFrame.from_dict(body, orient="index"), ("method", "device"))


def recomputed() -> Styler:
    """What LDL says of its results, and its tables: :func:`ldlstudy.ldl_findings.recomputed`."""
    body = {}
    for statement, (said, low, high, unit) in ldl_findings.recomputed().items():
        digits = 2 if unit == "points" else 0
        ends = dict.fromkeys(f"{v:+.{digits}f}" if v else "0" for v in (low, high))
        body[statement] = {
            "the text": f"{said} {unit}".replace("-", "−"),
            "its tables": f"{' to '.join(ends)} {unit}".replace("-", "−"),
        }
    return tables.style(pd.DataFrame.from_dict(body, orient="index"))
