"""Everything a record says of one trained image network: its scores and its data for figures.

Scores of predictions are those of :mod:`ldlstudy.scores`; a run's ``keep`` adds others, some of
which need the features, and the data that figures draw.
"""

from typing import Any

import torch
from torch import Tensor

from ldlstudy import (
    by_class,
    evaluation,
    hierarchy,
    metrics,
    misclassified,
    projection,
    retrieval,
    scaling,
    scores,
)
from ldlstudy.checkpoints import History
from ldlstudy.dataset import Dataset, Images
from ldlstudy.heads import Cosine
from ldlstudy.image_figures import embedding, plane, planes, reliability, sampled, similar
from ldlstudy.models import Classifier
from ldlstudy.records import Run
from ldlstudy.scores import RESAMPLES, More, Outcome, Predictions, Rows
from ldlstudy.setting import Setting

GROUPED = "cifar100"  # the set whose classes have superclasses
OF_PREDICTIONS = {  # figures that need no more than the predictions and the labels
    "answers": misclassified.answers,
    "by_class": by_class.kept,
    "errors": misclassified.kept,
    "sampled": sampled,
}
Estimates = dict[str, list[float]]  # metric to value and the ends of its interval


def measure(
    run: Run, setting: Setting, network: Classifier, history: History
) -> tuple[Rows, Rows, dict[str, Any]]:
    """Rows, estimates and the data for figures of a trained network.

    The row ``plain`` also has ``best_test_accuracy``, the highest after any epoch, which CS-KD's
    code reports; it is chosen by the test images. AdaCos has a row ``unscaled``, of its bare
    cosines.
    """
    dataset = setting.dataset
    test = _outcome(setting, network, dataset.test)
    held = None if dataset.held is None else _outcome(setting, network, dataset.held)
    drawn = "draw" in run.data  # test images drawn anew by seed: other seeds tell more
    again = RESAMPLES if run.profile == "paper" and not drawn else 0
    said = scores.predictions(test, held)
    rows, estimates = scores.score(
        said | _unscaled(network, test), test, again, _further(run, dataset)
    )
    figures = _of_predictions(run, said, test.labels)
    extra: Estimates = {}
    if {"neighbours", "embedding"} & set(run.keep):
        features = _features(setting, network, dataset.test)
        if "embedding" in run.keep:
            figures["embedding"] = embedding(features.cpu(), test.labels)
        if "neighbours" in run.keep:
            extra = _neighbours(
                dataset, features, _features(setting, network, dataset.train), again
            )
    if "plane" in run.keep:
        parts = {"train": dataset.train, "test": dataset.test}
        figures["plane"], row = plane(network, parts, setting.augmentation, setting.execution)
        rows["plane"], estimates["plane"] = row, certain({"plane": row})["plane"]
    for name, draw in (("planes", planes), ("similar", similar)):
        if name in run.keep:
            figures[name] = draw(network, dataset, setting.augmentation, setting.execution)
    extra["best_test_accuracy"] = [max(epoch["test_accuracy"] for epoch in history)] * 3
    estimates["plain"] |= extra
    rows["plain"] |= {metric: values[:1] for metric, values in extra.items()}
    return rows, estimates, figures


def _outcome(setting: Setting, network: Classifier, images: Images) -> Outcome:
    """What the network says of some images, on the CPU."""
    truth = None if images.truth is None else images.truth.cpu()
    return Outcome(setting.predict(network, images).cpu(), images.labels.cpu(), truth)


def _unscaled(network: Classifier, test: Outcome) -> Predictions:
    """AdaCos' predictions from its bare cosines; of other networks nothing."""
    if not isinstance(network.head, Cosine):
        return {}
    scale = float(network.head.scale)
    return {"unscaled": (scaling.scale(test.logits, scale), scale)}


def _of_predictions(run: Run, said: Predictions, labels: Tensor) -> dict[str, Any]:
    """The figures that the run keeps of its predictions."""
    p, _ = said["plain"]
    figures = {name: draw(p, labels) for name, draw in OF_PREDICTIONS.items() if name in run.keep}
    if "reliability" in run.keep:
        figures["reliability"] = {name: reliability(p, labels) for name, (p, _) in said.items()}
    return figures


def _further(run: Run, dataset: Dataset) -> More:
    """The metrics of every row that the run asks for beyond the usual ones."""
    offered = {"errors": _on_errors(dataset), "total_variation": _to_truth}
    asked = [metric for name, metric in offered.items() if name in run.keep]

    def more(p: Tensor, labels: Tensor, truth: Tensor | None) -> dict[str, float]:
        return {k: v for metric in asked for k, v in metric(p, labels, truth).items()}

    return more


def _to_truth(p: Tensor, labels: Tensor, truth: Tensor | None) -> dict[str, float]:
    return {} if truth is None else {"total_variation": metrics.total_variation(truth, p)}


def _on_errors(dataset: Dataset) -> More:
    """The scores on errors, with those of superclasses where there are any."""
    groups = hierarchy.groups(dataset.classes) if dataset.name == GROUPED else None

    def more(p: Tensor, labels: Tensor, truth: Tensor | None) -> dict[str, float]:
        found = misclassified.scores(p, labels, truth)
        if groups is not None:
            found["superclass_accuracy"] = hierarchy.group_accuracy(p, labels, groups)
            found["error_within_superclass"] = hierarchy.error_within_group(p, labels, groups)
        return found

    return more


def _features(setting: Setting, network: Classifier, images: Images) -> Tensor:
    return evaluation.predict(
        network, images, setting.augmentation, setting.execution, network.features
    ).float()


def _neighbours(dataset: Dataset, test: Tensor, gallery: Tensor, again: int) -> Estimates:
    """What features say of classes: R@1 among the test images and in the training set, variation.

    ``intra_class_variation`` is the spread of the classes in units of the distance of their means.
    """
    labels, of_gallery = dataset.test.labels, dataset.train.labels
    means = torch.stack([test[labels == label].mean(0) for label in labels.unique()])
    variation = projection.relative_spread(test, labels, means)
    return {
        "recall_at_1": scores.share(retrieval.hits(test, labels), again),
        "recall_at_1_train": scores.share(retrieval.hits(test, labels, gallery, of_gallery), again),
        "intra_class_variation": [variation] * 3,
    }


def certain(rows: Rows) -> Rows:
    """Estimates of numbers without an interval."""
    return {
        name: {metric: values * 3 for metric, values in row.items()} for name, row in rows.items()
    }
