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

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
needing = ("ldlstudy.book.", "ldlstudy.interop.torchmetrics")
for module in pkgutil.walk_packages(ldlstudy.__path__, "ldlstudy.", onerror=None):
    if not module.name.startswith(needing) and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""
SHOW = """
import matplotlib.pyplot as plt, pandas as pd
from ldlstudy.explore.explorer import Explorer
from ldlstudy.report import figures, tables
figures.setup()
plt.figure().savefig("a.svg")
assert "<table" in tables.style(pd.DataFrame({"a": ["1"]})).to_html()
shown = Explorer("label", "Labels", (), {}, None)
assert "explorer" in shown.page()
try:
    shown.widget()
except ValueError as error:
    print(error, flush=True)
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
    assert {"IPython", "nbformat", "ipywidgets", "matplotlib_inline", "distributed"} <= hidden
    assert not {"torch", "numpy", "PIL", "yaml", "pydantic", "jinja2"} & hidden
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


def test_every_module_but_the_book_s_is_imported_without_an_extra(plain):
    ran = plain(IMPORT_ALL)
    assert ran.returncode == 0, ran.stderr
    found = set(ran.stdout.split())
    assert {"ldlstudy.training", "ldlstudy.report.figures", "ldlstudy.explore"} <= found
    assert {"ldlstudy.studies.ledger.tables", "ldlstudy.cli.values"} <= found


def test_the_metric_says_which_extra_it_needs(plain):
    ran = plain("import ldlstudy.interop.torchmetrics")
    assert ran.stderr.rstrip().endswith('not installed: pip install "ldlstudy[torchmetrics]"')


@pytest.mark.parametrize("command", [["book"], ["export", "folder"], ["compare", "one", "other"]])
def test_a_command_that_needs_an_extra_names_it_in_one_line(command, plain, tmp_path):
    (tmp_path / "_toc.yml").touch()
    ran = plain(COMMAND, *command, cwd=tmp_path)
    assert 'not installed: pip install "ldlstudy[book]"' in ran.stderr
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1


def test_a_run_an_explorer_and_a_figure_need_none(plain, tmp_path):
    (tmp_path / "_config.yml").touch()
    tiny = ["-d", "train=5", "-d", "test=5", "-t", "epochs=1", "-t", "batch=16", "--device", "cpu"]
    ran = plain(SHOW + COMMAND, "run", "noisy_digits", "small_cnn", "none", *tiny, cwd=tmp_path)
    message = 'this needs ipywidgets, which is not installed: pip install "ldlstudy[book]"'
    assert ran.returncode == 0, ran.stderr
    first, second, *_ = ran.stdout.splitlines()
    assert first == message
    assert second.startswith("noisy_digits/none-")
    cluster = plain(COMMAND, "sweep", "re-table2", "--cluster", "tcp://127.0.0.1:1", cwd=tmp_path)
    assert cluster.stderr.splitlines()[-1].endswith('pip install "ldlstudy[cluster]"')


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
        ("ldlstudy", ("book", "cluster", "torchmetrics")),
        ("tests", ("book", "cluster", "test")),
    ):
        asked = declared(wheel, *extras)
        for file in (ROOT / folder).rglob("*.py"):
            for module in imported(file):
                assert known[module] & asked, f"{file} imports {module}"
