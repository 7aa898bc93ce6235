"""Train a network for every combination of a method's parameters and pick the best.

All networks of all replicates of a run are trained together (:mod:`ldlstudy.ensemble`). The choice
is by cross entropy on held-out data, as everywhere in the ILS paper. Where a run asks for it, the
Bayes-optimal model takes the place of a network: its logits are the log of the posterior.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ldlstudy import checks, ensemble, figure_data, metrics, scaling
from ldlstudy.draws import Draws, Sample, seed_of
from ldlstudy.methods import Lesson, candidates, label
from ldlstudy.mixture import six_gaussians
from ldlstudy.records import Run

MODELS = {"mlp64x5": (64,) * 5, "mlp64x1": (64,)}
DATA = {"separation": 1.0, "train": 50, "held": 50, "test": 5000}
TRAINING = {"rate": 0.01, "epochs": 500, "patience": 10, "batch": None, "init": "torch"}
BUDGETS = (1, 12, 30, 48, 120)  # candidates that the paper's methods choose from


@dataclass(frozen=True)
class Pick:
    """The network chosen for each of R replicates by one criterion.

    Attributes
    ----------
    rows : Tensor, shape (R, P)
        Parameters of the networks; P is 0 for the Bayes-optimal model.
    temperature : Tensor, shape (R,)
        What their logits are divided by: 1, or the fitted one.
    fitted : Tensor, shape (R,)
        The temperature that suits their logits best on held-out data.
    loss : Tensor, shape (R,)
        The held-out cross entropy they were chosen by.
    values : list of dict
        The method's parameters in each replicate.
    """

    rows: Tensor
    temperature: Tensor
    fitted: Tensor
    loss: Tensor
    values: list[dict[str, Any]]


@dataclass(frozen=True)
class Chosen:
    """What a run trained and picked: a pick for each row of its record."""

    logits: Callable[[Tensor, Tensor], Tensor]  # a row (P,) and inputs (N, F) -> logits (N, K)
    picks: dict[str, Pick]
    figures: dict[str, Any]
    networks: int = 0
    epochs: int = 0

    def probabilities(self, pick: Pick, replicate: int, inputs: Tensor) -> Tensor:
        """Of the network picked in one replicate, for inputs (N, F): shape (N, K)."""
        logits = self.logits(pick.rows[replicate], inputs)
        return (logits / pick.temperature[replicate].to(logits)).softmax(1)

    def calibrated(self, replicate: int, inputs: Tensor) -> Tensor:
        """Probabilities (N, K) after temperature scaling, where the run has that row."""
        return self.probabilities(self.picks.get("scaled", self.picks["plain"]), replicate, inputs)


class Criterion(NamedTuple):
    """How to choose among the first ``pool`` candidates.

    With or without temperature scaling, by held-out samples of ``weights`` (R, V).
    """

    pool: int
    scaled: bool
    weights: Tensor


def draws(run: Run) -> Draws:
    """The replicates that a run is trained and tested on; runs on the same data share them."""
    checks.one_of("dataset", run.dataset, ["six_gaussians"])
    for name in run.data:
        checks.one_of("data parameter", name, DATA)
    d = {**DATA, **run.data}
    sizes = (checks.whole(name, d[name], 1) for name in ("train", "held", "test"))
    replicates, seed = (
        checks.whole("replicates", run.replicates, 1),
        checks.whole("seed", run.seed, 0),
    )
    return _draws(d["separation"], *sizes, replicates, seed)


@functools.lru_cache(maxsize=4)
def _draws(separation: float, *sizes_and_seed: int) -> Draws:
    return Draws(six_gaussians(separation), *sizes_and_seed)


@functools.lru_cache(maxsize=16)
def choose(run: Run, device: str = "cpu") -> Chosen:
    """Train the candidates of every replicate and pick the best on held-out data.

    Raises
    ------
    ValueError
        An unknown name or a value out of range.
    """
    if run.model == "bayes":
        return _bayes(run)
    values = candidates({k: v for k, v in run.parameters.items() if k not in ("beta", "held")})
    trained = _train(run, values, device)
    holding, count = draws(run).holding, len(values)
    held = torch.stack(  # (R, C, V, K)
        [
            trained.logits(rows, x.expand(count, -1, -1))
            for rows, x in zip(trained.parameters.split(count), holding.inputs, strict=True)
        ]
    )
    picks = {
        name: _pick(trained, held, holding.labels, values, criterion)
        for name, criterion in _criteria(run, holding, count).items()
    }
    figures: dict[str, Any] = {}
    if "candidates" in run.keep:
        losses = figure_data.candidate_losses(trained, draws(run))
        figures["candidates"] = {"values": values, "test_cross_entropy": losses.tolist()}
    if "curves" in run.keep:
        references = {t.method: choose(t, device).calibrated for t in run.teachers}
        factors = [v["epsilon"] for v in values]
        figures["curves"] = figure_data.curves(trained, factors, draws(run).testing, references)

    architecture = trained.architecture  # a run kept for its students keeps no candidate but picks

    def logits(row: Tensor, inputs: Tensor) -> Tensor:
        return architecture.logits(row[None], inputs[None])[0]

    return Chosen(logits, picks, figures, len(trained.loss), int(trained.epochs.sum()))


def _bayes(run: Run) -> Chosen:
    d = draws(run)
    held = zip(d.holding.truth, d.holding.labels, strict=True)
    loss = torch.tensor([metrics.nll(truth, labels) for truth, labels in held])
    ones = torch.ones(run.replicates)
    pick = Pick(ones[:, None][:, :0], ones, ones, loss, [{}] * run.replicates)
    return Chosen(lambda _, x: d.mixture.posterior(x.double()).log(), {"plain": pick}, {})


def _train(run: Run, values: list[dict[str, Any]], device: str) -> ensemble.Trained:
    """All candidates of all replicates, replicate after replicate."""
    checks.one_of("model", run.model, [*MODELS, "bayes"])
    for name in run.training:
        checks.one_of("training parameter", name, TRAINING)
    for teacher in run.teachers:
        name = f"replicates of teacher {teacher.method!r}"
        checks.whole(name, teacher.replicates, run.replicates)
    d, training = draws(run), {**TRAINING, **run.training}
    rate = training.pop("rate")
    taught = [{k: v for k, v in each.items() if k != "restart"} for each in values]
    replicates, count = range(run.replicates), range(len(values))
    lessons = [_lesson(run, r, device) for r in replicates]
    targets = [label(run.method, lesson, each) for lesson in lessons for each in taught]
    seeds = [seed_of(run.seed, "weights", run.method, r, c) for r in replicates for c in count]
    which = torch.arange(run.replicates).repeat_interleave(len(values))
    members = ensemble.Members.make(
        which,
        torch.stack(targets).float(),
        torch.tensor(seeds),
        d.holding.labels.shape[1],
        rate=rate,
        bootstrap=run.parameters.get("beta", 1.0),
        held_weights=_weights(d.holding, run.parameters.get("held", "all"))[which],
    )
    data = ensemble.Data(d.training.inputs, d.holding.inputs, d.holding.labels)
    settings = ensemble.Settings(hidden=MODELS[run.model], **training)
    return ensemble.train(settings, data, members, device=device, progress=run.method)


def _lesson(run: Run, replicate: int, device: str) -> Lesson:
    """The training set of one replicate with what the run's teachers say of it."""
    training = draws(run).training
    x, y = training.inputs[replicate], training.labels[replicate]
    lesson = Lesson(x, y, training.truth.shape[2], seed_of(run.seed, "labels", replicate))
    if not run.teachers:
        return lesson
    teacher = choose(run.teachers[0], device)
    pick = teacher.picks["plain"]
    logits = teacher.logits(pick.rows[replicate], x)
    epsilon = 0.0
    if len(run.teachers) > 1:  # label smoothing, whose factor Beta smoothing takes over
        values = choose(run.teachers[1], device).picks["plain"].values[replicate]
        epsilon = values.get("epsilon", 0.0)
    fitted = float(pick.fitted[replicate])
    return lesson._replace(logits=logits, temperature=fitted, epsilon=epsilon)


def _weights(holding: Sample, part: str) -> Tensor:
    """(R, V): the same for every held-out sample of a part of the plane, 0 elsewhere."""
    checks.one_of("held-out part", part, ["all", "dense", "sparse"])
    of = {
        "all": torch.ones_like(holding.sparse),
        "sparse": holding.sparse,
        "dense": ~holding.sparse,
    }
    return of[part] / of[part].sum(1, keepdim=True)


def _criteria(run: Run, holding: Sample, count: int) -> dict[str, Criterion]:
    """The rows of a run's record."""
    weights = _weights(holding, run.parameters.get("held", "all"))
    criteria = {
        "plain": Criterion(count, False, weights),
        "scaled": Criterion(count, True, weights),
    }
    if run.method == "ls" and count > 1 and "held" not in run.parameters:
        for part in ("dense", "sparse"):
            criteria[part] = Criterion(count, False, _weights(holding, part))
    if "restart" in run.parameters:
        for n in (n for n in BUDGETS if n <= count):
            criteria[f"best of {n}"] = Criterion(n, False, weights)
            criteria[f"best of {n}, scaled"] = Criterion(n, True, weights)
    return criteria


def _pick(
    trained: ensemble.Trained,
    held: Tensor,
    labels: Tensor,
    values: list[dict[str, Any]],
    criterion: Criterion,
) -> Pick:
    """Choose by held-out logits (R, C, V, K) and labels (R, V)."""
    replicates, count = held.shape[:2]
    held = held[:, : criterion.pool]
    shape = held.shape[:3]
    y, weights = (each[:, None].expand(shape) for each in (labels, criterion.weights))
    flat = (held.flatten(0, 1), y.flatten(0, 1), weights.flatten(0, 1))
    fitted = scaling.fit_temperatures(*flat).view(shape[:2])
    applied = fitted if criterion.scaled else torch.ones_like(fitted)
    log_p = (held / applied[:, :, None, None]).log_softmax(3).gather(3, y[..., None])[..., 0]
    loss = -(log_p * weights).sum(2)  # (R, C)
    best, at = loss.argmin(1), torch.arange(replicates)
    rows = trained.parameters[at * count + best]
    chosen = [values[c] for c in best.tolist()]
    return Pick(rows, applied[at, best], fitted[at, best], loss[at, best], chosen)
