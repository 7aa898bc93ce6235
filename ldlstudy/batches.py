"""Batches of augmented images on the training device, from memory or decoded by workers.

Some methods look at other images beside a batch's own: a partner of the same class (CS-KD), a
second view of the same image (DDGSD), or the image as it is, without augmentation (CS-KD-E).
Others mix the images of a batch (LDL): the batch then knows what each image is made of.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ldlstudy import checks, mixing
from ldlstudy.augment import Augmentation
from ldlstudy.dataset import Images, partners
from ldlstudy.decode import Stream
from ldlstudy.mixers import Mixer
from ldlstudy.mixing import Mixed

OTHERS = ("partner", "plain", "view")  # what may come with each image of a training batch


class Batch(NamedTuple):
    """``images`` (B, C, h, w) float32, ``labels`` (B,), ``index`` (B,) positions in the set.

    ``others`` are the images that were asked for beside them, in that order, shaped as they are.
    ``mixed`` says of what images that were mixed are made; ``labels`` and ``index`` are of those
    before.
    """

    images: Tensor
    labels: Tensor
    index: Tensor  # type: ignore[assignment]  # tuples have a method of this name
    others: tuple[Tensor, ...] = ()
    mixed: Mixed | None = None

    def blend(self, targets: Tensor) -> Tensor:
        """Label distributions (B, K) of the batch's images, blended as the images were."""
        return targets if self.mixed is None else mixing.mixed_target(targets, self.mixed)


def batches(
    images: Images,
    size: int,
    augmentation: Augmentation,
    generator: torch.Generator | None = None,
    others: Sequence[str] = (),
    mixer: Mixer | None = None,
) -> Iterator[Batch]:
    """One pass over ``images``.

    With a generator for training: shuffled, augmented and mixed, and without a last batch of one
    image, which batch normalisation cannot take, or of fewer than a mixing needs. Without one for
    tests: in order, every image.

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
    others : sequence of str
        What comes with each image: ``partner``, an image of its class drawn anew in each pass
        (perhaps itself, as in CS-KD's code), with an augmentation of its own; ``view``, the image
        augmented once more; ``plain``, the image as in tests. None of them is mixed.
    mixer : Mixer, optional
        What mixes the augmented images of a batch (:func:`ldlstudy.mixers.mixer`).

    Returns
    -------
    Iterator of Batch
        On the labels' device.

    Raises
    ------
    ValueError
        If ``size`` is below 1 or below what the mixing needs, there are no images, or the generator
        is on another device; others that are unknown, or others or a mixing without a generator.
    """
    checks.whole("batch size", size, 1)
    count, device = len(images.labels), images.labels.device
    if count == 0:
        raise ValueError("there are no images to take batches from")
    for name in others:
        checks.one_of("image beside another", name, OTHERS)
    if generator is None:
        if others:
            raise ValueError(f"a test pass has no images beside its own, got {tuple(others)}")
        if mixer is not None:
            raise ValueError("a test pass mixes no images, got a mixing without a generator")
        parts = torch.arange(count, device=device).split(size)
        decoded = zip(parts, _decoded(images, parts), strict=True)
        return (Batch(augmentation.test(seen), images.labels[i], i) for i, seen in decoded)
    if generator.device.type != device.type:
        raise ValueError(f"the generator is on {generator.device}, the images are on {device}")
    parts = torch.randperm(count, generator=generator, device=device).split(size)
    least = 2
    if mixer is not None:
        mixer.check(min(size, count))
        least = max(least, mixer.least)
    kept = parts[:-1] if len(parts[-1]) < min(size, least) else parts
    return _training(images, kept, augmentation, generator, others, mixer)


def _training(
    images: Images,
    parts: Sequence[Tensor],
    augmentation: Augmentation,
    generator: torch.Generator,
    others: Sequence[str],
    mixer: Mixer | None,
) -> Iterator[Batch]:
    wanted = list(parts)  # positions of all the pixels that a batch needs
    if "partner" in others:
        partner = partners(images.labels, generator)
        wanted = [torch.cat([index, partner[index]]) for index in parts]
    for index, pixels in zip(parts, _decoded(images, wanted), strict=True):
        own, of_class = pixels[: len(index)], pixels[len(index) :]
        batch = augmentation.train(own, generator)
        beside = tuple(
            augmentation.test(own)
            if name == "plain"
            else augmentation.train(of_class if name == "partner" else own, generator)
            for name in others
        )
        mixed = None if mixer is None else mixer(batch, generator)
        seen = batch if mixed is None else mixed.images
        yield Batch(seen, images.labels[index], index, beside, mixed)


def _decoded(images: Images, parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """The pixels of each part, on its device; files are decoded by a process for each core."""
    stream = images.pixels
    if not isinstance(stream, Stream):
        yield from (stream[index] for index in parts)
        return
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
