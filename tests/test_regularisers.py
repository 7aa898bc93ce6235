import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import nn

from ldlstudy import heads, images, mixing, objectives, regularisers, setting
from ldlstudy.batches import OTHERS, Batch
from ldlstudy.execution import Execution
from ldlstudy.methods import Lesson
from ldlstudy.models import Classifier
from ldlstudy.models.layers import pool
from ldlstudy.records import Run

N, K = 6, 4
G = torch.Generator().manual_seed(5)
LABELS = torch.randint(0, K, (9,), generator=G)
INDEX = torch.tensor([7, 0, 8, 4, 2, 3])
IMAGES, OF_CLASS, PLAIN = torch.rand(3, N, 1, 4, 4, generator=G, dtype=torch.float64)
LESSON = Lesson(torch.empty(9, 0), LABELS, K, 0)


def network(method="none"):
    """Maps of 4 x 4 and of 2 x 2, with batch norm, in float64 and training mode."""
    torch.manual_seed(1)
    body = nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(), pool(),
    )  # fmt: skip
    whole = Classifier(body, nn.Linear(6, K), 1)
    nn.init.normal_(whole.head.weight)  # far from uniform predictions
    return heads.fit(method, whole, (1, 4, 4)).double()


def batch(*others):
    return Batch(IMAGES, LABELS[INDEX], INDEX, others)


def loss(net, method, *others, **parameters):
    return objectives.make(method, LESSON, parameters)(net, batch(*others))


def softmax(z, temperature=1.0):
    """Probabilities (N, K), numpy."""
    z = np.exp(z.detach().numpy() / temperature)
    return z / z.sum(1, keepdims=True)


def cross_entropy(z, labels=LABELS[INDEX]):
    p = softmax(z)
    return float(np.mean([-math.log(row[y]) for row, y in zip(p, labels.tolist(), strict=True)]))


def divergence(z, reference, temperature):
    p, r = softmax(z, temperature), softmax(reference, temperature)
    return float(temperature**2 * (r * np.log(r / p)).sum(1).mean())


def value(result):
    return float(result.detach())


def gradient(result, net):
    """The slope of every weight in one vector; nothing where none flows."""
    slopes = torch.autograd.grad(result, list(net.parameters()), materialize_grads=True)
    return torch.cat([slope.flatten() for slope in slopes])


def memory(net):
    return {k: v.clone() for k, v in net.state_dict().items() if "running" in k}


CS_KD = {"temperature": 4.0, "weight": 3.0}


def test_cs_kd_by_hand():
    net = network()
    z, reference = net(IMAGES), net(OF_CLASS)
    expected = cross_entropy(z) + 3 * divergence(z, reference, 4)
    assert value(loss(net, "cs_kd", OF_CLASS, **CS_KD)) == pytest.approx(expected, rel=1e-9)


def test_no_slope_of_cs_kd_comes_through_the_partner():
    net = network()
    labels, reference = LABELS[INDEX], net(OF_CLASS)

    def by_hand(partner):
        z = net(IMAGES)
        hard = nn.functional.cross_entropy(z, labels)
        p, r = (z / 4).log_softmax(1), (partner / 4).log_softmax(1)
        return hard + 3 * 16 * (r.exp() * (r - p)).sum(1).mean()

    ours = gradient(loss(net, "cs_kd", OF_CLASS, **CS_KD), net)
    torch.testing.assert_close(ours, gradient(by_hand(reference.detach()), net))
    through = gradient(by_hand(reference), net)
    assert float((ours - through).norm()) > 0.1 * float(ours.norm())  # there was a slope to stop


def test_without_weight_cs_kd_is_cross_entropy():
    net = network()
    ours = loss(net, "cs_kd", OF_CLASS, temperature=4.0, weight=0.0)
    torch.testing.assert_close(ours, nn.functional.cross_entropy(net(IMAGES), LABELS[INDEX]))


def test_in_train_mode_batch_norm_remembers_the_images_and_then_their_partners():
    net, twin, swapped = network(), network(), network()
    loss(net, "cs_kd", OF_CLASS, **CS_KD)
    for other, order in ((twin, (IMAGES, OF_CLASS)), (swapped, (OF_CLASS, IMAGES))):
        for seen in order:
            other(seen)
    ours, theirs, wrong = (memory(n) for n in (net, twin, swapped))
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert not any(torch.allclose(ours[k], wrong[k], rtol=1e-6) for k in ours)
    assert all(module.training for module in net.modules())


def test_in_eval_mode_the_partner_leaves_no_trace():
    net, twin = network(), network()
    ours = loss(net, "cs_kd", OF_CLASS, **CS_KD, partner="eval")
    z = twin(IMAGES)
    reference = twin.eval()(OF_CLASS)  # by the statistics that the images left
    assert value(ours) == pytest.approx(cross_entropy(z) + 3 * divergence(z, reference, 4), 1e-9)
    assert all(torch.equal(v, memory(twin)[k]) for k, v in memory(net).items())
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize("partner", regularisers.PASSES)
def test_a_network_in_evaluation_stays_there(partner):
    net = network().eval()
    before = memory(net)
    loss(net, "cs_kd", OF_CLASS, **CS_KD, partner=partner)
    assert not any(module.training for module in net.modules())
    assert all(torch.equal(v, before[k]) for k, v in memory(net).items())


def test_a_compiled_network_is_its_own_partner_too():
    ours, plain = network(), network()
    compiled = torch.compile(ours, backend="eager")
    for partner in regularisers.PASSES:
        mine, right = (
            loss(n, "cs_kd", OF_CLASS, **CS_KD, partner=partner) for n in (compiled, plain)
        )
        torch.testing.assert_close(mine, right)
    assert all(torch.equal(v, memory(plain)[k]) for k, v in memory(ours).items())
    assert all(module.training for module in ours.modules())


@pytest.mark.parametrize("partner", regularisers.PASSES)
def test_cs_kd_e_by_hand(partner):
    net, twin = network(), network()
    ours = loss(net, "cs_kd_e", OF_CLASS, PLAIN, **CS_KD, consistency=0.5, partner=partner)
    z = twin(IMAGES)
    of_class, plain = (twin.train(partner == "train")(seen) for seen in (OF_CLASS, PLAIN))
    expected = cross_entropy(z) + 3 * divergence(z, of_class, 4) + 0.5 * divergence(z, plain, 4)
    assert value(ours) == pytest.approx(expected, rel=1e-9)
    assert objectives.OTHERS["cs_kd_e"] == ("partner", "plain")  # in this order


def test_max_entropy_by_hand():
    net = network()
    p = softmax(net(IMAGES))
    expected = cross_entropy(net(IMAGES)) + 0.7 * float((p * np.log(p)).sum(1).mean())
    assert value(loss(net, "max_entropy", weight=0.7)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("classes", [2, 4, 100])
def test_the_best_answer_under_the_confidence_penalty(classes):
    """One image, w = 1: the slope of -log p - H(p) is 0 where log(p (K - 1) / (1 - p)) = 1 / p."""
    logits = torch.zeros(1, classes, dtype=torch.float64, requires_grad=True)
    one = Batch(torch.zeros(1, 1, 1, 1), torch.tensor([1]), torch.tensor([0]))
    objective = objectives.make("max_entropy", LESSON, {"weight": 1.0})
    optimiser = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        result = objective(lambda _: logits, one)
        result.backward()
        return result

    optimiser.step(closure)
    p = softmax(logits)[0]
    best = brentq(lambda p: math.log(p * (classes - 1) / (1 - p)) - 1 / p, 1e-3, 1 - 1e-9)
    assert p[1] == pytest.approx(best, abs=1e-5)
    assert np.delete(p, 1) == pytest.approx((1 - best) / (classes - 1), abs=1e-5)


def test_adacos_by_hand():
    net = network("adacos")
    _, x = net(IMAGES, return_features=True)
    x, w = x.detach().numpy(), net.head.weight.detach().numpy()
    labels, before = LABELS[INDEX].tolist(), math.sqrt(2) * math.log(K - 1)
    cosines = np.array([[a @ b / math.sqrt((a @ a) * (b @ b)) for b in w] for a in x])
    wrong = [
        sum(math.exp(before * c) for k, c in enumerate(row) if k != y)
        for row, y in zip(cosines, labels, strict=True)
    ]
    angles = sorted(math.acos(row[y]) for row, y in zip(cosines, labels, strict=True))
    scale = math.log(np.mean(wrong)) / math.cos(min(math.pi / 4, angles[(N - 1) // 2]))
    expected = cross_entropy(torch.from_numpy(scale * cosines))
    assert value(loss(net, "adacos")) == pytest.approx(expected, rel=1e-5)
    assert float(net.head.scale) == pytest.approx(scale, rel=1e-5)


def test_no_slope_of_adacos_comes_through_the_scale():
    net = network("adacos")
    ours = gradient(loss(net, "adacos"), net)
    scale = float(net.head.scale)
    _, features = net(IMAGES, return_features=True)
    cosines = nn.functional.normalize(features) @ nn.functional.normalize(net.head.weight).T
    fixed = nn.functional.cross_entropy(scale * cosines, LABELS[INDEX])
    torch.testing.assert_close(ours, gradient(fixed, net))


def test_virtual_softmax_by_hand():
    net = network("virtual_softmax")
    logits, x = net(IMAGES, return_features=True)
    z = logits.detach().numpy()
    total = 0.0
    for row, features, y in zip(z, x.detach().numpy(), LABELS[INDEX].tolist(), strict=True):
        w = net.head.weight.detach().numpy()[y]
        virtual = math.sqrt(w @ w) * math.sqrt(features @ features)
        assert virtual >= row[y]  # the cosine is at most 1
        total -= math.log(math.exp(row[y]) / (np.exp(row).sum() + math.exp(virtual)))
    ours = value(loss(net, "virtual_softmax"))
    assert ours == pytest.approx(total / N, rel=1e-9)
    assert ours > cross_entropy(logits)
    assert logits.shape == (N, K)  # a prediction knows no virtual class


DDGSD = {"temperature": 3.0, "weight": 2.0, "discrepancy": 0.5}


def test_ddgsd_by_hand():
    net = network()
    both, x = net(torch.cat([IMAGES, OF_CLASS]), return_features=True)
    one, other = both[:N], both[N:]
    hard = (cross_entropy(one) + cross_entropy(other)) / 2
    soft = (divergence(one, other, 3) + divergence(other, one, 3)) / 2
    apart = x.detach().numpy()[:N].mean(0) - x.detach().numpy()[N:].mean(0)
    expected = hard + 2 * soft + 0.5 * float(apart @ apart)
    assert value(loss(net, "ddgsd", OF_CLASS, **DDGSD)) == pytest.approx(expected, rel=1e-6)


def test_the_views_of_ddgsd_teach_one_another_as_constants():
    net = network()
    ours = gradient(loss(net, "ddgsd", OF_CLASS, **DDGSD | {"discrepancy": 0.0}), net)
    one, other = net(torch.cat([IMAGES, OF_CLASS])).chunk(2)
    p, r = ((z / 3).log_softmax(1) for z in (one, other))
    first = (r.detach().exp() * (r.detach() - p)).sum(1).mean()
    second = (p.detach().exp() * (p.detach() - r)).sum(1).mean()
    labels = LABELS[INDEX]
    hard = (
        nn.functional.cross_entropy(one, labels) + nn.functional.cross_entropy(other, labels)
    ) / 2
    torch.testing.assert_close(ours, gradient(hard + 2 * 9 * (first + second) / 2, net))


def test_without_weights_ddgsd_is_cross_entropy_of_both_views():
    net = network()
    ours = loss(net, "ddgsd", OF_CLASS, temperature=3.0, weight=0.0, discrepancy=0.0)
    both = net(torch.cat([IMAGES, OF_CLASS]))
    assert value(ours) == pytest.approx(cross_entropy(both, LABELS[INDEX].repeat(2)), rel=1e-9)


def test_byot_by_hand():
    net = network("byot")
    ours = value(loss(net, "byot", temperature=3.0, weight=0.3, hint=0.1))
    z, x, branches = net.shallow(IMAGES)
    taught, total = softmax(z, 3), cross_entropy(z)
    assert len(branches) == 1
    for own, seen in branches:
        soft = float(-(taught * np.log(softmax(own, 3))).sum(1).mean())
        total += 0.7 * cross_entropy(own) + 0.3 * soft
        total += 0.1 * math.sqrt(float(((seen - x).detach().numpy() ** 2).sum()))
    assert ours == pytest.approx(total, rel=1e-6)


def test_a_branch_of_byot_teaches_the_body_and_not_its_teacher():
    net = network("byot")
    ours = loss(net, "byot", temperature=3.0, weight=1.0, hint=1.0)
    hard = nn.functional.cross_entropy(net(IMAGES), LABELS[INDEX])
    (first, *_), deep, head = (
        list(part.parameters()) for part in (net.body[0], net.body[4], net.head)
    )
    for parameter in (*deep, *head):  # past the branch: what the deepest answer says is constant
        slopes = [torch.autograd.grad(x, parameter, retain_graph=True)[0] for x in (ours, hard)]
        torch.testing.assert_close(*slopes)
    slopes = [torch.autograd.grad(x, first, retain_graph=True)[0] for x in (ours, hard)]
    assert float((slopes[0] - slopes[1]).norm()) > 0.01 * float(slopes[1].norm())


def mixed_cross_entropy(z, mixed):
    """Of both labels, each with its share."""
    log_p = np.log(softmax(z))
    labels = LABELS[INDEX][mixed.sources].numpy()  # (2, N)
    parts = [
        weight * log_p[range(N), own].mean()
        for weight, own in zip(mixed.weights[:, 0].tolist(), labels, strict=True)
    ]
    return -float(sum(parts))


def test_mixup_by_hand():
    net = network()
    torch.manual_seed(7)
    mixed = mixing.mixup(IMAGES, alpha=0.4)
    z = net(mixed.images)
    assert 0.01 < float(mixed.weights[0, 0]) < 0.99  # it mixes
    torch.manual_seed(7)
    ours = value(loss(net, "mixup", alpha=0.4))
    assert ours == pytest.approx(mixed_cross_entropy(z, mixed), rel=1e-6)


def test_mixup_with_cs_kd_by_hand():
    """Partners are blended with partners, by the pairs and the share of the images."""
    net = network()
    torch.manual_seed(7)
    mixed = mixing.mixup(IMAGES, alpha=0.4)
    share = float(mixed.weights[0, 0])
    z = net(mixed.images)
    reference = net(share * OF_CLASS + (1 - share) * OF_CLASS[mixed.sources[1]])
    expected = mixed_cross_entropy(z, mixed) + 3 * divergence(z, reference, 4)
    torch.manual_seed(7)
    ours = loss(net, "mixup_cs_kd", OF_CLASS, alpha=0.4, **CS_KD)
    assert value(ours) == pytest.approx(expected, rel=1e-6)


GOOD = {  # a method's parameters
    "adacos": {},
    "byot": {"temperature": 3.0, "weight": 0.3, "hint": 0.1},
    "cs_kd": CS_KD,
    "cs_kd_e": CS_KD | {"consistency": 1.0},
    "ddgsd": DDGSD,
    "max_entropy": {"weight": 0.5},
    "mixup": {"alpha": 0.4},
    "mixup_cs_kd": CS_KD | {"alpha": 0.4},
    "virtual_softmax": {},
}
KD_CS_KD = {"weight": 0.9, "temperature": 4.0, "class_weight": 1.0, "class_temperature": 4.0}
RANGES = {  # of the parameters, by name: the least, whether it is itself allowed, and the largest
    "temperature": (0, False, 1000),
    "class_temperature": (0, False, 1000),
    "alpha": (0, False, 1e6),
    "weight": (0, True, math.inf),
    "class_weight": (0, True, math.inf),
    "consistency": (0, True, math.inf),
    "discrepancy": (0, True, math.inf),
    "hint": (0, True, math.inf),
}
TAUGHT = LESSON._replace(logits=torch.zeros(9, K), teach=lambda views: torch.zeros(len(views), K))
ALL = GOOD | {"kd_cs_kd": KD_CS_KD}
NUMBERS = [(method, name) for method, parameters in ALL.items() for name in parameters]
SHARES = {("byot", "weight"), ("kd_cs_kd", "weight")}  # at most 1


def test_every_method_has_its_tests_here():
    assert set(GOOD) == set(regularisers.OBJECTIVES)
    assert all(set(names) <= set(OTHERS) for names in objectives.OTHERS.values())


@settings(deadline=None)
@given(st.floats(allow_infinity=False) | st.just(-math.inf))
@pytest.mark.parametrize(("method", "name"), NUMBERS)
def test_a_number_is_taken_in_its_range_and_refused_outside(method, name, number):
    low, closed, high = RANGES[name]
    high = 1 if (method, name) in SHARES else high
    parameters = ALL[method] | {name: number}
    if low < number <= high or (closed and number == low):
        assert callable(objectives.make(method, TAUGHT, parameters))
        return
    with pytest.raises(ValueError, match=f"^{name} must lie in .* got ") as caught:
        objectives.make(method, TAUGHT, parameters)
    assert repr(number) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("method", "name"), NUMBERS)
@pytest.mark.parametrize("wrong", [math.nan, "much", None, [1.0]])
def test_what_is_no_number_is_refused(method, name, wrong):
    with pytest.raises(ValueError, match=f"{name} must lie in|method '{method}' with"):
        objectives.make(method, TAUGHT, ALL[method] | {name: wrong})


@pytest.mark.parametrize("method", ALL)
def test_parameters_are_needed_and_others_are_named(method):
    parameters = ALL[method]
    with pytest.raises(ValueError, match=f"method '{method}' with .*'lambda_'"):
        objectives.make(method, TAUGHT, parameters | {"lambda_": 1.0})
    for name in parameters:
        with pytest.raises(ValueError, match=f"method '{method}' with .*missing .*'{name}'"):
            objectives.make(method, TAUGHT, {k: v for k, v in parameters.items() if k != name})


@pytest.mark.parametrize("method", ["cs_kd", "cs_kd_e", "mixup_cs_kd", "kd_cs_kd"])
@pytest.mark.parametrize("partner", ["test", "", None, 1])
def test_the_mode_of_the_partners_pass(method, partner):
    with pytest.raises(ValueError, match="mode of the partner's pass .*; known: eval, train"):
        objectives.make(method, TAUGHT, ALL[method] | {"partner": partner})


def run(method, teachers=(), **fields):
    """Return a run on noisy digits that takes a second."""
    return Run(
        "noisy_digits",
        "small_cnn",
        method,
        {"sigma": 0.5, "train": 6, "test": 6, "augment": {"shift": 1}},
        ALL.get(method, {}),
        {"epochs": 2, "batch": 16, "rate": 0.05},
        teachers,
        profile="smoke",
        **fields,
    )


TEACHER = run("none")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder where the teacher has been trained."""
    folder = tmp_path_factory.mktemp("runs")
    images.execute(TEACHER, work=folder)
    return folder


@pytest.mark.parametrize("method", ALL)
def test_a_run_of_every_method(method, work):
    own = run(method, (TEACHER,) if method in objectives.TAUGHT else ())
    record = images.execute(own, work=work)
    numbers = [v for row in record.rows.values() for values in row.values() for v in values]
    assert all(math.isfinite(v) for v in (*numbers, *record.figures["history"]["loss"]))
    prepared = setting.prepare(own, Execution())
    fresh, kept = prepared.network(own), setting.trained(own, prepared, work)
    test = prepared.dataset.test
    untrained, logits = (prepared.predict(n, test) for n in (fresh, kept))
    assert not torch.equal(untrained, logits)
    reached = value(nn.functional.cross_entropy(logits, test.labels))
    assert record.rows["plain"]["cross_entropy"] == [pytest.approx(reached, rel=1e-5)]
