"""The pool of a sweep: how many processes it has, and what ends them."""

import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from ldlstudy.experiment import workers
from tests.experiment.runs import until


def processes(others):
    return set(multiprocessing.active_children()) - others


@pytest.fixture
def others():
    """Return the processes that are there before."""
    return set(multiprocessing.active_children())


@pytest.mark.parametrize("count", [1, 3])
def test_processes_are_there_from_start_to_end(count, others):
    with workers.pool(count, None) as executor:
        assert len(processes(others)) == count
        found = executor.submit(os.getpid).result()
        assert found in {process.pid for process in processes(others)}
    assert processes(others) == set()


class Slow(ProcessPoolExecutor):
    """A pool that takes so long to start a process that the one before could be idle."""

    def submit(self, *arguments):
        time.sleep(1)
        return super().submit(*arguments)


def test_many_processes_are_all_there_from_the_start(others, monkeypatch):
    """One that were started later would not be held back from Ctrl-C."""
    monkeypatch.setattr(workers, "ProcessPoolExecutor", Slow)
    with workers.pool(3, None):
        assert len(processes(others)) == 3


def test_ctrl_c_is_held_back_while_they_start_and_no_longer(others):
    with workers.pool(2, None) as executor:
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        asked = executor.submit(signal.pthread_sigmask, signal.SIG_BLOCK, [])
        assert signal.SIGINT not in asked.result()
        assert executor.submit(signal.getsignal, signal.SIGINT).result() is signal.SIG_DFL


def work_until(happens):
    """Let two processes be at work on something long when ``happens()``."""
    with workers.pool(2, None) as executor:
        sleeping = [executor.submit(time.sleep, 60) for _ in range(2)]
        until(sleeping[1].running)
        happens()
        sleeping[0].result()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_ends_processes_in_the_midst_of_their_work(error, others):
    def happens():
        raise error

    start = time.monotonic()
    with pytest.raises(error):
        work_until(happens)
    until(lambda: not processes(others))
    assert time.monotonic() - start < 30


def test_a_killed_process_ends_the_others(others):
    with pytest.raises(ValueError, match="a worker was killed, perhaps for want of memory"):
        work_until(lambda: os.kill(processes(others).pop().pid, signal.SIGKILL))
    until(lambda: not processes(others))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "ftp://x"])
def test_no_scheduler_at_an_address(address, monkeypatch):
    monkeypatch.setattr(workers, "SCHEDULER_SECONDS", 1.0)
    start = time.monotonic()
    with pytest.raises(ValueError, match=f"no Dask scheduler answers at '{address}'"):
        workers.pool(1, address).__enter__()
    assert time.monotonic() - start < 15


def test_a_cluster_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r'pip install "ldlstudy\[cluster\]"'):
        workers.pool(1, "tcp://127.0.0.1:8786").__enter__()
