"""Debian's Chromium, for tests that look at pages as people do."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.needs import needs

CHROMIUM: Final = shutil.which("chromium")
BROWSER_TEST: Final = [
    pytest.mark.browser,
    needs("" if CHROMIUM else "Chromium is missing: apt install chromium"),
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium in the block; meanwhile Playwright keeps an event loop in this thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM or "chromium", args=["--no-sandbox"])
        yield browser
        browser.close()
