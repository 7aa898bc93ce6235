"""``ldlstudy sweep``, ``run``, ``rerun``, ``rescore``, ``records``: train, and list records."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
Threads = Annotated[
    int,
    typer.Option(min=1, help="Of an operation on the CPU; last digits differ with their number."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, show_default="one a core, four on a GPU", help="Processes.")
]
Results = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the records; their weights lie in its folder runs.",
        show_default="book/results of the checkout, and its runs",
    ),
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
    threads: Threads = 1,
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
        execution = Execution(device, precision, compile=compile, threads=threads)
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
Dataset = Annotated[
    str,
    typer.Argument(
        help="A name that `data list` prints; or the path of a folder with a folder of images for "
        "each class, or of an .npz file with images and labels."
    ),
]
Settings = Annotated[
    Pairs, typer.Option("-p", "--setting", help="A setting of the method: -p epsilon=0.1")
]
Data = Annotated[
    Pairs, typer.Option("-d", "--data", help="An option of the data: -d held=0.1 -d size=64")
]
Augment = Annotated[
    Pairs, typer.Option("-a", "--augmentation", help="Of the images: -a flip=true -a pad=4")
]
Mixing = Annotated[Pairs, typer.Option("-m", "--mixing", help="Of images: -m cutmix -m alpha=1.0")]
Teacher = Annotated[Pairs, typer.Option(help="Id of a recorded run whose network labels.")]


def _places(results: Path | None) -> tuple[Path, Path]:
    """The folders of records, and of weights."""
    from ldlstudy import files
    from ldlstudy.experiment import records

    if results is not None:
        return results, results / "runs"
    try:
        return records.folder(), files.root() / "runs"
    except ValueError as error:
        raise ValueError(f"{error}, or name a folder for its records with --results") from None


def _shown(
    dataset: str,
    data: Pairs,
    augmentation: Pairs,
    mixing: Pairs,
    teacher: Pairs,
    place: Path | None,
) -> dict[str, Any]:
    """What a run says of its images, and of whom it learns; those of one's own are normalised."""
    from ldlstudy.cli import values
    from ldlstudy.experiment import records

    name, options = values.read_data(dataset, data)
    own = {"normalise": "training"} if "path" in options else {}
    given = values.read("augmentation setting", augmentation, values.of_augmentation(dataset))
    return {
        "dataset": name,
        "data": options,
        "augmentation": own | given,
        "mixing": values.read_mixing(dataset, mixing),
        "teachers": tuple(
            records.run_of(records.find(each, place), place) for each in teacher or ()
        ),
    }


@app.command()
def run(
    dataset: Dataset,
    model: Annotated[
        str, typer.Argument(help="resnet18, ..., torchvision:resnet18, timm:resnet18, ...")
    ],
    method: Annotated[str, typer.Argument(help="none, ls, cs_kd, kd, ...")],
    setting: Settings = None,
    recipe: Annotated[
        Pairs, typer.Option("-t", "--recipe", help="Of the recipe: -t epochs=20 -t rate=0.1")
    ] = None,
    data: Data = None,
    network: Annotated[
        Pairs, typer.Option("-n", "--network", help="An option of the network: -n norm=true")
    ] = None,
    augmentation: Augment = None,
    mixing: Mixing = None,
    teacher: Teacher = None,
    replicates: Annotated[int, typer.Option(min=1, help="Of six_gaussians.")] = 1,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = "auto",
    precision: Precision = "float32",
    compile: Compile = "no",
    threads: Threads = 1,
    results: Results = None,
) -> None:
    """Train METHOD with MODEL on DATASET and record what comes out.

    Images of your own are normalised by the mean and deviation of the training images, unless
    `-a normalise=...` says otherwise, and a fifth of each class is kept out to be tested on, unless
    test images come along.
    """
    with one_line_errors():
        from ldlstudy.cli import values
        from ldlstudy.device import Execution
        from ldlstudy.experiment import records
        from ldlstudy.experiment.plan import Planned
        from ldlstudy.experiment.prepare import prepare
        from ldlstudy.experiment.records import Run
        from ldlstudy.experiment.sweep import perform

        place, work = _places(results)
        settings = values.read(f"setting of {method}", setting, values.of_settings(method))
        options = values.read(f"option of {model}", network, values.of_network(dataset, model))
        shown = _shown(dataset, data, augmentation, mixing, teacher, place)
        wanted = Run(
            model=model,
            method=method,
            settings=settings,
            network=options,
            recipe={"epochs": 20}
            | values.read("training setting", recipe, values.of_recipe(dataset)),
            **shown,
            replicates=replicates,
            seed=seed,
        )
        execution = Execution(device, precision, compile=compile, threads=threads)
        if "path" in wanted.data:
            typer.echo(prepare(wanted, execution).dataset, err=True)
        perform([Planned(wanted)], execution, place, work, title=f"{model}, {method}")
        record = records.load(wanted, place)
        assert record is not None
        typer.echo(f"{record.name}")
        for stage, metric in _metrics(record):
            mean, low, high = record.estimate(stage, metric)
            between = f"  [{low:.4f}, {high:.4f}]" if low < high else ""
            typer.echo(f"{stage:9} {metric:26} {mean:9.4f}{between}")


@app.command("preview")
def preview_labels(
    dataset: Dataset,
    taught: Annotated[str, typer.Argument(metavar="WHAT", help="A method, or a mixing.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A picture to draw: .png, .svg or .pdf.")
    ] = None,
    setting: Settings = None,
    data: Data = None,
    augmentation: Augment = None,
    mixing: Mixing = None,
    teacher: Teacher = None,
    batch: Annotated[int, typer.Option(min=1, help="Images.")] = 16,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    results: Results = None,
) -> None:
    """Show the first images of a training and the label distributions they would be taught."""
    with one_line_errors("nothing was written"):
        from ldlstudy.cli import values
        from ldlstudy.device import Execution
        from ldlstudy.experiment.prepare import prepare, teacher_of
        from ldlstudy.experiment.preview import preview
        from ldlstudy.experiment.records import Run
        from ldlstudy.mixing import MIXINGS

        method, mixed = ("none", [taught]) if taught in MIXINGS else (taught, [])
        if mixed and setting:
            raise ValueError(f"settings of a mixing are given with -m: -m {setting[0]}")
        place, work = _places(results) if teacher else (None, None)
        settings = values.read(f"setting of {method}", setting, values.of_settings(method))
        wanted = Run(
            model="small_cnn",  # of which nothing is asked
            method=method,
            settings=settings,
            recipe={"epochs": 1, "batch": batch},
            **_shown(dataset, data, augmentation, [*mixed, *(mixing or ())], teacher, place),
            seed=seed,
        )
        ready = prepare(wanted, Execution("cpu"))
        seen = preview(
            ready.dataset.train,
            method,
            wanted.settings,
            classes=len(ready.dataset.classes),
            recipe=ready.recipe,
            augmentation=ready.augmentation,
            teacher=teacher_of(ready, work, {})[0],
            mixing=wanted.mixing or None,
            held=ready.dataset.held,
            seed=seed,
        )
        if output is not None:
            seen.figure(ready.dataset.classes).savefig(output, dpi=150)
        typer.echo(f"{taught}: {seen}")


@app.command()
def rerun(
    id: Annotated[str, typer.Argument(help="Of a record: twelve hexadecimal digits.")],
    workers: Workers = None,
    device: Device = "auto",
    precision: Precision = "float32",
    compile: Compile = "no",
    threads: Threads = 1,
    results: Results = None,
) -> None:
    """Carry out a recorded run again, with its teachers, and show both results.

    The record stays as it is, and nothing else is kept.
    """
    with one_line_errors("nothing was written"):
        import tempfile

        from ldlstudy.device import Execution
        from ldlstudy.experiment import records
        from ldlstudy.experiment.plan import Planned
        from ldlstudy.experiment.sweep import sweep as carry_out

        place, _ = _places(results)
        before = records.find(id, place)
        wanted = Planned(records.run_of(before, place), before.kept)
        execution = Execution(device, precision, compile=compile, threads=threads)
        with tempfile.TemporaryDirectory() as folder:
            again, work = Path(folder, "results"), Path(folder, "runs")
            carry_out(
                [wanted], execution, workers=workers, results=again, work=work, say=typer.echo
            )
            now = records.load(wanted.run, again)
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
    metric: Annotated[
        str | None, typer.Option(help="A metric to show.", show_default="accuracy")
    ] = None,
    results: Results = None,
) -> None:
    """List the records there are and compare one metric of theirs."""
    with one_line_errors():
        from ldlstudy import checks
        from ldlstudy.experiment import records

        place, _ = _places(results)
        every = records.every(place)
        listed = [r for r in every if dataset in ("", r.specification["dataset"])]
        if not listed:
            raise ValueError(f"there are no records{dataset and f' of {dataset}'} in {place}")
        if metric is not None:
            known = {name for record in listed for name in record.values.get("plain", {})}
            checks.one_of("metric", metric, known)
        metric = metric or "accuracy"
        for record in listed:
            run, made, value = record.specification, record.made, ""
            if metric in record.values.get("plain", {}):
                value = f"{metric} {record.estimate('plain', metric).mean:.4f}, "
            typer.echo(
                f"{record.anchor:28} {run['dataset']}, {run['model']}, seed {run['seed']}, "
                f"{_counted(run['replicates'], 'replicate')}: {value}"
                f"{_counted(made['networks'], 'network')} in {made['seconds']:.0f} s "
                f"on {made['device']}"
            )


def _counted(count: int, of: str) -> str:
    return f"{count} {of}{'' if count == 1 else 's'}"
