"""A page for each data set that lists its records, so that a number can lead to how it was made.

A record's row has its anchor, and those of the ids that it had before. What many records share
stands once: the setting above its table, the machine and versions in a list of their own. What a
record says is text and no markup, so it stands in HTML, escaped.
"""

import html
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ldlstudy import files
from ldlstudy.experiment import records
from ldlstudy.experiment.records import Record
from ldlstudy.report.tables import short

OF_A_RUN = ("method", "settings", "teachers", "seed")  # the rest is its setting
MACHINE = ("device", "precision", "compile", "threads", "channels_last", "python", "source")
HEADINGS = ("command", "method and settings", "scores", "teachers", "seed", "seconds", "made")
SCORES = {"accuracy": "accuracy", "cross_entropy": "NLL", "kl_to_truth": "KL"}  # by metric
STAGE = "plain"


def write(results: Path, folder: Path) -> None:
    """Write ``<dataset>.md`` into ``folder`` for each data set that has records in ``results``."""
    found = list(records.every(results))
    anchors = {record.id: f"{_dataset(record)}.html#{record.anchor}" for record in found}
    for dataset, group in itertools.groupby(found, _dataset):
        files.write(folder / f"{dataset}.md", page(dataset, list(group), anchors))


def _dataset(record: Record) -> str:
    return str(record.specification["dataset"])


def page(dataset: str, found: list[Record], anchors: Mapping[str, str]) -> str:
    """Return the page of a data set, as Markdown; ``anchors`` are places of records by id."""
    circumstances: dict[str, int] = {}
    settings: dict[str, list[Record]] = {}
    for record in sorted(found, key=_order):
        settings.setdefault(_setting(record.specification), []).append(record)
        circumstances.setdefault(_circumstances(record.made), len(circumstances) + 1)
    tables = (_table(setting, of, circumstances, anchors) for setting, of in settings.items())
    numbered = "\n".join(f"<li>{_text(words)}</li>" for words in circumstances)
    return (
        f"# Records of {dataset}\n\n"
        f"{len(found)} records, by setting. The [page on records](../records.md) says how to read"
        " them.\n\n"
        + "\n\n".join(tables)
        + f"\n\n## How they were made\n\n<ol>\n{numbered}\n</ol>\n"
    )


def _order(record: Record) -> tuple[str, ...]:
    run = record.specification
    settings = json.dumps(run.get("settings", {}), sort_keys=True)
    return (_setting(run), run["method"], settings, f"{run['seed']:09d}", record.id)


def _setting(run: Mapping[str, Any]) -> str:
    """What runs of a table share, in words; the draw of the data goes with the seed."""
    rest = {name: value for name, value in run.items() if name not in OF_A_RUN}
    data = {name: value for name, value in rest.pop("data", {}).items() if name != "draw"}
    del rest["dataset"]
    network = rest.pop("model")
    shown = {"data": data, **rest} if data else rest
    return "; ".join([network, *(f"{name} {_plain(value)}" for name, value in shown.items())])


def _plain(value: object) -> str:
    """A value of a specification without JSON's quotes and outer braces."""
    text = json.dumps(value).replace('"', "")
    return text[1:-1] if isinstance(value, dict) else text


def _circumstances(made: Mapping[str, Any]) -> str:
    known = [f"{name} {made[name]}" for name in MACHINE if name in made]
    return ", ".join(known + [f"{name} {version}" for name, version in made["versions"].items()])


def _text(value: object) -> str:
    """A value as text of HTML, and of its attributes, on one line."""
    return html.escape(" ".join(str(value).split()))


def _table(
    setting: str,
    found: list[Record],
    circumstances: Mapping[str, int],
    anchors: Mapping[str, str],
) -> str:
    """The records of a setting as HTML without an empty line, at which Markdown would end it."""
    heads = "".join(f"<th scope=col>{heading}</th>" for heading in HEADINGS)
    rows = "\n".join(
        f'<tr id="{_text(record.anchor)}">'
        + "".join(f"<td>{cell}</td>" for cell in _cells(record, circumstances, anchors))
        + "</tr>"
        for record in found
    )
    many = f"{len(found)} record{'s' * (len(found) > 1)}"
    return (
        f'<details class="setting"><summary>{_text(setting)} <small>({many})</small></summary>\n'
        '<div class="pst-scrollable-table-container" tabindex="0">'
        f'<table class="table records">\n<caption>{_text(setting)}</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></details>"
    )


def _cells(
    record: Record, circumstances: Mapping[str, int], anchors: Mapping[str, str]
) -> Iterator[str]:
    run, made = record.specification, record.made
    method = _text(run["method"])
    former = "".join(f'<a id="{method}-{_text(old)}"></a>' for old in record.formerly)
    yield f"{former}<code>ldlstudy rerun {record.id}</code>"
    values = _text(_plain(run.get("settings", {})))
    yield f"{method}, {values}" if values else method
    yield _scores(record)
    yield " ".join(
        f'<a href="{_text(anchors[id])}">{_text(id)}</a>' if id in anchors else _text(id)
        for id in run.get("teachers", ())
    )
    yield str(run["seed"])
    yield f"{made['seconds']:.1f}"
    yield str(circumstances[_circumstances(made)])


def _scores(record: Record) -> str:
    """The first scores of the predictions as they are, means where there are replicates."""
    return _text(
        ", ".join(
            f"{name} {short(f'{record.estimate(STAGE, metric).mean:.3f}')}"
            for metric, name in SCORES.items()
            if metric in record.values.get(STAGE, {})
        )
    )
