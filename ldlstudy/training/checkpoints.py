"""Weights and checkpoints on the disk: written whole or not at all, and read without unpickling."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ldlstudy import files

History = list[dict[str, Any]]


def save(file: Path, **content: Any) -> None:
    """Write modules and optimisers (their state) and plain values to ``file``, whole or not."""
    buffer = io.BytesIO()
    plain = {k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in content.items()}
    torch.save(plain, buffer)
    files.write(file, buffer.getvalue())


def load(file: Path) -> dict[str, Any]:
    """Return what :func:`save` wrote; a ValueError says what is wrong with the file."""
    try:
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # torch and pickle raise many kinds for a damaged file
        raise ValueError(
            f"{file} is damaged, or no file of weights: delete it and run again"
        ) from error


def resume(file: Path | None, network: nn.Module, optimiser: torch.optim.Optimizer) -> History:
    """Load the checkpoint where there is one; return the history of its epochs."""
    if file is None or not file.exists():
        return []
    content = load(file)
    try:
        network.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        history: History = content["history"]
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{file} is of another training: delete it and run again") from error
    return history
