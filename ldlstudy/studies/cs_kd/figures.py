"""The figures of the CS-KD chapter; each function returns a matplotlib figure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ldlstudy import losses
from ldlstudy.data.images import Images
from ldlstudy.experiment import keep
from ldlstudy.report.export import Block
from ldlstudy.report.figures import BLUE, GREEN, GREY, ORANGE, WIDTH, nothing, of_there, panels
from ldlstudy.report.results import MISSING, Results
from ldlstudy.report.strips import strips
from ldlstudy.stats import Estimate
from ldlstudy.studies.cs_kd.numbers import SCORES

BINS = 40
PERPLEXITY = 30


def gradients(temperatures: Sequence[float], classes: int = 100) -> Figure:
    """Size of the gradient of CS-KD's term by temperature, with and without T^2, on log axes.

    Logits of images and partners are independent normal numbers of deviation 2.
    """
    draws = torch.Generator().manual_seed(0)
    logits, partner = (2 * torch.randn(256, classes, generator=draws) for _ in range(2))
    sizes = []
    for temperature in temperatures:
        z = logits.clone().requires_grad_()
        losses.divergence(z, partner, temperature).backward()
        assert z.grad is not None
        sizes.append(len(z) * float(z.grad.norm(dim=1).mean()))
    fig, ax = plt.subplots(figsize=(WIDTH * 0.7, 2.9))
    squares = np.square(temperatures)
    ax.plot(temperatures, sizes, "-o", color=BLUE, ms=4, label="T² KL")
    ax.plot(temperatures, sizes / squares, "--s", color=ORANGE, ms=4, label="KL alone")
    ax.set(xscale="log", yscale="log", xlabel="temperature T", ylabel="norm of the gradient")
    ax.set_xticks(temperatures, [f"{t:g}" for t in temperatures], minor=False)
    ax.minorticks_off()
    ax.legend()
    return fig


class Example(NamedTuple):
    """A test image (H, W) or None, its true class, and by network its best classes and scores."""

    image: np.ndarray | None
    true: str
    answers: Mapping[str, tuple[Sequence[str], Sequence[float]]]


def examples(
    kept: Mapping[str, Mapping[str, Any] | None],
    classes: Sequence[str],
    test: Images | None = None,
    count: int = 4,
) -> list[Example]:
    """Test images that every network gets wrong, one of a class, with what each says of them.

    Parameters
    ----------
    kept : Mapping
        By name of each network :func:`ldlstudy.experiment.keep.answers` of the same test images;
        None of one that was not run.
    classes : sequence of str
        Names of the classes.
    test : Images, optional
        The test images, in memory and of one channel, where they can be shown; with their truth,
        that joins the networks.
    count : int
        How many at most.
    """
    classes = [name.replace("_", " ") for name in classes]
    there = {name: of for name, of in kept.items() if of is not None}
    found: dict[str, Example] = {}
    for place, (index, label) in enumerate(zip(*_asked(there), strict=True)):
        best_classes = {
            name: ([classes[k] for k in of["classes"][place]], of["scores"][place])
            for name, of in there.items()
        }
        true = classes[label]
        if true in found or any(names[0] == true for names, _ in best_classes.values()):
            continue
        if test is not None and test.truth is not None:
            best = test.truth[index].topk(keep.ANSWERS)
            best_classes["the truth"] = [classes[k] for k in best.indices], best.values.tolist()
        pixels = None
        if test is not None and isinstance(test.pixels, torch.Tensor):
            pixels = test.pixels[index, 0].numpy()
        found[true] = Example(pixels, true, best_classes)
    return list(found.values())[:count]


def _asked(kept: Mapping[str, Mapping[str, Any]]) -> tuple[list[int], list[int]]:
    """Positions and labels of the test images, which all networks share."""
    asked = [(of["index"], of["labels"]) for of in kept.values()]
    if any(each != asked[0] for each in asked):
        raise ValueError(f"the networks {', '.join(kept)} answered to different test images")
    return asked[0] if asked else ([], [])


def pictured(examples: Sequence[Example], caption: str) -> Block:
    """CS-KD Figure 1b on digits: the image, and the best answers to it of each network.

    Parameters
    ----------
    examples : sequence of Example
        With images; classes are the digits.
    caption : str
        Text below, as HTML.
    """
    if not examples:
        return Block('<p class="drawing">not yet run</p>', "")
    lines = []
    for example in examples:
        panels = {}
        for name, (classes, scores) in example.answers.items():
            panels[name] = torch.zeros(10)
            panels[name][[int(c) for c in classes]] = torch.tensor(scores, dtype=torch.float)
        lines.append((torch.as_tensor(example.image), panels, int(example.true)))
    return strips(lines, caption)


def answers(examples: Sequence[Example]) -> Figure:
    """CS-KD Figure 1b: the best answers to misclassified images, a row an image; green is true."""
    if not examples:
        return nothing()
    names = list(examples[0].answers)
    fig, axes = plt.subplots(
        len(examples), len(names), squeeze=False, figsize=(WIDTH, 1.25 * len(examples) + 0.3),
        sharex="col",
    )  # fmt: skip
    for row, example in zip(axes, examples, strict=True):
        for ax, name in zip(row, names, strict=True):
            classes, scores = example.answers[name]
            colours = [GREEN if c == example.true else GREY for c in classes]
            ax.barh(range(len(classes)), scores, color=colours)
            ax.set_yticks(range(len(classes)), classes)
            ax.set(xlim=(0, 1), title=f"{name}; true: {example.true}")
            ax.invert_yaxis()
    for ax in axes[-1]:
        ax.set_xlabel("probability")
    return fig


LOOKS = ((BLUE, "-"), (ORANGE, "--"), (GREEN, ":"))


@of_there
def score_histograms(panels: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> Figure:
    """CS-KD Figure 2: log-probabilities of the predicted and the true class of errors.

    Parameters
    ----------
    panels : Mapping
        Title of each row to name of each method (at most three) to what
        :func:`ldlstudy.experiment.keep.of_errors` gives of each seed. Vertical lines are means.
    """
    fig, axes = plt.subplots(
        len(panels), 2, squeeze=False, sharex="col", figsize=(WIDTH, 2.4 * len(panels))
    )
    for row, (title, methods) in zip(axes, panels.items(), strict=True):
        looks = dict(zip(methods, LOOKS, strict=False))
        for ax, letter, (side, heading) in zip(row, "ab", SCORES.items(), strict=True):
            values = {
                name: np.concatenate([seed[side] for seed in seeds])
                for name, seeds in methods.items()
                if seeds
            }
            if not values:
                continue
            low = min(np.quantile(v, 0.002) for v in values.values())
            edges = np.linspace(low, 0, BINS + 1)
            for name, v in values.items():
                colour, dash = looks[name]
                shares = np.histogram(v.clip(low, 0), edges)[0] / len(v)
                ax.stairs(shares, edges, color=colour, ls=dash, lw=1.5, label=name)
                ax.axvline(v.mean(), color=colour, ls=dash, lw=0.9)
            ax.set_title(f"{title}: ({letter}) {heading}")
            ax.xaxis.set_major_locator(MaxNLocator(5))
        row[0].set_ylabel("share of the errors")
    for ax in axes[-1]:
        ax.set_xlabel("log-probability, nats")
    drawn = {line.get_label(): line for ax in axes.flat for line in ax.patches}
    fig.legend(drawn.values(), drawn.keys(), ncols=3, loc="outside lower center")
    return fig


@of_there
def embeddings(
    networks: Mapping[str, Mapping[str, Any]], classes: Sequence[str], every: int = 1
) -> Figure:
    """CS-KD Figure 3: t-SNE of penultimate features, a panel a network (scikit-learn, seed 0).

    Parameters
    ----------
    networks : Mapping
        Title to ``points`` (n, d) and ``labels`` (n,) of a network's test images.
    classes : sequence of str
        Names of the classes that the labels count.
    every : int
        Of so many images one is drawn.
    """
    from sklearn.manifold import TSNE

    fig, axes = panels(len(networks), 2, 3.4)
    for ax, (title, figure) in zip(axes, networks.items(), strict=True):
        tsne = TSNE(perplexity=PERPLEXITY, init="pca", random_state=0)
        points, labels = (np.array(figure[name])[::every] for name in ("points", "labels"))
        found = tsne.fit_transform(points)
        for k, (name, marker) in enumerate(zip(classes, "osv^D<>pPX", strict=True)):
            x, y = found[labels == k].T
            colour = plt.get_cmap("tab10")(k)
            label = name.replace("_", " ")
            ax.plot(x, y, marker, color=colour, ms=3, alpha=0.75, label=label)
        ax.set(title=title, xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, ncols=5, loc="outside lower center", handletextpad=0.1)
    return fig


@of_there
def domains(networks: Mapping[str, Mapping[str, Any]]) -> Figure:
    """CS-KD Figure 4: which domains are taken for which, in % of the true one, a panel a network.

    Parameters
    ----------
    networks : Mapping
        Title to what :func:`ldlstudy.experiment.keep.domains` gives.
    """
    fig, axes = panels(len(networks), 3, 2.7)
    for ax, (title, of) in zip(axes, networks.items(), strict=True):
        count = np.array(of["count"])
        shares = 100 * count / count.sum(1, keepdims=True)
        places = range(len(of["names"]))
        ax.pcolormesh(places, places, shares, cmap="Blues", vmin=0, vmax=100)  # takes the theme
        ax.set_aspect("equal")
        ax.invert_yaxis()
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 50 else "black"
            ax.text(column, row, f"{share:.1f}", ha="center", va="center", color=colour)
        ax.set_xticks(places, of["names"])
        ax.set_yticks(places, of["names"], rotation=90, va="center")
        ax.set(title=title, xlabel="domain of the predicted class")
    axes[0].set_ylabel("true domain")
    return fig


def divergences(results: Results, rows: Mapping[str, str]) -> Figure:
    """How far predictions are from the true distribution, as trained and scaled.

    Parameters
    ----------
    results : Results
        Of the rows.
    rows : Mapping
        Row to label; those that have been run are drawn, from the nearest on errors to the
        farthest, as trained. The left panel has each row, the right one its predictions at the
        fitted temperature. Bars are 95 % intervals.
    """

    def estimate(row: str, metric: str, stage: str) -> Estimate:
        found = results.measured(row, metric, stage)
        return MISSING if found is None else found.estimate

    rows = {row: label for row, label in rows.items() if row in results}
    if not rows:
        return nothing()
    order = sorted(rows, key=lambda row: -results.mean(row, "kl_to_truth_on_errors"))
    fig, axes = plt.subplots(1, 2, sharex=True, sharey=True, figsize=(WIDTH, 0.3 * len(rows) + 1.1))
    kinds = {
        "kl_to_truth": ("all test images", BLUE, "o"),
        "kl_to_truth_on_errors": ("those that the method gets wrong", ORANGE, "s"),
    }
    for ax, (title, stage) in zip(
        axes, {"as trained": "plain", "scaled": "fitted"}.items(), strict=True
    ):
        for metric, (label, colour, marker) in kinds.items():
            found = [estimate(row, metric, stage) for row in order]
            ax.plot([f.mean for f in found], order, marker, color=colour, ms=5, label=label)
            ax.hlines(order, [f.low for f in found], [f.high for f in found], color=colour)
        ax.set(title=title, xlabel="KL to the truth, nats", xlim=(0, None))
        ax.grid(axis="y", lw=0.4, alpha=0.6)
    axes[0].set_yticks(order, [rows[row] for row in order])
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig
