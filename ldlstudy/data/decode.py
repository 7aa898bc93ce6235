"""Image files as uint8 tensors of one size: all at once, or as a stream that fits in no memory."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def decode(file: Path, size: int) -> Tensor:
    """The image in ``file``, its shorter side resized to ``size``, its central square kept.

    These are the steps of the papers' tests before their central crop (``Resize(256)``,
    ``CenterCrop(224)``); random crops are cut from the same square.

    Parameters
    ----------
    file : Path
        Any format that Pillow reads; grey images are repeated over three channels.
    size : int
        Side of the result in pixels.

    Returns
    -------
    Tensor
        Shape (3, size, size), uint8.

    Raises
    ------
    ValueError
        If the file is missing or damaged.
    """
    from PIL import Image  # with torchvision half a second that data in memory do not need
    from torchvision.transforms import functional

    try:
        with Image.open(file) as image:
            small = functional.resize(image.convert("RGB"), size)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} cannot be read as an image ({error}): get it again") from error
    pixels: Tensor = functional.pil_to_tensor(functional.center_crop(small, size))
    return pixels


@dataclasses.dataclass(frozen=True)
class Stream(torch.utils.data.Dataset[Any]):
    """Images that are decoded when a batch needs them, in the place of a tensor (N, 3, H, W).

    Attributes
    ----------
    files : sequence of Path
        One for each of the N images.
    size : int
        Height and width.
    """

    files: Sequence[Path]
    size: int

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, 3, H, W as of a tensor."""
        return len(self), 3, self.size, self.size

    def __getitem__(self, index: Tensor) -> "Stream":
        """The images at ``index`` (positions or a mask, as of a tensor), not yet decoded."""
        chosen = torch.arange(len(self))[index.cpu()]
        return Stream([self.files[i] for i in chosen.tolist()], self.size)

    def __getitems__(self, positions: Sequence[int]) -> list[Tensor]:
        """The decoded images at ``positions``: what a worker of torch's DataLoader calls."""
        return [decode(self.files[i], self.size) for i in positions]

    def tensor(self, title: str | None = None) -> Tensor:
        """All images decoded, (N, 3, H, W) uint8; with a title, under a progress bar."""
        from concurrent.futures import ThreadPoolExecutor

        from ldlstudy import device

        pixels = torch.empty(self.shape, dtype=torch.uint8)

        def fill(position: int) -> None:
            pixels[position] = decode(self.files[position], self.size)
            bar.update()

        with (
            device.progress(len(self), title, "image") as bar,
            ThreadPoolExecutor(device.cores()) as pool,
        ):
            try:
                for _ in pool.map(fill, range(len(self))):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)  # a damaged file or Ctrl-C ends it at once
                raise
        return pixels
