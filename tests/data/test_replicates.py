import pytest
import torch

from ldlstudy.data.replicates import Replicates
from ldlstudy.mixture import six_gaussians

PARTS = {"train": "training", "held": "holding", "test": "testing"}


def drawn(count: int = 3, seed: int = 0, **sizes: int) -> Replicates:
    sizes = {"train": 5, "held": 6, "test": 7} | sizes
    return Replicates(six_gaussians(), **sizes, count=count, seed=seed)


def test_every_sample_has_its_true_posterior_and_every_class_its_number():
    replicates = drawn()
    for part, size in (("train", 15), ("held", 18), ("test", 21)):
        samples = getattr(replicates, PARTS[part])
        assert samples.inputs.shape == (3, size, 2)
        assert samples.sparse.dtype == torch.bool
        for r in range(3):
            one = samples.at(r)
            assert torch.equal(one.truth, replicates.mixture.posterior(one.inputs))
            assert one.labels.bincount().tolist() == [size // 3] * 3


def test_sparse_samples_are_the_right_ones_and_a_fifth():
    sample = drawn(test=4000).sample("test", 0)
    assert float(sample.sparse.float().mean()) == pytest.approx(0.2, abs=0.02)
    assert float(sample.inputs[sample.sparse, 0].mean()) == pytest.approx(3.0, abs=0.1)
    assert float(sample.inputs[~sample.sparse, 0].mean()) == pytest.approx(-3.0, abs=0.1)


@pytest.mark.parametrize("part", PARTS)
def test_a_replicate_is_the_same_however_many_there_are(part):
    one, many = getattr(drawn(1), PARTS[part]), getattr(drawn(5), PARTS[part])
    for a, b, c in zip(one, many, drawn(2).sample(part, 0), strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(b[0], c)


def test_a_part_does_not_depend_on_the_size_of_another():
    for a, b in zip(drawn().training, drawn(held=50, test=1).training, strict=True):
        assert torch.equal(a, b)


def test_parts_replicates_and_seeds_differ():
    everything = [
        drawn(seed=seed, train=5, held=5, test=5).sample(part, r).inputs
        for seed in (0, 1)
        for part in PARTS
        for r in range(3)
    ]
    flat = torch.stack(everything).flatten()
    assert len(flat.unique()) == len(flat)


def test_an_unknown_part():
    with pytest.raises(ValueError, match="unknown part 'validation'; known: held, test, train"):
        drawn().sample("validation", 0)
