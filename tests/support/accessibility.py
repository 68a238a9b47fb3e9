"""What axe-core finds on a page, by WCAG 2.2 AA."""

from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WCAG: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# axe-core leaves the sizes of targets out by default.
OPTIONS: Final = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": WCAG},
    "rules": {"target-size": {"enabled": True}},
}


def violations(page: Page) -> list[str]:
    """Return one line per violation: address, rule, how often, and the first element with it."""
    found: list[dict[str, Any]] = Axe().run(page, options=OPTIONS).response["violations"]
    return [f"{page.url}: {one['id']} ({len(one['nodes'])}): {one['nodes'][0]['html'][:200]}" for one in found]
