"""The runs of CS-KD's tables: the paper's protocol, who teaches whom, the printed cells."""

import itertools
import re
from collections import Counter
from dataclasses import replace

import pytest

from ldlstudy import class_wise, images, models, tables
from ldlstudy.augment import Augmentation
from ldlstudy.class_wise import REDUCED
from ldlstudy.protocol import Protocol
from ldlstudy.records import PROFILES, from_specification
from ldlstudy.scores import METRICS
from tests.conftest import ROOT

PUBLISHED = ROOT / "book" / "published"
PAPER = {table: class_wise.runs(table, "paper") for table in range(1, 6)}
ALL = {name: run for runs in PAPER.values() for name, run in runs.items()}
SMALL, FINE = ["cifar100", "tiny_imagenet"], ["cub200", "stanford_dogs", "mit67"]
OUTPUT = ["none", "adacos", "virtual_softmax", "max_entropy", "ls", "cs_kd"]
METHODS = {  # of each table, without ImageNet
    1: [*OUTPUT, "cs_kd_e"],
    2: ["none", "ddgsd", "byot", "cs_kd"],
    3: ["none", "cs_kd", "mixup", "mixup_cs_kd"],
    4: ["none", "cs_kd", "kd", "kd_cs_kd"],
}
COUNTS = {  # sets x networks and methods x seeds, and the reduced CIFAR-100
    1: 5 * (2 * 6 + 1) * 3 + 4,
    2: 5 * 4 * 3,
    3: 5 * 4 * 3 + 4,
    4: 5 * 4 * 3,
    5: 3 * 2,
}


def network(dataset, printed):
    """Return our name of the network that the paper prints."""
    small = printed in ("resnet18", "resnet10") and dataset in SMALL
    return f"preact_{printed}" if small else printed


@pytest.mark.parametrize("table", PAPER)
def test_the_paper_has_so_many_runs(table):
    runs = PAPER[table]
    assert len(runs) == len(set(runs.values())) == COUNTS[table]
    seeds = Counter(run.seed for name, run in runs.items() if "reduced" not in name)
    assert len(set(seeds.values())) == 1
    assert sorted(seeds) == ([0] if table == 5 else [0, 1, 2])


@pytest.mark.parametrize("table", METHODS)
def test_every_network_of_a_table_has_every_method(table):
    """Five sets, and CS-KD-E on ResNet-18 alone."""
    printed = {1: ["resnet18", "densenet121"], 4: ["resnet10"]}.get(table, ["resnet18"])
    expected = {
        f"{dataset}-{network(dataset, model)} {method}"
        for dataset, model, method in itertools.product(SMALL + FINE, printed, METHODS[table])
        if (model, method) != ("densenet121", "cs_kd_e")
    }
    named = {name.split(" #")[0] for name in PAPER[table]}
    assert {name for name in named if not name.startswith(REDUCED)} == expected


def test_what_the_reduced_cifar100_has_of_the_tables():
    runs = {n: run for n, run in ALL.items() if n.startswith(REDUCED)}
    assert [n.removeprefix(f"{REDUCED} ") for n in runs] == [
        "none", "ls", "max_entropy", "cs_kd", "mixup", "mixup_cs_kd",
    ]  # fmt: skip
    assert "reduced" in class_wise.benches("paper")[REDUCED].label
    for run in runs.values():
        assert (run.dataset, run.model, run.seed) == ("cifar100", "resnet20", 0)
        full = ALL["cifar100-preact_resnet18 none"]
        assert run.data == full.data
        assert run.training == {**full.training, "epochs": 20, "drops": [10, 15]}


@pytest.mark.parametrize("dataset", [*SMALL, *FINE, "imagenet"])
def test_the_printed_protocol(dataset):
    runs = [r for n, r in ALL.items() if r.dataset == dataset and not n.startswith(REDUCED)]
    large, small = dataset == "imagenet", dataset in SMALL
    one, two = (30, 60) if large else (100, 150)
    for training in {str(run.training): run.training for run in runs}.values():
        protocol = Protocol.of(training)
        assert protocol.epochs == (90 if large else 200)
        assert protocol.batch == (256 if large else 128 if small else 32)
        assert (protocol.optimiser, protocol.rate, protocol.momentum) == ("sgd", 0.1, 0.9)
        assert (protocol.nesterov, protocol.dampening, protocol.weight_decay) == (False, 0, 1e-4)
        assert (protocol.loss_scale, protocol.clip) == (1, None)
        shares = [protocol.share(epoch) for epoch in (0, one - 1, one, two - 1, two)]
        assert shares == pytest.approx([1, 1, 0.1, 0.1, 0.01])
        assert protocol.network == ({} if small else {"stem": "7x7"})
    for data in (run.data for run in runs):
        assert list(data) == ["augment"]
        assert Augmentation.of(data["augment"]) == {
            "cifar100": Augmentation(crop=32, pad=4, flip=True, normalise="cskd"),
            "tiny_imagenet": Augmentation(crop=64, pad=4, flip=True, normalise="imagenet"),
        }.get(dataset, Augmentation(crop=224, flip=True, normalise="imagenet"))


def test_seeds_differ_in_nothing_else():
    """But in what they keep, and in their teachers, which have seeds of their own."""
    for name, run in ALL.items():
        first = ALL[name.split(" #")[0]]
        assert first.seed == 0
        assert replace(first, seed=run.seed, keep=run.keep, teachers=run.teachers) == run


TAUGHT = {"temperature": 4, "weight": 0.5, "relabel": True}
PARAMETERS = {
    "none": {},
    "adacos": {},
    "virtual_softmax": {},
    "max_entropy": {"weight": 1},
    "ls": {"epsilon": 0.1},
    "cs_kd": {"temperature": 4, "weight": 1},
    "cs_kd_e": {"temperature": 4, "weight": 1, "consistency": 1},
    "ddgsd": {"temperature": 4, "weight": 1, "discrepancy": 0.005},
    "byot": {"temperature": 3, "weight": 0.3, "hint": 0.03},
    "mixup": {"alpha": 1},
    "mixup_cs_kd": {"alpha": 1, "temperature": 4, "weight": 1},
    "kd": TAUGHT,
    "kd_cs_kd": {**TAUGHT, "class_temperature": 4, "class_weight": 1},
}


@pytest.mark.parametrize("method", PARAMETERS)
def test_settings_of_the_methods(method):
    """CS-KD's term has a weight of 3 on the fine-grained sets, as in the authors' code."""
    runs = [run for run in ALL.values() if run.method == method]
    term = {"kd_cs_kd": "class_weight"}.get(method, "weight" if "cs_kd" in method else None)
    for run in runs:
        fine = {term: 3} if term and run.dataset in FINE else {}
        assert run.parameters == {**PARAMETERS[method], **fine}
    assert {run.dataset for run in runs} >= {*SMALL, *FINE}


def test_a_run_is_named_after_its_method():
    assert {run.method for run in ALL.values()} == set(PARAMETERS)
    assert [name for name, run in ALL.items() if name.split(" ")[1] != run.method] == []


def test_small_resnets_are_pre_activation_ones_on_small_images_alone():
    where = {
        model: {r.dataset for r in ALL.values() if r.model == model} for model in models.available()
    }
    assert where["preact_resnet18"] == where["preact_resnet10"] == set(SMALL)
    assert where["resnet18"] == where["resnet10"] == set(FINE)
    assert where["densenet121"] == {*SMALL, *FINE}
    assert [m for m in where if where[m] == {"imagenet"}] == [
        "resnet101", "resnet50", "resnext101_32x4d",
    ]  # fmt: skip
    for dataset, name in itertools.product([*SMALL, *FINE], ["resnet18", "resnet10"]):
        assert class_wise.model(dataset, name) == network(dataset, name)


@pytest.mark.parametrize("profile", PROFILES)
def test_students_have_a_teacher_trained_by_cs_kd_with_their_own_seed(profile):
    runs = class_wise.runs(4, profile)
    table1 = class_wise.runs(1, profile)
    students = {name: run for name, run in runs.items() if run.teachers}
    assert {run.method for run in students.values()} == {"kd", "kd_cs_kd"}
    assert len(students) == len(runs) / 2
    for run in students.values():
        (teacher,) = run.teachers
        model = "densenet121" if profile == "paper" else "small_cnn"
        assert (teacher.method, teacher.model, teacher.dataset) == ("cs_kd", model, run.dataset)
        mark = f" #{run.seed}" if run.seed else ""
        assert teacher == table1[f"{run.dataset}-{model} cs_kd{mark}"]
        assert (teacher.seed, teacher.data, teacher.profile) == (run.seed, run.data, profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_names_and_runs_are_one_to_one_over_all_tables(profile):
    """Tables share runs: one that has a record is not trained for another table."""
    named = dict[str, str]()
    shared = Counter[str]()
    for table in range(1, 6 if profile == "paper" else 5):
        for name, run in class_wise.runs(table, profile).items():
            assert named.setdefault(name, run.id) == run.id
            shared[name] += 1
            assert from_specification(run.specification) == run
            bench, method, *seed = name.split(" ")
            assert name == class_wise.name(bench, method, run.seed)
            assert seed == ([f"#{run.seed}"] if run.seed else [])
    assert len(set(named.values())) == len(named)
    thrice = {"none", "cs_kd"}  # in Tables 1, 2 and 3
    assert {name.split(" ")[1] for name, count in shared.items() if count == 3} == thrice
    assert max(shared.values()) == 3


def test_runs_keep_what_figures_draw_of_the_first_seed():
    for name, run in ALL.items():
        keep = {"errors", "neighbours"}
        if not run.seed:
            keep |= {"reliability"}
            if run.method in ("none", "cs_kd"):
                keep |= {"answers", "embedding"}
        assert run.keep == tuple(sorted(keep)), name


def cells():
    """Yield each table's printed cells as table, data set, network and method."""
    for table in PAPER:
        published = tables.published(f"cskd_table{table}", PUBLISHED)
        columns = [c for c in published if c != "label" and not c.endswith("_sd")]
        for row, dataset in itertools.product(published.index, columns):
            yield (table, dataset, *row.split(" "))


def test_every_printed_cell_has_runs_and_every_run_a_cell():
    """Only CS-KD-E is printed beside other tables, and the reduced CIFAR-100 is ours."""
    printed = {
        (table, f"{dataset}-{network(dataset, model)} {method}")
        for table, dataset, model, method in cells()
    }
    ours = {
        (table, name.split(" #")[0])
        for table, runs in PAPER.items()
        for name, run in runs.items()
        if run.method != "cs_kd_e" and not name.startswith(REDUCED)
    }
    assert printed == ours


def test_the_measures_are_of_table_1_on_resnet18():
    published = tables.published("cskd_measures", PUBLISHED)
    columns = [c for c in published if c != "label" and not c.endswith("_sd")]
    printed = {
        f"{dataset}-{network(dataset, 'resnet18')} {row.split(' ')[1]}"
        for row, dataset in itertools.product(published.index, columns)
    }
    assert printed == {
        name.split(" #")[0]
        for name, run in PAPER[1].items()
        if run.model in ("resnet18", "preact_resnet18")
    }


@pytest.mark.parametrize("profile", ["quick", "smoke"])
def test_quick_tables_have_every_method_of_the_paper_on_noisy_digits(profile):
    seeds = {"quick": 3, "smoke": 2}[profile]
    for table, methods in METHODS.items():
        runs = class_wise.runs(table, profile)
        own = ["cs_kd_eval", "max_entropy_light"] if table == 1 else []
        bench = "noisy_digits-small_fcn" if table == 4 else "noisy_digits-small_cnn"
        named = [f"{bench} {method}" for method in [*methods, *own]]
        assert [name for name, run in runs.items() if not run.seed] == named
        assert len(runs) == seeds * len(named)
        assert {run.dataset for run in runs.values()} == {"noisy_digits"}
        assert all(run.data["draw"] == run.seed for run in runs.values())
        assert {run.data["sigma"] for run in runs.values()} == {0.5}
        noise = [Augmentation.of(run.data["augment"]).noise for run in runs.values()]
        assert min(noise) > 0  # two views of an image differ
    table1 = class_wise.runs(1, profile)
    cs_kd, light = (
        table1[f"noisy_digits-small_cnn {m}"] for m in ("cs_kd_eval", "max_entropy_light")
    )
    assert (cs_kd.method, cs_kd.parameters["partner"]) == ("cs_kd", "eval")
    assert (light.method, light.parameters) == ("max_entropy", {"weight": 0.1})


@pytest.mark.parametrize("profile", ["quick", "smoke"])
def test_the_grid_is_of_cs_kd_at_every_temperature_and_weight(profile):
    runs, table1 = class_wise.grid(profile), class_wise.runs(1, profile)
    seeds = {"quick": 3, "smoke": 2}[profile]
    assert len(set(runs.values())) == len(runs) == 2 * 4 * seeds
    for name, run in runs.items():
        base = table1[class_wise.name("noisy_digits-small_cnn", "cs_kd", run.seed)]
        temperature, weight = run.parameters["temperature"], run.parameters["weight"]
        expected = f"noisy_digits-small_cnn cs_kd T{temperature:g} l{weight:g}"
        assert name.split(" #")[0] == expected
        if (temperature, weight) == (4, 1):
            assert run == base
        else:
            keep = ("errors", "neighbours")
            assert run == replace(base, parameters=run.parameters, keep=keep)
    tried = {(r.parameters["temperature"], r.parameters["weight"]) for r in runs.values()}
    assert tried == set(itertools.product((1, 4), (1, 2, 3, 4)))


def first_smoke_runs():
    """Return the runs of the first seed that no other test carries out, each once."""
    runs = {n: r for table in (1, 2, 3) for n, r in class_wise.runs(table, "smoke").items()}
    return {name.split(" ")[1]: run for name, run in runs.items() if not run.seed}


@pytest.mark.parametrize(("method", "run"), first_smoke_runs().items())
def test_every_method_gives_a_record(method, run, tmp_path):
    record = images.execute(run, work=tmp_path)
    assert record.specification == run.specification
    assert set(METRICS) < set(record.rows["plain"])
    assert len(record.figures["errors"]["index"]) == round(
        200 * (1 - record.rows["plain"]["accuracy"][0])
    )


@pytest.mark.parametrize("table", [0, -1, True, 2.0, "1"])
def test_a_table_is_a_whole_number(table):
    with pytest.raises(ValueError, match=f"table must be a whole number .*, got {table!r}"):
        class_wise.runs(table, "paper")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: class_wise.runs(6, "paper"), "table must lie in [1, 5], got 6"),
        (lambda: class_wise.runs(1, "fast"), "unknown profile 'fast'; known: paper, quick, smoke"),
        (lambda: class_wise.runs(5, "quick"), "unknown profile of Table 5 'quick'; known: paper"),
        (lambda: class_wise.runs(5, "smoke"), "unknown profile of Table 5 'smoke'; known: paper"),
        (lambda: class_wise.benches("fast"), "unknown profile 'fast'; known: paper, quick, smoke"),
        (
            lambda: class_wise.grid("paper"),
            "unknown profile of the grid 'paper'; known: quick, smoke",
        ),
    ],
)
def test_what_there_is_no_table_of(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
