import contextlib
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import records, studies, sweep
from ldlstudy.execution import Execution
from ldlstudy.records import Record
from ldlstudy.setting import CHECKPOINT, NETWORK, workplace
from tests.test_images import SIZES, TEACHER, tiny, until

STUDENTS = [tiny("kd", {"weight": w, "temperature": 2.0}, [TEACHER]) for w in (0.3, 0.7)]
GRANDCHILD = tiny("distil", {}, [STUDENTS[0]])
ALONE = tiny("ls", {"epsilon": 0.1})


class Study:
    """A folder to sweep in, and what has been executed and said there."""

    def __init__(self, folder):
        self.results, self.work = folder / "results", folder / "work"
        self.executed, self.said = [], []

    def sweep(self, runs, **options):
        said = options.pop("say", self.said.append)
        return sweep.sweep(runs, results=self.results, work=self.work, say=said, **options)

    def records(self):
        """Return the content of each record by the id of its run."""
        return {file.stem[-12:]: record for file, record in records.every(self.results)}

    def state(self):
        """Return what tells whether a record or weights have been written anew."""
        files = [*self.results.rglob("*.json"), *self.work.glob(f"*/{NETWORK}")]
        return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def stay_in_this_process(monkeypatch):
    """Carry runs out one after the other where processes of their own are not the point."""

    @contextlib.contextmanager
    def pool(workers, cluster):
        with ThreadPoolExecutor(1) as executor:
            yield executor

    monkeypatch.setattr(sweep, "pool", pool)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)


@pytest.fixture
def here(study, monkeypatch):
    """Return a study that knows the runs carried out, all in this process."""
    carry_out = sweep.execute

    def execute(runs, *arguments):
        study.executed.extend(runs)
        return carry_out(runs, *arguments)

    stay_in_this_process(monkeypatch)
    monkeypatch.setattr(sweep, "execute", execute)
    return study


def test_teachers_come_first_and_each_run_is_done_once(here):
    assert here.sweep([GRANDCHILD, *STUDENTS, ALONE, STUDENTS[0]]) == 5
    done = here.executed
    assert len(done) == len(set(done)) == 5
    assert set(done) == {GRANDCHILD, *STUDENTS, ALONE, TEACHER}
    for student in (GRANDCHILD, *STUDENTS):
        assert done.index(student.teachers[0]) < done.index(student)
    assert here.said[0] == "5 runs to do"
    assert [line.split()[0] for line in here.said[1:]] == [f"{i}/5" for i in range(1, 6)]
    assert set(here.records()) == {run.id for run in done}
    assert not list(here.work.rglob(CHECKPOINT))


def test_what_has_a_record_is_not_run_again(here):
    assert here.sweep([STUDENTS[0]]) == 2
    before = here.state()
    assert here.sweep([STUDENTS[0], TEACHER]) == 0
    assert here.sweep([*STUDENTS]) == 1
    assert here.executed[2:] == [STUDENTS[1]]
    assert before.items() <= here.state().items()


def test_a_teacher_without_weights_is_trained_again_and_keeps_its_record(here):
    here.sweep([TEACHER, ALONE])
    record = records.path(TEACHER, here.results)
    before = record.read_bytes(), here.state()[record]
    (workplace(TEACHER, here.work) / NETWORK).unlink()
    (workplace(ALONE, here.work) / NETWORK).unlink()
    assert here.sweep([TEACHER, ALONE]) == 0
    assert here.sweep([STUDENTS[0], ALONE]) == 2
    assert here.executed[2:] == [TEACHER, STUDENTS[0]]
    assert (record.read_bytes(), here.state()[record]) == before


def test_a_failing_run_stops_its_students_alone(here):
    broken = replace(TEACHER, training={**TEACHER.training, "rate": 1e30})
    student = replace(STUDENTS[0], teachers=(broken,))
    last = replace(GRANDCHILD, teachers=(student,))
    with pytest.raises(ValueError, match="3 of 5 runs failed:") as caught:
        here.sweep([last, STUDENTS[1]])
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == 3
    assert "the loss is no longer finite in epoch 1" in lines[0]
    assert f"{broken.id}: ValueError" in lines[0]
    assert "its teacher failed (noisy_digits small_fcn none, seed 0, smoke" in lines[1]
    assert f"smoke: {last.id}: its teacher failed (noisy_digits small_fcn kd" in lines[2]
    assert set(here.records()) == {TEACHER.id, STUDENTS[1].id}
    assert any(line.startswith("failed: ") for line in here.said)
    assert here.said[-1].split()[0] in ("1/5", "2/5", "failed:")


def test_a_full_disk_leaves_no_half_record(here, monkeypatch):
    here.sweep([TEACHER])
    rename = os.replace

    def full(source, target):
        if str(target).endswith(".json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(ValueError, match="1 of 1 runs failed:.*\n.*No space left on device"):
            here.sweep([ALONE])
    assert set(here.records()) == {TEACHER.id}
    assert not [f for f in here.results.rglob("*") if f.is_file() and f.suffix != ".json"]
    assert (workplace(ALONE, here.work) / CHECKPOINT).exists()
    assert here.sweep([ALONE]) == 1
    history = here.records()[ALONE.id].figures["history"]
    assert len(history["loss"]) == 3


def test_the_engine_of_the_synthetic_set_trains_its_teachers_itself(here, monkeypatch):
    bayes = records.Run("six_gaussians", "bayes", "bayes", profile="smoke")
    student = replace(bayes, method="ils2", model="mlp", teachers=(bayes,))
    asked = []

    def execute(run, device):
        asked.append((run, device))
        return Record(run.specification, {}, {}, {}, {})

    monkeypatch.setattr(sweep.synthetic, "execute", execute)
    assert here.sweep([student]) == 1
    assert asked == [(student, "cpu")]


def test_two_sweeps_at_once(here):
    with sweep.alone(here.work), pytest.raises(ValueError, match="another sweep is at work in"):
        here.sweep([ALONE])
    assert here.executed == []
    assert here.sweep([ALONE]) == 1


def test_the_record_of_another_version(here):
    here.sweep([ALONE])
    file = records.path(ALONE, here.results)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 2}))
    expected = rf"{file} has format 2, this version reads format 1"
    with pytest.raises(ValueError, match=expected):
        here.sweep([ALONE])


def test_a_sweep_of_nothing(here):
    assert here.sweep([]) == 0
    assert here.said == ["0 runs to do"]


@pytest.mark.parametrize("workers", [-1, 1.5])
def test_a_wrong_number_of_workers(workers, here):
    with pytest.raises(ValueError, match="workers must be a whole number of at least 1"):
        here.sweep([ALONE], workers=workers)


def test_the_second_of_two_workers_finds_the_record(here):
    arguments = [ALONE], Execution(), here.results, here.work
    with ThreadPoolExecutor(2) as pool:
        ran = [pool.submit(sweep.perform, *arguments) for _ in range(2)]
    assert [future.result() for future in ran] == [{}, {}]
    assert here.executed == [ALONE]


def test_a_killed_worker_is_reported_and_the_next_sweep_goes_on(study, monkeypatch):
    others = set(multiprocessing.active_children())

    def kill(line):
        study.said.append(line)
        if line.startswith("1/4"):
            workers = set(multiprocessing.active_children()) - others
            assert len(workers) == 2
            os.kill(workers.pop().pid, signal.SIGKILL)

    runs = [GRANDCHILD, *STUDENTS]
    with pytest.raises(ValueError, match="a worker was killed, perhaps for want of memory: what"):
        study.sweep(runs, workers=2, say=kill)
    until(lambda: set(multiprocessing.active_children()) <= others)
    before, finished = study.state(), study.records()
    assert TEACHER.id in finished
    stay_in_this_process(monkeypatch)
    assert study.sweep(runs) == 4 - len(finished)
    assert before.items() <= study.state().items()
    assert set(study.records()) == {run.id for run in (*runs, TEACHER)}


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
    workers = ["pgrep", "-P", str(parent), "-f", "spawn_main"]
    return subprocess.run(workers, stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("moment", ["starting", "running"])
def test_ctrl_c_ends_a_sweep_and_its_workers_at_once(moment, tmp_path, monkeypatch):
    """A terminal tells all processes, as in the first case; ``kill`` the parent alone."""
    row = "noisy_digits-small_cnn 0.1"
    process = go_on(tmp_path, "--only", row, "--workers", "1")
    assert process.stdout.readline() == "4 runs to do\n"
    results = tmp_path / "book" / "results"
    if moment == "starting":
        until(lambda: importing(process.pid), process)
        os.kill(process.pid, signal.SIGSTOP)  # what a worker would print, it prints now
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1)
        os.kill(process.pid, signal.SIGCONT)
    else:
        until(lambda: list(results.rglob("*.json")), process)
        os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors == "ldlstudy: interrupted; what was finished is kept\n"
    until(lambda: gone(process.pid), seconds=10)
    first = {file: file.stat().st_ino for file in results.rglob("*.json")}
    assert len(first) < 4
    stay_in_this_process(monkeypatch)
    monkeypatch.chdir(tmp_path)
    named = studies.runs("re-table2", "smoke").items()
    runs = [run for name, run in named if name.startswith(row)]
    assert sweep.sweep(runs) == 4 - len(first)
    after = {file: file.stat().st_ino for file in results.rglob("*.json")}
    assert set(after) == {records.path(run, results) for run in runs}
    assert first.items() <= after.items()


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
    final = study.state()
    finished = {file for file in final if file.suffix == ".json"}
    assert len(finished) == 7
    for snapshot in snapshots:  # what was finished then has not been written again
        done = {f for f in snapshot if f.suffix == ".json"}
        done |= {study.work / f.stem[-12:] / NETWORK for f in done}
        assert all(snapshot[f] == final[f] for f in done)
    ordinary = Study(tmp_path / "ordinary")
    stay_in_this_process(monkeypatch)
    ordinary.sweep(runs)
    one, other = study.records(), ordinary.records()
    assert {id: record.rows for id, record in one.items()} == {
        id: record.rows for id, record in other.items()
    }


# four students that see the same batches, and what differs from them in its stream alone
ALIKE = [tiny("ls", {"epsilon": e}, training={"order": 1}) for e in (0.1, 0.2, 0.3, 0.4)]
APART = [
    tiny("ls", {"epsilon": 0.1}, training={"order": 2}),
    tiny("ls", {"epsilon": 0.1}, training={"order": 1, "batch": 20}),
    tiny("ls", {"epsilon": 0.1}, training={"order": 1, "epochs": 2}),
    tiny("ls", {"epsilon": 0.1}, training={"order": 1}, augment={"shift": 1}),
    tiny("ls", {"epsilon": 0.1}, training={"order": 1}, data={**SIZES, "train": 5}),
    tiny("ls", {"epsilon": 0.1, "mixing": {"name": "mixup"}}, training={"order": 1}),
    tiny("cs_kd", {"temperature": 4.0, "weight": 1.0}, training={"order": 1}),
]


def grouped(ready, together=4, workers=1):
    return [*sweep._grouped(ready, together, workers)]


def test_runs_that_see_the_same_batches_go_together():
    assert grouped(ALIKE) == [ALIKE]
    assert grouped([ALIKE[0], *APART]) == [[ALIKE[0]], *([run] for run in APART)]
    other = tiny("none", training={"order": 1}, hidden=8, seed=7)  # network, method and seed do not
    assert grouped([ALIKE[0], APART[0], other]) == [[ALIKE[0], other], [APART[0]]]
    assert grouped([tiny(seed=1), ALIKE[0]]) == [[tiny(seed=1), ALIKE[0]]]  # its own order is 1
    assert grouped([tiny(seed=1), tiny(seed=2)]) == [[tiny(seed=1)], [tiny(seed=2)]]


def test_students_of_a_sampled_teacher_go_alone():
    """Its dropout's draws are those of the student that asks."""
    teacher = tiny(training={"passes": 5})
    students = [tiny("distil", {"temperature": t}, [teacher]) for t in (1.0, 2.0)]
    assert grouped(students) == [[student] for student in students]
    students = [replace(student, teachers=(TEACHER,)) for student in students]
    assert grouped(students) == [students]
    sampled = [tiny(training={"passes": n}) for n in (5, 20)]
    assert grouped(sampled) == [sampled]  # sampling their own answers after training


def test_synthetic_runs_go_alone():
    runs = [
        records.Run("six_gaussians", "mlp", "ls", seed=seed, profile="smoke") for seed in (1, 2)
    ]
    assert grouped(runs) == [[run] for run in runs]


@given(st.integers(0, 9), st.integers(1, 5), st.integers(1, 6))
def test_groups_are_of_all_runs_and_leave_no_worker_idle(count, together, workers):
    ready = [replace(ALIKE[i % 4], seed=i) for i in range(count)]
    groups = grouped(ready, together, workers)
    assert [run for group in groups for run in group] == ready
    assert all(len(group) <= together for group in groups)
    assert len(groups) >= min(count, workers)


@pytest.mark.parametrize(
    ("workers", "together", "sizes"),
    [
        (1, 4, [4]),
        (1, 3, [3, 1]),
        (1, 1, [1] * 4),
        (2, 4, [2, 2]),
        (3, 4, [1] * 4),
        (4, 4, [1] * 4),
    ],
)
def test_how_many_go_together(workers, together, sizes):
    assert [len(group) for group in grouped(ALIKE, together, workers)] == sizes
    assert [len(group) for group in grouped(ALIKE[:2], together, 2)] == [1, 1]


@pytest.fixture
def groups(here, monkeypatch):
    """Return the numbers of runs that are carried out at once."""
    carry_out, sizes = sweep.execute, []

    def execute(runs, *arguments):
        sizes.append(len(runs))
        return carry_out(runs, *arguments)

    monkeypatch.setattr(sweep, "execute", execute)
    return sizes


def online(**options):
    parameters = {"relabel": True, "mixing": {"name": "cutmix"}}
    return tiny("distil", parameters, [TEACHER], augment={"shift": 1}, **options)


def test_the_records_do_not_tell_who_was_trained_together(here, groups, tmp_path):
    runs = [online(training={"order": 1}, seed=seed) for seed in (0, 1, 2)]
    runs += [online(training={"order": 1, "optimiser": "adam", "rate": 0.01}), *ALIKE[:2]]
    assert here.sweep(runs, workers=1) == 7
    assert sorted(groups) == [1, 2, 4]
    single = Study(tmp_path / "single")
    groups.clear()
    assert single.sweep(runs, workers=1, together=1) == 7
    assert groups == [1] * 7
    ours, theirs = here.records(), single.records()
    assert ours.keys() == theirs.keys()
    for id, record in ours.items():
        assert record.rows == theirs[id].rows
        assert record.estimates == theirs[id].estimates
        history, expected = (r.figures["history"] for r in (record, theirs[id]))
        assert history | {"seconds": []} == expected | {"seconds": []}
    assert not list(here.work.rglob(CHECKPOINT))


def test_one_of_several_that_fails_leaves_the_others_their_records(here, groups):
    wild = replace(ALIKE[1], training={**ALIKE[1].training, "rate": 1e30})
    with pytest.raises(ValueError, match="1 of 3 runs failed:") as caught:
        here.sweep([ALIKE[0], wild, ALIKE[2]], workers=1)
    assert groups == [3, 1, 1, 1]
    assert f"{wild.id}: ValueError: the loss is no longer finite in epoch 1" in str(caught.value)
    assert set(here.records()) == {ALIKE[0].id, ALIKE[2].id}
    assert [line.split()[0] for line in here.said] == ["3", "1/3", "failed:", "2/3"]


def test_what_does_not_fit_into_memory_together_goes_alone(here, monkeypatch):
    carry_out = sweep.execute

    def execute(runs, *arguments):
        if len(runs) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if runs == [ALIKE[3]]:
            raise OSError("a disk that does not answer")
        return carry_out(runs, *arguments)

    monkeypatch.setattr(sweep, "execute", execute)
    with pytest.raises(ValueError, match="1 of 4 runs failed:.*\n.*OSError: a disk that does not"):
        here.sweep(ALIKE, workers=1)
    assert set(here.records()) == {run.id for run in ALIKE[:3]}


def test_a_group_goes_on_with_those_that_have_no_record(here, groups):
    assert here.sweep(ALIKE[:1], workers=1) == 1
    failed = sweep.perform(ALIKE, Execution(), here.results, here.work)
    assert failed == {}
    assert groups == [1, 3]
    assert here.executed == ALIKE
    assert sweep.perform(ALIKE, Execution(), here.results, here.work) == {}
    assert groups == [1, 3]


def test_an_interrupt_is_not_tried_again_one_by_one(here, monkeypatch):
    def execute(runs, *arguments):
        here.executed.extend(runs)
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "execute", execute)
    with pytest.raises(KeyboardInterrupt):
        sweep.perform(ALIKE, Execution(), here.results, here.work)
    assert here.executed == ALIKE


@pytest.mark.parametrize("together", [0, 1.5])
def test_a_wrong_number_of_runs_together(together, here):
    with pytest.raises(ValueError, match="together must be a whole number of at least 1"):
        here.sweep([ALONE], together=together)
