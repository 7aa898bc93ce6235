"""Hierarchies of classes: whether an error stays near the truth.

Taking a maple for an oak is a smaller error than taking it for a bus. CS-KD's Figure 4 therefore
counts a prediction as right if it is of the true class' group. CIFAR-100 comes with such groups,
20 superclasses of five classes each; `groups` turns names of classes into numbers of superclasses,
and two scores read any such numbers, one a class.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.checks import ArrayLike

# In the order, and by the names, of the set's own files (torchvision's "coarse_label_names").
SUPERCLASSES: dict[str, tuple[str, ...]] = {
    "aquatic_mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food_containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit_and_vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household_electrical_devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household_furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large_carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large_man-made_outdoor_things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large_natural_outdoor_scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large_omnivores_and_herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium_mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect_invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small_mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles_1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles_2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}
CLASSES = tuple(sorted(name for own in SUPERCLASSES.values() for name in own))  # in label order


def groups(classes: Sequence[str]) -> Tensor:
    """Return the superclass of each CIFAR-100 class, as its position in `SUPERCLASSES`.

    The positions are the coarse labels of the set's own files.

    Parameters
    ----------
    classes : sequence of str
        Names of K classes, as in ``Dataset.classes`` of ``cifar100``.

    Returns
    -------
    Tensor
        Shape (K,), int64, in [0, 20).

    Raises
    ------
    ValueError
        If a name is not a class of CIFAR-100; the known ones are listed.
    """
    of = {name: i for i, names in enumerate(SUPERCLASSES.values()) for name in names}
    for name in classes:
        checks.one_of("class", name, of)
    return torch.tensor([of[name] for name in classes], dtype=torch.int64)


def _outcomes(
    probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike
) -> tuple[Tensor, Tensor]:
    """Return by sample, shape (N,), whether the predicted class, and its group, is the true one."""
    p, y = checks.paired(probabilities, labels)
    group = torch.as_tensor(groups).to(p.device)
    if group.shape != (p.shape[1],) or group.is_floating_point() or group.is_complex():
        raise ValueError(
            f"groups must be whole numbers of shape ({p.shape[1]},), one a class, "
            f"got {group.dtype} of shape {tuple(group.shape)}"
        )
    predicted = p.argmax(1)
    return predicted == y, group[predicted] == group[y]


def group_accuracy(probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike) -> float:
    """Return the fraction of samples whose predicted class is of the true class' group.

    The hierarchical classification accuracy of CS-KD Figure 4. The prediction is that of
    `ldlstudy.metrics.accuracy`, the most probable class, not the most probable group.

    Parameters
    ----------
    probabilities : Tensor or ndarray
        Shape (N, K), rows sum to 1, N at least 1.
    labels : Tensor or ndarray
        Shape (N,), whole numbers in [0, K).
    groups : Tensor or ndarray
        Shape (K,), whole numbers: classes of one group share a number.

    Returns
    -------
    float
        In [0, 1], at least the accuracy.

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    _, near = _outcomes(probabilities, labels, groups)
    return float(near.double().mean())


def error_within_group(probabilities: ArrayLike, labels: ArrayLike, groups: ArrayLike) -> float:
    """Return the fraction of misclassified samples whose predicted class is of the true group.

    It tells how far errors fall: group accuracy also rises with every error avoided, this does
    not. A wrong class drawn blindly among CIFAR-100's stays within the group 4 / 99 of the time.

    Parameters
    ----------
    probabilities, labels, groups
        As in `group_accuracy`.

    Returns
    -------
    float
        In [0, 1]; 1 if there is no error at all, since then none left its group.

    Raises
    ------
    ValueError
        If an argument has another shape or is out of range.
    """
    right, near = _outcomes(probabilities, labels, groups)
    return float(near[~right].double().mean()) if not right.all() else 1.0
