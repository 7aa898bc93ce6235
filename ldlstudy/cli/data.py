"""``ldlstudy data``: the data sets there are."""

from pathlib import Path
from typing import Annotated

import typer

from ldlstudy.cli.errors import one_line_errors

app = typer.Typer(no_args_is_help=True, help="Image sets, and data sets with a known truth.")

Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the data.", show_default="LDLSTUDY_DATA, else data in the study"),
]


@app.command("list")
def list_data(root: Root = None) -> None:
    """List all data sets: classes, size, training and test images, where from, whether here."""
    with one_line_errors():
        from ldlstudy import data

        typer.echo(
            f"{'six_gaussians':14}    3 classes of points in the plane, made by `data sample`"
        )
        for name in (*data.available(), *data.BESIDE):
            typer.echo(data.describe(name, root))


@app.command("fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(help="A name that `ldlstudy data list` prints.")],
    root: Root = None,
) -> None:
    """Download an image set or people's votes, check its sums, and keep it as one .npz file."""
    with one_line_errors("no file was written"):
        from ldlstudy import data

        typer.echo(data.fetch(name, root))
        if name in data.people.PEOPLE:
            typer.echo(f"licence: {data.people.PEOPLE[name].licence}")


@app.command("check")
def check_data(
    name: Annotated[
        str | None, typer.Argument(help="One set.", show_default="all that are here")
    ] = None,
    root: Root = None,
) -> None:
    """Read image sets whole, check them, and print their sizes and the digest of their data."""
    with one_line_errors():
        from ldlstudy import data

        faults = []
        for each in [name] if name else (*data.available(), *data.BESIDE):
            place = data.location(each, root) if name is None else None
            if place is not None and not place.exists():
                continue
            try:
                typer.echo(data.check(each, root))
            except ValueError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("\n".join(faults))


@app.command("sample")
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

        from ldlstudy import checks, files
        from ldlstudy.mixture import MIXTURES

        if file.suffix != ".npz":
            raise ValueError(f"the file must end in .npz, got {file.name!r}")
        mixture = MIXTURES[checks.one_of("data set", name, MIXTURES)]()
        x, labels, component = mixture.sample(per_class, seed)
        truth = mixture.posterior(x)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, inputs=x, labels=labels, component=component, posterior=truth)
        typer.echo(f"{len(labels)} points in {files.write(file, buffer.getvalue())}")
