"""``ldlstudy records``: what was run, and what came out."""

import typer

from ldlstudy.cli.errors import one_line_errors

app = typer.Typer()


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
