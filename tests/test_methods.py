"""Rows of the table of methods: what a row says, the labels it teaches, its settings, a training.

Steps that are more than a label are compared with references in ``test_methods_regularisers.py``
and ``test_methods_distillation.py``.
"""

import copy
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ldlstudy import Augmentation, Recipe, methods, targets, train
from ldlstudy.data.images import Images
from ldlstudy.methods import METHODS, candidates
from tests import steps
from tests.steps import GOOD, INDEX, LABELS, MIXINGS, ONE, TRUTH, K, loss, network, value

# so small a teacher may be right of every held-out image: no temperature is then the best
pytestmark = pytest.mark.filterwarnings("ignore::ldlstudy.scaling.NoTemperatureWarning")

TAUGHT = [name for name, row in METHODS.items() if row.teacher]


def at(temperature):
    """The teacher's probabilities for the images as they are."""
    return (ONE.logits[0] / temperature).softmax(1)


def drawn():
    return torch.Generator().manual_seed(5)


LABELLED = {
    "none": torch.eye(K)[LABELS],
    "ls": torch.eye(K)[LABELS] * 0.7 + 0.3 / K,
    "ls_wrong": torch.eye(K)[LABELS] * (0.7 - 0.1) + 0.1,
    "similarity": targets.class_similarity(steps.IMAGES.flatten(1).float(), LABELS, K, 0.3),
    "neighbours": targets.neighbours(steps.IMAGES.flatten(1).float(), LABELS, K, 3),
    "propagation": targets.propagation(steps.IMAGES.flatten(1).float(), LABELS, K, 0.4, 4),
    "truth": TRUTH,
    "ils1": targets.ils1(LABELS, at(1.7), 0.75, 0.3),
    "ils2": targets.ils2(LABELS, at(4.0), 0.1),
    "ils": targets.ils(LABELS, at(4.0), 0.75, 0.3, magnitude=at(1.7)),
    "sinusoidal": targets.sinusoidal(LABELS, at(1.7), 0.9, 8.0),
    "beta": targets.beta(LABELS, K, 0.07, teacher=at(1.7), generator=drawn()),
    "bootstrap": torch.eye(K)[LABELS],
    "distil": at(1.0),
}


@pytest.mark.parametrize("method", METHODS)
def test_labels_are_those_of_the_strategy(method):
    row, settings = METHODS[method], {} if method == "distil" else GOOD[method]
    own = steps.task(ONE if row.teacher else None)
    if method in LABELLED:
        ours, expected = row.labels(own, settings), LABELLED[method]
        torch.testing.assert_close(ours.double(), expected.double(), rtol=0, atol=1e-7)
        return
    with pytest.raises(ValueError, match="trains a loss of its own, not label distributions"):
        row.labels(own, settings)


@pytest.mark.parametrize("name", [None, *MIXINGS])
@pytest.mark.parametrize("method", sorted(set(LABELLED) - {"bootstrap"}))
def test_a_label_is_looked_up_by_index_and_blended_as_the_images_were(method, name):
    if name and not METHODS[method].mixes:
        return
    table = at(2.0) if method == "distil" else LABELLED[method]
    net, seen = network(), steps.mixed(name) if name else steps.batch()
    label = steps.blended(table, seen) if name else table[INDEX].double().numpy()
    expected = steps.cross(label, net(seen.images)).mean()
    assert value(loss(method, net, seen)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_label_smoothing_is_torch_s(epsilon):
    net = network()
    expected = F.cross_entropy(net(steps.VIEWS[0]), LABELS[INDEX], label_smoothing=epsilon)
    assert value(loss("ls", net, epsilon=epsilon)) == pytest.approx(value(expected), rel=1e-6)


@pytest.mark.parametrize(("reading", "temperature"), [("fitted", 1.7), ("grid", 4.0)])
def test_ils_takes_its_factor_at_one_temperature_and_its_shares_at_the_grids(reading, temperature):
    taught = METHODS["ils"].labels(steps.task(ONE), GOOD["ils"] | {"magnitude": reading}).numpy()
    rows, grid = np.arange(len(LABELS)), at(4.0).numpy()
    factor = np.minimum(0.2, 0.3 * (at(temperature).numpy()[rows, LABELS] - 0.75) ** 2)
    np.testing.assert_allclose(taught[rows, LABELS], 1 - factor, rtol=1e-6)
    for wrong in ((LABELS + step).numpy() % K for step in range(1, K)):
        share = grid[rows, wrong] / (1 - grid[rows, LABELS])
        np.testing.assert_allclose(taught[rows, wrong], factor * share, rtol=1e-5, atol=1e-9)


def test_what_beta_draws_depends_on_the_seed_alone():
    torch.manual_seed(7)
    one, again, other = (
        METHODS["beta"].labels(steps.task(ONE, seed=seed), GOOD["beta"]) for seed in (5, 5, 6)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_uses_all_that_its_row_says(method):
    """What no row asks for is not in the batch; what one asks for changes the loss."""
    row, seen = METHODS[method], steps.batch(method)
    other = torch.rand(steps.VIEWS[0].shape, generator=drawn()).double()
    changes = [{"images": other}, *({name: other} for name in row.sees if name != "view")]
    for i in range(len(seen.views)):
        changes.append({"views": (*seen.views[:i], other, *seen.views[i + 1 :])})
    if row.history:
        changes.append({"history": steps.HISTORY})
    plain = value(loss(method, network(method)))
    for change in changes:
        assert value(loss(method, network(method), replace(seen, **change))) != plain, change
    if row.teacher:
        another = steps.teacher(steps.TEACHERS[1])
        assert value(steps.objective(method, another)(network(method), seen)) != plain
    if row.beside:
        with pytest.raises(AttributeError, match="beside"):
            loss(method, network())
    if row.mixes:
        seen, more = steps.mixed("mixup", method), {"relabel": True} if method == "kd" else {}
        mixed, plain = (
            value(loss(method, network(method), each, **more))
            for each in (seen, replace(seen, mixed=None))
        )
        assert mixed != pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_slopes_reach_every_weight_and_no_teacher(method):
    net, before = network(method), copy.deepcopy(steps.TEACHERS[0].state_dict())
    loss(method, net).backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
    assert all(p.grad is None for p in steps.TEACHERS[0].parameters())
    assert all(torch.equal(v, before[k]) for k, v in steps.TEACHERS[0].state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_bf16_training_has_a_loss_in_float32(method):
    net, seen = network(method).float(), steps.batch(method)
    images = {"images": seen.images.float(), "views": tuple(x.float() for x in seen.views)}
    images |= {name: getattr(seen, name).float() for name in METHODS[method].sees if name != "view"}
    with torch.autocast("cpu", torch.bfloat16):
        result = loss(method, net, replace(seen, **images))
    assert result.dtype == torch.float32
    result.backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def trained(method, epochs, more=None, **options):
    net = network().float()
    history = train(
        net,
        Images(steps.IMAGES.float(), LABELS, TRUTH),
        method,
        GOOD[method] | (more or {}),
        recipe=Recipe(epochs, batch=24, rate=0.1, schedule="constant"),
        teacher=copy.deepcopy(steps.TEACHERS[0]).float() if method in TAUGHT else None,
        held=(steps.IMAGES.flip(2).float(), LABELS),
        device="cpu",
        **options,
    )
    return net, [epoch["loss"] for epoch in history]


@pytest.mark.parametrize("method", METHODS)
def test_mixed_images_are_taught_by_methods_that_take_them_alone(method):
    if METHODS[method].mixes:
        _, losses = trained(method, 2, {"relabel": True} if method == "kd" else {}, mixing="mixup")
        assert np.isfinite(losses).all()
        return
    with pytest.raises(ValueError, match=f"method '{method}' takes no mixed images, got mixup"):
        trained(method, 2, mixing="mixup")


@pytest.mark.parametrize("method", METHODS)
def test_training_lowers_the_loss_and_goes_on_where_it_was_killed(method, tmp_path):
    net, losses = trained(method, 12)
    if method not in ("crd", "crd_kd", "ogr"):  # whose loss itself changes on the way
        assert sum(losses[-3:]) < sum(losses[:3])
    trained(method, 9, checkpoint=tmp_path / "killed.pt")
    again, resumed = trained(method, 12, checkpoint=tmp_path / "killed.pt")
    assert resumed == losses
    for name, tensor in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_needs_and_does_not_take(method):
    """A teacher or none, no more than one where its features count; a network with features."""
    row = METHODS[method]
    wrong = [(None, "needs a teacher, 0 are")] if row.teacher else [(steps.THREE, "no teacher, 3")]
    if row.teacher and row.beside:
        wrong.append((steps.THREE, "this method needs the features of one teacher, got 3"))
    for taught, message in wrong:
        with pytest.raises(ValueError, match=message):
            row.objective(steps.task(taught), GOOD[method])
    if row.head or row.beside:
        with pytest.raises(ValueError, match="needs a network with features and a head .* Linear"):
            row.fit(torch.nn.Linear(3, 4), (1, 6, 6), steps.LABELS)


@pytest.mark.parametrize(("method", "lacks"), [("truth", "truth"), ("similarity", "inputs")])
def test_a_training_set_that_lacks_something(method, lacks):
    with pytest.raises(ValueError, match=f"this method needs the {lacks} of the training set"):
        METHODS[method].objective(steps.task(**{lacks: None}), GOOD[method])


def test_an_unknown_method():
    message = "unknown method 'cutmix'; known: adacos, beta, bootstrap, byot, "
    with pytest.raises(ValueError, match=message):
        methods.named("cutmix")


@pytest.mark.parametrize("method", METHODS)
def test_settings_are_needed_and_others_are_named(method):
    row, settings = METHODS[method], GOOD[method]
    own = steps.task(ONE if row.teacher else None)
    known = re.escape(", ".join(sorted(row.settings)) or "none")
    with pytest.raises(ValueError, match=f"unknown setting 'lambda_' .*; known: {known}"):
        row.objective(own, {**settings, "lambda_": 1.0})
    for name in settings:
        if row.settings[name] is ...:
            with pytest.raises(ValueError, match=f"this method needs {name}, got "):
                row.objective(own, {k: v for k, v in settings.items() if k != name})


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("ls", {"epsilon": 1.5}, "epsilon must lie in .0, 1., got 1.5"),
        ("ls_wrong", {"alpha": -0.1}, "alpha must lie in .0, 1., got -0.1"),
        ("ils1", {"p1": 2.0}, "p1 must lie in .0, 1., got 2.0"),
        ("ils2", {"teacher_temperature": 0.0}, "temperature must be above 0 and finite, got 0.0"),
        ("ils", {"magnitude": "both"}, "unknown magnitude 'both'; known: fitted, grid"),
        ("distil", {"temperature": 0}, "temperature must be above 0 and finite, got 0"),
        ("distil", {"combine": "vote"}, "'vote'; known: ensemble, mean, sum"),
        ("kd_coded", {"compare": "features"}, "'features'; known: logits, probabilities"),
        ("crd", {"negatives": 48}, "negatives must be at most the 34 training images outside"),
        ("crd_kd", {"negatives": 2.5}, "negatives must be a whole number of at least 1, got 2.5"),
        ("ogr", {"gap": 0}, "gap must be a whole number of at least 1, got 0"),
        ("ogr", {"form": "weight"}, "unknown form of the ratio 'weight'; known: label, loss"),
        ("cs_kd", {"partner": "test"}, "mode of the partner's pass 'test'; known: eval, train"),
        ("cs_kd_e", {"partner": "test"}, "mode of the partner's pass 'test'; known: eval, train"),
        ("kd_cs_kd", {"partner": "test"}, "mode of the partner's pass 'test'; known: eval, train"),
    ],
)
def test_settings_that_are_refused(method, settings, message):
    with pytest.raises(ValueError, match=message):
        loss(method, network(method), **settings)


SHARES = ("alpha", "beta", "momentum", "share", "turned_share")  # in [0, 1], as are these weights:
OF_TWO = ("bootstrap", "kd", "kd_printed", "kd_coded", "kd_cs_kd", "byot")
NUMBERS = [
    (method, name)
    for method, row in METHODS.items()
    if not row.only_labels and method != "distil"
    for name, default in row.settings.items()
    if name in GOOD[method] or isinstance(default, float)
    if name not in ("gap", "negatives")
]


@pytest.mark.parametrize(("method", "name"), NUMBERS)
def test_a_number_is_taken_in_its_range_and_refused_outside(method, name):
    share = name in SHARES or (name == "weight" and method in OF_TWO)
    hot = name.endswith("temperature")
    low, high = 1e-2 if hot else 0.0, 1 if share else 1000 if hot else math.inf
    net = network(method)
    for number in (low, min(high, 5.0), min(high, 1e3)):
        assert math.isfinite(value(loss(method, net, **{name: number})))
    outside = [math.nan, -math.inf, 0.0 if hot else -1e-9]
    for number in outside + ([math.nextafter(high, math.inf)] if high < math.inf else []):
        with pytest.raises(ValueError, match=f"{name.split('_')[-1]} must lie in .* got ") as seen:
            loss(method, net, **{name: number})
        assert repr(number) in str(seen.value)


@pytest.mark.parametrize("method", ["ls", "max_entropy"])
@pytest.mark.parametrize("wrong", ["much", None, [0.1]])
def test_what_is_no_number_is_refused(method, wrong):
    (name,) = GOOD[method]
    with pytest.raises(ValueError, match=name):
        loss(method, network(), **{name: wrong})


def test_candidates_vary_the_last_setting_first():
    assert candidates({"epsilon": "0.1"}) == [{"epsilon": "0.1"}]
    assert candidates({"a": [1, 2], "b": 5, "c": ("x", "y")}) == [
        {"a": a, "b": 5, "c": c} for a in (1, 2) for c in ("x", "y")
    ]
    with pytest.raises(ValueError, match="setting 'p2' is a list without values"):
        candidates({"p1": [0.8], "p2": []})


OTHER = {  # values that a setting does not have by default; of numbers half of what they are
    "relabel": True, "square": False, "combine": "sum", "partner": "eval", "compare":
    "probabilities", "magnitude": "grid", "form": "label", "gap": 2, "negatives": 5, "cap": 0.01,
    "count": 2, "scale_student": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "name"), [(method, name) for method, row in METHODS.items() for name in row.settings]
)
def test_every_setting_changes_what_is_learnt(method, name):
    """A setting that is taken and not used would be asked for in vain."""
    settings = METHODS[method].settings | GOOD[method]
    if (method, name) == ("ogr", "alpha"):
        settings["form"] = "label"
    if name == "scale_student":  # at a temperature of 1 there is nothing to scale
        settings["temperature"] = 2.0
    change = {name: OTHER[name] if name in OTHER else settings[name] / 2}
    if name == "combine":  # of several teachers alone
        losses = [
            value(steps.objective(method, steps.THREE, **more)(network(), steps.batch(method)))
            for more in ({}, change)
        ]
        assert losses[0] != losses[1]
        return
    one, other = (
        trained(method, 4, more, augmentation=Augmentation(shift=1))[0].state_dict()
        for more in (settings, settings | change)
    )
    assert any(not torch.equal(tensor, other[key]) for key, tensor in one.items())


@pytest.mark.parametrize(
    ("method", "name"), [(m, name) for m, row in METHODS.items() for name in sorted({*row.sees})]
)
def test_a_batch_without_what_a_method_sees_beside_its_images(method, name):
    field = "views" if name == "view" else name
    seen = replace(steps.batch(method), **{field: () if name == "view" else None})
    with pytest.raises(ValueError, match=f"this method needs a batch with its {field}"):
        loss(method, network(method), seen)
