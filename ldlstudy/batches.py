"""Batches of augmented images on the training device, from memory or decoded by workers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.augment import Augmentation
from ldlstudy.dataset import Images
from ldlstudy.decode import Stream


class Batch(NamedTuple):
    """``images`` (B, C, h, w) float32, ``labels`` (B,), ``index`` (B,) positions in the set."""

    images: Tensor
    labels: Tensor
    index: Tensor  # type: ignore[assignment]  # tuples have a method of this name


def batches(
    images: Images, size: int, augmentation: Augmentation, generator: torch.Generator | None = None
) -> Iterator[Batch]:
    """One pass over ``images``.

    With a generator for training: shuffled and augmented, and without a last batch of one image,
    which batch normalisation cannot take. Without one for tests: in order, every image.

    Parameters
    ----------
    images : Images
        At least one image; streamed ones are decoded by worker processes and give the same batches.
    size : int
        Images in a batch, at least 1.
    augmentation : Augmentation
        What is done to the images.
    generator : torch.Generator, optional
        Source of the order and of all augmentation, on the labels' device.

    Returns
    -------
    Iterator of Batch
        On the labels' device.

    Raises
    ------
    ValueError
        If ``size`` is below 1, there are no images, or the generator is on another device.
    """
    checks.whole("batch size", size, 1)
    count, device = len(images.labels), images.labels.device
    if count == 0:
        raise ValueError("there are no images to take batches from")
    if generator is None:
        return _pass(images, torch.arange(count, device=device).split(size), augmentation, None)
    if generator.device.type != device.type:
        raise ValueError(f"the generator is on {generator.device}, the images are on {device}")
    parts = torch.randperm(count, generator=generator, device=device).split(size)
    kept = parts[:-1] if len(parts[-1]) == 1 < size else parts
    return _pass(images, kept, augmentation, generator)


def _pass(
    images: Images,
    parts: Sequence[Tensor],
    augmentation: Augmentation,
    generator: torch.Generator | None,
) -> Iterator[Batch]:
    if isinstance(images.pixels, Stream):
        decoded = _decoded(images.pixels, parts)
    else:
        pixels = images.pixels
        decoded = (pixels[index] for index in parts)
    for index, chosen in zip(parts, decoded, strict=True):
        if generator is None:
            batch = augmentation.test(chosen)
        else:
            batch = augmentation.train(chosen, generator)
        yield Batch(batch, images.labels[index], index)


def _decoded(stream: Stream, parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """The pixels of each part, on the part's device, decoded ahead by a process for each core."""
    from ldlstudy import machine

    cuda = bool(parts) and parts[0].is_cuda
    loader: torch.utils.data.DataLoader[Tensor] = torch.utils.data.DataLoader(
        stream,
        batch_sampler=[index.tolist() for index in parts],
        num_workers=min(machine.cores(), len(parts)),
        pin_memory=cuda,
        generator=torch.Generator(),  # torch's global one is left to dropout
    )
    try:
        for pixels, index in zip(loader, parts, strict=True):
            yield pixels.to(index.device, non_blocking=True)
    except ValueError as error:  # of a worker: its traceback, and the message in the last line
        last = str(error).strip().splitlines()[-1]
        raise ValueError(last.removeprefix("ValueError: ")) from None
