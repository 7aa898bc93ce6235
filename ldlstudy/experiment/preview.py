"""What a method teaches, to look at before training: the first batch and its label distributions.

The batch is the one that training would begin with. Its label distributions are not written down
here a second time: they are what the method's own loss trains towards
(:func:`ldlstudy.experiment.labels.taught`). Where a loss trains towards none, its row of
:data:`ldlstudy.methods.METHODS` says what it teaches beside the label.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ldlstudy import checks, methods, scaling, targets
from ldlstudy.batch import Batch, Task, Teacher
from ldlstudy.data.images import Images
from ldlstudy.device import Execution
from ldlstudy.experiment.labels import NoLabel, taught
from ldlstudy.extras import needs
from ldlstudy.methods import Method
from ldlstudy.models.classifier import check_module
from ldlstudy.seeds import seed_of
from ldlstudy.training import Augmentation, Recipe, batches
from ldlstudy.training.loop import asked, check_arguments, check_classes, mixer_for
from ldlstudy.training.predict import answered, check_logits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = "label distributions"
MOST = 100_000  # classes whose distributions fit into memory
SHOWN, BARS, COLUMNS = 8, 5, 4  # images of a figure, classes of each, images in a row


@dataclass(frozen=True)
class Preview:
    """The first batch of a training and what it is taught.

    Attributes
    ----------
    images : Tensor
        Shape (B, C, H, W), augmented, normalised and mixed, as the network sees them.
    labels : Tensor
        Shape (B,), the hard labels; of a mixed image, that of the image it was before.
    distributions : Tensor, optional
        Shape (B, K), the label distributions that the loss trains towards; or, where it trains
        towards none, the prediction that it teaches beside the label; None where there is neither.
    teaches : str
        What these distributions are, or what is taught in their place.
    """

    images: Tensor
    labels: Tensor
    distributions: Tensor | None
    teaches: str

    @property
    def total_variation(self) -> Tensor:
        """Shape (B,), total variation distance from the hard label: 1 - p(label)."""
        return 1 - self._of_label()

    @property
    def kl(self) -> Tensor:
        """Shape (B,), KL divergence from the hard label to the distribution: -log p(label)."""
        return -self._of_label().log()

    def _of_label(self) -> Tensor:
        if self.distributions is None:
            raise ValueError(f"no label distributions are taught here, but {self.teaches}")
        return self.distributions.gather(1, self.labels[:, None])[:, 0]

    def __repr__(self) -> str:
        """Say it in a sentence."""
        said = f"{len(self.labels)} images, taught {self.teaches}"
        if self.distributions is None:
            return said
        away, kl = self.total_variation, self.kl
        what = "total" if self.teaches == LABELS else "of the prediction, total"
        return (
            f"{said}; {what} variation from the hard label {away.mean():.3f} on average "
            f"({away.min():.3f} to {away.max():.3f}), KL divergence {kl.mean():.3f} nats"
        )

    def figure(self, names: Sequence[str] | None = None, count: int = SHOWN) -> "Figure":
        """Draw the first images, each above the largest parts of its distribution.

        Parameters
        ----------
        names : sequence of str, optional
            Of the K classes; by default their numbers.
        count : int
            How many images to draw.

        Raises
        ------
        ValueError
            If these are features and no images, or matplotlib is not installed.
        """
        with needs("study"):
            import matplotlib.pyplot as plt

        if self.images.ndim != 4:
            raise ValueError(f"features have no picture, got {tuple(self.images.shape)}")
        classes = int(self.labels.max()) + 1
        if self.distributions is not None:
            classes = self.distributions.shape[1]
        if names is not None and (np.ndim(names) != 1 or len(names) < classes):
            raise ValueError(f"names must be a list of all {classes} classes, got {names!r}")
        count = min(checks.whole("count", count, 1), len(self.labels))
        columns = min(COLUMNS, count)
        rows = -(-count // columns)
        fig, axes = plt.subplots(
            2 * rows, columns, squeeze=False, figsize=(1.8 * columns, 3.1 * rows),
            height_ratios=[3, 2] * rows, layout="constrained",
        )  # fmt: skip
        for each in axes.flat:
            each.set_axis_off()
        low, high = self.images.aminmax()
        shown = ((self.images - low) / (high - low).clamp_min(1e-9)).cpu()
        for i in range(count):
            above, below = (axes[2 * (i // columns) + k][i % columns] for k in (0, 1))
            pixels = shown[i].movedim(0, 2).numpy()
            above.imshow(pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., 0], cmap="gray")
            above.set_title(_name(int(self.labels[i]), names), fontsize=9)
            if self.distributions is not None:
                _bars(below, self.distributions[i], int(self.labels[i]), names)
        return fig


def _name(label: int, names: Sequence[str] | None) -> str:
    return str(label) if names is None else names[label]


def _bars(axes: "Axes", distribution: Tensor, label: int, names: Sequence[str] | None) -> None:
    """The most probable classes of a distribution, that of the hard label in another colour."""
    best = distribution.topk(min(BARS, len(distribution)))
    classes, heights = best.indices.tolist(), best.values.tolist()
    places = range(len(classes))
    axes.set_axis_on()
    axes.barh(places, heights, color=["#0072B2" if c == label else "#E69F00" for c in classes])
    axes.set(xlim=(0, 1), yticks=places, yticklabels=[_name(c, names) for c in classes])
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)


def preview(
    training: Images | tuple[Tensor, Tensor],
    method: str = "none",
    settings: Mapping[str, Any] | None = None,
    *,
    network: nn.Module | None = None,
    classes: int | None = None,
    recipe: Recipe = Recipe(epochs=1),  # noqa: B008 - frozen
    augmentation: Augmentation = Augmentation(),  # noqa: B008 - frozen
    teacher: Teacher | nn.Module | Iterable[nn.Module] | None = None,
    mixing: Mapping[str, Any] | str | None = None,
    held: Images | tuple[Tensor, Tensor] | None = None,
    seed: int = 0,
) -> Preview:
    """Return the batch that a training would begin with, and the labels that it would be taught.

    Nothing is trained. On the CPU.

    Parameters
    ----------
    training, method, settings, augmentation, teacher, mixing, held, seed
        As :func:`ldlstudy.training.loop.train` takes them.
    network : Module, optional
        Whose own predictions a method such as CS-KD teaches; without it they are not shown.
    classes : int, optional
        K; by default as many as the largest label asks for.
    recipe : Recipe
        Says how large a batch is.

    Raises
    ------
    ValueError
        As :func:`ldlstudy.training.loop.train` before its first step.
    """
    execution = Execution("cpu")
    check_arguments(recipe, augmentation, seed)
    if network is not None:
        check_module(network)
    images = Images.of(training)
    held_images = None if held is None else Images.of(held, "held-out images")
    augmentation = augmentation.fitted(images)
    row = methods.named(method)
    methods.check_settings(row.settings, settings or {})
    said = asked(teacher, images, held_images, augmentation, execution)
    row.check_teacher(said)
    most = max(int(images.labels.max()) + 1, 2)
    count = checks.whole("classes", most if classes is None else classes, most)
    check_classes(row, said, count, f"the preview is of {count}: give classes")
    if count > MOST:
        raise ValueError(f"a preview is of at most {MOST:,} classes, got {count:,}")
    pixels = images.pixels if isinstance(images.pixels, Tensor) else None
    task = Task(images.labels, count, pixels, images.truth, said, seed_of(seed, "label"))
    objective = row.objective(task, settings or {})
    mixer = mixer_for([(method, recipe)], images, mixing)
    order = seed if recipe.order is None else recipe.order
    generator = torch.Generator().manual_seed(seed_of(order, "epoch", 0))
    first = next(batches(images, recipe.batch, augmentation, generator, row.sees, mixer))
    label, teaches = None, row.teaches
    if not (row.sees or row.head or row.beside or row.features or row.history or row.keeps):
        try:
            label = taught(objective, first, count).float().clamp(0, 1)
            teaches = LABELS
        except NoLabel:
            pass
    if label is None:
        label = _prediction(row, settings or {}, first, said, network)
        if label is None and network is None and (row.keeps or {"partner", "view"} & {*row.sees}):
            teaches += " (give a network to see it)"
    return Preview(first.images, first.labels, label, teaches)


@torch.no_grad()
def _prediction(
    row: Method,
    settings: Mapping[str, Any],
    batch: Batch,
    teacher: Teacher | None,
    network: nn.Module | None,
) -> Tensor | None:
    """Return the distributions (B, K) of a teacher or of the network that a method teaches."""
    given = {**row.settings, **settings}
    if row.keeps:
        if network is None:
            return None
        own = _own(network, batch.images, batch.labels).softmax(1)
        return targets.bootstrap(batch.labels, own, given[row.keeps])
    if "temperature" not in given:
        return None
    if teacher is not None and teacher.answer is not None and given.get("relabel", True):
        logits = scaling.mean_logits(teacher.answer(batch.images))
    elif teacher is not None:
        logits = scaling.mean_logits(teacher.logits[:, batch.index])
    elif network is None or not row.sees:
        return None
    else:
        other = batch.partner if batch.partner is not None else batch.views[0]
        logits = _own(network, other, batch.labels)
    return scaling.scale(logits, given["temperature"])


def _own(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the logits (B, K) of a user's network, which are to have the classes of ``labels``."""
    seen = partial(methods.without_gradient, network, mode="eval")
    logits = answered(seen, images)
    checks.labels(labels, logits.shape[1])
    check_logits(logits)
    return logits
