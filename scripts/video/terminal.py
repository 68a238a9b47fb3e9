"""A terminal: what a program writes is kept with its time, and shown again as a picture."""

import threading
import time
from pathlib import Path
from typing import Any, Final

import matplotlib
import pyte
from PIL import Image, ImageDraw, ImageFont
from pyte.screens import Char, Cursor
from rich.console import Console

FONTS: Final = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONT_SIZE: Final = 18
CELL: Final = (11, 21)  # pixels of a character of that size
ROWS: Final = 41
BACKGROUND: Final = "#1b1712"
FOREGROUND: Final = "#e8e0d5"
# The colours that programs name and do not mix themselves.
COLOURS: Final = {
    "black": "#3a332b",
    "red": "#ff6b5e",
    "green": "#7fd069",
    "brown": "#f2c14e",
    "blue": "#7aa7ff",
    "magenta": "#e28bf0",
    "cyan": "#62cfe0",
    "white": "#e8e0d5",
}
ALTERNATE_SCREEN: Final = 1049  # the mode that full-screen programs set, and reset at their end


class Terminal:
    """The file that a console writes to; `events` are texts, and new widths in columns, by time."""

    def __init__(self, columns: int) -> None:
        self.events: list[tuple[float, str | int]] = [(time.time(), columns)]
        self._lock = threading.Lock()
        self._shown = Replay(self)
        self.console = Console(
            file=self,  # type: ignore[arg-type]  # rich writes and flushes, and asks for nothing else
            width=columns,
            height=ROWS,
            force_terminal=True,
            color_system="truecolor",
            # Not the variables of the terminal in which ./dev video runs, such as TERM=dumb.
            _environ={"TERM": "xterm-256color"},
        )

    def write(self, text: str) -> int:
        """Keep the text; rich calls this from several threads."""
        with self._lock:
            self.events.append((time.time(), text))
        return len(text)

    def flush(self) -> None:
        """Do nothing: every text is kept at once."""

    def resize(self, columns: int) -> None:
        """Change the width, as a person does with a window; programs draw again."""
        with self._lock:
            self.events.append((time.time(), columns))
        self.console.size = (columns, ROWS)

    def text(self) -> str:
        """Return what is on the screen now."""
        self._shown.advance(time.time())
        return "\n".join(self._shown.screen.display)


class Screen(pyte.Screen):
    """pyte's screen, with the second screen that full-screen programs draw on."""

    cursor: Cursor
    _first: tuple[Any, Cursor] | None = None

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        """Turn to the second screen and keep the first."""
        super().set_mode(*modes, **kwargs)
        if ALTERNATE_SCREEN in modes and kwargs.get("private") and self._first is None:
            self._first = dict(self.buffer), self.cursor
            self.cursor = Cursor(self.cursor.x, self.cursor.y, self.cursor.attrs)
            self.buffer.clear()
            self.dirty.update(range(self.lines))

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        """Show the first screen again."""
        super().reset_mode(*modes, **kwargs)
        if ALTERNATE_SCREEN in modes and kwargs.get("private") and self._first is not None:
            rows, self.cursor = self._first
            self.buffer.clear()
            self.buffer.update(rows)
            self._first = None
            self.dirty.update(range(self.lines))


class Replay:
    """The terminal's screen at a time that only goes forward."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.screen = Screen(1, ROWS)
        self._stream = pyte.Stream(self.screen)
        self._next = 0
        self._picture = Image.new("RGB", (1, 1), BACKGROUND)
        self._drawn: dict[int, list[Char]] = {}
        self._version = 0

    def advance(self, until: float) -> None:
        """Apply all events up to a time (seconds since the epoch)."""
        events = self.terminal.events
        while self._next < len(events) and events[self._next][0] <= until:
            event = events[self._next][1]
            if isinstance(event, int):
                self.screen.resize(ROWS, event)
            else:
                # A terminal's driver makes a carriage return of each line's end.
                self._stream.feed(event.replace("\n", "\r\n"))
            self._next += 1

    def picture(self, until: float) -> tuple[int, Image.Image]:
        """Return the screen at a time, with a number that grows when the picture changes."""
        self.advance(until)
        size = (self.screen.columns * CELL[0], ROWS * CELL[1])
        if self._picture.size != size:
            self._picture = Image.new("RGB", size, BACKGROUND)
            self._drawn.clear()
            self.screen.dirty.update(range(ROWS))
        if self.screen.dirty:
            self._draw_changes(ImageDraw.Draw(self._picture))
            self.screen.dirty.clear()
        return self._version, self._picture

    def _draw_changes(self, draw: ImageDraw.ImageDraw) -> None:
        """Draw the rows that differ: full-screen programs write all of them again and again."""
        for row in self.screen.dirty:
            characters = [self.screen.buffer[row][x] for x in range(self.screen.columns)]
            if row < ROWS and self._drawn.get(row) != characters:
                _draw_row(draw, row, characters)
                self._drawn[row] = characters
                self._version += 1


def _draw_row(draw: ImageDraw.ImageDraw, row: int, characters: list[Char]) -> None:
    width, height = CELL
    top = row * height
    draw.rectangle((0, top, len(characters) * width, top + height - 1), fill=BACKGROUND)
    for x, char in enumerate(characters):
        front, back = _colour(char.fg, FOREGROUND), _colour(char.bg, BACKGROUND)
        if char.reverse:
            front, back = back, front
        if back != BACKGROUND:
            draw.rectangle((x * width, top, (x + 1) * width - 1, top + height - 1), fill=back)
        if char.data.strip():
            draw.text((x * width, top), char.data, font=_BOLD if char.bold else _REGULAR, fill=front)


def _colour(name: str, default: str) -> str:
    """Return the colour of pyte's name: `default`, a word, or six hexadecimal digits."""
    if name == "default":
        return default
    plain = name.removeprefix("bright").removeprefix("bfight")  # pyte spells one of them so
    return COLOURS.get(plain) or f"#{name}"


_REGULAR: Final = ImageFont.truetype(str(FONTS / "DejaVuSansMono.ttf"), FONT_SIZE)
_BOLD: Final = ImageFont.truetype(str(FONTS / "DejaVuSansMono-Bold.ttf"), FONT_SIZE)
