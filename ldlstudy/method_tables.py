"""Tables of measured numbers, a line a method: what has not been run stays away.

Chapters name their runs ``<bench> <method>``; a bench is a data set with a network, and a row of
its predictions may have a name of its own behind them, such as ``fitted``.
"""

from collections.abc import Mapping, Sequence

from pandas.io.formats.style import Styler

from ldlstudy import tables
from ldlstudy.measured import Measurements
from ldlstudy.tables import Column

Cell = tuple[str, Column]  # a row of a network, such as "fitted" or "" for the plain one, a metric


def of_methods(
    measurements: Measurements,
    benches: Mapping[str, str],
    labels: Mapping[str, str],
    columns: Mapping[str, Cell] | Sequence[Column],
) -> Styler:
    """Measured numbers of some methods; what has not been run stays away.

    Parameters
    ----------
    measurements : Mapping
        As :func:`ldlstudy.measured.gather` gives them.
    benches : Mapping
        Name of each bench to its title; one without a title is not named in the table.
    labels : Mapping
        The methods to show, in order, and what each is called.
    columns : Mapping or sequence of Column
        Heading to cell; a column alone is of the predictions as they are, under its own heading.
    """
    if not isinstance(columns, Mapping):
        columns = {column.heading: ("", column) for column in columns}
    return tables.grid(
        measurements,
        {
            f"{title}: {label}" if title else label: cells(f"{bench} {method}", columns)
            for bench, title in benches.items()
            for method, label in labels.items()
            if f"{bench} {method}" in measurements
        },
    )


def cells(network: str, columns: Mapping[str, Cell]) -> dict[str, tuple[str, Column, float]]:
    """The cells of a network's line, which no published number stands below."""
    return {
        heading: (f"{network} {row}".strip(), column, float("nan"))
        for heading, (row, column) in columns.items()
    }
