"""A frame of the film: three panes, their names, the caption and the time of the recording."""

import time
from bisect import bisect_right
from io import BytesIO
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from scripts.video.film import SIZE, TOP, Box, Film, Layout, Shot
from scripts.video.terminal import BACKGROUND, FONTS, Replay
from scripts.video.windows import Window

TITLES: Final = {"terminal": "Terminal", "admin": "El admin del gremio", "teléfono": "El teléfono de Rosa"}
FRAME: Final = "#3d2313"
BORDER: Final = "#8a5a33"
INK: Final = "#ffffff"
SOFT: Final = "#e6cfae"
CAPTION: Final[Box] = (140, 950, 1640, 120)
CAPTION_SIZE: Final = 41
LINE: Final = 52


class Painter:
    """Draws the film from its first shot to its last."""

    def __init__(self, film: Film) -> None:
        self._terminal = Replay(film.terminal)
        self._windows = {"teléfono": Footage(film.phone), "admin": Footage(film.desk)}
        self._key: tuple[object, ...] = ()
        self._frame = Image.new("RGB", SIZE)
        self._empty: dict[int, Image.Image] = {}

    def frame(self, shot: Shot, at: float) -> Image.Image:
        """Return the frame of a time; the same object as before if nothing has changed."""
        panes = {pane: self._pane(pane, at) for pane in shot.layout.boxes}
        clock = time.strftime("%H:%M:%S", time.localtime(at))
        key = (id(shot), clock, *(version for version, _ in panes.values()))
        if key != self._key:
            self._key = key
            self._frame = self._empty_frame(shot).copy()
            for pane, (_, picture) in panes.items():
                left, top, width, height = shot.layout.boxes[pane]
                self._frame.paste(
                    picture.crop((0, 0, min(width, picture.width), min(height, picture.height))), (left, top)
                )
            ImageDraw.Draw(self._frame).text((SIZE[0] - 20, SIZE[1] - 20), clock, font=_SMALL, fill=SOFT, anchor="rs")
        return self._frame

    def _pane(self, pane: str, at: float) -> tuple[int, Image.Image]:
        return self._terminal.picture(at) if pane == "terminal" else self._windows[pane].picture(at)

    def _empty_frame(self, shot: Shot) -> Image.Image:
        if id(shot) not in self._empty:
            self._empty = {id(shot): _frame_around(shot.layout, shot.caption)}
        return self._empty[id(shot)]


class Footage:
    """A window's frames."""

    def __init__(self, window: Window) -> None:
        self._frames = window.frames
        self._times = [at for at, _ in window.frames]
        self._shown = -2
        self._picture = Image.new("RGB", (1, 1), BACKGROUND)

    def picture(self, at: float) -> tuple[int, Image.Image]:
        """Return the window at a time, with the number of the frame."""
        number = bisect_right(self._times, at) - 1
        if number != self._shown and number >= 0:
            self._shown = number
            self._picture = Image.open(BytesIO(self._frames[number][1])).convert("RGB")
        return number, self._picture


def _frame_around(layout: Layout, caption: str) -> Image.Image:
    frame = Image.new("RGB", SIZE, FRAME)
    draw = ImageDraw.Draw(frame)
    for pane, (left, top, width, height) in layout.boxes.items():
        fill = BACKGROUND if pane == "terminal" else INK
        draw.rectangle((left - 2, top - 2, left + width + 1, top + height + 1), fill=fill, outline=BORDER, width=2)
        draw.text((left, TOP - 12), TITLES[pane], font=_SMALL, fill=SOFT, anchor="ls")
    lines = wrapped(caption)
    middle = CAPTION[1] + CAPTION[3] // 2
    for number, line in enumerate(lines):
        y = middle + (number - (len(lines) - 1) / 2) * LINE
        draw.text((CAPTION[0] + CAPTION[2] // 2, y), line, font=_LARGE, fill=INK, anchor="mm")
    return frame


def wrapped(caption: str) -> list[str]:
    """Return the caption as lines that fit, as even as possible. Raises ValueError for a third."""
    words = caption.split(" ")  # a no-break space does not part words
    if _LARGE.getlength(caption) <= CAPTION[2]:
        return [caption]
    halves = [(" ".join(words[:n]), " ".join(words[n:])) for n in range(1, len(words))]
    best = min(halves, key=lambda lines: max(_LARGE.getlength(line) for line in lines))
    if max(_LARGE.getlength(line) for line in best) > CAPTION[2]:
        raise ValueError(f"this caption is too long for two lines: {caption}")
    return list(best)


_SMALL: Final = ImageFont.truetype(str(FONTS / "DejaVuSans.ttf"), 24)
_LARGE: Final = ImageFont.truetype(str(FONTS / "DejaVuSans-Bold.ttf"), CAPTION_SIZE)
