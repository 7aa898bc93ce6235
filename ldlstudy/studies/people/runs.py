"""Strategies on images that people have voted on: trained on the official labels, held to votes.

Nothing of the votes is trained on. Each image of Fashion-MNIST's test set has some 67 votes, and
LeNet, ILS's smallest network, learns the training set in minutes; so does [Re]'s fully-connected
network, with fewer strategies. The networks of CIFAR-10 are those of :mod:`ldlstudy.studies.fast`.
Seeds are paired as everywhere: the same first weights and the same order of images for all
strategies, and taught by the same networks.
"""

from dataclasses import replace

from ldlstudy import checks
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.experiment.records import Run
from ldlstudy.studies import digits
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.strategies import named

SEEDS = 5
SMALL_SEEDS = {"quick": 3, "smoke": 2}
LENET, FCN = "fashion_mnist-lenet", "fashion_mnist-fcn1200"  # benches
RECIPE = {
    "epochs": 20,
    "batch": 250,
    "rate": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "schedule": "triangle",
}
# those of the chapter on one truth, but for what needs the truth in training, a noise for a second
# view, or nine trainings for one: ILS has settings from the middle of its grids. CRD is left out:
# against 16,384 negatives of each image it takes hours on a processor. So are WSL and the sum of
# five teachers' losses, which at this rate fall into even answers to everything, and SSKD, whose
# loss overflows
STRATEGIES = (
    "none", "ls", "cs_kd", "off_ldl", "mixup", "on_ldl-mixup", "none-held", "ils2_fixed",
    "ils1_fixed", "ils_fixed", "max_entropy_light", "kd", "cutmix", "on_ldl-cutmix", "adacos",
    "virtual_softmax", "mixup_cs_kd", "kd_cs_kd", "cutout", "ricap", "on_ldl-cutout",
    "on_ldl-ricap", "similarity", "off_en_ldl", "on_en_ldl-mixup",
)  # fmt: skip
OF_FCN = ("none", "ls", "cs_kd", "off_ldl", "mixup", "on_ldl-mixup", "max_entropy_light", "adacos")
QUICK = (
    "none", "ls", "cs_kd", "off_ldl", "mixup", "on_ldl-mixup", "max_entropy_light", "truth",
)  # fmt: skip
CELL = (150, 0.5)  # images of a class, and noise, of digits whose truth votes are drawn from
CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)  # fmt: skip


def row(strategy: str, bench: str = LENET) -> str:
    """Return the row of a strategy on a bench."""
    return f"{bench} {strategy}"


def known_row(strategy: str) -> str:
    """Return the row of a strategy on noisy digits, whose truth votes are drawn from."""
    return f"quick {digits.cell_name(*CELL)} {strategy}"


def benches(profile: str) -> list[tuple[Bench, tuple[str, ...]]]:
    """Return the benches with their strategies: two networks, or noisy digits at small profiles."""
    checks.one_of("profile", profile, PROFILES)
    if profile != "paper":
        return [(digits.cell(*CELL, SMALL_SEEDS[profile], small=profile == "smoke"), QUICK)]
    lenet = Bench(
        LENET, "fashion_mnist", "lenet", RECIPE, augmentation={"normalise": "image"}, seeds=SEEDS,
        level="fast",
    )  # fmt: skip
    return [(lenet, STRATEGIES), (replace(lenet, name=FCN, model="fcn1200", seeds=1), OF_FCN)]


def runs(profile: str) -> list[Planned]:
    """Return every run, a seed at a time; the smaller profiles have eight strategies."""
    return [
        plan(own, strategy, seed)
        for own, wanted in benches(profile)
        for seed in range(own.seeds)
        for strategy in wanted
    ]


def plan(own: Bench, strategy: str, seed: int) -> Planned:
    """Return one network, taught by networks with hard labels where its strategy is."""
    chosen = named(strategy)
    teachers: tuple[Run, ...] = ()
    if chosen.teachers:
        first = plan(own, chosen.hard_labels, seed).run
        teachers = digits.alike(first, chosen.teachers)
    pictures = ("pictures",) if own.name == LENET and (strategy, seed) == ("none", 0) else ()
    return own.plan_strategy(strategy, seed, ("people", *pictures), teachers)
