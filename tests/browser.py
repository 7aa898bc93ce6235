"""A headless Chromium without a network, for tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

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
    """A page that is offline; errors in its console fail the test."""
    context = opened.new_context(offline=True, **options)
    shown, errors = context.new_page(), []
    shown.on("pageerror", lambda error: errors.append(str(error)))
    shown.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    shown.goto(url)
    yield shown
    context.close()
    assert errors == []
