"""What a measurement was made on and by: cores, device, versions, source revision."""

import contextlib
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm.auto import tqdm

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Apply ``function`` to each item, a thread for each core and one core for each operation."""
    with one_thread_an_operation(), threads(cores()) as pool:
        return list(pool.map(function, items))


def threads(count: int) -> ThreadPoolExecutor:
    """A pool whose threads keep each operation to themselves from their first one on.

    Torch tells OpenMP of its limit in each thread, but only at the first operation large enough to
    split; matrix products before it would use every core and add up in another order.
    """
    return ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))


@contextlib.contextmanager
def one_thread_an_operation() -> Iterator[None]:
    """Keep torch's operations on the thread that calls them, for threads that run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def progress(total: int, title: str | None, unit: str) -> tqdm:
    """A progress bar; none without a title, or where ``LDLSTUDY_PROGRESS`` is 0."""
    hidden = title is None or os.environ.get("LDLSTUDY_PROGRESS") == "0"
    return tqdm(total=total, desc=title, unit=unit, disable=hidden, mininterval=0.5)


def circumstances(device: str, seconds: float) -> dict[str, Any]:
    """What a record says of how it was made."""
    names = ("ldlstudy", "torch", "numpy", "scipy")
    return {
        "seconds": seconds,
        "device": device_name(device),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in names},
        "source": source(),
    }


def device_name(device: str) -> str:
    """A GPU's name, or the processor's architecture with the cores this process may use."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {platform.machine()}, {cores()} cores"


def source() -> str:
    """Git revision of the package's source, with a + when it has changes; else its version."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        quiet: dict[str, Any] = {"capture_output": True, "text": True, "check": True}
        revision = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], **quiet).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--", "."], **quiet).stdout.strip()
        return revision + ("+" if changed else "")
    return _version("ldlstudy")


def _version(name: str) -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return "not installed"
