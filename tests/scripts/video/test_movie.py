"""The captions of the film: as lines on its pictures, and as WebVTT."""

import os
from pathlib import Path

import pytest

if "CI" not in os.environ:
    pytest.importorskip("av")
    pytest.importorskip("pyte")

from PIL import Image

from scripts.video.film import THREE, Shot
from scripts.video.movie import captions
from scripts.video.picture import wrapped
from tests.support.films import BLANK, SIZE, Seen, contrast, cues, share_of_words


def test_captions_follow_the_shots_and_not_the_cuts(tmp_path: Path) -> None:
    shots = [
        Shot(1_000.0, "Uno.", THREE, 1_002.0),
        Shot(1_060.0, "Dos.", THREE, 1_063.0, seen=[("admin", "Todo: bien")]),
    ]
    (tmp_path / "film.vtt").write_text(captions(shots))
    first, second = cues(tmp_path / "film.vtt")
    left, top, width, height = THREE.boxes["admin"]
    assert (first.begin, first.end, first.text, first.seen) == (0, 2, "Uno.", ())
    assert (second.begin, second.end, second.text) == (2, 5, "Dos.")
    assert second.seen == (Seen("admin", (left, top, left + width, top + height), "Todo: bien"),)


def test_long_captions_get_two_even_lines() -> None:
    assert wrapped("Corta.") == ["Corta."]
    first, second = wrapped("palabra " * 16)
    assert len(first.split()) == len(second.split()) == 8


def test_a_caption_of_three_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        wrapped("palabra " * 30)


def test_a_blank_picture_says_nothing() -> None:
    assert contrast(Image.new("RGB", SIZE, "#3d2313")) < BLANK
    assert share_of_words("Todo cuadra", "") == 0
    assert share_of_words("Inscripción recibida", "inscripcion recibida.") == 1
