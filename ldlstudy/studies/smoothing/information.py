"""Networks whose mutual information of image and logits is estimated ([Re] section 6.3), as runs.

The image is seen through its augmentation, which is the only source of chance. On scikit-learn's
digits that is Gaussian noise, so what the augmented image itself says of its original is known. One
recipe with fewer epochs is the same training, stopped early: a rate that falls in steps does not
know how long it will last.
"""

from dataclasses import replace

from ldlstudy import checks
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.report.results import Results
from ldlstudy.studies.bench import Bench
from ldlstudy.studies.smoothing.runs import ALPHAS, CNN, SHIFTED, cropped, smoothed

KEEP = ("information",)
NOISE = 0.4  # of noisy digits in the rest of the chapter
EPOCHS, LAST = (1, 2, 5, 15), 60  # after which training on digits is looked at
FOLLOWED = (0.0, 0.1)  # smoothing of the networks that are looked at in training
DIGITS, MNIST, CIFAR = "digits-small_cnn-noise", "mnist-small_fcn-reduced", "cifar10-lenet-reduced"
_DIGITS = Bench(
    DIGITS, "digits", "small_cnn",
    {"epochs": LAST, "batch": 128, "rate": 0.05, "drops": [30, 45]},
    augmentation={"noise": NOISE}, seeds=3, level="quick",
)  # fmt: skip
_REDUCED = (
    Bench(
        MNIST, "mnist", "small_fcn", {**CNN, "epochs": 15},
        augmentation=SHIFTED, network={"hidden": [400, 400]}, seeds=2, level="reduced",
    ),
    Bench(
        CIFAR, "cifar10", "lenet",
        {**CNN, "epochs": 10, "weight_decay": 5e-4},
        augmentation=cropped("cifar10", crop=32, pad=4), seeds=2, level="reduced",
    ),
)  # fmt: skip


def benches(profile: str) -> dict[str, Bench]:
    """Return the benches of a profile; an unknown one is a ValueError."""
    checks.one_of("profile", profile, PROFILES)
    if profile == "paper":
        return {bench.name: bench for bench in _REDUCED}
    if profile == "quick":
        return {DIGITS: _DIGITS}
    return {DIGITS: replace(_DIGITS, recipe={**_DIGITS.recipe, "epochs": 2}, seeds=2)}


def labels() -> dict[str, str]:
    """Return what each bench is called."""
    return {DIGITS: "digits under noise, small CNN"} | {b.name: b.label for b in _REDUCED}


def runs(profile: str) -> list[Planned]:
    """Return every run: ``0``, ``0.1``, ...; ``0.1 after 5`` is the training of ``0.1`` at epoch 5.

    An unknown profile is a ValueError.
    """
    found = []
    for bench in benches(profile).values():
        alphas = FOLLOWED if bench.level == "reduced" else ALPHAS
        for seed in range(bench.seeds):
            found += [smoothed(bench, alpha, seed, KEEP) for alpha in alphas]
            if bench.name == DIGITS:
                found += [_after(bench, n, a, seed) for a in FOLLOWED for n in _looks(bench)]
    return found


def _looks(bench: Bench) -> list[int]:
    return [epochs for epochs in EPOCHS if epochs < bench.recipe["epochs"]]


def _after(bench: Bench, epochs: int, alpha: float, seed: int) -> Planned:
    """The run of the first epochs of a training."""
    short = replace(bench, recipe={**bench.recipe, "epochs": epochs})
    planned = smoothed(short, alpha, seed, KEEP)
    return replace(planned, strategy=f"{alpha:g} after {epochs}")


def looks(results: Results, alpha: float, metric: str) -> list[tuple[float, float, float, float]]:
    """Return epochs, mean and interval of an estimate in the training with a smoothing factor."""
    found = []
    for row in results.rows:
        if not row.startswith(f"quick {DIGITS} ") or results.of(row)[0].facts["alpha"] != alpha:
            continue
        measured = results.measured(row, metric, "information")
        if measured is not None:
            epochs = float(results.of(row)[0].run.recipe["epochs"])
            found.append((epochs, *measured.estimate))
    return sorted(found)
