"""What a record says of a trained network, against the network's own features and predictions."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ldlstudy import (
    by_class,
    hierarchy,
    image_figures,
    image_measures,
    images,
    metrics,
    misclassified,
    scores,
    setting,
)
from ldlstudy.execution import Execution
from ldlstudy.records import Run
from ldlstudy.scores import METRICS

SCORED = {*METRICS, "kl_to_truth", "temperature"}
ON_ERRORS = {
    "confidence_on_errors",
    "predicted_score_on_errors",
    "true_score_on_errors",
    "kl_to_truth_on_errors",
}
NEIGHBOURS = {"recall_at_1", "recall_at_1_train", "intra_class_variation"}
SUPERCLASSES = {"superclass_accuracy", "error_within_superclass"}
KEEP = {  # what a run keeps: further metrics of every row, of the row plain, figures
    "nothing": (set(), set(), set()),
    "answers": (set(), set(), {"answers"}),
    "by_class": (set(), set(), {"by_class"}),
    "embedding": (set(), set(), {"embedding"}),
    "errors": (ON_ERRORS, set(), {"errors"}),
    "neighbours": (set(), NEIGHBOURS, set()),
    "planes": (set(), set(), {"planes"}),
    "reliability": (set(), set(), {"reliability"}),
    "sampled": (set(), set(), {"sampled"}),
    "similar": (set(), set(), {"similar"}),
    "total_variation": ({"total_variation"}, set(), set()),
}
EVERYTHING = (
    "answers",
    "by_class",
    "embedding",
    "errors",
    "neighbours",
    "planes",
    "reliability",
    "sampled",
    "similar",
    "total_variation",
)


def tiny(method="none", keep=(), **fields):
    """Return a run that trains in a blink and errs often."""
    training = {"epochs": 4, "batch": 16, "rate": 0.05, "network": {"norm": True}}
    return Run(
        "noisy_digits",
        "small_cnn",
        method,
        {"sigma": 0.7, "train": 12, "test": 9},
        training=training,
        profile="smoke",
        keep=keep,
        **fields,
    )


def carried_out(run, work):
    """Return the record of a run, its network, its data, and its features and logits of both."""
    record = images.execute(run, work=work)
    prepared = setting.prepare(run, Execution())
    network, dataset = setting.trained(run, prepared, work).eval(), prepared.dataset
    with torch.no_grad():
        test, train = (
            network.features(prepared.augmentation.test(part.pixels))
            for part in (dataset.test, dataset.train)
        )
        logits = network.head(test)
    return record, network, dataset, (test.double(), train.double(), logits)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return carried_out(tiny(keep=EVERYTHING), tmp_path_factory.mktemp("work"))


@pytest.mark.parametrize("keep", KEEP)
def test_a_run_gives_the_metrics_and_figures_that_it_keeps(keep, tmp_path):
    in_every_row, in_plain, figures = KEEP[keep]
    record = images.execute(tiny(keep=() if keep == "nothing" else (keep,)), work=tmp_path)
    assert list(record.rows) == list(record.estimates) == ["plain", "fitted", "searched"]
    for rows in (record.rows, record.estimates):
        assert set(rows["plain"]) == SCORED | in_every_row | in_plain | {"best_test_accuracy"}
        assert set(rows["fitted"]) == set(rows["searched"]) == SCORED | in_every_row
    assert set(record.figures) == figures | {"history"}
    json.dumps([record.rows, record.estimates, record.figures], allow_nan=False)


def nearest(queries, gallery, own=False):
    """Return the nearest row of the gallery to each query, one pair at a time."""
    found = []
    for i, query in enumerate(queries):
        distances = ((gallery - query) ** 2).sum(1)
        if own:
            distances[i] = np.inf
        found.append(int(distances.argmin()))
    return found


def test_recall_at_1_is_that_of_the_features(everything):
    record, _, dataset, (test, train, _) = everything
    labels, others = dataset.test.labels, dataset.train.labels
    plain = record.rows["plain"]
    hits = labels[nearest(test.numpy(), test.numpy(), own=True)] == labels
    assert plain["recall_at_1"] == [pytest.approx(float(hits.double().mean()), rel=1e-5)]
    hits = others[nearest(test.numpy(), train.numpy())] == labels
    assert plain["recall_at_1_train"] == [pytest.approx(float(hits.double().mean()), rel=1e-5)]
    assert plain["recall_at_1"] != plain["recall_at_1_train"]


def test_variation_is_the_spread_of_classes_in_units_of_their_distance(everything):
    record, _, dataset, (test, _, _) = everything
    clusters = [test[dataset.test.labels == k].numpy() for k in range(10)]
    means = [cluster.mean(0) for cluster in clusters]
    spreads = [
        np.sqrt(((cluster - mean) ** 2).sum(1).mean())
        for cluster, mean in zip(clusters, means, strict=True)
    ]
    apart = [np.linalg.norm(means[i] - means[j]) for i in range(10) for j in range(i)]
    expected = np.mean(spreads) / np.mean(apart)
    assert record.rows["plain"]["intra_class_variation"] == [pytest.approx(expected, rel=1e-4)]
    assert len(set(record.estimates["plain"]["intra_class_variation"])) == 1


def test_scores_on_errors_are_of_the_predictions_of_each_row(everything):
    record, _, dataset, (_, _, logits) = everything
    labels, truth = dataset.test.labels, dataset.test.truth
    assert 5 < len(misclassified.wrong(logits.softmax(1), labels)) < 90
    for name in ("plain", "searched"):
        row = record.rows[name]
        p = (logits / row["temperature"][0]).softmax(1)
        for metric, value in misclassified.scores(p, labels, truth).items():
            assert row[metric] == [pytest.approx(value, rel=1e-3)], (name, metric)
    plain, fitted = (record.rows[name]["confidence_on_errors"] for name in ("plain", "fitted"))
    assert plain != fitted


def test_figures_are_of_the_predictions_and_features(everything):
    record, _, dataset, (test, _, logits) = everything
    p, labels = logits.softmax(1), dataset.test.labels
    answers, errors = misclassified.answers(p, labels), misclassified.kept(p, labels)
    for found, expected in (
        (record.figures["answers"], answers),
        (record.figures["errors"], errors),
    ):
        assert found.keys() == expected.keys()
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=2e-3, atol=1e-6)
    found, expected = record.figures["by_class"], by_class.kept(p, labels)
    for name in ("f1", "confidence"):
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-3)
    assert found["best"]["class"] == expected["best"]["class"]
    found, expected = record.figures["embedding"], image_figures.embedding(test, labels)
    assert (found["index"], found["labels"]) == (expected["index"], expected["labels"])
    ours, theirs = (torch.tensor(each["points"]) for each in (found, expected))
    torch.testing.assert_close(torch.cdist(ours, ours), torch.cdist(theirs, theirs), **ROUNDED)


def test_sampled_predictions_can_be_scaled_like_the_networks(everything):
    record, _, dataset, (_, _, logits) = everything
    found = record.figures["sampled"]
    assert found["labels"] == dataset.test.labels.tolist()  # 90 images: all
    for temperature in (0.5, 1.0, 3.0):
        again = (torch.tensor(found["log_probabilities"]) / temperature).softmax(1)
        torch.testing.assert_close(again, (logits / temperature).softmax(1), rtol=5e-3, atol=1e-4)


def test_at_most_500_images_spread_over_the_set_are_sampled():
    p = torch.eye(3)[torch.arange(1001) % 3]
    found = image_figures.sampled(p, torch.arange(1001) % 3)
    assert found["labels"] == (torch.arange(0, 1001, 3) % 3).tolist()
    assert np.isfinite(found["log_probabilities"]).all()


def test_total_variation_is_that_of_each_rows_predictions(everything):
    record, _, dataset, (_, _, logits) = everything
    for name in ("plain", "searched"):
        p = (logits / record.rows[name]["temperature"][0]).softmax(1)
        expected = (p - dataset.test.truth).abs().sum(1).mean() / 2
        assert record.rows[name]["total_variation"][0] == pytest.approx(float(expected), rel=1e-3)


def test_reliability_is_that_of_each_rows_predictions(everything):
    record, _, dataset, (_, _, logits) = everything
    assert set(record.figures["reliability"]) == {"plain", "fitted", "searched"}
    for name in ("plain", "searched"):  # at one temperature
        p = (logits / record.rows[name]["temperature"][0]).softmax(1)
        expected = image_figures.reliability(p, dataset.test.labels)
        assert record.figures["reliability"][name]["count"] == expected["count"]


def test_temperatures_are_searched_once(everything, monkeypatch):
    _, network, _, _ = everything
    searched = []
    monkeypatch.setattr(scores, "search", lambda *_: searched.append(1) or 1.5)
    run = tiny(keep=("reliability",))
    image_measures.measure(
        run, setting.prepare(run, Execution()), network, [{"test_accuracy": 0.5}]
    )
    assert searched == [1]


def test_similar_classes_are_those_of_the_network(everything):
    record, network, dataset, _ = everything
    prepared = setting.prepare(tiny(), Execution())
    expected = image_figures.similar(network, dataset, prepared.augmentation, Execution())
    (title,) = record.figures["similar"]
    for panel, points in expected[title].items():
        for ours, theirs in zip(record.figures["similar"][title][panel], points, strict=True):
            np.testing.assert_allclose(ours, theirs, **ROUNDED)


ROUNDED = {"rtol": 2e-3, "atol": 5e-3}  # four digits are kept


@pytest.mark.parametrize("accuracies", [[0.25], [0.25, 0.75, 0.5], [0.5, 0.25]])
def test_the_best_accuracy_is_the_highest_after_any_epoch(accuracies, everything):
    _, network, _, _ = everything
    history = [{"test_accuracy": value, "loss": 1.0} for value in accuracies]
    prepared = setting.prepare(tiny(), Execution())
    rows, estimates, _ = image_measures.measure(tiny(), prepared, network, history)
    assert rows["plain"]["best_test_accuracy"] == [max(accuracies)]
    assert estimates["plain"]["best_test_accuracy"] == [max(accuracies)] * 3


def test_the_best_accuracy_is_that_of_the_history(everything):
    record, _, _, _ = everything
    accuracies = record.figures["history"]["test_accuracy"]
    assert len(accuracies) == 4
    assert record.rows["plain"]["best_test_accuracy"] == [max(accuracies)]
    assert record.rows["plain"]["accuracy"] == [accuracies[-1]]


def test_adacos_has_a_row_of_its_bare_cosines(tmp_path):
    run = tiny("adacos", ("errors", "neighbours"))
    record, network, dataset, (features, _, _) = carried_out(run, tmp_path)
    assert list(record.rows) == ["plain", "fitted", "searched", "unscaled"]
    weights = network.head.weight.detach().double()
    cosines = torch.nn.functional.cosine_similarity(features[:, None], weights[None], dim=2)
    labels, scale = dataset.test.labels, float(network.head.scale)
    unscaled, plain = record.rows["unscaled"], record.rows["plain"]
    for row, p in ((unscaled, cosines.softmax(1)), (plain, (scale * cosines).softmax(1))):
        for name, value in {
            "accuracy": metrics.accuracy(p, labels),
            "cross_entropy": metrics.nll(p, labels),
            "brier": metrics.brier(p, labels),
            "kl_to_truth": metrics.kl_to_truth(dataset.test.truth.double(), p),
            "confidence_on_errors": misclassified.scores(p, labels)["confidence_on_errors"],
        }.items():
            assert row[name] == [pytest.approx(value, rel=1e-3)], name
    assert unscaled["temperature"] == [pytest.approx(scale, rel=1e-5)]
    assert unscaled["accuracy"] == plain["accuracy"]
    assert (
        unscaled["confidence_on_errors"] < plain["confidence_on_errors"]
    )  # cosines lie in [-1, 1]
    assert set(unscaled) == SCORED | ON_ERRORS


@pytest.mark.parametrize("profile", ["paper", "smoke"])
def test_intervals_have_a_width_at_the_papers_profile_alone(profile, tmp_path):
    run = replace(tiny("adacos", ("errors", "neighbours")), profile=profile)
    estimates = images.execute(run, work=tmp_path).estimates
    certain = {"temperature", "best_test_accuracy", "intra_class_variation"}
    for name, row in estimates.items():
        for metric, (value, low, high) in row.items():
            wide = profile == "paper" and metric not in certain
            assert (low < high) == wide, (name, metric)
            assert wide or low == value
        value, low, high = row["accuracy"]
        assert low <= value <= high
    value, low, high = estimates["plain"]["recall_at_1"]
    assert low <= value <= high
    if profile == "paper":
        binomial = 2 * 1.96 * math.sqrt(value * (1 - value) / 90)
        assert high - low == pytest.approx(binomial, rel=0.4)


@pytest.fixture
def cifar100(tmp_path, monkeypatch):
    """Write a small random set under the names and in the layout of CIFAR-100."""
    rng = np.random.default_rng(0)
    names = sorted(name for group in hierarchy.SUPERCLASSES.values() for name in group)
    arrays = {"classes": np.array(names)}
    for part in ("train", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = rng.permutation(200) % 100
    np.savez(tmp_path / "cifar100.npz", **arrays)
    monkeypatch.setenv("LDLSTUDY_DATA", str(tmp_path))
    setting._dataset.cache_clear()  # of sets read from elsewhere
    yield names
    setting._dataset.cache_clear()


@pytest.mark.parametrize("keep", [("errors",), ()])
def test_only_cifar100_has_superclasses(keep, cifar100, tmp_path):
    """Twenty groups of five; other data sets' metrics are listed above."""
    training = {"epochs": 1, "batch": 50, "rate": 0.1}
    run = Run("cifar100", "lenet", "none", training=training, profile="smoke", keep=keep)
    record, _, dataset, (_, _, logits) = carried_out(run, tmp_path)
    expected = {*METRICS, "temperature"}
    if not keep:
        assert set(record.rows["fitted"]) == expected
        return
    expected |= ON_ERRORS - {"kl_to_truth_on_errors"} | SUPERCLASSES
    assert all(set(record.rows[name]) == expected for name in ("fitted", "searched"))
    group = {name: g for g, names in hierarchy.SUPERCLASSES.items() for name in names}
    said = [cifar100[k] for k in logits.argmax(1).tolist()]
    true = [cifar100[k] for k in dataset.test.labels.tolist()]
    pairs = list(zip(said, true, strict=True))
    near = [group[one] == group[other] for one, other in pairs]
    plain = record.rows["plain"]
    assert plain["superclass_accuracy"] == [pytest.approx(np.mean(near), rel=1e-5)]
    of_errors = [n for n, (one, other) in zip(near, pairs, strict=True) if one != other]
    assert np.mean(of_errors) > 0
    assert plain["error_within_superclass"] == [pytest.approx(np.mean(of_errors), rel=1e-5)]
