"""The command line: what the Makefile calls, and what a reader types to go further.

A module holds the commands of one subject; each imports what it needs when it runs, so that
``--help`` answers at once.
"""

from typing import Annotated

import typer

from ldlstudy import __version__
from ldlstudy.cli import book, data, runs

app = typer.Typer(
    name="ldlstudy",
    help="A study of soft labels: train what the chapters report, and build the book.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, help="Print the version and stop.")
    ] = False,
) -> None:
    """Let ``--version`` stand before a command."""


app.add_typer(data.app, name="data")
app.add_typer(runs.app)
app.add_typer(book.app)
