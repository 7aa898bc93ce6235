"""Runs that train in a blink, and what tests of experiments ask of them."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import torch

from ldlstudy.experiment import sweep
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import NETWORK, workplace
from ldlstudy.experiment.records import Run
from ldlstudy.training import checkpoints

SIZES = {"train": 6, "test": 6, "draw": 0}  # with a draw, nothing is drawn again for an interval
CUTMIX = {"name": "cutmix"}


def tiny(method="none", settings=None, teachers=(), *, hidden=16, **fields):
    """Return a run of three epochs of four batches on 60 noisy digits."""
    recipe = {"epochs": 3, "batch": 16, "rate": 0.1, **fields.pop("recipe", {})}
    return Run(
        fields.pop("dataset", "noisy_digits"),
        fields.pop("model", "small_fcn"),
        method,
        fields.pop("data", SIZES),
        fields.pop("network", {"hidden": [hidden], "dropout": 0.2}),
        settings or {},
        recipe=recipe,
        teachers=tuple(teachers),
        **fields,
    )


TEACHER = tiny(hidden=32, augmentation={"shift": 1})


HELD = {**SIZES, "validation": 6}
KINDS = {  # of sweeps: what they keep between two epochs
    "teachers": [TEACHER, tiny("kd", {"weight": 0.5, "temperature": 2.0}, [TEACHER])],
    "together": [tiny("ls", {"epsilon": e}, recipe={"order": 1}) for e in (0.1, 0.2, 0.3)],
    "candidates": [tiny("ls", {"epsilon": [0.1, 0.2]}, data=HELD)],
    "adam": [tiny(mixing=CUTMIX, recipe={"optimiser": "adam", "rate": 0.01, "epochs": 6})],
    "a memory": [TEACHER, tiny("crd", {"negatives": 8}, [TEACHER])],
    "a history": [tiny("ogr", {"gap": 1}, data={**SIZES, "held": 0.3})],
}


def plans(runs):
    """Return the runs as planned, with nothing kept."""
    return [Planned(run) for run in runs]


def weights(run, work):
    """Return the weights that a run left in ``work``."""
    return checkpoints.load(workplace(run, work) / NETWORK)["network"]


def equal(one, other):
    """Return whether two networks have the same weights."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def until(there, process=None, seconds=120):
    """Wait until ``there()``; a process that ends before that is a failure."""
    end = time.monotonic() + seconds
    while not there():
        assert process is None or process.poll() is None, "the process ended"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def stay_in_this_process(monkeypatch):
    """Carry runs out one after the other where processes of their own are not the point."""

    @contextlib.contextmanager
    def pool(workers, cluster):
        with ThreadPoolExecutor(1) as executor:
            yield executor

    monkeypatch.setattr(sweep, "pool", pool)
