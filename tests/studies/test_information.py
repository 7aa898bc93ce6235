"""Mutual information in the chapter: channels of known truth, and the runs that are measured."""

from dataclasses import replace

import numpy as np
import pytest

from ldlstudy.report.results import Results
from ldlstudy.studies.smoothing import channels, information
from ldlstudy.training import Augmentation, Recipe
from tests.report.made import filled


def test_few_draws_err_as_the_chapter_says():
    lines = channels.by_draws()
    truth, printed, reused, bound = (np.array(line) for line in lines.values())
    few = np.array(channels.DRAWS) <= channels.FEW
    assert (printed[few] < truth[few]).all()
    assert (bound < truth + 0.01).all()
    assert (reused > truth).all()
    for line in (printed, reused, bound):  # with more draws the error goes
        assert abs(line - truth)[few].min() > abs(line - truth)[-1]


def test_one_variance_for_all_hides_information_and_wide_answers_need_draws():
    truth, printed = channels.by_ratio().values()
    assert truth == sorted(truth)
    assert printed == sorted(printed, reverse=True)
    assert printed[-1] < 0.6 * truth[-1]
    truth, many, few = (np.array(line) for line in channels.by_width().values())
    assert (few < many).all()
    assert (many < truth + 0.01).all()
    assert (truth - few)[-1] > 3 * (truth - few)[0]


@pytest.mark.parametrize(("profile", "alphas"), [("quick", 5), ("paper", 2), ("smoke", 5)])
def test_networks_that_differ_in_smoothing_share_all_else(profile, alphas):
    planned = information.runs(profile)
    assert len({each.run for each in planned}) == len(planned)
    for bench in information.benches(profile).values():
        own = [each for each in planned if each.bench == bench.name]
        last = [each for each in own if "after" not in each.strategy and not each.run.seed]
        assert len(last) == alphas
        assert len({replace(each.run, method="none", settings={}) for each in last}) == 1
        assert all(each.keep == ("information",) for each in own)
        assert Augmentation.of(bench.augmentation) != Augmentation()


def test_a_look_is_the_same_training_stopped_early():
    """A rate in steps is the same in an epoch, however many come after it."""
    planned = [each for each in information.runs("quick") if each.facts["alpha"] == 0.1]
    end = Recipe.of(next(p for p in planned if p.strategy == "0.1").run.recipe)
    looks = [each for each in planned if "after" in each.strategy and not each.run.seed]
    assert [each.strategy for each in looks] == ["0.1 after 1", "0.1 after 2", "0.1 after 5",
                                                 "0.1 after 15"]  # fmt: skip
    for each in looks:
        early = Recipe.of(each.run.recipe)
        assert replace(early, epochs=end.epochs) == end
        assert all(early.share(e) == end.share(e) for e in range(early.epochs))
    # figures read them in the order of their epochs, with the end
    made = filled(planned, lambda p: {"information logits": float(p.run.recipe["epochs"])})
    points = information.looks(made, 0.1, "logits")
    assert [point[:2] for point in points] == [(e, e) for e in (1, 2, 5, 15, 60)]
    assert information.looks(Results([], {}), 0.1, "logits") == []
