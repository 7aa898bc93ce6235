"""What the records of all strategies say together: on made-up records whose answers are known."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from ldlstudy import measured, truth, truth_findings, truth_numbers, truth_plots, truth_tables
from ldlstudy.records import Record
from ldlstudy.truth import STRATEGIES

METRICS = (
    "accuracy", "ece", "classwise_ece", "class_conditional_ece", "cross_entropy", "brier",
    "kl_to_truth", "total_variation", "temperature",
)  # fmt: skip
MADE = {
    "seconds": 6.0, "networks": 1, "device": "CPU", "versions": {"torch": "2"},
}  # fmt: skip
NAMES = list(STRATEGIES)
PLACES = truth_findings.places()
LABELLED = ("none", "ls", "similarity", "mixup", "cutmix", "ricap", "truth")


def record(values, label=None, operations=None, specification=None):
    """Return a record whose plain row has ``values`` and whose fitted row has half of each."""
    rows = {
        "plain": {metric: [value] for metric, value in values.items()},
        "fitted": {metric: [value / 2] for metric, value in values.items()},
    }
    if label is not None:
        rows["label"] = {"total_variation": [label], "entropy": [0.7], "true_entropy": [0.5]}
    if operations is not None:
        rows["step"] = {"operations": [operations], "seconds": [operations / 50]}
    estimates = {row: {m: v * 3 for m, v in found.items()} for row, found in rows.items()}
    sampled = {"log_probabilities": [[-0.1, -2.3], [-0.7, -0.7]]}
    return Record(specification or {}, rows, estimates, {"sampled": sampled}, MADE)


def drawn(profile, seed=0):
    """Return records of every run of a profile with random scores between 0 and 1."""
    draws = np.random.default_rng(seed)
    found = {}
    for name, run in truth.runs(profile).items():
        strategy = name.split(" ")[1]
        values = dict(zip(METRICS, draws.random(len(METRICS)).tolist(), strict=True))
        of_label = draws.random() if strategy in LABELLED else None
        steps = 100 * (1 + NAMES.index(strategy) % 3)
        found[name] = record(values, of_label, steps, run.specification)
    return found


QUICK, GRID = drawn("quick"), drawn("paper", 1)


def frame(values):
    """Return a table of strategies by blocks of the first cell."""
    columns = pd.MultiIndex.from_tuples([(PLACES[0], seed) for seed in range(values.shape[1])])
    return pd.DataFrame(values, NAMES[: len(values)], columns)


def test_scores_are_the_records_numbers_by_strategy_and_block():
    found = truth_findings.scores(GRID, "kl_to_truth")
    assert list(found.index) == NAMES
    assert list(found.columns) == list(itertools.product(PLACES, range(5)))
    for place, seed, name in ((PLACES[0], 0, "none"), (PLACES[8], 4, "truth")):
        run = f"{place} {name}" + (f" #{seed}" if seed else "")
        assert found.loc[name, (place, seed)] == GRID[run].rows["plain"]["kl_to_truth"][0]
    errors = truth_findings.scores(GRID, "accuracy", "fitted")
    first = GRID[f"{PLACES[0]} ls"].rows["fitted"]["accuracy"][0]
    assert errors.loc["ls", (PLACES[0], 0)] == pytest.approx(1 - first)


def test_blocks_that_lack_a_strategy_stay_out():
    some = {name: r for name, r in GRID.items() if name != f"{PLACES[2]} mixup #3"}
    found = truth_findings.scores(some, "ece")
    assert (PLACES[2], 3) not in found.columns
    assert found.shape[1] == 44
    with pytest.raises(ValueError, match="1 have some: run `ldlstudy sweep truth`"):
        truth_findings.scores({f"{PLACES[0]} none": next(iter(GRID.values()))}, "ece")


def test_cells_are_means_over_their_seeds():
    blocks = truth_findings.scores(GRID, "brier")
    means = truth_findings.by_cell(blocks)
    assert list(means.columns) == PLACES
    np.testing.assert_allclose(means[PLACES[4]], blocks[PLACES[4]].to_numpy().mean(axis=1))


def test_ranks_and_friedman_are_scipys():
    places = truth_findings.by_cell(truth_findings.scores(GRID, "ece"))
    expected = oracle.rankdata(places.to_numpy(), axis=0).mean(axis=1)
    np.testing.assert_allclose(truth_findings.mean_ranks(places), expected)
    assert truth_findings.mean_ranks(places).mean() == pytest.approx((len(NAMES) + 1) / 2)
    k, n = places.shape
    statistic = 12 * n / (k * (k + 1)) * (np.square(expected).sum() - k * (k + 1) ** 2 / 4)
    found = truth_findings.friedman(places)
    assert found.statistic == pytest.approx(statistic)  # nothing is tied
    assert found.p == pytest.approx(oracle.chi2.sf(statistic, k - 1))
    assert found.critical_difference == pytest.approx(17.884, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 12), st.integers(2, 4))
def test_agreement_is_kendalls(seed, strategies, blocks):
    draws = np.random.default_rng(seed)
    one, other = (frame(draws.random((strategies, blocks))) for _ in range(2))
    taus = [oracle.kendalltau(one[c], other[c]).statistic for c in one.columns]
    found = truth_findings.agreement(one, other)
    assert found.mean == pytest.approx((1 + np.mean(taus)) / 2)
    assert truth_findings.agreement(one, one).mean == 1
    assert truth_findings.agreement(one, -one).mean == 0


def test_ties_count_one_half():
    one, other = frame(np.array([[1.0], [1.0], [2.0]])), frame(np.array([[1.0], [2.0], [3.0]]))
    assert truth_findings.agreement(one, other).mean == pytest.approx((0.5 + 1 + 1) / 3)


def test_who_is_flattered_and_who_is_slandered():
    ece = frame(np.array([[0.5, 0.5], [0.4, 0.4], [0.6, 0.6], [0.4, 0.4]]))
    kl = frame(np.array([[1.0, 1.0], [1.2, 1.2], [0.8, 0.8], [0.9, 0.9]]))
    found = truth_findings.misled(ece, kl)
    assert list(found.index) == NAMES[1:4]
    assert found[["flattered", "slandered"]].to_numpy().tolist() == [[1, 0], [0, 1], [0, 0]]
    np.testing.assert_allclose(found["score"], [-0.1, 0.1, -0.1])
    np.testing.assert_allclose(found["truth"], [0.2, -0.2, -0.1])
    assert found.attrs["cells"] == 1
    with pytest.raises(ValueError, match="unknown strategy 'nothing'"):
        truth_findings.misled(ece, kl, "nothing")


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_nothing_beats_the_frontier_in_both(points):
    names = [f"s{i}" for i in range(len(points))]
    error, distance = (pd.Series(v, names) for v in zip(*points, strict=True))
    found = truth_findings.frontier(error, distance, ())
    assert found
    for name in names:
        beaten = any(
            error[b] <= error[name] and distance[b] <= distance[name] for b in found if b != name
        )
        assert beaten or name in found
    for name in found:
        assert not any(error[b] < error[name] and distance[b] < distance[name] for b in names)


def test_label_distances_are_the_records_and_correlate_as_spearman_says():
    found = truth_findings.label_distances(QUICK)
    means = truth_findings.by_strategy(found)
    assert set(means.index) == {"none", "ls", "similarity", "mixup", "cutmix", "ricap", "truth"}
    assert set(means.index[means["changed"] == 1]) == {"mixup", "cutmix", "ricap"}
    each = {"all": [], "plain": [], "changed": []}
    parts = {"plain": ["none", "ls", "similarity"], "changed": ["mixup", "cutmix", "ricap"]}
    parts["all"] = parts["plain"] + parts["changed"]
    (place,) = truth_findings.places("quick")
    for seed in ("", " #1", " #2"):
        for part, names in parts.items():
            rows = [QUICK[f"{place} {name}{seed}"].rows for name in names]
            label = [row["label"]["total_variation"][0] for row in rows]
            student = [row["plain"]["kl_to_truth"][0] for row in rows]
            each[part].append(oracle.spearmanr(label, student).statistic)
    for part, correlation in truth_findings.correlations(found).items():
        assert correlation.mean == pytest.approx(np.mean(each[part]))
    np.testing.assert_allclose(means["entropy"], 0.2)


def test_bayes_falls_with_the_noise():
    """Published beside the study: .954, .864 and .773 (8,000 images)."""
    found = truth_findings.bayes()
    assert list(found) == ["0.4", "0.5", "0.6"]
    np.testing.assert_allclose(list(found.values()), [0.954, 0.864, 0.773], atol=0.015)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_calibrated_network_has_the_ece_of_chance(temperature):
    """All answers fall into one bin: the mean of |hits / n - p| is sqrt(2 p (1 - p) / pi n)."""
    logits = np.log([0.9, 0.1]) * temperature
    found = record(dict.fromkeys(METRICS, 2 * temperature))
    found.figures["sampled"] = {"log_probabilities": [logits.tolist()] * 7}
    expected = np.sqrt(2 * 0.9 * 0.1 / (np.pi * 1000))
    chance = truth_findings.ece_by_chance(found, images=1000, draws=2000)
    assert chance == pytest.approx(expected, rel=0.08)


def test_repeated_networks_are_held_against_their_records():
    found = truth_numbers.repeated(QUICK, QUICK)
    assert found == (len(QUICK) * 2 * len(METRICS), len(QUICK) * 2 * len(METRICS), 0)
    name = next(iter(QUICK))
    other = {**QUICK, name: record(dict.fromkeys(METRICS, 2.0))}
    changed = truth_numbers.repeated(other, QUICK)
    assert changed.compared - changed.equal == 2 * len(METRICS)
    assert changed.accuracy == pytest.approx(2 - QUICK[name].rows["plain"]["accuracy"][0])


def test_numbers_of_the_prose():
    found = truth_numbers.numbers(QUICK, GRID)
    kl = truth_findings.scores(GRID, "kl_to_truth")
    assert found["grid.ls.kl_to_truth"] == pytest.approx(kl.loc["ls"].mean())
    assert found["quick.ls.fitted.accuracy"] == pytest.approx(
        1 - truth_findings.scores(QUICK, "accuracy", "fitted").loc["ls"].mean()
    )
    cells = truth_findings.by_cell(kl)
    assert found["ls.nearer"] == (cells.loc["ls"] < cells.loc["none"]).sum()
    assert found["ls.nearer"] + found["ls.farther"] == 9
    assert (
        found["total_variation.agrees"]
        == truth_findings.agreement(truth_findings.scores(GRID, "total_variation"), kl).mean
    )
    distances = truth_findings.label_distances(QUICK, "fitted")
    correlations = truth_findings.correlations(distances)
    assert found["changed.fitted.correlation"] == correlations["changed"].mean
    assert found["mixup.label"] == truth_findings.by_strategy(distances).loc["mixup", "label"]
    assert found["labelled"] == 6
    assert (found["blocks"], found["seeds"], found["strategies"]) == (45, 5, 34)
    assert (found["grid.networks"], found["live.networks"]) == (1530, 102)
    assert all(isinstance(value, float | int | str) for value in found.values())


def test_costs_are_in_networks_with_hard_labels():
    found = truth_tables.costs_of(QUICK)
    assert set(found.index) == set(NAMES)
    assert found.loc["none"].tolist() == [1, 1, 0, 1]
    assert found.loc["ls"].tolist() == [2, 2, 0, 2]
    steps = 1 + NAMES.index("on_en_ldl-mixup") % 3
    assert found.loc["on_en_ldl-mixup"].tolist() == [steps, steps, 5, steps + 5]
    assert found["all"].is_monotonic_increasing


def test_tables_have_a_line_for_each_strategy():
    (place,) = truth_findings.places("quick")
    rows = measured.gather(QUICK)
    labels = list(truth_tables.LABELS.values())
    for table in (truth_tables.as_trained(rows, place), truth_tables.scaled(rows, place)):
        shown = [BeautifulSoup(cell, "html.parser").get_text() for cell in table.data.index]
        assert shown == labels
    mean = rows[f"{place} ls fitted"]["kl_to_truth"].estimate.mean
    cell = truth_tables.scaled(rows, place).data["KL"].iloc[1]
    assert cell.startswith(f"{mean:.3f}".lstrip("0"))
    ranks = truth_tables.ranks(GRID).data
    assert sorted(ranks.index) == sorted(labels)
    assert ranks["KL"].astype(float).is_monotonic_increasing
    costs = truth_tables.costs(QUICK, rows, place).data
    assert costs.loc["Off-En-LDL", "teachers"] == "5"
    for row in ("plain", "fitted"):
        shown = truth_tables.misleading(GRID, row).data
        assert (shown.iloc[:, :2].astype(int).max(axis=1) >= 3).all()


def test_figures_show_every_strategy(book_style):
    kl, scaled, error = (
        truth_findings.by_cell(truth_findings.scores(GRID, metric, row))
        for metric, row in (
            ("kl_to_truth", "plain"),
            ("kl_to_truth", "fitted"),
            ("accuracy", "plain"),
        )
    )
    left = truth_plots.changes(kl, scaled).axes[0]
    names = [text.get_text() for text in left.get_yticklabels()]
    assert sorted(names) == sorted(truth_tables.LABELS.values())
    at = names.index("LS")
    expected = np.log2(kl.loc["ls"] / kl.loc["none"])
    np.testing.assert_allclose(left.images[0].get_array()[at], expected)
    ranking = truth_plots.ranking(kl)
    shown = " ".join(text.get_text() for text in ranking.axes[0].texts)
    assert all(label in shown for label in truth_tables.LABELS.values())
    frontier = truth_plots.frontiers(
        error.mean(axis=1), {"as trained": kl.mean(axis=1), "scaled": scaled.mean(axis=1)}
    )
    assert [len(ax.lines) for ax in frontier.axes] == [35, 35]
    means = truth_findings.by_strategy(truth_findings.label_distances(QUICK))
    drawn_labels = truth_plots.labels_and_students({"as trained": means}, ("none", "truth"))
    assert [text.get_text() for text in drawn_labels.axes[0].texts] != []
    shares = truth_findings.agreement(kl_blocks := truth_findings.scores(GRID, "ece"), kl_blocks)
    alike = truth_plots.agreements({"ECE": {"as trained": shares}})
    assert alike.axes[0].lines[1].get_xdata() == [1.0]
    plt.close("all")
