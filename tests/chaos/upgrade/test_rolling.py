"""Yesterday's and today's code side by side: nothing that was accepted is lost or counted twice."""

import subprocess
import sys
from pathlib import Path

import pytest

from mamochi_site.local.system import CHECKOUT
from tests.support import yesterday

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.alone,
    pytest.mark.skipif(
        not yesterday.version(), reason="this clone lacks yesterday's code: git fetch --unshallow --tags"
    ),
]
LIMIT_S = 300.0


def test_versions_work_side_by_side(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos.upgrade", "--dir", str(tmp_path)]
    run = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-4_000:] + run.stderr[-2_000:]
