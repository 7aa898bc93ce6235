"""The study with a known truth: its runs, and what made-up records say whose answers are known."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from ldlstudy.experiment.plan import PROFILES
from ldlstudy.experiment.records import Run
from ldlstudy.methods import named as method_named
from ldlstudy.report.results import Results
from ldlstudy.studies.strategies import STRATEGIES, named
from ldlstudy.studies.truth import comparisons, numbers, runs, tables
from ldlstudy.studies.truth.comparisons import by_cell, label_distances, scores
from tests.report.made import filled, record

PLANNED = {profile: runs.runs(profile) for profile in PROFILES}
METRICS = (
    "accuracy", "ece_15_left", "classwise_ece", "class_conditional_ece", "cross_entropy", "brier",
    "kl_to_truth", "total_variation", "temperature",
)  # fmt: skip
PLACES = list(runs.places())
LABELLED = ("none", "ls", "similarity", "mixup", "cutmix", "ricap", "truth")
SAMPLED = {"sampled": {"log_probabilities": [[-0.1, -2.3], [-0.7, -0.7]]}}


def drawn(profile, seed=0):
    """Records of every run of a profile with random scores, half of them after scaling."""
    draws = np.random.default_rng(seed)

    def give(each):
        plain = dict(zip(METRICS, draws.random(len(METRICS)).tolist(), strict=True))
        steps = 100.0 * (1 + runs.STRATEGIES.index(each.strategy) % 3)
        found = plain | {f"fitted {metric}": value / 2 for metric, value in plain.items()}
        found |= {"step operations": steps, "step seconds": steps / 50}
        if each.strategy in LABELLED:
            found |= {"label total_variation": draws.random(), "label entropy": 0.7}
            found |= {"label true_entropy": 0.5}
        return found

    results = filled(PLANNED[profile], give)
    for made in results.recorded.values():
        made.figures.update(SAMPLED)
    return results


@pytest.fixture(scope="module")
def quick():
    return drawn("quick")


@pytest.fixture(scope="module")
def grid():
    return drawn("paper", 1)


def frame(values):
    """Return a table of strategies by blocks of the first cell."""
    columns = pd.MultiIndex.from_tuples([(PLACES[0], seed) for seed in range(values.shape[1])])
    return pd.DataFrame(values, list(runs.STRATEGIES[: len(values)]), columns)


def test_every_strategy_is_in_every_cell_with_every_seed():
    """35 strategies, 33 of the four papers; sizes 50, 100, 200, noises .4, .5, .6, five seeds."""
    for profile, cells, seeds in (("paper", 9, 5), ("quick", 1, 3), ("smoke", 1, 2)):
        planned = PLANNED[profile]
        keys = {(e.facts["size"], e.facts["sigma"], e.strategy, e.run.seed) for e in planned}
        assert len(keys) == len({e.run for e in planned}) == 35 * cells * seeds
    sizes = {(e.facts["size"], e.facts["sigma"]) for e in PLANNED["paper"]}
    assert sizes == set(itertools.product((50, 100, 200), (0.4, 0.5, 0.6)))
    assert {named(s).paper for s in runs.STRATEGIES} == {"", "LS", "ILS", "CS-KD", "LDL", "ours"}
    assert {e.run for e in PLANNED["quick"]} <= {e.run for e in PLANNED["paper"]}


@pytest.mark.parametrize("profile", PROFILES)
def test_strategies_of_a_seed_share_images_recipe_and_teacher(profile):
    blocks = {}
    for each in PLANNED[profile]:
        blocks.setdefault((each.bench, each.run.seed), {})[each.strategy] = each.run
    for (_, seed), block in blocks.items():
        hard = block["none"]
        for name, run in block.items():
            beside = {"validation": 50} if named(name).chooses else {}
            assert (run.data, run.recipe) == (hard.data | beside, hard.recipe)
            assert run.seed == seed
            assert bool(run.augmentation) == STRATEGIES[name].noise
            assert bool(run.teachers) == method_named(run.method).teacher
            assert hard in run.teachers or not run.teachers
            assert len(set(run.teachers)) in (0, 1, 5)
            assert {teacher.seed % 100 for teacher in run.teachers} <= {seed}


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown profile 'full'; known: .*quick"):
        runs.cells("full")


def test_scores_are_the_records_numbers_by_strategy_and_block(grid):
    found = scores(grid, "kl_to_truth")
    assert tuple(found.index) == runs.STRATEGIES
    assert list(found.columns) == list(itertools.product(PLACES, range(5)))
    for each in grid.planned[:: len(grid.planned) // 7]:
        value = grid.recorded[each.run].values["plain"]["kl_to_truth"]
        assert found.loc[each.strategy, (each.bench, each.run.seed)] == value
    wrong, right = (scores(grid, m, "fitted").loc["ls"] for m in ("error", "accuracy"))
    np.testing.assert_allclose(wrong, 1 - right)
    means = by_cell(found)
    assert list(means.columns) == PLACES
    np.testing.assert_allclose(means[PLACES[4]], found[PLACES[4]].to_numpy().mean(axis=1))


def test_a_strategy_that_lacks_a_block_and_a_block_without_hard_labels_stay_out(grid):
    def lacks(each):
        one = each.strategy == "mixup" and (each.bench, each.run.seed) == (PLACES[2], 3)
        return one or (each.strategy == "none" and each.bench == PLACES[5] and each.run.seed == 1)

    left = Results([e for e in grid.planned if not lacks(e)], grid.recorded)
    found = scores(left, "ece_15_left")
    assert "mixup" not in found.index
    assert found.shape == (34, 44)
    assert (PLACES[5], 1) not in found.columns
    pd.testing.assert_frame_equal(
        found, scores(grid, "ece_15_left").loc[found.index, found.columns]
    )
    assert len(tables.ranks(left).data) == 34
    hard = Results([e for e in grid.planned if e.strategy != "none"], grid.recorded)
    assert scores(hard, "ece_15_left").shape == (34, 45)
    assert scores(Results([], {}), "ece_15_left").empty


def test_ranks_and_friedman_are_scipys(grid):
    places = by_cell(scores(grid, "ece_15_left"))
    expected = oracle.rankdata(places.to_numpy(), axis=0).mean(axis=1)
    np.testing.assert_allclose(comparisons.mean_ranks(places), expected)
    k, n = places.shape
    statistic = 12 * n / (k * (k + 1)) * (np.square(expected).sum() - k * (k + 1) ** 2 / 4)
    found = comparisons.friedman(places)
    assert found.statistic == pytest.approx(statistic)  # nothing is tied
    assert found.p == pytest.approx(oracle.chi2.sf(statistic, k - 1))
    spread = oracle.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2)
    critical = spread * np.sqrt(k * (k + 1) / (6 * n))  # Nemenyi's
    assert found.critical_difference == pytest.approx(critical, rel=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(3, 12), st.integers(2, 4))
def test_agreement_is_kendalls(seed, strategies, blocks):
    draws = np.random.default_rng(seed)
    one, other = (frame(draws.random((strategies, blocks))) for _ in range(2))
    taus = [oracle.kendalltau(one[c], other[c]).statistic for c in one.columns]
    found = comparisons.agreement(one, other)
    assert found.mean == pytest.approx((1 + np.mean(taus)) / 2)
    assert comparisons.agreement(one, one).mean == 1
    assert comparisons.agreement(one, -one).mean == 0
    tied = frame(np.array([[1.0], [1.0], [2.0]])), frame(np.array([[1.0], [2.0], [3.0]]))
    assert comparisons.agreement(*tied).mean == pytest.approx((0.5 + 1 + 1) / 3)


def test_who_is_flattered_and_who_is_slandered():
    ece = frame(np.array([[0.5, 0.5], [0.4, 0.4], [0.6, 0.6], [0.4, 0.4]]))
    kl = frame(np.array([[1.0, 1.0], [1.2, 1.2], [0.8, 0.8], [0.9, 0.9]]))
    found = comparisons.misled(ece, kl)
    assert list(found.index) == list(runs.STRATEGIES[1:4])
    assert found[["flattered", "slandered"]].to_numpy().tolist() == [[1, 0], [0, 1], [0, 0]]
    np.testing.assert_allclose(found["score"], [-0.1, 0.1, -0.1])
    np.testing.assert_allclose(found["truth"], [0.2, -0.2, -0.1])
    assert found.attrs["cells"] == 1
    assert comparisons.misled(ece.iloc[1:], kl.iloc[1:]).empty


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_nothing_beats_the_frontier_in_both(points):
    names = [f"s{i}" for i in range(len(points))]
    error, distance = (pd.Series(v, names) for v in zip(*points, strict=True))
    found = comparisons.frontier(error, distance, ())
    assert found
    for name in names:
        beaten = any(
            error[b] <= error[name] and distance[b] <= distance[name] for b in found if b != name
        )
        assert beaten or name in found
    for name in found:
        assert not any(error[b] < error[name] and distance[b] < distance[name] for b in names)


def test_label_distances_are_the_records_and_correlate_as_spearman_says(quick):
    found = label_distances(quick)
    means = comparisons.by_strategy(found)
    assert set(means.index) == set(LABELLED)
    assert set(means.index[means["changed"] == 1]) == {"mixup", "cutmix", "ricap"}
    np.testing.assert_allclose(means["entropy"], 0.2)
    parts = {"plain": ("none", "ls", "similarity"), "changed": ("mixup", "cutmix", "ricap")}
    parts["all"] = parts["plain"] + parts["changed"]
    for part, correlation in comparisons.correlations(found).items():
        label, student = [], []
        for name in parts[part]:
            made = [each.values for each in quick.records(runs.row(name))]
            label.append(np.mean([values["label"]["total_variation"] for values in made]))
            student.append(np.mean([values["plain"]["kl_to_truth"] for values in made]))
        assert correlation.mean == pytest.approx(oracle.spearmanr(label, student).statistic)


def test_strategies_that_teach_the_same_labels_count_once(quick):
    found = label_distances(quick)
    again = found[found["strategy"] == "ls"].assign(strategy="ls, other loss", student=9.0)
    both = pd.concat([found, again])
    assert comparisons.correlations(both) == comparisons.correlations(found)


def test_bayes_falls_with_the_noise():
    """Published beside the study: .954, .864 and .773 (8,000 images)."""
    found = comparisons.bayes(1)
    assert list(found) == ["0.4", "0.5", "0.6"]
    np.testing.assert_allclose(list(found.values()), [0.954, 0.864, 0.773], atol=0.02)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_calibrated_network_has_the_ece_of_chance(temperature):
    """All answers fall into one bin: the mean of |hits / n - p| is sqrt(2 p (1 - p) / pi n)."""
    logits = np.log([0.9, 0.1]) * temperature
    made = record(
        Run("noisy_digits", "small_cnn", "none"),
        {"fitted temperature": temperature},
        {"sampled": {"log_probabilities": [logits.tolist()] * 7}},
    )
    expected = np.sqrt(2 * 0.9 * 0.1 / (np.pi * 1000))
    assert comparisons.ece_by_chance(made, images=1000) == pytest.approx(expected, rel=1e-3)


def test_numbers_of_the_prose(quick, grid):
    found = numbers.quoted(quick, grid, "quick")
    kl = scores(grid, "kl_to_truth")
    assert found["grid.ls.kl_to_truth"] == pytest.approx(kl.loc["ls"].mean())
    fitted = scores(quick, "accuracy", "fitted").loc["ls"].mean()
    assert found["quick.ls.fitted.accuracy"] == pytest.approx(fitted)
    cells = by_cell(kl)
    assert found["ls.nearer"] == (cells.loc["ls"] < cells.loc["none"]).sum()
    assert found["ls.nearer"] + found["ls.farther"] == 9
    variation = comparisons.agreement(scores(grid, "total_variation"), kl)
    assert found["total_variation.agrees"] == variation.mean
    correlations = comparisons.correlations(label_distances(quick, "fitted"))
    assert found["changed.fitted.correlation"] == correlations["changed"].mean
    assert (found["labelled"], found["blocks"], found["seeds"], found["strategies"]) == (
        6,
        45,
        5,
        35,
    )
    assert (found["grid.networks"], found["quick.networks"]) == (1575, 105)
    assert all(isinstance(value, float | int | str) for value in found.values())


def test_costs_are_in_networks_with_hard_labels(quick):
    found = tables.costs_of(quick)
    assert set(found.index) == set(runs.STRATEGIES)
    assert found.loc["none"].tolist() == [1, 0, 1]
    assert found.loc["ls"].tolist() == [2, 0, 2]
    steps = 1 + runs.STRATEGIES.index("on_en_ldl-mixup") % 3
    assert found.loc["on_en_ldl-mixup"].tolist() == [steps, 5, steps + 5]
    assert found["all"].is_monotonic_increasing
    assert tables.costs(quick).data.loc["Off-En-LDL", "teachers"] == "5"


def test_tables_have_a_line_for_each_strategy(quick, grid):
    labels = [named(name).label for name in runs.STRATEGIES]
    for shown in (tables.as_trained(quick), tables.scaled(quick)):
        assert [label.text for label in shown.data.index] == labels
    ranks = tables.ranks(grid).data
    assert sorted(ranks.index) == sorted(labels)
    assert ranks["KL"].astype(float).is_monotonic_increasing
    shown = tables.misleading(grid, "fitted").data
    assert (shown.iloc[:, :2].astype(int).max(axis=1) >= 3).all()
