import json

import pytest
from typer.testing import CliRunner

from ldlstudy import records, smoothing, studies
from ldlstudy.cli import app
from ldlstudy.setting import NETWORK

runner = CliRunner()
TINY = [
    "-d", "train=5", "-d", "test=5", "-t", "epochs=2", "-t", "batch=16",
    "-t", 'network={"hidden":[8]}', "--profile", "smoke", "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Return the folder of an empty study, and work in it."""
    (tmp_path / "_config.yml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return runner.invoke(app, ["run", *arguments, *TINY])


def failed(result):
    """Return what a command that failed as it should has to say: one line."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("ldlstudy: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_run_its_student_and_the_list_of_records(study):
    result = run("noisy_digits", "small_fcn", "none", "--seed", "3")
    assert result.exit_code == 0, result.output
    ((file, record),) = records.every()
    lines = result.stdout.splitlines()
    assert lines[0] == str(file)
    accuracy = record.estimates["plain"]["accuracy"]
    value, low, high = (f"{number:.4f}" for number in accuracy)
    assert lines[1].split() == ["plain", "accuracy", value, f"[{low},", f"{high}]"]
    assert len(lines) == 1 + sum(len(row) for row in record.estimates.values())
    assert (record.specification["seed"], record.specification["data"]) == (
        3, {"train": 5, "test": 5},
    )  # fmt: skip
    id = file.stem.removeprefix("none-")
    assert (study / "runs" / id / NETWORK).exists()

    taught = run("noisy_digits", "small_fcn", "kd", "-p", "weight=0.5", "-p", "temperature=2",
                 "-p", "square=False", "--teacher", id)  # fmt: skip
    assert taught.exit_code == 0, taught.output
    student = records.find(next(f for f, _ in records.every() if f.stem[:2] == "kd").stem[3:])
    assert student.teachers == (records.find(id),)
    assert student.parameters == {"weight": 0.5, "temperature": 2, "square": False}

    listed = runner.invoke(app, ["records", "--metric", "ece"]).stdout.splitlines()
    assert len(listed) == 2
    error = record.estimates["plain"]["ece"][0]
    expected = f"noisy_digits, small_fcn, smoke, seed 3, 1 replicates: ece {error:.4f}, 1 networks"
    assert f"none-{id} " in listed[1]
    assert expected in listed[1]
    assert runner.invoke(app, ["records", "--dataset", "mnist"]).stdout == ""


def test_a_run_with_a_record_is_not_run_again(study):
    first = run("noisy_digits", "small_fcn", "ls", "-p", "epsilon=0.1")
    ((file, _),) = records.every()
    before = file.stat().st_ino
    assert run("noisy_digits", "small_fcn", "ls", "-p", "epsilon=0.1").stdout == first.stdout
    assert file.stat().st_ino == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cifar", "small_fcn", "none"], "unknown data set 'cifar'; known: cifar10, "),
        (["digits", "resnet", "none"], "unknown model 'resnet'; known: alexnet24, "),
        (["digits", "small_fcn", "cutmix"], "unknown method 'cutmix'; known: adacos, "),
        (["digits", "small_fcn", "kd"], "method 'kd' needs a teacher, the run names 0"),
        (["digits", "small_fcn", "none", "--teacher", "abc"], "no record has the id 'abc'"),
        (["noisy_digits", "small_fcn", "ls", "-p", "epsilon"], "a value is given as name=value"),
        (["noisy_digits", "small_fcn", "ls", "-p", "epsilon=much"], "method 'ls' with"),
        (["noisy_digits", "small_fcn", "ls", "-p", "epsilon=2"], "epsilon must lie in [0, 1]"),
        (["noisy_digits", "small_fcn", "ls", "-p", "alpha=0.1"], "method 'ls' with {'alpha': 0.1}"),
        (["noisy_digits", "small_fcn", "none", "-t", "rate=fast"], "training {"),
        (["noisy_digits", "small_fcn", "none", "-t", "speed=2"], "unknown training setting"),
        (["noisy_digits", "small_fcn", "none", "-d", "sigmas=2"], "unknown option 'sigmas'"),
        (["noisy_digits", "small_fcn", "none", "--device", "tpu"], "device must be auto, cpu or"),
        (["noisy_digits", "small_fcn", "none", "--precision", "int8"], "unknown precision 'int8'"),
        (["noisy_digits", "small_fcn", "none", "--profile", "fast"], "unknown profile 'fast'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(arguments, message, study):
    last = [*TINY, *arguments[3:]]
    result = runner.invoke(app, ["run", *arguments[:3], *last])
    assert message in failed(result)
    assert list(records.every()) == []


def test_values_are_json_python_or_text(study):
    assert "got 'yes'" in failed(run("noisy_digits", "small_fcn", "none", "-t", "nesterov=yes"))
    result = run("noisy_digits", "small_fcn", "none", "-t", "nesterov=True", "-t", "drops=[1]",
                 "-t", "schedule=steps", "-d", 'augment={"shift":1}')  # fmt: skip
    assert result.exit_code == 0, result.output
    ((_, record),) = records.every()
    training = record.specification["training"]
    assert (training["nesterov"], training["drops"], training["schedule"]) == (True, [1], "steps")
    assert record.specification["data"]["augment"] == {"shift": 1}


def test_a_dry_sweep_lists_runs_and_their_records(study):
    result = runner.invoke(app, ["sweep", "re-table2", "--profile", "smoke", "--dry"])
    named = studies.runs("re-table2", "smoke")
    expected = [f"{run.id}  none    {name}" for name, run in named.items()]
    assert result.stdout.splitlines() == expected
    name, wanted = next(iter(named.items()))
    records.save(wanted, records.Record(wanted.specification, {}, {}, {}, {}))
    again = runner.invoke(app, ["sweep", "re-table2", "--profile", "smoke", "--dry"])
    assert again.stdout.splitlines() == [f"{wanted.id}  record  {name}", *expected[1:]]
    assert not (study / "runs").exists()


def test_only_some_runs_of_a_table(study):
    command = ["sweep", "re-table2", "--dry", "--only", "mnist-fcn1200 0.1,cifar10-resnet20"]
    names = [line[22:] for line in runner.invoke(app, command).stdout.splitlines()]
    assert names == [
        "mnist-fcn1200 0.1",
        "mnist-fcn1200 0.15",
        "cifar10-resnet20-reduced 0",
        "cifar10-resnet20-reduced 0.1",
    ]
    assert "no run of re-table2 begins with 'svhn': mnist-fcn1200 0, " in failed(
        runner.invoke(app, ["sweep", "re-table2", "--only", "svhn"])
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["re-table9"], "unknown table 're-table9'; known: cskd-"),
        (["re-table2", "--profile", "fast"], "unknown profile 'fast'; known: paper, quick, smoke"),
        (["re-table2", "--device", "tpu"], "device must be auto, cpu or cuda, got 'tpu'"),
        (["re-figure8", "--profile", "quick"], "unknown profile of Figure 8 'quick'; known: paper"),
        (["cskd-table5", "--profile", "quick"], "unknown profile of Table 5 'quick'; known: paper"),
    ],
)
def test_a_sweep_of_something_unknown(arguments, message, study):
    assert message in failed(runner.invoke(app, ["sweep", *arguments]))


def test_outside_a_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no _config.yml in" in failed(run("noisy_digits", "small_fcn", "none"))
    assert "no _config.yml in" in failed(runner.invoke(app, ["records"]))


def test_a_damaged_record_is_named(study):
    wanted = smoothing.runs("smoke")["digits-small_cnn 0.1"]
    file = records.save(wanted, records.Record(wanted.specification, {}, {}, {}, {}))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 2}))
    assert f"{file} has format 2, this version reads format 1" in failed(
        runner.invoke(app, ["records"])
    )


def test_a_recorded_run_is_run_again_with_its_teachers_and_compared(study):
    assert run("noisy_digits", "small_fcn", "none").exit_code == 0
    ((file, _),) = records.every()
    taught = run("noisy_digits", "small_fcn", "distil", "--teacher", file.stem[5:])
    assert taught.exit_code == 0, taught.output
    student = next(f for f, _ in records.every() if f.stem.startswith("distil"))
    before = {path: path.read_bytes() for path, _ in records.every()}
    weights = sorted((study / "runs").rglob("*"))
    again = runner.invoke(app, ["rerun", student.stem[-12:], "--workers", "1", "--device", "cpu"])
    assert again.exit_code == 0, again.output
    assert again.stdout.startswith("2 runs to do")
    assert {path: path.read_bytes() for path, _ in records.every()} == before
    assert sorted((study / "runs").rglob("*")) == weights
    value = f"{records.read(student).estimates['plain']['kl_to_truth'][0]:.4f}"
    shown = [line.split() for line in again.stdout.splitlines()]
    assert ["plain", "kl_to_truth", value, value] in shown


@pytest.mark.parametrize("id", ["abc", "*"])
def test_a_run_without_a_record_is_not_run_again(study, id):
    assert f"no record has the id {id!r}" in failed(runner.invoke(app, ["rerun", id]))
