"""CIFAR-100's superclasses: twenty groups of five classes (CS-KD Figure 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ldlstudy import checks

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
