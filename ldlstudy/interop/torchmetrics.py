"""For torchmetrics and Lightning: a score of :mod:`ldlstudy.metrics` that takes batch after batch.

It is a ``torchmetrics.Metric``: it can stand in a ``MetricCollection``, be given to Lightning's
``self.log``, and what several processes have seen is added up before it is computed.
"""

import inspect
from typing import Any

import torch
from torch import Tensor

from ldlstudy import checks, metrics, terms
from ldlstudy.extras import needs

with needs("torchmetrics"):
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat

SCORES = tuple(sorted(name for name in vars(metrics) if f"{name}_terms" in vars(metrics)))
BINNED = ("binary_ece", "ece", "uce")  # sums of gaps in bins that all samples share
BY_CLASS = ("class_conditional_ece", "classwise_ece")


class Score(Metric):
    """A score over the samples of all batches.

    ``update(preds, target)`` takes predictions (N, K) or, of two classes, of class 1 alone (N,);
    and labels (N,), or the true distributions (N, K) for a distance from the truth. ``compute()``
    is what the function of :mod:`ldlstudy.metrics` gives of all samples at once.

    The state is a few sums over samples. Only calibration errors by class, or in bins between
    quantiles, need the samples themselves, which are then kept.

    Parameters
    ----------
    name : str
        The function of :mod:`ldlstudy.metrics`, such as "ece", "nll" or "kl_to_truth".
    logits : bool
        Whether predictions are logits, and not probabilities.
    **options
        Those of the function (``bins``, ``edges``, ``norm``, ``k``), and what
        ``torchmetrics.Metric`` takes.

    Raises
    ------
    ValueError
        If a name, an option or a prediction is none that the function takes.

    Examples
    --------
    >>> import torch
    >>> from ldlstudy.interop.torchmetrics import Score
    >>> score = Score("binary_ece", logits=True, bins=10, norm="max")
    >>> score.update(torch.tensor([0.0, 0.0, 9.0]), torch.tensor([0, 1, 1]))
    >>> round(float(score.compute()), 4)
    0.0001
    """

    is_differentiable = False
    full_state_update = False
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, name: str, *, logits: bool = False, **options: Any) -> None:
        self.function = getattr(metrics, checks.one_of("score", name, SCORES))
        first, _, *taken = inspect.signature(self.function).parameters.values()
        own = {each.name: options.pop(each.name, each.default) for each in taken}
        for name_of, known in (("norm", terms.NORMS), ("edges", metrics.EDGES)):
            if name_of in own:
                checks.one_of(name_of, own[name_of], known)
        super().__init__(**options)
        self.name, self.logits, self.options = name, checks.boolean("logits", logits), own
        self.of_truth = first.name == "truth"
        self.keeps = name in BY_CLASS or own.get("edges") == "quantile"
        if self.keeps:
            self.add_state("preds", [], dist_reduce_fx="cat")
            self.add_state("target", [], dist_reduce_fx="cat")
            return
        shape = (2, checks.whole("bins", own["bins"], 1)) if name in BINNED else (2, 1)
        # a MetricCollection lets metrics share a state of the same name and of equal values at
        # first; the name says what is summed, so that only norms of the same gaps do
        of = [str(value) for key, value in own.items() if key != "norm"]
        self.state = "_".join(["sums", name, *of])
        self.add_state(self.state, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch: predictions (N, K) or (N,), and labels (N,) or distributions (N, K)."""
        p = self._probabilities(preds)
        if self.keeps:
            checks.paired(p, target)
            self.preds.append(p)
            self.target.append(target)
            return
        options = {key: value for key, value in self.options.items() if key != "norm"}
        pair = (target, p) if self.of_truth else (p, target)
        found = getattr(metrics, f"{self.name}_terms")(*pair, **options)
        if isinstance(found, terms.Gaps):
            sums = torch.cat(found.sums())
        else:
            sums = torch.stack([found.values, torch.ones_like(found.values)]).sum(1, keepdim=True)
        setattr(self, self.state, getattr(self, self.state) + sums)

    def compute(self) -> Tensor:
        """Return the score, without dimensions; NaN without samples."""
        if self.keeps:
            p, y = dim_zero_cat(self.preds), dim_zero_cat(self.target)
            return torch.tensor(self.function(p, y, **self.options), dtype=torch.float64)
        total, count = getattr(self, self.state)
        if self.name in BINNED and count.any():
            return terms.calibration_error(total, count, self.options.get("norm", "l1"))
        return total.sum() / count.sum()

    def _probabilities(self, preds: Tensor) -> Tensor:
        """Return probabilities (N, K), or (N,) of class 1 where the score asks for them."""
        p = checks.tensor(preds, "preds")
        if self.logits:
            wide = p.to(torch.promote_types(p.dtype, torch.float32))
            p = wide.sigmoid() if p.ndim == 1 else wide.softmax(-1)
        return checks.binary(p) if p.ndim == 1 and self.name != "binary_ece" else p
