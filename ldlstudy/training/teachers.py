"""Teachers: trained networks that are asked what they say of a student's training images.

A teacher labels the training images as they are, once, or every batch as its student sees it:
augmented, and mixed where the run mixes (LDL's offline and online label distributions). Students
that are trained together on the same batches share the teachers' pass.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ldlstudy import scaling
from ldlstudy.batch import Teacher
from ldlstudy.data.images import Images
from ldlstudy.training.predict import Predictor


def ask(teachers: Sequence[Predictor], training: Images, held: Images | None = None) -> Teacher:
    """Ask trained networks for their logits of the training images.

    Parameters
    ----------
    teachers : sequence of Predictor
        T networks, each with the preparation of its own training images.
    training : Images
        Of the student, N images.
    held : Images, optional
        Held-out images, to which the temperature of the teachers' mean probability is fitted;
        without any it has none.
    """
    for teacher in teachers:
        teacher.network.eval()
    temperature = None
    if held is not None:
        mean = scaling.mean_logits(logits_of(teachers, held))
        temperature = scaling.fit_temperature(mean, held.labels)
    look = _Look(teachers[0]) if len(teachers) == 1 else None
    return Teacher(logits_of(teachers, training), temperature, _Answer(teachers), look)


def logits_of(teachers: Sequence[Predictor], images: Images) -> Tensor:
    """Return the logits (T, N, K) of every network for all ``images``."""
    said = [teacher.logits(images) for teacher in teachers]
    classes = sorted({logits.shape[1] for logits in said})
    if len(classes) > 1:
        raise ValueError(f"teachers must have the same classes, got {classes} of them")
    return torch.stack(said)


class _Answer:
    """From images to the logits of every teacher, which are computed once for a batch."""

    def __init__(self, teachers: Sequence[Predictor]) -> None:
        self.answers = [teacher.answer for teacher in teachers]
        self._images: Tensor | None = None

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        if self._images is not images:
            self._images = images
            self._logits = torch.stack([answer(images) for answer in self.answers])
        return self._logits


class _Look:
    """From images to the logits and penultimate features of a teacher."""

    def __init__(self, teacher: Predictor) -> None:
        self.network = teacher.network

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = self.network(images, return_features=True)
        return logits, features
