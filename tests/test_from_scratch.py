"""What chapters write from nothing but PyTorch is what the package trains: loss and gradient."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ldlstudy import losses, methods, metrics, targets, votes
from ldlstudy.batch import Batch
from ldlstudy.book import notebook as nb
from tests import steps
from tests.conftest import ROOT

G = torch.Generator().manual_seed(11)
N, K = 20, 5
LOGITS = torch.randn(N, K, generator=G, dtype=torch.float64) * 2
LABELS = torch.randint(0, K, (N,), generator=G)
TOLD = torch.randn(N, K, generator=G, dtype=torch.float64).softmax(1)


def of_page(chapter: str, **names: Any) -> dict[str, Any]:
    """Return what the from-scratch cell of a chapter defines; ``names`` are those it uses."""
    page = nb.read(ROOT / "notebooks" / f"{chapter}.ipynb")
    (cell,) = (cell for cell in page.cells if "from-scratch" in nb.tags(cell))
    defined: dict[str, Any] = {"torch": torch, **names}
    exec(cell.source, defined)
    return defined


def both(loss: Any, *networks: torch.nn.Module) -> tuple[Tensor, list[Tensor]]:
    """Return a loss of logits, or of a network's parameters, with its gradient."""
    parameters: list[Tensor]
    if networks:
        parameters = list(networks[0].parameters())
        value = loss(networks[0])
    else:
        parameters = [LOGITS.clone().requires_grad_()]
        value = loss(parameters[0])
    return value, list(torch.autograd.grad(value, parameters, allow_unused=True))


def assert_alike(own: tuple[Tensor, list[Tensor]], ours: tuple[Tensor, list[Tensor]]) -> None:
    torch.testing.assert_close(own[0], ours[0])
    for one, other in zip(own[1], ours[1], strict=True):
        torch.testing.assert_close(one, other)


def test_ils():
    two = {"y": torch.tensor([0, 1]), "teacher": torch.eye(3)[:2] / 2 + 1 / 6}
    page = of_page("01_ils_synthetic", **two)
    for settings in ({"p1": 0.8, "p2": 2.0}, {"p1": 0.2, "p2": 0.3, "cap": 0.1}):
        label = targets.ils(LABELS, TOLD, **settings)
        assert_alike(
            both(lambda z, s=settings: page["ils_loss"](z, LABELS, TOLD, **s)),
            both(lambda z, label=label: losses.soft_cross_entropy(z, label)),
        )


def test_label_smoothing():
    page = of_page("02_label_smoothing")
    for alpha in (0.0, 0.1, 0.7):
        label = targets.smooth(LABELS, K, alpha).double()
        assert_alike(
            both(lambda z, a=alpha: page["smoothed_loss"](z, LABELS, a)),
            both(lambda z, label=label: losses.soft_cross_entropy(z, label)),
        )


def test_cs_kd():
    """The network has batch norm, in training mode: the partner's pass uses its own statistics."""
    page = of_page("03_cs_kd", label=torch.tensor([0]))
    labels = steps.LABELS[steps.INDEX]
    images = steps.IMAGES[steps.INDEX]
    batch = Batch(images, labels, steps.INDEX, partner=steps.PARTNER)
    settings = {"temperature": 3.0, "weight": 0.7}
    own = both(
        lambda net: page["cs_kd_loss"](net, images, steps.PARTNER, labels, **settings),
        steps.network(),
    )
    assert_alike(own, both(lambda net: methods.cs_kd(net, batch, **settings), steps.network()))


@pytest.mark.parametrize(("combine", "ours"), [("mean", "ensemble"), ("sum", "sum")])
def test_on_ldl(combine, ours):
    page = of_page("04_ldl")
    images = steps.IMAGES[steps.INDEX]
    mixed = page["cutmix"](images, 1, 2, 3, 4)
    moved = (mixed != images).any(1)  # (N, H, W): the box and nothing else
    assert not moved[:, 0].any()
    assert not moved[:, :, :2].any()
    assert moved[:, 1:4, 2:6].all()
    assert torch.equal(mixed[:, :, 1:4, 2:6], images.roll(-1, 0)[:, :, 1:4, 2:6])
    batch = Batch(
        mixed, steps.LABELS[steps.INDEX], steps.INDEX, teacher=steps.teacher(*steps.TEACHERS)
    )
    own = both(
        lambda net: page["on_ldl_loss"](net, steps.TEACHERS, mixed, combine), steps.network()
    )
    step = both(lambda net: methods.distil(net, batch, relabel=True, combine=ours), steps.network())
    assert_alike(own, step)


def test_distance_to_the_truth():
    page = of_page("05_truth")
    truth = TOLD.clone()
    truth[0] = torch.eye(K, dtype=torch.float64)[2]  # a certain one
    for temperature in (1.0, 2.5):
        value, gradient = both(lambda z, t=temperature: page["distance"](z, truth, t))
        ours = metrics.kl_to_truth(truth, (LOGITS / temperature).softmax(1))
        assert value.item() == pytest.approx(ours, rel=1e-6)
        taught = both(lambda z, t=temperature: losses.soft_cross_entropy(z / t, truth))
        torch.testing.assert_close(gradient[0], taught[1][0])  # differ by the truth's entropy


def test_votes():
    page = of_page("07_people")
    counts = torch.randint(0, 20, (N, K), generator=G) + 1
    for temperature in (1.0, 2.5):
        assert_alike(
            both(lambda z, t=temperature: page["people_loss"](z, counts, t)),
            both(lambda z, t=temperature: losses.soft_cross_entropy(z / t, votes.shares(counts))),
        )
