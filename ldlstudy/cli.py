"""The command line: what the Makefile calls, and what a reader types to go further."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ldlstudy import __version__

app = typer.Typer(
    name="ldlstudy",
    help="A study of soft labels: train what the chapters report, and build the book.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can mend into one message and exit code 1, an interruption into 130."""
    from ldlstudy.book import BookError  # here, so that --help needs none of the book's libraries

    try:
        yield
    except (BookError, ValueError) as error:
        typer.echo(f"ldlstudy: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"ldlstudy: {error}; nothing half-written is kept", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("ldlstudy: interrupted; finished notebooks are kept", err=True)
        raise typer.Exit(130) from None


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


data = typer.Typer(no_args_is_help=True, help="Data sets with a known truth.")
app.add_typer(data, name="data")


@data.command("list")
def list_data() -> None:
    """List the data sets that are made here, with their sizes; none needs a download."""
    from ldlstudy.mixture import MIXTURES

    for name, make in MIXTURES.items():
        mixture = make()
        components, features = mixture.centres.shape
        typer.echo(
            f"{name:14} {mixture.classes:3} classes, {features:3} features, "
            f"a mixture of {components} Gaussians with an exact posterior"
        )


@data.command("sample")
def sample_data(
    name: Annotated[str, typer.Argument(help="A name that `ldlstudy data list` prints.")],
    file: Annotated[Path, typer.Argument(help="The .npz file to write.")],
    per_class: Annotated[int, typer.Option(help="Points of each class.")] = 1000,
    seed: Annotated[int, typer.Option(help="One seed always gives the same points.")] = 0,
) -> None:
    """Draw a sample: inputs, labels, component and posterior, as arrays of an .npz file."""
    with one_line_errors():
        import io

        import numpy as np

        from ldlstudy import checks, records
        from ldlstudy.mixture import MIXTURES

        if file.suffix != ".npz":
            raise ValueError(f"the file must end in .npz, got {file.name!r}")
        mixture = MIXTURES[checks.one_of("data set", name, MIXTURES)]()
        x, labels, component = mixture.sample(per_class, seed)
        truth = mixture.posterior(x)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, inputs=x, labels=labels, component=component, posterior=truth)
        typer.echo(f"{len(labels)} points in {records.write(file, buffer.getvalue())}")


@app.command("records")
def list_records() -> None:
    """List the records under book/results: what was run, on what, in how many seconds."""
    with one_line_errors():
        from ldlstudy import records

        for file, record in records.every():
            run, made = record.specification, record.made
            typer.echo(
                f"{file.stem:28} {run['dataset']}, {run['model']}, {run['replicates']} replicates, "
                f"{run['profile']}: {made['networks']} networks in {made['seconds']:.0f} s "
                f"on {made['device']}"
            )


@app.command()
def book(
    profile: Annotated[
        str,
        typer.Option(
            help="How much to train: smoke (seconds, to test the pages), quick (minutes, real "
            "results) or paper (the papers' own sizes)."
        ),
    ] = "quick",
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Notebooks to run at once.", show_default="one for two cores"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run unchanged notebooks, too.")] = False,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Run and check this notebook alone; leave the site as it is."
        ),
    ] = None,
    cell_seconds: Annotated[
        float | None,
        typer.Option(min=1, help="The longest a cell may take.", show_default="by profile"),
    ] = None,
) -> None:
    """Run the notebooks that changed and build the site in _build/html.

    Run it in the repository's root. If anything is wrong, the message says where, and the site that
    stood before stays as it is.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped and interrupted end alike
    with one_line_errors():
        from ldlstudy.book.build import Options, build
        from ldlstudy.book.stage import Project

        root = Path.cwd()
        if not (root / "_toc.yml").is_file():
            raise ValueError(f"no _toc.yml in {root}: run this in the repository's root")
        build(Project(root), Options(profile, jobs, force, only, cell_seconds), typer.echo)


if __name__ == "__main__":
    sys.exit(app())
