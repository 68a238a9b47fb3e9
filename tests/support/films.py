"""A film as a person sees it: its pictures, its captions, and what is written on the pictures."""

import os
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest
from PIL import Image, ImageOps, ImageStat

READER: Final = shutil.which("tesseract")
SIZE: Final = (1920, 1080)
CAPTION: Final = (140, 940, 1780, 1080)  # where captions are on a picture
BLANK: Final = 8.0  # of contrast
CHARACTERS_PER_SECOND: Final = 20
END_S: Final = 0.2  # before the next caption: the picture of a scene's end
READS_PICTURES: Final = pytest.mark.skipif(
    not (READER or "CI" in os.environ), reason="apt install tesseract-ocr tesseract-ocr-spa"
)
MICROSECONDS: Final = 1_000_000
CUE: Final = re.compile(r"(\S+) --> (\S+)\n(.+)")
NOTE: Final = re.compile(r"NOTE (\S+) (\d+),(\d+),(\d+),(\d+): (.+)")


@dataclass(frozen=True)
class Seen:
    """A text on a pane of the picture, whose box is left, upper, right, lower."""

    pane: str
    box: tuple[int, int, int, int]
    text: str


@dataclass(frozen=True)
class Cue:
    """A caption, its time in seconds, and what is on the screen at its end."""

    begin: float
    end: float
    text: str
    seen: tuple[Seen, ...]


def cues(path: Path) -> Iterator[Cue]:
    """Yield the captions of a WebVTT file, in its order. A block that is neither fails."""
    header, *blocks = path.read_text().strip().split("\n\n")
    assert header.startswith("WEBVTT")
    seen: list[Seen] = []
    for block in blocks:
        if note := NOTE.fullmatch(block):
            left, top, width, height = (int(number) for number in note.group(2, 3, 4, 5))
            seen.append(Seen(note[1], (left, top, left + width, top + height), note[6]))
            continue
        cue = CUE.fullmatch(block)
        assert cue, block
        yield Cue(seconds(cue[1]), seconds(cue[2]), cue[3], tuple(seen))
        seen = []


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.split(":")
    return 3_600 * int(hours) + 60 * int(minutes) + float(rest)


class Movie:
    """A film in a file; use as a context manager."""

    def __init__(self, path: Path) -> None:
        import av

        self._container = av.open(str(path))
        self.stream = self._container.streams.video[0]
        self.codec = self.stream.codec_context.name
        self.seconds = (self._container.duration or 0) / MICROSECONDS

    def __enter__(self) -> "Movie":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def picture(self, at: float) -> Image.Image:
        """Return the picture that is shown at a time (seconds)."""
        self._container.seek(int(at * MICROSECONDS))
        shown = None
        for frame in self._container.decode(self.stream):
            if shown is not None and (frame.time or 0) > at:
                break
            shown = frame
        assert shown is not None, f"no picture at {at:.1f} s"
        picture: Image.Image = shown.to_image()
        return picture


def contrast(picture: Image.Image) -> float:
    """Return the deviation of the brightness (0 to 127): about 0 on a blank picture."""
    return float(ImageStat.Stat(picture.convert("L")).stddev[0])


def written_on(picture: Image.Image) -> str:
    """Return the text on the picture, as Tesseract reads it: dark letters on a light ground."""
    grey = picture.convert("L")
    if ImageStat.Stat(grey).mean[0] < 128:
        grey = ImageOps.invert(grey)
    data = BytesIO()
    grey.save(data, "PNG")
    command = [READER or "tesseract", "stdin", "stdout", "-l", "spa", "--psm", "11"]
    # By default each of its four threads waits busily for the others.
    alone = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    done = subprocess.run(command, input=data.getvalue(), env=alone, capture_output=True, check=True, timeout=120)
    return done.stdout.decode()


def share_of_words(wanted: str, found: str) -> float:
    """Return how many of the words of `wanted` are in `found`, from 0 to 1."""
    words, there = letters(wanted).split(), letters(found)
    return sum(word in there for word in words) / len(words)


def letters(text: str) -> str:
    """Return the text in plain small letters and digits: readers of pictures lose accents."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", " ", plain)


def assert_is_film(movie: Movie, captions: list[Cue], *, shortest: float, longest: float) -> None:
    assert movie.codec == "h264"
    assert (movie.stream.width, movie.stream.height) == SIZE
    assert shortest <= movie.seconds <= longest
    assert captions[0].begin == 0
    assert [cue.end for cue in captions[:-1]] == [cue.begin for cue in captions[1:]]
    assert captions[-1].end == pytest.approx(movie.seconds, abs=0.1)
    hurried = [cue.text for cue in captions if len(cue.text) > CHARACTERS_PER_SECOND * (cue.end - cue.begin)]
    assert not hurried


def assert_can_be_watched(movie: Movie, captions: list[Cue]) -> None:
    """Read the caption on a picture of each scene, and what it speaks of on the panes."""
    for cue in captions:
        picture = movie.picture(cue.end - END_S)
        assert share_of_words(cue.text, written_on(picture.crop(CAPTION))) >= 0.8, cue
        for seen in cue.seen:
            pane = picture.crop(seen.box)
            assert contrast(pane) > BLANK, seen
            assert share_of_words(seen.text, written_on(pane)) >= 0.6, (cue.text, seen)
