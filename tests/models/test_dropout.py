"""Monte-Carlo dropout: what is dropped, what is averaged, and what stays as in tests."""

import pytest
import torch
from torch import nn

from ldlstudy.models import Classifier
from ldlstudy.models.dropout import sampled, with_dropout
from ldlstudy.models.layers import pool

VIEWS = torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def plain():
    torch.manual_seed(1)
    body = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), pool())
    return Classifier(body, nn.Linear(16, 4), 1)


def network(probability=0.5):
    return with_dropout(plain(), probability).eval()


def test_dropout_is_of_the_penultimate_features():
    """Each is dropped, or doubled at p = .5: what the head multiplies is what `features` gives."""
    net = network()
    whole = net.features(VIEWS)
    net.body[1].train()  # batch normalisation stays as in tests
    seen = net.features(VIEWS)
    assert seen[whole > 0].div(whole[whole > 0]).unique().tolist() == pytest.approx([0, 2])


@pytest.mark.parametrize("passes", [1, 2, 20])
def test_sampling_is_the_mean_of_as_many_passes(passes):
    net, expected = network(), torch.zeros(9, 4, dtype=torch.float64)
    torch.manual_seed(7)
    answer = sampled(net, passes)(VIEWS).softmax(1)
    torch.manual_seed(7)
    net.body[1].train()
    for _ in range(passes):
        expected += net(VIEWS).double().softmax(1) / passes
    torch.testing.assert_close(answer.double(), expected.detach(), rtol=1e-5, atol=1e-6)
    net.eval()
    assert not torch.allclose(answer, net(VIEWS).softmax(1), atol=1e-3)


def test_all_but_dropout_stays_as_in_tests():
    net, modes = network(), []
    for module in net.modules():
        module.register_forward_hook(lambda m, *_: modes.append((type(m), m.training)))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    sampled(net, 3)(VIEWS)
    assert {kind for kind, training in modes if training} == {nn.Dropout}
    assert any(issubclass(kind, nn.BatchNorm2d) for kind, _ in modes)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(m.training for m in net.modules())


def test_a_certain_network_has_finite_logits():
    """In float32 the probabilities of the other classes are 0, and their logarithm infinite."""
    net = network()
    with torch.no_grad():
        net.head.weight.mul_(1e4)
        answer = sampled(net, 5)(VIEWS)
    assert float(answer.softmax(1).min()) == 0
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_no_probability(probability):
    with pytest.raises(ValueError, match=r"dropout must lie in \[0, 1\]"):
        with_dropout(plain(), probability)


@pytest.mark.parametrize(
    ("net", "passes", "message"),
    [
        (network(), 0, "passes must be a whole number of at least 1, got 0"),
        (network(), 1.5, "passes must be a whole number of at least 1, got 1.5"),
        (network(0.0), 20, "needs a network with dropout, such as the option dropout = 0.2"),
        (plain().eval(), 20, "needs a network with dropout, such as the option dropout = 0.2"),
    ],
)
def test_nothing_to_sample(net, passes, message):
    with pytest.raises(ValueError, match=message):
        sampled(net, passes)
