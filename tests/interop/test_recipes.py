"""The recipes of the book run as they stand on the page, and learn."""

import math
import re
import warnings

import pytest
import torch

from ldlstudy import metrics
from tests.conftest import ROOT

PAGE = (ROOT / "book" / "recipes.md").read_text(encoding="utf-8")
FIRST, *SECTIONS = re.split(r"^## ", PAGE, flags=re.M)
RECIPES = {section.partition("\n")[0]: section for section in SECTIONS}
LEARN = ("A softer label", "CS-KD: pairs of a class", "On-LDL: a teacher labels mixed images",
         "Mixed batches from a DataLoader", "Lightning")  # fmt: skip


def run(section, space):
    """Run the code of a section as one program, and return its names."""
    code = re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
    assert code, section
    torch.manual_seed(0)
    exec(compile("\n".join(code), "book/recipes.md", "exec"), space)
    return space


@pytest.fixture(scope="module")
def first():
    return run(FIRST, {"__name__": "recipes"})


@pytest.fixture
def recipe(first, tmp_path, monkeypatch):
    """Return a function that runs a recipe after the first block, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def found(name):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the frameworks
            return run(RECIPES[name], dict(first))

    return found


@pytest.mark.parametrize("name", LEARN)
def test_a_recipe_learns(name, recipe, first):
    space = recipe(name)
    before = first["scores"](first["network"]())
    assert before["accuracy"] < 0.3
    assert space["found"]["accuracy"] > 0.6
    assert space["found"]["kl_to_truth"] < before["kl_to_truth"] / 2
    if name == "Lightning":
        logged = float(space["trainer"].callback_metrics["ece"])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            p = space["model"](first["test_images"]).float().softmax(1)
        assert logged == pytest.approx(metrics.ece(p, first["test_labels"]), abs=1e-6)


def test_the_trainer_of_hugging_face_takes_the_mean_over_all_it_accumulates(recipe):
    space = recipe("Hugging Face Trainer")
    ignorant = math.log(10)  # the loss of a model that has hardly begun
    assert space["trained"].training_loss == pytest.approx(ignorant, abs=0.2)
    weights = []
    for size, steps in ((8, 2), (16, 1)):
        torch.manual_seed(0)
        config = space["config"]
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        model = space["BertForSequenceClassification"](config)
        arguments = space["arguments"]
        arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps = size, steps
        arguments.max_steps = 1
        space["SoftLabels"](model, arguments, train_dataset=space["sentences"]).train()
        weights.append(model.classifier.weight.detach().clone())
    torch.testing.assert_close(*weights, atol=1e-6, rtol=1e-5)


def test_a_forest_is_better_calibrated_after_scaling(recipe):
    space = recipe("scikit-learn")
    assert space["after"] < space["before"] / 2
    scaled = space["calibrator"].transform(space["predicted"])
    assert (scaled.argmax(1) == space["predicted"].argmax(1)).all()


def test_a_collection_gives_the_scores_of_all_batches(recipe, first):
    space = recipe("torchmetrics")
    p, y = space["model"](first["test_images"]).detach().softmax(1), first["test_labels"]
    expected = {
        "nll": metrics.nll(p, y),
        "ece": metrics.ece(p, y),
        "largest gap": metrics.ece(p, y, norm="max"),
        "adaptive": metrics.ece(p, y, edges="quantile"),
    }
    assert {k: float(v) for k, v in space["found"].items()} == pytest.approx(expected, abs=1e-9)


def test_every_recipe_is_run():
    others = {"Hugging Face Trainer", "scikit-learn", "torchmetrics"}
    assert set(RECIPES) == {*LEARN, *others}
