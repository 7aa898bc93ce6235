"""The papers' tables by name, each as the runs that fill it: what ``ldlstudy sweep`` takes."""

import functools
from collections.abc import Callable

from ldlstudy import checks, distillation, ils, smoothing
from ldlstudy.records import Run

TABLES: dict[str, Callable[[str], dict[str, Run]]] = {
    "ils": ils.runs,
    "re-table2": smoothing.runs,  # Table 3 and Figures 2, 3 and 9 are of the same networks
    "re-table4": distillation.table4,
    "re-figure7": distillation.runs,
    "re-figure8": functools.partial(distillation.runs, figure=8),
}


def runs(table: str, profile: str) -> dict[str, Run]:
    """Runs of a table by name; an unknown table or profile is a ValueError that lists them."""
    return TABLES[checks.one_of("table", table, TABLES)](profile)
