"""`./dev demo`, as a person starts it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.processes import leftovers
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import CHECKOUT

# The variables of the tests' stack, which the demo must not use.
OF_TESTS = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "CELERY_BROKER_URL", "EMAIL_URL", "SECRET_KEY")
pytestmark = [pytest.mark.chaos, pytest.mark.slow]


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo, fast, on its own stack in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_TESTS} | {"DEBUG": "true"}
    command = [sys.executable, "-m", "mamochi_site.local.demo", "--fast", "--dir", str(folder), *options]
    process = subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_process(folder: Path, demo: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """Wait until stack.json has the process `name`, and return the content of stack.json."""

    def record() -> dict[str, Any] | None:
        assert demo.poll() is None, demo.communicate()[0]
        path = folder / "stack.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"processes": {}}
        return found if name in found["processes"] else None

    found = wait_until(record, 120)
    assert found is not None
    return found


def assert_nothing_left(folder: Path, record: dict[str, Any]) -> None:
    assert leftovers(record["run_id"], record["processes"]) == []
    assert not (folder / "stack.json").exists()


def test_audit_passes(tmp_path: Path) -> None:
    with demo(tmp_path, "--picture", str(tmp_path / "demo.svg")) as process:
        record = wait_for_process(tmp_path, process, "web")
        output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert "✘" not in output
    assert output.count("✔") >= 20
    assert "Lo que acaba de pasar" in (tmp_path / "demo.svg").read_text().replace("&#160;", " ")
    assert_nothing_left(tmp_path, record)


@pytest.mark.parametrize("moment", ["postgres", "celery-beat"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, moment: str) -> None:
    with demo(tmp_path) as process:
        record = wait_for_process(tmp_path, process, moment)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert_nothing_left(tmp_path, record)
