"""``python -m ldlstudy.cli`` is ``ldlstudy``."""

from ldlstudy.cli import app

app(prog_name="ldlstudy")
