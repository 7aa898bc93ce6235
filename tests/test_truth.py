"""The runs of the study with a known truth: every strategy in every cell, seeds paired."""

import itertools

import pytest

from ldlstudy import truth
from ldlstudy.objectives import OBJECTIVES, TAUGHT
from ldlstudy.records import PROFILES

RUNS = {profile: truth.runs(profile) for profile in PROFILES}
FULL = RUNS["paper"]


def test_every_strategy_is_in_every_cell_with_every_seed():
    cells = list(itertools.product((50, 100, 200), (0.4, 0.5, 0.6)))
    expected = [
        truth.name(size, sigma, strategy, seed)
        for (size, sigma), strategy, seed in itertools.product(cells, truth.STRATEGIES, range(5))
    ]
    assert sorted(FULL) == sorted(expected)
    assert len(set(FULL.values())) == len(FULL) == 34 * 9 * 5
    assert len(RUNS["quick"]) == 34 * 3
    assert len(RUNS["smoke"]) == 34 * 2


@pytest.mark.parametrize("profile", PROFILES)
def test_strategies_of_a_seed_share_images_schedule_and_teacher(profile):
    runs = RUNS[profile]
    for (size, sigma), seed in itertools.product(truth.cells(profile), range(2)):
        cell = {s: runs[truth.name(size, sigma, s, seed)] for s in truth.STRATEGIES}
        hard = cell["none"]
        for name, run in cell.items():
            own = {key: value for key, value in run.data.items() if key != "augment"}
            assert (own, run.training, run.seed) == (hard.data, hard.training, seed)
            assert ("augment" in run.data) == truth.STRATEGIES[name].views
            assert bool(run.teachers) == (run.method in TAUGHT)
            assert hard in run.teachers or not run.teachers
            assert len(set(run.teachers)) in (0, 1, 5)
            assert {replaced.seed % 100 for replaced in run.teachers} <= {seed}


def test_quick_runs_are_those_of_the_grid_but_for_the_profile():
    for name, run in RUNS["quick"].items():
        grid = FULL[name]
        assert (run.data, run.training, run.method, run.parameters, run.seed) == (
            grid.data,
            grid.training,
            grid.method,
            grid.parameters,
            grid.seed,
        )


def test_strategies_name_known_methods_and_all_papers():
    assert {strategy.method for strategy in truth.STRATEGIES.values()} <= set(OBJECTIVES)
    assert {strategy.paper for strategy in truth.STRATEGIES.values()} == {
        "", "ILS", "LS", "CS-KD", "LDL",
    }  # fmt: skip
    labels = [strategy.label for strategy in truth.STRATEGIES.values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("seed", [0, 3])
def test_a_runs_name_says_what_it_is(seed):
    name = truth.name(50, 0.4, "on_ldl-mixup", seed)
    assert truth.parts(name) == ("noisy_digits-small_cnn-n50-s0.4", "on_ldl-mixup", seed)


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown profile 'full'; known: .*quick"):
        truth.cells("full")
