"""Run one method of the ILS study on replicates of a Gaussian mixture, and record what came out.

For each replicate a method trains a small network for every combination of its parameters
(:mod:`ldlstudy.selection`), picks the best on held-out data, and is measured here on test data
whose true posterior is known.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from ldlstudy import checks, figure_data, machine, metrics, stats
from ldlstudy.draws import Sample
from ldlstudy.records import Record, Run, rounded
from ldlstudy.selection import Chosen, Pick, choose, draws

KEPT = ("candidates", "curves", "histograms", "map")  # what a run may ask to keep for figures
METRICS: dict[str, Callable[[Tensor, Sample], float]] = {
    "accuracy": lambda p, s: metrics.accuracy(p, s.labels),
    "accuracy_dense": lambda p, s: metrics.accuracy(p[~s.sparse], s.labels[~s.sparse]),
    "accuracy_sparse": lambda p, s: metrics.accuracy(p[s.sparse], s.labels[s.sparse]),
    "cross_entropy": lambda p, s: metrics.nll(p, s.labels),
    "brier": lambda p, s: metrics.brier(p, s.labels),
    "ece": lambda p, s: metrics.ece(p, s.labels),
    "class_conditional_ece": lambda p, s: metrics.class_conditional_ece(p, s.labels),
    "classwise_ece": lambda p, s: metrics.classwise_ece(p, s.labels),
    "kl_to_truth": lambda p, s: metrics.kl_to_truth(s.truth, p),
    "total_variation": lambda p, s: metrics.total_variation(s.truth, p),
}


def execute(run: Run, device: str = "cpu") -> Record:
    """Train, pick and measure; the record of ``run``.

    Parameters
    ----------
    run : Run
        ``dataset`` "six_gaussians", ``model`` a name of :data:`ldlstudy.selection.MODELS` or
        "bayes", ``method`` a name of :data:`ldlstudy.methods.METHODS`.
    device : str
        Where the networks train; they are measured on the CPU.

    Raises
    ------
    ValueError
        An unknown name or a value out of range.
    """
    for name in run.keep:
        checks.one_of("data to keep", name, KEPT)
    start = time.perf_counter()
    with machine.one_thread_an_operation():  # many small operations, side by side where it pays
        chosen = choose(run, device)
        rows, figures = {}, dict(chosen.figures)
        for name, pick in chosen.picks.items():
            rows[name], drawn = _measure(run, chosen, pick)
            figures |= {f"{name} {kind}": data for kind, data in drawn.items()}
    made = machine.circumstances(device, time.perf_counter() - start)
    made |= {"networks": chosen.networks, "epochs": chosen.epochs, "data": _data_hash(run)}
    estimates = {
        name: {metric: list(stats.estimate(values)) for metric, values in row.items()}
        for name, row in rows.items()
    }
    results = (rounded(each) for each in (rows, estimates, figures, made))
    return Record(run.specification, *results)


def _measure(run: Run, chosen: Chosen, pick: Pick) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Every metric for every replicate, and the data for figures that the run asks to keep."""
    mixture, testing = draws(run).mixture, draws(run).testing

    def one(r: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        sample = Sample(*(field[r] for field in testing))
        p = chosen.probabilities(pick, r, sample.inputs)
        kept = {}
        if "histograms" in run.keep:
            kept["histograms"] = figure_data.histograms(p, sample.labels)
        if "map" in run.keep:
            kept["map"] = figure_data.error_map(mixture, lambda x: chosen.probabilities(pick, r, x))
        return {name: metric(p, sample) for name, metric in METRICS.items()}, kept

    replicates = machine.parallel(one, range(run.replicates))
    row = {name: [values[name] for values, _ in replicates] for name in METRICS}
    row["held_out_loss"] = pick.loss.tolist()
    row["temperature"] = pick.temperature.tolist()
    for name, value in pick.values[0].items():
        if not isinstance(value, str):
            row[name] = [float(values[name]) for values in pick.values]
    kinds = replicates[0][1]
    return row, {kind: np.mean([k[kind] for _, k in replicates], 0).tolist() for kind in kinds}


def _data_hash(run: Run) -> str:
    """SHA-256 of the first replicate's training inputs and labels."""
    training = draws(run).training
    content = training.inputs[0].numpy().tobytes() + training.labels[0].numpy().tobytes()
    return hashlib.sha256(content).hexdigest()
