import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ldlstudy.data import Images
from ldlstudy.models import Classifier
from ldlstudy.training import Augmentation, Predictor
from ldlstudy.training.predict import look


def images(count: int = 30) -> Images:
    pixels = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Images(pixels, torch.arange(count) % 3)


def network(dropout: float = 0.5) -> Classifier:
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout)]
    return Classifier(nn.Sequential(*layers), nn.Linear(16, 3), 1)


def test_answers_come_in_order_without_dropout_or_augmentation():
    net, data = network(), images(2100)
    predictor = Predictor(net, Augmentation(shift=1, flip=True))
    logits, features = predictor.logits(data), predictor.features(data)
    with torch.no_grad():
        expected = net.eval()(data.pixels, return_features=True)
    torch.testing.assert_close((logits, features), expected)
    assert not logits.requires_grad
    assert not features.requires_grad


def test_images_are_prepared_as_in_tests():
    net, data = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), images()
    augmentation = Augmentation(crop=2, pad=1, flip=True, normalise="image")
    with torch.no_grad():
        expected = net(augmentation.test(data.pixels))
    torch.testing.assert_close(Predictor(net, augmentation).logits(data), expected)


def test_passes_with_dropout_are_averaged_alike_each_time():
    net, data = network(), images()
    answers = []
    for world in (1, 2):
        torch.manual_seed(world)
        state = torch.get_rng_state()
        answers.append(Predictor(net, passes=400).logits(data))
        assert torch.equal(torch.get_rng_state(), state)
    first, again = answers
    assert torch.equal(first, again)
    torch.testing.assert_close(first.exp().sum(1), torch.ones(30))  # log of a distribution
    net.eval()
    with torch.no_grad():
        maps = net.body[:-1](data.pixels)
        kept = torch.rand(400, *maps.shape, generator=torch.Generator().manual_seed(5)) < 0.5
        expected = net.head(2 * maps * kept).softmax(2).mean(0)
    torch.testing.assert_close(first.exp(), expected, atol=0.05, rtol=0)


def test_passes_without_dropout_are_refused():
    with pytest.raises(ValueError, match="Monte-Carlo dropout needs a network with dropout"):
        Predictor(network(0.0), passes=3).logits(images())


def test_a_look_gives_loss_and_accuracy_of_all_and_of_each_class():
    net, data = network(), images(31)
    seen = look("test", data, Predictor(net), by_class=True)
    with torch.no_grad():
        logits = net.eval()(data.pixels)
    losses = F.cross_entropy(logits, data.labels, reduction="none")
    assert seen["test_loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
    assert seen["test_accuracy"] == float((logits.argmax(1) == data.labels).double().mean())
    for k, loss in enumerate(seen["test_class_loss"]):
        assert loss == pytest.approx(float(losses[data.labels == k].mean()), rel=1e-5)
    assert set(look("held", data, Predictor(net), by_class=False)) == {"held_loss", "held_accuracy"}


def test_each_module_is_afterwards_in_its_own_mode():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4, 3)).train()
    network[1].eval()
    Predictor(network).logits(Images(torch.rand(2, 1, 2, 2), torch.tensor([0, 1])))
    assert [module.training for module in network.modules()] == [True, True, False, True]
