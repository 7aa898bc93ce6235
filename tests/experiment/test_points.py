"""Runs on points: candidates are trained, one is picked for each replicate, measured, recorded."""

import functools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ldlstudy import methods, metrics, scaling, stats, targets
from ldlstudy.experiment import point_figures, points, records
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.points import choose, replicates_of
from ldlstudy.experiment.records import Run
from ldlstudy.files import rounded
from ldlstudy.training import ensemble

EPSILONS = [0.01, 0.1, 0.3, 0.5]
STAGES = ("plain", "scaled", "dense", "sparse")


def tiny(method="none", settings=None, teachers=(), **more):
    """Return a run of seconds: 2 replicates of 10 training samples a class, 30 epochs."""
    fields = {
        "model": "mlp64x1",
        "data": {"train": 10, "held": 10, "test": 50},
        "replicates": 2,
        **more,
        "recipe": {"epochs": 30, "patience": 5, **more.get("recipe", {})},
    }
    return Run("six_gaussians", method=method, settings=settings or {}, teachers=teachers, **fields)


def execute(run, keep=()):
    return points.execute(Planned(run, keep))


BAYES, NONE, LS = tiny("bayes", model="bayes"), tiny(), tiny("ls", {"epsilon": EPSILONS})
ILS = tiny("ils", {"p1": [0.8, 0.85], "p2": 2.0, "teacher_temperature": [1.0, 4.0]}, (NONE,))
RUNS = {
    "bayes": BAYES,
    "none": NONE,
    "ls": LS,
    "ils": ILS,
    "bootstrap": tiny("bootstrap", {"beta": 0.9}),
    "beta": tiny("beta", teachers=(NONE, LS)),
    "similarity": tiny("similarity", {"epsilon": [0.05, 0.2]}),
    "mini-batch": tiny(recipe={"epochs": 10, "batch": 16, "init": "glorot"}),
    "restarts": tiny(recipe={"restart": list(range(12))}),
}


@pytest.fixture
def afresh(monkeypatch):
    """No run has been carried out yet."""
    monkeypatch.setattr(points, "_CHOSEN", {})


@pytest.fixture
def trainings(afresh, monkeypatch):
    """Return what every training since was given, and what it gave."""
    calls, train = [], ensemble.train

    def noted(settings, data, members, **options):
        calls.append((settings, data, members, train(settings, data, members, **options)))
        return calls[-1][3]

    monkeypatch.setattr(points.ensemble, "train", noted)
    return calls


# Which candidate is picked


def held_logits(run, trained):
    """Return the logits (R, C, V, K) of every candidate of a run, and its parameters (R, C, P)."""
    rows = trained.parameters.view(run.replicates, -1, trained.parameters.shape[1])
    x, count = replicates_of(run).holding.inputs, rows.shape[1]
    z = [trained.logits(rows[r], x[r].expand(count, -1, -1)) for r in range(run.replicates)]
    return torch.stack(z), rows


def losses(logits, labels, weights):
    """Return the weighted cross entropy (R, C)."""
    r, c, v, k = logits.shape
    y = labels[:, None].expand(r, c, v)
    each = F.cross_entropy(logits.reshape(-1, k), y.reshape(-1), reduction="none").view(r, c, v)
    return (each * weights[:, None]).sum(2)


def weights_of(run, part):
    sparse = replicates_of(run).holding.sparse
    mask = {"all": torch.ones_like(sparse), "sparse": sparse, "dense": ~sparse}[part].float()
    return mask / mask.sum(1, keepdim=True)


def test_the_pick_has_the_lowest_held_out_loss(trainings):
    picks, values = choose(LS).picks, [{"epsilon": e} for e in EPSILONS]
    ((*_, trained),) = trainings
    z, rows = held_logits(LS, trained)
    labels = replicates_of(LS).holding.labels
    ones = torch.ones(2, 4, dtype=torch.float64)
    fitted = [[scaling.fit_temperature(c, y) for c in r] for r, y in zip(z, labels, strict=True)]
    for stage, part, temperatures in (
        ("plain", "all", ones),
        ("scaled", "all", torch.tensor(fitted, dtype=torch.float64)),
        ("dense", "dense", ones),
        ("sparse", "sparse", ones),
    ):
        weights = weights_of(LS, part).double()
        loss = losses(z / temperatures[:, :, None, None], labels, weights)
        best, pick = loss.argmin(1), picks[stage]
        torch.testing.assert_close(pick.loss.double(), loss.min(1).values, rtol=1e-5, atol=1e-6)
        assert pick.values == [values[b] for b in best]
        torch.testing.assert_close(pick.temperature, temperatures[torch.arange(2), best])
        assert torch.equal(pick.rows, rows[torch.arange(2), best])


def test_stages_of_a_record():
    assert tuple(choose(LS).picks) == STAGES
    assert list(choose(NONE).picks) == ["plain", "scaled"]
    of_restarts = [stage for stage in choose(RUNS["restarts"]).picks if "scaled" not in stage]
    assert of_restarts == ["plain", "best of 1", "best of 12"]
    dense = tiny("ls", {"epsilon": EPSILONS}, recipe={"held": "dense"})
    assert list(choose(dense).picks) == ["plain", "scaled"]


def test_the_fitted_temperature_is_kept_beside_the_applied_one():
    pick, scaled = (choose(NONE).picks[stage] for stage in ("plain", "scaled"))
    holding = replicates_of(NONE).holding
    for r in range(2):
        z = choose(NONE).logits(pick.rows[r], holding.inputs[r])
        expected = scaling.fit_temperature(z, holding.labels[r])
        assert float(pick.fitted[r]) == pytest.approx(expected, rel=1e-6)
    assert pick.temperature.tolist() == [1, 1]
    assert torch.equal(scaled.temperature, scaled.fitted)
    assert torch.equal(scaled.rows, pick.rows)  # of one candidate
    assert bool((scaled.loss <= pick.loss + 1e-7).all())


def test_probabilities_are_those_of_the_scaled_logits():
    chosen = choose(NONE)
    x, pick = replicates_of(NONE).testing.inputs[1], chosen.picks["scaled"]
    logits = chosen.logits(pick.rows[1], x)
    expected = scaling.scale(logits, float(pick.fitted[1]))
    torch.testing.assert_close(chosen.probabilities(pick, 1, x), expected)
    torch.testing.assert_close(chosen.calibrated(1, x), expected)


def test_budgets_are_nested(trainings, monkeypatch):
    monkeypatch.setattr(points, "BUDGETS", range(1, 13))
    run = tiny(recipe={"restart": list(range(12))})
    picks = choose(run).picks
    ((*_, trained),) = trainings
    assert list(picks) == ["plain", "scaled"] + [
        f"best of {n}{more}" for n in range(1, 13) for more in ("", ", scaled")
    ]
    z, _ = held_logits(run, trained)
    loss = losses(z, replicates_of(run).holding.labels, weights_of(run, "all"))
    for n in range(1, 13):
        pick = picks[f"best of {n}"]
        torch.testing.assert_close(pick.loss.float(), loss[:, :n].min(1).values)
        assert [v["restart"] for v in pick.values] == loss[:, :n].argmin(1).tolist()
    for more in ("", ", scaled"):
        of = torch.stack([picks[f"best of {n}{more}"].loss for n in range(1, 13)])
        assert bool((of.diff(dim=0) <= 0).all())
        assert not torch.equal(of[0], of[-1])
    assert torch.equal(picks["best of 12"].rows, picks["plain"].rows)
    assert torch.equal(picks["best of 1"].loss, choose(NONE).picks["plain"].loss)
    assert choose(run).networks == 24


def test_bayes_picks_the_posterior():
    chosen, replicates = choose(BAYES), replicates_of(BAYES)
    assert list(chosen.picks) == ["plain"]
    pick = chosen.picks["plain"]
    for r in range(2):
        x = replicates.testing.inputs[r]
        p = chosen.probabilities(pick, r, x)
        posterior = replicates.mixture.posterior(x.double())
        torch.testing.assert_close(p, posterior, rtol=1e-10, atol=1e-12)
        assert torch.equal(chosen.calibrated(r, x), p)
        loss = F.nll_loss(replicates.holding.truth[r].log(), replicates.holding.labels[r])
        assert float(pick.loss[r]) == pytest.approx(float(loss), rel=1e-5)
    assert pick.temperature.tolist() == pick.fitted.tolist() == [1, 1]
    assert pick.values == [{}, {}]
    assert chosen.networks == chosen.epochs == 0


# What is taught


@pytest.fixture
def taught(afresh, monkeypatch):
    """Return the task, settings and labels of every call of `Method.labels` since, by method."""
    calls, names = {}, {id(row): name for name, row in methods.METHODS.items()}
    labels = methods.Method.labels

    def noted(method, task, settings):
        result = labels(method, task, settings)
        calls.setdefault(names[id(method)], []).append((task, dict(settings), result))
        return result

    monkeypatch.setattr(methods.Method, "labels", noted)
    return calls


def test_a_student_learns_from_its_teachers_networks(taught):
    choose(ILS)
    chosen, training = choose(NONE), replicates_of(NONE).training
    pick = chosen.picks["plain"]
    assert len(taught["ils"]) == 2 * 4
    for i, (task, settings, _) in enumerate(taught["ils"]):
        r = i // 4
        assert torch.equal(task.inputs, training.inputs[r])
        assert torch.equal(task.labels, training.labels[r])
        logits = chosen.logits(pick.rows[r], training.inputs[r])
        assert torch.equal(task.teacher.logits, logits[None])
        assert task.teacher.temperature == float(pick.fitted[r])
        assert set(settings) == {"p1", "p2", "teacher_temperature"}


def test_beta_takes_over_label_smoothings_factor(taught):
    choose(RUNS["beta"])
    epsilons = [v["epsilon"] for v in choose(LS).picks["plain"].values]
    assert [settings["epsilon"] for _, settings, _ in taught["beta"]] == epsilons
    assert len({task.seed for task, _, _ in taught["beta"]}) == 2


def test_distillation_from_bayes_teaches_the_posterior(taught):
    choose(tiny("distil", teachers=(BAYES,)))
    truth = replicates_of(NONE).training.truth
    assert len(taught["distil"]) == 2
    for (_, _, label), expected in zip(taught["distil"], truth, strict=True):
        torch.testing.assert_close(label.float(), expected, rtol=1e-4, atol=1e-6)


def test_a_restart_is_no_setting_of_a_method(taught):
    choose(tiny(recipe={"restart": [0, 1, 2]}))
    assert [settings for _, settings, _ in taught["none"]] == [{}] * 6


def test_what_a_run_says_reaches_the_ensemble(trainings):
    recipe = {"epochs": 7, "patience": 3, "batch": 4, "init": "glorot", "rate": 0.002}
    run = tiny("bootstrap", {"beta": 0.9}, recipe=recipe | {"held": "dense"}, model="mlp64x5")
    chosen = choose(run)
    ((settings, data, members, _),) = trainings
    expected = ensemble.Settings(hidden=(64,) * 5, epochs=7, patience=3, batch=4, init="glorot")
    assert settings == expected
    assert members.rates.tolist() == pytest.approx([0.002] * 2)
    assert members.bootstrap.tolist() == pytest.approx([0.9] * 2)
    torch.testing.assert_close(members.held_weights, weights_of(run, "dense"))
    assert torch.equal(data.inputs, replicates_of(run).training.inputs)
    assert torch.equal(data.held_labels, replicates_of(run).holding.labels)
    assert members.data.tolist() == [0, 1]
    assert len(set(members.seeds.tolist())) == 2
    assert chosen.networks == 2
    assert chosen.epochs <= 14


def test_the_papers_settings_are_the_defaults(trainings):
    run = Run("six_gaussians", "mlp64x5", "none", data={"train": 1, "held": 3, "test": 1})
    choose(run)
    ((settings, _, members, _),) = trainings
    assert settings == ensemble.Settings()
    assert members.rates.tolist() == pytest.approx([0.01])
    found = replicates_of(replace(run, data={}))
    assert (found.train, found.held, found.test) == (50, 50, 5000)


def test_a_teacher_trains_once_and_runs_of_equal_specification_share_their_choice(trainings):
    execute(NONE)
    for method, settings in (("ils1", {"p1": 0.8, "p2": 2.0}), ("distil", {})):
        execute(tiny(method, settings, (NONE,)))
    assert len(trainings) == 3
    same = tiny(data={"test": 50, "held": 10, "train": 10})
    assert same is not NONE
    assert choose(same) is choose(NONE)
    assert len(trainings) == 3


def test_only_the_last_runs_are_remembered(trainings, monkeypatch):
    monkeypatch.setattr(points, "REMEMBERED", 2)
    for run in (NONE, LS, NONE, ILS, NONE, LS):
        choose(run)
    assert len(trainings) == 4  # LS was forgotten


# What is recorded


@functools.cache
def record_of(name):
    return execute(RUNS[name])


def alone(run):
    """Return the run, and its teachers, with the first replicate alone."""
    return replace(run, replicates=1, teachers=tuple(alone(each) for each in run.teachers))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_gives_the_same_again_however_many_replicates_there_are(name, afresh):
    first, again, one = record_of(name), execute(RUNS[name]), execute(alone(RUNS[name]))
    assert again.values == first.values
    assert again.intervals == first.intervals
    assert again.specification == first.specification == RUNS[name].specification
    for stage, values in first.values.items():
        assert one.values[stage] == {metric: v[:1] for metric, v in values.items()}
    assert any(v[0] != v[1] for v in first.values["plain"].values())


def test_values_are_the_metrics_of_the_pick_with_intervals_over_replicates():
    record, chosen, testing = record_of("ls"), choose(LS), replicates_of(LS).testing
    for stage in STAGES:
        for r in range(2):
            p = chosen.probabilities(chosen.picks[stage], r, testing.inputs[r])
            y, sparse, truth = testing.labels[r], testing.sparse[r], testing.truth[r]
            hit = (p.argmax(1) == y).double()
            expected = {
                "accuracy": float(hit.mean()),
                "accuracy_dense": float(hit[~sparse].mean()),
                "accuracy_sparse": float(hit[sparse].mean()),
                "cross_entropy": float(F.nll_loss(p.log(), y)),
                "brier": metrics.brier(p, y),
                "ece_15_right": metrics.ece(p, y, bins=15),
                "class_conditional_ece": metrics.class_conditional_ece(p, y),
                "classwise_ece": metrics.classwise_ece(p, y),
                "kl_to_truth": metrics.kl_to_truth(truth, p),
                "total_variation": float((truth - p).abs().sum(1).mean() / 2),
                "held_out_loss": float(chosen.picks[stage].loss[r]),
                "temperature": float(chosen.picks[stage].temperature[r]),
                "epsilon": chosen.picks[stage].values[r]["epsilon"],
            }
            measured = {metric: values[r] for metric, values in record.values[stage].items()}
            assert measured == pytest.approx(expected, rel=1e-5)
        for metric, values in record.values[stage].items():
            _, low, high = stats.estimate(values)
            ends = record.intervals[stage].get(metric, values[:1] * 2)
            assert ends == pytest.approx([low, high])
            assert (metric in record.intervals[stage]) == (low < high)


def test_bayes_has_no_error_but_that_of_the_samples():
    ((_, row),) = execute(
        replace(BAYES, data={"train": 10, "held": 10, "test": 2000})
    ).values.items()
    assert row["kl_to_truth"] == pytest.approx([0, 0], abs=1e-6)
    assert row["total_variation"] == pytest.approx([0, 0], abs=1e-6)
    assert row["accuracy"] == pytest.approx([0.82, 0.82], abs=0.02)
    assert row["cross_entropy"] == pytest.approx([0.443, 0.443], abs=0.04)


def test_a_network_is_worse_than_bayes_and_learns_something():
    bayes, none = (record_of(name).values["plain"] for name in ("bayes", "none"))
    for r in range(2):
        assert bayes["cross_entropy"][r] < none["cross_entropy"][r] < 1.0986  # log 3
        assert none["kl_to_truth"][r] > 0.01
        assert none["accuracy"][r] > 0.5


def test_what_figures_need_is_kept_and_changes_no_number(tmp_path):
    run = replace(LS, teachers=(BAYES, NONE))  # references of the curves
    record = execute(run, points.KEPT)
    assert record.kept == points.KEPT
    expected = {f"{stage} {kind}" for stage in STAGES for kind in ("histograms", "map")}
    assert set(record.figures) == expected | {"candidates", "curves"}
    assert set(record.figures["curves"]) == {"bayes", "none"}
    assert record.values == record_of("ls").values
    chosen, testing = choose(LS), replicates_of(LS).testing
    pick = chosen.picks["plain"]
    histograms = [
        point_figures.histograms(chosen.probabilities(pick, r, x), y)
        for r, (x, y) in enumerate(zip(testing.inputs, testing.labels, strict=True))
    ]
    mean = (sum(histograms) / 2).ravel()
    assert torch.tensor(record.figures["plain histograms"]).flatten().tolist() == pytest.approx(
        mean.tolist(), abs=1e-6
    )
    candidates = record.figures["candidates"]
    for r in range(2):
        epsilon, loss = (record.values["plain"][n][r] for n in ("epsilon", "cross_entropy"))
        at = candidates["values"].index({"epsilon": epsilon})
        assert candidates["test_cross_entropy"][r][at] == pytest.approx(loss, rel=1e-5)
    records.save(record, tmp_path)
    loaded = records.load(run, tmp_path)
    assert loaded.values == rounded(record.values)
    assert loaded.all_figures == rounded(record.figures)


def test_how_it_was_made():
    made = record_of("ls").made
    assert made["networks"] == 8
    assert 8 < made["epochs"] <= 8 * 30
    assert made["seconds"] > 0
    assert len(made["data"]) == 64
    assert record_of("none").made["data"] == made["data"]  # the same training set
    other = execute(replace(NONE, seed=1))
    assert other.made["data"] != made["data"]
    assert other.values != record_of("none").values


def test_the_callers_thread_count_is_left_alone():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        execute(replace(NONE, seed=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"dataset": "cifar10"}, "unknown dataset 'cifar10'; known: M2B, Movie, "),
        ({"dataset": "mnist", "model": "bayes"}, "unknown dataset 'mnist'; known: M2B, Movie, "),
        ({"model": "resnet20"}, "unknown model 'resnet20'; known: bayes, mlp64x1, mlp64x5"),
        ({"method": "cutmix"}, "unknown method 'cutmix'; known: adacos, beta, bootstrap"),
        ({"method": "cs_kd"}, "trains a loss of its own, not label distributions"),
        ({"data": {"sigma": 1}}, "unknown data parameter 'sigma'; known: held, separation, test"),
        ({"data": {"train": 0}}, "train must be a whole number of at least 1, got 0"),
        ({"data": {"test": 50.5}}, "test must be a whole number of at least 1, got 50.5"),
        ({"data": {"separation": -1.0}}, "separation must lie in .0, inf., got -1"),
        ({"recipe": {"momentum": 0.9}}, "unknown training parameter 'momentum'; known: batch"),
        ({"recipe": {"epochs": 0}}, "epochs must be a whole number of at least 1, got 0"),
        ({"recipe": {"init": "he"}}, "unknown init 'he'; known: glorot, torch"),
        ({"recipe": {"rate": 0.0}}, "smallest rate must lie in .0, inf., got 0"),
        ({"recipe": {"held": "left"}}, "unknown held-out part 'left'; known: all, dense, sparse"),
        ({"recipe": {"restart": []}}, "'restart' is a list without values"),
        ({"settings": {"epsilon": 0.1}}, "unknown setting 'epsilon' of this method; known: none"),
        ({"method": "distil"}, "needs a teacher, the run names none"),
        ({"replicates": 0}, "replicates must be a whole number of at least 1, got 0"),
        ({"replicates": 3, "teachers": (NONE,)}, "replicates of teacher 'none' .* least 3, got 2"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_bad_input(change, match):
    with pytest.raises(ValueError, match=match):
        execute(replace(NONE, **change))


def test_unknown_data_to_keep():
    with pytest.raises(ValueError, match="unknown data to keep 'maps'; known: candidates, curves"):
        execute(NONE, ("maps",))


def test_an_unstable_rate_is_named():
    with pytest.raises(FloatingPointError, match=r"network [01] .*rate 1e\+30"):
        execute(replace(NONE, recipe={"rate": 1e30}))


# Sets of label distributions


def folded(method="none", settings=None, teachers=(), **more):
    recipe = {"epochs": 20, "patience": 5}
    return Run("posteriors", "mlp64x1", method, settings=settings or {}, teachers=teachers,
               recipe=recipe, replicates=3, **more)  # fmt: skip


def test_folds_are_measured_by_the_measures_of_their_field():
    none = folded()
    run = folded("ils2", {"epsilon": [0.05, 0.2], "teacher_temperature": 2.0}, (none,))
    record, chosen = execute(run), choose(run)
    assert set(record.values) == {"plain", "scaled", "label"}
    pick, sets = chosen.picks["plain"], replicates_of(run)
    for r in range(3):
        sample = sets.testing.at(r)
        p = chosen.probabilities(pick, r, sample.inputs)
        for name in ("chebyshev", "clark", "canberra", "cosine", "intersection", "kl_to_truth"):
            expected = getattr(metrics, name)(sample.truth, p)
            assert record.values["plain"][name][r] == pytest.approx(expected)
        training = sets.training.at(r)
        first = choose(none)
        logits = first.logits(first.picks["plain"].rows[r], training.inputs)
        taught = targets.ils2(training.labels, (logits / 2).softmax(1), pick.values[r]["epsilon"])
        expected = metrics.total_variation(training.truth, taught)
        assert record.values["label"]["total_variation"][r] == pytest.approx(expected, rel=1e-5)


def test_labels_by_the_truth_are_the_truth_and_nobody_knows_the_bayes_optimal_model():
    record = execute(folded("truth"))
    assert record.values["label"]["total_variation"] == pytest.approx([0, 0, 0])
    assert record.values["label"]["cosine"] == pytest.approx([1, 1, 1])
    with pytest.raises(ValueError, match="the Bayes-optimal model of posteriors is not known"):
        execute(replace(folded("bayes"), model="bayes"))
    with pytest.raises(ValueError, match="unknown data parameter 'train'; known: "):
        execute(folded(data={"train": 3}))
