"""Many small networks trained at once, each with its own data, targets, seed and early stopping.

A study on synthetic data needs tens of thousands of tiny multilayer perceptrons. One at a time they
keep a processor waiting between small matrix products, so here a block of them shares each product
(:mod:`ldlstudy.training.ensemble.mlp`). On the CPU a block is small enough for the cache and every
core works through blocks of its own; on CUDA one block holds as many networks as memory serves. A
network that stops leaves its slot to the next. What a network learns depends on its data, targets,
seed and settings alone, not on its neighbours, the block size or the number of cores.
"""

from concurrent.futures import as_completed

import torch
from tqdm import tqdm

from ldlstudy import checks
from ldlstudy.device import cores, one_thread_an_operation, progress, threads
from ldlstudy.training.ensemble.blocks import Block, Job
from ldlstudy.training.ensemble.members import Data, Members, Settings, Trained

__all__ = ["Data", "Members", "Settings", "Trained", "train"]

CPU_BYTES = 24 * 2**20  # what was fastest on two cores: 12 of the ILS paper's networks


def train(
    settings: Settings,
    data: Data,
    members: Members,
    *,
    device: str | torch.device = "cpu",
    block: int | None = None,
    workers: int | None = None,
    title: str | None = None,
) -> Trained:
    """Train every member with Adam until its held-out loss stops falling.

    Parameters
    ----------
    settings, data, members
        What to train on what.
    device : str or torch.device
        ``"cpu"``, or ``"cuda"`` with the same code and one large block.
    block : int, optional
        Networks trained together; by default what fits in memory on CUDA, and on the CPU in the
        cache: 12 of the ILS paper's networks.
    workers : int, optional
        Threads, by default one for each CPU core (one on CUDA).
    title : str, optional
        Of a progress bar in networks; none without it.

    Raises
    ------
    ValueError
        Shapes that do not belong together, labels or targets out of range.
    FloatingPointError
        A network whose held-out loss was never finite.
    """
    device = torch.device(device)
    job = Job(settings, data, members, device)
    m = len(members)
    if workers is None:
        workers = 1 if device.type == "cuda" else cores()
    block = _block_size(job) if block is None else checks.whole("block", block, 1)
    block = min(block, -(-m // checks.whole("workers", workers, 1)))
    bar = progress(m, title, "network")
    with bar, one_thread_an_operation(), threads(workers) as pool:
        try:
            futures = [pool.submit(_work, job, block, bar) for _ in range(workers)]
            for future in as_completed(futures):
                future.result()
        except BaseException:  # Ctrl-C, or a thread that failed: the others stop after their epoch
            job.cancelled.set()
            raise
    return job.trained


@torch.no_grad()
def _work(job: Job, size: int, bar: tqdm) -> None:
    """One thread: a block, from its first members until none wait."""
    torch.set_flush_denormal(True)  # for this thread alone: Adam's averages decay towards zero
    members = job.take(size)
    if not members:
        return
    block = Block(job, members)
    while block.members and not job.cancelled.is_set():
        block.train_epoch()
        stopped = block.validate()
        if stopped:
            block.replace(stopped)
        bar.update(len(stopped))  # of an epoch in which none stops, too: a sign of life


def _block_size(job: Job) -> int:
    """Networks whose parameters, moments, activations and their gradients fit."""
    samples = job.samples["inputs"].shape[2] + job.samples["held_inputs"].shape[2]
    floats = 6 * job.architecture.size + 4 * samples * sum(o for _, o in job.architecture.shapes)
    room = CPU_BYTES
    if job.device.type == "cuda":
        room = torch.cuda.mem_get_info(job.device)[0] // 2
    return max(1, room // (4 * floats))
