"""What is shown before training is what is trained: the batch, its labels, and how far they are."""

import pytest
import torch
from scipy.special import rel_entr
from torch import nn

import ldlstudy
from ldlstudy import methods, targets
from ldlstudy.training import Augmentation, Recipe

X, Y = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 4
RECIPE = Recipe(1, batch=8, rate=0.01)
CS_KD = {"method": "cs_kd", "settings": {"temperature": 4.0, "weight": 1.0}}
LOOK = Augmentation(flip=True, noise=0.1)
WIDE = nn.Sequential(nn.Flatten(), nn.Linear(16, 9))


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 4))


class Seen(nn.Module):
    """Writes down the images of the first step of its training."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.first = network(), None

    def forward(self, images):
        if self.training and len(images) > 2 and self.first is None:
            self.first = images.clone()
        return self.inside(images)


@pytest.mark.parametrize("mixing", [None, "mixup", "cutmix"])
def test_it_is_the_batch_that_training_begins_with(mixing):
    shown = ldlstudy.preview((X, Y), recipe=RECIPE, augmentation=LOOK, mixing=mixing, seed=3)
    net = Seen()
    ldlstudy.train(
        net, (X, Y), recipe=RECIPE, augmentation=LOOK, mixing=mixing, seed=3, device="cpu"
    )
    assert torch.equal(net.first, shown.images)


def test_labels_of_label_smoothing_and_their_distances():
    shown = ldlstudy.preview((X, Y), "ls", {"epsilon": 0.2}, recipe=RECIPE)
    expected = targets.smooth(shown.labels, 4, 0.2)
    torch.testing.assert_close(shown.distributions, expected.float(), atol=1e-4, rtol=1e-4)
    hard, soft = targets.one_hot(shown.labels, 4).numpy(), expected.numpy()
    assert shown.total_variation.tolist() == pytest.approx(abs(hard - soft).sum(1) / 2, abs=1e-4)
    assert shown.kl.tolist() == pytest.approx(rel_entr(hard, soft).sum(1), abs=1e-3)
    assert str(shown).startswith("8 images, taught label distributions; total variation from the")


def test_labels_of_mixed_images_are_mixed():
    one = ldlstudy.preview((X, Y), recipe=RECIPE, mixing="mixup", seed=1)
    share = one.distributions.amax(1)
    assert one.distributions.sum(1).tolist() == pytest.approx([1] * 8, abs=1e-4)
    assert len({round(float(s), 3) for s in share} - {1.0}) == 1  # one ratio a batch
    plain = ldlstudy.preview((X, Y), recipe=RECIPE, seed=1)
    assert torch.equal(plain.labels, one.labels)
    assert not plain.total_variation.round(decimals=3).any()


def test_what_a_teacher_teaches():
    teacher = network(1)
    shown = ldlstudy.preview((X, Y), "distil", {"temperature": 2.0}, teacher=teacher, recipe=RECIPE)
    said = (teacher(shown.images) / 2).softmax(1)
    torch.testing.assert_close(shown.distributions, said.detach(), atol=1e-4, rtol=1e-3)
    settings = {"weight": 0.3, "temperature": 4.0}
    kd = ldlstudy.preview((X, Y), "kd", settings, teacher=teacher, recipe=RECIPE)
    assert kd.teaches == "the label, and the teacher's prediction"
    torch.testing.assert_close(kd.distributions, (teacher(kd.images) / 4).softmax(1).detach())
    settings = {"weight": 0.3, "temperature": 1.0}  # then it is a label distribution
    at_one = ldlstudy.preview((X, Y), "kd", settings, teacher=teacher, recipe=RECIPE)
    blend = 0.7 * targets.one_hot(kd.labels, 4) + 0.3 * teacher(kd.images).softmax(1)
    torch.testing.assert_close(at_one.distributions, blend.detach().float(), atol=1e-4, rtol=1e-3)


def test_what_a_partner_teaches_needs_a_network():
    settings = {"temperature": 4.0, "weight": 1.0}
    shown = ldlstudy.preview((X, Y), "cs_kd", settings, recipe=RECIPE)
    assert shown.distributions is None
    assert "for another image of its class (give a network to see it)" in str(shown)
    with pytest.raises(ValueError, match="no label distributions are taught here, but the label, "):
        _ = shown.kl
    net = network()
    known = {
        tuple((net(x[None]) / 4).softmax(1)[0].tolist()): int(y) for x, y in zip(X, Y, strict=True)
    }
    seen = ldlstudy.preview((X, Y), "cs_kd", settings, recipe=RECIPE, network=net)
    for row, label in zip(seen.distributions.tolist(), seen.labels.tolist(), strict=True):
        (kind,) = {k for p, k in known.items() if p == pytest.approx(tuple(row), abs=1e-5)}
        assert kind == label
    assert net.training
    own = ldlstudy.preview((X, Y), "bootstrap", {"beta": 0.6}, recipe=RECIPE, network=net)
    blend = 0.6 * targets.one_hot(own.labels, 4) + 0.4 * net(own.images).softmax(1)
    torch.testing.assert_close(own.distributions, blend.detach().float())


def test_every_method_says_what_it_teaches():
    for name, row in methods.METHODS.items():
        assert bool(row.teaches) != (row.only_labels or name == "distil"), name


def test_the_figure_has_images_and_bars(monkeypatch):
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    shown = ldlstudy.preview((X, Y), "ls", {"epsilon": 0.2}, recipe=RECIPE)
    figure = shown.figure(["a", "b", "c", "d"], count=5)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in drawn] == ["abcd"[k] for k in shown.labels[:5]]
    bars = [axes for axes in figure.axes if axes.patches]
    assert len(bars) == 5
    assert bars[0].patches[0].get_width() == pytest.approx(0.85, abs=1e-4)
    assert bars[0].get_yticklabels()[0].get_text() == drawn[0].get_title()
    plt.close(figure)
    for names in (["a", "b"], 4):
        with pytest.raises(ValueError, match="names must be a list of all 4 classes"):
            shown.figure(names)
    with pytest.raises(ValueError, match="features have no picture"):
        ldlstudy.preview((X.flatten(1), Y), recipe=RECIPE).figure()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "nun"}, "unknown method 'nun'"),
        ({"method": "ls"}, "this method needs epsilon"),
        ({"method": "kd", "settings": {"weight": 1.0, "temperature": 1.0}}, "needs a teacher"),
        ({"mixing": "mixap"}, "unknown mixing"),
        ({"method": "ogr", "mixing": "mixup"}, "takes no mixed images"),
        ({"classes": 10**12}, "a preview is of at most 100,000 classes, got 1,000,000,000,000"),
        ({"classes": 3}, "classes must be a whole number of at least 4, got 3"),
        (
            {"method": "distil", "teacher": torch.nn.Linear(64, 9)},
            "a teacher does not take images",
        ),
        (
            {"method": "distil", "teacher": [WIDE]},
            "the teacher has 9 classes, the preview is of 4: give classes",
        ),
        ({"recipe": {}}, "recipe must be of type ldlstudy.Recipe, got dict"),
        ({"network": len, **CS_KD}, "the network must be a torch.nn.Module"),
        ({"network": torch.nn.Linear(3, 4), **CS_KD}, "the network does not take images"),
        ({"network": torch.nn.Flatten(2), **CS_KD}, "must return one tensor of logits"),
        (
            {"network": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2)), **CS_KD},
            r"labels must lie in \[0, 2\), got values in \[0, 3\]",
        ),
    ],
)
def test_what_training_refuses_is_refused_here(options, message):
    with pytest.raises(ValueError, match=message):
        ldlstudy.preview((X, Y), **options)
