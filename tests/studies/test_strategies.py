"""What the papers call their methods: one meaning in every chapter, and nothing breaks without."""

import html
import re
import zlib

import pytest

from ldlstudy import mixing, studies
from ldlstudy.experiment import points
from ldlstudy.experiment.measure import METRICS
from ldlstudy.experiment.plan import PROFILES
from ldlstudy.report import claims
from ldlstudy.report.results import Results
from ldlstudy.report.tables import published, render
from ldlstudy.studies import STUDIES, planned
from ldlstudy.studies.cs_kd import tables as cs_kd
from ldlstudy.studies.ils import tables as ils
from ldlstudy.studies.ldl import tables as ldl
from ldlstudy.studies.smoothing import tables as smoothing
from ldlstudy.studies.strategies import CUTOUT, GROUPS, PAPERS, STRATEGIES, named, unmixed
from ldlstudy.studies.truth import tables as truth
from tests.report.made import filled


def test_strategies_of_the_printed_tables_are_known():
    for name in (*(f"cskd_table{n}" for n in range(1, 6)), "cskd_measures"):
        assert set(published(name).index.unique("strategy")) <= set(STRATEGIES)
    for n in range(1, 8):
        assert set(published(f"ldl_table{n}").index.unique("strategy")) <= set(STRATEGIES)


@pytest.mark.parametrize(("study", "paper"), [("truth", ""), ("cs_kd", "CS-KD"), ("ldl", "LDL")])
def test_no_two_strategies_of_a_chapter_have_one_name(study, paper):
    planned = [e for t in STUDIES[study].tables for p in PROFILES for e in offered(t, p)]
    names = {e.strategy: named(e.strategy).name_in(paper) for e in planned if "T" not in e.strategy}
    assert len(names) >= 13
    assert len(set(names.values())) == len(names)
    assert all(html.escape(name) == name for name in names.values())
    assert {named(name).paper for name in names} <= set(PAPERS)
    assert {named(name).group for name in names} <= set(GROUPS)


@pytest.mark.parametrize(
    ("name", "paper", "label"),
    [
        ("none", "LDL", "Vanilla"),
        ("cutmix", "LDL", "Vanilla, CutMix"),
        ("on_ldl-cutmix-long", "LDL", "On-LDL, CutMix, long"),
        ("on_mt_ldl-ricap-long", "LDL", "On-MT-LDL (sum), RICAP, long"),
        ("off_ldl_views", "LDL", "Off-LDL, re-labelled"),
        ("on_ldl-mcdo_t-cutmix", "LDL", "On-LDL, MCDO-T, CutMix"),
        ("mixup_cs_kd", "CS-KD", "mixup + CS-KD"),
    ],
)
def test_names_are_composed_of_their_parts(name, paper, label):
    assert named(name).name_in(paper) == label


def test_a_variant_knows_what_it_is_a_variant_of():
    assert unmixed("on_ldl-cutmix-long") == "on_ldl-long"
    assert unmixed("cutmix") == "none"
    long = named("on_ldl-mcdo_t-cutmix-long")
    assert (long.base, long.mixing, long.long) == ("on_ldl-mcdo_t", "cutmix", True)
    assert named("ricap").mixing_on("cifar100") == {"name": "ricap", "alpha": 0.3}
    assert named("none").mixing_on("cifar100") == {}


def test_cutout_blanks_as_much_as_its_authors_do():
    """Half of the side on CIFAR-10, a quarter on CIFAR-100."""
    assert (CUTOUT["cifar10"], CUTOUT["cifar100"]) == (16, 8)
    for dataset in CUTOUT:
        mixing.named(named("cutout").mixing_on(dataset))


@pytest.mark.parametrize("name", ["of_ldl", "on_ldl-cutmixup", "", "-long"])
def test_an_unknown_strategy(name):
    with pytest.raises(ValueError, match=r"unknown strategy '.*'; known: .*cs_kd, .*"):
        named(name)


def offered(table, profile):
    """What a table plans; nothing at a profile that lacks it."""
    try:
        return studies.planned(table, profile)
    except ValueError:
        return []


def judged(name):
    return lambda r: claims.show(claims.judge(r, published(name)), r)


PAGES = {  # what draws tables and figures of a study
    "ils": [
        ils.table1, ils.both_errors, ils.students, ils.table5, ils.chosen, ils.truth, ils.by_recipe,
        ils.gain_by_recipe, judged("claims"),
    ],
    "smoothing": [
        smoothing.accuracy, smoothing.table2, smoothing.planes, smoothing.calibration,
        smoothing.table3, smoothing.table4, judged("re_claims"),
        *(lambda r, n=n: smoothing.series(r, n) for n in (smoothing.FIGURE7, smoothing.FIGURE8)),
    ],
    "cs_kd": [
        cs_kd.rivals, cs_kd.features, cs_kd.hierarchy, cs_kd.reduced, cs_kd.calibration,
        cs_kd.partner, cs_kd.combined, cs_kd.grid, cs_kd.imagenet,
        *(lambda r, n=n: cs_kd.against_paper(r, n) for n in range(1, 5)),
        *(lambda r, m=m: cs_kd.measures(r, m) for m in cs_kd.MEASURES),
        judged("cskd_claims"),
    ],
    "ldl": [
        ldl.true_distribution, ldl.grid, ldl.reduced, ldl.what_was_run,
        *(lambda r, n=n: ldl.against_paper(r, n) for n in range(1, 8)), judged("ldl_claims"),
    ],
    "truth": [
        truth.as_trained, truth.scaled, truth.ranks, truth.costs,
        lambda r: truth.misleading(r, "fitted"),
    ],
}  # fmt: skip
STAGES = ("plain", "fitted", "searched", "scaled", "dense", "sparse")
NUMBERS = (*METRICS, *points.METRICS, "temperature", "best_test_accuracy", "recall_at_1", "epsilon")
OTHERS = {
    "step operations": 1e6, "step seconds": 0.01, "teacher smoothness": 0.1,
    "plane test_spread": 1.0, "plane test_distance": 2.0, "plane template_distance": 3.0,
}  # fmt: skip


def made_up(each):
    value = zlib.crc32(each.row.encode()) % 97 / 100
    return {f"{stage} {name}": value for stage in STAGES for name in NUMBERS} | OTHERS


@pytest.fixture(scope="module")
def whole():
    """The first seed of every row of each study, with made-up numbers."""
    found = {}
    for name, study in STUDIES.items():
        profiles = ("quick", "paper") if study.claims else ("quick",)
        planned = [e for table in study.tables for p in profiles for e in offered(table, p)]
        found[name] = filled([e for e in planned if e.run.seed == 0], made_up)
    return found


def cells(table):
    """The cells of a table that are not empty, by what their lines and columns say."""
    found = table.data.map(render)
    found.index = [re.sub("<[^>]+>", "", render(label)) for label in table.data.index]
    return {(row, column) for row, line in found.T.items() for column, c in line.items() if c}


@pytest.mark.parametrize("study", PAGES)
def test_a_strategy_without_records_leaves_its_cells_empty_and_breaks_no_page(study, whole):
    """Every second strategy is left out, then the others; hard labels are what all compare with."""
    results = whole[study]
    names = [
        n for n in dict.fromkeys(e.strategy for e in results.planned) if n not in ("none", "0")
    ]
    for gone in (names[::2], names[1::2]):
        there = [each for each in results.planned if each.strategy not in gone]
        left, fewer = Results(there, results.recorded), 0
        for draw in PAGES[study]:
            shown, before = draw(left), draw(results)
            assert not re.search(r"\bnan\b", shown.to_html(), re.IGNORECASE)
            assert cells(shown) <= cells(before)
            fewer += cells(shown) != cells(before)
        assert fewer > len(PAGES[study]) / 3


@pytest.mark.parametrize("study", ["ils", "smoothing", "cs_kd", "ldl"])
def test_without_any_record_the_papers_numbers_stand_alone(study):
    for draw in PAGES[study]:
        page = draw(Results([], {})).to_html()
        assert "<a href" not in page
        assert not re.search(r"\bnan\b", page, re.IGNORECASE)
        assert "±" not in page


@pytest.mark.parametrize(
    ("table", "label"),
    [("ils", ils.label), ("cskd-table1", cs_kd.label), ("ldl-methods", ldl.label)],
)
def test_all_that_the_full_profile_trains_has_a_name(table, label):
    names = {label(each.strategy) for each in planned(table, "quick")}
    assert len(names) == len({each.strategy for each in planned(table, "quick")})
    assert "" not in names
