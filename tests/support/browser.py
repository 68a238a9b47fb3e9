"""Debian's Chromium, for tests that look at pages as people do."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = shutil.which("chromium")
WCAG: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# Skipped on a machine without Chromium, but never in CI, which installs it.
BROWSER_TEST: Final = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM or "CI" in os.environ), reason="Chromium is missing: apt install chromium"),
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium in the block; meanwhile Playwright keeps an event loop in this thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM or "chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def violations(page: Page) -> list[str]:
    """Return what axe-core finds on the page: WCAG 2.2 A and AA, and its best practices."""
    # axe-core leaves the sizes of targets out by default.
    options = {"runOnly": WCAG, "rules": {"target-size": {"enabled": True}}}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{page.url}: {one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]
