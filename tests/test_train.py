from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ldlstudy import checkpoints, heads, losses, machine, objectives, regularisers, train
from ldlstudy.augment import Augmentation
from ldlstudy.batches import Batch
from ldlstudy.dataset import Images
from ldlstudy.evaluation import Watched, predict
from ldlstudy.execution import Execution
from ldlstudy.learner import Student
from ldlstudy.methods import Lesson
from ldlstudy.mixers import mixer
from ldlstudy.models import Classifier
from ldlstudy.models.layers import pool
from ldlstudy.protocol import Protocol

PLAIN, SHIFTED = Augmentation(), Augmentation(shift=1, flip=True)
PROTOCOLS = {
    "sgd": Protocol(5, batch=16, rate=0.1, nesterov=True, drops=[2], weight_decay=1e-3, clip=1.0),
    "adam": Protocol(5, batch=16, optimiser="adam", rate=0.01, schedule="linear"),
}


def images(count=50, classes=3, seed=0):
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    return Images(torch.rand(count, 1, 4, 4, generator=draws) + labels.view(-1, 1, 1, 1), labels)


def objective(network, batch: Batch):
    return F.cross_entropy(network(batch.images), batch.labels)


def network(dropout=0.5):
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(16, 3))


def fit(net, protocol=PROTOCOLS["sgd"], augmentation=SHIFTED, **options):
    return train.train(net, images(), objective, protocol, augmentation, **options)


def same(one: nn.Module, other: nn.Module):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def without_time(history):
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


@pytest.mark.parametrize("clip", [0.8, None])
def test_full_batch_training_is_a_hand_written_loop(clip):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    data = images()
    x, y = data.pixels.flatten(1), data.labels
    weight, bias = (p.detach().clone() for p in net.parameters())
    protocol = Protocol(
        4, batch=50, rate=0.5, momentum=0.9, drops=[2], loss_scale=3.0, weight_decay=0.01, clip=clip
    )
    history = train.train(net, data, objective, protocol, PLAIN)
    speed = [torch.zeros_like(weight), torch.zeros_like(bias)]
    for epoch, rate in enumerate((0.5, 0.5, 0.05, 0.05)):
        logits = x @ weight.T + bias
        assert history[epoch]["loss"] == pytest.approx(float(F.cross_entropy(logits, y)), rel=1e-5)
        assert history[epoch]["rate"] == pytest.approx(rate / 0.5)
        error = 3 * (logits.softmax(1) - F.one_hot(y, 3)) / 50
        slopes = [error.T @ x, error.sum(0)]
        norm = torch.sqrt(sum((s**2).sum() for s in slopes))
        for parameter, slope, v in zip((weight, bias), slopes, speed, strict=True):
            share = 1.0 if clip is None else (clip / norm).clamp(max=1)
            v.mul_(0.9).add_(slope * share + 0.01 * parameter)
            parameter.sub_(rate * v)
    torch.testing.assert_close(net[1].weight.detach(), weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net[1].bias.detach(), bias, rtol=1e-4, atol=1e-5)


def test_the_history():
    net, test = network(), images(31, seed=5)
    watch = {"test": Watched(test, by_class=True), "held": Watched(images(12, seed=6))}
    history = fit(net, watch=watch)
    assert len(history) == 5
    keys = ["rate", "loss", "seconds", "test_loss", "test_accuracy", "test_class_loss"]
    assert list(history[0]) == [*keys, "held_loss", "held_accuracy"]
    for entry in history:
        shares = torch.bincount(test.labels) / 31
        mean = sum(n * share for n, share in zip(entry["test_class_loss"], shares, strict=True))
        assert entry["test_loss"] == pytest.approx(float(mean), rel=1e-6)
        assert entry["seconds"] > 0
    net.eval()
    with torch.no_grad():
        logits = net(test.pixels)
    last = history[-1]
    assert last["test_loss"] == pytest.approx(float(F.cross_entropy(logits, test.labels)), rel=1e-5)
    assert last["test_accuracy"] == float((logits.argmax(1) == test.labels).double().mean())
    assert history[-1]["loss"] < history[0]["loss"]


def test_looking_changes_nothing():
    one, other = network(), network()
    fit(one)
    fit(other, watch={"test": Watched(images(20, seed=3), by_class=True)})
    assert same(one, other)


def test_predictions_are_in_order_and_without_dropout_or_augmentation():
    net, data = network(), images(2100)
    logits = predict(net, data, SHIFTED)
    with torch.no_grad():
        torch.testing.assert_close(logits, net.eval()(data.pixels))
    assert not logits.requires_grad


def test_the_seed_decides_and_the_global_generator_does_not():
    results = []
    for seed, world in ((1, 0), (1, 99), (2, 0)):
        net = network()
        torch.manual_seed(world)
        before = torch.random.get_rng_state()
        fit(net, seed=seed)
        assert torch.equal(torch.random.get_rng_state(), before)
        results.append(net)
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("steps", [1, 7])  # of 4 an epoch: in the first, and after one checkpoint
def test_a_run_cut_off_anywhere_ends_as_one_that_was_not(name, steps, tmp_path, monkeypatch):
    protocol, watch = PROTOCOLS[name], {"test": Watched(images(20, seed=3), by_class=True)}
    whole = network()
    expected = fit(whole, protocol, watch=watch)
    file, cut = tmp_path / "checkpoint.pt", network()
    with monkeypatch.context() as patched:
        patched.setattr(machine, "progress", lambda *_: Bar(steps))
        with pytest.raises(KeyboardInterrupt):
            fit(cut, protocol, watch=watch, checkpoint=file)
    assert file.exists() == (steps > 4)
    resumed = network()
    for parameter in resumed.parameters():
        nn.init.zeros_(parameter) if file.exists() else None
    history = fit(resumed, protocol, watch=watch, checkpoint=file)
    assert same(resumed, whole)
    assert without_time(history) == without_time(expected)
    assert [f.name for f in tmp_path.iterdir()] == [file.name]


METHODS = {
    "adacos": {},
    "byot": {"temperature": 3.0, "weight": 0.3, "hint": 0.1},
    "cs_kd": {"temperature": 4.0, "weight": 1.0},
    "cs_kd eval": {"temperature": 4.0, "weight": 1.0, "partner": "eval"},
    "cs_kd_e": {"temperature": 4.0, "weight": 1.0, "consistency": 1.0},
    "ddgsd": {"temperature": 3.0, "weight": 1.0, "discrepancy": 0.1},
    "kd_cs_kd": {
        "weight": 0.5, "temperature": 4.0, "class_weight": 1.0, "class_temperature": 4.0
    },
    "max_entropy": {"weight": 0.5},
    "mixup": {"alpha": 0.4},
    "mixup_cs_kd": {"alpha": 0.4, "temperature": 4.0, "weight": 1.0},
    "virtual_softmax": {},
}  # fmt: skip


def by_method(name, epochs, checkpoint):
    """Train a network with the head, loss and other images of a method, for some of its epochs."""
    method = name.split()[0]
    torch.manual_seed(1)
    body = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(), pool(),
    )  # fmt: skip
    net = heads.fit(method, Classifier(body, nn.Linear(6, 3), 1), (1, 4, 4))
    data = images()
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(2))
    lesson = Lesson(torch.empty(50, 0), data.labels, 3, 0, logits, teach=lambda views: None)
    train.train(
        net,
        data,
        objectives.make(method, lesson, METHODS[name]),
        Protocol(epochs, batch=16, rate=0.05),
        SHIFTED,
        others=objectives.OTHERS.get(method, ()),
        checkpoint=checkpoint,
    )
    return net


@pytest.mark.parametrize("name", METHODS)
def test_every_method_goes_on_from_its_checkpoint_as_if_never_stopped(name, tmp_path):
    """Statistics of partners, AdaCos' scale, branches and mixup's draws included."""
    whole = by_method(name, 3, None)
    stopped = by_method(name, 1, tmp_path / "c.pt")
    assert not same(stopped, whole)
    assert same(by_method(name, 3, tmp_path / "c.pt"), whole)


def test_every_method_of_a_network_alone_is_resumed_here():
    assert {*regularisers.OBJECTIVES, "kd_cs_kd"} == {name.split()[0] for name in METHODS}


def test_the_mode_of_the_partners_pass_shows_in_the_weights():
    assert not same(by_method("cs_kd", 1, None), by_method("cs_kd eval", 1, None))


def test_other_images_reach_the_objective_in_the_layout_of_the_network():
    seen = []

    def look(net, batch):
        seen.append([o.is_contiguous(memory_format=torch.channels_last) for o in batch.others])
        assert [o.shape for o in batch.others] == [batch.images.shape] * 2
        return objective(net, batch)

    colour = Images(torch.rand(32, 3, 4, 4), torch.arange(32) % 3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    train.train(net, colour, look, PROTOCOLS["sgd"], SHIFTED, others=("partner", "plain"))
    assert seen == [[True, True]] * 10


def test_unknown_other_images_stop_the_training():
    with pytest.raises(ValueError, match="image beside another 'twin'; known: partner, plain, v"):
        fit(network(), others=("twin",))


class Bar:
    """A progress bar that is interrupted after some steps."""

    def __init__(self, steps):
        self.steps = steps

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, count):
        self.steps -= count > 0
        if self.steps < 0:
            raise KeyboardInterrupt

    def set_postfix(self, **_):
        pass


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, again = network(), network()
    history = fit(first, checkpoint=tmp_path / "c.pt")
    assert fit(again, checkpoint=tmp_path / "c.pt") == history
    assert same(first, again)


def test_an_infinite_loss_stops_and_leaves_the_last_good_checkpoint(tmp_path):
    file, good = tmp_path / "c.pt", network()
    fit(good, Protocol(2, batch=16, rate=0.1), checkpoint=file)
    kept = file.read_bytes()
    wild = Protocol(5, batch=16, rate=1e30, momentum=0.0)
    with pytest.raises(ValueError, match="no longer finite in epoch 1: lower the rate, or clip"):
        fit(network(), wild)
    optimiser = wild.make_optimiser(good)
    history = checkpoints.load(file)["history"]
    checkpoints.save(file, network=good, optimiser=optimiser, history=history)
    kept = file.read_bytes()
    with pytest.raises(ValueError, match="no longer finite in epoch 3"):
        fit(network(), wild, checkpoint=file)
    assert file.read_bytes() == kept


def test_weights_that_overflow_in_the_last_step_are_not_kept(tmp_path):
    """The loss is taken before a step, so the last step of an epoch shows in the weights alone."""
    wild = Protocol(1, batch=50, rate=3e38, momentum=0.0, loss_scale=1e6)
    with pytest.raises(ValueError, match="no longer finite in epoch 1"):
        fit(network(), wild, checkpoint=tmp_path / "c.pt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no checkpoint", "half", "pickle"])
def test_a_damaged_checkpoint(content, tmp_path):
    file = tmp_path / "c.pt"
    fit(network(), checkpoint=file)
    if content == "half":
        content = file.read_bytes()[:-500]
    if content == "pickle":
        torch.save({"network": Bar(1)}, file)  # a class of ours: reading it would run code
    else:
        file.write_bytes(content)
    with pytest.raises(ValueError, match="c.pt is damaged, or no file of weights: delete it and"):
        fit(network(), checkpoint=file)


@pytest.mark.parametrize("change", ["network", "optimiser", "nothing"])
def test_the_checkpoint_of_another_training(change, tmp_path):
    file = tmp_path / "c.pt"
    if change == "nothing":
        checkpoints.save(file, other=network())
    else:
        fit(network(), checkpoint=file)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)) if change == "network" else network()
    rates = [0.1, 0.1, 0.2] if change == "optimiser" else 0.1
    with pytest.raises(ValueError, match="c.pt is of another training: delete it and run again"):
        fit(net, Protocol(9, rate=rates, batch=16), checkpoint=file)


def test_bf16_trains_float32_weights():
    net, exact = network(0.0), network(0.0)
    history = fit(net, execution=Execution(precision="bf16"))
    expected = fit(exact)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert history[-1]["loss"] == pytest.approx(expected[-1]["loss"], rel=0.05)
    assert not same(net, exact)


def test_a_batch_of_one_image_is_left_out_of_the_mean_too():
    """33 images in batches of 16: batch normalisation cannot take the last one."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    nn.init.zeros_(net[1].weight)
    nn.init.zeros_(net[1].bias)
    still = Protocol(1, batch=16, rate=1e-30, momentum=0.0)
    (entry,) = train.train(net, images(33), objective, still, PLAIN)
    assert entry["loss"] == pytest.approx(float(torch.log(torch.tensor(3.0))), rel=1e-5)


def test_any_objective_is_trained():
    net = network(0.0)
    uniform = torch.full((50, 3), 1 / 3)
    train.train(
        net,
        images(),
        lambda n, b: losses.soft_cross_entropy(n(b.images), uniform[b.index]),
        Protocol(20, batch=16, rate=0.1, schedule="linear"),
        PLAIN,
    )
    p = predict(net, images(), PLAIN).softmax(1)
    assert float((p - 1 / 3).abs().max()) < 0.1


class Noisy:
    """An objective with random numbers of its own that heeds the history, as OGR does."""

    def __init__(self):
        self.seen = []

    def heed(self, history):
        self.seen.append(len(history))

    def __call__(self, net, batch):
        logits = net(batch.images) + torch.randn(len(batch.labels), 1)
        return F.cross_entropy(logits, batch.labels) * (1 + torch.rand(()))


def soft(net, batch):
    """As LDL's students are taught: towards a distribution, blended as the images were."""
    table = (torch.arange(150.0) / 20).sin().view(50, 3).softmax(1)
    return losses.soft_cross_entropy(net(batch.images), batch.blend(table[batch.index]))


def students(folder=None):
    """Return networks that differ in all that may differ where the batches are the same."""
    shared = Protocol(3, batch=16, rate=0.1, order=5)
    watch = {"test": Watched(images(20, seed=3), by_class=True)}
    file = (lambda name: None) if folder is None else (lambda name: folder / f"{name}.pt")
    return [
        Student(network(), objective, shared, 1, watch, file("plain")),
        Student(network(), objective, shared, 2, {}, file("seed")),
        Student(network(0.9), soft, replace(shared, order=None), 5, watch, file("own")),
        Student(network(), Noisy(), replace(shared, optimiser="adam", rate=0.01, clip=0.1), 3,
                {}, file("noisy")),
        Student(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), objective,
                replace(shared, loss_scale=3.0, drops=[1]), 4, watch, file("linear")),
    ]  # fmt: skip


def together(chosen, **options):
    options = {"mixer": mixer({"name": "mixup"}), **options}
    return train.train_together(chosen, images(), SHIFTED, **options)


def alone(student, **options):
    parts = student._asdict()
    watched = {name: parts[name] for name in ("seed", "watch", "checkpoint")}
    return train.train(
        parts["network"],
        images(),
        parts["objective"],
        parts["protocol"],
        SHIFTED,
        mixer=mixer({"name": "mixup"}),
        **watched,
        **options,
    )


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_each_of_several_networks_ends_as_it_would_alone(precision):
    torch.manual_seed(0)
    execution = Execution(precision=precision)
    shared, single = students(), students()
    histories = together(shared, execution=execution)
    for one, other, history in zip(shared, single, histories, strict=True):
        assert without_time(history) == without_time(alone(other, execution=execution))
        assert same(one.network, other.network)
    assert not same(shared[0].network, shared[1].network)  # their dropout differs
    assert shared[3].objective.seen == single[3].objective.seen == [0, 1, 2]


def test_several_networks_in_any_order_and_number():
    whole, some = students(), students()
    together(whole)
    together([some[3], some[0]])
    assert same(whole[3].network, some[3].network)
    assert same(whole[0].network, some[0].network)


def test_networks_trained_together_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    together(students())
    assert torch.equal(torch.get_rng_state(), state)


def test_one_network_goes_on_while_others_start_or_are_done(tmp_path):
    """After two epochs, after one, after none, and finished: each epoch has another company."""
    expected = students()
    histories = [alone(student) for student in expected]
    for student, epochs in zip(students(tmp_path), (2, 1, 0, 2, 3), strict=True):
        if epochs:
            alone(student._replace(protocol=replace(student.protocol, epochs=epochs)))
    resumed = students(tmp_path)
    again = together(resumed)
    for one, other, mine, theirs in zip(resumed, expected, again, histories, strict=True):
        assert same(one.network, other.network)
        assert without_time(mine) == without_time(theirs)
    assert resumed[3].objective.seen == [2]


def test_networks_cut_off_together_go_on_together(tmp_path, monkeypatch):
    expected = students()
    histories = together(expected)
    with monkeypatch.context() as patched:
        patched.setattr(machine, "progress", lambda *_: Bar(5 * 4 + 7))  # of 20 an epoch
        with pytest.raises(KeyboardInterrupt):
            together(students(tmp_path))
    assert len(list(tmp_path.glob("*.pt"))) == 5
    resumed = students(tmp_path)
    again = together(resumed)
    assert [without_time(h) for h in again] == [without_time(h) for h in histories]
    for one, other in zip(resumed, expected, strict=True):
        assert same(one.network, other.network)


def test_an_epoch_s_seconds_are_shared(monkeypatch):
    clock = iter(range(0, 100, 12))
    monkeypatch.setattr(train.time, "perf_counter", lambda: next(clock))
    histories = together(students()[:3])
    assert [entry["seconds"] for history in histories for entry in history] == [4] * 9


def test_the_bar_counts_the_images_of_all(tmp_path, monkeypatch):
    counted = []

    class Counter(Bar):
        def update(self, count):
            counted.append(count)

    def progress(total, title, unit):
        counted.append(-total)
        return Counter(0)

    monkeypatch.setattr(machine, "progress", progress)
    chosen = students(tmp_path)[:2]
    alone(chosen[0]._replace(protocol=replace(chosen[0].protocol, epochs=1)))
    counted.clear()
    together(students(tmp_path)[:2], mixer=None)
    total, resumed, *steps = counted
    assert (total, resumed) == (-2 * 3 * 50, 50)
    assert sum(steps) == 5 * 50


@pytest.mark.parametrize(
    ("change", "seed", "streams"),
    [
        ({"epochs": 4}, 1, r"\[\(3, 16, 5\), \(4, 16, 5\)\]"),
        ({"batch": 10}, 1, r"\[\(3, 10, 5\), \(3, 16, 5\)\]"),
        ({"order": 6}, 1, r"\[\(3, 16, 5\), \(3, 16, 6\)\]"),
        ({"order": None}, 1, r"\[\(3, 16, 1\), \(3, 16, 5\)\]"),
    ],
)
def test_networks_that_see_other_batches_are_not_trained_together(change, seed, streams):
    one, *_ = students()
    other = one._replace(network=network(), protocol=replace(one.protocol, **change), seed=seed)
    message = f"networks trained together must agree in epochs, batch and order, got {streams}"
    with pytest.raises(ValueError, match=message):
        together([one, other])


def test_no_network_at_all():
    with pytest.raises(ValueError, match=r"must agree in epochs, batch and order, got \[\]"):
        together([])


def test_who_shares_an_order_sees_the_same_batches_whatever_its_seed():
    def order(seed, **protocol):
        seen = []

        def look(net, batch):
            seen.append(batch.images)
            return objective(net, batch)

        alone(Student(network(), look, Protocol(2, batch=16, **protocol), seed))
        return torch.cat(seen)

    assert torch.equal(order(1, order=7), order(2, order=7))
    assert torch.equal(order(1, order=7), order(7))
    assert not torch.equal(order(1), order(2))
    assert not torch.equal(order(1, order=0), order(1))


def test_the_loss_of_one_that_overflows_stops_all_and_keeps_their_checkpoints(tmp_path):
    good, *_ = students(tmp_path)
    alone(good._replace(protocol=replace(good.protocol, epochs=1)))
    kept = good.checkpoint.read_bytes()
    wild = Student(network(), objective, Protocol(3, batch=16, rate=1e30, order=5))
    one = good._replace(network=network())
    with pytest.raises(ValueError, match="the loss is no longer finite in epoch 1"):
        together([one, wild])
    assert good.checkpoint.read_bytes() == kept


def test_a_batch_that_is_too_small_for_the_mixing():
    small = Student(network(), objective, Protocol(1, batch=3))
    with pytest.raises(ValueError, match="the mixing takes 4 images, a batch has 3"):
        together([small], mixer=mixer({"name": "ricap"}))
