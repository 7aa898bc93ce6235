"""Batches of augmented images on the training device, from memory or decoded by workers.

Some methods see other images beside a batch's own: a partner of the same class (CS-KD), further
views of the same image (DDGSD), or the image as it is, without augmentation (CS-KD-E). Others mix
the images of a batch (LDL): the batch then knows what each image is made of.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.batch import Batch
from ldlstudy.data.decode import Stream
from ldlstudy.data.images import Images, partners
from ldlstudy.mixing import Mixing
from ldlstudy.training.augment import Augmentation

COMPANIONS = ("partner", "plain", "view")  # what may come with each image of a training batch


def batches(
    images: Images,
    size: int,
    augmentation: Augmentation,
    generator: torch.Generator | None = None,
    sees: Sequence[str] = (),
    mixing: Mixing | None = None,
) -> Iterator[Batch]:
    """Return one pass over ``images``.

    With a generator for training: shuffled, augmented and mixed, and without a last batch of one
    image, which batch normalisation cannot take, or of fewer than a mixing needs; but a set of one
    image is a batch of one. Without a generator for tests: in order, every image.

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
    sees : sequence of str
        What comes with each image: ``partner``, an image of its class drawn anew in each pass
        (perhaps itself, as in CS-KD's code), with an augmentation of its own, and mixed as the
        images are; ``view``, the image augmented once more; ``plain``, the image as in tests.
    mixing : Mixing, optional
        What mixes the augmented images of a batch (:func:`ldlstudy.mixing.named`).

    Returns
    -------
    Iterator of Batch
        On the labels' device.

    Raises
    ------
    ValueError
        If ``size`` is below 1 or below what the mixing needs, there are no images, or the generator
        is on another device; an unknown companion, or companions or a mixing without a generator.
    """
    checks.whole("batch size", size, 1)
    count, device = len(images.labels), images.labels.device
    if count == 0:
        raise ValueError("there are no images to take batches from")
    for name in sees:
        checks.one_of("image that comes with another", name, COMPANIONS)
    if generator is None:
        if sees:
            raise ValueError(f"a test pass has its own images alone, got {tuple(sees)}")
        if mixing is not None:
            raise ValueError("a test pass mixes no images, got a mixing without a generator")
        parts = torch.arange(count, device=device).split(size)
        decoded = zip(parts, _decoded(images, parts), strict=True)
        return (Batch(augmentation.test(seen), images.labels[i], i) for i, seen in decoded)
    if generator.device.type != device.type:
        raise ValueError(f"the generator is on {generator.device}, the images are on {device}")
    parts = torch.randperm(count, generator=generator, device=device).split(size)
    least = 2
    if mixing is not None:
        mixing.check(min(size, count))
        least = max(least, mixing.least)
    kept = parts[:-1] if len(parts[-1]) < min(size, count, least) else parts
    return _training(images, kept, augmentation, generator, sees, mixing)


def _training(
    images: Images,
    parts: Sequence[Tensor],
    augmentation: Augmentation,
    generator: torch.Generator,
    sees: Sequence[str],
    mixing: Mixing | None,
) -> Iterator[Batch]:
    wanted = list(parts)  # positions of all the pixels that a batch needs
    if "partner" in sees:
        partner_of = partners(images.labels, generator)
        wanted = [torch.cat([index, partner_of[index]]) for index in parts]
    for index, pixels in zip(parts, _decoded(images, wanted), strict=True):
        own, of_class = pixels[: len(index)], pixels[len(index) :]
        shown = augmentation.train(own, generator)
        partner, plain, views = None, None, []
        for name in sees:
            if name == "partner":
                partner = augmentation.train(of_class, generator)
            elif name == "plain":
                plain = augmentation.test(own)
            else:
                views.append(augmentation.train(own, generator))
        mixed = None
        if mixing is not None:
            draw = mixing(shown, generator)
            mixed = draw(shown)
            shown = mixed.images
            partner = None if partner is None else draw(partner).images
        yield Batch(shown, images.labels[index], index, partner, tuple(views), plain, mixed)


def _decoded(images: Images, parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """The pixels of each part, on its device; files are decoded by a process for each core."""
    stream = images.pixels
    if not isinstance(stream, Stream):
        yield from (stream[index] for index in parts)
        return
    from ldlstudy.device import cores

    cuda = bool(parts) and parts[0].is_cuda
    loader: torch.utils.data.DataLoader[Tensor] = torch.utils.data.DataLoader(
        stream,
        batch_sampler=[index.tolist() for index in parts],
        num_workers=min(cores(), len(parts)),
        pin_memory=cuda,
        generator=torch.Generator(),  # torch's global one is left to dropout
    )
    try:
        for pixels, index in zip(loader, parts, strict=True):
            yield pixels.to(index.device, non_blocking=True)
    except ValueError as error:  # of a worker: its traceback, and the message in the last line
        # without its frames, or the loader would live on in them, and then end its workers late
        last = str(error.with_traceback(None)).strip().splitlines()[-1]
        raise ValueError(last.removeprefix("ValueError: ")) from None
