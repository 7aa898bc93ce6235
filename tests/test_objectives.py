import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ldlstudy import losses, methods, objectives
from ldlstudy.batches import Batch
from ldlstudy.methods import Lesson

N, K = 12, 4
G = torch.Generator().manual_seed(3)
LABELS = torch.randint(0, K, (N,), generator=G)
LOGITS = 3 * torch.randn(N, K, generator=G)  # the teacher's, of the images as they are
INDEX = torch.tensor([7, 0, 11, 4, 2])
VIEWS = torch.randn(5, 1, 2, 2, generator=G)  # the same images, augmented
WEIGHT, TEACHER = torch.randn(2, K, 4, generator=G)


def student(images):
    return images.flatten(1) @ WEIGHT.T


def teach(images):
    return images.flatten(1) @ TEACHER.T


BATCH = Batch(VIEWS, LABELS[INDEX], INDEX)
TAUGHT = Lesson(torch.empty(N, 0), LABELS, K, 0, LOGITS, 2.0, 0.1, teach)
ALONE = Lesson(torch.empty(N, 0), LABELS, K, 0)


def loss(method, lesson=TAUGHT, **parameters):
    return objectives.make(method, lesson, parameters)(student, BATCH)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.6])
def test_label_smoothing_is_torch_s(epsilon):
    expected = F.cross_entropy(student(VIEWS), LABELS[INDEX], label_smoothing=epsilon)
    torch.testing.assert_close(loss("ls", ALONE, epsilon=epsilon), expected)


def test_none_is_cross_entropy():
    torch.testing.assert_close(loss("none", ALONE), F.cross_entropy(student(VIEWS), LABELS[INDEX]))


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("ils1", {"p1": 0.75, "p2": 1.5}),
        ("ils2", {"epsilon": 0.1, "teacher_temperature": 4.0}),
        ("ils", {"p1": 0.75, "p2": 1.5, "teacher_temperature": 4.0}),
        ("beta", {}),
    ],
)
def test_methods_that_change_labels_look_them_up_by_index(method, parameters):
    target = methods.label(method, TAUGHT, parameters)[INDEX]
    expected = -(target * student(VIEWS).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(loss(method, **parameters), expected.float(), rtol=1e-5, atol=1e-6)


TAUGHT_LOSSES = {
    "distil": (
        {"temperature": 3.0},
        lambda z, t, y: -((t / 3).softmax(1) * z.log_softmax(1)).sum(1).mean(),
    ),
    "kd": (
        {"weight": 0.7, "temperature": 3.0},
        lambda z, t, y: losses.kd(z, t, y, 0.7, 3.0, True),
    ),
    "kd_printed": (
        {"weight": 0.6, "temperature": 2.0},
        lambda z, t, y: losses.kd_replication(z, t, y, 0.6, 2.0),
    ),
    "kd_coded": (
        {"weight": 0.6, "temperature": 2.0},
        lambda z, t, y: losses.kd_mse(z, t, y, 0.6, 2.0, "logits"),
    ),
}


@pytest.mark.parametrize("method", TAUGHT_LOSSES)
def test_the_teacher_s_logits_are_looked_up_by_index(method):
    parameters, expected = TAUGHT_LOSSES[method]
    right = expected(student(VIEWS), LOGITS[INDEX], LABELS[INDEX])
    torch.testing.assert_close(loss(method, **parameters), right)


@pytest.mark.parametrize("method", TAUGHT_LOSSES)
def test_relabelling_asks_the_teacher_about_the_augmented_view(method):
    parameters, expected = TAUGHT_LOSSES[method]
    right = expected(student(VIEWS), teach(VIEWS), LABELS[INDEX])
    relabelled = loss(method, **parameters, relabel=True)
    torch.testing.assert_close(relabelled, right)
    assert not torch.allclose(relabelled, loss(method, **parameters))


def test_options_of_distillation_reach_their_losses():
    z, t, y = student(VIEWS), LOGITS[INDEX], LABELS[INDEX]
    plain = loss("kd", weight=0.5, temperature=3.0, square=False)
    torch.testing.assert_close(plain, losses.kd(z, t, y, 0.5, 3.0, False))
    compared = loss("kd_coded", weight=0.5, compare="probabilities")
    torch.testing.assert_close(compared, losses.kd_mse(z, t, y, 0.5, 1.0, "probabilities"))


KD, CLASS_WISE = (
    {"weight": 0.7, "temperature": 3.0},
    {"class_weight": 2.0, "class_temperature": 4.0},
)


@pytest.mark.parametrize("relabel", [False, True])
@pytest.mark.parametrize("partner", ["train", "eval"])
def test_distillation_with_cs_kd_is_their_sum(relabel, partner):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, K))
    twin, of_class = copy.deepcopy(net), torch.randn(VIEWS.shape, generator=G)
    parameters = KD | CLASS_WISE | {"partner": partner, "relabel": relabel}
    objective = objectives.make("kd_cs_kd", TAUGHT, parameters)
    ours = objective(net, BATCH._replace(others=(of_class,)))
    z = twin(VIEWS)
    teacher = teach(VIEWS) if relabel else LOGITS[INDEX]
    reference = twin.train(partner == "train")(of_class)
    taught = losses.kd(z, teacher, LABELS[INDEX], 0.7, 3.0)
    p, r = (z / 4).log_softmax(1), (reference.detach() / 4).log_softmax(1)
    expected = taught + 2 * 16 * (r.exp() * (r - p)).sum(1).mean()
    torch.testing.assert_close(ours, expected)
    for seen, right in zip(net.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(seen, right)  # each pass was taken once, in the same order
    slopes = (
        torch.autograd.grad(x, list(n.parameters())) for x, n in ((ours, net), (expected, twin))
    )
    for mine, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("method", sorted(objectives.TAUGHT))
def test_a_method_without_its_teacher(method):
    needed = {
        "ils1": {"p1": 0.75, "p2": 1.5},
        "ils2": {"epsilon": 0.1, "teacher_temperature": 4.0},
        "ils": {"p1": 0.75, "p2": 1.5, "teacher_temperature": 4.0},
        "kd_cs_kd": KD | CLASS_WISE,
        "wsl": {"weight": 2.5, "temperature": 2.0},
    }
    parameters = needed.get(method) or TAUGHT_LOSSES.get(method, ({}, None))[0]
    with pytest.raises(ValueError, match="needs a teacher, the run names none"):
        objectives.make(method, ALONE, parameters)


def test_an_unknown_method():
    with pytest.raises(ValueError, match="unknown method 'cutmix'; known: adacos, beta, byot, "):
        loss("cutmix")


@pytest.mark.parametrize(
    ("method", "parameters", "message"),
    [
        ("ls", {}, "method 'ls' with {}: .*epsilon"),
        ("ls", {"epsilon": 0.1, "alpha": 1}, "alpha"),
        ("ls", {"epsilon": 1.5}, r"epsilon must lie in \[0, 1\]"),
        ("none", {"epsilon": 0.1}, "method 'none' with .*epsilon"),
        ("kd", {"weight": 0.5}, "temperature"),
        ("kd", {"weight": 1.5, "temperature": 1.0}, "weight must lie in"),
        ("kd", {"weight": "much", "temperature": 1.0}, "method 'kd' with"),
        ("kd_coded", {"weight": 0.5, "compare": "features"}, "unknown side of the student"),
        ("kd_printed", {"weight": 0.5, "temperature": 0}, "temperature must lie in"),
        ("kd_cs_kd", KD | CLASS_WISE | {"class_weight": -1}, "^class_weight must lie in"),
        ("kd_cs_kd", KD | CLASS_WISE | {"class_temperature": 0}, "^class_temperature must lie in"),
        ("kd_cs_kd", KD, "'kd_cs_kd' with .*'class_weight' and 'class_temperature'"),
        ("kd_cs_kd", KD | CLASS_WISE | {"partner": "test"}, "known: eval, train"),
        ("distil", {"temperature": 0}, "temperature must be above 0"),
        ("distil", {"weight": 1}, "weight"),
    ],
)
def test_what_is_wrong_is_said_before_any_training(method, parameters, message):
    with pytest.raises(ValueError, match=message):
        objectives.make(method, TAUGHT, parameters)
