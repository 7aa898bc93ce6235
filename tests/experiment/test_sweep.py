"""Sweeps: each run once, teachers first, and nothing lost to kills, failures or full disks."""

import errno
import io
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from distributed import LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from ldlstudy import device, studies
from ldlstudy.device import Execution
from ldlstudy.experiment import records, sweep, workers
from ldlstudy.experiment.plan import Planned, merged
from ldlstudy.experiment.prepare import NETWORK, checkpoint_of, workplace
from ldlstudy.experiment.records import Record, Run
from tests.conftest import ROOT
from tests.experiment.runs import (
    CUTMIX,
    KINDS,
    TEACHER,
    equal,
    plans,
    stay_in_this_process,
    tiny,
    until,
    weights,
)  # fmt: skip
from tests.report.made import MADE

STUDENTS = [tiny("kd", {"weight": w, "temperature": 2.0}, [TEACHER]) for w in (0.3, 0.7)]
GRANDCHILD = tiny("distil", {}, [STUDENTS[0]])
ALONE = tiny("ls", {"epsilon": 0.1})
ALIKE = [tiny("ls", {"epsilon": e}, recipe={"order": 1}) for e in (0.1, 0.2, 0.3, 0.4)]
ON_POINTS = Run("six_gaussians", "bayes", "bayes")


class Study:
    """A folder to sweep in, and what has been carried out, at once and in all, and said there."""

    def __init__(self, folder):
        self.results, self.work = folder / "results", folder / "work"
        self.executed, self.groups, self.said = [], [], []

    def sweep(self, runs, **options):
        planned = [run if isinstance(run, Planned) else Planned(run) for run in runs]
        said = options.pop("say", self.said.append)
        return sweep.sweep(planned, results=self.results, work=self.work, say=said, **options)

    def records(self):
        """Return each record by its id."""
        return {record.id: record for record in records.every(self.results)}

    def state(self):
        """Return what tells whether a record or weights have been written anew."""
        lines = [
            (record.id, (record.values, record.made["seconds"]))
            for record in records.every(self.results)
        ]
        files = self.work.glob(f"*/{NETWORK}")
        return dict(lines) | {f: (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def noted(study, monkeypatch, carry_out):
    """Let ``carry_out`` do the work of a sweep in this process, and note what it is given."""

    def execute(planned, *arguments):
        study.executed.extend(each.run for each in planned)
        study.groups.append(len(planned))
        return carry_out(planned, *arguments)

    stay_in_this_process(monkeypatch)
    monkeypatch.setattr(sweep, "execute", execute)
    return study


@pytest.fixture
def here(study, monkeypatch):
    """Return a study that knows the runs carried out, all in this process."""
    return noted(study, monkeypatch, sweep.execute)


def pretend(planned, *_):
    """Carry out nothing, and return a record for each run."""
    return [
        Record(each.run.specification, {"plain": {"accuracy": 0.5}}, {}, dict(MADE), each.keep)
        for each in planned
    ]


def test_teachers_come_first_and_each_run_is_done_once(here):
    assert here.sweep([GRANDCHILD, *STUDENTS, ALONE, STUDENTS[0]]) == 5
    done = here.executed
    assert len(done) == len(set(done)) == 5
    assert set(done) == {GRANDCHILD, *STUDENTS, ALONE, TEACHER}
    for student in (GRANDCHILD, *STUDENTS):
        assert done.index(student.teachers[0]) < done.index(student)
    assert here.said[0] == "runs to do: 5"
    assert [line.split()[0] for line in here.said[1:]] == [f"{i}/5" for i in range(1, 6)]
    assert f"kd (weight 0.3, temperature 2.0), seed 0: {STUDENTS[0].id}" in "".join(here.said)
    assert set(here.records()) == {run.id for run in done}
    assert not list(here.work.rglob("checkpoint*"))


def test_what_has_a_record_is_not_run_again(here):
    assert here.sweep([STUDENTS[0]]) == 2
    before = here.state()
    assert here.sweep([STUDENTS[0], TEACHER]) == 0
    assert here.sweep(STUDENTS) == 1
    assert here.executed[2:] == [STUDENTS[1]]
    assert before.items() <= here.state().items()
    assert here.sweep([]) == 0
    assert here.said[-1] == "runs to do: 0"


def test_a_run_of_which_more_is_to_be_kept_is_run_again_and_its_record_gets_it(here):
    assert here.sweep([Planned(ALONE, ("by_class",))]) == 1
    before = here.records()[ALONE.id]
    wanted = [Planned(ALONE, ("reliability",)), Planned(ALONE, ("neighbours",))]
    assert merged(wanted)[ALONE].keep == ("neighbours", "reliability")
    assert here.sweep(wanted) == 1
    record = here.records()[ALONE.id]
    assert record.kept == ("by_class", "neighbours", "reliability")
    assert set(record.all_figures) == {"by_class", "reliability", "history"}
    assert record.values["plain"].items() >= before.values["plain"].items()
    assert "recall_at_1" in record.values["plain"]
    assert here.sweep([*wanted, Planned(ALONE, ("by_class",))]) == 0


def test_losses_of_each_class_are_there_once_they_are_said_to_be_kept(here):
    here.sweep([ALONE])
    here.sweep([Planned(ALONE, ("class_loss",))])
    record = here.records()[ALONE.id]
    assert record.kept == ("class_loss",)
    assert "train_class_loss" in record.figure("history")


def test_a_teacher_without_weights_is_trained_again_and_keeps_its_record(here):
    here.sweep([TEACHER, ALONE])
    file = here.results / "noisy_digits.jsonl"
    line = next(text for text in file.read_text().splitlines() if TEACHER.id in text)
    for run in (TEACHER, ALONE):
        (workplace(run, here.work) / NETWORK).unlink()
    assert here.sweep([TEACHER, ALONE]) == 0
    assert here.sweep([STUDENTS[0], ALONE]) == 2
    assert here.executed[2:] == [TEACHER, STUDENTS[0]]
    assert line in file.read_text().splitlines()


def test_a_failing_run_stops_its_students_alone(here):
    broken = replace(TEACHER, recipe={**TEACHER.recipe, "rate": 1e30})
    student = replace(STUDENTS[0], teachers=(broken,))
    last = replace(GRANDCHILD, teachers=(student,))
    with pytest.raises(ValueError, match="3 of 5 runs failed:") as caught:
        here.sweep([last, STUDENTS[1]])
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == 3
    assert f"{broken.id}: ValueError: the loss is no longer finite in epoch 1" in lines[0]
    assert "its teacher failed (noisy_digits small_fcn none, seed 0: " in lines[1]
    assert f"{last.id}: its teacher failed (noisy_digits small_fcn kd" in lines[2]
    assert set(here.records()) == {TEACHER.id, STUDENTS[1].id}
    assert any(line.startswith("failed: ") for line in here.said)


def test_a_full_disk_leaves_no_half_record(here, monkeypatch):
    here.sweep([TEACHER])
    rename = os.replace

    def full(source, target):
        if str(target).endswith("noisy_digits.jsonl"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(
            ValueError, match="1 of 1 runs failed:.*\n.*No space .*noisy_digits.jsonl'"
        ):
            here.sweep([ALONE])
    assert set(here.records()) == {TEACHER.id}
    assert not [file for file in here.results.iterdir() if file.suffix not in (".jsonl", ".lock")]
    assert checkpoint_of(workplace(ALONE, here.work)).exists()
    assert here.sweep([ALONE]) == 1
    assert len(here.records()[ALONE.id].figure("history")["loss"]) == 3


def test_the_engine_of_points_trains_its_teachers_itself(here, monkeypatch):
    student = replace(ON_POINTS, method="ils2", model="mlp64x1", teachers=(ON_POINTS,))
    asked = []

    def execute(planned, device):
        asked.append((planned.run, device))
        return pretend([planned])[0]

    monkeypatch.setattr(sweep.points, "execute", execute)
    assert here.sweep([student]) == 1
    assert asked == [(student, "cpu")]


def test_two_sweeps_at_once(here):
    with sweep.alone(here.work), pytest.raises(ValueError, match="another sweep is at work in"):
        here.sweep([ALONE])
    assert here.executed == []
    assert here.sweep([ALONE]) == 1


@pytest.mark.parametrize("name", ["workers", "together"])
@pytest.mark.parametrize("number", [-1, 0, 1.5])
def test_a_wrong_number_of_workers_or_of_runs_together(name, number, here):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1"):
        here.sweep([ALONE], **{name: number})


@pytest.mark.parametrize(
    ("runs", "given", "workers"),
    [([ON_POINTS], None, 1), (ALIKE, None, min(4, device.cores())), (ALIKE, 9, 4), ([], 9, 1)],
)
def test_no_more_workers_than_runs(runs, given, workers, here, monkeypatch):
    asked, inside = [], sweep.pool
    monkeypatch.setattr(sweep, "pool", lambda *given: asked.append(given[0]) or inside(*given))
    monkeypatch.setattr(sweep, "execute", pretend)
    here.sweep(runs, workers=given)
    assert asked == [workers]


def test_the_second_of_two_workers_finds_the_record(here):
    arguments = plans([ALONE]), Execution(), here.results, here.work
    with ThreadPoolExecutor(2) as pool:
        ran = [pool.submit(sweep.perform, *arguments) for _ in range(2)]
    assert [future.result() for future in ran] == [{}, {}]
    assert here.executed == [ALONE]


def test_live_runs_leave_nothing_but_their_records_in_memory(here, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = sweep.live([Planned(STUDENTS[0], ("reliability",)), Planned(ALONE)], title=None)
    assert set(here.executed) == {TEACHER, STUDENTS[0], ALONE}
    assert set(found) == {STUDENTS[0], ALONE}
    assert set(found[STUDENTS[0]].figure("reliability")) == {"plain", "fitted", "searched"}
    assert len(found[ALONE].figure("history")["loss"]) == 3
    assert list(tmp_path.iterdir()) == []


def test_runs_whose_record_cannot_be_written_are_named_and_the_others_are_done(here, monkeypatch):
    save, wanted = records.save, plans(STUDENTS)

    def full(record, results):
        if record.id == STUDENTS[0].id:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(results / "set.jsonl"))
        save(record, results)

    monkeypatch.setattr(records, "save", full)
    sweep.perform(plans([TEACHER]), Execution(), here.results, here.work, {TEACHER})
    failed = sweep.perform(wanted, Execution(), here.results, here.work)
    assert list(failed) == [STUDENTS[0]]
    assert re.search(r"No space left on device.*set\.jsonl", failed[STUDENTS[0]])
    assert all(sweep.done(each, here.results, here.work) for each in wanted[1:])
    with pytest.raises(OSError, match="No space left"):
        sweep.perform(wanted[:1], Execution(), here.results, here.work)


def test_live_runs_of_a_stopped_build_are_not_trained_again(here, monkeypatch, tmp_path):
    monkeypatch.setenv(sweep.LIVE, str(tmp_path / "trained"))
    first = sweep.live([Planned(STUDENTS[0])], title=None)
    assert set(here.executed) == {TEACHER, STUDENTS[0]}
    here.executed.clear()
    again = sweep.live([Planned(STUDENTS[0]), Planned(ALONE)], title=None)
    assert here.executed == [ALONE]
    assert again[STUDENTS[0]].values == first[STUDENTS[0]].values
    assert again[STUDENTS[0]].figure("history") == first[STUDENTS[0]].figure("history")


def test_the_bar_of_live_runs_counts_teachers_of_teachers(here, monkeypatch):
    bars = []

    def progress(total, *_):
        bars.append(tqdm(total=total, file=io.StringIO()))
        return bars[-1]

    monkeypatch.setattr(device, "progress", progress)
    sweep.live([Planned(GRANDCHILD)])
    assert bars[0].n == bars[0].total == len(here.executed) == 3


# Processes that are killed


def test_a_killed_worker_is_reported_and_the_next_sweep_goes_on(study, monkeypatch):
    others = set(multiprocessing.active_children())

    def kill(line):
        study.said.append(line)
        if line.startswith("1/4"):
            workers = set(multiprocessing.active_children()) - others
            assert len(workers) == 2
            os.kill(workers.pop().pid, signal.SIGKILL)

    runs = [GRANDCHILD, *STUDENTS]
    with pytest.raises(ValueError, match="a worker was killed, perhaps for want of memory"):
        study.sweep(runs, workers=2, say=kill)
    until(lambda: set(multiprocessing.active_children()) <= others)
    before, finished = study.state(), study.records()
    assert TEACHER.id in finished
    stay_in_this_process(monkeypatch)
    assert study.sweep(runs) == 4 - len(finished)
    assert before.items() <= study.state().items()
    assert set(study.records()) == {run.id for run in (*runs, TEACHER)}


def die(planned):
    """Carry a run out as a worker does that is killed in the midst of it."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_run_of_a_killed_worker_is_named():
    todo, said = plans([ALONE, TEACHER, *STUDENTS]), []

    def one_by_one(ready):
        return [[each] for each in ready]

    with (
        pytest.raises(ValueError, match="with fewer workers if need be; its run was:") as caught,
        workers.pool(1, None) as pool,
    ):
        sweep._carry_out(todo, one_by_one, die, pool, said.append, 1)
    assert str(caught.value).splitlines()[1:] == [
        f"  noisy_digits small_fcn ls (epsilon 0.1), seed 0: {ALONE.id}"
    ]
    assert said == []


def go_on(folder, *arguments):
    """Start ``ldlstudy sweep`` in a session of its own, as a terminal would."""
    (folder / "_config.yml").touch()
    code = "from ldlstudy.cli import app; app()"
    table = ["sweep", "re-table2", "--profile", "smoke", "--device", "cpu", *arguments]
    return subprocess.Popen(
        [sys.executable, "-c", code, *table],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def gone(group):
    """Return whether no process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def importing(parent):
    """Return whether a worker has been started."""
    workers = ["pgrep", "-P", str(parent), "-f", "forkserver"]
    return subprocess.run(workers, stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(
    ("moment", "how"),
    [
        ("starting", signal.SIGINT),
        ("running", signal.SIGINT),
        ("running", signal.SIGTERM),
        ("starting", signal.SIGKILL),
        ("running", signal.SIGKILL),
    ],
)
def test_what_ends_a_sweep_ends_its_workers_at_once(moment, how, tmp_path, monkeypatch):
    """A terminal tells all processes, as in the first case; ``kill`` the parent alone."""
    row = "noisy_digits-small_cnn 0.1"
    process = go_on(tmp_path, "--only", row, "--workers", "1", "--together", "1")
    assert process.stdout.readline() == "runs to do: 4\n"
    results = tmp_path / "book" / "results"
    if moment == "starting":
        until(lambda: importing(process.pid), process)
    if (moment, how) == ("starting", signal.SIGINT):
        os.kill(process.pid, signal.SIGSTOP)  # what a worker would print, it prints now
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1)
        os.kill(process.pid, signal.SIGCONT)
    else:
        if moment == "running":
            until((results / "noisy_digits.jsonl").exists, process)
        os.kill(process.pid, how)
    _, errors = process.communicate(timeout=60)
    if how == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130, errors
        assert errors == "ldlstudy: interrupted; what was finished is kept\n"
    until(lambda: gone(process.pid), seconds=60)
    first = {record.id: record.made for record in records.every(results)}
    assert len(first) < 4
    stay_in_this_process(monkeypatch)
    monkeypatch.chdir(tmp_path)
    planned = [p for p in studies.planned("re-table2", "smoke") if p.name.startswith(row)]
    assert sweep.sweep(planned) == 4 - len(first)
    after = {record.id: record.made for record in records.every(results)}
    assert set(after) == {each.run.id for each in planned}
    assert all(after[id] == made for id, made in first.items())


KILLS = """
import contextlib, importlib, os, pathlib, random, signal, sys, time
from concurrent.futures import ThreadPoolExecutor
from ldlstudy import data, device
from ldlstudy.experiment import sweep, workers
from tests.experiment.runs import KINDS, plans

@contextlib.contextmanager
def pool(workers, cluster):
    with ThreadPoolExecutor(1) as executor:
        yield executor

class Bar:
    steps = 0
    __enter__ = lambda self: self
    __exit__ = lambda self, *_: None
    set_postfix = lambda self, **_: None
    def update(self, count):
        Bar.steps += count > 0
        if Bar.steps == wanted:
            os.write(write, b"x")

sweep.pool, device.progress = pool, lambda *_: Bar()

def start():
    child = os.fork()
    if not child:
        os.close(read)
        sweep.sweep(plans(KINDS[kind]), workers=1, results=folder / "results", work=folder / "work",
                    say=lambda _: None)
        os._exit(0)
    os.close(write)
    return child

def checkpoints():
    return list(folder.glob("work/*/checkpoint*"))

def at_work():
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

data.load("digits")  # what it needs is loaded once for all children, as workers load the rest
for name in workers.PRELOADED:
    importlib.import_module(name)
for kind in KINDS:
    folder, chance = pathlib.Path(sys.argv[1]) / kind, random.Random(kind)
    for number in range(5):
        wanted = chance.randrange(1, 9)
        read, write = os.pipe()
        child = start()
        os.read(read, 1)  # until it has taken so many steps, or is done
        while number % 2 and not checkpoints() and at_work():
            time.sleep(0.001)  # a slow disk takes longer than some steps
        time.sleep(chance.random() / 100)
        os.kill(child, signal.SIGKILL)
        killed = os.waitpid(child, 0)[1] == signal.SIGKILL
        os.close(read)
        print(kind, killed, len(checkpoints()), sep=":", flush=True)
    wanted = None
    read, write = os.pipe()
    assert os.waitpid(start(), 0)[1] == 0
"""


def test_sweeps_that_are_killed_at_thirty_moments_end_as_those_that_were_not(tmp_path, monkeypatch):
    """Five of each kind; one process has imported what they need."""
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    moments = [line.split(":") for line in done.stdout.splitlines()]
    stay_in_this_process(monkeypatch)
    for kind, runs in KINDS.items():
        own = [(killed == "True", int(left)) for name, killed, left in moments if name == kind]
        assert len(own) == 5
        assert own[0][0]
        assert any(checkpoints for _, checkpoints in own)
        killed, whole = Study(tmp_path / kind), Study(tmp_path / "whole" / kind)
        whole.sweep(runs, workers=1)
        found, expected = killed.records(), whole.records()
        assert found.keys() == expected.keys()
        for run in runs:
            record, other = found[run.id], expected[run.id]
            assert (record.values, record.intervals) == (other.values, other.intervals)
            assert {**record.figure("history"), "seconds": []} == {
                **other.figure("history"),
                "seconds": [],
            }
            assert equal(weights(run, killed.work), weights(run, whole.work))
        assert not list(killed.work.rglob("checkpoint*"))


def test_a_cluster_that_loses_a_worker_loses_nothing(study, tmp_path, monkeypatch):
    """Two threads a worker: a process has one run at a time, for dropout draws from its one."""
    runs = [GRANDCHILD, *STUDENTS, ALONE, replace(ALONE, seed=1), replace(ALONE, seed=2)]
    snapshots = []
    with LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=None, worker_dashboard_address=None
    ) as cluster:

        def kill(line):
            snapshots.append(study.state())
            if line.startswith("3/7"):
                worker = next(iter(cluster.workers.values()))
                os.kill(worker.process.process.pid, signal.SIGKILL)

        assert study.sweep(runs, cluster=cluster.scheduler_address, say=kill) == 7
    final, found = study.state(), study.records()
    assert len(found) == 7
    for snapshot in snapshots:  # what was finished then has not been done again
        done = found.keys() & snapshot.keys()
        done |= {study.work / id / NETWORK for id in done}
        assert all(snapshot[each] == final[each] for each in done)
    ordinary = Study(tmp_path / "ordinary")
    stay_in_this_process(monkeypatch)
    ordinary.sweep(runs)
    assert {id: r.values for id, r in found.items()} == {
        id: r.values for id, r in ordinary.records().items()
    }


# Runs that are trained together


@pytest.mark.parametrize(
    ("workers", "together", "sizes"),
    [(1, 4, [4]), (1, 3, [3, 1]), (1, 1, [1] * 4), (2, 4, [2, 2]), (3, 4, [1] * 4)],
)
def test_how_many_of_the_same_batches_go_together(workers, together, sizes, study, monkeypatch):
    noted(study, monkeypatch, pretend)
    study.sweep(ALIKE, workers=workers, together=together)
    assert study.groups == sizes


def test_others_and_runs_on_points_go_alone(study, monkeypatch):
    noted(study, monkeypatch, pretend)
    points = [replace(ON_POINTS, seed=seed) for seed in (1, 2)]
    study.sweep([*points, ALONE, replace(ALONE, seed=2), tiny(seed=1), ALIKE[0]], workers=1)
    # the seed of one is the order of another
    assert sorted(study.groups) == [1, 1, 1, 1, 2]


@settings(max_examples=25)
@given(st.integers(0, 9), st.integers(1, 5), st.integers(1, 6))
def test_groups_are_of_all_runs_and_leave_no_worker_idle(count, together, workers):
    runs = [replace(ALIKE[i % 4], seed=i) for i in range(count)]
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as folder:
        study = noted(Study(Path(folder)), patched, pretend)
        assert study.sweep(runs, workers=workers, together=together) == count
    assert study.executed == runs
    assert max(study.groups, default=1) <= together
    assert len(study.groups) >= min(count, workers)


def online(**options):
    options = {"mixing": CUTMIX, "augmentation": {"shift": 1}, **options}
    return tiny("distil", {"relabel": True}, [TEACHER], **options)


def test_the_records_do_not_tell_who_was_trained_together(here, tmp_path):
    runs = [online(recipe={"order": 1}, seed=seed) for seed in (0, 1, 2)]
    runs += [online(recipe={"order": 1, "optimiser": "adam", "rate": 0.01}), *ALIKE[:2]]
    assert here.sweep(runs, workers=1) == 7
    assert sorted(here.groups) == [1, 2, 4]
    ours = here.records()
    here.results, here.work = tmp_path / "single", tmp_path / "work of single"
    here.groups.clear()
    assert here.sweep(runs, workers=1, together=1) == 7
    assert here.groups == [1] * 7
    theirs = here.records()
    assert ours.keys() == theirs.keys()
    for id, record in ours.items():
        assert record.values == theirs[id].values
        assert record.intervals == theirs[id].intervals
        history, expected = (r.figure("history") for r in (record, theirs[id]))
        assert history | {"seconds": []} == expected | {"seconds": []}


def test_one_of_several_that_fails_leaves_the_others_their_records(here):
    wild = replace(ALIKE[1], recipe={**ALIKE[1].recipe, "rate": 1e30})
    with pytest.raises(ValueError, match="1 of 3 runs failed:") as caught:
        here.sweep([ALIKE[0], wild, ALIKE[2]], workers=1)
    assert here.groups == [3, 1, 1, 1]
    assert f"{wild.id}: ValueError: the loss is no longer finite in epoch 1" in str(caught.value)
    assert set(here.records()) == {ALIKE[0].id, ALIKE[2].id}
    assert [line.split()[0] for line in here.said] == ["runs", "1/3", "failed:", "2/3"]


def test_what_does_not_fit_into_memory_together_goes_alone(study, monkeypatch):
    def execute(planned, *arguments):
        if len(planned) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if planned[0].run == ALIKE[3]:
            raise OSError("a disk that does not answer")
        return pretend(planned)

    noted(study, monkeypatch, execute)
    with pytest.raises(ValueError, match="1 of 4 runs failed:.*\n.*OSError: a disk that does not"):
        study.sweep(ALIKE, workers=1)
    assert set(study.records()) == {run.id for run in ALIKE[:3]}


def test_a_group_goes_on_with_those_that_have_no_record(study, monkeypatch):
    noted(study, monkeypatch, pretend)
    assert study.sweep(ALIKE[:1], workers=1) == 1
    for _ in range(2):
        failed = sweep.perform(plans(ALIKE), Execution(), study.results, study.work)
        assert failed == {}
        assert study.groups == [1, 3]
        assert study.executed == ALIKE


def test_an_interrupt_is_not_tried_again_one_by_one(study, monkeypatch):
    def execute(planned, *arguments):
        raise KeyboardInterrupt

    noted(study, monkeypatch, execute)
    with pytest.raises(KeyboardInterrupt):
        sweep.perform(plans(ALIKE), Execution(), study.results, study.work)
    assert study.executed == ALIKE
