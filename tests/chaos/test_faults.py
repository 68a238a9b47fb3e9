"""Three minutes of `./dev chaos` with a fixed seed lose and double nothing (reliability.md)."""

import subprocess
import sys
from pathlib import Path

import pytest

from mamochi_site.local.system import CHECKOUT
from tests.chaos.network.hub import why_not

pytestmark = [pytest.mark.chaos, pytest.mark.alone]
SECONDS = 900.0


def test_faults_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--minutes", "3", "--seed", "7", "--brokers", "3"]
    command += [] if why_not() else ["--hosts"]
    done = subprocess.run(
        [*command, "--dir", str(tmp_path / "chaos"), "--port", "18300"],
        cwd=CHECKOUT,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing lost, nothing doubled." in done.stdout
