import itertools

import pytest
import torch

from ldlstudy import methods, targets
from ldlstudy.methods import Lesson, candidates, label

CLASSES = 3


@pytest.fixture
def lesson():
    """Return a training set of 12 samples with a teacher whose fitted temperature is 1.7."""
    generator = torch.Generator().manual_seed(0)
    return Lesson(
        inputs=torch.randn(12, 2, generator=generator),
        labels=torch.arange(12) % CLASSES,
        classes=CLASSES,
        seed=5,
        logits=3 * torch.randn(12, CLASSES, generator=generator),
        temperature=1.7,
        epsilon=0.07,
        truth=torch.randn(12, CLASSES, generator=generator).softmax(1),
    )


def at(lesson, temperature):
    return (lesson.logits / temperature).softmax(1)


CASES = {
    "none": ({}, lambda s: targets.one_hot(s.labels, 3)),
    "bootstrap": ({}, lambda s: targets.one_hot(s.labels, 3)),
    "ls": ({"epsilon": 0.1}, lambda s: targets.smooth(s.labels, 3, 0.1)),
    "ls_wrong": (
        {"alpha": 0.1},  # .1 / (K - 1) for each wrong class
        lambda s: torch.eye(3)[s.labels] * 0.85 + 0.05,
    ),
    "truth": ({}, lambda s: s.truth),
    "ils1": ({"p1": 0.8, "p2": 1.5}, lambda s: targets.ils1(s.labels, at(s, 1.7), 0.8, 1.5)),
    "ils2": (
        {"epsilon": 0.1, "teacher_temperature": 4.0},
        lambda s: targets.ils2(s.labels, at(s, 4.0), 0.1),
    ),
    "ils": (
        {"p1": 0.8, "p2": 1.5, "teacher_temperature": 4.0},
        lambda s: targets.ils(s.labels, at(s, 4.0), 0.8, 1.5, magnitude=at(s, 1.7)),
    ),
    "sinusoidal": (
        {"p1": 0.9, "p2": 8.0},
        lambda s: targets.sinusoidal(s.labels, at(s, 1.7), 0.9, 8.0),
    ),
    "similarity": (
        {"epsilon": 0.1},
        lambda s: targets.class_similarity(s.inputs, s.labels, 3, 0.1),
    ),
    "beta": (
        {},
        lambda s: targets.beta(
            s.labels, 3, 0.07, teacher=at(s, 1.7), generator=torch.Generator().manual_seed(5)
        ),
    ),
    "distil": ({}, lambda s: at(s, 1.0)),
}


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_method_is_its_label_strategy(method, lesson):
    parameters, direct = CASES[method]
    torch.testing.assert_close(label(method, lesson, parameters), direct(lesson), rtol=0, atol=1e-7)


def test_ils_takes_the_factor_from_the_fitted_temperature_and_shares_from_the_grids(lesson):
    parameters = {"p1": 0.8, "p2": 1.5, "teacher_temperature": 4.0}
    taught = label("ils", lesson, parameters)
    p_true = at(lesson, 1.7)[torch.arange(12), lesson.labels]
    factor = (1.5 * (p_true - 0.8) ** 2).clamp(max=0.2)
    torch.testing.assert_close(taught[torch.arange(12), lesson.labels], 1 - factor)
    first, second = (lesson.labels + 1) % 3, (lesson.labels + 2) % 3
    ratio = taught.gather(1, first[:, None]) / taught.gather(1, second[:, None])
    by_grid = at(lesson, 4.0)
    expected = by_grid.gather(1, first[:, None]) / by_grid.gather(1, second[:, None])
    torch.testing.assert_close(ratio, expected, rtol=1e-4, atol=1e-5)


def test_what_beta_draws_depends_on_the_seed_alone(lesson):
    first, again = label("beta", lesson, {}), label("beta", lesson, {})
    assert torch.equal(first, again)
    assert not torch.equal(first, label("beta", lesson._replace(seed=6), {}))
    certain = label("beta", lesson._replace(epsilon=0.0), {})
    torch.testing.assert_close(certain, targets.one_hot(lesson.labels, 3))


@pytest.mark.parametrize("method", ["ils1", "ils2", "ils", "sinusoidal", "beta", "distil"])
def test_a_teacher_is_missing(method, lesson):
    with pytest.raises(ValueError, match="this method needs a teacher, the run names none"):
        label(method, lesson._replace(logits=None), CASES[method][0])


def test_a_truth_that_is_not_known(lesson):
    with pytest.raises(ValueError, match="true label distribution of this data set is not known"):
        label("truth", lesson._replace(truth=None), {})


@pytest.mark.parametrize("method", ["none", "bootstrap", "ls", "ls_wrong", "similarity", "truth"])
def test_no_teacher_is_needed(method, lesson):
    alone = lesson._replace(logits=None)
    assert torch.equal(
        label(method, alone, CASES[method][0]), label(method, lesson, CASES[method][0])
    )


@pytest.mark.parametrize(
    ("method", "parameters", "match"),
    [
        ("cutmix", {}, "unknown method 'cutmix'; known: beta, bootstrap, distil, ils, ils1"),
        ("ls", {}, "method 'ls' with {}: .*'epsilon'"),
        ("ls", {"epsilon": 0.1, "alpha": 1}, "method 'ls' with .*: .*'alpha'"),
        ("ls", {"epsilon": 1.2}, "epsilon must lie in .0, 1., got 1.2"),
        ("ls_wrong", {"epsilon": 0.1}, "method 'ls_wrong' with .*'epsilon'"),
        ("ls_wrong", {"alpha": -0.1}, "alpha must lie in .0, 1., got -0.1"),
        ("truth", {"alpha": 0.1}, "method 'truth' with .*'alpha'"),
        ("ls", {"epsilon": "a lot"}, "method 'ls' with .*a lot"),
        ("ls", {"epsilon": [0.1, 0.2]}, "method 'ls' with .*0.1, 0.2"),
        ("ils1", {"p1": 2.0, "p2": 1.0}, "p1 must lie in .0, 1., got 2.0"),
        ("ils2", {"epsilon": 0.1, "teacher_temperature": 0.0}, "temperature must be above 0"),
        ("ils2", {"epsilon": 0.1, "teacher_temperature": -1.0}, "temperature must be above 0"),
    ],
)
def test_bad_input(method, parameters, match, lesson):
    with pytest.raises(ValueError, match=match):
        label(method, lesson, parameters)


def test_the_papers_grids():
    expected = [0.001, 0.005, 0.01, 0.03, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15, 0.17, 0.19]
    assert list(methods.EPSILONS) == expected
    epsilon, p1, p2 = list(methods.EPSILONS), list(methods.P1), list(methods.P2)
    t = list(methods.TEMPERATURES)
    assert len(candidates({"epsilon": epsilon})) == 12
    assert len(candidates({"p1": p1, "p2": p2})) == 30
    assert len(candidates({"epsilon": epsilon, "teacher_temperature": t})) == 48
    assert len(candidates({"p1": p1, "p2": p2, "teacher_temperature": t})) == 120


def test_candidates_vary_the_last_parameter_first():
    assert candidates({}) == [{}]
    assert candidates({"a": [1, 2], "b": 5, "c": ("x", "y")}) == [
        {"a": 1, "b": 5, "c": "x"},
        {"a": 1, "b": 5, "c": "y"},
        {"a": 2, "b": 5, "c": "x"},
        {"a": 2, "b": 5, "c": "y"},
    ]
    assert candidates({"epsilon": "0.1"}) == [{"epsilon": "0.1"}]
    grid = candidates({"p1": list(methods.P1), "p2": list(methods.P2)})
    assert [(v["p1"], v["p2"]) for v in grid] == list(itertools.product(methods.P1, methods.P2))


def test_no_value_to_choose_from():
    with pytest.raises(ValueError, match="parameter 'p2' is a list without values"):
        candidates({"p1": [0.8], "p2": []})
