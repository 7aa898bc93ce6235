from dataclasses import replace

import pytest
import torch

from ldlstudy import figure_data, metrics, records, synthetic
from ldlstudy.records import Run, rounded
from ldlstudy.selection import _draws, choose, draws
from ldlstudy.synthetic import execute
from tests.test_selection import BAYES, LS, NONE, tiny

ILS = tiny("ils", {"p1": [0.8, 0.85], "p2": 2.0, "teacher_temperature": [1.0, 4.0]}, (NONE,))
RUNS = {
    "bayes": BAYES,
    "none": NONE,
    "ls": LS,
    "ils": ILS,
    "bootstrap": tiny("bootstrap", {"beta": 0.9}),
    "beta": tiny("beta", teachers=(NONE, LS)),
    "similarity": tiny("similarity", {"epsilon": [0.05, 0.2]}),
    "mini-batch": tiny(training={"epochs": 10, "batch": 16, "init": "glorot"}),
    "restarts": tiny(parameters={"restart": list(range(12))}),
}


def fewer(run, replicates):
    """Return the run, and its teachers, with another number of replicates."""
    teachers = tuple(fewer(teacher, replicates) for teacher in run.teachers)
    return replace(run, replicates=replicates, teachers=teachers)


@pytest.mark.parametrize("name", RUNS)
def test_two_executions_give_the_same_rows(name):
    first = execute(RUNS[name])
    choose.cache_clear()
    _draws.cache_clear()
    again = execute(RUNS[name])
    assert again.rows == first.rows
    assert again.figures == first.figures
    assert again.specification == first.specification == RUNS[name].specification


@pytest.mark.parametrize("name", RUNS)
def test_a_replicate_does_not_depend_on_how_many_there_are(name):
    one, three = execute(fewer(RUNS[name], 1)).rows, execute(fewer(RUNS[name], 3)).rows
    assert set(one) == set(three)
    for row, values in one.items():
        assert {metric: v[:1] for metric, v in three[row].items()} == values
    varied = [len(set(v)) for v in three["plain"].values()]
    assert max(varied) == 3


def test_rows_are_the_metrics_of_the_pick():
    record, chosen, testing = execute(LS), choose(LS), draws(LS).testing
    for row in ("plain", "scaled", "dense", "sparse"):
        for r in range(2):
            p = chosen.probabilities(chosen.picks[row], r, testing.inputs[r])
            y, sparse, truth = testing.labels[r], testing.sparse[r], testing.truth[r]
            hit = (p.argmax(1) == y).double()
            expected = {
                "accuracy": float(hit.mean()),
                "accuracy_dense": float(hit[~sparse].mean()),
                "accuracy_sparse": float(hit[sparse].mean()),
                "cross_entropy": float(torch.nn.functional.nll_loss(p.log(), y)),
                "brier": metrics.brier(p, y),
                "ece": metrics.ece(p, y, bins=15),
                "class_conditional_ece": metrics.class_conditional_ece(p, y),
                "classwise_ece": metrics.classwise_ece(p, y),
                "kl_to_truth": metrics.kl_to_truth(truth, p),
                "total_variation": float((truth - p).abs().sum(1).mean() / 2),
                "held_out_loss": float(chosen.picks[row].loss[r]),
                "temperature": float(chosen.picks[row].temperature[r]),
                "epsilon": chosen.picks[row].values[r]["epsilon"],
            }
            measured = {metric: values[r] for metric, values in record.rows[row].items()}
            assert measured == pytest.approx(expected, rel=1e-5)
            assert set(measured) == set(synthetic.METRICS) | {
                "held_out_loss",
                "temperature",
                "epsilon",
            }


def test_the_bayes_row():
    d = replace(BAYES, data={"train": 10, "held": 10, "test": 2000})
    (row,) = execute(d).rows.values()
    assert row["kl_to_truth"] == pytest.approx([0, 0], abs=1e-6)
    assert row["total_variation"] == pytest.approx([0, 0], abs=1e-6)
    assert row["accuracy"] == pytest.approx([0.82, 0.82], abs=0.02)
    assert row["cross_entropy"] == pytest.approx([0.443, 0.443], abs=0.04)


def test_a_network_is_worse_than_bayes_and_learns_something():
    bayes, none = execute(BAYES).rows["plain"], execute(NONE).rows["plain"]
    for r in range(2):
        assert bayes["cross_entropy"][r] < none["cross_entropy"][r] < 1.0986  # log 3
        assert none["kl_to_truth"][r] > 0.01
        assert none["accuracy"][r] > 0.5


def test_what_figures_need_is_kept(tmp_path):
    keep = ("candidates", "curves", "histograms", "map")
    run = replace(LS, keep=keep, teachers=(BAYES, NONE))
    record = execute(run)
    rows = ("plain", "scaled", "dense", "sparse")
    expected = {f"{row} {kind}" for row in rows for kind in ("histograms", "map")}
    assert set(record.figures) == expected | {"candidates", "curves"}
    assert set(record.figures["curves"]) == {"bayes", "none"}
    assert record.rows == execute(LS).rows  # what is kept changes no number
    chosen, testing = choose(LS), draws(LS).testing
    histograms = [
        figure_data.histograms(chosen.probabilities(chosen.picks["plain"], r, x), y)
        for r, (x, y) in enumerate(zip(testing.inputs, testing.labels, strict=True))
    ]
    mean = rounded((sum(histograms) / 2).tolist())
    assert record.figures["plain histograms"] == mean
    losses = record.figures["candidates"]["test_cross_entropy"]
    values = record.figures["candidates"]["values"]
    for r in range(2):
        epsilon, loss = (record.rows["plain"][n][r] for n in ("epsilon", "cross_entropy"))
        assert losses[r][values.index({"epsilon": epsilon})] == pytest.approx(loss, rel=1e-5)
    records.save(run, record, tmp_path)
    assert records.load(run, tmp_path) == record


def test_how_it_was_made():
    made = execute(LS).made
    assert made["networks"] == 8
    assert 8 < made["epochs"] <= 8 * 30
    assert made["seconds"] > 0
    assert len(made["data"]) == 64
    assert execute(NONE).made["data"] == made["data"]  # the same training set
    assert execute(replace(NONE, seed=1)).made["data"] != made["data"]


def test_seeds_give_other_results():
    assert execute(replace(NONE, seed=1)).rows != execute(NONE).rows


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
        ({"dataset": "mnist"}, "unknown dataset 'mnist'; known: six_gaussians"),
        ({"model": "lenet"}, "unknown model 'lenet'; known: bayes, mlp64x1, mlp64x5"),
        ({"model": "bayes", "dataset": "mnist"}, "unknown dataset 'mnist'"),
        ({"method": "nothing"}, "unknown method 'nothing'; known: beta"),
        ({"data": {"classes": 3}}, "unknown data parameter 'classes'; known: held"),
        ({"training": {"epoch": 3}}, "unknown training parameter 'epoch'; known: batch, epochs"),
        ({"keep": ("maps",)}, "unknown data to keep 'maps'; known: candidates, curves, hist"),
    ],
)
def test_bad_input(change, match):
    with pytest.raises(ValueError, match=match):
        execute(replace(NONE, **change))


def test_an_unstable_rate_is_named():
    unstable = Run("six_gaussians", "mlp64x1", "none", NONE.data, training={"rate": 1e30})
    with pytest.raises(FloatingPointError, match=r"network 0 .*rate 1e\+30"):
        execute(unstable)
