"""What CRD and SSKD train beside a student: embeddings, a memory of every image, projections.

Both rivals of LDL compare features, not only answers, and features of two networks have different
widths and meanings. So each network gets small layers of its own into a space where they can be
compared. These layers are modules on the student, so that its optimiser trains them and its
checkpoints hold them; a prediction does not use them. Products are taken in the precision of the
weights even where the network's own are in bfloat16: an error of a cosine grows with 1 / T.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldlstudy import checks
from ldlstudy.models import Classifier

DIMENSIONS = 128  # of CRD's embeddings


class Contrast(nn.Module):
    """CRD's critic, which tells whether a student's and a teacher's feature are of one image.

    Two linear embeddings onto the unit sphere, and a memory of both embeddings of every training
    image, out of which the wrong pairs come (Tian, Krishnan and Isola, 2020).

    Parameters
    ----------
    student, teacher : int
        Widths of the features.
    count : int
        Number N of training images, at least 2.
    dimensions : int
        D, of the embeddings.

    Attributes
    ----------
    memory : Tensor
        Shape (2, N, D), the student's and the teacher's embeddings. At first uniform, of expected
        squared length 1, as in the authors' code; after its first visit each row has length 1.
    log_normaliser : Tensor
        Shape (2,), log Z of the teacher and of the student as the anchor; NaN until a batch.
    """

    memory: Tensor
    log_normaliser: Tensor

    def __init__(
        self, student: int, teacher: int, count: int, dimensions: int = DIMENSIONS
    ) -> None:
        super().__init__()
        self.student, self.teacher = (nn.Linear(width, dimensions) for width in (student, teacher))
        bound = math.sqrt(3 / dimensions)
        memory = torch.empty(2, checks.whole("training images", count, 2), dimensions)
        self.register_buffer("memory", memory.uniform_(-bound, bound))
        self.register_buffer("log_normaliser", torch.full((2,), math.nan))

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        index: Tensor,
        negatives: Tensor,
        temperature: float,
        momentum: float,
    ) -> Tensor:
        """Return the loss of a batch and remember its embeddings.

        An anchor v, the teacher's or the student's embedding of image i, is compared with what is
        remembered of the other network: u_i, and u_j for K drawn images j. The critic is
        h(v, u) = s / (s + K / N) with s = exp(v . u / T) / Z, and the loss the mean over the batch
        of -log h(v, u_i) - sum_j log(1 - h(v, u_j)), summed over both kinds of anchor (the authors'
        "eq. 18", without their 1e-7 in the denominator). Z is fixed by the first batch, at N times
        the mean of exp(v . u / T) over all its pairs.

        Parameters
        ----------
        student, teacher : Tensor
            Features (B, Ds) and (B, Dt) of the same views.
        index : Tensor
            Shape (B,), positions of their images in the training set, all different.
        negatives : Tensor
            Shape (B, K), positions of other images, see :func:`draw_negatives`.
        temperature : float
            T > 0.
        momentum : float
            m in [0, 1]: a remembered embedding becomes m u + (1 - m) v, scaled to length 1.

        Returns
        -------
        Tensor
            Without dimensions, in nats.
        """
        with torch.autocast(student.device.type, enabled=False):
            own = torch.stack([_embed(self.student, student), _embed(self.teacher, teacher)])
            anchors = own.flip(0)  # the teacher's meet the student's memory, and the other way
            scores = anchors @ self.memory.mT / temperature  # (2, B, N)
            pairs = torch.cat([index[:, None], negatives], 1).expand(2, -1, -1)
            scores = scores.gather(2, pairs)  # (2, B, 1 + K), the right pair first
            odds = scores - self._normaliser(scores.detach())[:, None, None]
            odds = odds - math.log(negatives.shape[1] / self.memory.shape[1])  # of a right pair
            wrong = F.softplus(odds[..., 1:]).sum(2)  # -log(1 - h)
            self._remember(own.detach(), index, momentum)
            return (F.softplus(-odds[..., 0]) + wrong).sum(0).mean()

    def _normaliser(self, scores: Tensor) -> Tensor:
        """Log Z (2,), set by the first batch; without a look at it that would wait for the GPU."""
        pairs = scores.flatten(1)
        first = pairs.logsumexp(1) + math.log(self.memory.shape[1] / pairs.shape[1])
        unset = self.log_normaliser.isnan()
        self.log_normaliser.copy_(torch.where(unset, first, self.log_normaliser))
        return self.log_normaliser.clone()

    def _remember(self, embeddings: Tensor, index: Tensor, momentum: float) -> None:
        moved = momentum * self.memory[:, index] + (1 - momentum) * embeddings
        # another tensor, not another content: the backward pass still needs the one before
        self.memory = self.memory.index_copy(1, index, F.normalize(moved, dim=2))


def _embed(layer: nn.Linear, features: Tensor) -> Tensor:
    return F.normalize(layer(features.to(layer.weight.dtype)))


def draw_negatives(index: Tensor, negatives: int, count: int) -> Tensor:
    """Return positions (B, K) of other images, each uniform over all but the row's own.

    From torch's global generator, with replacement. The authors' code may also draw the image
    itself, with probability 1 / N.

    Parameters
    ----------
    index : Tensor
        Shape (B,), positions in [0, N).
    negatives, count : int
        K and N.
    """
    drawn = torch.randint(count - 1, (len(index), negatives), device=index.device)
    return drawn + (drawn >= index[:, None])


class Projections(nn.Module):
    """SSKD's projection heads, of the student and of its teacher: two layers each, as wide as it.

    Parameters
    ----------
    student, teacher : int
        Widths of the features.
    """

    def __init__(self, student: int, teacher: int) -> None:
        super().__init__()
        self.student, self.teacher = (
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for width in (student, teacher)
        )

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Return both networks' cosines (3 B, B) of turned images to upright ones.

        Parameters
        ----------
        student, teacher : Tensor
            Features (4 B, Ds) and (4 B, Dt) of B upright images and then of the same turned, in
            the same order three times.
        """
        with torch.autocast(student.device.type, enabled=False):
            return _cosines(self.student, student), _cosines(self.teacher, teacher)


def _cosines(head: nn.Module, features: Tensor) -> Tensor:
    projected = F.normalize(head(features.to(next(head.parameters()).dtype)))
    upright, turned = projected.split([len(projected) // 4, 3 * len(projected) // 4])
    return turned @ upright.T


def _contrast(network: Classifier, count: int, width: int) -> nn.Module:
    return Contrast(network.head.in_features, width, count)


def _projections(network: Classifier, count: int, width: int) -> nn.Module:
    return Projections(network.head.in_features, width)


BESIDE: dict[str, Callable[[Classifier, int, int], nn.Module]] = {
    "crd": _contrast,
    "crd_kd": _contrast,
    "sskd": _projections,
}


def fit(method: str, network: Classifier, count: int, width: int) -> Classifier:
    """Return ``network`` with what ``method`` trains beside it, as its module ``beside``.

    Parameters
    ----------
    method : str
        A name of :data:`BESIDE`.
    network : Classifier
        The student. What it gets is drawn from torch's global generator.
    count : int
        Number of training images.
    width : int
        Width of the teacher's penultimate features.

    Raises
    ------
    ValueError
        If the method is unknown (the known ones are listed) or a number too small.
    """
    make = BESIDE[checks.one_of("method with layers beside the student", method, BESIDE)]
    network.add_module("beside", make(network, count, checks.whole("teacher's width", width, 1)))
    return network
