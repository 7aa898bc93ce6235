"""SSKD's parts: an image turned by right angles, and which of a teacher's rows to learn from.

Knowledge distillation meets self-supervision (Xu et al., 2020): beside what is in an upright image,
the teacher tells what it makes of it turned by 90, 180 and 270 degrees, and which upright image it
finds a turned one nearest to, in the space of a projection of its features.

What differs here from the authors' code: they train the teacher's projection first, for 60 epochs,
and freeze it. Here it is trained beside the student, on the teacher's features as constants and by
the same cross entropy, that a turned image be nearest to its own upright one; this is added to the
student's loss, whose gradient it does not touch. So the cosines to copy still move in the first
epochs. Their four copies of an image are cropped apart and mirrored together; here they are
mirrored apart as well.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy.batches import Batch

TURNS = (1, 2, 3)  # by a right angle


def turned(batch: Batch) -> Tensor:
    """Return a batch's images, and its three other views turned by 90, 180 and 270 degrees.

    Raises
    ------
    ValueError
        If images are not square, or the batch has one only: there is no other to tell it from.
    """
    size, _, height, width = batch.images.shape
    if height != width or size < 2:
        raise ValueError(f"sskd needs 2 square images or more, got {tuple(batch.images.shape)}")
    others = [torch.rot90(x, k, (2, 3)) for k, x in zip(TURNS, batch.others, strict=True)]
    return torch.cat([batch.images, *others])


def selected(reference: Tensor, truth: Tensor, share: float) -> Tensor:
    """Return which rows to learn from: those with the truth first, and the best of the others.

    Of the W rows whose truth is not first, the floor(``share`` W) with the best rank of it; among
    equal ranks the earlier rows.

    Parameters
    ----------
    reference : Tensor
        Scores (N, K).
    truth : Tensor
        Shape (N,), the right column of each row.
    share : float
        In [0, 1].

    Returns
    -------
    Tensor
        Shape (N,), bool.
    """
    rank = (reference > reference.gather(1, truth[:, None])).sum(1)  # 0 where the truth is first
    place = rank.argsort(stable=True).argsort()
    right = (rank == 0).sum()
    return place < right + (share * (len(rank) - right).double()).floor()


def copied(
    logits: Tensor, reference: Tensor, truth: Tensor, temperature: float, share: float
) -> Tensor:
    """Return T^2 KL(r^T || p^T), the mean over the selected rows; 0 where none is.

    Parameters
    ----------
    logits, reference : Tensor
        Scores (N, K). No gradient flows to the reference.
    truth, share
        Which rows, see :func:`selected`.
    temperature : float
        T > 0, of both.

    Returns
    -------
    Tensor
        Without dimensions, at least 0.
    """
    z, r = logits.float(), reference.float().detach()
    soft = F.kl_div(
        (z / temperature).log_softmax(1), (r / temperature).softmax(1), reduction="none"
    ).sum(1)
    kept = selected(r, truth, share)
    return temperature**2 * (soft * kept).sum() / kept.sum().clamp_min(1)
