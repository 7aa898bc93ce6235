"""Who carries out a sweep's runs: processes of this machine, or a Dask cluster on the same disk.

Ctrl-C ends the processes at once, and where one of them is killed the others are ended too. They
end with the process that started them, however that does.
"""

import contextlib
import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any

from tqdm.std import tqdm

from ldlstudy.extras import needs

PRELOADED = ["ldlstudy.experiment.sweep", "torch._dynamo"]  # every optimiser of torch loads that
SCHEDULER_SECONDS = 5.0  # that a scheduler has to answer


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
    context = multiprocessing.get_context("forkserver")  # this process may have threads, or CUDA
    context.set_forkserver_preload(PRELOADED)  # once for all workers
    started = context.Event()
    executor = ProcessPoolExecutor(workers, context, _begin, (started, dict(os.environ)))
    try:
        _start(executor, workers)
        started.set()
        yield executor
    except BaseException as error:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        if isinstance(error, BrokenProcessPool):
            raise killed() from None
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def killed(at_work: Sequence[str] = ()) -> ValueError:
    """Return the error of a worker that was killed while these runs were ``at_work``."""
    runs = "".join(f"\n  {name}" for name in at_work)
    among = f"; one of these was its run:{runs}" if len(at_work) > 1 else f"; its run was:{runs}"
    return ValueError(
        "a worker was killed, perhaps for want of memory: what is finished is kept; sweep again to "
        f"go on, with fewer workers if need be{among if at_work else ''}"
    )


def _start(executor: ProcessPoolExecutor, workers: int) -> None:
    """Start all processes, holding Ctrl-C back from each until :func:`_begin` lets it through."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # they inherit the mask
    try:
        for _ in range(workers):
            executor.submit(os.getpid)  # none is idle before all are there, so each starts one
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(started: Event, environment: Mapping[str, str]) -> None:
    """Take the environment of who asks, which may be older than the server; wait for the others.

    Ctrl-C ends a worker at once: its checkpoint is on the disk.
    """
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, reported as leaked by who is killed
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    started.wait()


def _end_with_parent() -> None:
    """Wait for the parent's end, which closes its side of a pipe, and end this process."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _client(address: str) -> Any:
    with needs("cluster"):
        from distributed import Client
    # a client that failed ends when it is collected; within the next one's start both would wait
    # for one lock, for ever
    gc.collect()
    try:
        return Client(address, timeout=SCHEDULER_SECONDS)
    except (OSError, ValueError, AssertionError) as error:  # a busy client fails an assertion
        raise ValueError(f"no Dask scheduler answers at {address!r}: {error}") from error
