"""Modules that a method puts on a network or beside it.

AdaCos replaces the linear head by cosines. Three methods train a module beside the network: BYOT
its shallow branches, CRD and SSKD small layers that bring the features of two networks of different
widths into a space where they can be compared. Such a module is the network's ``beside``, so that
its optimiser trains it and its checkpoints hold it; a prediction does not use it. Products of CRD
and SSKD are taken in the precision of the weights even where the network's own are in bfloat16: an
error of a cosine grows with 1 / T.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldlstudy import checks
from ldlstudy.models import Classifier
from ldlstudy.models.classifier import in_mode
from ldlstudy.models.layers import convolution, pool

DIMENSIONS = 128  # of CRD's embeddings
MOST_STAGES = 4  # of BYOT: three branches and the network's own end


class Cosine(nn.Linear):
    """AdaCos' head (Zhang et al., 2019): logits are s cos(theta_k), theta_k from feature to w_k.

    The scale s starts at sqrt(2) log(K - 1) (eq. 4 there), follows the batches of training
    (:meth:`rescale`) and stays as it is in evaluation.

    Parameters
    ----------
    features, classes : int
        D and K; K at least 3, for with two classes s would start at 0.
    """

    scale: Tensor

    def __init__(self, features: int, classes: int) -> None:
        if classes < 3:
            raise ValueError(f"AdaCos needs at least 3 classes, got {classes}")
        super().__init__(features, classes, bias=False)
        nn.init.xavier_uniform_(self.weight)
        self.register_buffer("scale", torch.tensor(math.sqrt(2) * math.log(classes - 1)))

    def cosines(self, features: Tensor) -> Tensor:
        """Return cos(theta_k), shape (N, K), of features (N, D)."""
        return F.linear(F.normalize(features), F.normalize(self.weight))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, K) of features (N, D)."""
        return self.scale * self.cosines(features)

    @torch.no_grad()
    def rescale(self, cosines: Tensor, labels: Tensor) -> Tensor:
        """Set and return the scale that a training batch gives (AdaCos eqs. 6 and 7).

        s = log(B) / cos(min(pi / 4, median angle to the true class)), B the mean over the batch of
        the sum over wrong classes of exp(s' cos(theta_k)), s' the scale before.
        """
        cosines = cosines.float()
        true = cosines.gather(1, labels[:, None])[:, 0]
        odds = (self.scale * cosines).exp()
        wrong = odds.sum(1) - (self.scale * true).exp()
        angle = true.clamp(-1, 1).acos().median().clamp_max(math.pi / 4)
        self.scale.copy_(wrong.mean().log() / angle.cos())
        return self.scale.clone()


class Branches(nn.Module):
    """BYOT's shallow classifiers, one wherever a network's feature maps are about to shrink.

    "Be your own teacher" (Zhang et al., 2019) also classifies from the end of each stage but the
    last. A branch shrinks and widens the maps with strided 3x3 convolutions until they are as the
    last stage's, pools them and has a linear head. At most the three deepest places have one, as in
    the paper's ResNets.

    Parameters
    ----------
    network : Classifier
        Its features are its last maps, averaged over places.
    shape : tuple of int
        C, H, W of an image.

    Raises
    ------
    ValueError
        If the features are something else, or no maps shrink.
    """

    def __init__(self, network: Classifier, shape: tuple[int, int, int]) -> None:
        super().__init__()
        stages = _stages(network.body, shape)[-MOST_STAGES:]
        self.places = [name for name, _ in stages[:-1]]
        widths = [width for _, width in stages]
        if len(stages) < 2 or widths[-1] != network.head.in_features:
            raise ValueError(
                "byot needs a network with maps of several sizes whose last are averaged into its "
                f"features, got maps of widths {widths} and {network.head.in_features} features"
            )
        self.branches = nn.ModuleList(_branch(widths[i:]) for i in range(len(stages) - 1))
        self.heads = nn.ModuleList(
            nn.Linear(widths[-1], network.head.out_features) for _ in self.branches
        )

    def forward(
        self, network: Classifier, images: Tensor
    ) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        """Return logits (N, K) and features (N, D), and those of every branch, shallowest first."""
        maps: list[Tensor] = []
        stages = dict(network.body.named_children())
        hooks = [
            stages[name].register_forward_hook(lambda _, __, out: maps.append(out))
            for name in self.places
        ]
        try:
            logits, features = network(images, return_features=True)
        finally:
            for hook in hooks:
                hook.remove()
        found = [branch(seen) for branch, seen in zip(self.branches, maps, strict=True)]
        return logits, features, [(h(f), f) for h, f in zip(self.heads, found, strict=True)]


def _stages(body: nn.Module, shape: tuple[int, int, int]) -> list[tuple[str, int]]:
    """The last of the body's modules at each size of its maps, before they are averaged; widths."""
    seen: list[tuple[str, torch.Size]] = []
    hooks = [
        module.register_forward_hook(lambda _, __, maps, name=name: seen.append((name, maps.shape)))
        for name, module in body.named_children()
    ]
    with torch.no_grad(), in_mode(body, training=False):
        body(torch.zeros(1, *shape, device=next(body.parameters()).device))
    for hook in hooks:
        hook.remove()
    last = {size[2:]: (name, size[1]) for name, size in seen if len(size) == 4 and size[-1] > 1}
    return list(last.values())


def _branch(widths: list[int]) -> nn.Sequential:
    """Strided convolutions from the first width to the last, and the mean over places."""
    steps = [
        (convolution(before, after, 3, stride=2), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
        for before, after in itertools.pairwise(widths)
    ]
    return nn.Sequential(*itertools.chain.from_iterable(steps), pool())


class Contrast(nn.Module):
    """CRD's critic, which tells whether a student's and a teacher's feature are of one image.

    Two linear embeddings onto the unit sphere, and a memory of both embeddings of every training
    image, out of which the wrong pairs come (Tian, Krishnan and Isola, 2020).

    Parameters
    ----------
    student, teacher : int
        Widths of the features.
    labels : Tensor
        Shape (N,), classes of the training images, of which there are at least two.
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
    labels: Tensor
    log_normaliser: Tensor

    def __init__(
        self, student: int, teacher: int, labels: Tensor, dimensions: int = DIMENSIONS
    ) -> None:
        super().__init__()
        if len(labels.unique()) < 2:
            raise ValueError("CRD compares images of different classes, all are of one class")
        self.student, self.teacher = (nn.Linear(width, dimensions) for width in (student, teacher))
        bound = math.sqrt(3 / dimensions)
        memory = torch.empty(2, len(labels), dimensions)
        self.register_buffer("memory", memory.uniform_(-bound, bound))
        self.register_buffer("labels", labels.clone(), persistent=False)
        self.others = len(labels) - int(labels.bincount().max())  # of the largest class
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
            Shape (B, K), positions of images of other classes, see :meth:`draw_negatives`.
        temperature : float
            T in (0, 1000].
        momentum : float
            m in [0, 1]: a remembered embedding becomes m u + (1 - m) v, scaled to length 1.

        Returns
        -------
        Tensor
            Without dimensions, in nats.
        """
        checks.in_range("contrast_temperature", temperature, 0, 1e3, open_low=True)
        checks.in_range("momentum", momentum, 0, 1)
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

    def draw_negatives(self, index: Tensor, negatives: int) -> Tensor:
        """Return positions (B, K) of images of other classes than the row's, all different.

        Every such set is as likely, from torch's global generator. More ``negatives`` K than some
        class leaves are a ValueError.
        """
        if checks.whole("negatives", negatives, 1) > self.others:
            raise ValueError(
                f"negatives must be at most the {self.others} training images outside the largest "
                f"class, got {negatives}"
            )
        order = torch.rand(len(index), len(self.labels), device=index.device)
        order.masked_fill_(self.labels == self.labels[index, None], 2.0)  # own class comes last
        return order.topk(negatives, largest=False, sorted=False).indices

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


class Projections(nn.Module):
    """SSKD's projection heads, of the student and of its teacher: two layers each, as wide as it.

    Knowledge distillation meets self-supervision (Xu et al., 2020): the teacher also tells which
    upright image it finds a turned one nearest to, in the space of a projection of its features.
    The authors train the teacher's projection first, for 60 epochs, and freeze it. Here it is
    trained beside the student, on the teacher's features as constants, that a turned image be
    nearest to its own upright one; so the cosines to copy still move in the first epochs. Their
    four copies of an image are cropped apart and mirrored together; here they are mirrored apart as
    well.

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


def branches(
    network: Classifier, shape: tuple[int, int, int], labels: Tensor, teacher: int
) -> nn.Module:
    """Return BYOT's module beside a network, see :meth:`ldlstudy.methods.Method.fit`."""
    return Branches(network, shape)


def contrast(
    network: Classifier, shape: tuple[int, int, int], labels: Tensor, teacher: int
) -> nn.Module:
    """Return CRD's module beside a network, see :meth:`ldlstudy.methods.Method.fit`."""
    return Contrast(network.head.in_features, checks.whole("teacher's width", teacher, 1), labels)


def projections(
    network: Classifier, shape: tuple[int, int, int], labels: Tensor, teacher: int
) -> nn.Module:
    """Return SSKD's module beside a network, see :meth:`ldlstudy.methods.Method.fit`."""
    return Projections(network.head.in_features, checks.whole("teacher's width", teacher, 1))
