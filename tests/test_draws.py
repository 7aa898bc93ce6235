import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy.draws import Draws, seed_of
from ldlstudy.mixture import six_gaussians

PARTS = {"train": "training", "held": "holding", "test": "testing"}


def draws(replicates=3, seed=0, **sizes):
    sizes = {"train": 5, "held": 6, "test": 7} | sizes
    return Draws(six_gaussians(), **sizes, replicates=replicates, seed=seed)


def test_shapes_and_truth():
    d = draws()
    for part, size in (("train", 15), ("held", 18), ("test", 21)):
        all_of = getattr(d, PARTS[part])
        assert all_of.inputs.shape == (3, size, 2)
        assert all_of.truth.shape == (3, size, 3)
        assert all_of.labels.shape == all_of.sparse.shape == (3, size)
        assert all_of.sparse.dtype == torch.bool
        for r in range(3):
            assert torch.equal(all_of.truth[r], d.mixture.posterior(all_of.inputs[r]))
            assert all_of.labels[r].bincount().tolist() == [size // 3] * 3


def test_sparse_samples_are_the_right_ones_and_a_fifth():
    sample = draws(test=4000).sample("test", 0)
    assert float(sample.sparse.float().mean()) == pytest.approx(0.2, abs=0.02)
    assert float(sample.inputs[sample.sparse, 0].mean()) == pytest.approx(3.0, abs=0.1)
    assert float(sample.inputs[~sample.sparse, 0].mean()) == pytest.approx(-3.0, abs=0.1)


@pytest.mark.parametrize("part", PARTS)
def test_a_replicate_is_the_same_however_many_there_are(part):
    one, many = getattr(draws(1), PARTS[part]), getattr(draws(5), PARTS[part])
    for a, b, c in zip(one, many, draws(2).sample(part, 0), strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(b[0], c)


def test_a_part_does_not_depend_on_the_size_of_another():
    for a, b in zip(draws().training, draws(held=50, test=1).training, strict=True):
        assert torch.equal(a, b)


def test_parts_replicates_and_seeds_differ():
    everything = [
        draws(seed=seed, train=5, held=5, test=5).sample(part, r).inputs
        for seed in (0, 1)
        for part in PARTS
        for r in range(3)
    ]
    flat = torch.stack(everything).flatten()
    assert len(flat.unique()) == len(flat)
    assert torch.equal(draws(seed=1).training.inputs, draws(seed=1).training.inputs)


def test_an_unknown_part():
    with pytest.raises(ValueError, match="unknown part 'validation'; known: held, test, train"):
        draws().sample("validation", 0)


def test_draws_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        draws().seed = 3


@given(st.lists(st.integers(0, 2**32 - 1) | st.text(max_size=5), min_size=1, max_size=5))
def test_seeds_depend_on_every_part_and_its_place(parts):
    seed = seed_of(*parts)
    assert 0 <= seed < 2**32
    assert seed == seed_of(*parts)
    for i, part in enumerate(parts):
        other = part + 1 if isinstance(part, int) else part + "x"
        assert seed_of(*parts[:i], other, *parts[i + 1 :]) != seed


def test_seeds_of_a_study_are_all_different():
    seeds = {
        seed_of(0, "weights", method, r, c)
        for method in ("none", "ls", "ils")
        for r in range(20)
        for c in range(30)
    }
    assert len(seeds) == 3 * 20 * 30
