"""A headless Chromium without a network, for tests of pages."""

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

HOW = (
    "no Chromium: install Debian's `chromium`, Google Chrome, or run `playwright install chromium` "
    "and set CHROMIUM to its path"
)


def chromium() -> str | None:
    """The path of a browser that playwright can drive."""
    named = os.environ.get("CHROMIUM")
    return named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


needs_chromium = pytest.mark.skipif(chromium() is None, reason=HOW)


@contextmanager
def browser() -> Iterator:
    """A browser; close what you open in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def page(opened, url: str, **options) -> Iterator:
    """A page, offline unless told; errors in its console fail the test."""
    context = opened.new_context(**{"offline": True, **options})
    shown, errors = context.new_page(), []
    shown.on("pageerror", lambda error: errors.append(str(error)))
    shown.on(
        "console",
        lambda m: errors.append(f"{m.text} {m.location['url']}") if m.type == "error" else None,
    )
    shown.goto(url)
    yield shown
    context.close()
    assert not errors, errors


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Requests are not worth a line."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder on this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
