"""What tests of methods share: few images, teachers, small networks, and losses in plain numpy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ldlstudy import methods, mixing
from ldlstudy.batch import Batch, Task, Teacher
from ldlstudy.models import Classifier
from ldlstudy.models.layers import pool

N, B, K, WIDTH = 48, 6, 4, 7  # images, images of a batch, classes, features of a teacher
G = torch.Generator().manual_seed(5)
LABELS = torch.randint(0, K, (N,), generator=G)
INDEX = torch.tensor([7, 0, 11, 4, 2, 3])
IMAGES = torch.randn(N, 1, 6, 6, generator=G, dtype=torch.float64).cumsum(2).cumsum(3) / 4
VIEWS = torch.rand(4, B, 1, 6, 6, generator=G, dtype=torch.float64)
PARTNER, PLAIN = torch.rand(2, B, 1, 6, 6, generator=G, dtype=torch.float64)
TRUTH = torch.randn(N, K, generator=G).softmax(1)
SEEN = [[2.0, 2.0, 1.0, 1.0], [1.5, 1.0, 1.0, 0.9], [0.5, 0.6, 0.2, 0.7]]  # losses by class
HELD = [[2.2, 2.0, 1.0, 1.4], [1.9, 1.5, 1.1, 1.3], [1.2, 1.2, 1.5, 1.2]]
HISTORY = [{"train_class_loss": a, "held_class_loss": b} for a, b in zip(SEEN, HELD, strict=True)]
ILS, KD, SOFT = {"p1": 0.75, "p2": 0.3}, {"weight": 0.6, "temperature": 2.0}, {"temperature": 4.0}
GOOD: dict[str, dict[str, Any]] = {  # settings of every method
    "none": {}, "ls": {"epsilon": 0.3}, "ls_wrong": {"alpha": 0.3}, "similarity": {"epsilon": 0.3},
    "neighbours": {"count": 3}, "propagation": {"alpha": 0.4, "count": 4},
    "truth": {}, "ils1": ILS, "ils2": {"epsilon": 0.1, "teacher_temperature": 4.0},
    "ils": ILS | {"teacher_temperature": 4.0}, "sinusoidal": {"p1": 0.9, "p2": 8.0},
    "beta": {"epsilon": 0.07}, "bootstrap": {"beta": 0.8}, "distil": {"temperature": 2.0},
    "kd": {"weight": 0.7, "temperature": 3.0}, "kd_printed": KD, "kd_coded": KD,
    "kd_cs_kd": {"weight": 0.7, "temperature": 3.0, "class_weight": 2.0, "class_temperature": 4.0},
    "wsl": {"weight": 2.5, "temperature": 2.0}, "crd": {"negatives": 6}, "crd_kd": {"negatives": 6},
    "sskd": {}, "cs_kd": SOFT | {"weight": 3.0}, "max_entropy": {"weight": 0.7},
    "cs_kd_e": SOFT | {"weight": 3.0, "consistency": 0.5}, "adacos": {}, "virtual_softmax": {},
    "ddgsd": {"temperature": 3.0, "weight": 2.0, "discrepancy": 0.5},
    "byot": {"temperature": 3.0, "weight": 0.3, "hint": 0.1}, "ogr": {"gap": 1},
}  # fmt: skip


def network(method: str = "none", width: int = 6, seed: int = 1) -> Classifier:
    """Maps of 6 x 6 and of 3 x 3, with batch norm, in float64 and training mode."""
    torch.manual_seed(seed)
    body = nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(5, width, 3, padding=1), nn.ReLU(), pool(),
    )  # fmt: skip
    whole = Classifier(body, nn.Linear(width, K), 1)
    nn.init.normal_(whole.head.weight)  # far from uniform predictions
    methods.named(method).fit(whole, (1, 6, 6), LABELS, WIDTH)
    return whole.double()


TEACHERS = [network("none", WIDTH, seed).eval() for seed in (9, 10, 11)]


def teacher(*networks: Classifier) -> Teacher:
    """What trained networks say of the images as they are and of views of them."""

    @torch.no_grad()
    def answer(images: Tensor) -> Tensor:
        return torch.stack([net(images.double()) for net in networks]).to(images)

    @torch.no_grad()
    def look(images: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = networks[0](images.double(), return_features=True)
        return logits.to(images), features.to(images)

    return Teacher(answer(IMAGES), 1.7, answer, look if len(networks) == 1 else None)


ONE, THREE = teacher(TEACHERS[0]), teacher(*TEACHERS)


def task(taught: Teacher | None = None, **changes: Any) -> Task:
    """The training set, with a teacher where one is given."""
    given = {"inputs": IMAGES, "truth": TRUTH, "teacher": taught, "seed": 5, **changes}
    return Task(LABELS, K, **given)


def batch(method: str = "none", **changes: Any) -> Batch:
    """Return six images with what the method asked for beside them, and nothing else."""
    sees = methods.named(method).sees
    given: dict[str, Any] = {"images": VIEWS[0], "views": tuple(VIEWS[1 : 1 + sees.count("view")])}
    given |= {k: v for k, v in {"partner": PARTNER, "plain": PLAIN}.items() if k in sees}
    return Batch(labels=LABELS[INDEX], index=INDEX, **given | changes)


MIXINGS = ("cutout", "mixup", "cutmix", "ricap")


def mixed(name: str, method: str = "none") -> Batch:
    """Return the batch mixed, its partners as its images."""
    own = mixing.named({"name": name, **({"size": 4} if name == "cutout" else {})})
    assert own is not None
    draw = own(VIEWS[0], torch.Generator().manual_seed(6))
    found = draw(VIEWS[0])
    assert name == "cutout" or int((found.weights[:, 0] > 0.05).sum()) > 1  # it mixes
    partner = {"partner": draw(PARTNER).images} if "partner" in methods.named(method).sees else {}
    return batch(method, images=found.images, mixed=found, **partner)


def blended(table: Any, seen: Batch) -> np.ndarray:
    """Label distributions (B, K) of mixed images, one part after the other."""
    assert seen.mixed is not None
    rows, found = np.asarray(table)[INDEX.numpy()], np.zeros((B, K))
    for source, weight in zip(seen.mixed.sources.tolist(), seen.mixed.weights, strict=True):
        found += weight.double().numpy()[:, None] * rows[source]
    return found


def objective(method: str, taught: Teacher = ONE, **changes: Any) -> Callable[[Any, Batch], Tensor]:
    """Return the loss of a method, with a teacher where it needs any."""
    row = methods.named(method)
    return row.objective(task(taught if row.teacher else None), GOOD[method] | changes)


def loss(method: str, net: Any, seen: Batch | None = None, **changes: Any) -> Tensor:
    """Return the loss of a network on the batch, with settings of the method changed."""
    return objective(method, **changes)(net, batch(method) if seen is None else seen)


def value(result: Tensor) -> float:
    return float(result.detach())


def gradient(result: Tensor, net: nn.Module) -> Tensor:
    """The slope of every weight in one vector; nothing where none flows."""
    slopes = torch.autograd.grad(
        result, list(net.parameters()), retain_graph=True, materialize_grads=True
    )
    return torch.cat([slope.flatten() for slope in slopes])


def softmax(z: Tensor, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (N, K)."""
    odds = np.exp(z.detach().double().numpy() / temperature)
    return odds / odds.sum(1, keepdims=True)


def hard(z: Tensor, labels: Tensor = LABELS[INDEX]) -> np.ndarray:
    """The cross entropy of each row."""
    return -np.log(softmax(z)[range(len(z)), labels.numpy()])


def cross(q: np.ndarray, z: Tensor, temperature: float = 1.0) -> np.ndarray:
    """The cross entropy of each row towards distributions."""
    return -(q * np.log(softmax(z, temperature))).sum(1)


def divergence(z: Tensor, reference: Tensor, temperature: float) -> np.ndarray:
    """T^2 KL of each row."""
    r = softmax(reference, temperature)
    return temperature**2 * (cross(r, z, temperature) - cross(r, reference, temperature))
