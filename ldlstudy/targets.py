"""Label strategies: from labels, and perhaps a teacher's probabilities, to label distributions.

A classifier is usually trained towards the one-hot vector of the true class. Each function here
returns a softer distribution to train towards instead. All are pure functions from labels of shape
(N,), whole numbers in [0, K), to probabilities of shape (N, K) whose rows sum to 1; N may be 0. A
``teacher`` is a table of probabilities (N, K). Without one the result has torch's default dtype,
with one it has the teacher's, but float32 at least. An argument of another shape or out of range
raises ValueError.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ldlstudy import checks


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return the hard targets: 1 for the true class.

    Parameters
    ----------
    labels : Tensor
        Shape (N,), whole numbers in [0, classes).
    classes : int
        Number of classes K, at least 2.

    Returns
    -------
    Tensor
        Shape (N, K).

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> targets.one_hot(torch.tensor([0, 2]), classes=3)
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """
    y = checks.labels(labels, checks.whole("classes", classes, 2))
    return F.one_hot(y, classes).to(torch.get_default_dtype())


def smooth(labels: Tensor, classes: int, epsilon: float) -> Tensor:
    """Return standard label smoothing, y (1 - epsilon) + epsilon / K (ILS section II-A).

    The true class gets its share of ``epsilon``, in [0, 1], too, as in torch's ``label_smoothing``.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> targets.smooth(torch.tensor([0, 2]), classes=3, epsilon=0.3)
    tensor([[0.8000, 0.1000, 0.1000],
            [0.1000, 0.1000, 0.8000]])
    """
    checks.in_range("epsilon", epsilon, 0, 1)
    return one_hot(labels, classes) * (1 - epsilon) + epsilon / classes


def smooth_wrong(labels: Tensor, classes: int, alpha: float) -> Tensor:
    """Return label smoothing over the wrong classes alone, alpha / (K - 1) each (LDL eq. 2).

    ``alpha``, in [0, 1], is the probability moved off the true class. The result equals `smooth`
    with epsilon = alpha K / (K - 1) where that is at most 1.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> targets.smooth_wrong(torch.tensor([0, 2]), classes=3, alpha=0.3)
    tensor([[0.7000, 0.1500, 0.1500],
            [0.1500, 0.1500, 0.7000]])
    """
    checks.in_range("alpha", alpha, 0, 1)
    hard = one_hot(labels, classes)
    return hard * (1 - alpha) + (1 - hard) * alpha / (classes - 1)


def neighbours(features: Tensor, labels: Tensor, classes: int, count: int = 10) -> Tensor:
    """Return the shares of the classes among each sample's nearest samples, itself one of them.

    The simplest label enhancement there is. Distances are Euclidean.

    Parameters
    ----------
    features : Tensor
        Shape (N, D), floating point and finite.
    labels : Tensor
        Shape (N,), whole numbers in [0, K).
    classes : int
        Number of classes K, at least 2.
    count : int
        How many samples count, at least 1; all, where there are fewer.

    Returns
    -------
    Tensor
        Shape (N, K), float32.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> points = torch.tensor([[0.0], [1.0], [5.0], [6.0]])
    >>> targets.neighbours(points, torch.tensor([0, 0, 1, 0]), classes=2, count=2)
    tensor([[1.0000, 0.0000],
            [1.0000, 0.0000],
            [0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    x, hard = _of_features(features, labels, classes)
    near = min(checks.whole("count", count, 1), len(x))
    x = x - x.mean(0)  # distances come from products, which lose digits far from the origin
    apart = (torch.cdist(part, x) for part in x.split(1024))
    found = [distances.topk(near, largest=False).indices for distances in apart]
    return hard[torch.cat(found)].mean(1)


def propagation(
    features: Tensor, labels: Tensor, classes: int, alpha: float = 0.5, count: int = 7
) -> Tensor:
    """Return labels that have spread along a graph of nearest samples (scikit-learn).

    F = alpha S F + (1 - alpha) Y until it stands, with S the normalised graph and Y the one-hot
    labels (Zhou et al., 2004); label enhancement as Xu, Liu and Geng (2019) have it but for the
    graph, which there joins all samples by a Gaussian of their distance.

    Parameters
    ----------
    features, labels, classes
        As in `neighbours`.
    alpha : float
        In (0, .99]: what a sample takes from the others.
    count : int
        Nearest samples that each is joined with, at least 1.

    Returns
    -------
    Tensor
        Shape (N, K), float32.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> points = torch.tensor([[0.0], [1.0], [5.0], [6.0]])
    >>> found = targets.propagation(points, torch.tensor([0, 0, 1, 1]), classes=2, count=2)
    >>> found.argmax(1)
    tensor([0, 0, 1, 1])
    """
    from sklearn.semi_supervised import LabelSpreading

    x, hard = _of_features(features, labels, classes)
    checks.in_range("alpha", alpha, 0, 0.99, open_low=True)
    near = min(checks.whole("count", count, 1), len(x))
    y = checks.labels(labels, classes).cpu().numpy()
    spread = LabelSpreading(kernel="knn", n_neighbors=near, alpha=alpha, max_iter=200).fit(
        x.cpu().numpy(), y
    )
    found = torch.zeros_like(hard)
    given = torch.from_numpy(spread.label_distributions_).to(hard)
    found[:, torch.from_numpy(spread.classes_).to(hard.device)] = given
    return found


def _of_features(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return finite features (N, D), float64, and the one-hot labels (N, K), float32."""
    x = checks.tensor(features, "features")
    hard = one_hot(labels, classes).to(x.device)
    if x.ndim != 2 or len(x) != len(hard) or not x.is_floating_point():
        raise ValueError(
            f"features must be floating point, of shape ({len(hard)}, D), "
            f"got {x.dtype} of shape {tuple(x.shape)}"
        )
    if not torch.isfinite(x).all():
        raise ValueError("features must be finite, got NaN or infinity")
    return x.double(), hard


def class_similarity(features: Tensor, labels: Tensor, classes: int, epsilon: float) -> Tensor:
    """Return class-based smoothing: classes nearer to the true one get more of epsilon.

    After Liu & JaJa, "Class-similarity based label smoothing for confidence calibration", with
    ILS section VI's Euclidean distance. Neither text at hand prints the step from distances to
    weights; here a wrong class j weighs exp(-d_j) / sum exp(-d), the softmax of the negative
    distances between class means. Its sharpness follows the scale of the features. (The ILS
    authors' code gives *more* to dissimilar classes; that is not copied.)

    Parameters
    ----------
    features : Tensor
        Shape (N, D), floating point and finite: raw inputs or an encoding of the training set.
    labels : Tensor
        Shape (N,); each class must occur, or it has no mean.
    classes : int
        Number of classes K, at least 2.
    epsilon : float
        Smoothing factor in [0, 1]: the true class keeps 1 - epsilon.

    Returns
    -------
    Tensor
        Shape (N, K), the dtype of ``features`` but float32 at least; rows of one class are equal.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> points = torch.tensor([[0.0], [1.0], [3.0]])
    >>> targets.class_similarity(points, torch.tensor([0, 1, 2]), classes=3, epsilon=0.3)
    tensor([[0.7000, 0.2642, 0.0358],
            [0.2193, 0.7000, 0.0807],
            [0.0807, 0.2193, 0.7000]])
    """
    checks.in_range("epsilon", epsilon, 0, 1)
    x, hard = (
        checks.tensor(features, "features"),
        _of_features(features, labels, classes)[1].double(),
    )
    counts = hard.sum(0)
    if not counts.all():
        absent = (counts == 0).nonzero()[:, 0].tolist()
        raise ValueError(f"each of the {classes} classes needs a sample, none of class {absent}")
    means = hard.T @ x.double() / counts[:, None]  # (K, D)
    away = -torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
    share = away.fill_diagonal_(-torch.inf).softmax(1)  # (K, K), 0 on the diagonal
    table = epsilon * share + (1 - epsilon) * torch.eye(classes).to(share)
    return (hard @ table).to(torch.promote_types(x.dtype, torch.float32))


def bootstrap(labels: Tensor, probabilities: Tensor, beta: float = 0.95) -> Tensor:
    """Return soft bootstrapping, BS_Soft: beta y + (1 - beta) p (Reed et al., ILS section VI).

    Parameters
    ----------
    labels : Tensor
        Shape (N,).
    probabilities : Tensor
        Shape (N, K), the network's current predictions. Gradients flow through them, which is what
        makes soft bootstrapping an entropy regulariser; detach them for a fixed target.
    beta : float
        Weight of the hard label, in [0, 1]; .95 is Reed et al.'s recommendation.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> prediction = torch.tensor([[0.2, 0.5, 0.3]])
    >>> targets.bootstrap(torch.tensor([0]), prediction, beta=0.9)
    tensor([[0.9200, 0.0500, 0.0300]])
    """
    y, probabilities = _with_teacher(labels, probabilities, "probabilities")
    checks.in_range("beta", beta, 0, 1)
    hard = F.one_hot(y, probabilities.shape[1]).to(probabilities.dtype)
    return beta * hard + (1 - beta) * probabilities


def beta(
    labels: Tensor,
    classes: int,
    epsilon: float,
    alpha: float = 0.4,
    *,
    teacher: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return Beta smoothing: a random smoothing factor for each sample (Zhang & Sabuncu).

    The true class of sample i gets alpha + (1 - alpha) b_i with b_i drawn from Beta(a, 1), and the
    wrong classes share the rest evenly. ILS section VI sets a so that "E[alpha + (1 - alpha) b_i] =
    epsilon_LS"; that mean is at least alpha = .4 while epsilon is at most .2, so it can only be
    meant as 1 - epsilon, the true class's mean target. Hence a = (1 - epsilon - alpha) / epsilon.

    Parameters
    ----------
    labels, classes
        As in `one_hot`.
    epsilon : float
        Mean smoothing, in [0, 1 - alpha).
    alpha : float
        Smallest target of a true class, in [0, 1).
    teacher : Tensor, optional
        Shape (N, K). Samples whose true class it finds more probable get larger targets, as in
        Zhang & Sabuncu; without it the draws fall on the samples as they come.
    generator : torch.Generator, optional
        Source of the draws; torch's global one by default.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> drawn = targets.beta(
    ...     torch.tensor([0, 0]), classes=3, epsilon=0.1, generator=torch.Generator().manual_seed(0)
    ... )
    >>> (drawn[:, 0] >= 0.4).all(), drawn[0, 1] == drawn[0, 2]
    (tensor(True), tensor(True))
    """
    checks.in_range("alpha", alpha, 0, 1)
    checks.in_range("epsilon", epsilon, 0, 1)
    if not epsilon < 1 - alpha:
        raise ValueError(f"epsilon must lie in [0, {1 - alpha:g}) for alpha {alpha:g}: {epsilon!r}")
    hard = one_hot(labels, classes)
    device = generator.device if generator is not None else hard.device
    uniform = torch.rand(len(hard), generator=generator, device=device, dtype=torch.float64)
    draws = (uniform ** (epsilon / (1 - epsilon - alpha))).to(hard)  # Beta(a, 1) = U^(1/a)
    if teacher is not None:
        y, teacher = _with_teacher(labels, teacher)
        if teacher.shape[1] != classes:
            raise ValueError(f"teacher must have {classes} classes, got {teacher.shape[1]}")
        order = _true_class(teacher, y).argsort(stable=True).to(draws.device)
        draws = torch.empty_like(draws).index_copy(0, order, draws.sort().values)
    target = (alpha + (1 - alpha) * draws)[:, None]
    return hard * target + (1 - hard) * (1 - target) / (classes - 1)


def quadratic_factor(p_true: Tensor, p1: float, p2: float, cap: float = 0.2) -> Tensor:
    """Return the smoothing factor min(cap, p2 (p_true - p1)^2) of ILS1 (ILS eq. 3).

    Parameters
    ----------
    p_true : Tensor
        The teacher's probability of the true class, any shape.
    p1 : float
        Where the parabola touches zero, in [0, 1]. (The paper's text gives the ranges of P1 and P2
        the wrong way round.)
    p2 : float
        Steepness, at least 0.
    cap : float
        Largest factor, in [0, 1].
    """
    checks.in_range("p1", p1, 0, 1)
    checks.in_range("p2", p2, 0)
    checks.in_range("cap", cap, 0, 1)
    return (p2 * (checks.tensor(p_true, "p_true") - p1).square()).clamp(max=cap)


def sinusoidal_factor(p_true: Tensor, p1: float, p2: float) -> Tensor:
    """Return the smoothing factor 0.1 (sin(p2 (p_true - p1)) + 1), in [0, 0.2] (ILS section IV-A).

    ``p1`` is the shift and ``p2`` the angular frequency (radians), both finite.
    """
    checks.in_range("p1", p1, -math.inf)
    checks.in_range("p2", p2, -math.inf)
    return 0.1 * (torch.sin(p2 * (checks.tensor(p_true, "p_true") - p1)) + 1)


def ils1(labels: Tensor, teacher: Tensor, p1: float, p2: float, cap: float = 0.2) -> Tensor:
    """Return ILS1: label smoothing whose factor depends on the teacher's true-class probability.

    Parameters
    ----------
    labels : Tensor
        Shape (N,).
    teacher : Tensor
        Shape (N, K), probabilities of a teacher trained without smoothing, at its fitted
        temperature.
    p1, p2, cap : float
        As in `quadratic_factor` (ILS eq. 3).

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> teacher = torch.tensor([[0.99, 0.005, 0.005], [0.6, 0.3, 0.1]])
    >>> targets.ils1(torch.tensor([0, 0]), teacher, p1=0.6, p2=1.0)
    tensor([[0.8986, 0.0507, 0.0507],
            [1.0000, 0.0000, 0.0000]])
    """
    y, teacher = _with_teacher(labels, teacher)
    return _uniform(y, teacher.shape[1], quadratic_factor(_true_class(teacher, y), p1, p2, cap))


def sinusoidal(labels: Tensor, teacher: Tensor, p1: float, p2: float) -> Tensor:
    """Return ILS1 with the factor of `sinusoidal_factor` in place of the parabola.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> teacher = torch.tensor([[0.6, 0.3, 0.1]])
    >>> targets.sinusoidal(torch.tensor([0]), teacher, p1=0.6, p2=1.0)
    tensor([[0.9333, 0.0333, 0.0333]])
    """
    y, teacher = _with_teacher(labels, teacher)
    return _uniform(y, teacher.shape[1], sinusoidal_factor(_true_class(teacher, y), p1, p2))


def ils2(labels: Tensor, teacher: Tensor, epsilon: float) -> Tensor:
    """Return ILS2: 1 - epsilon for the true class, epsilon shared as the teacher sees the others.

    A wrong class j gets epsilon p_j / (1 - p_t) (ILS eq. 4). Where the teacher is certain of the
    true class (0 / 0) the wrong classes share epsilon evenly.

    Parameters
    ----------
    labels : Tensor
        Shape (N,).
    teacher : Tensor
        Shape (N, K), the teacher's probabilities at the temperature of the grid.
    epsilon : float
        Smoothing factor in [0, 1].

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> teacher = torch.tensor([[0.6, 0.3, 0.1]])
    >>> targets.ils2(torch.tensor([0]), teacher, epsilon=0.2)
    tensor([[0.8000, 0.1500, 0.0500]])
    """
    y, teacher = _with_teacher(labels, teacher)
    checks.in_range("epsilon", epsilon, 0, 1)
    return _by_teacher(y, teacher, teacher.new_full((len(y),), epsilon))


def ils(
    labels: Tensor,
    teacher: Tensor,
    p1: float,
    p2: float,
    cap: float = 0.2,
    *,
    magnitude: Tensor | None = None,
) -> Tensor:
    """Return ILS: the distribution of ILS2 with the smoothing factor of ILS1 (ILS section IV-C).

    Parameters
    ----------
    labels : Tensor
        Shape (N,).
    teacher : Tensor
        Shape (N, K), the teacher's probabilities at the temperature of the grid, whose ratios
        among the wrong classes are kept.
    p1, p2, cap : float
        As in `quadratic_factor` (ILS eq. 3).
    magnitude : Tensor, optional
        Shape (N, K), the teacher's probabilities at its fitted temperature, from which the
        true-class probability in the factor is taken; ``teacher`` itself by default. The paper
        leaves open which of the two it uses.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy import targets
    >>> teacher = torch.tensor([[0.99, 0.008, 0.002], [0.6, 0.3, 0.1]])
    >>> targets.ils(torch.tensor([0, 0]), teacher, p1=0.6, p2=1.0)
    tensor([[0.8479, 0.1217, 0.0304],
            [1.0000, 0.0000, 0.0000]])
    """
    y, teacher = _with_teacher(labels, teacher)
    if magnitude is None:
        magnitude = teacher
    else:
        _, magnitude = _with_teacher(labels, magnitude, "magnitude")
    if magnitude.shape != teacher.shape:
        raise ValueError(
            "magnitude and teacher must have the same shape, "
            f"got {tuple(magnitude.shape)} and {tuple(teacher.shape)}"
        )
    factor = quadratic_factor(_true_class(magnitude, y), p1, p2, cap).to(teacher)
    return _by_teacher(y, teacher, factor)


def _with_teacher(labels: Tensor, teacher: Tensor, name: str = "teacher") -> tuple[Tensor, Tensor]:
    """Return checked labels (N,) and teacher probabilities (N, K), N of both equal."""
    teacher = checks.distributions(teacher, name)
    y = checks.labels(labels, teacher.shape[1]).to(teacher.device)
    if len(y) != len(teacher):
        raise ValueError(
            f"labels and {name} must have as many rows, got {len(y)} and {len(teacher)}"
        )
    return y, teacher


def _true_class(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return each row's probability of its true class, shape (N,)."""
    return probabilities.gather(1, labels[:, None])[:, 0]


def _uniform(labels: Tensor, classes: int, epsilon: Tensor) -> Tensor:
    """Return label smoothing with a factor for each row: y (1 - e) + e / K."""
    hard = F.one_hot(labels, classes).to(epsilon.dtype)
    return hard * (1 - epsilon)[:, None] + epsilon[:, None] / classes


def _by_teacher(labels: Tensor, teacher: Tensor, epsilon: Tensor) -> Tensor:
    """Return ILS eq. 4 with a factor for each row."""
    wrong = teacher.scatter(1, labels[:, None], 0.0)
    total = wrong.sum(1, keepdim=True)  # 1 - p_t without its cancellation near p_t = 1
    even = torch.full_like(wrong, 1 / (teacher.shape[1] - 1))
    share = torch.where(total > 0, wrong / total, even)
    return (epsilon[:, None] * share).scatter(1, labels[:, None], (1 - epsilon)[:, None])
