"""The studies, a row each: what each chapter runs, claims and shows.

``ldlstudy sweep`` takes the names of their tables. A study reads the records there are of its runs,
or carries them out here and now.
"""

import functools
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch

from ldlstudy import checks, data
from ldlstudy.data import tabular
from ldlstudy.device import Execution
from ldlstudy.experiment import records
from ldlstudy.experiment.plan import BUILDS, Planned
from ldlstudy.experiment.sweep import live as carry_out
from ldlstudy.experiment.sweep import sweep
from ldlstudy.report.results import Results
from ldlstudy.studies.cs_kd import runs as cs_kd
from ldlstudy.studies.fast import runs as fast
from ldlstudy.studies.ils import images as ils_images
from ldlstudy.studies.ils import runs as ils
from ldlstudy.studies.ils import students as ils_students
from ldlstudy.studies.ils import tabular as ils_tabular
from ldlstudy.studies.ldl import runs as ldl
from ldlstudy.studies.people import annotators, enhancement
from ldlstudy.studies.people import runs as people
from ldlstudy.studies.smoothing import distillation, information, translation
from ldlstudy.studies.smoothing import runs as smoothing
from ldlstudy.studies.truth import runs as truth

Table = Callable[[str], list[Planned]]  # from a profile to its runs


@dataclass(frozen=True)
class Study:
    """A row of :data:`STUDIES`.

    Attributes
    ----------
    paper : str
        What the book calls the paper.
    chapter : str
        The name of its notebook.
    tables : Mapping
        Runs of its tables, by name.
    claims : str
        Its comparisons in ``book/published``, and in ``prefix`` how their ids begin.
    evidence, quick : tuple of str
        The tables that its claims are judged by, at the paper profile and at the quick one.
    """

    paper: str
    chapter: str
    tables: Mapping[str, Table]
    claims: str = ""
    prefix: str = ""
    evidence: tuple[str, ...] = ()
    quick: tuple[str, ...] = field(default=())


_RE = ("re-table2", "re-table4", "re-figure7", "re-transformer")
_CS = tuple(f"cskd-table{n}" for n in range(1, 5))
STUDIES: dict[str, Study] = {
    "ils": Study(
        "ILS",
        "01_ils_synthetic",
        {
            "ils": ils.runs,
            "ils-images": ils_images.runs,
            "ils-students": ils_students.runs,
            "ils-tabular": ils_tabular.runs,
        },
        "claims",
        "ILS",
        ("ils", "ils-images", "ils-students"),
    ),
    "smoothing": Study(
        "[Re]",
        "02_label_smoothing",
        {
            "re-table2": smoothing.runs,
            "re-table4": distillation.table4,
            "re-figure7": distillation.runs,
            "re-figure8": functools.partial(distillation.runs, figure=8),
            "re-information": information.runs,
            "re-transformer": translation.runs,
            "explore": smoothing.explored,
        },
        "re_claims",
        "RE",
        (*_RE, "re-figure8", "re-information", "fast", "few"),
        (*_RE, "re-information"),
    ),
    "cs_kd": Study(
        "CS-KD",
        "03_cs_kd",
        {f"cskd-table{n}": functools.partial(cs_kd.runs, n) for n in range(1, 6)}
        | {"cskd-figure4": cs_kd.figure4, "cskd-grid": cs_kd.grid},
        "cskd_claims",
        "CS",
        (*_CS, "cskd-table5", "cskd-figure4", "fast", "few"),
        _CS,
    ),
    "ldl": Study(
        "LDL",
        "04_ldl",
        {f"ldl-table{n}": functools.partial(ldl.runs, n) for n in range(1, 8)}
        | {f"ldl-{name}": functools.partial(ldl.runs, name) for name in ("methods", "truth")},
        "ldl_claims",
        "LD",
        (*(f"ldl-table{n}" for n in range(1, 8)), "fast", "few"),
        ("ldl-methods",),
    ),
    "truth": Study(
        "one truth", "05_truth", {"truth": truth.runs, "fast": fast.runs, "few": fast.few}
    ),
    "people": Study(
        "people",
        "07_people",
        {
            "people": people.runs,
            "annotators": annotators.runs,
            "enhancement": enhancement.runs,
        },
    ),
}
TABLES: dict[str, Table] = {
    name: table for study in STUDIES.values() for name, table in study.tables.items()
}


def planned(tables: str | Iterable[str], profile: str) -> list[Planned]:
    """Return the runs of tables; an unknown table or profile is a ValueError that lists them."""
    names = [tables] if isinstance(tables, str) else tables
    return [
        each for name in names for each in TABLES[checks.one_of("table", name, TABLES)](profile)
    ]


def recorded(tables: str | Iterable[str], profile: str = "paper") -> Results:
    """Return the results that there are of some tables."""
    wanted = planned(tables, profile)
    found = {each.run: records.load(each.run) for each in wanted}
    return Results(wanted, {run: record for run, record in found.items() if record is not None})


def completed(tables: str | Iterable[str], execution: Execution | None = None) -> Results:
    """Return results at the paper profile; on a CUDA machine, what is missing is run.

    What needs data that are not there stays out. A build that is stopped goes on where it was.

    Parameters
    ----------
    tables : str or iterable of str
        Keys of `TABLES`.
    execution : Execution, optional
        Where and how to run what is missing; bfloat16 on the GPU by default, nothing without one.
    """
    if execution is None and torch.cuda.is_available():
        execution = Execution("cuda", precision="bf16")
    if execution is not None:
        wanted = planned(tables, "paper")
        made_here = ("six_gaussians", *data.MADE, *tabular.BUNDLED)
        sweep([each for each in wanted if _is_there(each.run.dataset, made_here)], execution)
    return recorded(tables, "paper")


def _is_there(dataset: str, made_here: tuple[str, ...]) -> bool:
    if dataset in made_here:
        return True
    place = data.location(dataset)
    return place is not None and place.exists()


def again(
    tables: str | Iterable[str],
    profile: str,
    strategies: Container[str],
    execution: Execution = Execution(),  # noqa: B008 - frozen
    title: str | None = "training",
) -> Results:
    """Carry out runs of some tables here and now, to hold them against their records.

    Parameters
    ----------
    tables : str or iterable of str
        Keys of `TABLES`.
    profile : str
        At "smoke" the small runs of the ``strategies``, which have no records; at "full" every run
        of the quick profile; at others the first seed of the ``strategies`` there.
    strategies : container of str
        Strategies as their runs are planned.
    execution, title
        As in :func:`ldlstudy.experiment.sweep.live`. Nothing is kept.
    """
    checks.one_of("profile", profile, BUILDS)
    wanted = planned(tables, "smoke" if profile == "smoke" else "quick")
    if profile != "full":
        wanted = [each for each in wanted if each.strategy in strategies and not each.run.seed]
    wanted = [replace(each, keep=()) for each in wanted]
    return Results(wanted, carry_out(wanted, execution, title))
