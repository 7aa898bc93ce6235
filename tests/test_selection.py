from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ldlstudy import ensemble, records, scaling, selection
from ldlstudy.records import Run
from ldlstudy.selection import choose, draws
from ldlstudy.synthetic import execute

EPSILONS = [0.01, 0.1, 0.3, 0.5]


def tiny(method="none", parameters=None, teachers=(), **more):
    """Return a run of seconds: 2 replicates of 10 training samples a class, 30 epochs."""
    fields = {
        "model": "mlp64x1",
        "data": {"train": 10, "held": 10, "test": 50},
        "training": {"epochs": 30, "patience": 5},
        "replicates": 2,
    }
    return Run(
        "six_gaussians",
        method=method,
        parameters=parameters or {},
        teachers=teachers,
        **(fields | more),
    )


BAYES, NONE, LS = tiny("bayes", model="bayes"), tiny(), tiny("ls", {"epsilon": EPSILONS})


def held_logits(run, values):
    """Return the logits (R, C, V, K) of every candidate of a run, trained anew."""
    trained = selection._train(run, values, "cpu")
    rows = trained.parameters.view(run.replicates, len(values), -1)
    x = draws(run).holding.inputs
    z = [trained.logits(rows[r], x[r].expand(len(values), -1, -1)) for r in range(run.replicates)]
    return torch.stack(z), rows


def losses(logits, labels, weights):
    """Return the weighted cross entropy (R, C)."""
    r, c, v, k = logits.shape
    y = labels[:, None].expand(r, c, v)
    each = F.cross_entropy(logits.reshape(-1, k), y.reshape(-1), reduction="none").view(r, c, v)
    return (each * weights[:, None]).sum(2)


def weights_of(run, part):
    sparse = draws(run).holding.sparse
    mask = {"all": torch.ones_like(sparse), "sparse": sparse, "dense": ~sparse}[part].float()
    return mask / mask.sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("row", "part", "scaled"),
    [
        ("plain", "all", False),
        ("scaled", "all", True),
        ("dense", "dense", False),
        ("sparse", "sparse", False),
    ],
)
def test_the_pick_has_the_lowest_held_out_loss(row, part, scaled):
    values = [{"epsilon": e} for e in EPSILONS]
    z, rows = held_logits(LS, values)
    labels, weights = draws(LS).holding.labels, weights_of(LS, part)
    temperatures = torch.ones(2, 4, dtype=torch.float64)
    if scaled:
        fitted = [
            [scaling.fit_temperature(c, y) for c in r] for r, y in zip(z, labels, strict=True)
        ]
        temperatures = torch.tensor(fitted, dtype=torch.float64)
    loss = losses(z / temperatures[:, :, None, None], labels, weights.double())
    best = loss.argmin(1)
    pick = choose(LS).picks[row]
    torch.testing.assert_close(pick.loss.double(), loss.min(1).values, rtol=1e-5, atol=1e-6)
    assert pick.values == [values[b] for b in best]
    torch.testing.assert_close(pick.temperature, temperatures[torch.arange(2), best])
    assert torch.equal(pick.rows, rows[torch.arange(2), best])


def test_rows_of_a_record():
    assert list(choose(LS).picks) == ["plain", "scaled", "dense", "sparse"]
    assert list(choose(NONE).picks) == ["plain", "scaled"]
    assert list(choose(tiny("ls", {"epsilon": EPSILONS, "held": "dense"})).picks) == [
        "plain",
        "scaled",
    ]


def test_the_fitted_temperature_is_kept_beside_the_applied_one():
    pick = choose(NONE).picks["plain"]
    holding = draws(NONE).holding
    for r in range(2):
        z = choose(NONE).logits(pick.rows[r], holding.inputs[r])
        expected = scaling.fit_temperature(z, holding.labels[r])
        assert float(pick.fitted[r]) == pytest.approx(expected, rel=1e-6)
    assert pick.temperature.tolist() == [1, 1]
    scaled = choose(NONE).picks["scaled"]
    assert torch.equal(scaled.temperature, scaled.fitted)
    assert torch.equal(scaled.rows, pick.rows)  # of one candidate
    assert bool((scaled.loss <= pick.loss + 1e-7).all())


def test_probabilities_are_those_of_the_scaled_logits():
    chosen = choose(NONE)
    x = draws(NONE).testing.inputs[1]
    pick = chosen.picks["scaled"]
    logits = chosen.logits(pick.rows[1], x)
    expected = scaling.scale(logits, float(pick.fitted[1]))
    torch.testing.assert_close(chosen.probabilities(pick, 1, x), expected)
    torch.testing.assert_close(chosen.calibrated(1, x), expected)


def test_budgets_are_nested():
    run = tiny(parameters={"restart": list(range(30))})
    picks = choose(run).picks
    assert list(picks) == ["plain", "scaled"] + [
        f"best of {n}{more}" for n in (1, 12, 30) for more in ("", ", scaled")
    ]
    values = [{"restart": i} for i in range(30)]
    z, _ = held_logits(run, values)
    loss = losses(z, draws(run).holding.labels, weights_of(run, "all"))
    for n in (1, 12, 30):
        pick = picks[f"best of {n}"]
        torch.testing.assert_close(pick.loss.float(), loss[:, :n].min(1).values)
        assert [v["restart"] for v in pick.values] == loss[:, :n].argmin(1).tolist()
    for more in ("", ", scaled"):
        of = [picks[f"best of {n}{more}"].loss for n in (1, 12, 30)]
        assert bool((of[0] >= of[1]).all() and (of[1] >= of[2]).all())
        assert not torch.equal(of[0], of[2])
    assert torch.equal(picks["best of 30"].rows, picks["plain"].rows)
    assert torch.equal(picks["best of 1"].loss, choose(NONE).picks["plain"].loss)
    assert choose(run).networks == 60


def test_a_pool_ends_with_its_last_candidate():
    run, values = tiny(), [{"restart": i} for i in range(8)]
    trained = selection._train(run, values, "cpu")
    rows, x = trained.parameters.view(2, 8, -1), draws(run).holding.inputs
    z = torch.stack([trained.logits(rows[r], x[r].expand(8, -1, -1)) for r in range(2)])
    labels, weights = draws(run).holding.labels, weights_of(run, "all")
    best = losses(z, labels, weights).argmin(1).tolist()
    for r, b in enumerate(best):
        criterion = selection.Criterion(b + 1, False, weights)
        assert selection._pick(trained, z, labels, values, criterion).values[r] == {"restart": b}


def test_bayes_picks_the_posterior():
    chosen, d = choose(BAYES), draws(BAYES)
    assert list(chosen.picks) == ["plain"]
    pick = chosen.picks["plain"]
    for r in range(2):
        x = d.testing.inputs[r]
        p = chosen.probabilities(pick, r, x)
        torch.testing.assert_close(p, d.mixture.posterior(x.double()), rtol=1e-10, atol=1e-12)
        assert torch.equal(chosen.calibrated(r, x), p)
        truth, y = d.holding.truth[r], d.holding.labels[r]
        loss = F.nll_loss(truth.log(), y)
        assert float(pick.loss[r]) == pytest.approx(float(loss), rel=1e-5)
    assert pick.temperature.tolist() == pick.fitted.tolist() == [1, 1]
    assert pick.values == [{}, {}]
    assert chosen.networks == chosen.epochs == 0


@pytest.fixture
def taught(monkeypatch):
    """Return the lessons and targets of every call of `label` since, by method."""
    calls, label = {}, selection.label

    def noted(method, lesson, parameters):
        result = label(method, lesson, parameters)
        calls.setdefault(method, []).append((lesson, dict(parameters), result))
        return result

    monkeypatch.setattr(selection, "label", noted)
    choose.cache_clear()
    yield calls
    choose.cache_clear()


def test_a_student_learns_from_its_teachers_networks(taught):
    grid = {"p1": [0.75, 0.85], "p2": 2.0, "teacher_temperature": [1.0, 4.0]}
    choose(tiny("ils", grid, (NONE,)))
    chosen, training = choose(NONE), draws(NONE).training
    pick = chosen.picks["plain"]
    assert len(taught["ils"]) == 2 * 4
    for i, (lesson, parameters, _) in enumerate(taught["ils"]):
        r = i // 4
        assert torch.equal(lesson.inputs, training.inputs[r])
        assert torch.equal(lesson.labels, training.labels[r])
        assert torch.equal(lesson.logits, chosen.logits(pick.rows[r], training.inputs[r]))
        assert lesson.temperature == float(pick.fitted[r])
        assert lesson.epsilon == 0
        assert set(parameters) == {"p1", "p2", "teacher_temperature"}


def test_beta_takes_over_label_smoothings_factor(taught):
    choose(tiny("beta", teachers=(NONE, LS)))
    epsilons = [v["epsilon"] for v in choose(LS).picks["plain"].values]
    assert [lesson.epsilon for lesson, _, _ in taught["beta"]] == epsilons
    assert len({lesson.seed for lesson, _, _ in taught["beta"]}) == 2


def test_distillation_from_bayes_teaches_the_posterior(taught):
    choose(tiny("distil", teachers=(BAYES,)))
    truth = draws(NONE).training.truth
    assert len(taught["distil"]) == 2
    for (_, _, targets), expected in zip(taught["distil"], truth, strict=True):
        torch.testing.assert_close(targets.float(), expected, rtol=1e-4, atol=1e-6)


def test_a_restart_is_no_parameter_of_a_method(taught):
    choose(tiny(parameters={"restart": [0, 1, 2]}))
    assert [parameters for _, parameters, _ in taught["none"]] == [{}] * 6


@pytest.fixture
def trainings(monkeypatch):
    """Return the arguments of every call of `ensemble.train` since."""
    calls, train = [], ensemble.train

    def noted(settings, data, members, **keywords):
        calls.append((settings, data, members))
        return train(settings, data, members, **keywords)

    monkeypatch.setattr(selection.ensemble, "train", noted)
    choose.cache_clear()
    yield calls
    choose.cache_clear()


def test_what_a_run_says_reaches_the_ensemble(trainings):
    training = {"epochs": 7, "patience": 3, "batch": 4, "init": "glorot", "rate": 0.002}
    run = tiny("bootstrap", {"beta": 0.9, "held": "dense"}, training=training, model="mlp64x5")
    chosen = choose(run)
    ((settings, data, members),) = trainings
    expected = ensemble.Settings(hidden=(64,) * 5, epochs=7, patience=3, batch=4, init="glorot")
    assert settings == expected
    assert members.rates.tolist() == pytest.approx([0.002] * 2)
    assert members.bootstrap.tolist() == pytest.approx([0.9] * 2)
    torch.testing.assert_close(members.held_weights, weights_of(run, "dense"))
    assert torch.equal(data.inputs, draws(run).training.inputs)
    assert torch.equal(data.held_labels, draws(run).holding.labels)
    assert members.data.tolist() == [0, 1]
    assert len(set(members.seeds.tolist())) == 2
    assert chosen.networks == 2
    assert chosen.epochs <= 14


def test_a_teacher_trains_once(trainings):
    execute(NONE)
    for method, parameters in (("ils1", {"p1": 0.8, "p2": 2.0}), ("distil", {})):
        execute(tiny(method, parameters, (NONE,)))
    assert len(trainings) == 3


def test_the_papers_settings_are_the_defaults(trainings):
    run = Run("six_gaussians", "mlp64x5", "none", data={"train": 1, "held": 3, "test": 1})
    choose(run)
    ((settings, _, members),) = trainings
    assert settings == ensemble.Settings()
    assert members.rates.tolist() == pytest.approx([0.01])
    d = draws(Run("six_gaussians", "mlp64x5", "none"))
    assert (d.train, d.held, d.test) == (50, 50, 5000)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"dataset": "cifar10"}, "unknown dataset 'cifar10'; known: six_gaussians"),
        ({"model": "resnet20"}, "unknown model 'resnet20'; known: bayes, mlp64x1, mlp64x5"),
        ({"method": "cutmix"}, "unknown method 'cutmix'; known: beta, bootstrap, distil"),
        ({"data": {"sigma": 1}}, "unknown data parameter 'sigma'; known: held, separation, test"),
        ({"data": {"train": 0}}, "train must be a whole number of at least 1, got 0"),
        ({"data": {"test": 2.5}}, "test must be a whole number of at least 1, got 2.5"),
        ({"data": {"separation": -1.0}}, "separation must lie in .0, inf., got -1"),
        ({"training": {"momentum": 0.9}}, "unknown training parameter 'momentum'; known: batch"),
        ({"training": {"epochs": 0}}, "epochs must be a whole number of at least 1, got 0"),
        ({"training": {"init": "he"}}, "unknown init 'he'; known: glorot, torch"),
        ({"training": {"rate": 0.0}}, "smallest rate must lie in .0, inf., got 0"),
        ({"parameters": {"held": "left"}}, "unknown held-out part 'left'; known: all, dense, spar"),
        ({"parameters": {"epsilon": 0.1}}, "method 'none' with .*'epsilon'"),
        ({"parameters": {"restart": []}}, "'restart' is a list without values"),
        ({"method": "distil"}, "needs a teacher, the run names none"),
        ({"replicates": 0}, "replicates must be a whole number of at least 1, got 0"),
        ({"replicates": 3, "teachers": (NONE,)}, "replicates of teacher 'none' .* least 3, got 2"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_bad_input(change, match):
    with pytest.raises(ValueError, match=match):
        choose(replace(NONE, **change))


def test_runs_of_equal_specification_share_their_choice():
    same = tiny(data={"test": 50, "held": 10, "train": 10})
    assert same is not NONE
    assert choose(same) is choose(NONE)
    assert records.path(same) == records.path(NONE)
