"""Weights and checkpoints: kept exactly, and refused where anything is amiss."""

import io
import json
import random
import zipfile

import pytest
import torch
from torch import nn

from ldlstudy.training import checkpoints

HISTORY = [
    {"rate": 1.0, "loss": 0.1 + 0.2, "test_class_loss": [1 / 3, 2e-300]},
    {"rate": 0.1, "loss": 1e300, "test_class_loss": [0.0, 1.0]},
]
RATES, COLUMNS = [1.0, 0.1, 0.01], ["rate", "loss", "test_class_loss"]
SAID = {"method": "ls", "settings": {"epsilon": 0.1}}


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


def kept(file, **changed):
    """Save a checkpoint of a training, changed in something; return its network and optimiser."""
    network, optimiser = trained()
    content = {
        "network": network,
        "optimiser": optimiser,
        "history": HISTORY,
        "training": checkpoints.described(SAID),
    } | changed
    checkpoints.save(file, **{name: part for name, part in content.items() if part is not None})
    return network, optimiser


def resume(file, network, optimiser, rates=RATES, columns=COLUMNS, said=SAID):
    """Go on from a checkpoint of the training of `kept`."""
    training = checkpoints.described(said)
    return checkpoints.resume(file, network, optimiser, training, rates, columns)


def test_a_training_goes_on_from_exactly_what_was_saved(tmp_path):
    network, optimiser = kept(file := tmp_path / "c.pt")
    again, its = trained(seed=1, steps=1)
    assert not same(again, network)
    assert resume(file, again, its) == HISTORY  # to the last digit
    assert same(again, network)
    pairs = zip(network.parameters(), again.parameters(), strict=True)
    for mine, theirs in pairs:
        momentum = (o.state[p]["momentum_buffer"] for o, p in ((optimiser, mine), (its, theirs)))
        assert torch.equal(*momentum)


def test_without_a_checkpoint_nothing_is_changed(tmp_path):
    (network, optimiser), (twin, _) = trained(), trained()
    assert resume(None, network, optimiser) == []
    assert resume(tmp_path / "c.pt", network, optimiser) == []
    assert same(network, twin)
    assert list(tmp_path.iterdir()) == []


def test_values_are_kept_as_they_are(tmp_path):
    checkpoints.save(tmp_path / "c.pt", network=nn.Linear(2, 2), epoch=3, name="x")
    content = checkpoints.load(tmp_path / "c.pt")
    assert (content["epoch"], content["name"]) == (3, "x")
    assert content["network"].keys() == {"weight", "bias"}


@pytest.mark.parametrize("content", ["nothing", "text", "half", "pickle", "a list"])
def test_a_file_that_is_no_checkpoint(content, tmp_path):
    network, optimiser = kept(file := tmp_path / "c.pt")
    whole = file.read_bytes()
    if content in ("pickle", "a list"):
        torch.save({"network": Code()} if content == "pickle" else [1, 2], file)
    else:
        parts = {"nothing": b"", "text": b"no weights", "half": whole[: len(whole) // 2]}
        file.write_bytes(parts[content])
    for read in (checkpoints.load, lambda f: resume(f, network, optimiser)):
        with pytest.raises(ValueError, match="c.pt is damaged, or no file of weights: delete it"):
            read(file)


def changed_epoch(number=1, **columns):
    """Return the history with an epoch changed; a column that becomes None is left out."""
    history = [dict(epoch) for epoch in HISTORY]
    epoch = history[number] | columns
    history[number] = {name: value for name, value in epoch.items() if value is not None}
    return history


OTHERS = {  # what is amiss with a checkpoint, and what is said of it
    "no network": ({"network": None}, "it has no 'network'"),
    "no optimiser": ({"optimiser": None}, "it has no 'optimiser'"),
    "no history": ({"history": None}, "it has no 'history'"),
    "no training": ({"training": None}, "it has no 'training'"),
    "other weights": ({"network": nn.Linear(4, 2)}, "Error"),
    "another optimiser": ({"optimiser": torch.optim.SGD(nn.Linear(1, 1).parameters())}, "group"),
    "another method": (
        {"training": checkpoints.described(SAID | {"method": "none"})},
        "they differ in method",
    ),
    "another setting, and one more thing": (
        {"training": checkpoints.described({"method": "ls", "settings": {}, "seed": 1})},
        "they differ in settings, seed",
    ),
    "a training in no words": ({"training": "ls"}, ""),
    "a list for a training": ({"training": "[1]"}, ""),
    "no epoch": ({"history": []}, "its history is not of 1 to 3 epochs"),
    "too many epochs": ({"history": HISTORY * 2}, "its history is not of 1 to 3 epochs"),
    "no list": ({"history": {"loss": 1.0}}, "its history is not of 1 to 3 epochs"),
    "a list for an epoch": ({"history": [[1.0]]}, ""),
    "no loss": (
        {"history": changed_epoch(loss=None)},
        "its history has other columns than loss, r",
    ),
    "another column": ({"history": changed_epoch(seconds=1.0)}, "its history has other columns"),
    "not a number": ({"history": changed_epoch(loss=float("nan"))}, "no finite loss of epoch 2"),
    "a string": (
        {"history": changed_epoch(0, loss="1")},
        "its history has no finite loss of epoch 1",
    ),
    "an infinite class": (
        {"history": changed_epoch(test_class_loss=[0.0, float("inf")])},
        "its history has no finite test_class_loss of epoch 2",
    ),
    "a number for classes": ({"history": changed_epoch(test_class_loss=1.0)}, ""),
    "another rate": (
        {"history": changed_epoch(rate=1.0)},
        "the rate of its epoch 2 is another one",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_another_training(name, tmp_path):
    changed, message = OTHERS[name]
    kept(tmp_path / "c.pt", **changed)
    network, optimiser = trained(seed=1)
    with pytest.raises(ValueError, match="c.pt is of another training, delete it and run again: "
                       f".*{message}"):  # fmt: skip
        resume(tmp_path / "c.pt", network, optimiser)


def test_a_history_may_say_more_than_it_must(tmp_path):
    file, (network, optimiser) = tmp_path / "c.pt", trained(seed=1)
    kept(file)
    assert resume(file, network, optimiser, columns=["loss", "rate"]) == HISTORY


def members(whole):
    """The bytes at which each of an archive's members starts."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {info.filename: info.header_offset for info in archive.infolist()}


def test_flipped_bits_are_refused_or_change_nothing(tmp_path):
    """In weights, in the words of the archive, and anywhere at all."""
    network, optimiser = kept(file := tmp_path / "c.pt")
    whole, rng, refused = file.read_bytes(), random.Random(0), 0
    assert len(members(whole)) > 5
    for _ in range(300):
        bits = bytearray(whole)
        bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
        file.write_bytes(bits)
        again, its = trained(seed=1, steps=1)
        try:
            found = resume(file, again, its)
        except ValueError:
            refused += 1
            continue
        assert found == HISTORY
        assert same(again, network)
        assert json.dumps(its.state_dict(), default=str) == json.dumps(
            optimiser.state_dict(), default=str
        )
    assert refused > 150
