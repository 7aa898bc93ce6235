"""From records to what a page shows: one frame of results, tables, claims, figures, CSV."""

from ldlstudy.extras import needs

with needs("study"):
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
