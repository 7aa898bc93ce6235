"""``ldlstudy sweep``, ``run``, ``rerun`` and ``records``: train, and list what there is."""

from typing import Annotated, Any

import typer

from ldlstudy.cli.errors import one_line_errors

app = typer.Typer()
Profile = Annotated[str, typer.Option(help="smoke, quick or paper.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto.")]
Precision = Annotated[str, typer.Option(help="float32 or bf16.")]
Compile = Annotated[str, typer.Option(help="no, default or reduce-overhead (torch.compile).")]


@app.command()
def sweep(
    table: Annotated[str, typer.Argument(help="ils, re-table2, re-table4, re-figure7, ...")],
    profile: Profile = "paper",
    only: Annotated[
        str, typer.Option(help="Runs whose name begins so; several with commas between.")
    ] = "",
    workers: Annotated[
        int | None,
        typer.Option(min=1, show_default="one a core, four on a GPU", help="Processes."),
    ] = None,
    together: Annotated[
        int, typer.Option(min=1, help="Most runs to train on the same batches at once.")
    ] = 4,
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compile: Compile = "no",
    dry: Annotated[bool, typer.Option("--dry", help="List the runs and stop.")] = False,
) -> None:
    """Carry out the runs of a table that have no record yet, teachers first.

    Stop it at any time: records are written as runs end, and a run that was cut off goes on from
    its last epoch.
    """
    with one_line_errors():
        from ldlstudy import records, studies
        from ldlstudy.execution import Execution
        from ldlstudy.sweep import sweep as carry_out

        named = studies.runs(table, profile)
        starts = tuple(only.split(","))
        runs = {name: run for name, run in named.items() if name.startswith(starts)}
        if not runs:
            raise ValueError(f"no run of {table} begins with {only!r}: {', '.join(named)}")
        if dry:
            for name, run in runs.items():
                there = "record" if records.load(run) else "none"
                typer.echo(f"{run.id}  {there:6}  {name}")
            return
        execution = Execution(device=device, precision=precision, compile=compile)
        carry_out(
            runs.values(),
            execution,
            workers=workers,
            together=together,
            cluster=cluster,
            say=typer.echo,
        )


@app.command()
def run(
    dataset: str,
    model: str,
    method: str,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", help="A value of the method: -p epsilon=0.1")
    ] = None,
    training: Annotated[
        list[str] | None, typer.Option("-t", help="A training setting: -t epochs=20 -t rate=0.1")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("-d", help='A data option: -d held=0.1 -d augment={"flip":1}'),
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option(help="Id of a recorded run whose network labels.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    profile: Profile = "paper",
    device: Device = "auto",
    precision: Precision = "float32",
    compile: Compile = "no",
) -> None:
    """Train METHOD with MODEL on DATASET and record what comes out."""
    with one_line_errors():
        from ldlstudy import records
        from ldlstudy.execution import Execution
        from ldlstudy.sweep import perform

        wanted = records.Run(
            dataset,
            model,
            method,
            _values(data),
            _values(parameter),
            {"epochs": 20} | _values(training),
            tuple(records.find(each) for each in teacher or ()),
            seed=seed,
            profile=profile,
        )
        execution = Execution(device=device, precision=precision, compile=compile)
        results = records.folder()
        perform([wanted], execution, results, records.root() / "runs", title=f"{model}, {method}")
        record = records.load(wanted)
        assert record is not None
        typer.echo(f"{records.path(wanted)}")
        for row, estimates in record.estimates.items():
            for metric, (value, low, high) in estimates.items():
                typer.echo(f"{row:9} {metric:22} {value:9.4f}  [{low:.4f}, {high:.4f}]")


@app.command()
def rerun(
    id: Annotated[str, typer.Argument(help="Of a record: twelve digits at its file's end.")],
    workers: Annotated[
        int | None, typer.Option(min=1, show_default="one a core, four on a GPU", help="Processes.")
    ] = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compile: Compile = "no",
) -> None:
    """Carry out a recorded run again, with its teachers, and show both results.

    The record stays as it is, and nothing else is kept.
    """
    with one_line_errors("nothing was written"):
        import tempfile
        from pathlib import Path

        from ldlstudy import records
        from ldlstudy.execution import Execution
        from ldlstudy.sweep import sweep as carry_out

        wanted = records.find(id)
        execution = Execution(device=device, precision=precision, compile=compile)
        with tempfile.TemporaryDirectory() as folder:
            results, work = Path(folder, "results"), Path(folder, "runs")
            carry_out(
                [wanted], execution, workers=workers, results=results, work=work, say=typer.echo
            )
            before, now = records.load(wanted), records.load(wanted, results)
        assert before is not None
        assert now is not None
        typer.echo(f"{'':9} {'':22} {'recorded':>9} {'now':>9}")
        for row, estimates in before.estimates.items():
            for metric, (value, *_) in estimates.items():
                again = now.estimates[row][metric][0]
                typer.echo(f"{row:9} {metric:22} {value:9.4f} {again:9.4f}")


def _values(pairs: list[str] | None) -> dict[str, Any]:
    """``name=value`` with the value read as JSON or Python where it is that, else as text."""
    import json

    values: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"a value is given as name=value, got {pair!r}")
        try:
            values[name] = json.loads({"True": "true", "False": "false"}.get(text, text))
        except json.JSONDecodeError:
            values[name] = text
    return values


@app.command("records")
def list_records(
    dataset: Annotated[str, typer.Option(help="Of this data set alone.")] = "",
    metric: Annotated[str, typer.Option(help="A metric to show.")] = "accuracy",
) -> None:
    """List the records under book/results and compare one metric of theirs."""
    with one_line_errors():
        from ldlstudy import records

        for file, record in records.every():
            run, made = record.specification, record.made
            if dataset not in ("", run["dataset"]):
                continue
            shown = record.estimates.get("plain", {}).get(metric)
            value = "" if shown is None else f"{metric} {shown[0]:.4f}, "
            typer.echo(
                f"{file.stem:28} {run['dataset']}, {run['model']}, {run['profile']}, "
                f"seed {run['seed']}, {run['replicates']} replicates: {value}"
                f"{made['networks']} networks in {made['seconds']:.0f} s on {made['device']}"
            )
