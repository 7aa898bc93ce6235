"""The tables of the CS-KD chapter: every printed number in its cell, ours above it."""

import csv
import html
import re

import pytest
from scipy import stats as scipy_stats

from ldlstudy import class_wise, class_wise_tables, tables
from ldlstudy.measured import Measured
from ldlstudy.stats import Estimate
from tests.conftest import ROOT

HEADINGS = {
    "cifar100": "CIFAR-100",
    "tiny_imagenet": "Tiny ImageNet",
    "cub200": "CUB-200",
    "stanford_dogs": "Stanford Dogs",
    "mit67": "MIT67",
}
METRICS = {"top5_error": "top5_error", "ece": "ece_20", "recall_at_1": "recall_at_1"}
NETWORKS = {  # as our runs name them, and as the tables do
    "preact_resnet18": "ResNet-18",
    "resnet18": "ResNet-18",
    "preact_resnet10": "ResNet-10",
    "resnet10": "ResNet-10",
    "densenet121": "DenseNet-121",
}
LARGE = {
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "resnext101_32x4d": "ResNeXt-101-32x4d",
}
PAPERS_NAMES = {  # where the book's differ
    "cross-entropy": "cross entropy",
    "label-smoothing": "label smoothing",
    "virtual-softmax": "virtual softmax",
    "maximum-entropy": "maximum entropy",
}


@pytest.fixture(autouse=True)
def in_the_study(monkeypatch):
    monkeypatch.chdir(ROOT)


def printed(name):
    """Return the lines of a published table."""
    with (ROOT / "book" / "published" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def paper(number, sign=""):
    return f'<span class="paper">{sign}{100 * float(number):.2f}</span>'


def known(name):
    """Return how the book names a method that the paper's table prints as ``name``."""
    plain = name.removesuffix(" (ours)")
    return PAPERS_NAMES.get(plain.lower(), plain).replace("Mixup", "mixup")


def one(value, half=0.0):
    return Measured([value], Estimate(value, value - half, value + half))


def cells(table):
    return table.data.to_dict("index")


@pytest.mark.parametrize("table", [1, 2, 3, 4])
def test_tables_show_every_printed_error(table):
    shown = cells(class_wise_tables.against_paper({}, table))
    expected = {}
    for line in printed(f"cskd_table{table}"):
        model, method = line["label"].split(", ")
        expected[f"{model}: {known(method)}"] = {
            heading: paper(line[dataset]) for dataset, heading in HEADINGS.items()
        }
    assert shown == expected
    assert list(shown) == list(expected)  # in the paper's order


@pytest.mark.parametrize("table", [1, 2, 3, 4])
def test_the_record_of_each_run_stands_above_its_printed_error(table):
    """Runs are told apart by what they are, not by what the table calls them."""
    runs = {n: r for n, r in class_wise.runs(table, "paper").items() if " #" not in n}
    runs = {n: r for n, r in runs.items() if "reduced" not in n and "cs_kd_e" not in n}
    errors = {name: 0.1 + place / 1000 for place, name in enumerate(runs)}
    shown = cells(
        class_wise_tables.against_paper({n: {"error": one(e)} for n, e in errors.items()}, table)
    )
    seen = set()
    for name, run in runs.items():
        label = f"{NETWORKS[run.model]}: {class_wise_tables.LABELS[name.split(' ')[1]]}"
        cell = shown[label][HEADINGS[run.dataset]]
        ours, theirs = cell.split("<br>")
        assert ours == f"{100 * errors[name]:.2f}"
        assert theirs.startswith('<span class="paper">')
        seen.add((label, run.dataset))
    assert len(seen) == len(runs) == 5 * len(printed(f"cskd_table{table}"))


def test_our_number_says_whether_the_printed_one_agrees():
    measurements = {
        "cifar100-preact_resnet18 cs_kd": {"error": one(0.22, 0.01), "accuracy": one(0.78)},
        "cub200-resnet18 cs_kd": {"error": one(0.4, 0.01)},
        "cub200-preact_resnet18 none": {"error": one(0.4, 0.01)},  # not the paper's network
        "mit67-resnet18 cs_kd": {"accuracy": one(0.4, 0.01)},
    }
    shown = cells(class_wise_tables.against_paper(measurements, 2))
    assert shown["ResNet-18: CS-KD"] == {
        "CIFAR-100": f"22.00 <small>±1.00</small><br>{paper(0.2199, '≈ ')}",
        "Tiny ImageNet": paper(0.4162),
        "CUB-200": f"40.00 <small>±1.00</small><br>{paper(0.3328, '≠ ')}",
        "Stanford Dogs": paper(0.3085),
        "MIT67": paper(0.4045),
    }
    assert shown["ResNet-18: cross entropy"]["CUB-200"] == paper(0.46)


def test_imagenet_shows_both_errors_of_each_network():
    lines = {line["row"]: paper(line["imagenet"]) for line in printed("cskd_table5")}
    measurements = {"imagenet-resnet101 cs_kd": {"error": one(0.221)}}
    lines = {row: re.sub(r"(\.\d)0<", r"\1<", line) for row, line in lines.items()}  # as printed
    lines["resnet101 cs_kd"] = "22.1<br>" + lines["resnet101 cs_kd"]
    assert cells(class_wise_tables.imagenet(measurements)) == {
        name: {
            "cross entropy, %": lines[f"{model} none"],
            "CS-KD, %": lines[f"{model} cs_kd"],
        }
        for model, name in LARGE.items()
    }
    assert set(measurements) <= set(class_wise.runs(5, "paper"))


@pytest.mark.parametrize("measure", METRICS)
def test_measures_show_every_printed_number(measure):
    shown = cells(class_wise_tables.measures({}, measure))
    lines = [line for line in printed("cskd_measures") if line["row"].startswith(f"{measure} ")]
    assert len(lines) == len(shown) == 7
    for line in lines:
        label = known(line["label"].split(", ")[1])
        assert shown[label] == {
            heading: paper(line[dataset]) for dataset, heading in HEADINGS.items()
        }


@pytest.mark.parametrize(("measure", "metric"), METRICS.items())
def test_measures_show_ours_of_that_measure(measure, metric):
    values = {each: one(0.1 + place / 10) for place, each in enumerate(METRICS.values())}
    shown = cells(class_wise_tables.measures({"cub200-resnet18 ls": values}, measure))
    ours = [
        (label, heading, cell.split("<br>")[0])
        for label, row in shown.items()
        for heading, cell in row.items()
        if "<br>" in cell
    ]
    assert ours == [("label smoothing", "CUB-200", f"{100 * values[metric].values[0]:.2f}")]


def test_an_unknown_measure_or_table_is_named():
    message = "unknown measure 'nll'; known: ece, recall_at_1, top5_error"
    with pytest.raises(ValueError, match=message):
        class_wise_tables.measures({}, "nll")
    with pytest.raises(ValueError, match="unknown published table 'cskd_table6'; known: .*cskd_"):
        class_wise_tables.against_paper({}, 6)


def test_what_has_not_been_run_stays_away():
    measurements = {
        "digits-cnn cs_kd": {"error": one(0.25), "ece_20": one(0.0512, 0.001)},
        "digits-cnn none": {"error": one(0.5)},
        "digits-cnn ls fitted": {"error": one(0.1)},
        "other ls": {"error": one(0.1)},
    }
    columns = (class_wise_tables.ERROR, class_wise_tables.ECE)
    methods = ["cs_kd", "ls", "none", "byot"]
    shown = cells(class_wise_tables.of_methods(measurements, {"digits-cnn": ""}, methods, columns))
    assert shown == {
        "CS-KD": {"error, %": "25.00", "ECE": ".051 <small>±.001</small>"},
        "cross entropy": {"error, %": "50.00", "ECE": ""},
    }
    assert list(shown) == ["CS-KD", "cross entropy"]  # as asked for


def test_methods_of_several_benches_have_their_titles_and_scaled_columns():
    measurements = {
        "a none": {"cross_entropy": one(1.5), "error": one(0.3)},
        "a none fitted": {"cross_entropy": one(1.25, 0.01), "temperature": one(2.125)},
        "b none": {"cross_entropy": one(0.75)},
        "b ls": {"cross_entropy": one(0.5), "temperature": one(9)},
        "b ls fitted": {"error": one(0.2)},
    }
    columns = {
        "NLL": ("", class_wise_tables.NLL),
        "NLL, scaled": ("fitted", class_wise_tables.NLL),
        "T": ("fitted", tables.TEMPERATURE),
    }
    shown = cells(
        class_wise_tables.of_methods(
            measurements, {"a": "small", "b": "large"}, ["ls", "none"], columns
        )
    )
    assert shown == {
        "small: cross entropy": {
            "NLL": "1.500",
            "NLL, scaled": "1.250 <small>±.010</small>",
            "T": "2.125",
        },
        "large: label smoothing": {"NLL": ".500", "NLL, scaled": "", "T": ""},
        "large: cross entropy": {"NLL": ".750", "NLL, scaled": "", "T": ""},
    }
    assert list(shown) == ["small: cross entropy", "large: label smoothing", "large: cross entropy"]


def test_every_method_has_a_label_of_its_own():
    labels = class_wise_tables.LABELS
    assert set(labels) == set(class_wise.METHODS)
    assert len(set(labels.values())) == len(labels)
    assert all(html.escape(label) == label for label in labels.values())


def test_the_grid_has_every_temperature_and_weight():
    runs = class_wise.grid("quick")
    names = [name for name in runs if " #" not in name]
    settings = {name: runs[name].parameters for name in names}
    labels = {n: f"T = {s['temperature']:g}, λ = {s['weight']:g}" for n, s in settings.items()}
    labels["noisy_digits-small_cnn none"] = "cross entropy"
    assert set(labels) - set(names) <= set(class_wise.runs(1, "quick"))
    errors = {name: 0.1 + place / 100 for place, name in enumerate(labels)}
    shown = cells(class_wise_tables.grid({n: {"error": one(e)} for n, e in errors.items()}))
    assert len(shown) == len(labels) == 9
    assert list(shown)[-1] == "cross entropy"
    for name, label in labels.items():
        row = shown[label]
        assert row.pop("error, %") == f"{100 * errors[name]:.2f}"
        assert set(row.values()) == {""}
        assert list(row) == ["ECE", "KL to the truth", "KL, scaled", "T fitted", "R@1, %"]


@pytest.mark.parametrize(
    ("name", "label"),
    [("cs_kd T4 l2", "T = 4, λ = 2"), ("none", "cross entropy")],
)
def test_the_grid_shows_a_network_as_trained_and_scaled(name, label):
    trained = {
        "error": 0.25, "ece_20": 0.125, "kl_to_truth": 0.5, "recall_at_1": 0.75, "temperature": 7,
    }  # fmt: skip
    scaled = {"error": 0.9, "ece_20": 0.9, "kl_to_truth": 0.375, "recall_at_1": 0.9}
    rows = {"": trained, " fitted": scaled | {"temperature": 1.625}}
    measurements = {
        f"{class_wise.QUICK} {name}{of}": {metric: one(v) for metric, v in row.items()}
        for of, row in rows.items()
    }
    shown = cells(class_wise_tables.grid(measurements))
    assert shown.pop(label) == {
        "error, %": "25.00",
        "ECE": ".125",
        "KL to the truth": ".500",
        "KL, scaled": ".375",
        "T fitted": "1.625",
        "R@1, %": "75.00",
    }
    assert {cell for row in shown.values() for cell in row.values()} == {""}


def test_scores_on_errors_by_hand():
    first = {"index": [0, 2, 5], "log_predicted": [-0.1, -0.2, -0.6], "log_true": [-3, -2, -1]}
    second = {"index": [5, 7, 0], "log_predicted": [-1, -0.5, -0.9], "log_true": [-1.5, -1, -2]}
    methods = {"plain": [first], "soft": [second]}
    shown = class_wise_tables.scores_on_errors({"digits": methods, "toys": methods})
    assert list(shown.data.index) == [
        f"{title}: {side}"
        for title in ("digits", "toys")
        for side in ("predicted class", "true class")
    ]
    row = cells(shown)["digits: predicted class"]
    paired = scipy_stats.ttest_rel([-0.9, -1.0], [-0.1, -0.6]).pvalue
    assert row == {
        "plain": "\N{MINUS SIGN}0.30",
        "soft": "\N{MINUS SIGN}0.80",
        "both wrong": "2",
        "difference there": "\N{MINUS SIGN}0.60",  # images 0 and 5: -.8 and -.4
        "p": f"{paired:.3f}".removeprefix("0"),
    }
    assert list(row) == ["plain", "soft", "both wrong", "difference there", "p"]
    row = cells(shown)["toys: true class"]
    assert (row["plain"], row["soft"]) == ("\N{MINUS SIGN}2.00", "\N{MINUS SIGN}1.50")
    assert row["difference there"] == "+0.25"


def test_scores_on_many_errors_have_small_p_and_a_comma():
    some = [
        {
            "index": list(range(2400)),
            **{s: [-0.1, -0.3] * 1200 for s in ("log_predicted", "log_true")},
        }
    ]
    other = [{**some[0], "log_predicted": [-1.1, -1.2] * 1200}]
    shown = cells(class_wise_tables.scores_on_errors({"a": {"x": some, "y": other}}))
    row = shown["a: predicted class"]
    assert (row["p"], row["both wrong"]) == ("< .001", "2,400")
    same = shown["a: true class"]
    assert (same["p"], same["difference there"]) == ("1.000", "+0.00")


def test_what_the_paper_s_tables_say_is_counted():
    shown = cells(class_wise_tables.in_its_own_tables())
    assert len(shown) == 11
    part = {claim: tuple(row.values()) for claim, row in shown.items() if row["not on"]}
    assert part == {
        "lowest error of the self-distillers": ("4 of 5", "Tiny ImageNet"),
        "lower ECE than label smoothing": ("3 of 5", "Tiny ImageNet, MIT67"),
        "lowest ECE of the output regularisers": (
            "1 of 5",
            "Tiny ImageNet, CUB-200, Stanford Dogs, MIT67",
        ),
        "highest R@1": ("4 of 5", "CIFAR-100"),
    }
    assert {row["holds on"] for claim, row in shown.items() if claim not in part} == {"5 of 5"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: class_wise_tables.against_paper({}, 1),
        lambda: class_wise_tables.imagenet({}),
        lambda: class_wise_tables.measures({}, "ece"),
        class_wise_tables.in_its_own_tables,
    ],
)
def test_tables_are_the_same_each_time_and_show_no_nan(make):
    page = make().to_html()
    assert page == make().to_html()
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
