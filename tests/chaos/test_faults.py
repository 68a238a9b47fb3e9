"""`./dev chaos` with a fixed seed loses and doubles nothing (docs/reliability.md).

Three minutes with hosts of their own, or two without them where the machine cannot have any.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from mamochi_site.local.system import CHECKOUT
from tests.chaos.network.hub import why_not

pytestmark = pytest.mark.chaos
OWN_HOSTS = ["--minutes", "3", "--seed", "7", "--hosts"]
ONE_HOST = ["--minutes", "2", "--seed", "7"]
SECONDS = 900.0


def test_faults_lose_nothing(tmp_path: Path) -> None:
    print(why_not() or "each server has a host of its own")
    command = [sys.executable, "-m", "tests.chaos", "--brokers", "3", *(ONE_HOST if why_not() else OWN_HOSTS)]
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
