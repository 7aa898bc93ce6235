import dataclasses
import gc
import itertools
import signal
import threading
import time
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ldlstudy.device import one_thread_an_operation
from ldlstudy.training.ensemble import Data, Members, Settings, train
from ldlstudy.training.ensemble.blocks import Block

SHORT = Settings(hidden=(16, 16), epochs=12, patience=12)


def problem(networks=6, n=60, held=40, features=2, classes=3, seed=0):
    """Return two data sets and members that differ in everything a member can differ in."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    x, held_x, rule = normal(2, n, features), normal(2, held, features), normal(features, classes)
    labels = (3 * held_x @ rule + normal(2, held, classes)).argmax(2)
    data = Data(x, held_x, labels)
    which = torch.arange(networks) % 2
    members = Members(
        data=which,
        targets=(3 * x[which] @ rule + normal(networks, n, classes)).softmax(2),
        seeds=torch.arange(networks) + 11,
        rates=torch.logspace(-2.5, -1.5, networks),
        bootstrap=torch.ones(networks),
        held_weights=normal(networks, held).softmax(1),
    )
    return data, members


def only(members, which):
    """Return the members at the places ``which``."""
    fields = dataclasses.fields(Members)
    return Members(*(getattr(members, field.name)[which] for field in fields))


def assert_same(a, b):
    for name in ("parameters", "loss", "epoch", "epochs"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def torch_loop(settings, data, members, m, initial):
    """Train member ``m`` as anyone would in PyTorch; return loss, epoch, tensors, last epoch."""
    x, hx, hy = (
        part[members.data[m]] for part in (data.inputs, data.held_inputs, data.held_labels)
    )
    widths = (x.shape[1], *settings.hidden, members.targets.shape[2])
    linears = [torch.nn.Linear(i, o) for i, o in itertools.pairwise(widths)]
    with torch.no_grad():
        for linear, (weights, bias) in zip(linears, initial, strict=True):
            linear.weight.copy_(weights[0])
            linear.bias.copy_(bias[0])
    layers = [layer for linear in linears for layer in (linear, torch.nn.ReLU())][:-1]
    network = torch.nn.Sequential(*layers)
    optimiser = torch.optim.Adam(network.parameters(), lr=float(members.rates[m]))
    order = torch.Generator().manual_seed(int(members.seeds[m]))
    best = (torch.inf, 0, [])
    for epoch in range(1, settings.epochs + 1):
        parts = [torch.arange(len(x))]
        if settings.batch is not None and settings.batch < len(x):
            parts = torch.randperm(len(x), generator=order).split(settings.batch)
        for part in parts:
            optimiser.zero_grad()
            F.cross_entropy(network(x[part]), members.targets[m, part]).backward()
            optimiser.step()
        with torch.no_grad():
            each = F.cross_entropy(network(hx), hy, reduction="none")
        loss = float((each * members.held_weights[m]).sum())
        if loss < best[0]:
            best = (loss, epoch, [p.detach().clone() for p in network.parameters()])
        if epoch - best[1] >= settings.patience:
            break
    return *best, epoch


@pytest.mark.parametrize("init", ["torch", "glorot"])
@pytest.mark.parametrize("batch", [None, 16, 25, 60, 1000])
def test_against_a_pytorch_loop(batch, init):
    settings = Settings(hidden=(16, 16), epochs=15, patience=4, batch=batch, init=init)
    data, members = problem(networks=4)
    trained = train(settings, data, members)
    stopped = 0
    for m, row in enumerate(trained.parameters):
        first = torch.empty_like(row)
        trained.architecture.initialise(first, init, int(members.seeds[m]))
        initial = trained.architecture.layers(first[None])
        with one_thread_an_operation():
            loss, epoch, tensors, last = torch_loop(settings, data, members, m, initial)
        assert float(trained.loss[m]) == pytest.approx(loss, rel=1e-5)
        assert (int(trained.epoch[m]), int(trained.epochs[m])) == (epoch, last)
        ours = itertools.chain.from_iterable(trained.architecture.layers(row[None]))
        for one, other in zip(ours, tensors, strict=True):
            torch.testing.assert_close(one[0], other, rtol=2e-3, atol=2e-4)
        stopped += last < settings.epochs
    if batch is None:
        assert trained.epoch.min() > 5  # something was learnt


def test_some_stop_early_and_some_at_the_last_epoch():
    data, members = problem(networks=8)
    trained = train(Settings(hidden=(16,), epochs=30, patience=3), data, members)
    early = trained.epochs < 30
    assert early.any()
    assert not early.all()
    assert torch.equal(trained.epochs[early], trained.epoch[early] + 3)
    assert bool((trained.epochs - trained.epoch <= 3).all())
    assert train(replace(SHORT, epochs=1), data, members).epochs.tolist() == [1] * 8


@pytest.mark.parametrize("n", [150, 60, 7])
@pytest.mark.parametrize(
    ("hidden", "batch"),
    [((64,) * 5, None), ((64, 64), 16), ((24, 7, 40), None), ((24, 7, 40), 16)],
)
def test_a_network_does_not_feel_its_neighbours(n, hidden, batch):
    """The promise of the package, bit by bit: blocks, threads, order and company do not matter."""
    settings = Settings(hidden=hidden, epochs=8, patience=3, batch=batch)
    data, members = problem(networks=11, n=n, held=37, features=2 if n > 7 else 3)
    whole = train(settings, data, members, block=32, workers=1)
    assert len(set(whole.epochs.tolist())) > 1 or hidden[0] == 64  # slots are refilled
    for block, workers in ((1, 1), (3, 1), (8, 1), (3, 2)):
        assert_same(train(settings, data, members, block=block, workers=workers), whole)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(n))
    for which in (order, order[:4], torch.tensor([9]), torch.tensor([2, 2])):
        alone = train(settings, data, only(members, which), block=2)
        for name in ("parameters", "loss", "epoch", "epochs"):
            assert torch.equal(getattr(alone, name), getattr(whole, name)[which]), (name, which)


def test_a_network_does_not_feel_a_neighbours_bootstrap():
    data, members = problem()
    plain = train(SHORT, data, members)
    beta = members.bootstrap.clone()
    beta[::2] = 0.8
    mixed = train(SHORT, data, replace(members, bootstrap=beta))
    assert torch.equal(mixed.parameters[1::2], plain.parameters[1::2])
    assert bool((mixed.parameters[::2] != plain.parameters[::2]).any(1).all())


def test_members_of_one_rate_weigh_held_samples_alike():
    data, members = problem()
    made = Members.make(members.data, members.targets, members.seeds, 40, rate=0.02, bootstrap=0.9)
    ones = torch.ones(6)
    same = replace(members, rates=0.02 * ones, bootstrap=0.9 * ones)
    same = replace(same, held_weights=torch.full((6, 40), 1 / 40))
    assert len(made) == 6
    assert_same(train(SHORT, data, made), train(SHORT, data, same))


def test_held_weights_decide_when_to_stop():
    data, members = problem(networks=2)
    first, last = torch.zeros(2, 40), torch.zeros(2, 40)
    first[:, :20], last[:, 20:] = 1 / 20, 1 / 20
    trained = [
        train(SHORT, data, replace(members, held_weights=weights)) for weights in (first, last)
    ]
    for result, part in zip(trained, (slice(0, 20), slice(20, 40)), strict=True):
        logits = result.logits(result.parameters, data.held_inputs[:, part])
        for z, y, loss in zip(logits, data.held_labels[:, part], result.loss, strict=True):
            assert float(F.cross_entropy(z, y)) == pytest.approx(float(loss), rel=1e-5)
    assert not torch.equal(trained[0].epoch, trained[1].epoch)


def test_logits_of_many_samples_and_networks():
    data, members = problem(networks=2)
    trained = train(SHORT, data, members)
    x = torch.randn(2, 9000, 2, generator=torch.Generator().manual_seed(1))
    h, layers = x, trained.architecture.layers(trained.parameters)
    for depth, (weights, bias) in enumerate(layers):
        h = h @ weights.transpose(1, 2) + bias[:, None]
        h = h.relu() if depth < len(layers) - 1 else h
    torch.testing.assert_close(trained.logits(trained.parameters, x), h, rtol=1e-4, atol=1e-5)


def test_a_loss_that_is_never_finite_names_its_network():
    data, members = problem()
    rates = members.rates.clone()
    rates[4] = 1e30
    with pytest.raises(FloatingPointError, match=r"network 4 \(seed 15, rate 1e\+30\)"):
        train(SHORT, data, replace(members, rates=rates))


def test_an_error_in_one_thread_stops_the_other(monkeypatch):
    data, members = problem(networks=2)
    settings = Settings(hidden=(4,), epochs=20_000, patience=20_000)
    epochs = itertools.count()
    both = threading.Barrier(2, timeout=20)
    validate = Block.validate

    def interrupted(block):
        if next(epochs) < 2:
            both.wait()  # both threads are at work
            if block.members == [0]:
                raise KeyboardInterrupt
        return validate(block)

    monkeypatch.setattr(Block, "validate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(settings, data, members, block=1, workers=2)
    assert next(epochs) < 10_000


@pytest.fixture
def uncollected():
    """No garbage is collected: hypothesis listens in, and a Ctrl-C pressed then would be lost."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("press_at", [0, 5, 100])
def test_ctrl_c_stops_every_thread(monkeypatch, press_at):
    data, members = problem(networks=2)
    settings = Settings(hidden=(4,), epochs=20_000, patience=20_000)
    epochs, validate = itertools.count(), Block.validate

    def pressed(block):
        if next(epochs) == press_at:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return validate(block)

    monkeypatch.setattr(Block, "validate", pressed)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        train(settings, data, members, workers=2)
    assert next(epochs) < 10_000
    deadline = time.monotonic() + 5  # a thread that was just starting may not have been joined

    def ours():  # the progress bar's own watcher is a daemon
        return [thread for thread in set(threading.enumerate()) - before if not thread.daemon]

    while ours() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not ours()


@pytest.mark.parametrize("rate", [0.01, 1e30])
def test_the_callers_settings_are_left_alone(rate):
    data, members = problem(networks=2)
    members = replace(members, rates=torch.full((2,), rate))
    before, tiny = torch.get_num_threads(), torch.full((8,), 1e-38)
    torch.set_num_threads(2)
    state = torch.random.get_rng_state()
    try:
        if rate > 1:
            with pytest.raises(FloatingPointError):
                train(SHORT, data, members)
        else:
            train(SHORT, data, members)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert bool((tiny * 0.1 > 0).all())  # denormal numbers are not flushed here
    assert torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_arguments_are_not_written_to():
    data, members = problem()
    copies = [t.clone() for each in (data, members) for t in vars(each).values()]
    train(replace(SHORT, batch=16), data, members)
    for copy, tensor in zip(copies, [*vars(data).values(), *vars(members).values()], strict=True):
        assert torch.equal(copy, tensor)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"inputs": torch.zeros(2, 60, 3)}, r"held_inputs must have shape \(2, 40, 3\), got"),
        ({"inputs": torch.zeros(60, 2)}, r"must be float32, of three dimensions .* \(60, 2\)"),
        ({"inputs": torch.zeros(2, 60, 2).double()}, "inputs must be float32.*got torch.float64"),
        ({"held_labels": torch.zeros(2, 39).long()}, r"held_labels must have shape \(2, 40\)"),
        ({"held_labels": torch.full((2, 40), 3)}, r"labels must lie in \[0, 3\)"),
        ({"data": torch.full((6,), 2)}, r"must lie in \[0, 2\)"),
        ({"data": torch.zeros(5).long()}, r"data must have shape \(6,\), got \(5,\)"),
        ({"targets": torch.full((6, 60, 3), 0.5)}, "each row of targets must sum to 1"),
        ({"targets": torch.zeros(0, 60, 3)}, "targets must be .* not empty"),
        ({"rates": torch.tensor([0.1] * 5 + [0.0])}, "smallest rate must lie in .0, inf., got 0"),
        ({"rates": torch.tensor([0.1] * 5 + [torch.nan])}, "smallest rate .* got nan"),
        ({"bootstrap": torch.tensor([1.0] * 5 + [1.5])}, "largest bootstrap .* got 1.5"),
        ({"bootstrap": torch.tensor([1.0] * 5 + [-0.5])}, "smallest bootstrap .* got -0.5"),
        ({"held_weights": torch.zeros(6, 39)}, r"held_weights must have shape \(6, 40\)"),
        ({"held_weights": torch.full((6, 40), 1.0)}, "held_weights must not be negative, and each"),
    ],
)
def test_what_does_not_belong_together(change, match):
    data, members = problem()
    name = next(iter(change))
    if name in ("inputs", "held_inputs", "held_labels"):
        data = replace(data, **change)
    else:
        members = replace(members, **change)
    with pytest.raises(ValueError, match=match):
        train(SHORT, data, members)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"patience": 0}, "patience .* got 0"),
        ({"batch": 0}, "batch .* got 0"),
        ({"batch": 2.5}, "batch .* got 2.5"),
        ({"init": "zeros"}, "unknown init 'zeros'; known: glorot, torch"),
    ],
)
def test_settings_out_of_range(change, match):
    with pytest.raises(ValueError, match=match):
        Settings(**change)


@pytest.mark.parametrize("name", ["block", "workers"])
def test_no_block_and_no_worker(name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got 0"):
        train(SHORT, *problem(), **{name: 0})


def test_progress_counts_networks(capsys):
    train(SHORT, *problem(), title="six")
    shown = capsys.readouterr().err
    assert "six" in shown
    assert "6/6" in shown
    train(SHORT, *problem())
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("batch", [None, 16])
def test_cuda_learns_what_the_cpu_learns(batch):
    data, members = problem()
    settings = replace(SHORT, batch=batch)
    cpu, cuda = train(settings, data, members), train(settings, data, members, device="cuda")
    assert cuda.parameters.device.type == "cpu"
    torch.testing.assert_close(cuda.loss, cpu.loss, rtol=1e-2, atol=1e-2)
    assert torch.equal(train(settings, data, members, device="cuda").loss, cuda.loss)
