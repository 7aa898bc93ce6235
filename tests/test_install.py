"""A plain install: what is in the wheel, and that all but the book works without an extra."""

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ldlstudy.experiment import workers
from ldlstudy.explore.explorer import Explorer
from tests.conftest import ROOT

HIDE = """
import importlib.machinery, os

names, find = set(os.environ["HIDDEN"].split()), importlib.machinery.PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in names else find(name, path, target)

importlib.machinery.PathFinder.find_spec = find_spec
"""
IMPORT_ALL = """
import importlib, pkgutil, ldlstudy
for module in pkgutil.walk_packages(ldlstudy.__path__, "ldlstudy.", onerror=lambda name: None):
    others = ("book.", "interop.torchmetrics", "report", "studies", "explore")
    below = module.name.removeprefix("ldlstudy.")
    if not below.startswith(others) and not below.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""
EIGHT = """
import sys
import torch
from torch import nn
from ldlstudy import Augmentation, Recipe, data, measure, preview, train
mine = data.load("mine.npz")
network = nn.Sequential(nn.Flatten(), nn.Linear(36, len(mine.classes)))
look = Augmentation(flip=True, normalise="training").fitted(mine.train)
recipe = Recipe(epochs=2, batch=8, optimiser="adamw", rate=0.01, schedule="cosine")
settings = {"temperature": 4.0, "weight": 1.0}
train(network, mine.train, "cs_kd", settings, recipe=recipe, augmentation=look)
print(measure(network, mine.test, augmentation=look).loc["plain", "accuracy"])
print(sorted({"torchvision", "matplotlib", "jinja2.environment"} & set(sys.modules)))
try:
    preview(mine.train).figure()
except ValueError as error:
    print(error)
for name in ("report.figures", "report.tables", "studies", "explore.explorer"):
    try:
        __import__("ldlstudy." + name)
    except ImportError as error:
        print(error)
"""
COMMAND = "from ldlstudy.cli import app; app(prog_name='ldlstudy')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.Path:
    """Build the wheel of the sources alone, offline."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("ldlstudy", "book"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, out],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (file,) = out.glob("ldlstudy-*.whl")
    return zipfile.Path(file)


def required(metadata: Iterable[str], extras: Iterable[str] = ("",)) -> list[Requirement]:
    """Return the requirements that hold here, with one of the extras."""
    read = [Requirement(line) for line in metadata]
    return [r for r in read if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras)]


def declared(wheel: zipfile.Path, *extras: str) -> set[str]:
    """Return the names of what the wheel itself asks for; ``dask[distributed]`` is two."""
    (info,) = [each for each in wheel.iterdir() if each.name.endswith(".dist-info")]
    lines = Parser().parsestr((info / "METADATA").read_text()).get_all("Requires-Dist", [])
    asked = required(lines, ("", *extras))
    return {canonicalize_name(name) for r in asked for name in (r.name, *r.extras)}


def installed(names: set[str]) -> set[str]:
    """Return these distributions and all that they need in turn."""
    found: set[str] = set()
    wanted = [Requirement(name) for name in names]
    while wanted:
        one = wanted.pop()
        name = canonicalize_name(one.name)
        if name in found and not one.extras:
            continue
        found.add(name)
        wanted += required(importlib.metadata.requires(name) or (), ("", *one.extras))
    return found


def distributions() -> dict[str, set[str]]:
    """Return the distributions here of each module that can be imported."""
    pairs = importlib.metadata.packages_distributions().items()
    return {module: set(map(canonicalize_name, names)) for module, names in pairs}


@pytest.fixture(scope="module")
def plain(wheel, tmp_path_factory):
    """Return a function that runs Python with the wheel, and nothing that it does not ask for."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel.root.filename) as archive:
        archive.extractall(folder)
    there = installed(declared(wheel))
    hidden = {module for module, names in distributions().items() if not names & there}
    assert {"IPython", "nbformat", "ipywidgets", "matplotlib", "distributed"} <= hidden
    assert {"statsmodels", "scikit_posthocs", "timm", "bs4"} & distributions().keys() <= hidden
    assert not {"torch", "numpy", "PIL", "yaml", "pydantic"} & hidden
    (folder / "sitecustomize.py").write_text(HIDE)

    def run(code: str, *arguments: str, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        hiding = {"PYTHONPATH": str(folder), "HIDDEN": " ".join(sorted(hidden - {"ldlstudy"}))}
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=cwd, capture_output=True, text=True, env=os.environ | hiding,
        )  # fmt: skip

    return run


def test_the_wheel_has_the_package_its_types_and_no_records(wheel):
    names = set(zipfile.ZipFile(wheel.root.filename).namelist())
    sources = {file.relative_to(ROOT) for file in (ROOT / "ldlstudy").rglob("*")
               if file.suffix in (".py", ".js", ".typed")}  # fmt: skip
    assert {str(file) for file in sources} <= names
    assert "ldlstudy/py.typed" in names
    others = {name for name in names if not name.startswith("ldlstudy/")}
    assert all(".dist-info/" in name for name in others)
    assert not [name for name in names if name.endswith((".jsonl", ".json", ".csv", ".ipynb"))]


def test_every_module_but_those_of_studies_and_the_book_is_imported_without_an_extra(plain):
    ran = plain(IMPORT_ALL)
    assert ran.returncode == 0, ran.stderr
    found = set(ran.stdout.split())
    assert {"ldlstudy.training", "ldlstudy.experiment.preview", "ldlstudy.models.dla"} <= found
    assert {"ldlstudy.experiment.sweep", "ldlstudy.cli.values"} <= found


def test_the_metric_says_which_extra_it_needs(plain):
    ran = plain("import ldlstudy.interop.torchmetrics")
    assert ran.stderr.rstrip().endswith('not installed: pip install "ldlstudy[torchmetrics]"')


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["book"], "book"),
        (["export", "folder"], "book"),
        (["compare", "one", "other"], "book"),
        (["sweep", "re-table2"], "study"),
        (["rescore", "re-table2"], "study"),
    ],
)
def test_a_command_that_needs_an_extra_names_it_in_one_line(command, extra, plain, tmp_path):
    (tmp_path / "_toc.yml").touch()
    ran = plain(COMMAND, *command, cwd=tmp_path)
    assert f'not installed: pip install "ldlstudy[{extra}]"' in ran.stderr
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1


def test_own_images_and_an_own_network_need_no_extra(plain, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(20) % 2)
    ran = plain(EIGHT, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    accuracy, loaded, *errors = ran.stdout.splitlines()
    assert 0 <= float(accuracy) <= 1
    assert loaded == "[]"
    study = 'which is not installed: pip install "ldlstudy[study]"'
    assert len(errors) == 5
    assert all(error.startswith("this needs ") and error.endswith(study) for error in errors)


def test_a_run_by_command_needs_none(plain, tmp_path):
    tiny = ["-d", "train=5", "-d", "test=5", "-t", "epochs=1", "-t", "batch=16", "--device", "cpu"]
    run = ["run", "noisy_digits", "small_cnn", "none", *tiny, "--results", "mine"]
    ran = plain(COMMAND, *run, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("noisy_digits/none-")
    picture = plain(COMMAND, "preview", "digits", "mixup", "-o", "a.png", cwd=tmp_path)
    assert picture.stderr.splitlines()[-1].endswith('pip install "ldlstudy[study]"')


def test_widgets_and_a_cluster_name_their_extras(monkeypatch):
    for module in ("ipywidgets", "distributed"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=r'needs ipywidgets, .*"ldlstudy\[book\]"'):
        Explorer("label", "Labels", "Which?", (), {}, None).widget()
    with (
        pytest.raises(ValueError, match=r'needs distributed, .*"ldlstudy\[cluster\]"'),
        workers.pool(1, "tcp://127.0.0.1:1"),
    ):
        pass


def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"ldlstudy", "tests"}


def test_what_the_package_and_its_tests_import_is_declared(wheel):
    known = distributions()
    for folder, extras in (
        ("ldlstudy", ("book", "cluster", "study", "timm", "torchmetrics")),
        ("tests", ("book", "cluster", "study", "test")),
    ):
        asked = declared(wheel, *extras)
        for file in (ROOT / folder).rglob("*.py"):
            for module in imported(file):
                of = known.get(module, {module})  # an optional one may not be installed
                assert of & asked, f"{file} imports {module}"
