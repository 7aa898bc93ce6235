"""For ``torch.utils.data.DataLoader``: batches of pairs of the same class, and mixed batches.

CS-KD compares the network's answers to two images of one class, and a DataLoader draws images
without looking at their class: :class:`ClassPairs` tells it which to draw. Mixing takes other
images of the batch, and a data set knows of one at a time: :class:`Mix` does it where the batch is
put together.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler, default_collate

from ldlstudy import checks, targets
from ldlstudy.checks import ArrayLike
from ldlstudy.data.images import partners
from ldlstudy.mixing import MIXINGS, mixed_target, named


class ClassPairs(Sampler[list[int]]):
    """Batches of positions whose second half are partners of the first, of the same classes.

    It goes through the training set once an epoch, shuffled, and draws a partner of each sample
    anew, as the loops of this package do (CS-KD section 2.1). ``DataLoader(data,
    batch_sampler=ClassPairs(labels, 128))`` gives batches of 256, whose halves
    ``images.chunk(2)`` takes apart.

    Parameters
    ----------
    labels : array-like
        Shape (N,), whole numbers of at least 0: the class of each sample of the data set.
    batch_size : int
        Pairs in a batch, from 1 to N.
    drop_last : bool
        Whether to leave out a last batch of fewer pairs.
    allow_self : bool
        Whether a sample may be its own partner, as in the authors' code.
    generator : torch.Generator, optional
        Source of the order and the partners; torch's global one by default.

    Raises
    ------
    ValueError
        If an argument is out of range; without ``allow_self``, if a class has one sample.

    Examples
    --------
    >>> from ldlstudy.interop.loading import ClassPairs
    >>> labels = [0, 0, 1, 1, 1]
    >>> batches = list(ClassPairs(labels, batch_size=2))
    >>> [len(batch) for batch in batches]
    [4, 4, 2]
    >>> first, second, partner_of_first, partner_of_second = batches[0]
    >>> labels[first] == labels[partner_of_first], labels[second] == labels[partner_of_second]
    (True, True)
    """

    def __init__(
        self,
        labels: ArrayLike,
        batch_size: int,
        drop_last: bool = False,
        allow_self: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        self.labels = checks.labels(labels, torch.iinfo(torch.int64).max).cpu()
        self.batch_size = checks.whole("batch_size", batch_size, 1)
        checks.in_range("batch_size", self.batch_size, 1, len(self.labels))
        self.drop_last = checks.boolean("drop_last", drop_last)
        self.allow_self = checks.boolean("allow_self", allow_self)
        self.generator = generator
        self._partners()

    def __len__(self) -> int:
        whole, rest = divmod(len(self.labels), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of an epoch, each twice as long as its pairs are many."""
        order = torch.randperm(len(self.labels), generator=self.generator)
        partner = self._partners()
        for index in order.split(self.batch_size)[: len(self)]:
            yield torch.cat([index, partner[index]]).tolist()

    def _partners(self) -> Tensor:
        return partners(self.labels, self.generator, allow_self=self.allow_self)


class Mix:
    """Mixup, CutMix, RICAP or CutOut of a batch, and the label distributions that belong to it.

    ``DataLoader(data, collate_fn=Mix("cutmix", classes=10).collate, ...)`` gives mixed batches;
    like torchvision's ``v2.CutMix``, it can also be called with a batch that is there already.

    Parameters
    ----------
    mixing : str or Mapping
        As `ldlstudy.mixing.named` takes it, such as ``{"name": "ricap", "alpha": 0.3}``.
    classes : int
        Number of classes K, at least 2.
    label : callable
        From labels and K to the label distributions before mixing, a function of
        `ldlstudy.targets`; such as ``functools.partial(targets.smooth, epsilon=0.1)``.
    generator : torch.Generator, optional
        Source of the draws; by default torch's global one, which each worker of a DataLoader has
        for itself.

    Raises
    ------
    ValueError
        If an argument is out of range, or later a batch has fewer images than the mixing needs
        (set ``drop_last``).

    Examples
    --------
    >>> import torch
    >>> from ldlstudy.interop.loading import Mix
    >>> mix = Mix("mixup", classes=10)
    >>> images, targets = mix(torch.rand(8, 3, 32, 32), torch.arange(8))
    >>> images.shape, targets.shape
    (torch.Size([8, 3, 32, 32]), torch.Size([8, 10]))
    """

    def __init__(
        self,
        mixing: str | Mapping[str, Any],
        classes: int,
        label: Callable[[Tensor, int], Tensor] = targets.one_hot,
        generator: torch.Generator | None = None,
    ) -> None:
        found = named(mixing)
        if found is None:
            raise ValueError(f"a mixing is needed, one of {', '.join(MIXINGS)}, got None")
        self.mixing = found
        self.classes = checks.whole("classes", classes, 2)
        if not callable(label):
            raise ValueError(f"label must be a function of labels and K, got {label!r}")
        self.label, self.generator = label, generator

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mixed images (N, C, H, W) and targets (N, K) of images and labels (N,)."""
        self.mixing.check(len(images))
        mixed = self.mixing(images, self.generator)(images)
        return mixed.images, mixed_target(self.label(labels, self.classes), mixed)

    def collate(self, samples: list[Any]) -> tuple[Tensor, Tensor]:
        """Return the same of a list of samples, as a DataLoader's ``collate_fn``."""
        if not samples or not all(isinstance(s, tuple | list) and len(s) == 2 for s in samples):
            raise ValueError("samples must be pairs (image, label), at least one")
        try:
            images, labels = default_collate(samples)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"samples must be tensors of one size, and labels: {' '.join(str(error).split())}"
            ) from error
        return self(images, labels)
