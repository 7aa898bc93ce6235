"""Labels read from gradients: those that methods were given, and a refusal where there is none."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy import metrics, mixing, mixture, nearness, objectives, targets, truth
from ldlstudy.batches import Batch
from ldlstudy.execution import Execution
from ldlstudy.methods import Lesson
from ldlstudy.setting import prepare
from ldlstudy.teachers import learn

CLASSES, SIZE = 5, 12
Y = torch.arange(SIZE) % CLASSES
HARD = targets.one_hot(Y, CLASSES).double()
DRAWS = torch.Generator().manual_seed(0)
TEACHERS = 2 * torch.randn(3, SIZE, CLASSES, generator=DRAWS)
LESSON = Lesson(
    torch.empty(SIZE, 0), Y, CLASSES, 0,
    truth=TEACHERS[2].softmax(1),
    logits=TEACHERS.softmax(2).mean(0).log(),
    teach=lambda views: TEACHERS.softmax(2).mean(0).log(),
    each=TEACHERS,
    teach_each=lambda views: TEACHERS,
)  # fmt: skip
BATCH = Batch(torch.rand(SIZE, 1, 8, 8, generator=DRAWS), Y, torch.arange(SIZE))
SAID = TEACHERS.softmax(2).mean(0).double()


@pytest.mark.parametrize(
    ("method", "parameters", "expected"),
    [
        ("none", {}, HARD),
        ("ls", {"epsilon": 0.2}, 0.8 * HARD + 0.04),
        ("truth", {}, TEACHERS[2].softmax(1).double()),
        ("distil", {"relabel": False}, SAID),
        ("distil", {"relabel": True}, SAID),
        ("distil", {"combine": "sum"}, SAID),
        ("distil", {"combine": "mean"}, SAID),
        (
            "ils2",
            {"epsilon": 0.1, "teacher_temperature": 1.0},
            targets.ils2(Y, SAID.float(), 0.1).double(),
        ),
    ],
)
def test_gradients_give_the_label_that_a_method_teaches(method, parameters, expected):
    objective = objectives.make(method, LESSON, parameters)
    found = nearness.taught(objective, BATCH, CLASSES)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 20))
def test_any_label_at_any_scale_is_found(seed, scale):
    label = torch.randn(SIZE, CLASSES, generator=torch.Generator().manual_seed(seed)).softmax(1)

    def objective(network, batch):
        logged = network(batch.images).log_softmax(1)
        return -scale * (label * logged).sum(1).mean()

    found = nearness.taught(objective, BATCH, CLASSES)
    torch.testing.assert_close(found, label.double(), rtol=0, atol=1e-5)


def test_labels_of_mixed_images_are_mixed():
    mixed = mixing.mixup(BATCH.images, torch.Generator().manual_seed(1))
    batch = BATCH._replace(images=mixed.images, mixed=mixed)
    found = nearness.taught(objectives.make("none", LESSON, {}), batch, CLASSES)
    torch.testing.assert_close(found, mixing.mixed_target(HARD, mixed), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("method", "parameters"),
    [("kd", {"weight": 0.5, "temperature": 3.0}), ("kd_coded", {"weight": 0.5})],
)
def test_losses_without_a_label_of_their_own_are_refused(method, parameters):
    with pytest.raises(ValueError, match="depend on the network's answers"):
        nearness.taught(objectives.make(method, LESSON, parameters), BATCH, CLASSES)


def test_distances_are_those_of_labels_drawn_from_the_truth():
    """A one-hot label is 1 - p(y|x) away from the truth; the truth is not away from itself."""
    runs = truth.runs("smoke")
    found = {}
    for name in ("none", "truth", "ls"):
        run = runs[truth.name(*truth.QUICK, name)]
        setting = prepare(run, Execution())
        lesson, _ = learn(run, setting)
        objective = objectives.make(run.method, lesson, run.parameters)
        posterior = mixture.noisy_digits(run.data["sigma"]).posterior
        found[name] = nearness.of_labels(run, setting, objective, posterior)
        train = setting.dataset.train
    exact = train.truth.double()
    missed = 1 - exact.gather(1, train.labels[:, None])
    assert found["none"]["total_variation"] == pytest.approx([float(missed.mean())], abs=1e-6)
    assert found["none"]["entropy"] == pytest.approx([0], abs=1e-4)
    assert found["truth"]["total_variation"] == pytest.approx([0], abs=1e-5)
    smooth = targets.smooth(train.labels, 10, 0.1)
    expected = metrics.total_variation(exact, smooth.double())
    assert found["ls"]["total_variation"] == pytest.approx([expected], abs=1e-5)
    entropy = float(torch.special.entr(exact).sum(1).mean())
    for row in found.values():
        assert row["true_entropy"] == pytest.approx([entropy], abs=1e-5)
