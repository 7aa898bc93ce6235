"""How much an answer says of which image it is of: mutual information under augmentation.

X is the index of one of N images, all equally probable, and Y is what a network answers when it is
shown that image, augmented by chance. I(X; Y) is 0 where the answers of all images look alike and
log N where each answer gives its image away; log 2 is one bit, such as which of two classes it is.
Müller, Kornblith and Hinton (2019, section 4) estimate it to say what label smoothing erases.

`mueller` and `mueller_2019` are their estimator in its two printings. Scores of pairs, a *critic*,
give bounds that hold whatever the answers look like: `lower_bound` for any scores, and
`leave_one_out` for those that are the true log density. `fitted_scores` fits a Gaussian critic to
one part of the draws, to be held against the other. All are in nats and computed in float64.
"""

import math

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.checks import ArrayLike

RIDGE = 1e-9  # of the mean variance, so that logits on a line still have an inverse covariance
SPAN, STEP = 12.0, 0.02  # of the quadrature in standard deviations: beyond the means, and apart


def _finite(values: ArrayLike, name: str, dimensions: tuple[int, ...]) -> Tensor:
    """Return ``values`` as finite float64 with an allowed number of dimensions, none empty."""
    tensor = checks.tensor(values, name).detach()
    if tensor.ndim not in dimensions or 0 in tensor.shape:
        allowed = " or ".join(str(n) for n in dimensions)
        raise ValueError(f"{name} must have {allowed} dimensions, got {tuple(tensor.shape)}")
    if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
        raise ValueError(f"{name} must be floating point and finite, got {tensor.dtype}")
    return tensor.double()


def _several(tensor: Tensor, name: str) -> Tensor:
    if len(tensor) < 2:
        raise ValueError(f"{name} must be of at least two images, got {len(tensor)}")
    return tensor


def mueller(answers: ArrayLike, means: ArrayLike) -> float:
    r"""Return the estimate of Müller, Kornblith and Hinton (section 4), as arXiv version 3 has it.

    .. math::

        \hat I = \frac1N \sum_{x=1}^N \Bigl[-\frac{(y_x - \mu_x)^2}{2 \sigma^2}
            - \log \frac1N \sum_{x'=1}^N e^{-(y_x - \mu_{x'})^2 / (2 \sigma^2)}\Bigr], \quad
        \sigma^2 = \frac1N \sum_{x=1}^N (y_x - \mu_x)^2 .

    The first term is -1/2 on average whatever the answers are, for that is how :math:`\sigma` is
    chosen. It is a `lower_bound` whose critic is Gaussian, where the means are of other draws than
    the answers; where each answer is among the draws of its mean, it may lie above the truth.

    Parameters
    ----------
    answers : Tensor, ndarray or sequence
        Shape (N,), N at least 2: the answer to one draw of each image, such as the difference of
        two logits.
    means : Tensor, ndarray or sequence
        Shape (N,): the mean answer of each image over some draws, in the paper five.

    Returns
    -------
    float
        At most log N, in nats; below 0 where the Gaussian is worse than a guess.

    Raises
    ------
    ValueError
        If the shapes differ, there are fewer than two images, a number is not finite, or all
        answers are their means: the variance is then 0.
    """
    y, mu, variance = _checked(answers, means)
    scores = -(y[:, None] - mu).square() / (2 * variance)  # (N, N): answer by image
    return float((scores.diagonal() - scores.logsumexp(1)).mean()) + math.log(len(y))


def mueller_2019(answers: ArrayLike, means: ArrayLike) -> float:
    r"""Return the same estimate by the equation of the proceedings, which lacks both 1/N.

    .. math::

        \sum_{x=1}^N \Bigl[-\frac{(y_x - \mu_x)^2}{2 \sigma^2}
            - \log \sum_{x'=1}^N e^{-(y_x - \mu_{x'})^2 / (2 \sigma^2)}\Bigr]
        = N (\hat I - \log N) .

    It is never above 0, and no information: some thousands below 0 for a few hundred images.

    Parameters
    ----------
    answers, means
        As in `mueller`.

    Returns
    -------
    float
        At most 0.

    Raises
    ------
    ValueError
        As in `mueller`.
    """
    y, mu, variance = _checked(answers, means)
    scores = -(y[:, None] - mu).square() / (2 * variance)
    return float((scores.diagonal() - scores.logsumexp(1)).sum())


def _checked(answers: ArrayLike, means: ArrayLike) -> tuple[Tensor, Tensor, Tensor]:
    """Answers and means (N,), and the one variance of all answers about their means."""
    y = _several(_finite(answers, "answers", (1,)), "answers")
    mu = _finite(means, "means", (1,))
    if y.shape != mu.shape:
        raise ValueError(f"need a mean for each answer, got {len(mu)} and {len(y)}")
    variance = (y - mu).square().mean()
    if variance == 0:
        raise ValueError("all answers equal their means: augmentation changes nothing")
    return y, mu, variance


def lower_bound(scores: ArrayLike, index: ArrayLike | None = None) -> float:
    r"""Return a lower bound on I(X; Y) by scores of how well each image explains each answer.

    .. math::

        I(X; Y) \ge \log N + \mathbb{E} \log q(x \mid y), \qquad
        q(x \mid y) = \frac{e^{s(x, y)}}{\sum_{x'=1}^N e^{s(x', y)}}

    (Barber and Agakov 2003; InfoNCE in Poole et al. 2019). With X one of just these
    N images it is exact, but for the draws, where :math:`s` is log p(y | x) up to a term of y
    alone. Where the N images are themselves a sample, it is a bound on the information about all
    images, and can never exceed log N.

    Parameters
    ----------
    scores : Tensor, ndarray or sequence
        Shape (M, N), N at least 2: of M answers by the N images. They must not have been fitted
        to these answers.
    index : Tensor, ndarray or sequence, optional
        Shape (M,), whole numbers in [0, N): the image of each answer. Without it M is N, and each
        image has one answer, in order.

    Returns
    -------
    float
        At most log N, in nats.

    Raises
    ------
    ValueError
        If a shape or a range is violated or a score is not finite.
    """
    s = _finite(scores, "scores", (2,))
    _several(s.T, "scores")
    if index is None:
        _square(s)
        index = torch.arange(len(s))
    own = checks.labels(index, s.shape[1]).to(s.device)
    if len(own) != len(s):
        raise ValueError(f"need the image of each answer, got {len(own)} and {len(s)} answers")
    return math.log(s.shape[1]) + float(s.log_softmax(1).gather(1, own[:, None]).mean())


def leave_one_out(scores: ArrayLike) -> float:
    r"""Return an upper bound on the information about all images, of which these are a sample.

    .. math::

        I(X; Y) \le \mathbb{E} \frac1N \sum_{i=1}^N \log
            \frac{p(y_i \mid x_i)}{\frac{1}{N-1} \sum_{j \ne i} p(y_i \mid x_j)}

    (Poole et al. 2019). It holds in expectation, and for the true density alone; the
    expectation of `lower_bound` with the same scores lies below.

    Parameters
    ----------
    scores : Tensor, ndarray or sequence
        Shape (N, N), N at least 2: log p(y_i | x_j) up to a term of y_i alone.

    Returns
    -------
    float
        In nats, without an upper end.

    Raises
    ------
    ValueError
        If the scores are not square or not finite.
    """
    s = _square(_several(_finite(scores, "scores", (2,)), "scores"))
    others = s.masked_fill(torch.eye(len(s), dtype=torch.bool, device=s.device), -math.inf)
    return float((s.diagonal() - others.logsumexp(1)).mean()) + math.log(len(s) - 1)


def _square(scores: Tensor) -> Tensor:
    if scores.shape[0] != scores.shape[1]:
        raise ValueError(f"scores must be of N answers by N images, got {tuple(scores.shape)}")
    return scores


def fitted_scores(draws: ArrayLike, answers: ArrayLike) -> Tensor:
    r"""Return the scores of a Gaussian critic that is fitted to some draws of each image.

    :math:`s(x, y) = -\frac12 (y - \mu_x)^\top \Sigma^{-1} (y - \mu_x)`, with each image's mean over
    its L draws and one covariance: that of the draws about their means, unbiased, times 1 + 1/L
    for what the means are off. Rotating, scaling or shifting all answers alike changes nothing, and
    no temperature does.

    Parameters
    ----------
    draws : Tensor, ndarray or sequence
        Shape (N, L, D): L draws of the answer to each image, N and L at least 2, D numbers each.
    answers : Tensor, ndarray or sequence
        Shape (M, D): other draws, to be scored.

    Returns
    -------
    Tensor
        Shape (M, N), float64.

    Raises
    ------
    ValueError
        If a shape is violated, a number is not finite, or the draws of no image differ.
    """
    known = _several(_finite(draws, "draws", (3,)), "draws")
    y = _finite(answers, "answers", (2,)).to(known.device)
    n, count, width = known.shape
    if count < 2 or y.shape[1] != width:
        raise ValueError(
            "need draws (N, L, D) with L >= 2 and answers (M, D), "
            f"got {tuple(known.shape)} and {tuple(y.shape)}"
        )
    means = known.mean(1)
    about = (known - means[:, None]).flatten(0, 1)  # (N L, D)
    covariance = about.T @ about / (n * (count - 1)) * (1 + 1 / count)
    scale = covariance.diagonal().mean()
    if scale == 0:
        raise ValueError("the draws of each image are all alike: augmentation changes nothing")
    covariance = covariance + RIDGE * scale * torch.eye(width).to(covariance)
    factor = torch.linalg.cholesky(covariance)
    white, centres = (torch.linalg.solve_triangular(factor, v.T, upper=False) for v in (y, means))
    return -0.5 * torch.cdist(white.T, centres.T).square()


def gaussian_channel(means: ArrayLike, sigma: float) -> float:
    r"""Return I(X; Y) of equally probable numbers seen through Gaussian noise, by quadrature.

    :math:`I(X; Y) = h(Y) - \frac12 \log(2 \pi e \sigma^2)`, where the density of Y is the mean of N
    Gaussians and :math:`h(Y) = -\int p \log p` its entropy, by the trapezoid rule.

    Parameters
    ----------
    means : Tensor, ndarray or sequence
        Shape (N,): what is said of each image without noise.
    sigma : float
        Standard deviation of the noise, above 0.

    Returns
    -------
    float
        Between 0 and log N, in nats.

    Raises
    ------
    ValueError
        If the means have another shape or are not finite, or ``sigma`` is not above 0.
    """
    checks.in_range("sigma", sigma, 0, open_low=True)
    centres = (_finite(means, "means", (1,)) / sigma).sort().values
    # far from every mean there is nothing to integrate, however far the means are apart
    near = torch.arange(-SPAN, SPAN, STEP, dtype=torch.float64, device=centres.device)
    cells = ((centres[:, None] + near) / STEP).round().flatten().unique()
    y = cells * STEP
    log_p = torch.cat([
        (-(part[:, None] - centres).square() / 2).logsumexp(1) for part in y.split(4096)
    ])  # fmt: skip
    log_p = log_p - math.log(len(centres)) - math.log(2 * math.pi) / 2
    entropy = -STEP * float((log_p.exp() * log_p).sum())
    return entropy - math.log(2 * math.pi * math.e) / 2
