"""The numbers that the prose of the chapter on people quotes."""

from ldlstudy import stats
from ldlstudy.report import numbers
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.studies.fast.runs import CIFAR10
from ldlstudy.studies.people import annotators, comparisons
from ldlstudy.studies.people.runs import FCN, LENET
from ldlstudy.studies.people.sentences import (
    of_annotators,
    of_cifar,
    of_enhancement,
    of_second,
    written,
)

STAGES = ("plain", "fitted", "people", "voters")


def quoted(
    results: Results,
    known: Results,
    cifar: Results,
    annotated: Results,
    digits: Results,
    enhanced: Results,
) -> Numbers:
    """Return every number that the chapter quotes.

    ``<strategy>.<metric>`` are means over the seeds of LeNet on Fashion-MNIST, with the stage
    between them unless it is the plain one; ``second.`` stands before those of [Re]'s network,
    ``cifar.`` before those of the fast network on CIFAR-10, ``known.`` before those of noisy
    digits. ``<title>.correlation`` is that of the order of strategies on noisy digits with the one
    that people give, with its ``.low`` and ``.high``.

    Parameters
    ----------
    results, known, cifar, annotated, digits, enhanced : Results
        Of LeNet, of noisy digits with drawn votes, of the fast network, of annotators' labels, of
        the chapter on one truth, and of the sets of label distributions.
    """
    values: Numbers = {}
    (place,) = {each.bench for each in known.planned} or {""}
    for prefix, found, bench in (("", results, LENET), ("cifar.", cifar, CIFAR10),
                                 ("annotators.", annotated, annotators.NAME),
                                 ("known.", known, place)):  # fmt: skip
        values |= _means(found, bench, prefix)
        values |= numbers.circumstances(found, f"made.{prefix}") if found.planned else {}
    for title, table in comparisons.orders(results, digits).items():
        key = title.replace(" ", "_")
        estimate = stats.rank_correlation(table["digits"], table["people"])
        values |= numbers.with_interval(f"{key}.correlation", estimate)
        values[f"{key}.strategies"] = len(table)
    values |= _means(results, FCN, "second.")
    lists = written(results) | of_annotators(annotated) | of_enhancement(enhanced)
    return numbers.known(values) | lists | of_cifar(cifar) | of_second(results)


def _means(results: Results, bench: str, prefix: str) -> Numbers:
    frame = results.frame
    own = frame[(frame["bench"] == bench) & frame["stage"].isin(STAGES)]
    means = own.groupby(["strategy", "stage", "metric"])["value"].mean()
    return {
        f"{prefix}{strategy}.{'' if stage == 'plain' else f'{stage}.'}{metric}": float(value)
        for (strategy, stage, metric), value in means.items()
    }
