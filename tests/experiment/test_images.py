"""Runs on images: from data to record, alone and together, killed and resumed."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ldlstudy import data, metrics, mixture
from ldlstudy.device import Execution
from ldlstudy.experiment import images, measure, records
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import NETWORK, PREDICTIONS, checkpoint_of, prepare, workplace
from ldlstudy.training import checkpoints
from tests.experiment.runs import CUTMIX, SIZES, TEACHER, equal, plans, tiny, until, weights


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder where the teacher has been trained."""
    folder = tmp_path_factory.mktemp("runs")
    execute(TEACHER, folder)
    return folder


def execute(run, work, keep=()):
    (record,) = images.execute([Planned(run, keep)], work=work)
    return record


def answers(run, work, part):
    """Return the logits of a run's network for a part of its data, and the part."""
    setting = prepare(run, Execution())
    shown = getattr(setting.dataset, part)
    return setting.predictor(setting.trained(work)).logits(shown), shown


def histories(*found):
    return [{**record.figure("history"), "seconds": None} for record in found]


def test_a_run_from_data_to_record(work, monkeypatch):
    monkeypatch.setattr(measure, "RESAMPLES", 3)
    sizes = {name: size for name, size in SIZES.items() if name != "draw"}
    run = tiny("ls", {"epsilon": 0.1}, data=sizes)
    record = execute(run, work, ("plane", "reliability", "class_loss"))
    assert record.specification == run.specification
    assert record.kept == ("class_loss", "plane", "reliability")
    assert list(record.values) == ["plain", "fitted", "searched", "plane"]
    without_groups = {n for n in measure.METRICS if "superclass" not in n}
    chance = {f"{name}_by_chance" for name in measure.ECES}
    scored = {*without_groups, *chance, "temperature"}
    assert set(record.values["plain"]) == {*scored, "best_test_accuracy"}
    assert set(record.values["fitted"]) == set(record.values["searched"]) == scored
    assert record.intervals.keys() == {"plain", "fitted", "searched"}
    assert all(row.keys() == without_groups for row in record.intervals.values())
    assert set(record.all_figures) == {"reliability", "plane", "history"}
    history = record.figure("history")
    assert {len(values) for values in history.values()} == {3}
    assert [len(losses) for losses in history["train_class_loss"]] == [10, 10, 10]
    assert history["test_accuracy"][-1] == pytest.approx(record.values["plain"]["accuracy"], 1e-5)
    for stage, bins in record.figure("reliability").items():
        gaps = zip(bins["count"], bins["accuracy"], bins["confidence"], strict=True)
        error = sum(n * abs(a - c) for n, a, c in gaps if n) / 60
        assert record.values[stage]["ece_15_left"] == pytest.approx(error, abs=1e-5)
    made = record.made
    assert made["data"] == data.load("noisy_digits", **sizes).digest
    assert (made["networks"], made["epochs"], made["precision"]) == (1, 3, "float32")
    assert made["images_per_second"] == pytest.approx(180 / made["training_seconds"], rel=1e-4)
    records.save(record, work / "results")
    assert records.load(run, work / "results").kept == record.kept
    (unlike,) = images.execute([Planned(run, intervals=False)], work=work)
    assert unlike.intervals == {}


def test_values_are_of_the_network_and_the_predictions_that_are_kept(work):
    record = execute(TEACHER, work)
    logits, test = answers(TEACHER, work, "test")
    torch.testing.assert_close(
        checkpoints.load(workplace(TEACHER, work) / PREDICTIONS)["test"], logits
    )
    plain = record.values["plain"]
    p = logits.softmax(1)
    assert plain["accuracy"] == pytest.approx(metrics.accuracy(p, test.labels), rel=1e-5)
    assert plain["kl_to_truth"] == pytest.approx(metrics.kl_to_truth(test.truth, p), rel=1e-5)
    assert record.intervals == {}  # other draws tell more


def test_training_learns_the_digits(tmp_path):
    recipe = {"epochs": 8, "schedule": "linear"}
    run = tiny(dataset="digits", data={}, hidden=64, recipe=recipe)
    (record,) = images.execute([Planned(run, intervals=False)], work=tmp_path)
    assert record.values["plain"]["accuracy"] > 0.9
    assert "kl_to_truth" not in record.values["plain"]


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("kd", {"weight": 0.5, "temperature": 4.0}),
        ("kd_printed", {"weight": 0.6, "temperature": 2.0}),
        ("distil", {"relabel": True}),
        ("ils2", {"epsilon": 0.1, "teacher_temperature": 4.0}),
        ("crd", {"negatives": 8}),
        ("sskd", {}),
    ],
)
def test_a_student_s_record_says_how_good_and_how_smooth_its_teacher_is(method, settings, work):
    student = tiny(method, settings, [TEACHER], augmentation={"shift": 1})
    record = execute(student, work)
    assert all(math.isfinite(v) for v in record.figure("history")["loss"])
    logits, train = answers(TEACHER, work, "train")
    softened = (logits / settings.get("temperature", 1.0)).softmax(1)
    smooth = metrics.smoothness(softened, train.labels)
    assert record.values["teacher"]["smoothness"] == pytest.approx(smooth, rel=1e-5)
    logits, test = answers(TEACHER, work, "test")
    right = metrics.accuracy(logits.softmax(1), test.labels)
    assert record.values["teacher"]["accuracy"] == pytest.approx(right, rel=1e-5)


def test_a_run_without_a_teacher_says_nothing_of_one(work):
    assert "teacher" not in execute(tiny(), work).values


def test_held_out_images_are_watched_and_fit_the_temperature(tmp_path):
    record = execute(tiny(data=SIZES | {"held": 0.5}), tmp_path)
    assert len(record.figure("history")["held_loss"]) == 3
    logits, held = answers(tiny(data=SIZES | {"held": 0.5}), tmp_path, "held")
    fitted = record.values["fitted"]["temperature"]
    best, hotter, colder = (
        float(torch.nn.functional.cross_entropy(logits / (fitted * t), held.labels))
        for t in (1.0, 1.05, 0.95)
    )
    assert best < min(hotter, colder)


def test_two_executions_give_the_same_and_another_seed_does_not(tmp_path):
    run = tiny(model="small_cnn", augmentation={"shift": 1}, network={})
    first, again, other = (
        execute(each, tmp_path / folder)
        for each, folder in ((run, "a"), (run, "b"), (replace(run, seed=1), "c"))
    )
    assert first.values == again.values
    assert first.values != other.values
    assert equal(weights(run, tmp_path / "a"), weights(run, tmp_path / "b"))


def test_the_threads_of_the_process_change_no_record(tmp_path):
    """A network large enough that its sums are split among threads where there are several."""
    run = tiny(model="small_cnn", network={}, data={"train": 100, "test": 100, "draw": 0},
               recipe={"batch": 128, "epochs": 2})  # fmt: skip
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            record = execute(run, tmp_path / str(threads))
            assert record.made["threads"] == 1
            assert torch.get_num_threads() == threads
            found.append((record.values, weights(run, tmp_path / str(threads))))
        (one, first), (two, second) = found
        (more,) = images.execute(plans([run]), Execution(threads=2), tmp_path / "more")
    finally:
        torch.set_num_threads(before)
    assert one == two
    assert equal(first, second)
    assert more.made["threads"] == 2


CUT_OFF = """
import json, pathlib, sys, time
from ldlstudy import device
from ldlstudy.experiment import images
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Run

class Bar:
    steps = 0
    __enter__ = lambda self: self
    __exit__ = lambda self, *_: None
    set_postfix = lambda self, **_: None
    def update(self, count):
        self.steps += count > 0
        if self.steps == 7:  # of 4 an epoch
            pathlib.Path(sys.argv[3]).touch()
            time.sleep(600)

device.progress = lambda *_: Bar()
run = Run(**json.loads(sys.argv[1]))
images.execute([Planned(run, ("plane",))], work=pathlib.Path(sys.argv[2]))
"""


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_killed_run_ends_as_one_that_was_not(optimiser, tmp_path):
    recipe = {"optimiser": optimiser, "rate": 0.02, "epochs": 4, "drops": [2]}
    run = tiny(augmentation={"shift": 1, "flip": True}, recipe=recipe)
    marker, cut, whole = (tmp_path / name for name in ("marker", "cut", "whole"))
    command = [sys.executable, "-c", CUT_OFF, json.dumps(run.specification), str(cut), str(marker)]
    process = subprocess.Popen(command)
    expected = execute(run, whole, ("plane",))
    until(marker.exists, process)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (workplace(run, cut) / NETWORK).exists()
    assert len(checkpoints.load(checkpoint_of(workplace(run, cut)))["history"]) == 1
    record = execute(run, cut, ("plane",))
    assert record.values == expected.values
    assert record.figure("plane") == expected.figure("plane")
    assert histories(record) == histories(expected)
    assert equal(weights(run, cut), weights(run, whole))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "resnet"}, "unknown model 'resnet'; known: alexnet24, "),
        ({"method": "cutmix"}, "unknown method 'cutmix'; known: adacos, "),
        ({"dataset": "cifar"}, "unknown data set 'cifar'; known: cifar10, "),
        ({"data": {"sigmas": 1}}, "unknown option 'sigmas' of data set noisy_digits; known: draw"),
        ({"augmentation": {"crops": 1}}, "unknown augmentation setting 'crops'"),
        ({"recipe": {}}, "a run needs the number of epochs"),
        ({"recipe": {"epochs": 1, "momentun": 0.9}}, "unknown training setting 'momentun'; known"),
        ({"network": {"depth": 3}}, "unknown option of small_fcn"),
        ({"network": {"hidden": [8], "dropout": 0.0, "passes": 5}}, "dropout"),
        ({"settings": {"epsilon": 0.1}}, "unknown setting 'epsilon' of this method; known: none"),
        ({"method": "ls"}, "this method needs epsilon, got {}"),
        ({"method": "kd"}, "method 'kd' needs a teacher, the run names 0"),
        ({"teachers": (TEACHER,)}, "method 'none' takes no teacher, the run names 1"),
        ({"mixing": {"name": "augmix"}}, "unknown mixing 'augmix'; known: cutmix, cutout"),
        ({"mixing": {"name": "cutmix", "beta": 1}}, "unknown setting of cutmix 'beta'"),
        ({"mixing": {"name": "mixup"}, "recipe": {"epochs": 1, "batch": 1}}, "takes 2 images, a"),
        ({"mixing": {"name": "ricap"}, "recipe": {"epochs": 1, "batch": 3}}, "takes 4 images, a"),
        ({"mixing": CUTMIX, "method": "max_entropy", "settings": {"weight": 1.0}}, "no mixed imag"),
        ({"method": "truth", "dataset": "digits", "data": {}}, "needs the truth of the training"),
    ],
)
def test_what_a_run_may_not_name(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        execute(replace(tiny(), **change), tmp_path)
    assert not list(tmp_path.rglob("*.pt"))


def test_labels_are_held_against_the_truth_of_digits_with_the_usual_noise(tmp_path):
    record = execute(tiny("ls", {"epsilon": 0.1}), tmp_path, ("label",))
    assert "label" in record.values


# Several runs on the same batches


def test_runs_trained_together_have_the_records_of_each_alone(work):
    teachers = {"none": [], "ls_wrong": [], "truth": [], "kd": [TEACHER], "distil": [TEACHER]}
    needed = {
        "ls_wrong": {"alpha": 0.1},
        "kd": {"weight": 0.5, "temperature": 4.0, "relabel": True},
        "distil": {"relabel": True},
    }
    runs = [
        tiny(method, needed.get(method, {}), taught, hidden=8 + 8 * i, seed=i, mixing=CUTMIX,
             augmentation={"shift": 1}, recipe={"order": 4})
        for i, (method, taught) in enumerate(teachers.items())
    ]  # fmt: skip
    together = images.execute(plans(runs), work=work)
    for run, record in zip(runs, together, strict=True):
        kept = weights(run, work)
        checkpoint_of(workplace(run, work)).unlink()
        alone = execute(run, work)
        assert record.specification == run.specification
        assert record.values == alone.values
        assert histories(record) == histories(alone)
        assert equal(kept, weights(run, work))
    assert len({record.values["plain"]["cross_entropy"] for record in together}) == len(runs)


ORDERED = tiny("ls", {"epsilon": 0.1}, recipe={"order": 1})


@pytest.mark.parametrize(
    "same",
    [
        {"seed": 7},
        {"settings": {"epsilon": 0.3}},
        {"method": "none", "settings": {}, "network": {"hidden": [8]}},
        {"recipe": {**ORDERED.recipe, "rate": 0.01, "optimiser": "adam"}},
        {"recipe": {**tiny().recipe}, "seed": 1},  # its own order is its seed
    ],
)
def test_what_decides_the_batches_is_not_the_seed_the_network_or_the_loss(same):
    assert images.stream(replace(ORDERED, **same)) == images.stream(ORDERED) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": {**ORDERED.recipe, "order": 2}},
        {"recipe": {**ORDERED.recipe, "batch": 20}},
        {"recipe": {**ORDERED.recipe, "epochs": 2}},
        {"recipe": tiny().recipe, "seed": 2},
        {"augmentation": {"shift": 1}},
        {"data": {**SIZES, "train": 5}},
        {"mixing": {"name": "mixup"}},
        {"method": "cs_kd", "settings": {"temperature": 4.0, "weight": 1.0}},
    ],
)
def test_runs_that_see_other_batches_are_not_trained_together(other, tmp_path):
    runs = [ORDERED, replace(ORDERED, **other)]
    assert images.stream(runs[0]) != images.stream(runs[1])
    with pytest.raises(ValueError, match="2 runs cannot be trained together: their batches differ"):
        images.execute(plans(runs), work=tmp_path)


def test_students_of_a_sampled_teacher_go_alone_and_sampled_students_need_not():
    """Its dropout's draws are those of the student that asks."""
    sampled = {"hidden": [16], "dropout": 0.2, "passes": 5}
    student = tiny("distil", {}, [tiny(network=sampled)])
    assert images.stream(student) is None
    assert images.stream(tiny(network=sampled)) == images.stream(tiny())
    with pytest.raises(ValueError, match="2 runs cannot be trained together"):
        images.execute(plans([student, replace(student, settings={"temperature": 2.0})]))


# Mixing


@pytest.mark.parametrize(
    "mixing", [{"name": "cutout", "size": 4}, {"name": "mixup"}, CUTMIX, {"name": "ricap"}]
)
def test_mixing_is_of_training_alone_and_reaches_it(mixing, tmp_path):
    run = tiny(mixing=mixing)
    plain, mixed = (execute(each, tmp_path) for each in (tiny(), run))
    assert histories(plain)[0]["loss"] != histories(mixed)[0]["loss"]
    setting = prepare(run, Execution())
    test = setting.dataset.test
    with torch.no_grad():
        logits = setting.trained(tmp_path).eval()(test.pixels)
    right = metrics.accuracy(logits.softmax(1), test.labels)
    assert mixed.values["plain"]["accuracy"] == pytest.approx(right, rel=1e-5)


def test_of_mixed_images_the_run_s_own_teacher_mixing_and_truth_are_kept(work):
    mixing = {"name": "mixup", "alpha": 2.0}
    run = tiny("distil", {}, [TEACHER], mixing=mixing, data={**SIZES, "sigma": 0.5})
    kept = execute(run, work, ("supervision",)).figure("supervision")
    pixels = torch.tensor(kept["pixels"])
    with torch.no_grad():
        p = prepare(TEACHER, Execution()).trained(work).eval()(pixels).softmax(1)
    truth = mixture.noisy_digits(0.5).posterior(pixels.flatten(1))
    for name, distribution in (("teacher", p), ("truth", truth)):
        for said, row in zip(kept[name], distribution, strict=True):
            assert said["probabilities"] == pytest.approx(row[said["classes"]].tolist(), abs=0.02)
    for shares, said in zip(kept["weights"], kept["mixing"], strict=True):
        assert sorted(said["probabilities"]) == pytest.approx(sorted(shares), abs=1e-3)


CHOOSING = {**SIZES, "validation": 8}
GRID = {"p1": [0.7, 0.975], "p2": [0.75, 1.1], "cap": 1.0}


def test_of_settings_in_a_list_the_best_on_held_out_images_is_chosen(work, tmp_path):
    """The run with a grid is the best of its candidates, each trained alone."""
    run = tiny("ils1", GRID, [TEACHER], data=CHOOSING)
    record = execute(run, work, ("operations",))
    found = record.figure("candidates")
    assert [(v["p1"], v["p2"]) for v in found["values"]] == [
        (0.7, 0.75), (0.7, 1.1), (0.975, 0.75), (0.975, 1.1)
    ]  # fmt: skip
    alone = []
    for values, loss in zip(found["values"], found["held_out_loss"], strict=True):
        one = replace(run, settings=values)
        alone.append(execute(one, work))
        logits, held = answers(one, work, "held")
        assert loss == pytest.approx(float(F.cross_entropy(logits, held.labels)), rel=1e-5)
    best = min(range(4), key=found["held_out_loss"].__getitem__)
    assert len(set(found["held_out_loss"])) == 4
    assert record.values["chosen"] == {
        **found["values"][best], "held_out_loss": min(found["held_out_loss"])
    }  # fmt: skip
    assert record.values["fitted"] == alone[best].values["fitted"]
    assert equal(weights(run, work), weights(replace(run, settings=found["values"][best]), work))
    assert (record.made["networks"], record.made["epochs"]) == (4, 12)
    assert "chosen" not in alone[0].values
    # a candidate that lost its checkpoint is trained again, the others go on from theirs
    for number in range(4):
        assert checkpoint_of(workplace(run, work), number).exists()
    checkpoint_of(workplace(run, work), 1).unlink()
    again = execute(run, work)
    assert again.figure("candidates") == found


def test_settings_are_not_chosen_without_held_out_images(work):
    with pytest.raises(ValueError, match="has settings to choose from on held-out images, got .*"):
        execute(tiny("ls", {"epsilon": [0.1, 0.2]}), work)


def test_a_teacher_s_temperature_needs_held_out_images(work):
    with pytest.raises(ValueError, match="temperature that is fitted to held-out images"):
        execute(tiny("ils1", {"p1": 0.8, "p2": 2.0}, [TEACHER]), work)
