"""On what the study computes: cores, threads, device and precision, and what a record says of them.

An :class:`Execution` may change a result's last digits, but not what is measured: a record says how
it was executed, and its run's id does not depend on it.
"""

import contextlib
import ctypes
import dataclasses
import io
import os
import platform
import subprocess
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm
from tqdm.std import tqdm as plain_tqdm

from ldlstudy import checks

PRECISIONS = ("auto", "float32", "bf16")
BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")  # of processors, as torch calls them
COMPILERS = ("no", "default", "reduce-overhead")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of <malloc.h>
PULSE = "LDLSTUDY_PULSE"  # the variable that names the file which signs of progress touch
T = TypeVar("T")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Execution:
    """Where and how networks are trained.

    Attributes
    ----------
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, ... or ``auto``: a GPU where there is one.
    precision : str
        ``float32``, or ``bf16``: products in bfloat16 while training, the looks after each epoch
        included, weights and every measurement in float32; ``auto`` is bf16 where the device has
        instructions for it. A processor without them takes some 200 times longer, of which a
        warning tells.
    channels_last : bool
        Keep images as N x H x W x C in memory, which convolutions are faster with.
    compile : str
        ``no``, or the mode of ``torch.compile``; ``reduce-overhead`` captures CUDA graphs.
    threads : int
        Of an operation on the CPU. More add up in another order, so that last digits differ: with
        one, results do not depend on how many cores there are or how many runs share them.
    """

    device: str = "cpu"
    precision: str = "float32"
    channels_last: bool = True
    compile: str = "no"
    threads: int = 1

    def __post_init__(self) -> None:
        """Check every field and settle ``auto``."""
        checks.one_of("precision", self.precision, PRECISIONS)
        checks.one_of("compile", self.compile, COMPILERS)
        checks.whole("threads", self.threads, 1)
        checks.boolean("channels_last", self.channels_last)
        if self.device == "auto":
            object.__setattr__(self, "device", "cuda" if torch.cuda.is_available() else "cpu")
        try:
            kind = torch.device(self.device).type
        except (RuntimeError, TypeError):
            kind = "unknown"
        if kind not in ("cpu", "cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, got {self.device!r}")
        if kind == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device {self.device!r} asked for, but torch finds no CUDA GPU here")
        if self.precision == "auto":
            object.__setattr__(self, "precision", "bf16" if has_bf16(self.device) else "float32")
        if self.precision == "bf16" and not has_bf16(self.device):
            warnings.warn(
                f"{device_name(self.device)} has no instructions for bfloat16 and takes some 200 "
                "times longer: ask for float32, or auto",
                stacklevel=3,
            )

    @classmethod
    def of(cls, device: "str | Execution") -> "Execution":
        """Return an execution as it is; that on a device has the threads that torch has now."""
        if isinstance(device, Execution):
            return device
        return cls(device, threads=torch.get_num_threads())

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return torch.device(self.device).type == "cuda"

    def place(self, network: nn.Module) -> nn.Module:
        """Return ``network`` on the device, in the layout that suits its convolutions."""
        if self.channels_last:
            return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.to(self.device)

    def layout(self, images: Tensor) -> Tensor:
        """Return ``images`` (N, C, H, W) in the network's layout."""
        if self.channels_last and images.ndim == 4:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` as torch.compile makes it, or as it is."""
        if self.compile == "no":
            return function
        mode = None if self.compile == "default" else self.compile
        compiled: Callable[..., Any] = torch.compile(function, mode=mode)
        return compiled

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which a training step's products have their precision."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16")

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Draws from torch's global generators depend on ``seed``, and go on as before it after."""
        with self.forked():
            self.seed(seed)
            yield

    def forked(self) -> contextlib.AbstractContextManager[None]:
        """Torch's global generators of the CPU and of the device go on after it as before it."""
        return torch.random.fork_rng([self.device] if self.is_cuda else [])

    def seed(self, seed: int) -> None:
        """Seed torch's global generators of the CPU and of the device, and of no other one."""
        torch.default_generator.manual_seed(seed)
        if self.is_cuda:
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(seed)

    def random_state(self) -> Tensor:
        """Return the state of the device's global random generator."""
        return torch.cuda.get_rng_state(self.device) if self.is_cuda else torch.get_rng_state()

    def set_random_state(self, state: Tensor) -> None:
        """Set the state of the device's global random generator."""
        if self.is_cuda:
            torch.cuda.set_rng_state(state, self.device)
        else:
            torch.set_rng_state(state)

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """Operations on the CPU have their threads, and this process keeps its memory."""
        if self.is_cuda:
            yield
            return
        with threads_an_operation(self.threads), memory_kept():
            yield

    def circumstances(self) -> dict[str, Any]:
        """Return what a record says of how it was made."""
        how = {k: v for k, v in dataclasses.asdict(self).items() if k != "device"}
        return circumstances(self.device) | how | {"threads": torch.get_num_threads()}


def has_bf16(device: str) -> bool:
    """Return whether a device has instructions for products in bfloat16."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in BF16_INSTRUCTIONS)


def circumstances(device: str) -> dict[str, Any]:
    """Return what a record says of the machine and the versions that it was made with."""
    return {
        "device": device_name(device),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("ldlstudy", "torch", "numpy", "scipy")},
        "source": source(),
    }


def device_name(device: str) -> str:
    """Return a GPU's name, or the processor's architecture and the cores this process may use."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {platform.machine()}, {cores()} cores"


def source() -> str:
    """Return the git revision of the package, with a + when it has changes; else its version."""
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


def cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Apply ``function`` to each item, a thread for each core and one core for each operation."""
    with one_thread_an_operation(), threads(cores()) as pool:
        return list(pool.map(function, items))


def threads(count: int) -> ThreadPoolExecutor:
    """Return a pool whose threads keep each operation to themselves from their first one on.

    Torch tells OpenMP of its limit in each thread, but only at the first operation large enough to
    split; matrix products before it would use every core and add up in another order.
    """
    return ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))


def one_thread_an_operation() -> contextlib.AbstractContextManager[None]:
    """Keep torch's operations on the thread that calls them, for threads that run side by side."""
    return threads_an_operation(1)


@contextlib.contextmanager
def memory_kept() -> Iterator[None]:
    """Let this process keep the memory that it frees, where the C library can be told so.

    GNU's returns each large block to the system: every step of training would wait for its pages to
    be made anew.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(M_MMAP_MAX, 0)
    library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:  # what it comes to by itself in a process that frees large blocks
        library.mallopt(M_MMAP_MAX, 2**16)
        library.mallopt(M_MMAP_THRESHOLD, 2**25)
        library.mallopt(M_TRIM_THRESHOLD, 2**26)
        library.malloc_trim(0)


@contextlib.contextmanager
def threads_an_operation(count: int) -> Iterator[None]:
    """Let torch split each operation among so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def alive() -> None:
    """Touch the file that ``LDLSTUDY_PULSE`` names: who watches this process sees that it works."""
    if file := os.environ.get(PULSE):
        with contextlib.suppress(OSError):  # nobody watches any more
            os.utime(file)


class _Pulse(io.StringIO):
    """Writes what a bar says into the file of :func:`alive`, where somebody watches."""

    def write(self, text: str) -> int:
        file = Path(os.environ.get(PULSE, ""))
        if text.strip() and file.is_file():
            with contextlib.suppress(OSError):
                file.write_text(text.strip(), "utf-8")
        return len(text)


class _HiddenBar(plain_tqdm):
    """A progress bar whose every step is a sign of life."""

    def update(self, n: float = 1) -> bool | None:
        alive()
        shown: bool | None = super().update(n)
        return shown


class _Bar(_HiddenBar, tqdm):
    """One that is shown, in a notebook as a widget."""


def progress(total: int, title: str | None, unit: str) -> plain_tqdm:
    """Return a progress bar; it is hidden without a title or where ``LDLSTUDY_PROGRESS`` is 0.

    What a hidden one with a title would say is written to the file of :func:`alive`.
    """
    about: dict[str, Any] = {"total": total, "desc": title, "unit": unit, "mininterval": 0.5}
    if title is not None and os.environ.get("LDLSTUDY_PROGRESS") != "0":
        return _Bar(**about)
    unseen = title is None or PULSE not in os.environ
    told = "{desc}: {n_fmt} of {total_fmt} " + unit + "s, {remaining} left"
    return _HiddenBar(**about, disable=unseen, file=_Pulse(), bar_format=told)
