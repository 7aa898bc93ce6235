"""Methods that ask a teacher, against references of a few lines: distillation, WSL, CRD, SSKD."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldlstudy import losses
from tests import steps
from tests.steps import cross, divergence, hard, loss, mixed, network, objective, softmax, value

B, K, INDEX, ONE, THREE = steps.B, steps.K, steps.INDEX, steps.ONE, steps.THREE
OWN, FIXED = steps.VIEWS[0], ONE.logits[0, INDEX]  # what is seen, and said of images as they are
ASKED = steps.TEACHERS[0]
DISTILLED = {  # of the logits of student and teacher
    "distil": lambda z, t: cross(softmax(t, 2), z).mean(),
    "kd": lambda z, t: 0.3 * hard(z).mean() + 0.7 * 9 * cross(softmax(t, 3), z, 3).mean(),
    "kd_printed": lambda z, t: 0.4 * hard(z).mean() + 0.6 * cross(softmax(t, 2), z).mean(),
    "kd_coded": lambda z, t: (
        0.4 * hard(z).mean() + 0.3 * np.mean((z.detach().numpy() - softmax(t, 2)) ** 2)
    ),
}


def test_the_printed_distillation_may_scale_the_student_too():
    net = network()
    z = net(OWN)
    expected = 0.4 * hard(z / 2).mean() + 0.6 * cross(softmax(FIXED, 2), z / 2).mean()
    ours = value(loss("kd_printed", net, scale_student=True))
    assert ours == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("relabel", [False, True])
@pytest.mark.parametrize("method", DISTILLED)
def test_the_teacher_labels_the_images_as_they_are_or_what_the_student_sees(method, relabel):
    net = network()
    expected = DISTILLED[method](net(OWN), ASKED(OWN) if relabel else FIXED)
    assert value(loss(method, net, relabel=relabel)) == pytest.approx(expected, rel=1e-6)


def test_options_of_distillation():
    net = network()
    z = net(OWN)
    plain = 0.3 * hard(z).mean() + 0.7 * cross(softmax(FIXED, 3), z, 3).mean()
    assert value(loss("kd", net, square=False)) == pytest.approx(plain, rel=1e-6)
    squares = np.mean((softmax(z) - softmax(FIXED, 2)) ** 2)
    compared = value(loss("kd_coded", net, compare="probabilities"))
    assert compared == pytest.approx(0.4 * hard(z).mean() + 0.3 * squares, rel=1e-6)


@pytest.mark.parametrize("relabel", [False, True])
@pytest.mark.parametrize("partner", ["train", "eval"])
def test_distillation_with_cs_kd_is_their_sum(relabel, partner):
    net, twin = network(), network()
    ours = loss("kd_cs_kd", net, partner=partner, relabel=relabel)
    z, taught = twin(OWN), ASKED(OWN) if relabel else FIXED
    reference = twin.train(partner == "train")(steps.PARTNER).detach()
    p, r = (z / 4).log_softmax(1), (reference / 4).log_softmax(1)
    expected = losses.kd(z, taught, steps.LABELS[INDEX], 0.7, 3.0)
    expected = expected + 2 * 16 * (r.exp() * (r - p)).sum(1).mean()
    torch.testing.assert_close(ours, expected)
    for seen, right in zip(net.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(seen, right)  # each pass was taken once, in the same order
    torch.testing.assert_close(steps.gradient(ours, net), steps.gradient(expected, twin))


@pytest.mark.parametrize("name", steps.MIXINGS)
@pytest.mark.parametrize("combine", ["ensemble", "mean", "sum"])
def test_online_teachers_are_asked_about_exactly_what_the_student_sees(name, combine):
    pictures, seen, net = [], mixed(name), network()

    def answer(images):
        pictures.append(images)
        return THREE.answer(images)

    online = objective("distil", replace(THREE, answer=answer), relabel=True, combine=combine)
    ours = value(online(net, seen))
    assert len(pictures) == 1
    assert pictures[0] is seen.images
    wrong = replace(seen, labels=(seen.labels + 1) % K, index=seen.index.flip(0))
    assert value(online(network(), wrong)) == ours  # no label, and no share of a part, counts
    labels = np.mean([softmax(t(seen.images), 2) for t in steps.TEACHERS], 0)
    expected = cross(labels, net(seen.images)).mean()
    assert ours == pytest.approx(expected * (3 if combine == "sum" else 1), rel=1e-6)


@settings(max_examples=20)
@given(st.integers(1, 5), st.booleans(), st.sampled_from([None, *steps.MIXINGS]), st.floats(0.5, 5))
def test_the_sum_of_teachers_is_their_number_times_the_ensemble(count, relabel, name, temperature):
    """MT is En: the cross entropy is linear in the label (gradients, too)."""
    taught = steps.teacher(*(network("none", 7, seed).eval() for seed in range(count)))
    seen, net = steps.batch() if name is None else mixed(name), network()
    how = {"relabel": relabel, "temperature": temperature}
    ensemble, mean, total = (
        steps.gradient(objective("distil", taught, combine=combine, **how)(net, seen), net)
        for combine in ("ensemble", "mean", "sum")
    )
    torch.testing.assert_close(mean, ensemble)
    torch.testing.assert_close(total, count * ensemble)


@pytest.mark.parametrize("name", steps.MIXINGS)
@pytest.mark.parametrize("square", [True, False])
def test_distillation_of_mixed_images_by_hand(name, square):
    seen, net = mixed(name), network()
    z, said = net(seen.images), softmax(ASKED(seen.images), 3)
    label = cross(steps.blended(torch.eye(K)[steps.LABELS], seen), z).mean()
    expected = 0.3 * label + 0.7 * cross(said, z, 3).mean() * (9 if square else 1)
    ours = value(loss("kd", net, seen, square=square, relabel=True))
    assert ours == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="kd on mixed images needs `relabel`: a teacher that sees"):
        loss("kd", net, seen, square=square)


def test_wsl_by_hand():
    net = network()
    z, t = net(OWN), ASKED(OWN)
    share = [1 - math.exp(-s / r) for s, r in zip(hard(z), hard(t), strict=True)]
    expected = hard(z).mean() + 2.5 * 4 * np.mean(share * cross(softmax(t, 2), z, 2))
    assert value(loss("wsl", net)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("method", "soft_weight"), [("crd", 0.0), ("crd_kd", 1.0)])
def test_crd_by_hand(method, soft_weight):
    """Its pairs are those of the same draws."""
    net, (_, seen) = network(method), ASKED(OWN, return_features=True)
    twin = copy.deepcopy(net)
    torch.manual_seed(4)
    others = twin.beside.draw_negatives(INDEX, 6)
    z, features = twin(OWN, return_features=True)
    pairs = value(twin.beside(features, seen, INDEX, others, 0.07, 0.5))
    taught = divergence(z, ASKED(OWN), 4).mean()
    torch.manual_seed(4)
    expected = hard(z).mean() + 0.8 * pairs + soft_weight * taught
    assert value(loss(method, net)) == pytest.approx(expected, rel=1e-6)


def test_sskd_by_hand():
    net = network("sskd")
    images = torch.cat([torch.rot90(x, k, (2, 3)) for k, x in enumerate(steps.VIEWS)])
    (z, features), (t, seen) = (n(images, return_features=True) for n in (net, ASKED))
    ours, theirs = net.beside(features, seen.detach())
    own = torch.arange(B).repeat(3)
    ranks = [(row > row[i]).sum().item() for row, i in zip(theirs, own, strict=True)]
    wrong = sorted((rank, i) for i, rank in enumerate(ranks) if rank)
    kept = [i for i, rank in enumerate(ranks) if not rank]
    kept += [i for _, i in wrong[: int(0.75 * len(wrong))]]
    assert 0 < len(wrong) < len(ranks)
    assert len(kept) < 3 * B
    expected = 0.1 * hard(z[:B]).mean() + 0.9 * divergence(z[:B], t[:B], 4).mean()
    expected += 2.7 * divergence(z[B:], t[B:], 4).mean()  # all are kept
    expected += 10 * divergence(ours, theirs, 0.5)[kept].mean() + hard(theirs, own).mean()
    assert value(loss("sskd", net)) == pytest.approx(expected, rel=1e-5)


def test_sskd_turns_its_views_by_right_angles():
    """The teacher is shown the images, and their views turned counterclockwise."""
    shown = []

    def look(images):
        shown.append(images)
        return ONE.look(images)

    corners = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64).expand(B, 1, 2, 2)
    views = tuple(factor * corners for factor in (10, 100, 1000))
    seen = steps.batch("sskd", images=corners, views=views)
    objective("sskd", replace(ONE, look=look))(network("sskd"), seen)
    turned = [view[0, 0].flatten().tolist() for view in shown[0].split(B)]
    assert turned == [
        [1, 2, 3, 4], [20, 40, 10, 30], [400, 300, 200, 100], [3000, 1000, 4000, 2000],
    ]  # fmt: skip


def test_sskd_leaves_the_teacher_s_projection_to_its_own_loss():
    """Its slope is that of the cosines' cross entropy; none of it reaches the student."""
    net = network("sskd")
    heads = list(net.beside.teacher.parameters())
    rest = [p for name, p in net.named_parameters() if ".teacher." not in name]
    slopes = [torch.autograd.grad(loss("sskd", net, weight=w), heads) for w in (0.0, 10.0)]
    for a, b in zip(*slopes, strict=True):
        torch.testing.assert_close(a, b)
    nothing = dict.fromkeys(("weight", "hard_weight", "soft_weight", "turned_weight"), 0.0)
    for slope in torch.autograd.grad(loss("sskd", net, **nothing), rest, materialize_grads=True):
        assert not slope.any()


@pytest.mark.parametrize("shape", [(B, 1, 4, 6), (1, 1, 4, 4)])
def test_images_that_sskd_cannot_turn(shape):
    images, few = torch.zeros(shape, dtype=torch.float64), INDEX[: shape[0]]
    seen = steps.Batch(images, steps.LABELS[few], few, views=(images,) * 3)
    with pytest.raises(ValueError, match="sskd needs 2 square images or more, got "):
        loss("sskd", network("sskd"), seen)


@pytest.mark.parametrize(
    ("name", "value"),
    [("contrast_temperature", 0.0), ("turned_share", 1.5), ("temperature", 0.0), ("share", -0.5)],
)
def test_a_setting_of_sskd_out_of_range_is_named(name, value):
    with pytest.raises(ValueError, match=f"^{name} must lie in .*, got {value}"):
        loss("sskd", network("sskd"), **{name: value})
