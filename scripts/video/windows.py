"""Windows of a real browser: each keeps the frames that Chromium draws, with their times."""

import base64
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from scripts.video.terminal import FONTS

JPEG_QUALITY: Final = 92
TYPING_MS: Final = 35  # between two keys, as a quick person
# Only the fonts of a wheel: the pages look the same on every machine.
FONT_CONFIG: Final = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir>
<alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
<alias><family>ui-monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>"""


class NoBrowser(Exception):
    """Debian's Chromium is missing."""


@contextmanager
def browsing() -> Iterator[Browser]:
    """Run Chromium in the block. Raises NoBrowser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise NoBrowser("Chromium is missing: apt install chromium")
    with tempfile.TemporaryDirectory(prefix="mamochi-fonts-") as folder, sync_playwright() as playwright:
        config = Path(folder) / "fonts.conf"
        config.write_text(FONT_CONFIG.format(fonts=FONTS, cache=folder))
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--hide-scrollbars", "--font-render-hinting=none"],
            env={**os.environ, "FONTCONFIG_FILE": str(config)},
        )
        yield browser
        browser.close()


class Window:
    """A window of `size` pixels; letters have `font_size` where the reader chooses.

    Chromium hands over a frame per change, without the pixels of a finer screen: so a page is
    enlarged by its letters. Frames arrive while Playwright works or `page.wait_for_timeout` waits,
    and not during other waits.
    """

    def __init__(self, browser: Browser, url: str, size: tuple[int, int], font_size: int) -> None:
        self.frames: list[tuple[float, bytes]] = []
        context = browser.new_context(
            locale="es-CL",
            timezone_id="America/Santiago",
            color_scheme="light",
            base_url=url,
            viewport={"width": size[0], "height": size[1]},
        )
        self.page: Page = context.new_page()
        self._session = context.new_cdp_session(self.page)
        self._session.on("Page.screencastFrame", self._keep)
        self._session.send("Page.setFontSizes", {"fontSizes": {"standard": font_size}})
        self._session.send("Page.startScreencast", {"format": "jpeg", "quality": JPEG_QUALITY})

    def _keep(self, event: dict[str, Any]) -> None:
        self.frames.append((time.time(), base64.b64decode(event["data"])))
        self._session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    def resize(self, size: tuple[int, int]) -> None:
        """Give the window another size on the film."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def type(self, label: str, text: str) -> None:
        """Type into the field of that label, key by key."""
        field = self.page.get_by_label(label)
        self.show(field)
        field.press_sequentially(text, delay=TYPING_MS)

    def press(self, name: str) -> None:
        """Bring the button of that name into view and press it."""
        button = self.page.get_by_role("button", name=name)
        self.show(button)
        button.click()

    def show(self, what: Locator) -> None:
        """Scroll smoothly until the element is in the middle of the window."""
        what.first.evaluate("element => element.scrollIntoView({behavior: 'smooth', block: 'center'})")
        self.page.wait_for_timeout(400)  # until the smooth scroll has ended

    def top(self) -> None:
        """Scroll smoothly to the page's beginning."""
        self.page.evaluate("scrollTo({top: 0, behavior: 'smooth'})")
        self.page.wait_for_timeout(400)  # until the smooth scroll has ended
