"""The tables of the fast network on photographs, and what training costs in operations."""

from collections.abc import Mapping

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from ldlstudy import models
from ldlstudy.report import tables
from ldlstudy.report.results import Results
from ldlstudy.report.shown import Shown
from ldlstudy.report.tables import ACCURACY, CLASSWISE, NLL, SHARE, Column
from ldlstudy.studies.bench import DATASETS, Bench
from ldlstudy.studies.cs_kd import runs as cs_kd_runs
from ldlstudy.studies.fast import runs
from ldlstudy.studies.ldl import runs as ldl_runs
from ldlstudy.studies.strategies import named

ECE = Column("ece_15_left", "ECE", digits=3)
SCORES = {
    **{c.heading: ("plain", c) for c in (ACCURACY, NLL, ECE)},
    "class-wise ECE": ("plain", CLASSWISE),
    "T": ("fitted", Column("temperature", "T", digits=2)),
    "NLL, scaled": ("fitted", NLL),
    "ECE, scaled": ("fitted", ECE),
}
IMAGES = 50_000  # of CIFAR's training sets
RATE = 1e11  # products and sums a second, of two cores of a laptop


def lines(results: Results) -> dict[str, str]:
    """Return the rows of full training that have been run, with their labels."""
    first = {row: results.of(row)[0] for row in results.rows if row in results}
    more = dict.fromkeys(map(runs.long, runs.NAMES.values()), f", {runs.LONG['epochs']} epochs")
    return {
        row: f"{DATASETS[p.run.dataset]}: {named(p.strategy).label}{more.get(p.bench, '')}"
        for row, p in first.items()
    }


def scores(results: Results) -> Shown:
    """Return what each strategy's network scores, as trained and scaled."""
    return tables.of_rows(results, lines(results), SCORES).saying(
        "Photographs, the fast network trained to its end. Compare the ECE as trained and scaled: "
        "which strategies does a temperature leave apart?"
    )


def scores_of_few(results: Results) -> Shown:
    """Return what each strategy's networks score that have seen few images of a class."""
    return tables.of_rows(results, of_few(results), SCORES).saying(
        f"CIFAR-100, {runs.FEW_IMAGES} images of a class: the mean over seeds, ± half of the range "
        "of three or of the interval of test images. Compare the ECE as trained with that of the "
        "networks above, which have seen all images: these are too sure."
    )


def of_few(results: Results) -> dict[str, str]:
    """Return the rows of few images that have been run, each with its label."""
    decay = runs.DECAYED["weight_decay"] / runs.FEW["weight_decay"]
    more = {
        runs.DECAYED_BENCH: f", weight decay × {decay:g}",
        runs.DOUBLED_BENCH: ", on twice the images",
    }
    first = {row: results.of(row)[0] for row in results.rows}
    return {row: named(p.strategy).label + more.get(p.bench, "") for row, p in first.items()}


def against_hard(results: Results) -> Shown:
    """Return the differences of each strategy from hard labels, with 95 % intervals.

    These have seen the same images. Hard labels that were trained longer are compared with those
    that were not.
    """
    labelled = lines(results)
    first = {row: results.of(row)[0] for row in labelled}
    hard = {r: f"{each.bench} {named(each.strategy).hard_labels}" for r, each in first.items()}
    hard |= {f"{runs.long(name)} none": f"{name} none" for name in runs.NAMES.values()}
    return _against_hard(results, labelled, hard).saying(
        "Each strategy less hard labels, with the 95 % interval. Which intervals are on one side "
        "of 0?"
    )


def few_against_hard(results: Results) -> Shown:
    """Return the same of few images."""
    labelled = of_few(results)
    hard = dict.fromkeys(labelled, f"{runs.FEW_BENCH} none")
    return _against_hard(results, labelled, hard).saying(
        f"CIFAR-100, {runs.FEW_IMAGES} images of a class: each strategy less hard labels, within "
        "seeds where both have three, else with the interval of test images. Which labels help as "
        "trained alone, and which still do at a temperature?"
    )


def _against_hard(
    results: Results, labelled: Mapping[str, str], hard_labels: Mapping[str, str]
) -> Shown:
    """Differences of labelled rows from their rows of hard labels."""
    pairs = {}
    for row, label in labelled.items():
        hard = hard_labels[row]
        if row != hard and hard in results:
            pairs[label] = (row, "plain"), (hard, "plain")
            pairs[f"{label}, scaled"] = (row, "fitted"), (hard, "fitted")
    return tables.differences(results, pairs, (SHARE, NLL, ECE))


def networks() -> dict[str, Bench]:
    """Return what is compared in cost: the fast network, the reduced one, the papers' own."""
    fast, ldl, cs_kd = runs.benches("paper"), ldl_runs.benches("paper"), cs_kd_runs.benches("paper")
    return {
        "fast CNN": fast[runs.CIFAR10],
        "fast CNN, four times as long": fast[runs.long(runs.CIFAR10)],
        "ResNet-20, reduced": ldl[ldl_runs.REDUCED],
        "ResNet-20 of LDL": ldl["cifar100-resnet20"],
        "ResNet-56 of LDL": ldl["cifar100-resnet56"],
        "PreAct ResNet-18 of CS-KD": cs_kd["cifar100-preact_resnet18"],
        "ResNet-50 of LDL": ldl["cifar100-resnet50"],
    }


def operations(bench: Bench) -> int:
    """Return what an image costs in training, of products and convolutions (3, 32, 32)."""
    with torch.device("meta"):
        network = models.build(bench.model, 10, **bench.network)
        images = torch.empty(2, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return int(counter.get_total_flops()) // 2


def budgets() -> Shown:
    """Return what training on CIFAR costs with hard labels, network by network."""
    found = {}
    for name, bench in networks().items():
        each, epochs = operations(bench), bench.recipe["epochs"]
        total = each * epochs * IMAGES
        found[name] = {
            "epochs": f"{epochs}",
            "operations an image, 10⁹": tables.short(f"{each / 1e9:.2f}"),
            "in all, 10¹²": f"{total / 1e12:,.0f}",
            f"hours at {RATE / 1e9:.0f} GFLOP/s": tables.short(f"{total / RATE / 3600:.1f}"),
        }
    return tables.style(pd.DataFrame.from_dict(found, orient="index")).saying(
        "What training on CIFAR costs with hard labels, in floating-point operations: the floor, "
        "if a processor did nothing else. How many networks fit into a night?"
    )
