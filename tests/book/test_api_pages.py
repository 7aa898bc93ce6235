"""The API pages document every module that there is."""

import re
import shutil

from ldlstudy.book import api_pages
from tests.conftest import ROOT

FACES = {"ldlstudy", "ldlstudy.cli"}  # of the package and of the command: other pages have them


def test_every_module_stands_once_on_one_of_the_pages(tmp_path):
    for page in api_pages.PAGES:
        shutil.copy(ROOT / "book" / f"{page}.md", tmp_path)
    api_pages.write(ROOT / "ldlstudy", tmp_path)
    documented = []
    for page in api_pages.PAGES:
        text = (tmp_path / f"{page}.md").read_text()
        assert text.startswith((ROOT / "book" / f"{page}.md").read_text())
        documented += re.findall(r"^\.\. automodule:: (\S+)$", text, re.M)
    paths = [path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("ldlstudy/**/*.py")]
    modules = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    expected = {name for name in modules - FACES if not name.startswith("ldlstudy.cli.")}
    assert sorted(documented) == sorted(expected)


def test_a_package_comes_before_its_modules_each_under_a_heading(tmp_path):
    package = tmp_path / "ldlstudy"
    (package / "data" / "sets").mkdir(parents=True)
    for name in ("checks.py", "data/__init__.py", "data/made.py", "data/sets/__init__.py"):
        (package / name).touch()
    assert api_pages.modules(package, "") == ["ldlstudy.checks"]
    below = ["ldlstudy.data", "ldlstudy.data.made", "ldlstudy.data.sets"]
    assert api_pages.modules(package, "data") == below
    for page in api_pages.PAGES:
        (tmp_path / f"{page}.md").write_text("# API\n")
    api_pages.write(package, tmp_path)
    text = (tmp_path / "api.md").read_text()
    assert re.findall(r"^#+ .*$", text, re.M)[:5] == [
        "# API", "## ldlstudy", "### checks", "## ldlstudy.data", "### data.made",
    ]  # fmt: skip
