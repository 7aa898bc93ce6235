"""The study with people: its runs, and what made-up records say whose answers are known."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from ldlstudy import stats
from ldlstudy.report.results import Results
from ldlstudy.studies.fast import runs as fast
from ldlstudy.studies.people import annotators, comparisons, enhancement, numbers, runs, tables
from ldlstudy.studies.people.sentences import of_annotators, of_cifar, of_enhancement, written
from ldlstudy.studies.strategies import named
from ldlstudy.studies.truth import runs as truth
from tests.report.made import filled

PAPER = runs.runs("paper")


def test_nothing_that_people_said_is_trained_on():
    for each in PAPER:
        assert "votes" not in each.run.data
        assert "annotator" not in each.run.data
        assert "people" in each.keep
        assert each.run.dataset == "fashion_mnist"
        assert each.run.model == {runs.LENET: "lenet", runs.FCN: "fcn1200"}[each.bench]
    assert all("people" in e.keep for e in fast.runs("paper") if e.run.dataset == "cifar10")
    assert not any("people" in e.keep for e in fast.runs("paper") if e.run.dataset == "cifar100")


def test_seeds_are_paired_and_taught_by_hard_labels_of_their_seed():
    assert len(PAPER) == len({each.run for each in PAPER}) == 5 * len(runs.STRATEGIES) + 8
    for each in PAPER:
        strategy = named(each.strategy)
        assert len(each.run.teachers) == strategy.teachers
        seeds = [each.run.seed + 100 * i for i in range(strategy.teachers)]
        assert [teacher.seed for teacher in each.run.teachers] == seeds
        for teacher in each.run.teachers:
            assert teacher.method == "none"
            assert teacher.data == each.run.data
            assert teacher.recipe == each.run.recipe


def test_strategies_are_those_of_the_chapter_on_one_truth_but_for_what_is_said():
    """Chosen settings have fixed ones in their place; what the module leaves out is not there."""
    own = {name.removesuffix("_fixed") for name in runs.STRATEGIES}
    others = {"ls_chosen", "cs_kd_e", "ddgsd", "byot", "crd", "crd_kd", "sskd", "wsl", "truth"}
    others |= {"off_mt_ldl", "on_mt_ldl-mixup"}
    assert set(truth.STRATEGIES) - own == others
    assert own - set(truth.STRATEGIES) == {"none-held"}


def drawn(seed=0):
    draws = np.random.default_rng(seed)
    metrics = ("accuracy", "votes_cross_entropy", "votes_ece", "votes_entropy_order")

    def give(each):
        found = {m: float(v) for m, v in zip(metrics, draws.random(4), strict=True)}
        found |= {f"{s} {m}": float(v) for s in ("fitted", "people")
                  for m, v in zip(metrics, draws.random(4), strict=True)}  # fmt: skip
        return found

    return filled(PAPER, give)


def mean(results, strategy, metric, stage="plain"):
    records = results.records(runs.row(strategy))
    return np.mean([record.values[stage][metric] for record in records])


def test_numbers_are_means_over_seeds_and_lists_are_in_their_order():
    results = drawn()
    empty = Results([], {})
    values = numbers.quoted(results, *[empty] * 5)
    assert values["ls.votes_ece"] == pytest.approx(mean(results, "ls", "votes_ece"))
    assert values["ls.people.votes_ece"] == pytest.approx(
        mean(results, "ls", "votes_ece", "people")
    )
    others = [name for name in runs.STRATEGIES if name not in ("none", "none-held")]
    order = sorted(others, key=lambda s: mean(results, s, "votes_cross_entropy"))
    first = [named(name).label.replace(", ", " with ") for name in order[:3]]
    assert values["nearest"] == f"{first[0]}, {first[1]} and {first[2]}"
    hard = [r.values["people"] for r in results.records(runs.row("none"))]
    for name in others:
        own = [r.values["people"] for r in results.records(runs.row(name))]
        change = [a["votes_cross_entropy"] - b["votes_cross_entropy"]
                  for a, b in zip(own, hard, strict=True)]  # fmt: skip
        label = named(name).label.replace(", ", " with ")
        if max(change) < 0:
            assert label in values["people.nearer.names"]
        if np.mean(change) > 0:
            assert label not in values["people.nearer.names"].replace(" and ", ", ").split(", ")
    surest = min(runs.STRATEGIES, key=lambda s: mean(results, s, "votes_ece"))
    assert values["least.ece"] == pytest.approx(mean(results, surest, "votes_ece"))
    assert values["strategies.others"] == str(len(runs.STRATEGIES) - 2)
    assert all(value == value for value in values.values())


def test_on_cifar_what_differs_from_hard_labels_is_named_by_its_side():
    score = {"none": 0.5, "ls": 0.4, "cs_kd": 0.495, "off_ldl": 0.6}  # each to within .01
    metrics = ("votes_cross_entropy", "votes_total_variation", "votes_entropy_order")
    results = filled(
        [e for e in fast.runs("paper") if e.bench == fast.CIFAR10],
        lambda e: (
            dict.fromkeys(metrics, (score[e.strategy], 0.01))
            if e.strategy in score and e.run.seed == 0
            else None
        ),
    )
    present = Results([e for e in results.planned if e.run in results.recorded], results.recorded)
    said = of_cifar(present)
    assert {said[f"cifar.{metric}.less"] for metric in metrics} == {"LS"}
    assert {said[f"cifar.{metric}.more"] for metric in metrics} == {"Off-LDL"}
    assert said["cifar.seeds"] == "one seed"
    assert of_cifar(Results([], {})) == {}


def test_without_records_nothing_is_said():
    empty = Results([], {})
    assert numbers.quoted(*[empty] * 6)["strategies.others"] == "none"
    assert "nearest" not in written(empty)
    shown = (
        tables.as_trained, tables.scaled, tables.measures, tables.against_hard, tables.of_known,
        tables.of_annotators, tables.enhancement, tables.sets,
    )  # fmt: skip
    for table in shown:
        assert len(table(empty).data) == 0


def test_orders_are_of_strategies_that_both_chapters_have():
    results = drawn()
    planned = [e for e in truth.runs("paper") if e.strategy in ("none", "ls", "cs_kd", "truth")]
    draws = np.random.default_rng(5)
    digits = filled(
        planned,
        lambda _: {k: float(draws.random()) for k in ("kl_to_truth", "fitted kl_to_truth")},
    )
    found = comparisons.orders(results, digits)
    for title, stage in (("as trained", "plain"), ("scaled", "fitted")):
        table = found[title]
        assert set(table.index) == {"none", "ls", "cs_kd"}
        for name in table.index:
            own = [
                digits.recorded[each.run].values[stage]["kl_to_truth"]
                for each in planned
                if each.strategy == name
            ]
            assert table.loc[name, "digits"] == pytest.approx(np.mean(own))
            expected = mean(results, name, "votes_cross_entropy", stage)
            assert table.loc[name, "people"] == pytest.approx(expected)


def test_a_rank_correlation_has_the_interval_of_a_loop_over_drawings():
    drawn = np.random.default_rng(3).normal(size=(2, 9)).round(1)
    drawn[1] += drawn[0]
    estimate = stats.rank_correlation(*drawn.tolist())
    assert estimate.mean == pytest.approx(spearmanr(*drawn).statistic)
    rows = np.random.default_rng(0).integers(0, 9, (stats.RESAMPLES, 9))
    by_loop = [spearmanr(*drawn[:, r]).statistic for r in rows if len(set(drawn[0, r])) > 2]
    assert estimate[1:] == pytest.approx(np.percentile(by_loop, [2.5, 97.5]))


def test_enhancement_is_ranked_by_each_measure_within_its_set():
    planned = enhancement.runs("paper")
    assert len(planned) == 10 * len(enhancement.STRATEGIES)
    assert {e.run.replicates for e in planned} == {10, 50}
    draws = np.random.default_rng(2)
    results = filled(
        planned,
        lambda e: {m: draws.random(e.run.replicates).tolist() for m in comparisons.MEASURES},
    )
    ranks = comparisons.enhancement_ranks(results)
    sets = list(dict.fromkeys(e.bench for e in planned))
    for measure, more in (("clark", False), ("cosine", True)):
        own = np.array([
            [np.mean(results.records(f"{b} {s}")[0].values["plain"][measure]) for b in sets]
            for s in enhancement.STRATEGIES
        ])  # fmt: skip
        expected = rankdata(-own if more else own, axis=0).mean(1)
        for strategy, rank in zip(enhancement.STRATEGIES, expected, strict=True):
            assert ranks.loc[strategy, measure] == pytest.approx(rank)
    said = of_enhancement(results)
    mean = ranks.mean(axis=1)
    best = mean.drop(["none", "truth"]).idxmin()
    assert said["enhancement.best"] == named(best).label.replace(", ", " with ")
    assert said["enhancement.best.rank"] == pytest.approx(mean[best])
    assert said["enhancement.sets"] == "ten"
    names = said["enhancement.order"].replace(" and ", ", ").split(", ")
    assert names[0] == named(mean.idxmin()).label.replace(", ", " with ")
    # q.05 of 11 methods is 3.219 (Demsar's table), times sqrt(k (k + 1) / 6 N)
    expected = 3.219 * np.sqrt(11 * 12 / 60)
    assert said["enhancement.critical_difference"] == pytest.approx(expected, rel=1e-3)
    assert of_enhancement(Results([], {})) == {}


def test_annotators_targets_differ_by_their_labels_alone():
    planned = annotators.runs("paper")
    assert len(planned) == 3 * (8 + 3)
    data = {each.strategy: dict(each.run.data) for each in planned}
    assert data.pop("three") == {"votes": "cifar10n"}
    assert data.pop("most")["annotator"] == "aggre_label"
    assert data.pop("official") == {}
    assert all(given["annotator"] == "random_label1" for given in data.values())
    for each in planned:
        assert each.run.recipe == planned[0].run.recipe
        assert all(teacher.data == each.run.data for teacher in each.run.teachers)
    scores = {each.strategy: i / 10 for i, each in enumerate(planned[:11])}
    results = filled(planned, lambda e: {"votes_cross_entropy": scores[e.strategy]})
    said = of_annotators(results)
    assert said["annotators.order"].startswith("one annotator, hard labels; one annotator, LS; ")
    assert said["annotators.nearer"] == "none"
    assert said["annotators.farther"].startswith("LS, CS-KD, ")
    assert said["annotators.seeds"] == "three"
