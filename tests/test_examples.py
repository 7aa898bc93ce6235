"""Examples in docstrings run, and give what they show."""

import doctest
import importlib

import pytest

SHOWN = {  # modules whose functions a researcher imports, and some of those that have an example
    "targets": {"one_hot", "smooth", "smooth_wrong", "ils1", "ils2", "ils"},
    "mixing": {"mixup", "cutmix", "ricap", "cutout", "mixed_target"},
    "losses": {"soft_cross_entropy", "kd", "cs_kd", "max_entropy"},
    "metrics": {"accuracy", "nll", "brier", "ece", "kl_to_truth", "recall_at_1"},
    "scaling": {"scale", "fit_temperature"},
    "projection": {"plane", "project"},
    "mixture": {"six_gaussians", "noisy_digits"},
    "interop.loading": {"ClassPairs", "Mix"},
    "interop.sklearn": {"TemperatureScaling"},
    "interop.torchmetrics": {"Score"},
}


@pytest.mark.parametrize("name", SHOWN)
def test_examples_give_what_they_show(name):
    module = importlib.import_module(f"ldlstudy.{name}")
    found = [test for test in doctest.DocTestFinder().find(module, globs={}) if test.examples]
    assert {test.name.rpartition(".")[2] for test in found} >= SHOWN[name]
    runner = doctest.DocTestRunner(verbose=False)
    for test in found:  # each on its own, with what it imports itself
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
