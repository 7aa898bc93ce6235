"""Measuring again: a record gets what it lacks from the weights, without training."""

from dataclasses import replace

import pytest
import torch

from ldlstudy.device import Execution
from ldlstudy.experiment import measure, records
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import NETWORK, PREDICTIONS, workplace
from ldlstudy.experiment.records import Run
from ldlstudy.experiment.rescore import rescore
from ldlstudy.experiment.sweep import perform
from ldlstudy.files import rounded
from ldlstudy.terms import Mean
from ldlstudy.training import checkpoints
from tests.experiment.runs import CUTMIX, SIZES, TEACHER, tiny

ALONE = tiny("ls", {"epsilon": 0.1})
DIGITS = {**SIZES, "sigma": 0.5}
MIXED = tiny("distil", {"relabel": True}, [TEACHER], mixing=CUTMIX, data=DIGITS)
BESIDE = tiny("crd", {"negatives": 8}, [TEACHER])
ON_POINTS = Run("six_gaussians", "bayes", "bayes")


class Study:
    """A folder in which runs are carried out and measured again."""

    def __init__(self, folder):
        self.results, self.work = folder / "results", folder / "runs"
        self.said = []

    def run(self, *planned):
        for each in planned:
            perform([each], Execution(), self.results, self.work)

    def again(self, *planned):
        return rescore(planned, Execution(), self.results, self.work, self.said.append)

    def record(self, run):
        return records.load(run, self.results)

    def files(self):
        return [self.results / f"noisy_digits{kind}.jsonl" for kind in ("", ".figures")]


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def least(answers):
    """Return the confidence of the least certain answer, which is not measured otherwise."""
    return Mean(answers.p.max(1).values.double().min()[None])


def test_a_metric_that_a_record_lacks_is_added_from_its_weights(study, monkeypatch):
    study.run(Planned(ALONE))
    before = study.record(ALONE)
    monkeypatch.setitem(measure.METRICS, "least_confidence", least)
    monkeypatch.setattr(torch.Tensor, "backward", lambda *_: pytest.fail("it trains"))
    assert study.again(Planned(ALONE)) == 1
    after = study.record(ALONE)
    for stage, row in before.values.items():
        assert set(after.values[stage]) == {*row, "least_confidence"}
        assert row.items() <= after.values[stage].items()
    logits = checkpoints.load(workplace(ALONE, study.work) / PREDICTIONS)["test"]
    expected = float(logits.softmax(1).max(1).values.min())
    assert after.values["plain"]["least_confidence"] == rounded(expected)
    assert after.made == before.made
    assert after.figure("history") == before.figure("history")
    assert [line.split(":")[1].strip() for line in study.said] == [ALONE.id]


def test_values_that_a_record_has_stay_whatever_is_measured_now(study, monkeypatch):
    study.run(Planned(ALONE))
    before = study.record(ALONE)
    monkeypatch.setitem(measure.METRICS, "brier", lambda answers: Mean(torch.tensor([7.0])))
    study.again(Planned(ALONE, ("reliability",)))
    after = study.record(ALONE)
    assert after.values == before.values
    assert after.kept == ("reliability",)
    assert set(after.figure("reliability")) == {"plain", "fitted", "searched"}


def test_weights_of_another_training_give_a_record_nothing(study):
    study.run(Planned(ALONE))
    known = study.record(ALONE)
    figures = known.all_figures
    for file in study.files():
        file.unlink()
    values = {**known.values["plain"], "accuracy": known.values["plain"]["accuracy"] - 0.01}
    values = {**known.values, "plain": values}
    records.save(replace(known, values=values, figures=figures), study.results)
    assert study.again(Planned(ALONE, ("reliability",))) == 0
    assert study.record(ALONE).kept == ()
    assert study.said[0].endswith(f"{ALONE.id}, whose weights are of another training")


def test_measured_again_a_record_that_lacks_nothing_stays_as_it_is(study):
    planned = Planned(ALONE, ("by_class", "neighbours"))
    study.run(planned)
    before = [file.read_bytes() for file in study.files()]
    study.again(planned)
    assert [file.read_bytes() for file in study.files()] == before


@pytest.mark.parametrize(
    ("run", "figures", "numbers"),
    [(MIXED, ("answers", "plane", "sampled", "supervision"), ("label",)),
     (BESIDE, ("by_class", "embedding"), ("neighbours",))],
)  # fmt: skip
def test_what_a_run_can_keep_is_the_same_at_once_and_afterwards(run, figures, numbers, study):
    """Teachers are asked again, and mixed images mixed as they were."""
    study.run(Planned(TEACHER), Planned(run))
    assert study.again(Planned(run, (*figures, *numbers))) == 1
    later = study.record(run)
    found = [later.figure(name) for name in figures]
    for file in study.files():
        file.unlink()
    study.run(Planned(run, (*figures, *numbers)))
    at_once = study.record(run)
    assert later.kept == at_once.kept == tuple(sorted((*figures, *numbers)))
    assert later.values == at_once.values
    assert found == [at_once.figure(name) for name in figures]


def test_only_runs_with_a_record_and_weights_are_measured(study):
    other = replace(ALONE, seed=1)
    study.run(Planned(ALONE), Planned(other))
    (workplace(other, study.work) / NETWORK).unlink()
    assert study.again(*map(Planned, (ALONE, other, replace(ALONE, seed=2), ON_POINTS))) == 1
    assert study.again() == 0


def test_losses_of_each_class_cannot_be_had_afterwards(study):
    study.run(Planned(ALONE))
    study.again(Planned(ALONE, ("class_loss",)))
    assert "class_loss" not in study.record(ALONE).kept
