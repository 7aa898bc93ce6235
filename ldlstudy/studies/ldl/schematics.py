"""The figures that explain LDL before any number: its hypothesis and its nine configurations."""

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ldlstudy import losses, targets
from ldlstudy.report.figure_data import SCHEME
from ldlstudy.report.figures import BLUE, GREY, RED, WIDTH
from ldlstudy.studies.strategies import GROUPS

SOFT = 0.8  # of the true class, in the picture of the gap


def gap() -> Figure:
    """LDL Figure 1's hypothesis on one image of two classes: the loss by confidence, and its pull.

    A hard label (1, 0) is least wrong at confidence 1, which no finite logit gives, so its pull on
    the logit, the gradient p - q, never ends; a soft label (.8, .2) asks for a confidence of .8.
    """
    margin = torch.linspace(-1, 7, 401, dtype=torch.float64, requires_grad=True)
    logits = torch.stack([margin, torch.zeros_like(margin)], 1)
    confidence = logits.softmax(1)[:, 0].detach()
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.9))
    labels = {
        "hard label (1, 0)": (1.0, RED, "-"),
        f"soft label ({SOFT:g}, {1 - SOFT:.1g})": (SOFT, BLUE, "--"),
    }
    for name, (q, colour, dash) in labels.items():
        target = torch.tensor([[q, 1 - q]], dtype=torch.float64)
        each = torch.stack([losses.soft_cross_entropy(z[None], target) for z in logits])
        (pull,) = torch.autograd.grad(each.sum(), margin, retain_graph=True)
        left.plot(confidence, each.detach(), dash, color=colour, label=name)
        right.plot(confidence, pull, dash, color=colour, label=name)
        if q < 1:
            lowest = losses.soft_cross_entropy(target.log(), target)
            left.plot(q, float(lowest), "o", color=colour)
            right.plot(q, 0, "o", color=colour)
    right.axhline(0, color=GREY, lw=0.8)
    left.set(xlabel="confidence in the true class, p", ylabel="cross entropy, nats")
    right.set(xlabel="confidence in the true class, p", ylabel="its gradient by the logit, p − q")
    fig.legend(*left.get_legend_handles_labels(), ncols=2, loc="outside lower center")
    return fig


class Configuration(NamedTuple):
    """One of LDL Figure 2: its name and group, how many teachers, which label, its loss.

    ``mixed`` is whether the student, and the teachers with it, are shown mixed images.
    """

    name: str
    group: str
    teachers: int
    label: str
    loss: str
    mixed: bool = False


CONFIGURATIONS = (
    Configuration("#1 Vanilla", "existing", 0, "hard", "CE(y, p)"),
    Configuration("#4 Off-LDL", "offline LDL", 1, "soft", "CE(z, p)"),
    Configuration("#7 On-LDL", "online LDL", 1, "soft", "CE(z, p)", True),
    Configuration("#2 LS", "existing", 0, "smooth", "CE(y, p)"),
    Configuration("#5 Off-En-LDL", "offline LDL", 3, "mean", "CE(z, p)"),
    Configuration("#8 On-En-LDL", "online LDL", 3, "mean", "CE(z, p)", True),
    Configuration("#3 KD", "existing", 1, "both", "(1−λ) CE(y, p)\n+ λ CE(z, p)"),
    Configuration("#6 Off-MT-LDL", "offline LDL", 3, "each", "Σₙ CE(zₙ, p)"),
    Configuration("#9 On-MT-LDL", "online LDL", 3, "each", "Σₙ CE(zₙ, p)", True),
)
TRUE, CLASSES = 1, 4
OPINIONS = torch.tensor([[0.5, 2.5, 1.3, 0.0], [0.9, 2.2, 0.2, 0.6], [0.0, 2.4, 1.9, 0.3]])


def configurations() -> Figure:
    """LDL Figure 2: the nine configurations, from the image over its label to the loss."""
    fig, axes = plt.subplots(3, 3, figsize=(WIDTH, 5.6))
    for ax, shown in zip(axes.flat, CONFIGURATIONS, strict=True):
        _configuration(ax, shown)
    return fig


def _configuration(ax: Axes, shown: Configuration) -> None:
    """Images on the left, below the student and above what labels them, on the right the loss."""
    colour = GROUPS[shown.group]
    ax.set(xlim=(0, 10), ylim=(0, 6.6), xticks=[], yticks=[], label=SCHEME)
    ax.set_title(shown.name, color=colour, weight="bold")
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour)
    if shown.mixed:
        for y, image in ((2.4, "x₁"), (0.8, "x₂")):
            _box(ax, 0.9, y, image, "#eeeeee", width=1.2)
            _arrow(ax, (1.5, y), (2.1, 1.6))
        _box(ax, 2.8, 1.6, "mix", "#dddddd", width=1.4)
    else:
        _box(ax, 2.8, 1.6, "x", "#eeeeee", width=1.2)
    _arrow(ax, (3.5 if shown.mixed else 3.4, 1.6), (4.1, 1.6))
    _box(ax, 5.3, 1.6, "student", "white", width=2.4)
    _arrow(ax, (6.5, 1.6), (7.1, 1.6))
    ax.text(8.5, 1.6, shown.loss, ha="center", va="center", fontsize=6.2)
    for n in reversed(range(shown.teachers)):
        text = "" if n else ("teachers" if shown.teachers > 1 else "teacher")
        _box(ax, 3.9 + 0.22 * n, 4.3 + 0.22 * n, text, "white", width=2.7)
    if shown.teachers:
        _arrow(ax, (2.8, 2.2), (3.3, 3.7))
    _labels(ax, shown)
    _arrow(ax, (8.5, 3.2), (8.5, 2.3))


def _labels(ax: Axes, shown: Configuration) -> None:
    """Bar charts of the label that the loss is given."""
    teachers = OPINIONS.softmax(1)
    hard = targets.one_hot(torch.tensor([TRUE]), CLASSES)
    smooth = targets.smooth_wrong(torch.tensor([TRUE]), CLASSES, 0.3)
    kinds = {
        "hard": ("y", hard),
        "smooth": ("smooth y", smooth),
        "soft": ("z", teachers[:1]),
        "both": ("y, z", torch.cat([hard, teachers[:1]])),
        "mean": ("mean z", teachers.mean(0, keepdim=True)),
        "each": ("z₁, …, zₙ", teachers),
    }
    name, charts = kinds[shown.label]
    for n, chart in enumerate(charts):
        x = 8.5 + 1.0 * (n - (len(charts) - 1) / 2)
        at = x + 0.2 * (np.arange(CLASSES) - (CLASSES - 1) / 2)
        ax.bar(at, 1.6 * chart.numpy(), width=0.17, bottom=3.4, color=GROUPS[shown.group])
        ax.hlines(3.4, at[0] - 0.1, at[-1] + 0.1, color=GREY, lw=0.6)
    ax.text(8.5, 5.35, name, ha="center", va="center", fontsize=7)
    if shown.teachers:
        left = 8.5 - 0.5 * (len(charts) - 1) - 0.55
        _arrow(ax, (5.3 + 0.22 * (shown.teachers - 1), 4.3), (left, 4.3))


def _box(ax: Axes, x: float, y: float, text: str, colour: str, width: float) -> None:
    corner = (x - width / 2 + 0.1, y - 0.5)
    look: dict[str, Any] = {"facecolor": colour, "edgecolor": GREY, "lw": 0.8}
    ax.add_patch(FancyBboxPatch(corner, width - 0.2, 1.0, boxstyle="round,pad=0.1", **look))
    ax.text(x, y, text, ha="center", va="center", fontsize=7)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": GREY, "lw": 0.9})
