"""Scores against votes: by hand, by scipy, and against a truth that votes are drawn from."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr

from ldlstudy import metrics, votes

P = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]])
VOTES = torch.tensor([[3, 1, 0], [0, 0, 5], [2, 2, 1]])


def test_scores_by_hand():
    share = np.array([[0.75, 0.25, 0], [0, 0, 1], [0.4, 0.4, 0.2]])
    np.testing.assert_allclose(votes.shares(VOTES), share)
    np.testing.assert_allclose(votes.bias_of_kl(VOTES), [1 / 8, 0, 2 / 10])
    p = P.double().numpy()
    kl = np.where(share > 0, share * np.log(np.where(share > 0, share, 1) / p), 0).sum(1)
    assert votes.kl(P, VOTES) == pytest.approx(kl.mean() - (1 / 8 + 2 / 10) / 3)
    # predicted are classes 0, 2 and 1, which .75, 1 and .4 of the people name
    assert votes.ece(P, VOTES, bins=1) == pytest.approx(abs((0.75 + 1 + 0.4 - 0.7 - 0.4 - 0.8) / 3))
    assert votes.ece(P, VOTES, bins=10) == pytest.approx((0.05 + 0.6 + 0.4) / 3)
    # second is class 1 of the first image and of the last, whose classes 0 and 1 are even
    assert votes.second_mass(P, VOTES) == pytest.approx((0.2 + 0.8) / 2)
    assert np.isnan(votes.second_mass(P, torch.eye(3, dtype=torch.long)))


@given(st.integers(0, 2**32 - 1), st.integers(3, 40), st.integers(2, 6))
def test_the_order_of_entropies_is_spearman_s(seed, images, classes):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), images)
    counts = rng.integers(0, 9, (images, classes)) + np.eye(classes, dtype=int)[0]
    share = counts / counts.sum(1, keepdims=True)

    def entropy(q):
        return -(q * np.log(np.where(q > 0, q, 1))).sum(1)

    expected = spearmanr(entropy(p), entropy(share)).statistic
    if len(np.unique(entropy(share).round(12))) == len(share):  # ties may round apart
        assert votes.entropy_order(p, counts) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("voters", [50, 200])
def test_the_kl_to_votes_is_that_to_the_truth_that_they_are_drawn_from(voters):
    """Over 40,000 images with all classes likely; without the correction it is too high."""
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.full(4, 20.0), 40_000)
    p = rng.dirichlet(np.full(4, 20.0), 40_000)
    drawn = rng.multinomial(voters, truth)
    exact = metrics.kl_to_truth(truth, p)
    naive = metrics.kl_to_truth(votes.shares(drawn), p)
    bias = 3 / (2 * voters)
    assert naive - exact == pytest.approx(bias, rel=0.15)
    assert abs(votes.kl(p, drawn) - exact) < 0.15 * bias
    entropy = -(truth * np.log(truth)).sum(1).mean()
    found = votes.SCORES["cross_entropy"](torch.from_numpy(p), torch.from_numpy(drawn)).value()
    assert found == pytest.approx(exact + entropy, abs=3e-3)  # a proper score has no such bias


def test_halves_of_the_people_are_drawn_without_replacement():
    counts = torch.tensor([[30, 31, 0], [3, 0, 0], [0, 1, 1]])
    one, other = votes.halves(counts)
    assert torch.equal(one + other, counts)
    assert one.sum(1).tolist() == [30, 1, 1]
    assert (one >= 0).all()
    many = torch.tensor([[40, 20]]).repeat(4000, 1)
    first = votes.halves(many, seed=1)[0][:, 0].double()
    assert float(first.mean()) == pytest.approx(20, abs=0.1)
    # hypergeometric: n K/N (1 - K/N) (N - n)/(N - 1)
    assert float(first.var()) == pytest.approx(30 * 2 / 9 * 30 / 59, rel=0.1)
    with pytest.raises(ValueError, match="where an image has two votes, got 1"):
        votes.halves(torch.tensor([[1, 0]]))


def test_the_temperature_for_people_minimises_their_cross_entropy():
    rng = np.random.default_rng(1)
    logits = torch.from_numpy(rng.normal(size=(400, 5)) * 3)
    drawn = rng.multinomial(30, (logits / 2.5).softmax(1).numpy())
    found = votes.fit_temperature(logits, drawn)
    assert found == pytest.approx(2.5, rel=0.05)
    share = torch.from_numpy(drawn / 30)

    def loss(t):
        return float(-(share * (logits / t).log_softmax(1)).sum(1).mean())

    best = minimize_scalar(loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-8})
    assert found == pytest.approx(best.x, rel=1e-5)
    assert votes.fit_temperature(logits * 2, drawn) == pytest.approx(2 * found)
    with pytest.raises(ValueError, match="votes and logits must have the same shape"):
        votes.fit_temperature(logits[:, :4], drawn)


def test_all_scores_are_finite_numbers_and_agree_with_their_terms():
    for name in ("kl", "ece", "entropy_order", "second_mass"):
        assert getattr(votes, name)(P, VOTES) == votes.SCORES[name](P, VOTES).value()
    assert all(np.isfinite(make(P, VOTES).value()) for make in votes.SCORES.values())
    assert votes.kl(P.numpy(), VOTES.numpy()) == votes.kl(P, VOTES)


@pytest.mark.parametrize(
    ("given_votes", "message"),
    [
        (VOTES / 2, "votes must be whole numbers of shape"),
        (VOTES[0], "votes must be whole numbers of shape"),
        (VOTES - 1, "votes must be at least 0, and some for each image"),
        (VOTES * torch.tensor([[1], [0], [1]]), "and some for each image"),
        (VOTES[:2], "votes and probabilities must have the same shape"),
    ],
)
def test_bad_votes_are_named(given_votes, message):
    for name in ("ece", "entropy_order", "second_mass"):
        with pytest.raises(ValueError, match=message):
            getattr(votes, name)(P, given_votes)
