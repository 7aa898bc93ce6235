"""The figures of the LDL chapter that draw numbers; each function returns a matplotlib figure.

What the paper printed is drawn hollow, what was measured here full. Strategies have the colour of
their group: what there was before, rivals, offline and online label distributions.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ldlstudy import models
from ldlstudy.report.figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    WIDTH,
    drawn_lines,
    legend,
    nothing,
)
from ldlstudy.report.results import Results
from ldlstudy.report.tables import ACCURACY, KL, published
from ldlstudy.studies.bench import NETWORKS
from ldlstudy.studies.ldl import numbers
from ldlstudy.studies.ldl.runs import REDUCED, benches
from ldlstudy.studies.ldl.tables import ECE, label
from ldlstudy.studies.strategies import GROUPS, named, unmixed

KINDS: dict[str, dict[str, Any]] = {  # how points look, by what they are
    "printed": {"fillstyle": "none", "marker": "o", "ms": 5},
    "measured": {"fillstyle": "full", "marker": "o", "ms": 5},
    "measured, reduced": {"fillstyle": "full", "marker": "X", "ms": 6},
}
BY_SIZE = {  # the strategies of Figure 3, and how they look
    "ls_wrong": (RED, ":"),
    "kd_ldl": (RED, "--"),
    "crd_kd": (ORANGE, "-"),
    "wsl": (ORANGE, "--"),
    "off_ldl": (GREEN, "--"),
    "off_mt_ldl": (GREEN, "-"),
    "on_ldl-cutmix": (BLUE, "--"),
    "on_ldl-long": (BLUE, "-"),
}
TRUTH = "truth"
STYLES = tuple(itertools.product((BLUE, RED, GREEN, ORANGE, PURPLE, GREY), ("-", "--")))


@functools.cache
def parameters(model: str) -> int:
    """Return how many parameters a CIFAR-100 network has; built without memory for its weights."""
    with torch.device("meta"):
        network = models.build(model, 100)
    return sum(p.numel() for p in network.parameters())


def change_by_size(results: Results) -> Figure:
    """LDL Figure 3: accuracy and ECE less Vanilla's against the student's size, by strategy.

    Lines are what the paper printed, points what ``results`` have of the same networks, crosses
    those that were trained on a reduced schedule. Long training takes the mixing that the paper
    took, which differs by student.
    """
    fig, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    panels = (ACCURACY, "accuracy", 100, "points of accuracy"), (ECE, "ece", 1, "ECE")
    known, kinds = benches("paper"), {"printed"}
    for ax, (metric, column, scale, heading) in zip(axes, panels, strict=True):
        ax.axhline(0, color=GREY, lw=0.8)
        lines = printed_changes(column)
        students = {known[bench].model for bench in lines["none"]}
        for strategy, (colour, dash) in BY_SIZE.items():
            line = sorted(
                (parameters(known[bench].model), scale * change)
                for bench, change in lines[strategy].items()
            )
            look = {"color": colour, "label": label(strategy), **KINDS["printed"]}
            ax.plot(*zip(*line, strict=True), dash, lw=1.3, **look)
        for row in results.rows:
            first = results.of(row)[0]
            strategy, own = _line(first.strategy), known.get(first.bench)
            if strategy not in BY_SIZE or own is None or own.dataset != "cifar100":
                continue
            both = ((row, "plain"), (f"{own.name} none", "plain"))
            change = results.difference(*both, metric.metric).mean
            if own.model in students and change == change:  # else it was not run
                kind = "measured, reduced" if own.name == REDUCED else "measured"
                look = {"color": BY_SIZE[strategy][0], "label": f"{label(strategy)}, {kind}"}
                ax.plot(parameters(own.model), scale * change, ls="", **look, **KINDS[kind])
                kinds.add(kind)
        ax.set(
            xscale="log", xlabel="parameters of the student", ylabel=f"{heading}, less Vanilla's"
        )
        ax.margins(0.06)
    handles = {label(name): Line2D([], [], color=c, ls=ls) for name, (c, ls) in BY_SIZE.items()}
    legend(fig, handles | _kinds(kinds), columns=4)
    return fig


def printed_changes(column: str) -> dict[str, dict[str, float]]:
    """A printed number less Vanilla's in the same table, by line and by bench.

    Of what Tables 1 and 3 both print, Table 3's, which the figure is of.
    """
    found: dict[str, dict[str, float]] = {}
    for table in (1, 3):
        printed = published(f"ldl_table{table}").droplevel("stage")[column]
        for (bench, strategy), number in printed.items():
            change = number - printed[bench, "none"]
            found.setdefault(_line(strategy), {})[bench] = change
    return found


def _line(strategy: str) -> str:
    """The strategy that a line is named by: long training has one whatever the mixing."""
    return unmixed(strategy) if named(strategy).long else strategy


def _kinds(kinds: Iterable[str]) -> dict[str, Line2D]:
    """Handles of the kinds of points that were drawn, in grey."""
    return {
        kind: Line2D([], [], color=GREY, ls="", **KINDS[kind]) for kind in KINDS if kind in kinds
    }


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


def accuracy_against_ece(results: Results) -> Figure:
    """LDL Figure 10: ECE against accuracy, a panel for the students of a teacher.

    Every strategy of Tables 2 to 4, in the colour of its group and the marker of its student;
    hollow as printed, full as measured.
    """
    known = benches("paper")
    fig, axes = plt.subplots(3, 2, figsize=(WIDTH, 8.4))
    for ax, (title, (table, students)) in zip(axes.flat, PANELS.items(), strict=False):
        printed = published(f"ldl_table{table}").droplevel("stage")
        for (bench, strategy), numbers_ in printed.iterrows():
            if bench not in students:
                continue
            model = known[bench].model
            look = {"color": GROUPS[named(strategy).group], "marker": MARKERS[model]}
            look["label"] = f"{NETWORKS[model]}, {label(strategy)}"
            x, y = numbers_["accuracy"], numbers_["ece"]
            ax.plot(100 * x, y, ls="", ms=5, fillstyle="none", **look)
            row = f"{bench} {strategy}"
            found = [results.measured(row, column.metric) for column in (ACCURACY, ECE)]
            if found[0] is not None and found[1] is not None:
                look["label"] += ", measured"
                x, y = (each.estimate.mean for each in found if each is not None)
                ax.plot(100 * x, y, ls="", ms=5, **look)
        ax.set(title=title, xlabel="accuracy, %")
        ax.margins(0.08)
    for ax in axes[:, 0]:
        ax.set_ylabel("ECE")
    axes[-1, -1].set_axis_off()  # there are five panels
    handles = {name: Line2D([], [], color=c, ls="", marker="o") for name, c in GROUPS.items()}
    for name, marker in MARKERS.items():
        handles[NETWORKS[name]] = Line2D([], [], color=GREY, ls="", marker=marker, fillstyle="none")
    handles |= _kinds(("printed", "measured"))
    legend(fig, handles, columns=4)
    return fig


def kl_by_size(results: Results, strategies: Sequence[str]) -> Figure:
    """KL to the truth against the number of training images, a panel for each noise.

    Parameters
    ----------
    results : Results
        With benches as :func:`ldlstudy.studies.ldl.numbers.sizes` finds them.
    strategies : sequence of str
        A line each with 95 % intervals, at most twelve besides ``truth``, which is taught the true
        posterior and drawn black as the best that can be hoped for.
    """
    sizes = numbers.sizes(results)
    noises = list(dict.fromkeys(sigma for sigma, _ in sizes))
    if not noises:
        return nothing()
    fig, axes = plt.subplots(1, len(noises), squeeze=False, sharey=True, figsize=(WIDTH, 3.8))
    taught = [name for name in strategies if name != TRUTH]
    looks = dict(zip(taught, STYLES, strict=False)) | {TRUTH: ("black", ":")}
    for ax, noise in zip(axes[0], noises, strict=True):
        own = {train: bench for (sigma, train), bench in sizes.items() if sigma == noise}
        for name in strategies:
            found = [(t, results.measured(f"{b} {name}", KL.metric)) for t, b in own.items()]
            points = [(train, *each.estimate) for train, each in found if each is not None]
            if points:
                x, mean, low, high = np.array(points).T
                colour, dash = looks[name]
                ax.plot(x, mean, dash, color=colour, marker="o", ms=3, label=label(name))
                ax.vlines(x, low, high, color=colour, label=label(name))
        ax.set(title=f"σ = {noise:g}", xlabel="training images a class", xscale="log")
        ax.set_xticks(list(own), [f"{train}" for train in own])
        ax.minorticks_off()
    axes[0, 0].set(ylabel="KL to the truth, nats", ylim=(0, None))
    legend(fig, drawn_lines(fig), columns=3)
    return fig
