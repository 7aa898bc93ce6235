"""One loop for every image method: epochs of steps, a history, and a checkpoint after each epoch.

All random numbers of an epoch (order, augmentation, dropout) derive from a seed and the epoch's
number. So a run that was killed and resumed from its last checkpoint ends with the same weights as
one that was not, and so do networks that are trained together on the same batches: what is done
once for a batch (augmentation, mixing, a teacher's answer) is then shared by all of them.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ldlstudy import checks, device, methods, mixing
from ldlstudy.batch import Batch, Task, Teacher
from ldlstudy.data.images import Images
from ldlstudy.device import Execution
from ldlstudy.methods import Method
from ldlstudy.mixing import Mixing
from ldlstudy.models.classifier import check_module, in_mode
from ldlstudy.models.fast import FastCNN
from ldlstudy.seeds import seed_of
from ldlstudy.training import checkpoints
from ldlstudy.training.augment import Augmentation
from ldlstudy.training.batches import batches
from ldlstudy.training.checkpoints import History
from ldlstudy.training.predict import Predictor, answered, check_logits, columns_of, look
from ldlstudy.training.recipe import Recipe
from ldlstudy.training.teachers import ask

TAUGHT = 16  # images by whose answers a checkpoint knows its teacher
ADAPTED = 5000  # training images that a network's first layer is adapted to
CHECK_EVERY = 200  # steps between two looks at the loss: each look waits for the GPU


@dataclass(frozen=True)
class Student:
    """A network to train, and how: the arguments of :func:`train` that are its own."""

    network: nn.Module
    recipe: Recipe
    method: str = "none"
    settings: Mapping[str, Any] = field(default_factory=dict)
    teacher: Teacher | None = None
    seed: int = 0
    watch: Mapping[str, Images] = field(default_factory=dict)
    class_losses: bool = False
    checkpoint: Path | None = None
    run: str = ""  # the id of its run, where it has one

    @property
    def order(self) -> int:
        """The seed of the batches."""
        return self.seed if self.recipe.order is None else self.recipe.order


def train(
    network: nn.Module,
    training: Images | tuple[Tensor, Tensor],
    method: str = "none",
    settings: Mapping[str, Any] | None = None,
    *,
    recipe: Recipe,
    augmentation: Augmentation = Augmentation(),  # noqa: B008 - frozen
    teacher: Teacher | nn.Module | Iterable[nn.Module] | None = None,
    mixing: Mapping[str, Any] | str | None = None,
    held: Images | tuple[Tensor, Tensor] | None = None,
    seed: int = 0,
    device: str | Execution = "auto",
    watch: Mapping[str, Images | tuple[Tensor, Tensor]] | None = None,
    class_losses: bool = False,
    checkpoint: Path | str | None = None,
    title: str | None = None,
) -> History:
    """Train ``network`` in place and return what happened in each epoch.

    Parameters
    ----------
    network : Module
        From images (B, C, H, W), or features (B, F), to logits (B, K). It is moved to the device,
        and given the head or the module beside it that the method needs.
    training : Images, or a tuple of Tensor
        N images (N, C, H, W), uint8, or floating point from 0 to 1 or normalised, or features
        (N, F), floating point; and labels (N,), whole numbers in [0, K).
    method, settings : str, Mapping
        A key of :data:`ldlstudy.methods.METHODS` and the values of its settings.
    recipe, augmentation
        How it is optimised, and what is done to the images.
    teacher : Teacher, Module or several, optional
        For methods that need one: trained networks from the same images to logits.
    mixing : str or Mapping, optional
        What mixes the images of a batch, such as ``{"name": "cutmix", "alpha": 1.0}``.
    held : Images, optional
        Images that are not trained on: to them the temperature of a teacher is fitted, which ILS,
        Beta smoothing and the like need, as methods do that compare training with held-out losses.
    seed : int
        All random numbers of the training derive from it, but for those of the batches where the
        recipe has an ``order``.
    device : str or Execution
        ``cpu``, ``cuda`` or ``auto``, or all about the execution.
    watch : Mapping, optional
        Images by name, to evaluate after every epoch; with ``class_losses`` by class, too.
    checkpoint : Path or str, optional
        File that is written after every epoch; where it exists, training goes on from it.
    title : str, optional
        Of the progress bar; none without it.

    Returns
    -------
    list of dict
        For each epoch ``rate`` (its share of the first), ``loss``, ``seconds``, and ``<name>_loss``
        and ``<name>_accuracy`` of the images watched, with ``<name>_class_loss`` where asked for.

    Raises
    ------
    ValueError
        Before the first step: an unknown method or mixing, settings that it does not take or lacks,
        a teacher that is missing or not wanted, a mixing with a method that takes none, images and
        labels that do not belong together, a network that does not take the images or gives no
        logits of their classes. Later: a value out of the range of a loss, a loss that
        is no longer finite. A checkpoint that is damaged, or of another training.
    """
    execution = Execution.of(device)
    check_module(network)
    check_arguments(recipe, augmentation, seed)
    row = methods.named(method)
    _check_shown(watch, class_losses, title, row, recipe)
    file = None if checkpoint is None else checkpoints.file_of(checkpoint)
    images = Images.of(training).to(execution.device)
    augmentation = augmentation.fitted(images)
    held_images = None
    if held is not None:
        held_images = Images.of(held, "held-out images").to(execution.device)
        _check_shape(held_images, images, augmentation, "held-out images")
    watched = {}
    for name, part in (watch or {}).items():
        called = f"images watched as {name!r}"
        watched[name] = Images.of(part, called).to(execution.device)
        _check_shape(watched[name], images, augmentation, called)
    methods.check_settings(row.settings, settings or {})
    with execution.limited():
        teacher = asked(teacher, images, held_images, augmentation, execution, network)
        row.check_teacher(teacher)
        width = 0
        if row.beside is not None and teacher is not None:
            width = _width(teacher, images, augmentation)
        with Execution().seeded(seed_of(seed, "head")):
            row.fit(network, tuple(images.pixels.shape[1:]), images.labels, width)
        execution.place(network)
        classes = _try_out(network, images, augmentation, execution)
        check_classes(row, teacher, classes, f"the network has {classes}")
        if held_images is not None:
            _check_labels(held_images, classes, "held-out images")
        adapt(network, images, augmentation)
        student = Student(
            network, recipe, method, settings or {}, teacher, seed, watched, class_losses, file
        )
        return train_together(
            [student], images, augmentation, execution, mixing, held_images, title=title
        )[0]


def adapt(network: nn.Module, training: Images, augmentation: Augmentation) -> None:
    """Let a network whose first layer is computed from the training images, and is not yet, be so.

    They are prepared as in tests.
    """
    if isinstance(network, FastCNN) and not network.adapted:
        network.adapt(next(batches(training, ADAPTED, augmentation)).images)


def _check_shown(
    watch: Any, class_losses: bool, title: Any, method: Method, recipe: Recipe
) -> None:
    """Refuse what does not say which images are watched, or what the progress is called."""
    if watch is not None and not isinstance(watch, Mapping):
        raise ValueError(f"watch must be images by name, got {type(watch).__name__}")
    own = {"held": method.history or recipe.keep == "best", "train": method.history}
    for name in watch or ():
        if own.get(name):
            raise ValueError(f"images are watched as {name!r} already: watch them by another name")
        if name.endswith("_class"):
            raise ValueError(f"the loss of {name!r} would have the name of losses by class")
    if checks.boolean("class_losses", class_losses) and not watch:
        raise ValueError("class_losses are of images that are watched: give watch")
    if title is not None and not isinstance(title, str):
        raise ValueError(f"title must be a text, got {title!r}")


def _check_shape(images: Images, training: Images, augmentation: Augmentation, name: str) -> None:
    """Refuse images of another shape than those of training have for the network."""
    wanted = augmentation.shape(training.shape)
    if augmentation.shape(images.shape) != wanted:
        raise ValueError(f"{name} must be {wanted} as training images, got {images.shape}")


def _check_labels(images: Images, classes: int, name: str) -> None:
    """Refuse labels that the network cannot give."""
    if int(images.labels.max()) >= classes:
        raise ValueError(
            f"the {name} have labels up to {int(images.labels.max())}, "
            f"the network has {classes} classes"
        )


def check_arguments(recipe: Recipe, augmentation: Augmentation, seed: int) -> None:
    """Refuse arguments of another type than `train` and a preview take."""
    checks.instance("recipe", recipe, Recipe)
    checks.instance("augmentation", augmentation, Augmentation)
    checks.whole("seed", seed, 0)


def check_classes(row: Method, teacher: Teacher | None, classes: int, what: str) -> None:
    """Refuse a teacher of other classes, where a method compares its logits with a student's."""
    if teacher is not None and row.beside is None and teacher.logits.shape[-1] != classes:
        raise ValueError(f"the teacher has {teacher.logits.shape[-1]} classes, {what}")


def asked(
    teacher: Teacher | nn.Module | Iterable[nn.Module] | None,
    images: Images,
    held: Images | None,
    augmentation: Augmentation,
    execution: Execution,
    student: nn.Module | None = None,
) -> Teacher | None:
    """Return what networks that are to teach say of the images; a `Teacher` has said it.

    One that has weights which the ``student`` trains would change while it teaches.
    """
    if teacher is None:
        return None
    if isinstance(teacher, Teacher):
        if teacher.logits.shape[1] != len(images.labels):
            raise ValueError(
                f"the teacher has answered {teacher.logits.shape[1]} images, "
                f"{len(images.labels)} are trained on"
            )
        return teacher
    trained = {id(p) for p in student.parameters() if p.requires_grad} if student else set()
    one = isinstance(teacher, nn.Module) or not isinstance(teacher, Iterable)
    several: list[Any] = [teacher] if one else list(teacher)  # type: ignore[arg-type]
    for each in several:
        check_module(each, "a teacher")
        if any(id(parameter) in trained for parameter in each.parameters()):
            raise ValueError("a network cannot be its own teacher: give copy.deepcopy(network)")
    placed = [
        Predictor(execution.place(each), augmentation, execution, whose="a teacher")
        for each in several
    ]
    if not placed:
        return None
    said = ask(placed, images, held)
    for logits in said.logits:
        check_logits(logits, "a teacher")
    return said


def _try_out(
    network: nn.Module, images: Images, augmentation: Augmentation, execution: Execution
) -> int:
    """Return K of a network; one that does not take the images or gives no logits is refused.

    It sees two of them, as in tests and as in training, and is afterwards as it was.
    """
    first = images.take(torch.arange(min(2, len(images.labels)), device=images.labels.device))
    shown = execution.layout(next(batches(first, 2, augmentation)).images)
    with execution.forked():
        for training in (False, True)[: len(first.labels)]:  # a batch norm wants two
            buffers = {name: value.clone() for name, value in network.named_buffers()}
            called = partial(functional_call, network, buffers)
            with torch.set_grad_enabled(training), in_mode(network, training=training):
                answer = answered(called, shown)
            classes = answer.shape[1]
            try:
                checks.labels(images.labels, classes)
            except ValueError as error:
                raise ValueError(f"{error}; the network has {classes} classes") from None
            check_logits(answer.detach())
            if training and not answer.requires_grad:
                raise ValueError(
                    "no gradient reaches a parameter of the network: it has none, all are frozen, "
                    "or its answer is detached"
                )
    return classes


def _width(teacher: Teacher, images: Images, augmentation: Augmentation) -> int:
    """Width of the teacher's features."""
    first = images.take(torch.arange(1, device=images.labels.device))
    try:
        if teacher.look is None:
            raise TypeError("the teacher has no look")
        _, features = teacher.look(next(batches(first, 1, augmentation)).images)
    except TypeError as error:  # the network takes images alone
        raise ValueError(
            "this method needs a teacher with features (ldlstudy.models.Classifier)"
        ) from error
    return features.shape[1]


def train_together(
    students: Sequence[Student],
    training: Images,
    augmentation: Augmentation,
    execution: Execution,
    mixing: Mapping[str, Any] | str | None = None,
    held: Images | None = None,
    title: str | None = None,
) -> list[History]:
    """Train several networks on the same batches; each ends as it would alone.

    Their seconds are an equal share of the epoch's.

    Parameters
    ----------
    students : sequence of Student
        At least one; their recipes agree in epochs, batch and order, and their methods in what they
        see. Networks are on the device and have the heads of their methods.
    training, augmentation, execution, mixing, held, title
        As in `train`.

    Returns
    -------
    list of list of dict
        The history of each.

    Raises
    ------
    ValueError
        As `train`; or if the students do not see the same batches.
    """
    mixer = mixer_for([(s.method, s.recipe) for s in students], training, mixing)
    passes = {(s.recipe.epochs, s.recipe.batch, s.order, methods.named(s.method).sees)
              for s in students}  # fmt: skip
    if len(passes) != 1:
        raise ValueError(
            "networks trained together must agree in epochs, batch, order and what their methods "
            f"see, got {sorted(passes)}"
        )
    ((epochs, size, order, sees),) = passes
    learners = [_Learner(s, training, held, augmentation, execution, mixing) for s in students]
    images = len(training.labels)
    with (
        execution.forked(),
        device.progress(len(learners) * epochs * images, title, "image") as bar,
    ):
        bar.update(sum(len(learner.history) for learner in learners) * images)
        for epoch in range(epochs):
            active = [learner for learner in learners if len(learner.history) == epoch]
            if not active:
                continue
            start = time.perf_counter()
            generator = torch.Generator(training.labels.device)
            generator.manual_seed(seed_of(order, "epoch", epoch))
            for learner in active:
                learner.begin(epoch)
            epoch_batches = batches(training, size, augmentation, generator, sees, mixer)
            for number, batch in enumerate(epoch_batches):
                batch = _laid_out(batch, execution)
                for learner in active:
                    learner.move(epoch + number * size / images)
                    learner.learn(batch, number % CHECK_EVERY == 0, alone=len(active) == 1)
                    bar.update(len(batch.labels))
            losses = [learner.finite_loss() for learner in active]
            seconds = (time.perf_counter() - start) / len(active)
            for learner, loss in zip(active, losses, strict=True):
                learner.end(loss, seconds)
            bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.3f}")
    for learner in learners:
        learner.finish()
    return [learner.history for learner in learners]


def mixer_for(
    taught: Iterable[tuple[str, Recipe]],
    training: Images,
    settings: Mapping[str, Any] | str | None,
) -> Mixing | None:
    """Return the mixing by its settings, which every method and every batch must take."""
    mixer = mixing.named(settings)
    if mixer is None:
        return None
    if len(training.pixels.shape) != 4:
        raise ValueError(f"features (N, F) are not mixed as images are, got {settings}")
    for method, recipe in taught:
        if not methods.named(method).mixes:
            raise ValueError(f"method {method!r} takes no mixed images, got {settings}")
        mixer.check(min(recipe.batch, len(training.labels)))
    return mixer


def _laid_out(batch: Batch, execution: Execution) -> Batch:
    """The batch with all its images in the network's layout."""

    def laid(images: Tensor | None) -> Tensor | None:
        return None if images is None else execution.layout(images)

    views = tuple(execution.layout(view) for view in batch.views)
    images = execution.layout(batch.images)
    return replace(
        batch, images=images, partner=laid(batch.partner), plain=laid(batch.plain), views=views
    )


def _given(training: Images, held: Images | None, teacher: Teacher | None) -> dict[str, Any]:
    """What a checkpoint says of images and teacher, where no run's id stands for them."""
    return {
        "images": training.digest,
        "held-out images": None if held is None else held.digest,
        checkpoints.ANSWERS: None
        if teacher is None
        else teacher.logits[:, :TAUGHT].flatten().tolist(),
    }


class _Learner:
    """A student in training: its optimiser, its history, and its own random numbers."""

    def __init__(
        self,
        student: Student,
        training: Images,
        held: Images | None,
        augmentation: Augmentation,
        execution: Execution,
        mixing: Mapping[str, Any] | str | None,
    ) -> None:
        self.student, self.execution = student, execution
        self.network, self.recipe = student.network, student.recipe
        self.predictor = Predictor(student.network, augmentation, execution)
        self.objective = objective(student, training, self.predictor)
        self.watch, self.class_losses = dict(student.watch), student.class_losses
        self.kept: dict[str, Any] = {}  # the best epoch's weights, where they are asked for
        if self.recipe.keep == "best":
            if held is None:
                raise ValueError("the best epoch is that of held-out images: hold images out")
            self.watch |= {"held": held}
        self.by_history = methods.named(student.method).history
        if self.by_history:
            self._watch_classes(training, held)
        self.optimiser = self.recipe.make_optimiser(self.network)
        recipe = asdict(replace(student.recipe, epochs=1))  # it may go on for longer
        known = student.run or student.checkpoint is None
        self.of = checkpoints.described(
            {
                "run": student.run,
                "method": student.method,
                "settings": student.settings,
                "norm_penalty": recipe.pop("norm_penalty") or None,  # older checkpoints lack these
                "period": recipe.pop("period"),
                "keep": recipe.pop("keep").removeprefix("last") or None,
                "recipe": recipe,
                "augmentation": asdict(augmentation),
                "mixing": {"name": mixing} if isinstance(mixing, str) else mixing,
                "seed": student.seed,
                "labels": hashlib.sha256(training.labels.cpu().numpy().tobytes()).hexdigest(),
                **({} if known else _given(training, held, student.teacher)),
            }
        )
        columns = {"rate", "loss", "seconds"}.union(
            *(columns_of(name, self.class_losses) for name in self.watch)
        )
        self.history = checkpoints.resume(
            student.checkpoint,
            self.network,
            self.optimiser,
            self.of,
            [self.recipe.share(epoch) for epoch in range(self.recipe.epochs)],
            columns,
            self.kept if self.recipe.keep == "best" else None,
        )
        self.compiled = execution.compiled(self.network)

    def _watch_classes(self, training: Images, held: Images | None) -> None:
        """Watch what a method needs that compares the losses of training and held-out images."""
        gap, epochs = self.student.settings.get("gap", methods.GAP), self.recipe.epochs
        if held is None or epochs <= gap:
            raise ValueError(
                f"method {self.student.method!r} compares the losses of training and held-out "
                f"images {gap} epochs apart: it needs images held out and more than {gap} epochs, "
                f"got {0 if held is None else len(held.labels)} images and {epochs} epochs"
            )
        self.watch |= {"held": held, "train": training}
        self.class_losses = True

    def begin(self, epoch: int) -> None:
        """Set the rate and the random numbers of an epoch."""
        self.recipe.set_rate(self.optimiser, epoch)
        self.network.train()
        self.execution.seed(seed_of(self.student.seed, "dropout", epoch))
        self.random_state = self.execution.random_state()
        self.total, self.seen = torch.zeros(()), 0

    def move(self, epoch: float) -> None:
        """Set the rate of a step, where it is not that of the whole epoch."""
        if self.recipe.moves:
            self.recipe.set_rate(self.optimiser, epoch)

    def learn(self, batch: Batch, check: bool, alone: bool) -> None:
        """Take a step on a batch; one of several networks goes on with its own random numbers."""
        if self.by_history:
            batch = replace(batch, history=self.history)
        if not alone:
            self.execution.set_random_state(self.random_state)
        loss = self._step(batch)
        if not alone:
            self.random_state = self.execution.random_state()
        self.total = self.total + loss.double() * len(batch.labels)
        self.seen += len(batch.labels)
        if check:
            self._check_finite(self.total)

    def _step(self, batch: Batch) -> Tensor:
        """Take one step and return the loss before it."""
        with self.execution.autocast():
            loss = self.objective(self.compiled, batch)
        self.optimiser.zero_grad()
        (loss * self.recipe.loss_scale + self.recipe.penalty(self.network)).backward()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        return loss.detach()

    def finite_loss(self) -> float:
        """Return the mean loss of the epoch's images."""
        self._check_finite(self.total)
        self._check_finite(nn.utils.get_total_norm(self.network.parameters()))
        return float(self.total) / self.seen

    def end(self, loss: float, seconds: float) -> None:
        """Evaluate, and write the checkpoint."""
        share = self.recipe.share(len(self.history))
        entry: dict[str, Any] = {"rate": share, "loss": loss, "seconds": seconds}
        with self.execution.autocast():
            for name, images in self.watch.items():
                entry |= look(name, images, self.predictor, self.class_losses)
        self.history.append(entry)
        if self.recipe.keep == "best" and self._is_best():
            self.kept = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        if self.student.checkpoint is not None:
            checkpoints.save(
                self.student.checkpoint,
                network=self.network,
                optimiser=self.optimiser,
                history=self.history,
                training=self.of,
                **({"kept": self.kept} if self.kept else {}),
            )

    def _is_best(self) -> bool:
        """Whether no epoch before the last had as low a loss on held-out images."""
        losses = [epoch["held_loss"] for epoch in self.history]
        return losses.index(min(losses)) == len(losses) - 1

    def finish(self) -> None:
        """Give the network the weights of the epoch that the recipe keeps."""
        if self.kept:
            self.network.load_state_dict(self.kept)

    def _check_finite(self, number: Tensor) -> None:
        """Stop where the loss or the weights overflow; the last checkpoint is of finite ones."""
        if not bool(torch.isfinite(number)):
            raise ValueError(
                f"the loss is no longer finite in epoch {len(self.history) + 1}: lower the rate, "
                "or clip the gradient"
            )


def objective(student: Student, training: Images, predictor: Predictor) -> Any:
    """Return the loss of a student's steps as a function of its network and a batch.

    The number of classes is that of the network's logits; labels that it cannot give are a
    ValueError.
    """
    first = training.take(torch.arange(min(1, len(training.labels))))
    classes = predictor.logits(first).shape[1]
    for name, watched in student.watch.items():
        _check_labels(watched, classes, f"images watched as {name!r}")
    pixels = training.pixels if isinstance(training.pixels, Tensor) else None
    seed = seed_of(student.seed, "label")
    task = Task(training.labels, classes, pixels, training.truth, student.teacher, seed)
    return methods.named(student.method).objective(task, student.settings)
