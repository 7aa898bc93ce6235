"""Image files as uint8 tensors of one size: all at once, or as a stream that fits in no memory."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def decode(file: Path, size: int) -> Tensor:
    """The image in ``file``, its shorter side resized to ``size``, its central square kept.

    These are the steps of the papers' tests before their central crop (``Resize(256)``,
    ``CenterCrop(224)``); random crops are cut from the same square.

    Parameters
    ----------
    file : Path
        Any format that Pillow reads, turned as its EXIF data say. 16 bits are scaled to 8, and
        floating-point grey values from 0 to 1 to 0 to 255; grey images are repeated over three
        channels. Transparency is left out and the first picture of an animation taken, as
        torchvision does.
    size : int
        Side of the result in pixels.

    Returns
    -------
    Tensor
        Shape (3, size, size), uint8.

    Raises
    ------
    ValueError
        If the file is missing or damaged, or its values are on a scale that nobody knows.
    """
    # with torchvision half a second that data in memory do not need
    from PIL import Image, ImageOps
    from torchvision.transforms import functional

    try:
        with Image.open(file) as image:
            sixteen = image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM")
            upright = ImageOps.exif_transpose(image)
            wide = np.asarray(upright) if upright.mode[0] in "IF" else None
            if upright.mode == "P":  # Pillow warns of palettes with transparency that become "RGB"
                upright = upright.convert("RGBA")
            rgb = upright.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} cannot be read as an image ({error}): get it again") from error
    if wide is not None:
        rgb = Image.fromarray(_bytes(wide, sixteen, file)).convert("RGB")
    small = functional.resize(rgb, size)
    pixels: Tensor = functional.pil_to_tensor(functional.center_crop(small, size))
    return pixels


def _bytes(values: np.ndarray, sixteen: bool, file: Path) -> np.ndarray:
    """Return grey values of more than 8 bits as uint8; Pillow would cut off what exceeds 255."""
    if sixteen:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    low, high = values.min(), values.max()
    if values.dtype.kind == "f" and 0 <= low <= high <= 1:
        return (values * 255).round().astype(np.uint8)
    raise ValueError(
        f"{file} has values of type {values.dtype} from {low:g} to {high:g}: 8 or 16 bits are "
        "read, and floating-point values from 0 to 1"
    )


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

    def tensor(self, title: str | None = None, faults: dict[Path, str] | None = None) -> Tensor:
        """All images decoded, (N, 3, H, W) uint8; with a title, under a progress bar.

        The first file that cannot be read is a ValueError, but where ``faults`` are to be collected
        all of them are added there with what is wrong, and their images mean nothing.
        """
        from concurrent.futures import ThreadPoolExecutor

        from ldlstudy import device

        pixels = torch.empty(self.shape, dtype=torch.uint8)

        def fill(position: int) -> None:
            try:
                pixels[position] = decode(self.files[position], self.size)
            except ValueError as error:
                if faults is None:
                    raise
                faults[self.files[position]] = str(error)
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
