import contextlib
import copy
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ldlstudy
from ldlstudy import methods
from ldlstudy.data import Images
from ldlstudy.device import Execution
from ldlstudy.experiment.images import execute
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import prepare
from ldlstudy.experiment.records import Run
from ldlstudy.models import Classifier
from ldlstudy.models.layers import pool
from ldlstudy.training import (
    Augmentation,
    History,
    Predictor,
    Recipe,
    Student,
    ask,
    checkpoints,
    loop,
    train_together,
)

PLAIN, SHIFTED = Augmentation(), Augmentation(shift=1, flip=True)
SGD = Recipe(5, batch=16, rate=0.1, nesterov=True, drops=[2], weight_decay=1e-3, clip=1.0)
RECIPES = {
    "sgd": SGD,
    "adam": Recipe(5, batch=16, optimiser="adam", rate=0.01, schedule="linear"),
    "adamw": Recipe(5, batch=16, optimiser="adamw", rate=0.01, schedule="cosine"),
}
KD = {"weight": 0.5, "temperature": 4.0}
CS_KD = {"temperature": 4.0, "weight": 1.0}


def images(count: int = 50, classes: int = 3, seed: int = 0) -> Images:
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    pixels = torch.rand(count, 1, 4, 4, generator=draws) + labels.view(-1, 1, 1, 1)
    return Images(pixels, labels, torch.rand(count, classes, generator=draws).softmax(1))


def network(dropout: float = 0.5) -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(16, 3))


def linear() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def classifier(width: int = 6) -> Classifier:
    """A network with a head, features, and maps of two sizes."""
    torch.manual_seed(width)
    body = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, width, 3, stride=2, padding=1), nn.ReLU(), pool(),
    )  # fmt: skip
    return Classifier(body, nn.Linear(width, 3), 1)


def fit(net: nn.Module, *method: Any, recipe: Recipe = SGD, **options: Any) -> History:
    options = {"augmentation": SHIFTED, "device": "cpu", **options}
    return ldlstudy.train(net, images(), *method, recipe=recipe, **options)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def without_time(history: History) -> History:
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


class Bar:
    """A progress bar that is interrupted after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, count: int) -> None:
        self.steps -= count > 0
        if self.steps < 0:
            raise KeyboardInterrupt

    def set_postfix(self, **_: Any) -> None:
        pass


@pytest.mark.parametrize("clip", [0.8, None])
def test_full_batch_training_is_a_hand_written_loop(clip):
    net, data = linear(), images()
    x, y = data.pixels.flatten(1), data.labels
    weight, bias = (p.detach().clone() for p in net.parameters())
    recipe = Recipe(
        4, batch=50, rate=0.5, momentum=0.9, drops=[2], loss_scale=3.0, weight_decay=0.01, clip=clip
    )
    history = fit(net, recipe=recipe, augmentation=PLAIN)
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
    torch.testing.assert_close(list(net.parameters()), [weight, bias], rtol=1e-4, atol=1e-5)


def test_a_triangle_sets_the_rate_of_every_step(monkeypatch):
    rates = []
    step = torch.optim.SGD.step

    def noted(self, *args, **options):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **options)

    monkeypatch.setattr(torch.optim.SGD, "step", noted)
    history = fit(linear(), recipe=Recipe(4, batch=10, rate=0.5, schedule="triangle"))
    done = np.arange(20) / 20
    expected = np.interp(done, [0, 0.23, 1], [0.1, 0.5, 0])
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert [each["rate"] for each in history] == pytest.approx(expected[::5] / 0.5)


def test_the_history():
    net, test = network(), images(31, seed=5)
    history = fit(net, watch={"test": test, "held": images(12, seed=6)}, class_losses=True)
    assert len(history) == 5
    keys = [f"{part}_{what}" for part in ("test", "held")
            for what in ("loss", "accuracy", "class_loss")]  # fmt: skip
    assert list(history[0]) == ["rate", "loss", "seconds", *keys]
    for entry in history:
        shares = torch.bincount(test.labels) / 31
        mean = sum(n * share for n, share in zip(entry["test_class_loss"], shares, strict=True))
        assert entry["test_loss"] == pytest.approx(float(mean), rel=1e-6)
        assert entry["seconds"] > 0
    logits = Predictor(net).logits(test)
    last = history[-1]
    assert last["test_loss"] == pytest.approx(float(F.cross_entropy(logits, test.labels)), rel=1e-5)
    assert last["test_accuracy"] == float((logits.argmax(1) == test.labels).double().mean())
    assert last["loss"] < history[0]["loss"]


def test_the_seed_decides_and_the_global_generator_does_not():
    results = []
    for seed, world in ((1, 0), (1, 99), (2, 0)):
        net = network()
        torch.manual_seed(world)
        before = torch.random.get_rng_state()
        fit(net, seed=seed, watch={"test": images(world + 1)})  # looking changes nothing
        assert torch.equal(torch.random.get_rng_state(), before)
        results.append(net)
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_dropout_is_drawn_anew_in_each_epoch():
    """Images that are all alike look the same in any order."""
    alike = torch.ones(8, 1, 4, 4), torch.zeros(8, dtype=torch.long)
    net, still = nn.Sequential(nn.Dropout(), linear()), Recipe(3, rate=1e-30, momentum=0.0)
    history = ldlstudy.train(net, alike, recipe=still, device="cpu")
    assert len({entry["loss"] for entry in history}) == 3


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("steps", [1, 7, 20])  # of 4 an epoch: the first, after one, the end
def test_a_training_cut_off_anywhere_ends_as_one_that_was_not(name, steps, tmp_path, monkeypatch):
    how = {"recipe": RECIPES[name], "watch": {"test": images(20, seed=3)}}
    whole = network()
    expected = fit(whole, **how)
    file = tmp_path / "checkpoint.pt"
    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr("ldlstudy.device.progress", lambda *_: Bar(steps))
        fit(network(), **how, checkpoint=file)
    assert file.exists() == (steps > 4)
    resumed = network()
    for parameter in resumed.parameters():
        nn.init.zeros_(parameter) if file.exists() else None
    history = fit(resumed, **how, checkpoint=file)
    assert same(resumed, whole)
    assert without_time(history) == without_time(expected)
    assert [f.name for f in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("cut", [0, 3, 5])  # epochs before it is stopped and resumed
def test_the_best_epoch_s_weights_are_those_of_a_training_that_ends_there(cut, tmp_path):
    how = {"held": images(20, seed=3)}
    recipe = Recipe(5, batch=16, rate=2.0, keep="best")
    file, kept = tmp_path / "checkpoint.pt", network()
    if cut:
        fit(network(), **how, recipe=replace(recipe, epochs=cut), checkpoint=file)
    losses = [e["held_loss"] for e in fit(kept, **how, recipe=recipe, checkpoint=file)]
    best = int(np.argmin(losses))
    assert 0 < best < 4  # the rate is so high that the last epoch is not the best
    ended = network()
    fit(ended, **how, recipe=replace(recipe, epochs=best + 1, keep="last"))
    assert same(kept, ended)
    with pytest.raises(ValueError, match="the best epoch is that of held-out images"):
        fit(network(), recipe=recipe)


SETTINGS: dict[str, Mapping[str, Any]] = {  # of methods with more than a label to remember
    "adacos": {},
    "byot": {"temperature": 3.0, "weight": 0.3, "hint": 0.1},
    "crd": {"negatives": 8},
    "crd_kd": {"negatives": 8},
    "cs_kd": CS_KD,
    "cs_kd_e": {**CS_KD, "consistency": 1.0},
    "ddgsd": {"temperature": 3.0, "weight": 1.0, "discrepancy": 0.1},
    "kd_cs_kd": {**KD, "class_weight": 1.0, "class_temperature": 4.0},
    "ogr": {"gap": 1},
    "sskd": {},
    "virtual_softmax": {},
}


def test_every_method_with_a_module_companions_or_a_history_is_resumed_here():
    rows = methods.METHODS.items()
    assert set(SETTINGS) == {
        name for name, row in rows if row.sees or row.head or row.beside or row.history
    }


@pytest.mark.parametrize(
    ("name", "mixing"), [*((name, None) for name in SETTINGS), ("cs_kd", "mixup")]
)
def test_every_method_goes_on_from_its_checkpoint_as_if_never_stopped(name, mixing, tmp_path):
    """Statistics of partners, AdaCos' scale, branches, CRD's memory and mixup's draws included."""

    def train(epochs: int, checkpoint: Path | None = None) -> nn.Module:
        net, teacher = classifier(), classifier(8) if methods.METHODS[name].teacher else None
        recipe, held = Recipe(epochs, batch=16, rate=0.05), images(9, seed=1)
        more: dict[str, Any] = {"teacher": teacher, "mixing": mixing, "held": held}
        fit(net, name, SETTINGS[name], recipe=recipe, **more, checkpoint=checkpoint)
        return net

    whole, stopped = train(4), train(2, tmp_path / "c.pt")
    assert not same(stopped, whole)
    assert same(train(4, tmp_path / "c.pt"), whole)


def test_an_infinite_loss_stops_and_leaves_the_last_good_checkpoint(tmp_path):
    file, good = tmp_path / "c.pt", network()
    fit(good, recipe=Recipe(2, batch=16, rate=0.1), checkpoint=file)
    wild = Recipe(5, batch=16, rate=1e30, momentum=0.0)
    with pytest.raises(ValueError, match="no longer finite in epoch 1: lower the rate, or clip"):
        fit(network(), recipe=wild)
    content = checkpoints.load(file)
    said = json.loads(content["training"])
    said["recipe"] = {
        k: v for k, v in asdict(replace(wild, epochs=1)).items() if k in said["recipe"]
    }
    content |= {"optimiser": wild.make_optimiser(good), "training": checkpoints.described(said)}
    checkpoints.save(file, **content)
    kept = file.read_bytes()
    with pytest.raises(ValueError, match="no longer finite in epoch 3"):
        fit(network(), recipe=wild, checkpoint=file)
    assert file.read_bytes() == kept


def test_weights_that_overflow_in_the_last_step_are_not_kept(tmp_path):
    """The loss is taken before a step, so the last step of an epoch shows in the weights alone."""
    wild = Recipe(1, batch=50, rate=3e38, momentum=0.0, loss_scale=1e6)
    with pytest.raises(ValueError, match="no longer finite in epoch 1"):
        fit(network(), recipe=wild, checkpoint=tmp_path / "c.pt")
    assert list(tmp_path.iterdir()) == []


def test_bf16_trains_float32_weights():
    net, exact = network(0.0), network(0.0)
    history = fit(net, device=Execution(precision="bf16"), watch={"test": images()})
    expected = fit(exact)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        seen = net.eval()(Augmentation().test(images().pixels))
    watched = F.cross_entropy(seen.float(), images().labels)
    assert history[-1]["test_loss"] == pytest.approx(float(watched), rel=1e-5)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert history[-1]["loss"] == pytest.approx(expected[-1]["loss"], rel=0.05)
    assert not same(net, exact)


def test_a_batch_of_one_image_is_left_out_of_the_mean_too():
    """33 images in batches of 16: batch normalisation cannot take the last one."""
    net = linear()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    still = Recipe(1, batch=16, rate=1e-30, momentum=0.0)
    (entry,) = ldlstudy.train(net, images(33), recipe=still, device="cpu")
    assert entry["loss"] == pytest.approx(float(torch.tensor(3.0).log()), rel=1e-5)


class Anything(nn.Module):
    """A network of nobody's making."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.weights = nn.Parameter(torch.randn(16, 3) / 4)

    def forward(self, given: Tensor) -> Tensor:
        return given.flatten(1) @ self.weights


@pytest.mark.parametrize(
    ("method", "settings"),
    [("none", {}), ("ls", {"epsilon": 0.1}), ("kd", KD), ("cs_kd", CS_KD)],
)
def test_any_module_is_trained_on_any_images(method, settings):
    """Arrays, of which the labels are small whole numbers, do what tensors do."""
    one, other, data = Anything(), Anything(), images()
    more = {"teacher": linear()} if methods.METHODS[method].teacher else {}
    more |= {"recipe": Recipe(5, batch=16, rate=0.01), "device": "cpu"}
    history = ldlstudy.train(one, data, method, settings, **more)
    arrays = data.pixels.numpy(), data.labels.numpy().astype("int16")
    again = ldlstudy.train(other, arrays, method, settings, **more)
    assert without_time(again) == without_time(history)
    assert same(one, other)
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.filterwarnings("ignore::ldlstudy.scaling.NoTemperatureWarning")
def test_teachers_are_networks_or_what_they_said():
    held, nets = images(30, seed=8), [Execution().place(net) for net in (linear(), network())]
    said = ask([Predictor(net, SHIFTED) for net in nets], images(), held)
    assert said.temperature != 1

    def taught(teacher: Any, held: Images | None) -> nn.Module:
        net, recipe = linear(), replace(SGD, epochs=2)
        fit(net, "sinusoidal", {"p1": 0.5, "p2": 5.0}, recipe=recipe, teacher=teacher, held=held)
        return net

    student = taught(said, None)
    assert same(taught(nets, held), student)
    with pytest.raises(ValueError, match="at a temperature that is fitted to held-out images"):
        taught(nets, None)
    assert not same(taught(nets[0], held), student)


class Answers(nn.Module):
    """A user's network whose logits something is done to."""

    def __init__(self, change: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.inner, self.change = linear(), change

    def forward(self, images: Tensor) -> Any:
        return self.change(self.inner(images))


X, Y = torch.rand(50, 1, 4, 4), torch.arange(50) % 3
WIDE = nn.Sequential(nn.Flatten(), nn.Linear(16, 5))
SELF = linear()
SAID_LESS = ask([Predictor(linear())], images(20))
OGR = {"method": "ogr", "settings": {"gap": 1}}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"method": "nun"}, "unknown method 'nun'; known: adacos, beta,"),
    ({"settings": {"a": 1}}, "unknown setting 'a' of this method; known: none"),
    ({"method": "ls"}, "this method needs epsilon, got {}"),
    ({"method": "ls", "settings": {"epsilon": 2}}, "epsilon must lie in [0, 1], got 2"),
    ({"method": "kd", "settings": KD}, "this method needs a teacher, 0 are given"),
    ({"teacher": linear()}, "this method takes no teacher, 1 are given"),
    ({"method": "crd", "teacher": linear()}, "this method needs a teacher with features"),
    ({"network": linear(), "method": "adacos"}, "needs a network with features and a head"),
    (
        {
            "network": linear(),
            "method": "byot",
            "settings": {"temperature": 3.0, "weight": 0.3, "hint": 0.03},
        },
        "needs a network with features and a head",
    ),
    ({"method": "crd", "teacher": []}, "this method needs a teacher, 0 are given"),
    ({"watch": {"test": (X, Y + 7)}}, "watched as 'test' have labels up to 9"),
    ({"watch": {"test": (X[..., :3], Y)}}, "images watched as 'test' must be (1, 4, 4) as"),
    (
        {"held": (X.flatten(1), Y)},
        "held-out images must be (1, 4, 4) as training images, got (16,)",
    ),
    ({"method": "truth"}, "this method needs the truth of the training set"),
    ({"mixing": "mixap"}, "unknown mixing 'mixap'; known: cutmix, cutout, mixup, ricap"),
    ({"mixing": {"name": "mixup", "beta": 1}}, "unknown setting of mixup 'beta'; known: alpha"),
    ({"mixing": "mixup", **OGR}, "method 'ogr' takes no mixed images, got mixup"),
    ({"mixing": "ricap", "recipe": Recipe(1, batch=3)}, "takes 4 images, a batch has 3"),
    (OGR, "needs images held out and more than 1 epochs, got 0 images and 5 epochs"),
    ({"method": "ogr", "held": (X, Y)}, "more than 10 epochs, got 50 images and 5 epochs"),
    ({"recipe": Recipe(1, rate=[0.1, 0.2])}, "rate must be one number or one for each"),
    ({"device": "tpu"}, "device must be auto, cpu or cuda, got 'tpu'"),
    ({"network": Answers(lambda z: z * math.nan)}, "the network gives NaN or infinity"),
    ({"network": Answers(lambda z: z + math.inf)}, "the network gives NaN or infinity"),
    ({"network": Answers(lambda z: z.softmax(1))}, "the network gives probabilities, and logits"),
    ({"network": Answers(lambda z: z.detach())}, "no gradient reaches a parameter of the network"),
    ({"network": linear().requires_grad_(False)}, "no gradient reaches a parameter"),
    ({"method": "distil", "teacher": WIDE}, "the teacher has 5 classes, the network has 3"),
    ({"method": "distil", "teacher": [linear(), WIDE]}, "same classes, got [3, 5] of them"),
    ({"method": "distil", "teacher": "net.pt"}, "a teacher must be a torch.nn.Module, got str"),
    ({"method": "distil", "teacher": len}, "a teacher must be a torch.nn.Module, got builtin"),
    ({"method": "distil", "teacher": nn.Flatten(2)}, "a teacher must return one tensor"),
    ({"method": "distil", "teacher": nn.Linear(9, 3)}, "a teacher does not take images (50, 1"),
    (
        {"method": "distil", "teacher": Answers(lambda z: z.softmax(1))},
        "a teacher gives probabilities, and logits are wanted",
    ),
    ({"method": "kd", "settings": KD | {"square": "no"}}, "square must be true or false, got 'no'"),
    ({"method": "distil", "settings": {"temperature": "4"}}, "temperature must be a number"),
    ({"settings": "epsilon=.1"}, "settings are given by name, as {'epsilon': 0.1}, got 'epsilon="),
    ({"recipe": {"epochs": 1}}, "recipe must be of type ldlstudy.Recipe, got dict"),
    (
        {"augmentation": {"flip": True}},
        "augmentation must be of type ldlstudy.Augmentation",
    ),
    ({"watch": (X, Y)}, "watch must be images by name, got tuple"),
    ({"class_losses": True}, "class_losses are of images that are watched: give watch"),
    ({"class_losses": "no", "watch": {"a": (X, Y)}}, "class_losses must be true or false, got"),
    ({"title": 3}, "title must be a text, got 3"),
    ({"network": SELF, "method": "distil", "teacher": SELF}, "cannot be its own teacher: give"),
    (
        {"network": nn.Sequential(nn.Identity(), SELF), "method": "distil", "teacher": SELF},
        "cannot be its own teacher: give",
    ),
    ({"method": "distil", "teacher": SAID_LESS}, "has answered 20 images, 50 are trained on"),
    ({"held": (X, Y + 7)}, "the held-out images have labels up to 9, the network has 3 classes"),
    ({"watch": {"a_class": (X, Y)}}, "the loss of 'a_class' would have the name of losses by"),
    ({**OGR, "watch": {"train": (X, Y)}}, "images are watched as 'train' already"),
    (
        {"recipe": replace(SGD, keep="best"), "held": (X, Y), "watch": {"held": (X, Y)}},
        "images are watched as 'held' already",
    ),
    ({"seed": "x"}, "seed must be a whole number of at least 0, got 'x'"),
    ({"checkpoint": Path()}, "a checkpoint is the path of a file"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_does_not_fit_is_refused_before_the_first_step(change, message, tmp_path):
    given = {"network": classifier(), "training": (X, Y), "recipe": SGD, "device": "cpu"} | change
    before = copy.deepcopy(given["network"])
    with pytest.raises(ValueError, match=re.escape(message)):
        ldlstudy.train(**{"checkpoint": tmp_path / "c.pt"} | given)
    assert same(given["network"], before)
    assert list(tmp_path.iterdir()) == []


TEACHER = Run(
    "noisy_digits", "small_fcn", "none",
    data={"train": 6, "test": 6, "held": 0.3},
    network={"hidden": [12]},
    augmentation={"shift": 1, "normalise": "image"},
    recipe={"epochs": 3, "batch": 16, "rate": 0.1},
)  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder where the teacher has been trained."""
    folder: Path = tmp_path_factory.mktemp("runs")
    execute([Planned(TEACHER, intervals=False)], work=folder)
    return folder


@pytest.mark.parametrize(
    ("method", "settings", "mixing"),
    [
        ("none", {}, {}),
        ("ls", {"epsilon": 0.1}, {"name": "mixup"}),
        ("cs_kd", CS_KD, {"name": "cutmix", "alpha": 0.5}),
        ("ils2", {"epsilon": 0.1, "teacher_temperature": 4.0}, {}),
        ("kd", {**KD, "relabel": True}, {}),
        ("distil", {"relabel": True}, {"name": "ricap"}),
        ("ogr", {"gap": 1}, {}),
    ],
)
def test_train_gives_what_the_studies_get(method, settings, mixing, work):
    needs = methods.METHODS[method].teacher
    run = replace(
        TEACHER, method=method, settings=settings, mixing=mixing, seed=4,
        network={"hidden": [16], "dropout": 0.2}, teachers=(TEACHER,) if needs else (),
    )  # fmt: skip
    teacher = prepare(TEACHER, Execution()).trained(work) if needs else None
    execute([Planned(run, intervals=False)], work=work)
    setting = prepare(run, Execution())
    net, dataset = setting.new_network(), setting.dataset
    ldlstudy.train(
        net, dataset.train, method, settings, recipe=setting.recipe, seed=4, device="cpu",
        augmentation=setting.augmentation, teacher=teacher, mixing=mixing or None,
        held=dataset.held,
    )  # fmt: skip
    assert same(net, setting.trained(work))


def test_threads_are_those_asked_for_or_those_that_torch_has(monkeypatch):
    seen = []

    class Counting(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.get_num_threads())
            return super().forward(x)

    def trained(device: str | Execution) -> set[int]:
        seen.clear()
        fit(Counting(nn.Flatten(), nn.Linear(16, 3)), recipe=Recipe(1), device=device)
        return set(seen)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert trained("cpu") == {2}
        assert trained(Execution(threads=1)) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("method", ["adacos", "virtual_softmax"])
def test_a_second_training_goes_on_with_the_head_of_the_first(method):
    net = classifier()
    fit(net, method)
    before = net.head.weight.clone()
    fit(net, method, recipe=replace(SGD, epochs=1, rate=1e-9, drops=[], weight_decay=0.0))
    torch.testing.assert_close(net.head.weight, before, rtol=0, atol=1e-6)


def test_the_penalty_on_norms_is_part_of_the_loss():
    """One step of full-batch descent, with torch's own gradient of what is to be minimised."""
    recipe = Recipe(1, batch=50, rate=0.1, momentum=0.0, norm_penalty=0.5, loss_scale=2.0)
    net, oracle = linear(), linear()
    fit(net, recipe=recipe, augmentation=PLAIN)
    shown = images()
    loss = 2 * F.cross_entropy(oracle(shown.pixels), shown.labels) + 0.5 * oracle[1].weight.norm()
    loss.backward()
    with torch.no_grad():
        for ours, theirs in zip(net.parameters(), oracle.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad)


def test_numbers_of_numpy_make_the_same_checkpoint(tmp_path):
    plain = Recipe(2, batch=16, rate=0.1, drops=[1])
    same_by_numpy = Recipe(
        np.int64(2), batch=np.int32(16), rate=np.float64(0.1), drops=[np.int64(1)]
    )
    fit(linear(), recipe=plain, seed=3, checkpoint=tmp_path / "c.pt")
    fit(linear(), recipe=same_by_numpy, seed=np.int64(3), checkpoint=tmp_path / "c.pt")


SHARED = Recipe(3, batch=16, rate=0.1, order=5)
SAID = ask([Predictor(linear().eval(), SHIFTED)], images())


def students(folder: Path | None = None, mixed: bool = False) -> list[Student]:
    """Return networks that differ in all that may differ where the batches are the same."""
    watch = {"test": images(20, seed=3)}
    adam = replace(SHARED, optimiser="adam", rate=0.01, clip=0.1)
    made = {
        "plain": Student(network(), SHARED, seed=1, watch=watch, class_losses=True),
        "seed": Student(network(), SHARED, seed=2),
        "own": Student(network(0.9), replace(SHARED, order=None), "truth", seed=5, watch=watch),
        "taught": Student(network(), adam, "distil", {"relabel": True}, SAID, seed=3),
        "history": Student(linear(), replace(SHARED, loss_scale=3.0), "ogr", {"gap": 1}, seed=4),
    }
    if mixed:
        del made["history"]
    if folder is None:
        return list(made.values())
    return [replace(student, checkpoint=folder / f"{n}.pt") for n, student in made.items()]


def together(chosen: list[Student], mixing: str | None = None, **how: Any) -> list[History]:
    execution = Execution(**how)
    for student in chosen:
        execution.place(student.network)
    return train_together(chosen, images(), SHIFTED, execution, mixing, images(9, seed=1))


def alone(student: Student, mixing: str | None = None, **how: Any) -> History:
    own = {name: value for name, value in vars(student).items() if name not in ("network", "run")}
    held = images(9, seed=1)
    return fit(student.network, **own, mixing=mixing, held=held, device=Execution(**how))


@pytest.mark.parametrize("mixing", [None, "mixup"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_each_of_several_networks_ends_as_it_would_alone(mixing, precision):
    shared, single = (students(mixed=mixing is not None) for _ in range(2))
    state = torch.get_rng_state()
    histories = together(shared, mixing, precision=precision)
    assert torch.equal(torch.get_rng_state(), state)
    for one, other, history in zip(shared, single, histories, strict=True):
        expected = alone(other, mixing, precision=precision)
        assert without_time(history) == without_time(expected)
        assert same(one.network, other.network)
    assert not same(shared[0].network, shared[1].network)  # their dropout differs


def test_one_network_goes_on_while_others_start_or_are_done(tmp_path):
    """After two epochs, after one, after none, and finished: each epoch has another company."""
    expected = students()
    histories = [alone(student) for student in expected]
    for student, epochs in zip(students(tmp_path), (2, 1, 0, 2, 3), strict=True):
        if epochs:
            alone(replace(student, recipe=replace(student.recipe, epochs=epochs)))
    resumed = students(tmp_path)
    again = together(resumed)
    for one, other, mine, theirs in zip(resumed, expected, again, histories, strict=True):
        assert same(one.network, other.network)
        assert without_time(mine) == without_time(theirs)


def test_an_epoch_s_seconds_are_shared(monkeypatch):
    clock = iter(range(0, 100, 12))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(clock))
    histories = together(students()[:3])
    assert [entry["seconds"] for history in histories for entry in history] == [4] * 9


@pytest.mark.parametrize(
    ("change", "streams"),
    [
        ({"recipe": replace(SHARED, epochs=4)}, "[(3, 16, 5, ()), (4, 16, 5, ())]"),
        ({"recipe": replace(SHARED, batch=10)}, "[(3, 10, 5, ()), (3, 16, 5, ())]"),
        ({"recipe": replace(SHARED, order=6)}, "[(3, 16, 5, ()), (3, 16, 6, ())]"),
        ({"recipe": replace(SHARED, order=None)}, "[(3, 16, 1, ()), (3, 16, 5, ())]"),
        ({"method": "cs_kd", "settings": CS_KD}, "[(3, 16, 5, ()), (3, 16, 5, ('partner',))]"),
        (None, "[]"),
    ],
)
def test_networks_that_see_other_batches_are_not_trained_together(change, streams):
    one, *_ = students()
    chosen = [] if change is None else [one, replace(one, network=network(), **change)]
    message = "networks trained together must agree in epochs, batch, order and what their methods"
    with pytest.raises(ValueError, match=message) as caught:
        together(chosen)
    assert str(caught.value).endswith(f"see, got {streams}")


def test_the_loss_of_one_that_overflows_stops_all_and_keeps_their_checkpoints(tmp_path):
    good, *_ = students(tmp_path)
    assert good.checkpoint is not None
    alone(replace(good, recipe=replace(good.recipe, epochs=1)))
    kept = good.checkpoint.read_bytes()
    wild = Student(network(), Recipe(3, batch=16, rate=1e30, order=5))
    with pytest.raises(ValueError, match="the loss is no longer finite in epoch 1"):
        together([replace(good, network=network()), wild])
    assert good.checkpoint.read_bytes() == kept
