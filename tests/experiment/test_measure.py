"""What a record and the public `measure` say of a trained network: metrics, stages, intervals."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import nn

import ldlstudy
from ldlstudy import metrics, scaling
from ldlstudy.data import cifar100
from ldlstudy.data.images import Images, split
from ldlstudy.device import Execution
from ldlstudy.experiment import images
from ldlstudy.experiment.measure import METRICS, Outcome, score, share, stages
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import prepare
from ldlstudy.training import Augmentation, Predictor
from tests.experiment.runs import tiny

STAGES = ["plain", "fitted", "searched"]
CHANCE = ["ece_15_left_by_chance", "ece_10_right_by_chance", "ece_20_right_by_chance"]


def outcome(count=120, sharp=3.0, seed=0, classes=4):
    """Return logits that are too sure by a factor of ``sharp``, and the truth behind the labels."""
    draws = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(count, classes, generator=draws)
    truth = logits.softmax(1)
    labels = torch.multinomial(truth, 1, generator=draws).squeeze(1)
    return Outcome(sharp * logits, labels, truth)


TEST, HELD = outcome(), outcome(80, seed=1)
GROUPS = torch.tensor([0, 1, 0, 1, 2, 0, 1, 2, 0])


def binned(values, happened, bins, left=False):
    """Return the mean over samples of the gap of their bin, bin by bin."""
    gap = 0.0
    for i in range(bins):
        low, high = (np.float32(edge / bins) for edge in (i, i + 1))
        inside = (values > low) & (values <= high) | (values == 0) & (i == 0)
        if left:
            inside = (values >= low) & (values < high) | (values == 1) & (i == bins - 1)
        gap += abs((happened[inside] - values[inside]).sum())
    return gap / len(values)


def by_chance(sure, bins, left=False):
    """Return what ``binned`` gives on average where hits are as probable as they are held to be."""
    draws = np.random.default_rng(0)
    return np.mean([binned(sure, draws.random(len(sure)) < sure, bins, left) for _ in range(400)])


def by_hand(p, y, t):
    """Every metric of probabilities, labels and the truth, in numpy."""
    at, sure, said = range(len(y)), p.max(1), p.argmax(1)
    right, one, near = said == y, np.eye(p.shape[1])[y], (GROUPS[said] == GROUPS[y]).numpy()
    entropy, kl = -(p * np.log(p)).sum(1) / np.log(p.shape[1]), (t * np.log(t / p)).sum(1)
    return {
        "accuracy": right.mean(),
        "top5_accuracy": ((p > p[at, y, None]).sum(1) < 5).mean(),
        "cross_entropy": -np.log(p[at, y]).mean(),
        "brier": ((p - one) ** 2).sum(1).mean(),
        "top_label_brier": ((sure - right) ** 2).mean(),
        "ece_15_left": binned(sure, right, 15, left=True),
        "ece_10_right": binned(sure, right, 10),
        "ece_20_right": binned(sure, right, 20),
        "class_conditional_ece": np.mean(
            [binned(sure[y == k], right[y == k], 15) for k in np.unique(y)]
        ),
        "classwise_ece": np.mean([binned(*each, 15) for each in zip(p.T, one.T, strict=True)]),
        "uce": binned(entropy, ~right, 15),
        "kl_to_truth": kl.mean(),
        "total_variation": abs(t - p).sum(1).mean() / 2,
        "confidence_on_errors": sure[~right].mean(),
        "predicted_score_on_errors": np.log(sure[~right]).mean(),
        "true_score_on_errors": np.log(p[at, y])[~right].mean(),
        "kl_to_truth_on_errors": kl[~right].mean(),
        "superclass_accuracy": near.mean(),
        "error_within_superclass": near[~right].mean(),
    }


def test_every_metric_is_that_of_a_naive_computation():
    test = outcome(300, classes=9)
    found = stages(test, outcome(80, seed=1, classes=9))
    values, _ = score(found, test, 0, GROUPS)
    assert list(values) == STAGES
    for stage, (p, temperature) in found.items():
        expected = by_hand(p.double().numpy(), test.labels.numpy(), test.truth.double().numpy())
        assert set(expected) == set(METRICS)
        chance = {name: values[stage].pop(name) for name in CHANCE}
        assert values[stage] == pytest.approx(expected | {"temperature": temperature}, rel=1e-5)
        sure = p.amax(1).double().numpy()
        drawn = [by_chance(sure, 15, left=True), by_chance(sure, 10), by_chance(sure, 20)]
        assert list(chance.values()) == pytest.approx(drawn, rel=0.12)


def test_metrics_that_do_not_apply_are_left_out():
    """Without a truth, groups of classes, or an error; among five classes the best five are all."""

    def named(test):
        values, _ = score({"plain": (test.logits.softmax(1), 1.0)}, test, 0)
        return set(METRICS) - set(values["plain"])

    of_truth = {"kl_to_truth", "total_variation", "kl_to_truth_on_errors"}
    never = {"superclass_accuracy", "error_within_superclass", "top5_accuracy"}
    assert named(TEST) == never
    assert named(replace(TEST, truth=None)) == never | of_truth
    right = replace(TEST, labels=TEST.logits.argmax(1))
    assert named(right) == never | {name for name in METRICS if name.endswith("_on_errors")}


def test_intervals_contain_the_value_and_are_of_the_data():
    test = outcome(400)
    found = stages(test, HELD)
    values, intervals = score(found, test)
    for stage, row in intervals.items():
        assert set(row) == set(values[stage]) - {"temperature", *CHANCE}
        assert all(low <= values[stage][metric] <= high for metric, (low, high) in row.items())
    low, high = intervals["plain"]["accuracy"]
    deviation = np.sqrt(values["plain"]["accuracy"] * (1 - values["plain"]["accuracy"]) / 400)
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.3)
    assert score(found, test, 5) == score(found, test, 5) != (values, intervals)
    assert score(found, test, 0) == (values, {})


def test_a_metric_that_some_drawings_lack_has_its_interval_from_the_others():
    """One error in 40 images: more than a third of the drawings have none, the others that one."""
    test = outcome(40)
    labels = test.logits.argmax(1)
    labels[7] = (labels[7] + 1) % 4
    test = replace(test, labels=labels)
    values, intervals = score({"plain": (test.logits.softmax(1), 1.0)}, test)
    ends = intervals["plain"]["confidence_on_errors"]
    assert ends == pytest.approx([values["plain"]["confidence_on_errors"]] * 2)


@pytest.mark.parametrize(("right", "count"), [(150, 200), (20, 1000), (50, 100)])
def test_the_interval_of_a_share_is_the_binomial_one(right, count):
    value, ends = share(torch.arange(count) < right, 10_000)
    assert value == right / count
    expected = binom.ppf([0.025, 0.975], count, value) / count
    np.testing.assert_allclose(ends, expected, atol=1.01 / count)


def test_a_share_has_the_interval_that_the_same_share_has_as_a_score():
    hits = TEST.logits.argmax(1) == TEST.labels
    values, intervals = score({"plain": (TEST.logits.softmax(1), 1.0)}, TEST)
    value, ends = share(hits)
    assert value == values["plain"]["accuracy"]
    assert ends == pytest.approx(intervals["plain"]["accuracy"])
    assert share(hits, 0) == (value, [])


def test_plain_is_the_softmax_and_fitted_takes_the_temperature_of_the_held_out_images():
    found = stages(TEST, HELD)
    torch.testing.assert_close(found["plain"][0], TEST.logits.softmax(1))
    assert found["plain"][1] == 1
    p, temperature = found["fitted"]
    assert temperature == scaling.fit_temperature(HELD.logits, HELD.labels)
    assert temperature == pytest.approx(3, rel=0.3)
    torch.testing.assert_close(p, (TEST.logits / temperature).softmax(1))


def test_searched_has_the_lowest_error_of_its_grid():
    p, temperature = stages(TEST, HELD)["searched"]
    grid = [0.2 + 0.02 * i for i in range(291)]
    errors = [
        metrics.ece((TEST.logits / t).softmax(1), TEST.labels, bins=15, edges="left") for t in grid
    ]
    assert temperature == pytest.approx(grid[int(np.argmin(errors))])
    torch.testing.assert_close(p, (TEST.logits / temperature).softmax(1))


def test_halves_fit_the_temperature_of_each_other():
    p, temperature = stages(TEST)["fitted"]
    one, other = split(TEST.labels, 0.5, seed=0)
    assert sorted([*one.tolist(), *other.tolist()]) == list(range(120))
    fits = []
    for fit, scored in ((one, other), (other, one)):  # no image takes part in its own half's
        fits.append(scaling.fit_temperature(TEST.logits[fit], TEST.labels[fit]))
        torch.testing.assert_close(p[scored], (TEST.logits[scored] / fits[-1]).softmax(1))
    assert temperature == pytest.approx(np.mean(fits))
    assert fits[0] != fits[1]


class Linear(nn.Module):
    """Logits of images of 4 x 4 pixels; in training mode they are nonsense."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 4)
        self.layer.weight.data = 5 * torch.randn(4, 16, generator=torch.Generator().manual_seed(3))

    def forward(self, pictures):
        return self.layer(pictures.flatten(1)) * (0 if self.training else 1)


def pictures(count, seed):
    draws = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 1, 4, 4), generator=draws, dtype=torch.uint8)
    return pixels, torch.randint(0, 4, (count,), generator=draws)


@pytest.mark.parametrize("normalise", ["none", "image"])
@pytest.mark.parametrize("held", [None, pictures(60, 1)])
def test_measure_gives_a_table_of_all_metrics_of_a_network(held, normalise):
    network, (pixels, labels) = Linear(), pictures(90, 0)
    augmentation = Augmentation(normalise=normalise, shift=2)

    def said(part):
        own = augmentation.test(part[0])
        return Outcome(network.eval()(own).detach(), part[1])

    test = said((pixels, labels))
    values, _ = score(stages(test, None if held is None else said(held)), test, 0)
    how = {"augmentation": augmentation, "device": "cpu"}
    for given in ((pixels, labels), Images(pixels, labels)):
        table = ldlstudy.measure(network.train(), given, held, **how)
        assert list(table.index) == STAGES
        assert set(table.columns) == set(values["plain"])
        for stage, metric in ((s, m) for s in STAGES for m in table.columns):
            assert table.loc[stage, metric] == pytest.approx(values[stage][metric], rel=1e-5)


def test_measure_knows_the_truth_of_images_that_have_one_and_says_what_does_not_fit():
    network, (pixels, labels) = Linear(), pictures(30, 0)
    truth = torch.full((30, 4), 0.25)
    table = ldlstudy.measure(network, Images(pixels, labels, truth), device="cpu")
    p = network.eval()(pixels / 255).softmax(1).double().detach()
    expected = float((0.25 * (0.25 / p).log()).sum(1).mean())
    assert table.loc["plain", "kl_to_truth"] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match=r"test images and .* must be as many, got \[30, 29\]"):
        ldlstudy.measure(network, (pixels, labels[1:]), device="cpu")
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\)"):
        ldlstudy.measure(network, (pixels, labels + 10**12), device="cpu")
    with pytest.raises(ValueError, match="the network gives probabilities, and logits are wanted"):
        ldlstudy.measure(torch.nn.Sequential(network, torch.nn.Softmax(1)), (pixels, labels))
    with pytest.raises(ValueError, match="the network does not take images"):
        ldlstudy.measure(network, (pixels[..., 1:], labels), device="cpu")
    with pytest.raises(ValueError, match="augmentation must be of type ldlstudy.Augm"):
        ldlstudy.measure(network, (pixels, labels), augmentation="flip", device="cpu")
    with pytest.raises(ValueError, match="the network must be a torch.nn.Module, got builtin"):
        ldlstudy.measure(len, (pixels, labels), device="cpu")


def test_measure_tells_of_images_that_have_no_temperature():
    pixels, labels = torch.eye(4).view(4, 1, 2, 2).repeat(3, 1, 1, 1), torch.arange(12) % 4
    with pytest.warns(scaling.NoTemperatureWarning, match="all 12 images .* are told rightly"):
        ldlstudy.measure(torch.nn.Flatten(), (3 * pixels, labels), device="cpu")


DATA = {"sigma": 0.7, "train": 12, "test": 9}
run = functools.partial(tiny, model="small_cnn", data=DATA, network={"norm": True})  # errs often


def carried_out(own, work):
    """Return the record of a run, its network, and the logits and features of its test images."""
    (record,) = images.execute([Planned(own, intervals=False)], work=work)
    setting = prepare(own, Execution())
    network, test = setting.trained(work), setting.dataset.test
    predictor = setting.predictor(network)
    return record, network, predictor.logits(test), predictor.features(test).double(), test


def test_a_record_has_all_metrics_and_the_best_accuracy_after_any_epoch(tmp_path):
    record, _, logits, _, test = carried_out(run(), tmp_path)
    own = Outcome(logits, test.labels, test.truth)
    expected, _ = score(stages(own), own, 0)
    history = record.figure("history")["test_accuracy"]
    expected["plain"]["best_test_accuracy"] = max(history)
    assert list(record.values) == STAGES
    for stage, row in expected.items():
        assert record.values[stage] == pytest.approx(row, rel=1e-5)


def test_adacos_has_a_stage_of_its_bare_cosines(tmp_path):
    record, network, _, features, test = carried_out(run("adacos"), tmp_path)
    assert list(record.values) == [*STAGES, "unscaled"]
    weights, scale = network.head.weight.detach().double(), float(network.head.scale)
    cosines = torch.nn.functional.cosine_similarity(features[:, None], weights[None], dim=2)
    unscaled, plain = record.values["unscaled"], record.values["plain"]
    for row, p in ((unscaled, cosines.softmax(1)), (plain, (scale * cosines).softmax(1))):
        wrong = p.argmax(1) != test.labels
        assert row["accuracy"] == pytest.approx(float((~wrong).double().mean()), rel=1e-3)
        assert row["cross_entropy"] == pytest.approx(metrics.nll(p, test.labels), rel=1e-3)
        confidence = float(p[wrong].amax(1).mean())
        assert row["confidence_on_errors"] == pytest.approx(confidence, rel=1e-3)
    assert unscaled["temperature"] == pytest.approx(scale, rel=1e-5)
    assert unscaled["confidence_on_errors"] < plain["confidence_on_errors"]  # of at most 1


def test_sampled_predictions_are_what_is_measured(tmp_path):
    """Of Monte-Carlo dropout: reproduced exactly, and not those of one pass without dropout."""
    sampled = run(network={"norm": True, "dropout": 0.5, "passes": 5})
    record, network, logits, _, test = carried_out(sampled, tmp_path / "a")
    torch.manual_seed(99)
    again, *_ = carried_out(sampled, tmp_path / "b")
    assert again.values == record.values
    expected = pytest.approx(metrics.nll(logits.softmax(1), test.labels), rel=1e-5)
    assert record.values["plain"]["cross_entropy"] == expected
    assert metrics.nll(Predictor(network).logits(test).softmax(1), test.labels) != expected


def test_cifar100_has_superclasses(tmp_path, monkeypatch):
    """Of a small random set under its names and in its layout."""
    rng = np.random.default_rng(0)
    group = {name: g for g, names in cifar100.SUPERCLASSES.items() for name in names}
    arrays = {"classes": np.array(sorted(group))}
    for part in ("train", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = rng.permutation(200) % 100
    np.savez(tmp_path / "cifar100.npz", **arrays)
    monkeypatch.setenv("LDLSTUDY_DATA", str(tmp_path))
    made = tiny(dataset="cifar100", model="lenet", network={}, data={"held": 0.0})
    record, _, logits, _, test = carried_out(made, tmp_path)
    group_of = np.array([group[name] for name in sorted(group)])
    said, true = logits.argmax(1).numpy(), test.labels.numpy()
    near, plain = group_of[said] == group_of[true], record.values["plain"]
    assert plain["superclass_accuracy"] == pytest.approx(near.mean(), rel=1e-5)
    assert plain["error_within_superclass"] == pytest.approx(near[said != true].mean(), rel=1e-5)
    assert 0 < near[said != true].mean() < 1


def test_classes_with_one_image_and_one_image_alone_are_measured():
    """Every image is scored by a temperature that was fitted to others."""
    labels = torch.tensor([0, 0, 0, 0, 1, 2, 3])
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(3))
    found = stages(Outcome(logits, labels))
    assert list(found) == ["plain", "fitted", "searched"]
    p, temperature = found["fitted"]
    used = (logits[:, 0] - logits[:, 1]) / (p.log()[:, 0] - p.log()[:, 1])  # T of each image
    both = used.round(decimals=3).unique()
    assert len(both) == 2
    assert float(both.mean()) == pytest.approx(temperature, rel=1e-2)
    one = Outcome(logits[:1], labels[:1])
    assert list(stages(one)) == ["plain", "searched"]
    held = Outcome(logits[1:], labels[1:])
    assert list(stages(one, held)) == ["plain", "fitted", "searched"]


def test_a_network_in_bf16_is_measured_in_float32():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).to(torch.bfloat16)

    class Answers(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x.to(torch.bfloat16))

    pixels, labels = torch.rand(300, 1, 2, 2), torch.arange(300) % 3
    found = ldlstudy.measure(Answers(), (pixels, labels), device="cpu")
    with torch.no_grad():
        p = network(pixels.to(torch.bfloat16)).double().softmax(1)
    expected = -p[torch.arange(300), labels].log().mean()
    assert found.loc["plain", "cross_entropy"] == pytest.approx(float(expected), abs=1e-6)
