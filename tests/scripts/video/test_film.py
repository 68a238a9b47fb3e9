"""The committed film, its captions and its poster."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from tests.support.films import (
    BLANK,
    READS_PICTURES,
    SIZE,
    Cue,
    Movie,
    assert_can_be_watched,
    assert_is_film,
    contrast,
    cues,
)

# Without the packages of ./dev video, except in CI, which installs them.
if "CI" not in os.environ:
    pytest.importorskip("av")

FOLDER: Final = Path(__file__).parents[3] / "docs/video"


@pytest.fixture(scope="module")
def movie() -> Iterator[Movie]:
    with Movie(FOLDER / "mamochi.mp4") as found:
        yield found


@pytest.fixture(scope="module")
def captions() -> list[Cue]:
    return list(cues(FOLDER / "mamochi.vtt"))


def test_film_is_as_agreed(movie: Movie, captions: list[Cue]) -> None:
    assert_is_film(movie, captions, shortest=180, longest=300)
    assert (FOLDER / "mamochi.mp4").stat().st_size <= 20_000_000


@pytest.mark.slow
def test_no_scene_is_blank(movie: Movie, captions: list[Cue]) -> None:
    blank = [cue.text for cue in captions if contrast(movie.picture((cue.begin + cue.end) / 2)) < BLANK]
    assert not blank


def test_poster_is_a_picture() -> None:
    with Image.open(FOLDER / "mamochi.jpg") as poster:
        assert poster.width * SIZE[1] == poster.height * SIZE[0]
        assert contrast(poster) > BLANK


@pytest.mark.slow
@READS_PICTURES
def test_captions_say_what_is_seen(movie: Movie, captions: list[Cue]) -> None:
    assert sum(len(cue.seen) for cue in captions) >= len(captions) / 2
    assert_can_be_watched(movie, captions)
