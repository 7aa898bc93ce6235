"""The guide to one's own images: its code runs as it stands, and the errors it quotes exist."""

import ast
import doctest
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from tests.cli.invoked import passed
from tests.conftest import ROOT

PAGE = (ROOT / "book" / "guide.md").read_text(encoding="utf-8")
SHOWN = r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?"  # a block and what it prints


def blocks(language):
    """Return the code of the page, of which the trainings are short here."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    return [re.sub(r"\bepochs=\d+", "epochs=1", code) for code in found]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work beside a folder of images of three classes and several sizes."""
    draws = np.random.default_rng(0)
    for kind in ("cat", "dog", "eel"):
        (tmp_path / "my_folder" / kind).mkdir(parents=True)
        for i in range(10):
            image = draws.integers(0, 256, (33 + i, 40, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "my_folder" / kind / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore::ldlstudy.scaling.NoTemperatureWarning")
def test_the_page_s_python_runs_in_order_and_prints_what_stands_below_it(here, capsys):
    names, compared = {}, 0
    for code, shown in re.findall(SHOWN, PAGE, re.M | re.S):
        code = re.sub(r"\bepochs=\d+", "epochs=1", code)
        exec(compile(code, "guide.md", "exec"), names)
        said = capsys.readouterr().out
        alike = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(shown, said, alike), said
        compared += shown != ""
    assert compared == 4
    assert names["scores"].loc["plain", "accuracy"] >= 0
    assert list(names["mine"].classes) == ["cat", "dog", "eel"]
    assert (here / "labels.png").stat().st_size > 10_000


def test_the_page_counts_its_statements():
    (code,) = [code for code in blocks("python") if "measure(network" in code]
    assert PAGE.count("Eight statements") == 1
    assert len(ast.parse(code).body) == 8


def test_the_page_s_commands_run_in_order(here):
    text = "".join(blocks("bash")).replace("\\\n", " ")
    commands = [line for line in text.splitlines() if line.startswith("ldlstudy ")]
    lines = [passed(*shlex.split(command)[1:]) for command in commands]
    assert (here / "mixup.png").exists()
    assert lines[1][0].startswith("my_folder/cs_kd-")
    assert lines[2][0].startswith(lines[1][0].removeprefix("my_folder/"))
    assert len(commands) == 3


def test_the_errors_that_it_quotes_are_the_package_s():
    table = PAGE[PAGE.index("## What errors say") :]
    quoted = re.findall(r"^\| `(.+?)` \|", table, re.M)
    sources = [file.read_text("utf-8") for file in (ROOT / "ldlstudy").rglob("*.py")]
    joined = re.sub(r'"\s*\n\s*f?"', "", "".join(sources))
    assert len(quoted) > 10
    assert [message for message in quoted if message not in joined] == []
