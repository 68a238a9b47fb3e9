"""What axe-core finds on a page, by WCAG 2.2 AA."""

from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WCAG: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS: Final = {"resultTypes": ["violations"], "runOnly": {"type": "tag", "values": WCAG}}


def violations(page: Page) -> list[str]:
    """Return one line per violation: the rule, how often, and the first element with it."""
    found: list[dict[str, Any]] = Axe().run(page, options=OPTIONS).response["violations"]
    return [f"{one['id']} ({len(one['nodes'])}): {one['nodes'][0]['html'][:200]}" for one in found]
