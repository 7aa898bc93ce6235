import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ldlstudy import images, objectives, setting
from ldlstudy.batches import Batch
from ldlstudy.execution import Execution
from ldlstudy.methods import Lesson
from ldlstudy.models import Classifier
from ldlstudy.models.layers import pool
from ldlstudy.uncertainty import mean_logits, overfitting, sampled, with_dropout
from tests.test_images import SIZES, tiny

VIEWS = torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def plain():
    torch.manual_seed(1)
    body = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), pool())
    return Classifier(body, nn.Linear(16, 4), 1)


def network(probability=0.5):
    return with_dropout(plain(), probability).eval()


def test_dropout_is_of_the_penultimate_features():
    """Each is dropped, or doubled at p = .5: what the head multiplies is what `features` gives."""
    net = network()
    whole = net.features(VIEWS)
    net.body[1].train()  # batch normalisation stays as in tests
    seen = net.features(VIEWS)
    assert seen[whole > 0].div(whole[whole > 0]).unique().tolist() == pytest.approx([0, 2])


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_no_probability(probability):
    with pytest.raises(ValueError, match=r"dropout must lie in \[0, 1\]"):
        with_dropout(plain(), probability)


@pytest.mark.parametrize("passes", [1, 2, 20])
def test_sampling_is_the_mean_of_as_many_passes(passes):
    net, expected = network(), torch.zeros(9, 4, dtype=torch.float64)
    torch.manual_seed(7)
    answer = sampled(net, passes)(VIEWS).softmax(1)
    torch.manual_seed(7)
    net.body[1].train()
    for _ in range(passes):
        expected += net(VIEWS).double().softmax(1) / passes
    torch.testing.assert_close(answer.double(), expected.detach(), rtol=1e-5, atol=1e-6)
    net.eval()
    assert not torch.allclose(answer, net(VIEWS).softmax(1), atol=1e-3)


def test_all_but_dropout_stays_as_in_tests():
    net, modes = network(), []
    handles = [
        m.register_forward_hook(lambda m, *_: modes.append((type(m), m.training)))
        for m in net.modules()
    ]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    sampled(net, 3)(VIEWS)
    assert {kind for kind, training in modes if training} == {nn.Dropout}
    assert any(issubclass(kind, nn.BatchNorm2d) for kind, _ in modes)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(m.training for m in net.modules())
    for handle in handles:
        handle.remove()


def test_a_certain_network_has_finite_logits():
    """In float32 the probabilities of the other classes are 0, and their logarithm infinite."""
    net = network()
    with torch.no_grad():
        net.head.weight.mul_(1e4)
        answer = sampled(net, 5)(VIEWS)
    assert float(answer.softmax(1).min()) == 0
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize(
    ("probability", "passes", "message"),
    [
        (0.5, 0, "passes must be a whole number of at least 1, got 0"),
        (0.5, 1.5, "passes must be a whole number of at least 1, got 1.5"),
        (0.0, 20, 'Monte-Carlo dropout needs a network with dropout, such as .*"dropout": 0.2}'),
    ],
)
def test_nothing_to_sample(probability, passes, message):
    with pytest.raises(ValueError, match=message):
        sampled(network(probability), passes)


def test_a_network_without_dropout():
    with pytest.raises(ValueError, match="needs a network with dropout"):
        sampled(plain().eval(), 20)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1), st.sampled_from([0.1, 3.0, 30.0]))
def test_the_mean_of_probabilities_as_logits(count, seed, scale):
    logits = torch.from_numpy(np.random.default_rng(seed).normal(scale=scale, size=(count, 3, 4)))
    expected = logits.softmax(2).mean(0)
    torch.testing.assert_close(mean_logits(logits).softmax(1).double(), expected, rtol=0, atol=1e-6)


DROPPED = {"network": {"hidden": [16], "dropout": 0.5}}
SAMPLED = tiny(training={**DROPPED, "passes": 5}, augment={"shift": 1})


def test_records_of_sampled_predictions_are_reproduced_and_are_not_those_of_one_pass(tmp_path):
    first, again = (images.execute(SAMPLED, work=tmp_path / name) for name in "ab")
    torch.manual_seed(99)
    alone = images.execute(tiny(training=DROPPED, augment={"shift": 1}), work=tmp_path / "a")
    assert first.rows == again.rows
    assert first.rows["plain"]["ece_10"] != alone.rows["plain"]["ece_10"]
    assert first.figures["history"]["loss"] == alone.figures["history"]["loss"]


def test_sampled_predictions_are_those_of_the_run_s_network(tmp_path):
    record = images.execute(SAMPLED, work=tmp_path)
    prepared = setting.prepare(SAMPLED, Execution())
    net, test = setting.trained(SAMPLED, prepared, tmp_path).eval(), prepared.dataset.test
    state = torch.get_rng_state()
    p = prepared.predict(net, test).softmax(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(prepared.predict(net, test).softmax(1), p)
    right = (p.argmax(1) == test.labels).double().mean()
    assert record.rows["plain"]["accuracy"] == [pytest.approx(float(right), rel=1e-5)]


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"network": {"hidden": [16], "dropout": 0.0}, "passes": 5}, "needs a network with dro"),
        ({**DROPPED, "passes": 0}, "passes must be a whole number of at least 1, got 0"),
    ],
)
def test_a_run_that_cannot_be_sampled(training, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        images.execute(tiny(training=training), work=tmp_path)
    assert not list(tmp_path.rglob("*.pt"))


SEEN = [[2.0, 2.0, 1.0], [1.5, 1.0, 1.0], [0.5, 0.6, 0.2]]  # after epochs 1, 2, 3
HELD = [[2.2, 2.0, 1.0], [1.9, 1.5, 1.1], [1.2, 1.2, 1.5]]


def test_the_ratio_by_hand():
    """Class 1: apart by .7 - .2 = .5, gained 1; class 2: .6 and .8; class 3 has only lost."""
    expected = [(0.5 / 1.0) ** 2, (0.6 / 0.8) ** 2, (1.3 / 1e-3) ** 2]
    assert overfitting(SEEN, HELD, 2).tolist() == pytest.approx(expected, rel=1e-4)
    one = [((0.7 - 0.4) / 0.7) ** 2, ((0.6 - 0.5) / 0.3) ** 2, ((1.3 - 0.1) / 1e-3) ** 2]
    assert overfitting(SEEN, HELD, 1).tolist() == pytest.approx(one, rel=1e-4)


LOSSES = st.lists(st.floats(0.01, 5), min_size=4, max_size=4)


@given(st.lists(LOSSES, min_size=3, max_size=6), st.integers(1, 2), st.floats(0.5, 2))
def test_losses_that_fall_together_are_no_overfitting(losses, gap, shift):
    held = [[x + shift for x in epoch] for epoch in losses]
    assert torch.all(overfitting(losses, losses, gap) == 0)
    assert float(overfitting(losses, held, gap).max()) < 1e-4  # float32 against gains from .001


@pytest.mark.parametrize("gap", [1, 2, 10])
def test_before_there_are_two_epochs_to_compare(gap):
    losses = [[1.0, 2.0]] * gap
    with pytest.raises(ValueError, match=f"OGR compares epochs {gap} apart and needs at least"):
        overfitting(losses, losses, gap)
    with pytest.raises(ValueError, match=f"got {gap + 1} of the training and {gap} of the held"):
        overfitting([*losses, losses[0]], losses, gap)
    assert len(overfitting([*losses, losses[0]], [*losses, losses[0]], gap)) == 2


def test_no_gap():
    with pytest.raises(ValueError, match="gap must be a whole number of at least 1, got 0"):
        overfitting(SEEN, HELD, 0)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 2])
INDEX = torch.tensor([5, 0, 1, 3])
WEIGHT = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
BATCH = Batch(torch.rand(4, 1, 2, 2), LABELS[INDEX], INDEX)
HISTORY = [{"train_class_loss": a, "held_class_loss": b} for a, b in zip(SEEN, HELD, strict=True)]


def student(views):
    return views.flatten(1) @ WEIGHT.T


def ogr(epochs, **parameters):
    """The loss of the batch once ``epochs`` have been."""
    lesson = Lesson(torch.empty(7, 0), LABELS, 3, 0)
    objective = objectives.make("ogr", lesson, {"gap": 1, **parameters})
    objective.heed(HISTORY[:epochs])
    return objective(student, BATCH)


@pytest.mark.parametrize("form", ["loss", "label"])
@pytest.mark.parametrize("epochs", [0, 1])
def test_before_its_epoch_it_is_cross_entropy(form, epochs):
    expected = nn.functional.cross_entropy(student(BATCH.images), BATCH.labels)
    torch.testing.assert_close(ogr(epochs, form=form), expected)


@pytest.mark.parametrize(("epochs", "gap"), [(2, 1), (3, 1), (3, 2)])
def test_as_a_loss_it_weighs_the_classes(epochs, gap):
    ratio = overfitting(SEEN[:epochs], HELD[:epochs], gap)
    each = -student(BATCH.images).log_softmax(1)[range(4), BATCH.labels]
    expected = sum(float(ratio[y] * x) for y, x in zip(BATCH.labels, each, strict=True)) / 4
    expected /= float(ratio.sum()) / 3  # of mean 1 over the classes
    assert float(ogr(epochs, gap=gap, form="loss")) == pytest.approx(expected, rel=1e-5)
    assert float(ogr(epochs, gap=gap)) == pytest.approx(expected, rel=1e-5)  # the default


def test_as_a_label_it_moves_most_where_a_class_overfits_most():
    ratio = overfitting(SEEN, HELD, 2)
    moved = 0.3 * ratio / ratio.max()
    log_p, expected = student(BATCH.images).log_softmax(1), 0.0
    for row, label in zip(log_p, BATCH.labels.tolist(), strict=True):
        for k in range(3):
            q = 1 - moved[label] if k == label else moved[label] / 2
            expected -= float(q * row[k]) / 4
    ours = ogr(3, gap=2, form="label", alpha=0.3)
    assert float(ours) == pytest.approx(expected, rel=1e-5)
    plain = nn.functional.cross_entropy(student(BATCH.images), BATCH.labels)
    torch.testing.assert_close(ogr(3, gap=2, form="label", alpha=0.0), plain)


def test_no_class_that_overfits():
    """Ratios of 0: no image counts, and no label moves."""
    level = [dict.fromkeys(("train_class_loss", "held_class_loss"), SEEN[i]) for i in (0, 1)]
    lesson = Lesson(torch.empty(7, 0), LABELS, 3, 0)
    for form in ("loss", "label"):
        objective = objectives.make("ogr", lesson, {"gap": 1, "form": form})
        objective.heed(level)
        plain = nn.functional.cross_entropy(student(BATCH.images), BATCH.labels)
        torch.testing.assert_close(objective(student, BATCH), plain * (form == "label"))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gap": 0}, "gap must be a whole number of at least 1, got 0"),
        ({"form": "weight"}, "unknown form 'weight'; known: label, loss"),
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\], got 1.5"),
        ({"weight": 1}, "method 'ogr' with .*'weight'"),
    ],
)
def test_settings_that_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        ogr(0, **parameters)


@pytest.mark.parametrize(
    ("data", "epochs", "got"),
    [
        (SIZES, 12, "got held 0 and 12 epochs"),
        (SIZES | {"held": 0.5}, 10, "got held 0.5 and 10 epochs"),
    ],
)
def test_a_run_that_would_never_compare_two_epochs(data, epochs, got, tmp_path):
    run = tiny("ogr", data=data, training={"epochs": epochs})
    with pytest.raises(ValueError, match=f"compares the losses of .* 10 epochs apart: .* {got}"):
        images.execute(run, work=tmp_path)
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize("form", ["loss", "label"])
def test_a_resumed_run_heeds_the_whole_history(form, tmp_path, monkeypatch):
    parameters = {"gap": 2, "form": form, "alpha": 0.3}
    run = tiny("ogr", parameters, data=SIZES | {"held": 0.5}, training={"epochs": 6})
    expected = images.execute(run, work=tmp_path / "whole")
    kept, save = [], images.checkpoints.save

    def stop(file, **content):
        save(file, **content)
        kept.append(file.name)
        if kept.count("checkpoint.pt") == 4:  # two epochs after the ratio is first heeded
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(images.checkpoints, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            images.execute(run, work=tmp_path / "cut")
    plain = images.execute(tiny(data=run.data, training={"epochs": 6}), work=tmp_path)
    losses = [r.figures["history"]["loss"] for r in (expected, plain)]
    assert [a == b for a, b in zip(*losses, strict=True)] == [True] * 3 + [False] * 3
    record = images.execute(run, work=tmp_path / "cut")
    assert record.rows == expected.rows
    history, whole = record.figures["history"], expected.figures["history"]
    assert len(history["loss"]) == 6
    assert {k: v for k, v in history.items() if k != "seconds"} == {
        k: v for k, v in whole.items() if k != "seconds"
    }
