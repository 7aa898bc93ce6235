"""LDL's numbers as transcribed: complete, in range, and in step with the paper's arithmetic."""

import itertools
import re

import pandas as pd
import pytest

from ldlstudy import tables
from tests.test_published import PUBLISHED, crossed


def on(*networks, data="cifar100"):
    return [f"{data}-{network}" for network in networks]


MIXES = ["mixup", "cutmix", "ricap"]
MIXINGS = ["none", *(f"none-{m}" for m in MIXES), "off_ldl", *(f"on_ldl-{m}" for m in MIXES)]
TEACHERS = ["ldl", "en_ldl", "mt_ldl"]
SEVERAL = [
    *("none", "ls", "kd", *(f"off_{several}" for several in TEACHERS)),
    *("on_ldl-ricap", "on_ldl-ricap-long", "on_en_ldl-ricap", "on_mt_ldl-ricap"),
    *("on_en_ldl-ricap-long", "on_mt_ldl-ricap-long"),
]
RIVALS = ["crd", "crd_kd", "sskd", "wsl"]
CUTMIX = ["on_ldl-cutmix", "on_ldl-cutmix-long"]
HELD = ["none", "none-held fitted", "ls", "kd", "crd_kd", "wsl"]
DROPPED = ["mcdo", "on_ldl-mcdo_t", "on_ldl-mcdo_st", "on_ldl-mcdo_t-cutmix", "ogr", "on_ldl-ogr"]
LARGE = on("resnet18", "resnet50", "resnet200")
PLUS_SMALL, PLUS_LARGE = "on_ldl-ricap-long", "on_ldl-cutmix-long"
IMAGENET = on("resnet18", "resnet50", "resnet101", "resnet152", data="imagenet")
OTHERS = on("resnext29_4x64d", "densenet121", "dla")
ROWS = {
    1: crossed(on("resnet20", "resnet56"), [*MIXINGS, PLUS_SMALL])
    + crossed(on("resnet18", "resnet50"), [*MIXINGS, PLUS_LARGE]),
    2: crossed(on("resnet20", "resnet56", data="cifar10"), SEVERAL)
    + crossed(on("resnet20", "resnet56", data="stl10"), SEVERAL),
    3: crossed(
        on("resnet20", "resnet56", "resnet110"),
        ["none", "ls", "kd", *RIVALS, "off_mt_ldl", PLUS_SMALL],
    )
    + crossed(LARGE, ["none", "ls", "kd", "crd_kd", "wsl", *CUTMIX]),
    4: crossed(IMAGENET, ["none", "ls", "off_ldl", *CUTMIX]),
    5: crossed(OTHERS, ["none", "ls", "kd", "off_ldl", "on_ldl-cutmix"]),
    6: crossed(LARGE, [*HELD, *DROPPED, *CUTMIX]),
    7: crossed(LARGE, [*HELD, "off_ldl", "on_ldl-mcdo_st", *CUTMIX]),
}
SPREAD = ["accuracy", "accuracy_sd", "ece"]
COLUMNS = dict.fromkeys(ROWS, SPREAD) | {
    4: ["accuracy", "top5_accuracy", "ece"],
    7: [*SPREAD, "uce", "nll", "brier"],
}
TABLES = {table: tables.published(f"ldl_table{table}", PUBLISHED) for table in ROWS}
CLAIMS = tables.published("ldl_claims", PUBLISHED)

REDUCED, QUICK = "cifar100-resnet20-reduced", "quick noisy_digits-small_cnn"
RECORDED = {"none", "ls", "off_ldl", "on_ldl-cutmix"}  # on the reduced bench
OURS = {"truth", "none-cutout", "on_ldl-cutout", "on_mt_ldl-mixup", "on_en_ldl-mixup"}
PRINTED = {"accuracy": "accuracy", "ece_10": "ece", "cross_entropy": "nll"}  # metric: column


@pytest.mark.parametrize("table", ROWS)
def test_a_table_is_whole_and_has_the_printed_digits(table):
    """Percentages of two digits are fractions of four; one accuracy is printed with one digit."""
    assert list(TABLES[table].index) == ROWS[table]
    assert list(TABLES[table].columns) == ["label", *COLUMNS[table]]
    digits = {"accuracy": 4, "accuracy_sd": 4, "top5_accuracy": 4}
    text = pd.read_csv(PUBLISHED / f"ldl_table{table}.csv", dtype=str).set_index("row")
    odd = {
        (row, column): cell
        for column in COLUMNS[table]
        for row, cell in text[column].items()
        if not re.fullmatch(rf"\d\.\d{{{digits.get(column, 3)}}}", cell)
    }
    assert odd == ({("cifar100-resnet20 off_ldl", "accuracy"): "0.699"} if table == 1 else {})


@pytest.mark.parametrize("table", ROWS)
def test_every_number_is_in_range(table):
    ranges = {
        "accuracy": (0.67, 0.95),
        "top5_accuracy": (0.88, 0.95),
        "accuracy_sd": (0.0001, 0.0107),
        "ece": (0.006, 0.37),
        "uce": (0.03, 0.15),
        "nll": (0.5, 4),
        "brier": (0.09, 0.8),
    }
    for column in COLUMNS[table]:
        low, high = ranges[column]
        assert TABLES[table][column].between(low, high).all(), column


def test_the_paper_words_a_method_alike_in_every_table():
    """But for Table 1, which names its mixings by their references."""
    words = dict[str, set[str]]()
    for table, published in TABLES.items():
        for row, label in published["label"].items():
            bench, method = str(row).split(" ", 1)
            network, word = label.split(", ", 1)
            assert network.split(" ")[-1].lower() == bench.split("-")[1]
            cited = re.sub(r" \[\d\d\]$", "", word)
            assert (cited != word) == (table == 1 and method.endswith(tuple(MIXES)))
            words.setdefault(method, set()).add(cited)
    assert all(len(found) == 1 for found in words.values()), words


def test_tables_that_share_a_row_agree_but_for_three():
    different = dict[str, list[str]]()
    for row in {row for rows in ROWS.values() for row in rows}:
        for column in COLUMNS[7]:
            values = {t.loc[row, column] for t in TABLES.values() if row in t.index and column in t}
            if len(values) > 1:
                different.setdefault(row, []).append(column)
    assert different == {
        "cifar100-resnet50 none": ["accuracy", "accuracy_sd"],
        "cifar100-resnet56 on_ldl-ricap-long": SPREAD,
        "cifar100-resnet200 wsl": SPREAD,
    }


def test_the_cells_that_contradict_are_as_printed():
    vanilla = [TABLES[table].loc["cifar100-resnet50 none", "accuracy"] for table in (1, 3, 6, 7)]
    assert vanilla == [0.7880, 0.7857, 0.7857, 0.7857]
    long = [TABLES[n].loc["cifar100-resnet56 on_ldl-ricap-long", SPREAD] for n in (1, 3)]
    assert [list(cell) for cell in long] == [[0.7556, 0.0028, 0.022], [0.7554, 0.0024, 0.029]]
    wsl = [list(TABLES[n].loc["cifar100-resnet200 wsl", SPREAD]) for n in (3, 6, 7)]
    assert wsl == [[0.76, 0.0052, 0.130], [0.8096, 0.0001, 0.107], [0.8096, 0.0001, 0.081]]


def test_numbers_are_repeated_only_where_the_readme_says_so():
    for table, published in TABLES.items():
        cells = published[COLUMNS[table][:3]]
        twice = list(cells.index[cells.duplicated(keep=False)])
        assert twice == (["cifar100-resnet110 wsl", "cifar100-resnet200 wsl"] if table == 3 else [])
    seven = TABLES[7][["ece", "uce", "nll", "brier"]]
    twice = list(seven.index[seven.duplicated(keep=False)])
    assert twice == ["cifar100-resnet50 off_ldl", "cifar100-resnet200 off_ldl"]


def test_the_dropout_likelihoods_are_multiples_of_one_number():
    """2, 3 and 4 times .96, by student: a sum that was not reset."""
    nll = TABLES[7].loc[crossed(LARGE, ["on_ldl-mcdo_st"]), "nll"]
    assert list(nll / [2, 3, 4]) == pytest.approx([0.96] * 3, abs=0.004)


def points(table, left, right):
    """Return the difference in accuracy, in percentage points as printed."""
    accuracy = TABLES[table]["accuracy"]
    return round(100 * float(accuracy[left] - accuracy[right]), 2)


def change(table, left, right):
    """Return the relative difference in ECE, in per cent."""
    return round(100 * float(TABLES[table].loc[left, "ece"] / TABLES[table].loc[right, "ece"] - 1))


def test_what_the_text_says_of_table_1():
    """It has no 1.9 % over the mixing alone on ResNet-50; the nearest is the long training's."""
    r50 = "cifar100-resnet50"
    gains = {mix: points(1, f"{r50} on_ldl-{mix}", f"{r50} none-{mix}") for mix in MIXES}
    assert gains == {"mixup": 1.66, "cutmix": 1.36, "ricap": 0.17}
    assert points(1, f"{r50} {PLUS_LARGE}", f"{r50} none-cutmix") == 1.84
    small = TABLES[1].loc[crossed(on("resnet20"), MIXINGS)]
    assert set(small[["accuracy", "ece"]].agg({"accuracy": "idxmax", "ece": "idxmin"})) == {
        "cifar100-resnet20 off_ldl"
    }


def test_what_the_text_says_of_table_2():
    """Neither "1.6 %" nor "3.39 %" is the largest gain; the ECEs fall by more than it says."""
    said = {
        "cifar10-resnet56": ("on_en_ldl-ricap", 0.60, -84),
        "cifar10-resnet20": ("on_mt_ldl-ricap-long", 1.47, -82),
        "stl10-resnet20": ("on_mt_ldl-ricap-long", 3.49, -88),
    }
    for bench, (best, gain, cut) in said.items():
        rows = TABLES[2].loc[crossed([bench], SEVERAL)]
        assert rows["accuracy"].idxmax() == f"{bench} {best}"
        assert points(2, f"{bench} {best}", f"{bench} none") == gain
        assert change(2, rows["ece"].idxmin(), f"{bench} none") == cut


def test_several_teachers_have_a_lower_ece_than_their_ensemble():
    benches = {row.split(" ")[0] for row in ROWS[2]}
    kinds = ["off_{}_ldl", "on_{}_ldl-ricap", "on_{}_ldl-ricap-long"]
    for bench, kind in itertools.product(benches, kinds):
        assert change(2, f"{bench} {kind.format('mt')}", f"{bench} {kind.format('en')}") < 0


def test_what_the_text_says_of_the_rivals():
    """Right: +2.86 and 60 to 88 %; but On-LDL+ on ResNet-20 is not below CRD."""
    assert points(3, f"cifar100-resnet200 {PLUS_LARGE}", "cifar100-resnet200 crd_kd") == 2.86
    assert change(3, "cifar100-resnet18 on_ldl-cutmix", "cifar100-resnet18 crd_kd") == -60
    assert change(3, "cifar100-resnet110 off_mt_ldl", "cifar100-resnet110 wsl") == -88
    assert change(3, f"cifar100-resnet20 {PLUS_SMALL}", "cifar100-resnet20 crd") == 22
    rivals = TABLES[3].loc[crossed(on("resnet20"), RIVALS), "ece"]
    lower = rivals[rivals < TABLES[3].loc["cifar100-resnet20 none", "ece"]]
    assert list(lower.index) == ["cifar100-resnet20 crd"]


def test_what_the_text_says_of_tables_4_and_5():
    """ImageNet's smaller networks lose accuracy; "3-5 %" and "20-66 %" do not hold throughout."""
    gains = [points(4, f"{bench} on_ldl-cutmix", f"{bench} none") for bench in IMAGENET]
    assert gains == [-1.36, -0.12, 1.54, 1.23]
    others = [(f"{bench} on_ldl-cutmix", f"{bench} none") for bench in OTHERS]
    assert [points(5, *pair) for pair in others] == [3.86, 3.68, 5.66]
    assert [change(5, *pair) for pair in others] == [18, -65, -67]


def printed(claim):
    """Return the pairs that single tables print for a claim's right and left row."""
    column = PRINTED.get(claim.metric)
    return [
        (float(table.loc[claim.right, column]), float(table.loc[claim.left, column]))
        for table in TABLES.values()
        if {claim.left, claim.right} <= set(table.index) and column in table
    ]


def test_claims_quote_a_table_where_one_has_both_rows():
    """``right -> left``; the claimed sign is that of the numbers but for the known exceptions."""
    contradicted = set()
    for claim in CLAIMS.itertuples():
        pairs = printed(claim)
        assert bool(pairs) != claim.left.startswith((REDUCED, QUICK)), claim.Index
        if not pairs:
            assert pd.isna(claim.published), claim.Index
            continue
        percent = claim.metric == "accuracy"
        number = r"(\d\d\.\d\d) %" if percent else r"(\.\d{3})"
        match = re.fullmatch(f"{number} -> {number}", claim.published)
        assert match, claim.Index
        quoted = [float(part) / (100 if percent else 1) for part in match.groups()]
        assert any(quoted == pytest.approx(pair) for pair in pairs), claim.Index
        if (quoted[1] < quoted[0]) != (claim.expects == "lower"):
            contradicted.add(claim.Index)
    assert contradicted == {"LD-1a", "LD-2b", "LD-14a", "LD-14c", "LD-15c", "LD-16b"}


def test_claims_are_numbered_through():
    numbers = [re.fullmatch(r"LD-(\d+)([a-z]?)", key) for key in CLAIMS.index]
    parts = dict[int, str]()
    for number in numbers:
        assert number
        parts[int(number[1])] = parts.get(int(number[1]), "") + number[2]
    assert list(parts) == list(range(1, 19))
    assert all("abcdefghijklmnop".startswith(letters) for letters in parts.values())
    assert CLAIMS.index.is_unique


def test_claims_compare_two_methods_on_one_bench_by_a_known_metric():
    assert set(CLAIMS["metric"]) == {*PRINTED, "kl_to_truth"}
    assert set(CLAIMS["expects"]) == {"lower", "higher"}
    assert not CLAIMS["claim"].duplicated().any()
    methods = {row.split(" ", 1)[1] for rows in ROWS.values() for row in rows}
    places = set()
    for claim in CLAIMS.itertuples():
        (bench, method), (other, rival) = (row.rsplit(" ", 1) for row in (claim.left, claim.right))
        assert bench == other, claim.Index
        assert method != rival, claim.Index
        allowed = {REDUCED: RECORDED, QUICK: methods | OURS}.get(bench, methods)
        assert {method, rival} <= allowed, claim.Index
        assert (claim.metric == "kl_to_truth") <= (bench == QUICK), claim.Index
        places.add((claim.claim.rsplit(": ", 1)[1], bench))
    assert len(places) == len({place for place, _ in places}) == len({bench for _, bench in places})
