"""The film's time line: what of the recorded time is shown, how, and with what caption."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from playwright.sync_api import Page

from scripts.video.terminal import CELL, Terminal
from scripts.video.windows import Window

Box = tuple[int, int, int, int]  # left, top, width, height, in pixels of the film

SIZE: Final = (1920, 1080)
TOP: Final = 58
HEIGHT: Final = 872
PHONE: Final[Box] = (1498, TOP, 402, HEIGHT)
WIDE: Final[Box] = (20, TOP, 1458, HEIGHT)
# Seconds that a caption stays: a moment to find it, and the time of a slow reader.
READING_S: Final = 3.2
READING_PER_CHARACTER_S: Final = 0.07


class FilmFailed(Exception):
    """What a caption says did not happen, or was not on the screen."""


@dataclass(frozen=True)
class Layout:
    """Where each pane is on the film; a pane without a place is not shown."""

    boxes: dict[str, Box]

    @property
    def columns(self) -> int:
        """Return the width of the terminal in characters."""
        return self.boxes["terminal"][2] // CELL[0]


BOOT: Final = Layout({"terminal": WIDE})
THREE: Final = Layout({"terminal": (20, TOP, 780, HEIGHT), "admin": (820, TOP, 658, HEIGHT), "teléfono": PHONE})
DESK: Final = Layout({"admin": WIDE, "teléfono": PHONE})
TERMINAL: Final = Layout({"terminal": WIDE, "teléfono": PHONE})


@dataclass
class Shot:
    """A stretch of time that is shown; `seen` are texts that were on a pane at its end."""

    begin: float
    caption: str
    layout: Layout
    end: float = 0.0
    seen: list[tuple[str, str]] = field(default_factory=list)
    poster: bool = False


class Film:
    """The recording: two windows, a terminal, and the shots so far.

    `check` raises when the system behind them has failed. A caption stays for `reading` times as
    long as a slow reader needs.
    """

    def __init__(
        self, terminal: Terminal, phone: Window, desk: Window, check: Callable[[], None], reading: float = 1.0
    ) -> None:
        self.terminal = terminal
        self.phone = phone
        self.desk = desk
        self.check = check
        self.reading = reading
        self.shots: list[Shot] = []
        self.layout = BOOT

    def shot(self, caption: str, layout: Layout | None = None, *, poster: bool = False) -> None:
        """Begin a shot, after the one before has stayed long enough to be read."""
        self.cut()
        if layout is not None and layout is not self.layout:
            self._arrange(layout)
        self.shots.append(Shot(time.time(), caption, self.layout, poster=poster))

    def _arrange(self, layout: Layout) -> None:
        self.layout = layout
        if "terminal" in layout.boxes:
            self.terminal.resize(layout.columns)
        if "admin" in layout.boxes:
            self.desk.resize(layout.boxes["admin"][2:])
        self.hold(0.8)  # until the browser and the dashboard have drawn the new size

    def cut(self) -> None:
        """End the shot, after it has stayed long enough to be read; show nothing from here on."""
        if not self.shots or self.shots[-1].end:
            return
        shot = self.shots[-1]
        needed = self.reading * (READING_S + READING_PER_CHARACTER_S * len(shot.caption))
        self.hold(shot.begin + needed - time.time())
        self._note_text(shot)
        shot.end = time.time()

    def _note_text(self, shot: Shot) -> None:
        """Raise FilmFailed if a text that was seen is no longer there at the end of the shot."""
        for pane, text in shot.seen:
            if not self._has(pane, text):
                raise FilmFailed(f"«{text}» left the pane «{pane}» before the end of «{shot.caption}»")

    def hold(self, seconds: float) -> None:
        """Let time pass while the frames arrive."""
        if seconds > 0:
            self.phone.page.wait_for_timeout(1_000 * seconds)
        self.check()

    def until(self, condition: Callable[[], object], what: str, timeout: float = 60.0) -> None:
        """Wait while the frames arrive. Raises FilmFailed after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise FilmFailed(f"{what}: not within {timeout:g} s")
            self.hold(0.1)

    def see(self, pane: str, text: str) -> None:
        """Wait until the text is on the pane, and demand that it stays until the shot ends."""
        if pane != "terminal":
            found = self._page(pane).get_by_text(text).first
            found.wait_for(timeout=60_000)
            self._window(pane).show(found)
        self.until(lambda: self._has(pane, text), f"«{text}» on the pane «{pane}»")
        self.shots[-1].seen.append((pane, text))

    def _has(self, pane: str, text: str) -> bool:
        """Return True if a person sees the text on the pane."""
        if pane == "terminal":
            return text in self.terminal.text()
        found = self._page(pane).get_by_text(text)
        boxes = [one.bounding_box() for one in found.all() if one.is_visible()]
        return any(box and 0 <= box["y"] < HEIGHT for box in boxes)

    def _window(self, pane: str) -> Window:
        return self.desk if pane == "admin" else self.phone

    def _page(self, pane: str) -> Page:
        return self._window(pane).page
