import pytest
import torch
from torch import nn

from ldlstudy.training import checkpoints

HISTORY = [{"loss": 0.1 + 0.2, "test_class_loss": [1 / 3, 2e-300]}, {"loss": 1e300}]


class Code:
    """Reading an instance back would run code of ours."""


def trained(seed=0, steps=3, **options):
    """Return a network with momentum in its optimiser and statistics in its batch norm."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, **options)
    for _ in range(steps):
        optimiser.zero_grad()
        network(torch.randn(5, 4)).square().sum().backward()
        optimiser.step()
    return network, optimiser


def same(one, other):
    a, b = (x.state_dict() for x in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_training_goes_on_from_exactly_what_was_saved(tmp_path):
    file, (network, optimiser) = tmp_path / "c.pt", trained()
    checkpoints.save(file, network=network, optimiser=optimiser, history=HISTORY)
    again, its = trained(seed=1, steps=1)
    assert not same(again, network)
    assert checkpoints.resume(file, again, its) == HISTORY  # to the last digit
    assert same(again, network)
    pairs = zip(network.parameters(), again.parameters(), strict=True)
    for mine, theirs in pairs:
        momentum = (o.state[p]["momentum_buffer"] for o, p in ((optimiser, mine), (its, theirs)))
        assert torch.equal(*momentum)


def test_without_a_checkpoint_nothing_is_changed(tmp_path):
    (network, optimiser), (twin, _) = trained(), trained()
    assert checkpoints.resume(None, network, optimiser) == []
    assert checkpoints.resume(tmp_path / "c.pt", network, optimiser) == []
    assert same(network, twin)
    assert list(tmp_path.iterdir()) == []


def test_values_are_kept_as_they_are(tmp_path):
    checkpoints.save(tmp_path / "c.pt", network=nn.Linear(2, 2), epoch=3, name="x")
    content = checkpoints.load(tmp_path / "c.pt")
    assert (content["epoch"], content["name"]) == (3, "x")
    assert content["network"].keys() == {"weight", "bias"}


@pytest.mark.parametrize("content", ["nothing", "text", "half", "pickle", "a list"])
def test_a_file_that_is_no_checkpoint(content, tmp_path):
    file, (network, optimiser) = tmp_path / "c.pt", trained()
    checkpoints.save(file, network=network, optimiser=optimiser, history=HISTORY)
    whole = file.read_bytes()
    if content in ("pickle", "a list"):
        torch.save({"network": Code()} if content == "pickle" else [1, 2], file)
    else:
        kept = {"nothing": b"", "text": b"no weights", "half": whole[: len(whole) // 2]}
        file.write_bytes(kept[content])
    for read in (checkpoints.load, lambda f: checkpoints.resume(f, network, optimiser)):
        with pytest.raises(ValueError, match="c.pt is damaged, or no file of weights: delete it"):
            read(file)


@pytest.mark.parametrize("what", ["network", "optimiser", "history", "other weights"])
def test_the_checkpoint_of_another_training(what, tmp_path):
    file, (network, optimiser) = tmp_path / "c.pt", trained()
    content = {"network": network, "optimiser": optimiser, "history": HISTORY}
    if what == "other weights":
        content["network"] = nn.Linear(4, 2)
    else:
        del content[what]
    checkpoints.save(file, **content)
    with pytest.raises(ValueError, match="c.pt is of another training: delete it and run again"):
        checkpoints.resume(file, network, optimiser)
