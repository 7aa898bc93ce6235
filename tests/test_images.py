import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ldlstudy import checkpoints, data, images, metrics, mixture, records, setting, teachers
from ldlstudy.execution import Execution
from ldlstudy.records import Run
from ldlstudy.scores import METRICS
from ldlstudy.setting import CHECKPOINT, NETWORK, workplace

SIZES = {"train": 6, "test": 6}
PLANE = ("spread", "distance")


def tiny(method="none", parameters=None, teachers=(), *, hidden=16, augment=None, **fields):
    """Return a run that trains in a blink."""
    changed = {"epochs": 3, "batch": 16, "rate": 0.1, **fields.pop("training", {})}
    network = {"hidden": [hidden], "dropout": 0.2}
    return Run(
        fields.pop("dataset", "noisy_digits"),
        fields.pop("model", "small_fcn"),
        method,
        fields.pop("data", SIZES) | ({"augment": augment} if augment else {}),
        parameters or {},
        {**changed, "network": changed.get("network", network)},
        tuple(teachers),
        profile="smoke",
        **fields,
    )


TEACHER = tiny(hidden=32, augment={"shift": 1})


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder where the teacher has been trained."""
    folder = tmp_path_factory.mktemp("runs")
    images.execute(TEACHER, work=folder)
    return folder


def weights(run, work):
    return checkpoints.load(workplace(run, work) / NETWORK)["network"]


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_run_from_data_to_record(work):
    run = tiny("ls", {"epsilon": 0.1}, keep=("plane", "reliability", "class_loss"))
    record = images.execute(run, work=work)
    assert record.specification == run.specification
    assert list(record.rows) == ["plain", "fitted", "searched", "plane"]
    scored = {*METRICS, "kl_to_truth", "temperature"}
    assert set(record.rows["plain"]) == {*scored, "best_test_accuracy"}
    assert set(record.rows["fitted"]) == set(record.rows["searched"]) == scored
    assert record.estimates.keys() == record.rows.keys()
    plane = {name: value for name, (value,) in record.rows["plane"].items()}
    panels = {f"{part}_{what}" for part in ("train", "test") for what in PLANE}
    assert set(plane) == {"template_distance", *panels}
    assert [len(cluster) for cluster in record.figures["plane"]["train"]] == [6, 6, 6]
    assert set(record.figures) == {"reliability", "plane", "history"}
    history = record.figures["history"]
    assert {len(values) for values in history.values()} == {3}
    assert [len(losses) for losses in history["train_class_loss"]] == [10, 10, 10]
    assert history["test_accuracy"][-1] == pytest.approx(record.rows["plain"]["accuracy"][0], 1e-5)
    for name, bins in record.figures["reliability"].items():
        assert sum(bins["count"]) == 60
        gaps = zip(bins["count"], bins["accuracy"], bins["confidence"], strict=True)
        error = sum(n * abs(a - c) for n, a, c in gaps if n) / 60
        assert record.rows[name]["ece"][0] == pytest.approx(error, abs=1e-5)
    made = record.made
    assert made["data"] == data.load("noisy_digits", **SIZES).digest
    assert (made["networks"], made["epochs"], made["precision"]) == (1, 3, "float32")
    assert made["images_per_second"] == pytest.approx(180 / made["training_seconds"], rel=1e-4)
    records.save(run, record, work / "results")
    assert records.load(run, work / "results") == record


def test_rows_are_of_the_network_that_is_kept(work):
    record = images.execute(TEACHER, work=work)
    prepared = setting.prepare(TEACHER, Execution())
    test = prepared.dataset.test
    p = prepared.predict(setting.trained(TEACHER, prepared, work), test).softmax(1)
    plain = {name: values[0] for name, values in record.rows["plain"].items()}
    assert plain["accuracy"] == pytest.approx(metrics.accuracy(p, test.labels), rel=1e-5)
    assert plain["kl_to_truth"] == pytest.approx(metrics.kl_to_truth(test.truth, p), rel=1e-5)


def test_training_learns_the_digits(tmp_path):
    run = tiny(dataset="digits", data={}, hidden=64, training={"epochs": 8, "schedule": "linear"})
    record = images.execute(run, work=tmp_path)
    assert record.rows["plain"]["accuracy"][0] > 0.9
    assert "kl_to_truth" not in record.rows["plain"]


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("none", {}),
        ("kd", {"weight": 0.5, "temperature": 4.0}),
        ("kd_printed", {"weight": 0.6, "temperature": 2.0}),
        ("kd_coded", {"weight": 0.6, "temperature": 8.0}),
        ("distil", {"relabel": True}),
        ("ils2", {"epsilon": 0.1, "teacher_temperature": 4.0}),
    ],
)
def test_every_kind_of_method(method, parameters, work):
    teachers = [] if method == "none" else [TEACHER]
    record = images.execute(tiny(method, parameters, teachers), work=work)
    assert ("teacher" in record.rows) == bool(teachers)
    assert all(math.isfinite(v) for v in record.figures["history"]["loss"])
    if teachers:
        prepared = setting.prepare(TEACHER, Execution())
        network, dataset = setting.trained(TEACHER, prepared, work), prepared.dataset
        logits = prepared.predict(network, dataset.train)
        softened = (logits / parameters.get("temperature", 1.0)).softmax(1)
        right = metrics.smoothness(softened, dataset.train.labels)
        assert record.rows["teacher"]["smoothness"] == [pytest.approx(right, rel=1e-5)]
        p = prepared.predict(network, dataset.test).softmax(1)
        right = metrics.accuracy(p, dataset.test.labels)
        assert record.rows["teacher"]["accuracy"] == [pytest.approx(right, rel=1e-5)]


def test_several_teachers_give_their_mean_probability(work):
    second = replace(TEACHER, seed=1)
    images.execute(second, work=work)
    student = tiny("distil", {}, [TEACHER, second])
    prepared = setting.prepare(student, Execution())
    lesson, _ = teachers.learn(student, prepared, work)
    alone = [
        teachers.learn(tiny("distil", {}, [teacher]), prepared, work)[0].logits.softmax(1)
        for teacher in (TEACHER, second)
    ]
    torch.testing.assert_close(lesson.logits.softmax(1), (alone[0] + alone[1]) / 2)


def test_a_teacher_sees_images_as_in_its_own_training(work):
    """Its crop and normalisation are not the student's."""
    network = {"shape": [1, 6, 6]}
    small = tiny(augment={"crop": 6, "normalise": "image"}, training={"network": network})
    images.execute(small, work=work)
    student = tiny("distil", {}, [small])
    lesson, _ = teachers.learn(student, setting.prepare(student, Execution()), work)
    own = setting.prepare(small, Execution())
    right = own.predict(setting.trained(small, own, work), own.dataset.train)
    torch.testing.assert_close(lesson.logits, right)
    with pytest.raises(ValueError, match=r"crop and normalisation \(6, 'image'\), the views of"):
        images.execute(replace(student, parameters={"relabel": True}), work=work)


def test_the_held_out_images_fit_the_temperatures(tmp_path):
    record = images.execute(tiny(data=SIZES | {"held": 0.5}), work=tmp_path)
    assert "held_loss" in record.figures["history"]
    assert len(record.figures["history"]["held_loss"]) == 3
    assert record.rows["fitted"]["temperature"] != record.rows["searched"]["temperature"]


def test_two_executions_give_the_same_and_another_seed_does_not(tmp_path):
    run = tiny(model="small_cnn", augment={"shift": 1}, training={"network": {}})
    first = images.execute(run, work=tmp_path / "a")
    again = images.execute(run, work=tmp_path / "b")
    other = images.execute(replace(run, seed=1), work=tmp_path / "c")
    assert first.rows == again.rows
    assert first.rows != other.rows
    assert equal(weights(run, tmp_path / "a"), weights(run, tmp_path / "b"))


CUT_OFF = """
import json, pathlib, sys, time
from ldlstudy import images, machine, records

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

machine.progress = lambda *_: Bar()
images.execute(records.from_specification(json.loads(sys.argv[1])), work=pathlib.Path(sys.argv[2]))
"""


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_killed_run_ends_as_one_that_was_not(optimiser, tmp_path):
    training = {"optimiser": optimiser, "rate": 0.02, "epochs": 4, "drops": [2]}
    run = tiny(augment={"shift": 1, "flip": True}, training=training, keep=("plane",))
    marker, cut, whole = (tmp_path / name for name in ("marker", "cut", "whole"))
    command = [sys.executable, "-c", CUT_OFF, json.dumps(run.specification), str(cut), str(marker)]
    process = subprocess.Popen(command)
    expected = images.execute(run, work=whole)
    until(marker.exists, process)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (workplace(run, cut) / NETWORK).exists()
    assert len(checkpoints.load(workplace(run, cut) / CHECKPOINT)["history"]) == 1
    record = images.execute(run, work=cut)
    assert record.rows == expected.rows
    assert record.estimates == expected.estimates
    assert record.figures["plane"] == expected.figures["plane"]
    assert equal(weights(run, cut), weights(run, whole))


def until(there, process=None, seconds=120):
    """Wait until ``there()``; a process that ends before that is a failure."""
    end = time.monotonic() + seconds
    while not there():
        assert process is None or process.poll() is None, "the process ended"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "resnet"}, "unknown model 'resnet'; known: alexnet24, "),
        ({"method": "cutmix"}, "unknown method 'cutmix'; known: adacos, "),
        ({"dataset": "cifar"}, "unknown data set 'cifar'; known: cifar10, "),
        ({"profile": "fast"}, "unknown profile 'fast'; known: paper, quick, smoke"),
        (
            {"keep": ("map",)},
            "unknown data to keep 'map'; known: answers, by_class, class_loss, embedding, errors, "
            "label, neighbours, operations, plane, planes, reliability, sampled, similar, "
            "supervision, test_class_loss, total_variation",
        ),
        (
            {"method": "cs_kd", "keep": ("label",)},
            "unknown method with a label of its own 'cs_kd'; known: .*distil",
        ),
        ({"dataset": "digits", "data": {}, "keep": ("label",)}, "where the truth is known, digits"),
        ({"data": {"sigmas": 1}}, "unknown option 'sigmas' of data set noisy_digits; known: draw"),
        ({"data": {"augment": {"crops": 1}}}, "unknown augmentation setting 'crops'"),
        ({"training": {}}, "a run needs the number of epochs"),
        ({"training": {"epochs": 1, "network": {"depth": 3}}}, "unknown option of small_fcn"),
        ({"parameters": {"epsilon": 0.1}}, "method 'none' with"),
        ({"method": "kd"}, "method 'kd' needs a teacher, the run names 0"),
        ({"teachers": (TEACHER,)}, "method 'none' takes no teacher, the run names 1"),
    ],
)
def test_what_a_run_may_not_name(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        images.execute(replace(tiny(), **change), work=tmp_path)


def test_a_teacher_that_has_not_been_run(tmp_path):
    student = tiny("distil", {}, [TEACHER])
    expected = f"the weights of small_fcn none {TEACHER.id} on noisy_digits are not in .*: run it"
    with pytest.raises(ValueError, match=expected):
        images.execute(student, work=tmp_path)


def test_a_teacher_of_another_data_set(work):
    with pytest.raises(ValueError, match="was trained on noisy_digits, its student's data are dig"):
        images.execute(tiny("distil", {}, [TEACHER], dataset="digits", data={}), work=work)


@pytest.mark.parametrize("what", ["classes", "sizes", "damaged"])
def test_a_teacher_whose_weights_do_not_fit(what, work, tmp_path):
    folder = workplace(TEACHER, tmp_path)
    folder.mkdir()
    state = weights(TEACHER, work)
    if what == "classes":
        state["head.weight"], state["head.bias"] = torch.zeros(4, 32), torch.zeros(4)
    if what == "sizes":
        state = weights_of_another(work)
    torch.save({"network": state}, folder / NETWORK)
    message = "holds another network than small_fcn with the sizes"
    if what == "damaged":
        (folder / NETWORK).write_bytes((folder / NETWORK).read_bytes()[:300])
        message = "network.pt is damaged"
    with pytest.raises(ValueError, match=message):
        images.execute(tiny("distil", {}, [TEACHER]), work=tmp_path)


def weights_of_another(work):
    other = tiny(hidden=8)
    if not (workplace(other, work) / NETWORK).exists():
        images.execute(other, work=work)
    return weights(other, work)


def test_the_work_folder_is_that_of_the_study(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert workplace(TEACHER) == Path(tmp_path).resolve() / "runs" / TEACHER.id


MIXED = {"mixing": {"name": "cutmix"}}


def test_runs_trained_together_have_the_records_of_each_alone(work):
    teachers = {"none": [], "ls_wrong": [], "truth": [], "kd": [TEACHER], "distil": [TEACHER]}
    needed = {"ls_wrong": {"alpha": 0.1}, "kd": {"weight": 0.5, "temperature": 4.0}}
    runs = [
        tiny(method, needed.get(method, {}) | MIXED | ({"relabel": True} if taught else {}),
             taught, hidden=8 + 8 * i, augment={"shift": 1}, training={"order": 4}, seed=i)
        for i, (method, taught) in enumerate(teachers.items())
    ]  # fmt: skip
    together = images.execute_together(runs, work=work)
    for run, record in zip(runs, together, strict=True):
        kept = weights(run, work)
        (workplace(run, work) / CHECKPOINT).unlink()
        alone = images.execute(run, work=work)
        assert record.rows == alone.rows
        assert record.estimates == alone.estimates
        history, expected = (r.figures["history"] for r in (record, alone))
        assert history | {"seconds": []} == expected | {"seconds": []}
        assert equal(kept, weights(run, work))
        assert record.specification == run.specification
    assert len({tuple(record.rows["plain"]["cross_entropy"]) for record in together}) == len(runs)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"training": {**tiny().training, "batch": 20}},
        {"data": {**SIZES, "train": 5}},
        {"parameters": MIXED},
    ],
)
def test_runs_that_see_other_batches_are_not_trained_together(other, tmp_path):
    runs = [tiny(), replace(tiny(), **other)]
    with pytest.raises(ValueError, match="2 runs cannot be trained together: their batches differ"):
        images.execute_together(runs, work=tmp_path)


@pytest.mark.parametrize("name", ["cutout", "mixup", "cutmix", "ricap"])
def test_mixing_is_of_training_alone_and_reaches_it(name, tmp_path):
    mixing = {"name": name, **({"size": 4} if name == "cutout" else {})}
    run = tiny(parameters={"mixing": mixing})
    plain, mixed = (images.execute(r, work=tmp_path) for r in (tiny(), run))
    first, second = (r.figures["history"] for r in (plain, mixed))
    assert first["loss"] != second["loss"]
    prepared = setting.prepare(run, Execution())
    test = prepared.dataset.test
    with torch.no_grad():
        logits = setting.trained(run, prepared, tmp_path).eval()(test.pixels)
    p = logits.softmax(1)
    right = metrics.accuracy(p, test.labels)
    assert mixed.rows["plain"]["accuracy"] == [pytest.approx(right, rel=1e-5)]


@pytest.mark.parametrize(
    ("method", "parameters", "message"),
    [
        ("cs_kd", {"temperature": 4.0, "weight": 1.0, **MIXED}, "method that takes a mixing 'cs_k"),
        ("none", {"mixing": {"name": "augmix"}}, "unknown mixing 'augmix'; known: cutmix, cutout"),
        ("none", {"mixing": {"name": "cutmix", "beta": 1}}, "mixing 'cutmix' with {'beta': 1}"),
        ("none", {"mixing": "cutmix"}, "a mixing is written as {'name': 'cutmix'}, got 'cutmix'"),
    ],
)
def test_a_mixing_that_is_refused(method, parameters, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        images.execute(tiny(method, parameters), work=tmp_path)
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize(
    ("name", "least"), [("cutout", 1), ("mixup", 2), ("cutmix", 2), ("ricap", 4)]
)
def test_a_batch_that_is_too_small_for_its_mixing_is_refused_at_once(name, least):
    parameters = {"mixing": {"name": name}}
    for size in range(1, least):
        with pytest.raises(ValueError, match=f"takes {least} images, a batch has {size}"):
            setting.prepare(tiny(parameters=parameters, training={"batch": size}), Execution())
    run = tiny(parameters=parameters, training={"batch": least})
    assert setting.prepare(run, Execution()).protocol.batch == least


def test_a_training_set_that_is_too_small_for_its_mixing(monkeypatch):
    run = tiny(parameters={"mixing": {"name": "ricap"}})
    whole = setting.prepare(run, Execution()).dataset
    few = replace(whole, train=whole.train.take(torch.arange(3)))
    monkeypatch.setattr(setting, "_dataset", lambda *_: few)
    with pytest.raises(ValueError, match="the mixing takes 4 images, a batch has 3"):
        setting.prepare(run, Execution())


def test_the_truth_of_a_set_that_has_none(tmp_path):
    with pytest.raises(ValueError, match="true label distribution of this data set is not known"):
        images.execute(tiny("truth", dataset="digits", data={}), work=tmp_path)


def test_what_a_mixed_image_is_said_to_show_is_kept(work):
    """As `supervision` has it of the first training image of each class, mixed by the run's own."""
    parameters = {"relabel": True, "mixing": {"name": "mixup", "alpha": 2.0}}
    run = tiny("distil", parameters, [TEACHER], keep=("supervision",), data={**SIZES, "sigma": 0.5})
    kept = images.execute(run, work=work).figures["supervision"]
    prepared = setting.prepare(run, Execution())
    train, teacher = prepared.dataset.train, setting.trained(TEACHER, prepared, work).eval()
    labels = train.labels.tolist()
    firsts = {labels.index(k): k for k in range(10)}
    pixels = torch.tensor(kept["pixels"])
    shown = [(s, w) for s, w in zip(kept["sources"], kept["weights"], strict=True)]
    order = {}  # the batch that was mixed lists the first images in some order: by their pixels
    for (sources, shares), picture in zip(shown, pixels, strict=True):
        fits = [
            (i, j)
            for i in firsts
            for j in firsts
            if torch.allclose(
                shares[0] * train.pixels[i] + shares[1] * train.pixels[j], picture, atol=0.02
            )
        ]
        assert len(fits) == 1
        for place, image in zip(sources, fits[0], strict=True):
            assert order.setdefault(place, image) == image
    for (sources, shares), said in zip(shown, kept["mixing"], strict=True):
        classes = [firsts[order[source]] for source in sources]
        right = dict(zip(classes, shares, strict=True))
        for k, p in zip(said["classes"], said["probabilities"], strict=True):
            assert p == pytest.approx(right[k], abs=1e-3)
    with torch.no_grad():
        p = teacher(pixels).softmax(1)
    truth = mixture.noisy_digits(0.5).posterior(pixels.flatten(1))
    for name, distribution in (("teacher", p), ("truth", truth)):
        for said, row in zip(kept[name], distribution, strict=True):
            right = row[said["classes"]].tolist()
            assert said["probabilities"] == pytest.approx(right, abs=0.02)


@pytest.mark.parametrize(
    ("method", "parameters", "teachers"),
    [("none", {}, []), ("none", MIXED, []), ("distil", {}, [TEACHER])],
)
def test_no_supervision_without_a_mixing_and_a_teacher(method, parameters, teachers, tmp_path):
    run = tiny(method, parameters, teachers, keep=("supervision",))
    with pytest.raises(ValueError, match="kept of a run with a teacher and a mixing alone"):
        images.execute(run, work=tmp_path)
