"""What a step costs: operations against a count by hand, and what other methods add."""

import pytest

from ldlstudy import objectives, operations, truth
from ldlstudy.execution import Execution
from ldlstudy.records import Run
from ldlstudy.setting import prepare
from ldlstudy.teachers import learn


def cost(run):
    """Return what a step of a run costs."""
    setting = prepare(run, Execution())
    lesson, _ = learn(run, setting)
    objective = objectives.make(run.method, lesson, run.parameters)
    return operations.of_step(run, setting, objective, setting.network(run))


def test_products_of_a_fully_connected_network_are_counted_forwards_and_backwards():
    """64 to 5 to 10: 2 B (64 5 + 5 10) forwards; backwards again and twice, but for the input."""
    run = Run(
        "noisy_digits", "small_fcn", "none",
        {"sigma": 0.5, "train": 3, "test": 1},
        training={"epochs": 1, "batch": 30, "rate": 0.1, "network": {"hidden": [5]}},
    )  # fmt: skip
    found = cost(run)
    first, second = 2 * 30 * 64 * 5, 2 * 30 * 5 * 10
    assert found["operations"] == [2 * first + 3 * second]
    assert 0 < found["seconds"][0] < 5


@pytest.mark.parametrize(("strategy", "passes"), [("ls", 3), ("mixup", 3), ("cs_kd", 4)])
def test_a_pass_more_costs_a_third_more(strategy, passes):
    """A step is a pass forwards and about two backwards; CS-KD's partner has one forwards."""
    runs = truth.runs("smoke")
    plain, other = (cost(runs[truth.name(*truth.QUICK, name)]) for name in ("none", strategy))
    ratio = other["operations"][0] / plain["operations"][0]
    assert ratio == pytest.approx(passes / 3, rel=0.02)
