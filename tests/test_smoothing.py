"""The runs of the replication's Tables 2 and 3 have the paper's settings; see also `studies`."""

from dataclasses import replace

import pytest

from ldlstudy import models, smoothing
from ldlstudy.augment import Augmentation
from ldlstudy.protocol import Protocol

PAPER = smoothing.runs("paper")


def plan(row):
    run = PAPER[f"{row} 0"]
    return Protocol.of(run.training), Augmentation.of(run.data["augment"])


def test_every_row_has_every_alpha_once():
    full = [row for row in smoothing.benches("paper") if row not in smoothing.REDUCED]
    assert len(full) == 8
    for row in full:
        runs = [PAPER[f"{row} {alpha}"] for alpha in ("0", "0.05", "0.1", "0.15", "0.3")]
        assert [run.parameters for run in runs] == [
            {}, {"epsilon": 0.05}, {"epsilon": 0.1}, {"epsilon": 0.15}, {"epsilon": 0.3},
        ]  # fmt: skip
        assert [run.method for run in runs] == ["none", "ls", "ls", "ls", "ls"]
        assert len({str(run.training) + str(run.data) + run.model for run in runs}) == 1
    assert len(PAPER) == 8 * 5 + 2
    assert all(run.keep == ("plane", "reliability") and run.seed == 0 for run in PAPER.values())


@pytest.mark.parametrize("dataset", ["mnist", "emnist", "fashion_mnist"])
def test_fully_connected_networks(dataset):
    protocol, augmentation = plan(f"{dataset}-fcn1200")
    assert (protocol.epochs, protocol.batch, protocol.optimiser) == (100, 512, "sgd")
    assert (protocol.rate, protocol.momentum, protocol.dampening) == ([1.0, 1.0, 0.1], 0.9, 0.9)
    assert [protocol.share(epoch) for epoch in (0, 50, 99)] == pytest.approx([1, 0.5, 0.01])
    assert (protocol.loss_scale, protocol.clip, protocol.weight_decay) == (1, None, 0)
    assert protocol.network == {"dropout": 0.0}
    assert augmentation == Augmentation(shift=2)
    network = models.build("fcn1200", 10, **protocol.network)
    groups = protocol.make_optimiser(network).param_groups
    by_rate = {group["lr"]: [tuple(p.shape) for p in group["params"]] for group in groups}
    assert by_rate == {
        1.0: [(1200, 784), (1200,), (1200, 1200), (1200,)],
        0.1: [(10, 1200), (10,)],
    }


def test_alexnet():
    protocol, augmentation = plan("cifar10-alexnet24")
    assert (protocol.epochs, protocol.batch, protocol.rate) == (1246, 128, 0.1)
    assert (protocol.momentum, protocol.loss_scale, protocol.clip) == (0, 3, None)
    shares = [protocol.share(epoch) for epoch in (414, 415, 829, 830)]
    assert shares == pytest.approx([1, 0.1, 0.1, 0.01])
    assert augmentation == Augmentation(crop=24, flip=True, normalise="cifar10")


@pytest.mark.parametrize(
    ("row", "augmentation", "network"),
    [
        ("cifar10-preact_resnet56", Augmentation(crop=24, flip=True, normalise="cifar10"), {}),
        (
            "cifar100-preact_resnet56",
            Augmentation(crop=32, pad=4, flip=True, normalise="cifar100"),
            {"stem": "7x7"},
        ),
    ],
)
def test_resnet56(row, augmentation, network):
    protocol, used = plan(row)
    assert (protocol.epochs, protocol.batch, protocol.rate) == (205, 128, 0.1)
    assert (protocol.momentum, protocol.nesterov, protocol.weight_decay) == (0.9, True, 1e-4)
    assert (protocol.loss_scale, protocol.clip, protocol.network) == (3, 1, network)
    shares = [protocol.share(epoch) for epoch in (101, 102, 152, 153)]
    assert shares == pytest.approx([1, 0.1, 0.1, 0.01])
    assert used == augmentation


def test_networks_with_imagenet_weights():
    protocol, _ = plan("cub200-resnet34")
    assert (protocol.epochs, protocol.batch, protocol.rate) == (250, 256, 0.3)
    assert protocol.weight_decay == 1e-5
    shares = [protocol.share(epoch) for epoch in (9, 10, 249)]
    assert shares == pytest.approx([1, 0.9, 0.9**24])
    protocol, _ = plan("tiny_imagenet-resnet50")
    assert (protocol.epochs, protocol.batch, protocol.rate) == (100, 128, 0.004)
    assert (protocol.momentum, protocol.weight_decay) == (0.9, 1e-5)
    shares = [protocol.share(epoch) for epoch in (6, 7, 99)]
    assert shares == pytest.approx([1, 0.5, 0.5**14])
    assert protocol.network["weights"] == "imagenet"


def test_a_reduced_protocol_says_so():
    assert set(smoothing.REDUCED) == {"cifar10-resnet20-reduced"}
    for row, bench in smoothing.REDUCED.items():
        assert row.endswith("-reduced")
        assert "reduced" in bench.label
        assert {name for name in PAPER if name.startswith(row)} == {f"{row} 0", f"{row} 0.1"}


@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_seeds_draw_noisy_digits_anew(profile):
    runs = smoothing.runs(profile)
    seeds = smoothing.benches(profile)["noisy_digits-small_cnn"].seeds
    assert seeds >= 2
    drawn = [runs[smoothing.name("noisy_digits-small_cnn", 0.1, s)] for s in range(seeds)]
    assert [(run.seed, run.data["draw"]) for run in drawn] == [(s, s) for s in range(seeds)]
    assert len({run.id for run in runs.values()}) == len(runs)


def test_an_unknown_profile():
    with pytest.raises(ValueError, match="unknown profile 'fast'; known: paper, quick, smoke"):
        smoothing.runs("fast")


@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_networks_to_explore_are_those_of_the_table_with_more_kept(profile):
    explored, table = smoothing.explored(profile), smoothing.runs(profile)
    assert [run.parameters.get("epsilon", 0.0) for run in explored.values()] == [*smoothing.ALPHAS]
    for title, run in explored.items():
        assert run.keep == ("planes",)
        assert replace(run, keep=smoothing.KEEP) == table[title.removeprefix("planes ")]
