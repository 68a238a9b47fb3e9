"""Celery Beat's health, from a real process."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from django.conf import settings

from deploy.embedded import Stack
from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until

SECONDS = 60.0
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("transactional_db")]


@pytest.fixture
def beat(stack: Stack) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run Beat on the test database; return the process and the port of its probe."""
    port = free_port()
    database = settings.DATABASES["default"]
    url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
    environment = {**os.environ, **stack.environment(), "DATABASE_URL": url, "METRICS_PORT": f"127.0.0.1:{port}"}
    argv = [sys.executable, "-m", "celery", "-A", "mamochi_site.celery", "beat", "--pidfile="]
    with subprocess.Popen(argv, cwd=settings.BASE_DIR, env=environment) as process:
        try:
            yield process, port
        finally:
            process.kill()


def status(port: int, what: str) -> int | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{what}", timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_beat_tells_its_health_and_ends_with_0(beat: tuple[subprocess.Popen[bytes], int]) -> None:
    process, port = beat
    wait_until(lambda: status(port, "ready") == 200, SECONDS, what="Beat is ready")
    assert status(port, "live") == 200
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert 'mamochi_last_step_timestamp_seconds{process="beat"}' in answer.read().decode()
    process.terminate()
    assert process.wait(SECONDS) == 0
