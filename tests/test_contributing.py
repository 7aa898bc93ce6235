"""What the files for contributors say is true: the steps work, the versions agree."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

import ldlstudy
from tests.conftest import ROOT

STEP = re.compile(
    r"^\*\*`([\w/.]+)`\*\*, (at the end|a new file|below the line of `(.+?)`):\n\n"
    r"```python\n(.*?)^```$",
    re.M | re.S,
)


def taken(root):
    """Take every step of the guide in a copy of the repository; return the files it touches."""
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    touched = []
    for name, where, line, code in STEP.findall(guide):
        file = root / name
        if where == "a new file":
            assert not file.exists()
            file.write_text(code)
        elif where == "at the end":
            file.write_text(f"{file.read_text()}\n\n{code}")
        else:
            lines = file.read_text().splitlines(keepends=True)
            (place,) = (i for i, each in enumerate(lines) if each.strip().startswith(line))
            lines.insert(place + 1, f"    {code}")
            file.write_text("".join(lines))
        touched.append(name)
    return touched


def test_a_strategy_is_added_by_the_steps_of_the_guide(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__", "*.js")
    shutil.copytree(ROOT / "ldlstudy", tmp_path / "ldlstudy", ignore=ignored)
    (tmp_path / "tests").mkdir()
    for name in ("__init__.py", "steps.py", "test_methods.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    touched = taken(tmp_path)
    assert touched == [
        "ldlstudy/targets.py", "ldlstudy/methods.py", "ldlstudy/studies/strategies.py",
        "tests/steps.py", "tests/test_methods.py", "tests/test_unigram.py",
    ]  # fmt: skip
    python = [sys.executable, "-m"]
    tests = [
        "tests/test_unigram.py",
        "tests/test_methods.py::test_labels_are_those_of_the_strategy[unigram]",
        "ldlstudy/targets.py::ldlstudy.targets.unigram",
    ]
    ran = subprocess.run(
        [*python, "pytest", "-q", "-p", "no:cacheprovider", "--doctest-modules", *tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 passed" in ran.stdout
    for check in (["ruff", "check"], ["ruff", "format", "--check"]):
        command = [*python, *check, *touched]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_versions_agree():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", changes, re.M)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert released[0][0] == ldlstudy.__version__ == cited["version"]
    assert released[0][1] == str(cited["date-released"])
    assert changes.index("## [Unreleased]") < changes.index(f"## [{released[0][0]}]")
    kinds = set(re.findall(r"^### (.*)$", changes, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_page_of_the_api_names_the_whole_face():
    page = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    face = page.partition("The face of the package")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", face)) | set(re.findall(r"`(\w+) <", face))
    assert set(ldlstudy.__all__) <= named


@pytest.mark.parametrize("name", ["bug", "number", "proposal"])
def test_forms_of_issues_are_well_formed(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert form.keys() == {"name", "description", "labels", "body"}
    assert all(field["type"] in ("input", "textarea") for field in form["body"])
    assert len({field["id"] for field in form["body"]}) == len(form["body"])
    assert any(field.get("validations", {}).get("required") for field in form["body"])
