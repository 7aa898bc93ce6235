"""Carry out runs on points, by replicates: train candidates, choose, measure, record.

Points are those of a Gaussian mixture, or samples whose label distributions or classes are known,
in repeated cross-validation (:mod:`ldlstudy.data.distributions`, :mod:`ldlstudy.data.tabular`).

All networks of all replicates of a run are trained together (:mod:`ldlstudy.training.ensemble`),
one for every combination of its settings. In each replicate one is chosen by cross entropy on
held-out data, as everywhere in the ILS paper, and measured on test data whose true posterior is
known. Where a run asks for it, the Bayes-optimal model takes the place of a network: its logits are
the log of the posterior.
"""

import functools
import hashlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks, device, methods, metrics, scaling, stats
from ldlstudy.batch import Task, Teacher
from ldlstudy.data import default_root, distributions, tabular
from ldlstudy.data.distributions import Folds
from ldlstudy.data.replicates import Replicates, Sample
from ldlstudy.experiment import point_figures
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Record, Run, Values
from ldlstudy.mixture import six_gaussians
from ldlstudy.seeds import seed_of
from ldlstudy.training import ensemble

DATASET = "six_gaussians"
OF_CLASSES = (*tabular.BUNDLED, *tabular.NAMES)
DATASETS = (DATASET, *distributions.NAMES, distributions.MADE, *OF_CLASSES)
MODELS = {"mlp64x5": (64,) * 5, "mlp64x1": (64,)}
DATA = {"separation": 1.0, "train": 50, "held": 50, "test": 5000}
RECIPE: dict[str, Any] = {
    "rate": 0.01,
    "epochs": 500,
    "patience": 10,
    "batch": None,
    "init": "torch",
}
CHOICE = {  # what a recipe may say of the choice among candidates
    "held": "all",  # the part of the plane whose held-out samples stop and choose
    "restart": None,  # numbers of the starts from other weights, each a candidate
}
BUDGETS = (1, 12, 30, 48, 120)  # candidates that the paper's methods choose from
KEPT = ("candidates", "curves", "histograms", "map")  # what a run may ask to keep for figures
METRICS: dict[str, Callable[[Tensor, Sample], float]] = {
    "accuracy": lambda p, s: metrics.accuracy(p, s.labels),
    "cross_entropy": lambda p, s: metrics.nll(p, s.labels),
    "brier": lambda p, s: metrics.brier(p, s.labels),
    "ece_15_right": lambda p, s: metrics.ece(p, s.labels),
    "class_conditional_ece": lambda p, s: metrics.class_conditional_ece(p, s.labels),
    "classwise_ece": lambda p, s: metrics.classwise_ece(p, s.labels),
    "kl_to_truth": lambda p, s: metrics.kl_to_truth(s.truth, p),
    "total_variation": lambda p, s: metrics.total_variation(s.truth, p),
}
OF_PLANE: dict[str, Callable[[Tensor, Sample], float]] = {  # where some classes are sparse
    "accuracy_dense": lambda p, s: metrics.accuracy(p[~s.sparse], s.labels[~s.sparse]),
    "accuracy_sparse": lambda p, s: metrics.accuracy(p[s.sparse], s.labels[s.sparse]),
}
OF_DISTRIBUTIONS: dict[str, Callable[[Tensor, Sample], float]] = {  # the field's six, with the KL
    "chebyshev": lambda p, s: metrics.chebyshev(s.truth, p),
    "clark": lambda p, s: metrics.clark(s.truth, p),
    "canberra": lambda p, s: metrics.canberra(s.truth, p),
    "cosine": lambda p, s: metrics.cosine(s.truth, p),
    "intersection": lambda p, s: metrics.intersection(s.truth, p),
}


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
        The method's settings in each replicate.
    """

    rows: Tensor
    temperature: Tensor
    fitted: Tensor
    loss: Tensor
    values: list[dict[str, Any]]


@dataclass(frozen=True)
class Chosen:
    """What a run trained and picked: a pick for each stage of its record."""

    logits: Callable[[Tensor, Tensor], Tensor]  # a row (P,) and inputs (N, F) -> logits (N, K)
    picks: dict[str, Pick]
    figures: dict[str, Any]
    networks: int = 0
    epochs: int = 0

    def probabilities(self, pick: Pick, replicate: int, inputs: Tensor) -> Tensor:
        """Return those of the network picked in one replicate, for inputs (N, F): shape (N, K)."""
        logits = self.logits(pick.rows[replicate], inputs)
        return (logits / pick.temperature[replicate].to(logits)).softmax(1)

    def calibrated(self, replicate: int, inputs: Tensor) -> Tensor:
        """Return probabilities (N, K) after temperature scaling, where the run has that stage."""
        return self.probabilities(self.picks.get("scaled", self.picks["plain"]), replicate, inputs)


class Criterion(NamedTuple):
    """How to choose among the first ``pool`` candidates.

    With or without temperature scaling, by held-out samples of ``weights`` (R, V).
    """

    pool: int
    scaled: bool
    weights: Tensor


def execute(planned: Planned, where: str = "cpu") -> Record:
    """Train, pick and measure; return the record of a run.

    Parameters
    ----------
    planned : Planned
        Its run's ``dataset`` is one of :data:`DATASETS`, ``model`` a key of :data:`MODELS` or
        "bayes", ``method`` one of :data:`ldlstudy.methods.METHODS` that has a label strategy.
    where : str
        The device on which the networks train; they are measured on the CPU.

    Raises
    ------
    ValueError
        An unknown name or a value out of range.
    """
    run = planned.run
    for name in planned.keep:
        checks.one_of("data to keep", name, KEPT)
    start = time.perf_counter()
    with device.one_thread_an_operation():  # many small operations, side by side where it pays
        chosen = choose(run, planned.keep, where)
        values: Values = {}
        figures = dict(chosen.figures)
        for stage, pick in chosen.picks.items():
            values[stage], shown = _measure(planned, chosen, pick)
            figures |= {f"{stage} {kind}": data for kind, data in shown.items()}
        if run.dataset not in (DATASET, *OF_CLASSES):
            values["label"] = _of_labels(run, chosen.picks["plain"], where)
    made = device.circumstances(where) | {
        "seconds": time.perf_counter() - start,
        "networks": chosen.networks,
        "epochs": chosen.epochs,
        "data": _data_hash(run),
    }
    intervals: Values = {}
    for stage, row in values.items():
        ends = {metric: stats.estimate(found)[1:] for metric, found in row.items()}
        intervals[stage] = {metric: [*each] for metric, each in ends.items() if each[0] < each[1]}
    kept = tuple(sorted(planned.keep))
    return Record(run.specification, values, intervals, made, kept, figures)


def _measure(
    planned: Planned, chosen: Chosen, pick: Pick
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Every metric for every replicate, and the data for figures that are to be kept."""
    run = planned.run
    replicates, measured = replicates_of(run), metrics_of(run.dataset)
    testing = replicates.testing

    def one(r: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        sample = testing.at(r)
        p = chosen.probabilities(pick, r, sample.inputs)
        kept = {}
        if "histograms" in planned.keep:
            kept["histograms"] = point_figures.histograms(p, sample.labels)
        if "map" in planned.keep:
            assert isinstance(replicates, Replicates)
            kept["map"] = point_figures.error_map(
                replicates.mixture, lambda x: chosen.probabilities(pick, r, x)
            )
        return {name: metric(p, sample) for name, metric in measured.items()}, kept

    found = device.parallel(one, range(run.replicates))
    row = {name: [values[name] for values, _ in found] for name in measured}
    row["held_out_loss"] = pick.loss.tolist()
    row["temperature"] = pick.temperature.tolist()
    for name, value in pick.values[0].items():
        if not isinstance(value, str):
            row[name] = [float(values[name]) for values in pick.values]
    kinds = found[0][1]
    return row, {kind: np.mean([k[kind] for _, k in found], 0).tolist() for kind in kinds}


def _of_labels(run: Run, pick: Pick, where: str) -> dict[str, list[float]]:
    """How far the labels that were taught are from the truth of the training samples."""
    method, training = methods.named(run.method), replicates_of(run).training
    measured = {**OF_DISTRIBUTIONS, "total_variation": METRICS["total_variation"]}
    found: dict[str, list[float]] = {name: [] for name in measured}
    for r in range(run.replicates):
        task, more = _task(run, r, where)
        settings = {name: v for name, v in pick.values[r].items() if name != "restart"}
        label = method.labels(task, settings | more)
        for name, metric in measured.items():
            found[name].append(metric(label, training.at(r)))
    return found


def metrics_of(dataset: str) -> dict[str, Callable[[Tensor, Sample], float]]:
    """Return what is measured on a set of points."""
    if dataset in OF_CLASSES:  # whose true distributions nobody knows
        return {n: m for n, m in METRICS.items() if n not in ("kl_to_truth", "total_variation")}
    return METRICS | (OF_PLANE if dataset == DATASET else OF_DISTRIBUTIONS)


def _data_hash(run: Run) -> str:
    """SHA-256 of the first replicate's training inputs and labels."""
    first = replicates_of(run).training.at(0)
    content = first.inputs.numpy().tobytes() + first.labels.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()


def replicates_of(run: Run) -> Replicates | Folds:
    """Return what a run is trained and tested on; runs on the same data share it."""
    checks.one_of("dataset", run.dataset, DATASETS)
    known = DATA if run.dataset == DATASET else {}
    for name in run.data:
        checks.one_of("data parameter", name, known)
    count, seed = checks.whole("replicates", run.replicates, 1), checks.whole("seed", run.seed, 0)
    if run.dataset != DATASET:
        return _folds(run.dataset, default_root(), count, seed)
    d = {**DATA, **run.data}
    sizes = (checks.whole(name, d[name], 1) for name in ("train", "held", "test"))
    return _replicates(d["separation"], *sizes, count, seed)


@functools.lru_cache(maxsize=2)
def _folds(name: str, root: Path, count: int, seed: int) -> Folds:
    return Folds(name, root, count, seed)


@functools.lru_cache(maxsize=4)
def _replicates(separation: float, *sizes_and_seed: int) -> Replicates:
    return Replicates(six_gaussians(separation), *sizes_and_seed)


_CHOSEN: dict[tuple[Run, str], Chosen] = {}  # for the students of a run, the last ones alone
REMEMBERED = 16


def choose(run: Run, keep: Collection[str] = (), where: str = "cpu") -> Chosen:
    """Train the candidates of every replicate and pick the best on held-out data.

    What was chosen is remembered for the students of a run. An unknown name or a value out of range
    is a ValueError.
    """
    wanted = {name for name in keep if name in ("candidates", "curves")}
    known = _CHOSEN.pop((run, where), None)
    if known is None or not wanted <= known.figures.keys():
        known = _bayes(run) if run.model == "bayes" else _choose(run, wanted, where)
    _CHOSEN[run, where] = known
    while len(_CHOSEN) > REMEMBERED:
        del _CHOSEN[next(iter(_CHOSEN))]
    return known


def _choose(run: Run, keep: Collection[str], where: str) -> Chosen:
    values = _candidates(run)
    trained = _train(run, values, where)
    replicates, count = replicates_of(run), len(values)
    holding = replicates.holding
    held = torch.stack(  # (R, C, V, K)
        [
            trained.logits(rows, x.expand(count, -1, -1))
            for rows, x in zip(trained.parameters.split(count), holding.inputs, strict=True)
        ]
    )
    picks = {
        stage: _pick(trained, held, holding.labels, values, criterion)
        for stage, criterion in _criteria(run, holding, count).items()
    }
    figures: dict[str, Any] = {}
    if "candidates" in keep:
        losses = point_figures.candidate_losses(trained, replicates)
        figures["candidates"] = {"values": values, "test_cross_entropy": losses.tolist()}
    if "curves" in keep:
        references = {t.method: choose(t, where=where).calibrated for t in run.teachers}
        factors = [v["epsilon"] for v in values]
        figures["curves"] = point_figures.curves(trained, factors, replicates.testing, references)

    architecture = trained.architecture  # a run kept for its students keeps no candidate but picks

    def logits(row: Tensor, inputs: Tensor) -> Tensor:
        return architecture.logits(row[None], inputs[None])[0]

    return Chosen(logits, picks, figures, len(trained.loss), int(trained.epochs.sum()))


def _bayes(run: Run) -> Chosen:
    replicates = replicates_of(run)
    held = zip(replicates.holding.truth, replicates.holding.labels, strict=True)
    loss = torch.tensor([metrics.nll(truth, labels) for truth, labels in held])
    ones = torch.ones(run.replicates)
    pick = Pick(ones[:, None][:, :0], ones, ones, loss, [{}] * run.replicates)
    if not isinstance(replicates, Replicates):
        raise ValueError(f"the Bayes-optimal model of {run.dataset} is not known")
    posterior = replicates.mixture.posterior
    return Chosen(lambda _, x: posterior(x.double()).log(), {"plain": pick}, {})


def _choice(run: Run) -> dict[str, Any]:
    """What the recipe says of the choice among candidates."""
    return {name: run.recipe.get(name, value) for name, value in CHOICE.items()}


def _candidates(run: Run) -> list[dict[str, Any]]:
    """Every combination of a run's settings, and of the starts from other weights."""
    keeps = methods.named(run.method).keeps
    grid = {name: value for name, value in run.settings.items() if name != keeps}
    restart = _choice(run)["restart"]
    return methods.candidates(grid if restart is None else {**grid, "restart": restart})


def _train(run: Run, values: list[dict[str, Any]], where: str) -> ensemble.Trained:
    """All candidates of all replicates, replicate after replicate."""
    checks.one_of("model", run.model, [*MODELS, "bayes"])
    for name in run.recipe:
        checks.one_of("training parameter", name, (*RECIPE, *CHOICE))
    for teacher in run.teachers:
        name = f"replicates of teacher {teacher.method!r}"
        checks.whole(name, teacher.replicates, run.replicates)
    replicates, method = replicates_of(run), methods.named(run.method)
    recipe = {**RECIPE, **{k: v for k, v in run.recipe.items() if k in RECIPE}}
    rate = recipe.pop("rate")
    each, count = range(run.replicates), range(len(values))
    targets = []
    for r in each:
        task, more = _task(run, r, where)
        for candidate in values:
            settings = {k: v for k, v in candidate.items() if k != "restart"}
            targets.append(method.labels(task, settings | more))
    seeds = [seed_of(run.seed, "weights", run.method, r, c) for r in each for c in count]
    which = torch.arange(run.replicates).repeat_interleave(len(values))
    members = ensemble.Members.make(
        which,
        torch.stack(targets).float(),
        torch.tensor(seeds),
        replicates.holding.labels.shape[1],
        rate=rate,
        bootstrap=run.settings[method.keeps] if method.keeps else 1.0,
        held_weights=_weights(replicates.holding, _choice(run)["held"])[which],
    )
    data = ensemble.Data(
        replicates.training.inputs, replicates.holding.inputs, replicates.holding.labels
    )
    trained_as = ensemble.Settings(hidden=MODELS[run.model], **recipe)
    return ensemble.train(trained_as, data, members, device=where, title=run.method)


def _task(run: Run, replicate: int, where: str) -> tuple[Task, dict[str, Any]]:
    """The training set of one replicate with its teacher, and settings that a teacher chose.

    A run that learns no label of a teacher has others as references for its figures alone.
    """
    training = replicates_of(run).training
    sample = training.at(replicate)
    seed = seed_of(run.seed, "labels", replicate)
    task = Task(sample.labels, training.truth.shape[2], sample.inputs, sample.truth, seed=seed)
    method = methods.named(run.method)
    if not method.teacher:
        return task, {}
    if not run.teachers:
        raise ValueError(f"method {run.method!r} needs a teacher, the run names none")
    first = choose(run.teachers[0], where=where)
    pick = first.picks["plain"]
    logits = first.logits(pick.rows[replicate], sample.inputs)
    teacher = Teacher(logits[None], float(pick.fitted[replicate]))
    more = {}
    if len(run.teachers) > 1:  # label smoothing, whose factor Beta smoothing takes over
        values = choose(run.teachers[1], where=where).picks["plain"].values[replicate]
        more["epsilon"] = values["epsilon"]
    return replace(task, teacher=teacher), more


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
    """The stages of a run's record."""
    choice = _choice(run)
    weights = _weights(holding, choice["held"])
    criteria = {
        "plain": Criterion(count, False, weights),
        "scaled": Criterion(count, True, weights),
    }
    if run.method == "ls" and count > 1 and choice["held"] == "all" and holding.sparse.any():
        for part in ("dense", "sparse"):
            criteria[part] = Criterion(count, False, _weights(holding, part))
    if choice["restart"] is not None:
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
    with scaling.unwarned():
        fitted = scaling.fit_temperatures(*flat).view(shape[:2])
    applied = fitted if criterion.scaled else torch.ones_like(fitted)
    log_p = (held / applied[:, :, None, None]).log_softmax(3).gather(3, y[..., None])[..., 0]
    loss = -(log_p * weights).sum(2)  # (R, C)
    best, at = loss.argmin(1), torch.arange(replicates)
    rows = trained.parameters[at * count + best]
    chosen = [values[c] for c in best.tolist()]
    return Pick(rows, applied[at, best], fitted[at, best], loss[at, best], chosen)
