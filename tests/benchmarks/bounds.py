"""What bounds a training loop: the device's peak, and which operations its time goes to."""

import re
from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks.ensemble import best_of

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bf16 FLOP/s, by the data sheets
PARTS = {  # what an operation's or a kernel's name contains; the first match counts
    "optimiser": "foreach|multi_tensor|sgd",
    "compiled (batch norm, activations)": "^triton|cpp_fused|compiled[^/]*$",
    "batch norm": "batch_?norm|bn_fw|bn_bw",
    "convolution": "conv|cudnn|cutlass|xmma|gemm|wgrad|dgrad",
    "activations, sums": "threshold|relu|clamp|aten::add|elementwise",
    "copies, casts": "copy|memcpy|contiguous",
    "other": "",
}


def bf16_peak(device: str) -> tuple[float | None, str]:
    """FLOP/s in bfloat16, and whose they are; none for a GPU that is not known here."""
    if device == "cuda":
        gpu = torch.cuda.get_device_name()
        known = [peak for name, peak in PEAKS.items() if name in gpu]
        return (known[0], f"that a {gpu} has") if known else (None, f"peak of {gpu} not known here")
    n = 2048
    a, b = (torch.randn(n, n, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / best_of(5, lambda: a @ b), "that one large bf16 product reaches"


def profiled(run: Callable[[], object], device: str) -> dict[str, float]:
    """Seconds of ``run`` by operation with its callers, or by GPU kernel."""
    cuda = device == "cuda"
    activity = ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        run()
    times: dict[str, float] = {}
    for event in profiler.events():
        if not cuda:
            name, spent = path(event), event.self_cpu_time_total
        elif event.device_type == DeviceType.CUDA and not event.is_user_annotation:
            name, spent = event.name, event.self_device_time_total
        else:
            continue
        times[name] = times.get(name, 0) + spent / 1e6
    return times


def path(event: FunctionEvent | None) -> str:
    """The names of an operation and of those that called it, outermost first."""
    return "" if event is None else f"{path(event.cpu_parent)}/{event.name}"


def shares(times: dict[str, float]) -> dict[str, float]:
    """The share of each of ``PARTS`` in the times of named operations, the largest first."""
    sums = dict.fromkeys(PARTS, 0.0)
    for name, spent in times.items():
        sums[next(p for p, pattern in PARTS.items() if re.search(pattern, name, re.I))] += spent
    total = sum(sums.values())
    return {p: sums[p] / total for p in sorted(sums, key=sums.__getitem__, reverse=True)}
