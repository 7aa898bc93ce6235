"""Every metric and loss for every precision, number of classes and type of label.

The references are written out in numpy and float64 from the definitions.
"""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, softmax, xlogy

from ldlstudy import losses, metrics, targets

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
INTEGERS = [
    torch.uint8,
    torch.int8,
    torch.uint16,
    torch.int16,
    torch.uint32,
    torch.int32,
    torch.uint64,
    torch.int64,
]
SIZES = [(1, 2), (1, 1000), (20, 2), (20, 1000)]


def sample(rows, classes, dtype):
    """Return student's and teacher's logits (N, K) of a precision, and labels (N,) below 100."""
    rng = np.random.default_rng(rows + classes)
    z, t = torch.from_numpy(rng.normal(scale=2, size=(2, rows, classes))).to(dtype)
    return z, t, torch.from_numpy(rng.integers(min(classes, 100), size=rows))


def rows_of(p):
    """Return what the package says it computes with: half-precision rows, divided by their sum."""
    q = p.double().numpy()
    return q / q.sum(1, keepdims=True) if p.dtype.itemsize == 2 else q


def binned(value, predicted, happened, bins=15):
    """Return the mean gap over the bins (lo, hi] of the values."""
    cell = np.clip(np.ceil(np.round(value * bins, 5)) - 1, 0, bins - 1)
    gaps = [abs((happened - predicted)[cell == c].sum()) for c in range(bins)]
    return sum(gaps) / len(value)


def conditional(p, y):
    each = [binned(p[y == c].max(1), p[y == c].max(1), p[y == c].argmax(1) == c) for c in set(y)]
    return np.mean(each)


def classwise(p, y):
    return np.mean([binned(p[:, c], p[:, c], y == c) for c in range(p.shape[1])])


def uncertainty(p, y):
    entropy = -xlogy(p, p).sum(1) / np.log(p.shape[1])
    return binned(entropy, entropy, p.argmax(1) != y)


METRICS = {  # p (N, K) and y (N,) to a number, by the definition
    "accuracy": lambda p, y: np.mean(p.argmax(1) == y),
    "topk_accuracy": lambda p, y: np.mean([p[i, c] >= np.sort(p[i])[-2] for i, c in enumerate(y)]),
    "nll": lambda p, y: -np.log(p[range(len(y)), y]).mean(),
    "brier": lambda p, y: ((p - np.eye(p.shape[1])[y]) ** 2).sum(1).mean(),
    "top_label_brier": lambda p, y: ((p.max(1) - (p.argmax(1) == y)) ** 2).mean(),
    "smoothness": lambda p, y: (1 - p[range(len(y)), y]).mean() * p.shape[1] / (p.shape[1] - 1),
    "ece": lambda p, y: binned(p.max(1), p.max(1), p.argmax(1) == y),
    "classwise_ece": classwise,
    "class_conditional_ece": conditional,
    "uce": uncertainty,
}
OF_TRUTH = {
    "kl_to_truth": lambda t, p: (t * (np.log(t) - np.log(p))).sum(1).mean(),
    "total_variation": lambda t, p: np.abs(t - p).sum(1).mean() / 2,
    "cross_entropy_to_truth": lambda t, p: -(t * np.log(p)).sum(1).mean(),
    "chebyshev": lambda t, p: np.abs(t - p).max(1).mean(),
    "clark": lambda t, p: np.sqrt((((t - p) / (t + p)) ** 2).sum(1)).mean(),
    "canberra": lambda t, p: (np.abs(t - p) / (t + p)).sum(1).mean(),
    "cosine": lambda t, p: np.mean(
        [a @ b / np.sqrt(a @ a * (b @ b)) for a, b in zip(t, p, strict=True)]
    ),
    "intersection": lambda t, p: np.minimum(t, p).sum(1).mean(),
}
OTHERS = {  # have tests of their own, below or in test_terms.py
    "reliability", "recall_at_1", "nearest_is_alike", "log", "gaps", "ece_by_chance",
    "binary_ece",
}  # fmt: skip
CHOICES = {"topk_accuracy": {"k": 2}}


def score(name, p, y):
    return getattr(metrics, name)(p, y, **CHOICES.get(name, {}))


def public(module):
    return {
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        if not name.endswith("_terms")  # whose values the metrics are
    }


def test_every_metric_and_loss_is_here():
    assert public(metrics) == METRICS.keys() | OF_TRUTH.keys() | OTHERS
    assert public(losses) == {name.split()[0] for name in LOSSES} | {"easiest"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "classes"), SIZES)
@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_every_precision(name, rows, classes, dtype):
    z, _, y = sample(rows, classes, dtype)
    p = z.softmax(1)
    expected = METRICS[name](rows_of(p), y.numpy())
    assert score(name, p, y) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "classes"), SIZES)
@pytest.mark.parametrize("name", OF_TRUTH)
def test_distances_of_every_precision(name, rows, classes, dtype):
    z, t, _ = sample(rows, classes, dtype)
    p, truth = z.softmax(1), t.double().softmax(1)
    expected = OF_TRUTH[name](truth.numpy(), rows_of(p))
    assert getattr(metrics, name)(truth, p) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("of", [lambda x: x, torch.Tensor.numpy, torch.Tensor.tolist])
@pytest.mark.parametrize("integer", INTEGERS)
@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_every_integer_type_and_library(name, integer, of):
    z, _, y = sample(20, 5, torch.float64)
    p = z.softmax(1)
    expected = score(name, p, y)
    assert score(name, of(p), of(y.to(integer))) == expected
    column = pd.Series(y.numpy(), index=range(50, 30, -1))
    assert score(name, pd.DataFrame(p.numpy(), index=column.index), column) == expected


@pytest.mark.parametrize("name", [*METRICS, *OF_TRUTH, "reliability", "recall_at_1"])
def test_metrics_want_no_gradient(name):
    z, t, y = sample(20, 5, torch.float32)
    p = z.requires_grad_().softmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if name in OF_TRUTH:
            pair = (t.requires_grad_().softmax(1), p)
            found, plain = (getattr(metrics, name)(*x) for x in (pair, [x.detach() for x in pair]))
        else:
            found, plain = score(name, p, y), score(name, p.detach(), y)
    if name == "reliability":
        assert found.count.tolist() == plain.count.tolist()
    else:
        assert found == plain


@pytest.mark.parametrize("name", [*METRICS, "reliability", "recall_at_1"])
@pytest.mark.parametrize("labels", [["a", "b"], pd.Series(["a", "b"], index=[3, 5])])
def test_metrics_refuse_names_for_labels(name, labels):
    with pytest.raises(ValueError, match="labels must be numbers in a tensor, an array or a list"):
        score(name, torch.full((2, 2), 0.5), labels)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_neighbours_of_every_precision(dtype):
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [4.0, 4.0], [4.0, 5.0]], dtype=dtype)
    for integer in INTEGERS:
        y = torch.tensor([0, 0, 1, 2]).to(integer)
        assert metrics.recall_at_1(x, y) == 0.5
        assert metrics.nearest_is_alike(x.tolist(), y.tolist()).tolist() == [
            True,
            True,
            False,
            False,
        ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_sample_has_one_bin(dtype):
    found = metrics.reliability(torch.tensor([[0.25, 0.75]], dtype=dtype), [1], bins=2)
    assert found.count.tolist() == [0, 1]
    np.testing.assert_equal(found.accuracy, [np.nan, 1])
    np.testing.assert_equal(found.confidence, [np.nan, 0.75])


def cross(q, z):
    return -(q * log_softmax(z, 1)).sum(1)


def hard(z, y):
    return -log_softmax(z, 1)[range(len(y)), y]


def kl(r, z):
    return (xlogy(r, r) - r * log_softmax(z, 1)).sum(1)


def wsl(z, t, y):
    share = 1 - np.exp(-hard(z, y) / hard(t, y))
    return hard(z, y) + 1.5 * 4 * share * cross(softmax(t / 2, 1), z / 2)


LOSSES = {  # the loss, and the same of each row in numpy
    "cross_entropy": (lambda s, t, y: losses.cross_entropy(s, y), lambda s, t, y: hard(s, y)),
    "soft_cross_entropy": (
        lambda s, t, y: losses.soft_cross_entropy(s, t.float().softmax(1)),
        lambda s, t, y: cross(softmax(t, 1), s),
    ),
    "soft_cross_entropy weighted": (
        lambda s, t, y: losses.soft_cross_entropy(s, t.float().softmax(1), 1 + y.float()),
        lambda s, t, y: (1 + y) * cross(softmax(t, 1), s),
    ),
    "kd": (
        lambda s, t, y: losses.kd(s, t, y, 0.3, 3.0),
        lambda s, t, y: 0.7 * hard(s, y) + 0.3 * 9 * cross(softmax(t / 3, 1), s / 3),
    ),
    "kd_replication": (
        lambda s, t, y: losses.kd_replication(s, t, y, 0.6, 2.0),
        lambda s, t, y: 0.4 * hard(s, y) + 0.6 * cross(softmax(t / 2, 1), s),
    ),
    "kd_mse": (
        lambda s, t, y: losses.kd_mse(s, t, y),
        lambda s, t, y: 0.4 * hard(s, y) + 0.3 * ((s - softmax(t, 1)) ** 2).mean(1),
    ),
    "kd_mse probabilities": (
        lambda s, t, y: losses.kd_mse(s, t, y, compare="probabilities"),
        lambda s, t, y: 0.4 * hard(s, y) + 0.3 * ((softmax(s, 1) - softmax(t, 1)) ** 2).mean(1),
    ),
    "divergence": (
        lambda s, t, y: losses.divergence(s, t, 4.0),
        lambda s, t, y: 16 * kl(softmax(t / 4, 1), s / 4),
    ),
    "cs_kd": (
        lambda s, t, y: losses.cs_kd(s, t, y, 4.0, 3.0),
        lambda s, t, y: hard(s, y) + 3 * 16 * kl(softmax(t / 4, 1), s / 4),
    ),
    "max_entropy": (
        lambda s, t, y: losses.max_entropy(s, y, 0.5),
        lambda s, t, y: hard(s, y) - 0.5 * cross(softmax(s, 1), s),
    ),
    "wsl": (lambda s, t, y: losses.wsl(s, t, y, 1.5, 2.0), wsl),
    "easiest_divergence": (
        lambda s, t, y: losses.easiest_divergence(s, t, y, 3.0, 1.0),
        lambda s, t, y: 9 * kl(softmax(t / 3, 1), s / 3),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "classes"), SIZES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_every_precision(name, rows, classes, dtype):
    z, t, y = sample(rows, classes, dtype)
    ours, reference = LOSSES[name]
    found = ours(z.requires_grad_(), t, y)
    found.backward()
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    assert z.grad.isfinite().all()
    assert z.grad.any()
    expected = reference(z.detach().double().numpy(), t.double().numpy(), y.numpy()).mean()
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("integer", INTEGERS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_every_integer_type(name, integer):
    z, t, y = sample(20, 5, torch.float32)
    ours = LOSSES[name][0]
    assert torch.equal(ours(z, t, y.to(integer)), ours(z, t, y))


SMALL = sample(3, 4, torch.float32)


@pytest.mark.parametrize("of", [torch.Tensor.numpy, torch.Tensor.tolist, lambda _: None])
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize(
    "call",
    [
        lambda s, t, y: losses.kd(s, t, y, 0.3, 3.0),
        lambda s, t, y: losses.kd_replication(s, t, y),
        lambda s, t, y: losses.kd_mse(s, t, y),
        lambda s, t, y: losses.cs_kd(s, t, y, 4.0, 1.0),
        lambda s, t, y: losses.wsl(s, t, y, 1.0, 2.0),
        lambda s, t, y: losses.easiest_divergence(s, t, y, 2.0, 0.5),
        lambda s, t, y: losses.divergence(s, t, 2.0) + losses.cross_entropy(s, y),
        lambda s, t, y: losses.max_entropy(s, y, 1.0) + losses.easiest(t, y, 0.5),
        lambda s, t, y: losses.soft_cross_entropy(s, t, y) + losses.cross_entropy(s, y),
    ],
)
def test_losses_take_tensors_alone(call, place, of):
    z, t, y = SMALL
    given = [z, t.softmax(1), y]
    given[place] = of(given[place])
    kind = type(given[place]).__name__
    with pytest.raises(ValueError, match=f"must be a torch tensor, got {kind}"):
        call(*given)


@pytest.mark.parametrize("of", [torch.Tensor.numpy, torch.Tensor.tolist])
def test_weights_are_a_tensor(of):
    z, t, y = SMALL
    with pytest.raises(ValueError, match="weights must be a torch tensor"):
        losses.soft_cross_entropy(z, t.softmax(1), of(y.float()))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_read_no_value_of_tensors_on_an_accelerator(name):
    """On the meta device there are none to read: an item or the truth of a tensor is an error."""
    assert LOSSES[name][0](*(x.to("meta") for x in SMALL)).shape == ()


def masked(rows=6, classes=5, dtype=torch.float64):
    """Return logits of which the last two classes are masked, and labels of the others."""
    z, t, y = sample(rows, classes, dtype)
    for each in (z, t):
        each[:, -2:] = -torch.inf
    return z, t, y % (classes - 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in LOSSES if "kd_mse" not in name])
def test_masked_classes_might_as_well_not_be_there(name, dtype):
    z, t, y = masked(dtype=dtype)
    there = z[:, :-2].clone().requires_grad_()
    ours = LOSSES[name][0]
    found, expected = ours(z.requires_grad_(), t, y), ours(there, t[:, :-2], y)
    found.backward()
    expected.backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(z.grad[:, :-2], there.grad)
    assert not z.grad[:, -2:].any()


def test_squares_of_masked_probabilities_are_finite_and_of_masked_logits_are_not():
    z, t, y = masked()
    losses.kd_mse(z.requires_grad_(), t, y, compare="probabilities").backward()
    assert z.grad.isfinite().all()
    assert losses.kd_mse(z.detach(), t, y).isinf()


def test_a_masked_class_of_which_the_target_has_some_is_infinitely_wrong():
    z, t, y = masked()
    assert losses.soft_cross_entropy(z, targets.smooth(y, 5, 0.1)).isposinf()
    assert losses.cross_entropy(z, torch.full_like(y, 4)).isposinf()
    assert losses.divergence(z, torch.zeros_like(z), 2.0).isposinf()
    assert losses.kd(z, torch.zeros_like(z), y, 0.5, 2.0).isposinf()
    # the other way round the student says something of what its teacher masks
    assert losses.divergence(torch.zeros_like(z), t, 2.0).isfinite()


def test_masked_targets_of_one_class_give_the_loss_of_torch():
    z, _, y = masked(dtype=torch.float32)
    ours = losses.soft_cross_entropy(z, targets.one_hot(y, 5))
    torch.testing.assert_close(ours, F.cross_entropy(z, y))


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
@pytest.mark.parametrize("name", LOSSES)
def test_other_logits_that_are_not_finite_give_such_a_loss(name, bad):
    z, t, y = (x.clone() for x in SMALL)
    z[1, 2] = bad
    assert not LOSSES[name][0](z, t, y).isfinite()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [2, 1000])
def test_labels_of_a_teacher_of_every_precision_are_distributions(classes, dtype):
    _, t, y = sample(7, classes, dtype)
    teacher = t.softmax(1)
    wide = torch.promote_types(dtype, torch.float32)
    for make in (
        lambda p: targets.ils1(y, p, 0.7, 2.0),
        lambda p: targets.ils2(y, p, 0.1),
        lambda p: targets.ils(y, p, 0.7, 2.0),
        lambda p: targets.sinusoidal(y, p, 0.7, 2.0),
        lambda p: targets.bootstrap(y, p),
    ):
        found, exact = make(teacher), make(torch.from_numpy(rows_of(teacher)))
        assert found.dtype == wide
        torch.testing.assert_close(found.sum(1), torch.ones(7, dtype=wide))
        torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-6)
        assert torch.equal(make(teacher.tolist()), make(teacher.double()))
