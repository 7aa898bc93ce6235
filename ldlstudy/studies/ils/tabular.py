"""ILS's Figures 9 and 10 as runs: best-factor curves and histograms on tabular sets.

The paper's sets are OpenML's; where files of the two that it names are not at hand,
scikit-learn's own stand in, and two sets whose label distributions are known, of which only the
most probable classes are learned. All are in ten-fold cross-validation.
"""

from ldlstudy import checks
from ldlstudy.data.distributions import FOLDS
from ldlstudy.experiment.plan import PROFILES, Planned
from ldlstudy.experiment.points import RECIPE
from ldlstudy.experiment.records import Run
from ldlstudy.studies.ils.runs import EPSILONS, P1, P2

MODEL = "mlp64x5"  # of the six Gaussians; the paper does not say
SETS = {  # what each is called
    "iris": "iris, 3 classes",
    "wine": "wine, 3 classes",
    "breast_cancer": "breast cancer, 2 classes",
    "optdigits": "digits, 10 classes",
    "Yeast_cold": "yeast in the cold, 4 classes",
    "SBU_3DFE": "emotions of faces, 6 classes",
    "volcanoes": "volcanoes",
    "auml_url": "auml_url",
}
SMALLER = {"smoke": ("wine",), "quick": ("iris", "wine", "breast_cancer")}


def row(name: str, method: str) -> str:
    """Return the row of a method on a set."""
    return f"{name} {method}"


def runs(profile: str) -> list[Planned]:
    """Return hard labels, label smoothing and ILS1 on each set of a profile."""
    checks.one_of("profile", profile, PROFILES)
    wanted = SMALLER.get(profile, tuple(SETS))
    return [each for name in SETS if name in wanted for each in _of_set(name, profile == "smoke")]


def _of_set(name: str, small: bool) -> list[Planned]:
    recipe, values = {**RECIPE, **({"epochs": 12} if small else {})}, 2 if small else None
    epsilon, p1, p2 = (list(grid)[:values] for grid in (EPSILONS, P1, P2))

    def run(method: str, settings: dict[str, list[float]], *teachers: Run) -> Run:
        return Run(
            name, MODEL, method, settings=settings, recipe=recipe, teachers=teachers,
            replicates=FOLDS,
        )  # fmt: skip

    none = run("none", {})
    planned = {
        "none": (none, ("histograms",)),
        "ls": (run("ls", {"epsilon": epsilon}, none), ("curves",)),
        "ils1": (run("ils1", {"p1": p1, "p2": p2}, none), ()),
    }
    return [Planned(run, keep, name, method, "fast") for method, (run, keep) in planned.items()]
