"""Training: one loop for every image method, and many small networks at once.

:func:`ldlstudy.training.loop.train` trains a network on images;
:mod:`ldlstudy.training.ensemble` trains thousands of small ones on points. Everything else here
serves the former.
"""

from ldlstudy.training.augment import Augmentation
from ldlstudy.training.batches import batches
from ldlstudy.training.checkpoints import History
from ldlstudy.training.loop import Student, train, train_together
from ldlstudy.training.predict import Predictor
from ldlstudy.training.recipe import Recipe
from ldlstudy.training.teachers import ask, logits_of

__all__ = [
    "Augmentation",
    "History",
    "Predictor",
    "Recipe",
    "Student",
    "ask",
    "batches",
    "logits_of",
    "train",
    "train_together",
]
