"""The pictures of the first chapter: an image and distributions beside it, bins, a sum by hand.

Distributions are drawn as part of the page, in its colours, one below another on a phone.
"""

import html
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ldlstudy import metrics
from ldlstudy.report.export import Block
from ldlstudy.report.figures import BLUE, GREY, ORANGE, WIDTH
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import short, style

HEIGHT, STEP = 84, 17  # of the tallest bar, and from one bar to the next, in pixels
WRITTEN = 0.045  # a smaller probability is not written above its bar
TRUTHS = ("the truth", "fifty votes", "truth of the mixture")  # drawn in another colour


def strip(image: Tensor, panels: Mapping[str, Tensor], label: int, caption: str) -> Block:
    """Return an image and distributions beside it.

    Parameters
    ----------
    image : Tensor
        Shape (H, W), from 0 to 1; what noise carried beyond is clipped.
    panels : Mapping
        Title to probabilities (K,); those of `TRUTHS` look otherwise.
    label : int
        The class that is marked.
    caption : str
        Text below, as HTML.
    """
    return strips([(image, panels, label)], caption)


def strips(lines: Sequence[tuple[Tensor, Mapping[str, Tensor], int]], caption: str) -> Block:
    """Return several images below one another, with what `strip` takes of each."""
    drawn, tables = "", {}
    for number, (image, panels, label) in enumerate(lines, 1):
        row = [_image(image), *(_bars(title, p, label) for title, p in panels.items())]
        drawn += f'<div class="panels">{"".join(row)}</div>'
        tables[number] = pd.DataFrame({title: p.tolist() for title, p in panels.items()})
    table = pd.concat(tables, names=["image", "class"])
    if len(lines) == 1:
        table = table.droplevel("image")
    page = f'<figure class="drawing strip">{drawn}<figcaption>{caption}</figcaption></figure>'
    return Block(page, str(table.to_csv(float_format="%.4g")))


def _image(pixels: Tensor) -> str:
    shades = (255 * (1 - pixels.double().clamp(0, 1))).round().int().tolist()
    squares = "".join(
        f'<rect x="{x}" y="{y}" width="1.02" height="1.02" fill="rgb({v},{v},{v})"/>'
        for y, row in enumerate(shades)
        for x, v in enumerate(row)
    )
    size = len(shades)
    return _panel("the image", f"0 0 {size} {size}", "a noisy digit", squares, "image")


def _bars(title: str, probabilities: Tensor, label: int) -> str:
    p = probabilities.tolist()
    told = ", ".join(f"{k}: {v:.2f}" for k, v in enumerate(p) if v >= WRITTEN)
    marks = []
    for k, v in enumerate(p):
        x, height = STEP * k, HEIGHT * v
        marks.append(
            f'<rect x="{x + 1}" y="{96 - height:.1f}" width="{STEP - 3}" height="{height:.1f}"/>'
        )
        if v >= WRITTEN:
            value = short(f"{v:.2f}")
            marks.append(f'<text x="{x + 7.5}" y="{92 - height:.1f}">{value}</text>')
        mark = ' class="label"' if k == label else ""
        marks.append(f'<text{mark} x="{x + 7.5}" y="110">{k}</text>')
    kind = "true" if title in TRUTHS else "said"
    width = STEP * len(p)
    line = f'<path d="M0 96.5H{width}"/>'
    return _panel(title, f"-6 0 {width + 12} 114", told, "".join(marks) + line, kind)


def _panel(title: str, box: str, told: str, marks: str, kind: str) -> str:
    label = html.escape(f"{title}: {told}")
    return (
        f'<div class="{kind}"><div class="title">{html.escape(title)}</div>'
        f'<svg viewBox="{box}" role="img" aria-label="{label}">{marks}</svg></div>'
    )


def reliability(predictions: Mapping[str, Tensor], labels: Tensor, bins: int = 10) -> Figure:
    """Draw accuracy (bars) and mean confidence (dots) in bins of confidence, a panel each.

    ``predictions`` are probabilities (N, K) by title, ``labels`` (N,) their classes.
    """
    fig, axes = plt.subplots(
        1, len(predictions), sharex=True, sharey=True, squeeze=False, figsize=(WIDTH, 3.1)
    )
    for ax, (title, p) in zip(axes[0], predictions.items(), strict=True):
        found = metrics.reliability(p, labels, bins=bins)
        full = found.count > 0
        middle = (found.lower + 0.5 / bins)[full]
        ax.bar(middle, found.accuracy[full], 0.9 / bins, color=BLUE, label="accuracy")
        ax.plot(middle, found.confidence[full], "o", color=ORANGE, label="mean confidence")
        ax.plot([0, 1], [0, 1], color=GREY, lw=0.8)
        ece = short(f"{metrics.ece(p, labels, bins=bins):.3f}")
        ax.set(title=f"{title}: ECE {ece}", xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence")
    axes[0, 0].set_ylabel("accuracy, confidence")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=2, loc="outside lower center")
    return fig


def by_hand(confidence: Tensor, right: Tensor, bins: int) -> Shown:
    """Return the sum that is the ECE, a line a bin.

    ``confidence`` (N,) above 0 and ``right`` (N,), whether a prediction is right. Edges belong to
    the bin below.
    """
    cell = np.ceil(confidence.double().numpy() * bins).astype(int) - 1
    lines = {}
    for n in range(bins):
        inside = torch.from_numpy(cell == n)
        share, mean = inside.double().mean(), confidence[inside].double().mean()
        accuracy = right[inside].double().mean()
        lines[f"from {n}/{bins} to {n + 1}/{bins}"] = {
            "predictions": f"{int(inside.sum())}",
            "accuracy": short(f"{accuracy:.3f}"),
            "mean confidence": short(f"{mean:.3f}"),
            "gap": short(f"{(accuracy - mean).abs():.3f}"),
            "share × gap": short(f"{share * (accuracy - mean).abs():.4f}"),
        }
    table = pd.DataFrame.from_dict(lines, orient="index")
    parts = f"{bins} bin{'s' * (bins > 1)}"
    return style(table).saying(f"The ECE by hand, with {parts}: the last column adds up to it.")


def scores(found: Mapping[str, pd.DataFrame], titles: Mapping[str, str]) -> Shown:
    """Return a line a network of what it scores, as trained and scaled.

    ``found`` is what :func:`ldlstudy.experiment.measure.measure` says of each.
    """
    wanted = {
        "accuracy": ("plain", "accuracy"),
        "NLL": ("plain", "cross_entropy"),
        "ECE": ("plain", "ece_15_left"),
        "KL to the truth": ("plain", "kl_to_truth"),
        "T": ("fitted", "temperature"),
        "NLL, scaled": ("fitted", "cross_entropy"),
        "ECE, scaled": ("fitted", "ece_15_left"),
        "KL to the truth, scaled": ("fitted", "kl_to_truth"),
    }
    lines = {
        titles[name]: {
            heading: short(f"{table.loc[stage, metric]:.3f}")
            for heading, (stage, metric) in wanted.items()
        }
        for name, table in found.items()
    }
    table = pd.DataFrame.from_dict(lines, orient="index")
    return style(table).saying(
        "The networks of this page on all test images. What changes between them once each has its "
        "temperature T?"
    )
