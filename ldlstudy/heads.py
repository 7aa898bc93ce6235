"""Heads that some methods put on a network: cosines for AdaCos, branches for Be Your Own Teacher.

A method that changes only the loss keeps the linear head. :func:`fit` gives a network the head of
its method before it is trained, and again before its weights are loaded.
"""

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldlstudy.models import Classifier
from ldlstudy.models.layers import convolution, pool

MOST_STAGES = 4  # three branches and the network's own end


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


class Branched(Classifier):
    """A network with a shallow classifier wherever its feature maps are about to shrink (BYOT).

    "Be your own teacher" (Zhang et al., 2019) also classifies from the end of each stage but the
    last. A branch shrinks and widens the maps with strided 3x3 convolutions until they are as the
    last stage's, pools them and has a linear head. At most the three deepest places have one, as in
    the paper's ResNets. Branches are for training; a prediction is the network's own.

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
        super().__init__(
            network.body, network.head, network.channels, network.size, network.smallest
        )
        stages = _stages(self.body, shape)[-MOST_STAGES:]
        widths = [width for _, width in stages]
        if len(stages) < 2 or widths[-1] != self.head.in_features:
            raise ValueError(
                "byot needs a network with maps of several sizes whose last are averaged into its "
                f"features, got maps of widths {widths} and {self.head.in_features} features"
            )
        self.branches = nn.ModuleList(_branch(widths[i:]) for i in range(len(stages) - 1))
        self.heads = nn.ModuleList(
            nn.Linear(widths[-1], self.head.out_features) for _ in self.branches
        )
        self._maps: dict[int, Tensor] | None = None  # gathered while `shallow` runs
        for place, (module, _) in enumerate(stages[:-1]):
            module.register_forward_hook(lambda _, __, maps, place=place: self._gather(place, maps))

    def _gather(self, place: int, maps: Tensor) -> None:
        if self._maps is not None:
            self._maps[place] = maps

    def shallow(self, images: Tensor) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        """Return logits (N, K) and features (N, D), and those of every branch, shallowest first."""
        maps: dict[int, Tensor] = {}
        self._maps = maps
        logits, features = self(images, return_features=True)
        self._maps = None
        found = [branch(maps[i]) for i, branch in enumerate(self.branches)]
        return logits, features, [(h(f), f) for h, f in zip(self.heads, found, strict=True)]


def _stages(body: nn.Module, shape: tuple[int, int, int]) -> list[tuple[nn.Module, int]]:
    """The last of the body's modules at each size of its maps, before they are averaged; widths."""
    seen: list[tuple[nn.Module, torch.Size]] = []
    hooks = [
        module.register_forward_hook(lambda own, _, maps: seen.append((own, maps.shape)))
        for module in body.children()
    ]
    training = body.training
    with torch.no_grad():
        body.eval()(torch.zeros(1, *shape))
    body.train(training)
    for hook in hooks:
        hook.remove()
    last = {size[2:]: (own, size[1]) for own, size in seen if len(size) == 4 and size[-1] > 1}
    return list(last.values())


def _branch(widths: list[int]) -> nn.Sequential:
    """Strided convolutions from the first width to the last, and the mean over places."""
    steps = [
        (convolution(before, after, 3, stride=2), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
        for before, after in itertools.pairwise(widths)
    ]
    return nn.Sequential(*itertools.chain.from_iterable(steps), pool())


def _cosine(network: Classifier, shape: tuple[int, int, int]) -> Classifier:
    network.head = Cosine(network.head.in_features, network.head.out_features)
    return network


def _without_bias(network: Classifier, shape: tuple[int, int, int]) -> Classifier:
    network.head = nn.Linear(network.head.in_features, network.head.out_features, bias=False)
    return network


HEADS: dict[str, Callable[[Classifier, tuple[int, int, int]], Classifier]] = {
    "adacos": _cosine,
    "virtual_softmax": _without_bias,  # its logits are w_k . x (Chen et al., 2018)
    "byot": Branched,
}


def fit(method: str, network: Classifier, shape: tuple[int, int, int]) -> Classifier:
    """Return ``network`` with the head of ``method``, or as it is where that has none of its own.

    Parameters
    ----------
    method : str
        Name of any method.
    network : Classifier
        New; its weights are drawn from torch's global generator, as a new head's are.
    shape : tuple of int
        C, H, W of an image.

    Raises
    ------
    ValueError
        If the network cannot take the head.
    """
    return HEADS[method](network, shape) if method in HEADS else network
