"""Gaussian mixtures whose true class probabilities are known exactly.

On real images models can only be compared with each other. Here every class is a mixture of
Gaussians of one width, so Bayes' rule gives p(y|x) in closed form: each model is held against the
truth. Two are used: ILS's six planar Gaussians, and scikit-learn's digits with Gaussian noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ldlstudy import checks

BLOCK_ELEMENTS = 2**23  # scores held at once by `posterior`: 64 MiB of float64


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Classes that are equally probable, each a mixture of isotropic Gaussians of one width.

    Parameters
    ----------
    centres : Tensor
        Shape (C, F), the mean of each component.
    labels : Tensor
        Shape (C,), the class of each component, in [0, classes).
    weights : Tensor
        Shape (C,), the weight of each component within its class; a class's weights sum to 1.
    sigma : float
        Standard deviation of every component in every direction, above 0.
    classes : int
        Number of classes K, at least 2.

    Raises
    ------
    ValueError
        If a shape or a range is violated or a class's weights do not sum to 1.
    """

    centres: Tensor
    labels: Tensor
    weights: Tensor
    sigma: float
    classes: int

    def __post_init__(self) -> None:
        """Check what the class's docstring asks of the fields."""
        checks.whole("classes", self.classes, 2)
        checks.in_range("sigma", self.sigma, 0, open_low=True)
        labels = checks.labels(self.labels, self.classes)
        centres = checks.tensor(self.centres, "centres")
        weights = checks.tensor(self.weights, "weights")
        for name, value in (("centres", centres), ("labels", labels), ("weights", weights)):
            object.__setattr__(self, name, value)
        if centres.ndim != 2 or not torch.isfinite(centres).all():
            raise ValueError(f"centres must be finite, shape (C, F), got {tuple(centres.shape)}")
        if not len(centres) == len(labels) == weights.numel() or weights.ndim != 1:
            raise ValueError(
                "centres, labels and weights must have one entry per component, "
                f"got {len(centres)}, {len(labels)} and shape {tuple(weights.shape)}"
            )
        sums = torch.zeros(self.classes, dtype=torch.float64)
        sums.index_add_(0, labels, weights.double())
        if not bool((weights > 0).all()) or not torch.allclose(sums, torch.ones_like(sums)):
            raise ValueError(
                "every class needs components with weights above 0 that sum to 1, "
                f"the sums by class are {sums.tolist()}"
            )

    @property
    def sparse(self) -> Tensor:
        """Shape (C,), True for components lighter than the heaviest of their class.

        ``mixture.sparse[component]`` marks the samples of ILS's sparse (right) Gaussians.
        """
        heaviest = torch.zeros(self.classes, dtype=self.weights.dtype)
        heaviest.scatter_reduce_(0, self.labels, self.weights, "amax")
        return self.weights < heaviest[self.labels]

    def sample(self, per_class: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw exactly ``per_class`` points of each class.

        Parameters
        ----------
        per_class : int
            Points of each class, at least 1.
        seed : int
            Seed of a NumPy generator, at least 0.

        Returns
        -------
        x : Tensor
            Shape (per_class * K, F), float32, grouped by class.
        labels : Tensor
            Shape (per_class * K,), the class of each point.
        component : Tensor
            Shape (per_class * K,), the component that each point came from.

        Raises
        ------
        ValueError
            If ``per_class`` or ``seed`` is out of range.
        """
        checks.whole("per_class", per_class, 1)
        rng = np.random.default_rng(checks.whole("seed", seed, 0))
        drawn = []
        for label in range(self.classes):
            members = np.flatnonzero(self.labels.numpy() == label)
            weights = self.weights.double().numpy()[members]
            drawn.append(rng.choice(members, per_class, p=weights / weights.sum()))
        component = torch.from_numpy(np.concatenate(drawn))
        noise = torch.from_numpy(rng.standard_normal((len(component), self.centres.shape[1])))
        x = self.centres.double()[component] + self.sigma * noise
        return x.float(), self.labels.long()[component], component

    def posterior(self, x: Tensor) -> Tensor:
        """Return the exact class probabilities p(y|x) under equally probable classes.

        Parameters
        ----------
        x : Tensor
            Shape (N, F), floating point and finite.

        Returns
        -------
        Tensor
            Shape (N, K), in the dtype of ``x``; computed in float64, a block of rows at a time.

        Raises
        ------
        ValueError
            If ``x`` has another shape, is not floating point or is not finite.
        """
        x = self._points(x)
        member = torch.nn.functional.one_hot(self.labels.long(), self.classes).double()  # (C, K)
        result = torch.empty(len(x), self.classes, dtype=x.dtype)
        for rows, scores in self._scores(x):
            result[rows] = (scores.softmax(1) @ member).to(x.dtype)
        return result

    def log_density(self, x: Tensor) -> Tensor:
        """Return the natural logarithm of the total density p(x) (ILS Figure 1).

        Parameters
        ----------
        x : Tensor
            Shape (N, F), floating point and finite.

        Returns
        -------
        Tensor
            Shape (N,), float64.

        Raises
        ------
        ValueError
            As in `posterior`.
        """
        x = self._points(x)
        result = torch.empty(len(x), dtype=torch.float64)
        for rows, scores in self._scores(x):
            square = x[rows].double().square().sum(1) / (2 * self.sigma**2)
            result[rows] = scores.logsumexp(1) - square
        scale = x.shape[1] / 2 * np.log(2 * np.pi * self.sigma**2) + np.log(self.classes)
        return result - scale

    def _points(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.centres.shape[1]:
            raise ValueError(f"x needs shape (N, {self.centres.shape[1]}), got {tuple(x.shape)}")
        if not x.is_floating_point() or not torch.isfinite(x).all():
            raise ValueError(f"x must be floating point and finite, got {x.dtype}")
        return x

    def _scores(self, x: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield blocks of rows and log(weight * density) up to a term of x alone, (rows, C).

        Dropping |x|^2, which all components share, keeps far-away points from overflowing.
        """
        centres = self.centres.double()
        offset = self.weights.double().log() - centres.square().sum(1) / (2 * self.sigma**2)
        step = max(1, BLOCK_ELEMENTS // len(centres))
        for start in range(0, len(x), step):
            rows = slice(start, start + step)
            yield rows, x[rows].double() @ (centres.T / self.sigma**2) + offset


def six_gaussians(separation: float = 1.0) -> GaussianMixture:
    """Return the synthetic set of ILS section III: three classes in the plane.

    Each class is a dense (left, weight .8) and a sparse (right, weight .2) Gaussian, in this order.

    Parameters
    ----------
    separation : float
        Factor on all six means, above 0; ILS Figure 5 varies the separation without giving it.

    Returns
    -------
    GaussianMixture
        With F = 2, K = 3 and sigma = 1.

    Raises
    ------
    ValueError
        If ``separation`` is not above 0.

    Examples
    --------
    >>> from ldlstudy import mixture
    >>> x, labels, component = mixture.six_gaussians().sample(per_class=2, seed=0)
    >>> mixture.six_gaussians().posterior(x).argmax(1), labels
    (tensor([0, 1, 1, 1, 2, 2]), tensor([0, 0, 1, 1, 2, 2]))
    """
    checks.in_range("separation", separation, 0, open_low=True)
    means = [[-4, 1], [2, 1], [-4, -1], [2, -1], [-1, 0], [5, 0]]
    return GaussianMixture(
        centres=separation * torch.tensor(means, dtype=torch.float64),
        labels=torch.tensor([0, 0, 1, 1, 2, 2]),
        weights=torch.tensor([0.8, 0.2] * 3, dtype=torch.float64),
        sigma=1.0,
        classes=3,
    )


def noisy_digits(sigma: float = 0.4) -> GaussianMixture:
    """Return scikit-learn's 1,797 digit images as the centres of a ten-class mixture.

    Pixels are divided by 16, so they lie in [0, 1]; the images of a class have equal weights.

    Parameters
    ----------
    sigma : float
        Standard deviation of the pixel noise, above 0. The Bayes accuracy is about .994, .954,
        .864 and .773 at .3, .4, .5 and .6.

    Returns
    -------
    GaussianMixture
        With F = 64 (8 x 8 pixels, row by row), K = 10.

    Raises
    ------
    ValueError
        If ``sigma`` is not above 0.

    Examples
    --------
    >>> from ldlstudy import mixture
    >>> digits = mixture.noisy_digits(sigma=0.3)
    >>> x, labels, component = digits.sample(per_class=1, seed=0)
    >>> x.shape, digits.posterior(x).shape
    (torch.Size([10, 64]), torch.Size([10, 10]))
    """
    from sklearn.datasets import load_digits  # the rest of the package runs without scikit-learn

    pixels, digits = load_digits(return_X_y=True)
    labels = torch.from_numpy(digits).long()
    return GaussianMixture(
        centres=torch.from_numpy(pixels) / 16,
        labels=labels,
        weights=1 / labels.bincount().double()[labels],
        sigma=sigma,
        classes=10,
    )


MIXTURES = {"six_gaussians": six_gaussians, "noisy_digits": noisy_digits}
