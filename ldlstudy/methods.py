"""Methods: what a network is taught, one row a method, and the step that each takes.

A *step* is a function of a network and a batch that returns the loss of the batch; its other
arguments are the method's settings. The training loop differentiates the loss and knows nothing
else of the method. :data:`METHODS` has a row for each method: its step, and all that one must know
before training (whether it needs a teacher, which other images it sees, whether it takes mixed
images, what it puts on the network). A method that only changes the label is a function of
:mod:`ldlstudy.targets` in a row, by :func:`labelled`.
"""

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ldlstudy import checks, heads, losses, scaling, targets
from ldlstudy.batch import Batch, Task, Teacher
from ldlstudy.models import Classifier
from ldlstudy.models.classifier import in_mode

Network = Any  # a module from images (B, C, H, W) to logits (B, K), perhaps a models.Classifier
Settings = Mapping[str, Any]
GIVEN = ("network", "batch")  # arguments of a step that are no settings
BROUGHT = (  # arguments of a label strategy that the training set brings
    "labels", "classes", "features", "truth", "generator",
    "teacher", "teacher_untempered", "magnitude",
)  # fmt: skip
GAP = 10  # epochs between which OGR compares the losses, in LDL
LEAST_CHANGE = 1e-3  # nats: a class whose held-out loss moved by less counts as if it had by this


@dataclass(frozen=True)
class Method:
    """A row of :data:`METHODS`.

    Attributes
    ----------
    step : callable
        From a network, a :class:`~ldlstudy.batch.Batch` and the settings to the loss.
    label : callable, optional
        A strategy of :mod:`ldlstudy.targets`, where a label is all that the method changes. What
        the training set brings (``labels``, ``classes``, ``features``, ``truth``, ``generator``,
        a ``teacher``'s probabilities) is given by name, its other arguments are settings.
    teacher : bool
        Whether it needs a teacher. One with a module ``beside`` needs exactly one.
    grid : bool
        Whether the label takes the teacher's probabilities at the setting ``teacher_temperature``,
        and not at the temperature fitted to held-out data.
    sees : tuple of str
        What comes with each image: "partner", "plain", and "view" as often as it is needed.
    mixes : bool
        Whether it can be taught mixed images.
    head : callable, optional
        From the width of the features and the number of classes to the head it needs.
    beside : callable, optional
        Makes a module that is trained beside the network (:mod:`ldlstudy.heads`).
    history : bool
        Whether it compares losses by class of the last ``gap`` epochs, on training and held-out
        images.
    keeps : str
        The setting that says how much of the label stays where the network's own prediction takes
        the place of the rest.
    features : bool
        Whether it needs a network with features, which all with a head or a module beside do.
    teaches : str
        What it teaches where that cannot be written down as label distributions.
    """

    step: Callable[..., Tensor]
    label: Callable[..., Tensor] | None = None
    teacher: bool = False
    grid: bool = False
    sees: tuple[str, ...] = ()
    mixes: bool = False
    head: Callable[[int, int], nn.Linear] | None = None
    beside: Callable[..., nn.Module] | None = None
    history: bool = False
    keeps: str = ""
    features: bool = False
    teaches: str = ""

    @property
    def only_labels(self) -> bool:
        """Whether the method is a cross entropy towards label distributions, and nothing else."""
        return self.step is taught_label

    @property
    def has_label(self) -> bool:
        """Whether what it teaches can be written down as label distributions."""
        return self.label is not None and not self.keeps

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """The settings of the method with their defaults; ``...`` marks those that have none."""
        return self.label_settings if self.only_labels else _settings(self.step, GIVEN)

    @functools.cached_property
    def label_settings(self) -> dict[str, Any]:
        """The same of its label strategy alone."""
        assert self.label is not None
        more: dict[str, Any] = {"teacher_temperature": ...} if self.grid else {}
        if "magnitude" in inspect.signature(self.label).parameters:
            more["magnitude"] = "fitted"
        return _settings(self.label, BROUGHT) | more

    def objective(self, task: Task, settings: Settings) -> Callable[[Network, Batch], Tensor]:
        """Return the loss of a step as a function of a network and a batch.

        Label distributions are made here, once for every image of the ``task``. Settings that the
        method does not take or lacks, a label's values out of range, a teacher that is missing or
        not wanted are a ValueError.
        """
        self.check(task, settings)
        if self.only_labels:
            table, settings = self.labels(task, settings), {}
        else:
            table = targets.one_hot(task.labels, task.classes)

        def step(network: Network, batch: Batch) -> Tensor:
            target = batch.blend(table[batch.index])
            given = replace(batch, target=target, teacher=task.teacher)
            return self.step(network, given, **settings)

        return step

    def labels(self, task: Task, settings: Settings) -> Tensor:
        """Return the label distributions (N, K) of a task; a method without any is a ValueError."""
        if self.label is None:
            raise ValueError("this method trains a loss of its own, not label distributions")
        values = dict(settings)
        check_settings(self.label_settings, values)
        temperature = values.pop("teacher_temperature", None)
        reading = values.pop("magnitude", "fitted")  # at which temperature ILS takes its factor
        checks.one_of("magnitude", reading, ["fitted", "grid"])
        wanted = [name for name in inspect.signature(self.label).parameters if name in BROUGHT]
        brought = {name: task.bring(name, temperature) for name in wanted}
        if reading == "grid":
            brought["magnitude"] = brought["teacher"]
        return self.label(**brought, **values)

    def check(self, task: Task, settings: Settings) -> None:
        """Raise a ValueError where the task or the settings lack something or have too much."""
        check_settings(self.settings, settings)
        self.check_teacher(task.teacher)

    def check_teacher(self, teacher: Teacher | None) -> None:
        """Raise a ValueError if a teacher is missing or not wanted, or several are too many."""
        teachers = 0 if teacher is None else len(teacher.logits)
        if self.teacher != bool(teachers):
            needs = "needs a teacher" if self.teacher else "takes no teacher"
            raise ValueError(f"this method {needs}, {teachers} are given")
        if self.beside is not None and teachers > 1:
            raise ValueError(f"this method needs the features of one teacher, got {teachers}")

    def fit(self, network: Any, shape: tuple[int, ...], labels: Tensor, teacher: int = 0) -> None:
        """Give a network the head and the module beside it that the method needs.

        Parameters
        ----------
        network : Classifier
            Changed in place; what it gets is drawn from torch's global generator. A head that it
            has been given before stays, for it may be trained.
        shape : tuple of int
            C, H, W of an image.
        labels : Tensor
            Shape (N,), classes of the training images.
        teacher : int
            Width of the teacher's features, where it has one.
        """
        needed = self.features or self.head or self.beside
        if needed and not isinstance(network, Classifier):
            raise ValueError(
                "this method needs a network with features and a head (ldlstudy.models.Classifier),"
                f" got {type(network).__name__}: give ldlstudy.models.wrap(network, {shape})"
            )
        if self.head is not None:
            head = self.head(network.head.in_features, network.head.out_features)
            alike = type(network.head) is type(head) and network.head.bias is None
            network.head = network.head if alike else head
        if self.beside is not None:
            network.beside = self.beside(network, shape, labels, teacher)


def labelled(
    label: Callable[..., Tensor], teacher: bool = False, grid: bool = False, mixes: bool = False
) -> Method:
    """Return the row of a method that trains towards label distributions; see :class:`Method`."""
    return Method(taught_label, label, teacher, grid, mixes=mixes)


def named(name: str) -> Method:
    """Return the row of a method; an unknown name is a ValueError that lists the known ones."""
    return METHODS[checks.one_of("method", name, METHODS)]


def check_settings(taken: Mapping[str, Any], settings: Settings) -> None:
    """Raise a ValueError if ``settings`` has one that is not ``taken``, or lacks one."""
    if not isinstance(settings, Mapping):
        raise ValueError(f"settings are given by name, as {{'epsilon': 0.1}}, got {settings!r}")
    for name, given in settings.items():
        if name not in taken:
            known = ", ".join(sorted(taken)) or "none"
            raise ValueError(f"unknown setting {name!r} of this method; known: {known}")
        for value in given if isinstance(given, list | tuple) else [given]:
            if isinstance(taken[name], bool):
                checks.boolean(name, value)
            elif isinstance(taken[name], int | float):
                checks.in_range(name, value, -math.inf)
    missing = [name for name, value in taken.items() if value is ... and name not in settings]
    if missing:
        raise ValueError(f"this method needs {', '.join(missing)}, got {dict(settings)}")


def _settings(function: Callable[..., Any], others: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of a function with their defaults, but for ``others``."""
    taken = inspect.signature(function).parameters
    return {
        name: ... if parameter.default is parameter.empty else parameter.default
        for name, parameter in taken.items()
        if name not in others
    }


def candidates(settings: Settings) -> list[dict[str, Any]]:
    """Return every combination of the values of list-valued settings; others stay as they are.

    A list without values is a ValueError.
    """
    for name, values in settings.items():
        if isinstance(values, list | tuple) and not values:
            raise ValueError(f"setting {name!r} is a list without values to choose from")
    grid = [v if isinstance(v, list | tuple) else [v] for v in settings.values()]
    return [dict(zip(settings, values, strict=True)) for values in itertools.product(*grid)]


def taught_label(network: Network, batch: Batch) -> Tensor:
    """Cross entropy towards the label distribution of each image."""
    return losses.soft_cross_entropy(network(batch.images), batch.need("target"))


def true_posterior(truth: Tensor) -> Tensor:
    """Return the exact p(y|x), the best label there is."""
    return truth


def teacher_label(teacher_untempered: Tensor) -> Tensor:
    """Return the teacher's probabilities at temperature 1."""
    return teacher_untempered


def bootstrap_label(labels: Tensor, classes: int, beta: float = 0.95) -> Tensor:
    """Return the one-hot label, which bootstrapping completes with the network's own prediction."""
    checks.in_range("beta", beta, 0, 1)
    return targets.one_hot(labels, classes)


def bootstrap(network: Network, batch: Batch, beta: float = 0.95) -> Tensor:
    """Cross entropy towards a share of the label and the rest of the network's own prediction."""
    logits = network(batch.images)
    own = targets.bootstrap(batch.labels, logits.float().softmax(1), beta)
    return losses.soft_cross_entropy(logits, own)


def distil(
    network: Network,
    batch: Batch,
    temperature: float = 1.0,
    relabel: bool = False,
    combine: str = "ensemble",
) -> Tensor:
    """Cross entropy towards the teachers' probabilities alone ([Re] Figure 8, LDL eqs. 6 and 8).

    LDL's offline label distributions are those of the images as they are, fixed once (and blended
    like the images, where these are mixed); with ``relabel`` teachers label what the student sees,
    which is LDL's online learning where that is mixed. Several teachers are one ``ensemble``, their
    mean probability (LDL's En), or each has a cross entropy of its own (LDL's MT), of which the
    ``sum`` or the ``mean`` counts. The latter is the ensemble's loss, the former T times that.
    """
    checks.one_of("combination of teachers", combine, ["ensemble", "mean", "sum"])
    student = network(batch.images)
    labels = scaling.scale(batch.taught(relabel).float(), temperature)  # (T, B, K)
    if combine == "ensemble":
        labels = labels.mean(0, keepdim=True)
    if not relabel:
        labels = torch.stack([batch.blend(label) for label in labels])
    total = torch.stack([losses.soft_cross_entropy(student, label) for label in labels]).sum()
    return total / len(labels) if combine == "mean" else total


def kd(
    network: Network,
    batch: Batch,
    weight: float,
    temperature: float,
    square: bool = True,
    relabel: bool = False,
) -> Tensor:
    """Knowledge distillation as LDL and Hinton et al. have it; on mixed images with ``relabel``."""
    student, teacher = network(batch.images), batch.taught_mean(relabel)
    if batch.mixed is None:
        return losses.kd(student, teacher, batch.labels, weight, temperature, square)
    if not relabel:
        raise ValueError("kd on mixed images needs `relabel`: a teacher that sees them")
    checks.in_range("weight", weight, 0, 1)
    hard = losses.soft_cross_entropy(student, batch.need("target"))
    soft = losses.kd(student, teacher, batch.labels, 1.0, temperature, square)
    return (1 - weight) * hard + weight * soft


def kd_printed(
    network: Network,
    batch: Batch,
    weight: float,
    temperature: float = 1.0,
    scale_student: bool = False,
    relabel: bool = False,
) -> Tensor:
    """Distillation by [Re] eq. 2."""
    student, teacher = network(batch.images), batch.taught_mean(relabel)
    return losses.kd_replication(student, teacher, batch.labels, weight, temperature, scale_student)


def kd_coded(
    network: Network,
    batch: Batch,
    weight: float,
    temperature: float = 1.0,
    compare: str = "logits",
    relabel: bool = False,
) -> Tensor:
    """Distillation by half the mean squared error, as [Re] section 6.1 and its code have it."""
    teacher = batch.taught_mean(relabel)
    student = network(batch.images)
    return losses.kd_mse(student, teacher, batch.labels, weight, temperature, compare)


def cs_kd(
    network: Network,
    batch: Batch,
    temperature: float,
    weight: float,
    partner: str = "train",
) -> Tensor:
    """Class-wise self-knowledge distillation (CS-KD eq. 1).

    Partners of mixed images are mixed alike, so that they share the mixed label.
    """
    checks.in_range("weight", weight, 0)
    logits = network(batch.images)
    own = without_gradient(network, batch.need("partner"), partner)
    if batch.mixed is None:
        return losses.cs_kd(logits, own, batch.labels, temperature, weight)
    hard = losses.soft_cross_entropy(logits, batch.need("target"))
    return hard + weight * losses.divergence(logits, own, temperature)


def cs_kd_e(
    network: Network,
    batch: Batch,
    temperature: float,
    weight: float,
    consistency: float,
    partner: str = "train",
) -> Tensor:
    """CS-KD and consistency: also l_E T^2 KL(P(x) || P(x_aug)), x the image as it is."""
    checks.in_range("consistency", consistency, 0)
    logits = network(batch.images)
    of_class = without_gradient(network, batch.need("partner"), partner)
    class_wise = losses.cs_kd(logits, of_class, batch.labels, temperature, weight)
    plain = without_gradient(network, batch.need("plain"), partner)
    return class_wise + consistency * losses.divergence(logits, plain, temperature)


def without_gradient(network: Network, images: Tensor, mode: str = "train") -> Tensor:
    """Return the network's logits (B, K) of other images, as constants.

    In ``train`` mode, as in CS-KD's code, batch norm uses and remembers the statistics of these
    images; in ``eval`` mode it does neither.
    """
    checks.one_of("mode of the partner's pass", mode, ["eval", "train"])
    with torch.no_grad(), in_mode(network, training=network.training and mode == "train"):
        logits: Tensor = network(images)
    return logits


def kd_cs_kd(
    network: Network,
    batch: Batch,
    weight: float,
    temperature: float,
    class_weight: float,
    class_temperature: float,
    partner: str = "train",
    relabel: bool = False,
) -> Tensor:
    """Distillation, and CS-KD's term on top (CS-KD Table 4)."""
    checks.in_range("class_weight", class_weight, 0)
    checks.in_range("class_temperature", class_temperature, 0, losses.HOTTEST, open_low=True)
    logits, teacher = network(batch.images), batch.taught_mean(relabel)
    taught = losses.kd(logits, teacher, batch.labels, weight, temperature)
    own = without_gradient(network, batch.need("partner"), partner)
    return taught + class_weight * losses.divergence(logits, own, class_temperature)


def max_entropy(network: Network, batch: Batch, weight: float) -> Tensor:
    """The confidence penalty (Pereyra et al., 2017)."""
    return losses.max_entropy(network(batch.images), batch.labels, weight)


def adacos(network: Network, batch: Batch) -> Tensor:
    """AdaCos (Zhang et al., 2019): cross entropy of cosines with the scale of the batch."""
    _, features = network(batch.images, return_features=True)
    cosines = network.head.cosines(features)
    scale = network.head.rescale(cosines.detach(), batch.labels)
    return losses.cross_entropy(scale * cosines, batch.labels)


def virtual_softmax(network: Network, batch: Batch) -> Tensor:
    """Virtual softmax (Chen et al., 2018): another class with the largest logit of the true one."""
    logits, features = network(batch.images, return_features=True)
    lengths = network.head.weight.norm(dim=1)[batch.labels] * features.norm(dim=1)
    return losses.cross_entropy(torch.cat([logits, lengths[:, None]], 1), batch.labels)


def ddgsd(
    network: Network, batch: Batch, temperature: float, weight: float, discrepancy: float
) -> Tensor:
    """Data-distortion guided self-distillation (Xu and Liu, 2019), the mean of two views' losses.

    Two augmented views of each image, in one pass, teach one another; ``discrepancy`` weighs the
    squared distance between the mean features of the two batches (MMD).
    """
    checks.in_range("weight", weight, 0)
    checks.in_range("discrepancy", discrepancy, 0)
    both = torch.cat([batch.images, *batch.need("views")])
    logits, features = network(both, return_features=True)
    (one, other), (here, there) = logits.chunk(2), features.float().chunk(2)
    hard = losses.cross_entropy(logits, batch.labels.repeat(2))
    soft = losses.divergence(one, other, temperature)
    soft = (soft + losses.divergence(other, one, temperature)) / 2
    apart = (here.mean(0) - there.mean(0)).square().sum()
    return hard + weight * soft + discrepancy * apart


def byot(network: Network, batch: Batch, temperature: float, weight: float, hint: float) -> Tensor:
    """Be your own teacher (Zhang et al., 2019): each branch learns the label and the deepest's say.

    A branch's loss is distillation with the ``weight`` of the teacher, without T^2 as in the
    authors' code, and ``hint`` times the Euclidean distance of the batch's features.
    """
    checks.in_range("hint", hint, 0)
    logits, features, branches = network.beside(network, batch.images)
    total = losses.cross_entropy(logits, batch.labels)
    for own, seen in branches:
        total = total + losses.kd(own, logits, batch.labels, weight, temperature, square=False)
        total = total + hint * (seen.float() - features.detach().float()).norm()
    return total


def ogr(
    network: Network, batch: Batch, gap: int = GAP, form: str = "loss", alpha: float = 0.1
) -> Tensor:
    """Cross entropy with the overfitting-to-generalisation ratio of the classes (LDL section 6).

    The ratio weighs the ``loss`` of each image by its class, or smooths its ``label`` by up to
    ``alpha``. Before epoch ``gap`` + 1 there is no ratio.
    """
    checks.one_of("form of the ratio", form, ["label", "loss"])
    checks.in_range("alpha", alpha, 0, 1)
    logits, hard = network(batch.images), batch.need("target")
    if len(batch.history) <= checks.whole("gap", gap, 1):
        return losses.cross_entropy(logits, batch.labels)
    parts = ("train_class_loss", "held_class_loss")
    training, held = ([epoch[part] for epoch in batch.history] for part in parts)
    ratio = overfitting(training, held, gap).to(hard)
    if form == "loss":
        weights = ratio / ratio.mean().clamp_min(1e-12)
        return losses.soft_cross_entropy(logits, hard, weights[batch.labels])
    moved = alpha * (ratio / ratio.max().clamp_min(1e-12))[batch.labels, None]
    label = hard * (1 - moved) + (1 - hard) * moved / (hard.shape[1] - 1)
    return losses.soft_cross_entropy(logits, label)


def overfitting(
    training: Sequence[Sequence[float]], held: Sequence[Sequence[float]], gap: int = GAP
) -> Tensor:
    """Return the overfitting-to-generalisation ratio of each class over the last epochs (LDL s. 6).

    OGR_k = ((dO_k) / (dG_k))^2 with dO_k, by how much held-out minus training loss of class k has
    grown over ``gap`` epochs, and dG_k, by how much its held-out loss has changed (Wang et al.,
    2020). A change of less than .001 counts as .001, so that the ratio stays finite.

    Parameters
    ----------
    training, held : sequence of sequences
        Loss of each class (K) after each epoch, on training and on held-out images.
    gap : int
        n, epochs between the two that are compared, at least 1; 10 in LDL.

    Returns
    -------
    Tensor
        Shape (K,), at least 0.

    Raises
    ------
    ValueError
        If ``gap`` is below 1, or epoch ``gap`` + 1 has not been reached.
    """
    checks.whole("gap", gap, 1)
    if len(training) != len(held) or len(held) <= gap:
        raise ValueError(
            f"OGR compares epochs {gap} apart and needs at least {gap + 1} of both losses, got "
            f"{len(training)} of the training and {len(held)} of the held-out images"
        )
    (seen, seen_before), (new, new_before) = (
        (torch.tensor(losses[-1]), torch.tensor(losses[-1 - gap])) for losses in (training, held)
    )
    apart = (new - seen) - (new_before - seen_before)
    changed = (new_before - new).abs().clamp_min(LEAST_CHANGE)
    return (apart / changed).square()


def wsl(network: Network, batch: Batch, weight: float, temperature: float) -> Tensor:
    """Weighted soft labels (Zhou et al., 2021)."""
    teacher = batch.taught_mean(relabel=True)
    return losses.wsl(network(batch.images), teacher, batch.labels, weight, temperature)


def crd(
    network: Network,
    batch: Batch,
    weight: float = 0.8,
    negatives: int = 16384,
    contrast_temperature: float = 0.07,
    momentum: float = 0.5,
) -> Tensor:
    """Contrastive representation distillation: H(y, p_s) + b L_CRD (Tian et al., 2020)."""
    return crd_kd(network, batch, 0.0, 1.0, weight, negatives, contrast_temperature, momentum)


def crd_kd(
    network: Network,
    batch: Batch,
    soft_weight: float = 1.0,
    temperature: float = 4.0,
    weight: float = 0.8,
    negatives: int = 16384,
    contrast_temperature: float = 0.07,
    momentum: float = 0.5,
) -> Tensor:
    """CRD with distillation: H(y, p_s) + a T^2 KL(p_t^T || p_s^T) + b L_CRD, a ``soft_weight``."""
    checks.in_range("weight", weight, 0)
    checks.in_range("soft_weight", soft_weight, 0)
    logits, features = network(batch.images, return_features=True)
    taught, seen = _look(batch, batch.images)
    others = network.beside.draw_negatives(batch.index, negatives)
    pairs = network.beside(features, seen, batch.index, others, contrast_temperature, momentum)
    total = losses.cross_entropy(logits, batch.labels) + weight * pairs
    return total + soft_weight * losses.divergence(logits, taught, temperature)


def sskd(
    network: Network,
    batch: Batch,
    hard_weight: float = 0.1,
    soft_weight: float = 0.9,
    turned_weight: float = 2.7,
    weight: float = 10.0,
    temperature: float = 4.0,
    contrast_temperature: float = 0.5,
    turned_share: float = 1.0,
    share: float = 0.75,
) -> Tensor:
    """Distillation with self-supervision (Xu et al., 2020), the authors' four terms.

    H(y, p_s) and T^2 KL(p_t^T || p_s^T) of upright images, weighed by ``hard_weight`` and
    ``soft_weight``; the latter of turned ones by ``turned_weight``; and by ``weight`` t^2 KL of
    softmaxes at t, ``contrast_temperature``, of the cosines between a turned image and all upright
    ones. Of the rows where the teacher is wrong, ``turned_share`` of the third term's are kept and
    ``share`` of the fourth's. :class:`ldlstudy.heads.Projections` says what differs from the
    authors.
    """
    weights = {"weight": weight, "hard_weight": hard_weight, "soft_weight": soft_weight}
    for name, value in (weights | {"turned_weight": turned_weight}).items():
        checks.in_range(name, value, 0)
    checks.in_range("contrast_temperature", contrast_temperature, 0, losses.HOTTEST, open_low=True)
    checks.in_range("turned_share", turned_share, 0, 1)
    size = len(batch.labels)
    turned = _turned(batch)
    logits, features = network(turned, return_features=True)
    taught, seen = _look(batch, turned)
    (upright, askew), (says, says_askew) = (x.split([size, 3 * size]) for x in (logits, taught))
    ours, theirs = network.beside(features, seen)  # (3 B, B)
    own = torch.arange(size, device=ours.device).repeat(3)
    labels = batch.labels.repeat(3)
    askew_term = losses.easiest_divergence(askew, says_askew, labels, temperature, turned_share)
    terms = (
        hard_weight * losses.cross_entropy(upright, batch.labels),
        soft_weight * losses.divergence(upright, says, temperature),
        turned_weight * askew_term,
        weight * losses.easiest_divergence(ours, theirs, own, contrast_temperature, share),
        losses.cross_entropy(theirs, own),  # trains the teacher's projection
    )
    return torch.stack(terms).sum()


def _turned(batch: Batch) -> Tensor:
    """A batch's images (4 B, C, H, W), and its three views turned by 90, 180 and 270 degrees."""
    size, _, height, width = batch.images.shape
    if height != width or size < 2:
        raise ValueError(f"sskd needs 2 square images or more, got {tuple(batch.images.shape)}")
    others = [torch.rot90(x, k, (2, 3)) for k, x in enumerate(batch.need("views"), start=1)]
    return torch.cat([batch.images, *others])


def _look(batch: Batch, images: Tensor) -> tuple[Tensor, Tensor]:
    """The logits and features of the only teacher."""
    look = batch.need("teacher").look
    if look is None:
        raise ValueError("this method needs the features of one teacher, got its logits alone")
    found: tuple[Tensor, Tensor] = look(images)
    return found


_linear = functools.partial(nn.Linear, bias=False)  # logits are w_k . x (Chen et al., 2018)
_TEACHER = "the label, and the teacher's prediction"  # what methods teach that write no label down
_FEATURES = "the label, and the teacher's features"
_OWN = "the label, and the network's own prediction"
_PARTNER = f"{_OWN} for another image of its class"

METHODS: dict[str, Method] = {
    # a cross entropy towards label distributions
    "none": labelled(targets.one_hot, mixes=True),
    "ls": labelled(targets.smooth, mixes=True),
    "ls_wrong": labelled(targets.smooth_wrong, mixes=True),
    "similarity": labelled(targets.class_similarity, mixes=True),
    "neighbours": labelled(targets.neighbours),
    "propagation": labelled(targets.propagation),
    "truth": labelled(true_posterior, mixes=True),
    "ils1": labelled(targets.ils1, teacher=True),
    "ils2": labelled(targets.ils2, teacher=True, grid=True),
    "ils": labelled(targets.ils, teacher=True, grid=True),
    "sinusoidal": labelled(targets.sinusoidal, teacher=True),
    "beta": labelled(targets.beta, teacher=True),
    "bootstrap": Method(bootstrap, bootstrap_label, keeps="beta", teaches=_OWN),
    # a teacher's answers
    "distil": Method(distil, teacher_label, teacher=True, mixes=True),
    "kd": Method(kd, teacher=True, mixes=True, teaches=_TEACHER),
    "kd_printed": Method(kd_printed, teacher=True, teaches=_TEACHER),
    "kd_coded": Method(kd_coded, teacher=True, teaches=_TEACHER),
    "kd_cs_kd": Method(kd_cs_kd, teacher=True, sees=("partner",), teaches=_TEACHER),
    "wsl": Method(wsl, teacher=True, teaches=_TEACHER),
    "crd": Method(crd, teacher=True, beside=heads.contrast, teaches=_FEATURES),
    "crd_kd": Method(crd_kd, teacher=True, beside=heads.contrast, teaches=_TEACHER),
    "sskd": Method(
        sskd, teacher=True, sees=("view",) * 3, beside=heads.projections, teaches=_TEACHER
    ),
    # the network's own answers
    "cs_kd": Method(cs_kd, sees=("partner",), mixes=True, teaches=_PARTNER),
    "cs_kd_e": Method(cs_kd_e, sees=("partner", "plain"), teaches=_PARTNER),
    "ddgsd": Method(ddgsd, sees=("view",), features=True, teaches=f"{_OWN} for another view"),
    "byot": Method(byot, beside=heads.branches, teaches=_OWN),
    "max_entropy": Method(max_entropy, teaches="the label, and high entropy"),
    "adacos": Method(adacos, head=heads.Cosine, teaches="the label, by scaled cosines"),
    "virtual_softmax": Method(virtual_softmax, head=_linear, teaches="the label, by a margin"),
    "ogr": Method(ogr, history=True, teaches="the label, weighed by class"),
}
