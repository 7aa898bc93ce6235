"""Everything a record says of one trained image network: its scores and its data for figures.

Scores of predictions are those of :mod:`ldlstudy.scores`; a run's ``keep`` adds others, some of
which need the features, and the data that figures draw.
"""

from typing import Any

import torch
from torch import Tensor

from ldlstudy import hierarchy, misclassified, projection, retrieval, scores, train
from ldlstudy.dataset import Dataset, Images
from ldlstudy.heads import Cosine
from ldlstudy.image_figures import embedding, plane, reliability
from ldlstudy.models import Classifier
from ldlstudy.records import Run
from ldlstudy.scores import RESAMPLES, More, Outcome, Rows
from ldlstudy.setting import Setting

GROUPED = "cifar100"  # the set whose classes have superclasses
KEPT = {"answers": misclassified.answers, "errors": misclassified.kept}  # of the predictions alone
Estimates = dict[str, list[float]]  # metric to value and the ends of its interval


def measure(
    run: Run, setting: Setting, network: Classifier, history: train.History
) -> tuple[Rows, Rows, dict[str, Any]]:
    """Rows, estimates and the data for figures of a trained network.

    The row ``plain`` also has ``best_test_accuracy``, the highest after any epoch, which CS-KD's
    code reports; it is chosen by the test images. AdaCos has a row ``unscaled``, of its bare
    cosines.
    """
    dataset = setting.dataset
    test, held = (
        None
        if images is None
        else Outcome(
            setting.predict(network, images).cpu(),
            images.labels.cpu(),
            None if images.truth is None else images.truth.cpu(),
        )
        for images in (dataset.test, dataset.held)
    )
    assert test is not None
    again = RESAMPLES if run.profile == "paper" else 0
    bare = {"unscaled": float(network.head.scale)} if isinstance(network.head, Cosine) else {}
    more = _on_errors(dataset) if "errors" in run.keep else None
    rows, estimates = scores.score(test, held, again, more, bare)
    figures: dict[str, Any] = {}
    extra: Estimates = {}
    if "reliability" in run.keep:
        figures["reliability"] = {
            name: reliability(p, test.labels)
            for name, (p, _) in scores.predictions(test, held).items()
        }
    for name, of_predictions in KEPT.items():
        if name in run.keep:
            figures[name] = of_predictions(test.logits.softmax(1), test.labels)
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
    extra["best_test_accuracy"] = [max(epoch["test_accuracy"] for epoch in history)] * 3
    estimates["plain"] |= extra
    rows["plain"] |= {metric: values[:1] for metric, values in extra.items()}
    return rows, estimates, figures


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
    return train.predict(
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
