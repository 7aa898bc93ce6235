"""A real JupyterLab in headless Chromium: a chapter's first cells run, a live widget moves."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import nbformat
import pytest

from tests.browser import browser, needs_chromium, page
from tests.conftest import ROOT

CHAPTER = "06_explore.ipynb"
WAIT = 120_000  # milliseconds for a kernel on a busy machine


@pytest.fixture
def lab(tmp_path) -> Iterator[str]:
    """The address of a chapter in a JupyterLab of its own, which asks no other host."""
    notebooks = tmp_path / "notebooks"  # a checkout, in which JupyterLab may write
    notebooks.mkdir()
    shutil.copy(ROOT / "notebooks" / CHAPTER, notebooks)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "book").symlink_to(ROOT / "book")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTERLAB_SETTINGS_DIR")
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *(f"--ServerApp.port={port}", f"--IdentityProvider.token={token}"),
            *(f"--ServerApp.root_dir={tmp_path}", "--LabApp.news_url=None"),
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ],
        cwd=tmp_path,
        env={**os.environ, **{name: str(tmp_path / name) for name in folders}},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api?token={token}")
        yield f"{address}/lab/tree/notebooks/{CHAPTER}?token={token}"
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(url: str, seconds: int = 90) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


@needs_chromium
def test_the_figure_follows_a_live_widget(lab):
    cells = nbformat.read(ROOT / "notebooks" / CHAPTER, 4).cells
    first = next(i for i, cell in enumerate(cells) if ".explorer(" in cell.source)
    size = {"width": 1280, "height": 1000}
    with browser() as opened, page(opened, lab, offline=False, viewport=size) as shown:
        shown.set_default_timeout(WAIT)
        notebook = shown.locator(".jp-Notebook")
        notebook.locator(".jp-MarkdownCell").first.click()
        widget = notebook.locator(".jp-OutputArea .widget-vbox").first
        shown.get_by_text("| Idle").first.wait_for()  # of the kernel
        for _ in range(first + 1):
            shown.keyboard.press("Shift+Enter")
            shown.wait_for_timeout(300)
        widget.wait_for()
        _, picture, answer = widget.locator(".widget-html-content").all()
        before = picture.inner_html(), answer.inner_text()
        assert "<svg" in before[0]
        handle = widget.locator(".noUi-handle").first
        handle.focus()
        for _ in range(5):
            shown.keyboard.press("ArrowRight")
        shown.wait_for_function(
            "([node, text]) => node.innerText !== text",
            arg=[answer.element_handle(), before[1]],
        )
        assert picture.inner_html() != before[0]
        assert answer.inner_text() != before[1]
