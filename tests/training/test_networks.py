"""Networks and data that are not the package's: refused in one line, or trained as they are."""

import copy
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ldlstudy
from ldlstudy.batch import Teacher
from ldlstudy.training import Augmentation, Recipe

X, Y = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
HOW = {"recipe": Recipe(1, batch=4), "device": "cpu"}


class Output(NamedTuple):
    """What networks of other libraries return."""

    logits: torch.Tensor
    loss: None = None


class Own(nn.Module):
    """A network whose answer is changed, perhaps in training alone."""

    def __init__(self, change=lambda logits: logits, classes=3, always=True) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(3), nn.Linear(48, classes)
        self.drop, self.change, self.always = nn.Dropout(0.5), change, always

    def forward(self, x):
        logits = self.head(self.drop(self.norm(x).flatten(1)))
        return self.change(logits) if self.always or self.training else logits


WRONG = [
    (Own(Output), "must return one tensor of logits (B, K), of 2 images got Output"),
    (Own(lambda z: (z, z)), "one tensor of logits (B, K), of 2 images got tuple"),
    (Own(lambda z: (z, z), always=False), "of 2 images got tuple"),
    (Own(lambda z: {"logits": z}), "of 2 images got dict"),
    (Own(lambda z: z[:, 0]), "of 2 images got torch.float32 of shape (2,)"),
    (Own(lambda z: z.argmax(1, keepdim=True)), "got torch.int64 of shape (2, 1)"),
    (Own(lambda z: z.mean(0, keepdim=True)), "got torch.float32 of shape (1, 3)"),
    (Own(classes=2), "labels must lie in [0, 2), got values in [0, 2]; the network has 2 classes"),
    (nn.Linear(5, 3), "mat1 and mat2 shapes"),
    (Own(lambda z: 1 / 0), "the network does not take images (2, 3, 4, 4): division by zero"),
    (lambda x: x, "the network must be a torch.nn.Module, got function"),
]


@pytest.mark.parametrize(("network", "message"), WRONG)
def test_a_network_that_gives_no_logits_is_refused_and_stays_as_it_was(network, message, tmp_path):
    before = copy.deepcopy(network)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared below
        ldlstudy.train(network, (X, Y), **HOW, checkpoint=tmp_path / "c.pt")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    if isinstance(network, nn.Module):
        for one, other in zip(
            network.state_dict().values(), before.state_dict().values(), strict=True
        ):
            assert torch.equal(one, other)
        assert network.training


@pytest.mark.parametrize("change", [Output, lambda z: (z, z), lambda z: z[:, 0]])
def test_measure_and_teachers_refuse_them_too(change):
    with pytest.raises(ValueError, match="the network must return one tensor of logits"):
        ldlstudy.measure(Own(change), (X, Y), device="cpu")
    settings = {"weight": 0.5, "temperature": 2.0}
    with pytest.raises(ValueError, match="a teacher must return one tensor of logits"):
        ldlstudy.train(Own(), (X, Y), "kd", settings, teacher=Own(change), **HOW)


def test_the_trial_changes_nothing():
    """A training whose network was tried out once more ends as it did."""
    one = Own()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    other = copy.deepcopy(one)
    ldlstudy.train(one, (X, Y), **HOW)
    assert torch.equal(torch.get_rng_state(), state)
    ldlstudy.train(other, (X, Y), **HOW)
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert int(one.norm.num_batches_tracked) == 3  # of its three steps alone


def test_a_checkpoint_s_name_may_be_a_string(tmp_path):
    file = tmp_path / "c.pt"
    history = ldlstudy.train(Own(), (X, Y), **HOW, checkpoint=str(file))
    assert ldlstudy.train(Own(), (X, Y), **HOW, checkpoint=str(file)) == history


def answering(shift=0.0):
    """A teacher that says the same of images at every call, a little shifted."""
    torch.manual_seed(5)
    table = 3 * torch.randn(len(Y), 3) + shift
    return Teacher(table[None], 1.0, lambda x: table[None, : len(x)])


KD = ("kd", {"weight": 0.5, "temperature": 2.0})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"training": (X.flip(0), Y)}, "images"),
        ({"held": (X[:3], Y[:3])}, "held-out images"),
        ({"teacher": answering(0.5)}, "teacher"),
        ({"teacher": None, "method": "none", "settings": {}}, "method, settings, teacher"),
    ],
)
def test_training_does_not_go_on_from_that_on_other_images_or_by_another_teacher(
    change, named, tmp_path
):
    given = {"training": (X, Y), "method": KD[0], "settings": KD[1], "teacher": answering()}
    given |= {"checkpoint": tmp_path / "c.pt", **HOW}
    history = ldlstudy.train(Own(), **given)
    nearly = {"teacher": answering(1e-3)}  # another processor's rounding
    assert ldlstudy.train(Own(), **given | nearly) == history
    with pytest.raises(ValueError, match=f"of another training.*: they differ in {named}$"):
        ldlstudy.train(Own(), **given | change)


ROWS = 100 * torch.randn(30, 5, generator=torch.Generator().manual_seed(1)) + 7


def flat():
    torch.manual_seed(1)
    return nn.Linear(5, 3)


def test_features_are_trained_on_as_by_hand():
    labels, net = torch.arange(30) % 3, flat()
    look = Augmentation(normalise="training").fitted((ROWS, labels))
    recipe = Recipe(3, batch=30, rate=0.5, momentum=0.0)
    history = ldlstudy.train(
        net, (ROWS, labels), "ls", {"epsilon": 0.1}, recipe=recipe, augmentation=look, device="cpu"
    )
    x = (ROWS - ROWS.mean(0)) / ROWS.std(0, correction=0)
    by_hand = flat()
    for epoch in history:
        loss = F.cross_entropy(by_hand(x), labels, label_smoothing=0.1)
        assert epoch["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
        for parameter, slope in zip(
            by_hand.parameters(), torch.autograd.grad(loss, list(by_hand.parameters())), strict=True
        ):
            parameter.data.sub_(0.5 * slope)
    torch.testing.assert_close(list(net.parameters()), list(by_hand.parameters()))
    scores = ldlstudy.measure(net, (ROWS, labels), augmentation=look, device="cpu")
    right = (by_hand(x).argmax(1) == labels).double().mean()
    assert scores.loc["plain", "accuracy"] == pytest.approx(float(right))


@pytest.mark.parametrize(
    ("method", "settings"),
    [("cs_kd", {"temperature": 4.0, "weight": 1.0}), ("neighbours", {}), ("bootstrap", {}),
     ("max_entropy", {"weight": 0.1})],
)  # fmt: skip
def test_methods_that_take_features(method, settings):
    training = (ROWS / 100, torch.arange(30) % 3)
    recipe = Recipe(5, batch=30, rate=0.1)
    history = ldlstudy.train(flat(), training, method, settings, recipe=recipe, device="cpu")
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mixing": "mixup"}, r"features \(N, F\) are not mixed as images are, got mixup"),
        ({"augmentation": Augmentation(flip=True)}, r"features \(N, F\) are not cropped, mirrored"),
        ({"augmentation": Augmentation(normalise="image")}, "images must have shape"),
        (
            {"training": (ROWS.long(), torch.arange(30) % 3)},
            "must be finite and floating point, got torch.int64",
        ),
        ({"training": (ROWS / 0, torch.arange(30) % 3)}, "must be finite and floating point"),
        ({"method": "byot", "settings": {"temperature": 3.0, "weight": 0.3, "hint": 0.1}}, "wrap"),
    ],
)
def test_what_features_do_not_take(change, message):
    training = {"training": (ROWS, torch.arange(30) % 3)}
    with pytest.raises(ValueError, match=message):
        ldlstudy.train(flat(), **(training | HOW | change))
