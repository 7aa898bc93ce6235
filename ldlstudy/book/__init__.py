"""From notebooks to a checked static site, with nothing half-done ever shown.

``ldlstudy book`` stages a copy of the sources (``stage``), runs the notebooks in it (``execute``,
which keeps results in ``cache``), refuses what Jupyter Book would let through (``gates``), has
Sphinx build the pages (``sphinx_ext`` adds the role for numbers), checks the result (``site``), and
only then puts it where the last good site stood (``build``).
"""

STALL_SECONDS = 1800.0  # the longest a cell may go without a sign of progress


class BookError(Exception):
    """The book cannot be built; the message is written for the reader who has to mend it."""
