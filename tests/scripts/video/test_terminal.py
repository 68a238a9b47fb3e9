"""The terminal of the film shows what a program writes."""

import os

import pytest
from rich.live import Live
from rich.text import Text

if "CI" not in os.environ:
    pytest.importorskip("pyte")

from scripts.video.terminal import BACKGROUND, CELL, Replay, Terminal

NEVER = float("inf")


def test_lines_begin_at_the_left() -> None:
    terminal = Terminal(20)
    terminal.console.print("uno\ndos")
    assert [line.rstrip() for line in terminal.text().splitlines()[:2]] == ["uno", "dos"]


def test_a_full_screen_program_leaves_what_was_there() -> None:
    terminal = Terminal(20)
    terminal.console.print("antes")
    with Live(Text("tablero"), console=terminal.console, screen=True):
        assert "tablero" in terminal.text()
        assert "antes" not in terminal.text()
    terminal.console.print("después")
    assert [line.rstrip() for line in terminal.text().splitlines()[:2]] == ["antes", "después"]


def test_what_comes_later_is_not_shown_yet() -> None:
    terminal = Terminal(20)
    terminal.console.print("uno")
    between = terminal.events[-1][0]
    terminal.events.append((between + 1, "dos"))
    replay = Replay(terminal)
    replay.advance(between)
    assert "dos" not in "".join(replay.screen.display)
    replay.advance(NEVER)
    assert "dos" in "".join(replay.screen.display)


def test_the_picture_has_the_characters_and_their_colours() -> None:
    terminal = Terminal(10)
    terminal.console.print("[#ff0000]█[/]")
    terminal.resize(12)
    replay = Replay(terminal)
    first, picture = replay.picture(NEVER)
    assert picture.width == 12 * CELL[0]
    assert picture.getpixel((CELL[0] // 2, CELL[1] // 2)) == (255, 0, 0)
    assert picture.getpixel((3 * CELL[0], CELL[1] // 2)) == tuple(bytes.fromhex(BACKGROUND[1:]))
    assert replay.picture(NEVER)[0] == first
