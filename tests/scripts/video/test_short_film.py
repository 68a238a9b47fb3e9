"""`./dev video --short`, as a person starts it: recorded here, and read from its pictures."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.browser import BROWSER_TEST
from tests.support.films import READS_PICTURES, Movie, assert_can_be_watched, assert_is_film, cues

# Without the packages of ./dev video, except in CI, which installs them.
if "CI" not in os.environ:
    pytest.importorskip("av")
    pytest.importorskip("pyte")

ROOT: Final = Path(__file__).parents[3]
# The variables of the tests' stack, which the recording must not use.
OF_TESTS: Final = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "CELERY_BROKER_URL", "EMAIL_URL", "SECRET_KEY")
# Alone: it records as fast as the system answers, and a film that is too long fails.
pytestmark = [*BROWSER_TEST, READS_PICTURES, pytest.mark.chaos, pytest.mark.alone, pytest.mark.slow]


def test_short_film_can_be_watched(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in OF_TESTS} | {"DEBUG": "true"}
    command = [sys.executable, "-m", "scripts.video", "--short", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    captions = list(cues(tmp_path / "mamochi.vtt"))
    with Movie(tmp_path / "mamochi.mp4") as movie:
        assert_is_film(movie, captions, shortest=40, longest=120)
        assert_can_be_watched(movie, captions)
