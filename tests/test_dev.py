"""The script ./dev, up to the point where it sets up the environment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEV = Path(__file__).parents[1] / "dev"


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """Return a PATH with the few tools that every system has, and without Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "dirname", "cat", "env"):
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    return folder


def dev(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PATH": str(path)} if path else {})}
    return subprocess.run([DEV, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60)


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize("arguments", [["--help"], ["help"], []])
def test_help_names_every_command(arguments: list[str]) -> None:
    answer = dev(*arguments)
    assert answer.returncode == 0
    for command in ("demo", "up", "test", "compose", "video", "informe", "check"):
        assert f"\n  {command} " in answer.stdout


def test_unknown_command_shows_help() -> None:
    answer = dev("dmeo")
    assert answer.returncode == 1
    assert "unknown command: dmeo" in answer.stderr
    assert "Usage: ./dev" in answer.stderr


def test_missing_python_is_reported(bare_path: Path) -> None:
    answer = dev("test", path=bare_path)
    assert answer.returncode == 1
    assert answer.stderr == "./dev: there is no python3 on PATH: install Python 3.11 or newer.\n"


def test_old_python_is_refused(bare_path: Path) -> None:
    # Answers ./dev's questions as Python 3.9 would: its path, whether it is new, its version.
    write_program(
        bare_path / "python3",
        '#!/bin/sh\ncase "$*" in *_base_executable*) echo "$0" ;; -V) echo Python 3.9.2 ;; *) exit 1 ;; esac\n',
    )
    answer = dev("test", path=bare_path)
    assert answer.returncode == 1
    assert "is Python 3.9.2: put Python 3.11 or newer first on PATH." in answer.stderr
