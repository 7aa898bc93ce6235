"""The figures of the LDL chapter that draw numbers; each function returns a matplotlib figure.

What the paper printed is drawn hollow, what was measured here full. Methods have the colour of
their group: what there was before, rivals, offline and online label distributions.
"""

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ldlstudy import ldl_findings, ldl_tables, measured, models, tables
from ldlstudy.ldl_tables import ECE, KL, LABELS, MODELS
from ldlstudy.measured import Measurements
from ldlstudy.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, WIDTH
from ldlstudy.tables import ACCURACY

GROUPS = {"existing": RED, "rivals": ORANGE, "offline LDL": GREEN, "online LDL": BLUE}
REDUCED = "-reduced"
KINDS: dict[
    str, dict[str, Any]
] = {  # how points look: printed, measured as in the paper, measured on a shorter schedule
    "printed": {"fillstyle": "none", "marker": "o", "ms": 5},
    "measured": {"fillstyle": "full", "marker": "o", "ms": 5},
    "measured, reduced": {"fillstyle": "full", "marker": "X", "ms": 6},
}
SIZED = {  # the methods of Figure 3, and how they look
    "ls": (RED, ":"),
    "kd": (RED, "--"),
    "crd_kd": (ORANGE, "-"),
    "wsl": (ORANGE, "--"),
    "off_ldl": (GREEN, "--"),
    "off_mt_ldl": (GREEN, "-"),
    "on_ldl-cutmix": (BLUE, "--"),
    "on_ldl-long": (BLUE, "-"),
}


def group(method: str) -> str:
    """Which of ``GROUPS`` a method of ``LABELS`` belongs to."""
    first = method.split("_")[0]
    named = {"off": "offline LDL", "on": "online LDL"}
    return named.get(first, "rivals" if method in ldl_findings.SOTA else "existing")


@functools.cache
def parameters(bench: str) -> int:
    """Parameters of a CIFAR-100 bench's network; built without memory for its weights."""
    with torch.device("meta"):
        network = models.build(bench.split("-")[1], 100)
    return sum(p.numel() for p in network.parameters())


def change_by_size(measurements: Measurements) -> Figure:
    """LDL Figure 3: accuracy and ECE less Vanilla's against the student's size, by method.

    Lines are what the paper printed, points what ``measurements`` have of the same networks,
    crosses those that were trained on a reduced schedule. Long training takes the mixing that the
    paper took, which differs by student.
    """
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    panels = (ACCURACY, "accuracy", 100, "points of accuracy"), (ECE, "ece", 1, "ECE")
    kinds = {"printed"}
    for ax, (metric, column, scale, heading) in zip(axes, panels, strict=True):
        ax.axhline(0, color=GREY, lw=0.8)
        lines = _printed_changes(column)
        sizes = {bench: parameters(bench) for bench in lines["none"]}
        for method, (colour, dash) in SIZED.items():
            line = sorted((sizes[b], scale * change) for b, change in lines[method].items())
            look = {"color": colour, "label": LABELS[method], **KINDS["printed"]}
            ax.plot(*zip(*line, strict=True), dash, lw=1.3, **look)
        for row in measurements:
            bench, _, method = row.partition(" ")
            full, line_of = bench.removesuffix(REDUCED), _line(method)
            pair = row, f"{bench} none"
            if full in sizes and line_of in SIZED and _has(measurements, metric.metric, *pair):
                change = measured.difference(*(measurements[r][metric.metric] for r in pair)).mean
                kind = "measured" if bench == full else "measured, reduced"
                look = {"color": SIZED[line_of][0], "label": f"{LABELS[line_of]}, {kind}"}
                ax.plot(sizes[full], scale * change, ls="", **look, **KINDS[kind])
                kinds.add(kind)
        ax.set(
            xscale="log", xlabel="parameters of the student", ylabel=f"{heading}, less Vanilla's"
        )
        ax.margins(0.06)
    handles = {LABELS[name]: Line2D([], [], color=c, ls=ls) for name, (c, ls) in SIZED.items()}
    legend(fig, handles | _kinds(kinds), columns=4)
    return fig


def _printed_changes(column: str) -> dict[str, dict[str, float]]:
    """A printed number less Vanilla's in the same table, by line and by bench.

    Of what Tables 1 and 3 both print, Table 3's, which the figure is of.
    """
    found: dict[str, dict[str, float]] = {}
    for table in (1, 3):
        numbers = tables.published(f"ldl_table{table}")[column]
        for row, number in numbers.items():
            bench, method = str(row).split(" ", 1)
            found.setdefault(_line(method), {})[bench] = number - numbers[f"{bench} none"]
    return found


def _line(method: str) -> str:
    """The key of a method's line: long training has one whatever the mixing."""
    return ldl_tables.unmixed(method) if method.endswith("-long") else method


def _has(measurements: Measurements, metric: str, *rows: str) -> bool:
    return all(metric in measurements.get(row, {}) for row in rows)


def _kinds(kinds: Iterable[str]) -> dict[str, Line2D]:
    """Handles of the kinds of points that were drawn, in grey."""
    return {
        kind: Line2D([], [], color=GREY, ls="", **KINDS[kind]) for kind in KINDS if kind in kinds
    }


def legend(fig: Figure, handles: Mapping[str, Any], columns: int) -> None:
    """A legend below the panels, from handles by name."""
    fig.legend(handles.values(), handles.keys(), ncols=columns, loc="outside lower center")


PANELS = {  # of Figure 10: title to table and students
    "CIFAR-10, teacher ResNet-110": (2, ("cifar10-resnet20", "cifar10-resnet56")),
    "STL10, teacher ResNet-110": (2, ("stl10-resnet20", "stl10-resnet56")),
    "CIFAR-100, teacher ResNet-110": (
        3,
        ("cifar100-resnet20", "cifar100-resnet56", "cifar100-resnet110"),
    ),
    "CIFAR-100, teacher ResNet-200": (
        3,
        ("cifar100-resnet18", "cifar100-resnet50", "cifar100-resnet200"),
    ),
    "ImageNet, teacher ResNet-152": (
        4,
        ("imagenet-resnet18", "imagenet-resnet50", "imagenet-resnet101", "imagenet-resnet152"),
    ),
}
MARKERS = {
    "resnet20": "o", "resnet56": "s", "resnet110": "^", "resnet18": "v", "resnet50": "D",
    "resnet200": "P", "resnet101": "p", "resnet152": "h",
}  # fmt: skip


def accuracy_against_ece(measurements: Measurements) -> Figure:
    """LDL Figure 10: ECE against accuracy, a panel for the students of a teacher.

    Every method of Tables 2 to 4, in the colour of its group and the marker of its student; hollow
    as printed, full as measured.
    """
    fig, axes = plt.subplots(3, 2, figsize=(WIDTH, 8.4))
    for ax, (title, (table, benches)) in zip(axes.flat, PANELS.items(), strict=False):
        numbers = tables.published(f"ldl_table{table}")
        for row in numbers.index:
            bench, method = row.split(" ", 1)
            if bench not in benches:
                continue
            look = {"color": GROUPS[group(method)], "marker": MARKERS[bench.split("-")[1]]}
            x, y = numbers.loc[row, ["accuracy", "ece"]]
            look["label"] = f"{MODELS[bench.split('-')[1]]}, {LABELS[method]}"
            ax.plot(100 * x, y, ls="", ms=5, fillstyle="none", **look)
            if _has(measurements, ECE.metric, row) and _has(measurements, ACCURACY.metric, row):
                x, y = (measurements[row][c.metric].estimate.mean for c in (ACCURACY, ECE))
                look["label"] += ", measured"
                ax.plot(100 * x, y, ls="", ms=5, **look)
        ax.set(title=title, xlabel="accuracy, %")
        ax.margins(0.08)
    for ax in axes[:, 0]:
        ax.set_ylabel("ECE")
    _key(axes[-1, -1])
    return fig


def _key(ax: Axes) -> None:
    """The legend of :func:`accuracy_against_ece`, in the panel that is left."""
    ax.set_axis_off()
    handles = {name: Line2D([], [], color=c, ls="", marker="o") for name, c in GROUPS.items()}
    for name, marker in MARKERS.items():
        handles[MODELS[name]] = Line2D([], [], color=GREY, ls="", marker=marker, fillstyle="none")
    handles |= _kinds(("printed", "measured"))
    ax.legend(handles.values(), handles.keys(), ncols=2, loc="center")


CEILING = "truth"
STYLES = tuple(itertools.product((BLUE, RED, GREEN, ORANGE, PURPLE, GREY), ("-", "--")))


def kl_by_size(measurements: Measurements, methods: Sequence[str]) -> Figure:
    """KL to the truth against the number of training images, a panel for each noise.

    Parameters
    ----------
    measurements : Mapping
        With rows as :func:`ldlstudy.ldl_findings.sizes` finds them.
    methods : sequence of str
        Keys of ``LABELS``, a line each with 95 % intervals, at most twelve besides ``truth``, which
        is taught the true posterior and drawn black as the best that can be hoped for.

    Raises
    ------
    ValueError
        If there is nothing of this study to draw.
    """
    benches = ldl_findings.sizes(measurements)
    noises = list(dict.fromkeys(sigma for sigma, _ in benches))
    if not noises:
        raise ValueError("no row of noisy_digits-small_cnn-n<images>-s<sigma> is there to draw")
    fig, axes = plt.subplots(1, len(noises), squeeze=False, sharey=True, figsize=(WIDTH, 3.8))
    taught = [method for method in methods if method != CEILING]
    looks = dict(zip(taught, STYLES, strict=False)) | {CEILING: ("black", ":")}
    for ax, noise in zip(axes[0], noises, strict=True):
        for method in methods:
            points = [
                (train, *measurements[f"{bench} {method}"][KL.metric].estimate)
                for (sigma, train), bench in benches.items()
                if sigma == noise and _has(measurements, KL.metric, f"{bench} {method}")
            ]
            if points:
                x, mean, low, high = np.array(points).T
                colour, dash = looks[method]
                ax.plot(x, mean, dash, color=colour, marker="o", ms=3, label=LABELS[method])
                ax.vlines(x, low, high, color=colour)
        trains = [train for sigma, train in benches if sigma == noise]
        ax.set(title=f"σ = {noise:g}", xlabel="training images a class", xscale="log")
        ax.set_xticks(trains, [f"{train}" for train in trains])
        ax.minorticks_off()
    axes[0, 0].set(ylabel="KL to the truth, nats", ylim=(0, None))
    drawn = {line.get_label(): line for ax in axes.flat for line in ax.lines}
    legend(fig, drawn, columns=3)
    return fig
