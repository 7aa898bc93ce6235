import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy.training.ensemble import mlp
from ldlstudy.training.ensemble.mlp import Architecture

SIZES = [Architecture(2, (64, 64), 3), Architecture(5, (7, 24, 40), 4), Architecture(3, (), 2)]


def parameters(architecture, networks, seed=0):
    """Return random rows (M, P) in float64; nothing of the padding between layers is zero."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(networks, architecture.size, generator=generator).double() / 3


def batch(architecture, networks, samples, seed=1):
    """Return inputs (M, F, B) and targets (M, K, B) in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(networks, architecture.inputs, samples, generator=generator).double()
    t = torch.randn(networks, architecture.classes, samples, generator=generator).double()
    return x, t.softmax(1)


def plain_logits(layers, inputs):
    """Return the logits (M, K, B) of networks one at a time, by torch itself."""
    logits = []
    for m, x in enumerate(inputs):
        h = x.T
        for depth, (weights, bias) in enumerate(layers):
            h = torch.nn.functional.linear(h, weights[m], bias[m])
            h = h.relu() if depth < len(layers) - 1 else h
        logits.append(h.T)
    return torch.stack(logits)


@pytest.mark.parametrize("architecture", SIZES)
def test_forward_against_torch(architecture):
    layers = architecture.layers(parameters(architecture, 3))
    x, _ = batch(architecture, 3, 9)
    before = x.clone()
    activations = mlp.forward(layers, x)
    torch.testing.assert_close(activations[-1], plain_logits(layers, x))
    assert len(activations) == len(architecture.shapes) + 1
    assert torch.equal(x, before)


@pytest.mark.parametrize("betas", [None, [0.95, 0.3, 1.0]])
@pytest.mark.parametrize("architecture", SIZES)
def test_backward_against_autograd(architecture, betas):
    rows = parameters(architecture, 3).requires_grad_()
    x, t = batch(architecture, 3, 16)
    weights = torch.zeros(16, dtype=torch.float64)
    weights[:11] = torch.rand(11, generator=torch.Generator().manual_seed(2)).double()
    bootstrap = None if betas is None else torch.tensor(betas, dtype=torch.float64)

    log_p = plain_logits(architecture.layers(rows), x).log_softmax(1)
    beta = torch.ones(3, 1, 1).double() if bootstrap is None else bootstrap[:, None, None]
    taught = beta * t + (1 - beta) * log_p.exp()  # the gradient flows through p
    (-(taught * log_p).sum(1) * weights).sum().backward()

    gradient = torch.zeros_like(rows)
    with torch.no_grad():
        mlp.backward(
            architecture.layers(rows), architecture.layers(gradient), x, t, weights, bootstrap
        )
    torch.testing.assert_close(gradient, rows.grad, rtol=1e-10, atol=1e-12)
    assert float(gradient.abs().max()) > 1e-2


def test_adam_against_torch():
    generator = torch.Generator().manual_seed(0)
    rates = torch.tensor([[1e-3], [1e-2], [0.3]])
    rows = torch.randn(3, 50, generator=generator).double()
    ours, mean, square = rows.clone(), torch.zeros_like(rows), torch.zeros_like(rows)
    steps = torch.zeros(3, 1, dtype=torch.float64)
    theirs = [row.clone().requires_grad_() for row in rows]
    optimisers = [
        torch.optim.Adam([row], lr=float(rate)) for row, rate in zip(theirs, rates, strict=True)
    ]
    for step in range(20):
        gradient = torch.randn(3, 50, generator=generator).double() * 10.0 ** (step % 7 - 3)
        gradient[:, :5] = 0  # parameters that never get a gradient stay
        mlp.adam(ours, gradient, mean, square, steps, rates.double())
        for row, g, optimiser in zip(theirs, gradient, optimisers, strict=True):
            row.grad = g
            optimiser.step()
    assert steps.tolist() == [[20], [20], [20]]
    expected = torch.stack([row.detach() for row in theirs])
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-8)  # the rates are float32
    assert torch.equal(ours[:, :5], rows[:, :5])


@given(
    st.integers(1, 20), st.lists(st.integers(1, 40), max_size=3), st.integers(2, 20), st.integers(1)
)
@settings(max_examples=40)
def test_layers_are_aligned_apart_and_whole(inputs, hidden, classes, networks):
    architecture = Architecture(inputs, tuple(hidden), classes)
    rows = torch.zeros(networks % 4 + 1, architecture.size)
    assert architecture.size % mlp.ALIGN == 0
    for tensors, (i, o) in zip(architecture.layers(rows), architecture.shapes, strict=True):
        for tensor, shape in zip(tensors, ((o, i), (o,)), strict=True):
            assert tuple(tensor.shape) == (len(rows), *shape)
            assert tensor.storage_offset() % mlp.ALIGN == 0
            tensor += 1  # views into the rows
    parameters = sum(i * o + o for i, o in architecture.shapes)
    assert float(rows.max()) == 1  # no float belongs to two
    assert rows.sum(1).tolist() == [parameters] * len(rows)


@pytest.mark.parametrize("init", mlp.INITS)
def test_initialise(init):
    architecture = Architecture(10, (200, 300), 7)
    rows = torch.full((3, architecture.size), torch.nan)
    for row, seed in zip(rows, (5, 5, 6), strict=True):
        architecture.initialise(row, init, seed)
    assert torch.equal(rows[0], rows[1])
    for (weights, bias), (i, o) in zip(architecture.layers(rows), architecture.shapes, strict=True):
        bound = 1 / math.sqrt(i) if init == "torch" else math.sqrt(6 / (i + o))
        assert 0.99 * bound < float(weights.abs().max()) <= bound
        assert float(weights[0].var()) == pytest.approx(bound**2 / 3, rel=0.1)  # uniform
        assert not torch.equal(weights[0], weights[2])
        if init == "glorot":
            assert not bias.any()
        else:
            assert 0.6 * bound < float(bias.abs().max()) <= bound
    used = sum(i * o + o for i, o in architecture.shapes)
    assert int((rows[0] == 0).sum()) >= architecture.size - used  # padding is zero, not NaN


def test_initial_bounds_are_those_of_linear():
    torch.manual_seed(0)
    linear, architecture = torch.nn.Linear(25, 4000), Architecture(25, (), 4000)
    row = torch.empty(architecture.size)
    architecture.initialise(row, "torch", 0)
    for ours, theirs in zip(architecture.layers(row[None])[0], linear.parameters(), strict=True):
        largest = float(theirs.detach().abs().max())
        assert float(ours.abs().max()) == pytest.approx(largest, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((0, (4,), 3), "inputs must be a whole number of at least 1, got 0"),
        ((2, (4, 0), 3), "hidden width must be a whole number of at least 1, got 0"),
        ((2, (4.5,), 3), "hidden width .* got 4.5"),
        ((2, (4,), 1), "classes must be a whole number of at least 2, got 1"),
    ],
)
def test_impossible_architectures(arguments, match):
    with pytest.raises(ValueError, match=match):
        Architecture(*arguments)


def test_an_unknown_initialisation():
    with pytest.raises(ValueError, match="unknown init 'he'; known: glorot, torch"):
        SIZES[0].initialise(torch.empty(SIZES[0].size), "he", 0)
