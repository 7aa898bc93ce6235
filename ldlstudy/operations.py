"""What a training step costs in floating-point operations.

Seconds depend on the machine and on what else it does; operations do not. Products and
convolutions are counted as they are made, backwards too, by PyTorch's counter: passes of teachers,
partners, second views and heads included, additions and activations not.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from ldlstudy import objectives
from ldlstudy.batches import batches
from ldlstudy.mixers import mixer
from ldlstudy.models import Classifier
from ldlstudy.records import Run
from ldlstudy.regularisers import Objective
from ldlstudy.setting import Setting


def of_step(run: Run, setting: Setting, objective: Objective, network: Classifier) -> int:
    """Operations of the loss and its gradient on one batch of training images.

    Parameters
    ----------
    run, setting, objective, network
        What is trained, and how; the network's batch statistics and gradients change.
    """
    train = setting.dataset.train
    draws = torch.Generator(train.labels.device).manual_seed(0)
    others = objectives.OTHERS.get(run.method, ())
    mix = mixer(run.parameters.get("mixing"))
    size = setting.protocol.batch
    batch = next(iter(batches(train, size, setting.augmentation, draws, others, mix)))
    network.train()
    with FlopCounterMode(display=False) as counter:
        objective(network, batch).backward()
    return counter.get_total_flops()
