"""What teachers say: of the training images once, of each batch, and once for all who share it."""

import pytest
import torch
import torch.nn.functional as F

from ldlstudy import data, mixing, models, scaling
from ldlstudy.device import Execution
from ldlstudy.training import Augmentation, Predictor, Recipe, Student, ask, train_together

DIGITS = data.load("noisy_digits", train=6, test=6)
VIEWS, OTHERS = torch.rand(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
RECIPE = Recipe(3, batch=16, rate=0.1, order=3)  # three epochs of four batches
RELABEL = {"relabel": True}
TAUGHT = {**RELABEL, "weight": 0.5, "temperature": 4.0}


def network(seed, dropout=0.2):
    torch.manual_seed(seed)
    return models.build("small_fcn", 10, hidden=[16], dropout=dropout)


def panel(*seeds, **options):
    """Return teachers, in training mode as one that has just been trained is."""
    return [Predictor(network(seed, **options)) for seed in seeds]


def ask_all(predictors, held=None):
    return ask(predictors, DIGITS.train, held)


def answers(predictors, images):
    with torch.no_grad():
        return torch.stack([each.network.eval()(images) for each in predictors])


def listen(predictor):
    """Return the list of batches that a network is asked about from now on."""
    seen = []
    predictor.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    return seen


@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_teachers_answer_each_for_itself_without_dropout_or_gradient(seeds):
    predictors = panel(*seeds)
    teacher = ask_all(predictors)
    torch.testing.assert_close(teacher.logits, answers(predictors, DIGITS.train.pixels))
    torch.testing.assert_close(teacher.answer(VIEWS), answers(predictors, VIEWS))
    assert not teacher.answer(VIEWS).requires_grad
    assert teacher.temperature is None  # nothing is held out
    mean = answers(predictors, DIGITS.train.pixels).softmax(2).mean(0)
    torch.testing.assert_close(teacher.probabilities(1.0), mean)
    torch.testing.assert_close(
        teacher.probabilities(4.0), scaling.scale(mean.log(), 4.0), rtol=1e-4, atol=1e-6
    )


def test_one_teacher_shows_its_features_and_several_have_none_in_common():
    predictors = panel(1)
    logits, features = ask_all(predictors).look(VIEWS)
    expected = predictors[0].network(VIEWS, return_features=True)
    torch.testing.assert_close((logits, features), expected)
    assert not features.requires_grad
    assert ask_all(panel(1, 2)).look is None


def test_the_temperature_suits_the_mean_of_the_teachers_on_held_out_images():
    predictors = panel(1, 2)
    mean = answers(predictors, DIGITS.test.pixels).softmax(2).mean(0).log()
    often_right = torch.where(torch.arange(60) % 3 > 0, mean.argmax(1), DIGITS.test.labels)
    teacher = ask_all(predictors, DIGITS.test._replace(labels=often_right))
    fitted, hotter, colder = (
        float(F.cross_entropy(mean / (t * teacher.temperature), often_right))
        for t in (1.0, 1.05, 0.95)
    )
    assert fitted < min(hotter, colder)
    expected = scaling.scale(
        scaling.mean_logits(answers(predictors, DIGITS.train.pixels)), teacher.temperature
    )
    torch.testing.assert_close(teacher.probabilities(), expected)


def test_teachers_are_asked_once_for_a_batch():
    (predictor,) = panel(1)
    teacher = ask_all([predictor])
    asked = listen(predictor)
    said = teacher.answer(VIEWS)
    assert teacher.answer(VIEWS) is said
    assert len(asked) == 1
    assert not torch.equal(teacher.answer(OTHERS), said)
    torch.testing.assert_close(teacher.answer(VIEWS), said)  # no longer the last: asked again
    assert len(asked) == 3
    assert teacher.answer(VIEWS.clone()) is not said  # equal images are not the same batch


def learn(*students, mix="cutmix"):
    augmentation = Augmentation(shift=1)
    return train_together(list(students), DIGITS.train, augmentation, Execution(), mix)


def test_students_of_one_teacher_share_its_pass_over_each_batch():
    """Three epochs of four batches: twelve passes, not twelve for each of the students."""
    one, other = panel(1, 2)
    teacher, both = ask_all([one]), ask_all([one, other])
    asked, asked_other = listen(one), listen(other)
    learn(
        Student(network(3), RECIPE, "distil", RELABEL, teacher),
        Student(network(4), RECIPE, "distil", {**RELABEL, "temperature": 2.0}, teacher, 1),
        Student(network(5), RECIPE, "kd", TAUGHT, teacher, 2),
    )
    assert len(asked) == 12
    learn(
        Student(network(3), RECIPE, "distil", RELABEL, teacher),
        Student(network(4), RECIPE, "distil", RELABEL, both),
    )
    assert (len(asked), len(asked_other)) == (12 + 2 * 12, 12)


@pytest.mark.parametrize("mix", ["cutmix", None])
def test_labels_that_are_fixed_once_ask_no_teacher_in_training(mix):
    (predictor,) = panel(1)
    teacher = ask_all([predictor])
    asked = listen(predictor)
    learn(Student(network(3), RECIPE, "distil", {}, teacher), mix=mix)
    assert asked == []


@pytest.mark.parametrize("mix", sorted(mixing.MIXINGS))
def test_the_teacher_sees_exactly_the_mixed_batch_of_its_student(mix):
    predictor, student = panel(1, 3)
    teacher = ask_all([predictor])
    asked, shown = listen(predictor), listen(student)
    learn(Student(student.network, RECIPE, "distil", RELABEL, teacher), mix=mix)
    batches = [images for images in shown if len(images) > 1]  # one tells the number of classes
    assert len(batches) == 12
    assert all(one is other for one, other in zip(asked, batches, strict=True))


def test_a_sampled_teacher_says_the_same_of_the_set_and_anew_of_each_batch():
    """Monte-Carlo dropout: LDL's MCDO on the teacher."""
    sampled = Predictor(network(1, dropout=0.5), passes=3)
    first, again = ask_all([sampled]), ask_all([sampled])
    assert torch.equal(first.logits, again.logits)

    def said(teacher, seed):
        torch.manual_seed(seed)
        return teacher.answer(VIEWS.clone())

    assert torch.equal(said(first, 1), said(again, 1))
    assert not torch.allclose(said(first, 2), said(first, 1), atol=1e-3)
