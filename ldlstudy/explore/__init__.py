"""Controls for readers with and without a kernel: see :mod:`ldlstudy.explore.explorer`.

Each module has a function ``explorer`` that takes recorded predictions and returns an
:class:`~ldlstudy.explore.explorer.Explorer`, and the script of the same name that draws the same.
"""

from ldlstudy.extras import needs

with needs("study"):
    import matplotlib  # noqa: F401
