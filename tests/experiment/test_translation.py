"""The engine of sentences: its loss and its scores against torch, and that a killed run goes on."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torchmetrics.functional.classification import multiclass_calibration_error

from ldlstudy import scaling
from ldlstudy.data import translation as sentences
from ldlstudy.device import Execution
from ldlstudy.experiment import measure, records, sweep, translation
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Run
from ldlstudy.models.transformer import PAD

SMALL = {"layers": 1, "width": 16, "heads": 2, "feedforward": 16, "dropout": 0.0}
RUN = Run(
    "synonyms", "transformer", "ls", data={"train": 24, "held": 9, "test": 8},
    settings={"epsilon": 0.1}, network=SMALL, recipe={"epochs": 2, "batch": 10, "rate": 0.01},
)  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return translation.loaded(RUN)


@pytest.fixture
def network(data):
    made = translation._untrained(RUN, data)
    with torch.no_grad():
        made.head.weight.mul_(3)
    return made.eval()


@pytest.fixture(autouse=True)
def few_beams(monkeypatch):
    monkeypatch.setattr(translation, "BEAM_TEMPERATURES", (1.0,))


@pytest.mark.parametrize(("method", "epsilon"), [("none", 0.0), ("ls", 0.1)])
def test_a_step_is_torchs_label_smoothing_without_padding(method, epsilon, data, network):
    """The parts of a batch have its gradient; a rate of 1 by plain descent shows it."""
    run = replace(RUN, method=method, settings={"epsilon": epsilon} if epsilon else {})
    other = copy.deepcopy(network)
    rows = torch.arange(7)
    label = translation.labels_of(run, 28)
    descent = torch.optim.SGD(network.parameters(), lr=1.0)
    found, tokens = translation._learn(network, data.train, rows, label, descent, Execution())
    source, target = data.train.padded(rows)
    logits = other(source, target[:, :-1]).flatten(0, 1)
    loss = F.cross_entropy(
        logits, target[:, 1:].flatten(), ignore_index=PAD, label_smoothing=epsilon
    )
    loss.backward()
    torch.optim.SGD(other.parameters(), lr=1.0).step()
    assert found == pytest.approx(float(loss.detach()), rel=1e-5)
    assert tokens == int((target[:, 1:] != PAD).sum())
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def places(network, pairs):
    """Logits of all places of a batch, padding too, and what stands there."""
    source, target = pairs.padded(slice(None))
    with torch.no_grad():
        return network(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten()


def test_scores_are_those_of_torch_and_torchmetrics(data, network):
    values, ends, figures = translation.measured(network, data, intervals=True)
    logits, said = places(network, data.test)
    logits, said = logits[said != PAD], said[said != PAD]
    curves = figures["temperatures"]

    def ece(logits, said, temperature=1.0):
        p = (logits / temperature).softmax(1)
        return float(multiclass_calibration_error(p, said, len(p.T), n_bins=15, norm="l1"))

    assert values["plain"]["accuracy"] == float((logits.argmax(1) == said).double().mean())
    assert values["plain"]["cross_entropy"] == pytest.approx(float(F.cross_entropy(logits, said)))
    assert values["plain"]["ece_15_left"] == pytest.approx(ece(logits, said), abs=1e-5)
    for at in (0, 5, 15):
        t = curves["temperature"][at]
        assert t == pytest.approx(0.5 + at / 10)
        assert curves["ece"][at] == pytest.approx(ece(logits, said, t), abs=1e-5)
        nll = float(F.cross_entropy(logits / t, said))
        assert curves["cross_entropy"][at] == pytest.approx(nll, rel=1e-5)
    held, held_said = places(network, data.held)
    fitted = scaling.fit_temperature(held[held_said != PAD], held_said[held_said != PAD])
    assert values["fitted"]["temperature"] == pytest.approx(fitted, rel=1e-4)
    low, high = ends["plain"]["cross_entropy"]
    assert low < values["plain"]["cross_entropy"] < high
    truth = torch.cat(data.test.truth)
    log_p = logits.double().log_softmax(1)
    kl = (torch.special.xlogy(truth, truth) - truth * log_p).sum(1).mean()
    assert values["plain"]["kl_to_truth"] == pytest.approx(float(kl), rel=1e-4)
    # as coded: every place counts, and no guess is padding
    assert values["coded"]["padding"] == pytest.approx(float((held_said == PAD).double().mean()))
    right = float((held.argmax(1) == held_said).double().mean())
    assert values["coded"]["accuracy"] == pytest.approx(right)
    assert values["coded"]["ece_15_left"] == pytest.approx(ece(held, held_said), abs=1e-5)
    best = values["coded_searched"]
    assert best["ece_15_left"] == min(curves["coded_ece"])
    assert best["ece_15_left"] == pytest.approx(ece(held, held_said, best["temperature"]), abs=1e-5)


def test_bleu_is_1_of_the_references_themselves_and_0_of_other_words(data, network, monkeypatch):
    def told(lengths, say):
        order = lengths.argsort(stable=True).tolist()
        texts = [data.test.target[i].tolist()[1:-1] for i in order]
        monkeypatch.setattr(translation, "translate", lambda *_: say(texts))
        return translation.bleu(network, data)

    lengths = torch.tensor([len(each) for each in data.test.source])
    assert told(lengths, lambda texts: texts) == pytest.approx(1)
    assert told(lengths, lambda texts: [[4]] * len(texts)) < 0.01


def test_sentences_are_drawn_whole():
    """One token a sentence is an ordinary bootstrap; a sentence twice is as good as once."""
    p = torch.tensor([[0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    y = torch.tensor([0, 1, 0, 1])
    alone = measure.terms_of(measure.Answers(p, y), ("cross_entropy", "ece_15_left"))
    twice = measure.terms_of(
        measure.Answers(p.repeat_interleave(2, 0), y.repeat_interleave(2)),
        ("cross_entropy", "ece_15_left"),
    )
    assert set(alone) == {"cross_entropy", "ece_15_left"}
    plain = measure.intervals_of(alone, 4, 200)
    assert measure.intervals_of(alone, 4, 200, torch.arange(4)) == plain
    grouped = measure.intervals_of(twice, 8, 200, torch.arange(4).repeat_interleave(2))
    for name, ends in plain.items():
        assert grouped[name] == pytest.approx(ends)


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(data, tmp_path):
    whole, parts = (translation._untrained(RUN, data) for _ in range(2))
    run = replace(RUN, network={**SMALL, "dropout": 0.2})
    once = translation.train(run, whole, data, Execution())
    file, short = tmp_path / "checkpoint.pt", replace(run, recipe={**run.recipe, "epochs": 1})
    translation.train(short, parts, data, Execution(), file)
    again = translation._untrained(RUN, data)
    twice = translation.train(run, again, data, Execution(), file)
    for ours, theirs in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert [e["held_loss"] for e in once] == [e["held_loss"] for e in twice]
    assert once[1]["loss"] < once[0]["loss"]
    for other in (replace(run, seed=1), replace(run, method="none", settings={})):
        with pytest.raises(ValueError, match="is of another training"):
            translation.train(other, again, data, Execution(), file)


def test_a_sweep_keeps_a_record_that_is_not_made_again(tmp_path):
    planned = Planned(RUN)
    assert sweep.perform([planned], Execution(), tmp_path, tmp_path / "runs") == {}
    found = records.load(RUN, tmp_path)
    assert set(found.values) == {"plain", "fitted", "searched", "coded", "coded_searched"}
    assert set(found.all_figures) == {"history", "reliability", "temperatures"}
    assert found.made["data"] == translation.loaded(RUN).digest
    assert (found.made["epochs"], found.made["precision"]) == (2, "float32")
    assert sweep.missing([planned], tmp_path, tmp_path / "runs") == {}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "lenet"}, "unknown model 'lenet'; known: transformer"),
        ({"recipe": {"momentum": 0.9}}, "unknown training setting 'momentum'"),
        ({"recipe": {"epochs": 0}}, "epochs must be"),
        ({"data": {"size": 3}}, "unknown option of synonyms 'size'"),
        ({"augmentation": {"flip": True}}, "takes no augmentation"),
        ({"mixing": {"name": "mixup"}}, "takes no mixing"),
        ({"replicates": 2}, "one replicate, got 2"),
        ({"method": "cs_kd"}, "method 'cs_kd' does not train translators"),
        ({"settings": {}}, "epsilon"),
    ],
)
def test_what_is_asked_for_and_cannot_be_done(changed, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        translation.execute(Planned(replace(RUN, **changed)), work=tmp_path)


def test_nothing_is_kept_that_is_not_measured_anyway(tmp_path):
    with pytest.raises(ValueError, match="takes no keep"):
        translation.execute(Planned(RUN, ("plane",)), work=tmp_path)


def test_the_sets_it_takes():
    assert translation.DATASETS == (sentences.NAME, sentences.MADE)
