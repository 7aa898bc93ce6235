"""What a study plans: runs, what is to be kept of them, and how its tables call them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ldlstudy.experiment.records import Run

LEVELS = {  # of evidence, the best first
    "paper": "the paper's own network and protocol",
    "part": "the paper's own network and protocol, on a third of its images",
    "fast": "photographs, a fast network trained to the end",
    "reduced": "a small network, shortened training",
    "quick": "noisy digits",
}
PROFILES = ("smoke", "quick", "paper")
BUILDS = (*PROFILES, "full")  # of the book; full is quick, with all of it trained again


@dataclass(frozen=True)
class Planned:
    """A run that a study wants.

    Attributes
    ----------
    run : Run
        What decides the result.
    keep : tuple of str
        Keys of :data:`ldlstudy.experiment.keep.KEEP`: what is measured besides the usual metrics.
    bench : str
        Which data set, network and recipe of the study it is of.
    strategy : str
        A key of :data:`ldlstudy.studies.strategies.STRATEGIES`, or what else tells it from other
        runs of its bench.
    level : str
        A key of :data:`LEVELS`: what kind of evidence it is.
    intervals : bool
        Whether test images are drawn again for an interval; not where other seeds tell more.
    facts : Mapping
        What else tables of the study select it by, such as a smoothing factor.
    """

    run: Run
    keep: tuple[str, ...] = ()
    bench: str = ""
    strategy: str = ""
    level: str = "paper"
    intervals: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def row(self) -> str:
        """The row of the study's tables that it is in, which its other seeds share."""
        return f"{self.bench} {self.strategy}".strip()

    @property
    def name(self) -> str:
        """The row, with the number of the seed unless that is 0."""
        return f"{self.row} #{self.run.seed}" if self.run.seed else self.row


def merged(planned: Iterable[Planned]) -> dict[Run, Planned]:
    """Return what is planned by run; a run that is planned twice keeps what either asks for."""
    found: dict[Run, Planned] = {}
    for each in planned:
        known = found.get(each.run, each)
        keep = tuple(sorted({*known.keep, *each.keep}))
        intervals = known.intervals or each.intervals
        found[each.run] = replace(known, keep=keep, intervals=intervals)
    return found
