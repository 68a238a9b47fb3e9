"""What a test needs of the machine: skipped without it, with the reason, and a failure in CI."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from deploy.embedded.postgres import AS_ORDINARY_USER
from mamochi_site.local.system import CHECKOUT
from tests import stack
from tests.support.needs import needs, skip_or_fail

LACK = "the right to fly"
NEED_ROOT = ("tests/chaos/conditions/test_disks.py", "tests/chaos/network")


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_what_is_missing_is_told(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    request.node.add_marker(needs(""))
    stack.pytest_runtest_setup(request.node)  # nothing is missing
    request.node.add_marker(needs(LACK))
    ways: list[Callable[[], None]] = [lambda: skip_or_fail(LACK), lambda: stack.pytest_runtest_setup(request.node)]
    for way in ways:
        with pytest.raises(outcome, match=LACK):
            way()


@pytest.mark.slow
def test_rights_are_not_missed_silently_in_ci() -> None:
    """Disks and networks need root. As another user CI fails, and says so."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "chaos", "-p", "no:cacheprovider", *NEED_ROOT]
    prefix = AS_ORDINARY_USER if os.geteuid() == 0 else []
    ended = subprocess.run(
        [*prefix, *command], cwd=CHECKOUT, env=os.environ | {"CI": "true"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "CI must have this: only root may mount volumes" in ended.stdout
    assert "CI must have this: only root may make network namespaces" in ended.stdout
    assert "skipped" not in ended.stdout
    assert "passed" not in ended.stdout
