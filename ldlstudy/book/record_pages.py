"""A page for each data set that lists its records, so that a number can lead to how it was made.

A record's row has the file's stem as its anchor. What many records share stands once: the setting
above its table, the machine and versions in a list of their own.
"""

import html
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ldlstudy import records
from ldlstudy.records import Record

OF_A_RUN = ("method", "parameters", "teachers", "seed", "keep")  # the rest is its setting
MACHINE = ("device", "precision", "compile", "threads", "channels_last", "python", "source")
HEADINGS = ("command", "method and parameters", "teachers", "seed", "seconds", "made")


def write(results: Path, folder: Path) -> None:
    """Write ``<dataset>.md`` into ``folder`` for each data set that has records in ``results``."""
    found = [record for _, record in records.every(results)]
    stems = {record.name for record in found}
    for dataset, group in itertools.groupby(found, lambda r: r.specification["dataset"]):
        text = page(dataset, list(group), stems)
        records.write(folder / f"{dataset}.md", text)


def page(dataset: str, found: list[Record], stems: set[str]) -> str:
    """The page of a data set, as Markdown; teachers lead to those of their records in ``stems``."""
    circumstances: dict[str, int] = {}
    settings: dict[str, list[Record]] = {}
    for record in sorted(found, key=_order):
        settings.setdefault(_setting(record.specification), []).append(record)
        circumstances.setdefault(_circumstances(record.made), len(circumstances) + 1)
    tables = (_table(setting, of, circumstances, stems) for setting, of in settings.items())
    numbered = "\n".join(f"{number}. {text}" for text, number in circumstances.items())
    return (
        f"# Records of {dataset}\n\n"
        f"{len(found)} records, by setting. The [page on records](../records.md) says how to read"
        " them.\n\n" + "\n\n".join(tables) + f"\n\n## How they were made\n\n{numbered}\n"
    )


def _order(record: Record) -> tuple[str, ...]:
    run = record.specification
    parameters = json.dumps(run["parameters"], sort_keys=True)
    return (_setting(run), run["method"], parameters, f"{run['seed']:09d}", record.name)


def _setting(run: Mapping[str, Any]) -> str:
    """All that runs of a table share, in words; the draw of the data goes with the seed."""
    rest = {name: value for name, value in run.items() if name not in OF_A_RUN and value != {}}
    rest["data"] = {name: value for name, value in run["data"].items() if name != "draw"}
    rest.pop("dataset")
    network = f"{rest.pop('model')}, {rest.pop('profile')} profile"
    return "; ".join([network, *(f"{name} {_plain(v)}" for name, v in rest.items() if v != {})])


def _plain(value: object) -> str:
    """A value of a specification without JSON's quotes and outer braces."""
    text = json.dumps(value).replace('"', "")
    return text[1:-1] if isinstance(value, dict) else text


def _circumstances(made: Mapping[str, Any]) -> str:
    known = [f"{name} {made[name]}" for name in MACHINE if name in made]
    return ", ".join(known + [f"{name} {version}" for name, version in made["versions"].items()])


def _table(
    setting: str, found: list[Record], circumstances: Mapping[str, int], stems: set[str]
) -> str:
    """The records of a setting as HTML without an empty line, at which Markdown would end it."""
    heads = "".join(f"<th scope=col>{heading}</th>" for heading in HEADINGS)
    rows = "\n".join(
        f'<tr id="{record.stem}">'
        + "".join(f"<td>{cell}</td>" for cell in _cells(record, circumstances, stems))
        + "</tr>"
        for record in found
    )
    return (
        '<div class="pst-scrollable-table-container" tabindex="0">'
        f'<table class="table records">\n<caption>{html.escape(setting)}</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _cells(record: Record, circumstances: Mapping[str, int], stems: set[str]) -> Iterator[str]:
    run, made = record.specification, record.made
    yield f"<code>ldlstudy rerun {records.identity(run)}</code>"
    values = html.escape(_plain(run["parameters"]))
    yield f"{run['method']}, {values}" if values else run["method"]
    yield " ".join(_teacher(teacher, stems) for teacher in run["teachers"])
    yield str(run["seed"])
    yield f"{made['seconds']:.1f}"
    yield str(circumstances[_circumstances(made)])


def _teacher(run: Mapping[str, Any], stems: set[str]) -> str:
    """The id of a teacher, as a link to its record where there is one."""
    stem = f"{run['method']}-{records.identity(run)}"
    if f"{run['dataset']}/{stem}" not in stems:
        return records.identity(run)
    return f'<a href="{run["dataset"]}.html#{stem}">{records.identity(run)}</a>'
