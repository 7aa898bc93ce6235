import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ldlstudy.training import Recipe


def network():
    torch.manual_seed(0)
    layers = [nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2)]
    return nn.Sequential(*layers)


def rates(optimiser):
    """Return the rate of each parameter, by identity."""
    return {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}


@given(st.integers(1, 300), st.data())
def test_the_linear_schedule_would_reach_0_after_the_last_epoch(epochs, data):
    epoch = data.draw(st.integers(0, epochs - 1))
    recipe = Recipe(epochs, schedule="linear")
    assert recipe.share(epoch) == pytest.approx((epochs - epoch) / epochs)
    assert recipe.share(0) == 1
    assert recipe.share(epochs) == 0


def test_the_triangle_rises_from_a_fifth_and_falls_to_0():
    recipe = Recipe(100, schedule="triangle")
    shares = [recipe.share(epoch) for epoch in (0, 11.5, 23, 61.5, 100)]
    assert shares == pytest.approx([0.2, 0.6, 1, 0.5, 0])


@given(st.lists(st.integers(1, 99), unique=True, max_size=4), st.floats(0.1, 1), st.integers(0, 99))
def test_steps_multiply_the_rate_from_each_drop_on(drops, factor, epoch):
    share = 1.0
    for drop in drops:
        if epoch >= drop:
            share *= factor
    assert Recipe(100, drops=drops, factor=factor).share(epoch) == pytest.approx(share)
    assert Recipe(100, schedule="constant").share(epoch) == 1


def test_a_decay_drops_after_every_so_many_steps():
    """As ILS has it: the rate times .9 after each 150 steps of 256 images, of 45,000."""
    recipe = Recipe(150, schedule="decay", factor=0.9, period=150 * 256 / 45_000)
    assert recipe.moves
    for step in (0, 1, 149, 150, 151, 299, 300, 1499, 1500):
        assert recipe.share(step * 256 / 45_000) == pytest.approx(0.9 ** (step // 150))


def test_each_layer_has_its_rate_and_decay():
    net = network()
    recipe = Recipe(
        10, rate=[1.0, 0.5, 0.1], weight_decay=[0, 1e-3, 1e-4], schedule="linear", dampening=0.9
    )
    optimiser = recipe.make_optimiser(net)
    recipe.set_rate(optimiser, 5)
    of = rates(optimiser)
    for layer, rate in ((net[0], 0.5), (net[2], 0.25), (net[4], 0.05)):
        assert [of[id(p)] for p in layer.parameters()] == [rate, rate]
    decays = {id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    assert [decays[id(layer.weight)] for layer in (net[0], net[2], net[4])] == [0, 1e-3, 1e-4]
    assert len(of) == len(list(net.parameters()))


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_steps_are_those_of_the_formula(nesterov):
    """v <- m v + (1 - d) g, the first v is g; w <- w - r v, or w - r (g + m v) with Nesterov."""
    momentum, dampening, decay = 0.9, 0.0 if nesterov else 0.9, 0.01
    net = nn.Linear(3, 2, bias=False)
    settings = {"momentum": momentum, "dampening": dampening, "weight_decay": decay}
    recipe = Recipe(4, rate=0.5, nesterov=nesterov, schedule="linear", **settings)
    optimiser = recipe.make_optimiser(net)
    w, velocity = net.weight.detach().clone(), None
    for epoch in range(4):
        recipe.set_rate(optimiser, epoch)
        slope = torch.full((2, 3), 0.1 * (epoch + 1))
        optimiser.zero_grad()
        (net.weight * slope).sum().backward()
        optimiser.step()
        gradient = slope + decay * w
        if velocity is None:
            velocity = gradient
        else:
            velocity = momentum * velocity + (1 - dampening) * gradient
        step = gradient + momentum * velocity if nesterov else velocity
        w = w - 0.5 * (1 - epoch / 4) * step
        torch.testing.assert_close(net.weight.detach(), w)


def test_adam_s_first_step_is_the_sign_of_the_gradient():
    net = nn.Linear(3, 2, bias=False)
    optimiser = Recipe(1, optimiser="adam", rate=0.01).make_optimiser(net)
    before = net.weight.detach().clone()
    slope = torch.tensor([[3.0, -2.0, 0.1], [-1.0, 5.0, -0.5]])
    (net.weight * slope).sum().backward()
    optimiser.step()
    torch.testing.assert_close(net.weight.detach(), before - 0.01 * slope.sign())


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_weights_are_those_of_torch_s_optimiser_and_cosine_schedule(optimiser):
    ours, theirs = network(), network()
    recipe = Recipe(7, optimiser=optimiser, rate=0.05, weight_decay=0.1, schedule="cosine")
    if optimiser == "sgd":
        reference = torch.optim.SGD(theirs.parameters(), 0.05, momentum=0.9, weight_decay=0.1)
    else:
        make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimiser]
        reference = make(theirs.parameters(), lr=0.05, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=7)
    mine = recipe.make_optimiser(ours)
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    for epoch in range(7):
        recipe.set_rate(mine, epoch)
        assert mine.param_groups[0]["lr"] == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        for net, optimiser_of in ((ours, mine), (theirs, reference)):
            torch.manual_seed(epoch)
            optimiser_of.zero_grad()
            net(x).square().mean().backward()
            optimiser_of.step()
        schedule.step()
        torch.testing.assert_close(list(ours.parameters()), list(theirs.parameters()))


def test_weights_that_two_layers_share_are_trained_once():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    optimiser = Recipe(1, rate=1.0, momentum=0.0).make_optimiser(net)
    (group,) = optimiser.param_groups
    assert len(group["params"]) == 3


@pytest.mark.parametrize("name", ["rate", "weight_decay", "norm_penalty"])
def test_a_wrong_count_of_rates(name):
    recipe = Recipe(1, **{name: [1.0, 0.1]})
    expected = f"{name} must be one number or one for each of the network's 3 layers .* got 2"
    with pytest.raises(ValueError, match=expected):
        (recipe.penalty if name == "norm_penalty" else recipe.make_optimiser)(network())


def test_the_penalty_is_of_norms_that_are_not_squared_and_of_weights_alone():
    """[Re]'s code: .04 (||W1|| + ||W2||), outside the factor of its loss."""
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    penalty = Recipe(1, norm_penalty=[0.04, 0.5, 0.0]).penalty(net)
    weights = [np.linalg.norm(layer.weight.detach().numpy()) for layer in net]
    assert penalty.item() == pytest.approx(0.04 * weights[0] + 0.5 * weights[1])
    penalty.backward()
    assert float(net[0].weight.grad.norm()) == pytest.approx(0.04)
    assert net[2].weight.grad is None
    assert net[0].bias.grad is None
    assert Recipe(1).penalty(net) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "a run needs the number of epochs"),
        ({"epoch": 3}, "unknown training setting 'epoch'; known: batch, clip, dampening, drops, "),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": 1, "batch": 0}, "batch must be a whole number"),
        ({"epochs": 1, "rate": 0}, r"rate must lie in \(0, inf\), got 0"),
        ({"epochs": 1, "rate": [0.1, -1]}, "rate must lie in"),
        ({"epochs": 1, "rate": "fast"}, "rate must be a number, got"),
        ({"epochs": 1, "momentum": 1.1}, r"momentum must lie in \[0, 1\], got 1.1"),
        ({"epochs": 1, "dampening": -0.1}, "dampening must lie in"),
        ({"epochs": 1, "optimiser": "lion"}, "unknown optimiser 'lion'; known: adam, adamw, sgd"),
        (
            {"epochs": 1, "schedule": "poly"},
            "unknown schedule 'poly'; known: constant, cosine, decay, lin",
        ),
        ({"epochs": 1, "schedule": "decay"}, "a period belongs to the schedule decay, got None"),
        ({"epochs": 1, "period": 0.5}, "a period belongs to the schedule decay, got 0.5 with step"),
        ({"epochs": 1, "schedule": "decay", "period": 0}, r"period must lie in \(0, inf\)"),
        ({"epochs": 1, "keep": "first"}, "unknown epoch to keep 'first'; known: best, last"),
        ({"epochs": 1, "drops": [0.5]}, "drops must be a whole number"),
        ({"epochs": 1, "drops": 5}, "drops must be a list of epochs, got 5"),
        ({"epochs": 1, "factor": 0}, "factor must lie in"),
        (
            {"epochs": 1, "optimiser": "adam", "momentum": 0.5},
            "momentum belongs to the optimiser sgd, got 0.5 with adam",
        ),
        ({"epochs": 1, "optimiser": "adamw", "nesterov": True}, "nesterov belongs to the optim"),
        ({"epochs": 1, "optimiser": "adamw", "dampening": 0.1}, "dampening belongs to the optim"),
        (
            {"epochs": 1, "schedule": "cosine", "drops": [1]},
            r"drops belongs to the schedule steps, got \(1,\) with cosine",
        ),
        ({"epochs": 1, "schedule": "linear", "factor": 0.5}, "the schedule steps and decay, got"),
        ({"epochs": 1, "loss_scale": 0}, "loss_scale must lie in"),
        ({"epochs": 1, "norm_penalty": [0, -1]}, "norm_penalty must lie in"),
        ({"epochs": 1, "clip": 0}, "clip must lie in"),
        ({"epochs": 1, "order": -1}, "order must be a whole number of at least 0, got -1"),
        ({"epochs": 1, "nesterov": "False"}, "nesterov must be true or false, got 'False'"),
    ],
)
def test_what_is_out_of_range_or_unknown(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe.of(settings)


def test_nesterov_without_momentum():
    with pytest.raises(ValueError, match="nesterov needs a momentum above 0"):
        Recipe.of({"epochs": 1, "nesterov": True, "momentum": 0.0})


def test_a_period_that_is_no_binary_fraction_ends_where_it_is_said_to():
    """.3 / .1 is below 3 in floating point."""
    recipe = Recipe(1, rate=0.1, schedule="decay", period=0.1, factor=0.5)
    assert [recipe.share(n / 10) for n in range(10)] == [0.5**n for n in range(10)]
