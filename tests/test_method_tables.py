"""Tables of measured methods: what has been measured, under the names asked for."""

import math

from ldlstudy import method_tables, tables
from ldlstudy.measured import Measured
from ldlstudy.stats import Estimate


def one(value):
    return Measured([value], Estimate(value, value, value))


MEASURED = {
    "a none": {"accuracy": one(0.5), "ece": one(0.25)},
    "a none fitted": {"ece": one(0.125)},
    "b ls": {"accuracy": one(0.75)},
}
LABELS = {"ls": "smoothed", "kd": "distilled", "none": "plain"}


def test_what_has_not_been_measured_stays_away():
    shown = method_tables.of_methods(MEASURED, {"a": "", "b": "B"}, LABELS, [tables.ACCURACY])
    assert shown.data.to_dict("index") == {
        "plain": {"accuracy, %": "50.00"},
        "B: smoothed": {"accuracy, %": "75.00"},
    }


def test_columns_may_be_of_other_rows_of_a_network():
    columns = {"before": ("", tables.ECE), "after": ("fitted", tables.ECE)}
    shown = method_tables.of_methods(MEASURED, {"a": "", "b": ""}, LABELS, columns)
    assert shown.data.to_dict("index") == {
        "plain": {"before": ".2500", "after": ".1250"},
        "smoothed": {"before": "", "after": ""},
    }


def test_cells_name_the_row_and_have_no_published_number():
    found = method_tables.cells("a none", {"T": ("fitted", tables.ECE), "raw": ("", tables.ECE)})
    assert [cell[:2] for cell in found.values()] == [
        ("a none fitted", tables.ECE),
        ("a none", tables.ECE),
    ]
    assert all(math.isnan(number) for *_, number in found.values())
