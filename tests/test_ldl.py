"""The runs of LDL's tables: the paper's protocol, who teaches whom, the printed cells."""

import itertools
import re
from collections import Counter

import pytest

from ldlstudy import images, ldl, ldl_benches, models, tables
from ldlstudy.ldl_methods import CUTOUT, EVERY, EVERY_QUICK, METHODS, MIXINGS, SEVERAL, Method
from ldlstudy.protocol import Protocol
from ldlstudy.records import PROFILES
from tests.conftest import ROOT

PUBLISHED = ROOT / "book" / "published"
PAPER = {table: ldl.runs(table, "paper") for table in range(1, 8)}
ALL = {name: run for runs in PAPER.values() for name, run in runs.items()}
ALL |= ldl.runs("methods", "paper")
FIVE = ["resnet20", "resnet32", "resnet44", "resnet56", "resnet110"]
COUNTS = {  # students x methods x seeds
    1: 4 * 9 * 3 + 4,
    2: 4 * 12 * 3,
    3: (3 * 9 + 3 * 7) * 3,
    4: 4 * 5 * 3,
    5: 3 * 5 * 3,
    6: 3 * 14 * 3,
    7: 3 * 10 * 3,
}


@pytest.mark.parametrize("table", PAPER)
def test_the_paper_has_so_many_runs(table):
    runs = PAPER[table]
    assert len(runs) == len(set(runs.values())) == COUNTS[table]
    seeds = Counter(run.seed for name, run in runs.items() if ldl.REDUCED not in name)
    assert sorted(seeds) == [0, 1, 2]
    assert len(set(seeds.values())) == 1


@pytest.mark.parametrize("table", PAPER)
def test_every_printed_row_is_a_run(table):
    printed = tables.published(f"ldl_table{table}", PUBLISHED).index
    named = {row.removesuffix(" fitted") for row in printed}
    assert named <= set(PAPER[table])
    ours = {n.split(" #")[0] for n in PAPER[table] if not n.startswith(ldl.REDUCED)}
    if table in (6, 7):  # the scaled row stands for its network
        ours -= {name for name in ours if name.endswith("none-held")}
        named -= {name for name in named if name.endswith("none-held")}
    assert ours == named


def test_the_paper_s_protocol():
    for name, run in ALL.items():
        long, training = "-long" in name, Protocol.of(run.training)
        if run.dataset == "imagenet" or ldl.REDUCED in name:
            continue
        assert (training.epochs, training.batch, training.rate) == (350 if long else 240, 64, 0.05)
        drops = [150, 200, 250, 300] if long else [150, 180, 210]
        assert list(training.drops) == drops
        assert (training.momentum, training.weight_decay) == (0.9, 5e-4)
        assert training.order == 0
    reduced = Protocol.of(ALL[f"{ldl.REDUCED} none"].training)
    assert reduced.epochs == 20
    assert list(reduced.drops) == [e // 12 for e in (150, 180, 210)]


def teachers(name):
    return [(t.model, t.method, t.seed) for t in ALL[name].teachers]


def test_who_teaches_whom():
    for name, run in ALL.items():
        bench, method = name.split(" #")[0].split(" ")
        base = Method.of(method).base
        if not run.teachers:
            continue
        if base in SEVERAL:
            assert teachers(name) == [(model, "none", 0) for model in FIVE]
        elif ldl.REDUCED in bench:
            assert run.teachers == (ALL[f"{ldl.REDUCED} none"],)
        elif run.dataset == "imagenet":
            assert teachers(name) == [("resnet152", "none", 0)]
        else:
            small = run.model in FIVE
            assert teachers(name) == [("resnet110" if small else "resnet200", "none", 0)]
            dropping = "passes" in run.teachers[0].training
            assert dropping == (base in ("on_ldl-mcdo_t", "on_ldl-mcdo_st"))
    assert ALL["cifar100-resnet56 off_ldl"].teachers[0] == ALL["cifar100-resnet110 none"]
    assert ALL["cifar100-resnet18 off_ldl #2"].teachers[0] == ALL["cifar100-resnet200 none"]
    several = ldl.runs("methods", "quick")["noisy_digits-small_cnn off_en_ldl #1"]
    assert [t.seed for t in several.teachers] == [1, 101, 201, 301, 401]
    assert {t.data["draw"] for t in several.teachers} == {1}


def test_students_of_a_table_can_be_trained_together():
    """Seeds of a method, and methods with the same mixing, see the same batches."""
    streams = {name: images.stream(run) for name, run in PAPER[1].items()}
    small = "cifar100-resnet20"
    same = {streams[f"{b} {m}{s}"] for b in (small, "cifar100-resnet50")
            for m in ("on_ldl-cutmix", "none-cutmix") for s in ("", " #1", " #2")}  # fmt: skip
    assert len(same) == 1
    assert streams[f"{small} none"] != streams[f"{small} none-cutmix"]
    assert streams[f"{small} none-ricap"] != streams[f"{small} none-cutmix"]
    assert images.stream(ALL["cifar100-resnet18 on_ldl-mcdo_t"]) is None


def test_methods_are_taken_apart():
    assert Method.of("on_ldl-cutmix-long") == ("on_ldl", "cutmix", True)
    assert Method.of("on_ldl-mcdo_t-cutmix") == ("on_ldl-mcdo_t", "cutmix", False)
    assert Method.of("none-held") == ("none-held", None, False)
    assert Method.of("off_mt_ldl_mean") == ("off_mt_ldl_mean", None, False)


@pytest.mark.parametrize("name", ["of_ldl", "on_ldl-cutmixup", "", "-long"])
def test_an_unknown_method(name):
    with pytest.raises(ValueError, match=r"unknown method of LDL '.*'; known: crd, crd_kd, kd, "):
        Method.of(name)


def test_every_configuration_has_every_mixing():
    offline = {"none", "ls", "kd", "off_ldl", "off_ldl_views", *SEVERAL[:3]}
    mixed = {f"{b}-{m}" for m in MIXINGS for b in ("none", "ls", "kd", "off_ldl", "on_ldl")}
    several = {f"{b}-{m}" for b, m in itertools.product(SEVERAL[3:], MIXINGS)}
    assert set(EVERY) == offline | mixed | several
    assert len(EVERY) == len(set(EVERY))
    assert {Method.of(m).base for m in EVERY_QUICK} >= set(METHODS) - {
        "mcdo", "on_ldl-mcdo_t", "on_ldl-mcdo_st", "ogr", "on_ldl-ogr",
    }  # fmt: skip


@pytest.mark.parametrize(("dataset", "size"), [("cifar10", 16), ("cifar100", 8)])
def test_cutout_blanks_as_much_as_its_authors_do(dataset, size):
    assert CUTOUT[dataset] == size


def test_uncertainty():
    run = ALL["cifar100-resnet18 on_ldl-mcdo_st"]
    for each in (run, *run.teachers):
        assert each.training["network"] == {"dropout": 0.2}
        assert each.training["passes"] == 20
    held = [name for name, run in ALL.items() if run.data.get("held")]
    assert {name.split(" ")[1] for name in held} == {"none-held", "ogr", "on_ldl-ogr"}


@pytest.mark.parametrize("profile", PROFILES)
def test_benches_are_of_known_networks(profile):
    known = ldl_benches.benches(profile)
    assert {bench.model for bench in known.values()} <= set(models.available())
    if profile != "paper":
        assert ldl_benches.cell(200, 0.5) in known
        assert known[ldl.QUICK] == known[ldl_benches.cell(200, 0.5)]


def test_what_both_quick_studies_ask_for_is_trained_once():
    methods, truth = ldl.runs("methods", "quick"), ldl.runs("truth", "quick")
    for method in ldl.COMPARED:
        assert methods[f"{ldl.QUICK} {method}"] == truth[f"{ldl_benches.cell(200, 0.5)} {method}"]


@pytest.mark.parametrize(
    ("table", "profile", "message"),
    [
        (8, "paper", "unknown table of the paper '8'; known: 1, 2, 3, 4, 5, 6, 7"),
        (True, "paper", "unknown table of the paper 'True'"),
        ("tables", "paper", "unknown table of LDL 'tables'; known: methods, truth"),
        (1, "quick", "unknown profile of LDL's Table 1 'quick'; known: paper"),
        ("truth", "paper", "unknown profile of `truth` 'paper'; known: quick, smoke"),
        ("methods", "fast", "unknown profile 'fast'; known: paper, quick, smoke"),
    ],
)
def test_a_table_that_is_not_there(table, profile, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ldl.runs(table, profile)
