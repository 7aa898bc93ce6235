"""CS-KD's numbers as transcribed: complete, in range, and in step with the paper's arithmetic."""

import itertools
import re

import pandas as pd
import pytest

from ldlstudy import tables
from tests.conftest import ROOT

PUBLISHED = ROOT / "book" / "published"
SETS = ["cifar100", "tiny_imagenet", "cub200", "stanford_dogs", "mit67"]
COLUMNS = ["label", *(f"{data}{kind}" for data in SETS for kind in ("", "_sd"))]
REGULARISERS = ["none", "adacos", "virtual_softmax", "max_entropy", "ls", "cs_kd"]
MEASURES = ["top5_error", "ece", "recall_at_1"]


def crossed(models, methods):
    return [" ".join(both) for both in itertools.product(models, methods)]


ROWS = {
    "cskd_table1": crossed(["resnet18", "densenet121"], REGULARISERS),
    "cskd_table2": crossed(["resnet18"], ["none", "ddgsd", "byot", "cs_kd"]),
    "cskd_table3": crossed(["resnet18"], ["none", "cs_kd", "mixup", "mixup_cs_kd"]),
    "cskd_table4": crossed(["resnet10"], ["none", "cs_kd", "kd", "kd_cs_kd"]),
    "cskd_table5": crossed(["resnet50", "resnet101", "resnext101_32x4d"], ["none", "cs_kd"]),
    "cskd_measures": crossed(MEASURES, [*REGULARISERS, "cs_kd_e"]),
}
TABLES = {name: tables.published(name, PUBLISHED) for name in ROWS}
CLAIMS = tables.published("cskd_claims", PUBLISHED)

OURS = ["cifar100-resnet20-reduced", "quick noisy_digits-small_cnn"]
PAPERS = {  # bench: the tables' model and column
    "cifar100-preact_resnet18": ("resnet18", "cifar100"),
    "tiny_imagenet-preact_resnet18": ("resnet18", "tiny_imagenet"),
    "cub200-resnet18": ("resnet18", "cub200"),
    "mit67-resnet18": ("resnet18", "mit67"),
    "cifar100-densenet121": ("densenet121", "cifar100"),
    "cifar100-preact_resnet10": ("resnet10", "cifar100"),
    "imagenet-resnet50": ("resnet50", "imagenet"),
}
ERRORS = ["error", "top5_error"]  # printed in percent
MEASURE_OF = dict(zip(["top5_error", "ece_20", "recall_at_1"], MEASURES, strict=True))
FIGURE_OF = {
    "confidence_on_errors": "Figure 2",
    "true_score_on_errors": "Figure 2",
    "intra_class_variation": "Figure 3",
}
METRICS = {"error", *MEASURE_OF, *FIGURE_OF, "superclass_accuracy", "kl_to_truth_on_errors"}


@pytest.mark.parametrize("name", ROWS)
def test_a_table_is_whole_and_has_the_printed_digits(name):
    """Percentages of two digits are fractions of four; ImageNet's have one less."""
    table = TABLES[name]
    assert list(table.index) == ROWS[name]
    assert list(table.columns) == (["label", "imagenet"] if name == "cskd_table5" else COLUMNS)
    digits = 3 if name == "cskd_table5" else 4
    cells = pd.read_csv(PUBLISHED / f"{name}.csv", dtype=str).iloc[:, 2:].to_numpy().ravel()
    assert [cell for cell in cells if not re.fullmatch(rf"0\.\d{{{digits}}}", cell)] == []


@pytest.mark.parametrize("name", ROWS)
def test_every_number_is_in_range(name):
    numbers = TABLES[name].drop(columns="label")
    spreads = numbers[[column for column in numbers if column.endswith("_sd")]]
    means = numbers.drop(columns=spreads)
    assert ((means > 0.02) & (means < 0.75)).all(axis=None)
    assert ((spreads > 0) & (spreads < 0.04)).all(axis=None)


def test_labels_are_one_to_one_with_rows():
    """A method or a model is worded alike in every table."""
    words = dict[str, set[str]]()
    for table in TABLES.values():
        for row, label in table["label"].items():
            for key, word in zip(str(row).split(" "), label.split(", "), strict=True):
                words.setdefault(key, set()).add(word)
    assert all(len(found) == 1 for found in words.values()), words
    assert len(set.union(*words.values())) == len(words)


@pytest.mark.parametrize(
    ("model", "reductions"),
    [("resnet18", [11.0, 4.4, 27.7, 15.0, 9.6]), ("densenet121", [2.4, 3.2, 27.1, 16.7, 4.2])],
)
def test_relative_reductions_of_table_1_are_the_printed_ones(model, reductions):
    table = TABLES["cskd_table1"][SETS]
    reduced = 100 * (1 - table.loc[f"{model} cs_kd"] / table.loc[f"{model} none"])
    assert [round(value, 1) for value in reduced] == reductions


@pytest.mark.parametrize("name", ["cskd_table2", "cskd_table3"])
def test_rows_that_tables_share_are_equal(name):
    shared = ["resnet18 none", "resnet18 cs_kd"]
    pd.testing.assert_frame_equal(TABLES[name].loc[shared], TABLES["cskd_table1"].loc[shared])


def test_cs_kd_is_best_where_the_text_says_so():
    """Alone in Tables 1 and 5, whichever the network and the set; added to others in 3 and 4."""
    for model in ("resnet18", "densenet121"):
        rows = TABLES["cskd_table1"].loc[crossed([model], REGULARISERS), SETS]
        assert set(rows.idxmin()) == {f"{model} cs_kd"}
    assert set(TABLES["cskd_table3"][SETS].idxmin()) == {"resnet18 mixup_cs_kd"}
    assert set(TABLES["cskd_table4"][SETS].idxmin()) == {"resnet10 kd_cs_kd"}
    large = TABLES["cskd_table5"]["imagenet"].to_numpy().reshape(3, 2)  # network, without and with
    assert (large[:, 1] < large[:, 0]).all()


def test_the_tables_contradict_the_text_where_the_readme_says_so():
    two, measures = TABLES["cskd_table2"], TABLES["cskd_measures"]
    best = two[SETS].idxmin()
    assert list(best[best != "resnet18 cs_kd"].items()) == [("tiny_imagenet", "resnet18 ddgsd")]
    ls_wins = measures.loc["ece ls", SETS] < measures.loc["ece cs_kd", SETS]
    assert list(ls_wins[ls_wins].index) == ["tiny_imagenet", "mit67"]
    recall = measures.loc[crossed(["recall_at_1"], [*REGULARISERS, "cs_kd_e"]), SETS]
    above = recall.index[recall["cifar100"] > recall.loc["recall_at_1 cs_kd", "cifar100"]]
    assert list(above) == ["recall_at_1 max_entropy", "recall_at_1 ls"]
    assert set(recall[SETS[1:]].idxmax()) == {"recall_at_1 cs_kd"}
    virtual = measures.loc["ece virtual_softmax", SETS] < measures.loc["ece cs_kd", SETS]
    assert list(virtual[virtual].index) == SETS[1:]


def printed(row: str, metric: str) -> float | None:
    """Return what the tables print for a row of ours, or None."""
    bench, method = row.rsplit(" ", 1)
    if bench not in PAPERS or metric not in ["error", *MEASURE_OF]:
        return None
    model, column = PAPERS[bench]
    if metric == "error":
        found = [table for table in TABLES.values() if f"{model} {method}" in table.index]
        return float(found[0].loc[f"{model} {method}", column])
    assert model == "resnet18", f"no table prints {metric} of {model}"
    return float(TABLES["cskd_measures"].loc[f"{MEASURE_OF[metric]} {method}", column])


def test_claims_quote_the_tables_or_name_a_figure():
    """``right -> left``; the claimed sign is that of the numbers but for the known exceptions."""
    contradicted = set()
    for claim in CLAIMS.itertuples():
        said = None if pd.isna(claim.published) else claim.published
        right, left = printed(claim.right, claim.metric), printed(claim.left, claim.metric)
        if right is None or left is None:
            ours = any(claim.left.startswith(f"{bench} ") for bench in OURS)
            assert said == (None if ours else FIGURE_OF.get(claim.metric)), claim.Index
            continue
        error = claim.metric in ERRORS
        pattern = r"([\d.]+) % -> ([\d.]+) %" if error else r"(\.\d{4}) -> (\.\d{4})"
        match = re.fullmatch(pattern, said or "")
        assert match, claim.Index
        scale = 100 if error else 1
        assert [float(n) / scale for n in match.groups()] == pytest.approx([right, left])
        if (left < right) != (claim.expects == "lower"):
            contradicted.add(claim.Index)
    assert contradicted == {"CS-5c", "CS-8b", "CS-8c", "CS-11d", "CS-11g"}


def test_claims_are_numbered_through():
    numbers = [re.fullmatch(r"CS-(\d+)([a-z]?)", key) for key in CLAIMS.index]
    parts = dict[int, str]()
    for number in numbers:
        assert number
        parts[int(number[1])] = parts.get(int(number[1]), "") + number[2]
    assert list(parts) == list(range(1, 18))
    assert all("abcdefghijklmnop".startswith(letters) for letters in parts.values())
    assert CLAIMS.index.is_unique


def test_claims_compare_two_methods_on_one_bench_by_a_known_metric():
    assert set(CLAIMS["metric"]) == METRICS
    assert set(CLAIMS["expects"]) == {"lower", "higher"}
    methods = {row.rsplit(" ", 1)[1] for table in TABLES.values() for row in table.index}
    places = set()
    for claim in CLAIMS.itertuples():
        (bench, method), (other, rival) = (row.rsplit(" ", 1) for row in (claim.left, claim.right))
        assert bench == other, claim.Index
        assert method != rival, claim.Index
        assert {method, rival} <= methods, claim.Index
        places.add((claim.claim.rsplit(": ", 1)[1], bench))
    assert not CLAIMS["claim"].duplicated().any()
    assert {bench for _, bench in places} == {*PAPERS, *OURS}
    assert len(places) == len({place for place, _ in places}) == len(PAPERS) + len(OURS)
