"""What a method is given: the training set before training, a batch during it, and a teacher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ldlstudy import mixing, scaling


@dataclass(frozen=True)
class Teacher:
    """What one or several trained networks say of the training images.

    Attributes
    ----------
    logits : Tensor
        Shape (T, N, K), of every teacher for the training images as they are.
    temperature : float, optional
        That suits their mean probability on held-out images; None where there are none to fit it
        to, which methods that need it refuse.
    answer : callable, optional
        From images (B, C, H, W) as a student sees them to the logits (T, B, K) of every teacher.
    look : callable, optional
        From images to the logits (B, K) and features (B, D) of the only teacher.
    """

    logits: Tensor
    temperature: float | None = None
    answer: Callable[[Tensor], Tensor] | None = None
    look: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None

    def probabilities(self, temperature: float | None = None) -> Tensor:
        """Return the mean probabilities (N, K), at the fitted temperature unless one is given.

        Without either a ValueError says what is needed.
        """
        chosen = self.temperature if temperature is None else temperature
        if chosen is None:
            raise ValueError(
                "this method needs its teacher at a temperature that is fitted to held-out images: "
                "hold images out, or give a Teacher with its temperature"
            )
        return scaling.scale(scaling.mean_logits(self.logits), chosen)


@dataclass(frozen=True)
class Task:
    """A training set as a method sees it before training.

    ``labels`` (N,), whole numbers in [0, ``classes``); ``inputs`` (N, ...), where they are in
    memory; ``truth`` (N, K), the exact p(y|x), where it is known; the ``teacher`` of methods that
    need one; the ``seed`` of strategies that draw.
    """

    labels: Tensor
    classes: int
    inputs: Tensor | None = None
    truth: Tensor | None = None
    teacher: Teacher | None = None
    seed: int = 0

    def bring(self, name: str, temperature: float | None = None) -> Any:
        """Return what a label strategy calls ``name``; what is missing is a ValueError.

        ``features`` (N, D) are the inputs; ``teacher`` is the teacher's probabilities at a given
        ``temperature``, ``magnitude`` at the fitted one, ``teacher_untempered`` at 1.
        """
        if name == "generator":
            return torch.Generator().manual_seed(self.seed)
        source = "inputs" if name == "features" else name
        if name in ("magnitude", "teacher_untempered"):
            source = "teacher"
        value = getattr(self, source)
        if value is None:
            where = " in memory" if source == "inputs" else ""
            raise ValueError(f"this method needs the {source} of the training set{where}")
        if name == "features":
            return value.flatten(1).float()
        if source == "teacher":
            at = {"teacher": temperature, "magnitude": None, "teacher_untempered": 1.0}
            return value.probabilities(at[name])
        return value


@dataclass(frozen=True)
class Batch:
    """A batch of training images with what a method asked for beside them.

    Attributes
    ----------
    images : Tensor
        Shape (B, C, H, W), augmented, and mixed where the run mixes.
    labels, index : Tensor
        Shape (B,), the classes of the images before mixing, and their positions in the set.
    partner : Tensor, optional
        Shape (B, C, H, W), another image of each one's class; mixed as ``images`` are.
    views : tuple of Tensor
        The same images augmented again, once for each view asked for.
    plain : Tensor, optional
        The same images as in tests, without augmentation.
    mixed : Mixed, optional
        What the mixed images are made of.
    target : Tensor, optional
        Shape (B, K), the label distributions to learn: the method's own, or one-hot.
    teacher : Teacher, optional
        Whom the method may ask.
    history : sequence of dict
        What the epochs before this one gave.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    partner: Tensor | None = None
    views: tuple[Tensor, ...] = ()
    plain: Tensor | None = None
    mixed: mixing.Mixed | None = None
    target: Tensor | None = None
    teacher: Teacher | None = None
    history: Sequence[Mapping[str, Any]] = ()

    def need(self, name: str) -> Any:
        """Return what came with the images as ``name``; what did not is a ValueError."""
        value = getattr(self, name)
        if value is None or (isinstance(value, tuple) and not value):
            raise ValueError(f"this method needs a batch with its {name}, got one without")
        return value

    def blend(self, distributions: Tensor) -> Tensor:
        """Return distributions (B, K) of the images before mixing, blended as they were."""
        if self.mixed is None:
            return distributions
        return mixing.mixed_target(distributions, self.mixed)

    def taught(self, relabel: bool) -> Tensor:
        """Return the logits (T, B, K) of every teacher: fixed once, or of what the student sees."""
        teacher = self.need("teacher")
        if not relabel:
            return teacher.logits[:, self.index]
        if teacher.answer is None:
            raise ValueError("relabelling needs a teacher that answers, got its logits alone")
        return teacher.answer(self.images)

    def taught_mean(self, relabel: bool) -> Tensor:
        """Return the logits (B, K) of the teachers' mean probability."""
        return scaling.mean_logits(self.taught(relabel))
