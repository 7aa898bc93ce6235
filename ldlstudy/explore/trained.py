"""What explorers show of networks that are trained when a page is built, in seconds."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ldlstudy import ensemble, ils, images, machine, scaling, targets, truth
from ldlstudy.dataset import Images
from ldlstudy.draws import Draws, Sample, seed_of
from ldlstudy.execution import Execution
from ldlstudy.explore.plane import FACTORS, HARD, METHODS, Learned, Predict, called
from ldlstudy.mixture import six_gaussians
from ldlstudy.selection import DATA
from ldlstudy.setting import prepare, trained

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
        ``smoke`` has fewer points and epochs; an unknown one is a ValueError.
    """
    size = ils.runs(profile)["none"]
    sizes = {name: {**DATA, **size.data}[name] for name in ("train", "held", "test")}
    draws = Draws(six_gaussians(), **sizes, replicates=SETS, seed=0)
    hard = targets.one_hot(draws.training.labels.flatten(), 3)
    teachers = _train(draws, hard.view(SETS, 1, -1, 3), size.training["epochs"])
    soft = torch.stack([_labels(draws, r, teachers[r][0]) for r in range(SETS)])
    students = _train(draws, soft, size.training["epochs"])
    names = [called(method, factor) for method in METHODS for factor in FACTORS]
    return [
        Learned(
            Sample(*(field[r] for field in draws.training)),
            Sample(*(field[r] for field in draws.testing)),
            {
                name: _probabilities(logits)
                for name, logits in zip([HARD, *names], [*teachers[r], *students[r]], strict=True)
            },
        )
        for r in range(SETS)
    ]


def _train(draws: Draws, labels: Tensor, epochs: int) -> list[list[Predict]]:
    """Logits of a network for each of the labels (SETS, C, N, 3)."""
    sets, count = labels.shape[:2]
    which = torch.arange(sets).repeat_interleave(count)
    seeds = torch.tensor([seed_of(0, "plane", r) for r in which.tolist()])
    held = draws.holding.labels
    members = ensemble.Members.make(which, labels.flatten(0, 1).float(), seeds, held.shape[1])
    data = ensemble.Data(draws.training.inputs, draws.holding.inputs, held)
    found = ensemble.train(ensemble.Settings(epochs=epochs), data, members)

    def logits(row: Tensor) -> Predict:
        return lambda inputs: found.logits(row[None], inputs[None])[0]

    return [[logits(row) for row in rows] for rows in found.parameters.split(count)]


def _probabilities(logits: Predict) -> Predict:
    return lambda inputs: logits(inputs).softmax(1)


def _labels(draws: Draws, replicate: int, teacher: Predict) -> Tensor:
    """Labels (C, N, 3) of every method and factor."""
    training, holding = (
        Sample(*(field[replicate] for field in part)) for part in (draws.training, draws.holding)
    )
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

    The network of :mod:`ldlstudy.truth` that other explorers show from its record, trained anew.

    Parameters
    ----------
    profile : str
        ``smoke`` has few images and epochs; an unknown one is a ValueError.

    Returns
    -------
    images : Images
        Test images, with their truth.
    teach : callable
        From images (N, 1, 8, 8) to logits (N, 10).
    sigma : float
        Standard deviation of the noise.
    """
    known = truth.runs("smoke" if profile == "smoke" else "paper")
    run, execution = known[truth.name(*truth.QUICK, "none")], Execution()
    setting = prepare(run, execution)
    with tempfile.TemporaryDirectory() as folder, machine.one_thread_an_operation():
        images.execute(run, execution, Path(folder))
        network = trained(run, setting, Path(folder)).eval()
    return setting.dataset.test, torch.no_grad()(network), run.data["sigma"]
