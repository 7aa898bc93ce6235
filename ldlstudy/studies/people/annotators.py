"""CIFAR-10N asks whether what people say is a better target than what a strategy makes of a label.

Three people have labelled each training image of CIFAR-10, the first of them wrongly in 17 % of the
images. A network learns that annotator's labels, or what strategies make of them; or the shares of
the three, the label that most of them gave, or the official one. All are judged by the votes on
the test images (CIFAR-10H). The network is the fast one with a quarter of its widths, so that two
cores can train all of them.
"""

from dataclasses import replace

from ldlstudy import checks
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.records import Run
from ldlstudy.studies import digits
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.fast import runs as fast
from ldlstudy.studies.strategies import named

NAME = "cifar10n-fast_cnn"
SEEDS = 3
EPOCHS, WIDTHS = 8, [32, 64, 64]
ONE = {"votes": "cifar10n", "annotator": "random_label1"}
PEOPLE = {  # other targets: what they are called, the method, the data
    "three": ("the shares of three annotators", "truth", {"votes": "cifar10n"}),
    "most": (
        "what most of the three say", "none", {"votes": "cifar10n", "annotator": "aggre_label"},
    ),
    "official": ("the official label", "none", {}),
}  # fmt: skip
STRATEGIES = ("none", "ls", "cs_kd", "max_entropy_light", "mixup", "off_ldl", "on_ldl-mixup", "kd")


def bench() -> Bench:
    """Return the bench: labels of one annotator."""
    own = fast.benches("paper")[fast.CIFAR10]
    recipe = {**own.recipe, "epochs": EPOCHS}
    return replace(own, name=NAME, recipe=recipe, network={"widths": WIDTHS}, data=ONE, seeds=SEEDS)


def runs(profile: str) -> list[Planned]:
    """Return every run, a seed at a time.

    A smaller profile than the paper's, which has no such images, is a ValueError.
    """
    checks.one_of("profile of annotators' labels", profile, ["paper"])
    own, found = bench(), []
    for seed in range(SEEDS):
        for strategy in STRATEGIES:
            chosen = named(strategy)
            teachers: tuple[Run, ...] = ()
            if chosen.teachers:
                teachers = digits.alike(own.plan_strategy("none", seed).run, chosen.teachers)
            found.append(own.plan_strategy(strategy, seed, ("people",), teachers))
        for name, (_, method, data) in PEOPLE.items():
            run = replace(own, data=data).run(method, {}, seed)
            found.append(own.plan(name, run, ("people",)))
    return found


def label(name: str) -> str:
    """Return what the book calls a target."""
    return PEOPLE[name][0] if name in PEOPLE else f"one annotator, {named(name).label}"
