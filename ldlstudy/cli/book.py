"""``ldlstudy book``, ``export`` and ``compare``: the site, and what it shows."""

from pathlib import Path
from typing import Annotated

import typer

from ldlstudy.book import STALL_SECONDS
from ldlstudy.cli.errors import one_line_errors
from ldlstudy.extras import needs

app = typer.Typer()


@app.command()
def book(
    profile: Annotated[
        str,
        typer.Option(
            help="How much to train beside the records: smoke (seconds, to test the pages), quick "
            "(a few networks of each chapter), full (all that two cores train) or paper (what has "
            "no record yet at the papers' own sizes)."
        ),
    ] = "quick",
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Notebooks to run at once.", show_default="two, or one for two cores"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make what is unchanged, too.")] = False,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Run and check this notebook alone; leave the site as it is."
        ),
    ] = None,
    stall_seconds: Annotated[
        float,
        typer.Option(
            min=1,
            help="The longest a cell may go without a step of training or any other sign of "
            "progress.",
        ),
    ] = STALL_SECONDS,
) -> None:
    """Run the notebooks that changed and build the site in _build/html.

    Run it in the repository's root. If anything is wrong, the message says where, and the site that
    stood before stays as it is.
    """
    with one_line_errors("finished notebooks are kept"):
        with needs("book"):
            from ldlstudy.book.build import Options, build
            from ldlstudy.book.stage import Project

        root = Path.cwd()
        if not (root / "_toc.yml").is_file():
            raise ValueError(f"no _toc.yml in {root}: run this in the repository's root")
        build(Project(root), Options(profile, jobs, force, only, stall_seconds), typer.echo)


@app.command("export")
def export_build(
    folder: Annotated[Path, typer.Argument(help="Where the CSV files are written.")],
) -> None:
    """Write every table, figure, verdict and quoted number of the last build as CSV."""
    with one_line_errors():
        with needs("book"):
            from ldlstudy.book.exported import export
            from ldlstudy.book.stage import Project

        count = export(Project(Path.cwd()), folder)
        typer.echo(f"{count} files in {folder}")


@app.command("compare")
def compare_builds(
    old: Annotated[Path, typer.Argument(help="A folder that `ldlstudy export` wrote.")],
    new: Annotated[Path, typer.Argument(help="Another one.")],
) -> None:
    """List what differs between two exports; the exit code is 1 where anything does."""
    with one_line_errors():
        with needs("book"):
            from ldlstudy.book.exported import compare

        differences = list(compare(old, new))
        for difference in differences:
            typer.echo(difference)
        typer.echo(f"{len(differences)} differences")
        if differences:
            raise typer.Exit(1)
