"""What teachers say of a run's data: once, of every batch, and once for all who share it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ldlstudy import checkpoints, images, metrics, objectives, setting, teachers
from ldlstudy.execution import Execution
from ldlstudy.setting import NETWORK, workplace
from ldlstudy.teachers import learn
from tests.test_images import SIZES, TEACHER, tiny

SECOND = replace(TEACHER, seed=1)
SHIFTED = {"shift": 1}
ONLINE = {"relabel": True, "mixing": {"name": "cutmix"}}


def student(parameters=ONLINE, taught_by=(TEACHER,), **options):
    return tiny("distil", parameters, taught_by, augment=SHIFTED, **options)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder where two teachers have been trained."""
    folder = tmp_path_factory.mktemp("runs")
    for teacher in (TEACHER, SECOND):
        images.execute(teacher, work=folder)
    return folder


def taught(run, work, panels=None):
    return learn(run, setting.prepare(run, Execution()), work, panels)


def networks(*runs, work):
    prepared = setting.prepare(runs[0], Execution())
    return [setting.trained(run, prepared, work).eval() for run in runs]


@pytest.fixture
def asked(monkeypatch):
    """Return which panel was asked to answer which batch."""
    seen = []
    call = teachers.Panel.__call__

    def listen(panel, views):
        before = panel._asked
        said = call(panel, views)
        if panel._asked is not before:
            seen.append((panel, views))
        return said

    monkeypatch.setattr(teachers.Panel, "__call__", listen)
    return seen


def test_a_lesson_without_teachers(work):
    lesson, rows = taught(tiny("ls", {"epsilon": 0.1}), work)
    dataset = setting.prepare(tiny(), Execution()).dataset
    assert rows == {}
    assert (lesson.logits, lesson.teach, lesson.each, lesson.features) == (None,) * 4
    assert torch.equal(lesson.labels, dataset.train.labels)
    assert torch.equal(lesson.truth, dataset.train.truth)
    assert lesson.classes == 10
    assert lesson.inputs.shape == (60, 0)


def test_class_similarity_compares_the_images(work):
    run = tiny("similarity", {"epsilon": 0.1})
    lesson, _ = taught(run, work)
    pixels = setting.prepare(run, Execution()).dataset.train.pixels
    assert torch.equal(lesson.inputs, pixels.reshape(60, 64))


def test_class_similarity_needs_images_in_memory(work, monkeypatch):
    monkeypatch.setattr(teachers, "Stream", torch.Tensor)
    with pytest.raises(ValueError, match="class similarity needs the images in memory, these are"):
        taught(tiny("similarity", {"epsilon": 0.1}), work)


def test_the_lesson_of_one_teacher(work):
    lesson, rows = taught(student(), work)
    (network,), dataset = (
        networks(TEACHER, work=work),
        setting.prepare(TEACHER, Execution()).dataset,
    )
    with torch.no_grad():
        logits, test = network(dataset.train.pixels), network(dataset.test.pixels)
        views = torch.rand(5, 1, 8, 8)
        torch.testing.assert_close(lesson.teach(views), network(views))
        torch.testing.assert_close(lesson.teach_each(views), network(views)[None])
        for ours, right in zip(
            lesson.features(views), network(views, return_features=True), strict=True
        ):
            torch.testing.assert_close(ours, right)
    torch.testing.assert_close(lesson.logits, logits)
    torch.testing.assert_close(lesson.each, logits[None])
    assert not lesson.teach(views).requires_grad
    right = metrics.accuracy(test.softmax(1), dataset.test.labels)
    assert rows["teacher"]["accuracy"] == [pytest.approx(right)]
    assert lesson.temperature == 1.0  # nothing is held out


def test_the_lesson_of_several_teachers_is_each_and_their_mean(work):
    lesson, _ = taught(student(taught_by=[TEACHER, SECOND]), work)
    views = torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        each = torch.stack([network(views) for network in networks(TEACHER, SECOND, work=work)])
    torch.testing.assert_close(lesson.teach_each(views), each)
    torch.testing.assert_close(lesson.teach(views).softmax(1), each.softmax(2).mean(0))
    torch.testing.assert_close(lesson.logits.softmax(1), lesson.each.softmax(2).mean(0))
    assert lesson.features is None


def test_a_fitted_temperature_where_images_are_held_out(tmp_path):
    data = SIZES | {"held": 0.5}
    teacher = tiny(data=data)
    images.execute(teacher, work=tmp_path)
    lesson, _ = taught(tiny("distil", {}, [teacher], data=data), tmp_path)
    held = setting.prepare(teacher, Execution()).dataset.held
    with torch.no_grad():
        (network,) = networks(teacher, work=tmp_path)
        logits = network(held.pixels)
    fitted, hotter, colder = (
        float(nn.functional.cross_entropy(logits / (t * lesson.temperature), held.labels))
        for t in (1.0, 1.05, 0.95)
    )
    assert fitted < min(hotter, colder)


def test_a_panel_is_asked_once_for_a_batch(work):
    prepared = setting.prepare(student(), Execution())
    passes = []
    (network,) = networks(TEACHER, work=work)
    panel = teachers.Panel([(prepared, network)], prepared.dataset)
    network.register_forward_hook(lambda *_: passes.append(1))
    views, again = torch.rand(2, 5, 1, 8, 8)
    said = panel(views)
    assert panel(views) is said
    assert len(passes) == 1
    assert not torch.equal(panel(again), said)
    torch.testing.assert_close(panel(views), said)  # no longer the last: asked again
    assert len(passes) == 3
    assert panel(views.clone()) is not panel(views)  # equal images are not the same batch


STUDENTS = [
    student(training={"order": 3}),
    student(training={"order": 3}, seed=1),
    student({**ONLINE, "temperature": 2.0}, seed=2, training={"order": 3}),
    tiny("kd", {**ONLINE, "weight": 0.5, "temperature": 4.0}, [TEACHER], augment=SHIFTED, seed=3),
]


def test_students_of_one_teacher_share_its_pass(work, asked):
    """Three epochs of four batches: twelve passes, not twelve for each of the four students."""
    images.execute_together(STUDENTS, work=work)
    assert len(asked) == 3 * 4
    assert len({id(panel) for panel, _ in asked}) == 1


def test_students_of_other_teachers_have_panels_of_their_own(work, asked):
    runs = [student(taught_by=[TEACHER, SECOND]), student(taught_by=[SECOND]), STUDENTS[3]]
    runs = [replace(run, training={**run.training, "order": 3}) for run in runs]
    images.execute_together(runs, work=work)
    assert len(asked) == 3 * 3 * 4
    assert len({id(panel) for panel, _ in asked}) == 3


def test_offline_labels_ask_no_teacher_in_training(work, asked):
    images.execute(student({"mixing": {"name": "cutmix"}}), work=work)
    images.execute(student({}), work=work)
    assert asked == []


def test_the_teacher_sees_exactly_the_mixed_batch_of_the_student(work, asked, monkeypatch):
    shown, make = [], objectives.make

    def made(*arguments):
        objective = make(*arguments)

        def look(network, batch):
            shown.append(batch.images)
            return objective(network, batch)

        return look

    monkeypatch.setattr(images.objectives, "make", made)
    images.execute(student(), work=work)
    assert len(shown) == len(asked) == 12
    assert all(view is mixed for (_, view), mixed in zip(asked, shown, strict=True))


def test_panels_are_kept_by_their_teachers(work):
    panels = {}
    first, _ = taught(student(), work, panels)
    again, _ = taught(student(seed=4), work, panels)
    taught(student(taught_by=[TEACHER, SECOND]), work, panels)
    assert first.teach_each is again.teach_each
    assert set(panels) == {(TEACHER.id,), (TEACHER.id, SECOND.id)}


def test_a_sampled_teacher_answers_the_same_to_each_table_and_anew_to_each_batch(tmp_path):
    """Monte-Carlo dropout: LDL's MCDO on the teacher."""
    dropped = {"network": {"hidden": [16], "dropout": 0.5}, "passes": 3}
    teacher = tiny(training=dropped)
    images.execute(teacher, work=tmp_path)
    run = student(taught_by=[teacher])
    (first, _), (again, _) = taught(run, tmp_path), taught(run, tmp_path)
    assert torch.equal(first.logits, again.logits)
    views = torch.rand(5, 1, 8, 8)
    torch.manual_seed(1)
    said = first.teach(views)
    assert not torch.allclose(again.teach(views), said, atol=1e-3)
    torch.manual_seed(1)
    other, _ = taught(run, tmp_path)
    torch.manual_seed(1)
    assert torch.equal(other.teach(views), said)
    one, two = (images.execute(run, work=tmp_path) for _ in range(2))
    assert one.rows == two.rows
    assert images.stream(run) is None
    with pytest.raises(ValueError, match="2 runs cannot be trained together: their batches differ"):
        images.execute_together([run, run], work=tmp_path)


def test_a_teacher_of_another_data_set(work):
    run = student(dataset="digits", data={})
    with pytest.raises(ValueError, match=f"the teacher {TEACHER.id} was trained on noisy_digits, "):
        taught(run, work)


def test_a_teacher_of_another_number_of_classes(work, tmp_path):
    folder = workplace(TEACHER, tmp_path)
    folder.mkdir()
    state = checkpoints.load(workplace(TEACHER, work) / NETWORK)["network"]
    state["head.weight"], state["head.bias"] = torch.zeros(7, 32), torch.zeros(7)
    torch.save({"network": state}, folder / NETWORK)
    with pytest.raises(ValueError, match="holds another network than small_fcn with the sizes"):
        taught(student(), tmp_path)


def test_views_that_are_not_prepared_as_the_teacher_s(work):
    run = tiny("distil", ONLINE, [TEACHER], augment={"normalise": "image"})
    with pytest.raises(
        ValueError, match=r"with crop and normalisation \(None, 'none'\), the views"
    ):
        taught(run, work)
    taught(replace(run, parameters={}), work)  # its own images are prepared in its own way
