"""The numbers that the prose quotes, of records of single networks."""

import pandas as pd
import pytest

from ldlstudy import findings, measured, stats
from ldlstudy.records import Record, Run


def record(seed, value, **made):
    run = Run("digits", "small_cnn", "ls", training={"epochs": 1}, seed=seed)
    made = {
        "networks": 1, "seconds": 90.0, "device": "CPU", "versions": {"torch": "2.15"}, **made,
    }  # fmt: skip
    rows = {row: {"ece": [value]} for row in ("plain", "fitted")}
    estimates = {row: {"ece": [value, value - 0.1, value + 0.2]} for row in rows}
    return Record(run.specification, rows, estimates, {}, made)


JUDGED = pd.DataFrame(
    {"verdict": ["reproduced", "direction only", "reproduced", "not yet run"]},
    index=pd.Index(["RE-1", "RE-2", "RE-3", "RE-4"], name="id"),
)


def test_every_mean_with_its_interval_by_row():
    recorded = {"net 0.1": record(0, 0.2), "net 0.1 #1": record(1, 0.4)}
    alone = {"other 0": record(2, 0.3)}
    rows = measured.gather(recorded | alone)
    values = findings.of_networks(rows, recorded | alone, JUDGED)
    mean, low, high = stats.estimate([0.2, 0.4])
    for key in ("net_0.1.ece", "net_0.1_fitted.ece"):
        assert [values[key], values[f"{key}.low"], values[f"{key}.high"]] == [mean, low, high]
    assert values["other_0.ece"] == 0.3
    assert values["other_0.ece.high"] == 0.5  # of its record


def test_verdicts_are_named_and_counted():
    values = findings.verdicts(JUDGED)
    assert values["verdict.RE-2"] == "direction only"
    assert values["claims"] == 4
    counts = {key: values[f"claims.{key}"] for key in ("reproduced", "direction only")}
    assert counts == {"reproduced": 2, "direction only": 1}
    assert values["claims.not yet run"] == 1
    assert values["claims.not reproduced"] == values["claims.not reproduced (reversed)"] == 0
    assert findings.of_networks({}, {}, JUDGED).items() >= values.items()


def test_a_run_with_two_names_counts_once():
    found = findings.circumstances(
        {"teacher": record(0, 0.2), "M1 0": record(0, 0.2), "M1 0 #1": record(1, 0.2)}
    )
    assert found == {"networks": 2, "minutes": 3.0, "device": "CPU", "torch": "2.15"}


def test_devices_and_versions_are_listed_once():
    gpu = record(1, 0.2, device="GPU", seconds=30.0, versions={"torch": "2.11"})
    found = findings.circumstances({"a": record(0, 0.2), "b": gpu, "c": record(2, 0.2)})
    assert (found["device"], found["torch"]) == ("CPU, GPU", "2.11, 2.15")
    assert found["minutes"] == pytest.approx(3.5)
