"""Who carries out a sweep's runs: processes of this machine, or a Dask cluster on the same disk.

Ctrl-C ends the processes at once, and where one of them is killed the others are ended too.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any

from tqdm.auto import tqdm

from ldlstudy.extras import needs


@contextlib.contextmanager
def pool(workers: int, cluster: str | None) -> Iterator[Executor]:
    """Processes of this machine, or the workers of the Dask cluster at an address.

    Parameters
    ----------
    workers : int
        Processes to start, at least 1; a cluster has its own number.
    cluster : str, optional
        Address of the cluster's scheduler, as ``tcp://host:8786``.

    Yields
    ------
    Executor
        Without a cluster, its processes are gone after an error.

    Raises
    ------
    ValueError
        If a process was killed, Dask is not installed, or no scheduler answers.
    """
    if cluster is not None:
        with _client(cluster) as client:
            yield client.get_executor(pure=False)
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # CUDA cannot be used after a fork
    started = context.Event()
    executor = ProcessPoolExecutor(workers, context, _die_quietly, (started,))
    try:
        _start(executor, workers)
        started.set()
        yield executor
    except BaseException as error:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        if isinstance(error, BrokenProcessPool):
            raise ValueError(
                "a worker was killed, perhaps for want of memory: what is finished is kept; sweep "
                "again to go on, with fewer workers if need be"
            ) from None
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _start(executor: ProcessPoolExecutor, workers: int) -> None:
    """Start all processes, holding Ctrl-C back from each until `_die_quietly` is in place."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # they inherit the mask
    try:
        for _ in range(workers):
            executor.submit(os.getpid)  # none is idle before all are there, so each starts one
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_quietly(started: Event) -> None:
    """Let Ctrl-C end a worker at once; its checkpoint is on the disk. Wait until all `started`."""
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, reported as leaked by who is killed
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    started.wait()


def _client(address: str) -> Any:
    with needs("cluster"):
        from distributed import Client
    try:
        return Client(address, timeout=5)
    except (OSError, ValueError, AssertionError) as error:  # a busy client fails an assertion
        raise ValueError(f"no Dask scheduler answers at {address!r}: {error}") from error
