import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ldlstudy import losses, methods, objectives, targets
from ldlstudy.batches import Batch
from ldlstudy.methods import Lesson
from ldlstudy.mixers import mixer

N, K = 12, 4
G = torch.Generator().manual_seed(3)
LABELS = torch.randint(0, K, (N,), generator=G)
LOGITS = 3 * torch.randn(N, K, generator=G)  # the teacher's, of the images as they are
INDEX = torch.tensor([7, 0, 11, 4, 2])
VIEWS = torch.randn(5, 1, 2, 2, generator=G)  # the same images, augmented
WEIGHT, TEACHER = torch.randn(2, K, 4, generator=G)


def pooled(images):
    """Four features: the images' quarters, or their pixels where they have no more."""
    return F.adaptive_avg_pool2d(images, 2).flatten(1)


def student(images):
    return pooled(images) @ WEIGHT.T


def teach(images):
    return pooled(images) @ TEACHER.T


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


MIXINGS = ("cutout", "mixup", "cutmix", "ricap")
BLENDED = {  # methods whose label distributions are blended as the images were
    "none": {},
    "ls": {"epsilon": 0.3},
    "ls_wrong": {"alpha": 0.3},
    "similarity": {"epsilon": 0.3},
    "truth": {},
    "distil": {"temperature": 2.0},
}
TRUTH = torch.rand(N, K, generator=G).softmax(1)
PIXELS = torch.rand(N, 7, generator=torch.Generator().manual_seed(3))
EACH = 3 * torch.randn(3, N, K, generator=G)  # of three teachers
HEADS = torch.randn(3, K, 4, generator=G)


def panel(images):
    return torch.stack([pooled(images) @ head.T for head in HEADS])


THREE = TAUGHT._replace(each=EACH, teach_each=panel, truth=TRUTH)


LARGE = torch.randn(5, 1, 8, 8, generator=G)


def mixed(name):
    options = {"size": 4} if name == "cutout" else {}
    found = mixer({"name": name, **options})(LARGE, torch.Generator().manual_seed(2))
    assert len(found.sources) == 1 or int((found.weights[:, 0] > 0.05).sum()) > 1
    return BATCH._replace(images=found.images, mixed=found)


def by_parts(batch, table):
    """The cross entropy of a mixed batch, summed over its parts: linear in the label."""
    log_p, total = student(batch.images).log_softmax(1), 0.0
    for source, weight in zip(batch.mixed.sources, batch.mixed.weights, strict=True):
        for i in range(len(INDEX)):
            total -= float(weight[i] * (table[INDEX[source[i]]] * log_p[i]).sum()) / len(INDEX)
    return total


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("method", BLENDED)
def test_labels_of_mixed_images_are_blended_as_they_were(method, mixing):
    parameters, batch = BLENDED[method], mixed(mixing)
    tables = {
        "none": torch.eye(K)[LABELS],
        "ls": torch.eye(K)[LABELS] * 0.7 + 0.3 / K,
        "ls_wrong": torch.eye(K)[LABELS] * (0.7 - 0.1) + 0.1,
        "similarity": targets.class_similarity(PIXELS, LABELS, K, 0.3),
        "truth": TRUTH,
        "distil": (LOGITS / 2).softmax(1),
    }
    lesson = TAUGHT._replace(truth=TRUTH, inputs=PIXELS)
    asked = {**parameters, "mixing": {"name": mixing}}
    ours = objectives.make(method, lesson, asked)(student, batch)
    assert float(ours) == pytest.approx(by_parts(batch, tables[method]), rel=1e-5)
    plain = objectives.make(method, lesson, parameters)(student, BATCH)
    torch.testing.assert_close(
        plain, losses.soft_cross_entropy(student(VIEWS), tables[method][INDEX])
    )


def test_a_truth_that_is_not_known():
    with pytest.raises(ValueError, match="true label distribution of this data set is not known"):
        loss("truth", ALONE)


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("combine", ["ensemble", "mean", "sum"])
def test_online_teachers_are_asked_about_exactly_what_the_student_sees(mixing, combine):
    asked, batch = [], mixed(mixing)

    def teach_each(images):
        asked.append(images)
        return panel(images)

    lesson = THREE._replace(teach_each=teach_each)
    parameters = {"relabel": True, "combine": combine, "mixing": {"name": mixing}}
    ours = objectives.make("distil", lesson, parameters)(student, batch)
    assert len(asked) == 1
    assert asked[0] is batch.images
    wrong = batch._replace(labels=(batch.labels + 1) % K, index=batch.index.flip(0))
    assert torch.equal(objectives.make("distil", lesson, parameters)(student, wrong), ours)
    q = panel(batch.images).softmax(2).mean(0)  # no label, and no share of a part, counts
    expected = float(-(q * student(batch.images).log_softmax(1)).sum(1).mean())
    assert float(ours) == pytest.approx(expected * (3 if combine == "sum" else 1), rel=1e-5)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 5), st.booleans(), st.sampled_from([None, *MIXINGS]), st.floats(0.5, 5),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_sum_of_teachers_is_their_number_times_the_ensemble(
    count, relabel, mixing, temperature, seed
):
    """MT is En: the cross entropy is linear in the label (gradients, too)."""
    draws = torch.Generator().manual_seed(seed)
    each, heads = (torch.randn(count, n, K, generator=draws).double() for n in (N, 4))
    lesson = TAUGHT._replace(each=each, teach_each=lambda views: pooled(views.double()) @ heads)
    batch = BATCH if mixing is None else mixed(mixing)
    slopes = {}
    for combine in ("ensemble", "mean", "sum"):
        weight = WEIGHT.double().requires_grad_()
        parameters = {"relabel": relabel, "combine": combine, "temperature": temperature}
        objective = objectives.make("distil", lesson, parameters)
        ours = objective(lambda x, w=weight: pooled(x.double()) @ w.T, batch)
        slopes[combine] = [ours.detach(), *torch.autograd.grad(ours, weight)]
    for ensemble, mean, total in zip(*slopes.values(), strict=True):
        torch.testing.assert_close(mean, ensemble)
        torch.testing.assert_close(total, count * ensemble)


def test_one_teacher_is_an_ensemble_of_one():
    for combine in objectives.COMBINATIONS:
        torch.testing.assert_close(loss("distil", combine=combine), loss("distil"))


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("square", [True, False])
def test_distillation_of_mixed_images_by_hand(mixing, square):
    batch = mixed(mixing)
    parameters = KD | {"square": square, "relabel": True, "mixing": {"name": mixing}}
    ours = objectives.make("kd", TAUGHT, parameters)(student, batch)
    z, t = (f(batch.images) / 3 for f in (student, teach))
    soft = -(t.softmax(1) * z.log_softmax(1)).sum(1).mean() * (9 if square else 1)
    expected = 0.3 * by_parts(batch, torch.eye(K)[LABELS]) + 0.7 * float(soft)
    assert float(ours) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("asked", [{}, {"relabel": False}])
def test_distillation_of_mixed_images_needs_a_teacher_that_sees_them(asked):
    with pytest.raises(ValueError, match="kd on mixed images needs `relabel`: a teacher that sees"):
        objectives.make("kd", TAUGHT, {**KD, **asked, "mixing": {"name": "cutmix"}})


@pytest.mark.parametrize("method", sorted(set(objectives.OBJECTIVES) - objectives.MIXED))
def test_methods_that_take_no_mixing(method):
    message = f"unknown method that takes a mixing '{method}'; known: distil, kd, ls, ls_wrong, no"
    with pytest.raises(ValueError, match=message):
        objectives.make(method, TAUGHT, {"mixing": {"name": "cutmix"}})


def test_an_unknown_combination_of_teachers():
    with pytest.raises(ValueError, match="'vote'; known: ensemble, mean, sum"):
        loss("distil", THREE, combine="vote")
