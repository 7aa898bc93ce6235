"""Methods that need no teacher, against references of a few lines: CS-KD and its rivals, OGR."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import nn

from ldlstudy import Recipe, train
from ldlstudy.methods import overfitting
from tests import steps
from tests.steps import HISTORY, B, K, cross, divergence, gradient, hard, loss, network, value

OWN, VIEW, PARTNER, Y = *steps.VIEWS[:2], steps.PARTNER, steps.LABELS[steps.INDEX]
PASSES = ("train", "eval")


def cross_entropy(z, labels=Y):
    return nn.functional.cross_entropy(z, labels)


def memory(net):
    return {k: v.clone() for k, v in net.state_dict().items() if "running" in k}


def test_bootstrapping_completes_the_label_with_the_network_s_own_prediction():
    """Slopes flow through the prediction, which makes it an entropy regulariser."""
    net = network()
    ours = loss("bootstrap", net)
    z = net(OWN)
    label = 0.8 * nn.functional.one_hot(Y, K) + 0.2 * z.softmax(1)
    expected = -(label * z.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(gradient(ours, net), gradient(expected, net))
    assert value(loss("bootstrap", net, beta=1.0)) == pytest.approx(value(cross_entropy(z)))


@pytest.mark.parametrize("partner", PASSES)
@pytest.mark.parametrize("method", ["cs_kd", "cs_kd_e"])
def test_cs_kd_by_hand(method, partner):
    """Each pass is taken once, in this order, and the partner's leaves no trace in eval mode."""
    net, twin = network(), network()
    ours = loss(method, net, partner=partner)
    z = twin(OWN)
    of_class = twin.train(partner == "train")(PARTNER)
    expected = hard(z).mean() + 3 * divergence(z, of_class, 4).mean()
    if method == "cs_kd_e":
        expected += 0.5 * divergence(z, twin(steps.PLAIN), 4).mean()
    assert value(ours) == pytest.approx(expected, rel=1e-9)
    assert all(torch.equal(v, memory(twin)[k]) for k, v in memory(net).items())
    assert all(module.training for module in net.modules())


def test_no_slope_of_cs_kd_comes_through_the_partner():
    net = network()
    reference = net(PARTNER)

    def by_hand(partner):
        z = net(OWN)
        p, r = (z / 4).log_softmax(1), (partner / 4).log_softmax(1)
        return cross_entropy(z) + 3 * 16 * (r.exp() * (r - p)).sum(1).mean()

    ours = gradient(loss("cs_kd", net), net)
    torch.testing.assert_close(ours, gradient(by_hand(reference.detach()), net))
    through = gradient(by_hand(reference), net)
    assert float((ours - through).norm()) > 0.1 * float(ours.norm())  # there was a slope to stop


@pytest.mark.parametrize("partner", PASSES)
def test_a_network_in_evaluation_stays_there(partner):
    net = network().eval()
    before = memory(net)
    loss("cs_kd", net, partner=partner)
    assert not any(module.training for module in net.modules())
    assert all(torch.equal(v, before[k]) for k, v in memory(net).items())


def test_a_compiled_network_is_its_own_partner_too():
    ours, plain = network(), network()
    compiled = torch.compile(ours, backend="eager")
    for partner in PASSES:
        mine, right = (loss("cs_kd", net, partner=partner) for net in (compiled, plain))
        torch.testing.assert_close(mine, right)
    assert all(torch.equal(v, memory(plain)[k]) for k, v in memory(ours).items())
    assert all(module.training for module in ours.modules())


@pytest.mark.parametrize("name", steps.MIXINGS)
def test_cs_kd_of_mixed_images_by_hand(name):
    """Partners are mixed as the images are."""
    net, seen = network(), steps.mixed(name, "cs_kd")
    if name == "mixup":
        share = float(seen.mixed.weights[0, 0])
        by_hand = share * PARTNER + (1 - share) * PARTNER[seen.mixed.sources[1]]
        torch.testing.assert_close(seen.partner, by_hand, rtol=1e-6, atol=1e-6)
    z, reference = net(seen.images), net(seen.partner)
    label = cross(steps.blended(torch.eye(K)[steps.LABELS], seen), z).mean()
    expected = label + 3 * divergence(z, reference, 4).mean()
    assert value(loss("cs_kd", net, seen)) == pytest.approx(expected, rel=1e-6)


def test_max_entropy_by_hand():
    net = network()
    z = net(OWN)
    expected = hard(z).mean() - 0.7 * cross(steps.softmax(z), z).mean()
    assert value(loss("max_entropy", net)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("classes", [2, 4, 100])
def test_the_best_answer_under_the_confidence_penalty(classes):
    """One image, w = 1: the slope of -log p - H(p) is 0 where log(p (K - 1) / (1 - p)) = 1 / p."""
    logits = torch.zeros(1, classes, dtype=torch.float64, requires_grad=True)
    one = steps.Batch(torch.zeros(1, 1, 1, 1), torch.tensor([1]), torch.tensor([0]))
    penalised = steps.objective("max_entropy", weight=1.0)
    optimiser = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        result = penalised(lambda _: logits, one)
        result.backward()
        return result

    optimiser.step(closure)
    p = steps.softmax(logits)[0]
    best = brentq(lambda p: math.log(p * (classes - 1) / (1 - p)) - 1 / p, 1e-3, 1 - 1e-9)
    assert p[1] == pytest.approx(best, abs=1e-5)
    assert np.delete(p, 1) == pytest.approx((1 - best) / (classes - 1), abs=1e-5)


def test_adacos_by_hand():
    """Cross entropy at the scale of the batch, through which no slope comes."""
    net = network("adacos")
    before, ours = float(net.head.scale), loss("adacos", net)
    _, x = net(OWN, return_features=True)
    cosines = nn.functional.normalize(x) @ nn.functional.normalize(net.head.weight).T
    scale = float(net.head.scale)
    expected = cross_entropy(scale * cosines)
    assert value(ours) == pytest.approx(value(expected), rel=1e-5)
    torch.testing.assert_close(gradient(ours, net), gradient(expected, net), rtol=1e-5, atol=1e-7)
    net.head.scale.fill_(before)
    assert float(net.head.rescale(cosines.detach(), Y)) == pytest.approx(scale) != before


def test_virtual_softmax_by_hand():
    net = network("virtual_softmax")
    logits, x = net(OWN, return_features=True)
    lengths = net.head.weight[Y].norm(dim=1) * x.norm(dim=1)
    odds, z = np.exp(logits.detach().numpy()), lengths.detach().numpy()
    expected = -np.log(odds[range(B), Y] / (odds.sum(1) + np.exp(z))).mean()
    assert value(loss("virtual_softmax", net)) == pytest.approx(expected, rel=1e-9)
    assert logits.shape == (B, K)  # a prediction knows no virtual class
    torch.testing.assert_close(logits, x @ net.head.weight.T)  # nor a bias


def test_ddgsd_by_hand():
    """The views of an image teach one another as constants."""
    net = network()
    ours = loss("ddgsd", net)
    both, x = net(torch.cat([OWN, VIEW]), return_features=True)
    one, other = both.chunk(2)
    p, r = ((z / 3).log_softmax(1) for z in (one, other))
    soft = (r.detach().exp() * (r.detach() - p)).sum(1).mean()
    soft = (soft + (p.detach().exp() * (p.detach() - r)).sum(1).mean()) / 2
    apart = x[:B].mean(0) - x[B:].mean(0)
    label = cross_entropy(both, Y.repeat(2))
    expected = label + 2 * 9 * soft + 0.5 * apart @ apart
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)  # features are in float32
    torch.testing.assert_close(gradient(ours, net), gradient(expected, net), rtol=1e-5, atol=1e-6)
    alone = loss("ddgsd", net, weight=0.0, discrepancy=0.0)
    torch.testing.assert_close(alone, label)


def test_byot_by_hand():
    """A branch learns from the label and the deepest answer, and leaves the latter alone."""
    net = network("byot")
    ours = loss("byot", net)
    z, x, branches = net.beside(net, OWN)
    label = total = cross_entropy(z)
    assert len(branches) == 1
    for own, seen in branches:
        soft = -((z.detach() / 3).softmax(1) * (own / 3).log_softmax(1)).sum(1).mean()
        hint = (seen - x.detach()).square().sum().sqrt()
        total = total + 0.7 * cross_entropy(own) + 0.3 * soft + 0.1 * hint
    torch.testing.assert_close(ours, total, rtol=1e-6, atol=1e-6)
    parts = [net.body[0].weight, net.body[4].weight, net.head.weight]
    both, alone = (torch.autograd.grad(of, parts, retain_graph=True) for of in (ours, label))
    assert [torch.allclose(*each) for each in zip(both, alone, strict=True)] == [False, True, True]
    torch.testing.assert_close(gradient(ours, net), gradient(total, net), rtol=1e-5, atol=1e-6)


def test_the_ratio_of_overfitting_by_hand():
    """Class 1: apart by .7 - .2 = .5, gained 1; class 2: .6 and .8; class 3: 1.3, lost .5."""
    expected = [(0.5 / 1.0) ** 2, (0.6 / 0.8) ** 2, (1.3 / 0.5) ** 2]
    ratio = overfitting(steps.SEEN, steps.HELD, 2).tolist()
    assert ratio == pytest.approx([*expected, (0.1 / 0.2) ** 2], rel=1e-4)
    one = [((0.7 - 0.4) / 0.7) ** 2, ((0.6 - 0.5) / 0.3) ** 2, ((1.3 - 0.1) / 0.4) ** 2]
    ratio = overfitting(steps.SEEN, steps.HELD, 1).tolist()
    assert ratio == pytest.approx([*one, (0.1 / 0.1) ** 2], rel=1e-4)


LOSSES = st.lists(st.floats(0.01, 5), min_size=4, max_size=4)


@given(st.lists(LOSSES, min_size=3, max_size=6), st.integers(1, 2), st.floats(0.5, 2))
def test_losses_that_fall_together_are_no_overfitting(losses, gap, shift):
    held = [[x + shift for x in epoch] for epoch in losses]
    assert torch.all(overfitting(losses, losses, gap) == 0)
    assert float(overfitting(losses, held, gap).max()) < 1e-4  # float32 against gains from .001


@pytest.mark.parametrize("gap", [1, 2, 10])
def test_before_there_are_two_epochs_to_compare(gap):
    losses = [[1.0, 2.0]] * gap
    with pytest.raises(ValueError, match=f"OGR compares epochs {gap} apart and needs at least"):
        overfitting(losses, losses, gap)
    with pytest.raises(ValueError, match=f"got {gap + 1} of the training and {gap} of the held"):
        overfitting([*losses, losses[0]], losses, gap)
    assert len(overfitting([*losses, losses[0]], [*losses, losses[0]], gap)) == 2


def ogr(epochs, **settings):
    """The loss of the batch once some epochs have been, the hard losses of its images."""
    net, seen = network(), steps.batch("ogr", history=epochs)
    return value(loss("ogr", net, seen, **settings)), net(OWN)


@pytest.mark.parametrize(("epochs", "gap"), [(0, 1), (1, 1), (2, 1), (3, 1), (3, 2)])
def test_ogr_weighs_the_classes_once_two_epochs_can_be_compared(epochs, gap):
    ratio = np.ones(K)
    if epochs > gap:
        ratio = overfitting(steps.SEEN[:epochs], steps.HELD[:epochs], gap).numpy()
    for form in ({}, {"form": "loss"}):
        ours, z = ogr(HISTORY[:epochs], gap=gap, **form)
        expected = (ratio[Y] * hard(z)).mean() / ratio.mean()  # of mean 1 over the classes
        assert ours == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("epochs", "alpha"), [(0, 0.3), (2, 0.3), (3, 0.3), (3, 0.0)])
def test_ogr_moves_a_label_most_where_a_class_overfits_most(epochs, alpha):
    ratio = overfitting(steps.SEEN, steps.HELD, 2).numpy() if epochs > 2 else np.zeros(K)
    moved = (alpha * ratio / max(ratio.max(), 1e-9))[Y][:, None]
    ours, z = ogr(HISTORY[:epochs], gap=2, form="label", alpha=alpha)
    label = np.eye(K)[Y] * (1 - moved) + (1 - np.eye(K)[Y]) * moved / (K - 1)
    assert ours == pytest.approx(cross(label, z).mean(), rel=1e-5)


@pytest.mark.parametrize(("form", "counts"), [("loss", False), ("label", True)])
def test_no_class_that_overfits(form, counts):
    """Ratios of 0: no image counts, and no label moves."""
    level = [dict.fromkeys(HISTORY[0], [x] * K) for x in (2.0, 1.0)]
    ours, z = ogr(level, form=form)
    assert ours == pytest.approx(hard(z).mean() * counts, rel=1e-6)


DATA, HELD = ((x.float(), steps.LABELS) for x in (steps.IMAGES, steps.IMAGES.flip(3)))


@pytest.mark.parametrize(
    ("held", "epochs", "got"),
    [(None, 12, "got 0 images and 12 epochs"), (HELD, 10, "got 48 images and 10 epochs")],
)
def test_ogr_refuses_a_training_that_would_never_compare_two_epochs(held, epochs, got, tmp_path):
    how = {"held": held, "device": "cpu", "checkpoint": tmp_path / "checkpoint.pt"}
    with pytest.raises(ValueError, match=f"compares the losses of .* 10 epochs apart: .* {got}"):
        train(network().float(), DATA, "ogr", recipe=Recipe(epochs), **how)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["loss", "label"])
def test_ogr_takes_its_ratio_from_the_losses_of_training_and_held_out_images(form):
    """Until the third epoch it trains as cross entropy does; from then on it does not."""
    how = {"recipe": Recipe(5, batch=24, rate=0.05), "held": HELD, "device": "cpu"}
    settings = {"gap": 2, "form": form, "alpha": 0.3}
    histories = [
        train(network().float(), DATA, *method, **how) for method in (("ogr", settings), ("none",))
    ]
    ours, theirs = ([epoch["loss"] for epoch in history] for history in histories)
    assert ours[:3] == pytest.approx(theirs[:3], rel=1e-4)
    assert ours[3:] != pytest.approx(theirs[3:], rel=1e-3)
    assert [len(epoch["held_class_loss"]) for epoch in histories[0]] == [K] * 5


def test_the_ratio_stays_finite_where_held_out_loss_rises_or_stands():
    seen, held = [[1.0, 1.0], *([[0.5, 0.5]] * 9), [0.2, 0.2]], [[1.2, 1.0], *([[1.0, 1.0]] * 9)]
    rising = overfitting(seen, [*held, [1.7, 1.0]])
    # apart by 1.5 - .2 and .8 - 0; the first lost .5, the second counts as .001
    np.testing.assert_allclose(rising, [(1.3 / 0.5) ** 2, (0.8 / 1e-3) ** 2], rtol=1e-4)
