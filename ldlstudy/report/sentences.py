"""Sentences that state what records say, each with the condition under which it is true.

A number in the book's prose is quoted (:mod:`ldlstudy.report.numbers`); an order, a "most" or an
"in all three seeds" is either written from the records (:func:`listed`, :func:`of_seeds`) or stands
in a study's ``SENTENCES`` with its condition. :func:`require` holds these against the committed
records when a page is built, so a sentence that they no longer bear out stops the build.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ldlstudy.report.results import Measured, Results

T = TypeVar("T")  # what conditions read
WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class NoRecordError(LookupError):
    """A condition asks for what has no record."""


class Known(Results):
    """Results where asking for what has no record raises :class:`NoRecordError`."""

    def figure(self, row: str, name: str, seed: int = 0) -> Any:
        """Return the data of a figure, as :class:`~ldlstudy.report.results.Results` does."""
        return self._there(super().figure(row, name, seed), row, name)

    def measured(self, row: str, metric: str, stage: str = "plain") -> Measured:
        """Return a metric of a row, as :class:`~ldlstudy.report.results.Results` does."""
        return self._there(super().measured(row, metric, stage), row, f"{metric} at {stage}")

    @staticmethod
    def _there(found: T | None, row: str, what: str) -> T:
        if found is None:
            raise NoRecordError(f"{row!r} has no {what}")
        return found


class Reading:
    """Results as conditions read them.

    What has no record raises :class:`NoRecordError`; a sentence on it is passed over.

    Parameters
    ----------
    results : Results
        What is read.
    bench : str
        What the names of rows begin with.
    """

    def __init__(self, results: Results, bench: str = "") -> None:
        self.results = _known(results)
        self.bench = bench

    def on(self, bench: str) -> "Reading":
        """Return the reading of another bench."""
        return Reading(self.results, bench)

    def seeds(self, strategy: str, metric: str, stage: str = "plain") -> list[float]:
        """Return a metric of a row, seed by seed."""
        row = f"{self.bench} {strategy}".strip()
        return self.results.measured(row, metric, stage).values

    def __call__(self, strategy: str, metric: str, stage: str = "plain") -> float:
        """Return the mean of a metric over seeds."""
        values = self.seeds(strategy, metric, stage)
        return sum(values) / len(values)

    def below(self, left: str, right: str, metric: str, stage: str = "plain") -> int:
        """Return in how many of the seeds that both have ``left`` has the lower value."""
        return sum(a < b for a, b in self._pairs(left, right, metric, stage))

    def always_below(self, left: str, right: str, metric: str, stage: str = "plain") -> bool:
        """Return whether ``left`` has the lower value in every seed that both have."""
        return all(a < b for a, b in self._pairs(left, right, metric, stage))

    def _pairs(
        self, left: str, right: str, metric: str, stage: str
    ) -> Iterator[tuple[float, float]]:
        """The values of two rows, seed by seed."""
        one, other = (self._by_seed(each, metric, stage) for each in (left, right))
        return ((one[seed], other[seed]) for seed in one if seed in other)

    def _by_seed(self, strategy: str, metric: str, stage: str) -> dict[int, float]:
        """A metric of a row by seed; replicates of one run are numbered."""
        values = self.seeds(strategy, metric, stage)
        planned = self.results.of(f"{self.bench} {strategy}".strip())
        numbers = [each.run.seed for each in planned]
        known = len(numbers) == len(values)
        return dict(zip(numbers if known else range(len(values)), values, strict=True))

    def sorted(self, *strategies: str, metric: str, stage: str = "plain") -> bool:
        """Return whether the means rise from each strategy to the next."""
        means = [self(each, metric, stage) for each in strategies]
        return all(a < b for a, b in itertools.pairwise(means))


def _known(results: Results) -> Known:
    """The same results where they are known already, for they remember what they have estimated."""
    if isinstance(results, Known):
        return results
    return Known(results.planned, results.recorded)


Condition = Callable[[Reading], bool]


def reading(bench: str) -> Callable[[Condition], Condition]:
    """Return a decorator of conditions, which then read the rows of a bench."""
    return lambda holds: lambda r: holds(r.on(bench))


def untrue(sentences: Mapping[str, Callable[[T], bool]], facts: T) -> list[str]:
    """Return the sentences whose condition the facts do not meet.

    What has no record is passed over: it contradicts nothing.
    """
    found = []
    for sentence, holds in sentences.items():
        try:
            if not holds(facts):
                found.append(sentence)
        except NoRecordError:
            continue
    return found


def require(sentences: Mapping[str, Callable[[T], bool]], facts: T) -> None:
    """Raise a ValueError that lists the sentences that the records do not bear out."""
    wrong = untrue(sentences, facts)
    if wrong:
        listing = "".join(f"\n- {sentence}" for sentence in wrong)
        raise ValueError(f"the records do not say what the page says of them:{listing}")


def listed(names: Iterable[str], nothing: str = "none") -> str:
    """Return names as a sentence lists them: "a, b and c"."""
    *first, last = list(names) or [nothing]
    return f"{', '.join(first)} and {last}" if first else last


def in_words(number: int) -> str:
    """Return a number as prose writes it: in words up to ten."""
    return WORDS[number] if 0 <= number < len(WORDS) else str(number)


def of_seeds(number: int, seeds: int) -> str:
    """Return "all three seeds", "both seeds", "two seeds of three", "no seed of three"."""
    if number == seeds == 1:
        return "the one seed"
    if number == seeds:
        return "both seeds" if seeds == 2 else f"all {in_words(seeds)} seeds"
    some = {0: "no seed", 1: "one seed"}.get(number, f"{in_words(number)} seeds")
    return f"{some} of {in_words(seeds)}"
