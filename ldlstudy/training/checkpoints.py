"""Weights and checkpoints on the disk: written whole or not at all, and verified when read.

Reading unpickles nothing, compares the file with its checksums, and refuses what is of another
training.
"""

import io
import json
import math
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ldlstudy import files

ANSWERS = "teacher"  # what a training says of itself that another processor rounds otherwise
ROUNDED = 0.02  # by how much of the largest the same answers differ: in bf16 by 2 ** -8 a product
History = list[dict[str, Any]]


def save(file: Path, **content: Any) -> None:
    """Write modules and optimisers (their state) and plain values to ``file``, whole or not."""
    buffer = io.BytesIO()
    plain = {k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in content.items()}
    torch.save(plain, buffer)
    files.write(file, buffer.getvalue())


def load(file: Path) -> dict[str, Any]:
    """Return what :func:`save` wrote; a ValueError says what is wrong with the file."""
    with file.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                damaged = archive.testzip()  # torch does not look at the checksums
            if damaged is not None:
                raise ValueError(f"{damaged} has another checksum")
            stream.seek(0)
            return dict(torch.load(stream, map_location="cpu", weights_only=True))
        except Exception as error:  # zipfile, torch and pickle raise many kinds for a damaged file
            raise ValueError(
                f"{file} is damaged, or no file of weights: delete it and run again"
            ) from error


def file_of(place: Path | str) -> Path:
    """Return the path of a checkpoint that is to be written; a folder is a ValueError."""
    if not isinstance(place, Path | str) or Path(place).is_dir():
        raise ValueError(f"a checkpoint is the path of a file, got {place!r}")
    return Path(place)


def described(training: Mapping[str, Any]) -> str:
    """Return what a training is of in the form in which its checkpoint says it."""

    def plain(value: Any) -> Any:
        return value.item() if isinstance(value, np.generic) else str(value)

    return json.dumps(training, sort_keys=True, default=plain)


def resume(
    file: Path | None,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    training: str,
    rates: Sequence[float],
    columns: Collection[str],
    kept: dict[str, Any] | None = None,
) -> History:
    """Load the checkpoint where there is one.

    Parameters
    ----------
    file : Path, optional
        The checkpoint.
    network, optimiser
        They get its state.
    training : str
        What it must be of, by :func:`described`.
    rates : sequence of float
        Of all epochs of the training; a checkpoint has its first ones.
    columns : collection of str
        What its history must say of each epoch.
    kept : dict, optional
        It gets the weights of the best epoch so far, where these are kept.

    Returns
    -------
    list of dict
        The history of its epochs; without a checkpoint there are none.

    Raises
    ------
    ValueError
        A file that is damaged, or of another training: the message says in what.
    """
    if file is None or not file.exists():
        return []
    content = load(file)
    try:
        _check_training(content["training"], training)
        _check_history(content["history"], rates, columns)
        network.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        if kept is not None:
            kept.update(content["kept"])
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{file} is of another training, delete it and run again: {reason}"
        ) from error
    history: History = content["history"]
    return history


def _check_training(theirs: str, ours: str) -> None:
    found, wanted = json.loads(theirs), json.loads(ours)
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if ANSWERS in names and _near(found.get(ANSWERS), wanted.get(ANSWERS)):
        names.remove(ANSWERS)
    if names:
        raise ValueError(f"they differ in {', '.join(names)}")


def _near(found: Any, wanted: Any) -> bool:
    """Whether two lists hold the same answers but for what rounding can change."""
    lists = isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted)
    if not lists or not all(map(_finite, found + wanted)):
        return False
    allowed = ROUNDED * max(map(abs, wanted), default=0.0)
    return all(abs(a - b) <= allowed for a, b in zip(found, wanted, strict=True))


def _check_history(history: Any, rates: Sequence[float], columns: Collection[str]) -> None:
    """Refuse a history of no epoch, of too many or others, or with a number amiss."""
    if not isinstance(history, list) or not 0 < len(history) <= len(rates):
        raise ValueError(f"its history is not of 1 to {len(rates)} epochs")
    for number, (epoch, rate) in enumerate(zip(history, rates, strict=False), 1):
        if not set(columns) <= epoch.keys() or epoch.keys() != history[0].keys():
            raise ValueError(f"its history has other columns than {', '.join(sorted(columns))}")
        if epoch["rate"] != rate:
            raise ValueError(f"the rate of its epoch {number} is another one")
        for name, value in epoch.items():
            values = value if name.endswith("_class_loss") else [value]
            if not all(map(_finite, values)):
                raise ValueError(f"its history has no finite {name} of epoch {number}")


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
