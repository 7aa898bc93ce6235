"""The training set as a run's method sees it: what its teachers say of the images.

A teacher labels the training images as they are, once, or every batch as its student sees it:
augmented, and mixed where the method mixes (LDL's offline and online label distributions). Students
that are trained together on the same batches share the teachers' pass.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ldlstudy import metrics, rivals, scaling
from ldlstudy.augment import Augmentation
from ldlstudy.dataset import Dataset, Images
from ldlstudy.decode import Stream
from ldlstudy.draws import seed_of
from ldlstudy.methods import Lesson
from ldlstudy.models import Classifier
from ldlstudy.protocol import Protocol
from ldlstudy.records import Run
from ldlstudy.scores import Rows
from ldlstudy.setting import Setting, trained
from ldlstudy.uncertainty import mean_logits


class Panel:
    """The teachers of a run, and what they say of its data.

    Parameters
    ----------
    teachers : sequence of (Setting, Classifier)
        T networks in evaluation mode, each with the settings of its own training.
    dataset : Dataset
        Of the student.

    Attributes
    ----------
    each : Tensor
        Logits (T, N, K) of every teacher for the training images as they are.
    temperature : float
        That the mean probability wants on the held-out images; 1 without any.
    accuracy : float
        Of the mean probability on the test images.
    """

    def __init__(self, teachers: Sequence[tuple[Setting, Classifier]], dataset: Dataset) -> None:
        self.answers = [own.answers(network) for own, network in teachers]
        self.networks = [network for _, network in teachers]
        self._asked: Tensor | None = None

        def predict(images: Images) -> Tensor:
            return torch.stack([own.predict(network, images) for own, network in teachers])

        self.each, self.temperature = predict(dataset.train), 1.0
        if dataset.held is not None:
            held = mean_logits(predict(dataset.held))
            self.temperature = scaling.fit_temperature(held, dataset.held.labels)
        test = dataset.test
        self.accuracy = metrics.accuracy(mean_logits(predict(test)).softmax(1), test.labels)

    @torch.no_grad()
    def __call__(self, views: Tensor) -> Tensor:
        """Logits (T, B, K) of every teacher for a batch; asked again of it, the same tensor."""
        if self._asked is not views:
            self._asked, self._said = views, torch.stack([answer(views) for answer in self.answers])
        return self._said

    @torch.no_grad()
    def features(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and penultimate features (B, D) of the only teacher for a batch."""
        (network,) = self.networks
        logits, features = network(views, return_features=True)
        return logits, features


Panels = dict[tuple[str, ...], Panel]  # by the ids of the teachers


def learn(
    run: Run, setting: Setting, work: Path | None = None, panels: Panels | None = None
) -> tuple[Lesson, Rows]:
    """The training set as the run's method sees it, and a row about the teacher, if it has one.

    Parameters
    ----------
    run, setting
        As :func:`ldlstudy.setting.prepare` makes the second of the first.
    work : Path, optional
        Folder of the teachers' weights.
    panels : dict, optional
        Teachers that runs with the same data have asked already; this run adds its own.

    Raises
    ------
    ValueError
        If a teacher's data are another set, its weights are missing or of another network, or the
        views it would label are not prepared as its own training images were.
    """
    train, classes = setting.dataset.train, len(setting.dataset.classes)
    seed = seed_of(run.seed, "label")
    lesson = Lesson(_inputs(run.method, train), train.labels, classes, seed, truth=train.truth)
    if not run.teachers:
        return lesson, {}
    panels, key = {} if panels is None else panels, tuple(t.id for t in run.teachers)
    teachers = [_teacher(run, teacher, setting, work) for teacher in run.teachers]
    if key not in panels:
        panels[key] = Panel(teachers, setting.dataset)
    panel = panels[key]
    logits = mean_logits(panel.each)
    softened = scaling.scale(logits, run.parameters.get("temperature", 1.0))
    row = {
        "smoothness": [metrics.smoothness(softened, train.labels)],
        "accuracy": [panel.accuracy],
    }
    lesson = lesson._replace(
        logits=logits,
        temperature=panel.temperature,
        teach=lambda views: mean_logits(panel(views)),
        features=panel.features if len(teachers) == 1 else None,
        each=panel.each,
        teach_each=panel,
    )
    return lesson, {"teacher": row}


def _inputs(method: str, train: Images) -> Tensor:
    """What class similarity compares; no other image method's label looks at the pixels."""
    if method != "similarity":
        return torch.empty(len(train.labels), 0)
    if isinstance(train.pixels, Stream):
        raise ValueError("class similarity needs the images in memory, these are read from files")
    return train.pixels.flatten(1).float()


def _teacher(
    run: Run, teacher: Run, setting: Setting, work: Path | None
) -> tuple[Setting, Classifier]:
    """A teacher's settings and its network, in evaluation mode."""
    if teacher.dataset != run.dataset:
        raise ValueError(
            f"the teacher {teacher.id} was trained on {teacher.dataset}, its student's data are "
            f"{run.dataset}"
        )
    own = setting._replace(
        protocol=Protocol.of(teacher.training),
        augmentation=Augmentation.of(teacher.data.get("augment", {})),
    )
    seen, shown = ((a.augmentation.crop, a.augmentation.normalise) for a in (own, setting))
    views = run.parameters.get("relabel") or run.method in rivals.OBJECTIVES
    if views and seen != shown:
        raise ValueError(
            f"the teacher {teacher.id} was trained with crop and normalisation {seen}, the views "
            f"of its student have {shown}"
        )
    return own, trained(teacher, own, work).eval()
