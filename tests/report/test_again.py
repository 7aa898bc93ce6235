"""What a machine measures here and now, held against records that are made up."""

import pytest

from ldlstudy.report import again
from ldlstudy.report.results import Results
from tests.report.made import results

THEN = {"a": {"accuracy": [0.5, 0.7, 0.9], "kl_to_truth": [0.3, 0.4, 0.5]}, "b": {"accuracy": 0.6}}


def test_the_seeds_that_both_have_are_compared():
    here = results(
        {"a": {"accuracy": [0.51, 0.71], "kl_to_truth": [0.3, 0.5]}, "new": {"brier": 1}}
    )
    found = again.compared(here, results(THEN)).set_index(["row", "metric"])
    assert list(found.index) == [("a", "accuracy"), ("a", "kl_to_truth")]
    assert found.loc[("a", "accuracy"), ["here", "record"]].tolist() == pytest.approx([0.61, 0.6])
    assert found["difference"].tolist() == pytest.approx([0.01, 0.05])
    shown = again.table(here, results(THEN))
    assert shown.data.to_numpy().tolist() == [["0.6100 / 0.6000", "0.4000 / 0.3500"]]


@pytest.mark.parametrize("value", [0.45, 0.75, float("nan")])
def test_a_number_that_no_processor_explains_stops_the_page(value):
    here = results({"b": {"accuracy": value}})
    with pytest.raises(ValueError, match="not the recorded ones, here / record: b: accuracy"):
        again.table(here, results(THEN))


def test_without_a_record_there_is_nothing_to_show():
    with pytest.raises(ValueError, match="nothing that was trained here has a record"):
        again.table(results({"c": {"accuracy": 0.5}}), results(THEN))


def with_losses(losses):
    found = results({"b": {"accuracy": 0.6}})
    for record in found.recorded.values():
        record.figures["history"] = {"loss": losses}
    return Results(found.planned, found.recorded)


def test_the_loss_of_the_first_epoch_is_held_against_the_record_closely():
    then = with_losses([2.0, 1.0])
    again.table(with_losses([2.0001, 0.5]), then)
    with pytest.raises(ValueError, match="b: loss of the first epoch 2.001 / 2"):
        again.table(with_losses([2.001, 1.0]), then)


def test_a_loss_may_be_negative_and_replicates_have_no_quick_row():
    again.table(with_losses([-0.35, 1.0]), with_losses([-0.35001, 1.0]))
    here = results({"quick a": {"accuracy": [0.51, 0.7]}})
    assert len(again.compared(here, results(THEN))) == 1
