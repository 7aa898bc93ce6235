"""The tables of the LDL chapter: every printed number in its cell, ours above it."""

import csv
import html
import itertools
import re

import pytest

from ldlstudy import ldl_tables, tables
from ldlstudy.measured import Measured
from ldlstudy.records import Record
from ldlstudy.stats import Estimate
from tests.conftest import ROOT

STUDENTS = {
    1: ["ResNet-20", "ResNet-56", "ResNet-18", "ResNet-50"],
    2: [f"{data}, {net}" for data in ("CIFAR-10", "STL10") for net in ("ResNet-20", "ResNet-56")],
    3: [f"ResNet-{depth}" for depth in (20, 56, 110, 18, 50, 200)],
    4: [f"ResNet-{depth}" for depth in (18, 50, 101, 152)],
    5: ["ResNeXt-29-4x64d", "DenseNet-121", "DLA"],
    6: [f"ResNet-{depth}" for depth in (18, 50, 200)],
}
DIGITS = "noisy_digits-small_cnn"


@pytest.fixture(autouse=True)
def in_the_study(monkeypatch):
    monkeypatch.chdir(ROOT)


def printed(table):
    """Return the lines of a published table."""
    with (ROOT / "book" / "published" / f"ldl_table{table}.csv").open() as file:
        return list(csv.DictReader(file))


def percent(number, sign=""):
    return f'<span class="paper">{sign}{100 * float(number):.2f}</span>'


def plain(number, sign=""):
    written = f"{float(number):.3f}".removeprefix("0")
    return f'<span class="paper">{sign}{written}</span>'


def one(value, half=0.0):
    return Measured([value], Estimate(value, value - half, value + half))


def cells(table):
    return table.data.to_dict("index")


@pytest.mark.parametrize("table", STUDENTS)
def test_tables_show_every_printed_number(table):
    shown = cells(ldl_tables.against_paper({}, table))
    filled = [cell for row in shown.values() for cell in row.values() if cell]
    lines = printed(table)
    expected = []
    for line in lines:
        expected += [percent(line["accuracy"]), plain(line["ece"])]
        expected += [percent(line["top5_accuracy"])] if table == 4 else []
    assert sorted(filled) == sorted(expected)
    columns = list(next(iter(shown.values())))
    assert list(dict.fromkeys(student for student, _ in columns)) == STUDENTS[table]
    headings = ["accuracy, %", "top-5, %", "ECE"] if table == 4 else ["accuracy, %", "ECE"]
    assert [heading for _, heading in columns] == headings * len(STUDENTS[table])
    first = [line["row"].split(" ")[1] for line in lines]
    assert next(iter(shown)) == "Vanilla" == ldl_tables.LABELS[first[0]]


def test_a_cell_is_of_its_student_and_its_method():
    by_hand = {
        (1, "On-LDL, CutMix", "ResNet-50"): (0.8309, 0.030),
        (1, "Vanilla, RICAP", "ResNet-56"): (0.7395, 0.027),
        (1, "On-LDL, long", "ResNet-20"): (0.6941, 0.073),
        (2, "On-MT-LDL (sum), long", "STL10, ResNet-20"): (0.8693, 0.008),
        (3, "CRD", "ResNet-110"): (0.7604, 0.121),
        (3, "On-LDL", "ResNet-200"): (0.8388, 0.038),
        (4, "Off-LDL", "ResNet-101"): (0.7872, 0.024),
        (5, "LS", "ResNeXt-29-4x64d"): (0.8073, 0.151),
        (6, "temperature scaling", "ResNet-50"): (0.7857, 0.032),
        (6, "On-LDL, MCDO-T, CutMix", "ResNet-18"): (0.8082, 0.059),
        (6, "On-LDL", "ResNet-18"): (0.8126, 0.043),
    }
    for (table, label, student), (accuracy, ece) in by_hand.items():
        row = cells(ldl_tables.against_paper({}, table))[label]
        assert row[student, "accuracy, %"] == percent(accuracy)
        assert row[student, "ECE"] == plain(ece)


def test_what_the_paper_does_not_print_is_empty():
    row = cells(ldl_tables.against_paper({}, 3))["CRD"]
    assert row["ResNet-200", "accuracy, %"] == row["ResNet-200", "ECE"] == ""
    assert row["ResNet-20", "ECE"] == plain(0.060)


def test_table_7_has_a_row_for_each_student_and_method():
    shown = cells(ldl_tables.against_paper({}, 7))
    lines = printed(7)
    assert len(shown) == len(lines) == 30
    for row, line in zip(shown.values(), lines, strict=True):  # in the paper's order
        assert row == {
            "accuracy, %": percent(line["accuracy"]),
            "ECE": plain(line["ece"]),
            "UCE": plain(line["uce"]),
            "NLL": plain(line["nll"]),
            "Brier": plain(line["brier"]),
        }
    assert shown["ResNet-50: On-LDL, long"]["NLL"] == plain(0.621)
    assert [label for label in shown if label.endswith(": Vanilla")] == [
        f"ResNet-{depth}: Vanilla" for depth in (18, 50, 200)
    ]


def test_ours_stands_above_the_printed_number_and_is_judged():
    measurements = {
        "cifar100-resnet20 off_ldl": {"accuracy": one(0.7, 0.01), "ece_10": one(0.2, 0.01)},
        "cifar100-resnet20-reduced off_ldl": {"accuracy": one(0.1)},
        "cifar100-resnet56 off_ldl": {"error": one(0.3), "ece": one(0.1)},  # not printed ones
        "cifar100-resnet18 on_ldl-ricap-long": {"accuracy": one(0.1)},  # not the paper's mixing
    }
    shown = cells(ldl_tables.against_paper(measurements, 1))
    assert shown["Off-LDL"]["ResNet-20", "accuracy, %"] == (
        f"70.00 <small>±1.00</small><br>{percent(0.699, '≈ ')}"
    )
    ece = shown["Off-LDL"]["ResNet-20", "ECE"]
    assert ece == f".200 <small>±.010</small><br>{plain(0.051, '≠ ')}"
    rest = [cell for row in shown.values() for cell in row.values() if "<br>" in cell]
    assert len(rest) == 2


def test_an_unknown_table_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="unknown published table 'ldl_table8'; known: .*ldl_tab"):
        ldl_tables.against_paper({}, 8)


def test_printed_rows_are_those_of_the_file_each_once():
    for table in range(1, 8):
        found = ldl_tables.printed(table)
        rows = [row for of_label in found.values() for row in of_label.values()]
        assert sorted(rows) == sorted(line["row"] for line in printed(table))
        assert all(row.startswith(f"{b} ") for of in found.values() for b, row in of.items())


def test_the_mixing_is_named_where_there_is_a_choice():
    ricap = ldl_tables.printed(1)["On-LDL, RICAP"]
    assert ricap["cifar100-resnet20"] == "cifar100-resnet20 on_ldl-ricap"
    assert ldl_tables.printed(1)["On-LDL, long"] == {
        "cifar100-resnet20": "cifar100-resnet20 on_ldl-ricap-long",
        "cifar100-resnet56": "cifar100-resnet56 on_ldl-ricap-long",
        "cifar100-resnet18": "cifar100-resnet18 on_ldl-cutmix-long",
        "cifar100-resnet50": "cifar100-resnet50 on_ldl-cutmix-long",
    }


@pytest.mark.parametrize(
    ("method", "label"),
    [
        ("none", "Vanilla"),
        ("none-cutmix", "Vanilla, CutMix"),
        ("on_ldl-cutmix", "On-LDL, CutMix"),
        ("on_ldl-cutmix-long", "On-LDL, CutMix, long"),
        ("on_mt_ldl_mean-ricap", "On-MT-LDL (mean), RICAP"),
        ("off_ldl_views", "Off-LDL, re-labelled"),
        ("none-held fitted", "temperature scaling"),
        ("on_ldl-mcdo_t-cutmix", "On-LDL, MCDO-T, CutMix"),
        ("truth", "the true posterior"),
    ],
)
def test_labels_are_composed_of_their_parts(method, label):
    assert ldl_tables.LABELS[method] == label


def test_every_method_has_a_label_of_its_own():
    labels = ldl_tables.LABELS
    assert len(set(labels.values())) == len(labels)
    assert all(html.escape(label) == label for label in labels.values())
    bases, mixes = ("none", "on_ldl", "on_en_ldl", "on_mt_ldl"), ("cutout", "mixup", "ricap")
    assert {"-".join(pair) for pair in itertools.product(bases, mixes)} <= set(labels)
    rows = {line["row"].split(" ", 1)[1] for table in range(1, 8) for line in printed(table)}
    assert rows <= set(labels)


def test_students_are_named_with_their_data():
    assert ldl_tables.student("stl10-resnet56") == "STL10, ResNet-56"
    assert ldl_tables.student("noisy_digits-small_cnn-n50-s0.5") == "noisy digits, small CNN"


def test_measured_methods_of_one_bench():
    measurements = {
        f"{DIGITS} ls": {}, f"{DIGITS} ls fitted": {}, f"{DIGITS} none-held fitted": {},
        f"{DIGITS}-n50-s0.5 kd": {}, "cifar100-resnet20 kd": {}, f"{DIGITS} unheard_of": {},
    }  # fmt: skip
    assert ldl_tables.measured_methods(measurements, DIGITS) == ["ls", "none-held fitted"]
    columns = (tables.ACCURACY,)
    measurements[f"{DIGITS} ls"] = {"accuracy": one(0.75)}
    shown = cells(ldl_tables.of_methods(measurements, DIGITS, ["kd", "ls"], columns))
    assert shown == {"LS": {"accuracy, %": "75.00"}}


def test_the_nearest_to_the_truth_comes_first():
    scores = {"accuracy": one(0.875), "cross_entropy": one(0.4), "ece_10": one(0.02)}
    measurements = {
        f"{DIGITS} none": {**scores, "kl_to_truth": one(0.3)},
        f"{DIGITS} truth": {**scores, "uce": one(0.01), "kl_to_truth": one(0.2, 0.01)},
        f"{DIGITS} off_ldl": {**scores, "kl_to_truth": one(0.25)},
        f"{DIGITS} none fitted": {**scores, "kl_to_truth": one(0.1)},
    }
    shown = cells(ldl_tables.true_distribution(measurements))
    assert list(shown) == ["the true posterior", "Off-LDL", "Vanilla"]
    assert shown["the true posterior"] == {
        "accuracy, %": "87.50",
        "NLL": ".400",
        "ECE": ".020",
        "UCE": ".010",
        "KL to the truth": ".200 <small>±.010</small>",
        "KL, scaled": "",
    }
    assert shown["Vanilla"]["UCE"] == ""
    assert shown["Vanilla"]["KL, scaled"] == ".100"


def test_the_grid_has_a_row_for_each_noise_and_size():
    measurements = {
        f"{DIGITS}-n100-s0.5 none": {"kl_to_truth": one(0.25)},
        f"{DIGITS}-n100-s0.5 on_ldl-mixup": {"kl_to_truth": one(0.125)},
        f"{DIGITS}-n1000-s0.3 on_ldl-mixup": {"kl_to_truth": one(0.0625, 0.01)},
        f"{DIGITS} none": {"kl_to_truth": one(9)},
    }
    shown = cells(ldl_tables.grid(measurements))
    assert list(shown) == ["σ = 0.3, 1,000 a class", "σ = 0.5, 100 a class"]
    assert shown["σ = 0.3, 1,000 a class"] == {
        "On-LDL, mixup": ".062 <small>±.010</small>",
        "Vanilla": "",
    }
    assert shown["σ = 0.5, 100 a class"] == {"On-LDL, mixup": ".125", "Vanilla": ".250"}


def record(seconds, training=None, **specification):
    made = {"seconds": seconds, "device": "a GPU"}
    made |= {} if training is None else {"training_seconds": training}
    plain = {"dataset": "cifar100", "model": "resnet20", "training": {"epochs": 20}}
    return Record({**plain, **specification}, {}, {}, {}, made)


def test_runs_are_listed_once_for_all_seeds():
    shown = cells(
        ldl_tables.runs(
            {
                "cifar100-resnet20-reduced none": record(100, 1500),  # resumed
                "cifar100-resnet20-reduced none #1": record(2500, 2400),
                f"{DIGITS} on_ldl-mixup": record(7, dataset="noisy_digits", model="small_cnn"),
            }
        )
    )
    assert shown == {
        "cifar100-resnet20-reduced none": {
            "method": "Vanilla", "data set": "CIFAR-100", "network": "ResNet-20", "epochs": "20",
            "seeds": "2", "device": "a GPU", "seconds": "2,000",
        },
        f"{DIGITS} on_ldl-mixup": {
            "method": "On-LDL, mixup", "data set": "noisy digits", "network": "small CNN",
            "epochs": "20", "seeds": "1", "device": "a GPU", "seconds": "7",
        },
    }  # fmt: skip


def test_statements_stand_beside_what_the_tables_give():
    shown = cells(ldl_tables.recomputed())
    assert shown["accuracy against Vanilla, CIFAR-10, ResNet-56"] == {
        "the text": "up to +1.6 points",
        "its tables": "+0.08 to +0.60 points",
    }
    assert shown["ECE against Vanilla, other architectures"] == {
        "the text": "\N{MINUS SIGN}20 to \N{MINUS SIGN}66 %",
        "its tables": "\N{MINUS SIGN}67 to +18 %",
    }
    alone = shown["accuracy, On-LDL trained long against CRD + KD, ResNet-200"]
    assert alone["its tables"] == "+2.86 points"
    assert shown["ECE against Vanilla, STL10, ResNet-20"]["its tables"].endswith(" to 0 %")


@pytest.mark.parametrize(
    "make",
    [lambda n=n: ldl_tables.against_paper({}, n) for n in (1, 3, 7)] + [ldl_tables.recomputed],
)
def test_tables_are_the_same_each_time_and_show_no_nan(make):
    page = make().to_html()
    assert page == make().to_html()
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
