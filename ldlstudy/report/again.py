"""Numbers that a machine measured here and now, held against the records.

The same code, seeds and data give other last digits on another processor, and training makes more
of them. How much more was measured: 44 networks with hard labels on noisy digits, at three sizes
and three noises, were trained on an AMD and on an Intel processor, both with AVX-512. A number may
differ by three times the largest difference among them. The loss of the first epoch, where little
has grown yet, differed there by two parts in a million; it may differ by a hundred, and by more
where a teacher was trained anew, too.
"""

import statistics
from collections.abc import Callable

import pandas as pd

from ldlstudy.experiment.plan import Planned
from ldlstudy.report.results import Results, row_of
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import Text, style

SEEN = {  # the largest difference between two processors
    "accuracy": 0.0184,
    "cross_entropy": 0.0245,
    "brier": 0.0199,
    "kl_to_truth": 0.0256,
    "total_variation": 0.0054,
    "ece_15_left": 0.0160,
    "ece_15_right": 0.0160,
}
TIMES = 3
FIRST_LOSS = 1e-4  # relative; of networks without a teacher
FIRST = "loss of the first epoch"


def compared(here: Results, recorded: Results) -> pd.DataFrame:
    """Return each number of both: a line for a row and a metric.

    A mean over the seeds, or replicates, that both have: ``here``, ``record``, the ``difference``
    and what is ``allowed``.
    """
    lines = []
    for row in here.rows:
        own = here.of(row)[0]
        kept = _recorded_row(own, recorded)
        if kept not in recorded:
            continue
        for metric, seen in SEEN.items():
            now, then = here.measured(row, metric), recorded.measured(kept, metric)
            if now is None or then is None:
                continue
            n = min(len(now.values), len(then.values))
            means = [statistics.fmean(each.values[:n]) for each in (now, then)]
            lines.append((row, metric, *means, TIMES * seen))
        first = here.records(row)[0], recorded.records(kept)[0]
        histories = [record.all_figures.get("history") for record in first]  # points have none
        losses = [float(history["loss"][0]) for history in histories if history]
        if len(losses) == len(first) and not own.run.teachers:
            lines.append((row, FIRST, *losses, FIRST_LOSS * abs(losses[1])))
    found = pd.DataFrame(lines, columns=["row", "metric", "here", "record", "allowed"])
    found.insert(4, "difference", (found["here"] - found["record"]).abs())
    return found


def _recorded_row(own: Planned, recorded: Results) -> str:
    """The row of the same runs among the records; replicates have none of the quick profile."""
    row = row_of(own)
    return row if row in recorded else own.row


def shown(
    profile: str, here: Results, recorded: Results, label: Callable[[str], str] = str
) -> Shown | None:
    """Return the :func:`table`; at the smoke profile, whose runs have no records, say why not."""
    if profile == "smoke":
        print("The smoke profile shows that the code runs, not its numbers.")
        return None
    return table(here, recorded, label)


def table(here: Results, recorded: Results, label: Callable[[str], str] = str) -> Shown:
    """Return what this machine just measured beside the records, a line for each row.

    ``label`` says what the page calls a strategy.

    Raises
    ------
    ValueError
        If there is nothing to compare, or a number differs by more than processors do: then the
        code on the page does not give the recorded numbers.
    """
    found = compared(here, recorded)
    if found.empty:
        raise ValueError("nothing that was trained here has a record to be compared with")
    off = found[~(found["difference"] <= found["allowed"])]
    if len(off):
        worst = ", ".join(
            f"{x.row}: {x.metric} {x.here:.4g} / {x.record:.4g}" for x in off.itertuples()
        )
        raise ValueError(f"these numbers are not the recorded ones, here / record: {worst}")
    both = zip(found["here"], found["record"], strict=True)
    written = found.assign(cell=[f"{here:.4f} / {record:.4f}" for here, record in both])
    rows = list(dict.fromkeys(found["row"]))
    cells = written.pivot(index="row", columns="metric", values="cell").loc[rows]
    columns = [name for name in (*SEEN, FIRST) if name in cells]
    body = cells[columns].fillna("").set_axis([HEADINGS[name] for name in columns], axis=1)
    several = len({each.bench for each in here.planned}) > 1
    lines = []
    for row in body.index:
        own = here.of(row)[0]
        name = label(own.strategy)
        if several and own.bench:
            name += f" ({own.bench.replace('_', ' ').replace('-', ', ')})"
        lines.append(Text(name, recorded.records(_recorded_row(own, recorded))))
    return style(body.set_axis(lines)).saying(
        "Measured while this page was built / the record. The digits that differ are the "
        "processor’s."
    )


HEADINGS = {
    "accuracy": "accuracy", "cross_entropy": "NLL", "brier": "Brier", "kl_to_truth": "KL to truth",
    "total_variation": "TV", "ece_15_left": "ECE", "ece_15_right": "ECE", FIRST: FIRST,
}  # fmt: skip
