"""The health of a real worker: without its broker it waits, and nobody should restart it."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings

from deploy.embedded import Stack
from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until

SECONDS = 60.0
IMPATIENT = """
import django, sys
django.setup()
from kafka_bridge import probe
probe.HUNG_SECONDS = 4.0
from celery.__main__ import main
sys.argv = ["celery", "-A", "mamochi_site.celery", "worker", "--concurrency", "1", "--without-mingle", "--loglevel", "INFO"]
main()
"""


@pytest.mark.chaos
@pytest.mark.usefixtures("db")
def test_a_worker_that_has_lost_its_broker_waits_and_is_not_to_be_restarted(tmp_path: Path) -> None:
    """Its patience is 4 s here; Celery's third try comes after 6."""
    port, others = free_port(), ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "EMAIL_URL")
    log = tmp_path / "log"
    with Stack(tmp_path / "valkey", durable=False, environ={name: os.environ[name] for name in others}) as stack:
        environment = {
            **os.environ,
            **stack.environment(),
            "DJANGO_SETTINGS_MODULE": "mamochi_site.settings",
            "METRICS_PORT": f"127.0.0.1:{port}",
        }
        with log.open("wb") as file:
            worker = subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", IMPATIENT], cwd=settings.BASE_DIR, env=environment, stdout=file, stderr=file
            )
        try:
            wait_until(lambda: status(port, "ready") == 200, SECONDS)
            stack.processes["valkey"].stop(timeout=5)
            wait_until(lambda: "(2/100)" in log.read_text(), SECONDS)
            assert (status(port, "live"), status(port, "ready")) == (200, 503), log.read_text()[-2_000:]
            wait_until(lambda: "(3/100)" in log.read_text(), SECONDS)
            assert (status(port, "live"), status(port, "ready")) == (200, 503), log.read_text()[-2_000:]
            stack.restart("valkey")
            wait_until(lambda: status(port, "ready") == 200, SECONDS)
        finally:
            worker.terminate()
            worker.wait(SECONDS)


def status(port: int, what: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{what}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
