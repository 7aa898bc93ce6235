"""What a training step costs, in floating-point operations and in seconds.

Seconds depend on the machine and on what else it does; operations do not. Products and
convolutions are counted as they are made, backwards too, by PyTorch's counter: passes of teachers,
partners, second views and heads included, additions and activations not.
"""

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from ldlstudy import objectives
from ldlstudy.batches import batches
from ldlstudy.mixers import mixer
from ldlstudy.models import Classifier
from ldlstudy.records import Run
from ldlstudy.regularisers import Objective
from ldlstudy.setting import Setting

REPEATS = 10


def of_step(
    run: Run, setting: Setting, objective: Objective, network: Classifier
) -> dict[str, list[float]]:
    """What the loss and its gradient cost on the batches of training images.

    Parameters
    ----------
    run, setting, objective, network
        What is trained, and how; the network's batch statistics and gradients change.

    Returns
    -------
    dict
        ``operations`` of a step on one batch, and ``seconds``, the least of some: of making the
        batch and of the step, with the threads that training has. Each a list of one.
    """
    train = setting.dataset.train
    draws = torch.Generator(train.labels.device).manual_seed(0)
    others = objectives.OTHERS.get(run.method, ())
    mix = mixer(run.parameters.get("mixing"))
    size = setting.protocol.batch

    def step() -> None:
        batch = next(iter(batches(train, size, setting.augmentation, draws, others, mix)))
        objective(network, batch).backward()

    network.train()
    with FlopCounterMode(display=False) as counter:
        step()
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    return {"operations": [counter.get_total_flops()], "seconds": [min(taken)]}
