"""Runs by command: trained, listed, measured and run again, or refused in one line."""

import json

import pytest

from ldlstudy import studies
from ldlstudy.device import Execution
from ldlstudy.experiment import records
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import NETWORK
from ldlstudy.experiment.records import Record, Run
from ldlstudy.experiment.sweep import perform
from tests.cli.invoked import failed, passed
from tests.experiment.runs import stay_in_this_process
from tests.report.made import MADE

TINY = [
    "-d", "train=5", "-d", "test=5", "-t", "epochs=2", "-t", "batch=16",
    "-n", "hidden=[8]", "--device", "cpu",
]  # fmt: skip
NETWORK_ON_DIGITS = ("noisy_digits", "small_fcn")
VALUES = {"plain": {"accuracy": 0.9}}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Return the folder of an empty study, and work in it."""
    (tmp_path / "_config.yml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file_of(study, dataset="noisy_digits"):
    return study / "book" / "results" / f"{dataset}.jsonl"


def test_a_run_its_student_and_the_list_of_records(study):
    lines = passed("run", *NETWORK_ON_DIGITS, "none", *TINY, "--seed", "3")
    (record,) = records.every()
    assert lines[0] == f"noisy_digits/none-{record.id}"
    value, low, high = (f"{number:.4f}" for number in record.estimate("plain", "accuracy"))
    assert lines[1].split() == ["plain", "accuracy", value, f"[{low},", f"{high}]"]
    assert len(lines) == 1 + sum(len(row) for row in record.values.values())
    assert (study / "runs" / record.id / NETWORK).exists()

    settings = ["-p", "weight=0.5", "-p", "temperature=2", "-p", "square=False"]
    passed("run", *NETWORK_ON_DIGITS, "kd", *TINY, *settings, "--teacher", record.id)
    student = records.run_of(next(r for r in records.every() if r.anchor.startswith("kd")))
    assert student.teachers == (records.run_of(record),)
    assert student.settings == {"weight": 0.5, "temperature": 2, "square": False}

    listed = sorted(passed("records", "--metric", "brier"))
    brier = f"brier {record.values['plain']['brier']:.4f}, 1 network in"
    assert len(listed) == 2
    assert f"noisy_digits, small_fcn, seed 3, 1 replicate: {brier}" in listed[1]
    assert listed[1].startswith(f"none-{record.id} ")
    assert "there are no records of mnist in " in failed("records", "--dataset", "mnist")
    assert "there are no records in gone" in failed("records", "--results", "gone")
    assert "unknown metric 'brie'; known: accuracy, " in failed("records", "--metric", "brie")


def test_each_part_of_a_run_has_an_option_and_a_run_with_a_record_is_not_run_again(study):
    command = [
        "run", *NETWORK_ON_DIGITS, "none", *TINY, "-a", "shift=1", "-a", "flip=True",
        "-m", "name=mixup", "-m", "alpha=0.5", "-t", "nesterov=True", "-t", "drops=[1]",
        "-t", "schedule=steps", "--seed", "3",
    ]  # fmt: skip
    first = passed(*command)
    (record,) = records.every()
    expected = Run(
        *(*NETWORK_ON_DIGITS, "none"),
        data={"train": 5, "test": 5},
        network={"hidden": [8]},
        augmentation={"shift": 1, "flip": True},
        mixing={"name": "mixup", "alpha": 0.5},
        recipe={"epochs": 2, "batch": 16, "nesterov": True, "drops": [1], "schedule": "steps"},
        seed=3,
    )
    assert record.specification == expected.specification
    before = file_of(study).stat().st_ino
    assert passed(*command) == first
    assert file_of(study).stat().st_ino == before


def test_a_run_on_points_has_replicates(study):
    small = ["-d", "train=5", "-d", "held=5", "-d", "test=20", "-t", "epochs=3", "--device", "cpu"]
    passed("run", "six_gaussians", "mlp64x5", "none", *small, "--replicates", "2")
    (record,) = records.every()
    assert len(record.replicates("plain", "accuracy")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("cifar small_fcn none", "unknown data set 'cifar'; known: cifar10, "),
        ("digits resnet none", "unknown model 'resnet'; known: alexnet24, "),
        ("digits small_fcn cutmix", "unknown method 'cutmix'; known: adacos, "),
        ("noisy_digits small_fcn kd", "method 'kd' needs a teacher, the run names 0"),
        ("noisy_digits small_fcn none --teacher abc", "no record has the id 'abc'"),
        ("noisy_digits small_fcn ls -p epsilon", "a value is given as name=value"),
        ("noisy_digits small_fcn ls -p epsilon=much", "epsilon must be a number or a list"),
        ("noisy_digits small_fcn ls -p epsilon=true", "each a number, got 'true'"),
        ("noisy_digits small_fcn ls -p epsilon=2", "epsilon must lie in [0, 1]"),
        ("noisy_digits small_fcn ls -p alpha=0.1", "unknown setting of ls 'alpha'; known: epsilon"),
        ("noisy_digits small_fcn none -t rate=fast", "rate must be a number or a list"),
        ("noisy_digits small_fcn none -t nesterov=si", "nesterov must be yes or no, got 'si'"),
        ("noisy_digits small_fcn none -t speed=2", "unknown training setting"),
        ("noisy_digits small_fcn none -d sigmas=2", "unknown option of noisy_digits 'sigmas'"),
        ("noisy_digits small_fcn none -n depth=2", "unknown option of small_fcn"),
        ("noisy_digits small_fcn none -a flip=maybe", "flip must be yes or no, got 'maybe'"),
        ("noisy_digits small_fcn none -a turn=2", "unknown augmentation setting"),
        ("noisy_digits small_fcn none -m name=mix", "unknown mixing 'mix'; known: "),
        ("noisy_digits small_fcn none -m alpha=1", "unknown mixing 'None'; known: "),
        ("noisy_digits small_fcn none --device tpu", "device must be auto, cpu or"),
        ("noisy_digits small_fcn none --precision int8", "unknown precision 'int8'"),
    ],
)
def test_what_is_wrong_with_a_run_is_said_in_one_line(arguments, message, study):
    names, options = arguments.split()[:3], arguments.split()[3:]
    assert message in failed("run", *names, *TINY, *options)
    assert list(records.every()) == []


def test_a_dry_sweep_lists_runs_and_their_records(study):
    command = ["sweep", "re-table2", "--profile", "smoke", "--dry"]
    planned = studies.planned("re-table2", "smoke")
    expected = [f"{each.run.id}  none    {each.name}" for each in planned]
    assert passed(*command) == expected
    records.save(Record(planned[0].run.specification, VALUES, {}, dict(MADE)))
    first = f"{planned[0].run.id}  record  {planned[0].name}"
    assert passed(*command) == [first, *expected[1:]]
    chosen = passed("sweep", "re-table2", "--dry", "--only", "mnist-fcn1200 0.1,cub200")
    names = ["mnist-fcn1200 0.1", "mnist-fcn1200 0.15"]
    names += [f"cub200-resnet34 {alpha}" for alpha in ("0", "0.05", "0.1", "0.15", "0.3")]
    assert [line[22:] for line in chosen] == names
    assert not (study / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("re-table9", "unknown table 're-table9'; known: annotators, cskd-"),
        ("re-table2 --only svhn", "no run of re-table2 begins with 'svhn': mnist-fcn1200 0, "),
        ("re-table2 --profile fast", "unknown profile 'fast'; known: paper, quick, smoke"),
        ("re-table2 --device tpu", "device must be auto, cpu or cuda, got 'tpu'"),
        ("re-figure8 --profile quick", "unknown profile of Figure 8 'quick'; known: paper"),
        ("cskd-table5 --profile quick", "unknown profile of Table 5 'quick'; known: paper"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "rescore"])
def test_a_sweep_of_something_unknown(command, arguments, message, study):
    assert message in failed(command, *arguments.split())


def test_a_record_that_is_damaged_or_missing_is_named(study):
    for id in ("abc", "*"):
        assert f"no record has the id {id!r}" in failed("rerun", id)
    wanted = Run("digits", "small_cnn", "ls")
    records.save(Record(wanted.specification, VALUES, {}, dict(MADE)))
    file = file_of(study, "digits")
    file.write_text(file.read_text()[:40])
    assert f"{file}, line 1, is damaged" in failed("records")
    (study / "_config.yml").unlink()
    assert "no _config.yml in" in failed("records")
    assert "no _config.yml in" in failed("run", *NETWORK_ON_DIGITS, "none", *TINY)


@pytest.fixture
def toy_table(study, monkeypatch):
    """Carry out a table ``toy`` of a network and of one that it teaches; return their runs."""
    options = {"data": {"train": 5, "test": 5}, "recipe": {"epochs": 2, "batch": 16}}
    teacher = Run("noisy_digits", "small_fcn", "none", **options)
    student = Run("noisy_digits", "small_fcn", "distil", **options, teachers=(teacher,))
    planned = [Planned(each, bench="toy", strategy=each.method) for each in (teacher, student)]
    monkeypatch.setitem(studies.TABLES, "toy", lambda profile: planned)
    for each in planned:
        perform([each], Execution("cpu"), records.folder(), study / "runs")
    return teacher, student


def test_networks_whose_weights_are_here_get_the_metrics_that_their_records_lack(study, toy_table):
    teacher, student = toy_table
    before = records.load(teacher).values["plain"]
    changed = ""
    for line in map(json.loads, file_of(study).read_text().splitlines()):
        del line["values"]["plain"]["brier"], line["intervals"]["plain"]["brier"]
        line["values"]["plain"]["ece_15_left"] = 0.5
        del line["crc32"]
        changed += json.dumps(line, separators=(",", ":")) + "\n"
    file_of(study).write_text(changed)
    (study / "runs" / student.id / NETWORK).unlink()
    assert passed("rescore", "toy", "--device", "cpu") == [
        f"1 toy none: {teacher.id}",
        "1 of 2 networks have their weights here and were measured",
    ]
    found = records.load(teacher).values["plain"]
    assert found["brier"] == pytest.approx(before["brier"])
    assert found["ece_15_left"] == 0.5  # what a record has stays
    assert "brier" not in records.load(student).values["plain"]


def test_a_recorded_run_is_run_again_with_its_teachers_and_compared(study, toy_table, monkeypatch):
    stay_in_this_process(monkeypatch)
    student = records.load(toy_table[1])
    before = {path: path.read_bytes() for path in (study / "book" / "results").glob("*.jsonl")}
    weights = sorted((study / "runs").rglob("*"))
    again = passed("rerun", student.id, "--workers", "2", "--device", "cpu")
    assert again[0] == "runs to do: 2"
    assert {path: path.read_bytes() for path in before} == before
    assert sorted((study / "runs").rglob("*")) == weights
    value = f"{student.values['plain']['kl_to_truth']:.4f}"
    assert ["plain", "kl_to_truth", value, value] in [line.split() for line in again]
