"""The numbers that the prose quotes, from results."""

import pandas as pd
import pytest

from ldlstudy import stats
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Run
from ldlstudy.report import numbers
from ldlstudy.report.results import Results
from tests.report import made
from tests.report.made import MADE, results

JUDGED = pd.DataFrame(
    {"verdict": ["reproduced", "direction only", "reproduced", "not yet run"]},
    index=pd.Index(["RE-1", "RE-2", "RE-3", "RE-4"], name="id"),
)


def test_every_mean_with_its_interval_by_row_and_stage():
    known = results(
        {
            "net 0.1": {"ece": [0.2, 0.4, 0.3], "best of 12 ece": [0.1, 0.3, 0.2]},
            "quick a b": {"ece": (0.3, 0.2)},
        }
    )
    values = numbers.of_results(known)
    for key, seeds in (
        ("net_0.1.ece", [0.2, 0.4, 0.3]),
        ("net_0.1_best_of_12.ece", [0.1, 0.3, 0.2]),
    ):
        found = tuple(values[f"{key}{end}"] for end in ("", ".low", ".high"))
        assert found == stats.estimate(seeds)
    assert values["quick_a_b.ece"] == 0.3
    assert values["quick_a_b.ece.high"] == 0.5  # of its record


def test_replicates_have_the_interval_of_their_record():
    run = Run("six_gaussians", "mlp64x5", "ls", replicates=3)
    record = made.record(run, {"ece": [0.1, 0.2, 0.3]})
    record.intervals["plain"] = {"ece": [0.05, 0.35]}
    values = numbers.of_results(Results([Planned(run, strategy="ls")], {run: record}))
    assert [values["ls.ece.low"], values["ls.ece.high"]] == [0.05, 0.35]
    assert values["ls.ece"] == pytest.approx(0.2)


def test_verdicts_are_named_and_counted():
    values = numbers.verdicts(JUDGED)
    assert values["verdict.RE-2"] == "direction only"
    counts = {kind: values[f"claims.{kind}"] for kind in ("reproduced", "direction only")}
    assert counts == {"reproduced": 2, "direction only": 1}
    assert (values["claims"], values["claims.not yet run"]) == (4, 1)
    assert values["claims.not reproduced"] == values["claims.not reproduced (reversed)"] == 0


def test_devices_and_versions_are_listed_once_and_a_run_of_two_rows_counts_once():
    known = results({"a": {"ece": [0.1, 0.2]}, "b": {"ece": 0.3}})
    (last,) = known.records("b")
    last.made.update(MADE, device="GPU", seconds=30.0, training_seconds=90, versions={"torch": "3"})
    shared = [Planned(each.run, strategy="again") for each in known.of("a")]
    both = Results([*known.planned, *shared], known.recorded)
    assert len(both.rows) == 3
    assert numbers.circumstances(both, "paper.") == {
        "paper.networks": 3, "paper.minutes": (6 + 6 + 90) / 60, "paper.device": "CPU, GPU",
        "paper.torch": "2, 3",
    }  # fmt: skip


def test_differences_and_shares():
    known = results(
        {"a": {"m": [1.0, 3.0, 2.0]}, "b": {"fitted m": [0.0, 1.0, 0.5]}, "c": {"m": [0.0] * 3}}
    )
    a, b, c = ("a", "plain"), ("b", "fitted"), ("c", "plain")
    values = numbers.differences(known, {"gain": (a, b, "m")})
    assert values == {"gain": 1.5, "gain.low": 1.0, "gain.high": 2.0}
    assert numbers.share(known, "m", a, b, c) == pytest.approx((0.75, 2 / 3, 1.0))
