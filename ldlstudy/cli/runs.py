"""``ldlstudy sweep``, ``run``, ``rerun``, ``rescore``, ``records``: train, and list records."""

from typing import TYPE_CHECKING, Annotated

import typer

from ldlstudy.cli.errors import one_line_errors

if TYPE_CHECKING:
    from ldlstudy.experiment.plan import Planned
    from ldlstudy.experiment.records import Record

app = typer.Typer()
Table = Annotated[str, typer.Argument(help="ils, re-table2, re-table4, re-figure7, ...")]
Profile = Annotated[str, typer.Option(help="smoke, quick or paper.")]
Only = Annotated[str, typer.Option(help="Runs whose row begins so; several with commas between.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto.")]
Precision = Annotated[str, typer.Option(help="float32, bf16, or auto: bf16 if the device has it.")]
Compile = Annotated[str, typer.Option(help="no, default or reduce-overhead (torch.compile).")]
Workers = Annotated[
    int | None, typer.Option(min=1, show_default="one a core, four on a GPU", help="Processes.")
]


@app.command()
def sweep(
    table: Table,
    profile: Profile = "paper",
    only: Only = "",
    workers: Workers = None,
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
        from ldlstudy.device import Execution
        from ldlstudy.experiment import records
        from ldlstudy.experiment.sweep import sweep as carry_out

        planned = _chosen(table, profile, only)
        if dry:
            for each in planned:
                there = "record" if records.load(each.run) else "none"
                typer.echo(f"{each.run.id}  {there:6}  {each.name}")
            return
        execution = Execution(device=device, precision=precision, compile=compile)
        carry_out(
            planned,
            execution,
            workers=workers,
            together=together,
            cluster=cluster,
            say=typer.echo,
        )


def _chosen(table: str, profile: str, only: str) -> "list[Planned]":
    """The planned runs of a table whose row begins as asked for."""
    from ldlstudy import studies

    planned = studies.planned(table, profile)
    starts = tuple(only.split(","))
    chosen = [each for each in planned if each.name.startswith(starts)]
    if not chosen:
        known = ", ".join(each.name for each in planned)
        raise ValueError(f"no run of {table} begins with {only!r}: {known}")
    return chosen


@app.command()
def rescore(
    table: Table,
    profile: Profile = "paper",
    only: Only = "",
    device: Device = "auto",
) -> None:
    """Measure the networks of a table whose weights are here again; records get what they lack."""
    with one_line_errors():
        from ldlstudy.device import Execution
        from ldlstudy.experiment.rescore import rescore as measure_again

        planned = _chosen(table, profile, only)
        count = measure_again(planned, Execution(device=device), say=typer.echo)
        typer.echo(f"{count} of {len(planned)} networks have their weights here and were measured")


Pairs = list[str] | None


@app.command()
def run(
    dataset: str,
    model: str,
    method: str,
    setting: Annotated[
        Pairs, typer.Option("-p", "--setting", help="A setting of the method: -p epsilon=0.1")
    ] = None,
    recipe: Annotated[
        Pairs, typer.Option("-t", "--recipe", help="Of the recipe: -t epochs=20 -t rate=0.1")
    ] = None,
    data: Annotated[
        Pairs, typer.Option("-d", "--data", help="An option of the data: -d held=0.1")
    ] = None,
    network: Annotated[
        Pairs, typer.Option("-n", "--network", help="An option of the network: -n norm=true")
    ] = None,
    augmentation: Annotated[
        Pairs, typer.Option("-a", "--augmentation", help="Of the images: -a flip=true -a pad=4")
    ] = None,
    mixing: Annotated[
        Pairs, typer.Option("-m", "--mixing", help="Of images: -m cutmix -m alpha=1.0")
    ] = None,
    teacher: Annotated[
        Pairs, typer.Option(help="Id of a recorded run whose network labels.")
    ] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Of six_gaussians.")] = 1,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = "auto",
    precision: Precision = "float32",
    compile: Compile = "no",
) -> None:
    """Train METHOD with MODEL on DATASET and record what comes out."""
    with one_line_errors():
        from ldlstudy import files
        from ldlstudy.cli import values
        from ldlstudy.device import Execution
        from ldlstudy.experiment import records
        from ldlstudy.experiment.plan import Planned
        from ldlstudy.experiment.records import Run
        from ldlstudy.experiment.sweep import perform

        wanted = Run(
            dataset,
            model,
            method,
            settings=values.read(f"setting of {method}", setting, values.of_settings(method)),
            network=values.read(f"option of {model}", network, values.of_network(dataset, model)),
            data=values.read(f"option of {dataset}", data, values.of_data(dataset)),
            augmentation=values.read(
                "augmentation setting", augmentation, values.of_augmentation(dataset)
            ),
            mixing=values.read_mixing(dataset, mixing),
            recipe={"epochs": 20}
            | values.read("training setting", recipe, values.of_recipe(dataset)),
            teachers=tuple(records.run_of(records.find(each)) for each in teacher or ()),
            replicates=replicates,
            seed=seed,
        )
        execution = Execution(device=device, precision=precision, compile=compile)
        work = files.root() / "runs"
        title = f"{model}, {method}"
        perform([Planned(wanted)], execution, records.folder(), work, title=title)
        record = records.load(wanted)
        assert record is not None
        typer.echo(f"{record.name}")
        for stage, metric in _metrics(record):
            mean, low, high = record.estimate(stage, metric)
            typer.echo(f"{stage:9} {metric:26} {mean:9.4f}  [{low:.4f}, {high:.4f}]")


@app.command()
def rerun(
    id: Annotated[str, typer.Argument(help="Of a record: twelve hexadecimal digits.")],
    workers: Workers = None,
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

        from ldlstudy.device import Execution
        from ldlstudy.experiment import records
        from ldlstudy.experiment.plan import Planned
        from ldlstudy.experiment.sweep import sweep as carry_out

        before = records.find(id)
        wanted = Planned(records.run_of(before), before.kept)
        execution = Execution(device=device, precision=precision, compile=compile)
        with tempfile.TemporaryDirectory() as folder:
            results, work = Path(folder, "results"), Path(folder, "runs")
            carry_out(
                [wanted], execution, workers=workers, results=results, work=work, say=typer.echo
            )
            now = records.load(wanted.run, results)
        assert now is not None
        typer.echo(f"{'':9} {'':26} {'recorded':>9} {'now':>9}")
        for stage, metric in _metrics(before):
            old, new = (each.estimate(stage, metric).mean for each in (before, now))
            typer.echo(f"{stage:9} {metric:26} {old:9.4f} {new:9.4f}")


def _metrics(record: "Record") -> list[tuple[str, str]]:
    return [(stage, metric) for stage, row in record.values.items() for metric in row]


@app.command("records")
def list_records(
    dataset: Annotated[str, typer.Option(help="Of this data set alone.")] = "",
    metric: Annotated[str, typer.Option(help="A metric to show.")] = "accuracy",
) -> None:
    """List the records under book/results and compare one metric of theirs."""
    with one_line_errors():
        from ldlstudy.experiment import records

        for record in records.every():
            run, made = record.specification, record.made
            if dataset not in ("", run["dataset"]):
                continue
            value = ""
            if metric in record.values.get("plain", {}):
                value = f"{metric} {record.estimate('plain', metric).mean:.4f}, "
            typer.echo(
                f"{record.anchor:28} {run['dataset']}, {run['model']}, seed {run['seed']}, "
                f"{run['replicates']} replicates: {value}"
                f"{made['networks']} networks in {made['seconds']:.0f} s on {made['device']}"
            )
