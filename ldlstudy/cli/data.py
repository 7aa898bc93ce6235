"""``ldlstudy data``: the data sets there are."""

from pathlib import Path
from typing import Annotated

import typer

from ldlstudy.cli.errors import one_line_errors

app = typer.Typer(no_args_is_help=True, help="Data sets with a known truth.")


@app.command("list")
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
