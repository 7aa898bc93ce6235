"""On which device and how fast: what may change a result's last digits but not what is measured.

A record says how it was executed; its run's id does not depend on it.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ldlstudy import checks, machine

PRECISIONS = ("float32", "bf16")
COMPILERS = ("no", "default", "reduce-overhead")


@dataclasses.dataclass(frozen=True)
class Execution:
    """Where and how networks are trained.

    Attributes
    ----------
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, ... or ``auto``: a GPU where there is one.
    precision : str
        ``float32``, or ``bf16``: products in bfloat16 while training, weights and every evaluation
        in float32.
    channels_last : bool
        Keep images as N x H x W x C in memory, which convolutions are faster with.
    compile : str
        ``no``, or the mode of ``torch.compile``; ``reduce-overhead`` captures CUDA graphs.
    """

    device: str = "cpu"
    precision: str = "float32"
    channels_last: bool = True
    compile: str = "no"

    def __post_init__(self) -> None:
        """Check every field and settle ``auto``."""
        checks.one_of("precision", self.precision, PRECISIONS)
        checks.one_of("compile", self.compile, COMPILERS)
        if self.device == "auto":
            object.__setattr__(self, "device", "cuda" if torch.cuda.is_available() else "cpu")
        try:
            kind = torch.device(self.device).type
        except RuntimeError:
            kind = "unknown"
        if kind not in ("cpu", "cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, got {self.device!r}")
        if kind == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device {self.device!r} asked for, but torch finds no CUDA GPU here")

    def place(self, network: nn.Module) -> nn.Module:
        """``network`` on the device, in the layout that suits its convolutions."""
        if self.channels_last:
            return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.to(self.device)

    def layout(self, images: Tensor) -> Tensor:
        """``images`` (N, C, H, W) in the network's layout."""
        if self.channels_last:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` as torch.compile makes it, or as it is."""
        if self.compile == "no":
            return function
        mode = None if self.compile == "default" else self.compile
        compiled: Callable[..., Any] = torch.compile(function, mode=mode)
        return compiled

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision in which a training step's products are taken."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16")

    def draws(self) -> Tensor:
        """State of the global generator of the device's random numbers."""
        if torch.device(self.device).type == "cuda":
            return torch.cuda.get_rng_state(self.device)
        return torch.get_rng_state()

    def draw_from(self, state: Tensor) -> None:
        """Set that state."""
        if torch.device(self.device).type == "cuda":
            torch.cuda.set_rng_state(state, self.device)
        else:
            torch.set_rng_state(state)

    def circumstances(self, seconds: float) -> dict[str, Any]:
        """What a record says of how it was made."""
        made = machine.circumstances(self.device, seconds)
        how = {k: v for k, v in dataclasses.asdict(self).items() if k != "device"}
        return made | how | {"threads": torch.get_num_threads()}
