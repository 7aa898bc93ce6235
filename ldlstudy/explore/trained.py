"""What explorers show of networks that are trained when a page is built, in seconds."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ldlstudy import checks, device, scaling, targets
from ldlstudy.data.images import Images
from ldlstudy.data.replicates import Replicates
from ldlstudy.device import Execution
from ldlstudy.experiment import images
from ldlstudy.experiment.plan import BUILDS
from ldlstudy.experiment.points import replicates_of
from ldlstudy.experiment.prepare import prepare
from ldlstudy.explore.plane import FACTORS, HARD, METHODS, Learned, Predict, called
from ldlstudy.seeds import seed_of
from ldlstudy.studies.ils import runs as ils
from ldlstudy.studies.truth import runs as truth
from ldlstudy.training import ensemble

SETS = 3
P1, P2, TEMPERATURE = 0.8, 1.25, 4.0  # the middle of ILS's grids


def planes(profile: str) -> list[Learned]:
    """Networks for the explorer of the plane, trained here and now as in chapter 1.

    A network for hard labels, which is the teacher, and one for each method and factor, on each of
    three training sets. The factor is that of LS and ILS2, and the highest that ILS1 and ILS may
    give (their cap); P1 and P2 are .8 and 1.25, and the teacher of ILS2 and ILS is at T = 4.

    Parameters
    ----------
    profile : str
        One of :data:`ldlstudy.experiment.plan.BUILDS`; an unknown one is a ValueError.
        ``smoke`` has fewer points and epochs, ``full`` is as ``quick``.
    """
    checks.one_of("profile", profile, BUILDS)
    runs = ils.runs("quick" if profile == "full" else profile)
    hard = next(each.run for each in runs if each.strategy == "none")
    sets, epochs = replicates_of(replace(hard, replicates=SETS)), hard.recipe["epochs"]
    assert isinstance(sets, Replicates)
    labels = targets.one_hot(sets.training.labels.flatten(), 3).view(SETS, 1, -1, 3)
    teachers = _train(sets, labels, epochs)
    soft = torch.stack([_labels(sets, r, teachers[r][0]) for r in range(SETS)])
    students = _train(sets, soft, epochs)
    names = [called(method, factor) for method in METHODS for factor in FACTORS]
    return [
        Learned(
            sets.training.at(r),
            sets.testing.at(r),
            {
                name: _probabilities(logits)
                for name, logits in zip([HARD, *names], [*teachers[r], *students[r]], strict=True)
            },
        )
        for r in range(SETS)
    ]


def _train(sets: Replicates, labels: Tensor, epochs: int) -> list[list[Predict]]:
    """Logits of a network for each of the labels (SETS, C, N, 3)."""
    count = labels.shape[1]
    which = torch.arange(SETS).repeat_interleave(count)
    seeds = torch.tensor([seed_of(0, "plane", r) for r in which.tolist()])
    held = sets.holding.labels
    members = ensemble.Members.make(which, labels.flatten(0, 1).float(), seeds, held.shape[1])
    data = ensemble.Data(sets.training.inputs, sets.holding.inputs, held)
    found = ensemble.train(ensemble.Settings(epochs=epochs), data, members)

    def logits(row: Tensor) -> Predict:
        return lambda inputs: found.logits(row[None], inputs[None])[0]

    return [[logits(row) for row in rows] for rows in found.parameters.split(count)]


def _probabilities(logits: Predict) -> Predict:
    return lambda inputs: logits(inputs).softmax(1)


def _labels(sets: Replicates, replicate: int, teacher: Predict) -> Tensor:
    """Labels (C, N, 3) of every method and factor."""
    training, holding = (part.at(replicate) for part in (sets.training, sets.holding))
    y, logits = training.labels, teacher(training.inputs)
    fitted = scaling.fit_temperature(teacher(holding.inputs), holding.labels)
    sure, soft = scaling.scale(logits, fitted), scaling.scale(logits, TEMPERATURE)
    made: dict[str, Callable[[float], Tensor]] = {
        "LS": lambda factor: targets.smooth(y, 3, factor),
        "ILS1": lambda factor: targets.ils1(y, sure, P1, P2, cap=factor),
        "ILS2": lambda factor: targets.ils2(y, soft, factor),
        "ILS": lambda factor: targets.ils(y, soft, P1, P2, cap=factor, magnitude=sure),
    }
    return torch.stack([made[method](factor).float() for method in METHODS for factor in FACTORS])


def teacher(profile: str) -> tuple[Images, Callable[[Tensor], Tensor], float]:
    """Noisy digits for tests, a network that learned others with hard labels, and the noise.

    The network of chapter 5 that other explorers show from its record is trained anew.

    Parameters
    ----------
    profile : str
        One of :data:`ldlstudy.experiment.plan.BUILDS`; an unknown one is a ValueError.
        ``smoke`` has few images and epochs.

    Returns
    -------
    images : Images
        Test images, with their truth.
    teach : callable
        From images (N, 1, 8, 8) to logits (N, 10).
    sigma : float
        Standard deviation of the noise.
    """
    checks.one_of("profile", profile, BUILDS)
    planned = truth.plan(*truth.QUICK, "none", 0, "smoke" if profile == "smoke" else "paper")
    planned = replace(planned, keep=())
    setting = prepare(planned.run, Execution())
    with tempfile.TemporaryDirectory() as folder, device.one_thread_an_operation():
        images.execute([planned], setting.execution, Path(folder))
        network = setting.trained(Path(folder)).eval()
    return setting.dataset.test, torch.no_grad()(network), planned.run.data["sigma"]
